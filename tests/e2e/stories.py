"""Deploys of several repositories side by side, told to the tests of one module."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, Mapping, ValuesView
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, TypeVar

Told = TypeVar("Told")
Key = TypeVar("Key")
Play = TypeVar("Play", bound=Callable[..., None])

AT_ONCE = 3  # runs side by side: more would only wait for the processor


class Ends(dict[Key, Told]):
    """What each story returned. One that raised fails the tests that ask for it, and no others."""

    def __init__(self, running: Mapping[Key, Future[Told]]) -> None:
        self._raised = {key: error for key, future in running.items() if (error := future.exception())}
        super().__init__({key: future.result() for key, future in running.items() if key not in self._raised})

    def __missing__(self, key: Key) -> Told:
        raise self._raised.get(key) or KeyError(key)

    def items(self) -> ItemsView[Key, Told]:  # type: ignore[override]  # dict's own view has a private type
        self._are_all_told()
        return super().items()

    def values(self) -> ValuesView[Told]:  # type: ignore[override]  # likewise
        self._are_all_told()
        return super().values()

    def _are_all_told(self) -> None:
        for error in self._raised.values():
            raise error


def tell(stories: Mapping[Key, Callable[[], Told]], at_once: int = AT_ONCE) -> dict[Key, Told]:
    """What each story returned. More ``at_once`` are for stories that wait most of their time."""
    with ThreadPoolExecutor(at_once) as pool:
        running = {key: pool.submit(story) for key, story in stories.items()}
    return Ends(running)


@contextmanager
def begun(stories: Mapping[Key, Callable[[], Told]], at_once: int) -> Iterator[dict[Key, Future[Told]]]:
    """What each story will return, while other things are done. At the end no more of them begin."""
    with ThreadPoolExecutor(at_once) as pool:
        try:
            yield {key: pool.submit(story) for key, story in stories.items()}
        finally:
            pool.shutdown(cancel_futures=True)


class Stories(dict[str, Callable[[Any], None]]):
    """Stories of one module that assert what they tell: each is a test, and many are told side by side.

    Those that take longest are best told first.

        story = Stories()

        @story("SIGTERM", "SIGINT")
        def a_signal_ends_it(repo: Workspace, name: str) -> None: ...

        @pytest.fixture(scope="module")
        def told(make_repo: MakeRepo) -> Iterator[dict[str, Future[None]]]:
            with story.begun(make_repo) as told:
                yield told

        @pytest.mark.parametrize("name", story)
        def test_of_signals(told: dict[str, Future[None]], name: str) -> None:
            told[name].result()
    """

    def __call__(self, *cases: str) -> Callable[[Play], Play]:
        """One story, or one for each case."""

        def added(play: Play) -> Play:
            if not cases:
                self[play.__name__] = play
            for case in cases:
                self[f"{play.__name__}[{case}]"] = lambda given, case=case: play(given, case)
            return play

        return added

    def begun(
        self, given: Callable[[], Any], at_once: int = AT_ONCE
    ) -> AbstractContextManager[dict[str, Future[None]]]:
        """Each gets what ``given`` makes for it."""

        def told(play: Callable[[Any], None]) -> None:
            play(given())

        return begun({name: partial(told, play) for name, play in self.items()}, at_once)

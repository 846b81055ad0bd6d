"""Deploys of several repositories side by side, told to the tests of one module."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Mapping, ValuesView
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Told = TypeVar("Told")
Key = TypeVar("Key")

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


def tell(stories: Mapping[Key, Callable[[], Told]]) -> dict[Key, Told]:
    """What each story returned."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {key: pool.submit(story) for key, story in stories.items()}
    return Ends(running)

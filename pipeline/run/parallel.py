"""Pieces of work on several threads: each thread takes one piece after the other from a queue.

An executor makes a future of every piece, with a lock and a condition of its own. With two requests for
each of a thousand objects that was a twentieth of a deploy's processor time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Thread
from typing import Generic, Self, TypeVar

from pipeline.run.session import Session

T = TypeVar("T")
R = TypeVar("R")


def width(session: Session) -> int:
    """How many requests may be under way at once, at most."""
    return max(session.cluster.lanes(), session.environment.deploy.parallelism)


def in_parallel(session: Session, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """``work`` of every item, in order; as many at once as the cluster takes. The first error wins, and then
    nothing more is begun."""
    if len(items) < 2:
        return [work(item) for item in items]
    todo = deque(enumerate(items))  # taking from its ends is thread-safe
    done: dict[int, R] = {}
    errors: dict[int, BaseException] = {}

    def take() -> None:
        while True:
            try:
                number, item = todo.popleft()
            except IndexError:
                return
            try:
                done[number] = work(item)
            except BaseException as error:  # noqa: BLE001 - told by the thread that asked
                errors[number] = error
                todo.clear()

    lanes = min(width(session), len(items))
    with ThreadPoolExecutor(lanes, thread_name_prefix="work") as pool:
        try:
            for future in [pool.submit(take) for _ in range(lanes)]:
                future.result()
        except BaseException:
            todo.clear()
            raise
    if errors:
        raise errors[min(errors)]
    return [done[number] for number in range(len(items))]


class Lanes(Generic[T]):
    """Threads that do ``work``, which must not raise, with what is put; as many as were ever busy at once."""

    def __init__(self, work: Callable[[T], None], name: str) -> None:
        self._work, self._name = work, name
        self._todo: SimpleQueue[T | None] = SimpleQueue()
        self._threads: list[Thread] = []

    def put(self, item: T, *, busy: int) -> None:
        """``busy`` pieces of work are under way, this one among them."""
        self._todo.put(item)
        if len(self._threads) < busy:
            thread = Thread(target=self._take, name=f"{self._name}_{len(self._threads)}")
            self._threads.append(thread)
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Returns when all that was put is done."""
        for _thread in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join()

    def _take(self) -> None:
        while (item := self._todo.get()) is not None:
            self._work(item)

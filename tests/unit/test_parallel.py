"""Work on several threads: all of it, in order, and nothing more after the first error."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.run.parallel import Lanes, in_parallel


def session(lanes: int = 4, parallelism: int = 1) -> Any:
    deploy = SimpleNamespace(parallelism=parallelism)
    return SimpleNamespace(
        cluster=SimpleNamespace(lanes=lambda: lanes), environment=SimpleNamespace(deploy=deploy)
    )


def test_results_come_in_the_order_of_the_items_whoever_is_ready_first() -> None:
    last_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert last_is_done.wait(10)
        if item == 99:
            last_is_done.set()
        return item * item

    assert in_parallel(session(), work, list(range(100))) == [n * n for n in range(100)]


@pytest.mark.parametrize(("lanes", "parallelism", "items"), [(3, 1, 50), (1, 5, 50), (9, 9, 2)])
def test_as_many_at_once_as_the_cluster_takes_and_no_more(lanes: int, parallelism: int, items: int) -> None:
    most = min(max(lanes, parallelism), items)
    together, seen, lock, busy = threading.Barrier(most), [0], threading.Lock(), [0]

    def work(item: int) -> None:
        with lock:
            busy[0] += 1
            seen[0] = max(seen[0], busy[0])
        if item < most:
            together.wait(10)  # breaks unless so many are at work
        with lock:
            busy[0] -= 1

    in_parallel(session(lanes, parallelism), work, list(range(items)))
    assert seen[0] == most


def test_the_first_error_is_told_and_nothing_more_is_begun() -> None:
    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        raise ValueError(item)

    with pytest.raises(ValueError, match=r"^0$"):
        in_parallel(session(1), work, list(range(10)))
    assert begun == [0]


def test_lanes_are_opened_as_they_are_needed_and_end_with_their_work() -> None:
    done: list[int] = []
    gate = threading.Event()

    def work(item: int) -> None:
        gate.wait(10)
        done.append(item)

    with Lanes(work, "test") as lanes:
        lanes.put(1, busy=1)
        lanes.put(2, busy=2)
        lanes.put(3, busy=2)
        assert [t.name for t in threading.enumerate() if t.name.startswith("test_")] == ["test_0", "test_1"]
        gate.set()
    assert sorted(done) == [1, 2, 3]
    assert not [t for t in threading.enumerate() if t.name.startswith("test_")]

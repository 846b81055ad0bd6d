"""How many requests are under way at once: more to a server far away, fewer where it cannot keep up."""

from __future__ import annotations

import threading

import pytest

from pipeline.adapters.pace import FARTHEST, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def answered(pace: Pace, clock: Clock, seconds: float, *, status: int = 200, times: int = 1) -> None:
    for _ in range(times):
        with pace.turn() as turn:
            clock.now += seconds
            turn.answered(status)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_server_near_by_gets_as_many_as_allowed(clock: Clock) -> None:
    pace = Pace(16, clock)
    answered(pace, clock, 0.002, times=50)
    assert pace.allowed == 16


@pytest.mark.parametrize(("seconds", "lanes"), [(0.025, 32), (0.050, 64), (0.400, 16 * FARTHEST)])
def test_the_farther_it_is_the_more_are_under_way(clock: Clock, seconds: float, lanes: int) -> None:
    pace = Pace(16, clock)
    answered(pace, clock, seconds, times=3)
    assert pace.allowed == lanes


def test_the_quickest_answer_tells_how_far_it_is(clock: Clock) -> None:
    pace = Pace(16, clock)
    answered(pace, clock, 0.150)  # with the handshake of a new connection
    answered(pace, clock, 0.002, times=40)
    assert pace.allowed == 16


def test_too_many_requests_halve_the_number_once_a_second(clock: Clock) -> None:
    pace = Pace(16, clock)
    answered(pace, clock, 0.002)
    answered(pace, clock, 0.002, status=429, times=5)
    assert pace.allowed == 8
    clock.now += 1.1
    answered(pace, clock, 0.002, status=429)
    assert pace.allowed == 4


def test_good_answers_let_it_grow_again(clock: Clock) -> None:
    pace = Pace(16, clock)
    answered(pace, clock, 0.002, status=429)
    assert pace.allowed == 8
    answered(pace, clock, 0.002, times=200)
    assert pace.allowed == 16


def test_ever_later_answers_are_a_queue_and_shrink_it(clock: Clock) -> None:
    pace = Pace(16, clock)
    answered(pace, clock, 0.002, times=5)
    answered(pace, clock, 1.5, times=10)
    assert pace.allowed < 16


def test_it_never_comes_to_a_standstill(clock: Clock) -> None:
    pace = Pace(1, clock)
    for _ in range(20):
        clock.now += 2
        answered(pace, clock, 0.002, status=429)
    assert pace.allowed == 2


def test_no_more_than_that_are_under_way() -> None:
    import time

    pace = Pace(3, time.monotonic)
    lock = threading.Lock()
    busy, most = 0, 0

    def one() -> None:
        nonlocal busy, most
        with pace.turn() as turn:
            with lock:
                busy += 1
                most = max(most, busy)
            time.sleep(0.002)
            with lock:
                busy -= 1
            turn.answered(200)

    threads = [threading.Thread(target=one) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 3


def test_a_request_without_an_answer_frees_its_place(clock: Clock) -> None:
    pace = Pace(2, clock)
    for _ in range(10):
        with pytest.raises(OSError, match="broke off"), pace.turn():
            raise OSError("broke off")
    answered(pace, clock, 0.002)

"""Stories that are told side by side: each ends for itself, and who fails fails alone."""

from __future__ import annotations

import threading

import pytest

from tests.e2e.stories import Stories, begun


def test_each_is_told_with_what_is_given_to_it_and_once_for_each_case() -> None:
    story = Stories()
    told: set[tuple[int, str]] = set()

    @story()
    def alone(given: int) -> None:
        told.add((given, "alone"))

    @story("one", "two")
    def each(given: int, case: str) -> None:
        told.add((given, case))

    assert [*story] == ["alone", "each[one]", "each[two]"]
    with story.begun(lambda: 7) as ends:
        assert [end.result(5) for end in ends.values()] == [None, None, None]
    assert told == {(7, "alone"), (7, "one"), (7, "two")}


def test_one_that_asserts_in_vain_fails_who_waits_for_it_and_nobody_else() -> None:
    story = Stories()

    @story("true", "false")
    def holds(given: None, case: str) -> None:
        assert case == "true"

    with story.begun(lambda: None) as ends:
        ends["holds[true]"].result(5)
        with pytest.raises(AssertionError):
            ends["holds[false]"].result(5)


def test_they_are_told_at_the_same_time() -> None:
    meeting = threading.Barrier(2)
    with begun({name: lambda: meeting.wait(5) for name in ("one", "other")}, at_once=2) as ends:
        assert {end.result(5) for end in ends.values()} == {0, 1}


def test_none_begins_once_nobody_waits() -> None:
    begin, goes_on = threading.Event(), threading.Event()

    def first() -> None:
        begin.set()
        goes_on.wait(5)

    with begun({"first": first, "second": lambda: None}, at_once=1) as ends:
        assert begin.wait(5)
        threading.Timer(0.2, goes_on.set).start()
    assert ends["first"].done()
    assert ends["second"].cancelled()

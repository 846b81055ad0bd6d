import re
from typing import get_args

import pytest

from pipeline.adapters.event_log import LoggingReporter, entries
from pipeline.model.events import Event, Failed, Note, RolloutProgress
from tests.unit.report.hostile_runs import hostile_events


class Recorder:
    def __init__(self):
        self.entries = []

    def __getattr__(self, level):
        return lambda event, **facts: self.entries.append((level, event, facts))


@pytest.mark.parametrize("event", hostile_events("x"), ids=lambda e: type(e).__name__)
def test_every_event_is_an_entry_with_a_constant_name_and_facts(event):
    recorder = Recorder()
    LoggingReporter(recorder)(event)
    ((level, name, facts),) = recorder.entries
    assert level in ("info", "warning", "error")
    assert re.fullmatch(r"[a-z]+_[a-z]+", name)
    assert facts


def test_all_kinds_of_events_are_covered():
    assert {type(event) for event in hostile_events("x")} == set(get_args(Event))


def test_each_cause_is_an_entry_of_its_own_and_none_is_none():
    (failed,) = (e for e in hostile_events("x") if isinstance(e, Failed))
    assert [name for _, name, _ in entries(Failed(failed.causes * 2))] == ["run_failed"] * 2
    assert entries(Failed(())) == []


def test_a_warning_is_a_warning():
    assert entries(Note("x", warning=True)) == [("warning", "note_given", {"message": "x"})]
    assert entries(RolloutProgress((), 1.23456))[0][2]["elapsed_s"] == 1.235

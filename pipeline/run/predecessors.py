"""Says of runs that died that they were taken over, once the record of who did so holds their state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pipeline import failpoint
from pipeline.core import lifecycle
from pipeline.failpoint import Point
from pipeline.model.errors import PipelineError
from pipeline.model.events import Note
from pipeline.model.release import Phase, Release
from pipeline.run.session import Session


def close(session: Session, newest: Release, number: int) -> None:
    """Of all that are open before ``number``. What cannot be closed does no harm: whoever comes next goes by
    the newest release."""
    try:
        for dead in _dead(session, newest, number):
            phase = lifecycle.advance(dead.phase, Phase.INTERRUPTED)
            message = f"taken over by release {number}"
            session.releases.save(replace(dead, phase=phase, result="interrupted", message=message))
    except PipelineError as error:
        session.tell(Note(f"a release that was taken over still reads as open: {error.message}"))
    failpoint.passing(Point.TAKEOVER_POST)


def _dead(session: Session, newest: Release, number: int) -> Iterator[Release]:
    """``newest``; and where that had taken another over and died before it could say so, the other one."""
    for head in session.releases.history():
        if head.number < number and head.is_open and head.phase is not Phase.INTERRUPTED:
            found = newest if head.number == newest.number else session.releases.get(head.number)
            yield from [found] if found else []

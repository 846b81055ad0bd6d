"""Objects that are wanted while somebody is deleting them: waited for, as what is applied to them is lost.

The API server takes changes of an object with a ``deletionTimestamp`` and then lets it go all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pipeline.core.hints import HINTS
from pipeline.core.planner import DryRun
from pipeline.core.readiness.deleting import terminating
from pipeline.model.errors import Problem
from pipeline.model.events import Note
from pipeline.model.objects import Manifest, Object, ObjectRef
from pipeline.model.status import CauseCode
from pipeline.run.live import read_each
from pipeline.run.session import Session

GOING_S: Final = 10.0
"""Longer than the garbage collector takes for what nothing holds."""

_POLL_S: Final = 0.5


def await_gone(
    session: Session, going: Sequence[Manifest], live: dict[ObjectRef, Object]
) -> dict[ObjectRef, DryRun]:
    """Brings ``live`` up to date; for each object that is still going after ``GOING_S`` why nothing can be
    planned for it."""
    names = ", ".join(str(manifest.ref) for manifest in going)
    session.tell(Note(f"waiting for what is being deleted: {names}"))
    until = session.clock.monotonic() + GOING_S
    left = {manifest.ref: manifest for manifest in going}
    while left and session.clock.monotonic() < until:
        session.stay()
        session.clock.sleep(_POLL_S)
        found = read_each(session, {ref: manifest.api_version for ref, manifest in left.items()})
        for ref in list(left):
            if ref in found:
                live[ref] = found[ref]
            else:
                live.pop(ref, None)
            if ref not in found or "deletionTimestamp" not in found[ref]["metadata"]:
                del left[ref]
    return {ref: _still_going(manifest, live[ref]) for ref, manifest in left.items()}


def _still_going(manifest: Manifest, obj: Object) -> DryRun:
    problem = Problem(
        code=str(CauseCode.FINALIZER_STUCK),
        message=f"{manifest.ref} {terminating(obj).message}",
        hint=HINTS[CauseCode.FINALIZER_STUCK],
        origin=manifest.origin,
        object=manifest.ref,
    )
    return DryRun(problems=(problem,), live=obj)

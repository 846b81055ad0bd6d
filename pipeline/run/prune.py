"""Deletes what is no longer wanted: users before what they use, in parallel, each only if it is the one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby

from pipeline.model.errors import ApiError, InterruptedRunError, PipelineError
from pipeline.model.events import Note, ObjectApplied
from pipeline.model.plan import Change
from pipeline.model.release import Applied
from pipeline.run.apply import ApplyFailedError
from pipeline.run.send import GONE_WAIT_S, StillThereError, wait_gone
from pipeline.run.session import Session, in_parallel

LEFT = "left"
"""The result of a deletion that was accepted, and of which the object is still there."""


_LEAST_WAIT_S = 1.0
"""Longer than a deletion takes that nothing holds: that one is seen to its end though the time is over."""


def prune(session: Session, changes: Sequence[Change], *, budget_s: float) -> tuple[Applied, ...]:
    """Delete wave by wave. What finalizers hold is told of and stays owned: the next run looks again.

    For all that is held together it waits ``budget_s`` seconds, and not longer than a minute for a wave.

    Raises:
        ApplyFailedError: a deletion was refused, or the run was interrupted.
    """
    results: list[Applied] = []
    until = session.clock.monotonic() + budget_s
    for _, wave in groupby(sorted(changes, key=lambda c: (c.wave, c.ref)), key=lambda c: c.wave):
        left = max(_LEAST_WAIT_S, min(GONE_WAIT_S, until - session.clock.monotonic()))
        done = in_parallel(session, partial(_delete, session, left), list(wave))
        results += [applied for applied, _ in done]
        stop = next((stop for _, stop in done if stop), None)
        refused = [a for a, _ in done if a.result == "failed"]
        if stop or refused:
            what = f"delete {refused[0].ref}: {refused[0].message}" if refused else "stopped"
            raise ApplyFailedError(what, results, stop)
    return tuple(results)


def _delete(session: Session, longest_s: float, change: Change) -> tuple[Applied, InterruptedRunError | None]:
    started = session.clock.monotonic()
    applied = Applied(ref=change.ref, result="deleted")
    stop: InterruptedRunError | None = None
    try:
        session.guard()
        session.cluster.delete(change.ref, change.api_version, uid=change.uid)
        wait_gone(session, change, longest_s)
    except InterruptedRunError as error:
        stop, applied = error, replace(applied, result="skipped", message=error.message)
    except StillThereError as error:
        applied = replace(applied, result=LEFT, message=error.message)
        session.tell(Note(f"{error.message}; it stays in the inventory", warning=True))
    except ApiError as error:
        applied = _not_deleted(session, change, applied, error)
    except PipelineError as error:
        applied = replace(applied, result="failed", message=error.message)
    applied = replace(applied, seconds=session.clock.monotonic() - started)
    session.tell(
        ObjectApplied(
            change.ref, change.action, change.wave, applied.result, applied.seconds, applied.message
        )
    )
    return applied, stop


def _not_deleted(session: Session, change: Change, applied: Applied, error: ApiError) -> Applied:
    """409: the uid is another one. Somebody made the object anew, and it is not ours to delete."""
    if error.status == 409 and change.uid:
        session.tell(Note(f"{change.ref} was made anew by somebody else and is left", warning=True))
        return replace(applied, result="skipped", message="it is another object than the one we owned")
    return replace(applied, result="failed", message=error.message)

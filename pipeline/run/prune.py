"""Deletes what is no longer wanted: wave by wave, each in parallel, each object only if it is the one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby

from pipeline import failpoint
from pipeline.core.delete_order import Targets, still_there
from pipeline.failpoint import Point
from pipeline.model.errors import ApiError, InterruptedRunError, PipelineError, UnreachableError
from pipeline.model.events import Note, ObjectApplied
from pipeline.model.objects import ObjectRef, get_path
from pipeline.model.plan import Change
from pipeline.model.release import LEFT, Applied
from pipeline.run.apply import ApplyFailedError
from pipeline.run.parallel import in_parallel
from pipeline.run.send import GONE_WAIT_S, LEAST_WAIT_S, StillThereError, not_yet, wait_gone
from pipeline.run.session import Session

_SERVED_WITHIN_S = 5.0
_SERVED_POLL_S = 0.2


def prune(
    session: Session, changes: Sequence[Change], gone_first: Targets, *, budget_s: float
) -> tuple[Applied, ...]:
    """Delete wave by wave. What finalizers hold is told of and stays owned: the next run looks again.

    For all that is held together it waits ``budget_s`` seconds, and not longer than a minute for a wave.
    Then the next wave goes, but for what by a declared order (``gone_first``) comes after what is held: it
    stays as well, as with kapp, Argo CD and cli-utils.

    Raises:
        ApplyFailedError: a deletion was refused, or the run was interrupted.
    """
    results: list[Applied] = []
    still: set[ObjectRef] = set()
    until = session.clock.monotonic() + budget_s
    _discover(session, changes)
    failpoint.passing(Point.PRUNE_LIST)
    for _, wave in groupby(sorted(changes, key=lambda c: (c.wave, c.ref)), key=lambda c: c.wave):
        going = []
        for change in wave:
            if (awaited := still_there(change.ref, gone_first, still)) is None:
                going.append(change)
            else:
                results.append(_held_back(session, change, awaited))
        longest_s = max(LEAST_WAIT_S, min(GONE_WAIT_S, until - session.clock.monotonic()))
        done = in_parallel(session, partial(_delete, session, longest_s), going)
        results += [applied for applied, _ in done]
        still |= {applied.ref for applied in results if applied.result == LEFT}
        stop = next((stop for _, stop in done if stop), None)
        refused = [a for a, _ in done if a.result == "failed"]
        if stop or refused:
            what = f"delete {refused[0].ref}: {refused[0].message}" if refused else "stopped"
            raise ApplyFailedError(what, results, stop)
    return tuple(results)


def _discover(session: Session, changes: Sequence[Change]) -> None:
    """The version in which an object is deleted may have come with this very deploy, a moment ago."""
    until = session.clock.monotonic() + _SERVED_WITHIN_S
    kinds = {(c.api_version, c.ref.kind) for c in changes}
    while any(session.cluster.resource(*kind) is None for kind in kinds):
        if session.clock.monotonic() > until:
            return  # the kind is gone, and its objects with it
        session.clock.sleep(_SERVED_POLL_S)
        session.cluster.refresh()


def _held_back(session: Session, change: Change, awaited: ObjectRef) -> Applied:
    message = f"delete {change.ref}: {not_yet(awaited)}"
    session.tell(Note(f"{message}; it stays in the inventory", warning=True))
    session.tell(ObjectApplied(change.ref, change.action, change.wave, LEFT, 0.0, message))
    return Applied(ref=change.ref, result=LEFT, message=message)


def _delete(session: Session, longest_s: float, change: Change) -> tuple[Applied, InterruptedRunError | None]:
    started = session.clock.monotonic()
    applied = Applied(ref=change.ref, result="deleted")
    stop: InterruptedRunError | None = None
    try:
        session.guard()
        failpoint.passing(Point.PRUNE_DELETE_PRE)
        session.cluster.delete(change.ref, change.api_version, uid=change.uid)
        failpoint.passing(Point.PRUNE_DELETE_POST)
        wait_gone(session, change, longest_s)
    except InterruptedRunError as error:
        stop, applied = error, replace(applied, result="skipped", message=error.message)
    except StillThereError as error:
        applied = replace(applied, result=LEFT, message=error.message)
        session.tell(Note(f"{error.message}; it stays in the inventory", warning=True))
    except ApiError as error:
        applied = _not_deleted(session, change, applied, error)
    except PipelineError as error:
        lost = isinstance(error, UnreachableError)
        applied = replace(applied, result="failed", message=error.message, unanswered=lost)
    applied = replace(applied, seconds=session.clock.monotonic() - started)
    session.tell(
        ObjectApplied(
            change.ref, change.action, change.wave, applied.result, applied.seconds, applied.message
        )
    )
    return applied, stop


def _not_deleted(session: Session, change: Change, applied: Applied, error: ApiError) -> Applied:
    """409 where the uid is another one: somebody made the object anew, and it is not ours to delete."""
    if error.status == 409 and change.uid and _is_another(session, change):
        session.tell(Note(f"{change.ref} was made anew by somebody else and is left", warning=True))
        return replace(applied, result="skipped", message="it is another object than the one we owned")
    return replace(applied, result="failed", message=error.message)


def _is_another(session: Session, change: Change) -> bool:
    try:
        live = session.cluster.get(change.ref, change.api_version)
    except PipelineError:
        return False
    return live is not None and get_path(live, "metadata", "uid") != change.uid

"""Hooks beyond their order: those of a failure, and what becomes of a hook's object afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.core.hooks import DeletePolicy, HookPhase
from pipeline.model.errors import InterruptedRunError, PipelineError
from pipeline.model.events import Note, ObjectApplied
from pipeline.model.objects import Manifest, ObjectRef, get_path
from pipeline.model.plan import Action, Change
from pipeline.run.send import wait_gone
from pipeline.run.session import Session
from pipeline.run.targets import Target
from pipeline.run.watch import watch_rollout

_FAIL_BUDGET_S = 60.0
"""What a failure hook may take: what it is about has failed already, and the way back waits for it."""


def run_failure_hooks(
    session: Session, changes: Sequence[Change], manifests: Mapping[ObjectRef, Manifest]
) -> None:
    """Argo CD's SyncFail: told of, and never the reason why a rollback does not happen."""
    for change in changes:
        if change.hook != HookPhase.FAIL or change.body is None:
            continue
        try:
            _run(session, change, manifests[change.ref])
        except InterruptedRunError:
            raise
        except PipelineError as error:
            session.tell(Note(f"the failure hook {change.ref} could not run: {error.message}", warning=True))


def _run(session: Session, change: Change, manifest: Manifest) -> None:
    assert change.body is not None  # noqa: S101 - asked before
    started, since = session.clock.monotonic(), session.cluster.server_time()
    live = session.cluster.get(change.ref, change.api_version)
    if live is not None and change.ref.kind in ("Job", "Pod"):
        _remove(session, change, str(get_path(live, "metadata", "uid", default="")))
    session.guard()
    live = session.cluster.apply(change.body, force=True)
    seconds = session.clock.monotonic() - started
    session.tell(ObjectApplied(change.ref, Action.CREATE, change.wave, "applied", seconds))
    target = Target(manifest=manifest, since=since, live=live)
    result = watch_rollout(session, [target], budget_s=_FAIL_BUDGET_S)
    if not result.ok:
        session.tell(Note(f"the failure hook {change.ref} did not end well", warning=True))


def tidy(session: Session, changes: Sequence[Change], failed: frozenset[ObjectRef]) -> tuple[ObjectRef, ...]:
    """Delete the objects of hooks that ran and whose delete policy says so; returns which are gone."""
    gone = []
    for change in changes:
        policy = DeletePolicy.FAILED if change.ref in failed else DeletePolicy.SUCCEEDED
        if not change.writes or not change.hook or policy not in change.hook_delete:
            continue
        try:
            _remove(session, change, "")
            gone.append(change.ref)
        except InterruptedRunError:
            raise
        except PipelineError as error:
            session.tell(Note(f"the hook {change.ref} stays: {error.message}", warning=True))
    return tuple(gone)


def _remove(session: Session, change: Change, uid: str) -> None:
    session.guard()
    session.cluster.delete(change.ref, change.api_version, uid=uid)
    wait_gone(session, change)

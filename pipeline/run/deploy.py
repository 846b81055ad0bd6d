"""The main job: from manifests to a verified release, or back. One short function a phase."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.core.secret_values import secret_values
from pipeline.model.errors import (
    ApiError,
    InterruptedRunError,
    PipelineError,
    PlanChangedError,
    PreflightError,
    UnreachableError,
)
from pipeline.model.events import Event, Failed, Note, RolloutDone
from pipeline.model.events import Planned as PlannedEvent
from pipeline.model.exit_codes import ExitCode
from pipeline.model.objects import Manifest
from pipeline.model.plan import Action
from pipeline.model.release import Outcome, Phase, Release
from pipeline.model.status import Cause, CauseCode, Verdict
from pipeline.ports import Reporter
from pipeline.run import apply, checks, failure, namespace
from pipeline.run.attempt import Attempt
from pipeline.run.planning import make_plan, offline_plan
from pipeline.run.rollback import roll_back
from pipeline.run.session import Session
from pipeline.run.watch import Target, watch_rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to deploy, and under which conditions.

    ``is_older`` tells whether ``revision`` is contained in a given one (None: unknown); ``expected`` is
    the digest of a reviewed plan, or empty.
    """

    command: str
    revision: str
    base: str
    manifests: Sequence[Manifest]
    is_older: Callable[[str], bool | None]
    expected: str = ""
    wait_lock_s: float = 0.0
    allow_older: bool = False
    dry_run: bool = False


def deploy(session: Session, request: Request, outcome: Outcome) -> None:
    """Run the whole job; ``outcome`` holds what is known at every moment, also when this raises.

    Raises:
        PipelineError: nothing was written. After the first write every ending is in the outcome.
    """
    session.learn_secrets(secret_values(m.body for m in request.manifests))
    offline_plan(session.environment, request.manifests, request.revision)  # cycles, before any write
    session.tell = _noting(outcome, session.tell)
    started = session.clock.monotonic()
    created = namespace.ensure(session, dry_run=request.dry_run)
    try:
        attempt = Attempt(session, request.command, outcome, namespace_is_new=created)
        if request.dry_run:
            attempt.look_back()
            _plan(attempt, request)
        else:
            session.lock.acquire(request.wait_lock_s)
            try:
                _locked(attempt, request)
            finally:
                session.lock.release()
    except PipelineError:
        if created and outcome.release is None:
            namespace.remove_if_empty(session)
        raise
    finally:
        outcome.timings["total"] = round(session.clock.monotonic() - started, 3)


def _noting(outcome: Outcome, tell: Reporter) -> Reporter:
    """Warnings are told as they come, and again in the report."""

    def hear(event: Event) -> None:
        if isinstance(event, Note) and event.warning:
            outcome.warnings += (event.message,)
        tell(event)

    return hear


def _locked(attempt: Attempt, request: Request) -> None:
    attempt.look_back()
    _refuse_older(attempt, request)
    _plan(attempt, request)
    try:
        if attempt.has_something_to_do:
            _write_and_verify(attempt)
        else:
            _nothing_to_write(attempt)
    except InterruptedRunError as error:
        attempt.interrupted(error)
    except (ApiError, UnreachableError) as error:
        if attempt.outcome.release is None or not attempt.outcome.release.is_open:
            raise  # before the intent was recorded nothing was written
        attempt.interrupted(InterruptedRunError(error.message, hint=error.hint), CauseCode.UNREACHABLE)


def _refuse_older(attempt: Attempt, request: Request) -> None:
    running = attempt.verified.revision if attempt.verified else ""
    if request.allow_older or not running or running == request.revision:
        return
    if request.is_older(running):
        raise PreflightError(
            f"deploy {request.revision[:12]}: {running[:12]}, which runs in "
            f"{attempt.session.environment.name}, is newer and contains it",
            hint="use `pipeline rollback` to go back, or --allow-older if this is meant",
        )


def _plan(attempt: Attempt, request: Request) -> None:
    session = attempt.session
    with attempt.timed("plan"):
        attempt.planned = make_plan(
            session,
            request.manifests,
            request.revision,
            attempt.owned,
            namespace_is_new=attempt.namespace_is_new,
        )
    plan = attempt.planned.plan
    attempt.outcome.plan = plan
    session.learn_secrets(secret_values(attempt.planned.live.values()))
    session.tell(PlannedEvent(plan))
    if request.expected and request.expected != plan.digest:
        raise PlanChangedError(
            f"the plan is now {plan.digest}, not {request.expected}",
            hint="review the new plan with `pipeline plan`, and deploy that digest",
        )


def _nothing_to_write(attempt: Attempt) -> None:
    """Nothing to do is only good news where everything is healthy."""
    result = _watch(attempt, [Target(manifest=d.manifest) for d in attempt.plan_desired])
    if not result:
        attempt.outcome.exit_code = ExitCode.TIMED_OUT if attempt.timed_out else ExitCode.FAILED
        attempt.outcome.next_step = "nothing was changed, so there is nothing to roll back; see the causes"
        return
    if not _check(attempt):
        attempt.outcome.exit_code = ExitCode.FAILED
        return
    if attempt.needs_record:
        attempt.begin(Phase.PLANNED)
        attempt.succeed()
    else:
        attempt.outcome.release = attempt.verified


def _write_and_verify(attempt: Attempt) -> None:
    attempt.begin(Phase.APPLYING)
    if _apply(attempt) and _verify(attempt):
        attempt.succeed()
        return
    attempt.session.tell(Failed(attempt.outcome.causes))
    if _stays(attempt):
        attempt.fail()
    else:
        attempt.save(Phase.FAILED)
        _go_back(attempt)


def _stays(attempt: Attempt) -> bool:
    """Whether policy leaves a failed deploy as it is."""
    policy = attempt.session.environment.rollback
    return not policy.auto or (attempt.verified is None and policy.on_first_deploy == "keep")


def _apply(attempt: Attempt) -> bool:
    session, outcome = attempt.session, attempt.outcome
    assert attempt.planned is not None  # noqa: S101 - planned before anything is written
    with attempt.timed("apply"):
        try:
            outcome.applied = apply.Applier(session, attempt.planned.plan, attempt.wait_ready).run()
        except apply.ApplyFailedError as error:
            outcome.applied = error.applied
            if error.interrupted:
                raise error.interrupted from error
            outcome.causes += failure.apply_causes(attempt.planned, error.applied)
    attempt.note_written()
    return not outcome.causes


def _verify(attempt: Attempt) -> bool:
    """Rollout, then prune, then checks: what is no longer wanted goes only when the new state stands."""
    attempt.save(Phase.VERIFYING)
    if not _watch(attempt, attempt.targets()):
        attempt.outcome.checks = checks.skip_checks(attempt.session, "rollout failed")
        return False
    return _prune(attempt) and _check(attempt)


def _watch(attempt: Attempt, targets: Sequence[Target]) -> bool:
    session, outcome = attempt.session, attempt.outcome
    with attempt.timed("rollout"):
        result = watch_rollout(session, targets, budget_s=attempt.budget_left())
    session.tell(RolloutDone(result.entries, result.ok, outcome.timings["rollout"]))
    outcome.rollout = result.entries
    outcome.causes += result.causes
    attempt.timed_out = result.timed_out
    return result.ok


def _prune(attempt: Attempt) -> bool:
    assert attempt.planned is not None  # noqa: S101
    deletions = [c for c in attempt.planned.plan.changes if c.action is Action.DELETE]
    try:
        attempt.outcome.applied += apply.prune(attempt.session, deletions)
    except apply.ApplyFailedError as error:
        attempt.outcome.applied += error.applied
        if error.interrupted:
            raise error.interrupted from error
        attempt.outcome.causes += failure.apply_causes(attempt.planned, error.applied)
        return False
    return True


def _check(attempt: Attempt) -> bool:
    session, outcome = attempt.session, attempt.outcome
    if not session.environment.checks:
        return True
    with attempt.timed("checks"):
        outcome.checks = checks.run_checks(session)
    outcome.causes += checks.causes_of(session, outcome.checks)
    return all(c.verdict is Verdict.PASS for c in outcome.checks)


def _go_back(attempt: Attempt) -> None:
    """Automatic rollback; for a first deploy that is the removal of all it made."""
    session, outcome = attempt.session, attempt.outcome
    assert attempt.release is not None  # noqa: S101 - recorded before the first write
    attempt.save(Phase.ROLLING_BACK)
    target = attempt.target_of_rollback()
    with attempt.timed("rollback"):
        try:
            back = roll_back(session, attempt.release, attempt.owned, target)
        except (ApiError, UnreachableError) as error:
            raise InterruptedRunError(f"roll back: {error.message}", hint=error.hint) from error
    outcome.rolled_back = True
    outcome.rollback_verified = back.ok
    outcome.differences = back.differences
    if back.ok:
        outcome.exit_code = ExitCode.ROLLED_BACK
        outcome.next_step = f"{target} is back; repair the cause and deploy again"
    else:
        outcome.exit_code = ExitCode.ROLLBACK_FAILED
        outcome.next_step = "not everything is back: see the differences, then `pipeline status`"
        outcome.causes += tuple(
            Cause(object=None, code=CauseCode.DEGRADED, message=f"rollback: {text}", hint=outcome.next_step)
            for text in (*back.problems, *back.unhealthy)
        )
    if back.kept:
        names = ", ".join(str(ref) for ref in back.kept)
        session.tell(Note(f"left in the cluster: {names}", warning=True))
    attempt.end(Phase.ROLLED_BACK if back.ok else Phase.ROLLBACK_FAILED, back.inventory)


def last_known(releases: Sequence[Release]) -> Release | None:
    """The newest verified among heads, newest first."""
    return next((r for r in releases if r.phase is Phase.SUCCEEDED), None)

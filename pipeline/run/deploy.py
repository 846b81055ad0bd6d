"""The main job: from manifests to a verified release, or back. One short function a phase."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue

from pipeline.core.hooks import HookEvent
from pipeline.core.plan_changes import ExpectedPlan
from pipeline.core.secret_values import secret_values
from pipeline.model.errors import (
    ApiError,
    InterruptedRunError,
    PipelineError,
    PreflightError,
    UnreachableError,
)
from pipeline.model.events import Event, Failed, Note, RolloutDone
from pipeline.model.events import Planned as PlannedEvent
from pipeline.model.exit_codes import ExitCode
from pipeline.model.objects import Manifest
from pipeline.model.plan import Action
from pipeline.model.release import Outcome, Phase, Release, RolloutEntry
from pipeline.model.status import Cause, CauseCode, Status, Verdict
from pipeline.ports import Reporter
from pipeline.run import apply, checks, failure, hooks, namespace
from pipeline.run.attempt import Attempt
from pipeline.run.gate import Gate, Inbox
from pipeline.run.planning import Planned, check_order, make_plan
from pipeline.run.prune import prune
from pipeline.run.recorded import recorded_manifests
from pipeline.run.session import Session
from pipeline.run.targets import Target
from pipeline.run.watch import RolloutResult, finish, watch_rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to deploy, and under which conditions.

    ``render`` reads the manifests, or raises InvalidError; ``inputs`` is a digest of what it reads, empty
    where that is unknown. ``is_older`` tells whether ``revision`` is contained in a given one (None:
    unknown); ``expected`` is the plan that was reviewed, where there is one.
    """

    command: str
    revision: str
    base: str
    render: Callable[[], Sequence[Manifest]]
    is_older: Callable[[str], bool | None]
    expected: ExpectedPlan | None = None
    wait_lock_s: float = 0.0
    allow_older: bool = False
    dry_run: bool = False
    inputs: str = ""


def deploy(session: Session, request: Request, outcome: Outcome) -> None:
    """Run the whole job; ``outcome`` holds what is known at every moment, also when this raises.

    Raises:
        PipelineError: nothing was written. After the first write every ending is in the outcome.
    """
    session.tell = _noting(outcome, session.tell)
    started = session.clock.monotonic()
    attempt = Attempt(session, request.command, outcome, inputs=request.inputs)
    try:
        if not _is_settled_as_recorded(attempt, request):
            attempt.wanted = request.render()
            _settle(attempt, request)
    finally:
        outcome.timings["total"] = round(session.clock.monotonic() - started, 3)


def _settle(attempt: Attempt, request: Request) -> None:
    """Whatever it takes to bring the environment to what is wanted."""
    session, outcome = attempt.session, attempt.outcome
    session.learn_secrets(secret_values(m.body for m in attempt.wanted))
    created = namespace.ensure(
        session,
        dry_run=request.dry_run,
        first=lambda: check_order(session.environment, attempt.wanted, HookEvent.INSTALL),
    )
    attempt.namespace_is_new = created
    try:
        if request.dry_run:
            attempt.look_back()
            _plan(attempt, request)
        elif created or not _is_settled(attempt, request):
            _under_lock(attempt, request)
    except PipelineError:
        if created and outcome.release is None:
            namespace.remove_if_empty(session)
        raise


def _is_settled_as_recorded(attempt: Attempt, request: Request) -> bool:
    """The quick way where the repository's files are those of the release that runs: its record has what
    was rendered from them. Only where nothing is to be done; all else goes the whole way."""
    session = attempt.session
    if not request.inputs or request.dry_run or request.expected or session.own_namespace() is None:
        return False
    if session.holder() is not None:
        return False
    attempt.look_back()
    newest = attempt.latest
    if newest is None or newest is not attempt.verified or newest.revision != request.revision:
        return False
    if newest.inputs != request.inputs:
        return False
    attempt.wanted = recorded_manifests(newest)
    session.learn_secrets(secret_values(m.body for m in attempt.wanted))
    if _is_settled(attempt, request):
        return True
    attempt.planned = None
    return False


def _is_settled(attempt: Attempt, request: Request) -> bool:
    """Where nothing is to be done nothing is written: no lock either. True where that was the whole job.

    A look without the lock may be overtaken by another run; then that one's result is the newer truth,
    and a run that is seen at work is waited for.
    """
    session, outcome = attempt.session, attempt.outcome
    if session.holder() is not None:
        return False
    if not attempt.has_looked:
        attempt.look_back()
    if attempt.carried:
        return False
    _refuse_older(attempt, request)
    _plan(attempt, request)
    if not attempt.is_settled:
        return False
    outcome.rollout = _look_once(attempt)
    if any(entry.status.status is not Status.CURRENT for entry in outcome.rollout):
        return False
    session.tell(RolloutDone(outcome.rollout, True, 0.0))
    outcome.timings["rollout"] = 0.0
    outcome.release = attempt.verified
    if not _check(attempt):
        outcome.exit_code = ExitCode.FAILED
    return True


def _under_lock(attempt: Attempt, request: Request) -> None:
    session = attempt.session
    session.lock.acquire(request.wait_lock_s)
    session.locked = True
    try:
        _locked(attempt, request)
    finally:
        session.locked = False
        session.lock.release()


def _noting(outcome: Outcome, tell: Reporter) -> Reporter:
    """Warnings are told as they come, and again in the report."""

    def hear(event: Event) -> None:
        if isinstance(event, Note) and event.warning:
            outcome.warnings += (event.message,)
        tell(event)

    return hear


def _locked(attempt: Attempt, request: Request) -> None:
    if attempt.planned is None or attempt.is_overtaken():
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
    if request.expected:
        request.expected.check_environment(session.environment.name)
    with attempt.timed("plan"):
        attempt.planned = make_plan(
            session,
            attempt.wanted,
            request.revision,
            attempt.owned,
            namespace_is_new=attempt.namespace_is_new,
            event=attempt.event,
        )
    plan = attempt.planned.plan
    attempt.outcome.plan = plan
    session.learn_secrets(secret_values(attempt.planned.live.values()))
    session.tell(PlannedEvent(plan))
    for warning in plan.warnings:
        session.tell(Note(str(warning), warning=True))
    for kept in (c for c in plan.changes if c.action is Action.KEEP and c.note):
        session.tell(Note(f"{kept.ref}: {kept.note}"))
    if request.expected:
        request.expected.check(plan)


def _nothing_to_write(attempt: Attempt) -> None:
    """Nothing to do is only good news where everything is healthy."""
    if not _watch(attempt, attempt.targets()):
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
    inbox: Inbox = SimpleQueue()
    gate = Gate(attempt.session, attempt.expected(), inbox)
    try:
        if _apply(attempt, gate, inbox) and _verify(attempt, gate):
            hooks.tidy(attempt.session, attempt.plan_changes, frozenset())
            attempt.succeed()
            return
    finally:
        gate.stop()
    attempt.session.tell(Failed(attempt.outcome.causes))
    _after_failure(attempt)
    if _stays(attempt):
        attempt.fail()
    else:
        attempt.save(Phase.FAILED)
        _go_back(attempt)


def _after_failure(attempt: Attempt) -> None:
    failed = frozenset(c.object for c in attempt.outcome.causes if c.object)
    hooks.run_failure_hooks(attempt.session, attempt.plan_changes, attempt.manifests)
    hooks.tidy(attempt.session, [c for c in attempt.plan_changes if c.ref in failed], failed)


def _stays(attempt: Attempt) -> bool:
    """Whether policy leaves a failed deploy as it is."""
    policy = attempt.session.environment.rollback
    return not policy.auto or (attempt.verified is None and policy.on_first_deploy == "keep")


def _apply(attempt: Attempt, gate: Gate, inbox: Inbox) -> bool:
    session, outcome = attempt.session, attempt.outcome
    assert attempt.planned is not None  # noqa: S101 - planned before anything is written
    with attempt.timed("apply"):
        try:
            outcome.applied = apply.Applier(
                session,
                attempt.planned.plan,
                gate,
                inbox,
                target_of=attempt.target_of,
                live=attempt.planned.live,
                budget_s=attempt.budget_left(),
            ).run()
        except apply.ApplyFailedError as error:
            _note_failure(attempt, attempt.planned, error)
    attempt.note_written()
    return not outcome.causes


def _note_failure(attempt: Attempt, planned: Planned, error: apply.ApplyFailedError) -> None:
    outcome = attempt.outcome
    outcome.applied = error.applied
    if error.interrupted:
        raise error.interrupted from error
    outcome.causes += failure.apply_causes(planned, error.applied)
    if error.rollout:
        outcome.rollout = error.rollout.entries
        outcome.causes += error.rollout.causes
        attempt.timed_out = error.rollout.timed_out


def _verify(attempt: Attempt, gate: Gate) -> bool:
    """Rollout, then prune, then checks: what is no longer wanted goes only when the new state stands."""
    session = attempt.session
    attempt.save(Phase.VERIFYING)
    with attempt.timed("rollout"):
        result = finish(session, gate, budget_s=attempt.budget_left())
    if not _note_rollout(attempt, result):
        attempt.outcome.checks = checks.skip_checks(session, "rollout failed")
        return False
    return _prune(attempt) and _check(attempt)


def _watch(attempt: Attempt, targets: Sequence[Target]) -> bool:
    with attempt.timed("rollout"):
        result = watch_rollout(attempt.session, targets, budget_s=attempt.budget_left())
    return _note_rollout(attempt, result)


def _note_rollout(attempt: Attempt, result: RolloutResult) -> bool:
    outcome = attempt.outcome
    attempt.session.tell(RolloutDone(result.entries, result.ok, outcome.timings["rollout"]))
    outcome.rollout = result.entries
    outcome.causes += result.causes
    attempt.timed_out = result.timed_out
    return result.ok


def _look_once(attempt: Attempt) -> tuple[RolloutEntry, ...]:
    """How everything is as it was just read."""
    gate = Gate(attempt.session, attempt.expected(), SimpleQueue(), quiet=True)
    try:
        gate.add(attempt.targets(), follow=False)
        return gate.entries()
    finally:
        gate.stop()


def _prune(attempt: Attempt) -> bool:
    assert attempt.planned is not None  # noqa: S101
    deletions = [c for c in attempt.planned.plan.changes if c.action is Action.DELETE]
    try:
        attempt.outcome.applied += prune(attempt.session, deletions, budget_s=attempt.budget_left())
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
    from pipeline.run.rollback import roll_back  # late: most deploys go well

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

"""The phases of a run that writes: apply, rollout, prune, checks, or the way back. A short function each."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline import failpoint
from pipeline.core.hints import HINTS
from pipeline.core.rollout import RolloutDecision
from pipeline.failpoint import Point
from pipeline.model.errors import ApiError, InterruptedRunError, UnreachableError
from pipeline.model.events import Failed, Note, RolloutDone
from pipeline.model.exit_codes import ExitCode
from pipeline.model.plan import Action, Change
from pipeline.model.release import Phase
from pipeline.model.status import Cause, CauseCode, Status, Verdict
from pipeline.run import apply, checks, failure, hooks
from pipeline.run.attempt import Attempt
from pipeline.run.gate import Gate, Inbox
from pipeline.run.planning import Planned
from pipeline.run.prune import prune
from pipeline.run.targets import Target
from pipeline.run.watch import RolloutResult, failed, finish, pending, watch_rollout


def nothing_to_write(attempt: Attempt) -> None:
    """Nothing to do is only good news where everything is healthy."""
    if not _watch(attempt, attempt.targets()):
        attempt.outcome.exit_code = ExitCode.TIMED_OUT if attempt.timed_out else ExitCode.FAILED
        attempt.outcome.next_step = "nothing was changed, so there is nothing to roll back; see the causes"
        return
    if not check(attempt):
        attempt.outcome.exit_code = ExitCode.FAILED
        return
    if attempt.needs_record:
        attempt.begin(Phase.PLANNED)
        attempt.succeed()
    else:
        attempt.outcome.release = attempt.verified


def write_and_verify(attempt: Attempt) -> None:
    attempt.begin(Phase.APPLYING)
    inbox = Inbox()
    writes = len(attempt.plan.writes)
    gate = Gate(attempt.session, attempt.expected(), inbox, count=writes, endpoints=True)
    try:
        if _apply(attempt, gate, inbox) and _verify(attempt, gate):
            gate.stop()
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
    failpoint.passing(Point.GATE_PASS)
    return _prune(attempt) and _soak(attempt, gate)


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


def _prune(attempt: Attempt) -> bool:
    assert attempt.planned is not None  # noqa: S101 - planned before anything is written
    plan = attempt.planned.plan
    if not _give_back(attempt, [c for c in plan.changes if c.returns]):
        return False
    going = [c for c in plan.changes if c.action is Action.DELETE]
    try:
        budget_s = attempt.budget_left()
        attempt.outcome.applied += prune(attempt.session, going, plan.gone_first, budget_s=budget_s)
    except apply.ApplyFailedError as error:
        attempt.outcome.applied += error.applied
        if error.interrupted:
            raise error.interrupted from error
        attempt.outcome.causes += failure.apply_causes(attempt.planned, error.applied)
        return False
    return True


def _give_back(attempt: Attempt, changes: Sequence[Change]) -> bool:
    """What a release took over that did not succeed, and nobody wants any more, is again as it was."""
    if not changes:
        return True
    from pipeline.run.rollback import give_back  # late, as below

    assert attempt.latest is not None  # noqa: S101 - whose state before was carried
    applied, problems = give_back(attempt.session, attempt.latest, changes)
    attempt.outcome.applied += applied
    attempt.outcome.causes += tuple(
        Cause(object=ref, code=CauseCode.APPLY_REJECTED, message=text, hint=HINTS[CauseCode.APPLY_REJECTED])
        for ref, text in problems.items()
    )
    return not problems


def _soak(attempt: Attempt, gate: Gate) -> bool:
    """The checks, with an eye on what was ready: what falls back meanwhile has not been deployed well."""
    if not attempt.session.environment.checks:
        return True
    degraded: list[RolloutResult] = []
    last: RolloutDecision | None = None

    def alarm() -> str:
        nonlocal last
        gate.wait(0.0)
        decision = gate.judge()
        last = decision or last
        if decision is None or not decision.fatal:
            return ""
        degraded.append(failed(attempt.session, gate, decision))
        return "what was ready has failed meanwhile"

    passed = check(attempt, alarm)
    if passed and not alarm() and gate.is_waiting:
        result = finish(attempt.session, gate, budget_s=attempt.budget_left())
        degraded += [] if result.ok else [result]
    for result in degraded[:1]:
        attempt.outcome.rollout = result.entries
        attempt.outcome.causes = _degradation(result) + result.causes + attempt.outcome.causes
    if not passed and not degraded:
        # What a pod shows now, though it may mend, is why the application does not answer.
        attempt.outcome.causes += tuple(pending(attempt.session, gate, last))
    return passed and not degraded


def _degradation(result: RolloutResult) -> tuple[Cause, ...]:
    fallen = [e for e in result.entries if e.status.status is not Status.CURRENT][:1]
    return tuple(
        Cause(
            object=entry.ref,
            code=CauseCode.DEGRADED,
            message=f"was ready and is no longer: {entry.status.message}",
            hint=HINTS[CauseCode.DEGRADED],
        )
        for entry in fallen
    )


def check(attempt: Attempt, alarm: checks.Alarm = lambda: "") -> bool:
    session, outcome = attempt.session, attempt.outcome
    if not session.environment.checks:
        return True
    with attempt.timed("checks"):
        outcome.checks = checks.run_checks(session, alarm)
    outcome.causes += checks.causes_of(session, outcome.checks)
    return all(c.verdict is Verdict.PASS for c in outcome.checks)


def _go_back(attempt: Attempt) -> None:
    """Automatic rollback; for a first deploy that is the removal of all it made."""
    session, outcome = attempt.session, attempt.outcome
    from pipeline.run.rollback import roll_back  # late: most deploys go well

    assert attempt.release is not None  # noqa: S101 - recorded before the first write
    attempt.save(Phase.ROLLING_BACK)
    failpoint.passing(Point.ROLLBACK_START)
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
        names = "; ".join(f"{ref}: {why}" for ref, why in back.kept.items())
        session.tell(Note(f"left in the cluster: {names}", warning=True))
    failpoint.passing(Point.ROLLBACK_RECORD)
    attempt.end(Phase.ROLLED_BACK if back.ok else Phase.ROLLBACK_FAILED, back.inventory)

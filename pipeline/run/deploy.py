"""The main job: from manifests to a verified release, or back. One short function a phase."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pipeline import failpoint
from pipeline.core.hooks import HookEvent
from pipeline.core.plan_changes import ExpectedPlan
from pipeline.core.secret_values import secret_values
from pipeline.failpoint import Point
from pipeline.model.errors import (
    ApiError,
    InterruptedRunError,
    LockedError,
    LockLostError,
    PipelineError,
    PreflightError,
    UnreachableError,
)
from pipeline.model.events import Event, Note, RolloutDone
from pipeline.model.events import Planned as PlannedEvent
from pipeline.model.exit_codes import ExitCode
from pipeline.model.objects import Manifest
from pipeline.model.plan import Action, Plan
from pipeline.model.release import Outcome, RolloutEntry
from pipeline.model.status import CauseCode, Status
from pipeline.ports import Reporter
from pipeline.run import namespace
from pipeline.run.attempt import Attempt
from pipeline.run.gate import Gate, Inbox
from pipeline.run.live import Glimpse
from pipeline.run.planning import Beforehand, check_order, make_plan
from pipeline.run.recorded import recorded_manifests
from pipeline.run.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to deploy, and under which conditions.

    ``render`` reads the manifests, or raises InvalidError; ``inputs`` is a digest of what it reads, empty
    where that is unknown. ``is_older`` tells whether ``revision`` is contained in a given one (None:
    unknown); ``expected`` is the plan that was reviewed, where there is one. ``newest`` is the number of the
    newest release on which the request rests, 0 for none; None: on no release. ``followed`` and ``charts``
    are as in Release. ``glimpse`` was begun once the records were known, and counts before the lock only.
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
    newest: int | None = None
    followed: str = ""
    charts: tuple[str, ...] | None = ()
    glimpse: Glimpse | None = None


def deploy(session: Session, request: Request, outcome: Outcome) -> None:
    """Run the whole job; ``outcome`` holds what is known at every moment, also when this raises.

    Raises:
        PipelineError: nothing was written. After the first write every ending is in the outcome.
    """
    session.tell = _noting(outcome, session.tell)
    started = session.clock.monotonic()
    attempt = Attempt(
        session,
        request.command,
        outcome,
        inputs=request.inputs,
        followed=request.followed,
        charts=request.charts,
    )
    try:
        if not _is_settled_as_recorded(attempt, request):
            failpoint.passing(Point.RENDER_PRE)
            attempt.wanted = request.render()
            failpoint.passing(Point.VALIDATE_POST)
            _settle(attempt, request)
    finally:
        outcome.timings["total"] = round(session.clock.monotonic() - started, 3)


def _settle(attempt: Attempt, request: Request) -> None:
    """Whatever it takes to bring the environment to what is wanted."""
    session, outcome = attempt.session, attempt.outcome
    session.learn_secrets(secret_values(m.body for m in attempt.wanted))

    def check() -> None:
        attempt.order = check_order(session.environment, attempt.wanted, HookEvent.INSTALL)

    created = namespace.ensure(session, dry_run=request.dry_run, first=check)
    attempt.namespace_is_new = created
    if created:
        failpoint.passing(Point.NAMESPACE_POST)
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
    # By the heads alone: where there is something to do, it is rendered while the record is on its way.
    heads = session.releases.history()
    if not heads or (heads[0].revision, heads[0].inputs) != (request.revision, request.inputs):
        return False
    if session.holder() is not None:
        return False
    attempt.look_back()
    newest = attempt.latest
    if newest is None or newest is not attempt.verified or newest.inputs != request.inputs:
        return False
    attempt.wanted = recorded_manifests(newest)
    session.learn_secrets(secret_values(m.body for m in attempt.wanted))
    if _is_settled(attempt, request, quietly=True):
        _tell_plan(session, attempt.plan)
        return True
    attempt.planned = None
    return False


def _is_settled(attempt: Attempt, request: Request, *, quietly: bool = False) -> bool:
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
    try:
        _plan(attempt, request, quietly=quietly, before_lock=True)
    except PreflightError:
        if not attempt.is_overtaken():
            raise
        return (
            False  # what was refused is what another run has changed meanwhile: planned anew, with the lock
        )
    if not attempt.is_settled:
        return False
    outcome.rollout = _look_once(attempt)
    if any(entry.status.status is not Status.CURRENT for entry in outcome.rollout):
        return False
    session.tell(RolloutDone(outcome.rollout, True, 0.0))
    outcome.timings["rollout"] = 0.0
    outcome.release = attempt.verified
    if session.environment.checks:
        from pipeline.run.phases import check  # late, as below

        if not check(attempt):
            outcome.exit_code = ExitCode.FAILED
    return True


def _under_lock(attempt: Attempt, request: Request) -> None:
    session = attempt.session
    failpoint.passing(Point.LOCK_PRE)
    session.stay()  # to take the lock is a write, too
    holder_died = session.lock.acquire(request.wait_lock_s)
    session.locked = True
    session.cluster.fence(session.lock.check)
    try:
        failpoint.passing(Point.LOCK_POST)
        if holder_died:
            attempt.sweep()
        _locked(attempt, request)
    finally:
        failpoint.passing(Point.UNLOCK_PRE)
        session.locked = False
        session.cluster.fence(None)
        session.lock.release()
    failpoint.passing(Point.UNLOCK_POST)


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
        try:
            _plan(attempt, request)
        except PreflightError:
            attempt.session.lock.check()  # refused for what another run did since the lock was lost
            raise
    # Late: most runs have nothing to do, and need not load what writes and goes back.
    from pipeline.run import phases

    try:
        if attempt.has_something_to_do:
            phases.write_and_verify(attempt)
        else:
            phases.nothing_to_write(attempt)
    except LockLostError as error:
        attempt.interrupted(error, CauseCode.LOCK_LOST)
    except InterruptedRunError as error:
        attempt.interrupted(error)
    except (ApiError, UnreachableError) as error:
        if attempt.outcome.release is None or not attempt.outcome.release.is_open:
            raise  # before the intent was recorded nothing was written
        attempt.interrupted(InterruptedRunError(error.message, hint=error.hint), CauseCode.UNREACHABLE)


def _refuse_older(attempt: Attempt, request: Request) -> None:
    _refuse_overtaken(attempt, request)
    running = attempt.verified.revision if attempt.verified else ""
    if request.allow_older or not running or running == request.revision:
        return
    older, what = (
        request.is_older(running),
        f"{running[:12]}, which runs in {attempt.session.environment.name}",
    )
    if older:
        raise PreflightError(
            f"deploy {request.revision[:12]}: {what}, is newer and contains it",
            hint="use `pipeline rollback` to go back, or --allow-older if this is meant",
        )
    if older is None:
        why = "the history between them is not in this clone, and could not be fetched"
        told = f"it is not known whether {request.revision[:12]} is older than {what}: {why}"
        attempt.session.tell(Note(told, warning=True))


def _refuse_overtaken(attempt: Attempt, request: Request) -> None:
    """What another run did meanwhile must not be undone by a request that did not know of it."""
    newest = attempt.latest.number if attempt.latest else 0
    if request.newest is not None and newest != request.newest:
        raise LockedError(f"another run recorded release {newest} meanwhile", hint="look again")


def _plan(attempt: Attempt, request: Request, *, quietly: bool = False, before_lock: bool = False) -> None:
    session = attempt.session
    if request.expected:
        request.expected.check_environment(session.environment.name)
    known = Beforehand(needs=attempt.order if attempt.event is HookEvent.INSTALL else None)
    if before_lock:
        known = replace(known, glimpse=request.glimpse, meanwhile=attempt.second_look.begin)
    with attempt.timed("plan"):
        attempt.planned = make_plan(
            session,
            attempt.wanted,
            request.revision,
            attempt.owned,
            namespace_is_new=attempt.namespace_is_new,
            event=attempt.event,
            before=attempt.carried,
            beforehand=known,
        )
    failpoint.passing(Point.PLAN_POST)
    plan = attempt.planned.plan
    attempt.outcome.plan = plan
    session.learn_secrets(secret_values(attempt.planned.live.values()))
    if not quietly:
        _tell_plan(session, plan)
    if request.expected:
        request.expected.check(plan)


def _tell_plan(session: Session, plan: Plan) -> None:
    session.tell(PlannedEvent(plan))
    for warning in plan.warnings:
        session.tell(Note(str(warning), warning=True))
    for kept in (c for c in plan.changes if c.action is Action.KEEP and c.note):
        session.tell(Note(f"{kept.ref}: {kept.note}"))


def _look_once(attempt: Attempt) -> tuple[RolloutEntry, ...]:
    """How everything is as it was just read."""
    gate = Gate(attempt.session, attempt.expected(), Inbox(), quiet=True)
    try:
        gate.add(attempt.targets(), follow=False)
        return gate.entries()
    finally:
        gate.stop()

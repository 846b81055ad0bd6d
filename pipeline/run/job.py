"""Commands that change environments: which ones, from which base, in which order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline import failpoint
from pipeline.core import select
from pipeline.core.lifecycle import last_known
from pipeline.core.plan_changes import ExpectedPlan
from pipeline.failpoint import Point
from pipeline.model.environment import Environment
from pipeline.model.errors import (
    GateClosedError,
    InvalidError,
    PipelineError,
    PreflightError,
    UsageError,
)
from pipeline.model.events import Note, Started
from pipeline.model.exit_codes import ExitCode
from pipeline.model.release import Outcome, Phase, Release
from pipeline.model.views import EnvironmentChanges
from pipeline.ports import Reporter, Repository
from pipeline.run.recorded import recorded_manifests
from pipeline.run.session import Session
from pipeline.run.source import NEAR_S, Source
from pipeline.run.workspace import Workspace

if TYPE_CHECKING:
    from pipeline.run.deploy import Request

OpenSession = Callable[[Environment], Session]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the command line asked for. Empty strings and None mean: not given."""

    base: str = ""
    pushed_from: str = ""
    branch: str = ""
    expected: ExpectedPlan | None = None
    wait_lock_s: float = 0.0
    allow_older: bool = False
    dry_run: bool = False
    newest: int | None = None
    followed: str = ""


def deploy_one(
    workspace: Workspace,
    open_session: OpenSession,
    environment: Environment,
    revision: str,
    order: Order,
    command: str = "deploy",
) -> Outcome:
    """Deploy one environment; never raises a PipelineError: the outcome tells."""
    outcome = Outcome(command=command, environment=environment.name, revision=revision)
    with Telling(outcome):
        session = open_session(environment)
        session.bind(environment=environment.name, revision=revision)
        session.look_ahead()
        # Late, here and below: what plans and follows is loaded while the first answers are on their way.
        from pipeline.run.deploy import deploy

        source = Source(workspace, session, environment, revision)
        if not session.is_answered(NEAR_S):
            source.read_ahead()
        selection = changes_of(workspace, session, environment, revision, order.base, order.pushed_from)
        failpoint.passing(Point.DIFF_POST)
        outcome.base = selection.base
        source.look_ahead()
        session.tell(Started(command, environment.name, revision, selection.base, selection.because))
        deploy(session, _request(command, source, selection.base, order), outcome)
    return outcome


def deployed_on_merge(environments: Sequence[Environment], branch: str) -> tuple[Environment, ...]:
    """Those that deploy on merge to ``branch``, upstream first; none without a branch."""
    return select.promotion_order(e for e in environments if e.deploy.on_merge and e.deploy.branch == branch)


def deploy_affected(
    workspace: Workspace,
    open_session: OpenSession,
    environments: Sequence[Environment],
    revision: str,
    order: Order,
    tell: Reporter,
) -> list[Outcome]:
    """Every affected environment that deploys on merge to ``order.branch``, upstream first.

    Stops after the first that does not end well: what is downstream of it must not overtake it. At the end
    the environments are named that are in git no more, since any of the bases.
    """
    outcomes: list[Outcome] = []
    bases = [order.pushed_from]
    for environment in deployed_on_merge(environments, order.branch):
        outcome = Outcome(command="deploy", environment=environment.name, revision=revision)
        with Telling(outcome):
            session = open_session(environment)
            selection = changes_of(workspace, session, environment, revision, order.base)
            bases.append(selection.base)
            if not selection.affected:
                session.tell(Note(f"{environment.name} is not affected: none of its files changed"))
                continue
            outcome = deploy_one(workspace, open_session, environment, revision, order)
        outcomes.append(outcome)
        if outcome.exit_code != ExitCode.OK:
            break
    from pipeline.run.removed_environments import removed_environments

    with suppress(PipelineError):  # what was done is told whatever becomes of this
        for gone in removed_environments(workspace, revision, bases, open_session):
            tell(Note("; ".join(gone.because), warning=True))
    return outcomes


def promote(
    workspace: Workspace,
    open_session: OpenSession,
    environments: Sequence[Environment],
    target: Environment,
    source_name: str,
    order: Order,
) -> Outcome:
    """Deploy to ``target`` the revision that was last verified upstream."""
    from pipeline.run.deploy import deploy

    outcome = Outcome(command="promote", environment=target.name)
    with Telling(outcome):
        source = _upstream(environments, target, source_name)
        verified = _verified_upstream(open_session(source), source)
        failpoint.passing(Point.PROMOTE_READ)
        outcome.revision = revision = verified.revision
        session = open_session(target)
        session.bind(environment=target.name, revision=revision)
        selection = changes_of(workspace, session, target, revision, order.base)
        outcome.base = selection.base
        reason = f"release {verified.number} of {source.name} was verified at {verified.finished}"
        session.tell(Started("promote", target.name, revision, selection.base, (reason,)))
        # The environment as that revision has it: what was verified is what is promoted.
        promoted = workspace.environment(target.name, revision)
        source_of_all = Source(workspace, session, promoted, revision)
        request = _request("promote", source_of_all, selection.base, replace(order, allow_older=True))
        failpoint.passing(Point.PROMOTE_WRITE)
        deploy(session, request, outcome)
    return outcome


def roll_back_to(
    open_session: OpenSession, environment: Environment, number: int | None, order: Order
) -> Outcome:
    """Deploy what an earlier verified release rendered, from its record: git is not needed."""
    from pipeline.run.deploy import Request, deploy

    outcome = Outcome(command="rollback", environment=environment.name)
    with Telling(outcome):
        session = open_session(environment)
        target = _release_to_go_back_to(session, environment, number)
        outcome.revision = target.revision
        session.bind(environment=environment.name, revision=target.revision)
        session.tell(
            Started("rollback", environment.name, target.revision, "", (f"back to release {target.number}",))
        )
        manifests = recorded_manifests(target)
        request = Request(
            command="rollback",
            revision=target.revision,
            base="",
            render=lambda: manifests,
            is_older=lambda _: None,
            expected=order.expected,
            wait_lock_s=order.wait_lock_s,
            allow_older=True,
            dry_run=order.dry_run,
            charts=target.charts,
        )
        deploy(session, request, outcome)
    return outcome


def changes_of(
    workspace: Workspace,
    session: Session,
    environment: Environment,
    revision: str,
    base: str,
    pushed_from: str = "",
) -> EnvironmentChanges:
    """What changed for one environment since it was last deployed successfully (design promise 1)."""
    heads = session.releases.history()
    verified = last_known(heads)
    recorded = verified.revision if verified else ""
    changes = compare(workspace, environment, revision, base, recorded, pushed_from)
    if heads and (heads[0].is_open or heads[0].phase in (Phase.FAILED, Phase.ROLLBACK_FAILED)):
        # What runs is not what the base says: no commit is needed to make that right.
        why = f"its release {heads[0].number} was left {heads[0].phase}"
        return replace(changes, affected=True, because=(*changes.because, why))
    return changes


def compare(
    workspace: Workspace,
    environment: Environment,
    revision: str,
    base: str,
    recorded: str,
    pushed_from: str = "",
) -> EnvironmentChanges:
    """The files between the base and ``revision``; without a base everything counts as changed, and why.

    An explicit ``base`` wins over the recorded one. Where that is lost, ``pushed_from`` tells people what the
    last push changed; it never makes less of what is affected.
    """
    start, why = base_commit(workspace.repository, base, recorded)
    if not start:
        reasons = (why, *_hint(workspace, environment, revision, pushed_from if recorded or base else ""))
        return EnvironmentChanges(
            name=environment.name, base="", revision=revision, affected=True, because=reasons
        )
    selection = _selection(workspace, environment, start, revision)
    return EnvironmentChanges(
        name=environment.name,
        base=start,
        revision=revision,
        affected=selection.affected,
        because=selection.because,
        files=selection.files,
    )


def base_commit(repository: Repository, base: str, recorded: str) -> tuple[str, str]:
    """(the commit to compare with, or empty; why it is empty)."""
    if base and base.strip("0"):
        is_id = re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", base)
        failed = repository.obtain(base) if is_id else ""
        what = f"the base {base[:12]}"
        start = base if is_id else repository.resolve(base)
    elif recorded:
        failed, what, start = repository.obtain(recorded), f"its last release, {recorded[:12]},", recorded
    else:
        return "", "it was never deployed successfully, so everything is new"
    if failed:
        return "", f"{what} is not in this clone, so everything counts as changed: {failed}"
    return start, ""


def _selection(workspace: Workspace, environment: Environment, base: str, revision: str) -> select.Selection:
    try:
        # A file that was used at the base counts, too, though it may be used no more.
        also = workspace.uses(environment, revision, base)
    except InvalidError as error:
        why = f"what {environment.name} depends on cannot be read: {(error.problems or (error,))[0]}"
        return select.Selection(affected=True, because=(why,))
    return select.selection(environment, workspace.repository.changed(base, revision), also=also)


def _hint(workspace: Workspace, environment: Environment, revision: str, pushed_from: str) -> tuple[str, ...]:
    if not pushed_from or workspace.repository.obtain(pushed_from):
        return ()
    found = _selection(workspace, environment, pushed_from, revision)
    of_push = "; ".join(found.because) or f"none of the files of {environment.name} changed"
    return (f"in the last push alone, since {pushed_from[:12]}: {of_push}",)


def _request(command: str, source: Source, base: str, order: Order) -> Request:
    from pipeline.run.deploy import Request

    return Request(
        command=command,
        revision=source.revision,
        base=base,
        render=source.render,
        inputs=source.inputs(),
        is_older=source.is_older,
        expected=order.expected,
        wait_lock_s=order.wait_lock_s,
        allow_older=order.allow_older,
        dry_run=order.dry_run,
        newest=order.newest,
        followed=order.followed,
        charts=tuple(s.helm.release for s in source.environment.sources if s.helm),
        glimpse=source.glimpse,
    )


def _upstream(environments: Sequence[Environment], target: Environment, source_name: str) -> Environment:
    allowed = target.promotion.sources
    name = source_name or (allowed[0] if len(allowed) == 1 else "")
    if not name:
        choices = ", ".join(allowed) or "none: set promotion.from"
        raise UsageError(f"promote to {target.name}: from which environment? (--from; {choices})")
    if name not in allowed:
        raise GateClosedError(
            f"promote to {target.name}: promotion.from does not name {name}",
            hint=f"{target.path} allows {', '.join(allowed) or 'no environment'}",
        )
    by_name = {e.name: e for e in environments}
    if name not in by_name:
        raise InvalidError(f"promote to {target.name}: there is no environment {name}")
    return by_name[name]


def _verified_upstream(session: Session, source: Environment) -> Release:
    verified = session.releases.last_verified()
    if verified is None:
        raise GateClosedError(
            f"nothing was verified in {source.name} yet",
            hint=f"deploy it first: pipeline deploy -e {source.name}",
        )
    return verified


def _release_to_go_back_to(session: Session, environment: Environment, number: int | None) -> Release:
    heads = session.releases.history()
    verified = [r for r in heads if r.phase is Phase.SUCCEEDED]
    if number is None:
        # Where the newest release stands verified, "back" means the one before it.
        earlier = verified[1:] if heads and verified and heads[0] is verified[0] else verified
        if not earlier:
            raise PreflightError(f"{environment.name} has no verified release to go back to")
        number = earlier[0].number
    found = session.releases.get(number)
    if found is None:
        kept = ", ".join(str(r.number) for r in verified) or "none"
        raise PreflightError(f"{environment.name} has no release {number}", hint=f"verified and kept: {kept}")
    if found.phase is not Phase.SUCCEEDED:
        raise PreflightError(
            f"release {number} of {environment.name} is {found.phase}, not verified",
            hint="name a release that succeeded: see `pipeline history`",
        )
    return found


class Telling:
    """Turns an error that ended a run before its first write into the outcome's ending."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, PipelineError):
            return False
        self._outcome.exit_code = error.exit_code
        self._outcome.message = error.message
        self._outcome.problems = error.problems
        self._outcome.next_step = error.hint
        self._outcome.attachment = error.attachment
        return True

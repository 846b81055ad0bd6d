"""Stays: looks at the branch and at the cluster, again and again, and does what ``core.reconcile`` decides.

Everything is asked anew in each look: repository, records, lock, and after trouble the login, too. What stays
in memory is ``Memory`` and a few texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from pipeline.core import reconcile
from pipeline.core.lifecycle import last_known
from pipeline.core.reconcile import Decision, Memory, Move, Sight
from pipeline.model.environment import Environment
from pipeline.model.errors import InvalidError, PipelineError
from pipeline.model.exit_codes import ExitCode
from pipeline.model.release import Outcome, Release
from pipeline.model.views import ObjectDrift
from pipeline.ports import Bell
from pipeline.run import job, reads
from pipeline.run.herald import Herald
from pipeline.run.put_back import put_back
from pipeline.run.session import Session
from pipeline.run.workspace import Workspace

GIVE_WAY_S = 5.0
"""Between two looks at a lock that somebody else holds."""

GAP_S = 1.0
"""Between two looks, however often somebody asks for one."""

_CUT_OFF = (ExitCode.UNREACHABLE, ExitCode.INTERRUPTED)


@dataclass(slots=True, kw_only=True)
class Reconciler:
    """Keeps one environment as the branch says.

    ``environment`` is as the branch had it last, where that could be read. ``afresh`` drops what a process
    gathers: what it knows of secrets, and, asked with True, its connections.
    """

    environment: Environment
    herald: Herald
    open_workspace: Callable[[], Workspace]
    open_session: job.OpenSession
    afresh: Callable[[bool], None]
    bell: Bell
    stopped: Callable[[], bool]
    memory: Memory = field(default_factory=Memory)
    _again: list[float] = field(default_factory=list)
    _interrupted: bool = False

    def run(self) -> ExitCode:
        """Until a signal: OK where none of our deploys was stopped by it."""
        self.herald.begin()
        rung = False
        while not self.stopped():
            started = self._now()
            self._look(rung=rung)
            rung = self._pause(started)
        self.herald.happened("ended", "ends: a signal was received")
        return ExitCode.INTERRUPTED if self._interrupted else ExitCode.OK

    # --- one look

    def _look(self, *, rung: bool) -> None:
        self._again = []
        self.afresh(False)
        if rung:
            self._forgive()
        try:
            workspace = self.open_workspace()
            head = self._ask_git(workspace)
            if self._may_try("cluster") and not self.stopped():
                self._at_cluster(workspace, head)
        except PipelineError as error:
            self._cut_off("cluster", error.message)
        if not self.herald.troubles and not self.stopped():
            self.herald.looked_well()

    def _ask_git(self, workspace: Workspace) -> str:
        """The branch's commit; empty where nobody can tell."""
        if not self._may_try("git"):
            return ""
        try:
            head = workspace.repository.latest(self.herald.branch, self.stopped)
        except PipelineError as error:
            self._cut_off("git", error.message)
            return ""
        self.herald.recovered("git")
        self.herald.note(head=head)
        return head

    def _at_cluster(self, workspace: Workspace, head: str) -> None:
        problem = self._read_environment(workspace, head)
        session = self.open_session(self.environment)
        holder = session.lock.holder()
        who = f"gives way to {holder['holder']}, at work since {holder['since']}" if holder else ""
        self.herald.state("waiting", who)
        sight = self._sight(workspace, session, head, locked=holder is not None)
        self.herald.recovered("cluster")
        if problem:
            self._refuse(head, problem, final=True)
        decision = reconcile.decide(self.memory, sight, self._now())
        self.memory = reconcile.seen(self.memory, sight, decision)
        self._note(sight.verified)
        if decision.move is not Move.GIVE_WAY:
            self.herald.state("held", decision.why if decision.move is Move.REST else "")
        self._act(workspace, session, sight, decision)

    def _read_environment(self, workspace: Workspace, head: str) -> str:
        """Take over what the branch's commit says of the environment; what is wrong with it, or empty."""
        if not head:
            return ""
        try:
            self.environment = workspace.environment(self.environment.name, head)
        except InvalidError as error:
            return str(error.problems[0]) if error.problems else error.message
        return ""

    def _sight(self, workspace: Workspace, session: Session, head: str, *, locked: bool) -> Sight:
        heads = session.releases.history()
        newest, verified = (heads[0] if heads else None), last_known(heads)
        self.memory = reconcile.looked(self.memory, newest)  # first: from it comes what to compare with
        sight = Sight(head=head, newest=newest, verified=verified, locked=locked)
        if not head:
            return sight

        def affected_since(commit: str) -> bool:
            return job.compare(workspace, self.environment, head, "", commit).affected

        return replace(
            sight,
            on_record=any(release.revision == head for release in heads),
            affected=affected_since(reconcile.base(self.memory, newest, verified)),
            differs=affected_since(verified.revision if verified else ""),
        )

    def _act(self, workspace: Workspace, session: Session, sight: Sight, decision: Decision) -> None:
        match decision.move:
            case Move.GIVE_WAY:
                self._again.append(self._now() + GIVE_WAY_S)
            case Move.DEPLOY if self._may_try("deploy"):
                self._deploy(workspace, sight)
            case Move.PUT_BACK if self._may_try("deploy"):
                self._put_back(sight, decision.why)
            case Move.REST:
                if reconcile.may_put_back(self.memory, sight, self._now()) and self._may_try("deploy"):
                    self._correct_drift(session, sight)
            case _:
                pass  # what was cut off waits

    # --- deploys

    def _deploy(self, workspace: Workspace, sight: Sight) -> None:
        order = job.Order(newest=_number(sight.newest), followed=sight.head)
        outcome = self._carried_out(
            lambda: job.deploy_one(
                workspace, self.open_session, self.environment, sight.head, order, "reconcile"
            )
        )
        if outcome is None:
            return
        code = ExitCode(outcome.exit_code)
        newest = _newest_after(outcome, sight)
        if code is ExitCode.OK or newest > _number(sight.newest):
            self.memory = reconcile.deployed(self.memory, sight.head, newest)
        elif code not in _CUT_OFF:
            self._refuse(sight.head, _short(outcome), final=code is ExitCode.INVALID)
        self._after(outcome)

    def _put_back(self, sight: Sight, why: str) -> None:
        assert sight.verified is not None  # noqa: S101 - decided so
        verified = sight.verified
        order = job.Order(newest=_number(sight.newest), followed=self.memory.followed)
        outcome = self._carried_out(
            lambda: put_back(self.open_session, self.environment, verified, why, order)
        )
        if outcome is None:
            return
        failed = outcome.exit_code != ExitCode.OK
        trouble = self.herald.one_more(self.memory.put_back, _short(outcome)) if failed else None
        self.memory = replace(self.memory, newest=_newest_after(outcome, sight), put_back=trouble)
        self._after(outcome)

    def _carried_out(self, deploy: Callable[[], Outcome]) -> Outcome | None:
        """Its outcome; None where another run was quicker: then we give way."""
        # Going back may take as long as going on.
        self.herald.busy_until = self._now() + 2 * self.environment.deploy.timeout_s
        try:
            outcome = deploy()
        finally:
            self.herald.busy_until = 0.0
        self._again.append(self._now())
        if outcome.exit_code == ExitCode.LOCKED:
            return None
        self.herald.ended(outcome, _short(outcome))
        return outcome

    def _after(self, outcome: Outcome) -> None:
        """A run that was cut off without a signal: the world around is in trouble."""
        if outcome.exit_code not in _CUT_OFF:
            self.herald.recovered("deploy")
        elif self.stopped():
            self._interrupted = outcome.exit_code == ExitCode.INTERRUPTED
        else:
            self._cut_off("deploy", _short(outcome))

    # --- drift

    def _correct_drift(self, session: Session, sight: Sight) -> None:
        assert sight.verified is not None  # noqa: S101 - asked only then
        drift = reads.drift(session, session.releases.get(sight.verified.number))
        managers = {name: manager for drifted in drift for name, manager in _fields(drifted)}
        now, fields = self._now(), list(managers)
        if not fields:
            return
        if not reconcile.is_due(self.memory.fights, fields, now):
            self._again += [self.memory.fights[name].again_at for name in fields]
            return
        fights = reconcile.fought(self.memory.fights, fields, now, self.herald.interval_s)
        self.memory = replace(self.memory, fights=fights)
        worst = max(fields, key=lambda name: fights[name].count if name in fights else 0)
        message = f"drift from release {sight.verified.number} is put back"
        if worst in fights and (count := fights[worst].count) >= reconcile.FOUGHT:
            who, truce_s = managers[worst] or "an unknown manager", fights[worst].again_at - now
            message += f", {count} times now: {who} fights for it; not again within {truce_s:.0f} s"
        self.herald.happened("drift", message, sight.verified.revision, drift)
        self._put_back(sight, f"it drifted from release {sight.verified.number}")

    # --- trouble and time

    def _may_try(self, what: str) -> bool:
        trouble = self.herald.troubles.get(what)
        if trouble is None or self._now() >= trouble.again_at:
            return True
        self._again.append(trouble.again_at)
        return False

    def _cut_off(self, what: str, message: str) -> None:
        if self.stopped():
            return
        self.herald.trouble(what, message)
        self._again.append(self.herald.troubles[what].again_at)
        if what != "git":
            self.afresh(True)

    def _forgive(self) -> None:
        """Somebody says that there is something new: nothing waits any longer."""
        now, troubles = self._now(), self.herald.troubles
        troubles.update({what: replace(t, again_at=now) for what, t in troubles.items()})
        self.memory = reconcile.forgiven(self.memory, now)

    def _refuse(self, head: str, message: str, *, final: bool) -> None:
        self.memory = reconcile.refused(
            self.memory, head, message, final=final, now=self._now(), jitter=self.herald.jitter()
        )

    def _note(self, verified: Release | None) -> None:
        if verified is not None:
            self.herald.note(revision=verified.revision, release=verified.number)

    def _pause(self, started: float) -> bool:
        """Wait for the next look; whether somebody asked for it."""
        refused, herald = self.memory.refused, self.herald
        if refused is not None and not refused.final:
            self._again.append(refused.trouble.again_at)
        rung = self._rest(started + GAP_S, heed=False)
        wait_s = reconcile.next_look(
            now=self._now(), interval_s=herald.interval_s, jitter=herald.jitter(), again=self._again
        )
        return rung or self._rest(self._now() + wait_s, heed=True)

    def _rest(self, until: float, *, heed: bool) -> bool:
        """Whether it was rung until then; a ring ends it where it is heeded."""
        rung = False
        while (left := until - self._now()) > 0 and not self.stopped() and not (rung and heed):
            rung = self.bell.wait(left) or rung
        return rung

    def _now(self) -> float:
        return self.herald.clock.monotonic()


def _number(release: Release | None) -> int:
    return release.number if release else 0


def _newest_after(outcome: Outcome, sight: Sight) -> int:
    return max(_number(outcome.release), _number(sight.newest))


def _short(outcome: Outcome) -> str:
    """What went wrong, in one line."""
    if outcome.problems:
        return str(outcome.problems[0])
    return outcome.message or (outcome.causes[0].message if outcome.causes else "")


def _fields(drifted: ObjectDrift) -> Sequence[tuple[str, str]]:
    """(what is fought over, with whom); the object as a whole where no field is known."""
    found = [(f"{drifted.ref} {f.path}", f.manager) for f in drifted.fields]
    return found or [(str(drifted.ref), "")]

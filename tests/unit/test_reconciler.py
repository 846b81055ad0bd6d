"""The loop around the decisions: when it looks, what it tells, and that nothing of it grows."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.core import reconcile as core
from pipeline.model.environment import Deploy, Environment
from pipeline.model.errors import UnreachableError
from pipeline.model.exit_codes import ExitCode
from pipeline.model.following import Happening
from pipeline.model.objects import ObjectRef
from pipeline.model.release import Outcome, Phase, Release
from pipeline.model.views import EnvironmentChanges, FieldDrift, ObjectDrift
from pipeline.run import reconcile
from pipeline.run.herald import Herald
from pipeline.run.reconcile import Reconciler

A, B = "a" * 40, "b" * 40
INTERVAL_S = 60.0
ENVIRONMENT = Environment(
    name="dev", application="shop", namespace="shop", path="x", deploy=Deploy(branch="main", timeout_s=600.0)
)
DRIFT = (
    ObjectDrift(
        ObjectRef("", "ConfigMap", "shop", "plain"),
        (FieldDrift(path="data.state", desired="one", live="two", manager="kubectl-edit"),),
    ),
)


@dataclass
class Around:
    """The world of one `reconcile`: time passes in the bell's wait alone."""

    head: str = A
    git: str = ""  # what is wrong with it
    cluster: str = ""
    deploy: str = ""
    holder: dict[str, str] | None = None
    drift: tuple[ObjectDrift, ...] = ()
    ringing: bool = False
    until: float = 0.0
    now: float = 0.0
    asked: dict[str, list[float]] = field(default_factory=lambda: {"git": [], "cluster": [], "deploy": []})
    told: list[Happening] = field(default_factory=list)
    reports: list[Outcome] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    reconnected: int = 0

    def __post_init__(self) -> None:
        self.herald = Herald(
            environment="dev",
            branch="main",
            interval_s=INTERVAL_S,
            clock=SimpleNamespace(monotonic=lambda: self.now, now=lambda: self.now),  # type: ignore[arg-type]  # all it needs
            jitter=lambda: 0.5,
            tell=self.told.append,
            report=self.reports.append,
        )
        workspace = SimpleNamespace(repository=self, environment=lambda *_: ENVIRONMENT)
        self.reconciler = Reconciler(
            environment=ENVIRONMENT,
            herald=self.herald,
            open_workspace=lambda: workspace,  # type: ignore[arg-type,return-value]  # all it needs
            open_session=self.session,
            afresh=self.afresh,
            bell=self,
            stopped=lambda: self.now >= self.until,
        )

    def run(self, seconds: float) -> ExitCode:
        self.until = self.now + seconds
        return self.reconciler.run()

    def kinds(self) -> list[str]:
        return [h.kind for h in self.told if h.kind not in ("following", "ended")]

    # --- what it is given

    def wait(self, seconds: float) -> bool:
        """Always rung where somebody hammers on it: then hardly any time passes."""
        self.now += min(seconds, 0.01) if self.ringing else seconds
        return self.ringing

    def latest(self, branch: str, stopped: object) -> str:
        self.asked["git"].append(self.now)
        if self.git:
            raise UnreachableError(self.git)
        return self.head

    def session(self, _: Environment) -> Any:
        self.asked["cluster"].append(self.now)
        if self.cluster:
            raise UnreachableError(self.cluster)
        releases = SimpleNamespace(history=lambda: self.releases[:10], get=lambda _: self.releases[0])
        return SimpleNamespace(lock=SimpleNamespace(holder=lambda: self.holder), releases=releases)

    def afresh(self, reconnect: bool) -> None:
        self.reconnected += reconnect

    def deployed(self, revision: str) -> Outcome:
        self.asked["deploy"].append(self.now)
        outcome = Outcome(command="reconcile", environment="dev", revision=revision)
        if self.deploy:
            outcome.exit_code, outcome.message = ExitCode.UNREACHABLE, self.deploy
            return outcome
        number = self.releases[0].number + 1 if self.releases else 1
        outcome.release = Release(
            application="shop",
            environment="dev",
            number=number,
            id="x",
            revision=revision,
            phase=Phase.SUCCEEDED,
        )
        self.releases.insert(0, outcome.release)
        del self.releases[10:]
        return outcome


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch) -> Around:
    made = Around()

    def compare(_: Any, environment: Environment, head: str, __: str, start: str) -> EnvironmentChanges:
        return EnvironmentChanges(name="dev", base=start, revision=head, affected=start != head)

    monkeypatch.setattr(reconcile.job, "compare", compare)
    monkeypatch.setattr(reconcile.job, "deploy_one", lambda *args: made.deployed(args[3]))
    monkeypatch.setattr(reconcile, "put_back", lambda *args: made.deployed(args[2].revision))
    monkeypatch.setattr(reconcile.reads, "drift", lambda *_: made.drift)
    return made


def gaps(moments: list[float]) -> list[float]:
    return [b - a for a, b in pairwise(moments)]


def test_where_nothing_happens_it_looks_once_in_an_interval_and_is_silent(around: Around) -> None:
    around.run(3600)
    assert len(around.asked["deploy"]) == 1
    assert 55 <= len(around.asked["git"]) <= 65
    assert around.kinds() == []
    assert len(around.reports) == 1


def test_a_git_host_that_is_gone_is_asked_ever_less_often_and_drift_is_put_back_meanwhile(
    around: Around,
) -> None:
    around.run(100)
    around.git = "no route"
    around.asked["git"].clear()
    around.run(3600)
    assert max(gaps(around.asked["git"])) <= core.LONGEST_WAIT_S + INTERVAL_S * 1.1
    assert len(around.asked["git"]) < 25
    assert around.kinds() == ["trouble"]
    assert len(around.asked["cluster"]) > 50
    around.drift = DRIFT
    around.run(400)
    assert "drift" in around.kinds()
    assert not around.herald.pulse().healthy
    around.drift, around.git = (), ""
    around.run(400)
    assert around.kinds()[-1] == "recovered"
    assert around.herald.pulse().healthy


def test_a_cluster_that_is_gone_is_asked_ever_less_often_with_new_connections(around: Around) -> None:
    around.cluster = "connection refused"
    around.run(3600)
    waits = gaps(around.asked["cluster"])
    assert waits[0] < 10
    assert waits == sorted(waits)
    assert waits[-1] <= core.LONGEST_WAIT_S
    assert around.reconnected == len(around.asked["cluster"])
    assert around.kinds() == ["trouble"]
    around.cluster = ""
    around.run(600)
    assert around.kinds() == ["trouble", "recovered"]
    assert [o.revision for o in around.reports] == [A]


def test_a_deploy_that_is_cut_off_is_tried_ever_less_often_though_the_records_can_be_read(
    around: Around,
) -> None:
    around.deploy = "connection reset"
    around.run(3600)
    waits = gaps(around.asked["deploy"])
    assert len(waits) < 25
    assert max(waits) > 200
    assert around.kinds() == ["trouble"]
    assert len(around.reports) == 1
    around.deploy = ""
    around.run(600)
    assert around.kinds() == ["trouble", "recovered"]


def test_another_trouble_is_told_too(around: Around) -> None:
    around.git = "no route"
    around.run(60)
    around.git = "permission denied"
    around.run(600)
    assert [h.message for h in around.told if h.kind == "trouble"] == ["no route", "permission denied"]


def test_however_often_it_is_rung_it_looks_once_a_second(around: Around) -> None:
    around.ringing = True
    around.run(60)
    assert 50 <= len(around.asked["git"]) <= 61


def test_a_ring_ends_every_wait(around: Around) -> None:
    around.git = "no route"
    around.run(1800)
    before = len(around.asked["git"])
    around.ringing, around.git = True, ""
    around.run(3)
    assert len(around.asked["git"]) > before
    assert around.kinds() == ["trouble", "recovered"]


def test_a_lock_that_another_holds_is_looked_at_often_and_told_once(around: Around) -> None:
    around.run(100)
    around.head, around.holder = B, {"holder": "alice", "since": "10:00"}
    around.asked["cluster"].clear()
    around.run(60)
    assert len(around.asked["cluster"]) >= 10
    assert around.kinds() == ["waiting"]
    around.holder = None
    around.run(10)
    assert around.reports[-1].revision == B


def test_a_person_s_release_that_appears_meanwhile_stays(around: Around) -> None:
    around.run(100)
    around.head = B
    around.run(100)
    back = around.deployed(A)
    around.run(600)
    assert around.releases[0] is back.release
    assert around.kinds() == ["held"]


def test_a_commit_that_waited_for_a_person_s_deploy_of_another_one_stays_out(around: Around) -> None:
    around.run(100)
    around.head, around.holder = B, {"holder": "alice", "since": "10:00"}
    around.run(20)
    around.holder = None
    back = around.deployed(A)
    around.run(600)
    assert around.releases[0] is back.release
    assert around.kinds() == ["waiting", "held"]


def test_a_signal_that_stops_a_deploy_is_50_and_else_it_is_0(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert around.run(100) == ExitCode.OK

    def stopped(*_: Any) -> Outcome:
        around.until = around.now
        return Outcome(
            command="reconcile",
            environment="dev",
            revision=B,
            exit_code=ExitCode.INTERRUPTED,
            message="stopped",
        )

    monkeypatch.setattr(reconcile.job, "deploy_one", stopped)
    around.head = B
    assert around.run(100) == ExitCode.INTERRUPTED
    assert around.kinds() == []


def test_a_fight_is_told_with_its_manager_and_fought_ever_less_often(around: Around) -> None:
    around.run(100)
    around.asked["deploy"].clear()
    around.drift = DRIFT
    around.run(6 * 3600)
    assert len(around.asked["deploy"]) <= 14
    told = [h.message for h in around.told if h.kind == "drift"]
    assert "fights" not in told[0] + told[1]
    assert all("kubectl-edit fights for it" in message for message in told[2:])


def test_after_a_thousand_commits_no_more_is_remembered_than_after_twenty(around: Around) -> None:
    def size() -> int:
        state = (around.reconciler.memory, around.herald.troubles, around.herald._told, around.herald._pulse)
        return len(pickle.dumps(state))

    sizes = []
    for number in range(1000):
        around.head = f"{number:040x}"
        around.git = f"no route {number:04}" if number % 7 == 3 else ""
        around.drift = (
            ObjectDrift(
                ObjectRef("", "ConfigMap", "shop", f"plain-{number:04}"),
                (FieldDrift(path="x", desired=1, live=2),),
            ),
        )
        around.run(700)
        around.told.clear()
        around.reports.clear()
        sizes.append(size())
        around.asked = {"git": [], "cluster": [], "deploy": []}
    assert max(sizes[20:]) <= max(sizes[:20]) + 100

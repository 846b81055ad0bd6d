"""Where a case of the kill matrix is played: a repository, its namespace, and what others have there."""

from __future__ import annotations

import contextlib
import random
import re
import secrets
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from tests.cluster.local import LocalCluster
from tests.e2e.live import answering
from tests.e2e.workspace import Workspace
from tests.fault import checker, processes
from tests.fault.checker import BUG, INTERRUPTED, OK, ROLLED_BACK, Evidence, Object, Run
from tests.fault.forks import Forks
from tests.fault.processes import STUCK_S, Process
from tests.fault.scenarios import CANARY, Manifest, Scenario, text
from tests.fault.witness import USERS, AuditLog

FILE = "environments/dev/manifests/all.yaml"
BEFORE_LOCK = ("lock-pre",)  # a takeover is planned within it
WITHIN_LOCK = ("lock-post", "intent-pre", "intent-post", "apply-pre", "rollback-start")
GOES_BACK = 0.3  # how often the next run deploys the commit before, where there is a choice
KINDS = {
    "ConfigMap": "configmaps",
    "Secret": "secrets",
    "Service": "services",
    "Deployment": "apps/v1/deployments",
    "StatefulSet": "apps/v1/statefulsets",
}
OF_THE_CLUSTER = "kube-root-ca.crt"
BYSTANDERS = ("bystander", "impostor")


@dataclass(frozen=True, slots=True)
class World:
    """The cluster that all stages share. ``product`` is where ``pipeline`` is imported from. ``forks``, where
    there are, start the runs of a case."""

    cluster: LocalCluster
    audit: AuditLog
    folder: Path
    url: str
    product: Path | None = None
    forks: Forks | None = None


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[World]:
    """A cluster with the checker's own audit log."""
    audit = AuditLog(folder)
    with LocalCluster(users=USERS, apiserver_flags=audit.flags) as cluster, answering(200) as url:
        for user in USERS:
            cluster.user_kubeconfig(user)
        yield World(cluster, audit, folder, url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a case came to."""

    is_met: bool
    violations: Sequence[str]
    codes: Mapping[str, int]
    recovery_s: float | None
    lost: int = 0


def _endings(failpoint: str, normal: int) -> frozenset[int]:
    """How the disturbed run may end. Where it is known what it must have known, there is but one way."""
    point, action, _ = failpoint.split(":")
    if action == "kill":
        return frozenset({normal, -signal.SIGKILL})
    if action == "raise":
        return frozenset({BUG})
    if action == "stop" and point in BEFORE_LOCK:
        return frozenset({normal})  # it finds what the other one did, and goes on from there
    if action == "stop" and point == "lock-post":
        # All is planned anew, and the other run may have left nothing to do.
        return frozenset({normal, INTERRUPTED})
    if action in ("stop", "term") and point in WITHIN_LOCK:
        return frozenset({INTERRUPTED})
    return frozenset({normal, INTERRUPTED})


def _is_met(failpoint: str, output: str) -> bool:
    """Whether the run came by its point so often: how many objects are left to be written to a run that
    takes over is for chance to say. It tells so itself, right before the signal or as its mistake."""
    point = failpoint.partition(":")[0]
    return bool(re.search(rf"^(error: a bug of .*: )?failpoint {point}(;|$)", output, re.MULTILINE))


@dataclass(slots=True)
class Stage:
    """One environment in which cases of one scenario are played, one after the other."""

    world: World
    scenario: Scenario
    version: int = 0
    good: tuple[str, list[Manifest]] = ("", [])  # the commit that runs, and its manifests
    repo: Workspace = field(init=False)

    def __post_init__(self) -> None:
        word = secrets.token_hex(3)
        folder = Path(tempfile.mkdtemp(prefix=f"{word}-", dir=self.world.folder)) / "shop"
        folder.mkdir()
        self.repo = Workspace(
            folder=folder,
            cluster=self.world.cluster,
            namespace=f"fault-{word}",
            application=f"app-{word}",
            environ={"PYTHONPATH": str(self.world.product)} if self.world.product else {},
        )
        self.repo.git("init", "--quiet", "--initial-branch", "main")
        self.repo.git("config", "user.name", "tester")
        self.repo.git("config", "user.email", "tester@example.invalid")
        self.repo.environment(self.scenario.more.replace("$URL", self.world.url))
        if not self.scenario.creates_namespace:
            self.world.cluster.create_namespace(self.repo.namespace)
            self._plant_bystanders()

    @property
    def is_reusable(self) -> bool:
        return not self.scenario.is_first

    def prepare(self, releases: int = 1) -> None:
        """Deploy a version, or so many that there are old records to be removed."""
        while not self.scenario.is_first and self.version < releases:
            commit, manifests = self._commit(self.scenario.good)
            process = self._start("before", through=self.world.cluster.kubeconfig)
            process.wait()
            assert (run := process.ended()).code == OK, run.output
            self.good = commit, manifests

    def survey(self) -> Counter[str]:
        """How often an undisturbed run passes each point."""
        self._commit(self.scenario.written)
        if self.scenario.is_second:
            self._start("zeroth", "apply-post:kill:2").wait()
        process = self._start("first", "every:say")
        process.wait()
        return Counter(re.findall(r"^failpoint (\S+)$", process.ended().output, re.MULTILINE))

    def play(
        self,
        failpoint: str,
        chance: random.Random,
        through: Path | None = None,
        endings: frozenset[int] = frozenset(),
        afterwards: Callable[[], None] = lambda: None,
    ) -> Told:
        """Disturb a run, let the next one put it right, and judge.

        ``through``: the disturbed run's kubeconfig, where its way to the server is what disturbs it. It has
        to end as if nothing had been, or by one of ``endings``. ``afterwards`` puts right what it left of the
        cluster itself.
        """
        since, others = time.time(), self._others()
        old = self.good
        new = self._commit(self.scenario.written)
        is_bad = self.scenario.bad is not None
        runs: list[Run] = []
        if self.scenario.is_second:
            zeroth = self._start("zeroth", "apply-post:kill:2")
            zeroth.wait()
            runs.append(zeroth.ended())
        first = self._start("first", failpoint, through=through)
        is_stopped = first.wait()
        if not is_stopped:
            runs.append(first.ended(self._live()))
        afterwards()
        goes_back = not is_stopped and not self.scenario.is_first and chance.random() < GOES_BACK
        runs.append(self._run("next", old[0] if goes_back else new[0]))
        if is_stopped:
            first.goes_on()
            runs.append(first.ended(self._live()))
        ends_old = goes_back or is_bad
        if ends_old and old[0]:
            runs.append(self._run("last", old[0]))
        elif not ends_old:
            runs.append(self._run("last", new[0]))
            self.good = new
        normal = ROLLED_BACK if is_bad else OK
        is_met = _is_met(failpoint, next(run.output for run in runs if run.role == "first"))
        requests = self.world.audit.requests({self.repo.namespace, self.repo.application}, since)
        evidence = Evidence(
            application=self.repo.application,
            runs=runs,
            writes=[r for r in requests if r.verb != "get"],
            leases=[r for r in requests if r.is_lease],
            live=self._live(),
            records=self._records(),
            lease=self.repo.get("coordination.k8s.io/v1/leases", f"pipeline.{self.repo.application}.dev"),
            old=old[1],
            new=new[1],
            leads_to=self._meanings(is_bad, goes_back),
            must_end={
                "first": _endings(failpoint, normal) if is_met else endings or frozenset({normal}),
                "next": frozenset({OK if goes_back else normal}),
                "last": frozenset({OK}),
            },
            others_before=others,
            others_after=self._others(),
            canaries=[f"{CANARY}-{version}" for version in range(self.version + 1)],
            now=time.time(),
        )
        return Told(
            is_met=is_met,
            violations=checker.violations(evidence),
            codes={run.role: run.code for run in runs},
            recovery_s=checker.recovery_s(evidence),
        )

    def clear(self) -> None:
        """Remove all that it has in the cluster."""
        paths = [f"/api/v1/namespaces/{self.repo.namespace}"]
        definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        paths.append(f"{definitions}/widgets.{self.repo.application}.example.com")
        for path in paths:
            with contextlib.suppress(OSError):
                self.world.cluster.api.call("DELETE", path)

    def _meanings(self, is_bad: bool, goes_back: bool) -> dict[tuple[str, int], str]:
        ends = "old" if goes_back or is_bad else "new"
        return {
            ("first", ROLLED_BACK): "old",
            ("next", ROLLED_BACK): "old",
            ("next", OK): ends,
            ("last", OK): ends,
            **({} if is_bad else {("first", OK): "new"}),
        }

    def _commit(self, manifests: Any) -> tuple[str, list[Manifest]]:
        self.version += 1
        found = manifests(self.version, self.repo.application)
        self.repo.write(FILE, text(found))
        return self.repo.commit(f"version {self.version}"), found

    def _start(
        self, role: str, failpoint: str = "", revision: str = "HEAD", through: Path | None = None
    ) -> Process:
        arguments = ("deploy", "-e", "dev", "--revision", revision, "--allow-older", "-v")
        file = self.repo.folder.parent / f"{role}-{self.version}.out"
        more = {
            "KUBECONFIG": str(through or self.world.cluster.folder / f"kubeconfig-fault-{role}"),
            "PIPELINE_FAILPOINT": failpoint,
        }
        variables = self.repo.variables(more)
        return processes.start(
            role, arguments, cwd=self.repo.folder, env=variables, file=file, forks=self.world.forks
        )

    def _run(self, role: str, revision: str) -> Run:
        process = self._start(role, revision=revision)
        process.wait()
        return process.ended(self._live())

    def _live(self) -> list[Object]:
        """All that users' objects are, but for those of others and of the cluster."""
        kinds = dict(KINDS)
        definitions = []
        if self.scenario.creates_namespace:
            kinds["Widget"] = f"{self.repo.application}.example.com/v1/widgets"
            definitions = self._definitions()
        found = list(definitions)
        for kind, path in kinds.items():
            listed = self._listed(path)
            found += [{**item, "kind": kind, "apiVersion": listed["apiVersion"]} for item in listed["items"]]
        return [item for item in found if not self._is_foreign(item)]

    def _listed(self, path: str) -> Any:
        """429 is what a kind answers whose definition has just come."""
        limit = time.monotonic() + STUCK_S
        while True:
            try:
                return self.repo.get(path) or {"apiVersion": "", "items": []}
            except HTTPError as error:
                if error.code != 429 or time.monotonic() > limit:
                    raise
            time.sleep(0.2)

    def _definitions(self) -> list[Object]:
        name = f"widgets.{self.repo.application}.example.com"
        try:
            path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
            return [self.world.cluster.api.call("GET", path)]
        except HTTPError as error:
            if error.code == 404:
                return []
            raise

    def _is_foreign(self, item: Object) -> bool:
        name = item["metadata"]["name"]
        return name in (OF_THE_CLUSTER, *BYSTANDERS) or (
            item["kind"] == "Secret" and name.startswith("pipeline.")
        )

    def _records(self) -> list[Object]:
        found = self.repo.get("secrets")["items"]
        return [item for item in found if item["metadata"]["name"].startswith("pipeline.")]

    def _plant_bystanders(self) -> None:
        """Objects of others: of another application, and one that only bears our labels."""
        for name, application in (("bystander", "another"), ("impostor", self.repo.application)):
            labels = {"pipeline/application": application, "pipeline/environment": "dev"}
            body = {"metadata": {"name": name, "labels": labels}, "data": {"of": "others"}}
            self.world.cluster.api.call("POST", f"/api/v1/namespaces/{self.repo.namespace}/configmaps", body)

    def _others(self) -> dict[str, str]:
        found = {}
        for name in () if self.scenario.creates_namespace else BYSTANDERS:
            item = self.repo.get("configmaps", name)
            meta = item["metadata"] if item else {"uid": "gone", "resourceVersion": ""}
            found[f"ConfigMap/{name}"] = f"{meta['uid']} {meta['resourceVersion']}"
        return found

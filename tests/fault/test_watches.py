"""Watches that end, stall, repeat themselves or come too late: the verdict is that of an undisturbed run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeRepo
from tests.e2e.conftest import make_repo as make_repo
from tests.e2e.live import until
from tests.e2e.stories import tell
from tests.e2e.workspace import Result
from tests.fault.faults import Again, EndAfter, Fault, Gone, Hang, Noise, Refuse, ResetBefore, Stall, Swapped
from tests.fault.proxy import FaultyServer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

ALWAYS = 10_000  # times
TOO_OLD = Refuse(410, "Expired", "too old resource version")
POLICY = "rollback: {auto: false}\nrollout: {grace: {restarts: 2}}"

FAULTS: dict[str, tuple[Fault | None, dict[str, int]]] = {
    "no fault": (None, {}),
    "an end each second": (EndAfter(1.0), {"times": ALWAYS}),
    "an end at once, again and again": (EndAfter(0.0), {"times": ALWAYS}),
    "too old at the start": (TOO_OLD, {}),
    "too old, repeatedly": (TOO_OLD, {"times": 9}),
    "too old after an event": (Gone(1), {"times": 6}),
    "too old after each list": (Gone(0), {"times": 9}),
    "a watch that never starts": (Hang(), {"times": 3}),
    "silence from the start": (Stall(0), {"times": 6}),
    "silence after an event": (Stall(1), {"times": 6}),
    "a line that is cut": (Noise(1), {"times": 6}),
    "events twice, and old ones anew": (Again(), {"times": ALWAYS}),
    "events in another order": (Swapped(), {"times": ALWAYS}),
    "connections that break": (ResetBefore(), {"times": 9}),
    "a server that is busy": (Refuse(429, "TooManyRequests", headers={"Retry-After": "1"}), {"times": 6}),
    "a gateway without a server": (Refuse(503, "ServiceUnavailable"), {"times": 9}),
}


def app(name: str, mode: str) -> str:
    """A Deployment whose two pods are in this mode, or ready after three seconds."""
    return f"""\
        apiVersion: apps/v1
        kind: Deployment
        metadata: {{name: {name}}}
        spec:
          replicas: 2
          selector: {{matchLabels: {{app: {name}}}}}
          template:
            metadata:
              labels: {{app: {name}}}
              annotations: {{pipeline.test/pod: {mode}, pipeline.test/delay: 3s}}
            spec:
              containers:
                - name: main
                  image: nginx:1.21
        """


JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  template:
    metadata: {annotations: {pipeline.test/delay: 2s}}
    spec:
      restartPolicy: Never
      containers: [{name: main, image: 'migrate:done'}]
"""


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Any]:
    """What became of a good set and of a bad one under each fault: exit code, statuses, causes."""

    def story(fault: str, last: str) -> Callable[[], Any]:
        return lambda: verdict(deploy(make_repo, tmp_path_factory.mktemp("proxy"), fault, last))

    stories = {f"{fault}|{last}": story(fault, last) for fault in FAULTS for last in ("slow", "crash")}
    return {(key.partition("|")[0], key.partition("|")[2]): value for key, value in tell(stories).items()}


def deploy(make_repo: MakeRepo, folder: Path, fault: str, last: str) -> Result:
    repo = make_repo(create=True)
    repo.environment(POLICY, deploy="{timeout: 60s}")
    repo.manifest("a.yaml", app("slow", "slow"))
    repo.manifest("b.yaml", app("last", last))
    repo.manifest("c.yaml", JOB)
    repo.commit()
    with FaultyServer(repo.cluster, folder) as faulty:
        repo.environ["KUBECONFIG"] = str(faulty.kubeconfig(repo.cluster.token))
        what, often = FAULTS[fault]
        rule = faulty.does(what, verb="watch", **often) if what else None
        result = repo.run("-o", "json", "deploy", "-e", "dev")
        assert rule is None or rule.met, "no watch met the fault"
    return result


def verdict(result: Result) -> Any:
    report = result.document
    return {
        "code": result.code,
        "statuses": sorted((r["object"].rpartition("/")[2], r["status"]) for r in report["rollout"]),
        "causes": sorted((c["code"], c["object"].rpartition("/")[2]) for c in report["causes"]),
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_good_is_found_good(fault: str, told: dict[tuple[str, str], Any]) -> None:
    assert told[fault, "slow"] == told["no fault", "slow"]
    assert told[fault, "slow"]["code"] == 0
    assert {status for _, status in told[fault, "slow"]["statuses"]} == {"Current"}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_bad_is_found_bad_with_its_cause(fault: str, told: dict[tuple[str, str], Any]) -> None:
    found = told[fault, "crash"]
    assert (found["code"], found["causes"]) == (11, [("CrashLoop", "last")])
    assert ("last", "Failed") in found["statuses"]


@pytest.fixture(scope="module")
def lost(make_repo: MakeRepo) -> dict[str, Result]:
    """What became of deploys whose Deployment somebody deleted meanwhile, or made anew."""
    return tell({how: lambda how=how: loses(make_repo, how) for how in ("deleted", "made anew")})


def loses(make_repo: MakeRepo, how: str) -> Result:
    repo = make_repo(create=True)
    repo.environment("rollback: {onFirstDeploy: keep}", deploy="{timeout: 80s}")
    repo.manifest("web.yaml", app("web", "unready"))
    repo.commit()
    process = repo.start("-o", "json", "deploy", "-e", "dev")
    try:
        first = until(lambda: repo.get("apps/v1/deployments", "web"))
        repo.kubectl("delete", "deployment", "web")
        if how == "made anew":
            meta = {key: first["metadata"][key] for key in ("name", "labels")}
            body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": first["spec"]}
            path = f"/apis/apps/v1/namespaces/{repo.namespace}/deployments?fieldManager=somebody"
            repo.cluster.api.call("POST", path, body)
        out, err = process.communicate(timeout=90)
    finally:
        process.kill()
    return Result(process.returncode, out, err)


@pytest.mark.parametrize(
    ("how", "says"),
    [("deleted", "was deleted after this deploy"), ("made anew", "was deleted, and made anew by somebody")],
)
def test_what_somebody_takes_away_meanwhile_is_lost(how: str, says: str, lost: dict[str, Result]) -> None:
    """What was written is judged, and no other of its name; nobody waits for what is not there."""
    result = lost[how]
    assert result.code == 11, str(result)
    (cause,) = result.document["causes"]
    assert cause["code"] == "ObjectLost", cause
    assert says in cause["message"]

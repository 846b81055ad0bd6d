"""What only a kubelet can tell, on nodes where the test plays it: probes that kill, missing volumes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.e2e.conftest import MakeRepo
from tests.e2e.failures import POLICY, Failure, is_told, workload
from tests.e2e.live import until
from tests.e2e.nodes import MERGE, add_node, at_home, is_called_ready, nodes, pods, say
from tests.e2e.rollouts import deploying, ended
from tests.e2e.stories import tell
from tests.e2e.workspace import Result, Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

PROBE = "{httpGet: {path: /alive, port: 8080}, periodSeconds: 1, failureThreshold: 1}"
SECRET = "volumes: [{name: conf, secret: {secretName: credentials}}]"

FAILURES = {
    "liveness": Failure(
        workload("nginx:1.21", f"livenessProbe: {PROBE}"),
        "LivenessProbeFailed",
        "livenessProbe",
        "Liveness probe failed: HTTP probe failed with statuscode: 500",
        "livenessProbe",
    ),
    "startup": Failure(
        workload("nginx:1.21", f"startupProbe: {PROBE}"),
        "StartupProbeFailed",
        "startupProbe",
        "Startup probe failed: HTTP probe failed with statuscode: 500",
        "startupProbe",
    ),
    "mount": Failure(
        workload(pod=SECRET),
        "VolumeMountFailed",
        "secretName: credentials",
        'secret "credentials" not found',
        more="allow: {missing: [/Secret/$NS/credentials]}",
    ),
    "patience": Failure(
        workload("nginx:unready", f"readinessProbe: {PROBE}"),
        "ReadinessProbeFailed",
        "readinessProbe",
        "more than the 1 s of its timings",
    ),
}


def killed(repo: Workspace, pod: Any, probe: str) -> None:
    """The container has been killed for its probe, three times."""
    say(
        repo,
        pod,
        "Unhealthy",
        f"{probe} probe failed: HTTP probe failed with statuscode: 500",
        container="main",
    )
    said = f"Container main failed {probe.lower()} probe, will be restarted"
    say(repo, pod, "Killing", said, kind="Normal", container="main")
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    end = {"exitCode": 137, "reason": "Error", "startedAt": now, "finishedAt": now}
    container = {
        "name": "main",
        "image": "nginx:1.21",
        "imageID": "",
        "ready": False,
        "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
        "lastState": {"terminated": end},
    }
    status = {"phase": "Running", "containerStatuses": [container]}
    path = f"/api/v1/namespaces/{repo.namespace}/pods/{pod['metadata']['name']}/status"
    repo.cluster.api.call("PATCH", path, {"status": status}, MERGE)


def unmounted(repo: Workspace, pod: Any) -> None:
    said = 'MountVolume.SetUp failed for volume "conf" : secret "credentials" not found'
    say(repo, pod, "FailedMount", said)


def silent(repo: Workspace, pod: Any) -> None:
    """The cluster's own simulated kubelet says enough."""


ACTS: dict[str, Callable[[Workspace, Any], None]] = {
    "liveness": lambda repo, pod: killed(repo, pod, "Liveness"),
    "startup": lambda repo, pod: killed(repo, pod, "Startup"),
    "mount": unmounted,
    "patience": silent,
}


def story(make: MakeRepo, name: str) -> tuple[Workspace, Result]:
    failure = FAILURES[name]
    repo = make(create=True)
    patient = POLICY.replace("grace: {", "grace: {ready: 1s, ") if name == "patience" else POLICY
    repo.environment(f"{patient}\n{failure.more}", deploy=f"{{timeout: {failure.timeout}}}")
    one = failure.manifest.replace("replicas: 2", "replicas: 1")
    repo.manifest("web.yaml", one if name == "patience" else at_home(one))
    repo.commit()
    with nodes(repo, 0):
        is_called_ready(repo, add_node(repo, "old", kubelet=False))
        with deploying(repo) as process:
            pod = until(lambda: next((p for p in pods(repo) if p["spec"].get("nodeName")), None))
            ACTS[name](repo, pod)
            return repo, ended(process)


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo) -> dict[str, tuple[Workspace, Result]]:
    return tell({name: lambda name=name: story(make_repo, name) for name in FAILURES})


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_told_with_cause_line_evidence_and_what_to_do(
    name: str, told: dict[str, tuple[Workspace, Result]]
) -> None:
    is_told(FAILURES[name], *told[name])

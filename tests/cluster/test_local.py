"""The local cluster does what tests rely on it for."""

import json
import os
import subprocess
import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.api import Api
from tests.cluster.local import LocalCluster

pytestmark = pytest.mark.cluster

LIMIT_S = 30.0  # for what takes a second or two: no test is about speed

# A pod for each failure: its image, its annotations, and how its container then waits.
WAITING = {
    "missing": ("nginx:missing", {}, "ImagePullBackOff", "library/nginx:missing: not found"),
    "missing-chosen": ("nginx:1.25", {"pod": "missing"}, "ImagePullBackOff", "nginx:1.25: not found"),
    "pull-again": (
        "registry.example/a:notfound",
        {},
        "ErrImagePull",
        "registry.example/a:notfound: not found",
    ),
    "rate-limited": ("nginx:rate-limited", {}, "ErrImagePull", "429 Too Many Requests"),
    "registry-down": ("nginx:registry-down", {}, "ErrImagePull", "connect: connection refused"),
    "denied": ("nginx:denied", {}, "ErrImagePull", "pull access denied"),
    "unauthorized": ("nginx:unauthorized", {}, "ErrImagePull", "401 Unauthorized"),
    "invalid": ("Bad:Image:Name", {}, "InvalidImageName", "couldn't parse image name"),
    "unsigned": (
        "nginx:SignatureValidationFailed",
        {},
        "ImagePullBackOff",
        'pulling image "nginx:SignatureValidationFailed": SignatureValidationFailed: image pull failed for',
    ),
    "never": ("nginx:ErrImageNeverPull", {}, "ErrImageNeverPull", "not present with pull policy of Never"),
    "hook": ("nginx:PostStartHookError", {}, "PostStartHookError", "command 'false' exited with 1"),
    "sandbox": ("nginx:CreatePodSandboxError", {}, "CreatePodSandboxError", "failed to assign an IP address"),
    "configerror": (
        "nginx:configerror",
        {},
        "CreateContainerConfigError",
        'configmap "main-config" not found',
    ),
    "crash": ("nginx:crash", {}, "CrashLoopBackOff", "restarting failed container=main pod=crash_failing("),
    "exit-3": ("nginx:crash", {"exit-code": "3"}, "CrashLoopBackOff", "restarting failed container=main"),
    "oom": (
        "nginx@sha256:" + 64 * "a",
        {"pod": "oom"},
        "CrashLoopBackOff",
        "restarting failed container=main",
    ),
    "later": ("nginx:crash-late", {"delay": "500ms"}, "CrashLoopBackOff", "restarting failed container=main"),
}
PHASES = {"crash": "Running", "exit-3": "Running", "oom": "Running", "later": "Running"}
LAST_STATES = {
    "hook": ("Error", 137),
    "crash": ("Error", 1),
    "exit-3": ("Error", 3),
    "oom": ("OOMKilled", 137),
    "later": ("Error", 1),
}


def until(read: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    """Return what is read as soon as it holds."""
    limit = time.monotonic() + LIMIT_S
    while not holds(value := read()):
        assert time.monotonic() < limit, (
            f"waited in vain; last was {json.dumps(value, default=str, indent=1)}"
        )
        time.sleep(0.05)
    return value


def pod_spec(image: str, **more: Any) -> dict[str, Any]:
    return {"containers": [{"name": "main", "image": image}], **more}


def create_pod(
    cluster: LocalCluster, namespace: str, name: str, annotations: dict[str, str], **spec: Any
) -> None:
    chosen = {f"pipeline.test/{key}": value for key, value in annotations.items()}
    pod = {"metadata": {"name": name, "annotations": chosen}, "spec": spec}
    cluster.api.call("POST", f"/api/v1/namespaces/{namespace}/pods", pod)


def watch_pod(cluster: LocalCluster, namespace: str, name: str, holds: Callable[[Any], bool]) -> Any:
    return until(
        lambda: cluster.api.call("GET", f"/api/v1/namespaces/{namespace}/pods/{name}")["status"], holds
    )


def container(status: Any, kind: str = "containerStatuses") -> Any:
    return (status.get(kind) or [{"state": {}, "ready": False}])[0]


def condition(status: Any, kind: str) -> tuple[str, str]:
    one: Any = next((one for one in status.get("conditions", ()) if one["type"] == kind), {})
    return one.get("status", ""), one.get("reason", "")


def kubectl(cluster: LocalCluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    return subprocess.run(["kubectl", *arguments], env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def failing(cluster: LocalCluster) -> Iterator[str]:
    """A namespace with all failing pods, which fail at the same time."""
    cluster.create_namespace("failing")
    for name, (image, annotations, _, _) in WAITING.items():
        create_pod(cluster, "failing", name, annotations, **pod_spec(image))
    yield "failing"
    cluster.api.call("DELETE", "/api/v1/namespaces/failing")


@pytest.mark.parametrize("name", WAITING)
def test_failing_container_waits_as_a_kubelet_reports_it(
    cluster: LocalCluster, failing: str, name: str
) -> None:
    _, _, reason, words = WAITING[name]

    def waits(status: Any) -> bool:
        waiting = container(status)["state"].get("waiting", {})
        return waiting.get("reason") == reason and words in waiting["message"]

    status = watch_pod(cluster, failing, name, waits)

    assert status["phase"] == PHASES.get(name, "Pending")
    assert condition(status, "Ready") == ("False", "ContainersNotReady")


@pytest.mark.parametrize("name", LAST_STATES)
def test_crashed_container_keeps_how_it_ended_and_counts_restarts(
    cluster: LocalCluster, failing: str, name: str
) -> None:
    status = watch_pod(cluster, failing, name, lambda status: container(status).get("restartCount", 0) >= 2)

    last = container(status)["lastState"]["terminated"]
    assert (last["reason"], last["exitCode"]) == LAST_STATES[name]


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("missing", "Failed", 'Failed to pull image "nginx:missing": rpc error'),
        ("missing", "BackOff", 'Back-off pulling image "nginx:missing"'),
        ("invalid", "InspectFailed", "Failed to apply default image tag"),
        (
            "unsigned",
            "Failed",
            'Failed to pull image "nginx:SignatureValidationFailed": SignatureValidationFailed:',
        ),
        ("never", "ErrImageNeverPull", "is not present with pull policy of Never"),
        ("hook", "FailedPostStartHook", "PostStartHook failed"),
        ("sandbox", "FailedCreatePodSandBox", "Failed to create pod sandbox: "),
        ("configerror", "Failed", 'Error: configmap "main-config" not found'),
        ("crash", "BackOff", "Back-off restarting failed container main in pod crash_failing("),
    ],
)
def test_failing_container_has_its_event(
    cluster: LocalCluster, failing: str, name: str, reason: str, words: str
) -> None:
    path = f"/api/v1/namespaces/{failing}/events?fieldSelector=involvedObject.name={name},reason={reason}"

    events = until(
        lambda: cluster.api.call("GET", path)["items"],
        lambda items: any(words in item["message"] for item in items),
    )

    assert {event["source"]["component"] for event in events} == {"kubelet"}


def test_log_tells_why_a_container_crashed(cluster: LocalCluster, failing: str) -> None:
    watch_pod(cluster, failing, "crash", lambda status: container(status).get("restartCount", 0) >= 1)

    assert "panic: cannot open /data" in kubectl(cluster, "logs", "-n", failing, "crash", "--tail=1").stdout


def test_log_of_a_container_without_image_is_refused(cluster: LocalCluster, failing: str) -> None:
    watch_pod(cluster, failing, "missing", lambda status: "waiting" in container(status)["state"])

    assert (
        'container "main" in pod "missing" is waiting to start'
        in kubectl(cluster, "logs", "-n", failing, "missing").stderr
    )


def test_log_can_be_chosen(cluster: LocalCluster, namespace: str) -> None:
    create_pod(cluster, namespace, "talks", {"log": "error: no disk"}, **pod_spec("nginx:1.25"))
    watch_pod(cluster, namespace, "talks", lambda status: container(status)["ready"])

    assert kubectl(cluster, "logs", "-n", namespace, "talks").stdout == "error: no disk\n"


def test_healthy_container_has_a_complete_status(cluster: LocalCluster, namespace: str) -> None:
    create_pod(cluster, namespace, "healthy", {}, **pod_spec("nginx:1.25"))

    status = watch_pod(cluster, namespace, "healthy", lambda status: condition(status, "Ready")[0] == "True")

    one = container(status)
    assert one.keys() >= {"name", "image", "imageID", "containerID", "lastState"}
    assert (one["ready"], one["started"], one["restartCount"], list(one["state"])) == (
        True,
        True,
        0,
        ["running"],
    )
    assert status["podIP"].startswith("10.")


def test_unready_container_runs_and_stays_unready(cluster: LocalCluster, namespace: str) -> None:
    create_pod(cluster, namespace, "unready", {}, **pod_spec("nginx:unready"))
    path = f"/api/v1/namespaces/{namespace}/events?fieldSelector=reason=Unhealthy"

    until(lambda: cluster.api.call("GET", path)["items"], bool)

    status = watch_pod(cluster, namespace, "unready", lambda status: "running" in container(status)["state"])
    assert condition(status, "Ready") == ("False", "ContainersNotReady")


def test_slow_container_is_ready_after_its_delay(cluster: LocalCluster, namespace: str) -> None:
    create_pod(cluster, namespace, "slow", {"delay": "1s"}, **pod_spec("nginx:slow"))

    watch_pod(
        cluster,
        namespace,
        "slow",
        lambda status: status["phase"] == "Running" and not container(status)["ready"],
    )
    watch_pod(cluster, namespace, "slow", lambda status: condition(status, "Ready")[0] == "True")


def test_readiness_gate_holds_a_pod_back_until_it_opens(cluster: LocalCluster, namespace: str) -> None:
    gates = [{"conditionType": "example.com/balanced"}]
    create_pod(cluster, namespace, "gated", {}, **pod_spec("nginx:1.25"), readinessGates=gates)
    watch_pod(
        cluster,
        namespace,
        "gated",
        lambda status: condition(status, "Ready") == ("False", "ReadinessGatesNotReady"),
    )

    opened = {"status": {"conditions": [{"type": "example.com/balanced", "status": "True"}]}}
    path = f"/api/v1/namespaces/{namespace}/pods/gated/status"
    cluster.api.call("PATCH", path, opened, "application/strategic-merge-patch+json")

    watch_pod(cluster, namespace, "gated", lambda status: condition(status, "Ready")[0] == "True")


def test_crashing_init_container_blocks_the_pod(cluster: LocalCluster, namespace: str) -> None:
    first = {"name": "first", "image": "busybox:crash"}
    create_pod(cluster, namespace, "blocked", {}, **pod_spec("nginx:1.25"), initContainers=[first])

    def crashes(status: Any) -> bool:
        waiting = container(status, "initContainerStatuses")["state"].get("waiting", {})
        return bool(waiting.get("reason") == "CrashLoopBackOff")

    status = watch_pod(cluster, namespace, "blocked", crashes)

    assert status["phase"] == "Pending"
    assert condition(status, "Initialized") == ("False", "ContainersNotInitialized")
    assert container(status)["state"]["waiting"]["reason"] == "PodInitializing"


def test_init_containers_and_sidecars_let_the_pod_run(cluster: LocalCluster, namespace: str) -> None:
    helpers = [
        {"name": "first", "image": "busybox:1"},
        {"name": "proxy", "image": "envoy:1", "restartPolicy": "Always"},
    ]
    create_pod(cluster, namespace, "helped", {}, **pod_spec("nginx:1.25"), initContainers=helpers)

    status = watch_pod(cluster, namespace, "helped", lambda status: condition(status, "Ready")[0] == "True")

    assert [list(one["state"]) for one in status["initContainerStatuses"]] == [["terminated"], ["running"]]


@pytest.mark.parametrize(("image", "verdict"), [("migrate:1", "Complete"), ("migrate:fail", "Failed")])
def test_job_ends_as_its_image_says(cluster: LocalCluster, namespace: str, image: str, verdict: str) -> None:
    job = {
        "metadata": {"name": "migrate"},
        "spec": {"backoffLimit": 0, "template": {"spec": pod_spec(image, restartPolicy="Never")}},
    }
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    cluster.api.call("POST", path, job)

    until(
        lambda: cluster.api.call("GET", f"{path}/migrate")["status"],
        lambda status: condition(status, verdict)[0] == "True",
    )

    (pod,) = cluster.api.call("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
    assert pod["status"]["phase"] == {"Complete": "Succeeded", "Failed": "Failed"}[verdict]


def test_workloads_with_claims_roll_out(cluster: LocalCluster, namespace: str) -> None:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": pod_spec("nginx:1.25")}
    spec = {"selector": {"matchLabels": {"app": "a"}}, "template": template}
    disk = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claims = [{"metadata": {"name": "disk"}, "spec": disk}]
    own = {
        "StatefulSet": {"serviceName": "a", "volumeClaimTemplates": claims, "replicas": 2},
        "DaemonSet": {},
        "Deployment": {},
    }
    for kind, more in own.items():
        workload = {"metadata": {"name": "a"}, "spec": {**spec, **more}}
        cluster.api.call("POST", f"/apis/apps/v1/namespaces/{namespace}/{kind.lower()}s", workload)

    for kind in own:
        done = kubectl(cluster, "rollout", "status", "-n", namespace, f"{kind}/a", "--timeout=30s")
        assert done.returncode == 0, done.stderr


def test_deleted_pod_is_gone(cluster: LocalCluster, namespace: str) -> None:
    create_pod(cluster, namespace, "brief", {}, **pod_spec("nginx:1.25"))
    watch_pod(cluster, namespace, "brief", lambda status: container(status)["ready"])
    path = f"/api/v1/namespaces/{namespace}/pods"

    cluster.api.call("DELETE", f"{path}/brief")

    until(lambda: cluster.api.call("GET", path)["items"], lambda items: not items)


@pytest.mark.parametrize(
    ("user", "may_read", "may_write"),
    [("viewer", True, False), ("deployer", True, True), ("nobody", False, False)],
)
def test_user_has_the_rights_of_the_role(
    cluster: LocalCluster, namespace: str, user: str, may_read: bool, may_write: bool
) -> None:
    api = api_of(cluster.user_kubeconfig(user), cluster)
    path = f"/api/v1/namespaces/{namespace}/configmaps"

    assert allowed(lambda: api.call("GET", path)) == may_read
    assert allowed(lambda: api.call("POST", path, {"metadata": {"name": "c"}})) == may_write


def test_objects_and_new_users_survive_a_restart_of_the_api_server(
    cluster: LocalCluster, namespace: str
) -> None:
    api = api_of(cluster.user_kubeconfig("carol", ["system:masters"]), cluster)

    assert api.call("GET", f"/api/v1/namespaces/{namespace}")["status"]["phase"] == "Active"
    create_pod(cluster, namespace, "after", {}, **pod_spec("nginx:1.25"))
    watch_pod(cluster, namespace, "after", lambda status: container(status)["ready"])


def api_of(path: Path, cluster: LocalCluster) -> Api:
    token = json.loads(path.read_text())["users"][0]["user"]["token"]
    return Api(server=cluster.server, token=token, ca_file=cluster.ca_file)


def allowed(call: Callable[[], Any]) -> bool:
    try:
        call()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code != 403
    return True

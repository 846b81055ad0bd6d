"""What happens to pods and nodes during a rollout and is no failure, by the cluster's own controllers."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.conftest import MakeRepo
from tests.e2e.failures import workload
from tests.e2e.live import until
from tests.e2e.nodes import (
    MERGE,
    add_node,
    at_home,
    end_badly,
    grown_old,
    hold,
    home,
    is_called_ready,
    is_ready,
    keep,
    let_go,
    nodes,
    pod_paths,
    pods,
    sicken,
)
from tests.e2e.rollouts import (
    GATED,
    Told,
    are_running,
    change,
    deploying,
    ended,
    images,
    made,
    open_gates,
    uids,
)
from tests.e2e.stories import tell
from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

# --- pods


def evicted(make: MakeRepo) -> Told:
    """A pod of the new revision is evicted before it is ready, as a node's drain does it."""
    repo = made(make, GATED)
    with deploying(repo) as process:
        until(lambda: are_running(repo, 2), "for its pods")
        before = uids(repo)
        victim = pods(repo)[0]["metadata"]
        path = f"/api/v1/namespaces/{repo.namespace}/pods/{victim['name']}"
        keep(repo, path)
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": victim["name"]}}
        repo.cluster.api.call("POST", f"{path}/eviction", eviction)
        end_badly(repo, path)
        until(lambda: are_running(repo, 2) and victim["uid"] not in uids(repo), "for another pod")
        after = uids(repo)
        assert process.poll() is None
        open_gates(repo)
        result = ended(process)
    repo.cluster.api.call("PATCH", path, {"metadata": {"finalizers": None}}, MERGE)
    return Told(repo, result, (before, after))


def drained(make: MakeRepo) -> Told:
    """The node of the new pods is drained while they start; there is another."""
    repo = made(make, at_home(GATED))
    with nodes(repo, 2), deploying(repo) as process, ThreadPoolExecutor(1) as administrator:
        until(lambda: are_running(repo, 2), "for its pods")
        before = uids(repo)
        node = pods(repo)[0]["spec"]["nodeName"]
        paths = pod_paths(repo, node)
        hold(repo, node)
        drain = ("drain", node, "--ignore-daemonsets", "--disable-eviction=false", "--timeout=60s")
        done = administrator.submit(repo.kubectl, *drain)
        until(lambda: all(repo.cluster.api.holds(path, is_leaving) for path in paths), "for their eviction")
        for path in paths:
            end_badly(repo, path)
        until(
            lambda: are_running(repo, 2) and all(pod["spec"]["nodeName"] != node for pod in pods(repo)),
            "for pods on the other node",
        )
        after = uids(repo)
        assert process.poll() is None
        let_go(repo, node)
        done.result()
        open_gates(repo)
        return Told(repo, ended(process), (before, after))


def is_leaving(pod: Any) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def preempted(make: MakeRepo) -> Told:
    """A pod of more priority takes the only node's room, for a while."""
    more = "resources: {requests: {cpu: 600m}}"
    repo = made(make, at_home(GATED.replace("replicas: 2", "replicas: 1")) + f"          {more}\n")
    priority = {"metadata": {"name": repo.application}, "value": 1000}
    urgent = {
        "metadata": {"name": "urgent"},
        "spec": {
            **home(repo),
            "priorityClassName": repo.application,
            "containers": [
                {"name": "main", "image": "nginx:1.21", "resources": {"requests": {"cpu": "600m"}}}
            ],
        },
    }
    api, core = repo.cluster.api, f"/api/v1/namespaces/{repo.namespace}"
    api.call("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", priority)
    with nodes(repo, 1, cpu="1"), deploying(repo) as process:
        until(lambda: are_running(repo, 1), "for its pod")
        before = uids(repo)
        api.call("POST", f"{core}/pods", urgent)
        until(lambda: not before & uids(repo), "for the pod to be pushed away")
        until(lambda: reasons(repo) >= {"Preempted", "FailedScheduling"}, "for the scheduler's words")
        assert process.poll() is None
        api.call("DELETE", f"{core}/pods/urgent")
        until(lambda: are_running(repo, 1) and pods(repo)[0]["metadata"]["name"] != "urgent", "for room")
        open_gates(repo)
        result = ended(process)
    api.call("DELETE", f"/apis/scheduling.k8s.io/v1/priorityclasses/{repo.application}")
    return Told(repo, result, reasons(repo))


def reasons(repo: Workspace) -> set[str]:
    """Of all events."""
    return {event["reason"] for event in repo.get("events")["items"]}


DAEMON = """\
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: main
          image: nginx:1.21
"""


ALL_AT_ONCE = DAEMON.replace(
    "spec:\n", "spec:\n  updateStrategy: {rollingUpdate: {maxUnavailable: 100%}}\n", 1
)


def on_sick_nodes(make: MakeRepo) -> Told:
    """A DaemonSet of whose nodes one is cordoned, one is not ready any more, and one comes meanwhile."""
    repo = made(make, at_home(ALL_AT_ONCE))
    with nodes(repo, 3):
        grown_old(repo)
        repo.deployed()
        sicken(repo, "well-2")
        is_called_ready(repo, add_node(repo, "cordoned", kubelet=False, unschedulable=True))
        until(lambda: len(pods(repo)) == 4, "for the cordoned node's pod")
        change(repo, "nginx:1.21", "nginx:slow")
        with deploying(repo) as process:
            until(lambda: images(repo).count("nginx:slow") == 2, "for the new pods")
            is_called_ready(repo, add_node(repo, "new", kubelet=False))
            until(lambda: images(repo).count("nginx:slow") == 3, "for the new node's pod")
            return Told(repo, ended(process), repo.get("apps/v1/daemonsets", "web")["status"])


LASTING = workload().replace("  replicas: 2\n", "  replicas: 1\n  minReadySeconds: 100\n")


def on_a_node_that_goes(make: MakeRepo) -> Told:
    """The node of the new pod stops reporting before the pod counts."""
    repo = made(make, at_home(LASTING), timeout="20s")
    with nodes(repo, 1), deploying(repo) as process:
        until(lambda: any(is_ready(pod) for pod in pods(repo)), "for its pod")
        sicken(repo, "well-0")
        return Told(repo, ended(process))


def on_a_node_without_a_kubelet(make: MakeRepo) -> Told:
    """One that has been there before, is not cordoned, and is called ready."""
    repo = made(make, at_home(DAEMON), timeout="8s")
    with nodes(repo, 1):
        name = add_node(repo, "old", kubelet=False)
        is_called_ready(repo, name)
        grown_old(repo)
        with deploying(repo) as process:
            return Told(repo, ended(process))


# --- what is left as it is


def on_delete(make: MakeRepo, manifest: str) -> Told:
    """A second revision of what is updated only by hand."""
    repo = made(make, manifest)
    repo.deployed()
    change(repo, "nginx:1.21", "nginx:1.22")
    result = repo.run("-o", "json", "deploy", "-e", "dev")
    return Told(repo, result, sorted(set(images(repo))))


STATEFUL = """\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  replicas: 2
  serviceName: web
  updateStrategy: {type: OnDelete}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: main
          image: nginx:1.21
"""

AUTOSCALED = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: main, image: "nginx:1.21", resources: {requests: {cpu: 10m}}}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 1
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
"""


def scaled_to_zero(make: MakeRepo) -> Told:
    """An autoscaler whose target was scaled to nothing: its controller says that it is disabled."""
    repo = made(make, AUTOSCALED)
    repo.deployed()
    kind = "autoscaling/v2/horizontalpodautoscalers"

    def judged() -> bool:
        conditions = repo.get(kind, "web")["status"].get("conditions", ())
        return any(c["reason"] == "ScalingDisabled" for c in conditions)

    until(judged, "for the autoscaler's controller")
    saved = repo.folder / "saved.json"
    saved.write_text(repo.kubectl("get", "hpa,deploy", "-o", "json"))
    _, assessed = repo.json("assess", "-f", str(saved))
    change(repo, "maxReplicas: 3", "maxReplicas: 4")
    return Told(repo, repo.run("-o", "json", "deploy", "-e", "dev"), assessed["objects"])


AT_ONCE = 5  # they mostly wait
STORIES: dict[str, Callable[[MakeRepo], Told]] = {  # the longest first
    "lost node": on_a_node_that_goes,
    "sick nodes": on_sick_nodes,
    "no kubelet": on_a_node_without_a_kubelet,
    "preempted": preempted,
    "drained": drained,
    "zero": scaled_to_zero,
    "evicted": evicted,
    "stateful": lambda make: on_delete(make, STATEFUL),
    "daemon": lambda make: on_delete(
        make, DAEMON.replace("spec:\n", "spec:\n  updateStrategy: {type: OnDelete}\n", 1)
    ),
}


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo) -> dict[str, Told]:
    return tell({name: lambda story=story: story(make_repo) for name, story in STORIES.items()}, AT_ONCE)


@pytest.mark.parametrize("name", ["evicted", "drained"])
def test_a_pod_that_is_evicted_during_the_rollout_is_no_failure(name: str, told: dict[str, Told]) -> None:
    story = told[name]
    story.is_well()
    before, after = story.seen
    assert before != after


def test_a_pod_that_is_preempted_during_the_rollout_is_no_failure(told: dict[str, Told]) -> None:
    story = told["preempted"]
    story.is_well()
    assert {"Preempted", "FailedScheduling"} <= story.seen


def test_nodes_that_are_cordoned_not_ready_or_new_hold_up_no_daemon_set(told: dict[str, Told]) -> None:
    story = told["sick nodes"]
    story.is_well()
    # The node that is not ready is not counted any more, and so excuses none of the others.
    assert (story.seen["desiredNumberScheduled"], story.seen["numberAvailable"]) == (4, 2)
    assert "not ready, cordoned or new" in story.result.stderr


def test_any_other_node_without_its_pod_does(told: dict[str, Told]) -> None:
    story = told["no kubelet"]
    assert story.result.code == 12, str(story.result)
    assert "1 of 2 pods are available" in story.entry["message"]


def test_a_node_that_goes_with_a_new_pod_is_told(told: dict[str, Told]) -> None:
    story = told["lost node"]
    assert story.result.code == 12, str(story.result)
    (cause,) = story.result.document["causes"]
    assert cause["code"] == "NodeNotReady"
    assert f"its node {story.repo.namespace}-well-0 does not report" in cause["message"]
    assert "kubectl describe node" in cause["hint"]


@pytest.mark.parametrize("name", ["stateful", "daemon"])
def test_what_is_updated_by_hand_is_current_with_its_old_pods_and_says_so(
    name: str, told: dict[str, Told]
) -> None:
    story = told[name]
    story.is_well()
    assert story.seen == ["nginx:1.21"]
    assert "until someone deletes them (OnDelete)" in story.result.stderr


def test_an_autoscaler_whose_target_is_scaled_to_zero_is_fine(told: dict[str, Told]) -> None:
    story = told["zero"]
    story.is_well()
    verdict = next(one for one in story.seen if "HorizontalPodAutoscaler" in one["object"])
    assert (verdict["status"], verdict["reason"]) == ("Current", "ScalingDisabled"), json.dumps(story.seen)

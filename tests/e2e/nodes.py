"""Nodes of a story's own: tainted, so that no other pod runs there, healthy, without a kubelet, or sick."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from tests.cluster import programs
from tests.e2e.live import until
from tests.e2e.workspace import Workspace

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
NODES = "/api/v1/nodes"


def pods(repo: Workspace) -> list[Any]:
    """Those that are not on their way out."""
    return [pod for pod in repo.get("pods")["items"] if "deletionTimestamp" not in pod["metadata"]]


def home(repo: Workspace) -> dict[str, Any]:
    """What lets a pod run on the story's own nodes, and nowhere else."""
    toleration = {"key": "pipeline.test/home", "operator": "Equal", "value": repo.namespace}
    return {"nodeSelector": {"pipeline.test/home": repo.namespace}, "tolerations": [toleration]}


def at_home(manifest: str) -> str:
    """A workload whose pods run on the story's own nodes."""
    lines = (
        "      nodeSelector: {pipeline.test/home: $NS}",
        "      tolerations: [{key: pipeline.test/home, operator: Equal, value: $NS}]",
        "      containers:",
    )
    return manifest.replace("      containers:", "\n".join(lines), 1)


def add_node(repo: Workspace, name: str, *, kubelet: bool = True, cpu: str = "4", **spec: Any) -> str:
    """A node of the story's own. Without a kubelet it is called ready, and no pod ever starts on it."""
    node = programs.node(1, 1)
    full = f"{repo.namespace}-{name}"
    node["metadata"] |= {"name": full}
    node["metadata"]["labels"] |= {"kubernetes.io/hostname": full, "pipeline.test/home": repo.namespace}
    taint = {"key": "pipeline.test/home", "value": repo.namespace, "effect": "NoSchedule"}
    node["spec"] = {"taints": [taint], **spec}
    room = {"cpu": cpu, "memory": "8Gi", "pods": "20"}
    node["status"] |= {"capacity": room, "allocatable": room}
    if not kubelet:
        del node["metadata"]["annotations"]
    repo.cluster.api.call("POST", NODES, node)
    return full


def is_called_ready(repo: Workspace, name: str, status: str = "True") -> None:
    condition = {"type": "Ready", "status": status, "reason": "Told", "message": "by a test"}
    body = {"status": {"conditions": [condition]}}
    repo.cluster.api.call("PATCH", f"{NODES}/{name}/status", body, STRATEGIC)


@contextmanager
def nodes(repo: Workspace, count: int, cpu: str = "4") -> Iterator[None]:
    """Healthy ones; they are gone in the end, with whatever else the story added."""
    api = repo.cluster.api
    try:
        for number in range(count):
            add_node(repo, f"well-{number}", cpu=cpu)
        until(lambda: len(ready_nodes(repo)) == count, "for the nodes")
        yield
    finally:
        for node in own_nodes(repo):
            let_go(repo, node["metadata"]["name"])
            api.call("DELETE", f"{NODES}/{node['metadata']['name']}")


def grown_old(repo: Workspace) -> None:
    """Until no node can be taken for one that came with the deploy: both are told in whole seconds."""

    def age_s(node: Any) -> float:
        created = datetime.fromisoformat(node["metadata"]["creationTimestamp"])
        return time.time() - created.timestamp()

    until(lambda: all(age_s(node) > 4 for node in own_nodes(repo)), "for the nodes to be old")


def own_nodes(repo: Workspace) -> list[Any]:
    found = repo.cluster.api.call("GET", f"{NODES}?labelSelector=pipeline.test/home={repo.namespace}")
    return list(found["items"])


def ready_nodes(repo: Workspace) -> list[Any]:
    return [node for node in own_nodes(repo) if is_ready(node) and len(node["spec"].get("taints", ())) == 1]


def sicken(repo: Workspace, name: str) -> None:
    """Its kubelet is gone, so that its pod cannot end, and the controllers have seen that."""
    full = f"{repo.namespace}-{name}"
    hold(repo, full)
    gone = {"metadata": {"annotations": {"kwok.x-k8s.io/node": None}}}
    repo.cluster.api.call("PATCH", f"{NODES}/{full}", gone, MERGE)
    is_called_ready(repo, full, "False")
    until(lambda: repo.cluster.api.holds(f"{NODES}/{full}", is_tainted), "for the taint")


def is_ready(found: Any) -> bool:
    """A pod, or a node."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in found["status"].get("conditions", ()))


def hold(repo: Workspace, node: str) -> None:
    """The pods of a node can neither end nor are they ready, as the node controller says then."""
    for path in pod_paths(repo, node):
        keep(repo, path)
        status = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
        repo.cluster.api.call("PATCH", f"{path}/status", status, STRATEGIC)


def keep(repo: Workspace, path: str) -> None:
    """A pod is not gone when it is deleted: its kubelet still has to end it."""
    finalizer = {"metadata": {"finalizers": ["pipeline.test/kubelet"]}}
    repo.cluster.api.call("PATCH", path, finalizer, MERGE)


def end_badly(repo: Workspace, path: str) -> None:
    """What a kubelet says of a pod that it takes away: it had to kill it, and not for the first time."""
    killed = {"exitCode": 137, "reason": "Error", "finishedAt": "2026-03-02T09:14:05Z"}
    statuses = [
        {**one, "ready": False, "restartCount": 3, "state": {"terminated": killed}}
        for one in repo.cluster.api.call("GET", path)["status"]["containerStatuses"]
    ]
    status = {"status": {"phase": "Failed", "containerStatuses": statuses}}
    repo.cluster.api.call("PATCH", f"{path}/status", status, MERGE)


def let_go(repo: Workspace, node: str) -> None:
    for path in pod_paths(repo, node):
        repo.cluster.api.call("PATCH", path, {"metadata": {"finalizers": None}}, MERGE)


def pod_paths(repo: Workspace, node: str) -> list[str]:
    found = (pod for pod in repo.get("pods")["items"] if pod["spec"].get("nodeName") == node)
    return [f"/api/v1/namespaces/{repo.namespace}/pods/{pod['metadata']['name']}" for pod in found]


def is_tainted(node: Any) -> bool:
    return any(taint["key"] == "node.kubernetes.io/not-ready" for taint in node["spec"]["taints"])


def say(
    repo: Workspace, pod: Any, reason: str, message: str, *, kind: str = "Warning", container: str = ""
) -> None:
    """An event about a pod, as kubelets and autoscalers write it."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    about = {"apiVersion": "v1", "kind": "Pod", "namespace": repo.namespace}
    about |= {key: pod["metadata"][key] for key in ("name", "uid")}
    if container:
        about["fieldPath"] = f"spec.containers{{{container}}}"
    event = {"metadata": {"generateName": "said-"}, "involvedObject": about, "type": kind, "count": 1}
    event |= {"reason": reason, "message": message, "firstTimestamp": now, "lastTimestamp": now}
    repo.cluster.api.call("POST", f"/api/v1/namespaces/{repo.namespace}/events", event)

"""Small objects as an API server, its controllers and a kubelet write them."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

Json = Any

T0 = 1_700_000_000.0
"""2023-11-14T22:13:20Z: the second of our write in all tests."""


def at(seconds: float) -> str:
    """A Kubernetes time, ``seconds`` after our write."""
    return datetime.fromtimestamp(T0 + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind: str, status: str = "True", reason: str = "", message: str = "", **more: Json) -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": message, **more}


def template(image: str = "registry.example/web:1", **container: Json) -> Json:
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": image, **container}]},
    }


def deployment(
    *conditions: Json, wanted: int = 2, image: str = "registry.example/web:1", **status: Json
) -> Json:
    """A Deployment that is complete, but for what is given."""
    complete = [
        condition("Available", reason="MinimumReplicasAvailable"),
        condition("Progressing", reason="NewReplicaSetAvailable"),
    ]
    counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas", "readyReplicas"), wanted)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "demo",
            "uid": "d1",
            "generation": 2,
            "annotations": {"deployment.kubernetes.io/revision": "2"},
        },
        "spec": {"replicas": wanted, "progressDeadlineSeconds": 600, "template": template(image)},
        "status": {"observedGeneration": 2, "conditions": list(conditions) or complete, **counts, **status},
    }


def rolling(**status: Json) -> Json:
    """A Deployment in the middle of a rollout."""
    return deployment(
        condition("Available"),
        condition("Progressing", reason="ReplicaSetUpdated"),
        **{"updatedReplicas": 1, "replicas": 3, "availableReplicas": 2, "readyReplicas": 2, **status},
    )


def replica_set(
    uid: str = "r2", image: str = "registry.example/web:1", *, owner: str = "d1", **status: Json
) -> Json:
    pod_template = template(image)
    pod_template["metadata"]["labels"]["pod-template-hash"] = uid
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"web-{uid}",
            "namespace": "demo",
            "uid": uid,
            "generation": 1,
            "creationTimestamp": at(0),
            "ownerReferences": [{"kind": "Deployment", "name": "web", "uid": owner, "controller": True}],
            "annotations": {"deployment.kubernetes.io/revision": uid.removeprefix("r")},
        },
        "spec": {"replicas": 1, "template": pod_template},
        "status": {"observedGeneration": 1, "replicas": 1, **status},
    }


def pod(
    *states: Json,
    uid: str = "p1",
    owner: str = "r2",
    phase: str = "Pending",
    labels: Json = None,
    spec: Json = None,
    **status: Json,
) -> Json:
    """A pod of container ``web``; ``states`` are the statuses of its containers."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"web-{uid}",
            "namespace": "demo",
            "uid": uid,
            "labels": labels or {},
            "creationTimestamp": at(1),
            "ownerReferences": [{"kind": "ReplicaSet", "name": owner, "uid": owner, "controller": True}],
        },
        "spec": deepcopy(spec or template()["spec"]),
        "status": {
            "phase": phase,
            "conditions": [condition("PodScheduled")],
            "containerStatuses": list(states),
            **status,
        },
    }


def named_pod(
    *states: Json, uid: str = "p1", hashed: str = "r2", of: str = "web", probed: bool = False, **more: Json
) -> Json:
    """A running pod of ReplicaSet ``of``-``hashed``, named and labelled as its Deployment's controller does;
    ``probed``: its container has a readiness probe."""
    spec = {"containers": [{"name": "web", **({"readinessProbe": {"tcpSocket": {}}} if probed else {})}]}
    made = pod(*states, **{"uid": uid, "owner": hashed, "phase": "Running", "spec": spec, **more})
    made["metadata"]["name"] = f"{of}-{hashed}-{uid}"
    made["metadata"]["labels"] = {"app": of, "pod-template-hash": hashed}
    made["metadata"]["ownerReferences"][0] |= {"apiVersion": "apps/v1", "name": f"{of}-{hashed}"}
    return made


def waiting(
    reason: str, message: str = "", *, name: str = "web", restarts: int = 0, last: Json = None
) -> Json:
    return {
        "name": name,
        "ready": False,
        "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": message}},
        "lastState": {"terminated": last} if last else {},
    }


def ended(exit_code: int, reason: str = "Error", message: str = "", finished: float = 5) -> Json:
    return {"exitCode": exit_code, "reason": reason, "message": message, "finishedAt": at(finished)}


def running(*, ready: bool, restarts: int = 0, last: Json = None, started: bool = True) -> Json:
    return {
        "name": "web",
        "ready": ready,
        "started": started,
        "restartCount": restarts,
        "state": {"running": {"startedAt": at(2)}},
        "lastState": {"terminated": last} if last else {},
    }


def event(
    about: str,
    reason: str,
    message: str,
    *,
    after: float = 3,
    count: int = 1,
    container: str = "",
    normal: bool = False,
) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{about}.{reason}", "namespace": "demo"},
        "involvedObject": {
            "uid": about,
            **({"fieldPath": f"spec.containers{{{container}}}"} if container else {}),
        },
        "reason": reason,
        "message": message,
        "type": "Normal" if normal else "Warning",
        "count": count,
        "firstTimestamp": at(after),
        "lastTimestamp": at(after),
    }


def stateful_set(replicas: int = 3, **status: Json) -> Json:
    counts = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "updatedReplicas"), replicas)
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "demo", "uid": "s1", "generation": 2},
        "spec": {"replicas": replicas, "updateStrategy": {"type": "RollingUpdate"}, "template": template()},
        "status": {
            "observedGeneration": 2,
            "currentRevision": "db-a",
            "updateRevision": "db-b",
            **counts,
            **status,
        },
    }


def daemon_set(nodes: int = 3, **status: Json) -> Json:
    names = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberReady",
    )
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "demo", "uid": "ds1", "generation": 2},
        "spec": {"updateStrategy": {"type": "RollingUpdate"}, "template": template()},
        "status": {"observedGeneration": 2, **dict.fromkeys(names, nodes), **status},
    }


def job(*conditions: Json, **status: Json) -> Json:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "migrate", "namespace": "demo", "uid": "j1", "generation": 1},
        "spec": {"completions": 1, "backoffLimit": 2, "template": template()},
        "status": {"conditions": list(conditions), **status},
    }


def simple(api_version: str, kind: str, *, spec: Json = None, status: Json = None, **meta: Json) -> Json:
    obj = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "thing", "namespace": "demo", "uid": "u1", **meta},
    }
    return {
        **obj,
        **({} if spec is None else {"spec": spec}),
        **({} if status is None else {"status": status}),
    }


def service(**spec: Json) -> Json:
    """One that selects the pods of ``template``; None leaves a field out."""
    complete = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}], **spec}
    kept = {key: value for key, value in complete.items() if value is not None}
    return simple("v1", "Service", name="web", uid="svc", spec=kept)


def endpoint_slice(
    *ready: bool | None,
    ports: Json = ({"name": "", "port": 8080},),
    manager: str = "endpointslice-controller.k8s.io",
    owner: str = "svc",
    name: str = "web-1",
) -> Json:
    """A slice of that Service with an endpoint for each of ``ready``; None says nothing of it."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": "demo",
            "labels": {
                "kubernetes.io/service-name": "web",
                **({"endpointslice.kubernetes.io/managed-by": manager} if manager else {}),
            },
            "ownerReferences": [{"kind": "Service", "name": "web", "uid": owner, "controller": True}],
        },
        "endpoints": [{"conditions": {} if one is None else {"ready": one}} for one in ready] or None,
        "ports": None if ports is None else list(ports),
    }


def having(obj: Any, *path: Any, value: Any) -> Any:
    """The object with one field changed."""
    obj = deepcopy(obj)
    at_ = obj
    for step in path[:-1]:
        at_ = at_.setdefault(step, {})
    at_[path[-1]] = value
    return obj

"""Objects with every reference of which an order follows, and who must be written before whom.

Each pair has a dependent of its own, so that an edge that lacks shows. What is named is late: it waits, by
a declared order, for a gate. And it does not become Current before all is written, but for what others
need ready: whoever waits for more than its existence waits in vain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.core.kinds import builtin

Json = dict[str, Any]

FOLDER = Path(__file__).parent / "bundles"

GATE = "ConfigMap/gate"
OPEN = "jsonpath={.data.open}=yes"
SEEN = "jsonpath={.metadata.labels.seen}=yes"
READY = "jsonpath={.metadata.labels.ready}=yes"
AT_ONCE = "jsonpath={.apiVersion}"

# --- pods, wherever a kind keeps them


def _with_replicas(template: Json) -> Json:
    return {"replicas": 0, **_selecting(template)}


def _selecting(template: Json) -> Json:
    return {"selector": {"matchLabels": template["metadata"]["labels"]}, "template": template}


def _nowhere(template: Json) -> Json:
    template["spec"]["nodeSelector"] = {"no": "node"}
    return _selecting(template)


def _suspended(template: Json) -> Json:
    template["spec"]["restartPolicy"] = "Never"
    return {"suspend": True, "template": template}


WORKLOADS: Mapping[str, tuple[str, Callable[[Json], Json]]] = {
    "Deployment": ("apps/v1", _with_replicas),
    "StatefulSet": ("apps/v1", _with_replicas),
    "DaemonSet": ("apps/v1", _nowhere),
    "Job": ("batch/v1", _suspended),
    "CronJob": ("batch/v1", lambda pod: {"schedule": "0 0 30 2 *", "jobTemplate": {"spec": _suspended(pod)}}),
    "ReplicaSet": ("apps/v1", _with_replicas),
    "ReplicationController": ("v1", lambda pod: {"replicas": 0, "template": pod}),
    "Pod": ("v1", lambda pod: pod["spec"]),
}
"""Only bare pods run: for the order it does not matter."""


def _variable(source: str, name: str) -> Json:
    return {"env": [{"name": "KEY", "valueFrom": {source: {"name": name, "key": "key"}}}]}


def _volume(**source: Json) -> Json:
    return {"volumes": [{"name": "data", **source}]}


USES: Mapping[str, tuple[str, Json]] = {
    "env-config": ("ConfigMap/settings", _variable("configMapKeyRef", "settings")),
    "envfrom-config": ("ConfigMap/settings", {"envFrom": [{"configMapRef": {"name": "settings"}}]}),
    "volume-config": ("ConfigMap/settings", _volume(configMap={"name": "settings"})),
    "projected-config": (
        "ConfigMap/settings",
        _volume(projected={"sources": [{"configMap": {"name": "settings"}}]}),
    ),
    "env-secret": ("Secret/login", _variable("secretKeyRef", "login")),
    "envfrom-secret": ("Secret/login", {"envFrom": [{"secretRef": {"name": "login"}}]}),
    "volume-secret": ("Secret/login", _volume(secret={"secretName": "login"})),
    "projected-secret": ("Secret/login", _volume(projected={"sources": [{"secret": {"name": "login"}}]})),
    "claim": ("PersistentVolumeClaim/claim", _volume(persistentVolumeClaim={"claimName": "claim"})),
    "account": ("ServiceAccount/account", {"serviceAccountName": "account"}),
    "pull": ("Secret/pull", {"imagePullSecrets": [{"name": "pull"}]}),
    "pull-of-account": ("Secret/pull-of-account", {"serviceAccountName": "a-puller"}),
    "priority": ("PriorityClass/$NS", {"priorityClassName": "$NS"}),
    "runtime": ("RuntimeClass/$NS", {"runtimeClassName": "$NS"}),
}
"""What a pod's spec names, and how; ``env`` and ``envFrom`` are the container's."""


def _workload(kind: str, name: str, use: Json) -> Json:
    container = {"name": "main", "image": "nginx:1.21"}
    spec: Json = {"containers": [container]}
    for field, value in use.items():
        (container if field.startswith("env") else spec)[field] = value
    version, spec_of = WORKLOADS[kind]
    template = {"metadata": {"labels": {"app": name}}, "spec": spec}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec_of(template)}


def _name(kind: str, use: str) -> str:
    return f"a-{kind}-{use}".lower()


# --- who names whom

PAIRS: tuple[tuple[str, str], ...] = (
    *((f"{kind}/{_name(kind, use)}", needed) for kind in WORKLOADS for use, (needed, _) in USES.items()),
    ("ServiceAccount/a-puller", "Secret/pull-of-account"),
    ("PersistentVolumeClaim/a-claim", "StorageClass/$NS"),
    ("StatefulSet/a-stored", "StorageClass/$NS"),
    ("StatefulSet/a-member", "Service/headless"),
    ("RoleBinding/a-role", "Role/reader"),
    ("RoleBinding/a-cluster-role", "ClusterRole/$NS-reader"),
    ("ClusterRoleBinding/$NS-a-cluster-role", "ClusterRole/$NS-reader"),
    ("RoleBinding/a-subject", "ServiceAccount/account"),
    ("ClusterRoleBinding/$NS-a-subject", "ServiceAccount/account"),
    ("Deployment/a-actor", "RoleBinding/rights"),
    ("ClusterRole/$NS-a-whole", "ClusterRole/$NS-part"),
    ("Ingress/a-rule", "Service/back"),
    ("Ingress/a-default", "Service/back"),
    ("Ingress/a-class", "IngressClass/$NS"),
    ("Ingress/a-tls", "Secret/login"),
    ("HorizontalPodAutoscaler/a-deployment", "Deployment/scaled"),
    ("HorizontalPodAutoscaler/a-stateful-set", "StatefulSet/scaled"),
    ("PodDisruptionBudget/a-budget", "Deployment/scaled"),
    ("PodDisruptionBudget/a-budget", "StatefulSet/scaled"),
    ("Deployment/a-guarded", "NetworkPolicy/guard"),
    ("NetworkPolicy/a-peer", "Namespace/$NS-home"),
    ("Deployment/a-bounded", "LimitRange/bounds"),
    ("Deployment/a-bounded", "ResourceQuota/bounds"),
    ("ConfigMap/a-resident", "Namespace/$NS-home"),
    ("ValidatingWebhookConfiguration/$NS-a-validating", "Service/hook"),
    ("MutatingWebhookConfiguration/$NS-a-mutating", "Service/hook"),
    ("APIService/v1.served.$APP.example.com", "Service/server"),
    ("CustomResourceDefinition/converteds.$APP.example.com", "Service/hook"),
    ("Rollout/a-rollout", "ConfigMap/settings"),
    ("CloneSet/a-clone", "ConfigMap/settings"),
    ("Service/a-knative", "ConfigMap/settings"),
    ("ScaledJob/a-scaled-job", "ConfigMap/settings"),
    ("ScaledObject/a-scaled", "Deployment/scaled"),
    ("ScaledObject/a-triggered", "TriggerAuthentication/trigger"),
    ("TriggerAuthentication/a-trigger", "Secret/login"),
    ("ExternalSecret/a-external", "SecretStore/store"),
    ("VirtualService/a-virtual", "Service/back"),
    ("VirtualService/a-virtual-edge", "Gateway/edge"),
    ("HTTPRoute/a-route", "Service/back"),
    ("HTTPRoute/a-route-entry", "Gateway/entry"),
    ("Gateway/a-gateway", "GatewayClass/$NS"),
)
"""The first is written after the second, and waits for nothing but that it is there."""

AFTER_READY = (
    ("Certificate/a-certificate", "Issuer/issuer"),
    ("Deployment/a-certified", "Certificate/certificate"),
    ("Deployment/a-fetcher", "ExternalSecret/external"),
    ("Deployment/a-sealed", "SealedSecret/sealed"),
)
"""The second must be ready, too."""

AFTER_AVAILABLE = (
    ("ValidatingWebhookConfiguration/$NS-a-validating", "Deployment/hook"),
    ("MutatingWebhookConfiguration/$NS-a-mutating", "Deployment/hook"),
    ("CustomResourceDefinition/converteds.$APP.example.com", "Deployment/hook"),
    ("APIService/v1.served.$APP.example.com", "Deployment/server"),
)
"""Of the second some must serve."""

# --- the set


def _definition(obj: Json) -> Json:
    """The definition of a custom resource's kind, which takes any field."""
    group, _, version = obj["apiVersion"].partition("/")
    word = plural(obj)
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{word}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, a test"},
        },
        "spec": {
            "group": group,
            "scope": "Namespaced" if _is_namespaced(obj) else "Cluster",
            "names": {"kind": obj["kind"], "plural": word},
            "versions": [served],
        },
    }


_POD = {"spec": {"containers": [{"name": "main", "image": "nginx:1.21"}]}}
NO_REFERENCE = {"template": _POD, "jobTargetRef": {"template": _POD}}
"""A spec for all of the custom kinds."""


def load() -> dict[str, Json]:
    """All objects by ``Kind/name``: also the gate, and of each kind one that has to do with no other."""
    texts = [(FOLDER / name).read_text() for name in ("references.yaml", "references-custom.yaml")]
    objects = [obj for text in texts for obj in yaml.safe_load_all(text)]
    objects += [
        _workload(kind, _name(kind, use), how) for kind in WORKLOADS for use, (_, how) in USES.items()
    ]
    objects += [_workload(kind, f"unrelated-{kind}".lower(), {}) for kind in WORKLOADS]
    objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gate"}})
    for obj in [obj for obj in objects if _is_custom(obj)]:
        definition = _definition(obj)
        meta = {"name": f"unrelated-{definition['metadata']['name']}"}
        objects += [definition, {**obj, "metadata": meta, "spec": NO_REFERENCE}]
    found = {f"{obj['kind']}/{obj['metadata']['name']}": obj for obj in objects}
    for name, obj in found.items():
        obj["metadata"].setdefault("annotations", {}).update(_notes(name, obj))
    return found


ALL_PAIRS = (*PAIRS, *AFTER_READY, *AFTER_AVAILABLE)
LATE = {second for _, second in ALL_PAIRS}


def definitions(objects: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    """Custom resources with their definitions."""
    for name, obj in objects.items():
        if _is_custom(obj):
            yield name, f"CustomResourceDefinition/{plural(obj)}.{obj['apiVersion'].partition('/')[0]}"


def _notes(name: str, obj: Json) -> Json:
    notes = {}
    if name in LATE:
        notes["pipeline/depends-on"] = f"/{GATE.replace('/', '/$NS/')}"
    if name == GATE:
        notes["pipeline/ready"] = OPEN
    elif name in {second for _, second in AFTER_READY}:
        notes["pipeline/ready"] = READY
    elif name in LATE and obj["kind"] != "Namespace":
        notes["pipeline/ready"] = SEEN
    elif _is_custom(obj) or obj["kind"] == "Ingress":
        notes["pipeline/ready"] = AT_ONCE  # no controller is here that would make it so
    return notes


def _is_custom(obj: Json) -> bool:
    return builtin(obj["apiVersion"], obj["kind"]) is None


def _is_namespaced(obj: Json) -> bool:
    known = builtin(obj["apiVersion"], obj["kind"])
    return known.namespaced if known else obj["kind"] != "GatewayClass"


def plural(obj: Json) -> str:
    known = builtin(obj["apiVersion"], obj["kind"])
    word = obj["kind"].lower()
    return known.plural if known else word + ("es" if word.endswith("s") else "s")


def collection(obj: Json, namespace: str) -> str:
    """The path of the API that lists objects like it."""
    version = obj["apiVersion"]
    home = f"/namespaces/{obj['metadata'].get('namespace', namespace)}" if _is_namespaced(obj) else ""
    return f"/{'apis' if '/' in version else 'api'}/{version}{home}/{plural(obj)}"

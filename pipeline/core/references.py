"""What an object names: the ConfigMaps, Secrets, accounts, volumes, roles and routes that it rests on.

Pure, and the same for validation (does the key exist?), ordering (apply what is named first) and the
check for missing references. Malformed fields name nothing: telling of them is the server's dry run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeGuard

from pipeline.model.objects import FieldPath, Json, Object, ObjectRef, get_path

APPS = "apps"
RBAC = "rbac.authorization.k8s.io"
NETWORKING = "networking.k8s.io"
GATEWAY = "gateway.networking.k8s.io"
ADMISSION = "admissionregistration.k8s.io"


class Use(StrEnum):
    """What an object is named for. ``config``, ``identity``, ``storage`` and ``class`` are needed for a
    pod to start; ``role``, ``route`` and ``scale`` only matter for the order."""

    CONFIG = "config"
    IDENTITY = "identity"
    STORAGE = "storage"
    ROLE = "role"
    ROUTE = "route"
    SCALE = "scale"
    CLASS = "class"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One object that another one names.

    ``path`` is the field that holds the name, or the key where ``key`` is given; ``optional`` is true
    where the object works, or is meant to wait, without its target.
    """

    target: ObjectRef
    path: FieldPath
    key: str | None = None
    optional: bool = False
    kind: Use = Use.CONFIG


POD_SPECS: dict[tuple[str, str], FieldPath] = {
    ("", "Pod"): ("spec",),
    ("", "PodTemplate"): ("template", "spec"),
    ("", "ReplicationController"): ("spec", "template", "spec"),
    (APPS, "Deployment"): ("spec", "template", "spec"),
    (APPS, "ReplicaSet"): ("spec", "template", "spec"),
    (APPS, "StatefulSet"): ("spec", "template", "spec"),
    (APPS, "DaemonSet"): ("spec", "template", "spec"),
    ("batch", "Job"): ("spec", "template", "spec"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template", "spec"),
    ("argoproj.io", "Rollout"): ("spec", "template", "spec"),
}
"""Where the kinds that make pods keep the pod's spec."""


def pod_spec_path(obj: Object) -> FieldPath | None:
    """Where ``obj`` keeps a pod's spec, or None for an object that makes no pods."""
    return POD_SPECS.get(ObjectRef.of(obj).group_kind)


def references(obj: Object) -> list[Reference]:
    """Every object that ``obj`` names, in the order of its fields; the same target once a field.

    Names without a namespace are of the namespace of ``obj``: fill in defaults before.
    """
    ref = ObjectRef.of(obj)
    found: list[Reference] = []
    pod_path = POD_SPECS.get(ref.group_kind)
    if pod_path is not None:
        found += _pod(get_path(obj, *pod_path), pod_path, ref.namespace)
    reader = _READERS.get(ref.group_kind)
    if reader is not None:
        found += reader(obj, ref.namespace)
    return [reference for reference in found if reference.target != ref]


# --- steps through JSON that may be malformed


def _is_name(value: Json) -> TypeGuard[str]:
    return isinstance(value, str) and value != ""


def _items(parent: Json, path: FieldPath, *steps: str) -> Iterator[tuple[dict[str, Any], FieldPath]]:
    """The mappings of the list at ``steps`` below ``parent``, each with its path."""
    items = get_path(parent, *steps)
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield item, (*path, *steps, index)


def _named(
    holder: Json,
    path: FieldPath,
    group_kind: tuple[str, str],
    namespace: str,
    use: Use,
    *,
    field: str = "name",
    optional: bool = False,
) -> Iterator[Reference]:
    """The object that ``holder[field]`` names, if it names one."""
    name = get_path(holder, field)
    if _is_name(name):
        optional = optional or get_path(holder, "optional") is True
        yield Reference(
            target=ObjectRef(*group_kind, namespace, name),
            path=(*path, field),
            optional=optional,
            kind=use,
        )


def _typed(
    holder: Json, path: FieldPath, namespace: str, use: Use, *, optional: bool = False
) -> Iterator[Reference]:
    """A reference that says its own kind, by ``apiVersion`` or ``apiGroup``; ``namespace`` as default."""
    kind = get_path(holder, "kind")
    if not _is_name(kind):
        return
    group = get_path(holder, "apiGroup", default="")
    if not group:
        group = str(get_path(holder, "apiVersion", default="")).rpartition("/")[0]
    yield from _named(holder, path, (str(group), kind), namespace, use, optional=optional)


# --- pods

_CONFIG_KINDS = {"configMap": "ConfigMap", "secret": "Secret"}


def _pod(spec: Json, path: FieldPath, namespace: str) -> Iterator[Reference]:
    """What a pod's spec names."""
    account = "serviceAccountName" if get_path(spec, "serviceAccountName") else "serviceAccount"
    # Every namespace has the account "default"; a controller makes it.
    if get_path(spec, account) != "default":
        yield from _named(spec, path, ("", "ServiceAccount"), namespace, Use.IDENTITY, field=account)
    for item, at in _items(spec, path, "imagePullSecrets"):
        yield from _named(item, at, ("", "Secret"), namespace, Use.CONFIG)
    for field, group, kind in (
        ("priorityClassName", "scheduling.k8s.io", "PriorityClass"),
        ("runtimeClassName", "node.k8s.io", "RuntimeClass"),
    ):
        yield from _named(spec, path, (group, kind), "", Use.CLASS, field=field)
    for containers in ("initContainers", "containers", "ephemeralContainers"):
        for container, at in _items(spec, path, containers):
            yield from _container(container, at, namespace)
    for volume, at in _items(spec, path, "volumes"):
        yield from _volume(volume, at, namespace)
    for claim, at in _items(spec, path, "resourceClaims"):
        for field, kind in (
            ("resourceClaimName", "ResourceClaim"),
            ("resourceClaimTemplateName", "ResourceClaimTemplate"),
        ):
            yield from _named(claim, at, ("resource.k8s.io", kind), namespace, Use.STORAGE, field=field)


def _container(container: Json, path: FieldPath, namespace: str) -> Iterator[Reference]:
    for source, at in _items(container, path, "envFrom"):
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            yield from _named(get_path(source, field), (*at, field), ("", kind), namespace, Use.CONFIG)
    for variable, at in _items(container, path, "env"):
        for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            chosen = get_path(variable, "valueFrom", field)
            yield from _with_keys(chosen, (*at, "valueFrom", field), kind, namespace)


def _with_keys(
    holder: Json, path: FieldPath, kind: str, namespace: str, *, field: str = "name"
) -> Iterator[Reference]:
    """A ConfigMap or Secret with the keys of it that are read: ``key``, or those of ``items``."""
    for whole in _named(holder, path, ("", kind), namespace, Use.CONFIG, field=field):
        yield whole
        keys = [(get_path(holder, "key"), (*path, "key"))]
        keys += [(get_path(item, "key"), (*at, "key")) for item, at in _items(holder, path, "items")]
        for key, at in keys:
            if _is_name(key):
                yield Reference(
                    target=whole.target, path=at, key=key, optional=whole.optional, kind=Use.CONFIG
                )


_VOLUME_SECRETS = (
    ("csi", "nodePublishSecretRef"),
    ("iscsi", "secretRef"),
    ("flexVolume", "secretRef"),
    ("cephfs", "secretRef"),
    ("rbd", "secretRef"),
)


def _volume(volume: Json, path: FieldPath, namespace: str) -> Iterator[Reference]:
    yield from _with_keys(get_path(volume, "configMap"), (*path, "configMap"), "ConfigMap", namespace)
    yield from _with_keys(
        get_path(volume, "secret"), (*path, "secret"), "Secret", namespace, field="secretName"
    )
    for source, at in _items(volume, path, "projected", "sources"):
        for field, kind in _CONFIG_KINDS.items():
            yield from _with_keys(get_path(source, field), (*at, field), kind, namespace)
    claim = "persistentVolumeClaim"
    yield from _named(
        get_path(volume, claim),
        (*path, claim),
        ("", "PersistentVolumeClaim"),
        namespace,
        Use.STORAGE,
        field="claimName",
    )
    for steps in _VOLUME_SECRETS:
        yield from _named(get_path(volume, *steps), (*path, *steps), ("", "Secret"), namespace, Use.CONFIG)
    template: FieldPath = ("ephemeral", "volumeClaimTemplate", "spec")
    yield from _claim_spec(get_path(volume, *template), (*path, *template), namespace)


# --- everything else, one reader a kind


def _claim_spec(spec: Json, path: FieldPath, namespace: str) -> Iterator[Reference]:
    """A PersistentVolumeClaim's spec. Bound to a volume by name, its class need not exist."""
    bound = _is_name(get_path(spec, "volumeName"))
    yield from _named(
        spec,
        path,
        ("storage.k8s.io", "StorageClass"),
        "",
        Use.CLASS,
        field="storageClassName",
        optional=bound,
    )
    yield from _named(
        spec, path, ("", "PersistentVolume"), "", Use.STORAGE, field="volumeName", optional=True
    )
    for field in ("dataSource", "dataSourceRef"):
        source = get_path(spec, field)
        home = get_path(source, "namespace", default=namespace)
        yield from _typed(source, (*path, field), str(home), Use.STORAGE)


def _claim(obj: Object, namespace: str) -> Iterator[Reference]:
    yield from _claim_spec(get_path(obj, "spec"), ("spec",), namespace)


def _volume_object(obj: Object, namespace: str) -> Iterator[Reference]:
    """A PersistentVolume: its class is only a label that claims are matched by."""
    spec = get_path(obj, "spec")
    yield from _named(
        spec,
        ("spec",),
        ("storage.k8s.io", "StorageClass"),
        "",
        Use.CLASS,
        field="storageClassName",
        optional=True,
    )


def _stateful_set(obj: Object, namespace: str) -> Iterator[Reference]:
    spec = get_path(obj, "spec")
    # Pods start without their headless Service; they only have no DNS names.
    yield from _named(
        spec, ("spec",), ("", "Service"), namespace, Use.ROUTE, field="serviceName", optional=True
    )
    for template, at in _items(spec, ("spec",), "volumeClaimTemplates"):
        yield from _claim_spec(get_path(template, "spec"), (*at, "spec"), namespace)


def _binding(obj: Object, namespace: str) -> Iterator[Reference]:
    role = get_path(obj, "roleRef")
    home = namespace if get_path(role, "kind") == "Role" else ""
    kind = get_path(role, "kind", default="")
    yield from _named(role, ("roleRef",), (RBAC, str(kind)), home, Use.ROLE)
    for subject, at in _items(obj, (), "subjects"):
        if subject.get("kind") == "ServiceAccount":
            there = get_path(subject, "namespace", default=namespace)
            # A binding may be written before the account that it is for.
            yield from _named(subject, at, ("", "ServiceAccount"), str(there), Use.IDENTITY, optional=True)


def _account(obj: Object, namespace: str) -> Iterator[Reference]:
    for field in ("secrets", "imagePullSecrets"):
        for item, at in _items(obj, (), field):
            yield from _named(item, at, ("", "Secret"), namespace, Use.CONFIG, optional=True)


def _backend(backend: Json, path: FieldPath, namespace: str) -> Iterator[Reference]:
    yield from _named(get_path(backend, "service"), (*path, "service"), ("", "Service"), namespace, Use.ROUTE)
    yield from _typed(get_path(backend, "resource"), (*path, "resource"), namespace, Use.ROUTE)


def _ingress(obj: Object, namespace: str) -> Iterator[Reference]:
    spec = get_path(obj, "spec")
    yield from _named(spec, ("spec",), (NETWORKING, "IngressClass"), "", Use.CLASS, field="ingressClassName")
    default = "defaultBackend"
    yield from _backend(get_path(spec, default), ("spec", default), namespace)
    for rule, at in _items(spec, ("spec",), "rules"):
        for entry, there in _items(rule, at, "http", "paths"):
            yield from _backend(get_path(entry, "backend"), (*there, "backend"), namespace)
    for entry, at in _items(spec, ("spec",), "tls"):
        # Certificate controllers write this Secret after they have seen the Ingress.
        yield from _named(entry, at, ("", "Secret"), namespace, Use.CONFIG, field="secretName", optional=True)


def _route(obj: Object, namespace: str) -> Iterator[Reference]:
    """Routes of the Gateway API: kinds and groups have defaults."""
    spec = get_path(obj, "spec")
    for parent, at in _items(spec, ("spec",), "parentRefs"):
        yield from _gateway_ref(parent, at, namespace, (GATEWAY, "Gateway"))
    for rule, at in _items(spec, ("spec",), "rules"):
        for backend, there in _items(rule, at, "backendRefs"):
            yield from _gateway_ref(backend, there, namespace, ("", "Service"))


def _gateway_ref(
    holder: Json, path: FieldPath, namespace: str, default: tuple[str, str]
) -> Iterator[Reference]:
    group = get_path(holder, "group", default=default[0])
    kind = get_path(holder, "kind", default=default[1])
    home = get_path(holder, "namespace", default=namespace)
    yield from _named(holder, path, (str(group), str(kind)), str(home), Use.ROUTE, optional=True)


def _gateway(obj: Object, namespace: str) -> Iterator[Reference]:
    spec = get_path(obj, "spec")
    yield from _named(spec, ("spec",), (GATEWAY, "GatewayClass"), "", Use.CLASS, field="gatewayClassName")


def _scaler(field: str) -> Reader:
    def read(obj: Object, namespace: str) -> Iterator[Reference]:
        yield from _typed(get_path(obj, "spec", field), ("spec", field), namespace, Use.SCALE)

    return read


def _service_of(holder: Json, path: FieldPath) -> Iterator[Reference]:
    """A Service that the API server itself calls; it says its namespace."""
    home = get_path(holder, "namespace")
    if _is_name(home):
        yield from _named(holder, path, ("", "Service"), home, Use.ROUTE)


def _webhooks(obj: Object, namespace: str) -> Iterator[Reference]:
    for hook, at in _items(obj, (), "webhooks"):
        service = get_path(hook, "clientConfig", "service")
        yield from _service_of(service, (*at, "clientConfig", "service"))


def _definition(obj: Object, namespace: str) -> Iterator[Reference]:
    path = ("spec", "conversion", "webhook", "clientConfig", "service")
    yield from _service_of(get_path(obj, *path), path)


def _api_service(obj: Object, namespace: str) -> Iterator[Reference]:
    yield from _service_of(get_path(obj, "spec", "service"), ("spec", "service"))


def _policy_binding(kind: str) -> Reader:
    def read(obj: Object, namespace: str) -> Iterator[Reference]:
        spec = get_path(obj, "spec")
        yield from _named(spec, ("spec",), (ADMISSION, kind), "", Use.ROLE, field="policyName")

    return read


Reader = Callable[[Object, str], Iterator[Reference]]

_READERS: dict[tuple[str, str], Reader] = {
    (APPS, "StatefulSet"): _stateful_set,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "PersistentVolume"): _volume_object,
    ("", "ServiceAccount"): _account,
    (RBAC, "RoleBinding"): _binding,
    (RBAC, "ClusterRoleBinding"): _binding,
    (NETWORKING, "Ingress"): _ingress,
    (GATEWAY, "Gateway"): _gateway,
    (GATEWAY, "HTTPRoute"): _route,
    (GATEWAY, "GRPCRoute"): _route,
    (GATEWAY, "TLSRoute"): _route,
    (GATEWAY, "TCPRoute"): _route,
    (GATEWAY, "UDPRoute"): _route,
    ("autoscaling", "HorizontalPodAutoscaler"): _scaler("scaleTargetRef"),
    ("autoscaling.k8s.io", "VerticalPodAutoscaler"): _scaler("targetRef"),
    (ADMISSION, "ValidatingWebhookConfiguration"): _webhooks,
    (ADMISSION, "MutatingWebhookConfiguration"): _webhooks,
    (ADMISSION, "ValidatingAdmissionPolicyBinding"): _policy_binding("ValidatingAdmissionPolicy"),
    (ADMISSION, "MutatingAdmissionPolicyBinding"): _policy_binding("MutatingAdmissionPolicy"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("apiregistration.k8s.io", "APIService"): _api_service,
}

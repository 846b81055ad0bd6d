"""What an object names: the ConfigMaps, Secrets, accounts, volumes, roles and routes that it rests on.

Pure, and the same for validation (does the key exist?), ordering (apply what is named first) and the
check for missing references. Malformed fields name nothing: telling of them is the server's dry run.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.core.custom_references import CUSTOM_READERS, provided_by, provides
from pipeline.core.named import Reader, Reference, Use, is_name, items, named, typed
from pipeline.core.pod_references import POD_SPECS, claim_spec, pod
from pipeline.model.objects import FieldPath, Json, Object, ObjectRef, get_path

__all__ = ["POD_SPECS", "Reference", "Use", "pod_spec_path", "provided_by", "provides", "references"]

APPS = "apps"
RBAC = "rbac.authorization.k8s.io"
NETWORKING = "networking.k8s.io"
GATEWAY = "gateway.networking.k8s.io"
ADMISSION = "admissionregistration.k8s.io"


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
        found += pod(get_path(obj, *pod_path), pod_path, ref.namespace)
    reader = _READERS.get(ref.group_kind)
    if reader is not None:
        found += reader(obj, ref.namespace)
    return [reference for reference in found if reference.target != ref]


# --- everything else, one reader a kind


def _claim(obj: Object, namespace: str) -> Iterator[Reference]:
    yield from claim_spec(get_path(obj, "spec"), ("spec",), namespace)


def _volume_object(obj: Object, namespace: str) -> Iterator[Reference]:
    """A PersistentVolume: its class is only a label that claims are matched by."""
    spec = get_path(obj, "spec")
    yield from named(
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
    yield from named(
        spec, ("spec",), ("", "Service"), namespace, Use.ROUTE, field="serviceName", optional=True
    )
    for template, at in items(spec, ("spec",), "volumeClaimTemplates"):
        yield from claim_spec(get_path(template, "spec"), (*at, "spec"), namespace)


def _binding(obj: Object, namespace: str) -> Iterator[Reference]:
    role = get_path(obj, "roleRef")
    home = namespace if get_path(role, "kind") == "Role" else ""
    kind = get_path(role, "kind", default="")
    yield from named(role, ("roleRef",), (RBAC, str(kind)), home, Use.ROLE)
    for subject, at in items(obj, (), "subjects"):
        if subject.get("kind") == "ServiceAccount":
            there = get_path(subject, "namespace", default=namespace)
            # A binding may be written before the account that it is for.
            account = ("", "ServiceAccount")
            yield from named(subject, at, account, str(there), Use.IDENTITY, optional=True, soft=True)


def _account(obj: Object, namespace: str) -> Iterator[Reference]:
    for field in ("secrets", "imagePullSecrets"):
        for item, at in items(obj, (), field):
            yield from named(item, at, ("", "Secret"), namespace, Use.CONFIG, optional=True, soft=True)


def _backend(backend: Json, path: FieldPath, namespace: str) -> Iterator[Reference]:
    yield from named(get_path(backend, "service"), (*path, "service"), ("", "Service"), namespace, Use.ROUTE)
    yield from typed(get_path(backend, "resource"), (*path, "resource"), namespace, Use.ROUTE)


def _ingress(obj: Object, namespace: str) -> Iterator[Reference]:
    spec = get_path(obj, "spec")
    yield from named(spec, ("spec",), (NETWORKING, "IngressClass"), "", Use.CLASS, field="ingressClassName")
    default = "defaultBackend"
    yield from _backend(get_path(spec, default), ("spec", default), namespace)
    for rule, at in items(spec, ("spec",), "rules"):
        for entry, there in items(rule, at, "http", "paths"):
            yield from _backend(get_path(entry, "backend"), (*there, "backend"), namespace)
    for entry, at in items(spec, ("spec",), "tls"):
        # Certificate controllers write this Secret after they have seen the Ingress.
        yield from named(entry, at, ("", "Secret"), namespace, Use.CONFIG, field="secretName", optional=True)


def _route(obj: Object, namespace: str) -> Iterator[Reference]:
    """Routes of the Gateway API: kinds and groups have defaults."""
    spec = get_path(obj, "spec")
    for parent, at in items(spec, ("spec",), "parentRefs"):
        yield from _gateway_ref(parent, at, namespace, (GATEWAY, "Gateway"))
    for rule, at in items(spec, ("spec",), "rules"):
        for backend, there in items(rule, at, "backendRefs"):
            yield from _gateway_ref(backend, there, namespace, ("", "Service"))


def _gateway_ref(
    holder: Json, path: FieldPath, namespace: str, default: tuple[str, str]
) -> Iterator[Reference]:
    group = get_path(holder, "group", default=default[0])
    kind = get_path(holder, "kind", default=default[1])
    home = get_path(holder, "namespace", default=namespace)
    yield from named(holder, path, (str(group), str(kind)), str(home), Use.ROUTE, optional=True)


def _gateway(obj: Object, namespace: str) -> Iterator[Reference]:
    spec = get_path(obj, "spec")
    yield from named(spec, ("spec",), (GATEWAY, "GatewayClass"), "", Use.CLASS, field="gatewayClassName")


def _scaler(field: str) -> Reader:
    def read(obj: Object, namespace: str) -> Iterator[Reference]:
        yield from typed(get_path(obj, "spec", field), ("spec", field), namespace, Use.SCALE)

    return read


def _service_of(holder: Json, path: FieldPath, *, soft: bool = False) -> Iterator[Reference]:
    """A Service that the API server itself calls; it says its namespace.

    Not soft but for conversions, which are only called for objects of other versions: the server calls
    a webhook as soon as its configuration stands.
    """
    home = get_path(holder, "namespace")
    if is_name(home):
        yield from named(holder, path, ("", "Service"), home, Use.ROUTE, soft=soft)


def _webhooks(obj: Object, namespace: str) -> Iterator[Reference]:
    for hook, at in items(obj, (), "webhooks"):
        service = get_path(hook, "clientConfig", "service")
        yield from _service_of(service, (*at, "clientConfig", "service"))


def _definition(obj: Object, namespace: str) -> Iterator[Reference]:
    path = ("spec", "conversion", "webhook", "clientConfig", "service")
    yield from _service_of(get_path(obj, *path), path, soft=True)


def _api_service(obj: Object, namespace: str) -> Iterator[Reference]:
    yield from _service_of(get_path(obj, "spec", "service"), ("spec", "service"))


def _network_policy(obj: Object, namespace: str) -> Iterator[Reference]:
    """The namespaces that it lets in or out by name: by the label that every namespace has."""
    spec = get_path(obj, "spec")
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for rule, at in items(spec, ("spec",), direction):
            for peer, there in items(rule, at, side):
                yield from _named_namespaces(peer, there)


def _named_namespaces(peer: Json, path: FieldPath) -> Iterator[Reference]:
    selector, labels = (*path, "namespaceSelector"), get_path(peer, "namespaceSelector", "matchLabels")
    found = [(get_path(labels, NAME_LABEL), (*selector, "matchLabels", NAME_LABEL))]
    for wanted, at in items(peer, path, "namespaceSelector", "matchExpressions"):
        if (wanted.get("key"), wanted.get("operator")) == (NAME_LABEL, "In"):
            values = wanted.get("values")
            names = values if isinstance(values, list) else []
            found += [(name, (*at, "values", index)) for index, name in enumerate(names)]
    for name, at in found:
        if is_name(name):
            target = ObjectRef("", "Namespace", "", name)
            yield Reference(target=target, path=at, optional=True, kind=Use.PEER, soft=True)


NAME_LABEL = "kubernetes.io/metadata.name"
"""The API server sets it on every namespace (kubernetes.io, well-known labels)."""


def _policy_binding(kind: str) -> Reader:
    def read(obj: Object, namespace: str) -> Iterator[Reference]:
        spec = get_path(obj, "spec")
        yield from named(spec, ("spec",), (ADMISSION, kind), "", Use.ROLE, field="policyName")

    return read


_READERS: dict[tuple[str, str], Reader] = CUSTOM_READERS | {
    (APPS, "StatefulSet"): _stateful_set,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "PersistentVolume"): _volume_object,
    ("", "ServiceAccount"): _account,
    (RBAC, "RoleBinding"): _binding,
    (RBAC, "ClusterRoleBinding"): _binding,
    (NETWORKING, "Ingress"): _ingress,
    (NETWORKING, "NetworkPolicy"): _network_policy,
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

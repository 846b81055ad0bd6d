"""What widespread custom resources name, and what they bring into being.

Fields and defaults as their projects document them: cert-manager.io/v1, external-secrets.io/v1,
keda.sh/v1alpha1, networking.istio.io/v1, bitnami.com/v1alpha1 (Sealed Secrets).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pipeline.core.named import Reader, Reference, Use, is_name, items, named
from pipeline.model.objects import FieldPath, Json, Manifest, Object, ObjectRef, get_path
from pipeline.model.plan import Strength

_CERT_MANAGER = "cert-manager.io"
_EXTERNAL_SECRETS = "external-secrets.io"
_KEDA = "keda.sh"
_ISTIO = "networking.istio.io"
_SECRET = ("", "Secret")


def _typed_or(
    holder: Json,
    path: FieldPath,
    default: tuple[str, str],
    namespace: str,
    strength: Strength = Strength.EXISTS,
) -> Iterator[Reference]:
    """A reference by ``group`` and ``kind``, each with a default. Kinds called Cluster… have no namespace."""
    group = str(get_path(holder, "group", default=default[0]))
    kind = str(get_path(holder, "kind", default=default[1]))
    home = "" if kind.startswith("Cluster") else namespace
    yield from named(holder, path, (group, kind), home, Use.SOURCE, strength=strength)


def _certificate(obj: Object, namespace: str) -> Iterator[Reference]:
    path = ("spec", "issuerRef")
    issuer = (_CERT_MANAGER, "Issuer")
    yield from _typed_or(get_path(obj, *path), path, issuer, namespace, Strength.READY)


def _external_secret(obj: Object, namespace: str) -> Iterator[Reference]:
    store = (_EXTERNAL_SECRETS, "SecretStore")
    yield from _typed_or(
        get_path(obj, "spec", "secretStoreRef"), ("spec", "secretStoreRef"), store, namespace
    )
    for field in ("data", "dataFrom"):
        for item, at in items(get_path(obj, "spec"), ("spec",), field):
            source = get_path(item, "sourceRef", "storeRef")
            yield from _typed_or(source, (*at, "sourceRef", "storeRef"), store, namespace)


def _scaled_object(obj: Object, namespace: str) -> Iterator[Reference]:
    target: FieldPath = ("spec", "scaleTargetRef")
    holder = get_path(obj, *target)
    group, _, _ = str(get_path(holder, "apiVersion", default="apps/v1")).rpartition("/")
    kind = str(get_path(holder, "kind", default="Deployment"))
    yield from named(holder, target, (group, kind), namespace, Use.SCALE)
    yield from _triggers(obj, namespace)


def _triggers(obj: Object, namespace: str) -> Iterator[Reference]:
    for trigger, at in items(get_path(obj, "spec"), ("spec",), "triggers"):
        login = get_path(trigger, "authenticationRef")
        default = (_KEDA, "TriggerAuthentication")
        yield from _typed_or(login, (*at, "authenticationRef"), default, namespace)


def _trigger_authentication(obj: Object, namespace: str) -> Iterator[Reference]:
    for item, at in items(get_path(obj, "spec"), ("spec",), "secretTargetRef"):
        yield from named(item, at, _SECRET, namespace, Use.SOURCE)


def _virtual_service(obj: Object, namespace: str) -> Iterator[Reference]:
    spec = get_path(obj, "spec")
    gateways = get_path(spec, "gateways")
    for index, written in enumerate(gateways if isinstance(gateways, list) else ()):
        # "mesh" stands for the sidecars, not for a Gateway.
        if is_name(written) and written != "mesh":
            home, _, name = written.rpartition("/")
            gateway = ObjectRef(_ISTIO, "Gateway", home or namespace, name)
            yield _route(gateway, ("spec", "gateways", index))
    for protocol in ("http", "tls", "tcp"):
        for rule, at in items(spec, ("spec",), protocol):
            for destination, there in items(rule, at, "route"):
                host = get_path(destination, "destination", "host")
                service = _service_of_host(host, namespace)
                if service is not None:
                    yield _route(service, (*there, "destination", "host"))


def _route(target: ObjectRef, path: FieldPath) -> Reference:
    return Reference(target=target, path=path, optional=True, kind=Use.ROUTE, soft=True)


def _service_of_host(host: Json, namespace: str) -> ObjectRef | None:
    """The Service of ``name``, ``name.namespace`` or ``name.namespace.svc[.domain]``; else None."""
    if not is_name(host):
        return None
    name, *rest = host.split(".")
    if len(rest) > 1 and rest[1] != "svc":
        return None
    return ObjectRef("", "Service", rest[0] if rest else namespace, name)


CUSTOM_READERS: dict[tuple[str, str], Reader] = {
    (_CERT_MANAGER, "Certificate"): _certificate,
    (_EXTERNAL_SECRETS, "ExternalSecret"): _external_secret,
    (_KEDA, "ScaledObject"): _scaled_object,
    (_KEDA, "ScaledJob"): _triggers,
    (_KEDA, "TriggerAuthentication"): _trigger_authentication,
    (_ISTIO, "VirtualService"): _virtual_service,
}


# --- what they bring


def provides(obj: Object) -> list[ObjectRef]:
    """The objects that a controller makes from ``obj``, and that others may name."""
    ref = ObjectRef.of(obj)
    field = _SECRET_NAMES.get(ref.group_kind)
    if field is None:
        return []
    # Merge fills a Secret that is there already, None writes none (external-secrets, creationPolicy).
    if get_path(obj, "spec", "target", "creationPolicy") in ("Merge", "None"):
        return []
    name = get_path(obj, *field)
    if not is_name(name):
        name = "" if ref.kind == "Certificate" else ref.name
    return [ObjectRef(*_SECRET, ref.namespace, name)] if name else []


def provided_by(manifests: Iterable[Manifest]) -> Mapping[ObjectRef, ObjectRef]:
    """For each object that something of the set brings, what brings it: the smallest, of several."""
    found: dict[ObjectRef, ObjectRef] = {}
    for manifest in manifests:
        if manifest.ref.group_kind in _SECRET_NAMES:
            for target in provides(manifest.body):
                found[target] = min(found.get(target, manifest.ref), manifest.ref)
    return found


_SECRET_NAMES: Mapping[tuple[str, str], FieldPath] = {
    (_CERT_MANAGER, "Certificate"): ("spec", "secretName"),
    (_EXTERNAL_SECRETS, "ExternalSecret"): ("spec", "target", "name"),
    ("bitnami.com", "SealedSecret"): ("spec", "template", "metadata", "name"),
}
"""The kinds that make a Secret, and the field with its name; by default it is called like them."""

"""What a pod's spec names, wherever an object keeps one."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.core.named import Reference, Use, is_name, items, named, typed
from pipeline.model.objects import FieldPath, Json, get_path

POD_SPECS: dict[tuple[str, str], FieldPath] = {
    ("", "Pod"): ("spec",),
    ("", "PodTemplate"): ("template", "spec"),
    ("", "ReplicationController"): ("spec", "template", "spec"),
    ("apps", "Deployment"): ("spec", "template", "spec"),
    ("apps", "ReplicaSet"): ("spec", "template", "spec"),
    ("apps", "StatefulSet"): ("spec", "template", "spec"),
    ("apps", "DaemonSet"): ("spec", "template", "spec"),
    ("batch", "Job"): ("spec", "template", "spec"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template", "spec"),
    ("argoproj.io", "Rollout"): ("spec", "template", "spec"),
    ("apps.kruise.io", "CloneSet"): ("spec", "template", "spec"),
    ("apps.kruise.io", "StatefulSet"): ("spec", "template", "spec"),
    ("apps.kruise.io", "DaemonSet"): ("spec", "template", "spec"),
    ("keda.sh", "ScaledJob"): ("spec", "jobTargetRef", "template", "spec"),
    ("serving.knative.dev", "Service"): ("spec", "template", "spec"),
    ("serving.knative.dev", "Configuration"): ("spec", "template", "spec"),
}
"""Where the kinds that make pods keep the pod's spec."""

_CONFIG_KINDS = {"configMap": "ConfigMap", "secret": "Secret"}


def pod(spec: Json, path: FieldPath, namespace: str) -> Iterator[Reference]:
    """What a pod's spec names."""
    account = "serviceAccountName" if get_path(spec, "serviceAccountName") else "serviceAccount"
    # Every namespace has the account "default"; a controller makes it.
    if get_path(spec, account) != "default":
        yield from named(spec, path, ("", "ServiceAccount"), namespace, Use.IDENTITY, field=account)
    for item, at in items(spec, path, "imagePullSecrets"):
        yield from named(item, at, ("", "Secret"), namespace, Use.CONFIG)
    for field, group, kind in (
        ("priorityClassName", "scheduling.k8s.io", "PriorityClass"),
        ("runtimeClassName", "node.k8s.io", "RuntimeClass"),
    ):
        yield from named(spec, path, (group, kind), "", Use.CLASS, field=field)
    for containers in ("initContainers", "containers", "ephemeralContainers"):
        for container, at in items(spec, path, containers):
            yield from _container(container, at, namespace)
    for volume, at in items(spec, path, "volumes"):
        yield from _volume(volume, at, namespace)
    for claim, at in items(spec, path, "resourceClaims"):
        for field, kind in (
            ("resourceClaimName", "ResourceClaim"),
            ("resourceClaimTemplateName", "ResourceClaimTemplate"),
        ):
            yield from named(claim, at, ("resource.k8s.io", kind), namespace, Use.STORAGE, field=field)


def _container(container: Json, path: FieldPath, namespace: str) -> Iterator[Reference]:
    for source, at in items(container, path, "envFrom"):
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            yield from named(get_path(source, field), (*at, field), ("", kind), namespace, Use.CONFIG)
    for variable, at in items(container, path, "env"):
        for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            chosen = get_path(variable, "valueFrom", field)
            yield from _with_keys(chosen, (*at, "valueFrom", field), kind, namespace)


def _with_keys(
    holder: Json, path: FieldPath, kind: str, namespace: str, *, field: str = "name"
) -> Iterator[Reference]:
    """A ConfigMap or Secret with the keys of it that are read: ``key``, or those of ``items``."""
    for whole in named(holder, path, ("", kind), namespace, Use.CONFIG, field=field):
        yield whole
        keys = [(get_path(holder, "key"), (*path, "key"))]
        keys += [(get_path(item, "key"), (*at, "key")) for item, at in items(holder, path, "items")]
        for key, at in keys:
            if is_name(key):
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
    for source, at in items(volume, path, "projected", "sources"):
        for field, kind in _CONFIG_KINDS.items():
            yield from _with_keys(get_path(source, field), (*at, field), kind, namespace)
    claim = "persistentVolumeClaim"
    yield from named(
        get_path(volume, claim),
        (*path, claim),
        ("", "PersistentVolumeClaim"),
        namespace,
        Use.STORAGE,
        field="claimName",
    )
    for steps in _VOLUME_SECRETS:
        yield from named(get_path(volume, *steps), (*path, *steps), ("", "Secret"), namespace, Use.CONFIG)
    template: FieldPath = ("ephemeral", "volumeClaimTemplate", "spec")
    yield from claim_spec(get_path(volume, *template), (*path, *template), namespace)


def claim_spec(spec: Json, path: FieldPath, namespace: str) -> Iterator[Reference]:
    """A PersistentVolumeClaim's spec. Bound to a volume by name, its class need not exist."""
    bound = is_name(get_path(spec, "volumeName"))
    yield from named(
        spec,
        path,
        ("storage.k8s.io", "StorageClass"),
        "",
        Use.CLASS,
        field="storageClassName",
        optional=bound,
    )
    yield from named(spec, path, ("", "PersistentVolume"), "", Use.STORAGE, field="volumeName", optional=True)
    for field in ("dataSource", "dataSourceRef"):
        source = get_path(spec, field)
        home = get_path(source, "namespace", default=namespace)
        yield from typed(source, (*path, field), str(home), Use.STORAGE)

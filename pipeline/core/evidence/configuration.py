"""What a container's configuration names and the kubelet does not find, or does not allow."""

from __future__ import annotations

import re

from pipeline.core.evidence.scene import Container
from pipeline.core.reading import items, mapping, text
from pipeline.model.objects import FieldPath, Object
from pipeline.model.status import CauseCode, Evidence, Grade, Lack

_KINDS = {"configmap": "ConfigMap", "secret": "Secret"}

# A kubelet whose caches are not filled yet says so too (kubernetes pkg/kubelet).
_CACHE = re.compile(
    r"failed to sync .*cache|services have not yet been read|object \S+ not registered", re.IGNORECASE
)
_OBJECT = re.compile(r"\b(configmap|secret)s? \"([^\"]+)\" not found", re.IGNORECASE)
_KEY = re.compile(r"couldn't find key (\S+) in (ConfigMap|Secret) (?:[^/\s]+/)?([\w.-]+)", re.IGNORECASE)
# Of a volume; the name stands in the manifest only. kubernetes pkg/volume/{configmap,secret}
_VOLUME_KEY = re.compile(r"references non-existent (config|secret) key: (\S+)")

# kubernetes pkg/kubelet/kubelet_pods.go: makeMounts, and third_party/forked/golang/expansion
_SUB_PATH = re.compile(r"subPath for volumeMount \"([^\"]+)\"")
_UNSET = re.compile(r"missing value for (\S+)")
_USER = re.compile(r"runAsNonRoot|non-root|run as root", re.IGNORECASE)
_USER_HINT = "set securityContext.runAsUser to a number other than 0, or build the image with such a USER"

_SOURCES = {
    "env": {"ConfigMap": "configMapKeyRef", "Secret": "secretKeyRef"},
    "envFrom": {"ConfigMap": "configMapRef", "Secret": "secretRef"},
}


def of_configuration(container: Container, message: str) -> Evidence:
    """CreateContainerConfigError (kubernetes pkg/kubelet/kuberuntime) with the field that is to blame."""
    lacks = lack(message)
    field, hint = (_reference(container.spec, lacks), "") if lacks else _own_fault(container.spec, message)
    return container.evidence(
        CauseCode.CONTAINER_CONFIG_MISSING,
        Grade.TRANSIENT if _CACHE.search(message) else Grade.PROBABLE,
        f"{container.title} cannot be configured: {message or 'the kubelet does not say why'}",
        f"CreateContainerConfigError: {message}",
        field=field,
        lacks=lacks,
        hint=hint,
    )


def _own_fault(spec: Object, message: str) -> tuple[FieldPath, str]:
    """The field, and a hint, where nothing is missing but the container's own fields do not fit."""
    if _USER.search(message):
        return ("securityContext",), _USER_HINT
    if found := _SUB_PATH.search(message):
        hint = "correct subPath: a path within the volume, without .. or a symbolic link out of it"
        return _mount(spec, "name", found.group(1)), hint
    if found := _UNSET.search(message):
        name = found.group(1)
        hint = f"give the container an environment variable {name}, as subPathExpr uses it"
        return _mount(spec, "subPathExpr", f"$({name})"), hint
    return (), ""


def _mount(spec: Object, field: str, words: str) -> FieldPath:
    """The volumeMount whose ``field`` holds these words."""
    mounts = enumerate(items(spec, "volumeMounts"))
    return next((("volumeMounts", i) for i, mount in mounts if words in text(mount, field)), ())


def lack(message: str) -> Lack | None:
    """The ConfigMap, Secret or key that the kubelet's words say is not there."""
    if found := _OBJECT.search(message):
        return Lack(_KINDS[found.group(1).lower()], found.group(2))
    if found := _KEY.search(message):
        return Lack(_KINDS[found.group(2).lower()], found.group(3), found.group(1))
    return None


def volume_lack(message: str, volume: Object) -> Lack | None:
    """The same of a volume that cannot be mounted."""
    found = _VOLUME_KEY.search(message)
    if found is None:
        return lack(message)
    if found.group(1) == "config":
        return _named(Lack("ConfigMap", text(volume, "configMap", "name"), found.group(2)))
    return _named(Lack("Secret", text(volume, "secret", "secretName"), found.group(2)))


def _named(found: Lack) -> Lack | None:
    # A projected volume has several sources, and the kubelet does not say which.
    return found if found.name else None


def _reference(spec: Object, lacks: Lack) -> FieldPath:
    """The entry of ``env`` or ``envFrom`` that names it; the key itself where only that is missing."""
    for field, kinds in _SOURCES.items():
        kind = kinds[lacks.kind]
        for index, entry in enumerate(items(spec, field)):
            source = mapping(entry, "valueFrom", kind) if field == "env" else mapping(entry, kind)
            if text(source, "name") != lacks.name:
                continue
            if not lacks.key:
                return (field, index)
            if field == "env" and text(source, "key") == lacks.key:
                return (field, index, "valueFrom", kind, "key")
    return ()

"""What a container's configuration names and the kubelet does not find, or does not allow."""

from __future__ import annotations

import re

from pipeline.core.evidence.scene import Container
from pipeline.core.reading import items, mapping, text
from pipeline.model.objects import FieldPath, Object
from pipeline.model.status import CauseCode, Evidence, Grade, Lack

_KINDS = {"configmap": "ConfigMap", "secret": "Secret"}

# A kubelet whose cache is not filled yet says so too.
_CACHE = re.compile(r"failed to sync .*cache", re.IGNORECASE)
_OBJECT = re.compile(r"\b(configmap|secret)s? \"([^\"]+)\" not found", re.IGNORECASE)
_KEY = re.compile(r"couldn't find key (\S+) in (ConfigMap|Secret) (?:[^/\s]+/)?([\w.-]+)", re.IGNORECASE)
# Of a volume; the name stands in the manifest only. kubernetes pkg/volume/{configmap,secret}
_VOLUME_KEY = re.compile(r"references non-existent (config|secret) key: (\S+)")

_USER = re.compile(r"runAsNonRoot|non-root|run as root", re.IGNORECASE)
_USER_HINT = "set securityContext.runAsUser to a number other than 0, or build the image with such a USER"

_SOURCES = {
    "env": {"ConfigMap": "configMapKeyRef", "Secret": "secretKeyRef"},
    "envFrom": {"ConfigMap": "configMapRef", "Secret": "secretRef"},
}


def of_configuration(container: Container, message: str) -> Evidence:
    """CreateContainerConfigError (kubernetes pkg/kubelet/kuberuntime) with the field that is to blame."""
    lacks = lack(message)
    is_user = lacks is None and _USER.search(message) is not None
    return container.evidence(
        CauseCode.CONTAINER_CONFIG_MISSING,
        Grade.TRANSIENT if _CACHE.search(message) else Grade.PROBABLE,
        f"{container.title} cannot be configured: {message or 'the kubelet does not say why'}",
        f"CreateContainerConfigError: {message}",
        field=("securityContext",) if is_user else _reference(container.spec, lacks),
        lacks=lacks,
        hint=_USER_HINT if is_user else "",
    )


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


def _reference(spec: Object, lacks: Lack | None) -> FieldPath:
    """The entry of ``env`` or ``envFrom`` that names it; the key itself where only that is missing."""
    if lacks is None:
        return ()
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

"""Rules for pods and Services that no schema says and the API server holds: names, ports, what must agree.

Source of the rules: k8s.io/kubernetes pkg/apis/core/validation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pipeline.core.at_field import error, warning
from pipeline.core.predict.facts import Workload, workload_of
from pipeline.core.predict.selection import port_hint, port_names
from pipeline.core.schema import nearest, shown
from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Json, Manifest, get_path

_PORT_NAME: Final = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")
_PORT_NAME_WORDS: Final = "lower-case letters, digits and -, at most 15, a letter among them"
_NAME: Final = re.compile(r"(?=.{1,63}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_ENDING: Final = ("OnFailure", "Never")
_STAYING: Final = ("Always",)
_RESTARTS: Final = {
    ("batch", "Job"): _ENDING,
    ("batch", "CronJob"): _ENDING,
    **dict.fromkeys(
        (("apps", k) for k in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")), _STAYING
    ),
}
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")


def pod_problems(manifest: Manifest) -> Iterator[Problem]:
    """What is wrong with the ports of a Service, or with the pods that an object makes."""
    if manifest.ref.group_kind == ("", "Service"):
        yield from _service(manifest)
    if manifest.ref.group_kind == ("batch", "CronJob"):
        yield from _schedule(manifest)
    workload = workload_of(manifest)
    if workload is not None:
        yield from _restarts(workload)
        yield from _containers(workload)


def _schedule(manifest: Manifest) -> Iterator[Problem]:
    schedule = get_path(manifest.body, "spec", "schedule")
    if isinstance(schedule, str) and not schedule.startswith("@") and len(schedule.split()) != 5:
        message = f"the schedule {shown(schedule)} has {len(schedule.split())} fields, not 5"
        hint = "minute hour day-of-month month day-of-week, for instance 0 3 * * 1"
        yield error(manifest, ("spec", "schedule"), "bad-value", message, hint)


def _restarts(workload: Workload) -> Iterator[Problem]:
    """What becomes of pods that end is a matter of their controller, but for those of a Job."""
    policy = get_path(workload.spec, "restartPolicy")
    allowed = _RESTARTS.get(workload.ref.group_kind)
    # Without one it is Always.
    if allowed is None or (policy or "Always") in allowed:
        return
    is_known = policy in ("Always", "OnFailure", "Never", None)
    if is_known:
        at = (*workload.path, "restartPolicy")
        message = f"restartPolicy is {policy or 'Always, as none is written'}"
        hint = f"write {' or '.join(allowed)}"
        yield error(workload.manifest, at, "bad-value", message, hint)


def _service(manifest: Manifest) -> Iterator[Problem]:
    entries = get_path(manifest.body, "spec", "ports")
    ports = entries if isinstance(entries, list) else []
    for index, port in enumerate(ports):
        at: FieldPath = ("spec", "ports", index)
        for field in ("port", "targetPort"):
            yield from _number(manifest, (*at, field), get_path(port, field))
        if len(ports) > 1 and isinstance(port, dict) and not port.get("name"):
            message = f"spec.ports[{index}] has no name, which each of several ports needs"
            yield error(manifest, at, "bad-port", message, "name it, for instance http")
    yield from _twice(manifest, [(port, ("spec", "ports", i)) for i, port in enumerate(ports)], "port")


def _containers(workload: Workload) -> Iterator[Problem]:
    manifest = workload.manifest
    containers = list(workload.containers())
    mounted = set(_volume_names(workload))
    yield from _twice(manifest, containers, "container")
    volumes = get_path(workload.spec, "volumes")
    for index, volume in enumerate(volumes if isinstance(volumes, list) else ()):
        yield from _named(manifest, (*workload.path, "volumes", index, "name"), get_path(volume, "name"))
    for container, path in containers:
        yield from _named(manifest, (*path, "name"), get_path(container, "name"))
        ports = get_path(container, "ports")
        for index, port in enumerate(ports if isinstance(ports, list) else ()):
            for field in ("containerPort", "hostPort"):
                yield from _number(manifest, (*path, "ports", index, field), get_path(port, field))
            yield from _port_name(manifest, (*path, "ports", index, "name"), get_path(port, "name"))
        yield from _mounts(manifest, container, path, mounted)
        yield from _probes(workload, container, path)


def _named(manifest: Manifest, path: FieldPath, name: Json) -> Iterator[Problem]:
    """Names of containers and volumes: labels of DNS."""
    if isinstance(name, str) and not _NAME.fullmatch(name):
        hint = "lower-case letters, digits and -, at most 63"
        noun = "volume" if path[-3] == "volumes" else "container"
        yield error(manifest, path, "bad-name", f"{shown(name)} is no name of a {noun}", hint)


def _number(manifest: Manifest, path: FieldPath, value: Json) -> Iterator[Problem]:
    # hostPort: 0 is as good as none.
    least = 0 if path[-1] == "hostPort" else 1
    if isinstance(value, int) and not isinstance(value, bool) and not least <= value <= 65535:
        yield error(manifest, path, "bad-port", f"{path[-1]} {value} is no port", "between 1 and 65535")
    elif isinstance(value, str) and path[-1] == "targetPort":
        yield from _port_name(manifest, path, value)


def _port_name(manifest: Manifest, path: FieldPath, value: Json) -> Iterator[Problem]:
    if not isinstance(value, str) or not value or _PORT_NAME.fullmatch(value):
        return
    hint = f"write {value} without quotes" if value.isdigit() else _PORT_NAME_WORDS
    yield error(manifest, path, "bad-port", f"{shown(value)} is no name of a port", hint)


def _twice(manifest: Manifest, entries: list[tuple[Json, FieldPath]], noun: str) -> Iterator[Problem]:
    """Names that must be unique: init containers among containers, and the ports of a Service."""
    seen: dict[str, FieldPath] = {}
    for entry, path in entries:
        name = get_path(entry, "name")
        if not isinstance(name, str) or not name:
            continue
        first = seen.setdefault(name, path)
        # Twice within one list of containers is against its schema, which tells it.
        if first != path and (noun == "port" or first[-2] != path[-2]):
            message = f"two {noun}s are called {shown(name)}"
            yield error(manifest, (*path, "name"), "duplicate-item", message, "give each a name of its own")


def _volume_names(workload: Workload) -> Iterator[str]:
    templates = get_path(workload.manifest.body, "spec", "volumeClaimTemplates")
    volumes = get_path(workload.spec, "volumes")
    for volume in volumes if isinstance(volumes, list) else ():
        yield str(get_path(volume, "name"))
    for template in templates if isinstance(templates, list) else ():
        yield str(get_path(template, "metadata", "name"))


def _mounts(manifest: Manifest, container: Json, path: FieldPath, volumes: set[str]) -> Iterator[Problem]:
    for field in ("volumeMounts", "volumeDevices"):
        mounts = get_path(container, field)
        for index, mount in enumerate(mounts if isinstance(mounts, list) else ()):
            name = get_path(mount, "name")
            if isinstance(name, str) and name not in volumes:
                near = nearest(name, sorted(volumes))
                hint = f"did you mean {near}?" if near else "add it to the pod's volumes"
                message = f"the pod has no volume {shown(name)}"
                yield error(manifest, (*path, field, index, "name"), "no-such-volume", message, hint)


def _probes(workload: Workload, container: Json, path: FieldPath) -> Iterator[Problem]:
    """A probe looks for a port's name in its own container only (pkg/probe, ``ResolveContainerPort``)."""
    ports = get_path(container, "ports")
    names = [get_path(port, "name") for port in (ports if isinstance(ports, list) else ())]
    for probe in _PROBES:
        for action in ("httpGet", "tcpSocket"):
            port = get_path(container, probe, action, "port")
            if isinstance(port, str) and not port.isdigit() and port not in names:
                hint = port_hint(port, port_names(workload))
                message = f"{probe} asks for port {shown(port)}, which is no port's name in its container"
                at = (*path, probe, action, "port")
                yield warning(workload.manifest, at, "no-such-port", message, hint)

"""Pods that Pod Security Admission refuses in their namespace, though it lets their workload pass.

For namespaces of the set that carry the label. Source of the rules: k8s.io/pod-security-admission v0.36.3,
package policy, in their newest version, which an ``enforce-version`` may only make milder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from pipeline.core.at_field import error
from pipeline.core.predict.facts import Workload
from pipeline.core.schema import shown
from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Json, Manifest, get_path, show_path

LABEL: Final = "pod-security.kubernetes.io/enforce"
_LEVELS: Final = ("privileged", "baseline", "restricted")

_CAPABILITIES: Final = frozenset(
    (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)
_SYSCTLS: Final = frozenset(
    (
        "kernel.shm_rmid_forced",
        *(f"net.ipv4.ip_{name}" for name in ("local_port_range", "unprivileged_port_start")),
        *(f"net.ipv4.{name}" for name in ("ip_local_reserved_ports", "ping_group_range")),
        *(f"net.ipv4.tcp_{name}" for name in ("syncookies", "fin_timeout", "rmem", "wmem")),
        *(f"net.ipv4.tcp_keepalive_{name}" for name in ("time", "intvl", "probes")),
    )
)
_SELINUX: Final = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
_VOLUMES: Final = frozenset(
    (
        *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim"),
        *("projected", "secret"),
    )
)
_APPARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
_HANDLERS: Final = (
    ("livenessProbe",),
    ("readinessProbe",),
    ("startupProbe",),
    ("lifecycle", "postStart"),
    ("lifecycle", "preStop"),
)
_CONTEXT: Final = "securityContext"


class _Breach(NamedTuple):
    """A field, what it is, and what it must be; the path begins at the object's root."""

    path: FieldPath
    text: str
    hint: str


class _Pod(NamedTuple):
    spec: Json
    path: FieldPath
    annotations: Json
    containers: Sequence[tuple[Json, FieldPath]]

    @property
    def is_windows(self) -> bool:
        return bool(get_path(self.spec, "os", "name") == "windows")

    @property
    def has_own_users(self) -> bool:
        """In a user namespace root is nobody outside: from 1.35 on some rules do not hold there."""
        return get_path(self.spec, "hostUsers", default=True) is False

    def contexts(self) -> Iterator[tuple[Json, FieldPath]]:
        """The security contexts of the pod and of each container, empty ones too."""
        for holder, path in ((self.spec, self.path), *self.containers):
            yield get_path(holder, _CONTEXT, default={}), (*path, _CONTEXT)

    def of_containers(self) -> Iterator[tuple[Json, FieldPath]]:
        for container, path in self.containers:
            yield get_path(container, _CONTEXT, default={}), (*path, _CONTEXT)


def pod_security_problems(namespaces: Iterable[Manifest], workloads: Iterable[Workload]) -> Iterator[Problem]:
    """Each field of a pod that the level of its namespace forbids; a level that is none, too."""
    levels: dict[str, str] = {}
    for namespace in namespaces:
        level = get_path(namespace.body, "metadata", "labels", LABEL)
        if level in _LEVELS:
            levels[namespace.ref.name] = str(level)
        elif isinstance(level, str):
            at = ("metadata", "labels", LABEL)
            message = f"{shown(level)} is no level of Pod Security"
            yield error(namespace, at, "bad-value", message, f"one of {', '.join(_LEVELS)}")
    for workload in workloads:
        level = levels.get(workload.ref.namespace, "")
        for breach in _breaches(_pod(workload), level):
            message = f"{breach.text}, which the level {level} of its namespace forbids"
            yield error(workload.manifest, breach.path, "pod-security", message, breach.hint)


def _pod(workload: Workload) -> _Pod:
    meta: FieldPath = (*workload.path[:-1], "metadata")
    annotations = get_path(workload.manifest.body, *meta, "annotations", default={})
    containers = list(workload.containers())
    return _Pod(workload.spec, workload.path, annotations, containers)


def _breaches(pod: _Pod, level: str) -> Iterator[_Breach]:
    """Once a field: the stricter level has rules that contain those of the milder one."""
    seen: set[FieldPath] = set()
    rules = {"baseline": _BASELINE, "restricted": (*_RESTRICTED, *_BASELINE)}.get(level, ())
    for rule in rules:
        for breach in rule(pod):
            if breach.path not in seen:
                seen.add(breach.path)
                yield breach


def _forbidden(path: FieldPath, value: Json, hint: str = "remove it") -> _Breach:
    return _Breach(path, f"{show_path(path)} is {_said(value)}", hint)


def _said(value: Json) -> str:
    return shown(value) if isinstance(value, str) else str(value).lower()


# --- baseline


def _host(pod: _Pod) -> Iterator[_Breach]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if get_path(pod.spec, field) is True:
            yield _forbidden((*pod.path, field), True)
    for context, path in pod.contexts():
        if get_path(context, "windowsOptions", "hostProcess") is True:
            yield _forbidden((*path, "windowsOptions", "hostProcess"), True)
    for container, path in pod.containers:
        ports = get_path(container, "ports")
        for index, port in enumerate(ports if isinstance(ports, list) else ()):
            if get_path(port, "hostPort"):
                yield _forbidden((*path, "ports", index, "hostPort"), port["hostPort"])


def _host_paths(pod: _Pod) -> Iterator[_Breach]:
    for volume, path in _volumes(pod):
        if get_path(volume, "hostPath") is not None:
            text = f"the volume {shown(str(volume.get('name')))} is a hostPath"
            yield _Breach((*path, "hostPath"), text, "use another kind of volume")


def _volumes(pod: _Pod) -> Iterator[tuple[Json, FieldPath]]:
    volumes = get_path(pod.spec, "volumes")
    for index, volume in enumerate(volumes if isinstance(volumes, list) else ()):
        if isinstance(volume, dict):
            yield volume, (*pod.path, "volumes", index)


def _privileged(pod: _Pod) -> Iterator[_Breach]:
    for context, path in pod.of_containers():
        if get_path(context, "privileged") is True:
            yield _forbidden((*path, "privileged"), True)


def _capabilities(pod: _Pod, allowed: frozenset[str] = _CAPABILITIES) -> Iterator[_Breach]:
    for context, path in pod.of_containers():
        added = get_path(context, "capabilities", "add")
        for index, name in enumerate(added if isinstance(added, list) else ()):
            if name not in allowed:
                at = (*path, "capabilities", "add", index)
                yield _Breach(at, f"{show_path(at)} adds {shown(str(name))}", "remove it")


def _profiles(pod: _Pod) -> Iterator[_Breach]:
    """AppArmor, SELinux and seccomp."""
    for key, value in pod.annotations.items() if isinstance(pod.annotations, dict) else ():
        mild = value == "" or value == "runtime/default" or str(value).startswith("localhost/")
        if key.startswith(_APPARMOR) and not mild:
            yield _forbidden((*pod.path[:-1], "metadata", "annotations", key), value, "runtime/default")
    for context, path in pod.contexts():
        armor = get_path(context, "appArmorProfile", "type")
        if armor is not None and armor not in ("RuntimeDefault", "Localhost"):
            yield _forbidden((*path, "appArmorProfile", "type"), armor, "RuntimeDefault or Localhost")
        if get_path(context, "seccompProfile", "type") == "Unconfined":
            yield _forbidden((*path, "seccompProfile", "type"), "Unconfined", "RuntimeDefault or Localhost")
        options = get_path(context, "seLinuxOptions")
        if (kind := get_path(options, "type", default="")) not in _SELINUX:
            yield _forbidden((*path, "seLinuxOptions", "type"), kind)
        for field in ("user", "role"):
            if value := get_path(options, field):
                yield _forbidden((*path, "seLinuxOptions", field), value)


def _proc(pod: _Pod) -> Iterator[_Breach]:
    return iter(()) if pod.has_own_users else _proc_strictly(pod)


def _proc_strictly(pod: _Pod) -> Iterator[_Breach]:
    for context, path in pod.of_containers():
        mount = get_path(context, "procMount", default="Default")
        if mount != "Default":
            yield _forbidden((*path, "procMount"), mount)


def _sysctls(pod: _Pod) -> Iterator[_Breach]:
    entries = get_path(pod.spec, _CONTEXT, "sysctls")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if (name := get_path(entry, "name")) not in _SYSCTLS:
            yield _forbidden((*pod.path, _CONTEXT, "sysctls", index, "name"), name)


def _handlers(pod: _Pod) -> Iterator[_Breach]:
    for container, path in pod.containers:
        for steps in _HANDLERS:
            for action in ("httpGet", "tcpSocket"):
                if host := get_path(container, *steps, action, "host"):
                    hint = "remove it: the pod's own address is asked"
                    yield _forbidden((*path, *steps, action, "host"), host, hint)


# --- restricted


def _volume_kinds(pod: _Pod) -> Iterator[_Breach]:
    for volume, path in _volumes(pod):
        # Without a kind it is an emptyDir.
        for kind in [key for key in volume if key != "name" and key not in _VOLUMES]:
            text = f"the volume {shown(str(volume.get('name')))} is a {shown(kind)}"
            yield _Breach((*path, kind), text, f"one of {', '.join(sorted(_VOLUMES))}")


def _escalation(pod: _Pod) -> Iterator[_Breach]:
    for context, path in pod.of_containers():
        if not pod.is_windows and get_path(context, "allowPrivilegeEscalation", default=True) is not False:
            yield _wanted((*path, "allowPrivilegeEscalation"), "false")


def _wanted(path: FieldPath, value: str) -> _Breach:
    return _Breach(path, f"{show_path(path)} is not {value}", f"set it to {value}")


def _not_root(pod: _Pod) -> Iterator[_Breach]:
    if pod.has_own_users:
        return
    of_pod = get_path(pod.spec, _CONTEXT, "runAsNonRoot")
    if of_pod is False:
        yield _wanted((*pod.path, _CONTEXT, "runAsNonRoot"), "true")
    for context, path in pod.of_containers():
        own = get_path(context, "runAsNonRoot")
        if own is False or (own is None and of_pod is None):
            yield _wanted((*path, "runAsNonRoot"), "true")
    for context, path in pod.contexts():
        user = get_path(context, "runAsUser")
        if user == 0 and user is not False:
            yield _forbidden((*path, "runAsUser"), user, "any user but 0")


def _seccomp(pod: _Pod) -> Iterator[_Breach]:
    if pod.is_windows or get_path(pod.spec, _CONTEXT, "seccompProfile", "type") is not None:
        return  # a wrong one is told by the milder level
    for context, path in pod.of_containers():
        if get_path(context, "seccompProfile", "type") is None:
            yield _wanted((*path, "seccompProfile", "type"), "RuntimeDefault")


def _few_capabilities(pod: _Pod) -> Iterator[_Breach]:
    if pod.is_windows:
        return
    for context, path in pod.of_containers():
        dropped = get_path(context, "capabilities", "drop")
        if not isinstance(dropped, list) or "ALL" not in dropped:
            at = (*path, "capabilities", "drop")
            yield _Breach(at, f"{show_path(at)} does not have ALL", "set it to [ALL]")
    yield from _capabilities(pod, frozenset({"NET_BIND_SERVICE"}))


_Rule = Callable[[_Pod], Iterator[_Breach]]

_BASELINE: Final[tuple[_Rule, ...]] = (
    _host,
    _host_paths,
    _privileged,
    _capabilities,
    _profiles,
    _proc,
    _sysctls,
    _handlers,
)
_RESTRICTED: Final[tuple[_Rule, ...]] = (
    _volume_kinds,
    _escalation,
    _not_root,
    _seccomp,
    _few_capabilities,
    _proc_strictly,
)

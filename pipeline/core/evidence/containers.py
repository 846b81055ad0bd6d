"""What one container of one pod shows: the kubelet's waiting reasons, exits, restarts, probes.

The waiting reasons are those of kubernetes 1.36 (pkg/kubelet/{images,container,kuberuntime}).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.core.evidence.events import EventIndex, Happening, one_line
from pipeline.core.evidence.images import GRADES, IMAGE_REASONS, SAID, image_cause, reason_cause
from pipeline.core.reading import items, mapping, number, ref_of, seconds, text, uid
from pipeline.model.objects import FieldPath, Object, ObjectRef, get_path
from pipeline.model.status import CauseCode, Evidence, Grade

ImageMemory = Mapping[tuple[str, str], str]
"""(pod uid, container) → the last words about its pull: ImagePullBackOff alone does not say why."""

_NOT_CREATED = frozenset(
    {
        "CreateContainerError",
        "RunContainerError",
        "PreCreateHookError",
        "PreStartHookError",
        "CreatePodSandboxError",
        "ConfigPodSandboxError",
    }
)
_CRASHED = frozenset({"CrashLoopBackOff", "PostStartHookError"})
_RECENT_S = 60.0  # a crash before this, in a container that runs again, is no longer news
_EXEC = re.compile(r"\bexec\b|stat /|runc|OCI runtime|container process", re.IGNORECASE)
_EXEC_FAILURES = (
    (CauseCode.IMAGE_PLATFORM_MISMATCH, re.compile(r"exec format error", re.IGNORECASE)),
    (
        CauseCode.COMMAND_NOT_FOUND,
        re.compile(r"executable file not found|exec: .*no such file or directory|no command specified", re.I),
    ),
    (CauseCode.COMMAND_NOT_EXECUTABLE, re.compile(r"exec: .*(permission denied|is a directory)", re.I)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What evidence is read against: the workload, its events, what was seen before, the time."""

    workload: Object
    events: EventIndex
    now: float
    memory: ImageMemory
    since: float | None = None

    @property
    def pod_path(self) -> FieldPath:
        """Where the pod's spec stands in the manifest."""
        return ("spec",) if text(self.workload, "kind") == "Pod" else ("spec", "template", "spec")


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container with its status, as seen in one pod. ``is_init`` is False for native sidecars."""

    pod: Object
    name: str
    image: str
    is_init: bool
    spec: Object
    status: Object
    path: FieldPath

    @property
    def restarts(self) -> int:
        return number(self.status, "restartCount")

    @property
    def exit(self) -> Object:
        """How it ended last; empty where it never did."""
        return mapping(self.status, "state", "terminated") or mapping(self.status, "lastState", "terminated")

    @property
    def title(self) -> str:
        return f"init container {self.name}" if self.is_init else f"container {self.name}"

    def evidence(
        self,
        code: CauseCode,
        grade: Grade,
        message: str,
        *details: str,
        count: int = 1,
        field: FieldPath = (),
    ) -> Evidence:
        return Evidence(
            code=code,
            grade=grade,
            message=message,
            details=tuple(dict.fromkeys(detail for detail in map(one_line, details) if detail)),
            count=count,
            path=(*self.path, *field),
            pod=self.ref,
            container=self.name,
        )

    @property
    def ref(self) -> ObjectRef:
        return ref_of(self.pod, "Pod")


def containers(pod: Object, scene: Scene) -> list[Container]:
    """All containers of a pod, init containers first. Ephemeral ones are a person's, not the rollout's."""
    found: list[Container] = []
    for field, statuses in (
        ("initContainers", "initContainerStatuses"),
        ("containers", "containerStatuses"),
    ):
        by_name = {text(s, "name"): s for s in items(pod, "status", statuses)}
        for index, spec in enumerate(items(pod, "spec", field)):
            name = text(spec, "name")
            found.append(
                Container(
                    pod=pod,
                    name=name,
                    image=text(spec, "image"),
                    is_init=field == "initContainers" and text(spec, "restartPolicy") != "Always",
                    spec=spec,
                    status=by_name.get(name, {}),
                    path=_path(scene, field, name, index),
                )
            )
    return found


def _path(scene: Scene, field: str, name: str, index: int) -> FieldPath:
    """By name: webhooks put containers of their own into the pod, and those are in no manifest."""
    written = items(scene.workload, *scene.pod_path, field)
    position = next((i for i, spec in enumerate(written) if text(spec, "name") == name), None)
    if position is None:
        return (*scene.pod_path, field)
    return (*scene.pod_path, field, position)


def of_container(container: Container, scene: Scene) -> Iterator[Evidence]:
    """The one thing that stands in this container's way, if any."""
    waiting = text(container.status, "state", "waiting", "reason")
    message = one_line(text(container.status, "state", "waiting", "message"))
    if waiting in IMAGE_REASONS:
        yield _image(container, waiting, message, scene)
    elif waiting == "CreateContainerConfigError":
        yield _config(container, message)
    elif waiting in _NOT_CREATED:
        yield _not_created(container, waiting, message)
    elif waiting in _CRASHED or _crashed_lately(container, scene):
        yield _crash(container, waiting, message, scene)
    elif "running" in mapping(container.status, "state") and container.status.get("ready") is False:
        yield from _not_ready(container, scene)


def remember(memory: ImageMemory, pods: list[Object]) -> dict[tuple[str, str], str]:
    """``memory`` with what these pods say about pulls now; pods that are gone are forgotten."""
    known: dict[tuple[str, str], str] = {}
    for pod in pods:
        specs = [*items(pod, "spec", "initContainers"), *items(pod, "spec", "containers")]
        images = {text(spec, "name"): text(spec, "image") for spec in specs}
        for status in (
            *items(pod, "status", "initContainerStatuses"),
            *items(pod, "status", "containerStatuses"),
        ):
            name = text(status, "name")
            key = (uid(pod), name)
            said = one_line(text(status, "state", "waiting", "message"))
            is_about_image = text(status, "state", "waiting", "reason") in IMAGE_REASONS
            if is_about_image and image_cause(said, images.get(name, "")):
                known[key] = said
            elif key in memory:
                known[key] = memory[key]
    return known


def _image(container: Container, reason: str, message: str, scene: Scene) -> Evidence:
    pulls = [
        h
        for h in scene.events.about(uid(container.pod), "Failed", "InspectFailed")
        if h.container in ("", container.name) and image_cause(h.message, container.image)
    ]
    told = [message, *(h.message for h in reversed(pulls))]
    remembered = scene.memory.get((uid(container.pod), container.name), "")
    code = reason_cause(reason)
    for words in (*told, remembered):
        code = code or image_cause(words, container.image)
    # Nothing tells why, yet: as with a registry that is down, time will.
    known = code or CauseCode.IMAGE_REGISTRY_UNAVAILABLE
    why = SAID[known] if code else "the kubelet does not say why yet"
    return container.evidence(
        known,
        GRADES[known],
        f"{container.title} cannot pull image {container.image}: {why}",
        *(f"{reason}: {message}" if message else reason, *(h.message for h in pulls[-1:]), remembered),
        count=max((h.count for h in pulls), default=1),
        field=("image",),
    )


def _config(container: Container, message: str) -> Evidence:
    """A reference that does not resolve; a kubelet whose cache is not filled yet says so too."""
    is_cache = re.search(r"failed to sync .*cache", message) is not None
    missing = re.search(r"(configmap|secret)s? \"([^\"]+)\" not found", message, re.IGNORECASE)
    key = re.search(r"couldn't find key (\S+) in (ConfigMap|Secret) (?:[^/\s]+/)?([\w.-]+)", message, re.I)
    name = missing.group(2) if missing else key.group(3) if key else ""
    return container.evidence(
        CauseCode.CONTAINER_CONFIG_MISSING,
        Grade.TRANSIENT if is_cache else Grade.PROBABLE,
        f"{container.title} cannot be configured: {message or 'the kubelet does not say why'}",
        f"CreateContainerConfigError: {message}",
        field=_reference(container.spec, name),
    )


def _reference(spec: Object, name: str) -> FieldPath:
    """The entry of ``env`` or ``envFrom`` that names the ConfigMap or Secret."""
    if not name:
        return ()
    for field, kinds in (
        ("env", ("configMapKeyRef", "secretKeyRef")),
        ("envFrom", ("configMapRef", "secretRef")),
    ):
        for index, entry in enumerate(items(spec, field)):
            source = mapping(entry, "valueFrom") if field == "env" else entry
            if any(text(source, kind, "name") == name for kind in kinds):
                return (field, index)
    return ()


def exec_failure(message: str) -> CauseCode | None:
    """What a runtime's message about starting a process says, if it is about that."""
    if not _EXEC.search(message) and "no command specified" not in message:
        return None
    return next((code for code, words in _EXEC_FAILURES if words.search(message)), None)


def _not_created(container: Container, reason: str, message: str) -> Evidence:
    code = exec_failure(message)
    if code:
        return container.evidence(
            code,
            Grade.TERMINAL,
            f"{container.title} cannot start {_command(container)}: {message}",
            f"{reason}: {message}",
            count=container.restarts,
            field=_command_field(container),
        )
    return container.evidence(
        CauseCode.CONTAINER_NOT_CREATED,
        Grade.TRANSIENT,
        f"{container.title} cannot be created: {message or reason}",
        f"{reason}: {message}",
    )


def _crashed_lately(container: Container, scene: Scene) -> bool:
    state = mapping(container.status, "state")
    if "terminated" in state:
        done = number(state, "terminated", "exitCode") == 0
        return not done
    if "running" not in state or container.status.get("ready") is not False or not container.restarts:
        return False
    ended = seconds(get_path(container.exit, "finishedAt"))
    return ended is None or scene.now - ended <= _RECENT_S


def _crash(container: Container, waiting: str, message: str, scene: Scene) -> Evidence:
    end = container.exit
    code, exit_code = _crash_code(container, scene), number(end, "exitCode")
    said = one_line(text(end, "message"))
    is_start = exec_failure(said) is not None
    probes = [h.message for h in _probe_events(container, scene)]
    sentence = {
        CauseCode.OUT_OF_MEMORY: f"was killed: out of memory (limit {_limit(container)})",
        CauseCode.COMMAND_NOT_FOUND: f"cannot start {_command(container)}: no such command",
        CauseCode.COMMAND_NOT_EXECUTABLE: f"cannot start {_command(container)}: it is not executable",
        CauseCode.IMAGE_PLATFORM_MISMATCH: "cannot start: its image is built for another platform",
        CauseCode.LIVENESS_PROBE_FAILED: "is killed again and again: its liveness probe fails",
        CauseCode.STARTUP_PROBE_FAILED: "is killed again and again: its startup probe fails",
    }.get(code, f"exits with code {exit_code}" if end else message or waiting)
    return container.evidence(
        code,
        Grade.TERMINAL if is_start else Grade.PROBABLE,
        f"{container.title} of image {container.image} {sentence}",
        (f"restarted {_times(container.restarts)}, " if container.restarts else "")
        + f"exit code {exit_code}"
        + (f" ({text(end, 'reason')})" if text(end, "reason") else ""),
        said,
        *probes[-2:],
        f"{waiting}: {message}" if waiting else "",
        count=container.restarts,
        field=_crash_field(code, container),
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _crash_code(container: Container, scene: Scene) -> CauseCode:
    end = container.exit
    killed = [h.message for h in scene.events.about(uid(container.pod), "Killing") if _names(h, container)]
    said = exec_failure(text(end, "message"))
    by_exit = {126: CauseCode.COMMAND_NOT_EXECUTABLE, 127: CauseCode.COMMAND_NOT_FOUND}
    exit_code = number(end, "exitCode")
    if text(end, "reason") == "OOMKilled":
        return CauseCode.OUT_OF_MEMORY
    if said or exit_code in by_exit:
        return said or by_exit[exit_code]
    # Only what the kubelet killed: a process that died by itself fails its probes as well.
    if killed and "failed liveness probe" in killed[-1]:
        return CauseCode.LIVENESS_PROBE_FAILED
    if killed and "failed startup probe" in killed[-1]:
        return CauseCode.STARTUP_PROBE_FAILED
    return CauseCode.INIT_CONTAINER_FAILED if container.is_init else CauseCode.CRASH_LOOP


def _names(happening: Happening, container: Container) -> bool:
    return happening.container in ("", container.name)


def _crash_field(code: CauseCode, container: Container) -> FieldPath:
    match code:
        case CauseCode.OUT_OF_MEMORY:
            return ("resources", "limits", "memory")
        case CauseCode.COMMAND_NOT_FOUND | CauseCode.COMMAND_NOT_EXECUTABLE:
            return _command_field(container)
        case CauseCode.LIVENESS_PROBE_FAILED:
            return ("livenessProbe",)
        case CauseCode.STARTUP_PROBE_FAILED:
            return ("startupProbe",)
        case CauseCode.IMAGE_PLATFORM_MISMATCH:
            return ("image",)
        case _:
            return ()


def _command_field(container: Container) -> FieldPath:
    return next(((name,) for name in ("command", "args") if name in container.spec), ())


def _command(container: Container) -> str:
    words = container.spec.get("command") or container.spec.get("args")
    return repr(words[0]) if isinstance(words, list) and words else "the image's own command"


def _limit(container: Container) -> str:
    return text(container.spec, "resources", "limits", "memory") or "of the node"


def _probe_events(container: Container, scene: Scene) -> list[Happening]:
    found = scene.events.about(uid(container.pod), "Unhealthy", "ProbeError", "Killing")
    return [h for h in found if _names(h, container)]


def _not_ready(container: Container, scene: Scene) -> Iterator[Evidence]:
    """Runs, but is not ready: told when the time is over, never a reason to stop before."""
    starting = "startupProbe" in container.spec and container.status.get("started") is not True
    word = "Startup" if starting else "Readiness"
    said = [h for h in _probe_events(container, scene) if h.message.startswith(f"{word} probe")]
    field = "startupProbe" if starting else "readinessProbe"
    if not said and field not in container.spec:
        return
    yield container.evidence(
        CauseCode.STARTUP_PROBE_FAILED if starting else CauseCode.READINESS_PROBE_FAILED,
        Grade.TRANSIENT,
        f"{container.title} of image {container.image} runs, but is not ready: "
        f"{' '.join(filter(None, (word.lower(), 'probe', _probe(container.spec, field))))} has not passed",
        *(h.message for h in said[-1:]),
        # A startup probe is judged by its restarts, like every other death.
        count=container.restarts if starting else max((h.count for h in said), default=0),
        field=(field,),
    )


def _probe(spec: Object, field: str) -> str:
    """The probe in a few words: ``GET :8080/ready``."""
    http, tcp = mapping(spec, field, "httpGet"), mapping(spec, field, "tcpSocket")
    if http:
        return f"GET :{http.get('port', '')}{text(http, 'path') or '/'}"
    if tcp:
        return f"of TCP port {tcp.get('port', '')}"
    words = get_path(spec, field, "exec", "command")
    if isinstance(words, list) and words:
        return f"of command {one_line(str(words[0]))}"  # its arguments may hold a password
    return "of gRPC" if mapping(spec, field, "grpc") else ""

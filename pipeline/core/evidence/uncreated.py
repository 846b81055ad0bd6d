"""Why the runtime cannot create a container: what its words say, and the field that they are about."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.core.evidence.crashes import command, command_field, exec_failure
from pipeline.core.evidence.scene import Container
from pipeline.core.reading import items, text
from pipeline.model.objects import FieldPath
from pipeline.model.status import CauseCode, Evidence, Grade

# runc: "container init was OOM-killed (memory limit too low?)"; CRI-O: "set memory limit 4096 too low;
# should be at least 12582912 bytes"; Docker: "Minimum memory limit allowed is 6MB"
_TOO_LITTLE = re.compile(r"OOM-killed|memory limit \S* ?too low|minimum memory limit", re.IGNORECASE)

MEMORY_HINT = "raise resources.limits.memory: it is too low for the process even to start"

Field = Callable[[Container, str], FieldPath]


@dataclass(frozen=True, slots=True)
class _Words:
    """What a runtime says (containerd, CRI-O, runc) of a field that no later try can satisfy.

    ``field`` is given the container and the first group of ``pattern``; where it finds nothing, the words
    are about something else.
    """

    pattern: re.Pattern[str]
    field: Field
    hint: str


def lacks_memory(message: str) -> bool:
    """Whether there is too little memory even for the runtime's own part of a start."""
    return _TOO_LITTLE.search(message) is not None


def of_uncreated(container: Container, reason: str, message: str) -> Evidence:
    """One of the reasons of ``CreateContainer``, ``StartContainer`` and their hooks
    (kubernetes pkg/kubelet/container/sync_result.go, kuberuntime)."""
    if code := exec_failure(message):
        return _not_started(container, code, reason, message)
    return known_trouble(container, reason, message) or container.evidence(
        CauseCode.CONTAINER_NOT_CREATED,
        Grade.TRANSIENT,
        f"{container.title} cannot be created: {_core(message) or reason}",
        f"{reason}: {message}",
    )


def known_trouble(container: Container, reason: str, message: str) -> Evidence | None:
    """Where the words blame a field of the container: no later try can satisfy it."""
    if lacks_memory(message):
        return container.evidence(
            CauseCode.OUT_OF_MEMORY,
            Grade.PROBABLE,
            f"{container.title} cannot start: its memory limit is too low",
            f"{reason}: {message}",
            count=container.restarts,
            field=("resources", "limits", "memory"),
            hint=MEMORY_HINT,
        )
    field, hint = _blamed(container, message)
    if not field:
        return None
    return container.evidence(
        CauseCode.CONTAINER_NOT_CREATED,
        Grade.PROBABLE,
        f"{container.title} cannot be created: {_core(message) or reason}",
        f"{reason}: {message}",
        field=field,
        hint=hint,
    )


def _not_started(container: Container, code: CauseCode, reason: str, message: str) -> Evidence:
    reached = message[max(0, message.rfind("exec: ")) :]  # without the layers of the runtime
    is_image = code is CauseCode.IMAGE_PLATFORM_MISMATCH
    return container.evidence(
        code,
        Grade.TERMINAL,
        f"{container.title} cannot start {command(container)}: {reached}",
        f"{reason}: {message}",
        count=container.restarts,
        field=("image",) if is_image else command_field(container),
    )


def _blamed(container: Container, message: str) -> tuple[FieldPath, str]:
    for words in _WORDS:
        found = words.pattern.search(message)
        field = words.field(container, found.group(1) or "") if found else ()
        if field:
            return field, words.hint
    return (), ""


_LAYERS = re.compile(
    r"^.*?(?:unable to start container process|failed to generate spec|container create failed): "
    r"(?:error during container init: )?"
)


def _core(message: str) -> str:
    """The runtime's own words, without those of the layers that only passed them on."""
    return _LAYERS.sub("", message)


def mount_at(container: Container, path: str) -> FieldPath:
    """The volume that is mounted there. Older runtimes say where on the node: ``/run/…/rootfs/conf``."""
    for index, mount in enumerate(items(container.spec, "volumeMounts")):
        at = text(mount, "mountPath").rstrip("/")
        if at and (path == at or path.endswith(f"rootfs{at}")):
            return ("volumeMounts", index, "mountPath")
    return ()


def _working_folder(container: Container, path: str) -> FieldPath:
    return ("workingDir",) if path and text(container.spec, "workingDir").rstrip("/") == path else ()


def _always(*field: str) -> Field:
    return lambda container, path: field


_WORDS = (
    _Words(
        re.compile(
            r"error mounting \"[^\"]*\" to rootfs at \"([^\"]+)\".*(?:not a directory|is a directory)"
        ),
        mount_at,
        "mount a folder over a folder, and a file (with subPath) over a file",
    ),
    _Words(
        re.compile(r"error mounting \"[^\"]*\" to rootfs at \"([^\"]+)\".*read-only file system"),
        mount_at,
        "mount it at a path that the image has: its file system, or the volume around it, is read-only",
    ),
    _Words(
        re.compile(r"chdir to cwd \(\"([^\"]*)\"\)"),
        _working_folder,
        "correct workingDir: the container's user has to be able to enter it",
    ),
    _Words(
        re.compile(r"mkdir (\S+): (?:not a directory|file exists|permission denied)"),
        _working_folder,
        "correct workingDir: there is no such folder, and none can be made",
    ),
    _Words(
        re.compile(r"unable to find (?:user|group) ()|no matching entries in (?:passwd|group) file()"),
        _always("securityContext"),
        "set securityContext.runAsUser to a number: the image has no user of the name",
    ),
    _Words(
        re.compile(r"(?:seccomp|apparmor) profile()", re.IGNORECASE),
        _always("securityContext"),
        "put the profile onto the nodes, or use RuntimeDefault",
    ),
)

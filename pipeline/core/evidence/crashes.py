"""How a container's process ended, or why it could not be started."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pipeline.core.evidence.events import one_line
from pipeline.core.evidence.probes import probe_events
from pipeline.core.evidence.scene import Container, Scene
from pipeline.core.reading import mapping, number, seconds, text
from pipeline.model.objects import FieldPath, get_path
from pipeline.model.status import CauseCode, Evidence, Grade

_RECENT_S = 60.0  # a crash before this, in a container that runs again, is no longer news

NEVER_RAN = frozenset({"ContainerCannotRun", "StartError"})
"""Terminated reasons of a process that was never started (dockershim and CRI-O; containerd)."""

_LOST = "ContainerStatusUnknown"
"""Of a container that its node lost sight of (a reboot, an eviction): nobody knows how it ended
(kubernetes pkg/kubelet/status)."""

_BY_SIGNAL = (137, 143)
"""Exit codes of what was told to end (SIGTERM), or made to (SIGKILL)."""

_EVENT_S = 5.0
"""How long the event that says why may take, as the times are whole seconds and kubelets are busy."""

_EXEC = re.compile(r"\bexec\b|stat /|runc|OCI runtime|container process", re.IGNORECASE)
_EXEC_FAILURES = (
    (CauseCode.IMAGE_PLATFORM_MISMATCH, re.compile(r"exec format error", re.IGNORECASE)),
    (
        CauseCode.COMMAND_NOT_FOUND,
        re.compile(r"executable file not found|exec: .*no such file or directory|no command specified", re.I),
    ),
    (CauseCode.COMMAND_NOT_EXECUTABLE, re.compile(r"exec: .*(permission denied|is a directory)", re.I)),
)

# Newer runtimes start the container before they exec its program, so that its log is the only place
# that says why that failed: "exec /app: exec format error".
_EXEC_LINE = re.compile(r"^exec:? \S+: (no such file or directory|permission denied)$", re.IGNORECASE)

# 128 + the number of the signal, as shells and runtimes have it; 126 and 127 have codes of their own.
_EXIT_HINTS = {
    0: "keep the process in the foreground, or make what ends by itself a Job",
    137: "see what killed it (SIGKILL) though its memory limit did not: the node's lack of memory, "
    "a liveness probe, or a slow stop",
    139: "look for a crash in native code (SIGSEGV): libraries that do not fit the base image or processor",
    143: "see who ended it (SIGTERM): a liveness probe, or a script that stops its own main process",
}
_HOOK_HINT = "correct lifecycle.postStart: a container whose hook fails is killed"
_SHELL_HINTS = {
    CauseCode.COMMAND_NOT_FOUND: "see in the log above which command is missing, and put it into the image",
    CauseCode.COMMAND_NOT_EXECUTABLE: "see in the log above what is not executable, and make it so",
}
"""Exit codes 126 and 127 of a process that did start: a shell says so of what it was to run."""
_NEVER_RAN_HINT = "see the runtime's message: the process was never started, so that it has no log"


def exec_failure(message: str) -> CauseCode | None:
    """What a runtime's message about starting a process says, if it is about that."""
    if not _EXEC.search(message) and "no command specified" not in message:
        return None
    return next((code for code, words in _EXEC_FAILURES if words.search(message)), None)


def exec_failure_in(log: Sequence[str]) -> CauseCode | None:
    """The same of a container's last log line: the process itself never came to say anything."""
    last = next((line.strip() for line in reversed(log) if line.strip()), "")
    if last.lower().endswith("exec format error"):
        return CauseCode.IMAGE_PLATFORM_MISMATCH
    found = _EXEC_LINE.match(last)
    if found is None:
        return None
    is_absent = found.group(1).lower().startswith("no such")
    return CauseCode.COMMAND_NOT_FOUND if is_absent else CauseCode.COMMAND_NOT_EXECUTABLE


def crashed_lately(container: Container, scene: Scene) -> bool:
    """Whether it ended badly and is about to start again, or has just done so."""
    state = mapping(container.status, "state")
    if text(container.exit, "reason") == _LOST:
        return False
    if "terminated" in state:
        return number(state, "terminated", "exitCode") != 0 or _ends_again_and_again(container)
    if "running" not in state or container.status.get("ready") is not False or not container.restarts:
        return False
    ended = seconds(get_path(container.exit, "finishedAt"))
    return ended is None or scene.now - ended <= _RECENT_S


def _ends_again_and_again(container: Container) -> bool:
    """Whether what should stay ended well, and was started again for that (core/v1 restartPolicy Always)."""
    stays = text(container.pod, "spec", "restartPolicy") in ("", "Always") and not container.is_init
    return stays and container.restarts > 0


def of_crash(container: Container, waiting: str, message: str, scene: Scene) -> Evidence:
    """A death, counted by the restarts; terminal where no restart could help."""
    end = container.exit
    code = _code(container, scene)
    said = one_line(text(end, "message"))
    reason = text(end, "reason")
    by_hook = _killed_for_its_hook(container, waiting, scene)
    how = "is killed: its postStart hook fails" if by_hook else _sentence(container, code, message or waiting)
    told = container.evidence(
        code,
        Grade.TERMINAL if exec_failure(said) else Grade.PROBABLE,
        f"{container.title} of image {container.image} {how}",
        (f"restarted {_times(container.restarts)}, " if container.restarts else "")
        + f"exit code {number(end, 'exitCode')}"
        + (f" ({reason})" if reason else ""),
        said,
        *_probes_said(container, code, scene),
        f"{waiting}: {message}" if waiting else "",
        count=container.restarts,
        field=("lifecycle", "postStart") if by_hook else crash_field(code, container),
        hint=_HOOK_HINT if by_hook else _hint(container, code),
    )
    return replace(told, settled=not _may_be_its_probe(container, scene))


def _may_be_its_probe(container: Container, scene: Scene) -> bool:
    """Whether the kubelet may have killed it a moment ago for a probe, and its event is not there yet: it is
    sent after the fact, and not waited for (client-go tools/record)."""
    if not any(f"{word}Probe" in container.spec for word in _PROBES.values()):
        return False
    ended = seconds(get_path(container.exit, "finishedAt"))
    by_signal = (
        number(container.exit, "exitCode") in _BY_SIGNAL and text(container.exit, "reason") != "OOMKilled"
    )
    if not by_signal or ended is None or scene.now - ended > _EVENT_S:
        return False
    return not any(h.at >= ended - _EVENT_S for h in container.happenings(scene, "Killing"))


_PROBES = {CauseCode.LIVENESS_PROBE_FAILED: "liveness", CauseCode.STARTUP_PROBE_FAILED: "startup"}


def _probes_said(container: Container, code: CauseCode, scene: Scene) -> list[str]:
    """The last events about its probes; where one of them is the cause, those about that one."""
    word = _PROBES.get(code, "")
    return [h.told for h in probe_events(container, scene) if word in h.message.lower()][-2:]


def _killed_for_its_hook(container: Container, waiting: str, scene: Scene) -> bool:
    """ "If the handler fails, the container is terminated" (core/v1 Lifecycle.postStart): by SIGTERM, then
    SIGKILL. That the hook is to blame is said while it waits, and after that by the event alone."""
    if waiting == "PostStartHookError":
        return True
    by_signal = number(container.exit, "exitCode") in _BY_SIGNAL
    return by_signal and bool(container.happenings(scene, "FailedPostStartHook"))


def command_field(container: Container) -> FieldPath:
    return next(((name,) for name in ("command", "args") if name in container.spec), ())


def command(container: Container) -> str:
    """The program that the manifest starts. Without its arguments, which may hold a password."""
    words = container.spec.get("command") or container.spec.get("args")
    return repr(words[0]) if isinstance(words, list) and words else "the image's own command"


def crash_field(code: CauseCode, container: Container) -> FieldPath:
    """The field of a container to blame for such an end."""
    match code:
        case CauseCode.OUT_OF_MEMORY:
            return ("resources", "limits", "memory")
        case CauseCode.COMMAND_NOT_FOUND | CauseCode.COMMAND_NOT_EXECUTABLE:
            return command_field(container)
        case CauseCode.LIVENESS_PROBE_FAILED:
            return ("livenessProbe",)
        case CauseCode.STARTUP_PROBE_FAILED:
            return ("startupProbe",)
        case CauseCode.IMAGE_PLATFORM_MISMATCH:
            return ("image",)
        case _:
            return ()


def _sentence(container: Container, code: CauseCode, waiting: str) -> str:
    end = container.exit
    never_ran = text(end, "reason") in NEVER_RAN
    otherwise = f"exits with code {number(end, 'exitCode')}" if end else waiting
    if never_ran:
        otherwise = f"cannot be started: {one_line(text(end, 'message')) or text(end, 'reason')}"
    return {
        CauseCode.OUT_OF_MEMORY: f"was killed: out of memory (limit {_limit(container)})",
        CauseCode.COMMAND_NOT_FOUND: _no_command(container, "no such command", "was not found"),
        CauseCode.COMMAND_NOT_EXECUTABLE: _no_command(container, "it is not executable", "is not executable"),
        CauseCode.IMAGE_PLATFORM_MISMATCH: "cannot start: its image is built for another platform",
        CauseCode.LIVENESS_PROBE_FAILED: "is killed again and again: its liveness probe fails",
        CauseCode.STARTUP_PROBE_FAILED: "is killed again and again: its startup probe fails",
    }.get(code, otherwise)


def _no_command(container: Container, itself: str, within: str) -> str:
    """Of its own program the runtime speaks, of one that it runs itself only its exit code and its log."""
    if _is_its_own(container):
        return f"cannot start {command(container)}: {itself}"
    return f"exits with code {number(container.exit, 'exitCode')}: a command that it runs {within}"


def _is_its_own(container: Container) -> bool:
    return exec_failure(text(container.exit, "message")) is not None


def _hint(container: Container, code: CauseCode) -> str:
    """What the exit code alone suggests, where the cause's code does not say more."""
    if code in _SHELL_HINTS and not _is_its_own(container):
        return _SHELL_HINTS[code]
    if code not in (CauseCode.CRASH_LOOP, CauseCode.INIT_CONTAINER_FAILED) or not container.exit:
        return ""
    if text(container.exit, "reason") in NEVER_RAN:
        return _NEVER_RAN_HINT
    return _EXIT_HINTS.get(number(container.exit, "exitCode", default=-1), "")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _code(container: Container, scene: Scene) -> CauseCode:
    end = container.exit
    if text(end, "reason") == "OOMKilled":
        return CauseCode.OUT_OF_MEMORY
    by_exit = {126: CauseCode.COMMAND_NOT_EXECUTABLE, 127: CauseCode.COMMAND_NOT_FOUND}
    known = exec_failure(text(end, "message")) or by_exit.get(number(end, "exitCode"))
    if known:
        return known
    # Only what the kubelet killed: a process that died by itself fails its probes as well.
    killed = [h.message for h in container.happenings(scene, "Killing")][-1:]
    if any("failed liveness probe" in message for message in killed):
        return CauseCode.LIVENESS_PROBE_FAILED
    if any("failed startup probe" in message for message in killed):
        return CauseCode.STARTUP_PROBE_FAILED
    return CauseCode.INIT_CONTAINER_FAILED if container.is_init else CauseCode.CRASH_LOOP


def _limit(container: Container) -> str:
    return text(container.spec, "resources", "limits", "memory") or "of the node"

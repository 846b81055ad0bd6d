"""What one container of one pod shows: the kubelet's waiting reasons, exits, restarts, probes.

The waiting reasons are those of kubernetes 1.36 (pkg/kubelet/{images,container,kuberuntime}).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.core.evidence.configuration import of_configuration
from pipeline.core.evidence.crashes import NEVER_RAN, crashed_lately, of_crash
from pipeline.core.evidence.events import one_line
from pipeline.core.evidence.images import (
    GRADES,
    NOT_INSPECTED,
    PULL_REASONS,
    image_cause,
    image_words,
    reason_cause,
)
from pipeline.core.evidence.probes import not_ready
from pipeline.core.evidence.scene import Container, ImageMemory, Scene
from pipeline.core.evidence.uncreated import known_trouble, of_uncreated
from pipeline.core.reading import items, mapping, text, uid
from pipeline.model.objects import Object
from pipeline.model.status import CauseCode, Evidence, Grade

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
_OF_RUNTIME = "Failed to inspect image"  # the event of NOT_INSPECTED (kubernetes pkg/kubelet/images)
_LOGIN_HINT = "create the Secret that imagePullSecrets names: without it the registry does not know the pod"

_FAILURE = re.compile(r"^(Err|Failed|Invalid)|(Error|BackOff|Failed|Unavailable)$")
_CRASHED = frozenset({"CrashLoopBackOff", "PostStartHookError"})


def of_container(container: Container, scene: Scene) -> Iterator[Evidence]:
    """The one thing that stands in this container's way, if any."""
    waiting = text(container.status, "state", "waiting", "reason")
    message = one_line(text(container.status, "state", "waiting", "message"))
    is_running = "running" in mapping(container.status, "state")
    if waiting == NOT_INSPECTED:
        yield _not_inspected(container, message)
    elif waiting in PULL_REASONS:
        yield _image(container, waiting, message, scene)
    elif waiting == "CreateContainerConfigError":
        yield of_configuration(container, message)
    elif waiting in _NOT_CREATED or _is_unheard_of(waiting):
        yield of_uncreated(container, waiting, message)
    elif waiting in _CRASHED or crashed_lately(container, scene):
        yield _never_ran(container) or of_crash(container, waiting, message, scene)
    elif is_running and container.is_init:
        yield _unfinished(container)
    elif is_running and container.status.get("ready") is False:
        yield from not_ready(container, scene)


def _is_unheard_of(waiting: str) -> bool:
    """Whether it is the word of a newer kubelet, or of another program in its place, for a failure.

    All that Kubernetes has are named so; what only takes its time is not ("ContainerCreating").
    """
    return waiting not in _CRASHED and _FAILURE.search(waiting) is not None


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
            is_about_pull = text(status, "state", "waiting", "reason") in PULL_REASONS
            if is_about_pull and image_cause(said, images.get(name, "")):
                known[key] = said
            elif key in memory:
                known[key] = memory[key]
    return known


def _image(container: Container, reason: str, message: str, scene: Scene) -> Evidence:
    pulls = [
        h
        for h in container.happenings(scene, "Failed", "InspectFailed")
        if image_cause(h.message, container.image) and not h.message.startswith(_OF_RUNTIME)
    ]
    remembered = scene.memory.get((uid(container.pod), container.name), "")
    code, told = reason_cause(reason), message
    for words in (message, *(h.message for h in reversed(pulls)), remembered):
        if code is None and (code := image_cause(words, container.image)):
            told = words
    # Nothing tells why, yet: as with a registry that is down, time will.
    known = code or CauseCode.IMAGE_REGISTRY_UNAVAILABLE
    why, hint = image_words(known, told) if code else (_unknown_words(reason, message), "")
    again = "" if any(remembered in words for words in (message, *(h.message for h in pulls))) else remembered
    login = container.happenings(scene, "FailedToRetrieveImagePullSecret")[-1:]
    return container.evidence(
        known,
        GRADES[known],
        f"{container.title} cannot pull image {container.image}: {why}",
        *(f"{reason}: {message}" if message else reason, *(h.told for h in pulls[-1:]), again),
        *(h.message for h in login),
        count=max((h.count for h in pulls), default=1),
        field=("imagePullPolicy",) if reason == "ErrImageNeverPull" else ("image",),
        hint=_LOGIN_HINT if login and known is CauseCode.IMAGE_DENIED else hint,
    )


def _not_inspected(container: Container, message: str) -> Evidence:
    return container.evidence(
        CauseCode.IMAGE_REGISTRY_UNAVAILABLE,
        Grade.TRANSIENT,
        f"{container.title} cannot use image {container.image}: the node's container runtime cannot tell "
        "whether it is there",
        f"{NOT_INSPECTED}: {message}" if message else NOT_INSPECTED,
        field=("image",),
        hint="look at the container runtime of the pod's node: it cannot read the images that it has",
    )


def _unknown_words(reason: str, message: str) -> str:
    """Of a back-off the message only names the image."""
    is_silent = not message or reason == "ImagePullBackOff"
    return "the kubelet does not say why yet" if is_silent else message


def _never_ran(container: Container) -> Evidence | None:
    """Between two tries the runtime's words stand in how the last one ended."""
    reason, message = text(container.exit, "reason"), one_line(text(container.exit, "message"))
    return known_trouble(container, reason, message) if reason in NEVER_RAN else None


def _unfinished(container: Container) -> Evidence:
    """Not a failure, but what the pod waits for: told when the time is over."""
    return container.evidence(
        CauseCode.INIT_CONTAINER_FAILED,
        Grade.TRANSIENT,
        f"{container.title} of image {container.image} has not ended yet; the pod starts only after it",
        count=0,
        hint="see in its log what the init container waits for",
    )

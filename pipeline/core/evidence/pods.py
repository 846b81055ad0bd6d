"""What a pod shows besides its containers: no node, no volume, no sandbox, a failed phase."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.core.evidence.configuration import volume_lack
from pipeline.core.evidence.containers import of_container
from pipeline.core.evidence.events import Happening, one_line
from pipeline.core.evidence.scene import Scene, asking, containers
from pipeline.core.evidence.scheduling import of_scheduling
from pipeline.core.evidence.uncreated import MEMORY_HINT, lacks_memory
from pipeline.core.reading import condition, items, mapping, ref_of, text, uid
from pipeline.model.objects import FieldPath, Object
from pipeline.model.status import CauseCode, Evidence, Grade

_SETUP = ("FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox")
_CLAIMS = frozenset({"persistentVolumeClaim", "ephemeral"})
_BEYOND_SETUP = ("Pulling", "Pulled", "Created", "Started")


def of_pod(pod: Object, scene: Scene) -> Iterator[Evidence]:
    """Everything that speaks against this pod."""
    if text(pod, "status", "reason") == "DeadlineExceeded":
        # The kubelet ended it and kills its containers: their exit codes are the consequence.
        yield _overdue(pod, scene)
        return
    shown = [found for container in containers(pod, scene) for found in of_container(container, scene)]
    yield from shown
    if text(pod, "status", "phase") == "Failed":
        if not shown:
            yield _failed(pod, scene)
        return
    yield from of_scheduling(pod, scene)
    yield from _gated(pod, scene)
    yield from _on_lost_node(pod, scene)
    if not shown and _is_being_set_up(pod):
        yield from _setup(pod, scene)


def _failed(pod: Object, scene: Scene) -> Evidence:
    said = text(pod, "status", "message") or text(pod, "status", "reason") or "no reason given"
    return Evidence(
        code=CauseCode.POD_FAILED,
        grade=Grade.TRANSIENT,  # its controller makes another; a bare pod is Failed by its own status
        message=f"pod {text(pod, 'metadata', 'name')} failed: {one_line(said)}",
        details=(one_line(said),),
        path=scene.pod_path,
        pod=ref_of(pod, "Pod"),
    )


def _overdue(pod: Object, scene: Scene) -> Evidence:
    is_job = text(scene.workload, "kind") == "Job"
    return Evidence(
        code=CauseCode.JOB_DEADLINE_EXCEEDED if is_job else CauseCode.POD_FAILED,
        grade=Grade.TRANSIENT,  # as of any failed pod
        message=f"pod {text(pod, 'metadata', 'name')} ran longer than its activeDeadlineSeconds",
        details=tuple(filter(None, [one_line(text(pod, "status", "message"))])),
        path=(*scene.pod_path, "activeDeadlineSeconds"),
        pod=ref_of(pod, "Pod"),
        hint="" if is_job else "raise activeDeadlineSeconds, or leave it out where the pod shall stay",
    )


def _gated(pod: Object, scene: Scene) -> Iterator[Evidence]:
    """All containers are ready, and something outside of the cluster's own says that the pod is not."""
    ready = condition(pod, "Ready")
    if ready.get("status") != "False" or text(ready, "reason") != "ReadinessGatesNotReady":
        return
    yield Evidence(
        code=CauseCode.READINESS_PROBE_FAILED,
        grade=Grade.TRANSIENT,
        message=f"pod {text(pod, 'metadata', 'name')} is not ready though its containers are: "
        f"{one_line(text(ready, 'message')) or 'a readiness gate is closed'}",
        path=(*scene.pod_path, "readinessGates"),
        pod=ref_of(pod, "Pod"),
        # The AWS load balancer controller adds such gates by itself: target-health.elbv2.k8s.aws/…
        hint="see the controller that opens the gate; a load balancer's: whether its health check passes",
    )


def _on_lost_node(pod: Object, scene: Scene) -> Iterator[Evidence]:
    """Its kubelet last said that all is well, and somebody else says that it is not.

    Of a node that does not report "MarkPodsNotReady updates ready status of given pods": the condition alone,
    so that it has no reason (kubernetes pkg/controller/util/node). It may come back: never fatal.
    """
    ready = condition(pod, "Ready")
    statuses = items(pod, "status", "containerStatuses")
    well = bool(statuses) and all(one.get("ready") is True for one in statuses)
    if not well or ready.get("status") != "False" or text(ready, "reason"):
        return
    yield Evidence(
        code=CauseCode.NODE_NOT_READY,
        grade=Grade.TRANSIENT,
        message=f"pod {text(pod, 'metadata', 'name')} is not ready though its containers were: "
        f"its node {text(pod, 'spec', 'nodeName')} does not report",
        path=scene.pod_path,
        pod=ref_of(pod, "Pod"),
    )


def _is_being_set_up(pod: Object) -> bool:
    """Whether no container has been tried yet; after that, old complaints about volumes are history."""
    if condition(pod, "PodScheduled").get("status") == "False" or text(pod, "status", "phase") != "Pending":
        return False
    statuses = [*items(pod, "status", "initContainerStatuses"), *items(pod, "status", "containerStatuses")]
    return all(
        text(s, "state", "waiting", "reason") in ("", "ContainerCreating", "PodInitializing")
        and not ({"running", "terminated"} & mapping(s, "state").keys())
        for s in statuses
    )


def _setup(pod: Object, scene: Scene) -> Iterator[Evidence]:
    found = scene.events.about(uid(pod), *_SETUP)
    beyond = max((h.at for h in scene.events.about(uid(pod), *_BEYOND_SETUP)), default=-1.0)
    last: dict[str, Happening] = {h.reason: h for h in found if h.at > beyond}
    for reason, happening in sorted(last.items()):
        of_reason = _no_sandbox if reason == "FailedCreatePodSandBox" else _no_volume
        yield of_reason(pod, happening, scene)


def _no_sandbox(pod: Object, happening: Happening, scene: Scene) -> Evidence:
    short = lacks_memory(happening.message)
    return Evidence(
        code=CauseCode.OUT_OF_MEMORY if short else CauseCode.CONTAINER_NOT_CREATED,
        grade=Grade.PROBABLE if short else Grade.TRANSIENT,
        message=f"pod {text(pod, 'metadata', 'name')} cannot start, "
        + ("its memory limit is too low" if short else f"its sandbox cannot be created: {happening.message}"),
        details=(f"{happening.reason}: {happening.told}",),
        count=happening.count,
        path=(*scene.pod_path, *(asking(scene, "memory", "limits") if short else ())),
        pod=ref_of(pod, "Pod"),
        hint=MEMORY_HINT if short else "",
    )


def _no_volume(pod: Object, happening: Happening, scene: Scene) -> Evidence:
    is_attach = happening.reason == "FailedAttachVolume"
    volume = re.search(r"[Vv]olume \"([^\"]+)\"", happening.message)
    path = (*scene.pod_path, *_volume(pod, scene, volume.group(1) if volume else ""))
    lacks = volume_lack(happening.message, mapping(scene.workload, *path))
    return Evidence(
        code=CauseCode.VOLUME_ATTACH_FAILED if is_attach else CauseCode.VOLUME_MOUNT_FAILED,
        # What a ConfigMap or Secret lacks that is there is a slip; a whole one may be on its way.
        grade=Grade.PROBABLE if lacks and lacks.key else Grade.TRANSIENT,
        message=f"pod {text(pod, 'metadata', 'name')} cannot start, a volume cannot be "
        f"{'attached' if is_attach else 'mounted'}: {happening.message}",
        details=(f"{happening.reason}: {happening.told}",),
        count=happening.count,
        path=path,
        pod=ref_of(pod, "Pod"),
        lacks=lacks,
    )


def _volume(pod: Object, scene: Scene, name: str) -> FieldPath:
    """The volume that is spoken of. Of a claim the words name the PersistentVolume (kubernetes
    pkg/volume/util/operationexecutor, VolumeSpec.Name), which the pod does not know: then its only
    claim is meant.
    """
    volumes = items(scene.workload, *scene.pod_path, "volumes")
    found = [i for i, volume in enumerate(volumes) if name and text(volume, "name") == name]
    if name and name not in {text(volume, "name") for volume in items(pod, "spec", "volumes")}:
        found = found or [i for i, volume in enumerate(volumes) if _CLAIMS & volume.keys()]
    return ("volumes", found[0]) if len(found) == 1 else ("volumes",)

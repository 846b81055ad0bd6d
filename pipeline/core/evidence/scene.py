"""What evidence is read in: the workload, its events, the time; and a pod's containers with their status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.core.evidence.events import EventIndex, Happening, one_line
from pipeline.core.reading import items, mapping, number, ref_of, text, uid
from pipeline.model.objects import FieldPath, Object, ObjectRef
from pipeline.model.status import CauseCode, Evidence, Grade, Lack

ImageMemory = Mapping[tuple[str, str], str]
"""(pod uid, container) → the last words about its pull: ImagePullBackOff alone does not say why."""


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
        hint: str = "",
        lacks: Lack | None = None,
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
            image=self.image,
            lacks=lacks,
            hint=hint,
        )

    def happenings(self, scene: Scene, *reasons: str) -> list[Happening]:
        """The events about this container, or about its pod as a whole, oldest first."""
        found = scene.events.about(uid(self.pod), *reasons)
        return [h for h in found if h.container in ("", self.name)]

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


def asking(scene: Scene, resource: str, *parts: str) -> FieldPath:
    """The path, below the pod's spec, of the first container's requests or limits of it; ``parts``: of
    these only."""
    for field in ("containers", "initContainers"):
        for index, spec in enumerate(items(scene.workload, *scene.pod_path, field)):
            for part in parts or ("requests", "limits"):
                if resource in mapping(spec, "resources", part):
                    return (field, index, "resources", part, resource)
    return ()


def _path(scene: Scene, field: str, name: str, index: int) -> FieldPath:
    """By name: webhooks put containers of their own into the pod, and those are in no manifest."""
    written = items(scene.workload, *scene.pod_path, field)
    position = next((i for i, spec in enumerate(written) if text(spec, "name") == name), None)
    if position is None:
        return (*scene.pod_path, field)
    return (*scene.pod_path, field, position)

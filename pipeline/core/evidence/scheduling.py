"""Why no node takes a pod: the scheduler's words, the field they are about, and an autoscaler's grace."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.core.evidence.events import one_line
from pipeline.core.evidence.scene import Scene, asking
from pipeline.core.reading import condition, items, mapping, ref_of, text, uid
from pipeline.model.objects import FieldPath, Object
from pipeline.model.status import CauseCode, Evidence, Grade, Lack

_SCALE_UP = ("TriggeredScaleUp", "Nominated")  # cluster-autoscaler, Karpenter
_NO_SCALE_UP = ("NotTriggerScaleUp",)

SCALE_UP_S = 300.0
"""How long a node that an autoscaler has ordered may take; EC2 nodes join in one to three minutes."""

Field = Callable[[Object], FieldPath]
"""The field of a pod's spec that asks for what no node has; empty where none does."""


def _first(*names: str) -> Field:
    return lambda spec: next(((name,) for name in names if name in spec), ())


def _host_ports(spec: Object) -> FieldPath:
    for index, container in enumerate(items(spec, "containers")):
        if any("hostPort" in port for port in items(container, "ports")):
            return ("containers", index, "ports")
    return ()


@dataclass(frozen=True, slots=True)
class _Words:
    pattern: re.Pattern[str]
    field: Field
    hint: str = ""


# What the scheduler says of nodes (kubernetes pkg/scheduler/framework/plugins), the first that matches.
_WORDS = (
    _Words(
        re.compile(r"volume node affinity|persistent volumes to bind"),
        _first("volumes"),
        "the volume is in a zone, or on a node, where no node has room: add one there, or move the volume",
    ),
    _Words(
        re.compile(r"max volume count"),
        _first("volumes"),
        "the nodes that fit cannot attach more volumes: add nodes, or use a larger type",
    ),
    _Words(
        re.compile(r"free ports"),
        _host_ports,
        "a node has each hostPort once: leave hostPort out, or run fewer pods than nodes",
    ),
    _Words(re.compile(r"node affinity/selector"), _first("nodeSelector", "affinity")),
    _Words(re.compile(r"untolerated taint"), _first("tolerations")),
    _Words(re.compile(r"topology spread"), _first("topologySpreadConstraints")),
    _Words(re.compile(r"pod (anti-)?affinity"), _first("affinity")),
    _Words(
        re.compile(r"scheduling gates"),
        _first("schedulingGates"),
        "see the controller that opens the pod's scheduling gates",
    ),
)
_INSUFFICIENT = re.compile(r"Insufficient ([\w./-]+?)\.?(?:[\s,;]|$)")

# kubernetes pkg/scheduler/framework/plugins/volumebinding
_UNBOUND = re.compile(r"unbound immediate PersistentVolumeClaims|bound to non-existent persistentvolume")
_NO_CLAIM = re.compile(r"persistentvolumeclaim \"([^\"]+)\" not found")


def of_scheduling(pod: Object, scene: Scene) -> Iterator[Evidence]:
    """That no node takes the pod, unless one is on its way."""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") != "False":
        return
    if any(scene.now - h.at < SCALE_UP_S for h in scene.events.about(uid(pod), *_SCALE_UP)):
        return
    why = one_line(text(scheduled, "message")) or text(scheduled, "reason") or "no node fits"
    events = scene.events.about(uid(pod), "FailedScheduling", *_NO_SCALE_UP)
    absent = _NO_CLAIM.search(why)
    code, path, hint = _blamed(scene, why)
    yield Evidence(
        code=code,
        grade=Grade.TRANSIENT,
        message=f"no node takes pod {text(pod, 'metadata', 'name')}: {why}",
        details=tuple(dict.fromkeys(f"{h.reason}: {h.told}" for h in events[-2:])),
        count=max((h.count for h in events), default=1),
        path=(*scene.pod_path, *path),
        pod=ref_of(pod, "Pod"),
        lacks=Lack("PersistentVolumeClaim", absent.group(1)) if absent else None,
        hint=hint,
    )


def _blamed(scene: Scene, why: str) -> tuple[CauseCode, FieldPath, str]:
    """The cause, the field of the pod's spec that no node satisfies, and a hint where the code has none."""
    spec = mapping(scene.workload, *scene.pod_path)
    if absent := _NO_CLAIM.search(why):
        return CauseCode.REFERENCE_MISSING, _claim(spec, absent.group(1)), ""
    if _UNBOUND.search(why):
        return CauseCode.CLAIM_PENDING, ("volumes",), ""
    for words in _WORDS:
        if words.pattern.search(why):
            return CauseCode.UNSCHEDULABLE, words.field(spec), words.hint
    short = _INSUFFICIENT.search(why)
    return CauseCode.UNSCHEDULABLE, asking(scene, short.group(1)) if short else (), ""


def _claim(spec: Object, name: str) -> FieldPath:
    for index, volume in enumerate(items(spec, "volumes")):
        if text(volume, "persistentVolumeClaim", "claimName") == name:
            return ("volumes", index, "persistentVolumeClaim", "claimName")
    return ("volumes",)

"""Evidence from an object's own status: why it has failed, or what it still waits for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.core.evidence.events import EventIndex, one_line
from pipeline.core.hints import HINTS
from pipeline.core.reading import items, text, uid
from pipeline.model.objects import FieldPath, Object, ObjectRef
from pipeline.model.status import CauseCode, Evidence, Grade, ObjectStatus, Status

_FAILURES: dict[str, CauseCode] = {
    "ProgressDeadlineExceeded": CauseCode.PROGRESS_DEADLINE_EXCEEDED,
    "JobFailed": CauseCode.JOB_FAILED,
    "JobDeadlineExceeded": CauseCode.JOB_DEADLINE_EXCEEDED,
    "PodFailed": CauseCode.POD_FAILED,
    "ScalingBroken": CauseCode.SCALING_BROKEN,
    "ClaimLost": CauseCode.CLAIM_PENDING,
    "ResizeInfeasible": CauseCode.CLAIM_PENDING,
    "ModifyInfeasible": CauseCode.CLAIM_PENDING,
    "VolumeFailed": CauseCode.DEGRADED,
    "NamesNotAccepted": CauseCode.APPLY_REJECTED,
    "NotEstablished": CauseCode.APPLY_REJECTED,
}

_SIZE: FieldPath = ("spec", "resources", "requests", "storage")
_ATTRIBUTES: FieldPath = ("spec", "volumeAttributesClassName")

_PENDING: dict[str, tuple[CauseCode, FieldPath]] = {
    "AddressPending": (CauseCode.ADDRESS_PENDING, ("spec",)),
    "ClaimPending": (CauseCode.CLAIM_PENDING, ("spec", "storageClassName")),
    "Resizing": (CauseCode.TIMED_OUT, _SIZE),
    "ModifyingVolume": (CauseCode.TIMED_OUT, _ATTRIBUTES),
    "NoTarget": (CauseCode.SCALING_BROKEN, ("spec", "scaleTargetRef")),
    "CustomResourceUnknown": (CauseCode.CUSTOM_RESOURCE_UNKNOWN, ()),
    "RuleInvalid": (CauseCode.CUSTOM_RESOURCE_UNKNOWN, ("metadata", "annotations")),
    "Paused": (CauseCode.TIMED_OUT, ("spec", "paused")),
    "APIUnavailable": (CauseCode.TIMED_OUT, ("spec", "service")),
}

_UNWATCHED = "see whether the controller of its kind runs, and what its log says"
_HINTS = {
    "ClaimLost": "delete the claim and deploy again for an empty volume, or restore the data into a new one",
    "ResizeInfeasible": "ask for a size that the volume can take: more than it has, less than was asked for",
    "ModifyInfeasible": "put back the class that the volume has, or choose one that its CSI driver can apply",
    "VolumeFailed": "delete it and what it stands for by hand, or set persistentVolumeReclaimPolicy: Retain",
    "APIUnavailable": "see whether the pods behind its Service are ready, and whether caBundle verifies them",
    "ModifyingVolume": "see whether the VolumeAttributesClass exists, and what its CSI driver's resizer logs",
    "Paused": "take spec.paused away: until then no change of its pods rolls out",
    "CABundlePending": "see whether cert-manager's CA injector runs, and has the Certificate that is named",
    "NotObserved": _UNWATCHED,
    "NoStatus": _UNWATCHED,
}
"""By the reason of a status, where its cause's code says too little."""

_FIELDS: dict[CauseCode, FieldPath] = {
    CauseCode.SCALING_BROKEN: ("spec", "scaleTargetRef"),
    CauseCode.PROGRESS_DEADLINE_EXCEEDED: ("spec", "progressDeadlineSeconds"),
    CauseCode.JOB_DEADLINE_EXCEEDED: ("spec", "activeDeadlineSeconds"),
    CauseCode.JOB_FAILED: ("spec", "template", "spec", "containers"),
    CauseCode.POD_FAILED: ("spec", "containers"),
    CauseCode.CLAIM_PENDING: ("spec", "volumeName"),
}


_FIELDS_OF_REASONS: dict[str, FieldPath] = {
    "ResizeInfeasible": _SIZE,
    "ModifyInfeasible": _ATTRIBUTES,
    "NamesNotAccepted": ("spec", "names"),
    "VolumeFailed": ("spec", "persistentVolumeReclaimPolicy"),
}

_OF_PODS = frozenset({CauseCode.JOB_FAILED, CauseCode.POD_FAILED})
_VAGUE = frozenset(
    {CauseCode.CRASH_LOOP, CauseCode.INIT_CONTAINER_FAILED, CauseCode.POD_FAILED, CauseCode.JOB_FAILED}
)
"""Codes that say no more than that something ended badly."""


def explain_failure(ref: ObjectRef, status: ObjectStatus, shown: Sequence[Evidence]) -> Evidence:
    """A Failed status as evidence, with what the pods show, and whose logs explain it."""
    code = _FAILURES.get(status.reason, CauseCode.CUSTOM_RESOURCE_FAILED)
    worst = next((one for one in shown if one.pod is not None), None)
    told = tuple(dict.fromkeys(line for one in shown for line in (one.message, *one.details)))
    # A Job is judged by its own limit, but what its pods died of is what there is to do about it.
    known = next((one for one in shown if one.code not in _VAGUE), None) if code in _OF_PODS else None
    blamed = known or (worst if code in _OF_PODS else None)
    return Evidence(
        code=code,
        # An autoscaler that came before its target finds it at its next look.
        grade=Grade.PROBABLE if code is CauseCode.SCALING_BROKEN else Grade.TERMINAL,
        message=f"{ref.kind} {ref.name} has failed: {one_line(status.message or status.reason)}",
        details=told or (one_line(status.message),),
        path=blamed.path if blamed else _FIELDS_OF_REASONS.get(status.reason, _FIELDS.get(code, ())),
        pod=worst.pod if worst else _itself(ref),
        container=worst.container if worst else "",
        hint=_hint_of_failure(status, known, worst),
    )


def _hint_of_failure(status: ObjectStatus, known: Evidence | None, worst: Evidence | None) -> str:
    if known:
        return known.hint or HINTS[known.code]
    return worst.hint if worst else _HINTS.get(status.reason, "")


def explain_loss(ref: ObjectRef, *, replaced: bool) -> Evidence:
    """What was written is not there any more: somebody else is at work on it."""
    how = "was deleted, and made anew by somebody," if replaced else "was deleted"
    return Evidence(
        code=CauseCode.OBJECT_LOST,
        grade=Grade.PROBABLE,
        message=f"{ref.kind} {ref.name} {how} after this deploy had written it",
    )


def explain_pending(
    ref: ObjectRef, obj: Object | None, status: ObjectStatus, shown: Sequence[Evidence], events: EventIndex
) -> Iterator[Evidence]:
    """Why an object is not Current: its evidence; else its status, with the events about it."""
    if shown:
        yield from shown
        return
    code, path = _pending_code(ref, status)
    warnings = [h for h in events.about(uid(obj or {})) if h.is_warning]
    yield Evidence(
        code=code,
        grade=Grade.TRANSIENT,
        message=_sentence(ref, status, code),
        details=tuple(dict.fromkeys(f"{h.reason}: {h.told}" for h in warnings[-3:])) or _says(obj, status),
        count=max((h.count for h in warnings), default=1),
        path=path,
        pod=_itself(ref),
        hint=_HINTS.get(status.reason, ""),
    )


def _pending_code(ref: ObjectRef, status: ObjectStatus) -> tuple[CauseCode, FieldPath]:
    if status.status is Status.TERMINATING:
        is_namespace = ref.group_kind == ("", "Namespace")
        return (CauseCode.NAMESPACE_TERMINATING if is_namespace else CauseCode.FINALIZER_STUCK), ()
    return _PENDING.get(status.reason, (CauseCode.TIMED_OUT, ()))


def _sentence(ref: ObjectRef, status: ObjectStatus, code: CauseCode) -> str:
    said = one_line(status.message) or status.reason or "not ready"
    match code:
        case CauseCode.ADDRESS_PENDING if ref.kind == "Service":
            return (
                f"Service {ref.name} has no load balancer address; is a load-balancer controller installed?"
            )
        case CauseCode.ADDRESS_PENDING:
            return f"{ref.kind} {ref.name} has no address; is an ingress controller installed for its class?"
        case CauseCode.CLAIM_PENDING:
            return f"{ref.kind} {ref.name} is not bound: {said}"
        case _:
            return f"{ref.kind} {ref.name} is still {status.status}: {said}"


def _says(obj: Object | None, status: ObjectStatus) -> tuple[str, ...]:
    """The object's own conditions that are not True, else its status."""
    told = [
        f"{text(c, 'type')} is {text(c, 'status')}: {one_line(text(c, 'message') or text(c, 'reason'))}"
        for c in items(obj, "status", "conditions")
        if text(c, "status") != "True"
    ]
    return tuple(told[:3]) or tuple(filter(None, [one_line(status.message)]))


def _itself(ref: ObjectRef) -> ObjectRef | None:
    return ref if ref.group_kind == ("", "Pod") else None

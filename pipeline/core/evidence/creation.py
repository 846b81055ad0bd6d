"""Why a controller cannot even create its pods: quota, admission, webhooks, missing accounts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.core.evidence.events import Happening, one_line
from pipeline.core.evidence.newest import BY_REPLICA_SET
from pipeline.core.evidence.scene import Scene, asking
from pipeline.core.reading import condition, number, text, uid
from pipeline.model.objects import FieldPath, Object
from pipeline.model.status import CauseCode, Evidence, Grade, Lack

# (words, code, grade, in our words, field of the pod's spec), the first that matches
_WORDS: tuple[tuple[str, CauseCode, Grade, str, FieldPath], ...] = (
    (
        r"exceeded quota|must specify (limits|requests|cpu|memory)|(maximum|minimum) .*usage per",
        CauseCode.QUOTA_EXCEEDED,
        Grade.TRANSIENT,
        "the namespace's quota does not allow its pods",
        (),
    ),
    (
        r"is being terminated",
        CauseCode.NAMESPACE_TERMINATING,
        Grade.TERMINAL,
        "its namespace is being deleted",
        (),
    ),
    (
        r"serviceaccount \"[^\"]+\" not found|error looking up service account",
        CauseCode.REFERENCE_MISSING,
        Grade.PROBABLE,
        "its ServiceAccount does not exist",
        ("serviceAccountName",),
    ),
    (
        r"failed calling webhook|failed to call webhook",
        CauseCode.WEBHOOK_UNAVAILABLE,
        Grade.TRANSIENT,
        "an admission webhook does not answer",
        (),
    ),
    (
        r"denied|forbidden|violates PodSecurity|is invalid|Invalid value|not allowed",
        CauseCode.ADMISSION_DENIED,
        Grade.PROBABLE,
        "its pods are not admitted",
        (),
    ),
)

# ResourceQuota: "requested: requests.cpu=2, …", "must specify limits.memory for: web";
# LimitRange: "maximum cpu usage per Container is 500m, but limit is 1" (kubernetes plugin/pkg/admission)
_RESOURCE = re.compile(
    r"requested: (?:requests\.|limits\.)?([^=,]+)=|must specify (?:requests\.|limits\.)?([^\s,;]+)"
    r"|(?:maximum|minimum) (\S+) usage per"
)

_ACCOUNT = re.compile(r"serviceaccount \"([^\"]+)\" not found", re.IGNORECASE)

_OTHER = ("", CauseCode.ADMISSION_DENIED, Grade.TRANSIENT, "its pods cannot be created", ())


def of_creation(workload: Object, replica_set: Object | None, scene: Scene) -> Iterator[Evidence]:
    """What stops the controller of ``workload`` from making pods, by condition or event."""
    happening = _failure(workload, replica_set, scene)
    if happening is None:
        return
    message, count = happening
    _, code, grade, what, field = next((row for row in _WORDS if re.search(row[0], message, re.I)), _OTHER)
    yield Evidence(
        code=code,
        grade=grade,
        message=f"{what}: {message}",
        details=(f"FailedCreate: {message}" + (f" ({count} times)" if count > 1 else ""),),
        count=count,
        path=(*scene.pod_path, *(field or _field(code, message, scene))),
        lacks=Lack("ServiceAccount", account.group(1)) if (account := _ACCOUNT.search(message)) else None,
    )


def _field(code: CauseCode, message: str, scene: Scene) -> FieldPath:
    """The field of the pod's spec that a quota or a policy is about, where its words tell."""
    if code is CauseCode.QUOTA_EXCEEDED:
        found = _RESOURCE.search(message)
        resource = next((word for word in found.groups() if word), "") if found else ""
        is_unset = "must specify" in message
        return asking(scene, resource) or (("containers", 0, "resources") if is_unset else ())
    if "violates PodSecurity" in message:
        return ("securityContext",)
    return ()


def _failure(workload: Object, replica_set: Object | None, scene: Scene) -> tuple[str, int] | None:
    """(message, how often). A condition is taken back once pods can be made; an event never is."""
    owner = replica_set if text(workload, "kind") in BY_REPLICA_SET else workload
    if owner is None:
        return _no_replica_set(workload)
    events = [h for h in scene.events.about(uid(owner), "FailedCreate") if not _is_past(h, scene)]
    for obj in (owner, workload):
        failure = condition(obj, "ReplicaFailure")
        if failure.get("status") == "True" and _lacks_pods(owner):
            return one_line(text(failure, "message")), max((h.count for h in events), default=1)
    if events and _lacks_pods(owner):
        return events[-1].message, events[-1].count
    return None


def _no_replica_set(deployment: Object) -> tuple[str, int] | None:
    """A quota on ReplicaSets, or a policy, stops a Deployment before its pods (kubernetes
    pkg/controller/deployment/util: FailedRSCreateReason)."""
    found = condition(deployment, "Progressing")
    if found.get("status") != "False" or text(found, "reason") != "ReplicaSetCreateError":
        return None
    return one_line(text(found, "message")), 1


def _is_past(happening: Happening, scene: Scene) -> bool:
    """Whether it happened before our write; both times are whole seconds of the server's clock."""
    return scene.since is not None and happening.at + 1 < scene.since


def _lacks_pods(owner: Object) -> bool:
    kind = text(owner, "kind")
    if kind == "DaemonSet":
        wanted, there = "desiredNumberScheduled", "currentNumberScheduled"
        return number(owner, "status", wanted) > number(owner, "status", there)
    if kind == "Job":
        return not number(owner, "status", "active") and not number(owner, "status", "succeeded")
    return number(owner, "spec", "replicas", default=1) > number(owner, "status", "replicas")

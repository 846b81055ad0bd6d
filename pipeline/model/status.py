"""Readiness: what an object's state means, and why (kstatus terms)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .objects import FieldPath, ObjectRef, Origin


class Status(StrEnum):
    """The verdict on one object, as kstatus names them."""

    CURRENT = "Current"
    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    TERMINATING = "Terminating"
    NOT_FOUND = "NotFound"
    UNKNOWN = "Unknown"


class Grade(StrEnum):
    """How much a piece of evidence proves (design promise 5)."""

    TERMINAL = "terminal"  # will not mend by itself: fail now
    PROBABLE = "probable"  # fail once it has been seen often enough
    TRANSIENT = "transient"  # fail once its grace is over


class CauseCode(StrEnum):
    """Why something did not become ready. Names stay; each has a hint in ``core.hints``."""

    IMAGE_NOT_FOUND = "ImageNotFound"
    IMAGE_DENIED = "ImageDenied"
    IMAGE_REGISTRY_UNAVAILABLE = "ImageRegistryUnavailable"
    IMAGE_NAME_INVALID = "ImageNameInvalid"
    IMAGE_PLATFORM_MISMATCH = "ImagePlatformMismatch"
    CRASH_LOOP = "CrashLoop"
    OUT_OF_MEMORY = "OutOfMemory"
    COMMAND_NOT_FOUND = "CommandNotFound"
    COMMAND_NOT_EXECUTABLE = "CommandNotExecutable"
    CONTAINER_CONFIG_MISSING = "ContainerConfigMissing"
    CONTAINER_NOT_CREATED = "ContainerNotCreated"
    INIT_CONTAINER_FAILED = "InitContainerFailed"
    STARTUP_PROBE_FAILED = "StartupProbeFailed"
    LIVENESS_PROBE_FAILED = "LivenessProbeFailed"
    READINESS_PROBE_FAILED = "ReadinessProbeFailed"
    NODE_NOT_READY = "NodeNotReady"
    UNSCHEDULABLE = "Unschedulable"
    QUOTA_EXCEEDED = "QuotaExceeded"
    ADMISSION_DENIED = "AdmissionDenied"
    VOLUME_MOUNT_FAILED = "VolumeMountFailed"
    VOLUME_ATTACH_FAILED = "VolumeAttachFailed"
    JOB_FAILED = "JobFailed"
    JOB_DEADLINE_EXCEEDED = "JobDeadlineExceeded"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    POD_FAILED = "PodFailed"
    ADDRESS_PENDING = "AddressPending"
    NO_ENDPOINTS = "NoEndpoints"
    CLAIM_PENDING = "ClaimPending"
    SCALING_BROKEN = "ScalingBroken"
    CUSTOM_RESOURCE_FAILED = "CustomResourceFailed"
    CUSTOM_RESOURCE_UNKNOWN = "CustomResourceUnknown"
    APPLY_REJECTED = "ApplyRejected"
    FIELD_CONFLICT = "FieldConflict"
    IMMUTABLE_FIELD = "ImmutableField"
    WEBHOOK_UNAVAILABLE = "WebhookUnavailable"
    NAMESPACE_TERMINATING = "NamespaceTerminating"
    FINALIZER_STUCK = "FinalizerStuck"
    DEPENDENCY_FAILED = "DependencyFailed"
    CHECK_FAILED = "CheckFailed"
    CHECK_INCONCLUSIVE = "CheckInconclusive"
    DEGRADED = "Degraded"
    REFERENCE_MISSING = "ReferenceMissing"
    OBJECT_LOST = "ObjectLost"
    RELEASE_BLOCKED_BY_POD = "ReleaseBlockedByPod"
    TIMED_OUT = "TimedOut"
    INTERRUPTED = "Interrupted"
    LOCK_LOST = "LockLost"
    UNREACHABLE = "Unreachable"


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """The verdict on one object: status, a word for programs, a sentence for people.

    ``progress`` is (ready, wanted) where the kind counts something, for the live view.
    ``warning`` says what is odd about an object that is Current all the same.
    """

    status: Status
    reason: str = ""
    message: str = ""
    progress: tuple[int, int] | None = None
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Lack:
    """What a pod names and nobody finds: a ConfigMap, Secret (or ``key`` in one) or ServiceAccount."""

    kind: str
    name: str
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Something seen that speaks against the rollout of one object.

    ``count`` is how often it happened (restarts, failed probes). ``path`` is the field of the
    manifest that it is about, so that the report can name the line. ``pod`` and ``container`` say
    whose logs explain it, ``image`` what that container runs. ``window_s`` is how long its own timings allow
    for it. ``settled`` is False while what would say more may still come. ``hint`` is for where more is known
    than the code says; empty: the code's.
    """

    code: CauseCode
    grade: Grade
    message: str
    details: tuple[str, ...] = ()
    count: int = 1
    path: FieldPath = ()
    pod: ObjectRef | None = None
    container: str = ""
    image: str = ""
    lacks: Lack | None = None
    window_s: float = 0.0
    settled: bool = True
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a run failed, as reported: the object, what happened, how we know, what to do."""

    object: ObjectRef | None
    code: CauseCode
    message: str
    evidence: tuple[str, ...] = ()
    origin: Origin | None = None
    hint: str = ""


class Verdict(StrEnum):
    """The outcome of a health check."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measurement of a check: at which second since its start, what was seen."""

    at_s: float
    verdict: Verdict
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """A check's verdict with the samples that it rests on."""

    name: str
    verdict: Verdict
    reason: str
    samples: tuple[Sample, ...] = ()

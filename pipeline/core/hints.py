"""For every cause: what to do next, in one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pipeline.core.evidence.crashes import exec_failure_in
from pipeline.core.evidence.images import other_names, other_tags, repository
from pipeline.core.reading import items, text
from pipeline.core.schema import nearest
from pipeline.model.objects import FieldPath, Manifest, ObjectRef
from pipeline.model.status import Cause, CauseCode, Evidence, ObjectStatus, Status

HINTS: Mapping[CauseCode, str] = {
    CauseCode.IMAGE_NOT_FOUND: "push the image, or correct its name, tag or digest",
    CauseCode.IMAGE_DENIED: "give the nodes or the pod's imagePullSecrets the right to pull it, "
    "or create the repository if it does not exist",
    CauseCode.IMAGE_REGISTRY_UNAVAILABLE: "check that the nodes reach the registry (DNS, proxy, limits), "
    "then run again",
    CauseCode.IMAGE_NAME_INVALID: "write the image as registry/path:tag or registry/path@sha256:digest, "
    "in lower case",
    CauseCode.IMAGE_PLATFORM_MISMATCH: "build the image for the nodes' architecture, "
    "or choose nodes with nodeSelector kubernetes.io/arch",
    CauseCode.CRASH_LOOP: "read the container's log above and repair what makes it exit",
    CauseCode.OUT_OF_MEMORY: "raise resources.limits.memory, or make the application use less",
    CauseCode.COMMAND_NOT_FOUND: "correct command or args: the program is not in the image",
    CauseCode.COMMAND_NOT_EXECUTABLE: "make the program executable in the image, "
    "or call it by its interpreter",
    CauseCode.CONTAINER_CONFIG_MISSING: "add the ConfigMap, Secret or key that is named, "
    "or mark the reference optional",
    CauseCode.CONTAINER_NOT_CREATED: "look at the node's runtime and network plugin "
    "(on EKS: free IP addresses of the subnet)",
    CauseCode.INIT_CONTAINER_FAILED: "read the init container's log above: the pod starts only after it",
    CauseCode.STARTUP_PROBE_FAILED: "correct startupProbe, or raise its failureThreshold for a slow start",
    CauseCode.LIVENESS_PROBE_FAILED: "correct livenessProbe, or add a startupProbe if the start is slow",
    CauseCode.READINESS_PROBE_FAILED: "see in the container's log why it is not ready, "
    "and check the probe's port and path",
    CauseCode.NODE_NOT_READY: "see why the node stopped reporting (kubectl describe node); "
    "unless it comes back, its pods are made elsewhere after five minutes",
    CauseCode.UNSCHEDULABLE: "lower the pod's requests, loosen its node selection, or add nodes",
    CauseCode.QUOTA_EXCEEDED: "raise the ResourceQuota or LimitRange, lower the requests, or free some",
    CauseCode.ADMISSION_DENIED: "change the pod template so that the named policy admits it",
    CauseCode.VOLUME_MOUNT_FAILED: "check that the volume's source exists and its CSI driver runs there",
    CauseCode.VOLUME_ATTACH_FAILED: "check that the volume is in the node's zone and not attached elsewhere",
    CauseCode.JOB_FAILED: "read the log above, correct the Job, and deploy again",
    CauseCode.JOB_DEADLINE_EXCEEDED: "raise activeDeadlineSeconds, or make the Job faster",
    CauseCode.PROGRESS_DEADLINE_EXCEEDED: "see what its pods show, or raise progressDeadlineSeconds "
    "if the start is slow",
    CauseCode.POD_FAILED: "read the pod's log and its status message",
    CauseCode.ADDRESS_PENDING: "check the load-balancer or ingress controller: its events, "
    "permissions and the subnets' tags; or set a pipeline/ready rule",
    CauseCode.NO_ENDPOINTS: "compare spec.selector and the ports' targetPort with the labels and ports "
    "of the pods that should serve",
    CauseCode.CLAIM_PENDING: "check the storage class and its provisioner (on EKS: EBS or EFS CSI add-on)",
    CauseCode.SCALING_BROKEN: "correct scaleTargetRef or the target's selector",
    CauseCode.CUSTOM_RESOURCE_FAILED: "see the resource's conditions and its controller's log",
    CauseCode.CUSTOM_RESOURCE_UNKNOWN: "say when it is ready: annotation pipeline/ready, or rollout.rules "
    "in environment.yaml",
    CauseCode.APPLY_REJECTED: "correct the field that the API server names",
    CauseCode.FIELD_CONFLICT: "leave the field to its manager, or set allow.conflicts: take",
    CauseCode.IMMUTABLE_FIELD: "restore the field, or allow replacing the object "
    "with the annotation pipeline/recreate: allowed",
    CauseCode.WEBHOOK_UNAVAILABLE: "bring the webhook's own workload back, then run again",
    CauseCode.NAMESPACE_TERMINATING: "let the namespace go, or remove what holds it; then run again",
    CauseCode.FINALIZER_STUCK: "see why the finalizer's controller does not finish; "
    "remove the finalizer only if it is gone for good",
    CauseCode.DEPENDENCY_FAILED: "repair the object that it depends on",
    CauseCode.CHECK_FAILED: "see the samples: the application answers, but not as the check expects",
    CauseCode.CHECK_INCONCLUSIVE: "see why the check got no usable sample, and run again",
    CauseCode.DEGRADED: "see what happened to the object after it was ready",
    CauseCode.REFERENCE_MISSING: "add the object that is named, or list it under allow.missing "
    "if something else creates it",
    CauseCode.OBJECT_LOST: "find out who deletes it (another tool, a controller, a Job's "
    "ttlSecondsAfterFinished), then run again",
    CauseCode.RELEASE_BLOCKED_BY_POD: "delete the broken pod, or allow that "
    "with the annotation pipeline/recreate: allowed",
    CauseCode.TIMED_OUT: "see what was still waited for; raise deploy.timeout if it only needs longer",
    CauseCode.INTERRUPTED: "run again: the next run takes over where this one stopped",
    CauseCode.LOCK_LOST: "run again; if it recurs, check the connection to the cluster",
    CauseCode.UNREACHABLE: "check network, endpoint and login, then run again",
}
"""Each hint completes "what to do: …": imperative, no full stop."""


def cause(
    ref: ObjectRef | None,
    evidence: Evidence,
    manifest: Manifest | None = None,
    logs: Sequence[str] = (),
    *,
    others: Sequence[str] = (),
    before: ObjectStatus | None = None,
    hint: str = "",
) -> Cause:
    """Evidence as it is reported: with the line of the manifest, the log lines and the hint.

    ``others`` are the other objects that show the same, ``before`` is the object's status before the
    deploy: what was broken already is said to be. ``hint``: what is known beyond the evidence.
    """
    told = by_log(evidence, logs)
    past = _past(before)
    same = f"the same in {len(others)} more: {', '.join(others[:_OTHERS])}" if others else ""
    return Cause(
        object=ref,
        code=told.code,
        message=told.message,
        evidence=(*told.details, *filter(None, [past, same]), *logs),
        origin=manifest.origin_of(_in_manifest(told, manifest)) if manifest else None,
        hint=hint or told.hint or HINTS[told.code],
    )


def _past(before: ObjectStatus | None) -> str:
    if before is None or before.status in (Status.CURRENT, Status.NOT_FOUND):
        return ""
    return (
        f"it was {before.status} before this deploy already: {before.message or before.reason or 'not ready'}"
    )


def by_log(evidence: Evidence, logs: Sequence[str]) -> Evidence:
    """The evidence with the cause that only the log of a crash tells: the program could not be started."""
    code = exec_failure_in(logs) if evidence.code in _CRASHES else None
    if code is None or not evidence.container:
        return evidence
    why = {
        CauseCode.IMAGE_PLATFORM_MISMATCH: "its image is built for another platform",
        CauseCode.COMMAND_NOT_FOUND: "no such command",
    }.get(code, "it is not executable")
    is_image = code is CauseCode.IMAGE_PLATFORM_MISMATCH
    return replace(
        evidence,
        code=code,
        message=f"{evidence.message}, since it cannot be started: {why}",
        path=(*evidence.path, "image" if is_image else "command"),
        hint="",
    )


def near_hint(evidence: Evidence, names: Iterable[str]) -> str:
    """What a missing ConfigMap, Secret or key was probably meant to be, of those that there are."""
    lacks = evidence.lacks
    if lacks is None:
        return ""
    if near := nearest(lacks.key or lacks.name, sorted(names)):
        what = f"{lacks.kind} {lacks.name} has the key" if lacks.key else f"there is the {lacks.kind}"
        return f"did you mean {near!r}? {what} {near}, not {lacks.key or lacks.name}"
    return ""


def tag_hint(evidence: Evidence, manifests: Iterable[Manifest]) -> str:
    """Which other tag of a missing image's repository stands in the set, or its tag under a name like it."""
    if evidence.code not in _TAGS or not evidence.image:
        return ""
    of_set = list(manifests)
    used = other_tags(evidence.image, of_set)
    if used and evidence.code is not CauseCode.IMAGE_DENIED:
        ref, image = used[0]
        return f"{HINTS[evidence.code]}; {ref.short} uses {image}"
    named = other_names(evidence.image, of_set)
    if near := nearest(repository(evidence.image), sorted(named)):
        ref, image = named[near]
        return f"did you mean {image}? {ref.short} uses it"
    return ""


_OTHERS = 10  # objects that are named; of more only the number

# Some registries answer "denied" for a repository that does not exist.
_TAGS = frozenset({CauseCode.IMAGE_NOT_FOUND, CauseCode.IMAGE_DENIED, CauseCode.IMAGE_PLATFORM_MISMATCH})
_CRASHES = frozenset({CauseCode.CRASH_LOOP, CauseCode.INIT_CONTAINER_FAILED})


def _in_manifest(evidence: Evidence, manifest: Manifest) -> FieldPath:
    """The path with the container's position in the manifest: live lists may be in another order."""
    path = evidence.path
    for position, step in enumerate(path[:-1]):
        if step in ("containers", "initContainers") and isinstance(path[position + 1], int):
            written = items(manifest.body, *path[: position + 1])
            names = [text(container, "name") for container in written]
            if not evidence.container:
                return path  # by its place in the live template, which keeps the manifest's order
            if evidence.container not in names:
                return path[: position + 1]
            return (*path[: position + 1], names.index(evidence.container), *path[position + 2 :])
    return path

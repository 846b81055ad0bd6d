"""For every cause: what to do next, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.core.reading import items, text
from pipeline.model.objects import FieldPath, Manifest, ObjectRef
from pipeline.model.status import Cause, CauseCode, Evidence

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
    CauseCode.RELEASE_BLOCKED_BY_POD: "delete the broken pod, or allow that "
    "with the annotation pipeline/recreate: allowed",
    CauseCode.TIMED_OUT: "see what was still waited for; raise deploy.timeout if it only needs longer",
    CauseCode.INTERRUPTED: "run again: the next run takes over where this one stopped",
    CauseCode.LOCK_LOST: "run again; if it recurs, check the connection to the cluster",
    CauseCode.UNREACHABLE: "check network, endpoint and login, then run again",
}
"""Each hint completes "what to do: …": imperative, no full stop."""


def cause(
    ref: ObjectRef | None, evidence: Evidence, manifest: Manifest | None = None, logs: Sequence[str] = ()
) -> Cause:
    """Evidence as it is reported: with the line of the manifest, the log lines and the hint."""
    return Cause(
        object=ref,
        code=evidence.code,
        message=evidence.message,
        evidence=(*evidence.details, *logs),
        origin=manifest.origin_of(_in_manifest(evidence, manifest)) if manifest else None,
        hint=HINTS[evidence.code],
    )


def _in_manifest(evidence: Evidence, manifest: Manifest) -> FieldPath:
    """The path with the container's position in the manifest: live lists may be in another order."""
    path = evidence.path
    for position, step in enumerate(path[:-1]):
        if step in ("containers", "initContainers") and isinstance(path[position + 1], int):
            written = items(manifest.body, *path[: position + 1])
            names = [text(container, "name") for container in written]
            if evidence.container not in names:
                return path[: position + 1]
            return (*path[: position + 1], names.index(evidence.container), *path[position + 2 :])
    return path

"""Pod, Job and CronJob: things that run to an end, or fail."""

from __future__ import annotations

from pipeline.core.readiness.verdicts import Facts, current, exists, failed, several, waiting
from pipeline.core.reading import condition, condition_is, items, mapping, number, text
from pipeline.model.objects import Object, get_path
from pipeline.model.status import ObjectStatus

_FINITE = frozenset({"Never", "OnFailure"})

# Kueue's label for what it queues; it suspends such a Job until there is room (kueue.x-k8s.io, "Run a Job").
_QUEUE = "kueue.x-k8s.io/queue-name"


def pod(obj: Object, facts: Facts) -> ObjectStatus:
    """Failed is Failed (kstatus calls it Current); Running counts once it is Ready.

    "All containers in the pod have terminated, and at least one container has terminated in a failure"
    (core/v1 PodFailed): nobody starts a bare Pod again. One that is not restarted has a finite life, as
    Argo CD has it too, and without probe it is Ready from its start: it counts at its end, unless it says
    by a readiness probe or gate that it serves.
    """
    phase = text(obj, "status", "phase")
    statuses = items(obj, "status", "containerStatuses")
    every = [*items(obj, "status", "initContainerStatuses"), *statuses]
    wanted = len(items(obj, "spec", "containers")) or len(statuses)
    progress = (sum(s.get("ready") is True for s in statuses), wanted)
    if phase == "Succeeded":
        return current("Succeeded", "ran to its end")
    if phase == "Failed":
        said = text(obj, "status", "message") or text(obj, "status", "reason") or _exits(every)
        return failed("PodFailed", said or "failed", progress=progress)
    ready = condition(obj, "Ready")
    is_ready = ready.get("status") == "True" and (_serves(obj) or not _is_finite(obj))
    if phase == "Running" and (is_ready or ready.get("reason") == "PodCompleted"):
        return current("Ready", "all its containers are ready", progress=progress)
    why = _waits(every) or _runs_on(obj, statuses)
    why = why or text(condition(obj, "PodScheduled"), "message") or text(ready, "message")
    is_new = phase in ("", "Pending")
    silence = "has not started yet" if is_new else f"is {phase}, and not reported as ready"
    return waiting(phase or "Pending", why or silence, progress=progress)


def _is_finite(obj: Object) -> bool:
    return text(obj, "spec", "restartPolicy") in _FINITE


def _serves(obj: Object) -> bool:
    probed = any("readinessProbe" in container for container in items(obj, "spec", "containers"))
    return probed or bool(items(obj, "spec", "readinessGates"))


def _runs_on(obj: Object, statuses: list[Object]) -> str:
    """What keeps a Pod from its end: a sidecar among its ``containers`` runs on when the work is done."""
    if not _is_finite(obj):
        return ""
    ended = [text(s, "name") for s in statuses if mapping(s, "state", "terminated")]
    still = [text(s, "name") for s in statuses if mapping(s, "state", "running")]
    if not still:
        return ""
    if not ended:
        return "runs, and counts once it has ended"
    hint = "a sidecar belongs into initContainers with restartPolicy Always"
    return f"container {', '.join(ended)} has ended, {', '.join(still)} still runs; {hint}"


def _exits(statuses: list[Object]) -> str:
    ends = [(text(s, "name"), number(s, "state", "terminated", "exitCode")) for s in statuses]
    return ", ".join(f"container {name} exited with {code}" for name, code in ends if code)


def _waits(statuses: list[Object]) -> str:
    waits = [(text(s, "name"), text(s, "state", "waiting", "reason")) for s in statuses]
    return ", ".join(f"container {name} waits: {reason}" for name, reason in waits if reason)


def job(obj: Object, facts: Facts) -> ObjectStatus:
    """Current only once it is complete: what comes after a migration needs its end, not its start.

    Failed as soon as FailureTarget says so: "the job is about to fail its execution" (batch/v1), whether by
    backoffLimit, deadline, podFailurePolicy or failed indexes. SuccessCriteriaMet is
    the promise of Complete, kept when the other pods have ended.
    """
    wanted = number(obj, "spec", "completions", default=1)
    progress = (min(number(obj, "status", "succeeded"), wanted), wanted)
    for kind in ("Failed", "FailureTarget"):
        end = condition(obj, kind)
        if end.get("status") == "True":
            return _failed_job(obj, end, progress)
    if condition_is(obj, "Complete", "True"):
        return current("Complete", "ran to its end", progress=progress)
    met = condition(obj, "SuccessCriteriaMet")
    if met.get("status") == "True":
        said = text(met, "message") or "it has what it needs"
        return waiting("Ending", f"its last pods are ending: {said}", progress=progress)
    return _suspended(obj, progress) or _running(obj, progress)


def _failed_job(obj: Object, end: Object, progress: tuple[int, int]) -> ObjectStatus:
    """``activeDeadlineSeconds`` gives the reason DeadlineExceeded; failed indexes are named
    (``status.failedIndexes``, "represented as decimal integers separated by commas")."""
    reason = "JobDeadlineExceeded" if end.get("reason") == "DeadlineExceeded" else "JobFailed"
    said = text(end, "message") or text(end, "reason") or "failed"
    indexes = text(obj, "status", "failedIndexes")
    return failed(reason, f"{said} (indexes {indexes})" if indexes else said, progress=progress)


def _suspended(obj: Object, progress: tuple[int, int]) -> ObjectStatus | None:
    """By the spec alone: a Job has no observedGeneration, so its Suspended condition may be from before
    it was resumed."""
    if get_path(obj, "spec", "suspend") is True:
        queue = text(obj, "metadata", "labels", _QUEUE)
        if queue:
            return waiting("Queued", f"waits for its turn in the queue {queue}", progress=progress)
        return current("Suspended", progress=progress, warning="is suspended: it has not run")
    if condition_is(obj, "Suspended", "True"):
        return waiting("Resuming", "is not suspended any more, and about to run", progress=progress)
    return None


def _running(obj: Object, progress: tuple[int, int]) -> ObjectStatus:
    bad = number(obj, "status", "failed")
    tries = f", {bad} failed" if bad else ""
    active = several(number(obj, "status", "active"), "pod is active", "pods are active")
    return waiting("Running", f"{active}{tries}", progress=progress)


def cron_job(obj: Object, facts: Facts) -> ObjectStatus:
    """Current at once: when it runs is for the clock, and how its Jobs end is theirs.

    "This flag tells the controller to suspend subsequent executions" (batch/v1 CronJobSpec.suspend).
    """
    if get_path(obj, "spec", "suspend") is True:
        return current("Suspended", warning="is suspended: it starts no Jobs")
    return exists(obj, facts)

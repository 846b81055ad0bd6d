"""Pod and Job: things that run to an end, or fail."""

from __future__ import annotations

from pipeline.core.readiness.verdicts import Facts, current, failed, waiting
from pipeline.core.reading import condition, condition_is, items, number, text
from pipeline.model.objects import Object, get_path
from pipeline.model.status import ObjectStatus


def pod(obj: Object, facts: Facts) -> ObjectStatus:
    """Failed is Failed (kstatus calls it Current); Running counts once it is Ready."""
    phase = text(obj, "status", "phase")
    statuses = items(obj, "status", "containerStatuses")
    wanted = len(items(obj, "spec", "containers")) or len(statuses)
    progress = (sum(s.get("ready") is True for s in statuses), wanted)
    if phase == "Succeeded":
        return current("Succeeded", "ran to its end")
    if phase == "Failed":
        said = text(obj, "status", "message") or text(obj, "status", "reason") or _exits(statuses)
        return failed("PodFailed", said or "failed", progress=progress)
    ready = condition(obj, "Ready")
    if phase == "Running" and (ready.get("status") == "True" or ready.get("reason") == "PodCompleted"):
        return current("Ready", "all its containers are ready", progress=progress)
    why = _waits(statuses) or text(condition(obj, "PodScheduled"), "message") or text(ready, "message")
    return waiting(phase or "Pending", why or "has not started yet", progress=progress)


def _exits(statuses: list[Object]) -> str:
    ends = [(text(s, "name"), number(s, "state", "terminated", "exitCode")) for s in statuses]
    return ", ".join(f"container {name} exited with {code}" for name, code in ends if code)


def _waits(statuses: list[Object]) -> str:
    waits = [(text(s, "name"), text(s, "state", "waiting", "reason")) for s in statuses]
    return ", ".join(f"container {name} waits: {reason}" for name, reason in waits if reason)


def job(obj: Object, facts: Facts) -> ObjectStatus:
    """Current only once it is complete: what comes after a migration needs its end, not its start."""
    wanted = number(obj, "spec", "completions", default=1)
    progress = (number(obj, "status", "succeeded"), wanted)
    if condition_is(obj, "Complete", "True"):
        return current("Complete", "ran to its end", progress=progress)
    for kind in ("Failed", "FailureTarget"):
        end = condition(obj, kind)
        if end.get("status") == "True":
            reason = "JobDeadlineExceeded" if end.get("reason") == "DeadlineExceeded" else "JobFailed"
            said = text(end, "message") or text(end, "reason") or "failed"
            return failed(reason, said, progress=progress)
    if get_path(obj, "spec", "suspend") is True or condition_is(obj, "Suspended", "True"):
        return current("Suspended", progress=progress, warning="is suspended: it has not run")
    bad = number(obj, "status", "failed")
    tries = f", {bad} failed" if bad else ""
    return waiting("Running", f"{number(obj, 'status', 'active')} pods are active{tries}", progress=progress)

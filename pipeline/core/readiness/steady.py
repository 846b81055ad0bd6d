"""Whether a workload that looks whole has stood long enough to be believed.

A container without a readiness probe is Ready from its first moment ("the default state of readiness before
the initial delay is Failure. If a container does not provide a readiness probe, the default state is
Success": Kubernetes documentation, Pod lifecycle), so one that crashes at its start is Ready in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.core.readiness.verdicts import several, waiting
from pipeline.core.reading import items, mapping, number, seconds, text
from pipeline.model.objects import Object
from pipeline.model.status import ObjectStatus

AFTER_A_CRASH_S = 10.0
"""How long what has crashed since our write must run: the first wait of the kubelet's back-off."""

ENOUGH_S = 3.0
"""How long one without a readiness probe should run: the times are whole seconds, and the kubelet looks at
its containers once a second, so that what dies at once is told within three."""

UNSTEADY = frozenset({"NotSeen", "Restarted", "Started"})
"""The reasons of what is whole by its counts and not believed yet."""

_COUNTS = {
    "Deployment": "updatedReplicas",
    "StatefulSet": "updatedReplicas",
    "DaemonSet": "updatedNumberScheduled",
    "ReplicaSet": "replicas",
    "ReplicationController": "replicas",
    "Rollout": "updatedReplicas",
}
"""Where a workload's status says how many pods of its newest revision there are."""

_ENDED = ("Succeeded", "Failed")


def unsteady(
    workload: Object,
    status: ObjectStatus,
    pods: Sequence[Object],
    since: float,
    now: float,
    after_start_s: float = ENOUGH_S,
    *,
    all_shown: bool = False,
) -> ObjectStatus | None:
    """Why a workload that is Current by its own counts is not, yet.

    ``pods`` are those of its newest revision, ``since`` is when it was written: what started before that is
    believed. ``after_start_s``: how long a container without a readiness probe must run. Each watch has a
    pace of its own, so that pods may be seen as they were before the counts, or, where they are
    ``all_shown`` sooner or later, not at all yet.
    """
    ready, wanted = status.progress or (0, 0)
    doubts = _Doubts(
        since=since,
        now=now,
        after_start_s=after_start_s,
        patient=number(workload, "spec", "minReadySeconds") >= after_start_s,
        all_run=ready >= wanted,
    )
    living = [pod for pod in pods if text(pod, "status", "phase") not in _ENDED]  # others have been replaced
    missing = number(workload, "status", _COUNTS.get(text(workload, "kind"), "")) - len(living)
    if all_shown and missing > 0:
        unseen = several(missing, "of its pods has", "of its pods have")
        return waiting("NotSeen", f"{unseen} not been seen yet", progress=status.progress)
    for pod in living:
        for spec, container in _containers(pod):
            if doubt := doubts.about(spec, container):
                reason, told = doubt
                return waiting(reason, f"container {text(spec, 'name')} {told}", progress=status.progress)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doubts:
    """``patient``: the workload waits for longer itself. ``all_run``: by its counts, every pod does."""

    since: float
    now: float
    after_start_s: float
    patient: bool
    all_run: bool

    def about(self, spec: Object, container: Object) -> tuple[str, str] | None:
        """(a word, how the sentence goes on)"""
        started = seconds(mapping(container, "state", "running").get("startedAt"))
        if started is None:
            return ("NotSeen", "has not been seen to run yet") if self.all_run else None
        up_s, must = self.now - started, "it has to run for"
        if self._died(container) and up_s < AFTER_A_CRASH_S:
            restarts = several(number(container, "restartCount"), "time")
            return "Restarted", f"was restarted {restarts}; {must} {AFTER_A_CRASH_S:.0f} s"
        is_new = started + 1 >= self.since
        if is_new and not self.patient and "readinessProbe" not in spec and up_s < self.after_start_s:
            told = "has just started, and has no readiness probe"
            return "Started", f"{told}; {must} {self.after_start_s:.0f} s"
        return None

    def _died(self, container: Object) -> bool:
        """Since our write, and whatever its exit code: what stays is not to end at all."""
        finished = seconds(mapping(container, "lastState", "terminated").get("finishedAt"))
        return finished is not None and finished >= self.since


def _containers(pod: Object) -> Iterator[tuple[Object, Object]]:
    """Each container that stays, sidecars among them, with its status."""
    sidecars = (c for c in items(pod, "spec", "initContainers") if c.get("restartPolicy") == "Always")
    yield from _with_status(sidecars, items(pod, "status", "initContainerStatuses"))
    yield from _with_status(items(pod, "spec", "containers"), items(pod, "status", "containerStatuses"))


def _with_status(specs: Iterable[Object], statuses: Iterable[Object]) -> Iterator[tuple[Object, Object]]:
    by_name = {text(status, "name"): status for status in statuses}
    yield from ((spec, by_name.get(text(spec, "name"), {})) for spec in specs)

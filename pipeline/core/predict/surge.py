"""Rollouts that a quota stops: pods that must come first, and for which there is no room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from pipeline.core.at_field import error, warning
from pipeline.core.predict.facts import Outlook, Workload, share, whole
from pipeline.core.predict.quantity import show
from pipeline.core.predict.quota import Room, charge, rooms
from pipeline.core.predict.revision import renews
from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Object, get_path

_DEPLOYMENT: Final = ("apps", "Deployment")
_STATEFUL_SET: Final = ("apps", "StatefulSet")
_JOB: Final = ("batch", "Job")
_POD: Final = ("", "Pod")
_COUNTED: Final = frozenset({_DEPLOYMENT, _STATEFUL_SET, ("apps", "ReplicaSet"), _JOB, _POD})
"""How many pods a DaemonSet makes is up to the nodes, and a CronJob's come when it is time."""

_FRACTION: Final = "25%"
"""The default of maxSurge and maxUnavailable (apps/v1 ``RollingUpdateDeployment``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Need:
    """What a workload's change asks of a quota.

    ``pod`` is one pod of it, ``count`` how many come beyond those that go, ``total`` what those and
    growing ones ask for at the peak. ``first`` is true where nothing goes on without one more pod.
    ``frees`` is true where pods go before others come, or fewer remain.
    """

    workload: Workload
    pod: dict[str, Fraction]
    count: int
    total: dict[str, Fraction]
    first: bool = False
    frees: bool = False
    is_new: bool = False

    def is_counted_in(self, room: Room) -> bool:
        return room.counts(self.workload.spec, self.pod)


def quota_problems(outlook: Outlook) -> Iterator[Problem]:
    """An error where a rollout cannot make its first pod; a warning where only some of its pods fit."""
    needs: dict[str, list[_Need]] = {}
    for workload in outlook.changed_workloads():
        namespace = workload.ref.namespace
        if workload.ref.group_kind in _COUNTED and outlook.quotas(namespace):
            needs.setdefault(namespace, []).append(_need(workload, outlook))
        elif workload.ref.group_kind == ("apps", "DaemonSet") and outlook.quotas(namespace):
            needs.setdefault(namespace, []).append(_freeing(workload))
    for namespace, of_namespace in needs.items():
        yield from _judged(of_namespace, rooms(outlook, namespace))


def surge_of(spec: Object, replicas: int) -> tuple[int, int]:
    """(pods that may be extra, pods that may be missing) while a Deployment rolls.

    Surge is rounded up, unavailable down; where both come to 0, one may be missing
    (k8s.io/kubernetes pkg/controller/deployment/util, ``ResolveFenceposts``).
    """
    rolling = get_path(spec, "strategy", "rollingUpdate")
    surge = share(get_path(rolling, "maxSurge", default=_FRACTION), replicas, up=True)
    missing = share(get_path(rolling, "maxUnavailable", default=_FRACTION), replicas, up=False)
    if surge is None or missing is None or (surge == 0 and missing == 0):
        return 0, 1
    return surge, missing


def _need(workload: Workload, outlook: Outlook) -> _Need:
    live = outlook.facts.live.get(workload.ref)
    pod = dict(charge(workload.spec, outlook.defaults(workload.ref.namespace)))
    if live is not None:
        return _of_update(workload, pod, live, outlook)
    wanted = _parallel(workload) if workload.ref.group_kind == _JOB else outlook.replicas(workload)
    return _Need(
        workload=workload,
        pod=pod,
        count=wanted,
        total=_times(pod, wanted),
        # The server's dry run has tried a bare pod already.
        first=wanted > 0 and workload.ref.group_kind != _POD,
        is_new=True,
    )


def _parallel(job: Workload) -> int:
    spec = get_path(job.manifest.body, "spec")
    if get_path(spec, "suspend") is True:
        return 0
    return min(whole(get_path(spec, "parallelism"), 1), whole(get_path(spec, "completions"), 10**9))


def _of_update(workload: Workload, pod: dict[str, Fraction], live: Object, outlook: Outlook) -> _Need:
    if workload.ref.group_kind in (_JOB, _POD):
        return _freeing(workload)  # what is replaced is deleted first
    before = whole(get_path(live, "spec", "replicas"), 1)
    scaled = outlook.autoscaler(workload.ref) is not None
    wanted = before if scaled else outlook.replicas(workload)
    old = charge(get_path(live, *workload.path), outlook.defaults(workload.ref.namespace))
    change = {
        resource: pod.get(resource, Fraction(0)) * wanted - old.get(resource, Fraction(0)) * before
        for resource in {**pod, **old}
    }
    growth = {resource: max(amount, Fraction(0)) for resource, amount in change.items()}
    shrinks = any(amount < 0 for amount in change.values())
    new_revision = renews(workload, live)
    surge, missing = _rolling(workload, wanted)
    if not new_revision or missing:
        return _Need(
            workload=workload,
            pod=pod,
            count=max(wanted - before, 0),
            total=growth,
            frees=shrinks or new_revision,
        )
    extra = _times(pod, surge)
    return _Need(
        workload=workload,
        pod=pod,
        count=surge + max(wanted - before, 0),
        total={resource: growth.get(resource, Fraction(0)) + extra.get(resource, 0) for resource in growth},
        first=wanted > 0 and before > 0,
        frees=shrinks,
    )


def _rolling(workload: Workload, wanted: int) -> tuple[int, int]:
    """As ``surge_of``; whatever replaces its pods one by one, or all at once, has some missing."""
    spec = get_path(workload.manifest.body, "spec", default={})
    if workload.ref.group_kind != _DEPLOYMENT or get_path(spec, "strategy", "type") == "Recreate":
        return 0, 1
    return surge_of(spec, wanted)


def _freeing(workload: Workload) -> _Need:
    return _Need(workload=workload, pod={}, count=0, total={}, frees=True)


def _times(pod: dict[str, Fraction], count: int) -> dict[str, Fraction]:
    return {resource: amount * count for resource, amount in pod.items()}


# --- verdicts


def _judged(needs: Sequence[_Need], available: Sequence[Room]) -> Iterator[Problem]:
    frees = any(need.frees for need in needs)
    told: set[Room] = set()
    for need in needs:
        own = [room for room in available if need.is_counted_in(room)]
        short = next((room for room in own if room.lacks(need.total)), None)
        stuck = next((room for room in own if need.first and room.lacks(need.pod)), None)
        if stuck is not None:
            yield _nothing_fits(need, stuck, certain=not frees)
        elif short is not None:
            yield _some_fit(need, short)
        told |= {room for room in own if room.lacks(need.total)}
    for room in available:
        counted = [need for need in needs if need.is_counted_in(room)]
        problem = None if room in told else _together(counted, room)
        if problem is not None:
            yield problem
            return


def _nothing_fits(need: _Need, room: Room, *, certain: bool) -> Problem:
    tell = error if certain else warning
    if need.is_new:
        path: FieldPath = (*need.workload.path, "containers", 0, "resources")
        message = f"none of its pods can be created: {_words(room)}, and a pod needs {_wanted(need, room)}"
        hint = "raise the quota, free some of it, or request less"
    else:
        path = ("spec", "strategy", "rollingUpdate", "maxUnavailable")
        message = (
            "the rollout cannot start: no pod may be missing, so one more must come first, but"
            f" {_words(room)}, and a pod needs {_wanted(need, room)}"
        )
        hint = "set spec.strategy.rollingUpdate.maxUnavailable: 1, or raise the quota"
    if not certain:
        message += "; it goes on only if other workloads of this plan free enough"
    return tell(need.workload.manifest, path, "quota-exceeded", message, hint)


def _some_fit(need: _Need, room: Room) -> Problem:
    one = need.pod.get(room.counted, Fraction(0))
    fit = max(int(room.left // one), 0) if one > 0 else 0
    what = f"room for {fit} of {need.count} more pods" if need.count else "no room for larger pods"
    message = f"{_words(room)}: {what}"
    path: FieldPath = ("spec", "replicas") if need.count else (*need.workload.path, "containers")
    hint = "raise the quota, or ask for less"
    return warning(need.workload.manifest, path, "quota-exceeded", message, hint)


def _together(needs: Sequence[_Need], room: Room) -> Problem | None:
    """The workload with which the sum of all first exceeds what is left."""
    total = Fraction(0)
    for need in needs:
        total += need.total.get(room.counted, Fraction(0))
        if total > room.left and need.total.get(room.counted):
            whole_sum = sum((n.total.get(room.counted, Fraction(0)) for n in needs), Fraction(0))
            message = f"{_words(room)}, and this plan needs {show(whole_sum)} for all its workloads there"
            hint = "raise the quota, or ask for less"
            return warning(need.workload.manifest, ("spec",), "quota-exceeded", message, hint)
    return None


def _words(room: Room) -> str:
    return f"ResourceQuota/{room.quota} allows {show(room.hard)} of {room.resource}, {show(room.used)} used"


def _wanted(need: _Need, room: Room) -> str:
    return show(need.pod.get(room.counted, Fraction(0)))

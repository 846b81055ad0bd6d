"""Of a thousand workloads the verdict is that of one: pods in brief say what pods in full say."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.brief_pods import brief, is_in_trouble, workload_of
from pipeline.core.rollout import RolloutLog, Snapshot, Target, status_of, step
from pipeline.model.environment import Rollout
from pipeline.model.objects import Object, ObjectRef
from pipeline.model.status import Status
from tests.kube_objects import T0, at, condition, deployment, ended, named_pod, replica_set, running, waiting

WEB = ObjectRef.of(deployment())
TARGET = Target(ref=WEB, since=T0)


@st.composite
def containers(draw: st.DrawFn) -> Object:
    """The status of a container, in any moment of its life."""
    started = draw(st.sampled_from((-60, 0, 15, 18, 20)))
    last = ended(draw(st.sampled_from((0, 1, 137))), finished=started - 1) if draw(st.booleans()) else None
    up = running(ready=True, restarts=1 if last else 0, last=last)
    up["state"]["running"]["startedAt"] = at(started)
    states = (
        up,
        waiting("ContainerCreating"),
        waiting("CrashLoopBackOff", restarts=3, last=ended(1)),
        waiting("ErrImagePull", "not found"),
        {"name": "web", "state": {"terminated": ended(1)}},
    )
    return draw(st.sampled_from((up, up, *states)))


@st.composite
def pods(draw: st.DrawFn, uid: str) -> Object:
    is_old = draw(st.sampled_from((False, False, False, True)))
    phase = draw(st.sampled_from(("Running", "Running", "Pending", "Failed")))
    starting = st.sampled_from(([], [waiting("ContainerCreating")], [waiting("ErrImagePull", "not found")]))
    states = draw(starting) if phase == "Pending" else [draw(containers())]
    made = named_pod(
        *states, uid=uid, hashed="r1" if is_old else "r2", probed=draw(st.booleans()), phase=phase
    )
    made["metadata"]["creationTimestamp"] = at(-99 if is_old else 1)
    if draw(st.sampled_from((False, False, False, True))):
        made["metadata"]["deletionTimestamp"] = at(19)
    if draw(st.sampled_from((False, False, False, True))):
        made["status"]["conditions"].append(condition("DisruptionTarget"))
    return made


@st.composite
def whole(draw: st.DrawFn) -> tuple[Object, list[Object]]:
    """A Deployment that is whole by its own counts, with pods as they may be seen at that moment: all that it
    counts, or fewer."""
    seen = [draw(pods(f"p{number}")) for number in range(draw(st.integers(0, 4)))]
    stay = sum(_is_of(pod, "r2") and pod["status"]["phase"] != "Failed" for pod in seen)
    return deployment(wanted=max(1, stay + draw(st.integers(0, 1)))), seen


def in_full(workload: Object, seen: list[Object], after: float) -> Status:
    old = replica_set("r1", image="registry.example/web:0")
    snapshot = Snapshot(
        objects={WEB: workload}, replica_sets=[old, replica_set()], pods=seen, shown=frozenset({WEB})
    )
    return step([TARGET], snapshot, RolloutLog(), Rollout(), T0 + after).statuses[WEB].status


def in_brief(workload: Object, seen: list[Object], after: float) -> tuple[Status, Status]:
    """As one change is judged, and as a whole look judges."""
    kept: Any = [brief(pod) for pod in seen if workload_of(pod) == WEB]
    alone = status_of(TARGET, workload, RolloutLog(), Rollout(), T0 + after, pods=kept)
    snapshot = Snapshot(objects={WEB: workload}, briefs={WEB: kept})
    among = step([TARGET], snapshot, RolloutLog(), Rollout(), T0 + after, blindly=True)
    return alone.status, among.statuses[WEB].status


def _is_of(pod: Object, revision: str) -> bool:
    """Whether it is of that revision, and stays."""
    taken = any(c["type"] == "DisruptionTarget" for c in pod["status"]["conditions"])
    labels = pod["metadata"]["labels"]
    return (
        labels["pod-template-hash"] == revision and "deletionTimestamp" not in pod["metadata"] and not taken
    )


@given(whole(), st.sampled_from((20.0, 21.0, 25.0, 40.0)))
def test_the_verdict_of_many_is_that_of_few(seen: tuple[Object, list[Object]], after: float) -> None:
    workload, found = seen
    if any(_is_of(pod, "r2") for pod in found) or not found:
        status = in_full(workload, found, after)
        assert in_brief(workload, found, after) == (status, status)


@given(whole(), st.sampled_from((20.0, 40.0)))
def test_nothing_is_current_whose_counted_pods_have_not_all_been_seen_to_run(
    seen: tuple[Object, list[Object]], after: float
) -> None:
    workload, found = seen
    runs = [
        pod
        for pod in found
        if pod["status"]["phase"] == "Running"
        and all("running" in one["state"] for one in pod["status"]["containerStatuses"])
    ]
    if len(runs) < workload["spec"]["replicas"]:
        assert in_brief(workload, found, after) == (Status.IN_PROGRESS, Status.IN_PROGRESS)
        assert in_full(workload, found, after) is Status.IN_PROGRESS


@given(pods("p1"))
def test_trouble_is_seen_in_brief_as_in_full(found: Object) -> None:
    assert is_in_trouble(brief(found), T0) == is_in_trouble(found, T0)

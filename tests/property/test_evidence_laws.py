"""What holds of evidence whatever a kubelet, a scheduler and controllers say, and in whatever order."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.evidence import EventIndex, evidence
from pipeline.core.rollout import RolloutDecision, RolloutLog, Snapshot, Target, step
from pipeline.model.environment import Grace, Rollout
from pipeline.model.objects import Object, ObjectRef
from pipeline.model.status import Grade, Status
from tests.kube_objects import (
    T0,
    condition,
    deployment,
    ended,
    event,
    pod,
    replica_set,
    rolling,
    running,
    stateful_set,
    waiting,
)

REASONS = st.sampled_from(
    [
        ("Failed", "Failed to pull image: 401 Unauthorized"),
        ("Failed", "Failed to pull image: not found"),
        ("Killing", "Container web failed liveness probe, will be restarted"),
        ("Killing", "Container web failed startup probe, will be restarted"),
        ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
        ("Unhealthy", "Readiness probe failed: connection refused"),
        ("FailedMount", 'MountVolume.SetUp failed for volume "a" : configmap "x" not found'),
        ("FailedMount", "timed out"),
        ("FailedScheduling", "0/1 nodes are available"),
        ("TriggeredScaleUp", "pod triggered scale-up"),
        ("Pulling", "Pulling image"),
        ("FailedCreate", "exceeded quota: small, requested: pods=1"),
        ("FailedCreate", "admission webhook denied the request"),
    ]
)
CONTAINERS = st.sampled_from(
    [
        waiting("ContainerCreating"),
        waiting("ErrImagePull", "not found"),
        waiting("ImagePullBackOff", "Back-off"),
        waiting("CreateContainerConfigError", "couldn't find key k in Secret demo/keys"),
        waiting("RunContainerError", 'exec: "x": executable file not found in $PATH'),
        waiting("CrashLoopBackOff", "back-off", restarts=1, last=ended(1)),
        waiting("CrashLoopBackOff", "back-off", restarts=4, last=ended(137, "OOMKilled")),
        running(ready=False),
        running(ready=False, restarts=3, last=ended(137)),
        running(ready=True),
    ]
)
EVENTS = st.builds(
    lambda about, said, at, count, container: event(
        about, said[0], said[1], after=at, count=count, container=container
    ),
    st.sampled_from(["p1", "p2", "r2", "d1", "s1"]),
    REASONS,
    st.integers(2, 4),  # few times, so that many are equal
    st.integers(1, 3),
    st.sampled_from(["", "web", "other"]),
)


@st.composite
def pods(draw: st.DrawFn, owner: str = "r2") -> list[Object]:
    """Up to three pods, of the new revision or not."""
    made = []
    for number in range(draw(st.integers(0, 3))):
        revision = draw(st.sampled_from(["db-a", "db-b"]))
        one = pod(
            draw(CONTAINERS),
            uid=f"p{number + 1}",
            owner=draw(st.sampled_from([owner, "r1"])),
            phase=draw(st.sampled_from(["Pending", "Running", "Failed"])),
            labels={"controller-revision-hash": revision},
            conditions=[condition("PodScheduled", draw(st.sampled_from(["True", "False"])))],
        )
        made.append(one)
    return made


@given(pods(), st.lists(EVENTS, max_size=8), st.randoms(use_true_random=False))
def test_the_order_in_which_events_of_one_time_come_in_decides_nothing(
    found: list[Object], said: list[Any], random: Any
) -> None:
    other = list(said)
    random.shuffle(other)
    workload, sets = rolling(), [replica_set(replicas=0)]

    assert evidence(workload, sets, found, said, T0 + 5, {}) == evidence(
        workload, sets, found[::-1], other, T0 + 5, {}
    )


@given(pods("s1"), st.lists(EVENTS, max_size=8), st.randoms(use_true_random=False))
def test_nor_does_it_for_an_ordered_stateful_set(found: list[Object], said: list[Any], random: Any) -> None:
    other = list(said)
    random.shuffle(other)
    workload = stateful_set() | {"status": {**stateful_set()["status"], "replicas": 1}}

    assert evidence(workload, [], found, said, T0 + 5, {}) == evidence(
        workload, [], found[::-1], other, T0 + 5, {}
    )


@given(st.lists(EVENTS, max_size=8))
def test_what_comes_in_twice_counts_once(said: list[Any]) -> None:
    for number, one in enumerate(said):
        one["metadata"] = one["metadata"] | {"uid": f"e{number}"}
    once, twice = EventIndex(said), EventIndex([*said, *said[::-1]])

    assert all(once.about(uid) == twice.about(uid) for uid in ("p1", "p2", "r2", "d1", "s1"))


DEPLOYMENTS = st.sampled_from(
    [
        deployment(),
        rolling(),
        rolling(observedGeneration=1),
        deployment(
            condition("Available", "False"),
            condition("Progressing", "False", "ProgressDeadlineExceeded", "has timed out progressing"),
            updatedReplicas=1,
        ),
    ]
)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[float, Snapshot]]:
    """What a watch may show, look by look: anything may come, go, and come back."""
    looks, now = [], T0
    for _ in range(draw(st.integers(1, 6))):
        now += draw(st.sampled_from([0.0, 0.25, 1.0, 31.0, 120.0]))
        looks.append(
            (
                now,
                Snapshot(
                    objects={WEB: draw(DEPLOYMENTS), DB: draw(st.sampled_from([stateful_set(), BEHIND]))},
                    replica_sets=[replica_set(), replica_set("r1", image="registry.example/web:0")],
                    pods=[*draw(pods()), *draw(pods("s1"))],
                    events=draw(st.lists(EVENTS, max_size=5)),
                ),
            )
        )
    return looks


WEB = ObjectRef("apps", "Deployment", "demo", "web")
DB = ObjectRef("apps", "StatefulSet", "demo", "db")
BEHIND = stateful_set(updatedReplicas=1, readyReplicas=1, availableReplicas=1)
TARGETS = [Target(ref=WEB, since=T0), Target(ref=DB, since=T0)]
POLICY = Rollout(grace=Grace(restarts=1))


def told(looks: list[tuple[float, Snapshot]]) -> list[RolloutDecision]:
    log, decisions = RolloutLog(), []
    for now, snapshot in looks:
        decisions.append(step(TARGETS, snapshot, log, POLICY, now))
        log = decisions[-1].log
    return decisions


@given(histories())
@settings(max_examples=150)
def test_nothing_is_current_and_failed_at_once(looks: list[tuple[float, Snapshot]]) -> None:
    for decision in told(looks):
        against = {ref for ref, _ in (*decision.fatal, *decision.present, *decision.pending)}
        current = {ref for ref, status in decision.statuses.items() if status.status is Status.CURRENT}
        assert not against & current
        assert not (decision.done and decision.fatal)


@given(histories())
@settings(max_examples=75)
def test_whatever_is_not_current_says_why(looks: list[tuple[float, Snapshot]]) -> None:
    for decision in told(looks):
        explained = {ref for ref, _ in decision.pending}
        assert explained == {ref for ref, s in decision.statuses.items() if s.status is not Status.CURRENT}


@given(pods(), st.lists(EVENTS, max_size=8))
def test_one_pod_s_trouble_is_one_piece_for_each_code_and_container(
    found: list[Object], said: list[Any]
) -> None:
    shown = evidence(rolling(), [replica_set(replicas=0)], found, said, T0 + 5, {})

    keys = [(one.code, one.container) for one in shown]
    assert len(keys) == len(set(keys))
    order = {Grade.TERMINAL: 0, Grade.PROBABLE: 1, Grade.TRANSIENT: 2}
    assert [order[one.grade] for one in shown] == sorted(order[one.grade] for one in shown)

"""Pods in brief: whose they are, and what of them is enough."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.brief_pods import brief, is_in_trouble, newest, workload_of
from pipeline.core.readiness import assess
from pipeline.core.readiness.steady import unsteady
from pipeline.model.objects import Object, ObjectRef
from tests.kube_objects import (
    T0,
    at,
    condition,
    daemon_set,
    deployment,
    ended,
    named_pod,
    pod,
    running,
    stateful_set,
    waiting,
)

UP = running(ready=True)


def owned(kind: str, name: str, *, api: str = "apps/v1", labels: Any = None) -> Object:
    made = pod(UP, labels=labels)
    owner = {"apiVersion": api, "kind": kind, "name": name, "uid": "u1", "controller": True}
    made["metadata"]["ownerReferences"] = [owner]
    return made


def without_owner() -> Object:
    made = pod(UP)
    made["metadata"]["ownerReferences"] = []
    return made


class TestWhoseAPodIs:
    @pytest.mark.parametrize(
        ("of", "group", "kind", "name"),
        [
            (named_pod(UP, of="web-api", hashed="77f9"), "apps", "Deployment", "web-api"),
            (
                owned("ReplicaSet", "shop-5d4", labels={"rollouts-pod-template-hash": "5d4"}),
                "argoproj.io",
                "Rollout",
                "shop",
            ),
            (owned("ReplicaSet", "lone"), "apps", "ReplicaSet", "lone"),
            (
                owned("ReplicaSet", "made-by-hand", labels={"pod-template-hash": "77f9"}),
                "apps",
                "ReplicaSet",
                "made-by-hand",
            ),
            (owned("StatefulSet", "db"), "apps", "StatefulSet", "db"),
            (owned("DaemonSet", "agent"), "apps", "DaemonSet", "agent"),
            (owned("Job", "migrate", api="batch/v1"), "batch", "Job", "migrate"),
            (owned("ReplicationController", "old", api="v1"), "", "ReplicationController", "old"),
            (without_owner(), "", "Pod", "web-p1"),
        ],
    )
    def test_is_told_by_names(self, of: Object, group: str, kind: str, name: str) -> None:
        assert workload_of(of) == ObjectRef(group, kind, "demo", name)
        assert workload_of(brief(of)) == workload_of(of)


class TestTheNewestPods:
    def test_of_a_deployment_are_those_of_its_latest_revision(self) -> None:
        new, old = named_pod(UP, uid="p2"), named_pod(UP, uid="p1", hashed="r1")
        old["metadata"]["creationTimestamp"] = at(-60)

        assert newest(deployment(), [old, new]) == [new]

    def test_are_none_that_are_about_to_go(self) -> None:
        going = named_pod(UP)
        going["metadata"]["deletionTimestamp"] = at(9)
        taken = named_pod(UP, uid="p2", conditions=[condition("DisruptionTarget")])

        assert newest(deployment(), [brief(going), brief(taken)]) == []

    @pytest.mark.parametrize("workload", [stateful_set(), daemon_set()], ids=lambda obj: obj["kind"])
    def test_of_others_have_the_hash_of_the_newest_revision(self, workload: Object) -> None:
        uid = workload["metadata"]["uid"]
        new = pod(UP, uid="p2", owner=uid, labels={"controller-revision-hash": "db-b"})
        new["metadata"]["creationTimestamp"] = at(5)
        old = pod(UP, owner=uid, labels={"controller-revision-hash": "db-a"})

        assert newest(workload, [brief(old), brief(new)]) == [brief(new)]


STATES = {
    "just started": UP | {"state": {"running": {"startedAt": at(19)}}},
    "long up": UP,
    "restarted": running(ready=True, restarts=1, last=ended(1, finished=18)),
    "backs off": waiting("CrashLoopBackOff", restarts=2, last=ended(1)),
    "is being created": waiting("ContainerCreating"),
}
SIDECAR = {"initContainers": [{"name": "web", "restartPolicy": "Always"}], "containers": []}


@pytest.mark.parametrize("probed", [True, False], ids=["probed", "unprobed"])
@pytest.mark.parametrize("state", STATES.values(), ids=list(STATES))
def test_in_brief_a_pod_says_of_its_workload_what_it_says_in_full(state: Object, probed: bool) -> None:
    status = assess(deployment())
    for full in (
        named_pod(state, probed=probed),
        named_pod(spec=SIDECAR, initContainerStatuses=[state]),
        named_pod(state, phase="Failed"),
    ):
        said = unsteady(deployment(), status, [full], T0, T0 + 20)
        assert unsteady(deployment(), status, [brief(full)], T0, T0 + 20) == said
        assert is_in_trouble(brief(full), T0) == is_in_trouble(full, T0)


def test_a_brief_is_a_small_part_of_a_pod() -> None:
    full = named_pod(UP)
    full["spec"]["containers"][0] |= {"env": [{"name": "A", "value": "x" * 5000}], "image": "web:1"}
    full["metadata"]["annotations"] = {"a": "x" * 5000}

    assert len(str(brief(full))) < 1000


class TestTrouble:
    @pytest.mark.parametrize(
        "found",
        [
            named_pod(waiting("ErrImagePull"), phase="Pending"),
            named_pod(waiting("CreateContainerConfigError"), phase="Pending"),
            named_pod(waiting("CrashLoopBackOff")),
            named_pod({"name": "web", "state": {"terminated": ended(1)}}),
            named_pod(running(ready=True, restarts=1, last=ended(137))),
            named_pod(initContainerStatuses=[{"name": "a", "state": {"terminated": ended(1)}}]),
            named_pod(phase="Failed"),
            named_pod(conditions=[condition("PodScheduled", "False", "Unschedulable")], phase="Pending"),
        ],
        ids=["pull", "config", "backs off", "ended", "restarted", "init", "failed", "unschedulable"],
    )
    def test_asks_for_an_explanation(self, found: Object) -> None:
        assert is_in_trouble(brief(found), T0)

    @pytest.mark.parametrize(
        "found",
        [
            named_pod(UP),
            named_pod(waiting("ContainerCreating"), phase="Pending"),
            named_pod(waiting("PodInitializing"), phase="Pending"),
            named_pod(initContainerStatuses=[{"name": "a", "state": {"terminated": ended(0)}}]),
            named_pod(running(ready=True, restarts=1, last=ended(137, finished=-1))),
            named_pod(conditions=[condition("PodScheduled", "False", "SchedulerError")], phase="Pending"),
        ],
        ids=["runs", "is created", "initializes", "init is done", "crashed before our write", "retried"],
    )
    def test_is_not_what_comes_by_itself(self, found: Object) -> None:
        assert not is_in_trouble(brief(found), T0)

    def test_is_not_that_of_a_pod_about_to_go(self) -> None:
        going = named_pod(waiting("CrashLoopBackOff"))
        going["metadata"]["deletionTimestamp"] = at(9)

        assert not is_in_trouble(brief(going), T0)


def test_the_newest_pods_of_a_rollout_are_those_that_it_names() -> None:
    """Back on a revision that is still there, another's pods are newer, and stay for a while."""
    shop = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "shop"}}
    shop["status"] = {"currentPodHash": "good"}
    good, bad = (
        owned("ReplicaSet", f"shop-{one}", labels={"rollouts-pod-template-hash": one})
        for one in ("good", "bad")
    )
    bad["metadata"]["creationTimestamp"] = at(60)

    assert newest(shop, [good, bad]) == [good]


def test_a_pod_that_just_starts_shows_that_an_older_one_is_not_of_the_newest_revision() -> None:
    """Where news of pods come late, the old one may still be seen to run."""
    old, new = named_pod(UP, hashed="r1"), named_pod(uid="p2", phase="Pending")
    old["metadata"]["creationTimestamp"] = at(-60)

    assert newest(deployment(), [brief(old), brief(new)]) == [brief(new)]

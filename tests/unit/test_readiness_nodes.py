"""Nodes whose lack of a DaemonSet's pod holds up no deploy."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.readiness.nodes import excused, node_of
from pipeline.core.rollout import RolloutLog, Snapshot, Target, step
from pipeline.model.environment import Rollout
from pipeline.model.objects import ObjectRef
from pipeline.model.status import Status
from tests.kube_objects import T0, at, condition, daemon_set, pod

AGENT = daemon_set(numberAvailable=2, numberReady=2)
REF = ObjectRef.of(AGENT)


def node(name: str, *, ready: str = "True", age: float = 900, **spec: Any) -> Any:
    return {
        "metadata": {"name": name, "creationTimestamp": at(-age)},
        "spec": spec,
        "status": {"conditions": [condition("Ready", ready)]},
    }


def agent(where: str, *, ready: bool = False, owner: str = "ds1", uid: str = "p1") -> Any:
    obj = pod(uid=uid, owner=owner, conditions=[condition("Ready", str(ready))])
    obj["spec"]["nodeName"] = where
    return obj


WEAK = {
    "a node that is not ready": node("a", ready="False"),
    "a node that has not reported": node("a", ready="Unknown"),
    "a cordoned node": node("a", unschedulable=True),
    "a node younger than the deploy": node("a", age=-5),
}


@pytest.mark.parametrize("sentence", WEAK)
def test_an_unready_pod_is_excused_on(sentence: str) -> None:
    assert excused(AGENT, [agent("a")], [WEAK[sentence], node("b")], T0) == 1


@pytest.mark.parametrize(("since", "wanted"), [(T0 + 0.9, 1), (T0 + 1.0, 0)])
def test_a_node_of_the_same_second_as_the_write_may_have_come_after_it(since: float, wanted: int) -> None:
    assert excused(AGENT, [agent("a")], [node("a", age=0)], since) == wanted


@pytest.mark.parametrize(("counted", "wanted"), [(3, 1), (4, 2), (5, 2)])
def test_a_node_that_the_status_does_not_count_yet_excuses_no_other(counted: int, wanted: int) -> None:
    """Its pod is seen a moment earlier: for that moment one of the others would have done without its own."""
    nodes = [node("a"), node("b"), node("c", unschedulable=True), node("new", age=-5)]
    pods = [agent(name, ready=name == "a", uid=name) for name in ("a", "b", "c", "new")]
    status = daemon_set(desiredNumberScheduled=counted, numberAvailable=1, numberReady=1)
    assert excused(status, pods, nodes, T0) == wanted


def test_a_sound_node_excuses_nothing() -> None:
    assert excused(AGENT, [agent("a")], [node("a")], T0) == 0


def test_a_ready_pod_needs_no_excuse() -> None:
    assert excused(AGENT, [agent("a", ready=True)], [node("a", unschedulable=True)], T0) == 0


def test_a_node_that_the_daemon_set_has_no_pod_for_excuses_nothing() -> None:
    sick = [node("a", ready="False")]

    assert excused(AGENT, [], sick, T0) == 0
    assert excused(AGENT, [agent("a", owner="other")], sick, T0) == 0


NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
TOLERATED = {
    "nothing": ([], 0),
    "another effect of it": ([{**NOT_READY, "operator": "Exists", "effect": "NoExecute"}], 0),
    "another key": ([{"key": "other", "operator": "Exists"}], 0),
    "another value": ([{"key": NOT_READY["key"], "value": "x"}], 0),
    "just that": ([{**NOT_READY, "operator": "Exists"}], 1),
    "its key, whatever the effect": ([{"key": NOT_READY["key"], "operator": "Exists"}], 1),
    "its value, which is none": ([NOT_READY], 1),
    "everything": ([{"operator": "Exists"}], 1),
}


@pytest.mark.parametrize("what", TOLERATED)
def test_a_tainted_node_is_excused_where_its_pod_tolerates_it_else_it_is_not_among_the_desired(
    what: str,
) -> None:
    """The daemon's old pod stays on a node that is not ready, which counts as misscheduled there."""
    tolerations, wanted = TOLERATED[what]
    sick = node("a", ready="False", taints=[NOT_READY, {"key": "soft", "effect": "PreferNoSchedule"}])
    old = agent("a")
    old["spec"]["tolerations"] = tolerations

    assert excused(AGENT, [old], [sick, node("b")], T0) == wanted


def test_a_node_counts_once_however_many_pods_it_has() -> None:
    pods = [agent("a"), agent("a", uid="p2")]

    assert excused(AGENT, pods, [node("a", ready="False")], T0) == 1


def test_a_pod_that_is_not_scheduled_yet_is_bound_for_the_node_in_its_affinity() -> None:
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}]
    affinity = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    waiting = pod(spec={"affinity": {"nodeAffinity": affinity}})

    assert node_of(waiting) == "a"
    assert node_of(pod(spec={"affinity": {"nodeAffinity": "x"}})) == ""


def test_a_rollout_that_sees_the_nodes_is_done_without_the_sick_one() -> None:
    sick = [node("a", ready="False"), node("b")]
    seen = Snapshot(objects={REF: AGENT}, pods=[agent("a")], nodes=sick)
    blind = Snapshot(objects={REF: AGENT}, pods=[agent("a")])
    target = [Target(ref=REF, since=T0, uid="ds1")]

    assert step(target, seen, RolloutLog(), Rollout(), T0 + 5).done
    assert step(target, blind, RolloutLog(), Rollout(), T0 + 5).statuses[REF].status is Status.IN_PROGRESS

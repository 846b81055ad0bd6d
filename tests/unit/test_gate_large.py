"""The gate of a large rollout: pods in brief from the beginning, everything once one is in trouble."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest

from pipeline.core.brief_pods import brief
from pipeline.model.objects import Object, ObjectRef, ResourceType
from pipeline.model.status import CauseCode
from pipeline.run.pods import BriefPods, PodNews
from pipeline.run.targets import Target
from tests.kube_objects import (
    condition,
    deployment,
    ended,
    job,
    named_pod,
    pod,
    replica_set,
    rolling,
    running,
    waiting,
)
from tests.unit.test_gate_endpoints import KINDS, MANY, WEB, Server, Watched, manifest, placed

KINDS["Job"] = ResourceType("batch", "v1", "Job", "jobs", True)
UP = running(ready=True)
BOTH = tuple(named_pod(UP, uid=uid, probed=True) for uid in ("p1", "p2"))

Make = Callable[..., Watched]


@pytest.fixture
def watched() -> Iterator[Make]:
    made: list[Watched] = []

    def make(server: Server, *expected: Object, count: int = MANY, **options: Any) -> Watched:
        made.append(Watched(server, *expected, count=count, **options))
        return made[-1]

    yield make
    for one in made:
        one.gate.stop()


def reason(run: Watched, ref: ObjectRef = WEB) -> str:
    return run.gate.statuses[ref].reason


@pytest.mark.parametrize("count", [1, MANY])
def test_a_workload_whose_pods_were_not_seen_is_not_current(watched: Make, count: int) -> None:
    run = watched(Server(replica_set(), BOTH[0]), rolling(), count=count)
    run.written(rolling())
    run.server.put(deployment())
    run.until(lambda: reason(run) == "NotSeen")
    run.looks(5)
    assert run.gate.statuses[WEB].message == "1 of its pods has not been seen yet"

    run.server.put(BOTH[1])
    run.until(lambda: run.is_current(WEB))


@pytest.mark.parametrize("count", [1, MANY])
def test_where_pods_may_not_be_looked_at_the_counts_are_believed(watched: Make, count: int) -> None:
    run = watched(Server(closed=(("Pod", "demo"),)), rolling(), count=count)
    run.written(rolling())
    run.server.put(deployment())
    run.until(lambda: run.is_current(WEB))


@pytest.mark.parametrize("count", [1, MANY])
def test_a_container_without_a_probe_counts_once_it_has_run_for_a_moment(watched: Make, count: int) -> None:
    pods = (named_pod(UP, uid="p1"), named_pod(UP, uid="p2"))
    run = watched(Server(replica_set(), *pods), rolling(), count=count)
    run.written(rolling())
    run.server.put(deployment())
    run.until(lambda: reason(run) == "Started")
    run.looks(5)
    assert not run.is_current(WEB)

    run.server.later_s = 10
    run.until(lambda: run.is_current(WEB))


def test_of_many_only_pods_are_followed_and_once_for_all_namespaces(watched: Make) -> None:
    placed_in = [placed(rolling(), f"n{number}") for number in range(5)]
    run = watched(Server(), *placed_in)
    run.written(*placed_in)
    run.looks(3)

    assert run.server.listed("Pod") == [""]
    assert run.server.listed("Event") == run.server.listed("ReplicaSet") == []


def test_where_all_namespaces_may_not_be_looked_at_at_once_each_is(watched: Make) -> None:
    placed_in = [placed(rolling(), f"n{number}") for number in range(5)]
    run = watched(Server(closed=(("Pod", ""),)), *placed_in)
    run.written(*placed_in)
    run.until(lambda: len(run.server.listed("Pod")) == 6)

    assert sorted(run.server.listed("Pod")) == ["", "n0", "n1", "n2", "n3", "n4"]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (pod(waiting("ErrImagePull", "not found")), CauseCode.IMAGE_NOT_FOUND),
        (pod(waiting("CrashLoopBackOff", restarts=5, last=ended(1))), CauseCode.CRASH_LOOP),
    ],
    ids=["image", "crash"],
)
def test_of_many_the_cause_is_looked_for_as_soon_as_a_pod_is_in_trouble(
    watched: Make, bad: Object, code: CauseCode
) -> None:
    run = watched(Server(replica_set()), rolling())
    run.written(rolling())
    run.looks(2)
    run.clock.stop()  # neither the standstill nor the end of patience can be it
    run.server.put(named_pod(*bad["status"]["containerStatuses"], phase=bad["status"]["phase"]))
    decision = run.until_fatal()

    assert [one.code for _, one in decision.fatal] == [code]


def test_the_trouble_of_others_is_nobodys_business(watched: Make) -> None:
    run = watched(Server(named_pod(waiting("CrashLoopBackOff"), of="foreign")), rolling())
    run.written(rolling())
    run.clock.stop()
    run.server.put(named_pod(waiting("ErrImagePull"), of="foreign", uid="p2"))
    run.server.put(named_pod(UP))
    run.looks(1)

    assert run.server.listed("Event") == []


@pytest.mark.parametrize("count", [1, MANY])
def test_a_job_that_has_failed_is_told_with_what_its_pod_says(watched: Make, count: int) -> None:
    """The Job's own word may come before its pods are looked at."""
    failed = job(condition("Failed", reason="BackoffLimitExceeded", message="too many"))
    died = pod({"name": "web", "state": {"terminated": ended(3)}}, phase="Failed")
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "migrate", "uid": failed["metadata"]["uid"]}
    died["metadata"]["ownerReferences"] = [owner]
    run = watched(Server(died), job(), count=count)
    run.written(job())
    run.server.put(failed)
    decision = run.until_fatal()

    assert [(one.code, one.container) for _, one in decision.fatal] == [(CauseCode.JOB_FAILED, "web")]


def test_what_falls_back_after_it_was_settled_is_looked_into_again(watched: Make) -> None:
    """As it was settled all that belongs to it was forgotten."""
    other = deepcopy(rolling())
    other["metadata"] |= {"name": "other", "uid": "d2"}
    run = watched(Server(replica_set(), *BOTH), rolling(), other)
    run.written(rolling(), other)
    run.server.put(named_pod(waiting("ErrImagePull", "connection refused"), of="other"))
    run.until(lambda: bool(run.server.listed("Event")))
    run.server.put(deployment())
    run.until(lambda: run.is_current(WEB))
    run.looks(3)

    run.server.put(named_pod(waiting("CrashLoopBackOff", restarts=5, last=ended(1)), probed=True))
    run.server.put(rolling())
    decision = run.until_fatal()
    assert [(ref.name, one.code) for ref, one in decision.fatal] == [("web", CauseCode.CRASH_LOOP)]


class Held(Server):
    """Lists no events until it is let."""

    def __init__(self, *objects: Object) -> None:
        super().__init__(*objects)
        self.let = threading.Event()

    def list(self, resource: ResourceType, *more: Any, **options: Any) -> Any:
        if resource.kind == "Event":
            self.let.wait(10)
        return super().list(resource, *more, **options)


@pytest.mark.parametrize("count", [1, MANY])
def test_what_has_failed_ends_nothing_before_it_was_looked_into(watched: Make, count: int) -> None:
    server = Held()
    run = watched(server, job(), count=count)
    run.written(job())
    run.clock.stop()
    run.server.put(job(condition("Failed", reason="BackoffLimitExceeded", message="too many")))
    run.until(lambda: reason(run, ObjectRef.of(job())) == "JobFailed")
    for _ in range(3):
        run.clock.stopped_at = (run.clock.stopped_at or 0.0) + 0.3
        decision = run.looks(1)
        assert decision.fatal == ()

    server.let.set()
    assert [one.code for _, one in run.until_fatal().fatal] == [CauseCode.JOB_FAILED]


def test_what_cannot_be_looked_into_for_long_is_told_as_it_is(watched: Make) -> None:
    server = Held()
    run = watched(server, job())
    run.written(job())
    run.server.put(job(condition("Failed", reason="BackoffLimitExceeded", message="too many")))

    assert [one.code for _, one in run.until_fatal().fatal] == [CauseCode.JOB_FAILED]
    server.let.set()


@pytest.mark.parametrize("closed", [(), (("Pod", ""),)], ids=["all at once", "each namespace"])
def test_of_pods_only_a_part_is_kept_and_of_others_nothing(closed: Any) -> None:
    namespaces = [f"n{number}" for number in range(5)]
    full = named_pod(UP, spec={"containers": [{"name": "web", "env": [{"name": "A", "value": "b"}]}]})
    kinds = (full, named_pod(UP, of="foreign", uid="p2"))
    server = Server(*(placed(one, ns) for one in kinds for ns in namespaces), closed=closed)
    expected = [placed(rolling(), ns) for ns in namespaces]
    session = Watched(server, *expected).session
    inbox: queue.Queue[PodNews] = queue.Queue()
    pods = BriefPods(session, [Target(manifest=manifest(obj)) for obj in expected], inbox.put)
    seen: list[Object] = []
    try:
        for obj in expected:
            pods.follow(ObjectRef.of(obj))
        while len(seen) < len(namespaces):
            news = inbox.get(timeout=5)
            pods.take_in(news)
            seen += news.update.objects
    finally:
        pods.stop()

    seen.sort(key=lambda pod: str(pod["metadata"]["namespace"]))
    assert seen == [brief(placed(full, ns)) for ns in namespaces]
    assert "env" not in seen[0]["spec"]["containers"][0]

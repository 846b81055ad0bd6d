"""The gate and the endpoints of Services: what it asks the server, when, and what it waits for."""

from __future__ import annotations

import queue
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.model.environment import Environment
from pipeline.model.errors import ApiError
from pipeline.model.events import Note
from pipeline.model.objects import Manifest, Object, ObjectRef, Origin, ResourceType
from pipeline.model.status import Status
from pipeline.ports import Keep
from pipeline.run.gate import Gate, Inbox
from pipeline.run.session import Session
from pipeline.run.targets import Target
from pipeline.run.watch import timed_out
from tests.kube_objects import T0, deployment, endpoint_slice, named_pod, rolling, running, service

KINDS = {
    "Deployment": ResourceType("apps", "v1", "Deployment", "deployments", True),
    "Service": ResourceType("", "v1", "Service", "services", True),
}
MANY = 60
WEB, SERVICE = ObjectRef.of(deployment()), ObjectRef.of(service())
PODS = tuple(named_pod(running(ready=True), uid=uid, probed=True) for uid in ("p1", "p2"))
"""Those that a Deployment says it has when it is whole."""


class Stream:
    """Events as they come, until it is closed."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        event = self.events.get()
        if event is None:
            raise StopIteration
        return event

    def close(self) -> None:
        self.events.put(None)


class Server:
    """Lists and watches. ``asked`` is who was listed where; ``closed`` are (kind, namespace) without the
    right to, an empty namespace being all of them at once."""

    def __init__(self, *objects: Object, closed: tuple[tuple[str, str], ...] = ()) -> None:
        self.objects = {(o["kind"], ObjectRef.of(o)): o for o in objects}
        self.asked: list[tuple[str, str]] = []
        self._closed = closed
        self._streams: dict[str, list[Stream]] = defaultdict(list)
        self._version = 10
        self.later_s = 0.0

    def put(self, obj: Object) -> None:
        """A controller wrote it."""
        self._version += 1
        obj = deepcopy(obj)
        obj["metadata"]["resourceVersion"] = str(self._version)
        self.objects[obj["kind"], ObjectRef.of(obj)] = obj
        for stream in self._streams[obj["kind"]]:
            stream.events.put(("MODIFIED", deepcopy(obj)))

    def resource(self, api_version: str, kind: str) -> ResourceType | None:
        return KINDS.get(kind)

    def server_time(self) -> float:
        return T0 + 1 + self.later_s

    def list(
        self, resource: ResourceType, namespace: str = "", selector: str = "", keep: Keep | None = None
    ) -> tuple[list[Object], str]:
        self.asked.append((resource.kind, namespace))
        if (resource.kind, namespace) in self._closed:
            raise ApiError(f"may not list {resource.plural}", status=403)
        found = [o for (kind, ref), o in self.objects.items() if kind == resource.kind]
        found = [deepcopy(o) for o in found if namespace in ("", o["metadata"]["namespace"])]
        return [k for o in found if (k := keep(o) if keep else o) is not None], "10"

    def watch(self, resource: ResourceType, namespace: str, *_: Any, **__: Any) -> Stream:
        stream = Stream()
        self._streams[resource.kind].append(stream)
        return stream

    def listed(self, kind: str) -> list[str]:
        return [namespace for asked, namespace in self.asked if asked == kind]


class Clock:
    """The real one, which can be put forward, and stopped."""

    ahead = 0.0
    stopped_at: float | None = None

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead if self.stopped_at is None else self.stopped_at

    def stop(self) -> None:
        self.stopped_at = self.monotonic()


class Watched:
    """A gate over a server, with what it told."""

    def __init__(self, server: Server, *expected: Object, count: int = 0, endpoints: bool = True) -> None:
        self.server, self.clock = server, Clock()
        self.told: list[Any] = []
        self.session = Session(
            environment=Environment(name="dev", application="web", namespace="demo", path="e.yaml"),
            cluster=server,  # type: ignore[arg-type]
            releases=None,  # type: ignore[arg-type]
            lock=SimpleNamespace(check=lambda: None),  # type: ignore[arg-type]
            prober=None,  # type: ignore[arg-type]
            clock=self.clock,  # type: ignore[arg-type]
            tell=self.told.append,
            stopped=lambda: False,
        )
        targets = [Target(manifest=manifest(obj)) for obj in expected]
        self.gate = Gate(self.session, targets, Inbox(), count=count or len(targets), endpoints=endpoints)

    def written(self, *objects: Object) -> None:
        for obj in objects:
            self.server.put(obj)
            live = self.server.objects[obj["kind"], ObjectRef.of(obj)]
            self.gate.add([Target(manifest=manifest(obj), since=T0, live=live)])

    def until(self, holds: Callable[[], bool], fatal: list[Any] | None = None) -> Any:
        """Look again and again until it holds; the last decision. ``fatal`` collects those that end it."""
        last, end = None, time.monotonic() + 10
        while True:
            self.gate.wait(0.02)
            last = self.gate.judge() or last
            if fatal is not None and last is not None and last.fatal:
                fatal.append(last)
            if holds():
                return last
            assert time.monotonic() < end, self.gate.statuses

    def until_fatal(self) -> Any:
        """The first decision that ends the rollout."""
        found: list[Any] = []
        return self.until(lambda: bool(found), found)

    def looks(self, count: int) -> Any:
        """So many whole looks later: the last decision."""
        seen = []
        return self.until(lambda: len(seen) >= count or bool(seen.append(1)))

    def is_current(self, ref: ObjectRef = SERVICE) -> bool:
        return self.gate.statuses[ref].status is Status.CURRENT


def manifest(obj: Object) -> Manifest:
    return Manifest(ObjectRef.of(obj), obj, Origin("f.yaml", 1, 1))


def labelled(obj: Object) -> Object:
    """With the labels of its pods, as a manifest has them."""
    obj["spec"]["template"]["metadata"]["labels"] = {"app": "web"}
    return obj


def placed(obj: Object, namespace: str) -> Object:
    obj = deepcopy(obj)
    obj["metadata"]["namespace"] = namespace
    return obj


@pytest.fixture
def watched() -> Iterator[Callable[..., Watched]]:
    made: list[Watched] = []

    def make(server: Server, *expected: Object, **options: Any) -> Watched:
        made.append(Watched(server, *expected, **options))
        return made[-1]

    yield make
    for one in made:
        one.gate.stop()


Make = Callable[..., Watched]


def test_a_service_is_current_as_soon_as_a_pod_is_ready_and_not_before(watched: Make) -> None:
    run = watched(Server(endpoint_slice()), service(), rolling())
    run.written(service(), rolling())

    run.looks(5)
    assert run.gate.statuses[SERVICE].message == (
        "none of the pods that it selects is ready; waits for Deployment/web"
    )
    run.server.put(endpoint_slice(True))
    run.until(run.is_current)
    assert not run.is_current(WEB)  # one pod is enough for the Service


def test_one_list_and_one_watch_follow_the_endpoints_of_few(watched: Make) -> None:
    run = watched(Server(endpoint_slice()), service(), rolling())
    run.written(service(), rolling())
    run.looks(5)

    assert run.server.listed("EndpointSlice") == ["demo"]


def test_of_many_nobody_asks_for_endpoints_before_all_else_is_current(watched: Make) -> None:
    run = watched(Server(endpoint_slice(True), *PODS), service(), rolling(), count=MANY)
    run.written(service(), rolling())
    run.gate.expect_no_more()
    run.looks(5)
    assert run.server.listed("EndpointSlice") == []

    run.server.put(deployment())
    run.until(run.is_current)
    assert run.server.listed("EndpointSlice") == ["demo"]


def test_of_many_nobody_asks_for_endpoints_before_all_is_sent(watched: Make) -> None:
    run = watched(Server(endpoint_slice(True)), service(), rolling(), count=MANY)
    run.written(service())
    run.looks(5)

    assert run.server.listed("EndpointSlice") == []


def test_of_many_what_comes_late_is_seen_when_it_comes_and_not_at_the_next_look_at_all(watched: Make) -> None:
    run = watched(Server(endpoint_slice()), service(), deployment(), count=MANY)
    run.written(service(), deployment())
    run.gate.expect_no_more()
    run.until(lambda: run.gate.statuses[SERVICE].message == "none of the pods that it selects is ready")

    run.clock.stop()
    run.server.put(endpoint_slice(True))
    assert run.until(run.is_current) is None
    assert run.server.listed("EndpointSlice") == ["demo"]


def test_of_many_the_last_workload_without_pods_lets_its_service_go_at_once(watched: Make) -> None:
    nobody = deployment(wanted=0)
    run = watched(Server(endpoint_slice()), service(), rolling(), count=MANY)
    run.written(service(), rolling())
    run.gate.expect_no_more()
    run.looks(5)

    run.clock.stop()
    run.server.put(nobody)
    run.until(run.is_current)


def test_of_many_the_lack_of_the_right_to_look_is_seen_at_once(watched: Make) -> None:
    run = watched(Server(*PODS, closed=(("EndpointSlice", "demo"),)), service(), rolling(), count=MANY)
    run.written(service(), rolling())
    run.gate.expect_no_more()
    run.looks(5)

    run.clock.stop()
    run.server.put(deployment())
    run.until(run.is_current)


def test_without_the_right_to_look_a_service_is_current_as_ever_which_is_said_once(watched: Make) -> None:
    other = deepcopy(service())
    other["metadata"]["name"] = "other"
    closed = (("EndpointSlice", "demo"),)
    run = watched(Server(closed=closed), service(), other, rolling())
    run.written(service(), other, rolling())

    run.until(lambda: run.is_current() and run.is_current(ObjectRef.of(other)))
    notes = [one.message for one in run.told if isinstance(one, Note)]
    assert notes == ["whether Services have endpoints is not looked at: may not list endpointslices"]


def test_without_the_right_to_all_namespaces_each_is_looked_at(watched: Make) -> None:
    names = ["demo", "one", "two", "three"]
    services = [placed(service(), name) for name in names]
    workloads = [placed(rolling(), name) for name in names]
    slices = [placed(endpoint_slice(True), name) for name in names]
    run = watched(Server(*slices, closed=(("EndpointSlice", ""),)), *services, *workloads)
    run.written(*services, *workloads)

    run.until(lambda: all(run.is_current(ObjectRef.of(one)) for one in services))
    assert sorted(run.server.listed("EndpointSlice")) == sorted(["", *names])
    assert not any(isinstance(one, Note) for one in run.told)


def test_a_service_does_not_hold_up_what_needs_it_though_its_pods_are_missing(watched: Make) -> None:
    run = watched(Server(), service(), rolling())
    run.written(service())

    assert not run.is_current()
    assert run.gate.is_current(SERVICE)
    assert run.gate.is_waiting


def test_a_workload_that_is_never_waited_for_gives_a_service_nothing_to_wait_for(watched: Make) -> None:
    run = watched(Server(), service(), rolling(), count=MANY)
    run.written(service())
    run.looks(5)
    assert not run.is_current()

    run.clock.stop()
    run.gate.expect_no_more()
    run.until(run.is_current)


def test_a_workload_without_replicas_needs_no_endpoints(watched: Make) -> None:
    run = watched(Server(endpoint_slice()), service(), deployment(wanted=0))
    run.written(service(), deployment(wanted=0))

    run.until(run.is_current)


def test_a_workload_that_was_scaled_to_nothing_needs_none_either(watched: Make) -> None:
    unsaid = deployment()
    del unsaid["spec"]["replicas"]
    run = watched(Server(endpoint_slice()), service(), unsaid)
    run.written(service(), deployment(wanted=0))

    run.until(run.is_current)


@pytest.mark.parametrize(
    ("since", "endpoints"),
    [
        pytest.param(None, True, id="what is not written"),
        pytest.param(T0, False, id="what is put back"),
    ],
)
def test_endpoints_are_nobodys_business_of(watched: Make, since: float | None, endpoints: bool) -> None:
    run = watched(Server(endpoint_slice()), service(), deployment(), endpoints=endpoints)
    run.gate.add([Target(manifest=manifest(o), since=since, live=o) for o in (deployment(), service())])

    assert run.is_current()
    assert run.server.asked == []


def test_endpoints_of_before_the_write_are_not_taken_for_those_of_a_port_that_nobody_names(
    watched: Make,
) -> None:
    misspelt = service(ports=[{"port": 80, "targetPort": "htpp"}])
    run = watched(Server(endpoint_slice(True)), misspelt, deployment())
    run.written(deployment(), misspelt)
    run.looks(5)
    assert not run.is_current()  # the slice has a port: the controller has not come to it yet

    run.server.put(endpoint_slice(True, ports=None))
    run.until(lambda: run.gate._sight.slices_of(SERVICE)[0]["ports"] is None)
    run.clock.ahead = 3.0
    run.until(lambda: "the name of no port" in run.gate.statuses[SERVICE].message)


def test_a_port_that_only_the_cluster_knows_counts_after_a_while(watched: Make) -> None:
    injected = service(ports=[{"port": 80, "targetPort": "metrics"}])
    run = watched(Server(endpoint_slice(True)), injected, deployment())
    run.written(deployment(), injected)
    run.looks(5)

    run.clock.ahead = 3.0
    run.until(run.is_current)


def test_what_has_served_once_is_not_asked_again(watched: Make) -> None:
    run = watched(Server(endpoint_slice(True)), service(), deployment())
    run.written(deployment(), service())
    run.until(run.is_current)

    run.server.put(endpoint_slice(False))
    run.server.put(service(ports=[{"port": 81}]))
    run.looks(5)
    assert run.is_current()


def test_when_time_is_over_the_workload_is_told_and_not_its_service(watched: Make) -> None:
    run = watched(Server(endpoint_slice()), service(), rolling())
    run.written(service(), rolling())
    run.gate.expect_no_more()
    decision = run.looks(5)

    result = timed_out(run.session, run.gate, decision)

    assert [cause.object for cause in result.causes] == [WEB]
    statuses = {entry.ref: entry.status for entry in result.entries}
    assert statuses[SERVICE].status is Status.IN_PROGRESS
    assert "none of the pods that it selects is ready" in statuses[SERVICE].message


def test_when_time_is_over_and_only_endpoints_are_missing_the_service_is_told(watched: Make) -> None:
    run = watched(Server(endpoint_slice(False)), service(), deployment())
    run.written(service(), deployment())
    decision = run.until(lambda: run.is_current(WEB))
    decision = run.looks(5) or decision

    result = timed_out(run.session, run.gate, decision)

    assert [(str(cause.code), cause.object) for cause in result.causes] == [("NoEndpoints", SERVICE)]


def test_a_cause_is_told_even_where_the_last_look_was_before_the_workload_stood(watched: Make) -> None:
    run = watched(Server(endpoint_slice(), *PODS), service(), rolling(), count=MANY)
    run.written(service(), rolling())
    decision = run.looks(5)
    run.server.put(deployment())
    run.until(lambda: run.is_current(WEB))

    assert [c.object for c in timed_out(run.session, run.gate, decision).causes] == [SERVICE]

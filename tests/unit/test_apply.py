"""The apply loop: an object goes as soon as what it needs is there, and nothing starts after a failure."""

import threading
import time
from types import SimpleNamespace

import pytest

from pipeline.model.environment import Deploy, Environment
from pipeline.model.errors import ApiError, InterruptedRunError
from pipeline.model.objects import ObjectRef
from pipeline.model.plan import Action, Change, Plan
from pipeline.run.apply import Applier, ApplyFailedError
from pipeline.run.session import Session

ENV = Environment(
    name="dev", application="web", namespace="demo", path="e.yaml", deploy=Deploy(parallelism=4)
)


def ref(name):
    return ObjectRef("", "ConfigMap", "demo", name)


def plan(needs, *, keep=(), ready=()):
    """``needs``: name → names that come before it."""
    changes = tuple(
        Change(
            ref=ref(name),
            action=Action.KEEP if name in keep else Action.CREATE,
            api_version="v1",
            body=None if name in keep else {"metadata": {"name": name}},
        )
        for name in needs
    )
    edges = {ref(name): frozenset(ref(n) for n in before) for name, before in needs.items()}
    return Plan(
        environment="dev",
        revision="r",
        changes=changes,
        needs=edges,
        ready_first=frozenset(ref(name) for name in ready),
    )


class Server:
    """Remembers who was applied after whom; ``refuse`` names objects that it does not take."""

    def __init__(self, refuse=(), hold=None):
        self.applied, self.together, self._busy = [], 0, 0
        self._refuse, self._hold, self._lock = set(refuse), hold, threading.Lock()

    def apply(self, body, *, force=False):
        name = body["metadata"]["name"]
        with self._lock:
            self._busy += 1
            self.together = max(self.together, self._busy)
        if self._hold:
            self._hold.wait(5)
        with self._lock:
            self._busy -= 1
            if name in self._refuse:
                raise ApiError(f"{name} is refused", status=422)
            self.applied.append(name)
        return body


def run(a_plan, server, *, wait_ready=lambda change: "", guard=lambda: None):
    events = []
    session = Session(
        environment=ENV,
        cluster=server,
        releases=None,
        lock=SimpleNamespace(check=guard),
        prober=None,
        clock=time,
        tell=events.append,
        stopped=lambda: False,
    )
    try:
        return Applier(session, a_plan, wait_ready).run(), events
    except ApplyFailedError as error:
        return error, events


def results(applied):
    return {a.ref.name: a.result for a in applied}


def test_what_is_needed_is_applied_before():
    server = Server()
    run(plan({"c": "b", "b": "a", "a": ""}), server)
    assert server.applied == ["a", "b", "c"]


def test_what_needs_nothing_goes_together():
    hold = threading.Barrier(3)
    server = Server(hold=hold)
    applied, _ = run(plan({"a": "", "b": "", "c": ""}), server)
    assert set(results(applied).values()) == {"applied"}
    assert server.together == 3


def test_an_unchanged_object_is_not_sent_and_holds_nobody_up():
    server = Server()
    applied, events = run(plan({"b": "a", "a": ""}, keep="a"), server)
    assert server.applied == ["b"]
    assert results(applied) == {"a": "unchanged", "b": "applied"}
    assert [e.ref.name for e in events] == ["b"]


def test_what_needs_a_failed_object_is_skipped_and_says_so():
    error, _ = run(plan({"b": "a", "a": ""}), Server(refuse="a"))
    assert results(error.applied) == {"a": "failed", "b": "skipped"}
    assert "needs /ConfigMap/demo/a, which failed" in error.applied[0].message


def test_nothing_is_started_after_the_first_failure():
    server = Server(refuse="a")
    error, _ = run(plan({"a": "", "later": "b", "b": "c", "c": ""}), server)
    assert "later" not in server.applied
    assert results(error.applied)["later"] == "skipped"


def test_a_declared_need_waits_until_the_object_is_ready():
    server, order = Server(), []

    def wait_ready(change):
        order.append(("ready", change.ref.name, list(server.applied)))
        return ""

    run(plan({"b": "a", "a": ""}, ready="a"), server, wait_ready=wait_ready)
    assert order == [("ready", "a", ["a"])]
    assert server.applied == ["a", "b"]


def test_an_object_that_does_not_become_ready_stops_those_that_wait_for_it():
    server = Server()
    error, _ = run(plan({"b": "a", "a": ""}, ready="a"), server, wait_ready=lambda change: "it is not ready")
    assert results(error.applied) == {"a": "failed", "b": "skipped"}
    assert server.applied == ["a"]


def test_an_unchanged_object_is_waited_for_where_that_was_declared():
    asked = []
    run(
        plan({"b": "a", "a": ""}, keep="a", ready="a"),
        Server(),
        wait_ready=lambda c: asked.append(c.ref.name) or "",
    )
    assert asked == ["a"]


def test_a_lost_lock_stops_the_writes():
    def lost():
        raise InterruptedRunError("the lock is lost")

    server = Server()
    error, _ = run(plan({"a": ""}), server, guard=lost)
    assert server.applied == []
    assert isinstance(error.interrupted, InterruptedRunError)


@pytest.mark.parametrize("seed", range(5))
def test_every_order_of_a_random_graph_respects_its_needs(seed):
    import random

    rng = random.Random(seed)
    names = [f"n{i}" for i in range(40)]
    needs = {n: [names[j] for j in range(i) if rng.random() < 0.1] for i, n in enumerate(names)}
    server = Server()
    run(plan(needs), server)
    at = {name: i for i, name in enumerate(server.applied)}
    assert all(at[before] < at[name] for name, befores in needs.items() for before in befores)
    assert len(at) == 40

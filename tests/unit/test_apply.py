"""The apply loop: an object goes as soon as what it needs is there, and nothing starts after a failure."""

import queue
import threading
import time
from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace

import pytest

from pipeline.core.edges import milestone
from pipeline.model.environment import Deploy, Environment
from pipeline.model.errors import ApiError, InterruptedRunError, UnreachableError
from pipeline.model.objects import ObjectRef
from pipeline.model.plan import Action, Change, Plan, Strength
from pipeline.model.status import CauseCode, ObjectStatus, Status
from pipeline.run import failure
from pipeline.run.apply import Applier, ApplyFailedError
from pipeline.run.session import Session

ENV = Environment(
    name="dev", application="web", namespace="demo", path="e.yaml", deploy=Deploy(parallelism=4)
)


def ref(name):
    return ObjectRef("", "ConfigMap", "demo", name)


def plan(needs, *, keep=(), ready=(), available=()):
    """``needs``: name → names that come before it; those in ``ready`` must be ready first."""
    changes = tuple(
        Change(
            ref=ref(name),
            action=Action.KEEP if name in keep else Action.CREATE,
            api_version="v1",
            body=None if name in keep else {"metadata": {"name": name}},
        )
        for name in needs
    )

    def strength(name):
        if name in ready:
            return Strength.READY
        return Strength.AVAILABLE if name in available else Strength.EXISTS

    edges = {ref(name): {ref(n): strength(n) for n in before} for name, before in needs.items()}
    return Plan(environment="dev", revision="r", changes=changes, needs=edges)


class Gate:
    """The gate as the loop sees it. ``ready`` says of an object's name whether it is Current by now."""

    def __init__(self, inbox, ready=lambda name: True):
        self._inbox, self._ready, self._added = inbox, ready, []
        self.manifests, self.before, self.fatal = {}, {}, ()
        self.unseen, self.elapsed_s = [], 1.0
        self.statuses = defaultdict(lambda: ObjectStatus(Status.IN_PROGRESS))

    def add(self, targets):
        self._added += targets

    @property
    def waiting(self):
        return [r for r in self._added if not self._ready(r.name)]

    @property
    def is_waiting(self):
        return bool(self.waiting)

    def is_current(self, of):
        return of not in self._added or self._ready(of.name)

    def seen(self, of):
        return None

    def entries(self):
        return ()

    def wait(self):
        try:
            return [self._inbox.get(timeout=0.01)]
        except queue.Empty:
            return []

    def judge(self):
        return SimpleNamespace(fatal=self.fatal, pending=(), blameless=frozenset())


class Server:
    """Remembers who was applied after whom; ``refuse`` names objects that it does not take, ``silent`` those
    about which it says nothing."""

    def __init__(self, refuse=(), hold=None, silent=()):
        self._silent = silent
        self.applied, self.together, self._busy = [], 0, 0
        self._refuse, self._hold, self._lock = set(refuse), hold, threading.Lock()

    def lanes(self):
        return 4

    def apply(self, body, *, force=False, strict=True):
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
            if name in self._silent:
                raise UnreachableError(f"apply {name}: the server did not answer in time")
            self.applied.append(name)
        return body


def run(a_plan, server, *, ready=lambda name: True, guard=lambda: None, environment=ENV, fatal=()):
    events = []
    session = Session(
        environment=environment,
        cluster=server,
        releases=None,
        lock=SimpleNamespace(check=guard),
        prober=None,
        clock=time,
        tell=events.append,
        stopped=lambda: False,
        locked=True,
    )
    inbox = queue.Queue()
    gate = Gate(inbox, ready)
    gate.fatal = fatal
    try:
        applier = Applier(session, a_plan, gate, inbox, target_of=lambda change, live: change.ref, budget_s=2)
        return applier.run(), events
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


def test_a_write_without_an_answer_is_told_from_one_that_was_refused():
    both = plan({"a": "", "b": ""})
    error, _ = run(both, Server(refuse="a", silent="b", hold=threading.Barrier(2)))
    refused, unanswered = failure.apply_causes(SimpleNamespace(plan=both), error.applied)
    assert (refused.code, unanswered.code) == (CauseCode.APPLY_REJECTED, CauseCode.UNREACHABLE)
    assert unanswered.hint.startswith("see why the API server did not answer")


def test_nothing_is_started_after_the_first_failure():
    server = Server(refuse="a")
    error, _ = run(plan({"a": "", "later": "b", "b": "c", "c": ""}), server)
    assert "later" not in server.applied
    assert results(error.applied)["later"] == "skipped"


def test_a_declared_need_waits_until_the_object_is_ready():
    server, looks = Server(), []

    def ready(name):
        looks.append(list(server.applied))
        return name != "a" or len(looks) > 20

    run(plan({"b": "a", "a": ""}, ready="a"), server, ready=ready)
    assert ["a"] in looks[20:]  # ready, and b not sent before
    assert all(applied in ([], ["a"]) for applied in looks[:21])
    assert server.applied == ["a", "b"]


def test_an_inferred_need_does_not_wait_for_what_somebody_else_wants_ready():
    server = Server()
    a_plan = plan({"a": "", "b": "a", "c": "a"}, ready="a")
    needs = {**a_plan.needs, ref("c"): {ref("a"): Strength.EXISTS}}
    run(replace(a_plan, needs=needs), server, ready=lambda name: name != "a" or "c" in server.applied)
    assert server.applied == ["a", "c", "b"]


def test_an_object_that_does_not_become_ready_in_time_stops_those_that_wait_for_it():
    server = Server()
    error, _ = run(plan({"b": "a", "a": ""}, ready="a"), server, ready=lambda name: False)
    assert results(error.applied) == {"a": "applied", "b": "skipped"}
    assert error.rollout.timed_out
    assert server.applied == ["a"]


def test_an_unchanged_object_is_waited_for_where_that_was_declared():
    server, looks = Server(), []

    def ready(name):
        looks.append(list(server.applied))
        return name != "a" or len(looks) > 20

    run(plan({"b": "a", "a": ""}, keep="a", ready="a"), server, ready=ready)
    assert len(looks) > 20
    assert server.applied == ["b"]


def test_a_milestone_is_passed_as_soon_as_all_that_leads_to_it_is_ready():
    server = Server()
    a_plan = plan({"a": "", "b": "", "c": ""})
    stone = milestone("wave 0 done")
    needs = {stone: {ref("a"): Strength.READY, ref("b"): Strength.READY}, ref("c"): {stone: Strength.EXISTS}}
    run(replace(a_plan, needs=needs), server)
    assert server.applied[-1] == "c"


GOING_ON = replace(ENV, deploy=Deploy(parallelism=1, on_error="continue"))


def test_by_policy_what_does_not_need_the_failed_object_goes_on():
    server = Server(refuse="a")
    error, _ = run(plan({"a": "", "b": "a", "c": "b", "z": ""}), server, environment=GOING_ON)
    assert results(error.applied) == {"a": "failed", "b": "skipped", "c": "skipped", "z": "applied"}
    messages = {a.ref.name: a.message for a in error.applied}
    assert messages["c"] == messages["b"] == "needs /ConfigMap/demo/a, which failed"


def test_by_policy_nobody_waits_for_what_only_skipped_objects_need():
    server = Server(refuse="a")
    error, _ = run(
        plan({"a": "", "r": "", "b": ["a", "r"]}, ready="r"),
        server,
        environment=GOING_ON,
        ready=lambda name: name != "r",
    )
    assert results(error.applied) == {"a": "failed", "r": "applied", "b": "skipped"}
    assert error.rollout is None


def test_the_longest_way_goes_first():
    server = Server()
    narrow = replace(ENV, deploy=Deploy(parallelism=1))
    run(plan({"a": "", "b": "", "z": "", "y": "z", "x": "y"}), server, environment=narrow)
    assert server.applied[0] == "z"


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

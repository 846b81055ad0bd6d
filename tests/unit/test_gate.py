"""The rollout gate: what is settled stays so, whatever the lists of other namespaces say."""

import signal
import threading
import time
from types import SimpleNamespace

import pytest

from pipeline.model.environment import Environment
from pipeline.model.objects import Manifest, ObjectRef, Origin, ResourceType
from pipeline.run.follow import Update
from pipeline.run.gate import Gate, Inbox
from pipeline.run.session import Session
from pipeline.run.targets import Facts, Target

ENV = Environment(name="dev", application="web", namespace="one", path="e.yaml")
MANY = 51
"""So many that what is settled is forgotten."""


class Server:
    """Lists what it has; its watches tell nothing."""

    def __init__(self, *objects):
        self.objects, self.lists = list(objects), 0

    def server_time(self):
        return 0.0

    def resource(self, api_version, kind):
        return ResourceType(api_version.rpartition("/")[0], "v1", kind, f"{kind.lower()}s", True)

    def list(self, resource, namespace="", selector="", keep=None):
        self.lists += 1
        found = [o for o in self.objects if o["kind"] == resource.kind]
        return [o for o in found if namespace in ("", o["metadata"].get("namespace"))], "1"

    def watch(self, resource, namespace, version, *, timeout_s, selector=""):
        return Silence()


class Silence:
    def __init__(self):
        self._ended = threading.Event()

    def __iter__(self):
        self._ended.wait(60)
        return iter(())

    def close(self):
        self._ended.set()


def deployment(namespace):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace, "generation": 1, "uid": namespace},
        "spec": {"replicas": 0},
        "status": {"observedGeneration": 1},
    }


def target(obj):
    live = {**obj, "status": {}}  # as the write returned it
    return Target(manifest=Manifest(ObjectRef.of(obj), obj, Origin("m.yaml", 1)), since=0.0, live=live)


def session(server):
    return Session(
        environment=ENV,
        cluster=server,
        releases=None,
        lock=SimpleNamespace(check=lambda: None),
        prober=None,
        clock=time,
        tell=lambda event: None,
        stopped=lambda: False,
        locked=True,
    )


def settle(gate):
    """Let it see and judge until nothing is waited for, and no longer than a test may take."""
    until = time.monotonic() + 5
    while gate.is_waiting and time.monotonic() < until:
        gate.wait(0.1)
        gate.judge()


def test_what_is_settled_is_not_missed_where_the_kind_is_listed_in_another_namespace():
    one, two = (target(deployment(namespace)) for namespace in ("one", "two"))
    gate = Gate(session(Server(one.manifest.body, two.manifest.body)), [one, two], Inbox(), count=MANY)
    for added in (one, two):
        gate.add([added])
        settle(gate)
    gate.stop()
    assert gate.waiting == []


def test_a_wait_ends_though_its_time_ran_out_unseen():
    """The process may be put aside while it waits. With less than no time left a SimpleQueue of CPython 3.11
    goes on for ever. Here it is a signal whose handling takes longer than the wait."""
    inbox = Inbox()
    gate = Gate(session(Server()), [], inbox)
    rescue = threading.Timer(5, inbox.put, ["rescued"])
    rescue.start()
    before = signal.signal(signal.SIGALRM, lambda *_: time.sleep(0.1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        found = gate.wait(0.05)
    finally:
        signal.signal(signal.SIGALRM, before)
        rescue.cancel()
    assert found == []


class Mistaken(Server):
    """Its reader has a mistake of ours."""

    def list(self, *_, **__):
        raise ZeroDivisionError("a mistake")


@pytest.mark.parametrize("count", [1, MANY], ids=["few", "many"])
def test_a_mistake_of_ours_on_a_followers_thread_ends_the_wait(count):
    one = target(deployment("one"))
    gate = Gate(session(Mistaken()), [one], Inbox(), count=count)
    gate.add([one])
    try:
        with pytest.raises(ZeroDivisionError):
            settle(gate)
    finally:
        gate.stop()


def seen_for_the_last_time(api_version, kind, **body):
    """What is left to wait for once it was seen as it is deleted, and not before."""
    obj = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "web", "namespace": "one", "uid": "u1", "resourceVersion": "7"},
        **body,
    }
    inbox = Inbox()
    gate = Gate(session(Server()), [target(obj)], inbox, count=1)
    gate.add([target(obj)])
    leaving = {**obj, "metadata": {**obj["metadata"], "deletionTimestamp": "2026-03-02T09:14:05Z"}}
    key = (api_version.rpartition("/")[0], kind, "one")
    inbox.put(Update(key, objects=(), replace=True))
    inbox.put(Update(key, objects=(leaving,), deleted=True))
    gate.wait(0.1)
    gate.judge()
    gate.stop()
    return gate.waiting


def test_a_job_that_goes_as_soon_as_it_has_ended_has_ended():
    """ "If this field is set to zero, the Job becomes eligible to be deleted immediately after it finishes"
    (batch/v1 ttlSecondsAfterFinished): in the foreground, so that it is marked before it is gone."""
    complete = {"conditions": [{"type": "Complete", "status": "True"}]}
    assert seen_for_the_last_time("batch/v1", "Job", status=complete) == []


def test_a_pod_that_ends_because_it_is_deleted_is_lost():
    assert len(seen_for_the_last_time("v1", "Pod", spec={}, status={"phase": "Succeeded"})) == 1


# --- the class of a claim


def storage_class(name, mode):
    return {"kind": "StorageClass", "metadata": {"name": name}, "volumeBindingMode": mode}


def claim(name):
    body = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "one"},
    }
    return target({**body, "spec": {"storageClassName": name}})


def test_a_class_that_came_after_the_first_look_counts_for_the_claims_that_name_it():
    server = Server(storage_class("old", "Immediate"))
    facts = Facts(session(server))
    assert facts.core_target(claim("new")).class_exists is False
    server.objects.append(storage_class("new", "WaitForFirstConsumer"))
    found = facts.core_target(claim("new"))
    assert (found.class_exists, found.wait_for_first_consumer) == (True, True)


def test_classes_that_are_known_are_not_asked_for_again():
    server = Server(storage_class("old", "Immediate"))
    facts = Facts(session(server))
    for _ in range(3):
        assert facts.core_target(claim("old")).class_exists is True
    assert server.lists == 1

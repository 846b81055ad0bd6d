"""Whatever a watch does, what is followed ends as a poll would see it."""

from __future__ import annotations

import copy
import random
import threading
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.readiness.endpoints import service_of
from pipeline.model.errors import ApiError, UnreachableError
from pipeline.model.objects import Object, ObjectRef, ResourceType
from pipeline.run import follow
from pipeline.run.follow import Followed, Follower, Update, take_in
from pipeline.run.sight import SliceIndex
from pipeline.run.targets import SLICES

KIND = ResourceType("", "v1", "ConfigMap", "configmaps", True)
KEY = ("", "ConfigMap", "demo")
SLICE_KEY = (SLICES.group, SLICES.kind, "demo")


def config_map(name: str, version: int, uid: str) -> Object:
    meta = {"name": name, "namespace": "demo", "resourceVersion": str(version), "uid": uid}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"at": str(version)}}


class History:
    """Objects that are written and deleted, one resourceVersion a step, and the events of that."""

    def __init__(self, seed: int, steps: int) -> None:
        chance = random.Random(seed)
        live: dict[str, Object] = {}
        self.events: list[tuple[int, str, Object]] = []
        self.states: list[dict[str, Object]] = [{}]
        for version in range(1, steps + 1):
            name = f"n{chance.randrange(3)}"
            if name in live and chance.random() < 0.3:
                gone = live.pop(name)
                self.events.append((version, "DELETED", config_map(name, version, gone["metadata"]["uid"])))
            else:
                uid = live[name]["metadata"]["uid"] if name in live else f"uid-{version}"
                kind = "MODIFIED" if name in live else "ADDED"
                live[name] = config_map(name, version, uid)
                self.events.append((version, kind, live[name]))
            self.states.append(dict(live))

    @property
    def end(self) -> dict[str, Object]:
        return self.states[-1]


def seen(followed: Followed) -> dict[str, str]:
    return {name: obj["metadata"]["resourceVersion"] for (_, name), obj in followed.objects.items()}


def truth(state: dict[str, Object]) -> dict[str, str]:
    return {name: obj["metadata"]["resourceVersion"] for name, obj in state.items()}


@given(st.integers(0, 10**6), st.integers(1, 25), st.data())
def test_events_that_come_twice_late_or_out_of_order_change_nothing(
    seed: int, steps: int, data: st.DataObject
) -> None:
    history = History(seed, steps)
    again = data.draw(st.lists(st.sampled_from(history.events), max_size=10))
    order = data.draw(st.permutations([*history.events, *again]))
    followed = Followed(KIND, "demo")
    take_in(followed, Update(KEY, replace=True))
    for _, kind, obj in order:
        take_in(followed, Update(KEY, objects=(copy.deepcopy(obj),), deleted=kind == "DELETED"))
    assert seen(followed) == truth(history.end)


class Faulty:
    """An API server whose watches break off, answer 410, or repeat themselves, as ``faults`` say in turn."""

    def __init__(self, history: History, faults: list[str]) -> None:
        self._history, self._faults = history, list(faults)
        self._at = 0
        self.done = threading.Event()

    def list(self, resource: ResourceType, namespace: str = "", selector: str = "", keep: Any = None) -> Any:
        if self._faults and self._faults[0] == "list fails":
            self._faults.pop(0)
            raise UnreachableError("list: broke off")
        state = self._history.states[self._at]
        if self._at == len(self._history.events):
            self.done.set()
        return [copy.deepcopy(obj) for obj in state.values()], str(self._at)

    def watch(self, *args: Any, **more: Any) -> Any:
        version = int(args[2])
        fault = self._faults.pop(0) if self._faults else ""
        if fault == "410 first":
            raise ApiError("watch: too old", status=410)
        return Stream(self._play(version, fault))

    def _play(self, version: int, fault: str) -> Iterator[tuple[str, Object]]:
        for number, (at, kind, obj) in enumerate(e for e in self._history.events if e[0] > version):
            if fault in ("eof", "410 mid") and number == 2:
                if fault == "410 mid":
                    raise ApiError("watch: too old", status=410)
                return
            self._at = max(self._at, at)
            yield kind, copy.deepcopy(obj)
            if fault == "twice":
                yield kind, copy.deepcopy(obj)
            yield "BOOKMARK", {"metadata": {"resourceVersion": str(at)}}
        self._at = len(self._history.events)
        self.done.set()


class Stream:
    def __init__(self, events: Iterator[tuple[str, Object]]) -> None:
        self._events = events

    def __iter__(self) -> Iterator[tuple[str, Object]]:
        return self._events

    def close(self) -> None:
        return None


FAULTS = ("410 first", "410 mid", "eof", "twice", "list fails", "")


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 12), st.lists(st.sampled_from(FAULTS), max_size=6))
def test_a_watch_with_faults_ends_as_a_poll_would(seed: int, steps: int, faults: list[str]) -> None:
    history = History(seed, steps)
    cluster, followed = Faulty(history, faults), Followed(KIND, "demo")
    lock = threading.Lock()

    def hear(update: Update) -> None:
        with lock:
            take_in(followed, update)

    follower = Follower(cluster, _Clock(), KEY, followed, hear)  # type: ignore[arg-type]
    before, follow._BACKOFF_S = follow._BACKOFF_S, 0.001
    try:
        follower.start()
        assert cluster.done.wait(20)
        for _ in range(2000):
            with lock:
                if seen(followed) == truth(history.end):
                    break
            threading.Event().wait(0.005)
        assert seen(followed) == truth(history.end)
    finally:
        follower.stop()
        follow._BACKOFF_S = before


class _Clock:
    def monotonic(self) -> float:
        import time

        return time.monotonic()


def endpoint_slice(name: str, service: str, version: int) -> Object:
    labels = {"kubernetes.io/service-name": service}
    meta = {"name": name, "namespace": "demo", "resourceVersion": str(version), "labels": labels}
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": meta}


UPDATES = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.integers(1, 30)), max_size=3),
        st.sampled_from(["list", "seen", "deleted"]),
    ),
    max_size=12,
)


@given(UPDATES)
def test_slices_are_found_by_their_service_as_a_search_of_all_would(updates: Any) -> None:
    followed, index = Followed(SLICES, "demo"), SliceIndex()
    for told, how in updates:
        objects = tuple(endpoint_slice(*one) for one in told)
        update = Update(SLICE_KEY, objects=objects, replace=how == "list", deleted=how == "deleted")
        take_in(followed, update)
        index.take_in(followed, update)
    for service in "xy":
        wanted = [one for one in followed.objects.values() if service_of(one).name == service]
        found = index.of(ObjectRef("", "Service", "demo", service))
        assert sorted(map(str, found)) == sorted(map(str, wanted))


@given(UPDATES, st.integers(0, 12))
def test_nothing_is_kept_of_a_service_that_is_forgotten(updates: Any, at: int) -> None:
    followed, index = Followed(SLICES, "demo"), SliceIndex()
    service = ObjectRef("", "Service", "demo", "x")
    for number, (told, how) in enumerate(updates):
        if number == at:
            for place in index.forget(service):
                del followed.objects[place]
        objects = tuple(endpoint_slice(*one) for one in told)
        update = Update(SLICE_KEY, objects=objects, replace=how == "list", deleted=how == "deleted")
        take_in(followed, update)
        index.take_in(followed, update)
    for name in "xy":
        wanted = [one for one in followed.objects.values() if service_of(one).name == name]
        found = index.of(ObjectRef("", "Service", "demo", name))
        assert sorted(map(str, found)) == sorted(map(str, wanted))
        assert not (name == "x" and at < len(updates) and found)

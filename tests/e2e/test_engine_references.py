"""Every inferred reference, as the API server saw it: what is named comes first, and back in reverse."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError

import pytest

from pipeline.core.pruning import NEVER_PRUNED
from tests.e2e import reference_set
from tests.e2e.audit import Audit, Request, Witness
from tests.e2e.conftest import MakeRepo
from tests.e2e.live import until
from tests.e2e.manifests import config_map
from tests.e2e.reference_set import (
    AFTER_AVAILABLE,
    AFTER_READY,
    ALL_PAIRS,
    GATE,
    LATE,
    PAIRS,
    Json,
    collection,
    plural,
)
from tests.e2e.tls import Address, serving
from tests.e2e.workspace import Result, Workspace
from tests.json_server import JsonHandler

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for both deploys

OBJECTS = reference_set.load()
DEFINITIONS = tuple(reference_set.definitions(OBJECTS))
INDEPENDENT = set(OBJECTS) - {name for pair in ALL_PAIRS for name in pair}
SPEC = {"deploy": "{timeout: 80s, branch: main, onMerge: true}"}
FREE_HAND = """\
prune: {maxPercent: 100, maxDeletions: 1000}
allow: {clusterScoped: ['*'], namespaces: ['*']}
"""
PRUNED = [pair for pair in ALL_PAIRS if not {name.partition("/")[0] for name in pair} & NEVER_PRUNED]


def edges(pairs: Sequence[tuple[str, str]]) -> Any:
    """One test for each pair, called after it."""
    ids = [f"{first} after {second}".replace("$", "") for first, second in pairs]
    return pytest.mark.parametrize(("dependent", "dependency"), pairs, ids=ids)


@dataclass(slots=True)
class Gate:
    """Lets the late objects go once all that need none of them are written, and calls them Current once
    everything is.

    ``held_up``: what did not come by then, and so waits for more than it needs; ``too_early``: what came
    though it needs something that was not ready.
    """

    repo: Workspace
    ended: threading.Event = field(default_factory=threading.Event)
    held_up: list[str] = field(default_factory=list)
    too_early: list[str] = field(default_factory=list)

    def work(self) -> None:
        after_ready = {first for first, _ in AFTER_READY}
        self.held_up += self._missing(INDEPENDENT)
        self._patch([GATE], {"data": {"open": "yes"}})
        self.held_up += self._missing(set(OBJECTS) - after_ready)
        self.too_early += after_ready - set(self._absent(after_ready))
        self._patch(sorted(LATE), {"metadata": {"labels": {"seen": "yes", "ready": "yes"}}})

    def _missing(self, names: set[str]) -> list[str]:
        """Those that did not come."""
        left = sorted(names)

        def all_there() -> bool:
            left[:] = self._absent(left)
            return not left or self.ended.is_set()

        with suppress(AssertionError):
            until(all_there)
        return left

    def _absent(self, names: Sequence[str]) -> list[str]:
        paths = {name: self._path(name) for name in names}
        there = {path: self._list(path) for path in set(paths.values())}
        return [name for name, path in paths.items() if self._name(name) not in there[path]]

    def _list(self, path: str) -> set[str]:
        with suppress(HTTPError):
            return {item["metadata"]["name"] for item in self.repo.cluster.api.call("GET", path)["items"]}
        return set()

    def _patch(self, names: Sequence[str], patch: Json) -> None:
        for name in names:
            path = f"{self._path(name)}/{self._name(name)}"
            with suppress(HTTPError):
                self.repo.cluster.api.call("PATCH", path, patch, "application/merge-patch+json")

    def _path(self, name: str) -> str:
        return self._here(collection(OBJECTS[name], "$NS"))

    def _name(self, name: str) -> str:
        return self._here(name.partition("/")[2])

    def _here(self, text: str) -> str:
        return text.replace("$NS", self.repo.namespace).replace("$APP", self.repo.application)


@contextmanager
def attending(gate: Gate) -> Iterator[None]:
    thread = threading.Thread(target=gate.work)
    thread.start()
    try:
        yield
    finally:
        gate.ended.set()
        thread.join()


def answers(asked: list[str]) -> type[JsonHandler]:
    """An aggregated API without any resource."""

    class Handler(JsonHandler):
        def answer(self, sent: Any) -> tuple[int, Any]:
            asked.append(self.path)
            version = self.path.removeprefix("/apis/")
            found = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": []}
            return (200 if version.startswith("served.") and version.endswith("/v1") else 404), found

    return Handler


@dataclass(frozen=True)
class Told:
    """A deploy of the whole set, and one after all of it was removed from the repository."""

    run: Witness
    gate: Gate
    writes: Sequence[Request]
    ready: Mapping[str, float]
    asked: Sequence[str]
    conditions: Mapping[str, str]
    second: Result
    deletions: Sequence[Request]

    def written(self, name: str) -> float:
        return self._at(self.writes, name)

    def deleted(self, name: str) -> float:
        return self._at(self.deletions, name)

    def _at(self, requests: Sequence[Request], name: str) -> float:
        what = _what(self.run.repo, name)
        (at,) = [r.at for r in requests if r.what == what]
        return at


def _what(repo: Workspace, name: str) -> str:
    """``ConfigMap/settings`` as requests name it."""
    text = f"{plural(OBJECTS[name])}/{name.partition('/')[2]}"
    return text.replace("$NS", repo.namespace).replace("$APP", repo.application)


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, audit: Audit, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    run, asked = audit.watch(make_repo(create=True)), list[str]()
    repo, folder = run.repo, tmp_path_factory.mktemp("server")
    host = f"server.{repo.namespace}.svc"
    try:
        with serving(folder, [host], answers(asked)) as address:
            gate = Gate(repo)
            _write(repo, address)
            with attending(gate):
                first = run.deploy()
            assert first.code == 0, str(first)
            writes, conditions = run.writes, _conditions(repo)
            ready = {name: run.ready(_what(repo, name)) for _, name in AFTER_AVAILABLE}
            _remove(repo)
            second = run.deploy()
            yield Told(run, gate, writes, ready, tuple(asked), conditions, second, run.writes)
    finally:
        _clear(repo)


def _write(repo: Workspace, address: Address) -> None:
    """Whatever names another is first by the files' names, too."""
    repo.environment(FREE_HAND, **SPEC)
    repo.manifest("stays.yaml", config_map("stays"))
    for number, (name, obj) in enumerate(OBJECTS.items()):
        text = json.dumps(obj).replace("$CA", address.ca_bundle).replace('"$PORT"', str(address.port))
        repo.manifest(f"{'z' if name in LATE else 'a'}-{number}.json", text)
    repo.commit()


def _remove(repo: Workspace) -> None:
    for path in (repo.folder / "environments/dev/manifests").glob("*.json"):
        path.unlink()
    repo.commit()


def _conditions(repo: Workspace) -> Mapping[str, str]:
    path = f"/apis/apiregistration.k8s.io/v1/apiservices/v1.served.{repo.application}.example.com"
    with suppress(HTTPError):
        found = repo.cluster.api.call("GET", path)["status"]["conditions"]
        return {condition["type"]: f"{condition['status']}: {condition['message']}" for condition in found}
    return {}


def _clear(repo: Workspace) -> None:
    """What is never pruned, or was not: an APIService without a server would hold up every namespace."""
    label = f"--selector=pipeline/application={repo.application}"
    kinds = "apiservices,validatingwebhookconfigurations,mutatingwebhookconfigurations,crd,priorityclasses,"
    kinds += "runtimeclasses,storageclasses,ingressclasses,clusterroles,clusterrolebindings"
    repo.kubectl("delete", kinds, label, "--wait=false")


def test_all_is_deployed_in_one_run_and_written_once(told: Told) -> None:
    written = [r.what for r in told.writes]
    assert len(written) == len(set(written)) == len(OBJECTS) + 1


@edges(PAIRS)
def test_what_is_named_is_written_first(told: Told, dependent: str, dependency: str) -> None:
    assert told.written(dependency) < told.written(dependent)


@edges(AFTER_READY)
def test_what_makes_others_is_ready_before_those_that_need_them(
    told: Told, dependent: str, dependency: str
) -> None:
    assert told.written(dependency) < told.written(dependent)
    assert dependent not in told.gate.too_early


@edges(AFTER_AVAILABLE)
def test_what_answers_the_api_server_serves_before_it_is_called(
    told: Told, dependent: str, dependency: str
) -> None:
    assert told.written(dependency) < told.ready[dependency] < told.written(dependent)


@edges(DEFINITIONS)
def test_a_custom_resource_is_written_once_when_its_definition_serves_it(
    told: Told, dependent: str, dependency: str
) -> None:
    assert told.written(dependency) < told.written(dependent)


def test_nothing_waits_for_what_it_does_not_need(told: Told) -> None:
    assert told.gate.held_up == []


def test_an_aggregated_api_is_available_because_its_server_answers(told: Told) -> None:
    assert told.conditions == {"Available": "True: all checks passed"}
    assert f"/apis/served.{told.run.repo.application}.example.com/v1" in told.asked


def test_all_but_what_holds_others_is_deleted_once_it_is_removed(told: Told) -> None:
    assert told.second.code == 0, str(told.second)
    kept = {name for name, obj in OBJECTS.items() if obj["kind"] in NEVER_PRUNED}
    assert len(told.deletions) == len(OBJECTS) - len(kept)


@edges(PRUNED)
def test_who_names_another_is_deleted_first(told: Told, dependent: str, dependency: str) -> None:
    assert told.deleted(dependent) < told.deleted(dependency)

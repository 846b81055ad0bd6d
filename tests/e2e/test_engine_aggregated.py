"""An aggregated API, its server and an object of it in one set: deployed, left alone and removed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.e2e.audit import Audit, Request, Witness
from tests.e2e.conftest import MakeRepo
from tests.e2e.manifests import config_map
from tests.e2e.tls import Address, serving
from tests.e2e.workspace import Result, Workspace
from tests.json_server import JsonHandler

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

FOLDER = "environments/dev/manifests"
SERVER = """\
apiVersion: v1
kind: Service
metadata: {name: server}
spec: {type: ExternalName, externalName: localhost, selector: {app: server}, ports: [{port: $PORT}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: server}
spec:
  selector: {matchLabels: {app: server}}
  template:
    metadata: {labels: {app: server}}
    spec: {containers: [{name: main, image: "server:1"}]}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.$APP.example.com}
spec:
  group: $APP.example.com
  version: v1
  groupPriorityMinimum: 100
  versionPriority: 10
  caBundle: $CA
  service: {name: server, namespace: $NS, port: $PORT}
"""
FLUNDER = """\
apiVersion: $APP.example.com/v1
kind: Flunder
metadata: {name: one, annotations: {pipeline/ready: "jsonpath={.spec.size}=1"}}
spec: {size: 1}
"""
RESOURCE = {
    "name": "flunders",
    "singularName": "flunder",
    "namespaced": True,
    "kind": "Flunder",
    "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
}


@dataclass
class Store:
    """The objects of the aggregated API by path, and what was deleted of them."""

    version: str
    objects: dict[str, Any] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)

    def answer(self, method: str, url: str, body: Any) -> tuple[int, Any]:
        parts = urlsplit(url)
        path, query = parts.path, parse_qs(parts.query)
        if path == f"/apis/{self.version}":
            found: Any = {"kind": "APIResourceList", "apiVersion": "v1"}
            return 200, {**found, "groupVersion": self.version, "resources": [RESOURCE]}
        if path.endswith("/flunders"):
            if "watch" in query:
                time.sleep(0.5)
                return 200, None
            items = [obj for name, obj in self.objects.items() if name.startswith(path)]
            meta = {"resourceVersion": "1"}
            return 200, {"kind": "FlunderList", "apiVersion": self.version, "metadata": meta, "items": items}
        if method == "PATCH":
            return self._applied(path, body, dry="dryRun" in query)
        if path not in self.objects:
            details = {"name": path.rpartition("/")[2], "kind": "flunders"}
            return 404, {"kind": "Status", "reason": "NotFound", "code": 404, "details": details}
        if method == "DELETE":
            if not (body or {}).get("dryRun"):
                del self.objects[path]
                self.deleted.append(path.rpartition("/")[2])
            return 200, {"kind": "Status", "status": "Success"}
        return 200, self.objects[path]

    def _applied(self, path: str, body: Any, *, dry: bool) -> tuple[int, Any]:
        live = self.objects.get(path, {}).get("metadata", {})
        given = {"uid": live.get("uid", str(uuid.uuid4())), "resourceVersion": "1", "generation": 1}
        obj = {**body, "metadata": {**body["metadata"], **given}}
        if not dry:
            self.objects[path] = obj
        return (200 if live else 201), obj


def handler(store: Store) -> type[JsonHandler]:
    class Handler(JsonHandler):
        def answer(self, sent: Any) -> tuple[int, Any]:
            return store.answer(self.command, self.path, sent)

    return Handler


@dataclass(frozen=True)
class Told:
    """The plan, the deploy of all, a second one, and one after the object was removed."""

    run: Witness
    plan: Any
    first: Result
    writes: list[Request]
    stored: list[str]
    again: tuple[Result, list[Request]]
    removed: Result
    asked: set[str]
    store: Store


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, audit: Audit, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    run = audit.watch(make_repo(create=True))
    repo = run.repo
    store = Store(f"{repo.application}.example.com/v1")
    try:
        host = f"server.{repo.namespace}.svc"
        with serving(tmp_path_factory.mktemp("server"), [host], handler(store)) as address:
            _write(repo, address)
            _, plan = repo.json("plan", "-e", "dev")
            first = run.deploy()
            writes, stored = run.writes, list(store.objects)
            again = run.deploy(), run.all_writes
            repo.remove(f"{FOLDER}/a.yaml")
            repo.commit()
            # Whether a deletion is a dry run does its own server see only.
            removed, asked = run.deploy(), {r.what for r in run.writes}
            yield Told(run, plan, first, writes, stored, again, removed, asked, store)
    finally:
        # Without its server it would hold up the end of every namespace.
        repo.kubectl("delete", f"apiservice/v1.{repo.application}.example.com", "--ignore-not-found")


def _write(repo: Workspace, address: Address) -> None:
    repo.environment("allow: {clusterScoped: [APIService]}\nprune: {maxPercent: 100}")
    text = SERVER.replace("$PORT", str(address.port)).replace("$CA", address.ca_bundle)
    repo.manifest("z.yaml", text)
    repo.manifest("a.yaml", FLUNDER)
    repo.manifest("stays.yaml", config_map("stays"))
    repo.commit()


def test_the_plan_says_that_nobody_could_verify_the_object_yet(told: Told) -> None:
    notes = {c["object"].partition("/")[2]: c["note"] for c in told.plan["changes"] if c["note"]}
    repo = told.run.repo
    server = f"APIService/v1.{repo.application}.example.com"
    assert notes == {
        f"Flunder/{repo.namespace}/one": f"not verified: its kind is served through {server}, of this plan"
    }


def test_the_object_is_written_once_when_its_api_is_served(told: Told) -> None:
    assert told.first.code == 0, str(told.first)
    times = {r.what: r.at for r in told.writes}
    assert len(times) == len(told.writes) == 5
    assert times[f"apiservices/v1.{told.run.repo.application}.example.com"] < times["flunders/one"]
    assert [path.rpartition("/")[2] for path in told.stored] == ["one"]


def test_an_api_is_current_once_its_server_answers(told: Told) -> None:
    (entry,) = (one for one in told.first.document["rollout"] if "/APIService/" in one["object"])
    assert (entry["status"], entry["reason"]) == ("Current", "Available")


def test_afterwards_there_is_nothing_to_do(told: Told) -> None:
    result, writes = told.again
    assert (result.code, writes) == (0, []), str(result)


def test_it_is_pruned_like_any_other(told: Told) -> None:
    assert (told.removed.code, told.asked) == (0, {"flunders/one"}), str(told.removed)
    assert told.store.deleted == ["one"]
    assert told.store.objects == {}

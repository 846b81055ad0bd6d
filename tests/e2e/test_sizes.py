"""What is called too large is refused by the API server and etcd, and what is just not, they take."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError

import pytest

from pipeline.core.predict.size import size_problems
from pipeline.model.objects import Manifest, ObjectRef, Origin
from tests.e2e.audit import Audit, Request, Witness
from tests.e2e.conftest import MakeRepo
from tests.e2e.workspace import SERVER_SIDE, Result, Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

Json = dict[str, Any]

MIB = 1024 * 1024
LONGER = 400
"""So much more than the shortest names and labels of these tests may take: that much less is left."""

DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: notes.$APP.example.com}
spec:
  group: $APP.example.com
  scope: Namespaced
  names: {kind: Note, plural: notes}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties: {spec: {type: object, properties: {text: {type: string}}}}
"""


@dataclass(frozen=True)
class Case:
    """``make``: an object of so many characters; ``room``: how far below our bound the server's may be;
    ``says``: what the server says of a larger one, or that it hung up before all was sent."""

    make: Callable[[int], Json]
    room: int = 0
    says: str = ""


def config_map(name: str, **fields: Any) -> Json:
    meta = {"name": name, **fields.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, **fields}


def note(name: str, text: str) -> Json:
    meta = {"name": name, "annotations": {"pipeline/ready": "jsonpath={.spec}"}}
    return {"apiVersion": "$APP.example.com/v1", "kind": "Note", "metadata": meta, "spec": {"text": text}}


def secret(name: str, text: str) -> Json:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"a": text}}


def keys(count: int) -> Json:
    return {f"{'k' * 245}{number:05}": "" for number in range(count)}


CASES = {
    "data": Case(lambda n: config_map("data", data={"a": "x" * n}), says="may not be more than 1048576"),
    "quotes": Case(lambda n: config_map("quotes", data={"a": '"' * n}), says="may not be more than 1048576"),
    "secret": Case(lambda n: secret("secret", "x" * n), says="may not be more than 1048576"),
    "annotations": Case(
        lambda n: config_map("annotations", metadata={"annotations": {"a": "x" * n}}),
        says="may not be more than 262144",
    ),
    "request": Case(
        lambda n: config_map("request", data={"a": "\1" * n}), LONGER // 6, "limit is 3145728|hung up"
    ),
    "many keys": Case(lambda n: config_map("many-keys", data=keys(n)), 2, "too large"),
    "custom": Case(lambda n: note("custom", "x" * n), LONGER, "request is too large"),
    "custom, as HTML": Case(lambda n: note("as-html", "<" * n), LONGER // 6, "request is too large"),
}


def bound(case: Case) -> int:
    """The largest size that we call none too large."""
    low, high = 1, 2 * MIB if len(json.dumps(case.make(2))) - len(json.dumps(case.make(1))) < 50 else 8000
    while high - low > 1:
        middle = (low + high) // 2
        if _is_refused(case.make(middle)):
            high = middle
        else:
            low = middle
    return low


def _is_refused(obj: Json) -> bool:
    manifest = Manifest(ObjectRef.of(obj), obj, Origin("m.yaml", 1))
    return any(not problem.warning for problem in size_problems(manifest))


@dataclass(frozen=True)
class Told:
    run: Witness
    result: Result
    writes: list[Request]
    again: Result
    rewritten: list[Request]
    refusals: Mapping[str, str]


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, audit: Audit) -> Told:
    """All just small enough, deployed, and deployed again; then each just too large, sent as it is."""
    run = audit.watch(make_repo(create=True))
    repo, bounds = run.repo, {name: bound(case) for name, case in CASES.items()}
    repo.environment("allow: {clusterScoped: [CustomResourceDefinition]}")
    repo.manifest("definition.yaml", DEFINITION)
    for name, case in CASES.items():
        repo.manifest(f"{name.split()[0]}.json", json.dumps(case.make(bounds[name] - case.room)))
    repo.commit()
    result = run.deploy()
    writes = run.writes
    again = run.deploy()
    refusals = {name: _refusal(repo, case.make(bounds[name] + 1)) for name, case in CASES.items()}
    return Told(run, result, writes, again, run.all_writes, refusals)


def _refusal(repo: Workspace, obj: Json) -> str:
    """What the server says of an object under another name."""
    body = json.loads(json.dumps(obj).replace("$APP", repo.application))
    body["metadata"]["name"] += "-2"
    plural = f"{body['kind'].lower()}s"
    root = "/api/v1" if body["apiVersion"] == "v1" else f"/apis/{body['apiVersion']}"
    path = f"{root}/namespaces/{repo.namespace}/{plural}/{body['metadata']['name']}"
    try:
        repo.cluster.api.call("PATCH", f"{path}?fieldManager=pipeline", body, SERVER_SIDE)
    except HTTPError as error:
        return error.read().decode()
    except OSError as error:
        return f"hung up: {error}"
    return ""


def test_what_is_just_small_enough_is_taken(told: Told) -> None:
    assert told.result.code == 0, str(told.result)[-4000:]
    assert len(told.writes) == len(CASES) + 1
    assert (told.again.code, told.rewritten) == (0, [])


@pytest.mark.parametrize("name", CASES)
def test_what_is_called_too_large_is_refused(told: Told, name: str) -> None:
    assert re.search(CASES[name].says, told.refusals[name])

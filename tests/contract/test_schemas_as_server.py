"""What the schemas of the package say of built-in kinds, and what the API server says of the same objects.

Each sample is changed in one place at a time. What the server takes we must not refuse: that would end a
pipeline for nothing. What the server refuses for its shape (a field or type that it does not know) we must
refuse, too; what it refuses for other reasons is up to it.
"""

from __future__ import annotations

import copy
import http.client
import json
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pipeline.adapters.schemas import catalogue
from pipeline.adapters.yaml import load_manifests
from pipeline.core.object_rules import problems_of
from pipeline.core.pod_rules import pod_problems
from pipeline.core.shape import Shapes
from pipeline.model.objects import FieldPath, Manifest, get_path, show_path
from tests.cluster.build import kubernetes_version
from tests.cluster.local import LocalCluster

SAMPLES = Path(__file__).with_name("samples.yaml")
VALUES: tuple[Any, ...] = ("text", 7, True, 1.5, None, "", {"a": 1}, [1], [{"a": "b"}])

# The words of structured-merge-diff and of the JSON decoder for an object that is not of the kind's shape.
_OF_SHAPE = re.compile(
    r"field not declared in schema|unknown field \"|expected \w+, got|cannot unmarshal|unable to parse"
    r"|duplicate entries for key|quantities must match|may not be specified more than once"
)


@dataclass(frozen=True)
class Server:
    """One connection for all requests: there are thousands."""

    connection: http.client.HTTPSConnection
    token: str
    paths: dict[tuple[str, str], str]

    def refusal(self, body: dict[str, Any]) -> str:
        """What the server says to an apply, as a dry run; empty where it takes it."""
        api_version, kind = body["apiVersion"], body["kind"]
        name = body["metadata"]["name"]
        query = "?dryRun=All&fieldManager=pipeline&force=true&fieldValidation=Strict"
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/apply-patch+yaml",
        }
        path = f"{self.paths[api_version, kind]}/{name}{query}"
        try:
            self.connection.request("PATCH", path, json.dumps(body), headers)
            answer = self.connection.getresponse()
        except http.client.RemoteDisconnected:
            # kube-apiserver 1.36.3 panics over selectableFields of a version without a schema.
            self.connection.close()
            return "no answer"
        text = answer.read().decode()
        return "" if answer.status < 300 else str(json.loads(text)["message"])


@pytest.fixture(scope="module")
def server(cluster: LocalCluster) -> Iterator[Server]:
    api = cluster.api
    paths = {}
    for version in {m.api_version for m in _samples()}:
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        for resource in api.call("GET", root)["resources"]:
            if "/" not in resource["name"]:
                home = "/namespaces/default" if resource["namespaced"] else ""
                paths[version, resource["kind"]] = f"{root}{home}/{resource['name']}"
    url = urlsplit(api.server)
    trust = ssl.create_default_context(cafile=str(api.ca_file))
    connection = http.client.HTTPSConnection(str(url.hostname), url.port, context=trust, timeout=30)
    yield Server(connection, api.token, paths)
    connection.close()


def _samples() -> list[Manifest]:
    return load_manifests("samples.yaml", SAMPLES.read_bytes())


def _ours(body: dict[str, Any], sample: Manifest) -> list[str]:
    version = ".".join(kubernetes_version().removeprefix("v").split(".")[:2])
    manifest = Manifest(sample.ref, body, sample.origin)
    shape = Shapes(catalogue(version), [manifest]).problems(manifest)
    return [str(p) for p in (*shape, *problems_of(manifest), *pod_problems(manifest)) if not p.warning]


def _places(value: Any, path: FieldPath = ()) -> Iterator[FieldPath]:
    """Every field of an object but its identity."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for step, inner in entries:
        at = (*path, step)
        if at[0] in ("apiVersion", "kind") or at in (("metadata",), ("metadata", "name")):
            continue
        if step == "items" and "openAPIV3Schema" in at:
            continue  # a decoder of its own reads these, which passes over what it does not know
        yield at
        yield from _places(inner, at)


def _changed(sample: Manifest) -> Iterator[tuple[str, dict[str, Any]]]:
    """The sample in each place without the field, with another field beside it, with other values."""
    for at in _places(sample.body):
        where = show_path(at)
        body = copy.deepcopy(sample.body)
        holder = get_path(body, *at[:-1]) if at[:-1] else body
        del holder[at[-1]]
        yield f"without {where}", body
        for value in VALUES:
            body = copy.deepcopy(sample.body)
            (get_path(body, *at[:-1]) if at[:-1] else body)[at[-1]] = value
            yield f"{where} is {value!r}", body
        if isinstance(get_path(sample.body, *at), dict):
            body = copy.deepcopy(sample.body)
            get_path(body, *at)["notAField"] = "x"
            yield f"{where}.notAField", body


@pytest.mark.timeout(600)
@pytest.mark.parametrize("sample", _samples(), ids=lambda sample: sample.ref.short)
def test_a_sample_is_refused_for_its_shape_exactly_where_the_server_refuses_it(
    server: Server, sample: Manifest
) -> None:
    assert server.refusal(sample.body) == ""
    assert _ours(sample.body, sample) == []
    too_strict, too_mild = [], []
    for what, body in _changed(sample):
        theirs, ours = server.refusal(body), _ours(body, sample)
        if ours and not theirs:
            too_strict.append(f"{what}: {ours}")
        if not ours and _OF_SHAPE.search(theirs):
            too_mild.append(f"{what}: {theirs[:300]}")
    assert too_strict == [], "\n".join(too_strict)
    assert too_mild == [], "\n".join(too_mild)

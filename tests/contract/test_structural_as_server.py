"""The API server's verdict on custom resources and ours: the same, for every rule that is evaluated here."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError

import pytest

from pipeline.core.structural import schema_of, violations
from pipeline.model.objects import Manifest, ObjectRef, Origin
from tests.cluster.local import LocalCluster
from tests.e2e.live import until

S, I = {"type": "string"}, {"type": "integer"}  # noqa: E741 - as short as the table below needs
PORT = {
    "type": "object",
    "properties": {"port": I, "protocol": {**S, "default": "TCP"}},
    "required": ["port"],
}
FIELDS: dict[str, Any] = {
    "text": {**S, "minLength": 2, "maxLength": 4},
    "word": {**S, "enum": ["One", "Two"]},
    "name": {**S, "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"},
    "whole": {**I, "minimum": 1, "maximum": 5, "exclusiveMaximum": True},
    "small": {**I, "format": "int32"},
    "step": {"type": "number", "multipleOf": 0.5},
    "flag": {"type": "boolean"},
    "maybe": {**S, "nullable": True},
    "either": {"x-kubernetes-int-or-string": True, "pattern": "^[0-9]+%$"},
    "ports": {
        "type": "array",
        "maxItems": 3,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["port", "protocol"],
        "items": PORT,
    },
    "set": {"type": "array", "x-kubernetes-list-type": "set", "items": S},
    "labels": {"type": "object", "additionalProperties": I, "minProperties": 1},
    "free": {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {"strict": {"type": "object", "properties": {"a": I}}},
    },
    "pod": {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "x-kubernetes-preserve-unknown-fields": True,
    },
    "need": {"type": "object", "required": ["a", "b"], "properties": {"a": {**I, "default": 1}, "b": S}},
    "one": {
        "type": "object",
        "properties": {"a": I, "b": I},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "any": {**I, "anyOf": [{"minimum": 9}, {"maximum": 3}]},
    "not": {"type": "object", "properties": {"a": I, "b": I}, "not": {"required": ["a", "b"]}},
    "at": {**S, "format": "date-time"},
    "bytes": {**S, "format": "byte"},
    "uuid": {**S, "format": "uuid"},
    "ip": {**S, "format": "ipv4"},
    "net": {**S, "format": "cidr"},
    "day": {**S, "format": "date"},
}
CASES: list[tuple[str, Any]] = [
    *(("text", value) for value in ("a", "ab", "éééé", "abcde", 12, None, True)),
    *(("word", value) for value in ("One", "one", "")),
    *(("name", value) for value in ("a.b-c", "a..b", "A", "a\n", "a-")),
    *(("whole", value) for value in (1, 0, 5, 4.0, 1.5, "2", True)),
    *(("small", value) for value in (2**31 - 1, 2**31, -(2**31), -(2**31) - 1)),
    # A whole number against a fraction is left out: the server makes 0 of the fraction, and an error of that.
    *(("step", value) for value in (1.5, 0.3, "1")),
    *(("flag", value) for value in (True, "true", 1)),
    *(("maybe", value) for value in (None, "a", 1)),
    *(("either", value) for value in (1, "50%", "50", 1.5, True)),
    ("ports", []),
    ("ports", [{"port": 1}, {"port": 1, "protocol": "UDP"}]),
    ("ports", [{"port": 1}, {"port": 1, "protocol": "TCP"}]),
    ("ports", [{"port": n} for n in range(4)]),
    ("ports", [{"protocol": "TCP"}]),
    ("ports", [{"port": 1, "prot": "x"}]),
    ("ports", {}),
    *(("set", value) for value in (["a", "b"], ["a", "a"], [1], [None])),
    *(("labels", value) for value in ({"a": 1}, {}, {"a": "1"}, {"a": 1, "b": None})),
    *(("free", value) for value in ({"x": {"y": [1]}}, {"strict": {"a": 1}}, {"strict": {"b": 1}}, "x")),
    ("pod", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a": "b"}}, "spec": {}}),
    ("pod", {"kind": "Pod"}),
    *(("need", value) for value in ({}, {"b": "x"}, {"a": None, "b": "x"}, {"a": 2, "b": None})),
    *(("one", value) for value in ({}, {"a": 1}, {"a": 1, "b": 1}, {"c": 1})),
    *(("any", value) for value in (9, 3, 5)),
    *(("not", value) for value in ({"a": 1}, {"a": 1, "b": 1})),
    *(("at", value) for value in ("2026-02-03T04:05:06Z", "2026-02-03t04:05:06.7+09:00", "2026-02-03", "x")),
    *(("at", value) for value in ("2026-02-03 04:05:06Z", "2026-02-30T04:05:06Z", "2026-02-03T24:05:06Z")),
    *(("bytes", value) for value in ("aGk=", "aGk", "hi!", "", "aG k=")),
    *((field, "") for field in ("at", "uuid", "ip", "net", "day")),
    *(
        (field, None)
        for field in ("whole", "either", "ports", "labels", "free", "pod", "need", "one", "flag")
    ),
    ("at", "2026-02-03T04:05:60Z"),
    ("at", "2026-02-03T04:60:00Z"),
    *(("uuid", value) for value in ("0a0A0a0a-0b0b-4c0c-8d0d-0e0e0e0e0e0e", "0a0a", "x")),
    *(("ip", value) for value in ("10.0.0.1", "10.0.0.256", "::1")),
    *(("net", value) for value in ("10.0.0.0/8", "10.0.0.1/8", "10.0.0.1", "::/0")),
    *(("day", value) for value in ("2026-02-03", "2026-02-30", "3.2.2026")),
    ("unknown", 1),
]


@dataclass(frozen=True)
class Kind:
    cluster: LocalCluster
    group: str
    definition: dict[str, Any]

    @property
    def path(self) -> str:
        return f"/apis/{self.group}/v1/namespaces/default/gadgets"

    def body(self, spec: Any) -> dict[str, Any]:
        return {"apiVersion": f"{self.group}/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": spec}

    def refusal(self, spec: Any) -> str:
        query = "?dryRun=All&fieldManager=pipeline&fieldValidation=Strict"
        try:
            self.cluster.api.call(
                "PATCH", f"{self.path}/g{query}", self.body(spec), "application/apply-patch+yaml"
            )
        except HTTPError as error:
            text = error.read().decode()
            error.close()
            return text
        return ""


@pytest.fixture(scope="module")
def gadgets(cluster: LocalCluster) -> Iterator[Kind]:
    group = f"{secrets.token_hex(3)}.example.com"
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": FIELDS}},
    }
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"gadgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": "Gadget", "plural": "gadgets"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    cluster.api.call("POST", path, definition)
    kind = Kind(cluster, group, definition)
    until(lambda: cluster.api.holds(kind.path), "for the kind to be served")
    until(lambda: not kind.refusal({}), "for applies to be served")
    yield kind
    cluster.api.call("DELETE", f"{path}/gadgets.{group}")


@pytest.mark.parametrize(("field", "value"), CASES, ids=lambda value: repr(value)[:40])
def test_the_verdict_is_the_servers(gadgets: Kind, field: str, value: Any) -> None:
    body = gadgets.body({field: value})
    manifest = Manifest(ObjectRef(gadgets.group, "Gadget", "default", "g"), body, Origin("g.yaml"))
    schema = schema_of(gadgets.definition, "v1")
    assert schema is not None
    ours = [str(problem) for problem in violations(manifest, schema)]
    theirs = gadgets.refusal(body["spec"])
    assert bool(ours) == bool(theirs), (ours, theirs)

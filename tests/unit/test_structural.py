"""Custom resources are judged by the schema of their definition as the API server judges them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.formats import fits, matches
from pipeline.core.structural import LIMIT, has_rules, schema_of, schemas, violations
from pipeline.model.objects import Manifest, ObjectRef, Origin

REF = ObjectRef("example.com", "Gadget", "demo", "g")
INT_OR_STRING = {"x-kubernetes-int-or-string": True}
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def manifest(spec: Any, lines: dict[Any, int] | None = None, **more: Any) -> Manifest:
    body = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": spec, **more}
    return Manifest(REF, body, Origin("g.yaml"), lines or {})


def root(spec: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": spec}}


def of(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields}


def told(value: Any, schema: Any) -> list[str]:
    """What is wrong with a field ``x`` of this value and schema."""
    return [
        p.message.removeprefix("Gadget/g: ") for p in violations(manifest({"x": value}), root(of(x=schema)))
    ]


TYPED = {name: {"type": name} for name in ("object", "array", "string", "boolean", "integer", "number")}


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ({}, TYPED["object"]),
        ([1, "a", None], TYPED["array"]),
        ("a", TYPED["string"]),
        (True, TYPED["boolean"]),
        (1, TYPED["integer"]),
        (2.0, TYPED["integer"]),
        (1, TYPED["number"]),
        (1.5, TYPED["number"]),
        (80, INT_OR_STRING),
        ("http", INT_OR_STRING),
        (None, {"type": "string", "nullable": True}),
        ({"a": {"b": [1]}}, ANYTHING),
        ({"a": {"c": 1}}, {**ANYTHING, "properties": {"a": of()}}),
        ({"a": 1}, {"type": "object", "additionalProperties": {"type": "integer"}}),
        ({"a": 1}, {"type": "object", "additionalProperties": True}),
        (1, {}),
        ("b", {"type": "string", "enum": ["a", "b"]}),
        ("x-1", {"type": "string", "pattern": "[0-9]$"}),
        ("é", {"type": "string", "maxLength": 1}),
        (0.3, {"type": "number", "multipleOf": 0.1}),
        (9, {"type": "integer", "multipleOf": 3}),
        (2**31 - 1, {"type": "integer", "format": "int32"}),
        (["a", "b"], {"type": "array", "x-kubernetes-list-type": "set"}),
        (["a", "a"], {"type": "array", "x-kubernetes-list-type": "atomic"}),
        (1, {"type": "integer", "anyOf": [{"minimum": 5}, {"maximum": 1}]}),
        (1, {"type": "integer", "oneOf": [{"minimum": 5}, {"maximum": 1}]}),
        (1, {"type": "integer", "not": {"minimum": 5}}),
        (1, {"type": "integer", "allOf": [{"minimum": 1}, {"maximum": 1}]}),
        ("2026-01-01T00:00:00Z", {"type": "string", "format": "date-time"}),
        ("?", {"type": "string", "format": "somebody-s-own"}),
        (
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b"}}},
            {"type": "object", "x-kubernetes-embedded-resource": True},
        ),
    ],
)
def test_what_the_server_takes_passes(value: Any, schema: Any) -> None:
    assert told(value, schema) == []


MAP_LIST = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["port", "protocol"],
    "items": of(port={"type": "integer"}, protocol={"type": "string", "default": "TCP"}),
}


@pytest.mark.parametrize(
    ("value", "schema", "message"),
    [
        ("1", TYPED["integer"], "spec.x is a string, not an integer"),
        (1.5, TYPED["integer"], "spec.x is a fraction, not an integer"),
        (True, TYPED["integer"], "spec.x is a boolean, not an integer"),
        (1, TYPED["boolean"], "spec.x is a number, not true or false"),
        (1, TYPED["string"], "spec.x is a number, not a string"),
        ([], TYPED["object"], "spec.x is a list, not a mapping"),
        (True, INT_OR_STRING, "spec.x is a boolean, not an integer or a string"),
        ([None], {"type": "array", "items": TYPED["string"]}, "spec.x[0] is empty, not a string"),
        ({"a": "b"}, TYPED["object"], "unknown field spec.x.a"),
        ([{"a": 1}], {"type": "array", "items": of(b=TYPED["string"])}, "unknown field spec.x[0].a"),
        (
            {"a": "b"},
            {"type": "object", "additionalProperties": {"type": "integer"}},
            "spec.x.a is a string, not an integer",
        ),
        (None, TYPED["string"], "spec.x is empty, not a string"),
        ("c", {"type": "string", "enum": ["a", "b"]}, 'spec.x is "c", not one of "a", "b"'),
        (True, {"enum": [1, 0]}, 'spec.x is "true", not one of "1", "0"'),
        ("a1b", {"type": "string", "pattern": "[0-9]$"}, 'spec.x is "a1b", which does not match [0-9]$'),
        ("1\n", {"type": "string", "pattern": "[0-9]$"}, 'spec.x is "1?", which does not match [0-9]$'),
        (0, {"type": "integer", "minimum": 1}, "spec.x is 0, not at least 1"),
        (1, {"type": "integer", "minimum": 1, "exclusiveMinimum": True}, "spec.x is 1, not above 1"),
        (2, {"type": "integer", "maximum": 1}, "spec.x is 2, not at most 1"),
        (1, {"type": "integer", "maximum": 1, "exclusiveMaximum": True}, "spec.x is 1, not below 1"),
        (8, {"type": "integer", "multipleOf": 3}, "spec.x is 8, no multiple of 3"),
        (2**31, {"type": "integer", "format": "int32"}, "spec.x is 2147483648, which is no int32"),
        ("", {"type": "string", "minLength": 1}, "spec.x has 0 characters, not at least 1"),
        ("ab", {"type": "string", "maxLength": 1}, "spec.x has 2 characters, not at most 1"),
        ([], {"type": "array", "minItems": 1}, "spec.x has 0 items, not at least 1"),
        ([1, 2], {"type": "array", "maxItems": 1}, "spec.x has 2 items, not at most 1"),
        ({}, {**ANYTHING, "minProperties": 1}, "spec.x has 0 fields, not at least 1"),
        ({"a": 1, "b": 1}, {**ANYTHING, "maxProperties": 1}, "spec.x has 2 fields, not at most 1"),
        ("x", {"type": "string", "format": "date-time"}, 'spec.x is "x", which is no date-time'),
        (
            ["a", "a"],
            {"type": "array", "x-kubernetes-list-type": "set"},
            'spec.x[1] is "a" again, as spec.x[0]',
        ),
        (
            [{"port": 1}, {"port": 1, "protocol": "TCP"}],
            MAP_LIST,
            'spec.x[1] is port: "1", protocol: "TCP" again, as spec.x[0]',
        ),
        (
            {},
            {"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            "spec.x fits none of the 2 forms that are allowed",
        ),
        (
            {"a": 1, "b": 1},
            {**ANYTHING, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            "spec.x fits 2 of the 2 forms of which one is allowed",
        ),
        (
            {"a": 1, "b": 1},
            {**ANYTHING, "not": {"required": ["a", "b"]}},
            "spec.x has a and b, which is not allowed",
        ),
        (5, {"type": "integer", "allOf": [{"maximum": 4}]}, "spec.x is 5, not at most 4"),
        ({}, {**of(a=TYPED["integer"]), "required": ["a"]}, "spec.x.a is required"),
        (
            {"kind": "Pod"},
            {**ANYTHING, "x-kubernetes-embedded-resource": True},
            "spec.x.apiVersion is required",
        ),
    ],
)
def test_what_the_server_refuses_is_told(value: Any, schema: Any, message: str) -> None:
    assert told(value, schema) == [message]


def test_a_default_counts_as_written() -> None:
    inner = {**of(a={"type": "integer", "default": 1}), "required": ["a"]}
    assert told({}, inner) == []
    assert told({"a": None}, inner) == []
    assert told([{}], {"type": "array", "items": inner}) == []


def test_a_default_of_an_object_brings_those_inside() -> None:
    inner = {**of(b={"type": "integer", "default": 9, "maximum": 5}), "default": {}}
    assert told({}, of(a=inner)) == ["spec.x.a.b is 9, not at most 5"]


def test_the_head_is_always_known_and_status_is_not_judged() -> None:
    schema = {**root(of()), "required": ["spec", "status"]}
    assert violations(manifest({}, status={"any": "thing"}), schema) == []


def test_names_are_judged_where_the_schema_says_so() -> None:
    schema = {
        **root(of()),
        "properties": {"spec": of(), "metadata": of(name={"type": "string", "maxLength": 0})},
    }
    assert [p.message for p in violations(manifest({}), schema)] == [
        "Gadget/g: metadata.name has 1 character, not at most 0"
    ]


def test_a_problem_has_the_line_the_code_and_the_nearest_name() -> None:
    gadget = manifest({"replica": 1}, {("spec",): 5, ("spec", "replica"): 6})
    schema = root({**of(replicas=TYPED["integer"]), "required": ["replicas"]})
    unknown, missing = violations(gadget, schema)
    assert (unknown.code, str(unknown.origin), unknown.object) == ("unknown-field", "g.yaml:6", REF)
    assert unknown.hint == "did you mean replicas?"
    assert (missing.code, str(missing.origin), missing.hint) == (
        "missing-field",
        "g.yaml:5",
        "give it: an integer",
    )


def test_what_is_sent_is_judged_where_that_is_given() -> None:
    gadget = manifest({"x": 1})
    sent = {**gadget.body, "spec": {}}
    assert violations(gadget, root(of())) != []
    assert violations(gadget, root(of()), sent) == []


def test_problems_of_one_object_are_limited() -> None:
    assert len(told({f"k{n}": 1 for n in range(50)}, TYPED["object"])) == LIMIT


def test_a_schema_is_found_by_its_version() -> None:
    served = {"name": "v1", "schema": {"openAPIV3Schema": root(of())}}
    definition = {
        "kind": "CustomResourceDefinition",
        "spec": {
            "group": "example.com",
            "names": {"kind": "Gadget"},
            "versions": [{"name": "v0", "served": False, "schema": served["schema"]}, served, "?", {}],
        },
    }
    assert schema_of(definition, "v1") == root(of())
    assert schema_of(definition, "v0") is None
    assert schema_of(definition, "v2") is None
    assert schemas([definition, {"kind": "ConfigMap"}]) == {("example.com/v1", "Gadget"): root(of())}


@pytest.mark.parametrize(
    "definition", [{}, {"spec": {"versions": {}}}, {"spec": {"versions": [None, {"name": 1}]}}]
)
def test_a_malformed_definition_has_no_schema(definition: Any) -> None:
    assert schema_of(definition, "v1") is None
    assert schemas([{"kind": "CustomResourceDefinition", **definition}]) == {}


def test_rules_that_are_not_evaluated_are_noticed() -> None:
    ruled = {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 1"}]}
    assert has_rules(root(of(x={"type": "array", "items": ruled})))
    assert has_rules(root({"allOf": [ruled]}))
    assert not has_rules(root(of(x=TYPED["integer"])))


@pytest.mark.parametrize(
    ("form", "text", "fit"),
    [
        ("date-time", "2026-02-28t10:00:00.5+09:00", True),
        ("date-time", "2026-02-30T10:00:00Z", False),
        ("date-time", "2026-02-28 10:00:00", False),
        ("date", "2026-02-28", True),
        ("date", "28.2.2026", False),
        ("byte", "aGk=", True),
        ("byte", "hi!", False),
        ("uuid", "0a0A0a0a-0b0b-4c0c-8d0d-0e0e0e0e0e0e", True),
        ("uuid", "0a0a", False),
        ("ipv4", "10.0.0.1", True),
        ("ipv4", "10.0.0.256", False),
        ("ipv6", "::1", True),
        ("cidr", "10.0.0.1/8", True),
        ("cidr", "10.0.0.1", False),
        ("email", "not judged", True),
    ],
)
def test_formats(form: str, text: str, fit: bool) -> None:
    assert fits(form, text) is fit


@pytest.mark.parametrize(
    ("pattern", "text", "match"),
    [
        ("^a$", "a\n", False),
        ("[$]", "$", True),
        (r"\$$", "a$", True),
        (r"^\d+$", "٣", False),
        (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", "A", False),
        ("[[:digit:]]", "a", True),
        (r"\pN", "a", True),
        ("(", "a", True),
        ("(?i)a", "b", True),
        ("b", "a" * 5000, True),
    ],
)
def test_patterns_mean_what_they_mean_to_the_server_or_pass(pattern: str, text: str, match: bool) -> None:
    assert matches(pattern, text) is match


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^([a-z]+|[a-z0-9]+)*$", "^(a*)*$", "(x+x+)+y", "^(.*,)*$"])
def test_a_pattern_that_could_take_for_ever_is_left_to_the_server(pattern: str) -> None:
    started = time.monotonic()
    matches(pattern, "a" * 60 + "!")
    assert time.monotonic() - started < 1


KEYS = st.sampled_from(
    [
        "type",
        "properties",
        "items",
        "required",
        "enum",
        "pattern",
        "format",
        "minimum",
        "maxLength",
        "multipleOf",
        "allOf",
        "anyOf",
        "not",
        "default",
        "nullable",
        "additionalProperties",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "a",
        "b",
    ]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["object", "array", "map", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(KEYS, JSON, max_size=5), JSON)
def test_no_schema_and_no_object_breaks_it(schema: dict[str, Any], spec: Any) -> None:
    assert len(violations(manifest(spec), root({"type": "object", **schema}))) <= LIMIT
    assert len(violations(manifest(spec), schema)) <= LIMIT
    assert has_rules(schema) is False


def test_depth_is_bounded() -> None:
    value: Any = 1
    schema: Any = {"type": "string"}
    for _ in range(250):
        value, schema = {"a": value}, of(a=schema)
    assert told(value, schema) == []

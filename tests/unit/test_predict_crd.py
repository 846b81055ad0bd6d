"""Changes of a CustomResourceDefinition that hurt the objects that exist."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.predict.crd import depends_on_objects, upgrade_problems
from pipeline.model.errors import Problem
from tests.unit.predicting import body, facts, foresee, read, told

CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          spec:
            type: object
            properties:
              size: {type: integer, maximum: 10, minimum: 1}
              colour: {type: string, enum: [red, blue]}
              notes: {type: array, items: {type: string, maxLength: 5}}
              labels: {type: object, additionalProperties: {type: string}}
"""
STATUS = "status: {storedVersions: [v1], conditions: [{type: Established, status: 'True'}]}\n"
LIVE = CRD + STATUS


def _change(old: str, new: str, has_objects: bool | None = True) -> list[Problem]:
    assert old in CRD
    (manifest,) = read(CRD.replace(old, new))
    return upgrade_problems(body(LIVE), manifest, has_objects)


def test_an_unchanged_definition_is_in_order() -> None:
    assert _change("widgets", "widgets") == []


def test_another_scope_or_name_is_an_error() -> None:
    assert told(_change("scope: Namespaced", "scope: Cluster")) == [("crd-scope", 6, False)]
    assert told(_change("kind: Widget", "kind: Gadget")) == [("crd-names", 7, False)]
    assert told(_change("group: example.com", "group: example.org")) == [("crd-names", 5, False)]


def test_a_stored_version_must_stay() -> None:
    problems = _change("name: v1", "name: v2")
    assert told(problems) == [("crd-stored-version", 8, False)]
    assert "storedVersions" in problems[0].hint


def test_a_version_that_is_no_longer_served_is_a_warning() -> None:
    assert told(_change("served: true", "served: false")) == [("crd-version-removed", 10, True)]
    second = "  - {name: v0, served: true, storage: false}\n"
    (manifest,) = read(CRD)
    assert told(upgrade_problems(body(CRD + second + STATUS), manifest, None)) == [
        ("crd-version-removed", 8, True)
    ]


CHANGES = [
    # (old, new, code, line, is an error where objects exist)
    ("            properties:\n", "            required: [size]\n            properties:\n", 19, "required"),
    ("size: {type: integer", "size: {type: string", 20, "type"),
    ("items: {type: string", "items: {type: integer", 22, "type"),
    ("additionalProperties: {type: string", "additionalProperties: {type: integer", 23, "type"),
    ("              colour: {type: string, enum: [red, blue]}\n", "", 19, "removed"),
    ("[red, blue]", "[red]", 21, "narrowed"),
    ("maximum: 10", "maximum: 9", 20, "narrowed"),
    ("minimum: 1}", "minimum: 2}", 20, "narrowed"),
    ("maxLength: 5", "maxLength: 5, pattern: a", 22, "narrowed"),
    ("maxLength: 5", "maxLength: 4", 22, "narrowed"),
]  # fmt: skip
CODES = {
    "required": "crd-required-field",
    "type": "crd-type-changed",
    "removed": "crd-field-removed",
    "narrowed": "crd-narrowed",
}


@pytest.mark.parametrize(("old", "new", "line", "what"), CHANGES)
def test_what_a_version_takes_away_is_told_at_its_line(old: str, new: str, line: int, what: str) -> None:
    breaks = what in ("required", "type")
    assert told(_change(old, new, True)) == [(CODES[what], line, not breaks)]
    assert told(_change(old, new, False)) == [(CODES[what], line, True)]
    assert told(_change(old, new, None)) == [(CODES[what], line, True)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("required: [spec]", "required: []"),
        ("maximum: 10", "maximum: 11"),
        ("[red, blue]", "[blue, red, green]"),
        ("size: {type: integer", "size: {type: number"),
        ("size: {type: integer,", "size: {x-kubernetes-int-or-string: true,"),
        ("maxLength: 5", "maxLength: 6"),
        (
            "properties:\n              size: {",
            "required: [size]\n            properties:\n              size: {default: 3, ",
        ),
        (
            "            properties:\n              size: {type: integer, maximum: 10, minimum: 1}\n",
            "            x-kubernetes-preserve-unknown-fields: true\n            properties:\n",
        ),
        ("  - name: v1", "  - {name: v2, served: true, storage: false}\n  - name: v1"),
    ],
)
def test_what_takes_nothing_away_is_in_order(old: str, new: str) -> None:
    assert _change(old, new) == []


def test_whether_objects_exist_is_asked_only_where_it_matters() -> None:
    live = body(LIVE)
    (narrowed,) = read(CRD.replace("maximum: 10", "maximum: 9"))
    (retyped,) = read(CRD.replace("size: {type: integer", "size: {type: string"))
    assert not depends_on_objects(live, narrowed)
    assert depends_on_objects(live, retyped)


@pytest.mark.parametrize(
    "schema",
    [1, [], {"properties": []}, {"properties": {"spec": 1}}, {"required": 1, "properties": {"spec": {}}},
     {"properties": {"spec": {"type": ["a"], "properties": {"size": {"enum": 1, "maximum": "x"}}}}}],
)  # fmt: skip
def test_malformed_schemas_are_left_to_the_server(schema: Any) -> None:
    (manifest,) = read(CRD)
    manifest.body["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": schema}
    upgrade_problems(body(LIVE), manifest, True)
    manifest.body["spec"]["versions"] = [schema]
    upgrade_problems(body(LIVE), manifest, True)


def test_a_bottomless_schema_ends() -> None:
    (manifest,) = read(CRD)
    schema: dict[str, Any] = {"type": "object"}
    top = schema
    for _ in range(5000):
        schema["items"] = {"type": "object"}
        schema = schema["items"]
    manifest.body["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": top}
    live = body(LIVE)
    live["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": top}
    assert upgrade_problems(live, manifest, True) == []


def test_a_new_definition_takes_nothing_away() -> None:
    assert foresee(CRD) == []
    changed = CRD.replace("scope: Namespaced", "scope: Cluster")
    assert [p.code for p in foresee(changed, facts=facts(LIVE))] == ["crd-scope"]
    assert foresee(changed, facts=facts(LIVE), written=()) == []

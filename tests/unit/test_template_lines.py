"""From what Helm printed back to the line of the template that printed it."""

from __future__ import annotations

import pytest

from pipeline.core.template_lines import chunk_of, chunks, lines_of, pieces

TEMPLATE = """\
{{- if .Values.enabled }}
# about
apiVersion: v1
kind: Service
metadata:
  name: {{ include "web.name" . }}-api
spec:
  clusterIP: None
---
kind: Service
apiVersion: v1
metadata:
  name: {{ .Release.Name }}-ui
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: {{ .Values.replicas }}
  template:
    spec:
      containers:
      - name: web
        image: {{ .Values.image }}
{{- end }}
"""


def test_each_object_has_a_chunk_from_its_first_key_on() -> None:
    assert [(c.line, c.kind) for c in chunks(TEMPLATE)] == [
        (3, "Service"),
        (10, "Service"),
        (15, "Deployment"),
    ]


@pytest.mark.parametrize("template", ["", '{{ include "all" . }}\n', "  kind: indented\n", "---\n"])
def test_a_template_that_only_calls_others_has_no_chunk(template: str) -> None:
    assert chunks(template) == []


def test_an_object_is_found_by_its_kind() -> None:
    found = chunk_of(chunks(TEMPLATE), {"kind": "Deployment", "metadata": {"name": "anything"}})
    assert found is not None
    assert found.line == 15


def test_of_several_of_a_kind_the_one_whose_name_fits() -> None:
    body = {"kind": "Service", "metadata": {"name": "shop-ui"}}
    found = chunk_of(chunks(TEMPLATE), body)
    assert found is not None
    assert found.line == 10


def test_where_several_may_have_printed_it_none_is_named() -> None:
    text = "kind: ConfigMap\nmetadata:\n  name: {{ .a }}\n---\nkind: ConfigMap\nmetadata:\n  name: {{ .b }}\n"
    assert chunk_of(chunks(text), {"kind": "ConfigMap", "metadata": {"name": "x"}}) is None


def test_a_field_is_found_where_its_key_stands_once_in_both() -> None:
    chunk = chunks(TEMPLATE)[2]
    image = ("spec", "template", "spec", "containers", 0, "image")
    name = ("spec", "template", "spec", "containers", 0, "name")
    found = lines_of(chunk, [("spec", "replicas"), image, name, ("metadata", "name")])
    assert found == {(): 15, ("spec", "replicas"): 20, image: 25}


def test_a_key_that_the_object_has_twice_is_not_guessed() -> None:
    chunk = chunks("kind: Pod\nspec:\n  x: 1\n")[0]
    assert lines_of(chunk, [("a", "x"), ("b", "x")]) == {(): 1}


def test_a_piece_begins_after_a_separator_only_and_with_its_own_first_line() -> None:
    one = "---\n# Source: web/templates/a.yaml\na: |\n  # Source: x\n---\nb: 1\n"
    output = f"{one}---\n# Source: web/crds/b.yaml\n# c\n"
    assert pieces(output) == [
        ("web/templates/a.yaml", "a: |\n  # Source: x\n---\nb: 1"),
        ("web/crds/b.yaml", "# c\n"),
    ]


def test_what_comes_before_the_first_template_is_not_lost() -> None:
    assert pieces("a: 1\n---\n# Source: web/x\nb: 1") == [("", "a: 1"), ("web/x", "b: 1")]
    assert pieces("") == []
    assert pieces("\n\n") == []


def test_a_loop_prints_all_its_objects_from_one_place() -> None:
    text = "{{- range .Values.rules }}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ . }}\n"
    for name in ("a", "b"):
        found = chunk_of(chunks(text), {"kind": "ConfigMap", "metadata": {"name": name}})
        assert found is not None
        assert found.line == 3

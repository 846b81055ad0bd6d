"""What Helm says, as problems with file and line. Its texts here are those of Helm 4.3.1."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.core.helm_errors import Context, problems_of
from pipeline.model.objects import Origin

VALUES = {(): 1, ("web",): 3, ("web", "replicas"): 4, ("ports", 0): 9}
CONTEXT = Context(
    name="web",
    chart=Origin("charts/web/Chart.yaml"),
    place=lambda template: (f"charts/{template}", 0) if template.startswith("web/") else None,
    values=[("dev/common.yaml", {(): 1, ("web", "replicas"): 2}), ("dev/values.yaml", VALUES)],
    fallback="charts/web/values.yaml",
)


def told(text: str, context: Context = CONTEXT) -> list[str]:
    return [f"{p.origin}: {p.message}" for p in problems_of(text, context)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "Error: execution error at (web/templates/x.yaml:12:3): a host is needed\n\nUse --debug flag …\n",
            "charts/web/templates/x.yaml:12: helm: a host is needed",
        ),
        (
            'Error: parse error at (web/templates/x.yaml:7): function "nope" not defined\n',
            'charts/web/templates/x.yaml:7: helm: function "nope" not defined',
        ),
        (
            "Error: web/templates/x.yaml:3:12\n"
            '  executing "web/templates/x.yaml" at <include "web.name" .>:\n    error calling include:\n'
            'web/templates/_helpers.tpl:2:5\n  executing "web.name" at <.Values.a.b>:\n'
            "    nil pointer evaluating interface {}.b\n",
            "charts/web/templates/_helpers.tpl:2: helm: nil pointer evaluating interface {}.b, "
            "used at charts/web/templates/x.yaml:3",
        ),
        (
            "Error: YAML parse error on web/templates/x.yaml: error converting YAML to JSON: yaml: line 6: "
            "mapping values are not allowed in this context\n",
            "charts/web/templates/x.yaml:1: helm: it prints no YAML: mapping values are not allowed in this "
            "context (in line 6 of what it prints)",
        ),
        (
            "Error: cannot load values.yaml: cannot unmarshal yaml document: error converting YAML to JSON: "
            "yaml: line 4: did not find expected key\n",
            "charts/web/values.yaml:4: helm: not YAML: line 4: did not find expected key",
        ),
        (
            "Error: chart requires kubeVersion: >=1.99.0-0 which is incompatible with Kubernetes v1.36.3\n",
            "charts/web/Chart.yaml:1: helm: chart requires kubeVersion: >=1.99.0-0 which is incompatible "
            "with Kubernetes v1.36.3",
        ),
        ("Error: something new\nof two lines\n", "charts/web/Chart.yaml:1: helm: something new of two lines"),
        ("", "charts/web/Chart.yaml:1: helm: no reason given"),
        (
            "panic: runtime error: index out of range\n\ngoroutine 1 [running]:\nmain.main()\n",
            "charts/web/Chart.yaml:1: helm: panic: runtime error: index out of range",
        ),
    ],
)
def test_an_error_is_told_with_its_place(text: str, wanted: str) -> None:
    assert told(text) == [wanted]


SCHEMA = """\
Error: values don't meet the specifications of the schema(s) in the following chart(s):
web:
- at '/web/replicas': got string, want integer
- at '/ports/0': minimum: got 0, want 1
- at '/web': missing property 'image'
- at '': additional properties 'x' not allowed
"""


def test_values_that_a_schema_refuses_are_told_where_they_were_last_written() -> None:
    assert told(SCHEMA) == [
        "dev/values.yaml:4: web.replicas: got string, want integer (by values.schema.json of web)",
        "dev/values.yaml:9: ports.0: minimum: got 0, want 1 (by values.schema.json of web)",
        "dev/values.yaml:3: web: missing property 'image' (by values.schema.json of web)",
        "dev/values.yaml:1: the values: additional properties 'x' not allowed (by values.schema.json of web)",
    ]


def test_values_of_a_part_stand_under_its_name() -> None:
    text = SCHEMA.replace("web:\n", "ports:\n").replace("'/ports/0'", "'/0'")
    assert (
        told(text)[1] == "dev/values.yaml:9: ports.0: minimum: got 0, want 1 (by values.schema.json of ports)"
    )


def test_of_a_template_in_an_archive_the_archive_is_told_and_its_name() -> None:
    context = replace(CONTEXT, place=lambda _: ("charts/web.tgz", 1))
    assert told("Error: execution error at (web/templates/x.yaml:12:3): a host is needed\n", context) == [
        "charts/web.tgz:1: helm: a host is needed (web/templates/x.yaml:12)"
    ]


def test_without_values_files_it_is_the_chart_s_own() -> None:
    context = replace(CONTEXT, values=())
    assert told(SCHEMA, context)[0].startswith("charts/web/values.yaml:1: ")


def test_a_place_outside_of_the_chart_is_not_believed() -> None:
    (found,) = told("Error: execution error at (../../etc/passwd:1:1): x\n")
    assert found == "charts/web/Chart.yaml:1: helm: x"


def test_a_long_text_is_cut() -> None:
    (found,) = told("Error: " + "x" * 100_000)
    assert len(found) < 500


def test_what_is_logged_before_the_error_is_left_out() -> None:
    text = "WARNING: x\nlevel=INFO msg=y\nError: z\n"
    assert told(text) == ["charts/web/Chart.yaml:1: helm: z"]

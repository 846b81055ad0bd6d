"""Charts, archives and Helm's own words are somebody else's: whatever they hold, it is a problem or none."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Sequence
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.adapters.chart_files import unpacked
from pipeline.core import charts, encrypted, generated, helm_errors, template_lines
from pipeline.model.errors import InvalidError, Problem
from pipeline.model.objects import Manifest, ObjectRef, Origin

TEXTS = st.text(max_size=200)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
CHARTS = st.fixed_dictionaries(
    {},
    optional={
        "name": JSON | st.sampled_from(["web", "..", "a/b"]),
        "version": JSON | st.sampled_from(["1.2.3", "../1"]),
        "dependencies": JSON
        | st.lists(
            st.fixed_dictionaries(
                {}, optional=dict.fromkeys(("name", "alias", "version", "repository"), JSON)
            )
        ),
    },
)
WORDS = st.lists(
    st.sampled_from(
        [
            "Error: ",
            "template: web/x.yaml:1:2: ",
            "execution error at (web/x.yaml:3:4): ",
            "parse error at (web/x.yaml:3): ",
            "YAML parse error on web/x.yaml: ",
            "values don't meet the specifications of the schema(s) in the following chart(s):\n",
            "web:\n",
            "- at '/a/b': got string\n",
            "web/x.yaml:1:2\n",
            '  executing "x" at <y>:\n',
            "    nil pointer\n",
            "yaml: line 3: ",
            "\n",
            "x",
        ]
    )
    | TEXTS,
    max_size=12,
).map("".join)
CONTEXT = helm_errors.Context(
    name="web",
    chart=Origin("c/Chart.yaml"),
    place=lambda template: (f"c/{template}", 0) if template.startswith("web/") else None,
    values=[("v.yaml", {(): 1, ("a",): 2, ("a", "b"): 3})],
)


@given(WORDS)
def test_whatever_helm_says_is_at_least_one_problem_of_one_line_in_the_repository(told: str) -> None:
    found = helm_errors.problems_of(told, CONTEXT)
    assert found
    for problem in found:
        assert problem.origin is not None
        assert problem.origin.path.startswith(("c/", "v.yaml"))
        assert problem.origin.line >= 1
        assert len(problem.message.splitlines()) <= 1
        assert len(problem.message) < 2000


@given(CHARTS | JSON)
def test_a_chart_file_is_a_chart_without_problems_or_has_problems(value: Any) -> None:
    chart, problems = charts.read_chart(value, {}, "c/Chart.yaml", "")
    assert (chart is None) == bool(problems)
    if chart is not None:
        for name in (
            chart.name,
            *(d.name for d in chart.dependencies),
            *(d.alias for d in chart.dependencies),
        ):
            assert "/" not in name
            assert ".." not in name
        for dependency in chart.dependencies:
            path = charts.local_path("charts/web", dependency)
            assert path is None or not path.startswith(("/", ".."))


@given(JSON)
def test_schemas_of_any_shape_are_walked(schema: Any) -> None:
    assert all(isinstance(reference, str) for reference in charts.foreign_references(schema))


@given(st.binary(max_size=300) | st.binary(max_size=300).map(gzip.compress))
@example(b"")
@example(gzip.compress(b"x" * 600))
def test_bytes_that_are_no_archive_are_refused_and_nothing_else_happens(content: bytes) -> None:
    problems: Sequence[Problem] = ()
    try:
        list(unpacked(content, "c.tgz", 10_000))
    except InvalidError as error:
        problems = error.problems
    assert all(problem.origin == Origin("c.tgz") for problem in problems)


@given(
    st.lists(
        st.tuples(TEXTS, st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE])), max_size=5
    )
)
def test_no_archive_yields_a_path_that_leads_out(members: list[tuple[str, bytes]]) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, kind in members:
            info = tarfile.TarInfo(name.replace("\0", ""))
            info.type = kind
            archive.addfile(info, io.BytesIO())
    try:
        found = [path for path, _ in unpacked(out.getvalue(), "c.tgz", 100_000)]
    except InvalidError:
        return
    assert not any(path.startswith("/") or ".." in path.split("/") for path in found)


@given(TEXTS, TEXTS)
def test_lines_that_are_found_in_a_template_are_lines_of_it(template: str, name: str) -> None:
    for text in (
        template,
        f"apiVersion: v1\nkind: {name}\n{template}\n---\nkind: X\nmetadata:\n  name: {name}\n",
    ):
        last = text.count("\n") + 1
        for chunk in template_lines.chunks(text):
            lines = template_lines.lines_of(chunk, [("kind",), ("metadata", "name"), (name,)])
            assert all(1 <= line <= last for line in lines.values())


def manifest(data: Any) -> Manifest:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": data}
    return Manifest(ObjectRef.of(body), body, Origin("x.yaml"))


@given(JSON, JSON)
def test_taking_what_differs_from_the_other_rendering_makes_it_the_same(first: Any, second: Any) -> None:
    (found,) = generated.marked([manifest(first)], [manifest(second)])
    assert (found.generated == ()) == (first == second and repr(first) == repr(second))
    (same,) = generated.marked([manifest(first)], [manifest(first)])
    assert same.generated == ()


@given(JSON, JSON)
def test_what_was_encrypted_is_told_for_documents_of_any_shape(first: Any, second: Any) -> None:
    assert all(isinstance(text, str) for text in encrypted.secrets(first, second))
    assert list(encrypted.secrets(first, first)) == []
    if encrypted.is_encrypted(first):
        encrypted.keys(first)

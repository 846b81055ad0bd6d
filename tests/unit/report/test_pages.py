"""Markdown and GitHub commands: sizes, limits, the exact forms."""

from dataclasses import replace

import pytest

from pipeline.model.errors import LockedError, PreflightError, Problem
from pipeline.model.objects import ObjectRef, Origin
from pipeline.model.plan import Action, Change, FieldChange, Plan
from pipeline.model.release import Applied
from pipeline.report import github, markdown

from .samples import MANIFEST, SHA, large_plan, plan, rolled_back, succeeded


def test_a_page_links_the_line_that_is_to_blame():
    page = markdown.report_markdown(rolled_back(), source_url=f"https://github.com/o/r/blob/{SHA}")
    assert f'at <a href="https://github.com/o/r/blob/{SHA}/{MANIFEST}#L14">{MANIFEST}:14</a>' in page
    assert page.startswith("### dev: rolled-back (exit code 10): release 7 at 1a2b3c4\n")
    assert "spec.template.spec.containers[0].image: nginx:1.21 → nginx:1.22" in page


def test_a_page_of_ten_thousand_objects_stays_below_the_limit_and_is_closed():
    long = "→" * 90
    changes = tuple(
        Change(
            ref=ObjectRef("", "ConfigMap", "demo", f"c{n}"),
            action=Action.UPDATE if n < 50 else Action.CREATE,
            api_version="v1",
            fields=tuple(FieldChange(f"data.f{m}", "add", None, long) for m in range(200)) if n < 50 else (),
        )
        for n in range(10_000)
    )
    page = markdown.plan_markdown(Plan(environment="dev", revision=SHA, changes=changes))
    assert len(page.encode()) <= 1_000_000
    assert page.endswith("more lines: see the JSON report.\n")


def test_a_page_of_a_large_plan_has_a_row_for_fifty_changes_and_counts_the_others():
    page = markdown.plan_markdown(large_plan())
    assert page.count("<code>ConfigMap/demo/") + page.count("<code>Job/demo/") == 50
    assert "… and 950 more changes; -o json shows all:\n+ create 950 ConfigMap\n</pre>" in page


def test_in_a_report_what_failed_is_among_the_rows():
    outcome = succeeded()
    outcome.plan = large_plan()
    outcome.applied = (Applied(ref=outcome.plan.changes[900].ref, result="failed"),)
    page = markdown.report_markdown(outcome)
    assert "<code>ConfigMap/demo/c900</code>" in page
    assert "<code>ConfigMap/demo/c899</code>" not in page


def test_a_plan_lists_its_warnings_with_place_and_hint():
    warning = Problem(code="a", message="m", hint="h", origin=Origin("f.yaml", 2), warning=True)
    page = markdown.plan_markdown(replace(plan(), warnings=(warning,)))
    assert page.endswith("\n- warning: <code>f.yaml:2</code>: m (h)\n")


def test_what_a_right_needs_is_shown_as_yaml():
    error = PreflightError("1 problem", hint="one line", attachment="kind: Role\nrules: [<a>]\n")
    page = markdown.error_markdown(error)
    assert "<pre>\nkind: Role\nrules: [&lt;a&gt;]\n</pre>\n### Problems: 1\n" in page


@pytest.mark.parametrize("limit", range(400, 2600, 37))
def test_a_page_that_is_cut_anywhere_closes_what_it_opened(limit):
    page = markdown.report_markdown(rolled_back(), limit_bytes=limit)
    assert len(page.encode()) <= limit
    for tag in ("pre", "details"):
        assert page.count(f"<{tag}>") == page.count(f"</{tag}>")


def test_failed_environments_come_first():
    page = markdown.reports_markdown([succeeded(), rolled_back()])
    assert page.index("rolled-back") < page.index("dev: ok")


def test_an_annotation_points_at_the_line_and_says_why():
    (line,) = github.run_annotations([rolled_back()])
    assert line == (
        "::error file=environments/dev/manifests/web.yaml,line=14,"
        "title=dev%3A ImageNotFound%3A Deployment/demo/web::"
        'container web: image "nginx:9.99" cannot be pulled%0AFailed to pull image: not found'
        "%0Amanifest unknown%0Ahint: check that the tag exists"
    )


def test_percent_signs_line_ends_and_separators_are_escaped_as_the_toolkit_does():
    origin = Origin("a,b:c%d", 1)
    assert github.command("error", "50%\r\nnext", title="a:b,c", origin=origin) == (
        "::error file=a%2Cb%3Ac%25d,line=1,title=a%3Ab%2Cc::50%25%0Anext"
    )


def test_more_than_ten_errors_are_nine_and_a_count():
    outcome = rolled_back()
    outcome.causes *= 25
    outcome.warnings = ("w",) * 11
    lines = github.run_annotations([outcome])
    assert len(lines) == 20
    assert lines[9] == "::error::… and 16 more: see the summary of this step"
    assert lines[-1] == "::warning::… and 2 more: see the summary of this step"


def test_a_failure_without_a_cause_is_still_an_error_and_a_success_is_none():
    failed = replace_causes(rolled_back())
    assert github.run_annotations([failed])[0].startswith("::error title=dev%3A deploy%3A rolled-back::")
    assert github.run_annotations([succeeded()]) == []


def replace_causes(outcome):
    outcome.causes = ()
    return outcome


def test_problems_are_errors_or_warnings_at_their_place():
    problems = [
        Problem(code="a", message="m", hint="h"),
        Problem(code="b", message="n", warning=True, origin=Origin("f", 2)),
    ]
    assert github.problem_annotations(problems) == [
        "::error title=a::m%0Ah",
        "::warning file=f,line=2,title=b::n",
    ]


def test_a_warning_of_the_plan_is_at_its_line_and_told_once():
    outcome = succeeded()
    warning = Problem(code="b", message="n", hint="h", origin=Origin("f", 2), warning=True)
    outcome.plan = replace(plan(), warnings=(warning,))
    outcome.warnings = (str(warning), "left in the cluster: x")
    assert github.run_annotations([outcome]) == [
        "::warning file=f,line=2,title=dev%3A b::n%0Ah",
        "::warning title=dev%3A deploy::left in the cluster: x",
    ]


def test_outputs_name_the_result_and_the_gravest_of_several():
    assert github.outputs([rolled_back()]) == {
        "result": "rolled-back",
        "exit-code": "10",
        "release": "7",
        "revision": SHA,
        "plan-digest": plan().digest,
        "environment": "dev",
    }
    both = github.outputs([succeeded(), rolled_back()])
    assert (both["result"], both["environment"]) == ("rolled-back", "dev,dev")
    assert set(github.error_outputs(LockedError("x"))) == set(both)
    assert github.outputs([])["result"] == "ok"


def test_entries_use_a_new_delimiter_for_each_value():
    words = iter(["one", "two"])
    assert github.output_entries({"a": "1\n2", "b": ""}, lambda: next(words)) == (
        "a<<one\n1\n2\none\nb<<two\n\ntwo\n"
    )


@pytest.mark.parametrize("values", [{"a": "x\nWORD\nb=forged"}, {"a\nb": "x"}, {"": "x"}, {"a=b<<c": "x"}])
def test_an_entry_that_could_forge_another_is_refused(values):
    with pytest.raises(ValueError, match="unambiguously"):
        github.output_entries(values, lambda: "WORD")


def test_evidence_of_a_cause_is_cut_in_a_page():
    outcome = rolled_back()
    outcome.causes = (replace(outcome.causes[0], evidence=("line\n" * 500,)),)
    assert "… and 460 more lines" in markdown.report_markdown(outcome)

import html
import json
import re
import sys
import unicodedata
from dataclasses import replace

import pytest

from pipeline.core.escape import clip, defuse, escape, one_line
from pipeline.model.errors import InvalidError, Problem
from pipeline.model.events import (
    Failed,
)
from pipeline.model.objects import ObjectRef, Origin
from pipeline.model.status import CauseCode, Evidence, Grade, ObjectStatus, Status
from pipeline.model.views import (
    EnvironmentChanges,
    EnvironmentStatus,
    FieldDrift,
    Hold,
    LockFound,
    ObjectDrift,
    PreflightRow,
    SavedObject,
    Unlocking,
)
from pipeline.report import document, github, markdown, summary, tables
from pipeline.report.markup import link
from pipeline.report.text import event_lines

from .hostile import ACTIVE, TEXTS, active
from .hostile_runs import hostile_events, hostile_outcome, hostile_plan
from .runner import commands


def screens(text):
    """Everything that we print for people, made of ``text``."""
    outcome = hostile_outcome(text)
    ref = ObjectRef(text, text, text, text)
    problems = [Problem(code=text, message=text, origin=Origin(text), hint=text)]
    env = EnvironmentStatus(
        name=text,
        release=1,
        revision=text,
        phase=text,
        health=text,
        drift=(ref,),
        lock={"holder": text, "since": text, "expires": text},
        hold=Hold(text, text, text),
        next=text,
    )
    changed = EnvironmentChanges(
        name=text,
        base=text,
        revision=text,
        affected=True,
        because=(text,),
        files=((text, text),),
        objects=(ref,),
    )
    drift = FieldDrift(path=text, desired=text, live=text, manager=text)
    lock = LockFound(lock=env.lock, released=True, why=text)
    row = PreflightRow(name=text, verdict=text, found=text, why=text, repair=text)
    saved = SavedObject(
        ref=ref,
        status=ObjectStatus(Status.FAILED, text, text),
        evidence=(
            Evidence(
                code=CauseCode.POD_FAILED, grade=Grade.TRANSIENT, message=text, details=(text,), hint=text
            ),
        ),
    )
    return [
        *("\n".join(event_lines(event)) for event in hostile_events(text)),
        summary.summary(outcome),
        summary.error_text(InvalidError(text, hint=text, problems=problems)),
        tables.plan_text(outcome.plan),
        tables.problems_text(problems),
        tables.changes_text([changed]),
        tables.history_text([outcome.release]),
        tables.status_text([env]),
        tables.diff_text([ObjectDrift(ref, (drift,))]),
        tables.assess_text([saved]),
        tables.preflight_text([row]),
        tables.unlock_text(Unlocking(environment=text, found=lock, next=text)),
    ]


def pages(text):
    """All markdown, made of ``text``."""
    outcome = hostile_outcome(text)
    problem = Problem(code=text, message=text, origin=Origin(text), hint=text)
    row = PreflightRow(name=text, verdict=text, found=text, why=text, repair=text)
    return [
        markdown.report_markdown(outcome),
        markdown.report_markdown(outcome, source_url="https://example.com/o/r/blob/1"),
        markdown.plan_markdown(outcome.plan),
        markdown.problems_markdown([problem]),
        markdown.error_markdown(InvalidError(text, hint=text, problems=[problem])),
        markdown.preflight_markdown([row]),
    ]


@pytest.mark.parametrize("text", TEXTS)
def test_no_screen_acts_on_a_terminal_or_on_a_runner(text):
    for screen in screens(text):
        assert not active(screen), screen
        assert not commands(screen), screen


@pytest.mark.parametrize("text", TEXTS)
def test_no_page_holds_markup_of_others(text):
    tags = {"code", "pre", "details", "summary", "a"}
    for page in pages(text):
        assert not active(page), page
        assert {name.lower() for name in re.findall(r"</?([A-Za-z!]+)", page)} <= tags, page
        assert page.count("<pre>") == page.count("</pre>")
        assert "](" not in re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL), page
        urls = re.findall(r'href="([^"]*)"', page)
        assert all(html.unescape(url).startswith("https://example.com/o/r/blob/1/") for url in urls)


@pytest.mark.parametrize("text", TEXTS)
def test_no_table_gains_a_row_or_a_cell(text):
    quiet, page = (markdown.plan_markdown(hostile_plan(t)) for t in ("quiet", text))

    def cells(markup):
        tables_only = re.sub(r"<pre>.*?</pre>", "", markup, flags=re.DOTALL)
        return [line.count("|") for line in tables_only.splitlines() if line.startswith("|")]

    assert cells(page) == cells(quiet)


@pytest.mark.parametrize("text", TEXTS)
def test_a_runner_finds_the_commands_that_we_meant_and_no_other(text):
    lines = github.run_annotations([hostile_outcome(text)])
    lines += github.problem_annotations([Problem(code=text, message=text, origin=Origin(text), hint=text)])
    names = [found.partition(" ")[0] for found in commands("\n".join(lines))]
    assert names == ["error", "error", "warning", "error"]
    for line in lines:
        properties = line[2 : line.index("::", 2)].partition(" ")[2].split(",")
        assert {p.partition("=")[0] for p in properties} <= {"file", "line", "title"}
        assert not active(line)


@pytest.mark.parametrize("text", TEXTS)
def test_json_documents_hold_no_runner_command(text):
    report = document.report_document(hostile_outcome(text))
    shown = document.to_json(report)
    assert not commands(shown)
    assert not active(shown)
    assert json.loads(shown) == report


def test_every_character_that_acts_or_hides_is_written_out():
    everything = [chr(n) for n in range(sys.maxunicode + 1) if unicodedata.category(chr(n)) in ACTIVE]
    assert not active(escape("".join(everything)), allowed="")


def test_what_is_harmless_stays_as_it_is():
    for text in ("plain", "naïve → 한국어 ✓", "a # b ## c [d]", "std::vector a::b", "10:30", "key: value"):
        assert defuse(one_line(text)) == text


def test_a_line_end_becomes_a_blank_and_a_long_text_is_counted():
    assert one_line("a\r\n  b\n\nc\td") == "a b c    d"
    assert clip("abcdef", 4) == "abcd … (2 more characters)"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "title|javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "https://",
        "https://user:pw@example.com/",
        'https://example.com/"onclick="x',
        "https://example.com/\n",
        "//example.com",
        "http://[",
    ],
)
def test_only_plain_http_urls_become_links(url):
    assert link("x", url) == "x"


def test_an_http_url_becomes_a_link():
    assert link("x", "https://example.com/a?b=1&c") == '<a href="https://example.com/a?b=1&amp;c">x</a>'


def test_the_runner_of_these_tests_finds_commands_at_all():
    assert commands("::error::x\n  ::add-mask::y\nz ##[group]z\na::b") == ["error", "add-mask", "group"]


def test_credentials_in_messages_are_taken_out_of_every_text():
    token = "k8s-aws-v1." + "a" * 40
    outcome = replace_cause(hostile_outcome("quiet"), f"get https://me:hunter2@host/ with {token}")
    shown = [
        summary.summary(outcome),
        markdown.report_markdown(outcome),
        *github.run_annotations([outcome]),
        *event_lines(Failed(outcome.causes)),
    ]
    for text in shown:
        assert "hunter2" not in text
        assert "aaaa" not in text


def replace_cause(outcome, message):
    outcome.causes = (replace(outcome.causes[0], message=message, evidence=(message,), hint=message),)
    return outcome

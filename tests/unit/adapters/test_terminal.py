import io
import os
import re

import pytest

from pipeline.adapters.github import GithubFiles
from pipeline.adapters.live_view import View
from pipeline.adapters.terminal import LiveReporter, PlainReporter, SafeStream, reporter, write
from pipeline.model.events import (
    Checked,
    Note,
    ObjectApplied,
    Planned,
    RollingBack,
    RolloutDone,
    RolloutProgress,
    Started,
)
from pipeline.model.objects import ObjectRef
from pipeline.model.plan import Action, Change, Plan
from pipeline.model.status import CheckResult, ObjectStatus, Status, Verdict

WEB = ObjectRef("apps", "Deployment", "demo", "web")
WAITING = ObjectStatus(Status.IN_PROGRESS, "Progressing", "2 of 3 pods are ready", (2, 3))
PLAN = Plan(
    environment="dev",
    revision="r",
    changes=(Change(ref=WEB, action=Action.UPDATE, api_version="apps/v1", wave=1),),
)
PROGRESS = RolloutProgress(((WEB, WAITING),), 1.0)
STARTED = Started("deploy", "dev", "r", "", ())


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Gone(io.StringIO):
    """A pipe whose reader went away."""

    def isatty(self):
        return True

    def write(self, text):
        raise BrokenPipeError

    flush = close = lambda self: None


def name(event):
    return [type(event).__name__]


def drawn(view, width=100, height=20):
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False, color_system=None)
    console.print(view.render(width, height))
    return console.file.getvalue()


def clock(*times):
    """A monotonic clock that gives these seconds, the last of them for ever."""
    left = list(times)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_plain_progress_is_the_lines_of_each_event():
    stream = io.StringIO()
    with PlainReporter(stream, lambda e: ["one", "two"]) as report:
        report(Note("x"))
    assert stream.getvalue() == "one\ntwo\n"


@pytest.mark.parametrize(
    ("stream", "environ", "kind"),
    [
        (Terminal(), {}, LiveReporter),
        (io.StringIO(), {}, PlainReporter),
        (Terminal(), {"TERM": "dumb"}, PlainReporter),
        (Terminal(), {"CI": "true"}, PlainReporter),
    ],
)
def test_only_a_terminal_that_someone_looks_at_is_drawn_on(stream, environ, kind):
    assert type(reporter(stream, name, environ=environ)) is kind


@pytest.mark.parametrize("make", [PlainReporter, LiveReporter])
def test_a_reader_that_went_away_stops_nothing(make):
    with make(Gone(), name) as report:
        for event in (STARTED, Planned(PLAN), PROGRESS):
            report(event)


def test_a_closed_pipe_is_noticed_once_and_leaves_nothing_to_flush():
    read, wrote = os.pipe()
    os.close(read)
    with os.fdopen(wrote, "w") as stream:
        safe = SafeStream(stream)
        safe.write("x" * 100_000)
        safe.flush()
        assert safe.broken
        stream.write("more")
    assert not write(Gone(), "result")
    assert write(io.StringIO(), "result")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "euc-kr"])
def test_characters_that_an_encoding_has_not_are_replaced(encoding):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    SafeStream(stream).write("a → ✓ \ud800\n")
    stream.flush()
    assert re.fullmatch(r"a (->|→) \? \?\n", raw.getvalue().decode(encoding))


def test_the_live_view_leaves_every_event_but_progress_as_lines():
    stream = Terminal()
    with LiveReporter(stream, name, color=False) as report:
        for event in (STARTED, Planned(PLAN), PROGRESS, RolloutDone((), True, 2.0)):
            report(event)
    stays = re.findall(
        r"^(?:.*\x1b\[(?:2K|\?25l))?(\w+)$", stream.getvalue().replace("\r", ""), flags=re.MULTILINE
    )
    assert stays == ["Started", "Planned", "RolloutDone"]
    assert stream.getvalue().count("\x1b[?25l") == stream.getvalue().count("\x1b[?25h") == 1


def test_a_view_that_ends_while_it_waits_says_for_what():
    stream = Terminal()
    with LiveReporter(stream, name, color=False) as report:
        report(STARTED)
        report(PROGRESS)
    assert "RolloutProgress\n" in stream.getvalue()


def test_without_color_no_color_is_sent():
    stream = Terminal()
    with reporter(stream, lambda e: ["failed: x"], environ={"NO_COLOR": "1"}) as report:
        report(STARTED)
        report(PROGRESS)
    assert not re.search(r"\x1b\[[\d;]*3[0-7]m", stream.getvalue())


def test_a_view_that_cannot_be_drawn_becomes_plain_lines(monkeypatch):
    stream = Terminal()
    report = LiveReporter(stream, name)
    monkeypatch.setattr(View, "hear", lambda *_: 1 / 0)
    with report:
        report(STARTED)
        report(PROGRESS)
    assert stream.getvalue() == "Started\nRolloutProgress\n"


def test_the_view_shows_what_is_waited_for_with_counts_and_a_bar():
    view = View(clock(0.0, 0.0, 65.0))
    for event in (STARTED, Planned(PLAN), PROGRESS):
        view.hear(event)
    text = drawn(view)
    assert text.startswith("deploy dev  applying: waiting, 0 of 1 objects current  1:05")
    assert "Deployment/demo/web" in text
    assert "2/3" in text
    assert "2 of 3 pods are ready" in text
    assert "━" in text


def test_the_elapsed_time_ticks_on_without_any_event():
    view = View(clock(0.0, 0.0, 1.0, 2.0))
    view.hear(STARTED)
    assert [drawn(view).split()[-1] for _ in range(2)] == ["0:01", "0:02"]


def test_the_view_tells_how_far_writes_and_checks_are():
    view = View(clock(0.0))
    view.hear(STARTED)
    assert "planning" in drawn(view)
    view.hear(Planned(PLAN))
    assert "applying: 0 of 1 objects" in drawn(view)
    view.hear(ObjectApplied(WEB, Action.UPDATE, 1, "applied", 0.1))
    assert "applying: wave 1, 1 of 1 objects" in drawn(view)
    view.hear(Checked(CheckResult(name="home", verdict=Verdict.PASS, reason="")))
    assert "checking; home: pass" in drawn(view)
    view.hear(RollingBack("release 6", PLAN))
    assert "rolling back: 0 of 1 objects" in drawn(view)


@pytest.mark.parametrize("width", [1, 5, 20, 69, 70, 300])
def test_the_view_fits_terminals_of_any_size(width):
    view = View(clock(0.0))
    view.hear(STARTED)
    many = tuple((ObjectRef("", "ConfigMap", "demo", f"c{n}" * 30), WAITING) for n in range(100))
    view.hear(RolloutProgress(many, 1.0))
    lines = drawn(view, width, 10).splitlines()
    assert len(lines) <= 10
    assert all(len(line) <= width for line in lines)


def test_the_view_obeys_neither_markup_nor_escapes_and_shows_no_secret():
    bad = ObjectStatus(Status.FAILED, "r", "[red]x[/red] \x1b[2J \u202e :boom: hunter2", (0, 1))
    view = View(clock(0.0), scrub=lambda text: text.replace("hunter2", "***"))
    view.hear(STARTED)
    view.hear(RolloutProgress(((ObjectRef("", "[b]K", "n", "\x1b]0;t\x07"), bad),), 1.0))
    text = drawn(view, 200)
    assert "[red]x[/red]" in text
    assert ":boom:" in text
    assert "[b]K/n/\\x1b]0;t\\x07" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "hunter2" not in text


def test_outputs_and_summary_are_appended(tmp_path):
    warnings = []
    environ = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_OUTPUT": str(tmp_path / "out"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "sum"),
    }
    files = GithubFiles(environ, warnings.append)
    files.output("a\n")
    files.output("b \ud800\n")
    files.summary("c\n")
    assert files.active
    assert (tmp_path / "out").read_bytes() == b"a\nb ?\n"
    assert (tmp_path / "sum").read_text() == "c\n"
    assert warnings == []


def test_a_file_that_cannot_be_written_is_a_warning(tmp_path):
    warnings = []
    files = GithubFiles({"GITHUB_OUTPUT": str(tmp_path), "GITHUB_STEP_SUMMARY": "\0"}, warnings.append)
    files.output("a")
    files.summary("b")
    assert warnings == [
        "cannot write the file that GITHUB_OUTPUT names: Is a directory",
        "cannot write the file that GITHUB_STEP_SUMMARY names: ValueError",
    ]
    GithubFiles({}, warnings.append).output("a")
    assert len(warnings) == 2


def test_of_hundreds_of_objects_that_go_well_only_every_hundredth_is_a_line() -> None:
    refs = [ObjectRef("", "ConfigMap", "demo", f"settings-{n}") for n in range(250)]
    changes = tuple(Change(ref=ref, action=Action.CREATE, api_version="v1") for ref in refs)
    stream = io.StringIO()
    with PlainReporter(stream, lambda event: [type(event).__name__]) as report:
        report(Planned(Plan(environment="dev", revision="r", changes=changes)))
        for ref in refs:
            report(ObjectApplied(ref, Action.CREATE, 1, "applied", 0.1))
        report(ObjectApplied(refs[0], Action.CREATE, 1, "failed", 0.1, "refused"))
    assert stream.getvalue().splitlines() == [
        "Planned",
        "applied 100 of 250",
        "applied 200 of 250",
        "ObjectApplied",
    ]


def test_each_of_a_few_objects_is_a_line() -> None:
    ref = ObjectRef("", "ConfigMap", "demo", "settings")
    change = Change(ref=ref, action=Action.CREATE, api_version="v1")
    stream = io.StringIO()
    with PlainReporter(stream, lambda event: [type(event).__name__]) as report:
        report(Planned(Plan(environment="dev", revision="r", changes=(change,))))
        report(ObjectApplied(ref, Action.CREATE, 1, "applied", 0.1))
    assert stream.getvalue().splitlines() == ["Planned", "ObjectApplied"]

"""What reaches the screen: results on stdout, progress and errors on stderr, files for GitHub."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from pipeline import failpoint, log, wiring
from pipeline.adapters import terminal
from pipeline.core.escape import one_line
from pipeline.failpoint import Point
from pipeline.model.errors import PipelineError, Problem, UsageError
from pipeline.model.events import Event
from pipeline.model.exit_codes import GRAVITY, ExitCode
from pipeline.model.plan import Plan
from pipeline.model.release import Outcome
from pipeline.model.views import EnvironmentChanges
from pipeline.report import document, github, markdown, summary, tables, text


class Screen(AbstractContextManager["Screen"]):
    """The screen of one command. Progress goes on until the first result is shown, or the context ends."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._progress = ExitStack()
        log.configure(args.log_format, args.verbose)
        self.tell: Callable[[Event], None] = self._progress.enter_context(
            wiring.reporter(text.event_lines, log_entries=args.log_format == "json", no_color=args.no_color)
        )

    def __exit__(self, *_: object) -> None:
        self._progress.close()

    def show(self, output: str) -> None:
        """A result, to stdout, after the progress. What its encoding lacks, or no one reads, is no error."""
        self._progress.close()
        terminal.write(sys.stdout, output if output.endswith("\n") else output + "\n")

    def line(self, text: str) -> None:
        """One of many results, on stdout; the progress goes on."""
        terminal.write(sys.stdout, text + "\n")

    def show_document(self, doc: Mapping[str, Any], plain: Callable[[], str]) -> None:
        """A reading command's result in the wanted form. Tables are readable as markdown, too."""
        if self._args.output == "json":
            self.show(document.to_json(log.scrub_document(doc)))
        else:
            self.show(log.scrub(plain()))

    def show_outcomes(self, outcomes: Sequence[Outcome], *, several: bool = False) -> ExitCode:
        """The report of a changing command; returns the gravest exit code."""
        for outcome in outcomes if self._args.log_format == "json" or self._args.verbose else ():
            result = document.result_of(outcome.exit_code)
            log.get().info("run_ended", environment=outcome.environment, result=result, **outcome.timings)
        failpoint.passing(Point.REPORT_WRITE)
        match self._args.output:
            case "json":
                report = (
                    document.reports_document(outcomes) if several else document.report_document(outcomes[0])
                )
                self.show(document.to_json(log.scrub_document(report)))
            case "markdown":
                self.show(log.scrub(markdown.reports_markdown(outcomes)))
            case _:
                nothing = "no environment is affected: nothing to do"
                self.show(log.scrub(summary.summaries(outcomes) if outcomes else nothing))
        self._to_github(
            lambda: github.run_annotations(outcomes),
            lambda: github.outputs(outcomes),
            lambda: markdown.reports_markdown(outcomes, source_url=_source_url()),
        )
        codes = {ExitCode(o.exit_code) for o in outcomes}
        return next((code for code in GRAVITY if code in codes), ExitCode.OK)

    def show_release(self, outcome: Outcome, facts: Mapping[str, str]) -> None:
        """A release from its record: the same documents and texts as its run had shown."""
        match self._args.output:
            case "json":
                self.show(document.to_json(log.scrub_document(document.report_document(outcome))))
            case "markdown":
                self.show(log.scrub(markdown.report_markdown(outcome, source_url=_source_url())))
            case _:
                self.show(log.scrub(summary.summary(outcome) + tables.facts_text(facts)))

    def show_changes(self, found: Sequence[EnvironmentChanges]) -> None:
        if self._args.matrix:
            self.show(json.dumps(document.matrix_document(found)))
        else:
            self.show_document(document.changes_document(found), lambda: tables.changes_text(found))
        self._to_github(list, lambda: github.changes_outputs(found), str)

    @staticmethod
    def plan_json(plan: Plan) -> str:
        """The plan's document, as it is shown and saved."""
        return document.to_json(log.scrub_document(document.plan_document(plan)))

    def show_plan(self, plan: Plan, environment: str) -> None:
        match self._args.output:
            case "json":
                self.show(self.plan_json(plan))
            case "markdown":
                self.show(log.scrub(markdown.plan_markdown(plan)))
            case _:
                self.show(log.scrub(tables.plan_text(plan)))
        values = {
            "environment": environment,
            "plan-digest": plan.digest,
            "result": ExitCode.OK.result,
            "exit-code": "0",
        }
        self._to_github(
            lambda: github.problem_annotations(plan.warnings),
            lambda: values,
            lambda: markdown.plan_markdown(plan, source_url=_source_url()),
        )

    def show_problems(self, problems: Sequence[Problem]) -> ExitCode:
        """Warnings alone are no reason to fail."""
        match self._args.output:
            case "json":
                self.show(document.to_json(log.scrub_document(document.problems_document(problems))))
            case "markdown":
                self.show(log.scrub(markdown.problems_markdown(problems)))
            case _:
                self.show(log.scrub(tables.problems_text(problems)))
        code = ExitCode.INVALID if any(not p.warning for p in problems) else ExitCode.OK
        self._to_github(
            lambda: github.problem_annotations(problems),
            lambda: {"result": code.result, "exit-code": str(int(code))},
            lambda: markdown.problems_markdown(problems, source_url=_source_url()),
        )
        return code

    @staticmethod
    def save(path: str, text: str, option: str) -> None:
        """A result, to the file that an option names. UsageError where it cannot be written."""
        try:
            Path(path).write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"write {path}: {error.strerror}", hint=f"name a file with {option}") from error

    def show_error(self, error: PipelineError) -> None:
        """An error before there was anything to report: one line for people, one document for programs."""
        if self._args.output == "json":
            problems = document.problems_document(document.error_problems(error))
            self.show(document.to_json(log.scrub_document(problems)))
        self._progress.close()
        terminal.write(sys.stderr, log.scrub(summary.error_text(error)) + "\n")
        self._to_github(
            lambda: github.error_annotations(error),
            lambda: github.error_outputs(error, self._args.environment),
            lambda: markdown.error_markdown(error, source_url=_source_url()),
        )

    def refuse_secrets_in_ci(self) -> None:
        """A CI log is no place for Secret values, masked by the runner or not."""
        if self._args.show_secrets and os.environ.get("GITHUB_ACTIONS") == "true":
            raise UsageError("--show-secrets is refused in GitHub Actions: its logs are kept")

    def _to_github(
        self,
        annotations: Callable[[], Sequence[str]],
        outputs: Callable[[], Mapping[str, str]],
        step_summary: Callable[[], str],
    ) -> None:
        """Annotations, outputs and summary of a GitHub Actions step; nothing elsewhere."""
        files = wiring.github_files(
            lambda message: log.get().warning("github_file_not_written", problem=message)
        )
        if not files.active:
            return
        for line in annotations():
            terminal.write(sys.stderr, log.scrub(line) + "\n")
        files.output(
            github.output_entries({k: log.scrub(v) for k, v in outputs().items()}, wiring.random_word)
        )
        files.summary(log.scrub(step_summary()))


def bug(error: Exception, args: argparse.Namespace) -> int:
    """One line, and the traceback in a file: it is our mistake, not the user's."""
    lines = [log.scrub(line) for line in traceback.format_exception(error)]
    place = Path(tempfile.gettempdir()) / f"pipeline-bug-{os.getpid()}.log"
    try:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.writelines(lines)
        where = f"see {place}"
    except OSError:
        where = "the log could not be written"
    first = one_line(log.scrub(f"{type(error).__name__}: {error}"), 200)
    terminal.write(sys.stderr, f"error: a bug of pipeline in `{args.command}`: {first}; {where}\n")
    return int(ExitCode.BUG)


def _source_url() -> str:
    """Where GitHub shows the files of this commit, or empty."""
    server, repository, commit = (
        os.environ.get(name, "") for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_SHA")
    )
    return f"{server}/{repository}/blob/{commit}" if server and repository and commit else ""

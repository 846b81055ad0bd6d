"""What reaches the screen: results on stdout, progress and errors on stderr, files for GitHub."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline import log, wiring
from pipeline.adapters import terminal
from pipeline.core.escape import one_line
from pipeline.model.errors import PipelineError, Problem, UsageError
from pipeline.model.events import Event
from pipeline.model.exit_codes import GRAVITY, ExitCode
from pipeline.model.plan import Plan
from pipeline.model.release import Outcome
from pipeline.report import document, github, markdown, summary, tables, text


@contextmanager
def reporting(args: argparse.Namespace) -> Iterator[Callable[[Event], None]]:
    """The listener for events, as the options want it, for as long as the command runs."""
    log.configure(args.log_format, args.verbose)
    as_json = args.log_format == "json"
    with wiring.reporter(text.event_lines, log_entries=as_json, no_color=args.no_color) as tell:
        yield tell


def show(output: str) -> None:
    """A result, to stdout; what its encoding lacks or no one reads any more is no error."""
    terminal.write(sys.stdout, output if output.endswith("\n") else output + "\n")


def show_document(args: argparse.Namespace, doc: Mapping[str, Any], plain: Callable[[], str]) -> None:
    """A reading command's result in the wanted form. Tables are readable as markdown, too."""
    if args.output == "json":
        show(document.to_json(log.scrub_document(doc)))
    else:
        show(log.scrub(plain()))


def show_outcomes(
    args: argparse.Namespace, outcomes: Sequence[Outcome], *, several: bool = False
) -> ExitCode:
    """The report of a changing command; returns the gravest exit code."""
    for outcome in outcomes:
        result = document.result_of(outcome.exit_code)
        log.get().info("run_ended", environment=outcome.environment, result=result, **outcome.timings)
    match args.output:
        case "json":
            report = document.reports_document(outcomes) if several else document.report_document(outcomes[0])
            show(document.to_json(log.scrub_document(report)))
        case "markdown":
            show(log.scrub(markdown.reports_markdown(outcomes)))
        case _:
            show(
                log.scrub(
                    summary.summaries(outcomes) if outcomes else "no environment is affected: nothing to do"
                )
            )
    _to_github(
        lambda: github.run_annotations(outcomes),
        lambda: github.outputs(outcomes),
        lambda: markdown.reports_markdown(outcomes, source_url=_source_url()),
    )
    codes = {ExitCode(o.exit_code) for o in outcomes}
    return next((code for code in GRAVITY if code in codes), ExitCode.OK)


def show_plan(args: argparse.Namespace, plan: Plan, environment: str) -> None:
    match args.output:
        case "json":
            show(document.to_json(log.scrub_document(document.plan_document(plan))))
        case "markdown":
            show(log.scrub(markdown.plan_markdown(plan)))
        case _:
            show(log.scrub(tables.plan_text(plan)))
    values = {
        "environment": environment,
        "plan-digest": plan.digest,
        "result": ExitCode.OK.result,
        "exit-code": "0",
    }
    _to_github(list, lambda: values, lambda: markdown.plan_markdown(plan, source_url=_source_url()))


def show_problems(args: argparse.Namespace, problems: Sequence[Problem]) -> None:
    match args.output:
        case "json":
            show(document.to_json(log.scrub_document(document.problems_document(problems))))
        case "markdown":
            show(log.scrub(markdown.problems_markdown(problems)))
        case _:
            show(log.scrub(tables.problems_text(problems)))
    code = ExitCode.INVALID if problems else ExitCode.OK
    _to_github(
        lambda: github.problem_annotations(problems),
        lambda: {"result": code.result, "exit-code": str(int(code))},
        lambda: markdown.problems_markdown(problems, source_url=_source_url()),
    )


def show_error(args: argparse.Namespace, error: PipelineError) -> None:
    """An error before there was anything to report: one line for people, one document for programs."""
    if args.output == "json":
        problems = document.problems_document(document.error_problems(error))
        show(document.to_json(log.scrub_document(problems)))
    terminal.write(sys.stderr, log.scrub(summary.error_text(error)) + "\n")
    _to_github(
        lambda: github.error_annotations(error),
        lambda: github.error_outputs(error, args.environment),
        lambda: markdown.error_markdown(error, source_url=_source_url()),
    )


def refuse_secrets_in_ci(args: argparse.Namespace) -> None:
    """A CI log is no place for Secret values, masked by the runner or not."""
    if args.show_secrets and os.environ.get("GITHUB_ACTIONS") == "true":
        raise UsageError("--show-secrets is refused in GitHub Actions: its logs are kept")


def bug(error: Exception, args: argparse.Namespace) -> int:
    """One line, and the traceback in a file: it is our mistake, not the user's."""
    lines = [log.scrub(line) for line in traceback.format_exception(error)]
    place = Path(os.environ.get("TMPDIR", "/tmp")) / f"pipeline-bug-{os.getpid()}.log"  # noqa: S108
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


def _to_github(
    annotations: Callable[[], Sequence[str]],
    outputs: Callable[[], Mapping[str, str]],
    step_summary: Callable[[], str],
) -> None:
    """Annotations, outputs and summary of a GitHub Actions step; nothing elsewhere."""
    files = wiring.github_files(lambda message: log.get().warning("github_file_not_written", problem=message))
    if not files.active:
        return
    for line in annotations():
        terminal.write(sys.stderr, log.scrub(line) + "\n")
    files.output(github.output_entries({k: log.scrub(v) for k, v in outputs().items()}, wiring.random_word))
    files.summary(log.scrub(step_summary()))


def _source_url() -> str:
    """Where GitHub shows the files of this commit, or empty."""
    server, repository, commit = (
        os.environ.get(name, "") for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_SHA")
    )
    return f"{server}/{repository}/blob/{commit}" if server and repository and commit else ""

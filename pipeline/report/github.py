"""What GitHub Actions reads of a run: annotations and step outputs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence

from pipeline.core.escape import defuse, escape, one_line
from pipeline.core.redaction import scrub
from pipeline.model.errors import PipelineError, Problem
from pipeline.model.exit_codes import GRAVITY, ExitCode
from pipeline.model.objects import Origin
from pipeline.model.release import Outcome
from pipeline.model.status import Cause
from pipeline.model.views import EnvironmentChanges

from .document import error_problems, matrix_document, outcome_problems, result_of
from .words import label

LIMIT = 10
"""GitHub shows ten errors and ten warnings of a step and drops the others."""

_EVIDENCE = 5


def run_annotations(outcomes: Sequence[Outcome]) -> list[str]:
    """Workflow commands for the causes and warnings of a run; at most ten of each."""
    errors = [_of_cause(outcome, cause) for outcome in outcomes for cause in outcome.causes]
    for outcome in outcomes:
        if outcome.message:
            errors += problem_annotations(outcome_problems(outcome))
        elif outcome.exit_code and not outcome.causes:
            errors.append(_failed_without_cause(outcome))
    warnings = [_of_warning(outcome, warning) for outcome in outcomes for warning in outcome.warnings]
    return [*_capped("error", errors), *_capped("warning", warnings)]


def problem_annotations(problems: Sequence[Problem]) -> list[str]:
    """Workflow commands for what is wrong with the files; at most ten errors and ten warnings."""
    lines: dict[str, list[str]] = {"error": [], "warning": []}
    for problem in problems:
        level = "warning" if problem.warning else "error"
        lines[level].append(command(level, _with_hint(problem), title=problem.code, origin=problem.origin))
    return [line for level in lines for line in _capped(level, lines[level])]


def error_annotations(error: PipelineError) -> list[str]:
    """Workflow commands for an error before any report."""
    return problem_annotations(error_problems(error))


def command(level: str, message: str, *, title: str = "", origin: Origin | None = None) -> str:
    """One workflow command; ``level`` is ``error``, ``warning`` or ``notice``.

    Escaped as the toolkit does (packages/core/src/command.ts), after all that acts or hides was
    written out line by line.
    """
    properties = {"file": origin.path, "line": str(origin.line)} if origin else {}
    if title:
        properties["title"] = one_line(title, 200)
    shown = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{level} {shown}::{_data(message)}" if shown else f"::{level}::{_data(message)}"


def outputs(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """The step's outputs. Several environments: the gravest result, all else separated by commas."""
    codes = {int(o.exit_code) for o in outcomes}
    gravest = next((int(code) for code in GRAVITY if code in codes), max(codes, default=0))
    return {
        "result": result_of(gravest),
        "exit-code": str(gravest),
        "release": ",".join(str(o.release.number) for o in outcomes if o.release),
        "revision": ",".join(dict.fromkeys(o.revision for o in outcomes if o.revision)),
        "plan-digest": ",".join(o.plan.digest for o in outcomes if o.plan),
        "environment": ",".join(o.environment for o in outcomes if o.environment),
    }


def changes_outputs(found: Sequence[EnvironmentChanges]) -> dict[str, str]:
    """The step's outputs of ``changes``. ``environment`` is empty where ``matrix`` has no job."""
    return {
        "result": ExitCode.OK.result,
        "exit-code": str(int(ExitCode.OK)),
        "revision": ",".join(dict.fromkeys(changes.revision for changes in found)),
        "environment": ",".join(
            changes.name for changes in found if changes.affected and not changes.removed
        ),
        "matrix": json.dumps(matrix_document(found)),
    }


def error_outputs(error: PipelineError, environment: str = "") -> dict[str, str]:
    """The step's outputs for an error before any report."""
    code = ExitCode(error.exit_code)
    return {
        "result": code.result,
        "exit-code": str(int(code)),
        "release": "",
        "revision": "",
        "plan-digest": "",
        "environment": environment,
    }


def output_entries(values: Mapping[str, str], delimiter: Callable[[], str]) -> str:
    """Entries for the file that ``GITHUB_OUTPUT`` names; ``delimiter`` gives a new random word each time.

    Raises:
        ValueError: a value holds the delimiter, or a name is none: both would forge other outputs.
    """
    entries = []
    for name, value in values.items():
        word = delimiter()
        if word in value or word in name or not re.fullmatch(r"[A-Za-z_][\w-]*", name, re.ASCII):
            raise ValueError(f"output {name!r} cannot be written unambiguously")
        entries.append(f"{name}<<{word}\n{value}\n{word}\n")
    return "".join(entries)


def _of_cause(outcome: Outcome, cause: Cause) -> str:
    proof = [line for entry in cause.evidence for line in entry.splitlines() if line.strip()]
    parts = [cause.message, *proof[:_EVIDENCE], f"hint: {cause.hint}" if cause.hint else ""]
    title = f"{outcome.environment}: {cause.code}: {label(cause.object)}"
    return command("error", "\n".join(filter(None, parts)), title=title, origin=cause.origin)


def _of_warning(outcome: Outcome, warning: str) -> str:
    """Where it is one of the plan, at its place."""
    planned = outcome.plan.warnings if outcome.plan else ()
    found = next((p for p in planned if str(p) == warning), None)
    title = f"{outcome.environment}: {found.code if found else outcome.command}"
    if found is None:
        return command("warning", warning, title=title)
    return command("warning", _with_hint(found), title=title, origin=found.origin)


def _with_hint(problem: Problem) -> str:
    return f"{problem.message}\n{problem.hint}" if problem.hint else problem.message


def _failed_without_cause(outcome: Outcome) -> str:
    result = result_of(outcome.exit_code)
    title = f"{outcome.environment}: {outcome.command}: {result}"
    return command(
        "error", outcome.next_step or f"exit code {int(outcome.exit_code)} ({result})", title=title
    )


def _capped(level: str, lines: list[str]) -> list[str]:
    if len(lines) <= LIMIT:
        return lines
    left = len(lines) - LIMIT + 1
    return [*lines[: LIMIT - 1], command(level, f"… and {left} more: see the summary of this step")]


def _data(text: str) -> str:
    # Line ends that we mean become %0A; `##[` is broken although a command is not parsed twice.
    escaped = "\n".join(defuse(escape(line)) for line in re.split(r"\r\n|\r|\n", scrub(text)))
    return escaped.replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(one_line(text)).replace(":", "%3A").replace(",", "%2C")

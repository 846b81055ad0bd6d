"""What Helm says when it cannot render a chart, as problems with the file and line that they are about.

Pure. The forms are those of Helm 4.3: pkg/engine/engine.go (reformatExecErrorMsg, cleanupParseError),
pkg/chart/common/util/jsonschema.go, pkg/release/v1/util/manifest_sorter.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Origin

_PREFIX = re.compile(r"^(?:Error: |INSTALLATION FAILED: )+")
_AT = re.compile(
    r"^(?:execution error|parse error) (?:at|in) \(([^():]+)(?::(\d+))?(?::\d+)?\): (.+)", re.DOTALL
)
_STEP = re.compile(r"^(\S[^:\n]*):(\d+)(?::\d+)?$")
_TEMPLATE = re.compile(r"template: ([^:\s]+):(\d+)(?::\d+)?: (.+)", re.DOTALL)
_PRINTED = re.compile(r"^YAML parse error on ([^:]+): (.+)", re.DOTALL)
_YAML_LINE = re.compile(r"yaml: line (\d+): ")
_SCHEMA = "values don't meet the specifications of the schema"
_SCHEMA_CHART = re.compile(r"^([\w.-]+):$")
_SCHEMA_AT = re.compile(r"^\s*- at '([^']*)': (.+)$")
_LOAD = re.compile(r"^cannot load (Chart\.yaml|Chart\.lock|values\.yaml|requirements\.yaml): (.+)", re.DOTALL)
_KUBE = re.compile(r"^chart requires kubeVersion: ")
_NOISE = re.compile(r"^(?:WARNING|level=|time=|walk\.go)|^\d{4}/\d\d/\d\d ")
_REASON_CHARACTERS = 400

Place = Callable[[str], tuple[str, int] | None]
"""A template, as Helm names it, to its path in the repository and 0; to the place that stands for it, where
it is packed in an archive; None for what is no file of the chart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What is known of the chart. ``chart`` is its ``Chart.yaml``; ``values`` the lines of each values file,
    the last of which wins; ``fallback`` the file of the chart's own values."""

    name: str
    chart: Origin
    place: Place
    values: Sequence[tuple[str, Mapping[FieldPath, int]]] = ()
    fallback: str = ""


def problems_of(told: str, context: Context) -> list[Problem]:
    """What Helm wrote to standard error, at least one problem."""
    lines = [line.rstrip() for line in told.splitlines() if line.strip() and not _NOISE.match(line)]
    start = next((i for i, line in enumerate(lines) if line.startswith("Error: ")), 0)
    text = _PREFIX.sub("", "\n".join(lines[start:])).partition("\ngoroutine ")[0]
    text = "\n".join(line for line in text.split("\n") if not line.startswith("Use --debug flag")).strip()
    found: list[Problem] = []
    if text.startswith(_SCHEMA):
        found = list(_schema(text, context))
    for read in (_at, _steps, _template, _printed, _load, _kube):
        if not found:
            found = list(read(text, context))
    return found or [_problem(context.chart, text or "no reason given")]


def _at(text: str, context: Context) -> Iterator[Problem]:
    match = _AT.match(text)
    if match:
        yield _at_template(context, match[1], match[2], match[3], _HINT_VALUES)


def _steps(text: str, context: Context) -> Iterator[Problem]:
    """A chain of places, each with what it executed: the last one is where it broke."""
    steps = [(match[1], match[2]) for line in text.split("\n") if (match := _STEP.match(line))]
    reasons = [line.strip() for line in text.split("\n") if line.startswith("    ")]
    if not steps or not reasons:
        return
    reason = reasons[-1]
    first, last = steps[0], steps[-1]
    if first != last:
        reason += f", used at {_origin(context, *first)}"
    yield _at_template(context, *last, reason, _HINT_VALUES)


def _template(text: str, context: Context) -> Iterator[Problem]:
    matches = list(_TEMPLATE.finditer(text))
    if matches:
        match = matches[-1]
        yield _at_template(context, match[1], match[2], match[3], _HINT_VALUES)


def _printed(text: str, context: Context) -> Iterator[Problem]:
    """What a template printed is no YAML; the line that Helm names is one of the print."""
    match = _PRINTED.match(text)
    if match:
        line = _YAML_LINE.search(match[2])
        reason = match[2].rpartition("yaml: ")[2]
        reason = re.sub(r"^line \d+: ", "", reason)
        where = f"in line {line[1]} of what it prints" if line else "in what it prints"
        message = f"it prints no YAML: {reason} ({where})"
        yield _at_template(context, match[1], None, message, "look at its indentation and quotes")


def _load(text: str, context: Context) -> Iterator[Problem]:
    match = _LOAD.match(text)
    if match:
        line = _YAML_LINE.search(match[2])
        path = context.chart.path.removesuffix("Chart.yaml") + match[1]
        origin = Origin(path, int(line[1]) if line else 1)
        yield _problem(origin, f"not YAML: {match[2].rpartition('yaml: ')[2]}")


def _kube(text: str, context: Context) -> Iterator[Problem]:
    if _KUBE.match(text):
        yield _problem(context.chart, text, "the cluster is too old or too new for this version of the chart")


def _schema(text: str, context: Context) -> Iterator[Problem]:
    part = context.name
    for line in text.split("\n")[1:]:
        chart, at = _SCHEMA_CHART.match(line.strip()), _SCHEMA_AT.match(line)
        if chart:
            part = chart[1]
        elif at:
            steps = [step.replace("~1", "/").replace("~0", "~") for step in at[1].split("/")[1:]]
            # A part of a chart gets what stands under its name.
            path = tuple(steps if part == context.name else [part, *steps])
            shown = ".".join(path) or "the values"
            yield Problem(
                code="helm-values",
                message=f"{shown}: {_short(at[2])} (by values.schema.json of {part})",
                origin=_value_origin(path, context),
                hint="correct the value",
            )


def _value_origin(path: tuple[str, ...], context: Context) -> Origin:
    """Where the value stands: in the last values file that has it, else in the chart's own."""
    for length in range(len(path), 0, -1):
        for file, lines in reversed(context.values):
            found = next((n for p, n in lines.items() if tuple(map(str, p)) == path[:length]), None)
            if found is not None:
                return Origin(file, found)
    if context.values:
        return Origin(context.values[-1][0])
    return Origin(context.fallback) if context.fallback else context.chart


_HINT_VALUES = "correct the template, or the values that it is given"


def _origin(context: Context, template: str, line: str | None) -> Origin:
    found = context.place(template)
    if found is None:
        return context.chart
    path, stands_for_it = found
    return Origin(path, stands_for_it or int(line or 1))


def _at_template(context: Context, template: str, line: str | None, message: str, hint: str) -> Problem:
    found = context.place(template)
    if found is not None and found[1]:
        message += f" ({template}:{line})" if line else f" ({template})"
    return _problem(_origin(context, template, line), message, hint)


def _problem(origin: Origin, message: str, hint: str = "") -> Problem:
    return Problem(code="helm-failed", message=f"helm: {_short(message)}", origin=origin, hint=hint)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _REASON_CHARACTERS else line[: _REASON_CHARACTERS - 1] + "…"

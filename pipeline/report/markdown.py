"""The step summary of a CI run, and ``-o markdown``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline.model.errors import PipelineError, Problem
from pipeline.model.objects import ObjectRef, Origin
from pipeline.model.plan import Change, Plan, Reversible
from pipeline.model.release import Outcome
from pipeline.model.status import Cause
from pipeline.model.views import PreflightRow

from .changes import most_telling, rest_lines, why
from .document import error_problems
from .markup import LIMIT_BYTES, code, details, fit, origin_link, plain, pre, table
from .summary import difference_lines, headline, rollback_lines, timing_line
from .words import SIGNS, counts, field_line, label, short_digest

_EVIDENCE = 40
_UNDONE = ("failed", "skipped", "left")
_REVERSIBLE = {
    Reversible.EXACT: "",
    Reversible.RECREATE: "a rollback creates it anew",
    Reversible.ONE_WAY: "a rollback cannot undo this",
}


def report_markdown(outcome: Outcome, *, source_url: str = "", limit_bytes: int = LIMIT_BYTES) -> str:
    """One run. ``source_url`` is the tree that origins are linked to (``https://…/blob/<commit>``)."""
    return fit(_report(outcome, source_url), limit_bytes)


def reports_markdown(
    outcomes: Sequence[Outcome], *, source_url: str = "", limit_bytes: int = LIMIT_BYTES
) -> str:
    """Several environments, one under the other; what went wrong comes first."""
    ordered = sorted(outcomes, key=lambda o: o.exit_code == 0)
    return fit((line for o in ordered for line in _report(o, source_url)), limit_bytes)


def plan_markdown(plan: Plan, *, source_url: str = "", limit_bytes: int = LIMIT_BYTES) -> str:
    """A plan to be reviewed."""
    return fit(
        [
            f"### Plan for {plain(plan.environment)}: {plain(counts(plan))}",
            "",
            f"Plan {code(plan.digest)} at {code(plan.revision)}",
            *_changes(plan, {}, source_url),
            *_plan_warnings(plan, source_url),
        ],
        limit_bytes,
    )


def problems_markdown(
    problems: Sequence[Problem], *, source_url: str = "", limit_bytes: int = LIMIT_BYTES
) -> str:
    """Everything that is wrong with what was given."""
    rows = [
        (
            _origin(p.origin, source_url),
            code(p.code),
            f"{'warning: ' if p.warning else ''}{plain(p.message)}",
            plain(p.hint),
        )
        for p in problems
    ]
    body = table(("where", "code", "what", "hint"), rows) if rows else ["", "No problems found."]
    return fit([f"### Problems: {len(problems)}", *body], limit_bytes)


def error_markdown(error: PipelineError, *, source_url: str = "", limit_bytes: int = LIMIT_BYTES) -> str:
    """An error before any report."""
    lines = pre(error.attachment.splitlines()) if error.attachment else []
    head = "\n".join([f"### {plain(error.message)}", "", *lines, ""])
    room = limit_bytes - len(head.encode())
    return head + problems_markdown(error_problems(error), source_url=source_url, limit_bytes=room)


def preflight_markdown(rows: Iterable[PreflightRow], *, limit_bytes: int = LIMIT_BYTES) -> str:
    """The checks before the first write."""
    cells = [(plain(r.name), code(r.verdict), plain(r.found), plain(r.why), plain(r.repair)) for r in rows]
    return fit(["### Preflight", *table(("check", "verdict", "found", "why", "repair"), cells)], limit_bytes)


def _report(outcome: Outcome, source_url: str) -> list[str]:
    lines = [f"### {plain(headline(outcome))}", ""]
    if outcome.message:
        lines += [plain(outcome.message), "", *(f"- {plain(str(p))}" for p in outcome.problems)]
    for cause in outcome.causes:
        lines += _cause(cause, source_url)
    done = [*rollback_lines(outcome)] if outcome.exit_code else []
    lines += [f"{plain(line.strip())}  " for line in done[:1]]
    differences = difference_lines(outcome)
    lines += pre(line.strip() for line in differences) if differences else []
    lines += [f"- warning: {plain(warning)}" for warning in outcome.warnings]
    if outcome.attachment:
        lines += ["", "**Next:** grant what is missing:", *pre(outcome.attachment.splitlines())]
    elif outcome.next_step:
        lines += ["", f"**Next:** {plain(outcome.next_step)}"]
    if outcome.plan:
        results = {a.ref: a.result for a in outcome.applied}
        lines += ["", f"Plan {code(short_digest(outcome.plan.digest))}: {plain(counts(outcome.plan))}"]
        lines += _changes(outcome.plan, results, source_url)
    return [*lines, *_evidence_of_health(outcome), "", plain(timing_line(outcome)), ""]


def _cause(cause: Cause, source_url: str) -> list[str]:
    lines = [f"**{plain(cause.code)}** {code(label(cause.object))}: {plain(cause.message)}", ""]
    if cause.origin:
        lines += [f"at {_origin(cause.origin, source_url)}", ""]
    proof = [line for entry in cause.evidence for line in entry.splitlines() if line.strip()]
    if proof:
        more = [f"… and {len(proof) - _EVIDENCE} more lines"] if len(proof) > _EVIDENCE else []
        lines += [*pre([*proof[:_EVIDENCE], *more]), ""]
    return [*lines, f"Hint: {plain(cause.hint)}", ""] if cause.hint else lines


def _evidence_of_health(outcome: Outcome) -> list[str]:
    lines: list[str] = []
    if outcome.rollout:
        rows = [
            (code(label(e.ref)), plain(e.status.status), plain(e.status.reason), plain(e.status.message))
            for e in outcome.rollout
        ]
        lines += details("Rollout", table(("object", "status", "reason", "message"), rows))
    if outcome.checks:
        checks = [(plain(c.name), plain(c.verdict), plain(c.reason)) for c in outcome.checks]
        lines += table(("check", "verdict", "reason"), checks)
    return lines


def _changes(plan: Plan, results: Mapping[ObjectRef, str], source_url: str) -> list[str]:
    """The most telling ones with their fields, those that failed before all, and a count of the others."""
    telling, rest = most_telling(plan, [ref for ref, result in results.items() if result in _UNDONE])
    if not telling:
        return []
    rows = [_row(change, results.get(change.ref, ""), source_url) for change in telling]
    more = pre(rest_lines(rest)) if rest else []
    header = ("wave", "action", "object", "from", "result", "note")
    return [*table(header, rows), *more, *_fields(telling)]


def _plan_warnings(plan: Plan, source_url: str) -> list[str]:
    lines = []
    for warning in plan.warnings:
        place = f"{_origin(warning.origin, source_url)}: " if warning.origin else ""
        hint = f" ({plain(warning.hint)})" if warning.hint else ""
        lines.append(f"- warning: {place}{plain(warning.message)}{hint}")
    return ["", *lines] if lines else []


def _row(change: Change, result: str, source_url: str) -> tuple[str, ...]:
    hook = f"{change.hook} hook" if change.hook and change.note else ""
    notes = "; ".join(filter(None, (hook, change.note or why(change), _REVERSIBLE[change.reversible])))
    return (
        str(change.wave),
        plain(f"{SIGNS[change.action]} {change.action}"),
        code(label(change.ref)),
        _origin(change.origin, source_url),
        plain(result),
        plain(notes),
    )


def _fields(changes: Iterable[Change]) -> list[str]:
    lines: list[str] = []
    for change in changes:
        if change.fields:
            lines += [label(change.ref), *(f"  {field_line(f)}" for f in change.fields)]
    return details("Field changes", pre(lines)) if lines else []


def _origin(origin: Origin | None, source_url: str) -> str:
    return origin_link(origin.path, origin.line, source_url) if origin else ""

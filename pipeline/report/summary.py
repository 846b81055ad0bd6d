"""The end of a run on one screen: the cause, the proof, what was done about it, what to do next."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core.escape import escape, one_line
from pipeline.core.redaction import scrub
from pipeline.model.errors import PipelineError
from pipeline.model.exit_codes import ExitCode
from pipeline.model.plan import Plan
from pipeline.model.release import Outcome
from pipeline.model.status import Verdict

from .document import result_of
from .secrets import Masker
from .tables import problem_lines
from .text import cause_lines
from .words import count, counts, label, seconds, short_digest, short_revision, shown, text, value_text

_CAUSES = 3
_EVIDENCE_OF_FIRST = 8
_EVIDENCE_OF_OTHERS = 3
_DIFFERENCES = 10
_WARNINGS = 5
_PLAN_CHANGES = 50
_TIMED = ("plan", "apply", "rollout", "checks", "rollback", "total")


def summary(outcome: Outcome) -> str:
    """What a run came to. Fits a screen; the JSON report has all of it."""
    lines = [headline(outcome)]
    for part in (_refusal(outcome), _causes(outcome), _done(outcome), _warnings(outcome), _next(outcome)):
        lines += part
    timings = timing_line(outcome)
    return text([*lines, f"time: {timings}"] if timings else lines)


def summaries(outcomes: Sequence[Outcome]) -> str:
    """Several environments: one paragraph each."""
    return "\n".join(summary(o) for o in outcomes)


def headline(outcome: Outcome) -> str:
    """``dev: rolled-back (exit code 10): release 7 at 1a2b3c4``."""
    code = outcome.exit_code
    state = result_of(code) if code else "ok"
    exit_note = f" (exit code {int(code)})" if code else ""
    release = f"release {outcome.release.number}" if outcome.release else one_line(outcome.command)
    revision = f" at {short_revision(outcome.revision)}" if outcome.revision else ""
    return f"{one_line(outcome.environment) or 'run'}: {state}{exit_note}: {release}{revision}"


def timing_line(outcome: Outcome) -> str:
    """``plan 0.4 s, apply 0.3 s, total 0.7 s``; only phases that ran."""
    known = [name for name in _TIMED if outcome.timings.get(name)]
    others = sorted(name for name in outcome.timings if name not in _TIMED)
    known[-1:-1] = [name for name in others if outcome.timings[name]] if "total" in known else []
    return ", ".join(f"{one_line(name)} {seconds(outcome.timings[name])}" for name in known)


def _refusal(outcome: Outcome) -> list[str]:
    """The error that ended the run before its first write."""
    if not outcome.message:
        return []
    problems = problem_lines(outcome.problems)
    if outcome.exit_code == ExitCode.PLAN_CHANGED:
        problems = shown(problems, _PLAN_CHANGES)
    return [f"error: {one_line(outcome.message)}", *(f"  {line}" for line in problems)]


def _causes(outcome: Outcome) -> list[str]:
    lines: list[str] = []
    for number, cause in enumerate(outcome.causes[:_CAUSES]):
        lines += ["", *cause_lines(cause, _EVIDENCE_OF_OTHERS if number else _EVIDENCE_OF_FIRST, "cause: ")]
    if len(outcome.causes) > _CAUSES:
        rest = outcome.causes[_CAUSES:]
        lines.append(
            f"… and {count(len(rest), 'more cause')}: {', '.join(label(c.object) for c in rest[:5])}"
        )
    return [*lines, ""] if lines else []


def _done(outcome: Outcome) -> list[str]:
    if outcome.exit_code == ExitCode.OK:
        return _what_runs(outcome)
    return [*rollback_lines(outcome), *_plan_to_approve(outcome)]


def _what_runs(outcome: Outcome) -> list[str]:
    if outcome.plan is None:
        return []
    lines = [applied_line(outcome.plan, outcome)]
    if outcome.rollout:
        lines.append(f"rollout: {count(len(outcome.rollout), 'object')} current")
    good = [c for c in outcome.checks if c.verdict is Verdict.PASS]
    if outcome.checks:
        lines.append(f"checks: {len(good)} of {len(outcome.checks)} passed")
    return lines


def applied_line(plan: Plan, outcome: Outcome) -> str:
    """How many objects were written, or what a plan that was not run would write."""
    if not plan.writes:
        return "nothing to change: everything is as the repository wants it"
    written = sum(a.result in ("applied", "deleted") for a in outcome.applied)
    if not outcome.applied:
        return f"plan {short_digest(plan.digest)}: {counts(plan)}; nothing was written"
    return f"plan {short_digest(plan.digest)}: {counts(plan)}; {written} written"


def rollback_lines(outcome: Outcome) -> list[str]:
    """What was put back, and whether that is proved."""
    lines: list[str] = []
    if outcome.rollback_verified:
        residuals = (
            f", but for {count(len(outcome.differences), 'difference')}" if outcome.differences else ""
        )
        lines.append(
            f"rolled back{_back_to(outcome)}: everything is as it was, verified by comparison{residuals}"
        )
    elif outcome.rolled_back or outcome.rollback_verified is False:
        lines.append("rollback NOT verified: the cluster is not as it was before")
    elif outcome.applied:
        lines.append("not rolled back: what was applied stays in the cluster")
    elif outcome.exit_code in (
        ExitCode.INVALID,
        ExitCode.PREFLIGHT,
        ExitCode.PLAN_CHANGED,
        ExitCode.GATE_CLOSED,
    ):
        lines.append("nothing was written")
    return lines + shown(difference_lines(outcome), _DIFFERENCES)


def _back_to(outcome: Outcome) -> str:
    previous = outcome.release.previous if outcome.release else None
    return f" to release {previous}" if previous is not None else ""


def difference_lines(outcome: Outcome) -> list[str]:
    """What a rollback did not bring back: what it was, and what it is now."""
    masker = Masker()
    lines = []
    for d in outcome.differences:
        before, after = (value_text(masker.field(d.ref, d.path, value)) for value in (d.before, d.after))
        why = f" ({one_line(d.reason)})" if d.reason else ""
        lines.append(f"  {label(d.ref)} {one_line(d.path) or 'object'}: {before} → {after}{why}")
    return lines


def _plan_to_approve(outcome: Outcome) -> list[str]:
    if outcome.plan is None or outcome.exit_code not in (ExitCode.GATE_CLOSED, ExitCode.PLAN_CHANGED):
        return []
    return [f"plan: {one_line(outcome.plan.digest)}", f"      {counts(outcome.plan)}"]


def _warnings(outcome: Outcome) -> list[str]:
    return shown([f"warning: {one_line(w)}" for w in outcome.warnings], _WARNINGS)


def _next(outcome: Outcome) -> list[str]:
    if outcome.attachment:
        return _attached(outcome.attachment)
    return [f"next: {one_line(outcome.next_step)}"] if outcome.next_step else []


def _attached(attachment: str) -> list[str]:
    """What the hint says, over as many lines as it needs."""
    return ["next: grant what is missing:", *map(escape, scrub(attachment).splitlines())]


def error_text(error: PipelineError) -> str:
    """An error before any report: what was wrong, each problem on its line, what to do.

    An attachment says what the hint says, over as many lines as it needs.
    """
    lines = [f"error: {one_line(error.message)}", *(f"  {line}" for line in problem_lines(error.problems))]
    if error.attachment:
        lines += _attached(error.attachment)
    elif error.hint:
        lines.append(f"next: {one_line(error.hint)}")
    return text(lines)

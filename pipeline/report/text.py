"""Events as plain lines: for CI logs, for files, and as the trace that a live view leaves.

One line a fact, no colour, no wrapping. What others wrote is escaped.
"""

from __future__ import annotations

from typing import assert_never

from pipeline.core.escape import one_line
from pipeline.model.events import (
    Checked,
    Event,
    Failed,
    Note,
    ObjectApplied,
    Planned,
    Recorded,
    RollingBack,
    RolloutDone,
    RolloutProgress,
    Started,
)
from pipeline.model.objects import ObjectRef
from pipeline.model.plan import Plan
from pipeline.model.status import Cause, CheckResult, ObjectStatus, Status, Verdict

from .changes import change_details, change_line, most_telling, rest_lines
from .words import (
    count,
    counts,
    finish,
    label,
    seconds,
    short_digest,
    short_revision,
    shown,
)

_FIELDS = 5
_WAITED_FOR = 5
_EVIDENCE = 20
"""Lines of a log that are read in a log; the summary shows fewer, the JSON document all."""


def event_lines(event: Event) -> list[str]:
    """The lines that tell of one event."""
    return finish(_lines(event))


def _lines(event: Event) -> list[str]:
    match event:
        case Started():
            return _started(event)
        case Planned(plan):
            return _planned(plan)
        case ObjectApplied():
            return [_applied(event)]
        case RolloutProgress(statuses, elapsed_s):
            return [_progress(statuses, elapsed_s)]
        case RolloutDone():
            return _rollout_done(event)
        case Checked(result):
            return [_checked(result)]
        case Failed(causes):
            return [line for cause in causes for line in cause_lines(cause, _EVIDENCE, "failed: ")]
        case Note() | RollingBack() | Recorded():
            return [_sentence(event)]
        case _:
            assert_never(event)


def _sentence(event: Note | RollingBack | Recorded) -> str:
    match event:
        case Note(message, warning):
            return f"{'warning' if warning else 'note'}: {one_line(message)}"
        case RollingBack(target, plan):
            return f"rolling back to {one_line(target)}: {counts(plan)}"
        case Recorded(number, phase):
            return f"release {number}: {one_line(phase)}"
        case _:
            assert_never(event)


def _started(event: Started) -> list[str]:
    base = f" (since {short_revision(event.base)})" if event.base else ""
    head = (
        f"{one_line(event.command)} {one_line(event.environment)} at {short_revision(event.revision)}{base}"
    )
    return [head, *(f"  because {one_line(reason)}" for reason in event.because)]


def _planned(plan: Plan) -> list[str]:
    waves = f" in {count(len(plan.waves), 'wave')}" if plan.waves else ""
    lines = [f"plan {short_digest(plan.digest)}: {counts(plan)}{waves}"]
    telling, rest = most_telling(plan)
    for change in telling:
        lines += [f"  {change_line(change)}", *(f"      {line}" for line in change_details(change, _FIELDS))]
    return [*lines, *(f"  {line}" for line in rest_lines(rest))]


def _applied(event: ObjectApplied) -> str:
    message = f": {one_line(event.message)}" if event.message else ""
    what = f"{event.action} {label(event.ref)} (wave {event.wave}, {seconds(event.seconds)})"
    return f"{one_line(event.result)}: {what}{message}"


def _progress(statuses: tuple[tuple[ObjectRef, ObjectStatus], ...], elapsed_s: float) -> str:
    waiting = [(ref, status) for ref, status in statuses if status.status is not Status.CURRENT]
    done = f"rollout {seconds(elapsed_s)}: {len(statuses) - len(waiting)} of {len(statuses)} current"
    named = shown(waiting, _WAITED_FOR, lambda one: waits_for(*one))
    return f"{done}; waiting for {'; '.join(named)}" if named else done


def waits_for(ref: ObjectRef, status: ObjectStatus) -> str:
    """``Deployment/demo/web 2/3 (1 of 3 pods is not ready)``."""
    ready = f" {status.progress[0]}/{status.progress[1]}" if status.progress else ""
    why = one_line(status.message or status.reason or status.status, 200)
    return f"{label(ref)}{ready} ({why})"


def _rollout_done(event: RolloutDone) -> list[str]:
    after = f"after {seconds(event.elapsed_s)}"
    warnings = [
        f"  warning: {label(e.ref)}: {one_line(e.status.warning)}" for e in event.entries if e.status.warning
    ]
    if event.ok:
        return [f"rollout: {count(len(event.entries), 'object')} current {after}", *warnings]
    bad = [e for e in event.entries if e.status.status is not Status.CURRENT]
    lines = [
        f"  {label(e.ref)}: {e.status.status} {one_line(e.status.reason)}: {one_line(e.status.message)}"
        for e in bad
    ]
    return [f"rollout failed {after}", *lines, *warnings]


def _checked(result: CheckResult) -> str:
    good = sum(s.verdict is Verdict.PASS for s in result.samples)
    samples = f" ({good} of {count(len(result.samples), 'sample')} good)" if result.samples else ""
    reason = f": {one_line(result.reason)}" if result.reason else ""
    return f"check {one_line(result.name)}: {result.verdict}{samples}{reason}"


def cause_lines(cause: Cause, evidence: int, prefix: str = "") -> list[str]:
    """What failed and why; where it was written; at most ``evidence`` lines of proof; what to do."""
    lines = [f"{prefix}{label(cause.object)}: {cause.code}: {one_line(cause.message)}"]
    if cause.origin:
        lines.append(f"  at {one_line(cause.origin)}")
    proof = [one_line(line, 500) for entry in cause.evidence for line in entry.splitlines() if line.strip()]
    lines += [f"  | {line}" for line in shown(proof, evidence)]
    if cause.hint:
        lines.append(f"  hint: {one_line(cause.hint)}")
    return lines

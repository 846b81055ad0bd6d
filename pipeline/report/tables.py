"""Plans, states and lists for people who read a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from pipeline.core.escape import one_line
from pipeline.model.errors import Problem
from pipeline.model.objects import ObjectRef
from pipeline.model.plan import Action, Change, Plan, Reversible
from pipeline.model.release import Release
from pipeline.model.views import (
    EnvironmentChanges,
    EnvironmentStatus,
    ObjectDrift,
    PreflightRow,
    SavedObject,
    Unlocking,
)

from .changes import change_details, most_telling, names, rest_lines, why
from .secrets import Masker
from .words import (
    SIGNS,
    count,
    counts,
    finish,
    label,
    seconds,
    short_revision,
    shown,
    table,
    text,
    value_text,
)

_FIELDS = 50
_NOTES = 20
_FILES = 50
_DRIFTED = 3


def plan_text(plan: Plan) -> str:
    """A plan to be reviewed: waves in order, fields, what cannot be undone, and what may go wrong."""
    lines = [
        f"plan {one_line(plan.digest)}",
        f"{one_line(plan.environment)} at {short_revision(plan.revision)}: {counts(plan)}",
    ]
    telling, rest = most_telling(plan)
    for wave, changes in groupby(telling, key=lambda c: c.wave):
        lines += ["", f"wave {wave}"]
        for change in changes:
            lines += _change(change)
    lines += ["", *rest_lines(rest)] if rest else []
    warnings = problem_lines(plan.warnings)
    return text([*lines, *_afterword(plan), *(["", *warnings] if warnings else [])])


def _change(change: Change) -> list[str]:
    origin = f"  ({one_line(change.origin)})" if change.origin else ""
    reason = f"  {why(change)}" if why(change) else ""
    head = f"  {SIGNS[change.action]} {change.action:<8} {label(change.ref)}{reason}{origin}"
    return [head, *(f"      {line}" for line in change_details(change, _FIELDS))]


def _afterword(plan: Plan) -> list[str]:
    deleted = [c for c in plan.writes if c.action is Action.DELETE]
    anew = names(c for c in plan.writes if c.reversible is Reversible.RECREATE)
    one_way = names(c for c in plan.writes if c.reversible is Reversible.ONE_WAY)
    notes = [
        f"note: {label(c.ref)}: {one_line(c.note)}"
        for c in plan.changes
        if c.note and c.action is Action.KEEP
    ]
    lines = []
    if deleted:
        lines.append(f"deletes {count(len(deleted), 'object')}: {names(deleted)}")
    if anew:
        lines.append(f"a rollback would create anew: {anew}")
    if one_way:
        lines.append(f"warning: a rollback cannot undo: {one_way}")
    return ["", *lines, *shown(notes, _NOTES)] if lines or notes else []


def problem_lines(problems: Iterable[Problem]) -> list[str]:
    """``file:line: message (hint)``, one a line; warnings say so."""
    return finish(f"{'warning: ' if p.warning else ''}{one_line(p)}" for p in problems)


def problems_text(problems: Sequence[Problem]) -> str:
    """All problems and their number."""
    errors = sum(not p.warning for p in problems)
    warnings = len(problems) - errors
    tally = count(errors, "problem") + (f", {count(warnings, 'warning')}" if warnings else "")
    return text([*problem_lines(problems), tally if problems else "no problems found"])


def changes_text(environments: Sequence[EnvironmentChanges]) -> str:
    """Which environments are affected, why, and what changed."""
    lines: list[str] = []
    for env in environments:
        base = f" since {short_revision(env.base)}" if env.base else ""
        state = "removed" if env.removed else "affected" if env.affected else "not affected"
        lines.append(f"{one_line(env.name)}: {state} at {short_revision(env.revision)}{base}")
        lines += [f"  because {one_line(reason)}" for reason in env.because]
        lines += [f"  {one_line(change):<8}  {one_line(path)}" for path, change in env.files[:_FILES]]
        if len(env.files) > _FILES:
            lines.append(f"  … and {len(env.files) - _FILES} more files")
        lines += [f"  object    {label(ref)}" for ref in env.objects]
    return text(lines or ["no environments"])


def history_text(releases: Sequence[Release]) -> str:
    """The releases as a table."""
    rows = [
        (
            str(r.number),
            short_revision(r.revision),
            str(r.phase),
            r.result,
            r.actor,
            r.started,
            seconds(r.seconds),
            r.message,
        )
        for r in releases
    ]
    header = ("RELEASE", "REVISION", "PHASE", "RESULT", "ACTOR", "STARTED", "TOOK", "MESSAGE")
    return text(table(header, rows) if rows else ["no releases yet"])


def facts_text(facts: Mapping[str, str]) -> str:
    """``name: value`` lines of what is known."""
    return text(f"{name}: {one_line(value)}" for name, value in facts.items() if value)


def status_text(environments: Sequence[EnvironmentStatus]) -> str:
    """What runs where, and what stands in the way."""
    rows = [
        (
            e.name,
            str(e.release or ""),
            short_revision(e.revision),
            e.phase,
            e.health,
            _drift(e.drift),
            e.next,
        )
        for e in environments
    ]
    header = ("ENVIRONMENT", "RELEASE", "REVISION", "PHASE", "HEALTH", "DRIFT", "NEXT")
    lines = table(header, rows) if rows else ["no environments"]
    for env in environments:
        lines += _obstacles(env)
    return text(lines)


def unlock_text(unlocking: Unlocking) -> str:
    """Whose the lock is, what was done about it and why, and what comes next."""
    name = one_line(unlocking.environment)
    if unlocking.found is None:
        lines = [f"{name}: nobody holds the lock"]
    else:
        found = unlocking.found
        holder, since, expires = (one_line(found.lock.get(k) or "?") for k in ("holder", "since", "expires"))
        done = "released" if found.released else "NOT released"
        lines = [
            f"{name}: the lock of {holder} is {done}: {one_line(found.why)}",
            f"  held since {since}, expires {expires}",
        ]
    return text([*lines, *([f"next: {one_line(unlocking.next)}"] if unlocking.next else [])])


def _drift(drift: Sequence[ObjectRef]) -> str:
    if not drift:
        return "none"
    more = f" and {len(drift) - _DRIFTED} more" if len(drift) > _DRIFTED else ""
    return ", ".join(ref.short for ref in drift[:_DRIFTED]) + more


def _obstacles(env: EnvironmentStatus) -> list[str]:
    name = one_line(env.name)
    lines = []
    if env.lock:
        holder, since, expires = (one_line(env.lock.get(k, "?")) for k in ("holder", "since", "expires"))
        lines.append(f"{name}: locked by {holder} since {since}, expires {expires}")
    if env.hold:
        since = one_line(env.hold.since)
        lines.append(f"{name}: held by {one_line(env.hold.actor)} since {since}: {one_line(env.hold.reason)}")
    return lines


def diff_text(objects: Sequence[ObjectDrift]) -> str:
    """Every field that is not as the last release left it, and who changed it."""
    masker = Masker()
    lines: list[str] = []
    for drifted in objects:
        lines.append(label(drifted.ref))
        for f in drifted.fields:
            desired, live = (masker.field(drifted.ref, f.path, v) for v in (f.desired, f.live))
            by = f"  (by {one_line(f.manager)})" if f.manager else ""
            path = one_line(f.path) or "object"
            lines.append(f"  ~ {path}: {value_text(desired)} → {value_text(live)}{by}")
    return text(lines or ["no drift"])


def assess_text(verdicts: Sequence[SavedObject]) -> str:
    """The readiness of objects as a table, and below it what speaks against them."""
    if not verdicts:
        return text(["no objects"])
    said = ("; ".join(filter(None, (one.status.message, one.status.warning))) for one in verdicts)
    rows = [
        (str(one.status.status), label(one.ref), one.status.reason, words)
        for one, words in zip(verdicts, said, strict=True)
    ]
    lines = table(("STATUS", "OBJECT", "REASON", "MESSAGE"), rows)
    for one in verdicts:
        lines += ["", label(one.ref)] if one.evidence else []
        for told in one.evidence:
            lines.append(f"  {told.code}: {one_line(told.message)}")
            lines += [f"    {one_line(detail)}" for detail in told.details]
            lines.append(f"    what to do: {one_line(told.hint)}")
    return text(lines)


def preflight_text(rows: Sequence[PreflightRow]) -> str:
    """The checks before the first write; why, and what to do about it, below what is not ok."""
    lines = table(("CHECK", "VERDICT", "FOUND"), [(r.name, r.verdict, r.found) for r in rows])
    for row in rows:
        if row.verdict == "ok":
            continue
        lines += ["", f"{one_line(row.name)}: {one_line(row.why)}"]
        if row.repair:
            lines.append(f"  repair: {one_line(row.repair)}")
    return text(lines)

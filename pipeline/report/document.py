"""The JSON documents (design §5, §8): every key always present, whatever happened."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.core import plan_changes
from pipeline.core.escape import defuse_json
from pipeline.model.errors import PipelineError, Problem
from pipeline.model.exit_codes import ExitCode
from pipeline.model.objects import Object, Origin
from pipeline.model.plan import Change, Plan
from pipeline.model.release import Outcome, Release
from pipeline.model.status import Cause, CheckResult, ObjectStatus
from pipeline.model.views import (
    EnvironmentChanges,
    EnvironmentStatus,
    ObjectDrift,
    PreflightRow,
    SavedObject,
    Unlocking,
)

from .secrets import Masker

Document = dict[str, Any]
_TIMINGS = ("plan", "apply", "rollout", "rollback", "total")


def to_json(document: Mapping[str, Any]) -> str:
    """One document as text for stdout. ASCII, and no line that a CI runner takes for a command.

    One line for each entry of its lists: a thousand changes can be read, and searched by line.
    """
    return defuse_json(_laid_out(document, "\n")) + "\n"


_OPEN = 3
"""Levels that are laid out; what lies deeper stands on one line."""


def _laid_out(value: Any, newline: str, level: int = 0) -> str:
    # json writes indented text in Python, fifteen times slower than on one line.
    if level == _OPEN or not value or not isinstance(value, (Mapping, list, tuple)):
        return json.dumps(value, ensure_ascii=True, default=str)
    inner = newline + "  "
    if isinstance(value, Mapping):
        parts = [f"{json.dumps(str(k))}: {_laid_out(v, inner, level + 1)}" for k, v in value.items()]
        return "{" + inner + f",{inner}".join(parts) + newline + "}"
    depth = _OPEN if level else level + 1
    return "[" + inner + f",{inner}".join(_laid_out(v, inner, depth) for v in value) + newline + "]"


def result_of(exit_code: int) -> str:
    """The word for an exit code; ``bug`` for one that is none of ours."""
    try:
        return ExitCode(exit_code).result
    except ValueError:
        return ExitCode.BUG.result


def report_document(outcome: Outcome) -> Document:
    """What a command that can change something did: ``pipeline/report/v1``.

    ``release`` is null, and ``plan.digest`` too, before there is one; ``rollback.verified`` is null
    where nothing was rolled back. Phases that did not run took 0 seconds.
    """
    return {
        "schema": "pipeline/report/v1",
        "command": outcome.command,
        "environment": outcome.environment,
        "result": result_of(outcome.exit_code),
        "exit_code": int(outcome.exit_code),
        "revision": {"sha": outcome.revision, "base": outcome.base},
        "release": _release(outcome.release),
        "plan": {
            "digest": outcome.plan.digest if outcome.plan else None,
            "changes": [_change(c) for c in outcome.plan.changes] if outcome.plan else [],
        },
        "applied": [
            {"object": str(a.ref), "result": a.result, "seconds": _seconds(a.seconds)}
            for a in outcome.applied
        ],
        "rollout": [
            {"object": str(e.ref), **_status(e.status), "seconds": _seconds(e.seconds)}
            for e in outcome.rollout
        ],
        "checks": [_check(c) for c in outcome.checks],
        "causes": [_cause(c) for c in outcome.causes],
        "rollback": _rollback(outcome),
        "warnings": list(outcome.warnings),
        "problems": problems_document(outcome_problems(outcome))["problems"],
        "timings": {**dict.fromkeys(_TIMINGS, 0.0), **{k: _seconds(v) for k, v in outcome.timings.items()}},
    }


def reports_document(outcomes: Sequence[Outcome]) -> Document:
    """Several environments at once."""
    return {"schema": "pipeline/reports/v1", "reports": [report_document(o) for o in outcomes]}


def plan_document(plan: Plan) -> Document:
    """A plan: what was reviewed. Secret values were masked as the plan was made.

    It holds all that the digest is made of (``core.plan_changes`` compares it with a later plan), but for
    the contents of Secrets.
    """
    return {
        "schema": plan_changes.SCHEMA,
        "environment": plan.environment,
        "revision": plan.revision,
        "digest": plan.digest,
        "waves": [[str(ref) for ref in wave] for wave in plan.waves],
        "changes": [
            {
                **_change(c),
                "reason": c.reason,
                "note": c.note,
                "hook": c.hook or None,
                "takes_over": c.takes_over,
                "force": c.force,
                "content": _content(c),
                **({"made_up_name": True} if c.made_up_name else {}),
                "fields": [
                    {"path": f.path, "op": f.op, "before": f.before, "after": f.after} for f in c.fields
                ],
            }
            for c in plan.changes
        ],
        "warnings": problems_document(plan.warnings)["problems"],
    }


def problems_document(problems: Iterable[Problem]) -> Document:
    """Everything that is wrong with what was given; ``file`` is null where no file is to blame."""
    return {
        "schema": "pipeline/problems/v1",
        "problems": [
            {
                "file": p.origin.path if p.origin else None,
                "line": p.origin.line if p.origin else None,
                "column": p.origin.column if p.origin else None,
                "code": p.code,
                "message": p.message,
                "hint": p.hint,
                # Only where it is one: programs know the six keys above.
                **({"warning": True} if p.warning else {}),
            }
            for p in problems
        ],
    }


def error_problems(error: PipelineError) -> tuple[Problem, ...]:
    """The problems that an error lists, or the error itself as the only one."""
    if error.problems:
        return error.problems
    return (Problem(code=ExitCode(error.exit_code).result, message=error.message, hint=error.hint),)


def outcome_problems(outcome: Outcome) -> tuple[Problem, ...]:
    """What ended a run before its first write; empty where something else, or nothing, did."""
    if outcome.problems or not outcome.message:
        return outcome.problems
    code = result_of(outcome.exit_code)
    return (Problem(code=code, message=outcome.message, hint=outcome.next_step),)


def render_document(objects: Iterable[Object], show_secrets: bool = False) -> Document:
    """The rendered objects; Secret values as ``<masked #1>`` unless ``show_secrets``."""
    masker = Masker()
    return {
        "schema": "pipeline/render/v1",
        "objects": [obj if show_secrets else masker.object(obj) for obj in objects],
    }


def changes_document(environments: Iterable[EnvironmentChanges]) -> Document:
    """Which environments are affected, and why."""
    return {
        "schema": "pipeline/changes/v1",
        "environments": [
            {
                "name": e.name,
                "base": e.base or None,
                "revision": e.revision,
                "affected": e.affected,
                **({"removed": True} if e.removed else {}),
                "because": list(e.because),
                "files": [{"path": path, "change": change} for path, change in e.files],
                "objects": [str(ref) for ref in e.objects],
            }
            for e in environments
        ],
    }


def matrix_document(environments: Iterable[EnvironmentChanges]) -> Document:
    """The affected environments that can be deployed, as a GitHub Actions matrix (``changes --matrix``)."""
    return {"include": [{"environment": e.name} for e in environments if e.affected and not e.removed]}


def history_document(releases: Iterable[Release]) -> Document:
    """The releases, in the order given: newest first."""
    return {
        "schema": "pipeline/history/v1",
        "releases": [
            {
                "number": r.number,
                "id": r.id,
                "revision": r.revision,
                "phase": str(r.phase),
                "result": r.result or None,
                "actor": r.actor,
                "started": r.started or None,
                "seconds": _seconds(r.seconds),
                "previous": r.previous,
            }
            for r in releases
        ],
    }


def status_document(environments: Iterable[EnvironmentStatus]) -> Document:
    """What runs where; null where there is nothing to tell."""
    return {
        "schema": "pipeline/status/v1",
        "environments": [
            {
                "name": e.name,
                "release": e.release,
                "revision": e.revision or None,
                "phase": e.phase or None,
                "health": e.health or None,
                "drift": [str(ref) for ref in e.drift],
                "lock": _lock(e.lock),
                "hold": (
                    {"reason": e.hold.reason, "actor": e.hold.actor, "since": e.hold.since}
                    if e.hold
                    else None
                ),
                "gates": list(e.gates),
                "next": e.next or None,
            }
            for e in environments
        ],
    }


def unlock_document(unlocking: Unlocking) -> Document:
    """What became of a lock: ``lock`` is null where nobody held it; ``why`` its holder is dead, or alive."""
    found = unlocking.found
    code = ExitCode.OK if unlocking.is_free else ExitCode.LOCKED
    return {
        "schema": "pipeline/unlock/v1",
        "environment": unlocking.environment,
        "result": code.result,
        "exit_code": int(code),
        "lock": _lock(found.lock if found else None),
        "released": bool(found and found.released),
        "why": found.why if found else None,
        "next": unlocking.next or None,
    }


def diff_document(objects: Iterable[ObjectDrift]) -> Document:
    """Drift: live objects against the last release; Secret values masked."""
    masker = Masker()
    return {
        "schema": "pipeline/diff/v1",
        "objects": [
            {
                "object": str(o.ref),
                "fields": [
                    {
                        "path": f.path,
                        "desired": masker.field(o.ref, f.path, f.desired),
                        "live": masker.field(o.ref, f.path, f.live),
                        "manager": f.manager or None,
                    }
                    for f in o.fields
                ],
            }
            for o in objects
        ],
    }


def assess_document(verdicts: Iterable[SavedObject]) -> Document:
    """The readiness of objects from files; ``evidence`` where something speaks against one."""
    return {"schema": "pipeline/assess/v1", "objects": [_saved(one) for one in verdicts]}


def _saved(one: SavedObject) -> Document:
    """``warning`` where one comes beside the message: what a deploy tells among its warnings."""
    warning = {"warning": one.status.warning} if one.status.warning else {}
    told = [
        {"code": str(e.code), "message": e.message, "details": list(e.details), "hint": e.hint}
        for e in one.evidence
    ]
    return {"object": str(one.ref), **_status(one.status), **warning, **({"evidence": told} if told else {})}


def preflight_document(rows: Iterable[PreflightRow]) -> Document:
    """The checks before the first write."""
    return {
        "schema": "pipeline/preflight/v1",
        "rows": [
            {"name": r.name, "verdict": r.verdict, "found": r.found, "why": r.why, "repair": r.repair}
            for r in rows
        ],
    }


def _seconds(value: float) -> float:
    return round(float(value), 3)


def _origin(origin: Origin | None) -> str | None:
    return str(origin) if origin else None


def _release(release: Release | None) -> Document | None:
    if release is None:
        return None
    return {
        "id": release.id,
        "number": release.number,
        "phase": str(release.phase),
        "previous": release.previous,
    }


def _lock(lock: Mapping[str, str] | None) -> Document | None:
    return {key: lock.get(key) for key in ("holder", "since", "expires")} if lock else None


def _change(change: Change) -> Document:
    return {
        "object": str(change.ref),
        "action": str(change.action),
        "wave": change.wave,
        "origin": _origin(change.origin),
        "reversible": str(change.reversible),
    }


def _content(change: Change) -> str | None:
    """The digest of what is written. Not of a Secret: a short value could be guessed from it."""
    return None if change.ref.group_kind == ("", "Secret") else change.content


def _status(status: ObjectStatus) -> Document:
    return {
        "status": str(status.status),
        "reason": status.reason,
        "message": status.message or status.warning,
    }


def _check(check: CheckResult) -> Document:
    return {
        "name": check.name,
        "verdict": str(check.verdict),
        "reason": check.reason,
        "samples": [
            {"seconds": _seconds(s.at_s), "verdict": str(s.verdict), "message": s.message}
            for s in check.samples
        ],
    }


def _cause(cause: Cause) -> Document:
    return {
        "object": str(cause.object) if cause.object else None,
        "code": str(cause.code),
        "message": cause.message,
        "evidence": list(cause.evidence),
        "origin": _origin(cause.origin),
        "hint": cause.hint,
    }


def _rollback(outcome: Outcome) -> Document:
    masker = Masker()
    return {
        "verified": outcome.rollback_verified,
        "differences": [
            {
                "object": str(d.ref),
                "path": d.path,
                "before": masker.field(d.ref, d.path, d.before),
                "after": masker.field(d.ref, d.path, d.after),
                # Only where it had to be expected: programs know the four keys above.
                **({"reason": d.reason} if d.reason else {}),
            }
            for d in outcome.differences
        ],
    }

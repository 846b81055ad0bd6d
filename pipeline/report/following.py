"""What `reconcile` tells, as one line each: for people, and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.core.escape import defuse_json, one_line
from pipeline.model.exit_codes import ExitCode
from pipeline.model.following import Happening, Pulse
from pipeline.model.release import Outcome
from pipeline.model.views import ObjectDrift

from .document import diff_document
from .secrets import Masker
from .summary import applied_line, headline, rollback_lines
from .words import label, seconds, value_text

_FIELDS = 5


def happening_line(happening: Happening) -> str:
    """``2026-11-25T10:00:00+00:00 dev: drift …``."""
    told = list(_drift(happening.drift))
    more = f" and {len(told) - _FIELDS} more" if len(told) > _FIELDS else ""
    fields = f": {'; '.join(told[:_FIELDS])}{more}" if told else ""
    return _line(happening.moment, happening.environment, f"{one_line(happening.message, 500)}{fields}")


def outcome_line(moment: str, outcome: Outcome) -> str:
    """A deploy's result in one line; the JSON report has all of it."""
    parts = [headline(outcome).partition(": ")[2]]
    if outcome.message:
        parts.append(one_line(outcome.message, 500))
    parts += [f"{label(c.object)}: {c.code}: {one_line(c.message, 300)}" for c in outcome.causes[:1]]
    if outcome.exit_code == ExitCode.OK and outcome.plan is not None:
        parts.append(applied_line(outcome.plan, outcome))
    elif outcome.applied:
        parts += rollback_lines(outcome)[:1]
    if outcome.timings.get("total"):
        parts.append(seconds(outcome.timings["total"]))
    return _line(moment, outcome.environment, "; ".join(parts))


def happening_document(happening: Happening) -> dict[str, Any]:
    """``pipeline/reconcile/v1``; ``objects`` as in ``pipeline/diff/v1``."""
    return {
        "schema": "pipeline/reconcile/v1",
        "time": happening.moment,
        "environment": happening.environment,
        "kind": happening.kind,
        "message": happening.message,
        "revision": happening.revision or None,
        "objects": diff_document(happening.drift)["objects"],
    }


def pulse_document(pulse: Pulse) -> dict[str, Any]:
    """The answer of ``/healthz``."""
    error = {"message": pulse.last_error, "time": pulse.last_error_at} if pulse.last_error else None
    return {
        "healthy": pulse.healthy,
        "environment": pulse.environment,
        "branch": pulse.branch,
        "head": pulse.head or None,
        "revision": pulse.revision or None,
        "release": pulse.release,
        "last_success": pulse.last_success or None,
        "last_error": error,
        "held": pulse.held or None,
    }


def to_json_line(document: Mapping[str, Any]) -> str:
    """A document on one line."""
    return defuse_json(json.dumps(document, ensure_ascii=True, default=str))


def _line(moment: str, environment: str, text: str) -> str:
    return f"{moment} {one_line(environment)}: {text}"


def _drift(objects: Sequence[ObjectDrift]) -> Iterator[str]:
    masker = Masker()
    for drifted in objects:
        if not drifted.fields:
            yield label(drifted.ref)
        for f in drifted.fields:
            desired, live = (masker.field(drifted.ref, f.path, v) for v in (f.desired, f.live))
            by = f" by {one_line(f.manager)}" if f.manager else ""
            where = one_line(f.path) or "object"
            yield f"{label(drifted.ref)} {where}: {value_text(live)}{by} → {value_text(desired)}"

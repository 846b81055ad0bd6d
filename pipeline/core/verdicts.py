"""What a run found out, as its release's record keeps it: from an outcome to JSON values and back.

What it writes of is in the record elsewhere: contents, the state before. Texts that others wrote are without
secrets here already, as they are in reports.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from typing import Any

from pipeline.model.exit_codes import ExitCode
from pipeline.model.objects import ObjectRef, Origin
from pipeline.model.plan import Action, Change, FieldChange, Plan, Reversible
from pipeline.model.release import Applied, Difference, Outcome, Phase, Release, RolloutEntry
from pipeline.model.status import Cause, CauseCode, CheckResult, ObjectStatus, Sample, Status, Verdict

_CHANGE_FIELDS = ("api_version", "wave", "reason", "note", "hook")


def verdicts(outcome: Outcome) -> dict[str, Any]:
    """All of the report that is not in a release's head or in its intent."""
    return {
        "exit_code": int(outcome.exit_code),
        "next": outcome.next_step,
        "changes": [_change_record(c) for c in outcome.plan.changes] if outcome.plan else [],
        "applied": [[str(a.ref), a.result, round(a.seconds, 3), a.message] for a in outcome.applied],
        "rollout": [_rollout_record(e) for e in outcome.rollout],
        "checks": [_check_record(c) for c in outcome.checks],
        "warnings": list(outcome.warnings),
        "timings": dict(outcome.timings),
        "rolled_back": outcome.rolled_back,
        "rollback_verified": outcome.rollback_verified,
        "differences": [[str(d.ref), d.path, d.before, d.after, d.reason] for d in outcome.differences],
    }


def outcome_of(release: Release, next_step: str = "") -> Outcome:
    """The outcome of the run that made the release. Of one that left it open, what is known; then
    ``next_step`` says what comes next."""
    kept = release.verdicts or {}
    return Outcome(
        command=release.command,
        environment=release.environment,
        revision=release.revision,
        base=release.base,
        release=release,
        plan=_plan(release, kept),
        applied=tuple(
            Applied(ref=ObjectRef.parse(ref), result=result, seconds=seconds, message=message)
            for ref, result, seconds, message in kept.get("applied", ())
        ),
        rollout=tuple(map(_rollout_entry, kept.get("rollout", ()))),
        checks=_checks(release, kept),
        causes=tuple(map(cause_of_record, release.causes)),
        warnings=tuple(kept.get("warnings", ())),
        rolled_back=kept.get("rolled_back", release.phase in _WENT_BACK),
        rollback_verified=kept.get("rollback_verified", _WENT_BACK.get(release.phase)),
        differences=tuple(
            Difference(ObjectRef.parse(ref), path, before, after, reason)
            for ref, path, before, after, reason in kept.get("differences", ())
        ),
        timings={**kept.get("timings", {}), "total": release.seconds},
        exit_code=_exit_code(release, kept),
        next_step=kept.get("next") or next_step,
    )


_WENT_BACK = {Phase.ROLLED_BACK: True, Phase.ROLLBACK_FAILED: False}


def _exit_code(release: Release, kept: dict[str, Any]) -> int:
    """Of a release that was left open: nobody saw its end, so that of an interrupted run."""
    if "exit_code" in kept:
        return int(kept["exit_code"])
    return next((int(code) for code in ExitCode if code.result == release.result), int(ExitCode.INTERRUPTED))


def cause_record(cause: Cause) -> list[Any]:
    """A cause as it is kept in the head of a record."""
    return [
        str(cause.object or ""),
        str(cause.code),
        cause.message,
        list(cause.evidence),
        str(cause.origin or ""),
        cause.hint,
    ]


def cause_of_record(record: Any) -> Cause:
    """The inverse of ``cause_record``."""
    ref, code, message, evidence, origin, hint = record
    return Cause(
        object=ObjectRef.parse(ref) if ref else None,
        code=_code(code),
        message=message,
        evidence=tuple(evidence),
        origin=Origin.parse(origin),
        hint=hint,
    )


def _code(text: str) -> CauseCode:
    """A code that has another name by now is told as the failure that it was."""
    with suppress(ValueError):
        return CauseCode(text)
    return CauseCode.DEGRADED


def _plan(release: Release, kept: dict[str, Any]) -> Plan | None:
    changes = kept.get("changes") or (release.plan or {}).get("changes")
    if changes is None:
        return None
    return Plan(
        environment=release.environment,
        revision=release.revision,
        changes=tuple(map(_change, changes)),
        recorded_digest=release.plan_digest,
    )


def _change_record(change: Change) -> dict[str, Any]:
    return {
        "object": str(change.ref),
        "action": str(change.action),
        "origin": str(change.origin or ""),
        "reversible": str(change.reversible),
        "fields": [[f.path, f.op, f.before, f.after] for f in change.fields],
        **{name: value for name in _CHANGE_FIELDS if (value := getattr(change, name))},
    }


def _change(record: dict[str, Any]) -> Change:
    return Change(
        ref=ObjectRef.parse(record["object"]),
        action=Action(record["action"]),
        origin=Origin.parse(record["origin"]),
        reversible=Reversible(record["reversible"]),
        fields=tuple(FieldChange(*field) for field in record["fields"]),
        **{"api_version": record.get("apiVersion", "")}
        | {name: record[name] for name in _CHANGE_FIELDS if name in record},
    )


def _rollout_record(entry: RolloutEntry) -> list[Any]:
    status = {f.name: getattr(entry.status, f.name) for f in fields(ObjectStatus)}
    return [str(entry.ref), {**status, "status": str(entry.status.status)}, round(entry.seconds, 3)]


def _rollout_entry(record: Any) -> RolloutEntry:
    ref, values, seconds = record
    progress = tuple(values["progress"]) if values["progress"] else None
    status = ObjectStatus(**{**values, "status": Status(values["status"]), "progress": progress})
    return RolloutEntry(ref=ObjectRef.parse(ref), status=status, seconds=seconds)


def _check_record(check: CheckResult) -> list[Any]:
    samples = [[s.at_s, str(s.verdict), s.message] for s in check.samples]
    return [check.name, str(check.verdict), check.reason, samples]


def _checks(release: Release, kept: dict[str, Any]) -> tuple[CheckResult, ...]:
    def read() -> Iterator[CheckResult]:
        for name, verdict, reason, samples in kept.get("checks") or ([*c, []] for c in release.checks):
            seen = tuple(Sample(at_s=at, verdict=Verdict(was), message=text) for at, was, text in samples)
            yield CheckResult(name=name, verdict=Verdict(verdict), reason=reason, samples=seen)

    return tuple(read())

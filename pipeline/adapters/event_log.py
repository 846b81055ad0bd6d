"""Every event as an entry of the log: the progress for programs (``--log-format json``)."""

from __future__ import annotations

from typing import Any, Protocol

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
from pipeline.model.plan import Action, Plan
from pipeline.model.status import Status, Verdict

Entry = tuple[str, str, dict[str, Any]]
"""(level, event name in the past tense, facts)."""

_NAMES: dict[type, str] = {
    Started: "run_started",
    Planned: "plan_made",
    RollingBack: "rollback_started",
    Recorded: "release_recorded",
    ObjectApplied: "object_applied",
    RolloutProgress: "rollout_progressed",
    RolloutDone: "rollout_ended",
    Checked: "check_ended",
}


class Logger(Protocol):
    """What is needed of a structlog logger."""

    def info(self, event: str, **facts: Any) -> Any: ...

    def warning(self, event: str, **facts: Any) -> Any: ...

    def error(self, event: str, **facts: Any) -> Any: ...


class LoggingReporter:
    """A reporter that logs."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger

    def __call__(self, event: Event) -> None:
        for level, name, facts in entries(event):
            getattr(self._logger, level)(name, **facts)


def entries(event: Event) -> list[Entry]:
    """The entries that tell of one event; a failure has one for each cause."""
    match event:
        case Failed(causes):
            return [
                (
                    "error",
                    "run_failed",
                    {
                        "object": str(cause.object) if cause.object else None,
                        "code": str(cause.code),
                        "message": cause.message,
                        "evidence": list(cause.evidence),
                        "origin": str(cause.origin) if cause.origin else None,
                        "hint": cause.hint,
                    },
                )
                for cause in causes
            ]
        case Note(message, warning):
            return [("warning" if warning else "info", "note_given", {"message": message})]
        case _:
            return [(_level(event), _NAMES[type(event)], _facts(event))]


def _level(event: Event) -> str:
    match event:
        case RolloutDone(ok=False):
            return "error"
        case RollingBack():
            return "warning"
        case ObjectApplied(result="failed"):
            return "error"
        case Checked(result) if result.verdict not in (Verdict.PASS, Verdict.SKIPPED):
            return "error"
        case _:
            return "info"


def _facts(event: Event) -> dict[str, Any]:
    match event:
        case Started():
            return {
                "command": event.command,
                "environment": event.environment,
                "revision": event.revision,
                "base": event.base,
                "because": list(event.because),
            }
        case Planned(plan):
            return _counts(plan)
        case RollingBack(target, plan):
            return {"target": target, **_counts(plan)}
        case Recorded(number, phase):
            return {"release": number, "phase": phase}
        case _:
            return _result_facts(event)


def _counts(plan: Plan) -> dict[str, Any]:
    counted = {str(action): sum(c.action is action for c in plan.changes) for action in Action}
    return {"plan_digest": plan.digest, "waves": len(plan.waves), **counted}


def _result_facts(event: Event) -> dict[str, Any]:
    match event:
        case ObjectApplied():
            return {
                "object": str(event.ref),
                "action": str(event.action),
                "wave": event.wave,
                "result": event.result,
                "elapsed_s": round(event.seconds, 3),
                "message": event.message,
            }
        case RolloutProgress(statuses, elapsed_s):
            waiting = [str(ref) for ref, s in statuses if s.status is not Status.CURRENT]
            return {"objects": len(statuses), "waiting": waiting, "elapsed_s": round(elapsed_s, 3)}
        case RolloutDone(rollout, ok, elapsed_s):
            bad = [str(e.ref) for e in rollout if e.status.status is not Status.CURRENT]
            return {"ok": ok, "objects": len(rollout), "not_current": bad, "elapsed_s": round(elapsed_s, 3)}
        case Checked(result):
            return {
                "check": result.name,
                "verdict": str(result.verdict),
                "reason": result.reason,
                "samples": len(result.samples),
            }
        case _:
            return {}

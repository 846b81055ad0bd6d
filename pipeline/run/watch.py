"""Waits for a rollout: until everything is Current, something has failed, a signal, or the end of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core import rollout
from pipeline.core.rollout import RolloutDecision
from pipeline.model.release import RolloutEntry
from pipeline.model.status import Cause, ObjectStatus, Status
from pipeline.run.explain import cause_of_time, causes_of
from pipeline.run.gate import Gate, Inbox
from pipeline.run.session import Session
from pipeline.run.targets import Target

_CAUSES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutResult:
    """How it ended: ``ok``, or ``causes`` say why not."""

    ok: bool
    entries: tuple[RolloutEntry, ...]
    causes: tuple[Cause, ...] = ()
    timed_out: bool = False


def watch_rollout(session: Session, targets: Sequence[Target], *, budget_s: float) -> RolloutResult:
    """Wait until every target is Current, one has definitely failed, or ``budget_s`` seconds are over.

    Raises:
        InterruptedRunError: a signal arrived, or the lock is lost.
    """
    gate = Gate(session, targets, Inbox(), count=len(targets))
    try:
        gate.add(targets)
        return finish(session, gate, budget_s=budget_s)
    finally:
        gate.stop()


def finish(session: Session, gate: Gate, *, budget_s: float) -> RolloutResult:
    """Wait for all that the gate still waits for."""
    until = session.clock.monotonic() + budget_s
    gate.expect_no_more()
    last: RolloutDecision | None = None
    while gate.is_waiting:
        session.hold()
        gate.wait()
        decision = gate.judge()
        last = decision or last
        if decision is not None and decision.fatal:
            return failed(session, gate, decision)
        if session.clock.monotonic() > until and gate.is_waiting:
            return timed_out(session, gate, last)
    return RolloutResult(ok=True, entries=gate.entries())


def failed(session: Session, gate: Gate, decision: RolloutDecision) -> RolloutResult:
    """The end of a rollout that something speaks against for good."""
    causes = causes_of(session, decision.fatal, gate.manifests, most=_CAUSES, before=gate.before)
    why = dict(reversed(decision.fatal))
    entries = tuple(
        RolloutEntry(
            ref=e.ref,
            status=ObjectStatus(Status.FAILED, str(why[e.ref].code), why[e.ref].message)
            if e.ref in why
            else e.status,
            seconds=e.seconds,
        )
        for e in gate.entries()
    )
    return RolloutResult(ok=False, entries=entries, causes=tuple(causes))


def pending(session: Session, gate: Gate, decision: RolloutDecision | None) -> list[Cause]:
    """What speaks against those that are not Current, though nothing has failed for good."""
    explained = rollout.pending_causes(decision) if decision else []
    return causes_of(session, explained, gate.manifests, most=_CAUSES, before=gate.before)


def timed_out(session: Session, gate: Gate, decision: RolloutDecision | None) -> RolloutResult:
    """The end of one that nothing speaks against, but that is not there in time."""
    causes = pending(session, gate, decision)
    told = {ref for ref, _ in rollout.pending_causes(decision)} if decision else set()
    if decision and set(gate.waiting) - decision.blameless:
        told |= decision.blameless
    for ref in [ref for ref in gate.waiting if ref not in told][: max(0, _CAUSES - len(causes))]:
        message = f"not ready after {gate.elapsed_s:.0f} s: {gate.statuses[ref].message}"
        causes.append(cause_of_time(ref, message, gate.manifests))
    if gate.unseen:
        message = f"the cluster did not list {', '.join(gate.unseen)} within {gate.elapsed_s:.0f} s"
        causes.append(cause_of_time(None, message, gate.manifests))
    return RolloutResult(ok=False, entries=gate.entries(), causes=tuple(causes), timed_out=True)

"""Carries out a plan: in parallel along the graph, an object as soon as what it needs is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline import failpoint
from pipeline.core.rollout import RolloutDecision, is_available
from pipeline.failpoint import Point
from pipeline.model.errors import InterruptedRunError, PipelineError, UnreachableError
from pipeline.model.events import ObjectApplied
from pipeline.model.objects import Object, ObjectRef
from pipeline.model.plan import Action, Change, Plan, Strength
from pipeline.model.release import Applied
from pipeline.run.gate import Gate, Inbox
from pipeline.run.parallel import Lanes, width
from pipeline.run.schedule import Schedule
from pipeline.run.send import Sender
from pipeline.run.session import Session
from pipeline.run.targets import Target
from pipeline.run.watch import RolloutResult, failed, timed_out

TargetOf = Callable[[Change, Object | None], Target | None]
"""(change, what the write returned) → what is waited for; None where the object is not."""


_SERVING = frozenset({"CustomResourceDefinition", "APIService"})
"""Kinds whose objects make the server serve others."""


class ApplyFailedError(PipelineError):
    """Some objects could not be written, or did not become what others need. ``applied`` tells what became
    of every change, ``rollout`` why one that others wait for is not there."""

    def __init__(
        self,
        message: str,
        applied: Sequence[Applied],
        interrupted: InterruptedRunError | None = None,
        rollout: RolloutResult | None = None,
    ) -> None:
        super().__init__(message)
        self.applied = tuple(applied)
        self.interrupted = interrupted
        self.rollout = rollout


@dataclass(frozen=True, slots=True)
class _Sent:
    """A write ended, on a thread of its own: by its result, or by an error."""

    change: Change
    result: Applied | BaseException


class Applier:
    """One pass over a plan's creations and updates. Deletions are for ``prune``.

    A single loop decides; threads only send, and followers of the gate only look. After the first failure
    nothing more is started, unless ``deploy.onError`` says to go on with what does not need it.
    """

    def __init__(
        self,
        session: Session,
        plan: Plan,
        gate: Gate,
        inbox: Inbox,
        *,
        target_of: TargetOf,
        live: Mapping[ObjectRef, Object] | None = None,
        budget_s: float = float("inf"),
    ) -> None:
        self._session = session
        self._gate = gate
        self._inbox = inbox
        self._target_of = target_of
        self._until = session.clock.monotonic() + budget_s
        self._sender = Sender(session, live or {}, until=self._until)
        self._changes = {c.ref: c for c in plan.changes if c.action is not Action.DELETE and not c.returns}
        self._schedule = Schedule(plan, self._changes)
        self._running = 0
        self._awaited: set[ObjectRef] = set()
        self._results: dict[ObjectRef, Applied] = {}
        self._failed: dict[ObjectRef, str] = {}
        self._blocked: dict[ObjectRef, str] = {}
        self._stopped = False
        self._interrupted: InterruptedRunError | None = None
        self._rollout: RolloutResult | None = None

    def run(self) -> tuple[Applied, ...]:
        """What became of every change, in the plan's order.

        Raises:
            ApplyFailedError: a write was refused, something that others wait for failed or did not get
                there in time, or the run was interrupted.
        """
        most = width(self._session)
        with Lanes(self._one, "apply") as lanes:
            self._start(lanes, most)
            while self._running or (self._awaited and not self._stopped):
                self._turn()
                self._start(lanes, min(most, self._session.cluster.lanes()))
        return self._summary()

    def _turn(self) -> None:
        """One look at what happened meanwhile."""
        try:
            self._session.hold()
        except InterruptedRunError as error:
            self._interrupted, self._stopped = error, True
        for item in self._gate.wait():
            if isinstance(item, _Sent):
                self._running -= 1
                self._finish(item)
        decision = self._gate.judge() if self._gate.is_waiting else None
        if decision is not None and decision.fatal and self._rollout is None:
            self._fatal(decision)
        self._release_awaited()
        if self._awaited and not self._running and self._session.clock.monotonic() > self._until:
            self._rollout = self._rollout or timed_out(self._session, self._gate, decision)
            self._stopped = True

    def _start(self, lanes: Lanes[Change], most: int) -> None:
        """Only as many as are sent at once: what becomes free meanwhile may be more urgent."""
        while self._schedule and not self._stopped and self._running < most:
            change = self._changes[self._schedule.next()]
            if change.ref in self._blocked:
                continue
            if not change.writes:
                self._done(change, None)
                continue
            self._running += 1
            lanes.put(change, busy=self._running)

    def _one(self, change: Change) -> None:
        """Write, on one of the threads, and tell the loop."""
        try:
            result: Applied | BaseException = self._sent(change)
        except BaseException as error:  # noqa: BLE001 - raised again by the loop
            result = error
        self._inbox.put(_Sent(change, result))

    def _sent(self, change: Change) -> Applied:
        started = self._session.clock.monotonic()
        live = self._sender.send(change)
        failpoint.passing(Point.APPLY_POST)
        seconds = self._session.clock.monotonic() - started
        return Applied(ref=change.ref, result="applied", seconds=seconds, live=live)

    def _finish(self, sent: _Sent) -> None:
        change, ref, applied = sent.change, sent.change.ref, sent.result
        if isinstance(applied, InterruptedRunError):
            self._interrupted, self._stopped = applied, True
            applied = Applied(ref=ref, result="skipped", message=applied.message)
        elif isinstance(applied, PipelineError):
            lost = isinstance(applied, UnreachableError)
            applied = Applied(ref=ref, result="failed", message=applied.message, unanswered=lost)
            self._fail(ref, "failed")
        elif isinstance(applied, BaseException):
            raise applied
        self._results[ref] = replace(applied, live=_identity(applied.live))
        self._session.tell(
            ObjectApplied(ref, change.action, change.wave, applied.result, applied.seconds, applied.message)
        )
        if applied.result == "applied":
            self._done(change, applied.live)

    def _done(self, change: Change, live: Object | None) -> None:
        """The object is there; how far it is, the gate tells."""
        target = self._target_of(change, live)
        if target is not None:
            self._gate.add([target])
        self._schedule.reach(change.ref, Strength.EXISTS)
        if self._gate.is_current(change.ref):
            self._schedule.reach(change.ref, Strength.AVAILABLE, Strength.READY)
        elif self._is_awaited(change.ref):
            self._awaited.add(change.ref)
            if change.ref.kind == "CustomResourceDefinition":
                failpoint.passing(Point.CRD_WAIT)

    def _release_awaited(self) -> None:
        for ref in sorted(self._awaited):
            if self._gate.is_current(ref):
                self._schedule.reach(ref, Strength.AVAILABLE, Strength.READY)
                self._awaited.discard(ref)
                if ref.kind in _SERVING:
                    self._session.cluster.refresh()
            elif self._schedule.awaited_as(ref, Strength.AVAILABLE) and is_available(self._gate.seen(ref)):
                self._schedule.reach(ref, Strength.AVAILABLE)
                if not self._is_awaited(ref):
                    self._awaited.discard(ref)

    def _fatal(self, decision: RolloutDecision) -> None:
        self._rollout = failed(self._session, self._gate, decision)
        for ref, _ in decision.fatal:
            self._awaited.discard(ref)
            self._fail(ref, "did not become ready")

    def _fail(self, ref: ObjectRef, what: str) -> None:
        self._failed.setdefault(ref, what)
        if self._session.environment.deploy.on_error == "continue":
            self._blocked = self._schedule.blocked_by(self._failed)
            self._awaited = {r for r in self._awaited if self._is_awaited(r)}
        else:
            self._stopped = True

    def _is_awaited(self, ref: ObjectRef) -> bool:
        """Whether anything that can still go waits for more than the object's existence."""
        return any(source not in self._blocked for source in self._schedule.waiting_for(ref))

    def _summary(self) -> tuple[Applied, ...]:
        blocked = self._schedule.blocked_by(self._failed)
        results = []
        for change in self._changes.values():
            if change.ref in self._results:
                results.append(self._results[change.ref])
            elif not change.writes:
                results.append(Applied(ref=change.ref, result="unchanged"))
            else:
                why = blocked.get(change.ref, "not started after the first failure")
                results.append(Applied(ref=change.ref, result="skipped", message=why))
                if change.ref in blocked:
                    self._session.tell(
                        ObjectApplied(change.ref, change.action, change.wave, "skipped", 0.0, why)
                    )
        if self._failed or self._stopped:
            count = sum(r.result == "failed" for r in results)
            raise ApplyFailedError(
                f"{count} objects could not be applied", results, self._interrupted, self._rollout
            )
        return tuple(results)


def _identity(live: Object | None) -> Object | None:
    """What the inventory needs of an object; thousands of whole ones would be kept for nothing."""
    if live is None:
        return None
    names = ("uid", "generation", "resourceVersion")
    return {"metadata": {name: live["metadata"][name] for name in names if name in live["metadata"]}}

"""Carries out a plan: in parallel along the graph, an object as soon as what it needs is there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

from pipeline.model.errors import ApiError, InterruptedRunError, PipelineError
from pipeline.model.events import ObjectApplied
from pipeline.model.objects import Object, ObjectRef, get_path
from pipeline.model.plan import Action, Change, Plan
from pipeline.model.release import Applied
from pipeline.run.session import Session

WaitReady = Callable[[Change], str]
"""Waits until an object is ready; returns why it is not, or an empty string."""

_GONE_POLL_S = 0.2
_GONE_WAIT_S = 60.0


class ApplyFailedError(PipelineError):
    """Some objects could not be written. ``applied`` tells what became of every change."""

    def __init__(
        self, message: str, applied: Sequence[Applied], interrupted: InterruptedRunError | None
    ) -> None:
        super().__init__(message)
        self.applied = tuple(applied)
        self.interrupted = interrupted


class Applier:
    """One pass over a plan's creations and updates. Deletions are for ``prune``.

    A single loop decides and threads only send, so that results come in one order and no
    lock is needed. After the first failure nothing more is started: the run will go back anyway.
    """

    def __init__(self, session: Session, plan: Plan, wait_ready: WaitReady) -> None:
        self._session = session
        self._plan = plan
        self._wait_ready = wait_ready
        self._changes = {c.ref: c for c in plan.changes if c.action is not Action.DELETE}
        self._waiting: dict[ObjectRef, int] = {}
        self._dependents: dict[ObjectRef, list[ObjectRef]] = {}
        self._results: dict[ObjectRef, Applied] = {}
        self._failed = False
        self._interrupted: InterruptedRunError | None = None
        for ref in self._changes:
            needs = [n for n in plan.needs.get(ref, ()) if n in self._changes]
            self._waiting[ref] = len(needs)
            for need in needs:
                self._dependents.setdefault(need, []).append(ref)

    def run(self) -> tuple[Applied, ...]:
        """What became of every change, in the plan's order.

        Raises:
            ApplyFailedError: a write was refused, or the run was interrupted.
        """
        free = deque(sorted(ref for ref, count in self._waiting.items() if not count))
        running: dict[Future[Applied], ObjectRef] = {}
        width = self._session.environment.deploy.parallelism
        with ThreadPoolExecutor(width, thread_name_prefix="apply") as pool:
            while free or running:
                while free and not self._failed:
                    ref = free.popleft()
                    change = self._changes[ref]
                    if not change.writes and ref not in self._plan.ready_first:
                        free.extend(self._release(ref))
                        continue
                    running[pool.submit(self._one, change)] = ref
                if not running:
                    break
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    free.extend(self._finish(running.pop(future), future))
        return self._summary()

    def _one(self, change: Change) -> Applied:
        started = self._session.clock.monotonic()
        live = send(self._session, change) if change.writes else None
        needed = change.ref in self._plan.ready_first and self._dependents.get(change.ref)
        if needed and any(self._changes[d].writes for d in self._dependents[change.ref]):
            if why := self._wait_ready(change):
                return Applied(ref=change.ref, result="failed", message=why, live=live)
            if change.ref.kind == "CustomResourceDefinition":
                self._session.cluster.refresh()
        seconds = self._session.clock.monotonic() - started
        result = "applied" if change.writes else "unchanged"
        return Applied(ref=change.ref, result=result, seconds=seconds, live=live)

    def _finish(self, ref: ObjectRef, future: Future[Applied]) -> list[ObjectRef]:
        change = self._changes[ref]
        try:
            applied = future.result()
        except InterruptedRunError as error:
            self._interrupted, self._failed = error, True
            applied = Applied(ref=ref, result="skipped", message=error.message)
        except PipelineError as error:
            applied = Applied(ref=ref, result="failed", message=error.message)
        self._results[ref] = applied
        if change.writes:
            self._session.tell(
                ObjectApplied(
                    ref, change.action, change.wave, applied.result, applied.seconds, applied.message
                )
            )
        if applied.result not in ("applied", "unchanged"):
            self._failed = True
            return []
        return self._release(ref)

    def _release(self, ref: ObjectRef) -> list[ObjectRef]:
        free = []
        for dependent in self._dependents.get(ref, ()):
            self._waiting[dependent] -= 1
            if not self._waiting[dependent]:
                free.append(dependent)
        return sorted(free)

    def _summary(self) -> tuple[Applied, ...]:
        failed = [a for a in self._results.values() if a.result == "failed"]
        results = []
        for change in self._changes.values():
            if change.ref in self._results:
                results.append(self._results[change.ref])
            elif not change.writes:
                results.append(Applied(ref=change.ref, result="unchanged"))
            else:
                results.append(
                    Applied(ref=change.ref, result="skipped", message=self._why_skipped(change, failed))
                )
        if self._failed:
            raise ApplyFailedError(f"{len(failed)} objects could not be applied", results, self._interrupted)
        return tuple(results)

    def _why_skipped(self, change: Change, failed: Sequence[Applied]) -> str:
        needs = self._plan.needs.get(change.ref, frozenset())
        blocked = sorted(str(a.ref) for a in failed if a.ref in needs)
        return f"needs {blocked[0]}, which failed" if blocked else "not started after the first failure"


def send(session: Session, change: Change) -> Object:
    """Write one object; returns what the server made of it."""
    session.guard()
    assert change.body is not None  # noqa: S101 - creations and updates have one
    if change.action is Action.RECREATE:
        session.cluster.delete(change.ref, change.api_version, uid=change.uid)
        wait_gone(session, change)
        session.guard()
    return session.cluster.apply(change.body, force=change.force)


def wait_gone(session: Session, change: Change) -> None:
    """Until a deleted object is gone. Raises ApiError naming the finalizers that hold it, after a minute."""
    until = session.clock.monotonic() + _GONE_WAIT_S
    while True:
        live = session.cluster.get(change.ref, change.api_version)
        if live is None or (change.uid and get_path(live, "metadata", "uid") != change.uid):
            return
        if session.clock.monotonic() > until:
            held = ", ".join(get_path(live, "metadata", "finalizers", default=[])) or "its pods or dependents"
            raise ApiError(
                f"delete {change.ref}: still there after {_GONE_WAIT_S:.0f} s, held by {held}", status=409
            )
        session.clock.sleep(_GONE_POLL_S)


def prune(session: Session, changes: Sequence[Change]) -> tuple[Applied, ...]:
    """Delete in the given order, one after the other, each only if it is still the object that was planned.

    Raises:
        ApplyFailedError: a deletion was refused, or the run was interrupted.
    """
    results: list[Applied] = []
    for change in changes:
        started = session.clock.monotonic()
        applied = Applied(ref=change.ref, result="deleted")
        stop: InterruptedRunError | None = None
        try:
            session.guard()
            session.cluster.delete(change.ref, change.api_version, uid=change.uid)
            wait_gone(session, change)
        except InterruptedRunError as error:
            stop, applied = error, replace(applied, result="skipped", message=error.message)
        except PipelineError as error:
            applied = replace(applied, result="failed", message=error.message)
        applied = replace(applied, seconds=session.clock.monotonic() - started)
        results.append(applied)
        session.tell(
            ObjectApplied(
                change.ref, change.action, change.wave, applied.result, applied.seconds, applied.message
            )
        )
        if applied.result != "deleted":
            raise ApplyFailedError(f"delete {change.ref}: {applied.message}", results, stop)
    return tuple(results)


def written(results: Sequence[Applied]) -> Mapping[ObjectRef, Any]:
    """The live objects that came back from the writes."""
    return {a.ref: a.live for a in results if a.live is not None}

"""Which change may go next: what each waits for, and what frees it. Pure bookkeeping, one thread."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping

from pipeline.core.edges import order
from pipeline.core.rollout import WORKLOADS
from pipeline.model.objects import ObjectRef
from pipeline.model.plan import Change, Plan, Strength

_ROLLOUT = 8
"""A workload's weight beside that of a plain write: what takes long starts first."""

Reached = dict[Strength, list[ObjectRef]]


class Schedule:
    """The changes of a plan, and the milestones between them. Of what is free, the longest way goes first."""

    def __init__(self, plan: Plan, changes: Mapping[ObjectRef, Change]) -> None:
        self._changes = changes
        self._needs = {
            ref: {t: s for t, s in plan.needs.get(ref, {}).items() if t in changes or t in plan.needs}
            for ref in (*changes, *(r for r in plan.needs if r not in changes))
        }
        self._open = {ref: len(needs) for ref, needs in self._needs.items()}
        self._dependents: dict[ObjectRef, Reached] = {}
        for ref, needs in self._needs.items():
            for target, strength in needs.items():
                self._dependents.setdefault(target, {}).setdefault(strength, []).append(ref)
        self._reached: dict[ObjectRef, set[Strength]] = {}
        self._height = self._heights()
        self._rank = {ref: n for n, ref in enumerate(sorted(changes, key=order))}
        self._free: list[tuple[int, int, ObjectRef]] = []
        self._put([ref for ref, count in self._open.items() if not count])

    def __bool__(self) -> bool:
        return bool(self._free)

    def next(self) -> ObjectRef:
        """The next free change. IndexError where there is none."""
        return heapq.heappop(self._free)[2]

    def reach(self, ref: ObjectRef, *strengths: Strength) -> None:
        """The object is that far: frees what waited for no more than that."""
        known = self._reached.setdefault(ref, set())
        for strength in strengths:
            if strength not in known:
                known.add(strength)
                self._put(self._count_down(self._dependents.get(ref, {}).get(strength, ())))

    def waiting_for(self, ref: ObjectRef) -> list[ObjectRef]:
        """What is not free yet and needs the object to be further than it is known to be."""
        reached = self._reached.get(ref, set())
        return [
            source
            for strength, sources in self._dependents.get(ref, {}).items()
            if strength is not Strength.EXISTS and strength not in reached
            for source in sources
            if self._open[source]
        ]

    def awaited_as(self, ref: ObjectRef, strength: Strength) -> bool:
        """Whether somebody needs it exactly so far."""
        return strength in self._dependents.get(ref, {})

    def blocked_by(self, failed: Mapping[ObjectRef, str]) -> dict[ObjectRef, str]:
        """Why each change that needs a failed one, however far off, cannot go; ``failed``: what it did."""
        blocked: dict[ObjectRef, str] = {}
        todo = deque(sorted(failed, key=order))
        while todo:
            ref = todo.popleft()
            why = f"needs {ref}, which {failed[ref]}" if ref in failed else blocked[ref]
            for sources in self._dependents.get(ref, {}).values():
                for source in sources:
                    if source not in blocked and source not in failed:
                        blocked[source] = why
                        todo.append(source)
        return blocked

    def _put(self, refs: Iterable[ObjectRef]) -> None:
        """Changes become free; a milestone is nothing to be done, and frees what waits for it at once."""
        todo = deque(refs)
        while todo:
            ref = todo.popleft()
            if ref in self._changes:
                heapq.heappush(self._free, (-self._height.get(ref, 0), self._rank[ref], ref))
                continue
            self._reached[ref] = set(Strength)
            for sources in self._dependents.get(ref, {}).values():
                todo.extend(self._count_down(sources))

    def _count_down(self, sources: Iterable[ObjectRef]) -> list[ObjectRef]:
        free = []
        for source in sources:
            self._open[source] -= 1
            if not self._open[source]:
                free.append(source)
        return free

    def _heights(self) -> dict[ObjectRef, int]:
        """How much each object holds up: its own weight and the heaviest way from it. Linear."""
        left = {ref: sum(map(len, waiting.values())) for ref, waiting in self._dependents.items()}
        todo = deque(ref for ref in self._needs if not left.get(ref))
        height: dict[ObjectRef, int] = {}
        best: dict[ObjectRef, int] = {}
        while todo:
            ref = todo.popleft()
            height[ref] = best.get(ref, 0) + self._weight(ref)
            for target in self._needs[ref]:
                best[target] = max(best.get(target, 0), height[ref])
                left[target] -= 1
                if not left[target]:
                    todo.append(target)
        return height

    def _weight(self, ref: ObjectRef) -> int:
        change = self._changes.get(ref)
        if change is None or not change.writes:
            return 0
        return _ROLLOUT if ref.group_kind in WORKLOADS else 1

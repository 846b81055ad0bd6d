"""The pods of a rollout that is too large for all of its pods, events and ReplicaSets: in brief, from its
beginning, so that what is said of one workload is said of a thousand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pipeline.core.brief_pods import brief, is_in_trouble, workload_of
from pipeline.core.rollout import WORKLOADS
from pipeline.model.objects import Object, ObjectRef
from pipeline.run.follow import Update
from pipeline.run.session import Session
from pipeline.run.sight import Index, Sight
from pipeline.run.targets import PODS, Target


@dataclass(frozen=True, slots=True)
class PodNews:
    """What a follower of pods in brief saw."""

    update: Update


class BriefPods:
    """One watch of pods for each namespace, or for all. Of pods of others nothing is kept.

    ``put`` hears ``PodNews``, on the followers' threads; everything else is the loop's.
    """

    def __init__(self, session: Session, expected: Iterable[Target], put: Callable[[PodNews], None]) -> None:
        expected = tuple(expected)
        self._names = frozenset(t.ref for t in expected if t.ref.group_kind in WORKLOADS)
        self._sight = Sight(session, expected, lambda update: put(PodNews(update)))
        self._by_workload = Index(workload_of)

    def follow(self, ref: ObjectRef) -> None:
        """The pods of a workload, once."""
        if ref in self._names:
            self._sight.follow(PODS, ref.namespace, ours=False, keep=self._brief)

    def take_in(self, news: PodNews) -> dict[ObjectRef, list[Object]]:
        """The workloads that there is news of, with the pods that are told of and still there."""
        followed = self._sight.take_in(news.update, self._names)
        told = self._by_workload.take_in(followed, news.update)
        return {ref: [] for ref in told} if news.update.deleted else told

    def of(self, ref: ObjectRef) -> list[Object] | None:
        """Those of a workload, as far as they were seen; None where they may not be looked at."""
        return self._by_workload.of(ref) if self._sight.follows(PODS, ref.namespace) else None

    def of_all(self, refs: Iterable[ObjectRef]) -> dict[ObjectRef, Sequence[Object]]:
        """Those of each workload whose pods may be looked at."""
        seen = {ref: self.of(ref) for ref in refs if ref in self._names}
        return {ref: pods for ref, pods in seen.items() if pods is not None}

    def are_in_trouble(
        self, ref: ObjectRef, since: float | None, told: Iterable[Object] | None = None
    ) -> bool:
        """Whether one of a workload's asks for an explanation; ``told``: one of those, the others did not."""
        pods = self._by_workload.of(ref) if told is None else told
        return any(is_in_trouble(pod, since) for pod in pods)

    def doubt(self) -> None:
        """Look again at what has been silent for long."""
        self._sight.doubt()

    def stop(self) -> None:
        """Follow nothing any more, and forget what was seen."""
        self._sight.stop()
        self._by_workload = Index(workload_of)

    def _brief(self, pod: Object) -> Object | None:
        """Nothing of others' pods. Those that just start count: they show which revision is the newest."""
        return brief(pod) if workload_of(pod) in self._names else None

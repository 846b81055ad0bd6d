"""Evidence: what the pods of the new revision, their controller and their events speak against a rollout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipeline.core.evidence.blocking import blockers, blocking_pods, of_blockers
from pipeline.core.evidence.containers import remember
from pipeline.core.evidence.creation import of_creation
from pipeline.core.evidence.events import EventIndex
from pipeline.core.evidence.log import EvidenceLog, decide, patience
from pipeline.core.evidence.newest import BY_REPLICA_SET, new_pods, new_replica_set
from pipeline.core.evidence.pods import of_pod
from pipeline.core.evidence.scene import ImageMemory, Scene
from pipeline.core.reading import text
from pipeline.model.objects import Object
from pipeline.model.status import CauseCode, Evidence, Grade

__all__ = [
    "EventIndex",
    "EvidenceLog",
    "ImageMemory",
    "blocking_pods",
    "decide",
    "evidence",
    "new_pods",
    "new_replica_set",
    "patience",
    "remember",
]

_GRAVITY = {Grade.TERMINAL: 0, Grade.PROBABLE: 1, Grade.TRANSIENT: 2}


def evidence(
    workload: Object,
    replica_sets: Sequence[Object],
    pods: Sequence[Object],
    events: Iterable[Object] | EventIndex,
    now: float,
    memory: ImageMemory,
    *,
    since: float | None = None,
    controller_revisions: Sequence[Object] = (),
) -> list[Evidence]:
    """What speaks against one workload now, gravest first; pods of older revisions do not count.

    ``now`` and ``since`` (our write) are seconds since 1970 on the server's clock; ``memory`` is
    what ``remember`` made of earlier looks.
    """
    index = events if isinstance(events, EventIndex) else EventIndex(events)
    scene = Scene(workload=workload, events=index, now=now, memory=memory, since=since)
    new = new_pods(workload, replica_sets, pods, controller_revisions)
    has_sets = text(workload, "kind") in BY_REPLICA_SET
    replica_set = new_replica_set(workload, replica_sets) if has_sets else None
    found = [*of_creation(workload, replica_set, scene)]
    found += [shown for pod in new for shown in of_pod(pod, scene)]
    found += of_blockers(blockers(workload, pods, new), scene)
    return sorted(_merged(found), key=lambda e: (_GRAVITY[e.grade], e.code, e.container))


def _merged(found: Iterable[Evidence]) -> list[Evidence]:
    """One for each code and container: the one that happened most often, and on how many pods."""
    groups: dict[tuple[CauseCode, str], list[Evidence]] = {}
    for shown in found:
        groups.setdefault((shown.code, shown.container), []).append(shown)
    return [_one(group) for group in groups.values()]


def _one(group: list[Evidence]) -> Evidence:
    worst = min(group, key=lambda e: (_GRAVITY[e.grade], -e.count, str(e.pod), e.message, e.details))
    others = len({one.pod for one in group}) - 1
    if others < 1:
        return worst
    more = "1 more pod" if others == 1 else f"{others} more pods"
    return replace(worst, details=(*worst.details, f"the same on {more}"))

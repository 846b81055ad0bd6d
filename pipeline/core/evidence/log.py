"""Evidence over time: when each piece was first seen, and which by now proves a failure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pipeline.model.environment import Grace
from pipeline.model.objects import ObjectRef
from pipeline.model.status import CauseCode, Evidence, Grade

Key = tuple[ObjectRef, CauseCode, str]
"""(workload, code, container): the same trouble on ten pods is one."""

_FORGET_S = 30.0  # trouble that comes back within this has not been gone: pulls and crashes alternate

_BY_RESTARTS = frozenset(
    {
        CauseCode.CRASH_LOOP,
        CauseCode.OUT_OF_MEMORY,
        CauseCode.COMMAND_NOT_FOUND,
        CauseCode.COMMAND_NOT_EXECUTABLE,
        CauseCode.INIT_CONTAINER_FAILED,
        CauseCode.LIVENESS_PROBE_FAILED,
        CauseCode.STARTUP_PROBE_FAILED,
        CauseCode.IMAGE_PLATFORM_MISMATCH,
    }
)
"""Deaths: counted, not timed. A Job's backoffLimit counts them already, so there they decide nothing."""

_PROBABLE_S = {
    CauseCode.CONTAINER_CONFIG_MISSING: 5.0,
    CauseCode.RELEASE_BLOCKED_BY_POD: 5.0,  # its controller would replace it at once if it could
    CauseCode.OBJECT_LOST: 15.0,  # a watch that went silent shows what was, until it is doubted
    CauseCode.SCALING_BROKEN: 20.0,  # the autoscaler looks every 15 s
}
_PROBABLE_DEFAULT_S = 10.0
_SIGHTINGS = 2  # of a registry that denies: one may be a token that was just being renewed


@dataclass(frozen=True, slots=True)
class Seen:
    """One piece of evidence: first and last time in seconds since 1970, and its newest form."""

    first: float
    last: float
    evidence: Evidence
    present: bool = True


@dataclass(frozen=True, slots=True)
class EvidenceLog:
    """All evidence of one rollout. Immutable: ``update`` gives the next one.

    ``memory`` keeps what was said about pulls, for ``evidence``.
    """

    seen: Mapping[Key, Seen] = field(default_factory=dict)
    memory: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def update(self, evidence: Iterable[tuple[ObjectRef, Evidence]], now: float) -> EvidenceLog:
        """The log after another look at the world, in which this is all the evidence there is."""
        seen = {
            key: replace(entry, present=False)
            for key, entry in self.seen.items()
            if entry.present or now - entry.last <= _FORGET_S  # looks may be far apart
        }
        for ref, found in evidence:
            key = (ref, found.code, found.container)
            first = seen[key].first if key in seen else now
            seen[key] = Seen(min(first, now), now, found)
        return EvidenceLog(seen, self.memory)

    def present(self) -> list[tuple[ObjectRef, Evidence]]:
        """What the last look saw, by object and code."""
        entries = sorted((key, entry) for key, entry in self._items() if entry.present)
        return [(key[0], entry.evidence) for key, entry in entries]

    def of(self, ref: ObjectRef) -> list[Evidence]:
        """What was seen of one object so lately that it is not forgotten."""
        return [entry.evidence for key, entry in sorted(self._items()) if key[0] == ref]

    def fatal(self, grace: Grace, now: float) -> list[tuple[ObjectRef, Evidence]]:
        """What by now proves that the rollout will not succeed; once fatal, time never changes that."""
        return decide(self.seen, grace, now)

    def _items(self) -> list[tuple[Key, Seen]]:
        return list(self.seen.items())


def decide(seen: Mapping[Key, Seen], grace: Grace, now: float) -> list[tuple[ObjectRef, Evidence]]:
    """The evidence present that is fatal at ``now``, terminal first, then by object and code."""
    fatal = [
        (key, entry) for key, entry in seen.items() if entry.present and _is_fatal(key, entry, grace, now)
    ]
    fatal.sort(key=lambda item: (item[1].evidence.grade is not Grade.TERMINAL, item[0]))
    return [(key[0], entry.evidence) for key, entry in fatal]


def _is_fatal(key: Key, entry: Seen, grace: Grace, now: float) -> bool:
    evidence = entry.evidence
    if evidence.grade is Grade.TERMINAL:
        return True
    if not evidence.settled:
        return False
    if evidence.code in _BY_RESTARTS:
        return key[0].kind != "Job" and evidence.count >= grace.restarts
    if evidence.code is CauseCode.IMAGE_DENIED and evidence.count >= _SIGHTINGS:
        return True
    return now - entry.first >= patience(evidence, grace)


def patience(evidence: Evidence, grace: Grace) -> float:
    """How many seconds evidence that is not terminal is borne; infinite where only the budget ends it."""
    if evidence.grade is Grade.PROBABLE:
        return _PROBABLE_S.get(evidence.code, _PROBABLE_DEFAULT_S)
    match evidence.code:
        case CauseCode.QUOTA_EXCEEDED | CauseCode.WEBHOOK_UNAVAILABLE | CauseCode.ADMISSION_DENIED:
            return grace.quota_s
        case (
            CauseCode.UNSCHEDULABLE
            | CauseCode.CLAIM_PENDING
            | CauseCode.REFERENCE_MISSING
            | CauseCode.VOLUME_MOUNT_FAILED
            | CauseCode.VOLUME_ATTACH_FAILED
        ):
            return grace.schedule_s
        case CauseCode.IMAGE_REGISTRY_UNAVAILABLE | CauseCode.CONTAINER_NOT_CREATED:
            return grace.image_s
        case CauseCode.CONTAINER_CONFIG_MISSING:
            return grace.image_s
        case CauseCode.READINESS_PROBE_FAILED:
            return evidence.window_s + grace.ready_s
        case _:
            return math.inf

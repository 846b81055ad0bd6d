"""What ends a rollout, the most telling first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.model.objects import ObjectRef
from pipeline.model.status import CauseCode, Evidence, Grade

Found = tuple[ObjectRef, Evidence]

_SUMMARIES = frozenset({CauseCode.PROGRESS_DEADLINE_EXCEEDED, CauseCode.POD_FAILED})


def most_telling(fatal: Sequence[Found], pending: Sequence[Found]) -> tuple[Found, ...]:
    """What a container shows says more than that time is over; why a pod's claim has no volume is told by
    the claim, which is among what is ``pending``."""
    order = {Grade.TERMINAL: 0, Grade.PROBABLE: 1, Grade.TRANSIENT: 2}
    once = {(ref, one.code, one.container): (ref, one) for ref, one in fatal}
    ordered = sorted(
        once.values(), key=lambda item: (item[1].code in _SUMMARIES, order[item[1].grade], item[0])
    )
    return (*ordered, *_of_claims(ordered, pending))


def _of_claims(fatal: Sequence[Found], pending: Sequence[Found]) -> Iterator[Found]:
    if any(one.code is CauseCode.CLAIM_PENDING for _, one in fatal):
        yield from (
            (ref, one)
            for ref, one in pending
            if ref.kind == "PersistentVolumeClaim" and one.code is CauseCode.CLAIM_PENDING
        )

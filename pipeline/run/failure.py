"""From what went wrong to causes, as reports and records want them."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core.hints import HINTS
from pipeline.core.refused import code_of
from pipeline.model.release import Applied
from pipeline.model.status import Cause
from pipeline.run.planning import Planned


def apply_causes(planned: Planned, applied: Sequence[Applied]) -> tuple[Cause, ...]:
    """One cause for each write that failed; what was only skipped is no cause."""
    origins = {c.ref: c.origin for c in planned.plan.changes}
    return tuple(
        Cause(
            object=a.ref,
            code=code_of(a.message),
            message=a.message,
            origin=origins.get(a.ref),
            hint=HINTS[code_of(a.message)],
        )
        for a in applied
        if a.result == "failed"
    )

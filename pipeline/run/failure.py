"""From what went wrong to causes, as reports and records want them."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core.hints import HINTS
from pipeline.core.refused import code_of
from pipeline.model.release import Applied
from pipeline.model.status import Cause, CauseCode
from pipeline.run.planning import Planned

_UNANSWERED = (
    "see why the API server did not answer (its load, a restart, the network, the login), then run again: "
    "the next run looks first at what was done"
)


def apply_causes(planned: Planned, applied: Sequence[Applied]) -> tuple[Cause, ...]:
    """One cause for each write that failed; what was only skipped is no cause."""
    origins = {c.ref: c.origin for c in planned.plan.changes}
    causes = []
    for one in applied:
        if one.result == "failed":
            code = CauseCode.UNREACHABLE if one.unanswered else code_of(one.message)
            hint = _UNANSWERED if one.unanswered else HINTS[code]
            causes.append(
                Cause(object=one.ref, code=code, message=one.message, origin=origins.get(one.ref), hint=hint)
            )
    return tuple(causes)

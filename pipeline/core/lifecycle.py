"""The life of a release as one table; what is not in it cannot happen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.model.release import Phase, Release

TRANSITIONS: Mapping[Phase, frozenset[Phase]] = {
    Phase.PENDING: frozenset({Phase.PLANNED, Phase.INTERRUPTED}),
    Phase.PLANNED: frozenset({Phase.APPLYING, Phase.SUCCEEDED, Phase.INTERRUPTED}),
    Phase.APPLYING: frozenset({Phase.VERIFYING, Phase.FAILED, Phase.INTERRUPTED}),
    Phase.VERIFYING: frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.INTERRUPTED}),
    Phase.FAILED: frozenset({Phase.ROLLING_BACK, Phase.INTERRUPTED}),
    Phase.ROLLING_BACK: frozenset({Phase.ROLLED_BACK, Phase.ROLLBACK_FAILED, Phase.INTERRUPTED}),
    Phase.SUCCEEDED: frozenset(),
    Phase.ROLLED_BACK: frozenset(),
    Phase.ROLLBACK_FAILED: frozenset(),
    Phase.INTERRUPTED: frozenset(),
}


class IllegalTransitionError(ValueError):
    """Our own mistake: a phase that cannot follow."""


def advance(current: Phase, following: Phase) -> Phase:
    """``following``, if it may follow ``current``; nothing changes where it may not."""
    if following not in TRANSITIONS[current]:
        raise IllegalTransitionError(f"a release cannot go from {current} to {following}")
    return following


def last_known(releases: Sequence[Release]) -> Release | None:
    """The newest verified among heads, newest first."""
    return next((r for r in releases if r.phase is Phase.SUCCEEDED), None)

"""``unlock``: looks whether the holder of the lock is dead, and releases the lock only then."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.model.views import Unlocking
from pipeline.run.reads import next_step
from pipeline.run.session import Session


def unlock(session: Session, ended: Callable[[str], str]) -> Unlocking:
    """``ended`` says why a holder is over by another witness than the Lease's time, or is empty."""
    environment = session.environment
    found = session.lock.release_dead(ended)
    if found is not None and not found.released:
        what = (
            "wait for it (--wait-lock 5m); should it have died, its lock ends by itself, and unlock says so"
        )
        return Unlocking(environment=environment.name, found=found, next=what)
    latest = session.releases.latest()
    following = next_step(latest, environment, locked=False) if latest else ""
    return Unlocking(environment=environment.name, found=found, next=following)

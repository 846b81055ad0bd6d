"""``unlock``: looks whether the holder of the lock is dead, and releases the lock only then."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.model.errors import PreflightError
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
    return Unlocking(environment=environment.name, found=found, next=_following(session))


def _following(session: Session) -> str:
    """What is to be done now. A record that cannot be read must not hide what became of the lock."""
    environment = session.environment
    try:
        latest = session.releases.latest()
    except PreflightError as error:
        return f"{error.message}: {error.hint}"
    return next_step(latest, environment, locked=False) if latest else ""

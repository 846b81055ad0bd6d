"""Commands that only read: what runs where, how healthy it is, and what drifted."""

from __future__ import annotations

from dataclasses import replace

from pipeline.core.drift import manager_of
from pipeline.core.readiness import assess
from pipeline.model.environment import Environment
from pipeline.model.errors import PipelineError, PreflightError
from pipeline.model.objects import Object, ObjectRef
from pipeline.model.plan import Change
from pipeline.model.release import Phase, Release
from pipeline.model.status import Status
from pipeline.model.views import EnvironmentStatus, FieldDrift, ObjectDrift
from pipeline.run.live import read_live
from pipeline.run.planning import Planned, make_plan
from pipeline.run.recorded import recorded_manifests
from pipeline.run.session import Session

_HEALTH = {
    Status.FAILED: "degraded",
    Status.NOT_FOUND: "degraded",
    Status.TERMINATING: "degraded",
    Status.IN_PROGRESS: "progressing",
    Status.UNKNOWN: "unknown",
}
"""From the gravest to the mildest word for an environment that is not healthy."""


def status_of(session: Session, environment: Environment) -> EnvironmentStatus:
    """What runs in one environment. What is not known stays empty."""
    latest = session.releases.latest()
    lock = session.lock.holder()
    if latest is None:
        return EnvironmentStatus(
            name=environment.name,
            lock=lock,
            health="unknown",
            next=f"never deployed: pipeline deploy -e {environment.name}",
        )
    running = latest if latest.phase is Phase.SUCCEEDED else session.releases.last_verified()
    return EnvironmentStatus(
        name=environment.name,
        release=latest.number,
        revision=running.revision if running else "",
        phase=str(latest.phase),
        health=_health(session, latest),
        drift=tuple(d.ref for d in drift(session, running)) if running and not latest.is_open else (),
        lock=lock,
        next=next_step(latest, environment, locked=lock is not None),
    )


def drift(session: Session, release: Release | None) -> tuple[ObjectDrift, ...]:
    """Where the live objects are not as the last verified release wants them, field by field."""
    if release is None:
        return ()
    try:
        planned = _drift_plan(session, release)
    except PreflightError as error:
        refs = [p.object for p in error.problems if p.object]
        return tuple(ObjectDrift(ref, ()) for ref in refs)
    return tuple(
        _object_drift(change, planned.live.get(change.ref))
        for change in planned.plan.writes
        if not change.hook
    )


def _drift_plan(session: Session, release: Release) -> Planned:
    """What it would take to bring the live objects back to ``release``, whoever changed them."""
    environment = session.environment
    # A field that somebody else took is drift to be shown, not a conflict that ends the look.
    taking = replace(environment, allow=replace(environment.allow, conflicts="take"))
    manifests = recorded_manifests(release)
    asked = replace(session, environment=taking)
    return make_plan(asked, manifests, release.revision, release.inventory, only_compare=True)


def _object_drift(change: Change, live: Object | None) -> ObjectDrift:
    if live is None:
        return ObjectDrift(change.ref, (FieldDrift(path="", desired="present", live="absent"),))
    fields = tuple(
        FieldDrift(path=f.path, desired=f.after, live=f.before, manager=manager_of(live, f.path))
        for f in change.fields
    )
    return ObjectDrift(change.ref, fields)


def _health(session: Session, release: Release) -> str:
    owned = {e.ref: e.api_version for e in release.inventory if not e.hook}
    live: dict[ObjectRef, Object] = read_live(session, owned)
    rules = session.environment.rollout.rules
    seen = {assess(live.get(ref), rules=rules).status for ref in owned}
    return next((word for status, word in _HEALTH.items() if status in seen), "healthy")


def next_step(latest: Release, environment: Environment, *, locked: bool) -> str:
    """What should be done, or would happen next; empty where all is well."""
    name = environment.name
    if locked:
        return "a run is at work; wait for it"
    if latest.is_open:
        return _taken_over(latest, name)
    match latest.phase:
        case Phase.ROLLBACK_FAILED:
            return (
                f"repair what release {latest.number} lists, then `pipeline deploy -e {name}`; "
                f"should that fail, it goes back to {_before(latest)}"
            )
        case Phase.FAILED:
            return (
                f"`pipeline rollback -e {name}`, or repair and deploy again; "
                f"should that fail, it goes back to {_before(latest)} unless rollback.auto is off"
            )
        case Phase.ROLLED_BACK:
            why = latest.causes[0][2] if latest.causes else "see `pipeline history`"
            return f"release {latest.number} was rolled back: {why}"
        case _:
            return ""


_LEFT = {
    Phase.PLANNED: "nothing of it was written",
    Phase.APPLYING: "some of it may be written",
    Phase.VERIFYING: "it is written, and not verified",
    Phase.FAILED: "it had failed, and is not undone yet",
    Phase.ROLLING_BACK: "it had failed, and is partly undone",
}


def _taken_over(latest: Release, name: str) -> str:
    """What was left, and what the next run makes of it (``Attempt.carried``)."""
    who = f" by {latest.actor}" if latest.actor else ""
    state = _LEFT.get(latest.phase, "some of it may be written")
    return (
        f"release {latest.number} was left {latest.phase}{who}: {state}. `pipeline deploy -e {name}` takes "
        f"it over and brings all to what is wanted now; should that fail, it goes back to {_before(latest)}"
    )


def _before(latest: Release) -> str:
    return f"release {latest.previous}" if latest.previous else "what was before it"


def unreachable(environment: Environment, error: PipelineError) -> EnvironmentStatus:
    """The row of an environment that could not be asked; the others are still told."""
    return EnvironmentStatus(name=environment.name, health="unknown", next=error.message)

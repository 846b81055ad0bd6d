"""A release: one attempt to bring an environment to a revision, as it is recorded in the cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .errors import Problem
from .objects import Object, ObjectRef
from .plan import Plan
from .status import Cause, CheckResult, ObjectStatus


class Phase(StrEnum):
    """Where a release is in its life; the transitions are a table in ``core.lifecycle``."""

    PENDING = "PENDING"
    PLANNED = "PLANNED"
    APPLYING = "APPLYING"
    VERIFYING = "VERIFYING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLED_BACK = "ROLLED_BACK"
    ROLLBACK_FAILED = "ROLLBACK_FAILED"
    INTERRUPTED = "INTERRUPTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryEntry:
    """One owned object: what was applied (``content``) and what the server made of it.

    ``generation`` is 0 for kinds without one; then ``resource_version`` tells whether the object was
    touched since. A ``hook`` may have been deleted after it ran; its content is remembered.
    """

    ref: ObjectRef
    api_version: str
    uid: str
    generation: int
    resource_version: str
    content: str
    origin: str = ""
    hook: bool = False


LEFT = "left"
"""The result of a deletion of which the object is still there: held by something, or not sent as another one
that must be gone before is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became of sending one change: ``applied``, ``unchanged``, ``deleted``, ``left`` (to be deleted,
    and still there), ``skipped``, ``failed``. ``unanswered``: it failed as no answer came."""

    ref: ObjectRef
    result: str
    unanswered: bool = False
    seconds: float = 0.0
    message: str = ""
    live: Object | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutEntry:
    """What became of one object's rollout; ``seconds`` from the start of the watch to the verdict."""

    ref: ObjectRef
    status: ObjectStatus
    seconds: float


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that a rollback did not bring back, or (path empty) an object that should (not) exist.

    ``reason`` says why it could not or was not to; without one the difference was not to be expected.
    """

    ref: ObjectRef
    path: str
    before: Any
    after: Any
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The record. ``before`` holds the live objects that the plan touches, as they were; None: absent.

    ``rendered`` is what the repository wanted, Secret values included: the record is a Secret itself.
    Times are RFC 3339 in UTC. ``inputs`` is the digest of what was rendered from, empty where that was not
    git: equal inputs need no rendering. ``followed`` is the branch's commit that `reconcile` had done with by
    then, whatever was deployed. ``charts`` names what Helm would call its releases; None in old records.
    """

    application: str
    environment: str
    number: int
    id: str
    revision: str
    base: str = ""
    previous: int | None = None  # the release that was verified before this one
    phase: Phase = Phase.PENDING
    result: str = ""
    actor: str = ""
    identity: str = ""  # the cluster's name for us
    started: str = ""
    finished: str = ""
    seconds: float = 0.0
    command: str = "deploy"
    plan_digest: str = ""
    inputs: str = ""
    followed: str = ""
    charts: tuple[str, ...] | None = None
    message: str = ""
    inventory: tuple[InventoryEntry, ...] = ()
    before: tuple[tuple[ObjectRef, Object | None], ...] = ()
    rendered: tuple[Object, ...] = ()
    plan: Any = None  # the plan as its JSON document
    causes: tuple[Any, ...] = ()
    checks: tuple[Any, ...] = ()
    verdicts: Any = (
        None  # the rest of the run's report as JSON values (``core.verdicts``); None until its end
    )

    @property
    def is_open(self) -> bool:
        """True where a run died, or is at work, after its intent was recorded.

        FAILED is the end only of a run that left it at that, which it says by finishing the record.
        """
        return self.phase not in _CLOSED or (self.phase is Phase.FAILED and not self.finished)

    @property
    def is_left_failed(self) -> bool:
        """True where policy left a failed release as it is."""
        return self.phase is Phase.FAILED and not self.is_open

    @property
    def is_unresolved(self) -> bool:
        """True where what is there is neither wanted nor what was before: whoever goes back next, goes back
        to ``before``."""
        return self.phase not in (Phase.SUCCEEDED, Phase.ROLLED_BACK)


_CLOSED = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.ROLLED_BACK, Phase.ROLLBACK_FAILED})


@dataclass(slots=True, kw_only=True)
class Outcome:
    """All that a run found out, filled phase by phase; the report is made of it.

    Mutable on purpose: it is what survives when a phase raises.
    """

    command: str
    environment: str
    revision: str = ""
    base: str = ""
    release: Release | None = None
    plan: Plan | None = None
    applied: tuple[Applied, ...] = ()
    rollout: tuple[RolloutEntry, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    causes: tuple[Cause, ...] = ()
    warnings: tuple[str, ...] = ()
    rolled_back: bool = False
    rollback_verified: bool | None = None
    differences: tuple[Difference, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)
    exit_code: int = 0
    next_step: str = ""
    message: str = ""  # of the error that ended the run before anything was written
    problems: tuple[Problem, ...] = ()  # which it consists of
    attachment: str = ""  # what the next step says in one line, as YAML for people

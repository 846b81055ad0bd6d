"""What just happened, for people and machines: the closed set of events that a run tells of."""

from __future__ import annotations

from dataclasses import dataclass

from .objects import ObjectRef
from .plan import Action, Plan
from .release import RolloutEntry
from .status import Cause, CheckResult, ObjectStatus


@dataclass(frozen=True, slots=True)
class Started:
    """A run began. ``because`` says why the environment is affected."""

    command: str
    environment: str
    revision: str
    base: str
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for people; ``warning`` where they should act on it."""

    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    plan: Plan


@dataclass(frozen=True, slots=True)
class ObjectApplied:
    """One object was sent. ``result`` is as in ``Applied``."""

    ref: ObjectRef
    action: Action
    wave: int
    result: str
    seconds: float
    message: str = ""


@dataclass(frozen=True, slots=True)
class RolloutProgress:
    """The state of all objects that are waited for; sent only when something changed."""

    statuses: tuple[tuple[ObjectRef, ObjectStatus], ...]
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class RolloutDone:
    entries: tuple[RolloutEntry, ...]
    ok: bool
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Checked:
    result: CheckResult


@dataclass(frozen=True, slots=True)
class Failed:
    """Something fell short; told before anything is done about it."""

    causes: tuple[Cause, ...]


@dataclass(frozen=True, slots=True)
class RollingBack:
    """``target`` in words: "release 6 (1a2b3c4)" or "nothing: this was the first deploy"."""

    target: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class Recorded:
    """The release reached a phase, durably."""

    number: int
    phase: str


Event = (
    Started
    | Note
    | Planned
    | ObjectApplied
    | RolloutProgress
    | RolloutDone
    | Checked
    | Failed
    | RollingBack
    | Recorded
)

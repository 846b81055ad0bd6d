"""A plan: what will be done to which object, in which order. Plain data with a digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .errors import Problem
from .objects import Object, ObjectRef, Origin, digest


class Action(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    RECREATE = "recreate"
    DELETE = "delete"
    KEEP = "keep"


class Reversible(StrEnum):
    """What a rollback can restore of a change."""

    EXACT = "exact"
    RECREATE = "recreate"
    ONE_WAY = "one-way"


class Strength(StrEnum):
    """How far an object must be before one that needs it is sent. Ordered: each includes those before it.

    ``available``: a workload of which some serves. ``ready``: Current, which for a CRD means Established,
    for a Namespace Active, for an APIService Available.
    """

    EXISTS = "exists"
    AVAILABLE = "available"
    READY = "ready"

    # As text they would be ordered by the alphabet.
    def __lt__(self, other: str) -> bool:
        return _RANK[self] < _RANK[other]

    def __le__(self, other: str) -> bool:
        return _RANK[self] <= _RANK[other]

    def __gt__(self, other: str) -> bool:
        return _RANK[self] > _RANK[other]

    def __ge__(self, other: str) -> bool:
        return _RANK[self] >= _RANK[other]


_RANK: Mapping[str, int] = {strength: rank for rank, strength in enumerate(Strength)}


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that will change. Secret values are masked before they get here.

    ``op`` is ``add``, ``remove`` or ``change``.
    """

    path: str
    op: str
    before: Any = None
    after: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What happens to one object, and why.

    ``body`` is what is sent (None for delete and keep); ``uid`` the live object that a
    delete is about; ``note`` a sentence for people (taken-over fields, unverified dry run).
    ``takes_over``: other deploy tools' shares of the object are merged into ours first. ``hook`` is the
    phase of a hook (``pre``, ``main``, ``post``, ``fail``) that runs in this deploy, ``hook_delete`` when its
    object goes (``before-creation``, ``succeeded``, ``failed``). ``content`` is the digest of the manifest as
    it can be reviewed: what a chart makes up for the first time is not in it. ``made_up_name``: the object
    is called otherwise each time it is rendered. ``returns``: nobody wants the object any more, and it was
    there before a release adopted it that did not succeed; it gets back what it had.
    """

    ref: ObjectRef
    action: Action
    api_version: str
    wave: int = 0
    origin: Origin | None = None
    reversible: Reversible = Reversible.EXACT
    fields: tuple[FieldChange, ...] = ()
    reason: str = ""
    note: str = ""
    body: Object | None = None
    content: str = ""
    uid: str = ""
    force: bool = False
    takes_over: bool = False
    hook: str = ""
    hook_delete: frozenset[str] = frozenset()
    made_up_name: bool = False
    returns: bool = False

    @property
    def reviewed_ref(self) -> ObjectRef:
        """Which object it is, as far as can be known when the plan is reviewed."""
        return self.ref._replace(name="<made up>") if self.made_up_name else self.ref

    @property
    def writes(self) -> bool:
        return self.action is not Action.KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An ordered set of changes. ``needs`` maps an object to those that must come before it, and how far
    each must be.

    A need that is no change of the plan, such as a milestone, is met as soon as its own needs are.
    ``gone_first`` maps an object that is deleted to those that a person wants gone before, in the same way.
    ``warnings`` are about what may go wrong although the server accepts it. ``recorded_digest`` is that of a
    plan that was read from a record, which has no contents.
    """

    environment: str
    revision: str
    changes: tuple[Change, ...]
    needs: Mapping[ObjectRef, Mapping[ObjectRef, Strength]] = field(default_factory=dict)
    gone_first: Mapping[ObjectRef, frozenset[ObjectRef]] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()
    recorded_digest: str = ""

    @property
    def ready_first(self) -> frozenset[ObjectRef]:
        """What somebody needs with more than its existence."""
        return frozenset(
            target
            for targets in self.needs.values()
            for target, strength in targets.items()
            if strength is not Strength.EXISTS
        )

    @property
    def writes(self) -> tuple[Change, ...]:
        return tuple(c for c in self.changes if c.writes)

    @property
    def waves(self) -> tuple[tuple[ObjectRef, ...], ...]:
        """Objects that are written, grouped by wave, each sorted."""
        waves: dict[int, list[ObjectRef]] = {}
        for change in self.writes:
            waves.setdefault(change.wave, []).append(change.ref)
        return tuple(tuple(sorted(waves[n])) for n in sorted(waves))

    @property
    def digest(self) -> str:
        """Equal for plans that do the same; changes when the revision, an action, a field, an
        order or the content to be written differs."""
        return self.recorded_digest or digest(
            {
                "environment": self.environment,
                "revision": self.revision,
                "changes": [
                    [str(c.reviewed_ref), str(c.action), c.wave, c.content, c.force]
                    + [[f.path, f.op, f.before, f.after] for f in c.fields]
                    for c in sorted(self.changes, key=lambda c: (c.reviewed_ref, c.content))
                    if c.writes
                ],
            }
        )

"""What the reading commands found out: the inputs of their documents and tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .objects import ObjectRef
from .status import Evidence, ObjectStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentChanges:
    """Why one environment is (not) affected. ``files`` are (path, added | modified | deleted).

    ``removed``: the revision has the environment no more. Nothing can be deployed there; ``objects`` are
    what it had, or, where the cluster was asked, what is left of it.
    """

    name: str
    base: str
    revision: str
    affected: bool
    removed: bool = False
    because: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    objects: tuple[ObjectRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a release is not to be promoted; ``since`` is RFC 3339 in UTC."""

    reason: str
    actor: str
    since: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentStatus:
    """What runs in one environment; empty or None where there is nothing to tell.

    ``health`` is a word for people and programs (``healthy``, ``degraded``, ``unknown``), ``lock`` as
    ``ports.Lock.holder`` gives it, ``next`` a sentence: what would happen, or should be done.
    """

    name: str
    release: int | None = None
    revision: str = ""
    phase: str = ""
    health: str = ""
    drift: tuple[ObjectRef, ...] = ()
    lock: Mapping[str, str] | None = None
    hold: Hold | None = None
    gates: tuple[Any, ...] = ()
    next: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDrift:
    """One field that is not as the last release left it; ``manager`` is who changed it, or empty."""

    path: str
    desired: Any
    live: Any
    manager: str = ""


@dataclass(frozen=True, slots=True)
class ObjectDrift:
    """An object that drifted."""

    ref: ObjectRef
    fields: tuple[FieldDrift, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightRow:
    """One check before the first write. ``verdict`` is ``ok``, ``warning``, ``failed`` or ``unknown``."""

    name: str
    verdict: str
    found: str = ""
    why: str = ""
    repair: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedObject:
    """One object of some files, its verdict, and what of the same files speaks against it."""

    ref: ObjectRef
    status: ObjectStatus
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFound:
    """A lock that was looked at to be released: whose it is, as ``ports.Lock.holder`` gives it, whether it
    was ``released``, and ``why`` its holder is taken for dead, or for alive."""

    lock: Mapping[str, str]
    released: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlocking:
    """What became of the lock of an environment; ``found`` is None where nobody held it."""

    environment: str
    found: LockFound | None
    next: str = ""

    @property
    def is_free(self) -> bool:
        """Whether another run may begin."""
        return self.found is None or self.found.released

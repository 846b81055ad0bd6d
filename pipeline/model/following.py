"""What `reconcile` tells of: each happening is one line, its state one answer to whoever asks how it is."""

from __future__ import annotations

from dataclasses import dataclass

from .views import ObjectDrift


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that people should know and that is no deploy.

    ``kind`` is a stable word for programs: ``following``, ``held``, ``waiting``, ``drift``, ``trouble``,
    ``recovered``, ``ended``. ``moment`` is RFC 3339 in UTC.
    """

    moment: str
    environment: str
    kind: str
    message: str
    revision: str = ""
    drift: tuple[ObjectDrift, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """How it is. Times are RFC 3339 in UTC, empty where there was none; ``held`` says why what runs is not
    the branch's commit."""

    environment: str
    branch: str
    healthy: bool = True
    head: str = ""
    revision: str = ""
    release: int | None = None
    last_success: str = ""
    last_error: str = ""
    last_error_at: str = ""
    held: str = ""

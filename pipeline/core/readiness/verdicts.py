"""Short spellings of the verdicts, and what all rules are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.model.objects import Object
from pipeline.model.status import ObjectStatus, Status

SETTLE_S = 3.0
"""How long a status without any generation may be that of the spec before our write.

No source: controllers answer an event of their watch well within it, and waiting costs that much once.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a rule knows beyond the object itself; times are seconds since 1970 on the server's clock.

    None, or zero, is what nobody has looked at, and never makes an object Current or Failed.
    ``class_exists``: the StorageClass or IngressClass that the object names. ``target_exists``: what an
    autoscaler scales. ``endpoints``: ready ones
    that a Service finds; given only where there should be some. ``excused_nodes``: those whose lack of
    a DaemonSet's pod is the node's own fault (``nodes.excused``).
    """

    since: float | None = None
    now: float | None = None
    has_status_subresource: bool | None = None
    wait_for_first_consumer: bool = False
    class_exists: bool | None = None
    target_exists: bool | None = None
    endpoints: int | None = None
    excused_nodes: int = 0


ReadinessRule = Callable[[Object, Facts], ObjectStatus]
Progress = tuple[int, int] | None


def several(count: int, one: str, many: str = "") -> str:
    """``1 pod``, ``2 pods``."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def current(
    reason: str = "", message: str = "", *, progress: Progress = None, warning: str = ""
) -> ObjectStatus:
    return ObjectStatus(Status.CURRENT, reason, message, progress, warning)


def waiting(reason: str, message: str, *, progress: Progress = None) -> ObjectStatus:
    return ObjectStatus(Status.IN_PROGRESS, reason, message, progress)


def failed(reason: str, message: str, *, progress: Progress = None) -> ObjectStatus:
    return ObjectStatus(Status.FAILED, reason, message, progress)


def unknown(reason: str, message: str) -> ObjectStatus:
    return ObjectStatus(Status.UNKNOWN, reason, message)


def exists(obj: Object, facts: Facts) -> ObjectStatus:
    """Of kinds that no controller reports on."""
    return current("Exists", "has nothing to wait for")

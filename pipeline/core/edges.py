"""What can stand between two objects of a set: an edge, and milestones on its way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from operator import attrgetter

from pipeline.model.objects import ObjectRef, Origin
from pipeline.model.plan import Strength


class Softness(IntEnum):
    """Whether an edge gives way where it would close a cycle; the greater, the sooner.

    ``reference``: only the better order, such as a route before its Service. ``default``: an order that
    an object has because it says nothing. ``coverage``: an admission webhook before what it looks at,
    itself and what it rests on among them.
    """

    NONE = 0
    REFERENCE = 1
    DEFAULT = 2
    COVERAGE = 3


@dataclass(frozen=True, slots=True)
class Edge:
    """``source`` is written after ``target``. ``why`` is the verb between the two: "reads".

    ``origin`` is the line that says so. ``annotation`` names what declares it, empty where that is the
    annotation of another object; None for what follows from the object's fields.
    """

    source: ObjectRef
    target: ObjectRef
    why: str
    strength: Strength
    origin: Origin
    annotation: str | None = None
    soft: Softness = Softness.NONE

    @property
    def declared(self) -> bool:
        """Whether a person wrote it as an order."""
        return self.annotation is not None

    def __str__(self) -> str:
        """A sentence, also through milestones: "A is in wave 1, after wave 0, which holds B"."""
        source = "which" if is_milestone(self.source) else str(self.source)
        target = "" if is_milestone(self.target) else f" {self.target}"
        return f"{source} {self.why}{target} ({self.origin})"


def milestone(name: str) -> ObjectRef:
    """A point that all objects of a group lead to, so that others can wait for all of them with one edge.

    Never written: not an object of any cluster. ``name`` tells what is reached: "sync-wave 1 done".
    """
    return ObjectRef("pipeline", "Milestone", "", name)


def is_milestone(ref: ObjectRef) -> bool:
    """Whether it stands for a point of the order instead of an object."""
    return ref.group == "pipeline" and ref.kind == "Milestone"


order = attrgetter("group", "kind", "namespace", "name")
"""The order of ObjectRef, as a key: comparing two of the dataclass is ten times slower than two tuples."""

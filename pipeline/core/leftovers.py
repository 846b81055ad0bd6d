"""What an environment that is in git no more left in its cluster, and how a person deletes it.

Pure. Nothing of it is deleted by a run: a folder that is missing may as well be a bad merge, and the guards
of pruning went with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pipeline.core.desired import foreign_owner, owner_selector
from pipeline.core.pruning import stays
from pipeline.model.environment import Environment
from pipeline.model.objects import Object, ObjectRef
from pipeline.model.release import InventoryEntry

_PLAIN = re.compile(r"[\w.,/=-]+")
"""What a shell takes as one word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """``objects`` are all that the environment still has; ``kept``, why some should outlive it."""

    objects: tuple[ObjectRef, ...] = ()
    kept: Mapping[ObjectRef, str]

    @property
    def going(self) -> tuple[ObjectRef, ...]:
        return tuple(ref for ref in self.objects if ref not in self.kept)


def leftovers(
    environment: Environment, inventory: Iterable[InventoryEntry], live: Mapping[ObjectRef, Object]
) -> Leftovers:
    """What of the inventory is still there, and not another environment's by now, as after a rename."""
    found: list[ObjectRef] = []
    kept: dict[ObjectRef, str] = {}
    for entry in inventory:
        present = live.get(entry.ref)
        if present is None or foreign_owner(present, environment):
            continue
        found.append(entry.ref)
        if why := stays(entry, present, environment):
            kept[entry.ref] = why
    return Leftovers(objects=tuple(sorted(found)), kept=kept)


def sentences(environment: Environment, left: Leftovers, release: int) -> Iterator[str]:
    """How much is left, and the commands that delete it."""
    number = len(left.objects)
    if not number:
        yield f"nothing of its release {release} is left in the cluster but its record"
    else:
        what = "1 object" if number == 1 else f"{number} objects"
        yield f"left in the cluster by its release {release}: {what}; no run deletes them"
    if commands := _commands(environment, left):
        yield f"to delete what is left: {'; '.join(commands)}"
    for ref, why in left.kept.items():
        yield f"{ref} would be kept: {why}"


def _commands(environment: Environment, left: Leftovers) -> list[str]:
    """By labels, so that they stay short; a kind of which something is to be kept is left to people. The
    records come last: as long as they are there, this is told."""
    spared = {(ref.namespace, _kind(ref)) for ref in left.kept}
    kinds: dict[str, set[str]] = {}
    for ref in left.going:
        if (ref.namespace, _kind(ref)) not in spared:
            kinds.setdefault(ref.namespace, set()).add(_kind(ref))
    if (environment.namespace, "secret") not in spared:
        kinds.setdefault(environment.namespace, set()).add("secret")
    words = [
        ["kubectl", "delete", ",".join(sorted(kinds[namespace])), *_in(namespace), "-l"]
        for namespace in sorted(kinds, key=lambda n: (n == environment.namespace, n))
    ]
    found = [[*command, owner_selector(environment)] for command in words]
    return [" ".join(command) for command in found if all(map(_PLAIN.fullmatch, command))]


def _in(namespace: str) -> list[str]:
    return ["-n", namespace] if namespace else []


def _kind(ref: ObjectRef) -> str:
    return f"{ref.kind}.{ref.group}".rstrip(".").lower()

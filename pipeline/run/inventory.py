"""What an environment owns, from what was desired and what the server made of it."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.model.objects import Object, ObjectRef, get_path
from pipeline.model.release import InventoryEntry
from pipeline.run.planning import Planned


def entries(planned: Planned, live: Mapping[ObjectRef, Object]) -> tuple[InventoryEntry, ...]:
    """One entry for each desired object that exists in ``live``."""
    found = []
    for desired in planned.desired:
        ref = desired.manifest.ref
        if obj := live.get(ref):
            entry = InventoryEntry(
                ref=ref,
                api_version=desired.manifest.api_version,
                uid="",
                generation=0,
                resource_version="",
                content=desired.content,
                origin=str(desired.manifest.origin),
            )
            found.append(refreshed(entry, obj))
    return tuple(sorted(found, key=lambda e: e.ref))


def refreshed(entry: InventoryEntry, live: Object) -> InventoryEntry:
    """The entry with the identity and version of the live object."""
    return InventoryEntry(
        ref=entry.ref,
        api_version=entry.api_version,
        uid=str(get_path(live, "metadata", "uid", default="")),
        generation=int(get_path(live, "metadata", "generation", default=0)),
        resource_version=str(get_path(live, "metadata", "resourceVersion", default="")),
        content=entry.content,
        origin=entry.origin,
    )


def intended(planned: Planned) -> tuple[InventoryEntry, ...]:
    """Entries for all that will be written, before it is: whoever takes over must know of it."""
    return tuple(
        InventoryEntry(
            ref=change.ref,
            api_version=change.api_version,
            uid=change.uid,
            generation=0,
            resource_version="",
            content="",
            origin=str(change.origin or ""),
        )
        for change in planned.plan.writes
    )

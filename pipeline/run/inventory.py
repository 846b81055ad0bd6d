"""What an environment owns, from what was desired and what the server made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline.model.objects import Object, ObjectRef, get_path
from pipeline.model.release import InventoryEntry
from pipeline.run.planning import Planned


def entries(planned: Planned, live: Mapping[ObjectRef, Object]) -> tuple[InventoryEntry, ...]:
    """One entry for each desired object that exists in ``live``, and for each hook.

    Also for hooks that did not run: else the next deploy would take them for new, and run them.
    """
    found = []
    for desired in planned.desired:
        ref = desired.manifest.ref
        obj = live.get(ref)
        if obj is not None or desired.hook:
            entry = InventoryEntry(
                ref=ref,
                api_version=desired.manifest.api_version,
                uid="",
                generation=0,
                resource_version="",
                content=desired.content,
                origin=str(desired.manifest.origin),
                hook=desired.hook is not None,
            )
            found.append(refreshed(entry, obj) if obj is not None else entry)
    return tuple(sorted(found, key=lambda e: e.ref))


def refreshed(entry: InventoryEntry, live: Object) -> InventoryEntry:
    """The entry with the identity and version of the live object."""
    return replace(
        entry,
        uid=str(get_path(live, "metadata", "uid", default="")),
        generation=int(get_path(live, "metadata", "generation", default=0)),
        resource_version=str(get_path(live, "metadata", "resourceVersion", default="")),
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

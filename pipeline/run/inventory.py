"""What an environment owns, from what was desired and what the server made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from operator import attrgetter

from pipeline.model.objects import Object, ObjectRef
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
            uid, generation, version = _seen(obj)
            entry = InventoryEntry(
                ref=ref,
                api_version=desired.manifest.api_version,
                uid=uid,
                generation=generation,
                resource_version=version,
                content=desired.content,
                origin=str(desired.manifest.origin),
                hook=desired.hook is not None,
            )
            found.append(entry)
    return tuple(sorted(found, key=attrgetter("ref")))


def refreshed(entry: InventoryEntry, live: Object) -> InventoryEntry:
    """The entry with the identity and version of the live object."""
    uid, generation, version = _seen(live)
    return replace(entry, uid=uid, generation=generation, resource_version=version)


def _seen(live: Object | None) -> tuple[str, int, str]:
    """(uid, generation, resource version) of a live object; of none, as where they are not known."""
    meta = (live or {}).get("metadata") or {}
    return (
        str(meta.get("uid") or ""),
        int(meta.get("generation") or 0),
        str(meta.get("resourceVersion") or ""),
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

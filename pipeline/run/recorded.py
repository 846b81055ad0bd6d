"""Manifests from a release's record: what was rendered then, without the repository."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.model.objects import Manifest, ObjectRef, Origin
from pipeline.model.release import Release


def recorded_manifests(release: Release) -> Sequence[Manifest]:
    """What the release rendered, each with the file and line of its object; those of fields are not kept."""
    origins = {e.ref: e.origin for e in release.inventory}
    found = []
    for body in release.rendered:
        ref = ObjectRef.of(body)
        path, _, line = origins.get(ref, "").rpartition(":")
        origin = Origin(path, int(line)) if line.isdigit() else Origin(f"release {release.number}")
        found.append(Manifest(ref, body, origin))
    return found

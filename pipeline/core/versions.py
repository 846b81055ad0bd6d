"""In which versions the kinds of custom resources are served, by their definitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipeline.model.objects import Object, get_path

Versions = Mapping[tuple[str, str], tuple[str, ...]]
"""(group, kind) → the apiVersions in which it is served."""


def served(bodies: Iterable[Object]) -> Versions:
    """What the CustomResourceDefinitions among ``bodies`` say. Malformed ones say nothing."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for body in bodies:
        if body.get("kind") != "CustomResourceDefinition":
            continue
        group, kind = get_path(body, "spec", "group"), get_path(body, "spec", "names", "kind")
        versions = get_path(body, "spec", "versions")
        found[str(group), str(kind)] = tuple(
            f"{group}/{version['name']}"
            for version in (versions if isinstance(versions, list) else ())
            if isinstance(version, dict) and version.get("served") and version.get("name")
        )
    return found

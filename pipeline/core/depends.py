"""The orders that people declare with annotations on an object."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Manifest, ObjectRef, get_path


class Known(Protocol):
    """The set in which declared dependencies must be."""

    manifests: Sequence[Manifest]

    def find(self, ref: ObjectRef) -> ObjectRef | None:
        """The reference as the set writes it, or None."""


def declared(
    manifest: Manifest, known: Known, problems: list[Problem]
) -> Iterator[tuple[FieldPath, ObjectRef]]:
    """(path of the annotation, object of the set) for each declared dependency.

    What cannot be followed is added to ``problems``.
    """
    annotations = get_path(manifest.body, "metadata", "annotations", default={})
    if not isinstance(annotations, dict):
        return
    for annotation, (parse, form) in _FORMATS.items():
        path = ("metadata", "annotations", annotation)
        for text in _entries(annotations.get(annotation)):
            target = parse(text)
            if target is None:
                problems.append(_malformed(manifest, path, text, form))
                continue
            found = known.find(target)
            if found is None:
                problems.append(_unknown(manifest, path, target, known))
            else:
                yield path, found


def parse_cli_utils(text: str) -> ObjectRef | None:
    """Read ``group/namespaces/namespace/kind/name`` or ``group/kind/name``; None where it is neither.

    The format of config.kubernetes.io/depends-on; the core group is empty: ``/namespaces/a/Pod/b``.
    """
    match text.split("/"):
        case [group, "namespaces", namespace, kind, name] if namespace and kind and name:
            return ObjectRef(group, kind, namespace, name)
        case [group, kind, name] if kind and name:
            return ObjectRef(group, kind, "", name)
        case _:
            return None


def parse_own(text: str) -> ObjectRef | None:
    """Read ``group/Kind/namespace/name``; None where it is not."""
    try:
        return ObjectRef.parse(text)
    except ValueError:
        return None


_FORMATS: dict[str, tuple[Callable[[str], ObjectRef | None], str]] = {
    "pipeline/depends-on": (parse_own, "group/Kind/namespace/name"),
    "config.kubernetes.io/depends-on": (
        parse_cli_utils,
        "group/namespaces/namespace/kind/name or group/kind/name",
    ),
}


def _entries(value: object) -> list[str]:
    if not isinstance(value, str):
        return []
    return [text.strip() for text in value.split(",") if text.strip()]


def _malformed(manifest: Manifest, path: FieldPath, text: str, form: str) -> Problem:
    return Problem(
        code="depends-on-malformed",
        message=f"{manifest.ref}: {path[-1]}: {text!r} is not an object",
        origin=manifest.origin_of(path),
        hint=f"write {form}",
        object=manifest.ref,
    )


def _unknown(manifest: Manifest, path: FieldPath, target: ObjectRef, known: Known) -> Problem:
    near = nearest(target, (m.ref for m in known.manifests if m.ref != manifest.ref))
    return Problem(
        code="depends-on-unknown",
        message=f"{manifest.ref}: {path[-1]}: {target} is not among the objects to deploy",
        origin=manifest.origin_of(path),
        hint=f"did you mean {near}?" if near else "",
        object=manifest.ref,
    )


def nearest(target: ObjectRef, candidates: Iterator[ObjectRef]) -> ObjectRef | None:
    """The candidate that reads most alike; those of the same kind or name are preferred."""
    written = {str(ref): ref for ref in candidates}
    akin = [t for t, r in written.items() if target.name == r.name or target.kind == r.kind]
    for names in (akin, list(written)):
        # Bounded: comparing is quadratic in the length, and a hint is not worth seconds.
        found = difflib.get_close_matches(str(target), sorted(names)[:_COMPARED], n=1)
        if found:
            return written[found[0]]
    return None


_COMPARED = 2000

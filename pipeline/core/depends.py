"""Dependencies that people declare, object by object, with annotations."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator

from pipeline.core.edges import Edge
from pipeline.core.lookup import Lookup, annotations_of
from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Manifest, ObjectRef
from pipeline.model.plan import Strength


def declared(lookup: Lookup, problems: list[Problem], *, whole: bool = True) -> Iterator[Edge]:
    """The edge of each declared dependency. What cannot be followed is added to ``problems``.

    Where the set is not ``whole``, an object that is not in it may well be elsewhere, and is no problem.
    """
    for manifest, notes in lookup.annotated:
        for annotation in _FORMATS:
            if annotation in notes:
                yield from _dependencies(manifest, annotation, lookup, problems, whole=whole)


def _dependencies(
    manifest: Manifest, annotation: str, lookup: Lookup, problems: list[Problem], *, whole: bool
) -> Iterator[Edge]:
    parse, form = _FORMATS[annotation]
    path = ("metadata", "annotations", annotation)
    why = f"declares with {annotation} that it needs"
    for text in _entries(annotations_of(manifest)[annotation]):
        target = parse(text)
        if target is None:
            problems.append(_malformed(manifest, path, text, form))
            continue
        found = lookup.find(target)
        if found is not None:
            yield Edge(manifest.ref, found, why, Strength.READY, manifest.origin_of(path), annotation)
        elif lookup.idle(target) is not None:
            problems.append(_idle(manifest, path, target))
        elif whole:
            problems.append(_unknown(manifest, path, target, lookup))


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


def _idle(manifest: Manifest, path: FieldPath, target: ObjectRef) -> Problem:
    return Problem(
        code="depends-on-idle",
        message=f"{manifest.ref}: {path[-1]}: {target} is a hook that does not run in this deploy",
        origin=manifest.origin_of(path),
        hint="depend on an object that every deploy writes, or give the hook a phase that runs",
        object=manifest.ref,
    )


def _unknown(manifest: Manifest, path: FieldPath, target: ObjectRef, known: Lookup) -> Problem:
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

"""Which line of which file has set each field of a rendered object, as far as the result shows it.

Pure. A program that renders does not say where a value comes from; but of a field that holds what a patch
says, the patch is the place to correct it, and else the manifest that holds the field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipeline.model.objects import FieldPath, Json, Origin

_NAMES: Final = (
    "name",
    "mountPath",
    "containerPort",
    "port",
    "key",
    "topologyKey",
    "ip",
    "devicePath",
    "uid",
)
"""What tells the items of a list apart, where Kubernetes merges them by a key (patchMergeKey in its types);
an item that has a ``name`` is told by it in nearly all lists."""


@dataclass(frozen=True, slots=True)
class Written:
    """A document of a file: what it says, and on which line each field stands."""

    value: Json
    path: str
    lines: Mapping[FieldPath, int]
    first: int = 1

    def origin(self, at: FieldPath) -> Origin:
        """The line of a field; of the nearest one around it where it is not written."""
        ends = (at[:end] for end in range(len(at), -1, -1))
        return Origin(self.path, next((self.lines[end] for end in ends if end in self.lines), self.first))


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a JSON patch (RFC 6902): the field that it sets, and what to; ``at`` is where it stands."""

    target: FieldPath
    value: Json
    origin: Origin


def places(body: Json, base: Written, patches: Sequence[Written | Operation]) -> dict[FieldPath, Origin]:
    """The place of every field that ``base`` or one of ``patches`` has set; the last patch wins."""
    found = {path: base.origin(at) for path, at, _ in _aligned(body, base.value, (), ())}
    for patch in patches:
        if isinstance(patch, Operation):
            found |= _of_operation(body, patch)
        else:
            found |= _of_patch(body, patch, found)
    return found


def _of_patch(body: Json, patch: Written, known: Mapping[FieldPath, Origin]) -> dict[FieldPath, Origin]:
    """The fields that hold what the patch says, and those that nobody before it had."""
    return {
        path: patch.origin(at)
        for path, at, value in _aligned(body, patch.value, (), ())
        if path not in known or (not isinstance(value, (dict, list)) and path not in _IDENTITY)
    }


_IDENTITY: Final = {("apiVersion",), ("kind",), ("metadata", "name")}
"""What a patch says only to be found."""


def _of_operation(body: Json, patch: Operation) -> dict[FieldPath, Origin]:
    found = step_into(body, patch.target)
    if found is None or found[1] != patch.value:
        return {}
    path, value = found
    return {path: patch.origin, **dict.fromkeys(_below(value, path), patch.origin)}


def step_into(body: Json, path: FieldPath) -> tuple[FieldPath, Json] | None:
    """(path with real indices, value) of a path whose steps may be ``-``, the last item; None: not there."""
    done: list[str | int] = []
    for step in path:
        if isinstance(body, list):
            index = len(body) - 1 if step == "-" else int(step) if str(step).isdecimal() else -1
            if not 0 <= index < len(body):
                return None
            done.append(index)
            body = body[index]
        elif isinstance(body, dict) and step in body:
            done.append(step)
            body = body[step]
        else:
            return None
    return tuple(done), body


def _below(value: Json, path: FieldPath) -> Iterator[FieldPath]:
    for step, item in _items(value):
        yield (*path, step)
        yield from _below(item, (*path, step))


def _aligned(
    body: Json, written: Json, path: FieldPath, at: FieldPath
) -> Iterator[tuple[FieldPath, FieldPath, Json]]:
    """(path in the object, path in the document, value) of the fields that both have; of a value that is
    none of the document's any more, only what stands around it. Not deeper than a file may nest."""
    if isinstance(body, dict) and isinstance(written, dict):
        pairs: list[tuple[Any, Any]] = [(key, key) for key in body if key in written]
    elif isinstance(body, list) and isinstance(written, list):
        pairs = _paired(body, written)
    else:
        return
    for mine, theirs in pairs:
        here, there = (*path, mine), (*at, theirs)
        value = body[mine]
        if isinstance(value, (dict, list)) or value == written[theirs]:
            yield here, there, value
        yield from _aligned(value, written[theirs], here, there)


def _paired(body: list[Json], written: list[Json]) -> list[tuple[int, int]]:
    """Which item of the object is which of the document: by its name, else equal ones in their order."""
    left = dict(enumerate(written))
    pairs = []
    for mine, item in enumerate(body):
        theirs = next((i for i, other in left.items() if _is_same(item, other)), None)
        if theirs is not None:
            del left[theirs]
            pairs.append((mine, theirs))
    return pairs


def _is_same(item: Json, other: Json) -> bool:
    if not isinstance(item, dict) or not isinstance(other, dict):
        return bool(item == other)
    key = next((name for name in _NAMES if name in item), None)
    return bool(item == other) if key is None else other.get(key) == item[key]


def _items(value: Json) -> Iterator[tuple[str | int, Json]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)

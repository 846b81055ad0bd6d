"""The objects and patches that a kustomization is made of, as they are written, and what kustomize would
read of them otherwise than kubectl.

kustomize reads files with YAML 1.2's words and YAML 1.1's dates, kubectl the other way round: ``on`` is true
for one and text for the other, ``2020-01-01`` text for one and a time for the other. Such spellings are
refused with their line (measured with kustomize 5.5.0 and 5.8.1: docs/decisions/0019-kustomize.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from yaml import YAMLError
from yaml._yaml import CParser
from yaml.events import ScalarEvent, StreamEndEvent

from pipeline.adapters.git import GitRepository
from pipeline.adapters.kustomize_graph import Graph, Layer, Named
from pipeline.adapters.yaml import Document, flatten, identity_problems, load_documents
from pipeline.core.kustomization import Role, is_inline
from pipeline.core.provenance import Operation, Written
from pipeline.core.schema import shown
from pipeline.model.errors import InvalidError, Problem
from pipeline.model.objects import FieldPath, Json, Origin

_WORDS: Final = frozenset(
    spelling
    for word in ("y", "yes", "n", "no", "on", "off")
    for spelling in (word, word.title(), word.upper())
)
_DATE: Final = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([Tt ].*)?")
_PLAIN_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_UNREADABLE: Final = frozenset(
    {"yaml-syntax", "bad-encoding", "too-large", "too-deep", "excessive-aliasing", "bad-alias", "bad-key"}
)
"""After these nobody knows what the rest of a file says."""

_EXACT: Final = 2**53
"""Whole numbers beyond it are rounded by the JSON reader of JSON patches."""

_WHOLE: Final = (2.0**63, 2.0**64)
"""Numbers between these are written as whole ones, which do not fit into 64 bits with a sign."""


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch of a kustomization: documents that are merged, or steps; ``target`` is its selector."""

    layer: Layer
    target: Json
    documents: tuple[Written, ...] = ()
    steps: tuple[Operation, ...] = ()


@dataclass(frozen=True, slots=True)
class Replacement:
    """One replacement of a kustomization, and where it is written."""

    layer: Layer
    value: Json
    origin: Origin


@dataclass(slots=True)
class Texts:
    """``objects`` by the file that holds them, in its order."""

    objects: dict[str, list[Written]] = field(default_factory=dict)
    patches: list[Patch] = field(default_factory=list)
    replacements: list[Replacement] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read(repository: GitRepository, revision: str, graph: Graph) -> Texts:
    """What the files of a graph say, each read once, with every problem of theirs."""
    texts = Texts()
    objects = list(dict.fromkeys(named.file for named in graph.files(Role.RESOURCE)))
    others = [named for named in graph.named if named.reference.role in (Role.PATCH, Role.REPLACEMENT)]
    variables = [named for named in graph.files(Role.FILE) if {"env", "envs"} & set(named.reference.at)]
    named_files = [named.file for named in (*others, *variables)]
    contents = _contents(repository, revision, [*objects, *named_files], texts)
    for path in objects:
        documents = _load(path, contents.get(path, b""), _of_file(path), texts)
        flat = [one for document in documents for one in flatten(document)]
        texts.objects[path] = [Written(value, path, lines, origin.line) for value, origin, lines in flat]
        texts.problems += [problem for one in flat for problem in identity_problems(*one)]
        texts.problems += [problem for written in texts.objects[path] for problem in _numbers(written)]
    for named in others:
        place = _of_file(named.file)
        documents = _load(named.file, contents.get(named.file, b""), place, texts)
        if named.reference.role is Role.PATCH:
            _add_patch(named.layer, _selector(named), documents, place, texts)
        else:
            texts.replacements += _replacements(named, documents)
    for named in variables:
        texts.problems += _borrowed(named.file, contents.get(named.file, b""))
    for layer in graph.layers.values():
        texts.replacements += [Replacement(layer, *one) for one in _inline_replacements(layer)]
        for at, text in _inline(layer.value):
            place = _within(layer, at)
            documents = _load(layer.path, text.encode(), place, texts)
            _add_patch(layer, _target(layer.value, at), documents, place, texts)
    return texts


def _borrowed(path: str, content: bytes) -> Iterator[Problem]:
    """Names without a value: kustomize takes that from the environment variables of whoever runs it."""
    for number, line in enumerate(content.decode("utf-8-sig", "replace").splitlines(), 1):
        name = line.strip()
        if name and not name.startswith("#") and "=" not in name:
            message = f"{shown(name)} has no value, and would have the one of an environment variable"
            origin = Origin(path, number)
            yield Problem(code="bad-value", message=message, origin=origin, hint="write NAME=VALUE")


def _replacements(named: Named, documents: list[Document]) -> Iterator[Replacement]:
    """Those of a file: each document is one, or a list of them."""
    for document in documents:
        written = Written(document.value, named.file, document.lines, document.origin.line)
        if isinstance(document.value, list):
            for index, value in enumerate(document.value):
                yield Replacement(named.layer, value, written.origin((index,)))
        else:
            yield Replacement(named.layer, document.value, written.origin(()))


def _inline_replacements(layer: Layer) -> Iterator[tuple[Json, Origin]]:
    entries = layer.value.get("replacements")
    for index, value in enumerate(entries) if isinstance(entries, list) else ():
        yield value, layer.origin(("replacements", index))


Place = Callable[[int], Origin]
"""A line of a text → where that is in the repository."""


def _of_file(path: str) -> Place:
    return lambda line: Origin(path, line)


def _contents(
    repository: GitRepository, revision: str, paths: Iterable[str], texts: Texts
) -> Mapping[str, bytes]:
    try:
        return repository.read(revision, sorted(set(paths)))
    except InvalidError as error:
        texts.problems += error.problems
        return {}


def _load(path: str, content: bytes, place: Place, texts: Texts) -> list[Document]:
    documents: list[Document] = []
    found: list[Problem] = []
    try:
        documents = load_documents(path, content)
    except InvalidError as error:
        found = [_moved(problem, place) for problem in error.problems]
    if not path.endswith(".json") and not any(problem.code in _UNREADABLE for problem in found):
        found += misread(content, place)
    texts.problems += sorted(found, key=lambda p: p.origin or Origin(path))
    return documents


def _moved(problem: Problem, place: Place) -> Problem:
    origin = place(problem.origin.line if problem.origin else 1)
    return Problem(code=problem.code, message=problem.message, origin=origin, hint=problem.hint)


def misread(content: bytes, place: Place) -> Iterator[Problem]:
    """Every scalar of a readable text that kustomize reads otherwise than kubectl, as a problem."""
    parser = CParser(content.decode("utf-8-sig", "replace"))
    try:
        while not isinstance(event := parser.get_event(), StreamEndEvent):
            if isinstance(event, ScalarEvent) and (why := _why(event)):
                message = f"{shown(event.value)} is {why}"
                line = event.start_mark.line + 1 if event.start_mark else 1
                origin = place(line)
                yield Problem(code="read-otherwise", message=message, origin=origin, hint=_hint(event.value))
    except YAMLError:
        return  # such a text was refused before


def _why(event: ScalarEvent) -> str:
    if event.tag == "!":
        return "a string to kubectl, but not to kustomize"
    if event.tag is not None or not event.implicit[0]:
        return ""
    if event.value in _WORDS:
        return "a boolean to kubectl and a string to kustomize"
    if _DATE.fullmatch(event.value) and not _PLAIN_TIME.fullmatch(event.value):
        return "a string to kubectl and a time to kustomize, which writes it otherwise"
    return ""


def _hint(value: str) -> str:
    word = value.lower()
    if word not in ("y", "yes", "on", "n", "no", "off"):
        return "quote it"
    return f"quote it, or write {'true' if word in ('y', 'yes', 'on') else 'false'}"


# --- patches


def _inline(value: Mapping[str, Json]) -> Iterator[tuple[FieldPath, str]]:
    """(field, text) of patches that stand in the kustomization itself."""
    for name in ("patches", "patchesJson6902", "patchesStrategicMerge"):
        field_ = value.get(name)
        for index, entry in enumerate(field_) if isinstance(field_, list) else ():
            if isinstance(entry, dict) and isinstance(entry.get("patch"), str) and entry["patch"].strip():
                yield (name, index, "patch"), entry["patch"]
            elif isinstance(entry, str) and is_inline(entry):
                yield (name, index), entry


def _within(layer: Layer, at: FieldPath) -> Place:
    """Lines of a text within a kustomization: those of a block one after the other, else all on one."""
    first = layer.origin(at).line
    lines = layer.content.decode("utf-8-sig", "replace").splitlines()
    is_block = first <= len(lines) and re.search(r"[|>][-+0-9]*\s*(#.*)?$", lines[first - 1])
    return lambda line: Origin(layer.path, first + line if is_block else first)


def _selector(named: Named) -> Json:
    return _target(named.layer.value, named.reference.at) if named.origin.path == named.layer.path else None


def _target(value: Mapping[str, Json], at: FieldPath) -> Json:
    """The selector of the patch whose ``path`` or ``patch`` is at this field."""
    entry: Json = value
    for step in at[:2]:
        entry = entry[step]
    return entry.get("target") if isinstance(entry, dict) else None


def _add_patch(layer: Layer, target: Json, documents: list[Document], place: Place, texts: Texts) -> None:
    merged, steps = [], []
    for document in documents:
        lines = {at: place(line).line for at, line in document.lines.items()}
        written = Written(document.value, place(1).path, lines, place(document.origin.line).line)
        texts.problems += _numbers(written)
        if isinstance(document.value, list):
            steps += list(_steps(written))
        else:
            merged.append(written)
    texts.patches.append(Patch(layer, target, tuple(merged), tuple(steps)))


def _steps(written: Written) -> Iterator[Operation]:
    for index, step in enumerate(written.value):
        if isinstance(step, dict) and isinstance(step.get("path"), str):
            parts = step["path"].lstrip("/").split("/")
            target = tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)
            yield Operation(target, step.get("value"), written.origin((index, "value")))


def _numbers(written: Written) -> Iterator[Problem]:
    """Numbers that do not come out as they went in."""
    is_steps = isinstance(written.value, list)
    for at, value in _leaves(written.value, ()):
        if isinstance(value, float) and _WHOLE[0] <= abs(value) < _WHOLE[1]:
            why = "written as a whole number beyond 64 bits by kustomize"
        elif is_steps and isinstance(value, int) and abs(value) > _EXACT:
            why = "rounded by kustomize, as all numbers beyond 2^53 in a JSON patch"
        else:
            continue
        message = f"{value} is {why}"
        hint = "quote it, or write it in a patch that is merged" if is_steps else "quote it"
        yield Problem(code="read-otherwise", message=message, origin=written.origin(at), hint=hint)


def _leaves(value: Json, at: FieldPath) -> Iterator[tuple[FieldPath, Json]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*at, index))
    else:
        yield at, value

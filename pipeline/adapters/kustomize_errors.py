"""What kustomize says on its standard error, as a problem with the file and line that it is about."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipeline.adapters.child import MIB, Ended
from pipeline.adapters.git_tree import normal
from pipeline.adapters.kustomize_graph import Graph, Layer
from pipeline.adapters.kustomize_program import LIMITS
from pipeline.adapters.kustomize_texts import Texts
from pipeline.core.kustomization import references
from pipeline.core.kustomization_fields import generators
from pipeline.model.errors import Problem
from pipeline.model.objects import Json, Origin, get_path

_LONGEST: Final = 400
_SHORTEST_WORD: Final = 3
"""Shorter words of a file turn up in any message."""

_INNER: Final = re.compile(r"(?:recursed accumulation of|couldn't make target for) path '([^']*)': ")
_ENTRY: Final = re.compile(r"(?:accumulating|merging) resources from '([^']*)': ")
_NOISE: Final = re.compile(
    r"^(?:accumulating resources: |accumulation err='|'[^']*' must resolve to a file': "
    r"|recursed merging from path '[^']*': )+"
)
_OBJECT: Final = re.compile(
    r"\b([A-Z]\w*)\.(?:\[noVer\]|v\w+)\.(?:\[noGrp\]|[\w.]+)/([\w.-]+?)\.(?:\[noNs\]|[\w-]+)"
)
_UNKNOWN: Final = re.compile(r'unknown field "([^"]+)"')
_LITERALS: Final = re.compile(r"(literal sources )\[.*\](?=: )", re.DOTALL)
_LITERAL: Final = re.compile(r"(invalid literal source ).*?(?=, expected|$)", re.DOTALL)
_ERROR: Final = re.compile(r"(?:^|\n)[Ee]rror: ")
_LOGGED: Final = re.compile(r'^E\d{4} [^\]]*\] "command failed" err=(?:<\n(.*)\n >|"(.*)")', re.DOTALL)
"""Some builds of kubectl log why they end, on one line or several, instead of saying it."""

_COPY: Final = re.compile(r"\.pipeline-remote/\d+-([0-9a-f]{12})[0-9a-f]*")
_MEMORY: Final = re.compile(r"out of memory|cannot allocate memory", re.IGNORECASE)

_FIELDS: Final = (
    ("replacement", "replacements"),
    ("strategic merge patch", "patches"),
    ("patch", "patches"),
    ("operation does not apply", "patches"),
    ("accumulating components", "components"),
    ("loading crds", "crds"),
    ("configmap", "configMapGenerator"),
    ("loading kv pairs", "configMapGenerator"),
    ("secret", "secretGenerator"),
    ("var '", "vars"),
    ("error unmarshaling json", "configurations"),
)
"""Words of a message, and the field that it is about, where nothing tells more."""


def problem_of(ended: Ended, root: Path, graph: Graph, texts: Texts, top: Layer) -> Problem:
    """Why kustomize ended, on one line. No value of a literal is repeated: those may be secrets."""
    told = _told(ended, root)
    inner = _INNER.findall(told)
    layer = graph.layers.get(inner[-1].strip("/"), top) if inner else top
    text = _INNER.split(told)[-1]
    entries = _ENTRY.findall(text)
    core = _NOISE.sub("", _ENTRY.split(text)[-1])
    core = core.partition("': must build at directory")[0].strip().rstrip("'")
    origin = _origin(core, entries[-1] if entries else "", layer, texts)
    return Problem(code="kustomize-failed", message=f"kustomize: {core[:_LONGEST]}", origin=origin)


def _told(ended: Ended, root: Path) -> str:
    if _MEMORY.search(ended.errors):
        return f"it took more than {LIMITS.memory_bytes // MIB} MiB of memory"
    text = _ERROR.split(ended.errors)[-1]
    if logged := _LOGGED.search(text):
        text = logged[1] or logged[2].replace('\\"', '"').replace("\\n", "\n")
    text = text.replace(f"{root}/", "").replace(str(root), ".")
    text = _COPY.sub(r"\1", text)
    text = _LITERAL.sub(r"\1…", _LITERALS.sub(r"\1[…]", text))
    return " ".join(text.split()) or f"it ended with code {ended.code} and no word"


def _origin(message: str, entry: str, layer: Layer, texts: Texts) -> Origin:
    found = next(_candidates(message, entry, layer, texts), None)
    return found or Origin(layer.path)


def _candidates(message: str, entry: str, layer: Layer, texts: Texts) -> Iterator[Origin]:
    """The places that a message may mean, the likeliest first."""
    yield from (layer.origin(at) for at, text in _scalars(layer.value, ()) if entry and text == entry)
    unknown = _UNKNOWN.findall(message)
    yield from (layer.origin(at) for at in layer.lines if at[-1] in unknown)
    if "patch" in message:
        yield from _of_patches(message, layer, texts)
    for kind, name, at in generators(layer.value):
        if re.search(rf"\b{kind}\b.* {re.escape(name)}\b", message, re.IGNORECASE):
            yield layer.origin(at)
    words = sorted(_words(message, layer, texts), key=lambda one: -len(one[0]))
    yield from (origin for _, origin in words)
    fields = [(field,) for word, field in _FIELDS if word in message.lower()]
    yield from (layer.origin(at) for at in fields if at in layer.lines)


def _of_patches(message: str, layer: Layer, texts: Texts) -> Iterator[Origin]:
    """Merged patches of the object that is named."""
    for kind, name in _OBJECT.findall(message):
        for patch in texts.patches:
            for document in patch.documents if patch.layer.folder == layer.folder else ():
                meant = get_path(document.value, "metadata", "name"), get_path(document.value, "kind")
                if meant == (name, kind):
                    yield document.origin(("metadata", "name"))


def _words(message: str, layer: Layer, texts: Texts) -> Iterator[tuple[str, Origin]]:
    """Texts of the kustomization, and steps of its patches, that the message repeats."""
    for at, text in _scalars(layer.value, ()):
        if _is_told(text, message):
            yield text, layer.origin(at)
    for reference in references(layer.value):
        path = normal(posixpath.join(layer.folder, reference.path))
        if _is_told(path, message):
            yield path, layer.origin(reference.at)
    for patch in texts.patches:
        for step in patch.steps if patch.layer.folder == layer.folder else ():
            path = "/" + "/".join(str(part) for part in step.target)
            if _is_told(path, message):
                yield path, step.origin


def _is_told(text: str, message: str) -> bool:
    if not _SHORTEST_WORD <= len(text) <= _LONGEST or "\n" in text:
        return False
    return re.search(rf"(?<![\w/.-]){re.escape(text)}(?![\w/-])", message) is not None


def _scalars(value: Json, at: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every text of a value; files do not nest deeper than recursion bears."""
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _scalars(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _scalars(item, (*at, index))

"""What kustomize has printed, as manifests whose fields know where they were written.

kustomize could note the file of each object (``buildMetadata: [originAnnotations]``), but then takes 70 times
as long: 45 s instead of 0.6 s for 170 objects with a patch each (5.8.1). So objects are found by kind and
name, with the prefixes and suffixes of the kustomizations that they go through; which field a patch or a
setting has set is seen from the values (``core/provenance.py``).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pipeline.adapters.git_tree import normal
from pipeline.adapters.kustomize_graph import Graph, Layer
from pipeline.adapters.kustomize_remote import Fetched
from pipeline.adapters.kustomize_texts import Patch, Texts
from pipeline.adapters.yaml import flatten, identity_problems, load_documents
from pipeline.core import kustomization_fields as fields
from pipeline.core.provenance import Operation, Written, places
from pipeline.model.errors import InvalidError, Problem
from pipeline.model.objects import FieldPath, Json, Manifest, Object, ObjectRef, Origin, get_path

_PRINTED: Final = "kustomize.yaml"
"""What stands for the printed text where a reader wants a file's name; nobody sees it."""

_MOST_ROUTES: Final = 64
"""Ways from the outermost kustomization to one of its bases; a base that is used more often than that is told
by the first ones."""


@dataclass(frozen=True, slots=True)
class _Route:
    """How objects of a kustomization come to the outermost one: ``folders``, outermost first, and what these
    make of their names."""

    folders: tuple[str, ...]
    prefix: str
    suffix: str
    namespace: str

    def into(self, layer: Layer) -> _Route:
        """The way one kustomization further in."""
        return _Route(
            (*self.folders, layer.folder),
            self.prefix + _text(layer, "namePrefix"),
            _text(layer, "nameSuffix") + self.suffix,
            self.namespace or _text(layer, "namespace"),
        )


@dataclass(frozen=True, slots=True)
class _Source:
    """A document that an object may be made of, or the entry of a generator; and the way it takes."""

    written: Written
    route: _Route
    name: str
    entry: FieldPath = ()

    @property
    def expected(self) -> str:
        return f"{self.route.prefix}{self.name}{self.route.suffix}"


def manifests(
    output: bytes, graph: Graph, texts: Texts, top: Layer, fetched: Sequence[Fetched] = ()
) -> list[Manifest]:
    """The printed objects, in their order. Those of other repositories have the line that refers to these.

    Raises:
        InvalidError: an object cannot be read as kubectl would read it, or has no name.
    """
    sources = _Sources(graph, texts, top, fetched)
    found: list[Manifest] = []
    try:
        documents = load_documents(_PRINTED, output)
    except InvalidError as error:
        raise _at_top(error.problems, top) from error
    for document in documents:
        for body, origin, lines in flatten(document):
            if problems := identity_problems(body, origin, lines):
                raise _at_top(problems, top)
            found.append(sources.manifest(body))
    return found


def _at_top(problems: Sequence[Problem], top: Layer) -> InvalidError:
    told = [
        Problem(
            code=p.code, message=f"what kustomize makes: {p.message}", origin=Origin(top.path), hint=p.hint
        )
        for p in problems
    ]
    return InvalidError(str(told[0]), problems=told)


@dataclass
class _Sources:
    """All that objects may be made of, by kind and by expected name."""

    graph: Graph
    texts: Texts
    top: Layer
    fetched: Sequence[Fetched]
    exact: dict[tuple[str, str], list[_Source]] = field(default_factory=dict)
    kinds: dict[str, list[_Source]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        routes = _routes(self.graph, self.top)
        for layer in self.graph.layers.values():
            files = [n.file for n in self.graph.named if n.layer.folder == layer.folder]
            for route in routes.get(layer.folder, ()):
                for file in files:
                    for written in self.texts.objects.get(file, ()):
                        name = get_path(written.value, "metadata", "name", default="")
                        self._add(str(get_path(written.value, "kind")), _Source(written, route, str(name)))
                for kind, name, at in fields.generators(layer.value):
                    entry = Written({}, layer.path, {}, layer.origin(at).line)
                    self._add(kind, _Source(entry, route, name, at))
                for one in self.fetched:
                    if one.named.layer == layer:
                        self._add_fetched(one, one.named.origin, route)

    def _add_fetched(self, one: Fetched, origin: Origin, route: _Route) -> None:
        for documents in one.texts.objects.values():
            for written in documents:
                name = get_path(written.value, "metadata", "name", default="")
                place = Written({}, origin.path, {}, origin.line)
                self._add(str(get_path(written.value, "kind")), _Source(place, route, str(name)))
        for inner in one.inner:
            self._add_fetched(inner, origin, route)

    def _add(self, kind: str, source: _Source) -> None:
        self.exact.setdefault((kind, source.expected), []).append(source)
        self.kinds.setdefault(kind, []).append(source)

    def manifest(self, body: Object) -> Manifest:
        source = self._found(body)
        if source is None:
            return Manifest(ObjectRef.of(body), body, Origin(self.top.path))
        found: dict[FieldPath, Origin] = {}
        if source.entry:
            layer = self.graph.layers[source.route.folders[-1]]
            found = _of_keys(layer, source.entry)
        changes = list(self._changes(body, source))
        found |= places(body, source.written, changes)
        origin = source.written.origin(())
        lines = {path: place.line for path, place in found.items() if place.path == origin.path}
        elsewhere = {path: place for path, place in found.items() if place.path != origin.path}
        return Manifest(ObjectRef.of(body), body, origin, lines, elsewhere)

    def _found(self, body: Object) -> _Source | None:
        """By the name that is expected, without the hash of a generator; else the longest name within it."""
        kind, name = str(body["kind"]), str(body["metadata"]["name"])
        known = [*self.exact.get((kind, name), ()), *self.exact.get((kind, name.rpartition("-")[0]), ())]
        if not known:
            known = [s for s in self.kinds.get(kind, ()) if s.name and s.name in name]
            known.sort(key=lambda source: -len(source.name))
        wanted = str(get_path(body, "metadata", "namespace", default=""))
        fitting = [s for s in known if wanted in (s.route.namespace, _namespace(s.written.value))]
        return next(iter(fitting or known), None)

    def _changes(self, body: Object, source: _Source) -> Iterator[Written | Operation]:
        """What the kustomizations on the way do to an object, the innermost first."""
        for folder in reversed(source.route.folders):
            components = [f for f in self.graph.below.get(folder, ()) if self._is_component(f)]
            for layer in (self.graph.layers[f] for f in [*components, folder] if f in self.graph.layers):
                for patch in self.texts.patches:
                    if patch.layer.folder == layer.folder:
                        yield from _applied(patch, body, source.name)
                for path, at in fields.settings(layer.value, body, source.name):
                    yield Operation(path, get_path(body, *path), layer.origin(at))
                for one in self.texts.replacements:
                    if one.layer.folder == layer.folder:
                        for path in fields.replaced(one.value, body, source.name):
                            yield Operation(path, get_path(body, *path), one.origin)

    def _is_component(self, folder: str) -> bool:
        return folder in self.graph.layers and self.graph.layers[folder].value.get("kind") == "Component"


def _routes(graph: Graph, top: Layer) -> dict[str, list[_Route]]:
    """Every way to every kustomization, few of them where there are many."""
    start = _Route((), "", "", "").into(top)
    found: dict[str, list[_Route]] = {top.folder: [start]}
    waiting = [start]
    while waiting:
        route = waiting.pop(0)
        for folder in graph.below.get(route.folders[-1], ()):
            known = found.setdefault(folder, [])
            if folder in graph.layers and len(known) < _MOST_ROUTES and folder not in route.folders:
                known.append(route.into(graph.layers[folder]))
                waiting.append(known[-1])
    return found


def _text(layer: Layer, name: str) -> str:
    value = layer.value.get(name)
    return value if isinstance(value, str) else ""


def _namespace(value: Json) -> str:
    return str(get_path(value, "metadata", "namespace", default=""))


def _applied(patch: Patch, body: Object, name: str) -> Iterator[Written | Operation]:
    kind, rendered = str(body.get("kind")), str(get_path(body, "metadata", "name", default=""))
    if not fields.is_target(patch.target, kind, name, rendered):
        return
    yield from patch.steps
    for document in patch.documents:
        meant = str(get_path(document.value, "metadata", "name", default=""))
        same_kind = isinstance(document.value, dict) and document.value.get("kind") == kind
        if patch.target is not None or (same_kind and fields.is_name_of(meant, name, rendered)):
            yield document


def _of_keys(layer: Layer, at: FieldPath) -> dict[FieldPath, Origin]:
    """Where the keys of a generated object are written: the lines of literals, the files themselves."""
    found: dict[FieldPath, Origin] = {}
    entry: Mapping[str, Json] = get_path(layer.value, *at, default={})
    for key, step in fields.of_keys(entry):
        origin = layer.origin((*at, *step))
        if step[0] == "files":
            text = str(get_path(entry, *step))
            origin = Origin(normal(posixpath.join(layer.folder, text.partition("=")[2] or text)))
        found["data", key] = origin
    return found

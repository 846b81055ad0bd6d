"""What a kustomization is made of: every kustomization and file that it reaches, read from the commit's tree.

This is the screen, too: what would make kustomize fetch from a host, run a program, or read outside of the
repository is a located problem here, before kustomize runs.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pipeline.adapters.git import GitRepository
from pipeline.adapters.git_tree import LinkError, normal
from pipeline.adapters.yaml import Document, load_documents
from pipeline.core import kustomization
from pipeline.core.kustomization import FILE_NAMES, Reference, Refusal, Role
from pipeline.core.schema import nearest, shown
from pipeline.core.select import is_below
from pipeline.model.environment import Source, Used
from pipeline.model.errors import InvalidError, Problem
from pipeline.model.objects import FieldPath, Json, Origin

MAX_DEPTH: Final = 100
MAX_LAYERS: Final = 1_000
MAX_PROBLEMS: Final = 100
"""Kustomizations above each other, and in one source: beyond what people keep apart."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One kustomization: its folder (where links really lead), its file, and what that holds."""

    folder: str
    path: str
    value: Mapping[str, Json]
    lines: Mapping[FieldPath, int]
    content: bytes = b""

    def origin(self, at: FieldPath) -> Origin:
        """The line of a field; of the nearest one around it where it is not written."""
        ends = (at[:end] for end in range(len(at), 0, -1))
        return Origin(self.path, next((self.lines[end] for end in ends if end in self.lines), 1))


@dataclass(frozen=True, slots=True)
class Named:
    """A reference, where it stands and which file it leads to; for a remote one ``file`` is empty."""

    reference: Reference
    origin: Origin
    layer: Layer
    file: str = ""


@dataclass(slots=True)
class Graph:
    """``used`` leads from every path that matters, also of files that are not there, to its chain; ``layers``
    go by folder, the outer ones first; ``below`` leads from a folder to those that it uses."""

    used: dict[str, tuple[str, ...]] = field(default_factory=dict)
    layers: dict[str, Layer] = field(default_factory=dict)
    below: dict[str, list[str]] = field(default_factory=dict)
    named: list[Named] = field(default_factory=list)
    remotes: list[Named] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def files(self, role: Role) -> Iterator[Named]:
        return (named for named in self.named if named.reference.role is role)

    def uses(self) -> list[Used]:
        return [Used(path, chain) for path, chain in self.used.items()]


def walk(repository: GitRepository, revision: str, source: Source) -> Graph:
    """All that the kustomization in the folder ``source.path`` reaches, with what is wrong with it."""
    walking = _Walk(repository, revision)
    place = normal(source.path)
    walking.folder(_Place(place, (source.path,), (), source.origin, plugins=False))
    return walking.graph


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder to look into: how it was reached, what is above it, and who asked for it."""

    folder: str
    chain: tuple[str, ...]
    above: tuple[str, ...]
    asked: Origin
    plugins: bool
    """Whether its objects are settings of plugins."""


class _Walk:
    def __init__(self, repository: GitRepository, revision: str) -> None:
        self.graph = Graph()
        self._repository = repository
        self._revision = revision
        self._tree = repository.tree(revision)
        self._seen: set[tuple[str, bool]] = set()

    def folder(self, place: _Place) -> None:
        real = self._resolve(place.folder, place.asked)
        if real is None:
            return
        if place.above:
            self.graph.below.setdefault(place.above[-1], []).append(real)
        if self._is_too_much(real, place):
            return
        self._seen.add((real, place.plugins))
        layer = self._layer(real, place)
        if layer is None:
            return
        self.graph.layers[real] = layer
        for refusal in kustomization.refusals(layer.value):
            self._refuse(refusal, layer)
        for reference in kustomization.references(layer.value):
            self._follow(reference, layer.origin(reference.at), layer, place)
        for at, text in kustomization.inline_plugins(layer.value):
            self._plugins(text.encode(), layer.path, layer, place, within=layer.origin(at))

    def _is_too_much(self, real: str, place: _Place) -> bool:
        if real in place.above:
            circle = [*place.above[place.above.index(real) :], real]
            message = f"kustomizations use each other in a circle: {' ← '.join(f or '.' for f in circle)}"
            self._tell(place.asked, "kustomization-cycle", message, "remove one of these references")
            return True
        if len(place.above) >= MAX_DEPTH or len(self._seen) >= MAX_LAYERS:
            message = f"more than {MAX_DEPTH} kustomizations above each other, or {MAX_LAYERS} in all"
            self._tell(place.asked, "too-deep", message)
            return True
        return (real, place.plugins) in self._seen

    def _layer(self, folder: str, place: _Place) -> Layer | None:
        """The kustomization of a folder; None, and told, where there is none that can be read."""
        found = []
        for name in FILE_NAMES:
            path = posixpath.join(folder, name)
            # A second one that is added makes kustomize refuse both.
            self._use(path, place.chain)
            if place.folder != folder:
                # By its links, too: they have to be there.
                self._use(posixpath.join(place.folder, name), place.chain)
            if self._is_file(path):
                found.append(path)
        if len(found) != 1:
            self._tell_count(folder, found, place)
            return None
        content = self._read(found[0])
        documents = None if content is None else self._documents(found[0], content)
        if documents is None:
            return None
        if len(documents) != 1:
            message = f"{len(documents)} documents, one kustomization is wanted"
            self._tell(Origin(found[0]), "not-one-document", message)
            return None
        value = documents[0].value
        known = value if isinstance(value, dict) else {}
        layer = Layer(folder, found[0], known, documents[0].lines, content or b"")
        if not isinstance(value, dict):
            self._refuse(next(kustomization.refusals(value)), layer)
        return layer

    def _tell_count(self, folder: str, found: list[str], place: _Place) -> None:
        where = folder or "the repository's root"
        if found:
            message = f"{where} has {' and '.join(posixpath.basename(path) for path in found)}"
            self._tell(Origin(found[1]), "two-kustomizations", message, "keep one of them")
        elif self._is_file(folder):
            self._use(folder, place.chain)
            message = f"{folder} is a file, not the folder of a kustomization"
            self._tell(place.asked, "no-kustomization", message, "name the folder")
        elif folder in self._tree.children:
            message = f"there is no kustomization.yaml in {where}"
            self._tell(place.asked, "no-kustomization", message, "commit one, or name its folder")
        else:
            self._tell(place.asked, "file-missing", f"there is no folder {where}", self._near(folder))

    # --- references

    def _follow(self, reference: Reference, origin: Origin, layer: Layer, place: _Place) -> None:
        path = self._path(reference, origin, layer, place)
        if path is None:
            return
        real = self._resolve(path, origin)
        if real is None:
            return
        is_folder = real in self._tree.children
        if is_folder and reference.role in (Role.RESOURCE, Role.FOLDER, Role.PLUGIN):
            plugins = place.plugins or reference.role is Role.PLUGIN
            above = (*place.above, layer.folder)
            self.folder(_Place(path, (*place.chain, path), above, origin, plugins))
            return
        self._use(path, place.chain)
        if not self._is_file(path) or reference.role is Role.FOLDER:
            self._tell_missing(path, reference, origin, is_folder=is_folder)
        elif not is_below(real, layer.folder):
            message = f"{path} is not in the folder of the kustomization that names it"
            hint = "kustomize reads files only there: copy it, or make its folder a kustomization of its own"
            self._tell(origin, "file-outside", message, hint)
        else:
            self.graph.named.append(Named(reference, origin, layer, path))
            if reference.role is Role.PLUGIN or (place.plugins and reference.role is Role.RESOURCE):
                self._plugin_file(path, layer, place)

    def _path(self, reference: Reference, origin: Origin, layer: Layer, place: _Place) -> str | None:
        """Where a reference leads within the repository; None where it is remote, or refused and told."""
        written = reference.path
        if kustomization.is_remote(written):
            role = Role.PLUGIN if place.plugins else reference.role
            self.graph.remotes.append(Named(replace(reference, role=role), origin, layer))
            return None
        path = posixpath.normpath(posixpath.join(layer.folder, written))
        if written.startswith("/") or path == ".." or path.startswith("../"):
            message = f"{shown(written)} leads out of the repository"
            self._tell(origin, "outside-repository", message, "paths are relative to the kustomization")
            return None
        if not written or written.startswith("-") or "//" in written or not written.isprintable():
            self._tell(origin, "bad-path", f"{shown(written)} is no path", "write it without such characters")
            return None
        return normal(path)

    def _tell_missing(self, path: str, reference: Reference, origin: Origin, *, is_folder: bool) -> None:
        if is_folder:
            message, hint = f"{path} is a folder, a file is wanted", ""
        elif self._is_file(path):
            message, hint = f"{path} is a file, not the folder of a kustomization", "name the folder"
        else:
            message, hint = f"there is no {path}", self._near(path)
        self._tell(origin, "file-missing", message, hint)

    # --- plugins

    def _plugin_file(self, path: str, layer: Layer, place: _Place) -> None:
        content = self._read(path)
        if content is not None:
            self._plugins(content, path, layer, place)

    def _plugins(
        self, content: bytes, path: str, layer: Layer, place: _Place, within: Origin | None = None
    ) -> None:
        """Look at the settings of plugins; ``within`` a kustomization they all stand at one place."""
        try:
            documents = load_documents(path, content)
        except InvalidError as error:
            for problem in error.problems:
                self._add(problem if within is None else _moved(problem, within))
            return
        for document in documents:
            file = Layer(layer.folder, path, {}, document.lines)
            for refusal in kustomization.plugin_refusals(document.value):
                self._refuse(refusal, file, within)
            for reference in kustomization.plugin_references(document.value):
                self._follow(reference, within or file.origin(reference.at), layer, place)

    # --- helpers

    def _use(self, path: str, chain: tuple[str, ...]) -> None:
        # The folder before a file is told by the file's path, unless it is where all begins.
        self.graph.used.setdefault(path, (*(chain[:-1] or chain), path))

    def _is_file(self, path: str) -> bool:
        try:
            return self._tree.file(path) is not None
        except LinkError:
            return False

    def _resolve(self, path: str, asked: Origin) -> str | None:
        try:
            return self._tree.resolve(path)
        except LinkError as error:
            told = error.problem
            self._use(path, (path,))
            self._tell(asked, told.code, told.message, told.hint)
            return None

    def _read(self, path: str) -> bytes | None:
        try:
            return self._repository.read(self._revision, [path])[path]
        except InvalidError as error:
            for problem in error.problems:
                self._add(problem)
            return None

    def _documents(self, path: str, content: bytes) -> list[Document] | None:
        try:
            return load_documents(path, content)
        except InvalidError as error:
            for problem in error.problems:
                self._add(problem)
            return None

    def _near(self, path: str) -> str:
        folder, name = posixpath.split(path)
        near = nearest(name, self._tree.children.get(folder, ()))
        return f"did you mean {near}?" if near else "commit it, or correct the path"

    def _refuse(self, refusal: Refusal, layer: Layer, within: Origin | None = None) -> None:
        self._tell(within or layer.origin(refusal.at), refusal.code, refusal.message, refusal.hint)

    def _tell(self, origin: Origin, code: str, message: str, hint: str = "") -> None:
        self._add(Problem(code=code, message=message, origin=origin, hint=hint))

    def _add(self, problem: Problem) -> None:
        if problem not in self.graph.problems and len(self.graph.problems) < MAX_PROBLEMS:
            self.graph.problems.append(problem)


def _moved(problem: Problem, origin: Origin) -> Problem:
    return Problem(code=problem.code, message=problem.message, origin=origin, hint=problem.hint)

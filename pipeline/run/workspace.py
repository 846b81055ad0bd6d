"""The repository as a deployer sees it: its environments and their manifests at a commit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pipeline import __version__, failpoint
from pipeline.core import config, validate
from pipeline.core.select import is_below
from pipeline.failpoint import Point
from pipeline.model.environment import Environment, Source, Used
from pipeline.model.errors import InvalidError, Problem
from pipeline.model.objects import FieldPath, Json, Manifest, Origin, digest
from pipeline.ports import Renderer, Repository

FOLDER = "environments"
FILE = "environment.yaml"

_KEPT = 8
"""Renderings that are kept: those of one commit and its base, of a few sources."""

Parsed = tuple[Json, Origin, Mapping[FieldPath, int]]
Documents = Callable[[str, bytes], Sequence[Parsed]]
Manifests = Callable[[str, bytes], Sequence[Manifest]]
Scope = Callable[[str, str], bool | None]
"""(apiVersion, kind) → namespaced or not; None where that is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """``documents`` and ``manifests`` read a file's content; both raise InvalidError.

    ``renderer`` gives the one for a kind of source; it is asked only where there is such a source.
    """

    repository: Repository
    documents: Documents
    manifests: Manifests
    renderer: Callable[[str], Renderer]
    _rendered: dict[tuple[object, ...], tuple[Manifest, ...]] = field(default_factory=dict)

    def environments(self, revision: str) -> tuple[Environment, ...]:
        """All environments of a commit, by name.

        Raises:
            InvalidError: with the problems of all of them.
        """
        found, problems = self.readable(revision)
        if problems:
            raise InvalidError(f"{len(problems)} problems in {FOLDER}/", problems=problems)
        return found

    def readable(self, revision: str) -> tuple[tuple[Environment, ...], list[Problem]]:
        """The environments of a commit that can be read, by name, and what is wrong with the others.

        Raises:
            InvalidError: there are none at all.
        """
        paths = self.repository.named(revision, FOLDER, FILE)
        if not paths:
            raise InvalidError(
                f"no {FOLDER}/<name>/{FILE} in {revision[:12]}",
                hint="write one, or run in the right repository with -C",
            )
        contents = self.repository.read(revision, paths)
        found: list[Environment] = []
        problems: list[Problem] = []
        for path in paths:
            try:
                found.append(self._environment(path, contents[path]))
            except InvalidError as error:
                problems += error.problems or [
                    Problem(code="invalid", message=error.message, hint=error.hint)
                ]
        return tuple(sorted(found, key=lambda e: e.name)), problems

    def names(self, revision: str) -> Sequence[str]:
        """Those of a commit's environments, whether or not they can be read."""
        return [PurePosixPath(path).parts[1] for path in self.repository.named(revision, FOLDER, FILE)]

    def has(self, name: str, revision: str) -> bool:
        """Whether a commit has an environment of this name, or any where it is empty."""
        names = self.names(revision)
        return name in names if name else bool(names)

    def environment(self, name: str, revision: str) -> Environment:
        """One environment. InvalidError with the nearest name where there is none of that name.

        The others may be broken: that is no reason not to deploy this one.
        """
        path = path_of(name)
        if _is_environment_file(path) and path in self.repository.files(revision, path):
            return self._environment(path, self.repository.read(revision, [path])[path])
        names = self.names(revision)
        near = config.nearest(name, names)
        hint = f"did you mean {near}?" if near else ""
        if last := self.repository.last_with(revision, path):
            hint = f"it was removed after {last[:12]}: `pipeline changes -e {name}` tells what is left of it"
        known = f"there are {', '.join(names)}" if names else f"there is no {FOLDER}/*/{FILE}"
        raise InvalidError(f"no environment {name!r} in {revision[:12]}: {known}", hint=hint)

    def inputs(self, environment: Environment, revision: str) -> str:
        """A digest of all that rendering depends on: this program and those that render, the environment's
        file, its sources and what they use. Empty where the next deploy may have to render something else
        of the very same: a chart that tells an upgrade from an installation, at its installation.

        Raises:
            InvalidError: as ``render``.
        """
        used = [environment.path, *(u.path for s in environment.sources for u in self._uses(s, revision))]
        files = self.repository.fingerprint(revision, used)
        told = [__version__, *self.versions(environment), environment.application, environment.path]
        charts = [source.helm for source in environment.sources if source.helm]
        new = [source for source in environment.sources if source.helm and not source.helm.installed]
        if any(self.renderer(s.kind).heeds_upgrade(revision, s, environment) for s in new):
            return ""
        of_cluster = [[chart.kube_version, *chart.api_versions] for chart in charts]
        return digest([*told, *of_cluster, *map(list, files)])

    def versions(self, environment: Environment) -> tuple[str, ...]:
        """The programs that render its sources. UnreachableError where one is not here."""
        kinds = sorted({source.kind for source in environment.sources} - {"manifests"})
        return tuple(self.renderer(kind).version() for kind in kinds)

    def uses(self, environment: Environment, *revisions: str) -> tuple[Used, ...]:
        """All files that the environment's sources depend on at any of these commits, but for those that
        lie in a source of plain manifests.

        Raises:
            InvalidError: it cannot be known.
        """
        own = {environment.path: (environment.path,)}
        found = self._linked(own, environment.path, revisions[0])
        for source in environment.sources:
            if source.kind == "manifests":
                # Where its links lead at one commit says of any other whether that reads the same.
                found |= self._linked({source.path: (source.path,)}, source.path, revisions[0])
                continue
            for revision in revisions:
                used = {one.path: one for one in self._uses(source, revision)}
                chains = {path: one.chain for path, one in used.items()}
                found = {**used, **self._linked(chains, source.path, revision), **found}
        return tuple(found.values())

    def _linked(self, chains: Mapping[str, tuple[str, ...]], root: str, revision: str) -> dict[str, Used]:
        """What is read by links among the paths that ``chains`` lead to."""
        found: dict[str, Used] = {}
        for link, place in self.repository.links(revision, list(chains)):
            found[place] = Used(place, (*chains.get(link, (root, link)), place))
        return found

    def remarks(self, environment: Environment, revision: str) -> Sequence[Problem]:
        """Warnings of what among an environment's files is not read, or not as somebody may think."""
        used = [source.path for source in environment.sources]
        with suppress(InvalidError):  # rendering it says why
            used += [one.path for source in environment.sources for one in self._uses(source, revision)]
        return self.repository.remarks(revision, [environment.path, *dict.fromkeys(used)])

    def fingerprints(self, environment: Environment, revision: str) -> Sequence[tuple[str, str]]:
        """(path, content's id) of all plain manifests; raises as ``render``."""
        plain = [source.path for source in environment.sources if source.kind == "manifests"]
        return self.repository.fingerprint(revision, plain)

    def render(self, environment: Environment, revision: str, scope: Scope) -> tuple[Manifest, ...]:
        """The manifests of an environment, validated offline, in the order of files and documents.

        Raises:
            InvalidError: with every problem of every file.
        """
        manifests, problems = self.examine(environment, revision, scope)
        if problems:
            noun = "problem" if len(problems) == 1 else "problems"
            raise InvalidError(
                f"{environment.name}: {len(problems)} {noun} in its manifests, nothing was written",
                problems=problems,
            )
        return manifests

    def examine(
        self, environment: Environment, revision: str, scope: Scope
    ) -> tuple[tuple[Manifest, ...], list[Problem]]:
        """The manifests that can be read, and what is wrong with them and the others."""
        found, problems = self._read(environment, revision)
        manifests = validate.with_namespaces(found, environment, scope)
        if not problems or manifests:
            problems += [p for p in validate.check(manifests, environment) if not p.warning]
        return tuple(manifests), problems

    def written_in(
        self, environment: Environment, revision: str, paths: Collection[str] | None
    ) -> tuple[Manifest, ...]:
        """What is rendered, and the plain manifests that stand in ``paths``, as far as these are there; the
        rest is not even read. None: all of them.

        Raises:
            InvalidError: with every problem of these files.
        """
        found: list[Manifest] = []
        problems: list[Problem] = []
        for source in environment.sources:
            try:
                if source.kind == "manifests":
                    found += self._load(self._plain(source, revision, paths), revision, problems)
                else:
                    found += self._render(source, environment, revision)
            except InvalidError as error:
                problems += _problems_of(error, source)
        if problems:
            raise InvalidError(f"{environment.name}: {len(problems)} problems", problems=problems)
        return tuple(validate.with_namespaces(found, environment, lambda *_: None))

    def _plain(self, source: Source, revision: str, paths: Collection[str] | None = None) -> list[str]:
        """The files of a source of plain manifests, or those of them that are among ``paths``."""
        if paths is None:
            files: Sequence[str] = self.repository.files(revision, source.path)
        else:
            asked = [path for path in paths if is_below(path, source.path)]
            files = [path for path, _ in self.repository.fingerprint(revision, asked)]
        return [path for path in files if is_manifest(path)]

    def _read(self, environment: Environment, revision: str) -> tuple[list[Manifest], list[Problem]]:
        manifests: list[Manifest] = []
        problems: list[Problem] = []
        for source in environment.sources:
            try:
                if source.kind == "manifests":
                    paths = self._plain(source, revision)
                    found: Sequence[Manifest] = self._load(paths, revision, problems)
                    empty = not paths
                else:
                    found = self._render(source, environment, revision)
                    empty = not found
            except InvalidError as error:
                problems += _problems_of(error, source)
                continue
            failpoint.passing(Point.RENDER_MID)
            manifests += found
            if empty:
                problems.append(_empty(source))
        return manifests, problems

    def _load(self, paths: Sequence[str], revision: str, problems: list[Problem]) -> list[Manifest]:
        """The manifests of files; what is wrong is added to ``problems``."""
        manifests: list[Manifest] = []
        contents = self.repository.read(revision, paths) if paths else {}
        for path in paths:
            try:
                manifests += self.manifests(path, contents[path])
            except InvalidError as error:
                problems += error.problems or [
                    Problem(code="invalid", message=error.message, hint=error.hint, origin=Origin(path))
                ]
        return manifests

    def _render(self, source: Source, environment: Environment, revision: str) -> tuple[Manifest, ...]:
        """Once for equal files, program and environment."""
        renderer = self.renderer(source.kind)
        used = [used.path for used in renderer.uses(revision, source)]
        files = tuple(self.repository.fingerprint(revision, used))
        key = (source, environment, renderer.version(), files)
        if key not in self._rendered:
            while len(self._rendered) >= _KEPT:
                self._rendered.pop(next(iter(self._rendered)))
            self._rendered[key] = tuple(renderer.render(revision, source, environment))
        return self._rendered[key]

    def _uses(self, source: Source, revision: str) -> Sequence[Used]:
        if source.kind == "manifests":
            return [Used(source.path, (source.path,))]
        return self.renderer(source.kind).uses(revision, source)

    def _environment(self, path: str, content: bytes) -> Environment:
        documents = self.documents(path, content)
        if len(documents) != 1:
            problem = Problem(
                code="not-one-document",
                message=f"{len(documents)} documents, one Environment is wanted",
                origin=Origin(path),
                hint="keep one `kind: Environment` in the file",
            )
            raise InvalidError(problem.message, problems=[problem])
        value, _, lines = documents[0]
        return config.parse_environment(value, lines, path, self.repository.name())


def path_of(name: str) -> str:
    """The file of an environment."""
    return f"{FOLDER}/{name}/{FILE}"


def is_manifest(path: str) -> bool:
    """Whether a file's name says that it holds manifests."""
    return path.lower().endswith((".yaml", ".yml", ".json"))


def _is_environment_file(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return len(parts) == 3 and parts[0] == FOLDER and parts[2] == FILE


def _problems_of(error: InvalidError, source: Source) -> Sequence[Problem]:
    return error.problems or [
        Problem(code="invalid", message=error.message, hint=error.hint, origin=source.origin)
    ]


def _empty(source: Source) -> Problem:
    if source.kind != "manifests":
        return Problem(
            code="empty-source",
            message=f"{source.kind} makes no objects of {source.path}",
            hint="correct it, or remove the source",
            origin=source.origin,
        )
    return Problem(
        code="empty-source",
        message=f"no manifests in {source.path}",
        hint="put *.yaml, *.yml or *.json files there, commit them, or correct the path",
        origin=source.origin,
    )

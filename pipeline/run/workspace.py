"""The repository as a deployer sees it: its environments and their manifests at a commit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline import __version__
from pipeline.core import config, validate
from pipeline.model.environment import Environment, Source
from pipeline.model.errors import InvalidError, Problem
from pipeline.model.objects import FieldPath, Json, Manifest, Origin, digest
from pipeline.ports import Repository

FOLDER = "environments"
FILE = "environment.yaml"

Parsed = tuple[Json, Origin, Mapping[FieldPath, int]]
Documents = Callable[[str, bytes], Sequence[Parsed]]
Manifests = Callable[[str, bytes], Sequence[Manifest]]
Scope = Callable[[str, str], bool | None]
"""(apiVersion, kind) → namespaced or not; None where that is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """``documents`` and ``manifests`` read a file's content; both raise InvalidError."""

    repository: Repository
    documents: Documents
    manifests: Manifests

    def environments(self, revision: str) -> tuple[Environment, ...]:
        """All environments of a commit, by name.

        Raises:
            InvalidError: with the problems of all of them.
        """
        paths = [p for p in self.repository.files(revision, FOLDER) if _is_environment_file(p)]
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
        if problems:
            raise InvalidError(f"{len(problems)} problems in {FOLDER}/", problems=problems)
        return tuple(sorted(found, key=lambda e: e.name))

    def environment(self, name: str, revision: str) -> Environment:
        """One environment. InvalidError with the nearest name where there is none of that name.

        The others may be broken: that is no reason not to deploy this one.
        """
        path = f"{FOLDER}/{name}/{FILE}"
        files = self.repository.files(revision, FOLDER)
        if path in files:
            return self._environment(path, self.repository.read(revision, [path])[path])
        names = sorted(PurePosixPath(p).parts[1] for p in files if _is_environment_file(p))
        near = config.nearest(name, names)
        hint = f"did you mean {near}?" if near else ""
        known = f"there are {', '.join(names)}" if names else f"there is no {FOLDER}/*/{FILE}"
        raise InvalidError(f"no environment {name!r} in {revision[:12]}: {known}", hint=hint)

    def inputs(self, environment: Environment, revision: str) -> str:
        """A digest of all that rendering depends on: this program, the environment's file, its sources.

        Raises:
            InvalidError: as ``render``.
        """
        paths = [environment.path, *(source.path for source in environment.sources)]
        files = self.repository.fingerprint(revision, paths)
        return digest([__version__, environment.application, environment.path, *map(list, files)])

    def render(self, environment: Environment, revision: str, scope: Scope) -> tuple[Manifest, ...]:
        """The manifests of an environment, validated offline, in the order of files and documents.

        Raises:
            InvalidError: with every problem of every file.
        """
        found, problems = self._read(environment, revision)
        manifests = validate.with_namespaces(found, environment, scope)
        if not problems or manifests:
            problems += [p for p in validate.check(manifests, environment) if not p.warning]
        if problems:
            noun = "problem" if len(problems) == 1 else "problems"
            raise InvalidError(
                f"{environment.name}: {len(problems)} {noun} in its manifests, nothing was written",
                problems=problems,
            )
        return tuple(manifests)

    def written_in(
        self, environment: Environment, revision: str, paths: Collection[str]
    ) -> tuple[Manifest, ...]:
        """The manifests of an environment that stand in these files; the rest is not even read.

        Raises:
            InvalidError: with every problem of these files.
        """
        found, problems = self._read(environment, revision, paths)
        if problems:
            raise InvalidError(f"{environment.name}: {len(problems)} problems", problems=problems)
        return tuple(validate.with_namespaces(found, environment, lambda *_: None))

    def _read(
        self, environment: Environment, revision: str, only: Collection[str] | None = None
    ) -> tuple[list[Manifest], list[Problem]]:
        manifests: list[Manifest] = []
        problems: list[Problem] = []
        for source in environment.sources:
            if only is not None:
                paths = [p for p in sorted(only) if _is_below(p, source.path) and _is_manifest(p)]
                if not paths:
                    continue
            else:
                paths = self._paths(source, revision)
            if not paths:
                problems.append(_empty(source))
            contents = self.repository.read(revision, paths)
            for path in paths:
                try:
                    manifests += self.manifests(path, contents[path])
                except InvalidError as error:
                    problems += error.problems or [
                        Problem(code="invalid", message=error.message, hint=error.hint, origin=Origin(path))
                    ]
        return manifests, problems

    def _paths(self, source: Source, revision: str) -> list[str]:
        return [p for p in self.repository.files(revision, source.path) if _is_manifest(p)]

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


def _is_manifest(path: str) -> bool:
    return path.lower().endswith((".yaml", ".yml", ".json"))


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _is_environment_file(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return len(parts) == 3 and parts[0] == FOLDER and parts[2] == FILE


def _empty(source: Source) -> Problem:
    return Problem(
        code="empty-source",
        message=f"no manifests in {source.path}",
        hint="put *.yaml, *.yml or *.json files there, commit them, or correct the path",
        origin=source.origin,
    )

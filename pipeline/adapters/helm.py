"""Helm charts, rendered by Helm itself: ``helm template`` in a private folder, with nothing of the machine's.

What Helm would do beyond making text of files is taken away from it: no plugin, no repository, no registry
login, no post-renderer, no ``--set``, no cluster (``lookup`` finds nothing), no name look-up, no network.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.adapters import chart_files, child, yaml
from pipeline.adapters.chart_files import ChartFiles, Part
from pipeline.adapters.git import GitRepository
from pipeline.adapters.logins import Login, nobody
from pipeline.adapters.private_folder import folder_of
from pipeline.core import chart_reference, charts, generated, helm_errors, template_lines
from pipeline.core.schema import kind_of
from pipeline.model.environment import Environment, HelmChart, Source, Used
from pipeline.model.errors import InvalidError, Problem, UnreachableError
from pipeline.model.objects import FieldPath, Manifest, Origin

if TYPE_CHECKING:
    from pipeline.adapters.chart_remote import ChartRemote

VARIABLE: Final = "PIPELINE_HELM"
_MAJOR: Final = 4
_LIMITS: Final = child.Limits(seconds=60, memory_bytes=1024 * child.MIB, output_bytes=64 * child.MIB)
_VERSION: Final = re.compile(r"v(\d+)\.\d+\S*")
_TICK_S: Final = 1.1
"""Between two renderings of what tells the time, which Helm's own format of it counts in seconds."""
_HINT: Final = f"install Helm {_MAJOR}, helm.sh/docs/intro/install, or name it with {VARIABLE}"

Lines = Mapping[FieldPath, int]
Read = Callable[[str, bytes], Sequence[yaml.Document]]
"""(path, content) → the documents of a values file, in clear text where it is encrypted."""


@dataclass(frozen=True)
class HelmRenderer:
    """``ports.Renderer`` for charts. ``program`` is Helm's path; empty: found when it is first needed."""

    repository: GitRepository
    program: str = ""
    read: Read = yaml.load_documents
    remote: ChartRemote | None = None
    stopped: Callable[[], bool] = child.never
    login: Login = nobody
    sleep: Callable[[float], None] = time.sleep

    def version(self) -> str:
        return f"helm {self._found[1]}"

    def uses(self, revision: str, source: Source) -> Sequence[Used]:
        """The chart, its values files, and the charts elsewhere that it names as its parts."""
        chart = _chart(source)
        values = [Used(path, (source.path, path)) for path in chart.values]
        if chart.digest:
            return values
        found = chart_files.gather(self.repository, revision, source.path, source.origin)
        return [
            Used(source.path, (source.path,)),
            *values,
            *(Used(chain[-1], chain) for chain in found.local),
        ]

    def render(self, revision: str, source: Source, environment: Environment) -> Sequence[Manifest]:
        values, problems = self._values(revision, source)
        try:
            files = self._files(revision, source, environment)
        except InvalidError as error:
            raise _refused(source, [*_problems_of(error, source), *problems]) from error
        if problems:
            raise _refused(source, problems)
        work = _Work(self, source, environment, files, values)
        output = work.output()
        new = not _chart(source).installed
        manifests = [replace(manifest, installs=new) for manifest in work.manifests(output)]
        texts = [*files.texts(), *(v.text for v in values)]
        if not any(charts.is_random(text) for text in texts):
            return manifests
        if any(charts.is_timed(text) for text in texts):
            self.sleep(_TICK_S)
        other = work.output()
        return generated.marked(manifests, work.manifests(other)) if other != output else manifests

    def heeds_upgrade(self, revision: str, source: Source, environment: Environment) -> bool:
        """By the chart's text: its templates, and values that they may take for templates."""
        values, _ = self._values(revision, source)
        texts = [*self._files(revision, source, environment).texts(), *(v.text for v in values)]
        return any(charts.heeds_upgrade(text) for text in texts)

    def _files(self, revision: str, source: Source, environment: Environment) -> ChartFiles:
        chart, allowed = _chart(source), environment.allow.remote
        if not chart.digest and not chart.dependencies:
            return chart_files.read(self.repository, revision, source.path, source.origin)
        from pipeline.adapters.chart_parts import Parts  # late: few charts are fetched
        from pipeline.adapters.chart_remote import ChartRemote

        remote = self.remote or ChartRemote(_cache(), self.stopped, self.login)
        if not chart.digest:
            parts = Parts(chart.dependencies, allowed, lambda part: remote.part(part, allowed))
            return chart_files.read(self.repository, revision, source.path, source.origin, parts.complete)
        content = remote.fetch(chart_reference.parse(f"{source.path}@{chart.digest}"), allowed)
        return chart_files.packed(content, source.path, source.origin)

    def _values(self, revision: str, source: Source) -> tuple[list[_Values], list[Problem]]:
        chart = _chart(source)
        found: list[_Values] = []
        problems: list[Problem] = []
        for path in chart.values:
            try:
                if not self.repository.files(revision, path):
                    message = f"there is no values file {path}"
                    raise InvalidError(
                        message, hint="correct the path: it is relative to the environment's file"
                    )
                found.append(_read_values(path, self.repository.read(revision, [path])[path], self.read))
            except InvalidError as error:
                problems += _problems_of(error, source)
        return found, problems

    @cached_property
    def _found(self) -> tuple[str, str]:
        """(path, version) of Helm. UnreachableError where there is none, or not of this major version."""
        named = self.program or os.environ.get(VARIABLE, "")
        path = shutil.which(named or "helm")
        if path is None:
            what = (
                f"{VARIABLE} names {named}, which is no program" if named else "there is no helm on the PATH"
            )
            raise UnreachableError(f"render with Helm: {what}", hint=_HINT)
        with folder_of({}) as folder:
            ended = child.run([path, "version", "--short"], folder=folder, environ=_environ(folder))
        match = _VERSION.search(ended.output.decode(errors="replace"))
        if ended.code or match is None:
            raise UnreachableError(f"render with Helm: {path} does not tell its version", hint=_HINT)
        if int(match[1]) != _MAJOR:
            raise UnreachableError(
                f"render with Helm: {path} is {match[0]}, not version {_MAJOR}", hint=_HINT
            )
        return path, match[0]


@dataclass(frozen=True, slots=True)
class _Values:
    """A values file: its documents, which Helm merges, and where each value stands."""

    path: str
    documents: tuple[object, ...]
    lines: Lines
    text: str


def _read_values(path: str, content: bytes, read: Read) -> _Values:
    documents = read(path, content)
    lines: dict[FieldPath, int] = {}
    for document in documents:
        if not isinstance(document.value, dict):
            problem = Problem(
                code="values-malformed",
                message=f"{kind_of(document.value)}, values are a mapping",
                origin=document.origin,
                hint="write key: value",
            )
            raise InvalidError(f"read {path}: {problem}", problems=[problem])
        lines |= document.lines
    return _Values(path, tuple(d.value for d in documents), lines, content.decode(errors="replace"))


@dataclass(frozen=True, slots=True)
class _Work:
    """One rendering of one chart."""

    renderer: HelmRenderer
    source: Source
    environment: Environment
    files: ChartFiles
    values: Sequence[_Values]

    def manifests(self, output: str) -> list[Manifest]:
        """The objects in what Helm printed, each with the template's file and line."""
        namespace = _chart(self.source).namespace
        found: list[Manifest] = []
        problems: list[Problem] = []
        chunks: dict[str, list[template_lines.Chunk]] = {}
        for template, text in template_lines.pieces(output):
            place = _Place(template, self.files.part(template), self.files.origin, chunks)
            try:
                # Piece by piece: what the reader takes of one file is limited, and lines are the piece's.
                loaded = yaml.load_manifests(self.source.path, text.encode())
            except InvalidError as error:
                problems += map(place.problem, error.problems)
            else:
                found += [_placed(place.manifest(manifest), namespace) for manifest in loaded]
        if problems:
            raise _refused(self.source, problems)
        return found

    def output(self) -> str:
        """What Helm prints. Its values come by a pipe, so that no clear text is on a disk."""
        root = "chart.tgz" if self.files.is_archive else "chart"
        laid = {
            posixpath.join("" if self.files.is_archive else root, n): c for n, c in self.files.laid.items()
        }
        if self.files.is_archive:
            laid = {root: next(iter(laid.values()))}
        values = yaml.dump([d for v in self.values for d in v.documents]) if self.values else ""
        with folder_of(laid) as folder:
            program, _ = self.renderer._found
            ended = child.run(
                [program, *self._arguments(str(folder / root))],
                folder=folder,
                environ=_environ(folder),
                stdin=values.encode(),
                limits=_LIMITS,
                stopped=self.renderer.stopped,
            )
            told = ended.errors.replace(f"{folder}/", "")
        if ended.code:
            raise _refused(self.source, self._problems(ended.code, told))
        return ended.output.decode(errors="replace")

    def _arguments(self, path: str) -> list[str]:
        chart = _chart(self.source)
        namespace = chart.namespace or self.environment.namespace
        versions = ("--api-versions", ",".join(chart.api_versions)) if chart.api_versions else ()
        return [
            *("template", chart.release, path, "--namespace", namespace),
            *("--kube-version", chart.kube_version or charts.KUBE_VERSION, *versions),
            "--include-crds",
            *(("--is-upgrade",) if chart.installed else ()),
            *(("--values", "-") if self.values else ()),
        ]

    def _problems(self, code: int, told: str) -> Sequence[Problem]:
        if code < 0 or "out of memory" in told or "cannot allocate memory" in told:
            limit = f"{_LIMITS.memory_bytes // child.MIB} MiB"
            message = f"helm: rendering {self.source.path} takes more than {limit} of memory"
            return [Problem(code="helm-failed", message=message, origin=self.source.origin)]
        archived = self.files.is_archive
        context = helm_errors.Context(
            name=next((c.name for c in self.files.charts if not c.folder), ""),
            chart=self.files.origin,
            place=self.files.place,
            values=[(v.path, v.lines) for v in self.values],
            fallback="" if archived else posixpath.join(self.source.path, "values.yaml"),
        )
        return helm_errors.problems_of(told, context)


@dataclass(frozen=True, slots=True)
class _Place:
    """From a piece of Helm's output to the file of the chart that printed it; to its ``fallback`` where that
    cannot be found. ``chunks`` are those of all templates that were looked at before."""

    template: str
    part: Part | None
    fallback: Origin
    chunks: dict[str, list[template_lines.Chunk]]

    def manifest(self, manifest: Manifest) -> Manifest:
        """The same with its origin, and those of the fields that can be found in the template."""
        part = self.part
        if part is None:
            return replace(manifest, origin=self.fallback, lines={})
        if part.archived:
            return replace(manifest, origin=part.origin, lines={})
        if self._is_verbatim:
            return replace(manifest, origin=Origin(part.path, manifest.origin.line))
        if self.template not in self.chunks:
            self.chunks[self.template] = template_lines.chunks(part.content.decode(errors="replace"))
        chunk = template_lines.chunk_of(self.chunks[self.template], manifest.body)
        if chunk is None:
            return replace(manifest, origin=Origin(part.path), lines={})
        lines = template_lines.lines_of(chunk, list(manifest.lines))
        return replace(manifest, origin=Origin(part.path, chunk.line), lines=lines)

    def problem(self, problem: Problem) -> Problem:
        """A problem with the output, told of the template that printed it."""
        line = problem.origin.line if problem.origin else 1
        if self.part is None:
            return replace(problem, origin=self.fallback)
        if self._is_verbatim and not self.part.archived:
            return replace(problem, origin=Origin(self.part.path, line))
        message = f"{problem.message} (in line {line} of what it prints)"
        return replace(problem, origin=self.part.origin, message=message)

    @property
    def _is_verbatim(self) -> bool:
        """Whether Helm prints the file as it is: definitions in ``crds/`` are no templates."""
        parts = self.template.split("/")
        return "crds" in parts and "templates" not in parts


def _placed(manifest: Manifest, namespace: str) -> Manifest:
    """An object that names no namespace is in the release's; one of no namespace at all loses it again."""
    if not namespace or manifest.ref.namespace:
        return manifest
    body = {**manifest.body, "metadata": {**manifest.body["metadata"], "namespace": namespace}}
    return replace(manifest, body=body, ref=manifest.ref._replace(namespace=namespace))


def _environ(folder: Path) -> dict[str, str]:
    """Homes that are not there, so that no plugin, repository or login is found; no kubeconfig."""
    nowhere = str(folder / "nowhere")
    homes = ("CACHE_HOME", "CONFIG_HOME", "DATA_HOME", "PLUGINS", "REGISTRY_CONFIG", "CONTENT_CACHE")
    repositories = ("REPOSITORY_CACHE", "REPOSITORY_CONFIG")
    named = {f"HELM_{name}": f"{nowhere}/{name.lower()}" for name in (*homes, *repositories)}
    return {**named, "HELM_COLOR": "never", "KUBECONFIG": os.devnull}


def _chart(source: Source) -> HelmChart:
    assert source.helm is not None  # noqa: S101 - sources of this kind have one
    return source.helm


def _cache() -> Path:
    """Where charts from elsewhere are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pipeline" / "charts"


def _problems_of(error: InvalidError, source: Source) -> Sequence[Problem]:
    return error.problems or [
        Problem(code="invalid", message=error.message, hint=error.hint, origin=source.origin)
    ]


def _refused(source: Source, problems: Sequence[Problem]) -> InvalidError:
    return InvalidError(f"render the chart {source.path}: {problems[0]}", problems=problems)

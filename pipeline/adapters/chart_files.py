"""A Helm chart as it lies in a commit: its files, those of its parts, and what is wrong with them.

Nothing is unpacked to disk. What lies in archives is looked at in memory, within Helm's own limits.
"""

from __future__ import annotations

import io
import json
import posixpath
import tarfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from pipeline.adapters import yaml
from pipeline.core import charts
from pipeline.core.charts import CHART_BYTES, CHART_FILE, FILE_BYTES, Chart
from pipeline.model.errors import InvalidError, Problem
from pipeline.model.objects import Origin

_ARCHIVES = (".tgz", ".tar.gz")
_ENTRIES = 20_000
_DEEP = 8
"""Charts within charts; and archives within archives, of which Helm itself packs none."""


class Files(Protocol):
    """What is needed of a repository."""

    def files(self, revision: str, folder: str) -> Sequence[str]: ...

    def read(self, revision: str, paths: Sequence[str]) -> Mapping[str, bytes]: ...


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a chart: its content, and where it is in the repository: for those of an archive that, for
    those of a chart from elsewhere the place that names it."""

    content: bytes
    path: str
    archived: bool = False
    line: int = 1

    @property
    def origin(self) -> Origin:
        return Origin(self.path, self.line)


@dataclass(slots=True, kw_only=True)
class ChartFiles:
    """``laid`` are the files that Helm is to find, by their paths within the chart's folder; ``seen`` the
    same with archives as folders, to be looked at. A packed chart is ``laid`` under its own name.
    """

    path: str
    is_archive: bool
    laid: dict[str, bytes] = field(default_factory=dict)
    seen: dict[str, Part] = field(default_factory=dict)
    charts: list[Chart] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    local: list[tuple[str, ...]] = field(default_factory=list)
    named: Origin | None = None

    @property
    def origin(self) -> Origin:
        """Its Chart.yaml, its archive, or the place that names it."""
        if self.named is not None:
            return self.named
        return Origin(self.path if self.is_archive else posixpath.join(self.path, CHART_FILE))

    def part(self, template: str) -> Part | None:
        """The file that Helm calls ``web/charts/db/templates/x.yaml``."""
        for prefix, folder in sorted(charts.prefixes(self.charts).items(), key=lambda p: -len(p[0])):
            if template.startswith(f"{prefix}/"):
                return self.seen.get(posixpath.join(folder, template.removeprefix(f"{prefix}/")))
        return None

    def place(self, template: str) -> tuple[str, int] | None:
        """(path, 0) of a template, or the place that stands for one in an archive."""
        part = self.part(template)
        return (part.path, part.line if part.archived else 0) if part else None

    def texts(self) -> Iterator[str]:
        """What may hold templates: they themselves, and values, which ``tpl`` renders."""
        for name, part in self.seen.items():
            if "/templates/" in f"/{name}" or posixpath.basename(name).startswith("values"):
                yield part.content.decode(errors="replace")


def read(
    repository: Files,
    revision: str,
    path: str,
    origin: Origin,
    complete: Callable[[ChartFiles], Collection[Origin]] = lambda _: (),
) -> ChartFiles:
    """The chart at ``path``, a folder or an archive; ``origin`` is where it is named. ``complete`` may
    ``add`` what it lacks, and tells of which dependencies it has said what there is to say.

    Raises:
        InvalidError: with everything that is wrong with it.
    """
    found = gather(repository, revision, path, origin)
    if not found.problems:
        _screen(found, complete(found))
    if found.problems:
        raise InvalidError(f"read the chart {path}: {found.problems[0]}", problems=found.problems)
    return found


def add(found: ChartFiles, within: str, content: bytes, origin: Origin) -> Chart | None:
    """Lay the archive of a part from elsewhere into a chart; ``origin`` is where it is named. None where
    it is no chart: then that is among the problems."""
    left = CHART_BYTES - sum(len(part.content) for part in found.seen.values())
    reader = _Reader(_NoFiles(), "", found, left, set(_folders(found.seen)))
    try:
        reader.take(within, content, origin)
        reader.charts((origin.path,))
    except InvalidError as error:
        found.problems += [replace(problem, origin=origin) for problem in error.problems]
    return next((chart for chart in found.charts if chart.folder == within), None)


def packed(content: bytes, path: str, origin: Origin) -> ChartFiles:
    """The chart in an archive from elsewhere; ``origin`` is where it is named.

    Raises:
        InvalidError: with everything that is wrong with it.
    """
    found = ChartFiles(path=path, is_archive=True, laid={"chart.tgz": content}, named=origin)
    reader = _Reader(_NoFiles(), "", found)
    for name, inner in unpacked(content, path, CHART_BYTES):
        found.seen[name] = Part(inner, origin.path, archived=True, line=origin.line)
    reader.charts((path,))
    if not found.problems:
        _screen(found)
    if found.problems:
        problems = [replace(problem, origin=origin) for problem in found.problems]
        raise InvalidError(f"read the chart {path}: {problems[0]}", problems=problems)
    return found


class _NoFiles:
    """A repository without files: of a chart from elsewhere, everything is in its archive."""

    def files(self, revision: str, folder: str) -> Sequence[str]:
        return ()

    def read(self, revision: str, paths: Sequence[str]) -> Mapping[str, bytes]:
        return {}


def gather(repository: Files, revision: str, path: str, origin: Origin) -> ChartFiles:
    """The same as far as it can be read; what is wrong is among ``problems``."""
    found = ChartFiles(path=path, is_archive=path.endswith(_ARCHIVES))
    reader = _Reader(repository, revision, found)
    try:
        reader.lay(path, "", (path,))
        if not found.laid:
            hint = "correct the path: it is relative to the environment's file"
            message = f"there is no chart at {path}, neither a folder nor an archive"
            found.problems.append(_problem("chart-missing", message, origin, hint))
    except InvalidError as error:
        found.problems += error.problems or [_problem("chart-malformed", error.message, origin, error.hint)]
    return found


@dataclass(slots=True)
class _Reader:
    repository: Files
    revision: str
    into: ChartFiles
    left: int = CHART_BYTES
    known: set[str] = field(default_factory=set)

    def lay(self, path: str, folder: str, chain: tuple[str, ...]) -> None:
        """The chart of the repository at ``path`` as the part in ``folder`` of the outermost one."""
        names = self.repository.files(self.revision, path)
        if len(names) > _ENTRIES:
            raise InvalidError(f"the chart {path} has {len(names)} files, {_ENTRIES} are allowed")
        contents = self.repository.read(self.revision, names)
        for name in names:
            within = posixpath.basename(name) if name == path else posixpath.relpath(name, path)
            self.take(posixpath.join(folder, within), contents[name], Origin(name))
        self.charts(chain)

    def take(self, within: str, content: bytes, origin: Origin) -> None:
        """A file, or an archive: what is in that is told of ``origin``."""
        path = origin.path
        self._spend(len(content), path)
        self.into.laid[within] = content
        if not within.endswith(_ARCHIVES) or posixpath.basename(posixpath.dirname(within)) not in (
            "",
            "charts",
        ):
            self.into.seen[within] = Part(content, path)
            return
        root = "" if self.into.is_archive and not posixpath.dirname(within) else within
        for name, inner in unpacked(content, path, self.left):
            self._spend(len(inner), path)
            self.into.seen[posixpath.join(root, name)] = Part(inner, path, archived=True, line=origin.line)

    def _spend(self, size: int, path: str) -> None:
        self.left -= size
        if size > FILE_BYTES or self.left < 0:
            limit, what = (FILE_BYTES, "a file") if size > FILE_BYTES else (CHART_BYTES, "a chart")
            message = f"{path}: {what} of more than {limit >> 20} MiB"
            hint = "keep out of the chart what is no part of it"
            raise InvalidError(message, problems=[_problem("chart-too-large", message, Origin(path), hint)])

    def charts(self, chain: tuple[str, ...]) -> None:
        """Read the Chart.yaml of each part that is new, then fetch what they need from elsewhere in the
        repository."""
        new = [folder for folder in _folders(self.into.seen) if folder not in self.known]
        self.known |= set(new)
        found: list[tuple[Chart, Part]] = []
        for folder in new:
            if folder.count("charts/") > _DEEP:
                raise InvalidError(f"the chart {chain[0]} holds charts more than {_DEEP} deep")
            part = self.into.seen[posixpath.join(folder, CHART_FILE)]
            chart = self._chart(folder, part)
            if chart is not None:
                found.append((chart, part))
        # All that came along is known before anything is fetched: what is vendored is not fetched.
        self.into.charts += [chart for chart, _ in found]
        for chart, part in found:
            if not part.archived:
                self._fetch_local(chart, posixpath.dirname(part.path), chain)

    def _chart(self, folder: str, part: Part) -> Chart | None:
        try:
            documents = yaml.load_documents(part.path, part.content)
        except InvalidError as error:
            problems: Sequence[Problem] = error.problems
            documents = []
        else:
            problems = []
            if len(documents) != 1:
                message = f"{len(documents)} documents, one chart is wanted"
                problems = [_problem("chart-malformed", message, Origin(part.path))]
        chart = None
        if not problems:
            # A line within an archive helps nobody.
            lines = {} if part.archived else documents[0].lines
            chart, problems = charts.read_chart(documents[0].value, lines, part.path, folder)
        if part.archived:
            named = posixpath.join(folder, CHART_FILE)
            problems = [replace(p, origin=part.origin, message=f"{named}: {p.message}") for p in problems]
        self.into.problems += problems
        return chart

    def _fetch_local(self, chart: Chart, path: str, chain: tuple[str, ...]) -> None:
        """``file://../x`` is as good as in charts/: both are of the same commit."""
        present = {c.name for c in parts_of(self.into.charts, chart.folder)}
        for dependency in chart.dependencies:
            where = charts.local_path(path, dependency)
            if dependency.name in present or where is None:
                continue
            origin = Origin(posixpath.join(path, CHART_FILE), dependency.line)
            if where in chain or len(chain) > _DEEP or not where:
                why = "leads out of the repository" if not where else "leads round in a circle"
                message = f"{dependency.repository} {why}"
                self.into.problems.append(_problem("chart-dependency", message, origin, "correct the path"))
                continue
            present.add(dependency.name)
            self.into.local.append((*chain, where))
            if not self.repository.files(self.revision, where):
                message = f"there is no chart at {where} ({dependency.repository})"
                self.into.problems.append(_problem("chart-missing", message, origin, "correct the path"))
                continue
            self.lay(where, posixpath.join(chart.folder, "charts", dependency.name), (*chain, where))


def _folders(seen: Mapping[str, Part]) -> list[str]:
    """Of the chart and of its parts: those with a Chart.yaml, directly or in charts/ of one."""
    named = sorted(posixpath.dirname(name) for name in seen if posixpath.basename(name) == CHART_FILE)
    found: list[str] = []
    for folder in sorted(named, key=lambda f: f.count("/")):
        above = posixpath.dirname(posixpath.dirname(folder)) if folder else None
        is_part = folder and posixpath.basename(posixpath.dirname(folder)) == "charts" and above in found
        # Helm passes over folders whose names begin so.
        if folder == "" or (is_part and not posixpath.basename(folder).startswith(("_", "."))):
            found.append(folder)
    return found


def parts_of(found: Sequence[Chart], folder: str) -> list[Chart]:
    """The charts in ``charts/`` of the one in ``folder``."""
    return [c for c in found if c.folder and posixpath.dirname(c.folder) == posixpath.join(folder, "charts")]


def unpacked(content: bytes, path: str, limit: int) -> Iterator[tuple[str, bytes]]:
    """(path without its first folder, content) of each file of a chart's archive, within ``limit`` bytes.

    Raises:
        InvalidError: it is none, is too large, or holds links, devices or paths that lead out of it.
    """

    def refuse(why: str) -> InvalidError:
        problem = _problem("chart-archive", f"{path}: {why}", Origin(path), "pack it anew: helm package")
        return InvalidError(problem.message, problems=[problem])

    try:
        expander = zlib.decompressobj(wbits=31)
        data = expander.decompress(content, limit + 1)
        if len(data) > limit or expander.unconsumed_tail:
            raise refuse(f"more than {CHART_BYTES >> 20} MiB are packed in it")
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for number, member in enumerate(archive):
                if number > _ENTRIES:
                    raise refuse(f"more than {_ENTRIES} files")
                if member.isdir():
                    continue
                parts = member.name.split("/")
                if not member.isreg() or ".." in parts or "\\" in member.name or member.name.startswith("/"):
                    raise refuse(f"it holds {member.name[:80]!r}, which is no file within a chart")
                extracted = archive.extractfile(member)
                if len(parts) > 1 and extracted is not None:
                    yield "/".join(parts[1:]), extracted.read()
    except (tarfile.TarError, zlib.error, EOFError, ValueError) as error:
        raise refuse("not the archive of a chart") from error


def _screen(found: ChartFiles, told: Collection[Origin] = ()) -> None:
    """What Helm would do without a word: fetch what a schema refers to, or say that parts are missing."""
    if not any(chart.folder == "" for chart in found.charts):
        origin = found.origin
        message = f"{found.path} has no {CHART_FILE}"
        found.problems.append(_problem("chart-missing", message, origin, "name the folder of a chart"))
    for chart in found.charts:
        part = found.seen[posixpath.join(chart.folder, CHART_FILE)]
        present = [c.name for c in parts_of(found.charts, chart.folder)]
        problems = charts.missing(chart, part.path, present)
        if part.archived:
            found.problems += [replace(problem, origin=part.origin) for problem in problems]
        else:
            found.problems += [problem for problem in problems if problem.origin not in told]
        schema = found.seen.get(posixpath.join(chart.folder, "values.schema.json"))
        if schema is not None:
            found.problems += _schema_problems(schema)


def _schema_problems(part: Part) -> Iterator[Problem]:
    origin = part.origin
    try:
        schema = json.loads(part.content)
    except (ValueError, RecursionError):
        yield _problem("chart-schema", f"{part.path}: values.schema.json is not JSON", origin)
        return
    for reference in dict.fromkeys(charts.foreign_references(schema)):
        message = f"values.schema.json refers to {reference[:80]!r}, outside of itself"
        yield _problem("chart-schema", message, origin, "put what it refers to into its $defs")


def _problem(code: str, message: str, origin: Origin, hint: str = "") -> Problem:
    return Problem(code=code, message=message, origin=origin, hint=hint)

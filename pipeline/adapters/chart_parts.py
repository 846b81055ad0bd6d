"""Dependencies of a chart that are not in the commit, put where ``helm dependency build`` would put them.

Helm itself fetches nothing: it finds them in ``charts/`` of its private folder, and what conditions, tags,
aliases and imported values make of them is its business.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from pipeline.adapters import chart_files, yaml
from pipeline.adapters.chart_files import ChartFiles, parts_of
from pipeline.core import chart_parts
from pipeline.core.chart_parts import Lock, Part
from pipeline.core.charts import CHART_FILE, Chart, Dependency
from pipeline.model.environment import PinnedPart
from pipeline.model.errors import InvalidError, PipelineError, Problem
from pipeline.model.objects import Json, Origin, get_path

_LOCK = "Chart.lock"


@dataclass(slots=True)
class Parts:
    """What an environment says of a chart's dependencies, ``fetch`` gets the archive of one."""

    pins: Sequence[PinnedPart]
    allowed: Collection[str]
    fetch: Callable[[Part], bytes]
    _used: list[PinnedPart] = field(default_factory=list)
    _told: set[Origin] = field(default_factory=set)
    _known: list[Dependency] = field(default_factory=list)
    _vendored: set[str] = field(default_factory=set)

    def complete(self, found: ChartFiles) -> Collection[Origin]:
        """Add what is missing and has a digest; what is wrong is added to the problems. The places of these
        dependencies.

        Raises:
            UnreachableError: a server cannot be asked.
        """
        wanted: list[tuple[Chart, Part]] = []
        for chart in list(found.charts):
            if not found.seen[posixpath.join(chart.folder, CHART_FILE)].archived:
                wanted += [(chart, part) for part in self._wanted(found, chart)]
        found.problems += chart_parts.unused(self.pins, self._used, self._known, self._vendored)
        if not found.problems:
            for chart, part in wanted:
                self._add(found, chart, part)
        return self._told

    def _wanted(self, found: ChartFiles, chart: Chart) -> list[Part]:
        """The parts of one chart that are fetched, each once."""
        path = found.seen[posixpath.join(chart.folder, CHART_FILE)].path
        present = {part.name for part in parts_of(found.charts, chart.folder)}
        parts: dict[tuple[str, str], Part] = {}
        lock = Lock(_read(found, chart, _LOCK), get_path(_read(found, chart, CHART_FILE), "dependencies"))
        for dependency in chart.dependencies:
            self._known.append(dependency)
            if dependency.name in present:
                self._vendored.add(dependency.name)
                continue
            pin = chart_parts.pin_of(dependency, self.pins)
            if pin is None:
                continue  # told with all that is missing
            self._used.append(pin)
            origin = Origin(path, dependency.line)
            self._told.add(origin)
            part = chart_parts.part_of(dependency, pin, lock, self.allowed, origin)
            if isinstance(part, Problem):
                found.problems.append(part)
            else:
                parts.setdefault((part.name, part.version), part)
        return list(parts.values())

    def _add(self, found: ChartFiles, chart: Chart, part: Part) -> None:
        try:
            content = self.fetch(part)
        except InvalidError as error:
            found.problems += error.problems or [_problem(part, error)]
            return
        within = posixpath.join(chart.folder, "charts", part.file)
        added = chart_files.add(found, within, content, part.origin)
        if added is None:
            if not found.problems:
                found.problems.append(_problem(part, InvalidError(f"{part.file} has no {CHART_FILE}")))
            return
        if added.name != part.name or not chart_parts.same_version(added.version, part.version):
            message = f"the digest is that of {added.name} {added.version}, not of {part.name} {part.version}"
            found.problems.append(
                _problem(part, InvalidError(message, hint="write the digest of this version"))
            )


def _read(found: ChartFiles, chart: Chart, name: str) -> Json:
    """What a file of the chart holds; None where it is not there, or cannot be read, which is told."""
    part = found.seen.get(posixpath.join(chart.folder, name))
    if part is None:
        return None
    try:
        documents = yaml.load_documents(part.path, part.content)
    except InvalidError as error:
        found.problems += error.problems
        return None
    return documents[0].value if documents else None


def _problem(part: Part, error: PipelineError) -> Problem:
    return Problem(code="chart-dependency", message=error.message, origin=part.origin, hint=error.hint)

"""What a Helm chart is made of: its name, its parts, and what must not be in it.

Pure. Rules: Helm's chart format (helm.sh/docs/topics/charts). Names are narrower here than Helm's own check,
since several of its advisories were names that led out of a folder (CVE-2024-25620, CVE-2026-35206).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pipeline.core.schema import kind_of
from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Json, Origin

CHART_FILE = "Chart.yaml"
KUBE_VERSION = "1.36.0"
"""What templates are told of a cluster where none is at hand; an environment may say another."""
FILE_BYTES = 5 * 1024 * 1024
CHART_BYTES = 100 * 1024 * 1024
"""Helm's own limits of what it unpacks (pkg/chart/loader/archive)."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,248}[A-Za-z0-9])?")
_VERSION = re.compile(r"v?[0-9]+(\.[0-9A-Za-z][0-9A-Za-z.+-]*)?")
_CONSTRAINT = re.compile(r"[0-9A-Za-z.+*^~<>=!|, -]+")
_LOCAL = "file://"
_DRAFTS = re.compile(r"https?://json-schema\.org/draft(-0[3-7]|/20\d\d-\d\d)/schema#?")
_ACTION = re.compile(r"\{\{(?!-?\s*/\*).*?\}\}", re.DOTALL)
"""What a template does, without comments and the text around it: people write "now" there."""
_UPGRADE = re.compile(r"\bIs(?:Install|Upgrade)\b|\bRelease\b(?!\.)")
"""Also what takes all of ``.Release``, to print it or to go through it."""
_TIME = re.compile(r"\b(?:now|ago)\b")
_RANDOM = re.compile(
    r"\b(?:rand(?:Alpha|AlphaNum|Numeric|Ascii|Bytes|Int)|gen(?:CA|SelfSignedCert|SignedCert)(?:WithKey)?"
    r"|genPrivateKey|uuidv4|shuffle|htpasswd|bcrypt|encryptAES|now|ago)\b"
    r"|\b(?:keys|values) +[$.(]"  # of a mapping, in no order
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One entry of ``dependencies``. ``repository`` is empty for what lies in ``charts/`` anyway."""

    name: str
    alias: str
    repository: str
    line: int
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart or a part of one. ``folder`` is where it lies in the outermost one; empty for that itself."""

    name: str
    folder: str
    version: str = ""
    dependencies: tuple[Dependency, ...] = ()


def read_chart(
    value: Json, lines: Mapping[FieldPath, int], path: str, folder: str
) -> tuple[Chart | None, list[Problem]]:
    """What a ``Chart.yaml`` says, and what is wrong with it."""
    if not isinstance(value, dict):
        return None, [_problem("chart-malformed", f"{kind_of(value)}, not a chart", Origin(path))]
    problems: list[Problem] = []

    def told(at: FieldPath, message: str, hint: str) -> None:
        problems.append(_problem("chart-malformed", message, Origin(path, _line(lines, at)), hint))

    name, version = value.get("name"), value.get("version")
    if not _is_name(name):
        told(("name",), f"name: {_shown(name)} is no chart's name", _NAME_HINT)
    if not (isinstance(version, str) and _VERSION.fullmatch(version)):
        told(
            ("version",), f"version: {_shown(version)} is no version", 'write one in quotes, such as "1.2.3"'
        )
    found: list[Dependency] = []
    given = value.get("dependencies")
    for index, item in enumerate(given if isinstance(given, list) else ()):
        at: FieldPath = ("dependencies", index)
        dependency = _dependency(item, _line(lines, at))
        if isinstance(dependency, Dependency):
            found.append(dependency)
        else:
            key, message, hint = dependency
            told((*at, key) if key else at, f"dependencies[{index}]{message}", hint)
    chart = Chart(name=str(name), folder=folder, version=str(version), dependencies=tuple(found))
    return (None if problems else chart), problems


def _dependency(item: Json, line: int) -> Dependency | tuple[str, str, str]:
    """The dependency, or (key, message, hint) of what is wrong with it."""
    if not isinstance(item, dict):
        return "", f" is {kind_of(item)}, not a mapping", "write name, version and repository"
    for key in ("name", "alias"):
        text = item.get(key)
        if not _is_name(text) and not (key == "alias" and text in (None, "")):
            return key, f".{key}: {_shown(text)} is no chart's name", _NAME_HINT
    version = item.get("version")
    if version not in (None, "") and not (isinstance(version, str) and _CONSTRAINT.fullmatch(version)):
        return "version", f".version: {_shown(version)} is no range of versions", "write it in quotes"
    repository = item.get("repository")
    if not isinstance(repository, str | None):
        return "repository", f".repository is {kind_of(repository)}", "write a URL, or file://../path"
    alias = item.get("alias") or ""
    return Dependency(
        name=item["name"], alias=alias, repository=repository or "", line=line, version=version or ""
    )


_NAME_HINT = "letters, digits, dots, _ and -, and a letter or digit at both ends"


def local_path(chart: str, dependency: Dependency) -> str | None:
    """The folder that ``file://../x`` of the chart in ``chart`` names, in the repository; None for others.

    Empty where it leads out of the repository.
    """
    if not dependency.repository.startswith(_LOCAL):
        return None
    written = dependency.repository.removeprefix(_LOCAL)
    path = posixpath.normpath(posixpath.join(chart, written))
    outside = written.startswith("/") or path in (".", "..") or path.startswith("../")
    return "" if outside or not path.isprintable() else path


def missing(chart: Chart, path: str, present: Iterable[str]) -> Iterator[Problem]:
    """The dependencies that are in none of the ``present`` charts. ``path``: that of the Chart.yaml."""
    names = set(present)
    for dependency in chart.dependencies:
        if dependency.name not in names:
            where = f" ({dependency.repository})" if dependency.repository else ""
            yield _problem(
                "chart-dependency-missing",
                f"{chart.name} needs the chart {dependency.name}{_shown_text(where)}, not in charts/",
                Origin(path, dependency.line),
                "vendor it: run `helm dependency build` and commit what it puts into charts/"
                + _or_pin(dependency),
            )


def _or_pin(dependency: Dependency) -> str:
    """The other way, where there is one."""
    if not dependency.repository.startswith(("https://", "oci://")):
        return ""
    pin = f"dependencies: [{{name: {dependency.alias or dependency.name}, digest: sha256:…}}]"
    return f"; or write {pin} beside chart, and its host into allow.remote"


def prefixes(charts: Iterable[Chart]) -> dict[str, str]:
    """Where Helm says that a template is, ``web/charts/db``, to where its chart lies, ``charts/db-1.2.tgz``.

    ``charts`` with the outermost first, each before its parts. Helm goes by names and aliases.
    """
    found: dict[str, tuple[str, Chart]] = {}
    for chart in sorted(charts, key=lambda c: c.folder.count("/charts/") + bool(c.folder)):
        above = posixpath.dirname(posixpath.dirname(chart.folder)) if chart.folder else None
        if above is None:
            found[chart.name] = (chart.folder, chart)
            continue
        for prefix, (folder, parent) in list(found.items()):
            if folder == above:
                meant = [d for d in parent.dependencies if d.name == chart.name]
                # Of one name there may be several versions, each by an alias of its own.
                exact = [d for d in meant if d.version.lstrip("=v ") == chart.version.removeprefix("v")]
                for name in {chart.name, *(d.alias for d in exact or meant if d.alias)}:
                    found[f"{prefix}/charts/{name}"] = (chart.folder, chart)
    return {prefix: folder for prefix, (folder, _) in found.items()}


def foreign_references(schema: Json) -> Iterator[str]:
    """The references of a JSON Schema that lead out of it: Helm would read a file or ask a server."""
    own: set[str] = set()
    references: list[str] = []
    pending = [schema]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            pending += value.values()
            own |= {value[key].partition("#")[0] for key in ("$id", "id") if isinstance(value.get(key), str)}
            references += [
                value[key]
                for key in ("$ref", "$dynamicRef", "$recursiveRef")
                if isinstance(value.get(key), str)
            ]
            draft = value.get("$schema")
            if isinstance(draft, str) and not _DRAFTS.fullmatch(draft):
                yield draft
    yield from (ref for ref in references if ref.partition("#")[0] not in {"", *own})


def is_random(text: str) -> bool:
    """Whether a template may make something else each time: of chance, of the time, of unordered keys."""
    return any(_RANDOM.search(action) for action in _ACTION.findall(text))


def heeds_upgrade(text: str) -> bool:
    """Whether a template may make something else of an upgrade than of an installation."""
    return any(_UPGRADE.search(action) for action in _ACTION.findall(text))


def is_timed(text: str) -> bool:
    """Whether a template may make something else as time goes by."""
    return any(_TIME.search(action) for action in _ACTION.findall(text))


def _is_name(text: object) -> bool:
    return isinstance(text, str) and _NAME.fullmatch(text) is not None and ".." not in text


def _line(lines: Mapping[FieldPath, int], path: FieldPath) -> int:
    return next((lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in lines), 1)


def _shown(value: object) -> str:
    return _shown_text(repr(value)) if isinstance(value, str) else kind_of(value)


def _shown_text(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "…"


def _problem(code: str, message: str, origin: Origin, hint: str = "") -> Problem:
    return Problem(code=code, message=message, origin=origin, hint=hint)

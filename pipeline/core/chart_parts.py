"""Which dependencies of a chart are fetched: those with one exact version and a digest, of an allowed host.

Pure. ``Chart.lock`` holds no digest of contents, only one of what ``Chart.yaml`` asks for (Helm,
internal/resolver); so the environment says it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.core.chart_reference import HTTPS, ChartReference, parse, repository_host
from pipeline.core.charts import Dependency
from pipeline.core.schema import nearest, shown
from pipeline.model.environment import PinnedPart
from pipeline.model.errors import Problem
from pipeline.model.objects import Json, Origin

_EXACT = re.compile(r"=? *v?([0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)")
"""A version that is no range of them: Masterminds/semver takes ``1.2`` for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A dependency to fetch. ``reference`` is that of its archive in a registry; None where ``repository`` is
    one of charts, over https, whose index says where the archive is."""

    name: str
    version: str
    digest: str
    repository: str
    origin: Origin
    reference: ChartReference | None = None

    @property
    def file(self) -> str:
        """As ``helm dependency build`` calls it in ``charts/``."""
        return f"{self.name}-{self.version}.tgz"


def pin_of(dependency: Dependency, pins: Iterable[PinnedPart]) -> PinnedPart | None:
    """What the environment says of a dependency: by its alias, else by its name."""
    by_name = {pin.name: pin for pin in pins}
    return by_name.get(dependency.alias) or by_name.get(dependency.name)


def part_of(
    dependency: Dependency, pin: PinnedPart, lock: Json, allowed: Collection[str], origin: Origin
) -> Part | Problem:
    """The part to fetch, or why it is not; ``lock`` is what ``Chart.lock`` holds, ``origin`` the dependency's
    place in ``Chart.yaml``."""
    name, repository = dependency.name, dependency.repository

    def refused(code: str, message: str, hint: str) -> Problem:
        return Problem(code=code, message=f"{name}: {message}", origin=origin, hint=hint)

    host = repository_host(repository)
    if not host:
        message = f"its repository {shown(repository)} is neither https:// nor oci:// and a path"
        return refused("chart-dependency", message, "vendor it: run `helm dependency build`, commit charts/")
    if host not in allowed:
        hint = f"write allow: {{remote: [{host}]}}, if charts may come from there"
        return refused("remote-refused", f"{host} is not an allowed host", hint)
    try:
        exact = _exact(dependency, lock)
    except ValueError as error:
        return refused("chart-dependency", str(error), "run `helm dependency update` and commit Chart.lock")
    base = repository.rstrip("/")
    reference = None
    if not repository.startswith(HTTPS):
        # A tag may hold no +, for which Helm writes _.
        tag = exact.replace("+", "_")
        try:
            reference = parse(f"{base}/{name}:{tag}@{pin.digest}")
        except ValueError as error:
            return refused("chart-dependency", f"{shown(base)}: {error}", "correct the repository")
    return Part(
        name=name, version=exact, digest=pin.digest, repository=base, origin=origin, reference=reference
    )


def same_version(one: str, other: str) -> bool:
    """Whether two exact versions are one; a ``v`` before them says nothing."""
    return one.removeprefix("v") == other.removeprefix("v")


def unused(
    pins: Sequence[PinnedPart],
    used: Collection[PinnedPart],
    known: Sequence[Dependency],
    vendored: Collection[str],
) -> Iterator[Problem]:
    """Digests that hold nothing: a part that is vendored may change under them, a misspelt one is missing."""
    names = {name: d.name for d in known for name in (d.alias, d.name) if name}
    for pin in pins:
        if pin in used:
            continue
        if names.get(pin.name) in vendored:
            message, hint = f"{pin.name} is vendored, its digest is not looked at", "remove one of the two"
        else:
            near = nearest(pin.name, names)
            message = f"the chart has no dependency {shown(pin.name)} that is fetched"
            hint = f"did you mean {near}?" if near and near != pin.name else "remove it"
        yield Problem(code="chart-dependency", message=message, origin=pin.origin, hint=hint)


def _exact(dependency: Dependency, lock: Json) -> str:
    """The one version that is meant. ValueError with the reason where there is none."""
    asked = _EXACT.fullmatch(dependency.version)
    locked = list(dict.fromkeys(_locked(dependency, lock)))
    if asked and locked and not any(same_version(asked[1], one) for one in locked):
        raise ValueError(f"Chart.yaml asks for version {asked[1]}, Chart.lock for {shown(locked[0])}")
    if asked:
        return asked[1]
    found = _EXACT.fullmatch(locked[0]) if len(locked) == 1 else None
    if found is None:
        raise ValueError(f"version {shown(dependency.version)} is a range, and no Chart.lock says which one")
    return found[1]


def _locked(dependency: Dependency, lock: Json) -> Iterator[str]:
    """The versions in ``Chart.lock`` of that name and repository: several where it is there twice."""
    entries = lock.get("dependencies") if isinstance(lock, Mapping) else None
    wanted = dependency.name, dependency.repository.rstrip("/")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            continue
        name, repository, version = (entry.get(key) for key in ("name", "repository", "version"))
        if (name, str(repository or "").rstrip("/")) == wanted and isinstance(version, str):
            yield version

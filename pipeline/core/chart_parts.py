"""Which dependencies of a chart are fetched: those with one exact version and a digest, of an allowed host.

Pure. ``Chart.lock`` holds no digest of contents, only one of what ``Chart.yaml`` asks for (Helm,
internal/resolver); so the environment says it.
"""

from __future__ import annotations

import hashlib
import json
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


@dataclass(frozen=True, slots=True)
class Lock:
    """What ``Chart.lock`` holds, None where there is none, and the ``dependencies`` of ``Chart.yaml``."""

    value: Json
    required: Json

    def versions(self, dependency: Dependency) -> list[str]:
        """Those of a dependency's name and repository: several where it is there twice."""
        wanted = dependency.name, dependency.repository.rstrip("/")
        found = []
        for entry in _dependencies(self.value):
            name, repository, version = (entry.get(key) for key in ("name", "repository", "version"))
            if (name, str(repository or "").rstrip("/")) == wanted and isinstance(version, str):
                found.append(version)
        return list(dict.fromkeys(found))

    @property
    def is_in_sync(self) -> bool:
        """As ``helm dependency build`` has it: whether it was made of what ``Chart.yaml`` asks for now."""
        told = self.value.get("digest") if isinstance(self.value, Mapping) else ""
        return told == lock_digest(_dependencies({"dependencies": self.required}), _dependencies(self.value))


def lock_digest(required: Sequence[Mapping[str, Json]], locked: Sequence[Mapping[str, Json]]) -> str:
    """The digest in ``Chart.lock`` (Helm 4.3, internal/resolver HashReq): SHA-256 of both lists as Go writes
    them in JSON."""
    lists = [[_as_go_has_it(entry) for entry in entries] for entries in (required, locked)]
    text = json.dumps(lists, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":  # encoding/json, for the sake of HTML and JavaScript
        text = text.replace(character, f"\\u{ord(character):04x}")
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


_ALWAYS = ("name", "repository")
_FIELDS = ("name", "version", "repository", "condition", "tags", "enabled", "import-values", "alias")


def _as_go_has_it(entry: Mapping[str, Json]) -> dict[str, Json]:
    """The fields that Helm knows, in its order, without those that are empty; keys within them are sorted."""
    found = {}
    for field in _FIELDS:
        value = entry.get(field)
        if value or field in _ALWAYS:
            found[field] = _sorted(value) if value else ""
    return found


def _sorted(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _dependencies(value: Json) -> list[dict[str, Json]]:
    found = value.get("dependencies") if isinstance(value, Mapping) else None
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def pin_of(dependency: Dependency, pins: Iterable[PinnedPart]) -> PinnedPart | None:
    """What the environment says of a dependency: by its alias, else by its name."""
    by_name = {pin.name: pin for pin in pins}
    return by_name.get(dependency.alias) or by_name.get(dependency.name)


def part_of(
    dependency: Dependency, pin: PinnedPart, lock: Lock, allowed: Collection[str], origin: Origin
) -> Part | Problem:
    """The part to fetch, or why it is not; ``origin`` is the dependency's place in ``Chart.yaml``."""
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


def _exact(dependency: Dependency, lock: Lock) -> str:
    """The one version that is meant. ValueError with the reason where there is none."""
    asked = _EXACT.fullmatch(dependency.version)
    locked = lock.versions(dependency)
    if asked and locked and not any(same_version(asked[1], one) for one in locked):
        raise ValueError(f"Chart.yaml asks for version {asked[1]}, Chart.lock for {shown(locked[0])}")
    if asked:
        return asked[1]
    found = _EXACT.fullmatch(locked[0]) if len(locked) == 1 else None
    if found is None:
        raise ValueError(f"version {shown(dependency.version)} is a range, and no Chart.lock says which one")
    if not lock.is_in_sync:
        # Helm would take the part for another one, and its condition, alias and tags for nothing.
        raise ValueError("Chart.lock is out of sync with Chart.yaml")
    return found[1]

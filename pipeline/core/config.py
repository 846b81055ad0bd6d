"""``environment.yaml``: from a parsed mapping to an Environment, or to every problem at once (design §3)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.core import chart_reference
from pipeline.core.environment_shape import ENVIRONMENT, LABEL
from pipeline.core.schema import Reading, json_schema, nearest
from pipeline.model.environment import (
    Allow,
    Check,
    Cluster,
    Deploy,
    EksCluster,
    Environment,
    Grace,
    HelmChart,
    HttpCheck,
    KubeconfigCluster,
    PinnedPart,
    Promotion,
    Prune,
    ReadyRule,
    Rollback,
    Rollout,
    Source,
    TcpCheck,
)
from pipeline.model.errors import InvalidError
from pipeline.model.objects import FieldPath, Json, get_path

__all__ = ["environment_schema", "nearest", "parse_environment"]


_DEFAULT = Check(name="default", probe=TcpCheck())


def parse_environment(
    value: Json, lines: Mapping[FieldPath, int], path: str, repository_name: str
) -> Environment:
    """What an ``environment.yaml`` says. ``path`` is its own, within the repository.

    Raises:
        InvalidError: with every problem of the file, each with its line.
    """
    reading = Reading(path, lines)
    read = reading.read(ENVIRONMENT, value, ()) or {}
    spec = read.get("spec", {})
    _check_name(reading, read, path)
    sources = _sources(reading, spec, path)
    _check_checks(reading, spec)
    _check_promotion(reading, spec, posixpath.basename(posixpath.dirname(path)))
    if reading.problems:
        problems = sorted(reading.problems, key=lambda p: p.origin.line if p.origin else 0)
        noun = "problem" if len(problems) == 1 else "problems"
        raise InvalidError(f"{path}: {len(problems)} {noun}", problems=problems)
    name = read["metadata"]["name"]
    application = spec.get("application") or _as_name(repository_name) or name
    return Environment(
        name=name,
        application=application,
        namespace=spec["namespace"],
        path=path,
        create_namespace=spec.get("createNamespace", True),
        cluster=_cluster(spec.get("cluster")),
        sources=_named(sources, application),
        deploy=Deploy(**_renamed(spec.get("deploy"))),
        prune=Prune(**_renamed(spec.get("prune"))),
        rollout=_rollout(spec.get("rollout", {})),
        checks=tuple(
            _check(reading, check, ("spec", "checks", index))
            for index, check in enumerate(spec.get("checks", ()))
        ),
        rollback=Rollback(**_renamed(spec.get("rollback"))),
        allow=Allow(**_renamed(spec.get("allow"))),
        promotion=Promotion(sources=tuple(spec.get("promotion", {}).get("from", ()))),
    )


def environment_schema() -> dict[str, Any]:
    """The JSON Schema of ``environment.yaml``, for editors; the definition is the one that is read by."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Environment of pipeline",
        **json_schema(ENVIRONMENT),
    }


# --- what a shape alone cannot say


def _check_name(reading: Reading, read: dict[str, Any], path: str) -> None:
    folder = posixpath.basename(posixpath.dirname(path))
    name = get_path(read, "metadata", "name")
    if name is not None and name != folder:
        message = f"metadata.name is {name}, the folder is {folder}"
        reading.tell(("metadata", "name"), "wrong-name", message, f"write name: {folder}")


def _sources(reading: Reading, spec: dict[str, Any], path: str) -> tuple[Source, ...]:
    found: dict[tuple[str, str, str], Source] = {}
    for index, source in enumerate(spec.get("sources", ())):
        kind = next((kind for kind in ("manifests", "kustomize", "helm") if kind in (source or {})), "")
        if not kind:
            continue
        at: FieldPath = ("spec", "sources", index, kind)
        chart = _chart(reading, at, path, source[kind]) if kind == "helm" else None
        at = (*at, "chart") if chart else at
        written = (source[kind] or {}).get("chart") if chart else source[kind]
        if chart and written and chart_reference.is_reference(written):
            folder, chart = _from_elsewhere(reading, at, written, chart, spec)
        else:
            folder = _path(reading, at, path, written, root=kind == "kustomize") if written else None
        if folder is None:
            continue
        key = kind, folder, chart.release if chart else ""
        if key in found:
            reading.tell(at, "duplicate-source", f"{folder} is a source already")
        else:
            found[key] = Source(kind=kind, path=folder, origin=reading.origin(at), helm=chart)
    if "sources" in spec and not spec["sources"]:
        reading.tell(("spec", "sources"), "missing-key", "spec.sources is empty", "- manifests: manifests")
    return tuple(found.values())


def _chart(reading: Reading, at: FieldPath, file: str, given: Mapping[str, Any] | None) -> HelmChart:
    """How a chart is rendered. An empty release is named after the application, once that is known."""
    given = given or {}
    values = [
        _path(reading, (*at, "values", index), file, written)
        for index, written in enumerate(given.get("values") or ())
        if written
    ]
    rest = {key: value for key, value in given.items() if key not in ("chart", "values", "dependencies")}
    return HelmChart(
        values=tuple(path for path in values if path),
        dependencies=_pinned(reading, (*at, "dependencies"), given),
        **{"release": "", **_renamed(rest)},
    )


def _pinned(reading: Reading, at: FieldPath, given: Mapping[str, Any]) -> tuple[PinnedPart, ...]:
    """The dependencies that are fetched, of a chart of the repository."""
    found: dict[str, PinnedPart] = {}
    for index, part in enumerate(given.get("dependencies") or ()):
        name, digest = (part or {}).get("name"), (part or {}).get("digest")
        if name in found:
            reading.tell((*at, index), "bad-value", f"two digests are given for {name}", "write one of them")
        elif name and digest:
            found[name] = PinnedPart(name=name, digest=digest, origin=reading.origin((*at, index)))
    if found and chart_reference.is_reference(given.get("chart") or ""):
        message = "dependencies have no effect beside a chart from elsewhere: it comes with its own"
        reading.tell(at, "bad-choice", message, "remove them")
    return tuple(found.values())


def _from_elsewhere(
    reading: Reading, at: FieldPath, written: str, chart: HelmChart, spec: dict[str, Any]
) -> tuple[str | None, HelmChart]:
    """(address, how it is rendered) of a chart that is not in the repository; None, and told, where it is
    written wrongly or its host is not allowed."""
    try:
        reference = chart_reference.parse(written)
    except ValueError as error:
        reading.tell(at, "bad-value", f"{written[:100]!r}: {error}")
        return None, chart
    if reference.host not in get_path(spec, "allow", "remote", default=()):
        message = f"{reference.host} is not an allowed host"
        hint = f"write allow: {{remote: [{reference.host}]}}, if charts may come from there"
        reading.tell(at, "remote-refused", message, hint)
        return None, chart
    return reference.address, replace(chart, digest=reference.digest)


def _named(sources: tuple[Source, ...], application: str) -> tuple[Source, ...]:
    """The sources with a release's name for every chart, within Helm's limit."""
    release = application[:53].rstrip("-")
    return tuple(
        replace(source, helm=replace(source.helm, release=release))
        if source.helm and not source.helm.release
        else source
        for source in sources
    )


def _path(reading: Reading, at: FieldPath, file: str, written: str, *, root: bool = False) -> str | None:
    """The path from the repository's root of what ``file`` names; None, and told, where it is not within."""
    folder = _within(posixpath.dirname(file), written)
    if folder is None or (folder == "." and not root):
        message = f"{written!r} is not a folder or file within the repository"
        reading.tell(at, "outside-repository", message, "paths are relative to this file")
        return None
    return folder


def _within(folder: str, written: str) -> str | None:
    """The path from the repository's root, which is ``.``, or None where it leaves the repository."""
    if written.startswith("/") or "\\" in written or not written.isprintable() or "://" in written:
        return None
    path = posixpath.normpath(posixpath.join(folder, written))
    return None if path in ("..", "") or path.startswith(("../", "/")) else path


def _check_checks(reading: Reading, spec: dict[str, Any]) -> None:
    names: set[str] = set()
    for index, check in enumerate(spec.get("checks", ())):
        at: FieldPath = ("spec", "checks", index)
        if not check:
            continue
        name = check.get("name")
        if name in names:
            reading.tell((*at, "name"), "duplicate-check", f"two checks are called {name}")
        names.add(name)
        http = check.get("http", {})
        for field in ("port", "path"):
            if "url" in http and field in http:
                message = f"{field} has no effect beside url"
                reading.tell((*at, "http", field), "bad-choice", message, "write it into the url")
        _check_deadline(reading, check, at)


def _check_deadline(reading: Reading, check: dict[str, Any], at: FieldPath) -> None:
    samples = check.get("samples", _DEFAULT.samples)
    interval = check.get("interval", _DEFAULT.interval_s)
    deadline = check.get("deadline", _DEFAULT.deadline_s)
    needed = (samples - 1) * interval
    if needed >= deadline:
        message = f"{samples} samples every {interval:g} s take {needed:g} s, the deadline is {deadline:g} s"
        reading.tell((*at, "deadline"), "bad-value", message, f"write deadline: {int(needed * 2) + 1}s")


def _check_promotion(reading: Reading, spec: dict[str, Any], folder: str) -> None:
    for index, source in enumerate(get_path(spec, "promotion", "from", default=())):
        if source == folder:
            at: FieldPath = ("spec", "promotion", "from", index)
            reading.tell(at, "bad-value", "an environment cannot be promoted from itself")


# --- from keys of the file to fields of the model

_SECONDS = {"timeout", "interval", "deadline", "image", "schedule", "quota", "ready", "steady"}


def _renamed(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """``maxDeletions`` → ``max_deletions``, ``timeout`` → ``timeout_s``, lists → tuples."""
    renamed = {}
    for key, value in (given or {}).items():
        name = re.sub(r"(?<=[a-z])[A-Z]", lambda m: "_" + m[0].lower(), key)
        name += "_s" if key in _SECONDS and not isinstance(value, list) else ""
        renamed[name] = tuple(value) if isinstance(value, list) else value
    return renamed


def _cluster(given: Mapping[str, Any] | None) -> Cluster | None:
    if not given:
        return None
    if "eks" in given:
        return EksCluster(**_renamed(given["eks"]))
    return KubeconfigCluster(**_renamed(given["kubeconfig"]))


def _rollout(given: Mapping[str, Any]) -> Rollout:
    rest = {key: value for key, value in given.items() if key not in ("grace", "rules")}
    return Rollout(
        grace=Grace(**_renamed(given.get("grace"))),
        rules=tuple(ReadyRule(**_renamed(rule)) for rule in given.get("rules", ())),
        **_renamed(rest),
    )


def _check(reading: Reading, given: Mapping[str, Any], at: FieldPath) -> Check:
    rest = {key: value for key, value in given.items() if key not in ("http", "tcp")}
    probe: HttpCheck | TcpCheck
    if "http" in given:
        probe = HttpCheck(**given["http"])
    else:
        probe = TcpCheck(**given["tcp"])
    return Check(probe=probe, origin=reading.origin(at), **_renamed(rest))


def _as_name(repository: str) -> str:
    """A repository's name as an application's: ``My_App.git`` → ``my-app``."""
    name = re.sub(r"[^a-z0-9]+", "-", repository.removesuffix(".git").lower()).strip("-")[:40].strip("-")
    return name if re.search(LABEL, name) else ""

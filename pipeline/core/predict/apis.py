"""API versions that a server, or the version that it is going to have, no longer serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.core.at_field import error, warning
from pipeline.core.removed import NEWEST, Deprecated, Removed, fate, minor, removed
from pipeline.model.errors import Problem
from pipeline.model.objects import Manifest


def concerned(manifests: Iterable[Manifest]) -> bool:
    """Whether any version of Kubernetes that we know of has something against one of these."""
    return any(fate(m.api_version, m.ref.kind, NEWEST) for m in manifests)


def api_problems(manifests: Iterable[Manifest], *, target: str = "", server: str = "") -> Iterator[Problem]:
    """What Kubernetes ``target`` makes of the API versions that are written.

    With a ``server``, which is older than ``target``, what ends in between is a warning: it works until
    the upgrade. Without either, only what some supported version no longer serves is told, as a warning.
    What no supported version serves is left to validation.
    """
    for manifest in manifests:
        if removed(manifest.api_version, manifest.ref.kind) is not None:
            continue
        if _is_later(target, server):
            yield from _after_upgrade(manifest, target, server)
        elif target or server:
            yield from _at(manifest, target or server)
        else:
            yield from _somewhere(manifest)


def _is_later(target: str, server: str) -> bool:
    at, now = minor(target), minor(server)
    return at is not None and now is not None and at > now


def _at(manifest: Manifest, version: str) -> Iterator[Problem]:
    match fate(manifest.api_version, manifest.ref.kind, version):
        case Removed(since=since, instead=instead):
            message = f"{_api(manifest)} was removed in Kubernetes {since}, so {version} does not serve it"
            yield error(manifest, ("apiVersion",), "removed-api", message, f"use {instead}")
        case Deprecated() as old:
            yield _deprecated(manifest, old)
        case None:
            pass


def _after_upgrade(manifest: Manifest, target: str, server: str) -> Iterator[Problem]:
    now = fate(manifest.api_version, manifest.ref.kind, server)
    then = fate(manifest.api_version, manifest.ref.kind, target)
    if isinstance(then, Removed) and not isinstance(now, Removed):
        message = f"{_api(manifest)} will be refused after the upgrade to {target}: {then.since} removed it"
        yield warning(manifest, ("apiVersion",), "removed-api", message, f"use {then.instead}")
    elif isinstance(then, Deprecated):
        yield _deprecated(manifest, then)
    else:
        yield from _at(manifest, server)


def _somewhere(manifest: Manifest) -> Iterator[Problem]:
    gone = fate(manifest.api_version, manifest.ref.kind, NEWEST)
    if isinstance(gone, Removed):
        message = f"{_api(manifest)} is not served from Kubernetes {gone.since} on"
        yield warning(manifest, ("apiVersion",), "removed-api", message, f"use {gone.instead}")


def _deprecated(manifest: Manifest, old: Deprecated) -> Problem:
    end = f" and removed in {old.removed_in}" if old.removed_in else ""
    message = f"{_api(manifest)} is deprecated since Kubernetes {old.since}{end}"
    return warning(manifest, ("apiVersion",), "deprecated-api", message, f"use {old.instead}")


def _api(manifest: Manifest) -> str:
    return f"{manifest.api_version} {manifest.ref.kind}"

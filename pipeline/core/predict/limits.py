"""Containers, pods and claims that a LimitRange refuses, whatever the server said of their workload."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from pipeline.core.at_field import error
from pipeline.core.predict.facts import Outlook, Workload
from pipeline.core.predict.quantity import show
from pipeline.core.predict.resources import Resources, amounts, items_of, of_container, of_pod
from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Json, Manifest, Object, get_path

_CLAIM = ("", "PersistentVolumeClaim")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What one item of a LimitRange is held against; ``path`` leads to its ``resources``.

    Limits of a claim do not count: it is not ``limited``.
    """

    manifest: Manifest
    path: FieldPath
    what: str
    found: Resources
    limit_range: str
    limited: bool = True


def workload_limits(workload: Workload, outlook: Outlook) -> Iterator[Problem]:
    """What a LimitRange says of the workload's pods; rules of plugin/pkg/admission/limitranger."""
    namespace = workload.ref.namespace
    yield from _above_default(workload, outlook)
    for limit_range in outlook.limit_ranges(namespace):
        name = _name(limit_range)
        for item in items_of(limit_range, "Container"):
            for container, path in workload.containers():
                judged = _Judged(
                    manifest=workload.manifest,
                    path=(*path, "resources"),
                    what=f"container {container.get('name')}",
                    found=of_container(container, outlook.defaults(namespace)),
                    limit_range=name,
                )
                yield from _told(judged, item)
        for item in items_of(limit_range, "Pod"):
            judged = _Judged(
                manifest=workload.manifest,
                path=workload.path,
                what="the pod",
                found=of_pod(workload.spec, outlook.defaults(namespace)),
                limit_range=name,
            )
            yield from _told(judged, item)


def _above_default(workload: Workload, outlook: Outlook) -> Iterator[Problem]:
    """Requests above the limit that a container gets for stating none: its pods are not even valid.

    What is above the maximum as well is told with that.
    """
    given = outlook.defaults(workload.ref.namespace).limits
    ranges = outlook.limit_ranges(workload.ref.namespace)
    most = [amounts(item.get("max")) for r in ranges for item in items_of(r, "Container")]
    for container, path in workload.containers():
        own = amounts(get_path(container, "resources", "limits"))
        for resource, request in amounts(get_path(container, "resources", "requests")).items():
            limit = given.get(resource)
            if limit is None or resource in own or request <= limit:
                continue
            if all(request <= maximum.get(resource, request) for maximum in most):
                message = (
                    f"container {container.get('name')} requests {show(request)} of {resource}, more than the"
                    f" limit of {show(limit)} that a LimitRange gives it: it will be refused"
                )
                at = (*path, "resources", "requests", resource)
                hint = f"set resources.limits.{resource}"
                yield error(workload.manifest, at, "limit-range", message, hint)


def claim_limits(manifest: Manifest, outlook: Outlook) -> Iterator[Problem]:
    """What a LimitRange says of a claim, or of the claims that a StatefulSet makes."""
    for limit_range in outlook.limit_ranges(manifest.ref.namespace):
        for item in items_of(limit_range, "PersistentVolumeClaim"):
            for spec, path in _claims(manifest):
                requested = amounts(get_path(spec, "resources", "requests"))
                judged = _Judged(
                    manifest=manifest,
                    path=(*path, "resources"),
                    what="the claim",
                    found=Resources(requests=requested),
                    limit_range=_name(limit_range),
                    limited=False,
                )
                yield from _told(judged, {"min": item.get("min"), "max": item.get("max")})


def _claims(manifest: Manifest) -> Iterator[tuple[Json, FieldPath]]:
    if manifest.ref.group_kind == _CLAIM:
        yield get_path(manifest.body, "spec"), ("spec",)
    elif manifest.ref.group_kind == ("apps", "StatefulSet"):
        templates = get_path(manifest.body, "spec", "volumeClaimTemplates")
        for index, template in enumerate(templates if isinstance(templates, list) else ()):
            yield get_path(template, "spec"), ("spec", "volumeClaimTemplates", index, "spec")


def _name(limit_range: Object) -> str:
    return str(get_path(limit_range, "metadata", "name", default=""))


def _told(judged: _Judged, item: Json) -> Iterator[Problem]:
    """At most one problem for each resource and bound: the limit is judged before the request."""
    for resource, most in amounts(item.get("max")).items():
        yield from _above(judged, resource, most)
    for resource, least in amounts(item.get("min")).items():
        yield from _below(judged, resource, least)
    for resource, ratio in amounts(item.get("maxLimitRequestRatio")).items():
        yield from _spread(judged, resource, ratio)


def _above(judged: _Judged, resource: str, most: Fraction) -> Iterator[Problem]:
    for field, given in (("limits", judged.found.limits), ("requests", judged.found.requests)):
        amount = given.get(resource)
        if amount is not None and amount > most:
            words = f"{field} {show(amount)} of {resource}, more than the {show(most)}"
            yield _problem(judged, field, resource, words, f"ask for at most {show(most)}")
            return
    if judged.limited and resource not in judged.found.limits:
        words = f"no limit of {resource}, which must be at most the {show(most)}"
        yield _problem(judged, "limits", resource, words, f"set a limit of {resource}")


def _below(judged: _Judged, resource: str, least: Fraction) -> Iterator[Problem]:
    for field, given in (("requests", judged.found.requests), ("limits", judged.found.limits)):
        amount = given.get(resource)
        if amount is not None and amount < least:
            words = f"{field} {show(amount)} of {resource}, less than the {show(least)}"
            yield _problem(judged, field, resource, words, f"ask for at least {show(least)}")
            return
    if resource not in judged.found.requests:
        words = f"no request of {resource}, which must be at least the {show(least)}"
        yield _problem(judged, "requests", resource, words, f"set a request of {resource}")


def _spread(judged: _Judged, resource: str, ratio: Fraction) -> Iterator[Problem]:
    request = judged.found.requests.get(resource)
    limit = judged.found.limits.get(resource)
    if not request or not limit:
        words = f"no request or no limit of {resource}, whose ratio must be at most the {show(ratio)}"
        yield _problem(judged, "limits", resource, words, f"set both for {resource}")
    elif limit / request > ratio:
        words = (
            f"a limit of {show(limit)} for a request of {show(request)} of {resource}, more than"
            f" {show(ratio)} times as much, the ratio"
        )
        yield _problem(judged, "limits", resource, words, "raise the request or lower the limit")


def _problem(judged: _Judged, field: str, resource: str, words: str, hint: str) -> Problem:
    message = f"{judged.what} has {words} that LimitRange/{judged.limit_range} allows: it will be refused"
    return error(judged.manifest, (*judged.path, field, resource), "limit-range", message, hint)

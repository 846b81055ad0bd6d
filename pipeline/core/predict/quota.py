"""ResourceQuotas: the room that they leave, and what they want every container to state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from pipeline.core.at_field import error
from pipeline.core.predict.facts import Outlook, Workload
from pipeline.core.predict.quota_scopes import Scope, counts, scopes_of
from pipeline.core.predict.resources import Amounts, Resources, amounts, of_container, of_pod
from pipeline.model.errors import Problem
from pipeline.model.objects import Json, get_path

_STATED: Final = {
    "cpu": ("requests", "cpu"),
    "memory": ("requests", "memory"),
    "requests.cpu": ("requests", "cpu"),
    "requests.memory": ("requests", "memory"),
    "limits.cpu": ("limits", "cpu"),
    "limits.memory": ("limits", "memory"),
}
"""What a container must state once a quota counts it (pkg/quota/v1/evaluator/core, ``validationSet``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much of one resource a quota still allows to pods within all of its ``scopes``. ``counted`` is
    what pods are charged by."""

    quota: str
    resource: str
    counted: str
    hard: Fraction
    used: Fraction
    scopes: tuple[Scope, ...] = ()

    def counts(self, spec: Json, charged: Amounts) -> bool:
        """Whether a pod of this ``spec``, charged so, takes some of it."""
        return all(counts(scope, spec, charged) for scope in self.scopes)

    @property
    def left(self) -> Fraction:
        return self.hard - self.used

    def lacks(self, need: Amounts) -> bool:
        """Whether the server would refuse: a resource that is not asked for is never over its quota."""
        wanted = need.get(self.counted, Fraction(0))
        return wanted > 0 and wanted > self.left


def rooms(outlook: Outlook, namespace: str) -> list[Room]:
    """Of every quota of the namespace."""
    found = []
    for quota in outlook.quotas(namespace):
        scopes = scopes_of(quota)
        used = amounts(get_path(quota, "status", "used"))
        for resource, hard in amounts(get_path(quota, "spec", "hard")).items():
            room = Room(
                quota=str(get_path(quota, "metadata", "name", default="")),
                resource=resource,
                counted=_counted(resource),
                hard=hard,
                used=used.get(resource, Fraction(0)),
                scopes=scopes,
            )
            found.append(room)
    return found


def charge(spec: Json, defaults: Resources) -> Amounts:
    """What quotas count for one pod."""
    pod = of_pod(spec, defaults)
    found = {"pods": Fraction(1), "count/pods": Fraction(1)}
    found |= {f"requests.{resource}": amount for resource, amount in pod.requests.items()}
    found |= {f"limits.{resource}": amount for resource, amount in pod.limits.items()}
    return found


def unstated(workload: Workload, outlook: Outlook) -> Iterator[Problem]:
    """A problem for each container that says nothing of what a quota wants it to."""
    if get_path(workload.spec, "resources"):
        return  # stated for the pod as a whole
    namespace = workload.ref.namespace
    defaults = outlook.defaults(namespace)
    charged = charge(workload.spec, defaults)
    for quota in outlook.quotas(namespace):
        if not all(counts(scope, workload.spec, charged) for scope in scopes_of(quota)):
            continue
        wanted = {_STATED[r] for r in amounts(get_path(quota, "spec", "hard")) if r in _STATED}
        for container, path in workload.containers():
            found = of_container(container, defaults)
            given = {("requests", r) for r in found.requests} | {("limits", r) for r in found.limits}
            missing = sorted(".".join(one) for one in wanted - given)
            if missing:
                name = get_path(quota, "metadata", "name")
                message = (
                    f"container {container.get('name')} does not state {', '.join(missing)}, which"
                    f" ResourceQuota/{name} requires: its pods will be refused"
                )
                hint = f"set {' and '.join(f'resources.{one}' for one in missing)}"
                at = (*path, "resources")
                yield error(workload.manifest, at, "quota-needs-requests", message, hint)


def _counted(resource: str) -> str:
    if resource in ("cpu", "memory", "ephemeral-storage") or resource.startswith("hugepages-"):
        return f"requests.{resource}"
    return resource

"""What is waited for, and what has to be followed for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pipeline.core import rollout
from pipeline.core.readiness import BUILT_IN_GROUPS
from pipeline.core.readiness.storage import class_of, waits_for_consumer
from pipeline.core.rollout import WORKLOADS
from pipeline.model.errors import PipelineError
from pipeline.model.objects import Json, Manifest, Object, ObjectRef, ResourceType, get_path
from pipeline.model.status import ObjectStatus
from pipeline.run.session import Session

EVENTS = ResourceType("", "v1", "Event", "events", True)
PODS = ResourceType("", "v1", "Pod", "pods", True)
NODES = ResourceType("", "v1", "Node", "nodes", False)
"""Where a DaemonSet's pods do not come up for want of a healthy node."""
SLICES = ResourceType("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", True)
"""Where a Service's pods are found; looked at only for those that must find some."""
SERVICE = ("", "Service")

_REPLICA_SETS = ResourceType("apps", "v1", "ReplicaSet", "replicasets", True)
_BETWEEN = {
    ("apps", "Deployment"): _REPLICA_SETS,
    ("argoproj.io", "Rollout"): _REPLICA_SETS,
    ("apps", "DaemonSet"): ResourceType("apps", "v1", "ControllerRevision", "controllerrevisions", True),
}
"""What tells a workload's new pods from its old ones, where the workload and the pods do not."""

_CLAIM = ("", "PersistentVolumeClaim")
_INGRESS = ("networking.k8s.io", "Ingress")
_AUTOSCALER = ("autoscaling", "HorizontalPodAutoscaler")
_STORAGE_CLASSES = ResourceType("storage.k8s.io", "v1", "StorageClass", "storageclasses", False)
_INGRESS_CLASSES = ResourceType("networking.k8s.io", "v1", "IngressClass", "ingressclasses", False)

_CRD = ("apiextensions.k8s.io", "CustomResourceDefinition")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One object to wait for.

    ``since`` is the server's time before our first write, None where we did not write it; ``live`` is
    what the write, or else the last read, returned; ``before`` how the object was before the write.
    ``labelled``: the live object carries our labels.
    """

    manifest: Manifest
    since: float | None = None
    live: Object | None = None
    before: ObjectStatus | None = None
    labelled: bool = True

    @property
    def ref(self) -> ObjectRef:
        return self.manifest.ref


@dataclass(slots=True)
class Facts:
    """What targets of a kind have in common, asked of the server once."""

    session: Session
    _statuses: dict[tuple[str, str], bool | None] = field(default_factory=dict)
    _lists: dict[ResourceType, Sequence[Object] | None] = field(default_factory=dict)

    def core_target(self, target: Target) -> rollout.Target:
        written = target.since is not None
        return rollout.Target(
            ref=target.ref,
            since=target.since,
            generation=int(get_path(target.live, "metadata", "generation", default=0)) if written else 0,
            uid=str(get_path(target.live, "metadata", "uid", default="")) if written else "",
            has_status_subresource=self._has_status(target.manifest),
            wait_for_first_consumer=self._waits_for_consumer(target.manifest),
            class_exists=self._class_exists(target.manifest),
            target_exists=self._target_exists(target.manifest),
        )

    def _has_status(self, manifest: Manifest) -> bool | None:
        key = manifest.api_version, manifest.ref.kind
        if key not in self._statuses:
            self._statuses[key] = self._ask_status(manifest)
        return self._statuses[key]

    def _ask_status(self, manifest: Manifest) -> bool | None:
        """Whether a custom resource's definition promises a status; None where that cannot be told."""
        resource = self.session.cluster.resource(manifest.api_version, manifest.ref.kind)
        if resource is None or resource.group in BUILT_IN_GROUPS:
            return None
        name = f"{resource.plural}.{resource.group}"
        try:
            crd = self.session.cluster.get(ObjectRef(*_CRD, "", name), "apiextensions.k8s.io/v1")
        except PipelineError:
            return None
        for version in get_path(crd, "spec", "versions", default=[]):
            if version.get("name") == resource.version:
                return get_path(version, "subresources", "status") is not None
        return None

    def _waits_for_consumer(self, manifest: Manifest) -> bool:
        """Whether the claim's storage class binds only once a pod uses it (WaitForFirstConsumer)."""
        if manifest.ref.group_kind != _CLAIM:
            return False
        return waits_for_consumer(manifest.body, self._claim_classes(manifest))

    def _class_exists(self, manifest: Manifest) -> bool | None:
        """Whether the class that a claim or an Ingress names, or the default one of claims, is there; None
        where that cannot be told, or none is asked for."""
        kind, body = manifest.ref.group_kind, manifest.body
        if kind == _CLAIM and get_path(body, "spec", "storageClassName") != "":
            classes = self._claim_classes(manifest)
            return None if self._listed(_STORAGE_CLASSES) is None else class_of(body, classes) is not None
        wanted = get_path(body, "spec", "ingressClassName") if kind == _INGRESS else None
        if not wanted:
            return None
        classes = self._classes(_INGRESS_CLASSES, str(wanted))
        return None if self._listed(_INGRESS_CLASSES) is None else any(map(_named(wanted), classes))

    def _claim_classes(self, manifest: Manifest) -> Sequence[Object]:
        wanted = get_path(manifest.body, "spec", "storageClassName")
        return self._classes(_STORAGE_CLASSES, str(wanted or ""))

    def _classes(self, resource: ResourceType, wanted: str) -> Sequence[Object]:
        """All classes; asked once more where the wanted one is not among them: it may be new in this plan."""
        if wanted and not any(map(_named(wanted), self._listed(resource) or ())):
            del self._lists[resource]
        return self._listed(resource) or ()

    def _target_exists(self, manifest: Manifest) -> bool | None:
        """Whether what an autoscaler scales is there; None where that cannot be told."""
        if manifest.ref.group_kind != _AUTOSCALER:
            return None
        target = get_path(manifest.body, "spec", "scaleTargetRef", default={})
        version, kind, name = (str(target.get(key, "")) for key in ("apiVersion", "kind", "name"))
        group, _, _ = version.rpartition("/")
        ref = ObjectRef(group, kind, manifest.ref.namespace, name)
        try:
            return self.session.cluster.get(ref, version) is not None
        except PipelineError:
            return None

    def _listed(self, resource: ResourceType) -> Sequence[Object] | None:
        if resource not in self._lists:
            try:
                self._lists[resource] = self.session.cluster.list(resource)[0]
            except PipelineError:
                self._lists[resource] = None
        return self._lists[resource]


def _named(name: Json) -> Callable[[Object], bool]:
    return lambda one: bool(one["metadata"]["name"] == name)


def explained_by(ref: ObjectRef) -> Sequence[ResourceType]:
    """The kinds, beside its own, in which the reasons of an object's state are found."""
    if ref.group_kind in WORKLOADS:
        between = _BETWEEN.get(ref.group_kind)
        return (EVENTS, PODS, between) if between else (EVENTS, PODS)
    return (EVENTS,) if ref.namespace else ()


def companions(refs: Iterable[ObjectRef]) -> dict[ResourceType, set[str]]:
    """The kinds that explain these objects, each with the namespaces where."""
    found: dict[ResourceType, set[str]] = {}
    for ref in refs:
        for resource in explained_by(ref):
            found.setdefault(resource, set()).add(ref.namespace)
    return found

"""What is waited for, and what has to be followed for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pipeline.core import rollout
from pipeline.core.rollout import WORKLOADS
from pipeline.model.errors import PipelineError
from pipeline.model.objects import Json, Manifest, Object, ObjectRef, ResourceType, get_path
from pipeline.model.status import ObjectStatus
from pipeline.run.session import Session

_EVENTS = ResourceType("", "v1", "Event", "events", True)
_PODS = ResourceType("", "v1", "Pod", "pods", True)
NODES = ResourceType("", "v1", "Node", "nodes", False)
"""Where a DaemonSet's pods do not come up for want of a healthy node."""
SLICES = ResourceType("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", True)
"""Where a Service's pods are found; looked at only for those that must find some."""
SERVICE = ("", "Service")

_BETWEEN = {
    ("apps", "Deployment"): ResourceType("apps", "v1", "ReplicaSet", "replicasets", True),
    ("apps", "DaemonSet"): ResourceType("apps", "v1", "ControllerRevision", "controllerrevisions", True),
}
"""What tells a workload's new pods from its old ones, where the workload and the pods do not."""

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
    _classes: list[Object] | None = None

    def core_target(self, target: Target) -> rollout.Target:
        written = target.since is not None
        return rollout.Target(
            ref=target.ref,
            since=target.since,
            generation=int(get_path(target.live, "metadata", "generation", default=0)) if written else 0,
            uid=str(get_path(target.live, "metadata", "uid", default="")) if written else "",
            has_status_subresource=self._has_status(target.manifest),
            wait_for_first_consumer=target.ref.kind == "PersistentVolumeClaim"
            and self._waits_for_consumer(target.manifest),
            class_exists=self._class_exists(target.manifest),
        )

    def _has_status(self, manifest: Manifest) -> bool | None:
        key = manifest.api_version, manifest.ref.kind
        if key not in self._statuses:
            self._statuses[key] = self._ask_status(manifest)
        return self._statuses[key]

    def _ask_status(self, manifest: Manifest) -> bool | None:
        """Whether a custom resource's definition promises a status; None where that cannot be told."""
        resource = self.session.cluster.resource(manifest.api_version, manifest.ref.kind)
        if resource is None or "." not in resource.group or resource.group.endswith(".k8s.io"):
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
        return bool(get_path(self._class_of(manifest), "volumeBindingMode") == "WaitForFirstConsumer")

    def _class_exists(self, manifest: Manifest) -> bool | None:
        """Whether the class that a claim names is there; None where that cannot be told."""
        wanted = get_path(manifest.body, "spec", "storageClassName")
        if manifest.ref.kind != "PersistentVolumeClaim" or not wanted or not self._storage_classes():
            return None
        return self._class_of(manifest) is not None

    def _class_of(self, manifest: Manifest) -> Object | None:
        """The class that a claim names, or the default one. One that nobody knew may be new in this plan."""
        wanted = get_path(manifest.body, "spec", "storageClassName")
        found = _class_among(self._storage_classes(), wanted)
        if found is None and wanted:
            self._classes = None
            found = _class_among(self._storage_classes(), wanted)
        return found

    def _storage_classes(self) -> list[Object]:
        if self._classes is None:
            resource = ResourceType("storage.k8s.io", "v1", "StorageClass", "storageclasses", False)
            try:
                self._classes, _ = self.session.cluster.list(resource)
            except PipelineError:
                self._classes = []
        return self._classes


def _class_among(classes: Iterable[Object], wanted: Json) -> Object | None:
    for item in classes:
        annotations = get_path(item, "metadata", "annotations", default={})
        default = annotations.get("storageclass.kubernetes.io/is-default-class") == "true"
        if item["metadata"]["name"] == wanted or (wanted is None and default):
            return item
    return None


def explained_by(ref: ObjectRef) -> Sequence[ResourceType]:
    """The kinds, beside its own, in which the reasons of an object's state are found."""
    if ref.group_kind in WORKLOADS:
        between = _BETWEEN.get(ref.group_kind)
        return (_EVENTS, _PODS, between) if between else (_EVENTS, _PODS)
    return (_EVENTS,) if ref.namespace else ()


def companions(refs: Iterable[ObjectRef]) -> dict[ResourceType, set[str]]:
    """The kinds that explain these objects, each with the namespaces where."""
    found: dict[ResourceType, set[str]] = {}
    for ref in refs:
        for resource in explained_by(ref):
            found.setdefault(resource, set()).add(ref.namespace)
    return found

"""What predictions rest on: the set, what of it is written, and what is known of the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field

from pipeline.core.predict.labels import Labels, Selector, labels_of
from pipeline.core.predict.resources import Resources, defaults_of
from pipeline.core.references import POD_SPECS
from pipeline.model.objects import FieldPath, Json, Manifest, Object, ObjectRef, get_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was read of the cluster; whatever is left out is unknown.

    ``pods`` has the labels of live pods that a Service's or PodDisruptionBudget's labels select;
    ``has_objects`` says of a CustomResourceDefinition whether objects of its kind exist.
    """

    live: Mapping[ObjectRef, Object] = field(default_factory=dict)
    quotas: Sequence[Object] = ()
    limit_ranges: Sequence[Object] = ()
    pods: Mapping[ObjectRef, Sequence[Labels]] = field(default_factory=dict)
    has_objects: Mapping[ObjectRef, bool] = field(default_factory=dict)
    server: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """An object of the set that makes pods. ``path`` is where its pods' spec stands."""

    manifest: Manifest
    path: FieldPath
    labels: Labels
    spec: Json

    @property
    def ref(self) -> ObjectRef:
        return self.manifest.ref

    def containers(self) -> Iterator[tuple[Json, FieldPath]]:
        """The mappings among init and main containers, each with its path."""
        for kind in ("initContainers", "containers"):
            entries = get_path(self.spec, kind)
            for index, container in enumerate(entries if isinstance(entries, list) else ()):
                if isinstance(container, dict):
                    yield container, (*self.path, kind, index)


def workload_of(manifest: Manifest) -> Workload | None:
    """The manifest as a maker of pods; None for all others."""
    path = POD_SPECS.get(manifest.ref.group_kind)
    if path is None:
        return None
    spec = get_path(manifest.body, *path)
    if not isinstance(spec, dict):
        return None
    labels = labels_of(get_path(manifest.body, *path[:-1], "metadata", "labels"))
    return Workload(manifest=manifest, path=path, labels=labels, spec=spec)


class Outlook:
    """The set as predictions look at it, indexed once: looking up costs what is found."""

    def __init__(self, written: Iterable[Manifest], manifests: Sequence[Manifest], facts: Facts) -> None:
        self.manifests = manifests
        self.written = tuple(written)
        self.refs = frozenset(m.ref for m in self.written)
        self.workloads = tuple(w for m in manifests if (w := workload_of(m)) is not None)
        self._of_namespace: dict[str, list[Workload]] = {}
        self._of_label: dict[tuple[str, str, str], list[Workload]] = {}
        self._scaled = dict(_scaled(manifests))
        for workload in self.workloads:
            namespace = workload.ref.namespace
            self._of_namespace.setdefault(namespace, []).append(workload)
            for key, value in workload.labels.items():
                self._of_label.setdefault((namespace, key, value), []).append(workload)
        self._know(facts)

    def knowing(self, facts: Facts) -> Outlook:
        """The same set, with what the cluster has said since."""
        other = copy(self)
        other._know(facts)
        return other

    def _know(self, facts: Facts) -> None:
        self.facts = facts
        self._quotas = _standing(facts.quotas, self.of_kind("", "ResourceQuota"))
        self._ranges = _standing(facts.limit_ranges, self.of_kind("", "LimitRange"))
        self._defaults: dict[str, Resources] = {}

    def changed_workloads(self) -> Iterator[Workload]:
        return (w for w in self.workloads if w.ref in self.refs)

    def of_kind(self, group: str, kind: str) -> Iterator[Manifest]:
        return (m for m in self.manifests if m.ref.group_kind == (group, kind))

    def in_namespace(self, namespace: str) -> Sequence[Workload]:
        return self._of_namespace.get(namespace, ())

    def quotas(self, namespace: str) -> Sequence[Object]:
        """As they will be: those of the set with what is used of the live ones."""
        return self._quotas.get(namespace, ())

    def limit_ranges(self, namespace: str) -> Sequence[Object]:
        return self._ranges.get(namespace, ())

    def defaults(self, namespace: str) -> Resources:
        """The requests and limits of containers of the namespace that state none."""
        if namespace not in self._defaults:
            self._defaults[namespace] = defaults_of(self.limit_ranges(namespace))
        return self._defaults[namespace]

    def selected(self, namespace: str, selector: Selector) -> list[Workload]:
        """The workloads of the set whose pods the selector selects."""
        pair = next(iter(selector.pairs.items()), None)
        candidates = self._of_label.get((namespace, *pair), ()) if pair else self.in_namespace(namespace)
        return [w for w in candidates if selector.matches(w.labels)]

    def autoscaler(self, ref: ObjectRef) -> Manifest | None:
        """The HorizontalPodAutoscaler of the set that scales the workload."""
        return self._scaled.get(ref)

    def replicas(self, workload: Workload) -> int:
        """How many pods it wants; an autoscaler's least number counts more than its own."""
        scaler = self.autoscaler(workload.ref)
        if scaler is not None:
            return whole(get_path(scaler.body, "spec", "minReplicas"), 1)
        live = get_path(self.facts.live.get(workload.ref), "spec", "replicas")
        return whole(get_path(workload.manifest.body, "spec", "replicas"), whole(live, 1))


def scale_target(scaler: Manifest) -> ObjectRef | None:
    """The workload that a HorizontalPodAutoscaler names."""
    target = get_path(scaler.body, "spec", "scaleTargetRef")
    kind, name = get_path(target, "kind"), get_path(target, "name")
    if not isinstance(kind, str) or not isinstance(name, str):
        return None
    group = str(get_path(target, "apiVersion", default="")).rpartition("/")[0]
    return ObjectRef(group, kind, scaler.ref.namespace, name)


def _scaled(manifests: Iterable[Manifest]) -> Iterator[tuple[ObjectRef, Manifest]]:
    for manifest in manifests:
        if manifest.ref.group_kind == ("autoscaling", "HorizontalPodAutoscaler"):
            target = scale_target(manifest)
            if target is not None:
                yield target, manifest


def _standing(live: Iterable[Object], manifests: Iterable[Manifest]) -> dict[str, list[Object]]:
    """Objects by namespace: the live ones, with the spec of the set where it has one."""
    found = {ObjectRef.of(obj): obj for obj in live}
    for manifest in manifests:
        found[manifest.ref] = {**found.get(manifest.ref, {}), **manifest.body}
    by_namespace: dict[str, list[Object]] = {}
    for ref in sorted(found):
        by_namespace.setdefault(ref.namespace, []).append(found[ref])
    return by_namespace


def whole(value: Json, default: int) -> int:
    """A count from JSON; ``default`` for all that is none."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return int(value) if is_count else default


def share(value: Json, total: int, *, up: bool) -> int | None:
    """A count, or a percentage of ``total`` rounded up or down; None for what is neither."""
    if isinstance(value, str) and value.endswith("%") and value[:-1].isascii() and value[:-1].isdigit():
        part = int(value[:-1][:9]) * total
        return -(-part // 100) if up else part // 100
    count = whole(value, -1)
    return None if count < 0 else count

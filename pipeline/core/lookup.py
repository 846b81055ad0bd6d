"""The objects of a set, found by identity, by namespace and by label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from pipeline.core.edges import order
from pipeline.core.kinds import builtin
from pipeline.core.pod_references import POD_SPECS
from pipeline.core.references import provided_by
from pipeline.core.selection import LabelIndex, Labelled, labels_of
from pipeline.model.objects import FieldPath, Manifest, Object, ObjectRef, get_path

Key = tuple[str, str, str, str]

_CRD = ("apiextensions.k8s.io", "CustomResourceDefinition")
_API_SERVICE = ("apiregistration.k8s.io", "APIService")


class Lookup:
    """Finds objects of a set, where an empty namespace stands for the default one."""

    def __init__(
        self, manifests: Sequence[Manifest], default_namespace: str, idle: Iterable[ObjectRef] = ()
    ) -> None:
        self.default_namespace = default_namespace
        self._by_key: dict[Key, Manifest] = {}
        for manifest in manifests:
            self._by_key.setdefault(self._key(manifest.ref), manifest)
        # Sorted, so that whatever is built from it does not depend on the order of files.
        self.manifests: Sequence[Manifest] = sorted(self._by_key.values(), key=lambda m: order(m.ref))
        self.annotated = [(m, found) for m in self.manifests if (found := annotations_of(m))]
        self.by_kind: Mapping[tuple[str, str], list[Manifest]] = _grouped(self.manifests)
        self.definitions: Mapping[tuple[str, str], Manifest] = {
            (str(get_path(m.body, "spec", "group")), str(get_path(m.body, "spec", "names", "kind"))): m
            for m in self.kind(*_CRD)
        }
        self.aggregated: Mapping[str, Manifest] = {
            f"{get_path(m.body, 'spec', 'group')}/{get_path(m.body, 'spec', 'version')}": m
            for m in self.kind(*_API_SERVICE)
            if get_path(m.body, "spec", "service") is not None
        }
        self._idle = {self._key(ref): ref for ref in idle}
        self._provided = {self._key(t): by for t, by in provided_by(self.manifests).items()}
        self._namespaces: dict[str, ObjectRef | None] = {}
        self._scopes: dict[tuple[str, str], bool] = {}
        self.pods = LabelIndex(self._pods())

    def kind(self, group: str, kind: str) -> Sequence[Manifest]:
        """All objects of a kind, sorted."""
        return self.by_kind.get((group, kind), ())

    def find(self, ref: ObjectRef) -> ObjectRef | None:
        """The reference as the set writes it."""
        manifest = self._by_key.get(self._key(ref))
        return manifest.ref if manifest else None

    def provider(self, ref: ObjectRef) -> ObjectRef | None:
        """The object of the set from which a controller makes ``ref``."""
        return self._provided.get(self._key(ref)) if self._provided else None

    def idle(self, ref: ObjectRef) -> ObjectRef | None:
        """The hook that this deploy does not run, where ``ref`` is one."""
        return self._idle.get(self._key(ref))

    def body(self, ref: ObjectRef) -> Object:
        """What the set writes for an object of it."""
        return self._by_key[self._key(ref)].body

    def home(self, ref: ObjectRef) -> str:
        """The namespace of a namespaced object."""
        return ref.namespace or self.default_namespace

    def namespace(self, name: str) -> ObjectRef | None:
        """The Namespace of that name, where the set has it."""
        if name not in self._namespaces:
            self._namespaces[name] = self.find(ObjectRef("", "Namespace", "", name))
        return self._namespaces[name]

    def is_namespaced(self, manifest: Manifest) -> bool:
        """True for a kind that is not known: waiting for a Namespace in vain costs a wave at most."""
        kind = (manifest.api_version, manifest.ref.kind)
        if kind not in self._scopes:
            known = builtin(*kind)
            crd = self.definitions.get(manifest.ref.group_kind)
            if known is not None:
                self._scopes[kind] = known.namespaced
            else:
                self._scopes[kind] = crd is None or get_path(crd.body, "spec", "scope") != "Cluster"
        return self._scopes[kind]

    def _pods(self) -> Iterable[Labelled]:
        for kind, path in POD_SPECS.items():
            for manifest in self.kind(*kind):
                labels = labels_of(manifest.body, pod_metadata(path))
                yield Labelled(self.home(manifest.ref), manifest, labels)

    def _key(self, ref: ObjectRef) -> Key:
        namespace = "" if ref.namespace == self.default_namespace else ref.namespace
        return ref.group, ref.kind, namespace, ref.name


def annotations_of(manifest: Manifest) -> Mapping[str, object]:
    """The annotations of an object, whatever their values are; empty where they are no mapping."""
    annotations = get_path(manifest.body, "metadata", "annotations")
    return annotations if isinstance(annotations, dict) else {}


def pod_metadata(spec: FieldPath) -> FieldPath:
    """Where the metadata of a pod stands whose spec is at ``spec``."""
    return (*spec[:-1], "metadata")


def _grouped(manifests: Iterable[Manifest]) -> Mapping[tuple[str, str], list[Manifest]]:
    groups: dict[tuple[str, str], list[Manifest]] = defaultdict(list)
    for manifest in manifests:
        groups[manifest.ref.group, manifest.ref.kind].append(manifest)
    return dict(groups)

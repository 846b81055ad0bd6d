"""What a rollback leaves of what a failed release created, since it holds what is not the release's.

A Namespace takes all that is in it along, a definition its custom resources, a claim its data. So the first
two go only where nothing is in them but what the release made, with what controllers made of that and what
Kubernetes puts into every namespace (design §8); a claim goes only before it has a volume. All other
deploy tools delete them, contents and all (Helm, for templated definitions), or leave them always.

What an annotation keeps from being pruned stays here, too: as Helm documents its ``helm.sh/resource-policy``,
which is about every operation that would delete, a rollback by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline.core.desired import is_ours
from pipeline.core.pruning import kept_by_annotation
from pipeline.model.environment import Environment
from pipeline.model.objects import Object, ObjectRef, ResourceType, get_path

CONTAINERS = frozenset({("", "Namespace"), ("apiextensions.k8s.io", "CustomResourceDefinition")})
"""Deleting one of these deletes what is in it."""

VOLUMES = frozenset({("", "PersistentVolumeClaim"), ("", "PersistentVolume")})

_OF_EVERY_NAMESPACE = frozenset(
    {("", "ConfigMap", "kube-root-ca.crt"), ("", "ServiceAccount", "default")}
)  # root CA publisher and service account controller of kube-controller-manager

_PASSING = frozenset({("", "Event"), ("events.k8s.io", "Event"), ("metrics.k8s.io", "PodMetrics")})
"""What tells of other objects and goes by itself."""

_NAMED = 3  # occupants that a reason names; people look for the others themselves

Contents = Mapping[ObjectRef, Sequence[Object] | str]
"""The objects in each Namespace and of each definition; or why they are not known."""


def is_of_every_namespace(ref: ObjectRef) -> bool:
    """Whether Kubernetes itself puts the object into every namespace."""
    return (*ref.group_kind, ref.name) in _OF_EVERY_NAMESPACE


def custom_resources(definition: Object) -> ResourceType | None:
    """How the API server serves the kind that a CustomResourceDefinition defines; None if it does not."""
    spec = definition.get("spec", {})
    names = spec.get("names", {})
    served = [v["name"] for v in spec.get("versions", ()) if v.get("served")]
    if not served:
        return None
    return ResourceType(
        spec["group"], served[0], names["kind"], names["plural"], spec.get("scope") == "Namespaced"
    )


def staying(
    created: Mapping[ObjectRef, Object], contents: Contents, environment: Environment
) -> dict[ObjectRef, str]:
    """Those of the objects that a failed release created which are left, each with the reason."""
    kept = {ref: why for ref, obj in created.items() if (why := kept_for_itself(ref, obj, environment))}
    going = frozenset(created) - frozenset(kept)
    known = made((created[ref] for ref in going), contents)
    for ref in sorted(going):
        if ref.group_kind in CONTAINERS and (why := held(contents.get(ref, ()), going, known)):
            kept[ref] = why
    return kept


def made(created: Iterable[Object], contents: Contents, known: Iterable[str] = ()) -> frozenset[str]:
    """The uids of ``created`` and of what controllers made of them, by the owner references; ``known`` are
    uids of which that is known already."""
    found = {*known, *map(_uid, created)}
    inside = [obj for objects in contents.values() if not isinstance(objects, str) for obj in objects]
    before = -1
    while before != len(found):
        before = len(found)
        found |= {_uid(obj) for obj in inside if _owners(obj) & found}
    return frozenset(found)


def held(found: Sequence[Object] | str, going: frozenset[ObjectRef], known: frozenset[str]) -> str:
    """Why what these objects are in is kept, empty where it is not. ``going``: what is deleted with it;
    ``known``: the uids of what the release made."""
    if isinstance(found, str):
        return f"nobody could look into it: {found}"
    others = sorted({ObjectRef.of(obj) for obj in found if _is_anothers(obj, going, known)})
    if not others:
        return ""
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    return f"it holds what this release did not make: {', '.join(map(str, others[:_NAMED]))}{more}"


def is_inside(ref: ObjectRef, container: ObjectRef, obj: Object) -> bool:
    """Whether ``ref`` goes with the Namespace or definition ``container``, which is ``obj``."""
    if container.group_kind not in CONTAINERS:
        return False
    if container.kind == "Namespace":
        return ref.namespace == container.name
    return ref.group_kind == (get_path(obj, "spec", "group"), get_path(obj, "spec", "names", "kind"))


def kept_for_itself(ref: ObjectRef, obj: Object, environment: Environment) -> str:
    """Why a created object is kept whatever is in it; empty where it is not."""
    if not is_ours(obj, environment):
        return "somebody else made it meanwhile, or took it over: it has not the labels of this environment"
    if ref == ObjectRef("", "Namespace", "", environment.namespace):
        return "the records of this environment are in it"
    if ref.group_kind in VOLUMES and _has_volume(obj):
        return f"a bound {ref.kind} may hold data"
    return kept_by_annotation(obj)


def _has_volume(obj: Object) -> bool:
    """A claim that has a volume, or a volume that has a claim."""
    return bool(get_path(obj, "spec", "volumeName") or get_path(obj, "spec", "claimRef"))


def _is_anothers(obj: Object, going: frozenset[ObjectRef], known: frozenset[str]) -> bool:
    ref = ObjectRef.of(obj)
    if is_of_every_namespace(ref) or ref.group_kind in _PASSING:
        return False
    # The endpoints of a Service have its name, and no owner.
    if ref.group_kind == ("", "Endpoints") and ref._replace(kind="Service") in going:
        return False
    return _uid(obj) not in known


def _owners(obj: Object) -> set[str]:
    references = get_path(obj, "metadata", "ownerReferences", default=[])
    return {str(reference.get("uid")) for reference in references}


def _uid(obj: Object) -> str:
    return str(get_path(obj, "metadata", "uid", default=""))

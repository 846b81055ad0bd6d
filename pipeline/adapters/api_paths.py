"""Where the API server serves objects: ``/apis/<group>/<version>/namespaces/<namespace>/<plural>/<name>``."""

from __future__ import annotations

from urllib.parse import quote

from pipeline.model.errors import ApiError
from pipeline.model.objects import ObjectRef, ResourceType


def namespace_of(resource: ResourceType, ref: ObjectRef, what: str) -> str:
    """The namespace of an object's path, empty for one that is in none. ApiError where it cannot be one."""
    if not resource.namespaced:
        return ""
    _check_segment(ref.namespace, what)
    if not ref.namespace:
        # The kubeconfig's default is no substitute: it would write where nobody looked.
        raise ApiError(f"{what}: {ref.kind} is namespaced, and no namespace is given", status=400)
    return ref.namespace


def object_path(resource: ResourceType, ref: ObjectRef, what: str) -> str:
    """Where one object is. ApiError where its name or namespace cannot stand in a path."""
    _check_segment(ref.name, what)
    return f"{collection_path(resource, namespace_of(resource, ref, what))}/{quote(ref.name, safe='')}"


def _check_segment(name: str, what: str) -> None:
    """Dots alone would climb out of the path; the API server allows no such name either."""
    if name in (".", ".."):
        raise ApiError(f"{what}: {name!r} is no name", status=400, reason="BadRequest")


def collection_path(resource: ResourceType, namespace: str) -> str:
    """Where all objects of a kind are; without a namespace those of all namespaces."""
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    scope = f"/namespaces/{quote(namespace, safe='')}" if namespace and resource.namespaced else ""
    return f"{root}{scope}/{resource.plural}"

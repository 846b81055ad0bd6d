"""Looks into what a failed release created, before it is deleted with all that is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.core.occupants import CONTAINERS, Contents, custom_resources
from pipeline.model.errors import ApiError, InterruptedRunError, PipelineError
from pipeline.model.objects import Object, ObjectRef, ResourceType
from pipeline.run.parallel import in_parallel
from pipeline.run.session import Session


def contents(session: Session, created: Mapping[ObjectRef, Object]) -> Contents:
    """What is in each Namespace and definition among ``created``, with a request or more for each kind.

    What may not or cannot be looked into has the reason instead.
    """
    return {
        ref: _inside(session, ref, obj)
        for ref, obj in sorted(created.items(), key=lambda item: item[0])
        if ref.group_kind in CONTAINERS
    }


def _inside(session: Session, ref: ObjectRef, obj: Object) -> Sequence[Object] | str:
    try:
        if ref.kind == "Namespace":
            kinds = session.cluster.namespaced_kinds()
            found = in_parallel(session, lambda kind: _listed(session, kind, ref.name), list(kinds))
            return [item for items in found for item in items]
        resource = custom_resources(obj)
        return _listed(session, resource, "") if resource else []
    except InterruptedRunError:
        raise
    except PipelineError as error:
        return error.message


def _listed(session: Session, resource: ResourceType, namespace: str) -> Sequence[Object]:
    try:
        return session.cluster.list(resource, namespace)[0]
    except ApiError as error:
        if error.status in (404, 405):  # its definition has just gone or come; it has no objects to list
            return []
        raise

"""Reads what is live: one list a kind, however many namespaces, wherever that is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from pipeline.core.desired import owner_selector
from pipeline.model.errors import ApiError, PipelineError
from pipeline.model.objects import Object, ObjectRef, ResourceType
from pipeline.run.parallel import in_parallel
from pipeline.run.session import Session

_FEW = 4
"""Up to so many objects of a kind are read one by one: a list would move all that others have of it."""

Kind = tuple[str, str]
"""(apiVersion, kind)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found. ``unsure`` may exist all the same, without our labels: nobody looked."""

    objects: dict[ObjectRef, Object] = field(default_factory=dict)
    unsure: frozenset[ObjectRef] = frozenset()


class Glimpse:
    """A look that was begun before it was known what of it is needed; it counts once."""

    def __init__(self, session: Session, wanted: Mapping[ObjectRef, str]) -> None:
        self._wanted = wanted
        pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._seen: Future[Seen] | None = pool.submit(look, session, wanted)
        pool.shutdown(wait=False)

    def look(self, session: Session, wanted: Mapping[ObjectRef, str]) -> Seen:
        """As ``look``: only what is not among what was seen is asked for; what went wrong is tried again."""
        begun, self._seen = self._seen, None
        if begun is None:
            return look(session, wanted)
        try:
            seen = begun.result()
        except PipelineError:
            return look(session, wanted)
        same = {ref for ref, api_version in wanted.items() if self._wanted.get(ref) == api_version}
        rest = look(session, {ref: wanted[ref] for ref in wanted if ref not in same})
        objects = {ref: obj for ref, obj in seen.objects.items() if ref in same}
        return Seen(objects | rest.objects, (seen.unsure & same) | rest.unsure)


def read_live(session: Session, wanted: Mapping[ObjectRef, str]) -> dict[ObjectRef, Object]:
    """The live objects among ``wanted`` (ref → apiVersion); kinds that are not served have none."""
    seen = look(session, wanted)
    return seen.objects | read_each(session, {ref: wanted[ref] for ref in seen.unsure})


def read_each(session: Session, wanted: Mapping[ObjectRef, str]) -> dict[ObjectRef, Object]:
    """One GET each."""
    refs = sorted(wanted)
    found = in_parallel(session, lambda ref: session.cluster.get(ref, wanted[ref]), refs)
    return {ref: obj for ref, obj in zip(refs, found, strict=True) if obj is not None}


def look(session: Session, wanted: Mapping[ObjectRef, str]) -> Seen:
    """As ``read_live``, at the price of one list a kind: in several namespaces, and of cluster-scoped
    kinds, only what carries our labels is looked for. The rest is ``unsure``."""
    kinds: dict[Kind, list[ObjectRef]] = {}
    for ref, api_version in wanted.items():
        kinds.setdefault((api_version, ref.kind), []).append(ref)
    found = in_parallel(session, lambda item: _look_for(session, item[0], item[1]), list(kinds.items()))
    objects: dict[ObjectRef, Object] = {}
    for one in found:
        objects |= one.objects
    return Seen(objects, frozenset().union(*(one.unsure for one in found)))


def _look_for(session: Session, kind: Kind, refs: list[ObjectRef]) -> Seen:
    resource = session.cluster.resource(*kind)
    if resource is None:
        return Seen()
    namespaces = {ref.namespace for ref in refs}
    if len(refs) <= _FEW:
        return Seen(read_each(session, dict.fromkeys(refs, kind[0])))
    if len(namespaces) == 1 and resource.namespaced:
        return Seen(_of_namespace(session, resource, refs))
    try:
        items, _ = session.cluster.list(resource, "", owner_selector(session.environment))
    except ApiError as error:
        if error.status != 403:
            raise
        return Seen(_by_namespace(session, resource, refs))
    objects = _among(refs, items)
    return Seen(objects, frozenset(ref for ref in refs if ref not in objects))


def _by_namespace(session: Session, resource: ResourceType, refs: list[ObjectRef]) -> dict[ObjectRef, Object]:
    """For those who may not look into all namespaces at once."""
    groups: dict[str, list[ObjectRef]] = {}
    for ref in refs:
        groups.setdefault(ref.namespace, []).append(ref)
    found = in_parallel(session, lambda group: _of_namespace(session, resource, group), list(groups.values()))
    return {ref: obj for objects in found for ref, obj in objects.items()}


def _of_namespace(session: Session, resource: ResourceType, refs: list[ObjectRef]) -> dict[ObjectRef, Object]:
    if len(refs) > _FEW:
        try:
            items, _ = session.cluster.list(resource, refs[0].namespace)
        except ApiError as error:
            if error.status != 403:
                raise
        else:
            return _among(refs, items)
    return read_each(session, dict.fromkeys(refs, resource.api_version))


def _among(refs: Iterable[ObjectRef], items: Iterable[Object]) -> dict[ObjectRef, Object]:
    by_ref = {ObjectRef.of(item): item for item in items}
    return {ref: by_ref[ref] for ref in refs if ref in by_ref}

"""What will go wrong though the server accepts it: reads what predictions rest on, then makes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pipeline.core.planner import Desired
from pipeline.core.predict.all import predict
from pipeline.core.predict.apis import concerned
from pipeline.core.predict.crd import depends_on_objects
from pipeline.core.predict.facts import Facts, Outlook
from pipeline.core.predict.labels import Labels, labels_of
from pipeline.core.predict.selection import unmatched
from pipeline.core.references import POD_SPECS
from pipeline.model.errors import ApiError, Problem
from pipeline.model.objects import Object, ObjectRef, ResourceType, get_path
from pipeline.run.asked import Asked
from pipeline.run.parallel import in_parallel
from pipeline.run.session import Session

_FEW: Final = 3
"""Up to so many namespaces are asked one by one: a list of the whole cluster moves what others have."""

_CRD: Final = ("apiextensions.k8s.io", "CustomResourceDefinition")
_NAMESPACE: Final = ("", "Namespace")
_BOUNDED: Final = frozenset(
    {*POD_SPECS, ("", "PersistentVolumeClaim"), ("autoscaling", "HorizontalPodAutoscaler")}
)
"""Kinds that quotas and limit ranges have a say in."""


def predictions(
    session: Session,
    desired: Sequence[Desired],
    written: Sequence[Desired],
    live: Mapping[ObjectRef, Object],
    asked: Asked,
) -> tuple[Problem, ...]:
    """Errors must fail, warnings may. Without writes that something is to be said of, no request is sent.

    What we may not read is taken to be absent.
    """
    outlook = _outlook(desired, written, live)
    if not outlook.written:
        return ()
    return tuple(predict(outlook.knowing(_facts(session, outlook, asked))))


def ask_ahead(
    session: Session,
    desired: Sequence[Desired],
    written: Sequence[Desired],
    live: Mapping[ObjectRef, Object],
    asked: Asked,
) -> None:
    """Read what predictions will rest on, of what is probably going to be written."""
    _facts(session, _outlook(desired, written, live), asked)


def _outlook(
    desired: Sequence[Desired], written: Sequence[Desired], live: Mapping[ObjectRef, Object]
) -> Outlook:
    manifests = [d.manifest.with_body(d.body) for d in desired]
    refs = {d.manifest.ref for d in written}
    return Outlook([m for m in manifests if m.ref in refs], manifests, Facts(live=live))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Query:
    """One list, and for which object it is. Where the whole cluster may not be read: ``instead``."""

    resource: ResourceType
    namespace: str = ""
    selector: str = ""
    of: ObjectRef | None = None
    instead: tuple[str, ...] = ()


def _facts(session: Session, outlook: Outlook, asked: Asked) -> Facts:
    """All that the predictions rest on, read at once."""
    queries = [*_constraints(session, outlook), *_objects(outlook), *_pods(session, outlook)]
    answers = in_parallel(session, lambda query: _ask(session, query, asked), queries)
    known = [(query, items) for query, items in zip(queries, answers, strict=True) if items is not None]

    def of_kind(kind: str) -> list[Object]:
        return [item for query, items in known if query.resource.kind == kind for item in items]

    about = [(query.of, query.resource.kind, items) for query, items in known if query.of is not None]
    return Facts(
        live=outlook.facts.live,
        quotas=of_kind("ResourceQuota"),
        limit_ranges=of_kind("LimitRange"),
        pods={ref: [_labels(pod) for pod in items] for ref, kind, items in about if kind == "Pod"},
        has_objects={ref: bool(items) for ref, _, items in about if ref.group_kind == _CRD},
        server=session.cluster.version() if concerned(outlook.written) else "",
    )


def _constraints(session: Session, outlook: Outlook) -> Iterator[_Query]:
    """Quotas and limit ranges of the namespaces in which something is written that they have a say in."""
    new = _new_namespaces(outlook)
    bounded = {m.ref.namespace for m in outlook.written if m.ref.group_kind in _BOUNDED} - new
    for kind, namespaces in (("ResourceQuota", bounded | _several(outlook) - new), ("LimitRange", bounded)):
        names = sorted(namespaces)
        resource = session.cluster.resource("v1", kind)
        if resource is None or not names:
            continue
        if len(names) > _FEW:
            yield _Query(resource=resource, instead=tuple(names))
        else:
            yield from (_Query(resource=resource, namespace=name) for name in names)


def _several(outlook: Outlook) -> set[str]:
    """Namespaces that get several objects of one kind. Quotas may count any kind, and whether there is room
    for one by itself the server's dry run tells."""
    added = Counter(
        (m.ref.namespace, m.ref.group_kind) for m in outlook.written if m.ref not in outlook.facts.live
    )
    return {namespace for (namespace, _), count in added.items() if namespace and count > 1}


def _objects(outlook: Outlook) -> Iterator[_Query]:
    """The objects of each definition whose change hurts only where there are some."""
    for manifest in outlook.written:
        live = outlook.facts.live.get(manifest.ref)
        if manifest.ref.group_kind != _CRD or live is None or not depends_on_objects(live, manifest):
            continue
        resource = _resource(live)
        if resource is not None:
            yield _Query(resource=resource, of=manifest.ref)


def _resource(definition: Object) -> ResourceType | None:
    """How the kind of a live definition is served, in any version."""
    versions = get_path(definition, "spec", "versions", default=[])
    served = [str(v["name"]) for v in versions if v.get("served")]
    if not served:
        return None
    return ResourceType(
        group=str(get_path(definition, "spec", "group")),
        version=served[0],
        kind=str(get_path(definition, "spec", "names", "kind")),
        plural=str(get_path(definition, "spec", "names", "plural")),
        namespaced=get_path(definition, "spec", "scope") == "Namespaced",
    )


def _pods(session: Session, outlook: Outlook) -> Iterator[_Query]:
    """The live pods of each selector that nothing of the set matches."""
    new = _new_namespaces(outlook)
    resource = session.cluster.resource("v1", "Pod")
    for manifest, selector in unmatched(outlook):
        if resource is not None and manifest.ref.namespace not in new:
            yield _Query(
                resource=resource,
                namespace=manifest.ref.namespace,
                selector=selector.as_text(),
                of=manifest.ref,
            )


def _new_namespaces(outlook: Outlook) -> set[str]:
    """Those that this set brings."""
    namespaces = outlook.of_kind(*_NAMESPACE)
    return {m.ref.name for m in namespaces if m.ref not in outlook.facts.live}


def _ask(session: Session, query: _Query, asked: Asked) -> list[Object] | None:
    """The objects; None where we may not know."""
    session.stay()
    try:
        return asked.list(query.resource, query.namespace, query.selector)
    except ApiError as error:
        if error.status not in (403, 404):
            raise
    if not query.instead:
        return None
    parts = [replace(query, namespace=name, instead=()) for name in query.instead]
    answers = in_parallel(session, lambda part: _ask(session, part, asked), parts)
    return [item for items in answers if items is not None for item in items]


def _labels(pod: Object) -> Labels:
    return labels_of(get_path(pod, "metadata", "labels"))

"""The endpoints of the Services that a deploy writes: which must be there, and what is seen of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline.core.backends import Backends, has_ready_pods, wants_pods
from pipeline.core.predict.facts import Workload
from pipeline.core.predict.selection import port_names
from pipeline.core.readiness.endpoints import Serving, rests_on_unknown
from pipeline.core.rollout import WORKLOADS
from pipeline.model.events import Note
from pipeline.model.objects import Manifest, Object, ObjectRef
from pipeline.model.status import ObjectStatus, Status
from pipeline.run.session import Session
from pipeline.run.sight import Sight
from pipeline.run.targets import SERVICE, SLICES, Target

_SETTLES_S = 2.0
"""So long after its write, what a Service whose ports no workload of the set names seems to find may be of
before: the controller takes milliseconds, and says nowhere which state of a Service it has seen."""

_UNSEEN = ObjectStatus(Status.IN_PROGRESS, "NotObserved", "has not been written yet")


class Endpoints:
    """``manifests`` is the set that is deployed; where it is empty, endpoints are nobody's business.

    A Service is asked for them until it has been Current once: what its pods do later, their workload says.
    """

    def __init__(self, session: Session, sight: Sight, manifests: Iterable[Manifest]) -> None:
        self._session = session
        self._sight = sight
        self._manifests = tuple(manifests)
        self._backends: Backends | None = None
        self._written: dict[ObjectRef, float] = {}
        self._ready: dict[ObjectRef, bool] = {}
        self._told = False

    def expect(self, target: Target) -> None:
        """A Service was written."""
        if self._manifests and target.since is not None and target.ref.group_kind == SERVICE:
            self._written[target.ref] = self._session.clock.monotonic()

    def settled(self, ref: ObjectRef, obj: Object | None) -> None:
        """The object is Current, and this is how it looks."""
        if self._written.pop(ref, None) is not None:
            self._sight.forget_slices(ref)
        if self._manifests and obj is not None and ref.group_kind in WORKLOADS:
            self._ready[ref] = has_ready_pods(obj)

    def of(
        self,
        objects: Mapping[ObjectRef, Object],
        statuses: Mapping[ObjectRef, ObjectStatus],
        *,
        all_sent: bool,
    ) -> dict[ObjectRef, Serving]:
        """What is known of those of ``objects`` that are Services and must find pods.

        ``statuses`` are those of all that is waited for. A workload that is not among them counts until
        ``all_sent``: it may have its turn yet.
        """
        services = {ref: obj for ref, obj in objects.items() if ref in self._written}
        if not services:
            return {}
        found = {}
        for ref, service in services.items():
            backends = self._expected(ref, service, statuses, all_sent=all_sent)
            if not backends or self._may_not_look(ref):
                continue
            names = sorted({name for workload in backends for name in port_names(workload)})
            known = self._sight.is_listed(SLICES, ref.namespace) and not self._is_too_soon(
                ref, service, names
            )
            found[ref] = Serving(
                workloads={w.ref: statuses.get(w.ref, _UNSEEN) for w in backends},
                port_names=names,
                slices=self._sight.slices_of(ref) if known else None,
            )
        return found

    def _expected(
        self, ref: ObjectRef, service: Object, statuses: Mapping[ObjectRef, ObjectStatus], *, all_sent: bool
    ) -> list[Workload]:
        if self._backends is None:
            self._backends = Backends(self._manifests)
        selected = self._backends.of(ref.namespace, service)
        return [w for w in selected if self._must_serve(w, statuses.get(w.ref), all_sent=all_sent)]

    def _must_serve(self, workload: Workload, status: ObjectStatus | None, *, all_sent: bool) -> bool:
        if status is None and all_sent:
            return False
        if status is not None and status.status is Status.CURRENT:
            return self._ready.get(workload.ref, False)
        return wants_pods(self._sight.seen(workload.ref) or workload.manifest.body)

    def _may_not_look(self, ref: ObjectRef) -> bool:
        why = self._sight.forbidden(SLICES, ref.namespace)
        if why and not self._told:
            self._told = True
            self._session.tell(Note(f"whether Services have endpoints is not looked at: {why}"))
        return bool(why)

    def _is_too_soon(self, ref: ObjectRef, service: Object, names: Sequence[str]) -> bool:
        spent_s = self._session.clock.monotonic() - self._written[ref]
        return spent_s < _SETTLES_S and rests_on_unknown(service, names)

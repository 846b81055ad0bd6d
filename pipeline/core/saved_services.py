"""Saved Services: what the EndpointSlices and workloads beside them tell of their endpoints."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core.backends import Backends, has_ready_pods, wants_pods
from pipeline.core.predict.facts import Workload
from pipeline.core.readiness import assess
from pipeline.core.readiness.endpoints import Serving, lack, ready_endpoints, service_of
from pipeline.model.environment import ReadyRule
from pipeline.model.objects import Manifest, Object, ObjectRef
from pipeline.model.status import Status


class SavedServices:
    """``manifests`` are all saved objects, ``rules`` an environment's for their readiness."""

    def __init__(self, manifests: Sequence[Manifest], rules: Sequence[ReadyRule]) -> None:
        self._rules = rules
        self._slices: dict[ObjectRef, list[Object]] = {}
        for manifest in manifests:
            if manifest.ref.group_kind == ("discovery.k8s.io", "EndpointSlice"):
                self._slices.setdefault(service_of(manifest.body), []).append(manifest.body)
        self._backends = Backends(manifests if self._slices else ())

    def endpoints(self, ref: ObjectRef, obj: Object) -> int | None:
        """How many are ready; None where no slice was saved, or there may rightly be none."""
        if ref not in self._slices:
            return None
        if self._backends.selected(ref.namespace, obj) and not self._serving(ref, obj):
            return None
        return ready_endpoints(obj, self._slices[ref])

    def lack(self, ref: ObjectRef, obj: Object) -> str:
        """What a Service without endpoints waits for."""
        workloads = {
            w.ref: assess(w.manifest.body, rules=self._rules) for w in self._serving(ref, obj)
        }  # fmt: skip
        return lack(obj, Serving(workloads=workloads, slices=self._slices[ref]))

    def _serving(self, ref: ObjectRef, obj: Object) -> list[Workload]:
        return [w for w in self._backends.of(ref.namespace, obj) if self._serves(w)]

    def _serves(self, workload: Workload) -> bool:
        live = workload.manifest.body
        is_current = assess(live, rules=self._rules).status is Status.CURRENT
        return has_ready_pods(live) if is_current else wants_pods(live)

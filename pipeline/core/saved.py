"""Objects saved to files: each one's verdict, with what the others of the same files tell about it.

What a deploy asks of the cluster (pods, events, nodes, definitions, storage classes, EndpointSlices) counts
where it was saved, too: ``kubectl get deploy,rs,pods,events -o yaml``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.core.evidence import EvidenceLog, evidence
from pipeline.core.evidence.events import EventIndex
from pipeline.core.evidence.pending import explain_failure
from pipeline.core.hints import HINTS
from pipeline.core.readiness import assess
from pipeline.core.readiness.nodes import excused
from pipeline.core.readiness.services import NO_ENDPOINTS
from pipeline.core.readiness.storage import waits_for_consumer
from pipeline.core.readiness.verdicts import failed, unknown
from pipeline.core.reading import items, owner_uid, ref_of, seconds, text, uid
from pipeline.core.rollout import WORKLOADS
from pipeline.core.saved_services import SavedServices
from pipeline.model.environment import Rollout
from pipeline.model.objects import Json, Manifest, Object, ObjectRef, get_path
from pipeline.model.status import Evidence, ObjectStatus, Status
from pipeline.model.views import SavedObject

_TIMES = frozenset(
    {
        "lastTransitionTime",
        "lastUpdateTime",
        "lastTimestamp",
        "lastObservedTime",
        "eventTime",
        "startedAt",
        "finishedAt",
        "startTime",
        "completionTime",
        "creationTimestamp",
    }
)
"""Fields that say when something happened, in workloads, pods and events (apps/v1, batch/v1, core/v1)."""


def assess_saved(manifests: Sequence[Manifest], policy: Rollout | None = None) -> list[SavedObject]:
    """Judge each object, in the order given; ``policy``: an environment's rules and grace.

    The files are one look, so nothing is known of what lasted: evidence fails a workload only where that
    needs no second one (a terminal reason, restarts beyond the grace).
    """
    look = _Look(manifests, policy or Rollout())
    return [look.judged(manifest.body) for manifest in manifests]


class _Look:
    def __init__(self, manifests: Sequence[Manifest], policy: Rollout) -> None:
        objects = [manifest.body for manifest in manifests]
        self._policy = policy
        self._services = SavedServices(manifests, policy.rules)
        self._of_kind: dict[tuple[str, str], list[Object]] = {}
        self._owned: dict[str, list[Object]] = {}
        for obj in objects:
            self._of_kind.setdefault(ref_of(obj).group_kind, []).append(obj)
            self._owned.setdefault(owner_uid(obj), []).append(obj)
        self._events = EventIndex(self._all("", "Event") + self._all("events.k8s.io", "Event"))
        told = [*self._all("", "Event"), *(o for kind in WORKLOADS for o in self._all(*kind))]
        self._now = max((at for obj in told for at in _times(obj)), default=0.0)
        self._has_status = dict(_promises(self._all("apiextensions.k8s.io", "CustomResourceDefinition")))

    def judged(self, obj: Object) -> SavedObject:
        ref = ref_of(obj)
        status = self._status(ref, obj)
        is_settled = status.status in (Status.CURRENT, Status.TERMINATING)
        shown = [] if is_settled or ref.group_kind not in WORKLOADS else self._evidence(obj)
        if status.status is not Status.FAILED:
            status = self._failed_by(ref, shown, status)
        elif not shown:  # its own words say why, and its reason what to do
            shown = [replace(explain_failure(ref, status, ()), details=())]
        told = tuple(replace(one, hint=one.hint or HINTS[one.code]) for one in shown)
        return SavedObject(ref=ref, status=status, evidence=told)

    def _status(self, ref: ObjectRef, obj: Object) -> ObjectStatus:
        group, _, version = text(obj, "apiVersion").rpartition("/")
        try:
            status = assess(
                obj,
                rules=self._policy.rules,
                endpoints=self._services.endpoints(ref, obj),
                has_status_subresource=self._has_status.get((group, version, ref.kind)),
                wait_for_first_consumer=ref.group_kind == ("", "PersistentVolumeClaim")
                and waits_for_consumer(obj, self._all("storage.k8s.io", "StorageClass")),
                excused_nodes=self._excused(ref, obj),
            )
        except ValueError as error:
            return unknown("RuleInvalid", str(error))
        if status.reason == NO_ENDPOINTS:
            return replace(status, message=self._services.lack(ref, obj))
        return status

    def _failed_by(self, ref: ObjectRef, shown: Sequence[Evidence], status: ObjectStatus) -> ObjectStatus:
        log = EvidenceLog().update([(ref, one) for one in shown], self._now)
        fatal = log.fatal(self._policy.grace, self._now)
        if not fatal:
            return status
        worst = fatal[0][1]
        return replace(failed(worst.code, worst.message), progress=status.progress)

    def _evidence(self, obj: Object) -> list[Evidence]:
        owned = self._owned.get(uid(obj), []) if uid(obj) else []
        replica_sets = [one for one in owned if text(one, "kind") == "ReplicaSet"]
        owners = [owned, *(self._owned.get(uid(one), []) for one in replica_sets if uid(one))]
        return evidence(
            obj,
            replica_sets,
            [pod for some in owners for pod in some if text(pod, "kind") == "Pod"],
            self._events,
            self._now,
            {},
            controller_revisions=[one for one in owned if text(one, "kind") == "ControllerRevision"],
        )

    def _excused(self, ref: ObjectRef, obj: Object) -> int:
        nodes = self._all("", "Node")
        if not nodes or ref.group_kind != ("apps", "DaemonSet"):
            return 0
        return excused(obj, self._owned.get(uid(obj), []), nodes, None)

    def _all(self, group: str, kind: str) -> list[Object]:
        return self._of_kind.get((group, kind), [])


def _promises(definitions: Iterable[Object]) -> Iterator[tuple[tuple[str, str, str], bool]]:
    """(group, version, kind) → whether its definition promises a status."""
    for crd in definitions:
        group, kind = text(crd, "spec", "group"), text(crd, "spec", "names", "kind")
        for version in items(crd, "spec", "versions"):
            promised = get_path(version, "subresources", "status") is not None
            yield (group, text(version, "name"), kind), promised


def _times(value: Json) -> Iterator[float]:
    """Whenever something happened, anywhere in an object."""
    open_values: list[Json] = [value]
    while open_values:
        one = open_values.pop()
        if isinstance(one, Mapping):
            for key, inner in one.items():
                if key in _TIMES and (at := seconds(inner)) is not None:
                    yield at
                elif isinstance(inner, (dict, list)):
                    open_values.append(inner)
        elif isinstance(one, list):
            open_values += one

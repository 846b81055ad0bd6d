"""The rollout gate: follows what is waited for, and stops at a verdict, a signal or the end of time."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pipeline.core import rollout
from pipeline.core.hints import HINTS
from pipeline.core.hints import cause as make_cause
from pipeline.core.readiness import exists_is_enough
from pipeline.core.rollout import WORKLOADS, RolloutDecision, RolloutLog, Snapshot
from pipeline.model.errors import PipelineError
from pipeline.model.events import Note, RolloutProgress
from pipeline.model.objects import Manifest, Object, ObjectRef, ResourceType, get_path
from pipeline.model.release import RolloutEntry
from pipeline.model.status import Cause, CauseCode, Evidence, ObjectStatus, Status
from pipeline.run.follow import Followed, Follower, Key, Update, take_in
from pipeline.run.session import Session

_TICK_S = 0.25
"""How often the clock alone is asked: grace that runs out makes no event."""

_LOG_LINES = 20
_CAUSES = 5

_EVENTS = ResourceType("", "v1", "Event", "events", True)
_PODS = ResourceType("", "v1", "Pod", "pods", True)
_BETWEEN = {
    ("apps", "Deployment"): ResourceType("apps", "v1", "ReplicaSet", "replicasets", True),
    ("apps", "DaemonSet"): ResourceType("apps", "v1", "ControllerRevision", "controllerrevisions", True),
}
"""What tells a workload's new pods from its old ones, where the workload and the pods do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One object to wait for.

    ``since`` is the server's time before our first write, None where we did not write it; ``live`` is
    what the write returned.
    """

    manifest: Manifest
    since: float | None = None
    live: Object | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutResult:
    """How it ended: ``ok``, or ``causes`` say why not."""

    ok: bool
    entries: tuple[RolloutEntry, ...]
    causes: tuple[Cause, ...] = ()
    timed_out: bool = False


def watch_rollout(
    session: Session, targets: Sequence[Target], *, budget_s: float, quiet: bool = False
) -> RolloutResult:
    """Wait until every target is Current, one has definitely failed, or ``budget_s`` seconds are over.

    Kinds that are ready as soon as they exist are not waited for. ``quiet``: no events on the way.

    Raises:
        InterruptedRunError: a signal arrived, or the lock is lost.
    """
    rules = session.environment.rollout.rules
    waited = [t for t in targets if not exists_is_enough(t.manifest.body, rules)]
    if not waited:
        return RolloutResult(ok=True, entries=())
    gate = _Gate(session, waited, quiet)
    try:
        return gate.run(budget_s)
    finally:
        gate.stop()


class _Gate:
    """One loop decides; followers only report. ``run`` is called once."""

    def __init__(self, session: Session, targets: Sequence[Target], quiet: bool) -> None:
        self._session = session
        self._quiet = quiet
        self._manifests = {t.manifest.ref: t.manifest for t in targets}
        self._targets = [_core_target(session, t) for t in targets]
        self._updates: queue.Queue[Update] = queue.Queue()
        self._followed: dict[Key, Followed] = {}
        self._log = RolloutLog()
        self._settled: dict[ObjectRef, float] = {}
        self._told: Mapping[ObjectRef, ObjectStatus] = {}
        self._started = session.clock.monotonic()
        for resource, namespace in _to_follow(session, targets):
            key = (resource.group, resource.kind, namespace)
            self._followed[key] = Followed(resource, namespace)
        self._followers = [
            Follower(session.cluster, session.clock, key, followed, self._updates)
            for key, followed in self._followed.items()
        ]

    def run(self, budget_s: float) -> RolloutResult:
        for follower in self._followers:
            follower.start()
        decision: RolloutDecision | None = None
        while True:
            self._session.guard()
            changed = self._take_in()
            if not all(f.synced for f in self._followed.values()):
                if self._elapsed() > budget_s:
                    return self._unseen()
                continue
            now = self._session.cluster.server_time()
            decision = rollout.step(
                self._targets, self._snapshot(), self._log, self._session.environment.rollout, now
            )
            self._log = decision.log
            self._tell(decision, changed)
            if decision.fatal:
                return self._failed(decision)
            if decision.done:
                return RolloutResult(ok=True, entries=self._entries(decision))
            if self._elapsed() > budget_s:
                return self._timed_out(decision)

    def stop(self) -> None:
        for follower in self._followers:
            follower.stop()

    def _elapsed(self) -> float:
        return self._session.clock.monotonic() - self._started

    def _take_in(self) -> bool:
        """Wait for an update, take in all that are there; False where only time passed."""
        try:
            update = self._updates.get(timeout=_TICK_S)
        except queue.Empty:
            return False
        take_in(self._followed[update.key], update)
        with suppress(queue.Empty):
            while True:
                update = self._updates.get_nowait()
                take_in(self._followed[update.key], update)
        return True

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            objects={ref: obj for ref in self._manifests if (obj := self._object(ref)) is not None},
            replica_sets=self._all("apps", "ReplicaSet"),
            pods=self._all("", "Pod"),
            events=self._all("", "Event"),
            controller_revisions=self._all("apps", "ControllerRevision"),
        )

    def _object(self, ref: ObjectRef) -> Object | None:
        followed = self._followed.get((ref.group, ref.kind, ref.namespace))
        if followed is None:
            return None
        if followed.forbidden:
            # No right to list or watch, but perhaps to get: slower, not blind.
            with suppress(PipelineError):
                return self._session.cluster.get(ref, followed.resource.api_version)
        return followed.objects.get((ref.namespace, ref.name))

    def _all(self, group: str, kind: str) -> list[Object]:
        found: list[Object] = []
        for key, followed in self._followed.items():
            if key[:2] == (group, kind):
                found += followed.objects.values()
        return found

    def _tell(self, decision: RolloutDecision, changed: bool) -> None:
        for ref, status in decision.statuses.items():
            if status.status is Status.CURRENT:
                self._settled.setdefault(ref, self._elapsed())
            else:
                self._settled.pop(ref, None)
        if self._quiet or not changed or decision.statuses == self._told:
            return
        self._told = decision.statuses
        self._session.tell(RolloutProgress(tuple(decision.statuses.items()), self._elapsed()))

    def _entries(self, decision: RolloutDecision) -> tuple[RolloutEntry, ...]:
        elapsed = self._elapsed()
        return tuple(
            RolloutEntry(ref=ref, status=status, seconds=round(self._settled.get(ref, elapsed), 3))
            for ref, status in decision.statuses.items()
        )

    def _failed(self, decision: RolloutDecision) -> RolloutResult:
        causes = [self._cause(ref, evidence) for ref, evidence in decision.fatal[:_CAUSES]]
        failed = dict(reversed(decision.fatal))
        entries = tuple(
            RolloutEntry(
                ref=e.ref,
                status=ObjectStatus(Status.FAILED, str(failed[e.ref].code), failed[e.ref].message)
                if e.ref in failed
                else e.status,
                seconds=e.seconds,
            )
            for e in self._entries(decision)
        )
        return RolloutResult(ok=False, entries=entries, causes=tuple(causes))

    def _timed_out(self, decision: RolloutDecision) -> RolloutResult:
        waiting = [r for r, s in decision.statuses.items() if s.status is not Status.CURRENT]
        explained = rollout.pending_causes(decision)
        causes = [self._cause(ref, evidence) for ref, evidence in explained[:_CAUSES]]
        for ref in waiting[: max(0, _CAUSES - len(causes))]:
            if ref not in {r for r, _ in explained}:
                message = f"not ready after {self._elapsed():.0f} s: {decision.statuses[ref].message}"
                causes.append(self._cause_of_time(ref, message))
        return RolloutResult(ok=False, entries=self._entries(decision), causes=tuple(causes), timed_out=True)

    def _unseen(self) -> RolloutResult:
        kinds = ", ".join(sorted(k[1] for k, f in self._followed.items() if not f.synced))
        message = f"the cluster did not list {kinds} within {self._elapsed():.0f} s"
        return RolloutResult(
            ok=False, entries=(), causes=(self._cause_of_time(None, message),), timed_out=True
        )

    def _cause_of_time(self, ref: ObjectRef | None, message: str) -> Cause:
        origin = self._manifests[ref].origin if ref else None
        hint = HINTS[CauseCode.TIMED_OUT]
        return Cause(object=ref, code=CauseCode.TIMED_OUT, message=message, origin=origin, hint=hint)

    def _cause(self, ref: ObjectRef, evidence: Evidence) -> Cause:
        found = make_cause(ref, evidence, self._manifests.get(ref), self._log_lines(evidence))
        message, *proof = self._session.hide(found.message, *found.evidence)
        return Cause(
            object=found.object,
            code=found.code,
            message=message,
            evidence=tuple(proof),
            origin=found.origin,
            hint=found.hint,
        )

    def _log_lines(self, evidence: Evidence) -> list[str]:
        """The last words of the container: of its previous run, if it was restarted."""
        if evidence.pod is None or not evidence.container or evidence.code in _WITHOUT_LOG:
            return []
        for previous in (True, False):
            with suppress(PipelineError):
                text = self._session.cluster.logs(
                    evidence.pod.namespace,
                    evidence.pod.name,
                    evidence.container,
                    previous=previous,
                    lines=_LOG_LINES,
                )
                if text.strip() and not text.startswith(_NO_LOG):
                    return text.splitlines()[-_LOG_LINES:]
        return []


_NO_LOG = "unable to retrieve container logs"
"""What the kubelet answers, as if it were the log, of a container that it has removed."""

_WITHOUT_LOG = frozenset(
    {
        CauseCode.IMAGE_NOT_FOUND,
        CauseCode.IMAGE_DENIED,
        CauseCode.IMAGE_REGISTRY_UNAVAILABLE,
        CauseCode.IMAGE_NAME_INVALID,
        CauseCode.CONTAINER_CONFIG_MISSING,
        CauseCode.UNSCHEDULABLE,
    }
)
"""Causes that keep a container from starting: it has no log to ask for."""


def _core_target(session: Session, target: Target) -> rollout.Target:
    ref = target.manifest.ref
    return rollout.Target(
        ref=ref,
        since=target.since,
        generation=int(get_path(target.live, "metadata", "generation", default=0)),
        uid=str(get_path(target.live, "metadata", "uid", default="")),
        has_status_subresource=_has_status(session, target.manifest),
        wait_for_first_consumer=ref.kind == "PersistentVolumeClaim"
        and _waits_for_consumer(session, target.manifest),
    )


def _has_status(session: Session, manifest: Manifest) -> bool | None:
    """Whether a custom resource's definition promises a status; None where that cannot be told."""
    resource = session.cluster.resource(manifest.api_version, manifest.ref.kind)
    if resource is None or "." not in resource.group or resource.group.endswith(".k8s.io"):
        return None
    name = f"{resource.plural}.{resource.group}"
    definition = ObjectRef("apiextensions.k8s.io", "CustomResourceDefinition", "", name)
    try:
        crd = session.cluster.get(definition, "apiextensions.k8s.io/v1")
    except PipelineError:
        return None
    for version in get_path(crd, "spec", "versions", default=[]):
        if version.get("name") == resource.version:
            return get_path(version, "subresources", "status") is not None
    return None


def _waits_for_consumer(session: Session, manifest: Manifest) -> bool:
    """Whether the claim's storage class binds only once a pod uses it (WaitForFirstConsumer)."""
    wanted = get_path(manifest.body, "spec", "storageClassName")
    classes = ResourceType("storage.k8s.io", "v1", "StorageClass", "storageclasses", False)
    try:
        found, _ = session.cluster.list(classes)
    except PipelineError:
        return False
    for item in found:
        annotations = get_path(item, "metadata", "annotations", default={})
        default = annotations.get("storageclass.kubernetes.io/is-default-class") == "true"
        if item["metadata"]["name"] == wanted or (wanted is None and default):
            return bool(get_path(item, "volumeBindingMode") == "WaitForFirstConsumer")
    return False


def _to_follow(session: Session, targets: Sequence[Target]) -> Iterable[tuple[ResourceType, str]]:
    """Each kind and namespace once: those of the targets and, for workloads, of what explains them."""
    found: dict[Key, tuple[ResourceType, str]] = {}
    for target in targets:
        ref = target.manifest.ref
        resource = session.cluster.resource(target.manifest.api_version, ref.kind)
        if resource is None:
            session.tell(Note(f"{ref} is not watched: the server has no such kind", warning=True))
            continue
        found[ref.group, ref.kind, ref.namespace] = resource, ref.namespace
        for companion in explained_by(ref):
            key = (companion.group, companion.kind, ref.namespace)
            found.setdefault(key, (companion, ref.namespace))
    return found.values()


def explained_by(ref: ObjectRef) -> Sequence[ResourceType]:
    """The kinds, beside its own, in which the reasons of an object's state are found."""
    if ref.group_kind in WORKLOADS:
        between = _BETWEEN.get(ref.group_kind)
        return (_EVENTS, _PODS, between) if between else (_EVENTS, _PODS)
    return (_EVENTS,) if ref.namespace else ()

"""The rollout gate: follows what is waited for, judges it, and knows what is not Current yet.

One loop, the caller's, decides; followers only put what they see into the inbox. Targets may be added
while the gate is at work, as soon as each is written.
"""

from __future__ import annotations

import queue
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from pipeline.core import rollout
from pipeline.core.edges import order
from pipeline.core.readiness import exists_is_enough
from pipeline.core.readiness.endpoints import Serving, service_of
from pipeline.core.readiness.services import NO_ENDPOINTS
from pipeline.core.reading import uid
from pipeline.core.rollout import WORKLOADS, RolloutDecision, RolloutLog
from pipeline.model.errors import PipelineError
from pipeline.model.events import Note, RolloutProgress
from pipeline.model.objects import Manifest, Object, ObjectRef
from pipeline.model.release import RolloutEntry
from pipeline.model.status import CauseCode, ObjectStatus, Status
from pipeline.run.endpoints import Endpoints
from pipeline.run.follow import Update
from pipeline.run.session import Session
from pipeline.run.sight import Sight
from pipeline.run.targets import NODES, SERVICE, SLICES, Facts, Target, companions
from pipeline.run.unblock import Unblocker

TICK_S = 0.25
"""How often the clock alone is asked: grace that runs out makes no event."""

_MANY = 50
"""More targets than this that wait are looked into one by one only after a while: most come up by
themselves, and following the pods and events of hundreds costs the control plane more than us."""

_PATIENCE_S = 2.0
"""So long without any of them becoming Current, """
_LONGEST_S = 10.0
"""or so long in all."""

_LOOK_EACH_S = 0.25
"""How often many are judged as a whole, if that takes no more than a twentieth of the time."""

_LOOK_BLINDLY_S = 1.0
_TOLD_EACH_S = 0.5

_STARTING = ObjectStatus(Status.IN_PROGRESS, "NotObserved", "has not been seen in the cluster yet")

Inbox = queue.SimpleQueue[object]


class Gate:
    """``expected`` are all objects that may become targets: they decide how wide to look. ``count`` is how
    many are going to be waited for, as far as that is known: it decides how soon to look closely.
    ``endpoints``: a Service that is written must find pods of the workloads among ``expected``."""

    def __init__(
        self,
        session: Session,
        expected: Iterable[Target],
        inbox: Inbox,
        *,
        quiet: bool = False,
        count: int = 0,
        endpoints: bool = False,
    ) -> None:
        expected = tuple(expected)
        self._session = session
        self._inbox = inbox
        self._quiet = quiet
        self._facts = Facts(session)
        self.manifests: dict[ObjectRef, Manifest] = {}
        self._targets: dict[ObjectRef, rollout.Target] = {}
        self._active: set[ObjectRef] = set()
        self._changed: set[ObjectRef] = set()
        self.statuses: dict[ObjectRef, ObjectStatus] = {}
        self._settled: dict[ObjectRef, float] = {}
        self._sight = Sight(session, expected, inbox.put)
        self._endpoints = Endpoints(session, self._sight, [t.manifest for t in expected if endpoints])
        self._all_sent = False
        self._unblocker = Unblocker(session)
        self.before: dict[ObjectRef, ObjectStatus] = {}
        self._log = RolloutLog()
        self._told_at = float("-inf")
        self._news = False
        self._started = session.clock.monotonic()
        self._due = 0.0
        self._stale = False  # something was seen since all was judged
        self._waits_since: float | None = None
        self._progressed = float("-inf")
        self._explains = False  # pods and events are followed, too
        self._count = count

    # --- targets

    def add(self, targets: Sequence[Target], *, follow: bool = True) -> None:
        """Wait for these, too. What is Current as it was last read is settled without being followed;
        kinds that are ready as soon as they exist are not waited for. ``follow=False``: one look only."""
        rules = self._session.environment.rollout.rules
        now = self._session.cluster.server_time()
        for target in targets:
            if exists_is_enough(target.manifest.body, rules):
                continue
            ref = target.ref
            self.manifests[ref] = target.manifest
            if target.before is not None:
                self.before[ref] = target.before
            self._targets[ref] = self._facts.core_target(target)
            self._endpoints.expect(target)
            self.statuses[ref] = self._first_look(target, now)
            self._news = True
            if self.statuses[ref].status is Status.CURRENT:
                self._settle(ref, target.live)
            else:
                self._active.add(ref)
                if follow:
                    self._follow_target(target)
        if follow and self._count <= _MANY:
            self._follow_companions()  # of many, with the next whole look
            self._follow_endpoints()

    def expect_no_more(self) -> None:
        """Everything is sent: a workload that is not waited for by now gives no Service its pods."""
        self._all_sent = True
        self._due = 0.0

    def is_current(self, ref: ObjectRef) -> bool:
        """Whether what needs the object may go. True also for what is not waited for, and for a Service that
        is there but for its pods: they may need what waits for the Service."""
        return ref not in self._active or self._lacks_endpoints(ref)

    def seen(self, ref: ObjectRef) -> Object | None:
        """The object as a follower last saw it."""
        return self._sight.seen(ref)

    @property
    def is_waiting(self) -> bool:
        return bool(self._active)

    @property
    def waiting(self) -> list[ObjectRef]:
        return sorted(self._active, key=order)

    def _first_look(self, target: Target, now: float) -> ObjectStatus:
        if target.live is None:
            return _STARTING
        return self._status_of(target.ref, target.live, now)

    def _status_of(self, ref: ObjectRef, obj: Object | None, now: float) -> ObjectStatus:
        policy = self._session.environment.rollout
        serving = self._services({ref: obj}).get(ref) if obj else None
        return rollout.status_of(self._targets[ref], obj, self._log, policy, now, serving)

    def _services(self, objects: Mapping[ObjectRef, Object]) -> Mapping[ObjectRef, Serving]:
        return self._endpoints.of(objects, self.statuses, all_sent=self._all_sent)

    def _lacks_endpoints(self, ref: ObjectRef) -> bool:
        return ref.group_kind == SERVICE and self.statuses[ref].reason == NO_ENDPOINTS

    # --- following

    def _follow_target(self, target: Target) -> None:
        resource = self._session.cluster.resource(target.manifest.api_version, target.ref.kind)
        if resource is None:
            self._session.tell(
                Note(f"{target.ref} is not watched: the server has no such kind", warning=True)
            )
            return
        self._sight.follow(resource, target.ref.namespace, ours=True)

    def _follow_companions(self) -> None:
        """What explains those that wait; of very many only after a while."""
        waiting = [ref for ref in self._active if ref.group_kind in WORKLOADS or ref.namespace]
        if not waiting:
            self._waits_since = None
            return
        now = self._session.clock.monotonic()
        if self._waits_since is None:
            self._waits_since = now
        quiet_s = now - max(self._waits_since, self._progressed)
        many = max(len(waiting), self._count) > _MANY
        if many and quiet_s < _PATIENCE_S and now - self._waits_since < _LONGEST_S:
            return
        self._explains = True
        if any(ref.group_kind == ("apps", "DaemonSet") for ref in waiting):
            self._sight.follow(NODES, "", ours=False)
        for resource, namespaces in companions(waiting).items():
            for namespace in namespaces:
                self._sight.follow(resource, namespace, ours=False)

    def _follow_endpoints(self) -> None:
        """Where Services find their pods; of many only once nothing else is waited for: until then most have
        none, and each pod of each of them would be news."""
        if self._is_large and not self._all_sent:
            return
        lacking = {ref for ref in self._active if self._lacks_endpoints(ref)}
        if self._is_large and lacking != self._active:
            return
        for namespace in {ref.namespace for ref in lacking}:
            self._sight.follow(SLICES, namespace, ours=False)

    # --- the loop's part

    def take_in(self, update: Update) -> None:
        """What a follower saw."""
        self._stale = True
        if update.deleted:
            self._note_ends(update)
        self._sight.take_in(update, self._targets)
        if update.replace:
            # Only what this list is about: of others, what is settled may be forgotten, and is not gone.
            again = {r for r in self._targets if self._sight.is_followed_by(update.key, r)}
            self._active |= again
            self._changed |= again
        for obj in update.objects:
            ref = ObjectRef.of(obj) if "kind" in obj else None
            if ref in self._targets:
                self._active.add(ref)
                self._changed.add(ref)
            elif update.key[1] == SLICES.kind and (service := service_of(obj)) in self._active:
                self._changed.add(service)
        if update.forbidden:
            self._due = 0.0

    def _note_ends(self, update: Update) -> None:
        """A run that has ended may be cleaned up (a Job's TTL) before we looked: its last state tells."""
        now = self._session.cluster.server_time()
        for obj in update.objects:
            ref = ObjectRef.of(obj) if "kind" in obj else None
            if ref is None or ref not in self._active:
                continue
            self._log = rollout.settled(self._log, ref, self._status_of(ref, obj, now))

    def wait(self, longest_s: float = TICK_S) -> list[object]:
        """Everything that arrived, after at most so many seconds; updates are taken in, the rest returned."""
        others: list[object] = []
        if self._stale:
            longest_s = min(longest_s, self._due - self._session.clock.monotonic())
        with suppress(queue.Empty):
            item = self._inbox.get(timeout=max(longest_s, 0.001))
            while True:
                if isinstance(item, Update):
                    self.take_in(item)
                else:
                    others.append(item)
                item = self._inbox.get_nowait()
        return others

    def judge(self) -> RolloutDecision | None:
        """The verdicts of now, on all that is not settled; None where the last ones are too recent.

        Of many the whole picture takes time that the followers need: in between only what changed is asked
        whether it is Current.
        """
        clock = self._session.clock
        started = clock.monotonic()
        if started < self._due:
            self._judge_changed()
            return None
        self._stale = False
        self._changed.clear()
        self._sight.doubt()
        self._follow_companions()
        now = self._session.cluster.server_time()
        if self._is_large and self._explains:
            self._sight.forget_companions()
        refs = [ref for ref in self.waiting if self._sight.is_synced(ref)]
        snapshot = self._sight.snapshot(refs)
        decision = rollout.step(
            [self._targets[ref] for ref in refs],
            replace(snapshot, services=self._services(snapshot.objects)),
            self._log,
            self._session.environment.rollout,
            now,
            blindly=not self._explains,
        )
        self._log = decision.log
        for ref, status in decision.statuses.items():
            self._note(ref, status, snapshot.objects.get(ref))
        spent = clock.monotonic() - started
        self._due = clock.monotonic() + self._pause_s(spent)
        self._follow_endpoints()
        self._tell()
        if not decision.fatal:
            return decision
        return self._unblocker.without_blockers(self._confirmed(decision), self.manifests)

    def _confirmed(self, decision: RolloutDecision) -> RolloutDecision:
        """What seems lost is read once more: a watch may be far behind, and a failure is no guess."""
        left = tuple(
            (ref, one)
            for ref, one in decision.fatal
            if one.code is not CauseCode.OBJECT_LOST or self._is_lost(ref)
        )
        return decision if len(left) == len(decision.fatal) else replace(decision, fatal=left)

    def _is_lost(self, ref: ObjectRef) -> bool:
        try:
            live = self._sight.read(ref, self.manifests[ref].api_version)
        except PipelineError:
            return False
        return live is None or uid(live) != self._targets[ref].uid

    def _pause_s(self, spent_s: float) -> float:
        """Between two whole looks: of few they are quick; of many, the clock alone tells little while nothing
        is followed that explains."""
        if max(len(self._active), self._count) <= _MANY:
            return min(30 * spent_s, _LOOK_EACH_S)
        return max(20 * spent_s, _LOOK_EACH_S if self._explains else _LOOK_BLINDLY_S)

    def _judge_changed(self) -> None:
        now = self._session.cluster.server_time()
        for ref in self._changed & self._active:
            if self._sight.is_synced(ref):
                obj = self._sight.object(ref)
                status = self._status_of(ref, obj, now)
                if status.status is Status.CURRENT and self._explains and ref.group_kind in WORKLOADS:
                    self._due = 0.0  # its pods have a say, in the next look
                    continue
                self._note(ref, status, obj)
                if status.status is Status.FAILED:
                    self._due = 0.0  # the next look says why
        self._changed.clear()
        self._follow_endpoints()
        self._tell()

    def _note(self, ref: ObjectRef, status: ObjectStatus, obj: Object | None) -> None:
        self._news = self._news or self.statuses[ref] != status
        self.statuses[ref] = status
        if status.status is Status.CURRENT:
            self._settle(ref, obj)
        else:
            self._settled.pop(ref, None)

    def stop(self) -> None:
        """Follow nothing any more, and forget what was seen; verdicts stay."""
        self._sight.stop()

    @property
    def elapsed_s(self) -> float:
        return self._session.clock.monotonic() - self._started

    @property
    def unseen(self) -> list[str]:
        """Kinds that the cluster has not listed yet."""
        return self._sight.unseen

    def entries(self) -> tuple[RolloutEntry, ...]:
        elapsed = self.elapsed_s
        return tuple(
            RolloutEntry(ref=ref, status=status, seconds=round(self._settled.get(ref, elapsed), 3))
            for ref, status in self.statuses.items()
        )

    # --- inside

    def _settle(self, ref: ObjectRef, obj: Object | None) -> None:
        self._active.discard(ref)
        self._endpoints.settled(ref, obj)
        self._settled.setdefault(ref, self.elapsed_s)
        self._log = rollout.settled(self._log, ref, self.statuses[ref])
        if self._is_large:
            self._sight.forget(ref)
        self._progressed = self._session.clock.monotonic()

    @property
    def _is_large(self) -> bool:
        """Whether what was seen is worth forgetting: thousands of pods and events fill the memory."""
        return self._count > _MANY

    def _tell(self) -> None:
        now = self._session.clock.monotonic()
        many = len(self.statuses) > _MANY
        if self._quiet or not self._news or (many and now - self._told_at < _TOLD_EACH_S):
            return
        self._told_at, self._news = now, False
        self._session.tell(RolloutProgress(tuple(self.statuses.items()), self.elapsed_s))

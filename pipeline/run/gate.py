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
from pipeline.core.readiness.deleting import as_it_ended
from pipeline.core.readiness.endpoints import Serving, service_of
from pipeline.core.readiness.services import NO_ENDPOINTS
from pipeline.core.readiness.steady import UNSTEADY
from pipeline.core.rollout import WORKLOADS, RolloutDecision, RolloutLog, Snapshot
from pipeline.model.events import Note, RolloutProgress
from pipeline.model.objects import Manifest, Object, ObjectRef
from pipeline.model.release import RolloutEntry
from pipeline.model.status import ObjectStatus, Status
from pipeline.run.closeup import Closeup, confirmed
from pipeline.run.endpoints import Endpoints
from pipeline.run.follow import Update
from pipeline.run.pods import BriefPods, PodNews
from pipeline.run.session import Session
from pipeline.run.sight import Sight
from pipeline.run.targets import SERVICE, SLICES, Facts, Target
from pipeline.run.unblock import Unblocker

TICK_S = 0.25
"""How often the clock alone is asked: grace that runs out makes no event."""

_MANY = 50
"""Of more targets than this pods are followed in brief, and what explains them once one is in trouble: most
come up by themselves, and following all of it for hundreds costs the control plane more than us."""

_LOOK_EACH_S = 0.25
"""How often few are judged as a whole, at least."""

_LOOK_CLOSELY_S, _LOOK_BLINDLY_S = 0.08, 1.0
"""How often many are, with and without what explains them, if that takes but a twentieth of the time."""

_TOLD_EACH_S = 0.5

_STARTING = ObjectStatus(Status.IN_PROGRESS, "NotObserved", "has not been seen in the cluster yet")

Inbox = queue.Queue[object]
"""Not a SimpleQueue: with a time-out that of CPython 3.11 and 3.12 may wait for ever. It reckons what is left
of its time anew once it has its own lock, and takes less than none for no limit: so where the process was
put aside for a moment right then, or a signal was handled."""


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
        self._count = count
        self._closeup = Closeup(session, self._sight, many=self._is_large)
        self._pods = BriefPods(session, expected, inbox.put) if self._is_large else None
        self._doubt_due = 0.0

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
            self._closeup.follow(self._active)  # of many, with the next whole look
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
        pods = self._pods.of(ref) if self._pods else None
        return rollout.status_of(self._targets[ref], obj, self._log, policy, now, serving, pods)

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
        if self._pods:
            self._pods.follow(target.ref)

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
                if ref not in self._active:
                    self._look_closer_if_needed(ref)
                self._active.add(ref)
                self._changed.add(ref)
            elif update.key[1] == SLICES.kind and (service := service_of(obj)) in self._active:
                self._changed.add(service)
        if update.forbidden or update.replace:
            self._due = 0.0

    def _note_ends(self, update: Update) -> None:
        """A run that has ended may be cleaned up (a Job's TTL) before we looked: its last state tells."""
        now = self._session.cluster.server_time()
        for obj in update.objects:
            ref = ObjectRef.of(obj) if "kind" in obj else None
            if ref is None or ref not in self._active:
                continue
            self._log = rollout.settled(self._log, ref, self._status_of(ref, as_it_ended(obj), now))

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
                elif isinstance(item, PodNews):
                    self._take_in_pods(item)
                else:
                    others.append(item)
                item = self._inbox.get_nowait()
        return others

    def _take_in_pods(self, news: PodNews) -> None:
        """Pods change the verdict of what is whole but for them, and may be in trouble."""
        for ref, told in self._pods.take_in(news).items() if self._pods else ():
            if ref not in self._active:
                continue
            if self.statuses[ref].reason in UNSTEADY:
                self._changed.add(ref)
                self._stale = True
            self._look_closer_if_needed(ref, told)

    def _look_closer_if_needed(self, ref: ObjectRef, told: Sequence[Object] | None = None) -> None:
        """``told``: only these of its pods are news."""
        if self._pods is None or self._closeup.has_begun:
            return
        failing = self.statuses[ref].reason == "ReplicaFailure"
        if failing or self._pods.are_in_trouble(ref, self._targets[ref].since, told):
            self._alarm()

    def _alarm(self) -> None:
        if self._closeup.alarm():
            self._stale, self._due = True, 0.0

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
        if self._pods:
            self._pods.doubt()
        self._closeup.follow(self._active)
        now = self._session.cluster.server_time()
        if self._is_large and self._closeup.has_begun:
            self._sight.forget_companions()
        refs = [ref for ref in self.waiting if self._sight.is_synced(ref)]
        snapshot = self._snapshot(refs)
        decision = rollout.step(
            [self._targets[ref] for ref in refs],
            snapshot,
            self._log,
            self._session.environment.rollout,
            now,
            blindly=not self._closeup.sees,
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
        if self._closeup.is_too_soon(decision):
            self._alarm()
            return replace(decision, fatal=())
        sure = confirmed(decision, self._sight, self._targets, self.manifests)
        return self._unblocker.without_blockers(sure, self.manifests)

    def _snapshot(self, refs: Sequence[ObjectRef]) -> Snapshot:
        """These objects, and all that has a say."""
        seen = self._sight.snapshot(refs)
        seen = replace(seen, services=self._services(seen.objects))
        if self._pods is None:
            return replace(seen, shown=frozenset(ref for ref in refs if self._sight.shows_pods(ref)))
        return replace(seen, briefs=self._pods.of_all(refs))

    def _pause_s(self, spent_s: float) -> float:
        """Between two whole looks: of few they are quick; of many, the clock alone tells little while nothing
        is followed that explains."""
        if max(len(self._active), self._count) <= _MANY:
            return min(30 * spent_s, _LOOK_EACH_S)
        return max(20 * spent_s, _LOOK_CLOSELY_S if self._closeup.has_begun else _LOOK_BLINDLY_S)

    def _judge_changed(self) -> None:
        started = self._session.clock.monotonic()
        if self._pods and started >= self._doubt_due:
            self._changed |= {ref for ref in self._active if self.statuses[ref].reason in UNSTEADY}
        now = self._session.cluster.server_time()
        for ref in self._changed & self._active:
            if self._sight.is_synced(ref):
                obj = self._sight.object(ref)
                status = self._status_of(ref, obj, now)
                if status.status is Status.CURRENT and not self._pods and ref.group_kind in WORKLOADS:
                    self._due = 0.0  # its pods have a say, in the next look
                    continue
                self._note(ref, status, obj)
                self._look_closer_if_needed(ref)
                if status.status is Status.FAILED:
                    self._due = 0.0  # the next look says why
        self._changed.clear()
        ended = self._session.clock.monotonic()
        if started >= self._doubt_due:
            self._doubt_due = ended + max(TICK_S, 20 * (ended - started))
        self._follow_endpoints()
        self._tell()

    def _note(self, ref: ObjectRef, status: ObjectStatus, obj: Object | None) -> None:
        self._news = self._news or self.statuses[ref] != status
        self.statuses[ref] = status
        if status.status is Status.CURRENT:
            self._settle(ref, obj)
        elif self._settled.pop(ref, None) is not None and status.reason not in UNSTEADY:
            self._sight.recall(ref)

    def stop(self) -> None:
        """Follow nothing any more, and forget what was seen; verdicts stay."""
        self._sight.stop()
        if self._pods:
            self._pods.stop()

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
        self._closeup.progress()

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

"""The rollout gate: follows what is waited for, judges it, and knows what is not Current yet.

One loop, the caller's, decides; followers only put what they see into the inbox. Targets may be added
while the gate is at work, as soon as each is written.
"""

from __future__ import annotations

import queue
from collections.abc import Iterable, Sequence
from contextlib import suppress

from pipeline.core import rollout
from pipeline.core.desired import owner_selector
from pipeline.core.edges import order
from pipeline.core.readiness import exists_is_enough
from pipeline.core.reading import owner_uid, text, uid
from pipeline.core.rollout import WORKLOADS, RolloutDecision, RolloutLog, Snapshot
from pipeline.model.errors import PipelineError
from pipeline.model.events import Note, RolloutProgress
from pipeline.model.objects import Manifest, Object, ObjectRef, ResourceType
from pipeline.model.release import RolloutEntry
from pipeline.model.status import ObjectStatus, Status
from pipeline.run.follow import Followed, Follower, Key, Update, take_in
from pipeline.run.session import Session
from pipeline.run.targets import Facts, Target, companions

TICK_S = 0.25
"""How often the clock alone is asked: grace that runs out makes no event."""

_WIDE = 3
"""In more namespaces than this a kind is followed in all of them at once, where that is allowed."""

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
    many are going to be waited for, as far as that is known: it decides how soon to look closely."""

    def __init__(
        self,
        session: Session,
        expected: Iterable[Target],
        inbox: Inbox,
        *,
        quiet: bool = False,
        count: int = 0,
    ) -> None:
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
        self._done: set[str] = set()  # uids of what is Current, and of what belongs to it
        self._followed: dict[Key, Followed] = {}
        self._followers: list[Follower] = []
        self._log = RolloutLog()
        self._told_at = float("-inf")
        self._news = False
        self._started = session.clock.monotonic()
        self._due = 0.0
        self._stale = False  # something was seen since all was judged
        self._waits_since: float | None = None
        self._progressed = float("-inf")
        self._explains = False  # pods and events are followed, too
        self._wide, self._labelled = _scopes(expected)
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
            self._targets[ref] = self._facts.core_target(target)
            self.statuses[ref] = self._first_look(target, now)
            self._news = True
            if self.statuses[ref].status is Status.CURRENT:
                self._settle(ref)
            else:
                self._active.add(ref)
                if follow:
                    self._follow_target(target)
        if follow and self._count <= _MANY:
            self._follow_companions()  # of many, with the next whole look

    def is_current(self, ref: ObjectRef) -> bool:
        """True also for what is not waited for."""
        return ref not in self._active

    def seen(self, ref: ObjectRef) -> Object | None:
        """The object as a follower last saw it."""
        followed = self._of(ref)
        return followed.objects.get((ref.namespace, ref.name)) if followed else None

    @property
    def is_waiting(self) -> bool:
        return bool(self._active)

    @property
    def waiting(self) -> list[ObjectRef]:
        return sorted(self._active, key=order)

    def _first_look(self, target: Target, now: float) -> ObjectStatus:
        if target.live is None:
            return _STARTING
        policy = self._session.environment.rollout
        return rollout.status_of(self._targets[target.ref], target.live, self._log, policy, now)

    # --- following

    def _follow_target(self, target: Target) -> None:
        resource = self._session.cluster.resource(target.manifest.api_version, target.ref.kind)
        if resource is None:
            self._session.tell(
                Note(f"{target.ref} is not watched: the server has no such kind", warning=True)
            )
            return
        self._follow(resource, target.ref.namespace, ours=True)

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
        for resource, namespaces in companions(waiting).items():
            for namespace in namespaces:
                self._follow(resource, namespace, ours=False)

    def _follow(self, resource: ResourceType, namespace: str, *, ours: bool) -> None:
        wide = not namespace or (resource.group, resource.kind) in self._wide
        key = (resource.group, resource.kind, "" if wide else namespace)
        if wide and namespace and (found := self._followed.get(key)) and found.forbidden:
            key = (resource.group, resource.kind, namespace)
        if key in self._followed:
            return
        selector = owner_selector(self._session.environment) if ours and wide and self._labelled else ""
        followed = Followed(resource, key[2], selector)
        self._followed[key] = followed
        follower = Follower(self._session.cluster, self._session.clock, key, followed, self._inbox.put)
        self._followers.append(follower)
        follower.start()

    def _narrow(self, key: Key) -> None:
        """All namespaces at once may not be looked into: those of the targets may."""
        resource = self._followed[key].resource
        own = (resource.group, resource.kind)
        for ref in self._targets:
            companion = any(r.kind == resource.kind for r in companions([ref]))
            if ref.namespace and (ref.group_kind == own or companion):
                self._follow(resource, ref.namespace, ours=ref.group_kind == own)

    # --- the loop's part

    def take_in(self, update: Update) -> None:
        """What a follower saw."""
        self._stale = True
        followed = self._followed[update.key]
        take_in(followed, update)
        if update.forbidden and followed.resource.namespaced and not update.key[2]:
            self._narrow(update.key)
            return
        if update.replace:
            group_kind = update.key[:2]
            again = {ref for ref in self._targets if ref.group_kind == group_kind and self._is_followed(ref)}
            self._active |= again
            self._changed |= again
        for obj in update.objects:
            ref = ObjectRef.of(obj) if "kind" in obj else None
            if ref in self._targets:
                self._active.add(ref)
                self._changed.add(ref)

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
        self._follow_companions()
        now = self._session.cluster.server_time()
        if self._is_large and self._explains:
            self._forget_settled()
        targets = [self._targets[ref] for ref in self.waiting if self._is_synced(ref)]
        policy = self._session.environment.rollout
        decision = rollout.step(
            targets, self._snapshot(targets), self._log, policy, now, blindly=not self._explains
        )
        self._log = decision.log
        for ref, status in decision.statuses.items():
            self._note(ref, status)
        spent = clock.monotonic() - started
        self._due = clock.monotonic() + self._pause_s(spent)
        self._tell()
        return decision

    def _pause_s(self, spent_s: float) -> float:
        """Between two whole looks: of few they are quick; of many, the clock alone tells little while nothing
        is followed that explains."""
        if max(len(self._active), self._count) <= _MANY:
            return min(30 * spent_s, _LOOK_EACH_S)
        return max(20 * spent_s, _LOOK_EACH_S if self._explains else _LOOK_BLINDLY_S)

    def _judge_changed(self) -> None:
        now = self._session.cluster.server_time()
        policy = self._session.environment.rollout
        for ref in self._changed & self._active:
            if self._is_synced(ref):
                status = rollout.status_of(self._targets[ref], self._object(ref), self._log, policy, now)
                self._note(ref, status)
                if status.status is Status.FAILED:
                    self._due = 0.0  # the next look says why
        self._changed.clear()
        self._tell()

    def _note(self, ref: ObjectRef, status: ObjectStatus) -> None:
        self._news = self._news or self.statuses[ref] != status
        self.statuses[ref] = status
        if status.status is Status.CURRENT:
            self._settle(ref)
        else:
            self._settled.pop(ref, None)

    def stop(self) -> None:
        """Follow nothing any more, and forget what was seen; verdicts stay."""
        for follower in self._followers:
            follower.stop()
        for followed in self._followed.values():
            followed.objects.clear()

    @property
    def elapsed_s(self) -> float:
        return self._session.clock.monotonic() - self._started

    @property
    def unseen(self) -> list[str]:
        """Kinds that the cluster has not listed yet."""
        return sorted({key[1] for key, followed in self._followed.items() if not followed.synced})

    def entries(self) -> tuple[RolloutEntry, ...]:
        elapsed = self.elapsed_s
        return tuple(
            RolloutEntry(ref=ref, status=status, seconds=round(self._settled.get(ref, elapsed), 3))
            for ref, status in self.statuses.items()
        )

    # --- inside

    def _settle(self, ref: ObjectRef) -> None:
        self._active.discard(ref)
        self._settled.setdefault(ref, self.elapsed_s)
        self._log = rollout.settled(self._log, ref, self.statuses[ref])
        followed = self._of(ref)
        obj = followed.objects.pop((ref.namespace, ref.name), None) if followed and self._is_large else None
        if obj is not None:
            self._done.add(uid(obj))
        self._progressed = self._session.clock.monotonic()

    @property
    def _is_large(self) -> bool:
        """Whether what was seen is worth forgetting: thousands of pods and events fill the memory."""
        return self._count > _MANY

    def _forget_settled(self) -> None:
        """What belongs to workloads that are Current: only where the owner is known, as the news of different
        kinds come in any order."""
        for owned in (("apps", "ReplicaSet"), ("", "Pod")):
            for followed in self._followed_of(*owned):
                for key, obj in list(followed.objects.items()):
                    if owner_uid(obj) in self._done:
                        self._done.add(uid(obj))
                        del followed.objects[key]
        for followed in self._followed_of("", "Event"):
            for key, obj in list(followed.objects.items()):
                if text(obj, "involvedObject", "uid") in self._done:
                    del followed.objects[key]

    def _of(self, ref: ObjectRef) -> Followed | None:
        """What follows the object: its own namespace before all of them."""
        own = self._followed.get((ref.group, ref.kind, ref.namespace))
        return own or self._followed.get((ref.group, ref.kind, ""))

    def _is_followed(self, ref: ObjectRef) -> bool:
        return self._of(ref) is not None

    def _is_synced(self, ref: ObjectRef) -> bool:
        followed = self._of(ref)
        return followed is None or followed.synced

    def _snapshot(self, targets: Sequence[rollout.Target]) -> Snapshot:
        return Snapshot(
            objects={t.ref: obj for t in targets if (obj := self._object(t.ref)) is not None},
            replica_sets=self._all("apps", "ReplicaSet"),
            pods=self._all("", "Pod"),
            events=self._all("", "Event"),
            controller_revisions=self._all("apps", "ControllerRevision"),
        )

    def _object(self, ref: ObjectRef) -> Object | None:
        followed = self._of(ref)
        if followed is None:
            return None
        if followed.forbidden:
            # No right to list or watch, but perhaps to get: slower, not blind.
            with suppress(PipelineError):
                return self._session.cluster.get(ref, followed.resource.api_version)
        return followed.objects.get((ref.namespace, ref.name))

    def _all(self, group: str, kind: str) -> list[Object]:
        return [obj for followed in self._followed_of(group, kind) for obj in followed.objects.values()]

    def _followed_of(self, group: str, kind: str) -> list[Followed]:
        return [followed for key, followed in self._followed.items() if key[:2] == (group, kind)]

    def _tell(self) -> None:
        now = self._session.clock.monotonic()
        many = len(self.statuses) > _MANY
        if self._quiet or not self._news or (many and now - self._told_at < _TOLD_EACH_S):
            return
        self._told_at, self._news = now, False
        self._session.tell(RolloutProgress(tuple(self.statuses.items()), self.elapsed_s))


def _scopes(expected: Iterable[Target]) -> tuple[frozenset[tuple[str, str]], bool]:
    """(kinds in so many namespaces that they are followed in all, whether all objects carry our labels)."""
    namespaces: dict[tuple[str, str], set[str]] = {}
    labelled = True
    for target in expected:
        labelled = labelled and target.labelled
        namespaces.setdefault(target.ref.group_kind, set()).add(target.ref.namespace)
        for resource in companions([target.ref]):
            namespaces.setdefault((resource.group, resource.kind), set()).add(target.ref.namespace)
    return frozenset(kind for kind, names in namespaces.items() if len(names) > _WIDE), labelled

"""What a gate sees of the cluster: kinds that are followed, in a namespace or in all, and forgotten again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from pipeline.core.desired import owner_selector
from pipeline.core.readiness.endpoints import service_of
from pipeline.core.reading import owner_uid, text, uid
from pipeline.core.rollout import Snapshot
from pipeline.model.errors import PipelineError
from pipeline.model.objects import Object, ObjectRef, ResourceType
from pipeline.ports import Keep
from pipeline.run.follow import Followed, Follower, Key, Update, take_in, without_owners
from pipeline.run.session import Session
from pipeline.run.targets import EVENTS, SERVICE, SLICES, Target, companions, explained_by

_WIDE = 3
"""In more namespaces than this a kind is followed in all of them at once, where that is allowed."""

_OWNED = (("apps", "ReplicaSet"), ("", "Pod"), ("", "Event"))
"""What belongs to workloads, owners before what they own."""

_Place = tuple[str, str]
"""(namespace, name)."""


class Sight:
    """``expected`` are all objects that may be looked for: they decide how wide to look. ``put`` hears what
    followers see, on their threads; everything else is the loop's."""

    def __init__(self, session: Session, expected: Iterable[Target], put: Callable[[Update], None]) -> None:
        self._session = session
        self._put = put
        self._followed: dict[Key, Followed] = {}
        self._followers: dict[Key, Follower] = {}
        self._forgotten: set[str] = set()  # uids of what was forgotten, and
        self._done: set[str] = set()  # of what belongs to that, too
        self._slices = SliceIndex()
        self._wide, self._labelled = _scopes(expected)

    def follow(
        self, resource: ResourceType, namespace: str, *, ours: bool, keep: Keep = without_owners
    ) -> None:
        """Once. ``ours``: only what carries our labels is of interest; ``keep``: what of each."""
        wide = not namespace or (resource.group, resource.kind) in self._wide
        key = (resource.group, resource.kind, "" if wide else namespace)
        if wide and namespace and (found := self._followed.get(key)) and found.forbidden:
            key = (resource.group, resource.kind, namespace)
        if key in self._followed:
            return
        selector = owner_selector(self._session.environment) if ours and wide and self._labelled else ""
        followed = Followed(resource, key[2], selector, keep)
        self._followed[key] = followed
        follower = Follower(self._session.cluster, self._session.clock, key, followed, self._put)
        self._followers[key] = follower
        follower.start()

    def take_in(self, update: Update, refs: Iterable[ObjectRef]) -> Followed:
        """What a follower saw, and what is seen by it now. Where it may not look into all namespaces, those
        of ``refs`` are tried."""
        if update.mistake is not None:
            raise update.mistake
        followed = self._followed[update.key]
        take_in(followed, update)
        if update.key[:2] == (SLICES.group, SLICES.kind):
            self._slices.take_in(followed, update)
        if update.forbidden and followed.resource.namespaced and not update.key[2]:
            self._narrow(followed, refs)
        return followed

    def doubt(self) -> None:
        """Look again at what has been silent for long."""
        for follower in self._followers.values():
            follower.doubt()

    def stop(self) -> None:
        """Follow nothing any more, and forget what was seen."""
        for follower in self._followers.values():
            follower.stop()
        for followed in self._followed.values():
            followed.objects.clear()
        self._slices = SliceIndex()

    def is_followed_by(self, key: Key, ref: ObjectRef) -> bool:
        """Whether the lists and watches of ``key`` tell of the object."""
        return ref.group_kind == key[:2] and self._of(ref) is self._followed.get(key)

    def is_synced(self, ref: ObjectRef) -> bool:
        """Whether what follows the object, if anything does, has listed it once."""
        followed = self._of(ref)
        return followed is None or followed.synced

    def seen(self, ref: ObjectRef) -> Object | None:
        """The object as it was last seen."""
        followed = self._of(ref)
        return followed.objects.get((ref.namespace, ref.name)) if followed else None

    def object(self, ref: ObjectRef) -> Object | None:
        """As ``seen``; without the right to list and watch it is read: slower, not blind."""
        followed = self._of(ref)
        if followed is not None and followed.forbidden:
            with suppress(PipelineError):
                return self._session.cluster.get(ref, followed.resource.api_version)
        return self.seen(ref)

    def read(self, ref: ObjectRef, api_version: str) -> Object | None:
        """The object as it is now, whatever was seen of it before; PipelineError where it cannot be read."""
        obj = self._session.cluster.get(ref, api_version)
        followed = self._of(ref)
        if obj is not None and followed is not None:
            take_in(followed, Update((ref.group, ref.kind, followed.namespace), objects=(obj,)))
        return obj

    def snapshot(self, refs: Iterable[ObjectRef]) -> Snapshot:
        """These objects, and everything that may explain them."""
        return Snapshot(
            objects={ref: obj for ref in refs if (obj := self.object(ref)) is not None},
            replica_sets=self._all("apps", "ReplicaSet"),
            pods=self._all("", "Pod"),
            events=self._all("", "Event"),
            controller_revisions=self._all("apps", "ControllerRevision"),
            nodes=self._all("", "Node"),
        )

    def slices_of(self, service: ObjectRef) -> list[Object]:
        """The EndpointSlices of a Service."""
        return self._slices.of(service)

    def forget_slices(self, service: ObjectRef) -> None:
        """They are not asked for any more, whatever news of them come."""
        places = self._slices.forget(service)
        for followed in self._of_kind(SLICES.group, SLICES.kind):
            for place in places:
                followed.objects.pop(place, None)

    def is_listed(self, resource: ResourceType, namespace: str) -> bool:
        """Whether the kind is followed there, and was listed once."""
        followed = self._at(resource.group, resource.kind, namespace)
        return followed is not None and followed.synced

    def forbidden(self, resource: ResourceType, namespace: str) -> str:
        """Why the kind may not be looked at there, as far as that is known."""
        followed = self._at(resource.group, resource.kind, namespace)
        return followed.forbidden if followed else ""

    def shows_pods(self, ref: ObjectRef) -> bool:
        """Whether a workload's pods, and what tells the new ones from the old, are followed: those that are
        missing have not been seen yet. Not where they may not be looked at."""
        kinds = [resource for resource in explained_by(ref) if resource != EVENTS]
        return bool(kinds) and all(self.follows(resource, ref.namespace) for resource in kinds)

    def follows(self, resource: ResourceType, namespace: str) -> bool:
        """Whether the kind is followed there, and may be."""
        followed = self._at(resource.group, resource.kind, namespace)
        return followed is not None and not followed.forbidden

    @property
    def unseen(self) -> list[str]:
        """Kinds that the cluster has not listed yet."""
        return sorted({key[1] for key, followed in self._followed.items() if not followed.synced})

    def forget(self, ref: ObjectRef) -> None:
        """The object is not looked at any more, unless news of it come."""
        followed = self._of(ref)
        obj = followed.objects.pop((ref.namespace, ref.name), None) if followed else None
        if obj is not None:
            self._forgotten.add(uid(obj))
            self._done.add(uid(obj))

    def recall(self, ref: ObjectRef) -> None:
        """The object is looked at again, and what belongs to it: that may have been forgotten, and is asked
        for anew."""
        obj = self.seen(ref)
        if obj is None or uid(obj) not in self._forgotten:
            return
        self._forgotten.discard(uid(obj))
        self._done = set(self._forgotten)
        for key, follower in self._followers.items():
            if key[:2] in _OWNED:
                follower.again()

    def forget_companions(self) -> None:
        """What belongs to what was forgotten: only where the owner is known, as the news of different kinds
        come in any order."""
        for owned in _OWNED[:2]:
            for followed in self._of_kind(*owned):
                for key, obj in list(followed.objects.items()):
                    if owner_uid(obj) in self._done:
                        self._done.add(uid(obj))
                        del followed.objects[key]
        for followed in self._of_kind("", "Event"):
            for key, obj in list(followed.objects.items()):
                if text(obj, "involvedObject", "uid") in self._done:
                    del followed.objects[key]

    def _narrow(self, wide: Followed, refs: Iterable[ObjectRef]) -> None:
        resource = wide.resource
        own = (resource.group, resource.kind)
        for ref in refs:
            companion = any(r.kind == resource.kind for r in _beside(ref))
            if ref.namespace and (ref.group_kind == own or companion):
                self.follow(resource, ref.namespace, ours=ref.group_kind == own, keep=wide.keep)

    def _of(self, ref: ObjectRef) -> Followed | None:
        """What follows the object: its own namespace before all of them."""
        return self._at(*ref.group_kind, ref.namespace)

    def _at(self, group: str, kind: str, namespace: str) -> Followed | None:
        return self._followed.get((group, kind, namespace)) or self._followed.get((group, kind, ""))

    def _all(self, group: str, kind: str) -> list[Object]:
        return [obj for followed in self._of_kind(group, kind) for obj in followed.objects.values()]

    def _of_kind(self, group: str, kind: str) -> list[Followed]:
        return [followed for key, followed in self._followed.items() if key[:2] == (group, kind)]


class Index:
    """Objects by what they are of: a thousand of those ask all the time."""

    def __init__(self, of: Callable[[Object], ObjectRef]) -> None:
        self._whose = of
        self._of: dict[ObjectRef, dict[_Place, Object]] = {}
        self._placed: dict[_Place, ObjectRef] = {}
        self._done: set[ObjectRef] = set()

    def of(self, ref: ObjectRef) -> list[Object]:
        return list(self._of.get(ref, {}).values())

    def take_in(self, followed: Followed, update: Update) -> dict[ObjectRef, list[Object]]:
        """As ``followed`` has them now: news that are stale have changed nothing there. Returns what
        was told, by what it is of."""
        if update.replace:
            gone = [p for p in self._placed if p not in followed.objects and followed.namespace in ("", p[0])]
            for place in gone:
                self._put(place, None)
        told: dict[ObjectRef, list[Object]] = {}
        for obj in update.objects:
            place, ref = (text(obj, "metadata", "namespace"), text(obj, "metadata", "name")), self._whose(obj)
            told.setdefault(ref, []).append(obj)
            if ref in self._done:
                followed.objects.pop(place, None)
            now = followed.objects.get(place)
            self._put(place, now, ref if now is obj else None)
        return told

    def forget(self, ref: ObjectRef) -> tuple[_Place, ...]:
        """Keep none that is of it any more; where those that there were stood."""
        self._done.add(ref)
        places = tuple(self._of.pop(ref, ()))
        for place in places:
            del self._placed[place]
        return places

    def _put(self, place: _Place, obj: Object | None, ref: ObjectRef | None = None) -> None:
        """``ref``: what it is of, where that is known."""
        before = self._placed.pop(place, None)
        if before is not None:
            del self._of[before][place]
        if obj is not None:
            ref = self._placed[place] = ref or self._whose(obj)
            self._of.setdefault(ref, {})[place] = obj


class SliceIndex(Index):
    """EndpointSlices by the Service that they are of."""

    def __init__(self) -> None:
        super().__init__(service_of)


def _scopes(expected: Iterable[Target]) -> tuple[frozenset[tuple[str, str]], bool]:
    """(kinds in so many namespaces that they are followed in all, whether all objects carry our labels)."""
    namespaces: dict[tuple[str, str], set[str]] = {}
    labelled = True
    for target in expected:
        labelled = labelled and target.labelled
        namespaces.setdefault(target.ref.group_kind, set()).add(target.ref.namespace)
        for resource in _beside(target.ref):
            namespaces.setdefault((resource.group, resource.kind), set()).add(target.ref.namespace)
    return frozenset(kind for kind, names in namespaces.items() if len(names) > _WIDE), labelled


def _beside(ref: ObjectRef) -> Iterable[ResourceType]:
    """The kinds that may be looked at for its sake."""
    return [*companions([ref]), *([SLICES] if ref.group_kind == SERVICE else [])]

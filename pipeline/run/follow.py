"""Follows a kind in a namespace, or in all: one list, then one watch, again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline import failpoint
from pipeline.failpoint import Point
from pipeline.model.errors import ApiError, PipelineError
from pipeline.model.objects import Object, ResourceType, get_path
from pipeline.ports import Clock, Cluster, Keep, WatchStream

_WATCH_S = 240.0
_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 8.0

_QUIET_S = 10.0
"""A watch may be dead without anybody having said so (a load balancer that forgot it). After so long without
a word what it follows is listed anew: one request, where the connection's own timer would take a minute."""

Key = tuple[str, str, str]
"""(group, kind, namespace) of what is followed; an empty namespace stands for all of them."""


def without_owners(obj: Object) -> Object:
    """They are half of an object, and no evidence: a list of thousands should not wait for the loop whole."""
    obj["metadata"].pop("managedFields", None)
    return obj


@dataclass(slots=True)
class Followed:
    """The objects of one kind and namespace as last seen, by (namespace, name); what ``keep`` leaves of
    them, by default all but who owns which field."""

    resource: ResourceType
    namespace: str
    selector: str = ""
    keep: Keep = without_owners
    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    synced: bool = False
    forbidden: str = ""
    gone: dict[tuple[str, str], int] = field(default_factory=dict)
    """With which resourceVersion an object was deleted: what is older must not bring it back."""


@dataclass(frozen=True, slots=True)
class Update:
    """What a follower saw: a whole list (``replace``), one event, or that it may not look. ``mistake``: ours,
    by which it ended."""

    key: Key
    objects: tuple[Object, ...] = ()
    deleted: bool = False
    replace: bool = False
    forbidden: str = ""
    mistake: Exception | None = None


class Follower:
    """One thread for one kind and namespace. It only reads and reports; the loop decides.

    Every ending of a watch leads to a new list but the server's own after ``_WATCH_S``, which leads to
    a new watch from the last resourceVersion. 410 (too old) is one of the former.
    """

    def __init__(
        self,
        cluster: Cluster,
        clock: Clock,
        key: Key,
        followed: Followed,
        updates: Callable[[Update], None],
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._key = key
        self._followed = followed
        self._updates = updates
        self._ended = threading.Event()
        self._stream: WatchStream | None = None
        self._heard = float("inf")
        self._thread = threading.Thread(target=self._run, name=f"watch-{key[1]}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._stream is not None:
            self._stream.close()

    def doubt(self) -> None:
        """Look again if nothing was heard for long. Called by whoever still waits for something."""
        if self._stream is not None and self._clock.monotonic() - self._heard > _QUIET_S:
            self.again()

    def again(self) -> None:
        """List it anew now: what was seen is not all known any more."""
        if self._stream is not None:
            self._heard = float("inf")
            self._stream.close()

    def _run(self) -> None:
        try:
            self._follow()
        except Exception as mistake:  # noqa: BLE001 - raised again by the loop, which would wait for ever
            if not self._ended.is_set():
                self._updates(Update(self._key, mistake=mistake))

    def _follow(self) -> None:
        backoff, in_a_row = _BACKOFF_S, 0
        while not self._ended.is_set():
            try:
                self._list_and_watch()
                backoff, in_a_row = _BACKOFF_S, 0
            except ApiError as error:
                if error.status in (403, 404):
                    self._updates(Update(self._key, forbidden=error.message))
                    return
                in_a_row = in_a_row + 1 if error.status == 410 else 0
                # Too old once is the rule after a pause; again and again it is a server in trouble.
                self._ended.wait(0 if in_a_row == 1 else backoff)
            except PipelineError:
                self._ended.wait(backoff)
            backoff = min(backoff * 2, _LONGEST_BACKOFF_S)

    def _list_and_watch(self) -> None:
        followed = self._followed
        items, version = self._cluster.list(
            followed.resource, followed.namespace, followed.selector, followed.keep
        )
        self._updates(Update(self._key, objects=tuple(items), replace=True))
        while not self._ended.is_set():
            started = self._clock.monotonic()
            version = self._watch(version)
            if self._clock.monotonic() - started < _WATCH_S / 2:
                # Cut short: events may be missing, and a broken connection must not become a busy loop.
                self._ended.wait(_BACKOFF_S)
                return

    def _watch(self, version: str) -> str:
        followed = self._followed
        self._stream = self._cluster.watch(
            followed.resource,
            followed.namespace,
            version,
            timeout_s=_WATCH_S,
            selector=followed.selector,
        )
        failpoint.passing(Point.WATCH_OPEN)
        if self._ended.is_set():
            self._stream.close()
        self._heard = self._clock.monotonic()
        for kind, obj in self._stream:
            self._heard = self._clock.monotonic()
            failpoint.passing(Point.WATCH_EVENT)
            version = str(get_path(obj, "metadata", "resourceVersion", default=version))
            if kind != "BOOKMARK":
                # Not in the loop: what is not kept should not wait there in full.
                kept = followed.keep(obj)
                if kept is not None:
                    self._updates(Update(self._key, objects=(kept,), deleted=kind == "DELETED"))
        self._heard = float("inf")
        return version


def take_in(followed: Followed, update: Update) -> None:
    """Bring what was followed up to date. Events that come twice, late or out of order change nothing."""
    if update.forbidden:
        followed.forbidden, followed.synced = update.forbidden, True
        return
    if update.replace:
        followed.objects, followed.gone = {}, {}
        followed.synced = True
    for obj in update.objects:
        key = (str(get_path(obj, "metadata", "namespace", default="")), obj["metadata"]["name"])
        version = _version(obj)
        known = _version(followed.objects.get(key))
        if version and version < max(known, followed.gone.get(key, 0)):
            continue
        if update.deleted:
            followed.objects.pop(key, None)
            followed.gone[key] = max(version, known)
        elif version == 0 or version > followed.gone.get(key, 0):
            followed.objects[key] = obj


def _version(obj: Object | None) -> int:
    """The resourceVersion as the number that it is for all kinds in etcd (comparable by contract since
    Kubernetes 1.35); 0 for anything else, which is then taken as it comes."""
    text = str(get_path(obj, "metadata", "resourceVersion", default=""))
    return int(text) if text.isdecimal() else 0

"""One environment's ports, and what every phase asks before it writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pipeline.core.known import Known
from pipeline.model.environment import Environment
from pipeline.model.errors import InterruptedRunError
from pipeline.model.objects import Object, ObjectRef
from pipeline.ports import Clock, Cluster, Lock, Prober, Releases, Reporter

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True, kw_only=True)
class Session:
    """All that a run needs of the outside world for one environment.

    ``stopped`` becomes true when a signal arrived. ``secrets`` are values that must not be shown; they
    are added as they become known. ``actor`` tells who deploys; where only the cluster knows, it asks, and
    raises as ``Cluster.identity``. ``redact`` and ``bind`` are the log's: what it must not show, and the
    facts that each entry carries.
    """

    environment: Environment
    cluster: Cluster
    releases: Releases
    lock: Lock
    prober: Prober
    clock: Clock
    tell: Reporter
    stopped: Callable[[], bool]
    actor: Callable[[], str] = str
    redact: Callable[..., None] = lambda *_: None
    bind: Callable[..., None] = lambda **_: None
    secrets: set[str] = field(default_factory=set)
    locked: bool = False
    _known: Known | None = None
    _namespace: Future[Object | None] | None = None
    _holder: Future[Mapping[str, str] | None] | None = None

    def look_ahead(self) -> None:
        """Begin to ask what every deploy asks first: newest record, namespace, lock, and who we are."""
        self.releases.read_ahead()
        ref = ObjectRef("", "Namespace", "", self.environment.namespace)
        pool = ThreadPoolExecutor(3, thread_name_prefix="ahead")
        self._namespace = pool.submit(self.cluster.get, ref, "v1")
        self._holder = pool.submit(self.lock.holder)
        pool.submit(self.actor)  # the cluster remembers its answer, and an error comes again
        pool.shutdown(wait=False)

    def is_answered(self, within_s: float) -> bool:
        """Whether a first answer to what we asked ahead is there by then, or nothing was asked."""
        asked: list[Future[Any]] = [f for f in (self._namespace, self._holder) if f is not None]
        return not asked or bool(wait(asked, within_s, FIRST_COMPLETED).done)

    def own_namespace(self) -> Object | None:
        """The environment's namespace, as it was when we looked ahead. Raises as ``Cluster.get``."""
        if self._namespace is not None:
            return self._namespace.result()
        return self.cluster.get(ObjectRef("", "Namespace", "", self.environment.namespace), "v1")

    def has_own_namespace(self) -> bool:
        """Whether it was there when we looked ahead; False where we did not look. Should it have gone since,
        the server will say so."""
        return self._namespace is not None and self._namespace.result() is not None

    def holder(self) -> Mapping[str, str] | None:
        """Who holds the lock; as of when we looked ahead."""
        if self._holder is not None:
            return self._holder.result()
        return self.lock.holder()

    def learn_secrets(self, values: frozenset[str]) -> None:
        """These values must not be shown from now on: not in causes, not by the log."""
        if values <= self.secrets:
            return
        self.secrets |= values
        self._known = None
        self.redact(*values)

    def hide(self, *texts: str) -> list[str]:
        """The texts of a cluster or an application, without secrets, to be shown."""
        self._known = self._known or Known(self.secrets)
        return [self._known.remove(text) for text in texts]

    def guard(self) -> None:
        """Before every write: InterruptedRunError after a signal or without the lock."""
        self.stay()
        self.lock.check()

    def hold(self) -> None:
        """In every wait: as ``guard`` where this run holds the lock, else as ``stay``."""
        self.stay()
        if self.locked:
            self.lock.check()

    def stay(self) -> None:
        """As ``guard``, for the phases that hold no lock."""
        if self.stopped():
            raise InterruptedRunError("stopped by a signal", hint="run the same command again to take over")

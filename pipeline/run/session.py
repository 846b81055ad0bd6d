"""One environment's ports, and what every phase asks before it writes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.core.known import Known
from pipeline.model.environment import Environment
from pipeline.model.errors import ApiError, InterruptedRunError
from pipeline.model.objects import Object, ObjectRef
from pipeline.ports import Clock, Cluster, Lock, Prober, Releases, Reporter

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True, kw_only=True)
class Session:
    """All that a run needs of the outside world for one environment.

    ``stopped`` becomes true when a signal arrived. ``secrets`` are values that must not be shown; they
    are added as they become known. ``redact`` and ``bind`` are the log's: what it must not show, and the
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
    actor: str = ""
    redact: Callable[..., None] = lambda *_: None
    bind: Callable[..., None] = lambda **_: None
    secrets: set[str] = field(default_factory=set)

    def learn_secrets(self, values: frozenset[str]) -> None:
        """These values must not be shown from now on: not in causes, not by the log."""
        self.secrets |= values
        self.redact(*values)

    def hide(self, *texts: str) -> list[str]:
        """The texts of a cluster or an application, without secrets, to be shown."""
        known = Known(self.secrets)
        return [known.remove(text) for text in texts]

    def guard(self) -> None:
        """Before every write and in every wait: InterruptedRunError after a signal or without the lock."""
        self.stay()
        self.lock.check()

    def stay(self) -> None:
        """As ``guard``, for the phases that hold no lock."""
        if self.stopped():
            raise InterruptedRunError("stopped by a signal", hint="run the same command again to take over")


def in_parallel(session: Session, work: Callable[[T], R], items: list[T]) -> list[R]:
    """``work`` of every item, in order; at most ``deploy.parallelism`` at once. The first error wins."""
    if len(items) < 2:
        return [work(item) for item in items]
    width = min(session.environment.deploy.parallelism, len(items))
    with ThreadPoolExecutor(width, thread_name_prefix="work") as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_FEW = 4
"""Up to so many objects of a kind are read one by one: a list would move all that others have of it."""


def read_live(session: Session, wanted: dict[ObjectRef, str]) -> dict[ObjectRef, Object]:
    """The live objects among ``wanted`` (ref → apiVersion): one list a kind and namespace where many are
    wanted, else one GET each. Kinds that the server does not serve have no live objects.
    """
    groups: dict[tuple[str, str, str], list[ObjectRef]] = {}
    for ref, api_version in wanted.items():
        groups.setdefault((api_version, ref.kind, ref.namespace), []).append(ref)
    found: dict[ObjectRef, Object] = {}
    for objects in in_parallel(
        session, lambda item: _read_group(session, item[0], item[1]), list(groups.items())
    ):
        found |= objects
    return found


def _read_group(
    session: Session, key: tuple[str, str, str], refs: list[ObjectRef]
) -> dict[ObjectRef, Object]:
    api_version, kind, namespace = key
    resource = session.cluster.resource(api_version, kind)
    if resource is None:
        return {}
    if len(refs) > _FEW:
        try:
            items, _ = session.cluster.list(resource, namespace)
        except ApiError as error:
            if error.status != 403:
                raise
        else:
            by_ref = {ObjectRef.of(item): item for item in items}
            return {ref: by_ref[ref] for ref in refs if ref in by_ref}
    read = ((ref, session.cluster.get(ref, api_version)) for ref in refs)
    return {ref: obj for ref, obj in read if obj is not None}

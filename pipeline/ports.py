"""What the shell needs of the outside world, one Protocol a party. Adapters implement them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.core.access import Access
from pipeline.model.environment import Environment, HttpCheck, Source, TcpCheck, Used
from pipeline.model.errors import Problem
from pipeline.model.events import Event
from pipeline.model.objects import Json, Manifest, Object, ObjectRef, ResourceType
from pipeline.model.release import Release
from pipeline.model.status import Sample
from pipeline.model.views import LockFound

Keep = Callable[[Object], Object | None]
"""What of an object is kept; None where nothing is."""

WatchEvent = tuple[str, Object]
"""(``ADDED`` | ``MODIFIED`` | ``DELETED`` | ``BOOKMARK``, object)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What the server would make of an object: how it would stand, whether it would be new, and what the
    server warns of (deprecated versions, unknown annotations, Pod Security)."""

    result: Object
    created: bool
    warnings: tuple[str, ...] = ()


class Clock(Protocol):
    """Time, injected so that tests own it."""

    def now(self) -> float:
        """Seconds of the wall clock since 1970, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean something."""

    def sleep(self, seconds: float) -> None:
        """Wait; returns early with an InterruptedRunError where a signal arrived."""


class Repository(Protocol):
    """The git repository. Revisions that come back are full object ids."""

    def resolve(self, revision: str) -> str:
        """The commit that ``revision`` names. InvalidError where there is none."""

    def branch(self) -> str:
        """The branch that is checked out, or empty where HEAD is detached."""

    def latest(self, branch: str, stopped: Callable[[], bool]) -> str:
        """The commit that ``branch`` is at on its remote, fetched; without a remote the local branch's.

        UnreachableError where the git host cannot be asked, and as soon as ``stopped`` is true.
        """

    def obtain(self, commit: str) -> str:
        """Fetch a commit that is not here; why that cannot be, or empty where it can be read."""

    def is_ancestor(self, old: str, new: str) -> bool | None:
        """Whether ``new`` contains ``old``; None where that is neither known here nor to the remote."""

    def last_with(self, revision: str, path: str) -> str:
        """The newest commit before ``revision`` that has a file which that has not; empty where none is
        known here."""

    def changed(self, base: str, revision: str) -> Sequence[tuple[str, str]]:
        """(path, added | modified | deleted) between two commits; a rename is a deletion and an addition."""

    def files(self, revision: str, folder: str) -> Sequence[str]:
        """The paths of regular files below ``folder`` (or ``folder`` itself, a file), sorted."""

    def named(self, revision: str, folder: str, name: str) -> Sequence[str]:
        """The paths ``folder/*/name``, sorted; what else the folders hold is not looked at."""

    def remarks(self, revision: str, paths: Sequence[str]) -> Sequence[Problem]:
        """Warnings of what at or below ``paths`` is not read, or not as somebody may think."""

    def fingerprint(self, revision: str, paths: Sequence[str]) -> Sequence[tuple[str, str]]:
        """(path, object id) of every regular file at or below ``paths``; equal where all contents are."""

    def read(self, revision: str, paths: Sequence[str]) -> Mapping[str, bytes]:
        """File contents from the commit's tree, never from the work tree."""

    def links(self, revision: str, paths: Sequence[str]) -> Sequence[tuple[str, str]]:
        """(symbolic link, path that it leads to) of all links through which ``paths`` are read, for what is
        not at or below ``paths`` itself; what changes there, or comes to be there, changes what is read."""

    def describe(self, revision: str) -> tuple[str, str]:
        """(author name, first line of the message)."""

    def name(self) -> str:
        """The repository's name: of its origin, else of its folder."""


class Renderer(Protocol):
    """The program that makes manifests of one kind of source. What it reads is the commit's tree."""

    def version(self) -> str:
        """The program's name and version. UnreachableError where there is none that can be used."""

    def uses(self, revision: str, source: Source) -> Sequence[Used]:
        """All of the repository that the rendering depends on, links apart; also where it will fail."""

    def heeds_upgrade(self, revision: str, source: Source, environment: Environment) -> bool:
        """Whether the first rendering may be another than those that follow (``HelmChart.installed``)."""

    def render(self, revision: str, source: Source, environment: Environment) -> Sequence[Manifest]:
        """The objects of a source, in its order. Equal files, version and environment: equal objects.

        InvalidError with located problems; UnreachableError where the program cannot be run.
        """


class WatchStream(Iterator[WatchEvent], Protocol):
    """Events until the server, the network or ``close`` ends it."""

    def close(self) -> None:
        """End it now, from any thread."""


class Cluster(Protocol):
    """A Kubernetes API server. All methods raise ApiError or UnreachableError."""

    def fence(self, check: Callable[[], None] | None) -> None:
        """From now on ask ``check`` right before a write is sent, each time it is: it raises where the lock
        is lost. Between a phase's own question and the sending there may be a queue, a pause, a repetition.
        """

    def lanes(self) -> int:
        """How many requests at once make sense now: fewer where the server cannot keep up, more than
        ``deploy.parallelism`` where it is far away."""

    def identity(self) -> str:
        """The cluster's name for us (SelfSubjectReview)."""

    def version(self) -> str:
        """``1.36.3``."""

    def git_version(self) -> str:
        """``v1.33.4-eks-3025e55``: what the server calls its own build."""

    def resource(self, api_version: str, kind: str) -> ResourceType | None:
        """How the kind is served, or None where the server does not know it. Cached."""

    def refresh(self) -> None:
        """Forget what discovery said: a CRD was applied."""

    def api_versions(self) -> Sequence[str]:
        """``group/version`` and ``group/version/Kind`` of all that is served, sorted."""

    def namespaced_kinds(self) -> Sequence[ResourceType]:
        """Every kind that can be listed in a namespace, once. ApiError where the server does not tell all."""

    def get(self, ref: ObjectRef, api_version: str) -> Object | None:
        """The live object, read from etcd, not from a cache; None where it does not exist."""

    def list(
        self, resource: ResourceType, namespace: str = "", selector: str = "", keep: Keep | None = None
    ) -> tuple[list[Object], str]:
        """All objects of a kind, with the collection's resourceVersion. Items carry apiVersion and kind.

        ``keep``: what of each is kept, as soon as it is read; a list may be larger than the memory.
        """

    def apply(self, body: Object, *, force: bool = False, strict: bool = True) -> Object:
        """Server-side apply as field manager ``pipeline``; waits for what is just coming up."""

    def try_apply(self, body: Object, *, force: bool = False) -> Tried:
        """The same as a dry run; nothing is waited for."""

    def allowed(self, access: Access) -> bool | None:
        """Whether we may (SelfSubjectAccessReview); None where the server does not tell."""

    def create(self, body: Object, *, dry_run: bool = False) -> Object:
        """POST; ApiError 409 where another object of that name is there."""

    def replace(self, body: Object, *, once: bool = False) -> Object:
        """PUT; metadata.resourceVersion, where given, is a precondition. ``once``: without any repetition."""

    def patch(
        self, ref: ObjectRef, api_version: str, body: Json, *, content_type: str, dry_run: bool = False
    ) -> Object: ...

    def delete(
        self, ref: ObjectRef, api_version: str, *, uid: str = "", dry_run: bool = False, orphan: bool = False
    ) -> None:
        """Background deletion; with ``uid`` only if it is still that object. Absent is fine.

        ``orphan`` leaves what belongs to it: the pods of a StatefulSet.
        """

    def watch(
        self,
        resource: ResourceType,
        namespace: str,
        resource_version: str,
        *,
        timeout_s: float,
        selector: str = "",
    ) -> WatchStream:
        """Events after ``resource_version``, until the server ends it; ApiError 410 when too old."""

    def logs(self, namespace: str, pod: str, container: str, *, previous: bool, lines: int) -> str:
        """The last lines of a container, or empty where the server has none."""

    def server_time(self) -> float:
        """The server's wall clock, from the Date header of its last answer; seconds since 1970."""


class Prober(Protocol):
    """Takes one sample of a health check. Never raises: what went wrong is in the sample."""

    def probe(self, probe: HttpCheck | TcpCheck, namespace: str, timeout_s: float) -> Sample: ...


class Releases(Protocol):
    """The records of one environment, in its cluster."""

    def read_ahead(self) -> None:
        """Begin to fetch what ``latest`` will be asked for; returns at once, raises nothing."""

    def latest(self, *, anew: bool = False) -> Release | None:
        """``anew``: as it is now, whatever was read ahead; what others did meanwhile may be in it."""

    def last_verified(self) -> Release | None:
        """The newest release that SUCCEEDED."""

    def get(self, number: int) -> Release | None: ...

    def history(self) -> Sequence[Release]:
        """Newest first, heads only: without inventory, before, rendered, plan."""

    def save(self, release: Release) -> None:
        """Durable on return. Only the holder of the lock calls it."""

    def trim(self, keep: int = 10) -> None:
        """Delete all but the newest ``keep`` releases and the last verified one."""

    def sweep(self) -> None:
        """Delete the parts of a record that its run died over: nobody will ever write the rest."""


class Bell(Protocol):
    """Wakes whoever waits: rung by a signal, or by somebody who says that there is something new."""

    def wait(self, seconds: float) -> bool:
        """Whether it was rung, before or meanwhile; as often as it was rung, it is answered once."""


class Lock(Protocol):
    """The environment's lease.

    ``is_as_seen``, once it is acquired: nobody had it since ``holder`` last looked.
    """

    @property
    def is_as_seen(self) -> bool: ...

    def acquire(self, wait_s: float) -> bool:
        """Whether the holder before died with it. LockedError with who, where and since when."""

    def check(self) -> None:
        """Before every write: raises InterruptedRunError when the last renewal is too old to be safe."""

    def release(self) -> None: ...

    def holder(self) -> Mapping[str, str] | None:
        """{holder, since, expires} of a live lock, or None."""

    def release_dead(self, ended: Callable[[str], str]) -> LockFound | None:
        """Release another's lock once its holder is proven dead; None where nobody holds it. ``ended`` is a
        witness: why a holder is over, or empty."""


Reporter = Callable[[Event], None]
"""Hears every event as it happens, on any thread."""

Loader = Callable[[str, bytes], "Sequence[Manifest]"]
"""(path, content) → manifests; InvalidError with located problems."""

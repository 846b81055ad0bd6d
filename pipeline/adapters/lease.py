"""The environment's lock: a Lease of 15 s, renewed every 5 s by a thread of its own.

Safety rests on clocks that are compared only with themselves: the holder stops writing when its own
monotonic clock says that the last renewal is older than the safe margin, and a taker takes
over when the server's clock says that the Lease was not written for longer than it lasts (the time
in managedFields and the Date of the answer are both the server's).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from pipeline import failpoint
from pipeline.failpoint import Point
from pipeline.model.environment import Environment
from pipeline.model.errors import (
    ApiError,
    LockedError,
    LockLostError,
    PipelineError,
    UnreachableError,
)
from pipeline.model.objects import Object, ObjectRef, get_path
from pipeline.model.views import LockFound
from pipeline.ports import Clock, Cluster

DURATION_S = 15
RENEW_S = 5.0
SAFE_S = 10.0
"""No write starts when the last renewal was sent longer ago: 5 s are left for the one in flight."""
_POLL_S = 0.5
_LATE_S = 2.0
"""How late a renewal of a live holder may come: a slow request, and the server's clock in whole seconds."""
_API = "coordination.k8s.io/v1"


class LeaseLock:
    """``ports.Lock``. ``holder`` gives what is unique to this run and says who and where to people; it is
    asked once the lock is wanted."""

    def __init__(
        self, cluster: Cluster, environment: Environment, holder: Callable[[], str], clock: Clock
    ) -> None:
        name = f"pipeline.{environment.application}.{environment.name}"
        self._ref = ObjectRef("coordination.k8s.io", "Lease", environment.namespace, name)
        self._cluster = cluster
        self._holder = holder
        self._clock = clock
        self._renewed = float("-inf")
        self._lease: Object | None = None
        self._seen: Object | None = None
        self._refused: ApiError | None = None
        self._lost = ""
        self._mistake: Exception | None = None  # ours, by which renewing ended
        self._holder_died = False
        self._is_as_seen = False
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, wait_s: float) -> bool:
        # What ``holder`` saw is as good as a new look where it is free: its version is a precondition.
        seen, self._seen = self._seen, None
        self._is_as_seen = seen is not None and self._free(seen) and self._take(seen)
        if not self._is_as_seen:
            self._await(wait_s)
        self._ended.clear()
        self._thread = threading.Thread(target=self._renew_loop, name="lease", daemon=True)
        self._thread.start()
        return self._holder_died

    def _await(self, wait_s: float) -> None:
        started = self._clock.monotonic()
        first_seen: str | None = None
        while True:
            lease = self._cluster.get(self._ref, _API)
            if self._free(lease) and self._take(lease):
                break
            waited = self._clock.monotonic() - started
            seen = _version(lease) if lease else ""
            first_seen = first_seen or seen
            if lease is not None and waited >= wait_s and (seen != first_seen or not self._dies_soon(lease)):
                raise self._locked(lease)
            if self._free(lease) and waited >= max(wait_s, DURATION_S) and self._refused is not None:
                raise self._refused  # nobody has it, and it is not to be had: nothing that ends by waiting
            self._clock.sleep(_POLL_S)

    @property
    def is_as_seen(self) -> bool:
        return self._is_as_seen

    def check(self) -> None:
        if self._mistake is not None:
            raise self._mistake
        if self._lost:
            raise LockLostError(self._lost, hint="another run may be at work: see `pipeline status`")
        age = self._clock.monotonic() - self._renewed
        if age > SAFE_S:
            raise LockLostError(
                f"the lock was last renewed {age:.0f} s ago; too long to go on writing",
                hint="run the same command again to take over",
            )

    def release(self) -> None:
        """Stop renewing and give the Lease up. Never raises: it expires by itself."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=2.0)
        if self._lease is None or self._lost:
            return
        if not self._give_up(self._lease):
            # A renewal whose reply was lost, or that was still on its way, made a newer version.
            live = self._ours()
            if live is not None:
                self._give_up(live)
        self._lease = None

    def _give_up(self, lease: Object) -> bool:
        try:
            self._cluster.replace(_freed(lease), once=True)
        except PipelineError:
            return False
        return True

    def _ours(self) -> Object | None:
        """The live Lease where we hold it; None where another does, or nobody can tell."""
        try:
            live = self._cluster.get(self._ref, _API)
        except PipelineError:
            return None
        return live if get_path(live, "spec", "holderIdentity") == self._holder() else None

    def holder(self) -> Mapping[str, str] | None:
        self._seen = lease = self._cluster.get(self._ref, _API)
        return None if lease is None or self._free(lease) else self._told(lease)

    def _told(self, lease: Object) -> Mapping[str, str]:
        spec = lease["spec"]
        duration = float(get_path(spec, "leaseDurationSeconds", default=DURATION_S))
        expires = self._written_at(lease) + duration
        return {
            "holder": str(spec.get("holderIdentity", "")),
            "since": str(get_path(spec, "acquireTime", default="")),
            "expires": datetime.fromtimestamp(expires, UTC).isoformat(timespec="seconds"),
        }

    def release_dead(self, ended: Callable[[str], str]) -> LockFound | None:
        """Looks until it is plain: a live holder renews within seconds, of a dead one the Lease ends.

        ``ended`` only shortens that: a holder of which it says so is dead once it has missed a renewal.
        """
        first: Object | None = None
        witness: str | None = None
        while True:
            lease = self._cluster.get(self._ref, _API)
            if lease is None or not get_path(lease, "spec", "holderIdentity", default=""):
                return None
            first = first or lease
            if _version(lease) != _version(first):
                return LockFound(lock=self._told(lease), released=False, why="it was renewed just now")
            if witness is None:
                witness = ended(str(lease["spec"]["holderIdentity"]))
            if why := self._proof(lease, witness):
                if self._is_given_up(lease):
                    return LockFound(lock=self._told(lease), released=True, why=why)
            elif not witness and not self._dies_soon(lease):
                why = "its lock lasts longer than one can wait here, and nothing proves its holder dead"
                return LockFound(lock=self._told(lease), released=False, why=why)
            self._clock.sleep(_POLL_S)

    def _is_given_up(self, lease: Object) -> bool:
        """Give up a dead holder's Lease as we saw it; False where it was written meanwhile."""
        try:
            self._cluster.replace(_freed(lease))
        except ApiError as error:
            if error.status in (404, 409):
                return False
            raise
        return True

    def _proof(self, lease: Object, witness: str) -> str:
        """Why the holder is dead; empty where that is not proven."""
        if self._left_s(lease) < 0:
            return "it expired: nobody renewed it in time"
        silent_s = self._cluster.server_time() - self._written_at(lease)
        return witness if witness and silent_s > RENEW_S + _LATE_S else ""

    def _free(self, lease: Object | None) -> bool:
        return (
            lease is None
            or not get_path(lease, "spec", "holderIdentity", default="")
            or self._left_s(lease) < 0
        )

    def _left_s(self, lease: Object) -> float:
        """Seconds until the Lease expires, on the server's clock; a second more for its coarse times."""
        duration = float(get_path(lease, "spec", "leaseDurationSeconds", default=DURATION_S))
        return self._written_at(lease) + duration + 1.0 - self._cluster.server_time()

    def _dies_soon(self, lease: Object) -> bool:
        """Whether waiting can still prove the holder dead: it has not renewed since we look, and its
        Lease ends within one duration."""
        return self._left_s(lease) <= DURATION_S + 1.0

    @staticmethod
    def _written_at(lease: Object) -> float:
        times = [str(e.get("time", "")) for e in get_path(lease, "metadata", "managedFields", default=[])]
        written = max(times, default="") or str(get_path(lease, "spec", "renewTime", default=""))
        try:
            return datetime.fromisoformat(written).timestamp()
        except ValueError:
            return 0.0  # written by hand: as good as never

    def _take(self, lease: Object | None) -> bool:
        """Write ourselves in; False when somebody else was quicker."""
        now = self._now()
        spec = {
            "holderIdentity": self._holder(),
            "leaseDurationSeconds": DURATION_S,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": int(get_path(lease, "spec", "leaseTransitions", default=0))
            + (lease is not None),
        }
        sent = self._clock.monotonic()
        try:
            if lease is None:
                meta = {"name": self._ref.name, "namespace": self._ref.namespace}
                body = {"apiVersion": _API, "kind": "Lease", "metadata": meta, "spec": spec}
                self._lease = self._cluster.create(body)
            else:
                self._lease = self._cluster.replace({**lease, "spec": spec})
        except ApiError as error:
            if error.status == 409:
                self._refused = error
                return False
            raise
        except UnreachableError:
            self._lease = self._ours()
            if self._lease is None:
                raise
        self._renewed = sent
        self._holder_died = bool(get_path(lease, "spec", "holderIdentity"))
        return True

    def _renew_loop(self) -> None:
        try:
            while not self._ended.wait(RENEW_S):
                while not self._ended.is_set() and not self._lost:
                    if self._renew():
                        break
                    self._ended.wait(_POLL_S)
        except Exception as mistake:  # noqa: BLE001 - raised again by whoever asks for the lock
            self._mistake = mistake

    def _renew(self) -> bool:
        assert self._lease is not None  # noqa: S101 - acquire() came first
        lease = {**self._lease, "spec": {**self._lease["spec"], "renewTime": self._now()}}
        sent = self._clock.monotonic()
        try:
            self._lease = self._cluster.replace(lease, once=True)  # the loop repeats it, with a new time
        except ApiError as error:
            if error.status in (404, 409):
                return self._reconcile(sent)
            return False
        except PipelineError:  # unreachable, or a retry cut short by a signal: the lock outlives both
            return False
        failpoint.passing(Point.RENEW_MID)
        self._renewed = sent
        return True

    def _reconcile(self, sent: float) -> bool:
        """After a conflict: ours, if our own earlier write won and its reply was lost."""
        try:
            live = self._cluster.get(self._ref, _API)
        except PipelineError:
            return False
        if live is not None and get_path(live, "spec", "holderIdentity") == self._holder():
            self._lease = live
            return False
        self._lost = "the lock was taken by another run" if live else "the lock was deleted"
        return True

    def _locked(self, lease: Object) -> LockedError:
        since = get_path(lease, "spec", "acquireTime", default="an unknown time")
        return LockedError(
            f"{get_path(lease, 'spec', 'holderIdentity')} holds the environment since {since}",
            hint="wait for it with --wait-lock 5m; a lock whose holder died frees itself within "
            f"{DURATION_S} s",
        )

    def _now(self) -> str:
        moment = datetime.fromtimestamp(self._clock.now(), UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _freed(lease: Object) -> Object:
    """The Lease held by nobody; its resourceVersion makes that a precondition."""
    return {**lease, "spec": {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}}


def _version(lease: Object) -> str:
    return str(get_path(lease, "metadata", "resourceVersion", default=""))

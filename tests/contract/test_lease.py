"""The environment's lock: one holder at a time, and a dead one is proven dead before it is followed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.adapters import lease
from pipeline.adapters.clock import SystemClock
from pipeline.adapters.cluster import KubeCluster
from pipeline.adapters.connection import connect
from pipeline.adapters.lease import LeaseLock
from pipeline.model.environment import Environment
from pipeline.model.errors import ApiError, InterruptedRunError, LockedError, UnreachableError
from pipeline.model.objects import Object, ObjectRef
from tests.cluster.local import LocalCluster
from tests.contract.memory_cluster import MemoryCluster

LIMIT_S = 10.0  # for a thread that answers within milliseconds
DEAD = "ana at runner-7 (0badc0de)"


def environment(namespace: str = "shop") -> Environment:
    return Environment(name="dev", application="web", namespace=namespace, path="environments/dev")


def ref(namespace: str = "shop") -> ObjectRef:
    return ObjectRef("coordination.k8s.io", "Lease", namespace, "pipeline.web.dev")


def lease_of(holder: str, namespace: str = "shop", **spec: Any) -> Object:
    moment = "2027-01-15T08:00:00.000000Z"
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "pipeline.web.dev", "namespace": namespace},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": 15,
            "acquireTime": moment,
            "renewTime": moment,
            "leaseTransitions": 3,
            **spec,
        },
    }


@pytest.fixture
def memory() -> MemoryCluster:
    return MemoryCluster()


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """No renewal by itself: the tests below own the time."""
    monkeypatch.setattr(lease, "RENEW_S", 3600.0)


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that lives fast, for tests with real threads: all proportions are kept but the margin."""
    monkeypatch.setattr(lease, "RENEW_S", 0.05)
    monkeypatch.setattr(lease, "_POLL_S", 0.02)


def lock_on(cluster: MemoryCluster, holder: str = "me") -> LeaseLock:
    return LeaseLock(cluster, environment(), lambda: holder, cluster.time)  # type: ignore[arg-type]


def spec_of(cluster: MemoryCluster) -> Any:
    live = cluster.get(ref(), lease._API)
    return live["spec"] if live else None


def until(holds: Any) -> None:
    limit = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.01)


# --- whose it is


@pytest.mark.usefixtures("still")
def test_the_holder_is_written_down_with_times_and_the_number_of_changes(memory: MemoryCluster) -> None:
    memory.put(lease_of(""))

    lock_on(memory).acquire(0)

    spec = spec_of(memory)
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("me", 15, 4)
    assert spec["acquireTime"] == spec["renewTime"] == "2027-01-15T08:00:00.000000Z"


@pytest.mark.usefixtures("still")
def test_who_releases_lets_the_next_in_at_once(memory: MemoryCluster) -> None:
    first, second = lock_on(memory, "first"), lock_on(memory, "second")
    first.acquire(0)
    first.release()

    second.acquire(0)

    assert memory.time.passed == 0
    assert spec_of(memory)["holderIdentity"] == "second"


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize("released", [True, False])
def test_who_takes_the_lock_learns_whether_its_holder_died_with_it(
    memory: MemoryCluster, released: bool
) -> None:
    assert not lock_on(memory, "nobody before").acquire(0)
    memory.put(lease_of("" if released else DEAD))
    assert lock_on(memory, "second").acquire(20) is not released


@pytest.mark.usefixtures("still")
def test_release_is_not_undone_by_a_renewal_in_flight(memory: MemoryCluster) -> None:
    holder = lock_on(memory)
    holder.acquire(0)
    memory.put(memory.get(ref(), lease._API))  # type: ignore[arg-type]

    holder.release()

    assert spec_of(memory)["holderIdentity"] == ""


def test_release_before_acquire_and_twice_is_fine(memory: MemoryCluster) -> None:
    holder = lock_on(memory)
    holder.release()
    holder.acquire(0)
    holder.release()
    holder.release()

    assert [verb for verb, _ in memory.writes] == ["create", "replace"]


@pytest.mark.usefixtures("still")
def test_release_leaves_the_lock_of_another_alone(memory: MemoryCluster) -> None:
    holder = lock_on(memory)
    holder.acquire(0)
    memory.put(lease_of("another"))

    holder.release()

    assert spec_of(memory)["holderIdentity"] == "another"


@pytest.mark.usefixtures("still")
def test_release_never_raises(memory: MemoryCluster) -> None:
    holder = lock_on(memory)
    holder.acquire(0)

    def down(verb: str, name: str) -> None:
        raise UnreachableError("no route")

    memory.fault = down
    holder.release()


# --- a live holder


@pytest.mark.usefixtures("still")
def test_a_holder_that_renews_is_not_robbed_and_the_answer_comes_after_one_renewal(
    memory: MemoryCluster,
) -> None:
    memory.put(lease_of(DEAD))
    memory.time.at = [(5.0, lambda: memory.put(lease_of(DEAD, renewTime="2027-01-15T08:00:05.000000Z")))]

    with pytest.raises(LockedError, match=r"ana at runner-7 .* since 2027-01-15T08:00:00") as refused:
        lock_on(memory).acquire(0)

    assert memory.time.passed <= 6.0
    assert spec_of(memory)["holderIdentity"] == DEAD
    assert "--wait-lock" in refused.value.hint


@pytest.mark.usefixtures("still")
def test_a_lock_of_longer_duration_is_not_waited_for(memory: MemoryCluster) -> None:
    memory.put(lease_of("somebody's own tool", leaseDurationSeconds=3600))

    with pytest.raises(LockedError):
        lock_on(memory).acquire(0)

    assert memory.time.passed <= 1.0


@pytest.mark.usefixtures("still")
def test_who_may_wait_gets_the_lock_when_the_holder_lets_go(memory: MemoryCluster) -> None:
    memory.put(lease_of(DEAD))
    for moment in range(5, 40, 5):
        memory.time.at.append((float(moment), lambda: memory.put(lease_of(DEAD))))
    memory.time.at.append((40.0, lambda: memory.put(lease_of(""))))

    lock_on(memory).acquire(60)

    assert 40 <= memory.time.passed <= 41
    assert spec_of(memory)["holderIdentity"] == "me"


@pytest.mark.usefixtures("still")
def test_who_waited_in_vain_is_told(memory: MemoryCluster) -> None:
    memory.put(lease_of(DEAD))
    for moment in range(5, 100, 5):
        memory.time.at.append((float(moment), lambda: memory.put(lease_of(DEAD))))

    with pytest.raises(LockedError):
        lock_on(memory).acquire(30)

    assert 30 <= memory.time.passed <= 31


@pytest.mark.usefixtures("still")
def test_of_two_that_take_at_the_same_moment_one_wins(memory: MemoryCluster) -> None:
    quick = lock_on(memory, "quick")

    def overtake(verb: str, name: str) -> None:
        memory.fault = lambda verb, name: None
        memory._lock.release()
        quick.acquire(0)
        memory._lock.acquire()
        memory.time.at = [(5.0, lambda: memory.put(lease_of("quick")))]

    memory.fault = overtake
    with pytest.raises(LockedError, match="quick"):
        lock_on(memory, "slow").acquire(0)

    assert spec_of(memory)["holderIdentity"] == "quick"


# --- a dead holder


@pytest.mark.usefixtures("still")
def test_a_holder_that_died_just_now_is_followed_within_lease_and_margin(memory: MemoryCluster) -> None:
    memory.put(lease_of(DEAD))

    lock_on(memory).acquire(0)

    assert 15 <= memory.time.passed <= 20
    assert spec_of(memory)["holderIdentity"] == "me"


@pytest.mark.usefixtures("still")
def test_a_holder_that_died_long_ago_is_followed_at_once(memory: MemoryCluster) -> None:
    memory.put(lease_of(DEAD))
    memory.time.passed = 3600.0

    lock_on(memory).acquire(0)

    assert memory.time.passed == 3600.0


@pytest.mark.usefixtures("still")
def test_what_the_holder_wrote_of_its_own_clock_decides_nothing(memory: MemoryCluster) -> None:
    memory.put(lease_of(DEAD, renewTime="2099-01-01T00:00:00.000000Z"))
    memory.time.passed = 60.0

    lock_on(memory).acquire(0)

    assert memory.time.passed == 60.0


@pytest.mark.parametrize(
    "broken",
    [
        {"spec": {}},
        {"spec": None},
        {"spec": {"holderIdentity": DEAD}},
        {"spec": {"holderIdentity": DEAD, "leaseDurationSeconds": None, "leaseTransitions": None}},
        {"spec": {"holderIdentity": DEAD, "renewTime": "yesterday"}},
    ],
    ids=str,
)
@pytest.mark.usefixtures("still")
def test_a_malformed_lease_is_taken_once_it_is_old(memory: MemoryCluster, broken: Object) -> None:
    memory.put({**lease_of(""), **broken})
    memory.objects["Lease", "shop", "pipeline.web.dev"]["metadata"].pop("managedFields")
    memory.time.passed = 60.0

    holder = lock_on(memory)
    holder.holder()
    holder.acquire(0)

    assert spec_of(memory)["holderIdentity"] == "me"


@pytest.mark.usefixtures("still")
def test_a_lock_without_a_time_is_told_of_in_plain_words(memory: MemoryCluster) -> None:
    memory.put({**lease_of(""), "spec": {"holderIdentity": "by hand", "leaseDurationSeconds": 3600}})

    with pytest.raises(LockedError) as refused:
        lock_on(memory).acquire(0)

    assert "by hand" in refused.value.message
    assert "None" not in refused.value.message


# --- losing it


@pytest.mark.usefixtures("still")
def test_writing_stops_when_the_last_renewal_is_older_than_the_safe_margin(memory: MemoryCluster) -> None:
    holder = lock_on(memory)
    holder.acquire(0)
    memory.time.sleep(lease.SAFE_S)
    holder.check()

    memory.time.sleep(0.1)

    with pytest.raises(InterruptedRunError, match="last renewed 10 s ago"):
        holder.check()


def test_the_margin_leaves_time_for_the_write_in_flight() -> None:
    assert lease.RENEW_S < lease.SAFE_S < lease.DURATION_S


def test_without_ever_acquiring_nothing_may_be_written(memory: MemoryCluster) -> None:
    with pytest.raises(InterruptedRunError):
        lock_on(memory).check()


@pytest.mark.usefixtures("brisk")
def test_renewing_goes_on_by_itself(memory: MemoryCluster) -> None:
    holder = lock_on(memory)
    holder.acquire(0)
    until(lambda: len(memory.writes) > 3)
    memory.time.sleep(60)
    before = len(memory.writes)
    until(lambda: len(memory.writes) > before + 1)

    holder.check()
    holder.release()
    after = len(memory.writes)

    assert spec_of(memory)["holderIdentity"] == ""
    time.sleep(0.2)
    assert len(memory.writes) == after


@pytest.mark.usefixtures("brisk")
def test_a_mistake_of_ours_in_renewing_is_told_by_whoever_asks_and_the_lock_is_given_up(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = lock_on(memory)
    holder.acquire(0)
    with monkeypatch.context() as mistaken:
        mistaken.setattr(holder, "_renew", lambda: 1 // 0)
        until(lambda: not getattr(holder._thread, "is_alive", bool)())
    with pytest.raises(ZeroDivisionError):
        holder.check()
    holder.release()
    assert spec_of(memory)["holderIdentity"] == ""


@pytest.mark.usefixtures("brisk")
@pytest.mark.parametrize("theft", ["deleted", "taken"])
def test_a_lock_that_was_taken_away_is_noticed(memory: MemoryCluster, theft: str) -> None:
    holder = lock_on(memory)
    holder.acquire(0)

    if theft == "taken":
        memory.put(lease_of("another"))
    else:
        memory.delete(ref(), lease._API)

    until(lambda: _lost(holder))
    holder.release()
    if theft == "taken":
        assert spec_of(memory)["holderIdentity"] == "another"
    else:
        assert spec_of(memory) is None


@pytest.mark.usefixtures("brisk")
def test_a_renewal_of_which_the_reply_was_lost_is_no_loss(memory: MemoryCluster) -> None:
    holder = lock_on(memory)
    holder.acquire(0)

    memory.lost = ["replace"] * 3
    until(lambda: not memory.lost)
    before = len(memory.writes)
    until(lambda: len(memory.writes) > before + 2)

    holder.check()
    holder.release()
    assert spec_of(memory)["holderIdentity"] == ""


@pytest.mark.usefixtures("brisk")
@pytest.mark.parametrize(
    "trouble",
    [
        UnreachableError("connection refused"),
        ApiError("replace: overloaded", status=503),
        InterruptedRunError("stopped by a signal"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_outage_shorter_than_the_margin_is_survived(memory: MemoryCluster, trouble: Exception) -> None:
    holder = lock_on(memory)
    holder.acquire(0)
    asked = []

    def down(verb: str, name: str) -> None:
        asked.append(verb)
        raise trouble

    memory.fault = down
    until(lambda: len(asked) > 2)
    memory.fault = lambda verb, name: None
    before = len(memory.writes)
    until(lambda: len(memory.writes) > before)

    holder.check()
    holder.release()


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize("verb", ["create", "replace"])
def test_taking_it_with_the_reply_lost_does_not_lock_ourselves_out(memory: MemoryCluster, verb: str) -> None:
    if verb == "replace":
        memory.put(lease_of(""))
    memory.lost = [verb]
    holder = lock_on(memory)

    holder.acquire(0)

    assert memory.time.passed <= 1.0
    assert spec_of(memory)["holderIdentity"] == "me"
    holder.check()


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize("verb", ["create", "replace"])
def test_a_lock_that_nobody_has_and_that_is_not_to_be_had_is_not_tried_for_ever(
    memory: MemoryCluster, verb: str
) -> None:
    if verb == "replace":
        memory.put(lease_of(""))

    def conflict(asked: str, name: str) -> None:
        if asked == verb:
            raise ApiError(f"{verb} Lease", status=409, reason="Conflict")

    memory.fault = conflict

    with pytest.raises(ApiError, match=f"{verb} Lease"):
        lock_on(memory).acquire(0)
    assert lease.DURATION_S <= memory.time.passed <= lease.DURATION_S + 2


@pytest.mark.usefixtures("still")
def test_what_was_seen_free_is_taken_without_another_look(memory: MemoryCluster) -> None:
    memory.put(lease_of(""))
    holder = lock_on(memory)
    assert holder.holder() is None
    looks = []
    memory.fault = lambda verb, name: looks.append(verb)

    holder.acquire(0)

    assert looks == ["replace"]
    holder.release()


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize(
    "meanwhile", ["nothing", "taken and given back", "deleted and made anew", "not looked"]
)
def test_whether_nobody_had_it_since_it_was_seen(memory: MemoryCluster, meanwhile: str) -> None:
    memory.put(lease_of(""))
    lock = lock_on(memory)
    if meanwhile != "not looked":
        lock.holder()
    if meanwhile == "taken and given back":
        other = lock_on(memory, "other")
        other.acquire(0)
        other.release()
        memory.time.passed += 5
    elif meanwhile == "deleted and made anew":
        memory.delete(ref(), lease._API)
        memory.put(lease_of(""))

    lock.acquire(60)

    assert lock.is_as_seen is (meanwhile == "nothing")


@pytest.mark.usefixtures("still")
def test_a_lock_that_was_not_there_was_not_seen(memory: MemoryCluster) -> None:
    lock = lock_on(memory)
    lock.holder()
    lock.acquire(0)
    assert not lock.is_as_seen


@pytest.mark.usefixtures("still")
def test_what_was_seen_free_and_taken_since_is_not_taken_from_its_holder(memory: MemoryCluster) -> None:
    memory.put(lease_of(""))
    late, quick = lock_on(memory, "late"), lock_on(memory, "quick")
    assert late.holder() is None
    quick.acquire(0)

    late.acquire(0)  # the other one died, and that has to be proven first

    assert memory.time.passed >= lease.DURATION_S
    late.release()


def test_waiting_ends_with_a_signal(memory: MemoryCluster) -> None:
    memory.put(lease_of(DEAD))
    stop = threading.Event()
    stop.set()

    with pytest.raises(InterruptedRunError):
        LeaseLock(memory, environment(), lambda: "me", SystemClock(stop)).acquire(60)  # type: ignore[arg-type]


# --- what others are told


@pytest.mark.usefixtures("still")
def test_status_knows_a_live_holder_and_no_other(memory: MemoryCluster) -> None:
    looker = lock_on(memory, "somebody else")
    assert looker.holder() is None
    memory.put(lease_of(DEAD))
    assert looker.holder() == {
        "holder": DEAD,
        "since": "2027-01-15T08:00:00.000000Z",
        "expires": "2027-01-15T08:00:15+00:00",
    }

    memory.time.passed = 30.0
    assert looker.holder() is None


# --- the same on a real API server


@pytest.fixture
def kube(cluster: LocalCluster) -> Iterator[KubeCluster]:
    kube = KubeCluster(
        connect(kubeconfig=str(cluster.kubeconfig)), sleep=time.sleep, monotonic=time.monotonic
    )
    yield kube
    kube.http.connection.close()


def real_lock(kube: KubeCluster, namespace: str, holder: str) -> LeaseLock:
    return LeaseLock(kube, environment(namespace), lambda: holder, SystemClock(threading.Event()))


@pytest.mark.cluster
@pytest.mark.usefixtures("brisk")
def test_a_real_server_lets_one_in_after_the_other(kube: KubeCluster, namespace: str) -> None:
    first, second = real_lock(kube, namespace, "first"), real_lock(kube, namespace, "second")
    first.acquire(0)
    with pytest.raises(LockedError, match="first"):
        second.acquire(0)
    first.check()
    first.release()

    second.acquire(0)

    assert second.holder() is not None
    second.release()
    assert first.holder() is None


@pytest.mark.cluster
@pytest.mark.usefixtures("still")
def test_a_real_server_proves_a_holder_dead(
    kube: KubeCluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "DURATION_S", 1)
    kube.create(lease_of(DEAD, namespace, leaseDurationSeconds=1))

    holder = real_lock(kube, namespace, "me")
    holder.acquire(0)

    live = kube.get(ref(namespace), lease._API)
    assert live is not None
    assert live["spec"]["holderIdentity"] == "me"
    holder.release()


@pytest.mark.cluster
@pytest.mark.usefixtures("brisk")
def test_a_real_server_shows_that_the_lock_was_taken_away(kube: KubeCluster, namespace: str) -> None:
    holder = real_lock(kube, namespace, "me")
    holder.acquire(0)

    kube.delete(ref(namespace), lease._API)

    until(lambda: _lost(holder))
    holder.release()
    assert kube.get(ref(namespace), lease._API) is None


def _lost(holder: LeaseLock) -> bool:
    try:
        holder.check()
    except InterruptedRunError:
        return True
    return False


# --- released for a holder that is dead


def nobody_says(holder: str) -> str:
    return ""


def test_unlocking_what_nobody_holds_writes_nothing(memory: MemoryCluster) -> None:
    assert lock_on(memory).release_dead(nobody_says) is None
    memory.put(lease_of(""))
    assert lock_on(memory).release_dead(nobody_says) is None
    assert memory.writes == []


def test_a_lock_that_expired_is_released_and_told_of(memory: MemoryCluster) -> None:
    memory.put(lease_of(DEAD))
    memory.time.passed = 60.0

    found = lock_on(memory).release_dead(nobody_says)

    assert found is not None
    assert (found.released, found.why) == (True, "it expired: nobody renewed it in time")
    assert found.lock == {
        "holder": DEAD,
        "since": "2027-01-15T08:00:00.000000Z",
        "expires": "2027-01-15T08:00:15+00:00",
    }
    assert spec_of(memory)["holderIdentity"] == ""


def test_a_holder_that_died_just_now_is_watched_until_its_lock_ends(memory: MemoryCluster) -> None:
    memory.put(lease_of(DEAD))

    found = lock_on(memory).release_dead(nobody_says)

    assert found is not None
    assert found.released
    assert 15.0 < memory.time.passed <= 17.0


def renews(memory: MemoryCluster, every_s: float = 5.0) -> None:
    """A live holder: it writes the Lease, and again ``every_s`` seconds later, and so on."""
    memory.put(lease_of(DEAD))
    memory.time.at.append((memory.time.passed + every_s, lambda: renews(memory, every_s)))


@pytest.mark.parametrize("witness", ["", "its run is completed, says GitHub"])
def test_a_lock_that_is_renewed_is_never_released(memory: MemoryCluster, witness: str) -> None:
    renews(memory)
    memory.time.sleep(4.9)  # it comes as late as it ever does

    found = lock_on(memory).release_dead(lambda holder: witness)

    assert found is not None
    assert (found.released, found.why) == (False, "it was renewed just now")
    assert spec_of(memory)["holderIdentity"] == DEAD
    assert memory.writes == []


def test_a_witness_shortens_the_wait_to_the_first_renewal_that_is_missed(memory: MemoryCluster) -> None:
    memory.put(lease_of(DEAD))
    asked: list[str] = []

    def ended(holder: str) -> str:
        asked.append(holder)
        return "its run is completed, says GitHub"

    found = lock_on(memory).release_dead(ended)

    assert found is not None
    assert (found.released, found.why) == (True, "its run is completed, says GitHub")
    assert asked == [DEAD]
    assert lease.RENEW_S + 2.0 < memory.time.passed < 10.0


def test_a_lock_that_lasts_for_long_needs_a_witness(memory: MemoryCluster) -> None:
    memory.put(lease_of(DEAD, leaseDurationSeconds=3600))

    found = lock_on(memory).release_dead(nobody_says)

    assert found is not None
    assert not found.released
    assert "nothing proves its holder dead" in found.why
    assert memory.time.passed == 0.0
    found = lock_on(memory).release_dead(lambda holder: "says GitHub")
    assert found is not None
    assert found.released


@pytest.mark.parametrize("status", [404, 409])
def test_who_takes_the_lock_meanwhile_keeps_it(memory: MemoryCluster, status: int) -> None:
    memory.put(lease_of(DEAD))
    memory.time.passed = 60.0

    def taken(verb: str, name: str) -> None:
        memory.fault = lambda verb, name: None
        memory.put(lease_of("quick"))
        if status == 404:
            raise ApiError("replace: not found", status=404, reason="NotFound")

    memory.fault = taken

    found = lock_on(memory).release_dead(nobody_says)

    assert found is not None
    assert (found.released, found.lock["holder"]) == (False, "quick")
    assert spec_of(memory)["holderIdentity"] == "quick"


def test_who_may_not_write_the_lease_is_told_so(memory: MemoryCluster) -> None:
    memory.put(lease_of(DEAD))
    memory.time.passed = 60.0

    def refuse(verb: str, name: str) -> None:
        raise ApiError("replace Lease: forbidden", status=403)

    memory.fault = refuse
    with pytest.raises(ApiError, match="forbidden"):
        lock_on(memory).release_dead(nobody_says)


@pytest.mark.cluster
@pytest.mark.usefixtures("still")
def test_a_real_server_releases_a_dead_lock_and_no_other(
    kube: KubeCluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "DURATION_S", 2)
    dead, looker = (real_lock(kube, namespace, name) for name in ("dead", "looker"))
    dead.acquire(0.0)
    found = looker.release_dead(nobody_says)
    assert found is not None
    assert (found.released, found.lock["holder"]) == (True, "dead")
    assert looker.release_dead(nobody_says) is None

    dead.acquire(0.0)
    late = threading.Timer(1.0, dead._renew)
    late.start()
    found = looker.release_dead(nobody_says)
    late.join()
    assert found is not None
    assert not found.released

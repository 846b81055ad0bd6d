"""Releases as Secrets: what was saved is read again, whoever else writes, and whatever gets lost."""

from __future__ import annotations

import base64
import dataclasses
import json
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline import failpoint
from pipeline.adapters import codec
from pipeline.adapters.cluster import KubeCluster
from pipeline.adapters.connection import connect
from pipeline.adapters.records import SECRETS, SecretReleases
from pipeline.failpoint import Point
from pipeline.model.environment import Environment
from pipeline.model.errors import ApiError, InterruptedRunError, PreflightError, UnreachableError
from pipeline.model.objects import Object, ObjectRef
from pipeline.model.release import InventoryEntry, Phase, Release
from tests.cluster.local import LocalCluster
from tests.contract.memory_cluster import MemoryCluster

WEB = ObjectRef("apps", "Deployment", "shop", "web")
SETTINGS = ObjectRef("", "ConfigMap", "shop", "settings")
SEED = 20261123


def environment(namespace: str = "shop", name: str = "dev") -> Environment:
    return Environment(name=name, application="web", namespace=namespace, path="environments/dev")


def release(number: int = 1, phase: Phase = Phase.APPLYING, **more: Any) -> Release:
    values: dict[str, Any] = {
        "application": "web",
        "environment": "dev",
        "number": number,
        "id": f"id-{number}",
        "revision": f"{number:040x}",
        "actor": "Åsa <asa@example.invalid>",
        "started": "2027-01-15T08:00:00+00:00",
        "inventory": (entry(SETTINGS), entry(WEB, generation=3)),
        "before": ((SETTINGS, {"apiVersion": "v1", "kind": "ConfigMap", "data": {"ä": "ö\n"}}), (WEB, None)),
        "rendered": ({"apiVersion": "v1", "kind": "ConfigMap", "data": {"n": 1.5, "on": True}},),
        "plan": {"digest": "sha256:0", "changes": [{"object": str(WEB), "wave": 2}]},
        "causes": (["/Pod//a", "CrashLoop", "it ended", ["log: no"], "web.yaml:3", "see"],),
        "checks": (["home", "fail", "500"],),
    }
    return Release(**{**values, "phase": phase, **more})


def entry(ref: ObjectRef, **more: Any) -> InventoryEntry:
    values: dict[str, Any] = {
        "api_version": "v1",
        "uid": f"uid of {ref.name}",
        "generation": 0,
        "resource_version": "7",
        "content": "sha256:1",
        "origin": "environments/dev/web.yaml:1",
    }
    return InventoryEntry(ref=ref, **{**values, **more})


def incompressible(size: int) -> tuple[tuple[ObjectRef, Object | None], ...]:
    """A state before of about ``size`` bytes that no compression makes smaller."""
    noise = base64.b64encode(random.Random(SEED).randbytes(size * 3 // 4)).decode()
    return ((SETTINGS, {"apiVersion": "v1", "kind": "ConfigMap", "data": {"noise": noise}}),)


@dataclasses.dataclass
class Place:
    """Where records are kept, and the namespace for them."""

    cluster: Any
    namespace: str

    def releases(self, name: str = "dev") -> SecretReleases:
        """As a new process would open them."""
        return SecretReleases(self.cluster, environment(self.namespace, name))

    def names(self) -> set[str]:
        found, _ = self.cluster.list(SECRETS, self.namespace)
        return {o["metadata"]["name"] for o in found if o["metadata"]["name"].startswith("pipeline.")}

    def secret(self, name: str) -> Object:
        found: Object | None = self.cluster.get(ObjectRef("", "Secret", self.namespace, name), "v1")
        assert found is not None
        return found

    def delete(self, name: str) -> None:
        self.cluster.delete(ObjectRef("", "Secret", self.namespace, name), "v1")

    def edit_head(self, number: int, **values: Any) -> None:
        """Change what the head says."""
        head = self.secret(f"pipeline.web.dev.{number}")
        document = json.loads(base64.b64decode(head["data"]["head"])) | values
        head["data"]["head"] = base64.b64encode(json.dumps(document).encode()).decode()
        self.cluster.replace(head)


@pytest.fixture
def memory() -> Place:
    return Place(MemoryCluster(), "shop")


@pytest.fixture(params=["in memory", pytest.param("on a real server", marks=pytest.mark.cluster)])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Both must behave alike, or the tests with faults in memory prove nothing."""
    if request.param == "in memory":
        yield Place(MemoryCluster(), "shop")
        return
    local: LocalCluster = request.getfixturevalue("cluster")
    namespace: str = request.getfixturevalue("namespace")
    kube = KubeCluster(connect(kubeconfig=str(local.kubeconfig)), sleep=time.sleep, monotonic=time.monotonic)
    yield Place(kube, namespace)
    kube.http.connection.close()


# --- saved and read


def test_what_was_saved_is_read_by_another_process(place: Place) -> None:
    place.releases().save(release())

    assert place.releases().latest() == release()
    assert place.releases().get(1) == release()


def test_what_was_read_ahead_is_not_what_is_there_now(place: Place) -> None:
    """Who waited for the lock asks anew, and may go on from what it finds."""
    place.releases().save(release())
    looking, waiting = place.releases(), place.releases()
    for releases in (looking, waiting):
        releases.read_ahead()
        assert [r.phase for r in releases.history()] == [Phase.APPLYING]
    another = place.releases()
    another.latest()
    another.save(release(phase=Phase.SUCCEEDED))

    assert looking.latest() == release()
    found = waiting.latest(anew=True)
    assert found == release(phase=Phase.SUCCEEDED)
    assert [r.phase for r in waiting.history()] == [Phase.SUCCEEDED]
    waiting.save(release(phase=Phase.SUCCEEDED, actor="waited"))
    assert place.releases().latest() == release(phase=Phase.SUCCEEDED, actor="waited")


def test_where_nothing_was_saved_nothing_is_found(place: Place) -> None:
    releases = place.releases()

    assert (releases.latest(), releases.last_verified(), releases.get(1), releases.history()) == (
        None,
        None,
        None,
        (),
    )


def test_records_say_to_people_what_they_are(place: Place) -> None:
    place.releases().save(release())

    head = place.secret("pipeline.web.dev.1")
    labels = head["metadata"]["labels"]
    assert head["type"] == "pipeline/release.v1"
    assert labels["pipeline/application"] == "web"
    assert labels["pipeline/environment"] == "dev"
    assert labels["pipeline/phase"] == "APPLYING"


def test_each_step_of_a_release_replaces_the_one_before(place: Place) -> None:
    releases = place.releases()
    for phase in (Phase.APPLYING, Phase.VERIFYING):
        releases.save(release(phase=phase))
    done = release(
        phase=Phase.SUCCEEDED, charts=("web",), inventory=(entry(WEB, uid="new"),), seconds=4.5, result="ok"
    )

    releases.save(done)

    assert place.releases().latest() == done
    assert place.releases().history()[0].phase is Phase.SUCCEEDED
    assert len(place.releases().history()) == 1
    assert place.secret("pipeline.web.dev.1")["metadata"]["labels"]["pipeline/phase"] == "SUCCEEDED"


def test_verdicts_are_stored_once_there_are_some(place: Place) -> None:
    releases = place.releases()
    releases.save(release())
    without = place.names()
    done = release(phase=Phase.SUCCEEDED, verdicts={"warnings": ["ä"], "timings": {"plan": 0.4}})
    releases.save(done)

    (shard,) = place.names() - without
    assert ".verdicts." in shard
    assert place.releases().latest() == done
    assert place.releases().history()[0].verdicts is None


def test_an_unchanged_part_is_written_once(memory: Place) -> None:
    releases = memory.releases()
    releases.save(release())
    releases.save(release(phase=Phase.VERIFYING))

    assert [name for _, name in memory.cluster.writes].count("pipeline.web.dev.1") == 2
    assert len(memory.cluster.writes) == 4


def test_a_large_release_is_cut_into_shards_that_the_server_takes(place: Place) -> None:
    large = release(before=incompressible(2_500_000))

    place.releases().save(large)

    shards = place.names() - {"pipeline.web.dev.1"}
    assert len(shards) > 3
    assert place.releases().latest() == large


def test_a_part_that_grew_or_shrank_leaves_no_shard_behind(place: Place) -> None:
    releases = place.releases()
    releases.save(release())
    few = place.names()
    releases.save(release(before=incompressible(1_600_000)))
    many = place.names()
    releases.save(release(before=()))

    assert len(many) > len(few) == len(place.names())
    assert place.releases().latest() == release(before=())


def test_history_is_newest_first_by_number_not_by_name(place: Place) -> None:
    releases = place.releases()
    for number in (2, 10, 9, 1):
        releases.save(release(number, Phase.SUCCEEDED))

    assert [r.number for r in place.releases().history()] == [10, 9, 2, 1]
    latest = place.releases().latest()
    assert latest is not None
    assert latest.number == 10


def test_history_reads_heads_alone(memory: Place) -> None:
    memory.releases().save(release(before=incompressible(100_000)))

    (found,) = memory.releases().history()

    assert (found.id, found.actor, found.before, found.inventory) == (
        "id-1",
        "Åsa <asa@example.invalid>",
        (),
        (),
    )


def test_the_last_verified_release_is_the_newest_that_succeeded(place: Place) -> None:
    releases = place.releases()
    phases = [Phase.SUCCEEDED, Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.FAILED, Phase.INTERRUPTED]
    for number, phase in enumerate(phases, 1):
        releases.save(release(number, phase))

    assert place.releases().last_verified() == release(2, Phase.SUCCEEDED)


def test_environments_in_one_namespace_do_not_see_each_other(place: Place) -> None:
    place.releases("dev").save(release())
    place.releases("other").save(release(environment="other"))

    assert [r.environment for r in place.releases("other").history()] == ["other"]
    assert [r.environment for r in place.releases("dev").history()] == ["dev"]


# --- trimming


def test_the_ten_newest_and_the_last_verified_are_kept_and_shards_go_with_their_head(place: Place) -> None:
    releases = place.releases()
    for number in range(1, 15):
        phase = Phase.SUCCEEDED if number <= 2 else Phase.ROLLED_BACK
        large = number == 3 and {"before": incompressible(800_000)}
        releases.save(release(number, phase, **(large or {})))

    place.releases().trim()

    kept = [14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 2]
    assert [r.number for r in place.releases().history()] == kept
    assert {int(name.split(".")[3]) for name in place.names()} == set(kept)
    assert place.releases().last_verified() == release(2, Phase.SUCCEEDED)


def test_what_a_trim_deletes_it_names_by_uid(memory: Place) -> None:
    """Only such a deletion is repeated where its answer is lost: else one lost answer ended the trim."""
    for number in range(1, 13):
        memory.releases().save(release(number, Phase.SUCCEEDED))
    memory.cluster.deleted.clear()
    uids = {name: memory.secret(name)["metadata"]["uid"] for name in memory.names()}

    memory.releases().trim()

    deleted = dict(memory.cluster.deleted)
    assert {name for name in deleted if name.endswith((".dev.1", ".dev.2"))}
    assert deleted == {name: uids[name] for name in deleted}
    assert {name.split(".")[3] for name in deleted} == {"1", "2"}


def test_a_copy_that_somebody_made_of_a_record_is_not_trimmed(memory: Place) -> None:
    for number in range(1, 12):
        memory.releases().save(release(number, Phase.SUCCEEDED))
    head = memory.secret("pipeline.web.dev.1")
    memory.cluster.put({**head, "metadata": {**head["metadata"], "name": "backup", "uid": "another"}})

    memory.releases().trim()

    assert memory.secret("backup")
    assert "pipeline.web.dev.1" not in memory.names()


def test_a_trim_that_was_interrupted_is_finished_by_the_next(memory: Place) -> None:
    releases = memory.releases()
    for number in range(1, 13):
        releases.save(release(number, Phase.SUCCEEDED))
    deleted: list[str] = []

    def dies(verb: str, name: str) -> None:
        if verb == "delete" and len(deleted) == 1:
            raise UnreachableError("gone")
        deleted.append(name)

    memory.cluster.fault = dies
    with pytest.raises(UnreachableError):
        memory.releases().trim()
    memory.cluster.fault = lambda verb, name: None

    memory.releases().trim()

    assert {int(name.split(".")[3]) for name in memory.names()} == set(range(3, 13))


def test_what_a_run_died_over_is_swept_and_nothing_else(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.releases().save(release(1, Phase.SUCCEEDED))
    place.releases("prod").save(release(7, Phase.SUCCEEDED, environment="prod"))
    whole = set(place.names())

    def dies(point: Point) -> None:
        if point is Point.RECORD_MID:
            raise KeyboardInterrupt

    dying = place.releases()
    monkeypatch.setattr(failpoint, "passing", dies)
    with pytest.raises(KeyboardInterrupt):
        dying.save(release(2, Phase.APPLYING))
    assert set(place.names()) > whole, "no part was left"

    place.releases().sweep()

    assert set(place.names()) == whole
    assert place.releases().latest() == release(1, Phase.SUCCEEDED)


# --- others who write, replies that get lost


def test_a_run_that_lost_its_lock_cannot_overwrite_its_successor(place: Place) -> None:
    first = place.releases()
    first.save(release())
    second = place.releases()
    taken = second.get(1)
    assert taken is not None
    second.save(dataclasses.replace(taken, phase=Phase.ROLLED_BACK))

    with pytest.raises(InterruptedRunError, match="another run has written it"):
        first.save(release(phase=Phase.SUCCEEDED))

    assert place.releases().history()[0].phase is Phase.ROLLED_BACK


def test_two_runs_cannot_begin_the_same_release(place: Place) -> None:
    place.releases().save(release(actor="quick"))

    with pytest.raises(InterruptedRunError):
        place.releases().save(release(actor="slow", before=(), inventory=()))

    assert place.releases().latest() == release(actor="quick")


@pytest.mark.parametrize("verb", ["create", "replace"])
def test_a_record_of_which_the_reply_was_lost_is_still_ours(memory: Place, verb: str) -> None:
    releases = memory.releases()
    if verb == "replace":
        releases.save(release())
    lost = release(phase=Phase.VERIFYING)
    answered: list[str] = []

    def only_heads(asked: str, name: str) -> None:
        if asked == verb and name == "pipeline.web.dev.1" and not answered:
            memory.cluster.lost = [verb]
            answered.append(name)

    memory.cluster.fault = only_heads
    releases.save(lost)
    memory.cluster.fault = lambda asked, name: None

    releases.save(release(phase=Phase.SUCCEEDED))
    assert memory.releases().latest() == release(phase=Phase.SUCCEEDED)


def test_a_shard_of_which_the_reply_was_lost_is_written_again(memory: Place) -> None:
    memory.cluster.lost = ["create"]
    releases = memory.releases()

    releases.save(release())

    assert memory.releases().latest() == release()


def test_what_was_half_written_when_a_run_died_is_no_release(memory: Place) -> None:
    def dies_at_the_head(verb: str, name: str) -> None:
        if name == "pipeline.web.dev.1":
            raise UnreachableError("killed")

    memory.cluster.fault = dies_at_the_head
    with pytest.raises(UnreachableError):
        memory.releases().save(release(before=incompressible(1_600_000)))
    memory.cluster.fault = lambda verb, name: None

    assert memory.releases().latest() is None
    memory.releases().save(release(actor="next"))
    assert memory.releases().latest() == release(actor="next")


@pytest.mark.parametrize("survived", range(4))
def test_a_run_that_dies_while_it_rewrites_a_part_leaves_the_old_record_whole(
    memory: Place, survived: int
) -> None:
    """The part has several shards before and after: never may a half of each be read."""
    first = release(before=incompressible(1_500_000))
    releases = memory.releases()
    releases.save(first)
    written: list[str] = []

    def dies(verb: str, name: str) -> None:
        if len(written) == survived:
            raise UnreachableError("killed")
        written.append(name)

    memory.cluster.fault = dies
    noise = incompressible(2_000_000)[0][1]
    with pytest.raises(UnreachableError):
        releases.save(release(phase=Phase.VERIFYING, before=((WEB, noise),)))

    assert memory.releases().latest() == first


@pytest.mark.parametrize("status", [403, 413, 503])
def test_a_refused_record_is_told_as_it_is(memory: Place, status: int) -> None:
    def refuse(verb: str, name: str) -> None:
        raise ApiError("create Secret: no", status=status)

    memory.cluster.fault = refuse

    with pytest.raises(ApiError) as refused:
        memory.releases().save(release())

    assert refused.value.status == status


# --- records that cannot be read


def test_a_record_of_a_newer_version_is_refused_never_guessed_at(place: Place) -> None:
    place.releases().save(release())
    place.edit_head(1, schema=codec.SCHEMA + 1)

    with pytest.raises(PreflightError, match=r"pipeline\.web\.dev\.1: record format 3.* up to 2") as refused:
        place.releases().latest()

    assert "newer pipeline" in refused.value.hint


def test_a_field_that_a_later_version_added_is_passed_over(memory: Place) -> None:
    memory.releases().save(release())
    memory.edit_head(1, mood="good")

    assert memory.releases().latest() == release()


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"head": "!"},
        {"head": base64.b64encode(b"{").decode()},
        {"head": base64.b64encode(b"[]").decode()},
        {"head": base64.b64encode(b"{}").decode()},
        {"head": base64.b64encode(b'{"schema": "1", "shards": {}}').decode()},
        {"head": base64.b64encode(b'{"schema": 1, "shards": {}, "phase": "LOST"}').decode()},
    ],
    ids=str,
)
def test_a_damaged_head_is_named(memory: Place, data: Object) -> None:
    memory.releases().save(release())
    memory.cluster.put({**memory.secret("pipeline.web.dev.1"), "data": data})

    with pytest.raises(PreflightError, match=r"pipeline\.web\.dev\.1: it is damaged") as refused:
        memory.releases().latest()

    assert "delete that Secret" in refused.value.hint


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"shard": "!"},
        {"shard": ""},
        {"shard": base64.b64encode(b"no gzip").decode()},
        {"shard": codec.pack({"before": []})[0]},
        {"shard": codec.pack([{"ref": "x"}])[0]},
        {"shard": codec.pack({"before": [["a"]], "rendered": [], "plan": None})[0]},
    ],
    ids=str,
)
def test_a_damaged_shard_is_named(memory: Place, data: Object) -> None:
    memory.releases().save(release())
    (shard,) = [name for name in memory.names() if ".intent." in name]
    memory.cluster.put({**memory.secret(shard), "data": data})

    with pytest.raises(PreflightError, match=r"pipeline\.web\.dev\.1"):
        memory.releases().latest()


def test_a_cut_shard_is_named(memory: Place) -> None:
    memory.releases().save(release(before=incompressible(1_500_000)))
    shard = sorted(name for name in memory.names() if ".intent." in name)[1]
    secret = memory.secret(shard)
    memory.cluster.put({**secret, "data": {"shard": secret["data"]["shard"][:4000]}})

    with pytest.raises(PreflightError, match="damaged"):
        memory.releases().latest()


def test_a_missing_shard_is_named(place: Place) -> None:
    place.releases().save(release())
    (shard,) = [name for name in place.names() if ".intent." in name]
    place.delete(shard)

    with pytest.raises(PreflightError) as refused:
        place.releases().latest()

    assert shard in refused.value.message
    assert "delete the head Secret" in refused.value.hint


def test_a_foreign_secret_with_our_labels_is_told_not_stumbled_over(memory: Place) -> None:
    memory.releases().save(release())
    head = memory.secret("pipeline.web.dev.1")
    memory.cluster.put({**head, "metadata": {**head["metadata"], "name": "copy-of-it"}})

    assert memory.releases().latest() == release()

"""What records cost: five thousand objects in one, two hundred releases in a row; older and newer ones."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from pipeline.adapters import codec
from pipeline.adapters.records import SECRETS
from pipeline.model.errors import PreflightError
from pipeline.model.objects import Object, ObjectRef
from pipeline.model.release import Phase, Release
from tests.contract.test_records import Place, entry, release
from tests.contract.test_records import memory as memory
from tests.contract.test_records import place as place

OBJECTS = 5_000
RELEASES = 200
SECRET_BYTES = 1024 * 1024  # apiserver: MaxSecretSize, of the data before base64
IN_A_ROW = 12  # more than are kept


def deployment(number: int) -> Object:
    """A live one, with what makes each unlike the others: names, uids, versions."""
    words = [hashlib.sha256(f"{number} {n}".encode()).hexdigest() for n in range(4)]
    word = words[0][:8]
    env = [{"name": f"HASH_{n}", "value": value} for n, value in enumerate(words)]
    container = {"name": "main", "image": f"registry.example.com/shop/web:1.{number}", "env": env}
    meta = {"name": f"web-{number}", "namespace": "shop", "uid": f"{word}-0000-4000-8000-{word}0000"}
    spec = {"replicas": number % 7, "template": {"spec": {"containers": [container]}}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def of_many(count: int, **more: Any) -> Release:
    objects = [deployment(number) for number in range(count)]
    refs = [ObjectRef.of(obj) for obj in objects]
    changes = [{"object": str(ref), "wave": 1, "action": "update"} for ref in refs]
    return release(
        phase=Phase.SUCCEEDED,
        before=tuple(zip(refs, objects, strict=True)),
        rendered=tuple(objects),
        inventory=tuple(
            entry(ref, uid=obj["metadata"]["uid"]) for ref, obj in zip(refs, objects, strict=True)
        ),
        plan={"digest": "sha256:0", "changes": changes},
        verdicts={"applied": [[str(ref), "applied", 0.02, ""] for ref in refs]},
        **more,
    )


def secrets(place: Place) -> list[Object]:
    found, _ = place.cluster.list(SECRETS, place.namespace)
    return [secret for secret in found if secret["metadata"]["name"].startswith("pipeline.")]


def data_bytes(secret: Object) -> int:
    return sum(len(base64.b64decode(value)) for value in secret["data"].values())


def test_a_release_of_five_thousand_objects_is_stored_and_read(place: Place) -> None:
    large = of_many(OBJECTS)

    place.releases().save(large)

    assert place.releases().latest() == large
    (head,) = place.releases().history()
    assert (head.number, head.before, head.rendered, head.inventory) == (1, (), (), ())
    sizes = [data_bytes(secret) for secret in secrets(place)]
    assert len(sizes) > 4  # head and three parts, one of them in shards
    assert max(sizes) < SECRET_BYTES


def deploy(place: Place, number: int, phase: Phase) -> None:
    """As a run records it, in a process of its own."""
    releases = place.releases()
    state = {"before": of_many(20).before, "rendered": of_many(20).rendered, "verdicts": None}
    begun = replace(release(number, Phase.APPLYING), started=f"{number:06}", **state)
    releases.save(begun)
    releases.save(replace(begun, phase=Phase.VERIFYING))
    done = of_many(20)
    ended = replace(begun, phase=phase, inventory=done.inventory, verdicts=done.verdicts)
    releases.save(ended)
    if phase is Phase.SUCCEEDED:
        releases.trim()


def kept(place: Place) -> tuple[Counter[str], int]:
    """How many Secrets of which kind are there, and how many bytes they hold."""
    parts = Counter("".join(s["metadata"]["name"].split(".")[4:5]) for s in secrets(place))
    return parts, sum(map(data_bytes, secrets(place)))


def test_two_hundred_releases_in_a_row_leave_as_much_as_twelve(place: Place) -> None:
    for number in range(1, IN_A_ROW + 1):
        deploy(place, number, Phase.SUCCEEDED)
    parts, size = kept(place)
    for number in range(IN_A_ROW + 1, RELEASES + 1):
        deploy(place, number, Phase.SUCCEEDED)
        assert kept(place)[0] == parts
    assert sum(parts.values()) == 10 * 4
    assert kept(place)[1] == pytest.approx(size, rel=0.01)  # numbers have more digits
    assert [r.number for r in place.releases().history()] == list(range(RELEASES, RELEASES - 10, -1))


def test_however_many_fail_after_it_the_last_verified_release_stays_whole(memory: Place) -> None:
    deploy(memory, 1, Phase.SUCCEEDED)
    verified = memory.releases().latest()
    for number in range(2, 60):
        deploy(memory, number, Phase.ROLLED_BACK)
        memory.releases().trim()

    assert memory.releases().last_verified() == verified
    assert len(memory.releases().history()) == 11


# --- records of other versions


def test_a_newer_record_is_refused_with_one_line_and_nothing_is_written(memory: Place) -> None:
    memory.releases().save(release())
    memory.edit_head(1, schema=codec.SCHEMA + 1, shards="in a form that nobody knows")
    before = list(memory.cluster.writes)

    for read in (memory.releases().latest, memory.releases().history, memory.releases().last_verified):
        with pytest.raises(PreflightError) as refused:
            read()
        assert refused.value.message.count("\n") == 0
        assert refused.value.hint == "use a newer pipeline"
    assert memory.cluster.writes == before


def as_version_1(place: Place, number: int) -> None:
    """The record as the first version of the format had it: without verdicts."""
    head = place.secret(f"pipeline.web.dev.{number}")
    document = json.loads(base64.b64decode(head["data"]["head"]))
    assert document["schema"] == codec.SCHEMA
    del document["shards"]["verdicts"]
    head["data"]["head"] = base64.b64encode(json.dumps({**document, "schema": 1}).encode()).decode()
    place.cluster.replace(head)


def schema_of(place: Place, number: int) -> int:
    head = place.secret(f"pipeline.web.dev.{number}")
    return int(json.loads(base64.b64decode(head["data"]["head"]))["schema"])


def test_a_record_of_the_version_before_is_read_and_becomes_new_when_it_is_written(place: Place) -> None:
    place.releases().save(release())
    as_version_1(place, 1)

    releases = place.releases()
    found = releases.latest()
    assert found == release()
    assert [r.number for r in place.releases().history()] == [1]
    assert schema_of(place, 1) == 1  # reading writes nothing

    assert found is not None
    ended = replace(found, phase=Phase.INTERRUPTED, verdicts={"warnings": []})
    releases.save(ended)
    assert schema_of(place, 1) == codec.SCHEMA
    assert place.releases().latest() == ended


def test_every_older_version_has_a_way_to_the_next() -> None:
    assert set(codec.MIGRATIONS) == set(range(1, codec.SCHEMA))


def test_a_record_of_a_version_that_never_was_is_damaged(memory: Place) -> None:
    memory.releases().save(release())
    memory.edit_head(1, schema=0)
    with pytest.raises(PreflightError, match="damaged"):
        memory.releases().latest()

"""The checker finds each kind of violation in evidence that holds it, and none in evidence that does not."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fault.checker import Evidence, Run, violations
from tests.fault.witness import AuditLog, Request

HEAD = "pipeline.shop.dev.1"
LEASE = "pipeline.shop.dev"


def request(at: float, verb: str, what: str, role: str = "first", **more: Any) -> Request:
    resource, _, name = what.partition("/")
    values = {"code": 200, "body": {}, "done": at + 0.1, "namespace": "demo"} | more
    return Request(role=role, verb=verb, resource=resource, name=name, received=at, **values)


def lease(at: float, holder: str, role: str = "first") -> Request:
    return request(at, "update", f"leases/{LEASE}", role, body={"spec": {"holderIdentity": holder}})


def config(version: str = "2", name: str = "settings") -> dict[str, Any]:
    metadata = {"name": name, "labels": {"pipeline/application": "shop"}}
    return {"kind": "ConfigMap", "metadata": metadata, "data": {"version": version}}


def records(owned: tuple[str, ...] = ("settings",), phase: str = "SUCCEEDED") -> list[dict[str, Any]]:
    entries = [{"ref": f"/ConfigMap/demo/{name}"} for name in owned]
    shard = base64.b64encode(gzip.compress(json.dumps(entries).encode())).decode()
    head = base64.b64encode(
        json.dumps({"shards": {"inventory": [f"{HEAD}.inventory.x.0"]}}).encode()
    ).decode()
    labels = {"pipeline/release": "1", "pipeline/phase": phase}
    return [
        {"metadata": {"name": HEAD, "labels": labels}, "data": {"head": head}},
        {
            "metadata": {"name": f"{HEAD}.inventory.x.0", "labels": {"pipeline/release": "1"}},
            "data": {"shard": shard},
        },
    ]


def run(role: str = "first", code: int = 0, **more: Any) -> Run:
    return Run(
        role=role, code=code, **({"output": "", "started": 0.0, "ended": 9.0, "live": [config()]} | more)
    )


GOOD = (
    lease(1.0, "one"),
    request(2.0, "create", f"secrets/{HEAD}"),
    request(3.0, "patch", "configmaps/settings"),
    request(4.0, "delete", "configmaps/old", body={"preconditions": {"uid": "u"}}),
    lease(5.0, ""),
)


def evidence(**more: Any) -> Evidence:
    values: dict[str, Any] = {
        "application": "shop",
        "runs": [run()],
        "writes": GOOD,
        "leases": [],
        "live": [config()],
        "records": records(),
        "lease": None,
        "old": [config("1")],
        "new": [config("2")],
        "leads_to": {("first", 0): "new", ("first", 10): "old"},
        "must_end": {"first": frozenset({0})},
        "others_before": {"ConfigMap/theirs": "u 1"},
        "others_after": {"ConfigMap/theirs": "u 1"},
        "canaries": ["canary"],
        "now": 100.0,
    }
    return Evidence(**(values | more))


def test_a_run_that_kept_everything_has_no_violation() -> None:
    assert violations(evidence()) == []


TAKEN = lease(2.5, "two", "next")
HELD = {
    "spec": {"holderIdentity": "one", "renewTime": "1970-01-01T00:01:30+00:00", "leaseDurationSeconds": 15}
}
OPEN = [*records(phase="APPLYING"), *json.loads(json.dumps(records()).replace("dev.1", "dev.2"))]
OPEN[2]["metadata"]["labels"]["pipeline/release"] = "2"

AFTERWARDS = request(6.0, "patch", "configmaps/a")
UNMINDED = request(4.0, "delete", "configmaps/a")
STARTING = {"kind": "Deployment", "metadata": {"name": "web", "generation": 2}, "spec": {}}

BROKEN: Mapping[str, tuple[dict[str, Any], str]] = {
    "a write after the lock was taken over": ({"writes": (*GOOD[:2], TAKEN, *GOOD[2:3])}, "I4 first sent"),
    "a write after the lock was given up": ({"writes": (*GOOD, AFTERWARDS)}, "nobody"),
    "a lock that was taken back": (
        {"writes": (*GOOD[:2], TAKEN, lease(3.0, "one")), "live": [], "runs": []},
        "took the lock back",
    ),
    "a lock that is taken from a live holder": (
        {"writes": (*GOOD[:2], lease(15.0, "two", "next")), "live": [], "runs": []},
        "14.0 s after first had renewed it",
    ),
    "a lock that is taken a moment too early": (
        {"writes": (*GOOD[:2], lease(15.99, "two", "next")), "live": [], "runs": []},
        "15.0 s after first had renewed it",
    ),
    "a lock that is not given up": ({"writes": GOOD[:-1]}, "did not give the lock up"),
    "a lock that is kept by a run with a mistake of ours": (
        {"writes": (*GOOD[:3], lease(19.0, "two", "next")), "runs": [run(code=70)], "must_end": {}},
        "first ended with 70 and did not give the lock up",
    ),
    "a deletion of whatever is there": ({"writes": (*GOOD[:3], UNMINDED)}, "I10"),
    "another state than the code says": ({"runs": [run(live=[config("1")])]}, "I1"),
    "an object too many": ({"runs": [run(live=[config(), config("2", "more")])]}, "more is there"),
    "an object too few": ({"runs": [run(live=[])]}, "settings is missing"),
    "a workload that is not up": (
        {
            "runs": [run(live=[STARTING])],
            "new": [{"kind": "Deployment", "metadata": {"name": "web"}}],
        },
        "web is not up",
    ),
    "a code that must not be": ({"runs": [run(code=30)]}, "I6 first ended with 30"),
    "a code that promises that nothing was written": (
        {"runs": [run(code=21)], "must_end": {}},
        "I6 first ended with 21, though it wrote configmaps/settings",
    ),
    "a traceback": ({"runs": [run(output="Traceback (most recent call last):")]}, "traceback"),
    "a run that took for ever": ({"runs": [run(ended=99.0)]}, "I5"),
    "where it stood": (
        {"runs": [run(ended=99.0, stacks="Thread 1:\n  File a")]},
        "99 s; it stood at\n        Thread",
    ),
    "an object of others that was touched": ({"others_after": {"ConfigMap/theirs": "u 2"}}, "I2"),
    "a secret": ({"runs": [run(output="it is canary")]}, "I7"),
    "a secret as a Secret holds it": (
        {"runs": [run(output=base64.b64encode(b"canary").decode())]},
        "I7",
    ),
    "a write of who had nothing to do": (
        {"writes": (*GOOD, request(6.0, "patch", "configmaps/settings", "last"))},
        "I8",
    ),
    "an object that no inventory knows": ({"records": records(())}, "I3 ConfigMap/settings"),
    "a record that lacks a part": ({"records": records()[:1]}, "the newest record lacks"),
    "too many releases": (
        {"records": [{**r, "metadata": {**r["metadata"], "name": f"pipeline.shop.dev.{n}"}}
                     for n in range(1, 14) for r in records()[:1]] + records()[1:]},
        "13 releases",
    ),
    "a part without its head": ({"records": [*records(), {
        "metadata": {"name": "pipeline.shop.dev.7.intent.x.0", "labels": {}}, "data": {}}]}, "belongs to no"),
    "an open release in the middle": ({"records": OPEN}, "is still APPLYING"),
    "a lock that is still held": ({"lease": HELD}, "still held"),
    "a next run that waited too long": (
        {
            "leases": [
                lease(1.0, "one"),
                request(2.0, "get", f"leases/{LEASE}", "next"),
                lease(30.0, "two", "next"),
            ]
        },
        "only after 28.1 s",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_each_violation_is_found(name: str) -> None:
    broken, says = BROKEN[name]
    found = violations(evidence(**broken))
    assert any(says in line for line in found), found


def test_a_write_before_its_intent_is_durable_is_found() -> None:
    late = replace(GOOD[1], done=3.5)
    assert violations(evidence(writes=(GOOD[0], late, *GOOD[2:]))) == [
        "I3 first wrote configmaps/settings before its intent was durable"
    ]


def test_a_renewal_that_a_busy_server_was_slow_about_makes_no_lock_last_longer() -> None:
    slow = replace(GOOD[0], done=1.9)
    taken = evidence(writes=(slow, GOOD[1], lease(16.0, "two", "next")), live=[], runs=[])
    assert [line for line in violations(taken) if "had renewed" in line] == []


def test_a_dead_holder_whose_time_is_over_is_no_holder() -> None:
    assert violations(evidence(lease=HELD, now=106.0)) == []


def version(write: Request, replaced: int) -> Request:
    return replace(write, body={**write.body, "metadata": {"resourceVersion": str(replaced)}})


def test_a_lock_was_given_up_though_the_renewal_before_that_is_told_to_end_later() -> None:
    renewed, given_up = version(lease(4.5, "one"), 11), version(GOOD[-1], 12)
    late = replace(renewed, done=5.5)
    assert violations(evidence(writes=(*GOOD[:-1], late, given_up))) == []
    assert violations(evidence(writes=(*GOOD[:-1], version(late, 12), version(given_up, 11)))) == [
        "I9 first ended with 0 and did not give the lock up"
    ]


def test_an_audit_log_that_was_begun_anew_is_no_evidence(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    event = {"verb": "get", "requestURI": "/apis", "objectRef": {"resource": "pods"}}
    (tmp_path / "audit.log").write_text(json.dumps(event) + "\n")
    assert log.requests({""}, 0) == []

    (tmp_path / "audit.log").write_text("")

    with pytest.raises(RuntimeError, match="begun anew"):
        log.requests({""}, 0)

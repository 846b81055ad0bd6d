"""The way back: what was created goes in the order in which objects are pruned."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pipeline.core.delete_order import still_there
from pipeline.core.rollback import Before, plan_back
from pipeline.model.environment import Environment
from pipeline.model.errors import ApiError
from pipeline.model.events import Event, Note
from pipeline.model.objects import Object, ObjectRef, Origin, ResourceType
from pipeline.model.plan import Action, Plan
from pipeline.model.release import InventoryEntry, Release
from pipeline.run.rollback import RolledBack, roll_back
from pipeline.run.session import Session
from tests.contract.memory_cluster import MemoryCluster

ENV = Environment(name="dev", application="web", namespace="demo", path="e.yaml")
RULE, GROUP = "kapp.k14s.io/change-rule", "kapp.k14s.io/change-group"


LABELS = {"pipeline/application": "web", "pipeline/environment": "dev"}


def config_map(name: str, annotations: dict[str, str] | None = None, **data: str) -> Object:
    meta: dict[str, Any] = {"name": name, "namespace": "demo", "uid": name, "annotations": annotations or {}}
    meta["labels"] = LABELS
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def back(before: dict[str, Object | None], *live: Object) -> Plan:
    """From ``live`` to ``before``; the deploy wrote the objects in waves as they are listed, from 1 on."""
    refs = {name: ObjectRef("", "ConfigMap", "demo", name) for name in before}
    state = Before(
        objects={refs[name]: obj for name, obj in before.items()},
        api_versions=dict.fromkeys(refs.values(), "v1"),
        order={ref: n for n, ref in enumerate(refs.values(), 1)},
        origins={ref: Origin(f"{name}.yaml", 5) for name, ref in refs.items()},
    )
    return plan_back(state, {ObjectRef.of(o): o for o in live}, environment=ENV, revision="r")


def test_what_was_created_is_deleted_after_all_is_restored_and_by_its_rules() -> None:
    then = config_map("changed", key="then")
    created = [
        config_map("a", {RULE: "delete after deleting db"}),
        config_map("b", {GROUP: "db"}),
        config_map("c", {"pipeline/depends-on": "/ConfigMap//b"}),
    ]
    plan = back(
        {"a": None, "b": None, "c": None, "changed": then}, *created, config_map("changed", key="now")
    )
    assert [(c.ref.name, c.action) for c in plan.changes] == [
        ("changed", Action.UPDATE),
        ("c", Action.DELETE),
        ("b", Action.DELETE),
        ("a", Action.DELETE),
    ]
    assert len({c.wave for c in plan.changes}) == 4
    a, b = (c.ref for c in sorted(plan.changes, key=lambda c: c.ref)[:2])
    assert still_there(a, plan.gone_first, {b}) == b


def test_rules_that_contradict_each_other_are_told_where_they_are_written() -> None:
    one, other = (
        config_map(x, {GROUP: x, RULE: f"delete after deleting {y}"}) for x, y in [("a", "b"), ("b", "a")]
    )
    (warning,) = back({"a": None, "b": None}, one, other).warnings
    assert (warning.code, str(warning.origin)) == ("delete-order-contradiction", "a.yaml:5")


def test_a_rule_that_asks_for_a_deletion_before_what_is_restored_is_told() -> None:
    created = config_map("new", {RULE: "delete before upserting db"})
    then = config_map("gone", {GROUP: "db"})
    (warning,) = back({"new": None, "gone": then}, created).warnings
    assert (warning.code, str(warning.origin)) == ("change-rule-not-followed", "gone.yaml:5")


class Cluster(MemoryCluster):
    def lanes(self) -> int:
        return 1

    def resource(self, api_version: str, kind: str) -> ResourceType:
        return ResourceType("", "v1", "ConfigMap", "configmaps", True)


def _entry(ref: ObjectRef) -> InventoryEntry:
    return InventoryEntry(
        ref=ref, api_version="v1", uid=ref.name, generation=0, resource_version="1", content="sha256:c"
    )


def rolled_back(*created: Object, refuses: str = "") -> tuple[Cluster, RolledBack, list[str]]:
    """The cluster after the way back from a release that made these, what came of it and the warnings.

    It does not let go of the object that is called like ``refuses``.
    """
    cluster, events = Cluster(), list[Event]()

    def fault(verb: str, name: str) -> None:
        if name == refuses:
            raise ApiError(f"{verb} is refused", status=403)

    for obj in created:
        cluster.put(obj)
    cluster.fault = fault
    refs = [ObjectRef.of(obj) for obj in created]
    changes = [{"object": str(r), "apiVersion": "v1", "wave": 1, "origin": f"{r.name}.yaml:5"} for r in refs]
    release = Release(
        application="web",
        environment="dev",
        number=2,
        id="i",
        revision="r",
        before=tuple((ref, None) for ref in refs),
        inventory=tuple(_entry(r) for r in refs),
        plan={"changes": changes},
    )
    session = Session(
        environment=ENV,
        cluster=cluster,
        releases=None,
        lock=SimpleNamespace(check=lambda: None),
        prober=None,
        clock=cluster.time,
        tell=events.append,
        stopped=lambda: False,
        locked=True,
    )
    result = roll_back(session, release, (), "release 1")
    return cluster, result, [e.message for e in events if isinstance(e, Note) and e.warning]


def test_what_by_a_declared_order_goes_after_what_is_still_there_stays() -> None:
    created = [
        config_map("a", {RULE: "delete after deleting db"}),
        config_map("b", {GROUP: "db"}),
        config_map("c"),
    ]
    cluster, result, _ = rolled_back(*created, refuses="b")
    assert {name for _, _, name in cluster.objects} == {"a", "b"}
    assert result.problems[1] == (
        "delete /ConfigMap/demo/a: not sent, as /ConfigMap/demo/b must be gone before and is still there"
    )


def test_what_cannot_be_followed_on_the_way_back_is_told_with_its_line() -> None:
    pair = [config_map(x, {"pipeline/depends-on": f"/ConfigMap/demo/{y}"}) for x, y in ("ab", "ba")]
    cluster, result, (warning,) = rolled_back(*pair)
    assert (cluster.objects, result.problems) == ({}, ())
    assert warning.startswith("b.yaml:5: the declared orders of deletions contradict each other")


def test_what_could_not_be_deleted_stays_owned_and_what_is_gone_does_not() -> None:
    cluster, result, _ = rolled_back(config_map("a"), config_map("b"), refuses="b")
    assert {name for _, _, name in cluster.objects} == {"b"}
    # Without content: the next run has to compare it, whatever it wants of it.
    assert [(e.ref.name, e.content) for e in result.inventory] == [("b", "")]

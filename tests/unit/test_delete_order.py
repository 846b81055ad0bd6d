"""The order in which objects are deleted together: declared, by kind, by reference; what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.change_groups import never_held, unheld
from pipeline.core.delete_order import DeleteOrder, delete_order, still_there
from pipeline.model.errors import Problem
from pipeline.model.objects import Manifest, ObjectRef, Origin

GROUP = "kapp.k14s.io/change-group"
RULE = "kapp.k14s.io/change-rule"
WAVE = "argocd.argoproj.io/sync-wave"
OWN = "pipeline/depends-on"
CLI_UTILS = "config.kubernetes.io/depends-on"
AFTER, BEFORE = "delete after deleting db", "delete before deleting db"

SCALER = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
API_VERSIONS = {
    "Deployment": "apps/v1",
    "Job": "batch/v1",
    "Database": "example.com/v1",
    "Certificate": "cert-manager.io/v1",
    "Issuer": "cert-manager.io/v1",
    SCALER["kind"]: SCALER["apiVersion"],
}


def obj(written: str, annotations: dict[str, Any] | None = None, **fields: Any) -> Manifest:
    """A live object ``Kind/name`` of namespace a, once written in a file called like it, at line 3."""
    kind, name = written.split("/")
    metadata: dict[str, Any] = {"name": name, "namespace": "a", "annotations": annotations or {}}
    body = {"apiVersion": API_VERSIONS.get(kind, "v1"), "kind": kind, "metadata": metadata, **fields}
    return Manifest(ObjectRef.of(body), body, Origin(f"{name}.yaml", 3))


def pod(name: str, reads: str, annotations: dict[str, Any] | None = None) -> Manifest:
    """It reads a ConfigMap."""
    volumes = [{"name": "v", "configMap": {"name": reads}}]
    return obj(f"Pod/{name}", annotations, spec={"volumes": volumes})


def found(*going: Manifest) -> DeleteOrder:
    return delete_order(going, "a")


def order(*going: Manifest) -> list[list[str]]:
    """The waves; nothing is to be said of them."""
    result = found(*going)
    assert result.warnings == ()
    return shown(result)


def shown(result: DeleteOrder) -> list[list[str]]:
    waves: dict[int, list[str]] = {}
    for ref, wave in sorted(result.waves.items()):
        waves.setdefault(wave, []).append(ref.short)
    return [waves[n] for n in range(len(waves))]


# --- what objects are and name


def test_users_are_deleted_before_what_they_use() -> None:
    assert order(pod("web", "s"), obj("ConfigMap/s"), obj("ConfigMap/t")) == [
        ["ConfigMap/t", "Pod/web"],
        ["ConfigMap/s"],
    ]


def test_objects_that_need_each_other_go_in_any_order_and_nobody_is_told() -> None:
    one, other = (
        obj(f"{SCALER['kind']}/{x}", spec={"scaleTargetRef": {**SCALER, "name": y}}) for x, y in ("ab", "ba")
    )
    assert order(one, other) == [[f"{SCALER['kind']}/{x}" for x in "ab"]]


def test_custom_resources_go_before_all_others() -> None:
    operator = pod("operator", "s")
    assert order(operator, obj("ConfigMap/s"), obj("Database/one"), obj("Database/two")) == [
        ["Database/one", "Database/two"],
        ["Pod/operator"],
        ["ConfigMap/s"],
    ]


def test_who_reads_what_a_custom_resource_makes_is_deleted_before_it() -> None:
    user = obj("Pod/web", spec={"volumes": [{"name": "v", "secret": {"secretName": "tls"}}]})
    made_from = obj("Certificate/c", spec={"secretName": "tls", "issuerRef": {"name": "own"}})
    going = [user, made_from, obj("Issuer/own"), obj("Database/db"), obj("Pod/controller")]
    assert order(*going) == [
        ["Database/db"],
        ["Pod/web"],
        ["Certificate/c"],
        ["Issuer/own"],
        ["Pod/controller"],
    ]


def test_what_was_applied_after_a_group_goes_before_it() -> None:
    user = obj("Pod/web", {RULE: "upsert after upserting db"})
    last = obj("Pod/last", {RULE: AFTER})
    assert order(user, obj("Job/db", {GROUP: "db"}), last) == [["Pod/web"], ["Job/db"], ["Pod/last"]]


# --- kapp's rules


def test_a_rule_deletes_an_object_after_all_of_a_group() -> None:
    last = obj("Pod/a", {f"{RULE}.1": AFTER})
    assert order(last, obj("Pod/x", {GROUP: "db"}), obj("Pod/y", {f"{GROUP}.z": "db"}), obj("Pod/z")) == [
        ["Pod/x", "Pod/y", "Pod/z"],
        ["Pod/a"],
    ]


def test_a_rule_deletes_an_object_before_all_of_a_group() -> None:
    assert order(obj("Pod/z", {RULE: BEFORE}), obj("Pod/a", {GROUP: "db"}), obj("Pod/b")) == [
        ["Pod/b", "Pod/z"],
        ["Pod/a"],
    ]


@pytest.mark.parametrize(("rule", "expected"), [(AFTER, ["a", "b"]), (BEFORE, ["b", "a"])])
def test_an_object_in_the_group_of_its_rule_does_not_wait_for_itself(rule: str, expected: list[str]) -> None:
    both = order(obj("Pod/b", {GROUP: "db", RULE: rule}), obj("Pod/a", {GROUP: "db"}))
    assert both == [[f"Pod/{name}"] for name in expected]


def test_the_groups_of_kapp_itself_have_their_members_by_kind() -> None:
    last = obj("Pod/a", {RULE: "delete after deleting change-groups.kapp.k14s.io/pod-related"})
    assert order(last, obj("Secret/s"), obj("Service/t")) == [["Secret/s", "Service/t"], ["Pod/a"]]


@pytest.mark.parametrize(
    "rule",
    [
        "delete after deleting nobody",
        "delete after upserting db",
        "delete before upserting db",
        "upsert after deleting db",
        "upsert before deleting db",
    ],
)
def test_rules_about_nobody_and_about_what_is_written_order_no_deletions(rule: str) -> None:
    assert order(obj("Pod/a", {RULE: rule}), obj("Pod/b", {GROUP: "db"})) == [["Pod/a", "Pod/b"]]


def test_a_rule_wins_over_a_reference() -> None:
    used = obj("ConfigMap/s", {RULE: BEFORE})
    assert order(pod("web", "s", {GROUP: "db"}), used) == [["ConfigMap/s"], ["Pod/web"]]


def test_a_rule_wins_over_how_the_group_was_applied() -> None:
    one = obj("Pod/a", {RULE: "upsert after upserting db", f"{RULE}.1": AFTER})
    assert order(one, obj("Pod/b", {GROUP: "db"})) == [["Pod/b"], ["Pod/a"]]


def test_a_rule_wins_over_custom_resources_first_and_takes_users_along() -> None:
    going = [
        obj("Database/late", {RULE: AFTER}),
        obj("Database/early"),
        obj("ConfigMap/s", {GROUP: "db"}),
        pod("user", "s"),
        obj("Pod/other"),
    ]
    assert order(*going) == [
        ["Database/early"],
        ["Pod/user"],
        ["ConfigMap/s"],
        ["Database/late"],
        ["Pod/other"],
    ]


# --- depends-on


@pytest.mark.parametrize(
    ("annotation", "written"),
    [(OWN, "/Pod/a/db, /Pod/a/gone"), (OWN, "/Pod//db"), (CLI_UTILS, "/namespaces/a/Pod/db")],
)
def test_dependents_go_before_what_they_depend_on(annotation: str, written: str) -> None:
    assert order(obj("Pod/web", {annotation: written}), obj("Pod/db")) == [["Pod/web"], ["Pod/db"]]


def test_a_dependency_on_what_stays_orders_nothing() -> None:
    assert order(obj("Pod/web", {OWN: "/Pod/a/stays"}), obj("Pod/db")) == [["Pod/db", "Pod/web"]]


def test_a_dependency_wins_over_a_reference() -> None:
    used = obj("ConfigMap/s", {OWN: "/Pod/a/web"})
    assert order(pod("web", "s"), used) == [["ConfigMap/s"], ["Pod/web"]]


# --- sync waves


def test_sync_waves_go_from_the_last_to_the_first() -> None:
    assert order(obj("Pod/a", {WAVE: "-1"}), obj("Pod/b"), obj("Pod/c", {WAVE: "2"}), obj("Pod/d")) == [
        ["Pod/c"],
        ["Pod/b", "Pod/d"],
        ["Pod/a"],
    ]


def test_a_custom_resource_is_in_the_wave_it_names_and_else_in_none() -> None:
    going = [
        obj("Database/named", {WAVE: "-1"}),
        obj("Database/other"),
        obj("Pod/a", {WAVE: "1"}),
        obj("Pod/b"),
    ]
    assert order(*going) == [["Database/other"], ["Pod/a"], ["Pod/b"], ["Database/named"]]


def test_a_hook_is_in_no_wave() -> None:
    hook = obj("Job/h", {"argocd.argoproj.io/hook": "PreSync", WAVE: "-5"})
    assert order(hook, obj("Pod/a"), obj("Pod/b", {WAVE: "1"})) == [["Pod/b", "Job/h"], ["Pod/a"]]


def test_wave_0_of_who_names_none_gives_way_to_a_reference() -> None:
    assert order(obj("ConfigMap/s", {WAVE: "1"}), pod("web", "s")) == [["Pod/web"], ["ConfigMap/s"]]


# --- what cannot be followed


def test_orders_that_contradict_each_other_are_told_with_their_lines_and_not_followed() -> None:
    one = obj("Pod/a", {GROUP: "a", RULE: "delete after deleting b"})
    other = obj("Pod/b", {GROUP: "b", RULE: "delete after deleting a"})
    last = obj("Pod/0", {RULE: "delete after deleting a"})
    result = found(one, other, last)
    assert shown(result) == [["Pod/a", "Pod/b"], ["Pod/0"]]
    (warning,) = result.warnings
    assert warning == Problem(
        code="delete-order-contradiction",
        message="the declared orders of deletions contradict each other: "
        f"/Pod/a/a goes by {RULE} after b (a.yaml:3), which holds /Pod/a/b (b.yaml:3), "
        f"/Pod/a/b goes by {RULE} after a (b.yaml:3), which holds /Pod/a/a (a.yaml:3); "
        f"not followed: {RULE} of /Pod/a/a, {RULE} of /Pod/a/b",
        origin=Origin("a.yaml", 3),
        object=one.ref,
        warning=True,
    )


def test_an_order_of_a_contradiction_about_others_is_followed() -> None:
    pair = [obj(f"Pod/{x}", {OWN: f"/Pod/a/{y}"}) for x, y in ("ab", "ba")]
    result = found(*pair, obj("Pod/first", {OWN: "/Pod/a/a"}))
    assert shown(result) == [["Pod/b", "Pod/first"], ["Pod/a"]]


def test_what_is_left_of_a_contradiction_is_ordered_by_references() -> None:
    reads = pod("web", "s", {OWN: "/ConfigMap/a/s", GROUP: "db"})
    result = found(reads, obj("ConfigMap/s", {RULE: BEFORE}))
    assert shown(result) == [["Pod/web"], ["ConfigMap/s"]]
    assert [w.code for w in result.warnings] == ["delete-order-contradiction"]
    assert f"{OWN} of /Pod/a/web" in result.warnings[0].message
    assert f"{RULE} of /ConfigMap/a/s" in result.warnings[0].message


def test_contradictions_apart_from_each_other_are_told_apart() -> None:
    pairs = [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")]
    result = found(*(obj(f"Pod/{x}", {OWN: f"/Pod/a/{y}"}) for x, y in pairs))
    assert [w.object.name for w in result.warnings if w.object] == ["b", "d"]


def test_a_warning_names_no_more_orders_than_a_person_reads() -> None:
    ring = [obj(f"Pod/p{n:02}", {OWN: f"/Pod/a/p{(n + 1) % 30:02}"}) for n in range(30)]
    (warning,) = found(*ring).warnings
    assert warning.message.endswith(f"{OWN} of /Pod/a/p09 and 20 more")


@pytest.mark.parametrize(
    ("annotations", "code"),
    [
        ({RULE: "delete behind deleting db"}, "change-rule-malformed"),
        ({GROUP: "two names"}, "change-rule-malformed"),
        ({OWN: "x"}, "depends-on-malformed"),
        ({WAVE: "first"}, "sync-wave-malformed"),
    ],
)
def test_what_a_live_object_says_wrongly_is_a_warning(annotations: dict[str, str], code: str) -> None:
    (warning,) = found(obj("Pod/a", annotations), obj("Pod/b")).warnings
    assert (warning.code, warning.warning, warning.origin) == (code, True, Origin("a.yaml", 3))


# --- what must be gone first


def test_only_what_is_declared_holds_a_deletion_back_and_also_through_a_group() -> None:
    web = obj("Pod/web", {RULE: AFTER})
    db, used, user = obj("Pod/db", {GROUP: "db"}), obj("ConfigMap/s"), pod("user", "s")
    first = found(web, db, used, user, obj("Database/d")).gone_first
    everything = {m.ref for m in (db, user)} | {ObjectRef("example.com", "Database", "a", "d")}
    assert still_there(web.ref, first, everything) == db.ref
    assert still_there(web.ref, first, {user.ref}) is None
    assert still_there(used.ref, first, everything) is None


def test_how_an_object_was_applied_holds_no_deletion_back() -> None:
    user, db = obj("Pod/web", {RULE: "upsert after upserting db"}), obj("Pod/db", {GROUP: "db"})
    assert still_there(db.ref, found(user, db).gone_first, {user.ref}) is None


@pytest.mark.parametrize(
    ("late", "early"),
    [
        (obj("Pod/a"), obj("Pod/b", {OWN: "/Pod/a/a"})),
        (obj("Pod/a"), obj("Pod/b", {WAVE: "3"})),
        (obj("Pod/a", {WAVE: "-1"}), obj("Pod/b")),
        (obj("Pod/a", {GROUP: "db"}), obj("Pod/b", {RULE: BEFORE})),
    ],
)
def test_every_declared_order_holds_a_deletion_back(late: Manifest, early: Manifest) -> None:
    assert still_there(late.ref, found(late, early).gone_first, {early.ref}) == early.ref


# --- rules about what is deleted and what is written


def told(written: Manifest, going: Manifest) -> list[tuple[str, str]]:
    problems = list(unheld([written], [going]))
    assert all(p.code == "change-rule-not-followed" and p.warning for p in problems)
    return [(str(p.origin), p.message) for p in problems]


def test_an_object_that_is_to_be_written_after_a_deletion_is_told_at_its_line() -> None:
    written, going = obj("Pod/new", {RULE: "upsert after deleting db"}), obj("Pod/old", {GROUP: "db"})
    assert told(written, going) == [
        (
            "new.yaml:3",
            f"/Pod/a/new: {RULE}: /Pod/a/old is deleted after /Pod/a/new is written, and not before: "
            "what leaves goes last",
        )
    ]


def test_an_object_that_is_to_be_deleted_before_a_write_is_told_where_the_other_is_written() -> None:
    written, going = obj("Pod/new", {GROUP: "db"}), obj("Pod/old", {RULE: "delete before upserting db"})
    assert told(written, going) == [
        (
            "new.yaml:3",
            f"/Pod/a/old: {RULE}: /Pod/a/old is deleted after /Pod/a/new is written, and not before: "
            "what leaves goes last",
        )
    ]


@pytest.mark.parametrize("rule", ["delete after upserting db", "upsert before deleting db", AFTER, BEFORE])
def test_nothing_is_said_of_rules_that_hold(rule: str) -> None:
    for holder, member in [({RULE: rule}, {GROUP: "db"}), ({GROUP: "db"}, {RULE: rule})]:
        assert told(obj("Pod/new", holder), obj("Pod/old", member)) == []


def test_nothing_is_said_of_a_rule_whose_group_is_not_deleted() -> None:
    assert told(obj("Pod/new", {RULE: "upsert after deleting db"}), obj("Pod/old")) == []


@pytest.mark.parametrize("rule", ["upsert after deleting db", "delete before upserting db"])
def test_a_rule_that_no_deploy_follows_is_told_for_the_set_alone(rule: str) -> None:
    (problem,) = never_held([obj("Pod/a", {RULE: rule}), obj("Pod/b", {RULE: AFTER})])
    assert (str(problem.origin), problem.warning) == ("a.yaml:3", True)
    assert rule in problem.message

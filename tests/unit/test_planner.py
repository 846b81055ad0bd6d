"""From desired, owned and live objects to a plan."""

from dataclasses import replace

import pytest

from pipeline.core import generated, planner
from pipeline.core.delete_order import still_there
from pipeline.core.desired import body_of, is_scaled, leave_replicas, scaled_by_autoscaler
from pipeline.core.planner import Desired, DryRun, World, unchanged
from pipeline.model.environment import Environment, Prune
from pipeline.model.objects import Manifest, ObjectRef, Origin, digest
from pipeline.model.plan import Action, Reversible
from pipeline.model.release import InventoryEntry

ENV = Environment(name="dev", application="web", namespace="demo", path="environments/dev/environment.yaml")
OWNED = {"pipeline/application": "web", "pipeline/environment": "dev"}


def settings(name="settings", value="1"):
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "demo"},
        "data": {"key": value},
    }
    manifest = Manifest(ObjectRef.of(body), body, Origin("m.yaml", 3))
    sent = body_of(manifest, ENV)
    return Desired(manifest=manifest, body=sent, content=digest(sent))


def live_of(desired, *, uid="u1", version="7", **metadata):
    meta = {**desired.body["metadata"], "uid": uid, "resourceVersion": version, **metadata}
    return {**desired.body, "metadata": meta}


def entry_of(desired, *, uid="u1", version="7"):
    return InventoryEntry(
        ref=desired.manifest.ref,
        api_version="v1",
        uid=uid,
        generation=0,
        resource_version=version,
        content=desired.content,
    )


def build(*desired, live=(), owned=(), dry=None, environment=ENV, offline=False, before=None):
    world = World(
        environment=environment,
        revision="r1",
        desired=desired,
        inventory={e.ref: e for e in owned},
        live={ObjectRef.of(o): o for o in live},
        dry_runs=dry or {},
        before=before or {},
        offline=offline,
    )
    return planner.build(world)


def only(plan):
    assert len(plan.changes) == 1
    return plan.changes[0]


def test_an_object_that_does_not_exist_is_created():
    one = settings()
    plan, _ = build(one, dry={one.manifest.ref: DryRun(result=one.body)})
    assert only(plan).action is Action.CREATE
    assert only(plan).body["metadata"]["labels"] == OWNED


def test_an_object_that_nobody_touched_is_kept_without_a_dry_run():
    one = settings()
    plan, _ = build(one, live=[live_of(one)], owned=[entry_of(one)])
    assert only(plan).action is Action.KEEP
    assert plan.waves == ()


@pytest.mark.parametrize(
    "live",
    [
        pytest.param({"version": "8"}, id="it was written since"),
        pytest.param({"uid": "u2"}, id="it was deleted and made anew"),
    ],
)
def test_an_object_that_somebody_touched_is_compared(live):
    one = settings()
    drifted = {**live_of(one, **live), "data": {"key": "other"}}
    plan, _ = build(
        one, live=[drifted], owned=[entry_of(one)], dry={one.manifest.ref: DryRun(result=live_of(one))}
    )
    assert only(plan).action is Action.UPDATE
    assert [(f.path, f.before, f.after) for f in only(plan).fields] == [("data.key", "other", "1")]


SHARE = {
    "f:metadata": {"f:labels": {"f:pipeline/application": {}, "f:pipeline/environment": {}}},
    "f:data": {"f:key": {}},
}


def entry(manager, fields, operation="Apply", **more):
    return {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields, **more}


STATUS = entry("a-controller", {"f:status": {"f:used": {}}}, "Update", subresource="status")


def test_an_object_whose_status_alone_moved_is_kept_without_a_dry_run():
    one = settings()
    live = live_of(one, version="8", managedFields=[entry("pipeline", SHARE), STATUS])
    assert unchanged(one, entry_of(one), {**live, "status": {"used": 5}})


@pytest.mark.parametrize(
    ("managers", "value"),
    [
        ([entry("pipeline", SHARE)], "other"),
        ([entry("pipeline", {**SHARE, "f:more": {}})], "1"),
        ([entry("pipeline", {"f:metadata": SHARE["f:metadata"]}), entry("a-controller", SHARE)], "1"),
        ([entry("pipeline", SHARE), entry("kubectl-client-side-apply", SHARE, "Update")], "1"),
        ([], "1"),
    ],
    ids=["another value", "more is ours", "less is ours", "a deploy tool's, too", "nobody knows"],
)
def test_else_it_is_tried(managers, value):
    one = settings()
    live = live_of(one, version="8", managedFields=managers)
    live = {**live, "data": {"key": value}, "more": "5"}
    assert not unchanged(one, entry_of(one), live)
    assert unchanged(one, entry_of(one, version="8"), live), "the version did not move"


def test_a_touched_object_that_is_as_wanted_is_kept():
    one = settings()
    live = live_of(one, version="8")
    plan, _ = build(one, live=[live], owned=[entry_of(one)], dry={one.manifest.ref: DryRun(result=live)})
    assert only(plan).action is Action.KEEP


def test_what_is_made_up_anew_is_in_no_field_and_no_digest():
    """An upgrade that brings a password: it is another one each time until a record has it."""

    def planned(word, made_up):
        one = settings(value=word)
        manifest = replace(one.manifest, generated=made_up)
        sealed = digest(generated.reviewed(one.body, manifest)) if made_up else ""
        one = replace(one, manifest=manifest, reviewed=sealed)
        before = settings(value="before")
        plan, _ = build(
            one,
            live=[live_of(before)],
            owned=[entry_of(before)],
            dry={one.manifest.ref: DryRun(result=live_of(one))},
        )
        return plan

    (field,) = only(planned("one", made_up=(("data", "key"),))).fields
    assert (field.before, field.after) == ("before", generated.MADE_UP)
    assert planned("one", (("data", "key"),)).digest == planned("two", (("data", "key"),)).digest
    assert planned("one", ()).digest != planned("two", ()).digest


def test_an_existing_object_of_nobody_is_adopted():
    one = settings()
    live = live_of(one)
    plan, _ = build(one, live=[live], dry={one.manifest.ref: DryRun(result=live)})
    assert (only(plan).action, only(plan).reason) == (Action.UPDATE, "adopted")


def test_an_object_of_another_environment_is_refused_with_its_owner():
    one = settings()
    live = live_of(one, labels={**OWNED, "pipeline/environment": "prod"})
    plan, problems = build(one, live=[live], dry={one.manifest.ref: DryRun(result=live)})
    assert plan is None
    assert "belongs to web/prod" in problems[0].message
    assert str(problems[0].origin) == "m.yaml:3"


def test_what_left_the_repository_is_deleted_by_uid():
    old = settings("old")
    one = settings()
    plan, _ = build(
        one, live=[live_of(one), live_of(old, uid="u9")], owned=[entry_of(one), entry_of(old, uid="u9")]
    )
    deletion = next(c for c in plan.changes if c.action is Action.DELETE)
    assert (deletion.ref.name, deletion.uid) == ("old", "u9")


@pytest.mark.parametrize("had", ["nothing", "ours", "theirs"])
def test_what_others_had_before_a_release_that_never_stood_goes_back_to_them(had):
    old, one = settings("old", "red"), settings()
    theirs = {**settings("old", "blue").manifest.body, "metadata": {"name": "old", "namespace": "demo"}}
    then = {"nothing": None, "ours": live_of(old), "theirs": theirs}[had]
    plan, _ = build(
        one,
        live=[live_of(one), live_of(old)],
        owned=[entry_of(one), entry_of(old)],
        before={old.manifest.ref: then},
    )
    change = next(c for c in plan.changes if c.ref.name == "old")
    assert (change.action, change.returns) == (
        (Action.UPDATE, True) if had == "theirs" else (Action.DELETE, False)
    )
    if had == "theirs":
        assert ("data.key", "red", "blue") in [(f.path, f.before, f.after) for f in change.fields]


def test_a_namesake_that_is_another_object_is_not_deleted():
    old = settings("old")
    one = settings()
    plan, _ = build(
        one, live=[live_of(one), live_of(old, uid="new")], owned=[entry_of(one), entry_of(old, uid="u9")]
    )
    assert [c.action for c in plan.changes] == [Action.KEEP]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pipeline/prune", "keep"),
        ("helm.sh/resource-policy", "keep"),
        ("argocd.argoproj.io/sync-options", "Validate=false,Prune=false"),
        ("argocd.argoproj.io/sync-options", "Delete=confirm"),
        ("kapp.k14s.io/delete-strategy", "orphan"),
        ("kustomize.toolkit.fluxcd.io/prune", "disabled"),
        ("cli-utils.sigs.k8s.io/on-remove", "keep"),
        ("client.lifecycle.config.k8s.io/deletion", "detach"),
        ("kluctl.io/skip-delete", "true"),
    ],
)
def test_an_annotation_protects_from_pruning(key, value):
    old = settings("old")
    one = settings()
    protected = live_of(old, uid="u9", annotations={key: value})
    plan, _ = build(one, live=[live_of(one), protected], owned=[entry_of(one), entry_of(old, uid="u9")])
    kept = next(c for c in plan.changes if c.ref.name == "old")
    assert kept.action is Action.KEEP
    assert key in kept.note


def test_nothing_is_deleted_where_pruning_is_off():
    old = settings("old")
    environment = replace(ENV, prune=Prune(enabled=False))
    plan, _ = build(live=[live_of(old)], owned=[entry_of(old)], environment=environment)
    assert plan.changes == ()


def test_a_mass_deletion_is_refused_and_says_what_to_raise():
    olds = [settings(f"old-{n}") for n in range(12)]
    plan, problems = build(live=[live_of(o) for o in olds], owned=[entry_of(o) for o in olds])
    assert plan is None
    assert [p.code for p in problems] == ["mass-deletion"]
    assert "12 of 12" in problems[0].message
    assert "prune.maxDeletions" in problems[0].hint


def test_a_generated_object_that_comes_back_with_another_hash_is_no_deletion():
    olds = [settings(f"s{n}-g9t2f7m5dk") for n in range(12)]
    news = [settings(f"s{n}-k2b4c6d8fh") for n in range(12)]
    state = {"live": [live_of(o) for o in olds], "owned": [entry_of(o) for o in olds]}
    plan, problems = build(*news, **state)
    assert problems == ()
    assert [c.action for c in plan.writes].count(Action.DELETE) == 12
    for others in ([], [settings("other-k2b4c6d8fh")], [settings(f"s{n}") for n in range(12)]):
        assert [p.code for p in build(*others, **state)[1]] == ["mass-deletion"]


def test_one_of_three_objects_may_go():
    all_three = [settings(f"s{n}") for n in range(3)]
    plan, problems = build(
        *all_three[:2], live=[live_of(o) for o in all_three], owned=[entry_of(o) for o in all_three]
    )
    assert problems == ()
    assert [c.action for c in plan.writes] == [Action.DELETE]


def test_the_digest_is_the_same_whatever_the_order_of_files():
    one, two = settings("a"), settings("b")
    dry = {d.manifest.ref: DryRun(result=d.body) for d in (one, two)}
    first, _ = build(one, two, dry=dry)
    second, _ = build(two, one, dry=dry)
    assert first.digest == second.digest


def test_the_digest_changes_with_the_content():
    one, two = settings(value="1"), settings(value="2")
    first, _ = build(one, dry={one.manifest.ref: DryRun(result=one.body)})
    second, _ = build(two, dry={two.manifest.ref: DryRun(result=two.body)})
    assert first.digest != second.digest


def test_all_refusals_are_told_at_once():
    from pipeline.model.errors import Problem

    one, two = settings("a"), settings("b")
    dry = {
        d.manifest.ref: DryRun(problems=(Problem(code="x", message=d.manifest.ref.name),)) for d in (one, two)
    }
    _, problems = build(one, two, dry=dry)
    assert [p.message for p in problems] == ["a", "b"]


@pytest.mark.parametrize(
    ("api_version", "kind", "reversible"),
    [
        ("v1", "PersistentVolumeClaim", Reversible.ONE_WAY),
        ("v1", "PersistentVolume", Reversible.ONE_WAY),
        ("batch/v1", "Job", Reversible.ONE_WAY),
        # Removed again, unless somebody else put something in by then.
        ("v1", "Namespace", Reversible.EXACT),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", Reversible.EXACT),
    ],
)
def test_of_what_is_new_only_data_and_deeds_cannot_be_taken_back(api_version, kind, reversible):
    body = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "d", "namespace": "demo"}}
    manifest = Manifest(ObjectRef.of(body), body, Origin("m.yaml"))
    one = Desired(manifest=manifest, body=body_of(manifest, ENV), content="x")
    plan, _ = build(one, dry={manifest.ref: DryRun(result=body)})
    assert only(plan).reversible is reversible


@pytest.mark.parametrize("key", ["pipeline/prune", "helm.sh/resource-policy"])
def test_nor_can_what_is_to_be_kept(key):
    one = settings("a")
    body = {**one.body, "metadata": {**one.body["metadata"], "annotations": {key: "keep"}}}
    one = replace(one, body=body)
    plan, _ = build(one, dry={one.manifest.ref: DryRun(result=one.body)})
    assert only(plan).reversible is Reversible.ONE_WAY


def test_offline_everything_is_created():
    plan, problems = build(settings("a"), settings("b"), offline=True)
    assert problems == ()
    assert {c.action for c in plan.changes} == {Action.CREATE}


AUTOSCALER = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web", "namespace": "demo"},
    "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
}


def test_an_autoscaler_owns_its_targets_replicas():
    assert scaled_by_autoscaler([AUTOSCALER]) == {ObjectRef("apps", "Deployment", "demo", "web")}
    body = {"spec": {"replicas": 3, "paused": False}}
    assert leave_replicas(body, {"spec": {"replicas": 7}})["spec"] == {"replicas": 7, "paused": False}
    assert leave_replicas(body, None) == body


def scaled_by(manager, subresource):
    entry = {
        "manager": manager,
        "operation": "Update",
        "apiVersion": "apps/v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:replicas": {}}},
        "subresource": subresource,
    }
    meta = {"name": "web", "namespace": "demo", "managedFields": [entry]}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"replicas": 7}}


def test_replicas_that_an_autoscaler_has_set_are_left_out():
    live = scaled_by("kube-controller-manager", "scale")
    assert is_scaled(live)
    assert leave_replicas({"spec": {"replicas": 3, "paused": False}}, live)["spec"] == {"paused": False}


@pytest.mark.parametrize(("manager", "subresource"), [("kubectl", "scale"), ("kube-controller-manager", "")])
def test_replicas_that_a_person_or_another_writer_has_set_are_no_autoscalers(manager, subresource):
    assert not is_scaled(scaled_by(manager, subresource))


def test_a_scaled_object_of_keda_scales_a_deployment_unless_it_says_otherwise():
    scaled = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "web", "namespace": "demo"},
        "spec": {"scaleTargetRef": {"name": "web"}},
    }
    assert scaled_by_autoscaler([scaled]) == {ObjectRef("apps", "Deployment", "demo", "web")}


def test_custom_resources_are_deleted_before_the_workload_that_may_have_to_let_go_of_them():
    def owned(api_version, kind, name):
        meta = {"name": name, "namespace": "demo", "uid": name, "labels": OWNED}
        body = {"apiVersion": api_version, "kind": kind, "metadata": meta}
        entry = InventoryEntry(
            ref=ObjectRef.of(body),
            api_version=api_version,
            uid=name,
            generation=0,
            resource_version="1",
            content="x",
        )
        return body, entry

    controller, first = owned("apps/v1", "Deployment", "controller")
    database, second = owned("example.com/v1", "Database", "db")
    one = settings()
    plan, problems = build(
        one,
        live=[live_of(one), controller, database],
        owned=[entry_of(one), first, second],
        environment=replace(ENV, prune=Prune(max_percent=100)),
    )
    assert problems == ()
    waves = {c.ref.name: c.wave for c in plan.changes if c.action is Action.DELETE}
    assert waves["db"] < waves["controller"]


RULE, GROUP = "kapp.k14s.io/change-rule", "kapp.k14s.io/change-group"


def noted(name, **annotations):
    """A ConfigMap of the set with kapp's rule or group."""
    one = settings(name)
    keys = {"rule": RULE, "group": GROUP}
    meta = {
        **one.manifest.body["metadata"],
        "annotations": {keys[key]: value for key, value in annotations.items()},
    }
    body = {**one.manifest.body, "metadata": meta}
    manifest = replace(
        one.manifest, body=body, lines={("metadata", "annotations", key): 7 for key in keys.values()}
    )
    return replace(one, manifest=manifest, body=body_of(manifest, ENV))


def leaving(*olds, written=()):
    """The plan where ``olds`` leave the set, and ``written`` are new."""
    one = settings()
    return build(
        one,
        *written,
        live=[live_of(one), *map(live_of, olds)],
        owned=[
            entry_of(one),
            *(replace(entry_of(old), origin=f"{old.manifest.ref.name}.yaml:4") for old in olds),
        ],
        dry={d.manifest.ref: DryRun(result=d.body) for d in written},
        environment=replace(ENV, prune=Prune(max_percent=100)),
    )[0]


def test_deletions_follow_the_rules_of_the_live_objects_after_all_writes():
    plan = leaving(
        noted("a", rule="delete after deleting db"), noted("b", group="db"), written=[settings("new")]
    )
    waves = {c.ref.name: c.wave for c in plan.writes}
    assert waves == {"new": 1, "b": 2, "a": 3}
    _, b, a = (c.ref for c in plan.writes)
    assert still_there(a, plan.gone_first, {b}) == b


def test_rules_of_deletions_that_contradict_each_other_are_told_where_they_were_written_and_block_nothing():
    plan = leaving(
        noted("a", group="a", rule="delete after deleting b"),
        noted("b", group="b", rule="delete after deleting a"),
    )
    assert [(p.code, str(p.origin), p.warning) for p in plan.warnings] == [
        ("delete-order-contradiction", "a.yaml:4", True)
    ]
    assert [c.action for c in plan.writes] == [Action.DELETE, Action.DELETE]


def test_a_rule_that_asks_for_a_deletion_before_a_write_is_told_where_both_happen():
    new, old = noted("new", rule="upsert after deleting db"), noted("old", group="db")
    (warning,) = leaving(old, written=[new]).warnings
    assert (warning.code, str(warning.origin), warning.warning) == (
        "change-rule-not-followed",
        "m.yaml:7",
        True,
    )
    assert leaving(old).warnings == ()
    assert leaving(written=[new]).warnings == ()


def test_nothing_is_told_of_a_rule_whose_object_is_not_written_now():
    kept, old = noted("kept", rule="upsert after deleting db"), noted("old", group="db")
    plan, _ = build(
        kept,
        settings(),
        live=[live_of(kept), live_of(old), live_of(settings())],
        owned=[entry_of(kept), entry_of(old), entry_of(settings())],
    )
    assert [c.action for c in plan.writes] == [Action.DELETE]
    assert plan.warnings == ()


def test_offline_every_rule_is_told_that_no_deploy_follows():
    plan, _ = build(noted("new", rule="upsert after deleting db"), settings(), offline=True)
    (warning,) = plan.warnings
    assert (warning.code, str(warning.origin), warning.warning) == (
        "change-rule-not-followed",
        "m.yaml:7",
        True,
    )


def definition(*versions):
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.x.io"},
        "spec": {
            "group": "x.io",
            "names": {"kind": "Thing"},
            "versions": [{"name": name, "served": served} for name, served in versions],
        },
    }
    manifest = Manifest(ObjectRef.of(body), body, Origin("crd.yaml"))
    return Desired(manifest=manifest, body=body_of(manifest, ENV), content="x")


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ([("v1", True), ("v2", True)], "x.io/v1"),
        ([("v1", False), ("v2", True)], "x.io/v2"),
        ([("v2", True)], "x.io/v2"),
        ([("v1", False)], "x.io/v1"),
        ([], "x.io/v1"),
    ],
)
def test_an_object_is_deleted_in_a_version_that_is_served_by_then(versions, expected):
    thing = {
        "apiVersion": "x.io/v1",
        "kind": "Thing",
        "metadata": {"name": "one", "namespace": "demo", "uid": "u1"},
    }
    thing["metadata"]["labels"] = OWNED
    ref = ObjectRef.of(thing)
    entry = replace(entry_of(settings()), ref=ref, api_version="x.io/v1")
    crd = definition(*versions)
    dry = {crd.manifest.ref: DryRun(result=crd.body)}
    plan, problems = build(crd, live=[thing], owned=[entry], dry=dry)
    assert problems == ()
    deleted = next(c for c in plan.changes if c.action is Action.DELETE)
    assert deleted.api_version == expected

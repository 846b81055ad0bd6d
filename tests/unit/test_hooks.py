"""Declared stages: hooks of Argo CD and Helm, sync waves, kapp's change groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.core.edges import is_milestone
from pipeline.core.graph import Needs, needs, waves
from pipeline.core.hooks import DeletePolicy, HookEvent, HookPhase, hook_of, runs
from pipeline.model.errors import InvalidError
from pipeline.model.objects import Manifest, ObjectRef, Origin
from pipeline.model.plan import Strength

ARGO = "argocd.argoproj.io/hook"
WAVE = "argocd.argoproj.io/sync-wave"
HELM = "helm.sh/hook"
WEIGHT = "helm.sh/hook-weight"
GROUP = "kapp.k14s.io/change-group"
RULE = "kapp.k14s.io/change-rule"


def obj(written: str, annotations: dict[str, Any] | None = None, **fields: Any) -> Manifest:
    """An object ``Kind/name`` of namespace a, at line 1; its annotations are at lines 10, 11, …"""
    kind, name = written.split("/")
    api_version = {"Job": "batch/v1", "Deployment": "apps/v1"}.get(kind, "v1")
    metadata = {"name": name, "namespace": "a"} if kind != "Namespace" else {"name": name}
    body = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}
    if annotations is not None:
        body["metadata"] = {**metadata, "annotations": annotations}
    lines = {("metadata", "annotations", key): 10 + n for n, key in enumerate(annotations or ())}
    return Manifest(ObjectRef.of(body), body, Origin(f"{name}.yaml", 1), lines)


def found(*manifests: Manifest, event: HookEvent = HookEvent.UPGRADE) -> Needs:
    return needs(manifests, default_namespace="a", event=event)


def order(*manifests: Manifest, event: HookEvent = HookEvent.UPGRADE) -> list[list[str]]:
    return [[ref.short for ref in wave] for wave in waves(found(*manifests, event=event))]


def problem(*manifests: Manifest) -> tuple[str, Origin | None, str]:
    with pytest.raises(InvalidError) as caught:
        found(*manifests)
    (one,) = caught.value.problems
    return one.code, one.origin, one.hint


# --- the order of hooks of one weight


def test_helm_s_hooks_of_one_weight_run_one_after_the_other_by_name() -> None:
    pre = {HELM: "pre-install,pre-upgrade"}
    assert order(obj("Job/c", pre), obj("Job/a", pre), obj("Pod/b", pre), obj("Deployment/web")) == [
        ["Job/a"],
        ["Pod/b"],
        ["Job/c"],
        ["Deployment/web"],
    ]


def test_hooks_without_anything_else_do_too() -> None:
    pre = {HELM: "pre-upgrade"}
    assert order(obj("Job/b", pre), obj("Job/a", pre)) == [["Job/a"], ["Job/b"]]


def test_what_does_not_end_waits_for_nobody_s_turn() -> None:
    pre = {HELM: "pre-upgrade"}
    assert order(obj("ConfigMap/a", pre), obj("ConfigMap/b", pre)) == [["ConfigMap/a", "ConfigMap/b"]]


def test_a_reference_wins_over_the_turn() -> None:
    pre = {HELM: "pre-upgrade"}
    first = obj("Job/a", {**pre, "pipeline/depends-on": "batch/Job/a/b"})
    assert order(first, obj("Job/b", pre)) == [["Job/b"], ["Job/a"]]


def test_argo_s_hooks_of_one_wave_run_together() -> None:
    pre = {ARGO: "PreSync"}
    assert order(obj("Job/a", pre), obj("Job/b", pre)) == [["Job/a", "Job/b"]]


# --- what a hook is


def test_an_object_without_the_annotations_is_no_hook() -> None:
    assert hook_of(obj("Job/j")) is None
    assert hook_of(obj("Job/j", {WAVE: "1"})) is None


@pytest.mark.parametrize(
    ("value", "install", "upgrade", "rollback"),
    [
        ("pre-install", HookPhase.PRE, None, None),
        ("post-install, post-upgrade", HookPhase.POST, HookPhase.POST, None),
        ("pre-rollback", None, None, HookPhase.PRE),
        ("pre-upgrade,post-upgrade", None, HookPhase.PRE, None),
        ("test", None, None, None),
        ("pre-delete", None, None, None),
        ("Pre-Install,POST-UPGRADE", HookPhase.PRE, HookPhase.POST, None),
    ],
)
def test_a_helm_hook_runs_at_its_events_only(
    value: str, install: HookPhase | None, upgrade: HookPhase | None, rollback: HookPhase | None
) -> None:
    hook = hook_of(obj("Job/j", {HELM: value}))
    assert hook is not None
    assert [runs(hook, event) for event in HookEvent] == [install, upgrade, rollback]


def test_of_a_chart_that_is_new_an_upgrade_of_the_environment_is_the_installation() -> None:
    def moments(value: str) -> list[HookPhase | None]:
        hook = hook_of(replace(obj("Job/j", {HELM: value}), installs=True))
        assert hook is not None
        return [runs(hook, event) for event in HookEvent]

    assert moments("pre-install") == [HookPhase.PRE, HookPhase.PRE, None]
    assert moments("post-upgrade") == [None, None, None]
    assert moments("pre-rollback") == [None, None, HookPhase.PRE]


@pytest.mark.parametrize(
    ("value", "phase"),
    [
        ("PreSync", HookPhase.PRE),
        ("Sync", HookPhase.MAIN),
        ("PostSync", HookPhase.POST),
        ("SyncFail", HookPhase.FAIL),
        ("PostSync,SyncFail", HookPhase.POST),
        ("Skip", None),
        ("PreDelete", None),
    ],
)
def test_an_argo_hook_runs_at_every_event(value: str, phase: HookPhase | None) -> None:
    hook = hook_of(obj("Job/j", {ARGO: value}))
    assert hook is not None
    assert {runs(hook, event) for event in HookEvent} == {phase}


def test_argo_counts_where_both_are_written() -> None:
    hook = hook_of(obj("Job/j", {ARGO: "PostSync", WAVE: "3", HELM: "pre-install", WEIGHT: "7"}))
    assert hook is not None
    assert (hook.annotation, hook.phases, hook.weight) == (ARGO, {HookPhase.POST}, 3)


def test_a_definition_that_helm_two_installed_first_is_no_hook() -> None:
    assert hook_of(obj("Job/j", {HELM: "crd-install"})) is None
    assert order(obj("Job/j", {HELM: "crd-install"})) == [["Job/j"]]


def test_delete_policies_are_read_and_have_a_default() -> None:
    policies = "hook-succeeded, hook-failed"
    hook = hook_of(obj("Job/j", {HELM: "post-upgrade", "helm.sh/hook-delete-policy": policies}))
    plain = hook_of(obj("Job/j", {ARGO: "Sync"}))
    assert hook is not None
    assert plain is not None
    assert hook.delete == {DeletePolicy.SUCCEEDED, DeletePolicy.FAILED}
    assert plain.delete == {DeletePolicy.BEFORE_CREATION}


@pytest.mark.parametrize(
    ("annotations", "code", "hint"),
    [
        ({HELM: "pre-instal"}, "hook-unknown", "did you mean pre-install?"),
        ({ARGO: "presync"}, "hook-unknown", "did you mean PreSync?"),
        ({ARGO: 7}, "hook-unknown", "write one of PreSync"),
        ({ARGO: "Sync", f"{ARGO}-delete-policy": "HookSucceded"}, "hook-unknown", "mean HookSucceeded?"),
        ({WEIGHT: "first", HELM: "pre-install"}, "hook-weight-malformed", "write an integer"),
        ({WAVE: "1.5"}, "sync-wave-malformed", "write an integer"),
        ({WAVE: 1}, "sync-wave-malformed", "in quotes"),
        ({RULE: "upsert behind upserting db"}, "change-rule-malformed", "upsert after upserting"),
        ({RULE: 1}, "change-rule-malformed", "upsert after upserting"),
        ({GROUP: "two names"}, "change-rule-malformed", "write one name"),
    ],
)
def test_what_nobody_knows_is_refused_with_its_line(
    annotations: dict[str, Any], code: str, hint: str
) -> None:
    told, origin, said = problem(obj("Job/j", annotations))
    assert (told, hint in said) == (code, True)
    assert origin is not None
    assert origin.line >= 10


# --- hooks in the order


def test_hooks_stand_before_and_after_everything_by_weight() -> None:
    assert order(
        obj("ConfigMap/settings"),
        obj("Job/late", {HELM: "post-upgrade", WEIGHT: "5"}),
        obj("Job/after", {ARGO: "PostSync"}),
        obj("Job/second", {HELM: "pre-upgrade"}),
        obj("Job/first", {HELM: "pre-upgrade", WEIGHT: "-10"}),
        obj("Job/tenth", {HELM: "pre-upgrade", WEIGHT: "10"}),
    ) == [["Job/first"], ["Job/second"], ["Job/tenth"], ["ConfigMap/settings"], ["Job/after"], ["Job/late"]]


def test_a_hook_waits_until_those_before_it_are_ready() -> None:
    result = found(obj("Job/a", {ARGO: "PreSync"}), obj("ConfigMap/c"), obj("Job/z", {ARGO: "PostSync"}))
    held = {e.target.short: e.strength for e in result.edges if is_milestone(e.source) and e.why == "holds"}
    assert held == {"Job/a": Strength.READY, "ConfigMap/c": Strength.READY}


def test_what_a_hook_itself_needs_comes_before_it_though_it_is_no_hook() -> None:
    job = obj(
        "Job/migrate",
        {ARGO: "PreSync"},
        spec={
            "template": {"spec": {"serviceAccountName": "m", "volumes": [{"secret": {"secretName": "s"}}]}}
        },
    )
    rest = [obj("Namespace/a"), obj("ServiceAccount/m"), obj("Secret/s"), obj("Deployment/web")]
    assert order(job, *rest) == [
        ["Namespace/a"],
        ["Secret/s", "ServiceAccount/m"],
        ["Job/migrate"],
        ["Deployment/web"],
    ]


def test_the_rights_of_a_hooks_account_come_before_it() -> None:
    job = obj("Job/m", {ARGO: "PreSync"}, spec={"template": {"spec": {"serviceAccountName": "m"}}})
    body = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "m", "namespace": "a"},
        "roleRef": {"kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "ServiceAccount", "name": "m"}],
    }
    binding = Manifest(ObjectRef.of(body), body, Origin("b.yaml"))
    assert order(job, binding) == [["RoleBinding/m"], ["Job/m"]]


def test_a_hook_that_does_not_run_takes_no_part() -> None:
    result = found(
        obj("Job/install", {HELM: "pre-install"}),
        obj("Job/fail", {ARGO: "SyncFail"}),
        obj("Job/test", {HELM: "test"}),
        obj("ConfigMap/c"),
    )
    assert [ref.short for ref in result.objects] == ["ConfigMap/c"]
    assert sorted(ref.name for ref in result.idle) == ["fail", "install", "test"]
    assert result.edges == ()
    assert len(found(obj("Job/install", {HELM: "pre-install"}), event=HookEvent.INSTALL).objects) == 1


def test_depending_on_a_hook_that_does_not_run_is_refused() -> None:
    web = obj("Deployment/web", {"pipeline/depends-on": "batch/Job/a/install"})
    code, origin, _ = problem(web, obj("Job/install", {HELM: "pre-install"}))
    assert (code, origin) == ("depends-on-idle", Origin("web.yaml", 10))


# --- sync waves


def test_sync_waves_follow_each_other_and_others_are_in_wave_zero() -> None:
    assert order(
        obj("ConfigMap/two", {WAVE: "2"}),
        obj("ConfigMap/plain"),
        obj("ConfigMap/minus", {WAVE: "-1"}),
        obj("ConfigMap/ten", {WAVE: "10"}),
    ) == [["ConfigMap/minus"], ["ConfigMap/plain"], ["ConfigMap/two"], ["ConfigMap/ten"]]


def test_without_an_annotation_nothing_is_in_a_wave() -> None:
    assert found(obj("ConfigMap/a"), obj("ConfigMap/b")).milestones == ()


def test_milestones_are_no_objects_and_have_no_wave() -> None:
    result = found(obj("ConfigMap/a"), obj("ConfigMap/b", {WAVE: "1"}))
    assert [ref.name for ref in result.milestones] == ["sync-wave 0 done"]
    assert not any(map(is_milestone, result.objects))
    assert set(result.targets) == {*result.objects, *result.milestones}
    assert [len(wave) for wave in waves(result)] == [1, 1]


def test_an_object_without_a_wave_comes_before_the_wave_that_needs_it() -> None:
    web = obj("Deployment/web", {WAVE: "-1"}, spec=reading("settings"))
    assert order(web, obj("ConfigMap/settings"), obj("ConfigMap/other")) == [
        ["ConfigMap/settings"],
        ["Deployment/web"],
        ["ConfigMap/other"],
    ]


def test_an_object_without_a_wave_waits_for_one_of_a_later_wave_that_it_needs() -> None:
    web = obj("Deployment/web", spec=reading("settings"))
    assert order(web, obj("ConfigMap/other"), obj("ConfigMap/settings", {WAVE: "1"})) == [
        ["ConfigMap/other"],
        ["ConfigMap/settings"],
        ["Deployment/web"],
    ]


def test_what_a_hook_needs_comes_before_it_also_out_of_the_first_wave() -> None:
    job = obj("Job/m", {ARGO: "PreSync"}, spec={"template": {"spec": {"serviceAccountName": "m"}}})
    assert order(job, obj("ServiceAccount/m", {WAVE: "-5"}), obj("ConfigMap/c")) == [
        ["ServiceAccount/m"],
        ["Job/m"],
        ["ConfigMap/c"],
    ]


def reading(name: str) -> dict[str, Any]:
    return {"template": {"spec": {"containers": [{"envFrom": [{"configMapRef": {"name": name}}]}]}}}


def test_waves_stay_after_the_hooks_before_them_where_a_wave_gives_way() -> None:
    web = obj("Deployment/web", {WAVE: "-1"}, spec=reading("settings"))
    job = obj("Job/migrate", {ARGO: "PreSync"})
    assert order(web, job, obj("ConfigMap/settings"))[:2] == [["Job/migrate"], ["ConfigMap/settings"]]


def test_waves_that_contradict_a_reference_are_told_with_annotation_and_line() -> None:
    web = obj("Deployment/web", {WAVE: "0"}, spec=reading("settings"))
    with pytest.raises(InvalidError) as caught:
        order(web, obj("ConfigMap/settings", {WAVE: "1"}))
    (told,) = caught.value.problems
    assert told.message == (
        "objects need each other: /ConfigMap/a/settings is in argocd.argoproj.io/sync-wave 1, after wave 0 "
        "(settings.yaml:10), which holds apps/Deployment/a/web (web.yaml:10), "
        "apps/Deployment/a/web reads /ConfigMap/a/settings (web.yaml:1)"
    )
    assert told.hint == f"remove one of {WAVE} (settings.yaml:10), {WAVE} (web.yaml:10)"
    assert "/ConfigMap/a/settings → apps/Deployment/a/web → /ConfigMap/a/settings" in caught.value.message


def test_two_declared_orders_that_contradict_each_other_say_which_annotations() -> None:
    first = obj("ConfigMap/a", {WAVE: "1"})
    second = obj("ConfigMap/b", {"pipeline/depends-on": "/ConfigMap/a/a", WAVE: "0"})
    with pytest.raises(InvalidError) as caught:
        order(first, second)
    (told,) = caught.value.problems
    assert told.message.startswith("the declared orders contradict each other: ")
    assert "pipeline/depends-on (b.yaml:10)" in told.hint
    assert f"{WAVE} (a.yaml:10)" in told.hint


# --- kapp


def test_a_rule_puts_an_object_after_all_of_a_group() -> None:
    web = obj("Deployment/web", {RULE: "upsert after upserting db"})
    assert order(web, obj("Job/a", {GROUP: "db"}), obj("Job/b", {f"{GROUP}.1": "db"}), obj("Job/c")) == [
        ["Job/a", "Job/b", "Job/c"],
        ["Deployment/web"],
    ]


def test_a_rule_puts_an_object_before_all_of_a_group() -> None:
    first = obj("Job/z", {f"{RULE}.first": "upsert before upserting apps"})
    assert order(first, obj("Deployment/a", {GROUP: "apps"}), obj("Deployment/b")) == [
        ["Deployment/b", "Job/z"],
        ["Deployment/a"],
    ]


@pytest.mark.parametrize("rule", ["upsert after upserting db", "upsert before upserting db"])
def test_an_object_in_the_group_of_its_rule_does_not_wait_for_itself(rule: str) -> None:
    own = obj("Job/b", {GROUP: "db", RULE: rule})
    expected = [["Job/a"], ["Job/b"]] if "after" in rule else [["Job/b"], ["Job/a"]]
    assert order(own, obj("Job/a", {GROUP: "db"})) == expected
    assert found(own).edges == ()


def test_what_waits_for_a_group_waits_also_for_those_of_it_that_wait() -> None:
    chain = [
        obj("Job/c", {RULE: "upsert after upserting db"}),
        obj("Job/b", {GROUP: "db", RULE: "upsert after upserting db"}),
        obj("Job/a", {GROUP: "db"}),
    ]
    assert order(*chain) == [["Job/a"], ["Job/b"], ["Job/c"]]


def test_the_groups_of_kapp_itself_have_their_members_by_kind() -> None:
    web = obj("Deployment/web", {RULE: "upsert after upserting change-groups.kapp.k14s.io/pod-related"})
    assert order(web, obj("ConfigMap/c"), obj("Service/s")) == [
        ["ConfigMap/c", "Service/s"],
        ["Deployment/web"],
    ]


@pytest.mark.parametrize("rule", ["upsert after upserting nobody", "delete before deleting db"])
def test_rules_about_nobody_and_about_deletions_order_nothing(rule: str) -> None:
    assert found(obj("Job/a", {RULE: rule}), obj("Job/b", {GROUP: "db"})).edges == ()


def test_groups_cost_one_edge_a_member_and_not_their_product() -> None:
    members = [obj(f"Job/m{n}", {GROUP: "db"}) for n in range(100)]
    after = [obj(f"Deployment/d{n}", {RULE: "upsert after upserting db"}) for n in range(100)]
    assert len(found(*members, *after).edges) == 200


def test_rules_that_contradict_each_other_are_told() -> None:
    one = obj("Job/a", {GROUP: "a", RULE: "upsert after upserting b"})
    other = obj("Job/b", {GROUP: "b", RULE: "upsert after upserting a"})
    with pytest.raises(InvalidError) as caught:
        order(one, other)
    (told,) = caught.value.problems
    assert told.message == (
        "the declared orders contradict each other: "
        f"batch/Job/a/a comes by {RULE} after b (a.yaml:11), which holds batch/Job/a/b (b.yaml:10), "
        f"batch/Job/a/b comes by {RULE} after a (b.yaml:11), which holds batch/Job/a/a (a.yaml:10)"
    )

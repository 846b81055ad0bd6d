"""Taking objects over from other deploy tools: whose shares are merged, and what goes with that."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pipeline.core.adoption import LAST_APPLIED, adopt, adoption_patch, is_tool, note, predicted, trial

WEB = 'k:{"name":"web"}'
SIDECAR = 'k:{"name":"sidecar"}'


def entry(manager: str, fields: dict[str, Any], operation: str = "Update", **more: str) -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": "v1",
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **more,
    }


def obj(*entries: dict[str, Any], annotations: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": "n", "resourceVersion": "7", "managedFields": list(entries)}
    if annotations:
        meta["annotations"] = annotations
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, **body}


def data(*keys: str) -> dict[str, Any]:
    return {"f:data": {f"f:{key}": {} for key in keys}}


OURS = entry("pipeline", data("a"), "Apply")


@pytest.mark.parametrize(
    "manager",
    [
        "kubectl",
        "kubectl-client-side-apply",
        "kubectl-create",
        "helm",
        "Helm",
        "argocd-controller",
        "kustomize-controller",
        "helm-controller",
        "kapp",
        "kapp-server-side-apply",
        "before-first-apply",
    ],
)
def test_deploy_tools_are_taken_over(manager: str) -> None:
    assert is_tool(manager)


@pytest.mark.parametrize(
    "manager",
    [
        "pipeline",
        "kube-controller-manager",
        "kubectl-rollout",
        "kubectl-edit",
        "kubectl-scale",
        "kubectlish",
        "my-helm",
        "manager",
        "",
    ],
)
def test_controllers_operators_and_we_ourselves_are_not(manager: str) -> None:
    assert not is_tool(manager)


def test_shares_of_all_tools_are_merged_into_one_of_ours() -> None:
    helm = entry("helm", data("b", "c"), "Apply", time="2026-02-01T00:00:00Z")
    other = entry("operator", data("d"))
    merged = adopt(obj(OURS, entry("kubectl-client-side-apply", data("a", "b")), other, helm))
    assert merged is not None
    ours, rest = merged
    assert rest == other
    assert (ours["manager"], ours["operation"], ours["time"]) == ("pipeline", "Apply", "2026-02-01T00:00:00Z")
    assert ours["fieldsV1"] == data("a", "b", "c")


@pytest.mark.parametrize(
    "entries",
    [
        (),
        (OURS,),
        (OURS, entry("operator", data("b"))),
        (entry("kubectl", {"f:status": {}}, subresource="status"),),
        (entry("kubectl", data("b"), apiVersion="v1beta1"),),
        (entry("pipeline", data("a"), "Apply", apiVersion="v1beta1"), entry("kubectl", data("b"))),
        ("not an entry", {"manager": "kubectl"}),
    ],
    ids=["nobody", "we", "an operator", "a subresource", "another version", "ours is another", "malformed"],
)
def test_where_no_tool_has_a_share_there_is_nothing_to_take_over(entries: tuple[Any, ...]) -> None:
    live = obj(*entries, data={"a": "1", "b": "2"})
    assert adopt(live) is None
    assert adoption_patch(live) is None
    assert note(live, obj()) == ""
    assert predicted(live, live) == live


def test_what_only_the_tools_owned_goes_and_the_rest_stays() -> None:
    live = obj(entry("helm", data("a", "b", "c")), data={})
    applied = obj(
        OURS,
        entry("helm", data("a", "b", "c")),
        entry("operator", data("c")),
        data={"a": "1", "b": "2", "c": "3", "unowned": "4"},
    )
    after = predicted(applied, live)
    assert after["data"] == {"a": "1", "c": "3", "unowned": "4"}
    assert [e["manager"] for e in after["metadata"]["managedFields"]] == ["pipeline", "operator"]


def test_a_field_that_we_owned_together_with_a_tool_goes_as_well() -> None:
    live = obj(entry("pipeline", data("a", "b"), "Apply"), entry("helm", data("b")))
    applied = obj(OURS, entry("helm", data("b")), data={"a": "1", "b": "2"})
    assert predicted(applied, live)["data"] == {"a": "1"}


def test_list_items_go_by_their_key_and_set_members_by_value() -> None:
    fields = {
        "f:metadata": {"f:finalizers": {".": {}, 'v:"old"': {}, 'v:"kept"': {}}},
        "f:spec": {
            "f:containers": {
                WEB: {".": {}, "f:name": {}, "f:args": {}},
                SIDECAR: {".": {}, "f:name": {}},
            }
        },
    }
    ours = {
        "f:metadata": {"f:finalizers": {'v:"kept"': {}}},
        "f:spec": {"f:containers": {WEB: {".": {}, "f:name": {}}}},
    }
    live = obj(entry("helm", fields))
    containers = [{"name": "sidecar", "pull": "Always"}, {"name": "web", "args": ["x"], "pull": "Always"}]
    applied = obj(entry("pipeline", ours, "Apply"), entry("helm", fields), spec={"containers": containers})
    applied["metadata"]["finalizers"] = ["old", "kept", "theirs"]
    after = predicted(applied, live)
    assert after["spec"]["containers"] == [{"name": "web", "pull": "Always"}]
    assert after["metadata"]["finalizers"] == ["kept", "theirs"]


def test_a_list_item_that_others_write_in_is_left_whole() -> None:
    fields = {"f:spec": {"f:containers": {SIDECAR: {".": {}, "f:name": {}, "f:image": {}}}}}
    others = {"f:spec": {"f:containers": {SIDECAR: {"f:env": {}}}}}
    live = obj(entry("helm", fields), entry("injector", others))
    sidecar = {"name": "sidecar", "image": "i", "env": []}
    applied = obj(OURS, *live["metadata"]["managedFields"], spec={"containers": [sidecar]})
    assert predicted(applied, live)["spec"]["containers"] == [sidecar]
    merged = adopt(live, applied)
    assert merged is not None
    assert merged[0]["fieldsV1"] == {}


def test_a_key_of_a_map_that_others_write_in_is_not_taken_as_a_whole() -> None:
    mine = {"f:data": {"f:a": {".": {}, "f:x": {}}}}
    live = obj(entry("helm", mine), entry("operator", {"f:data": {"f:a": {"f:y": {}}}}))
    merged = adopt(live)
    assert merged is not None
    assert merged[0]["fieldsV1"] == {"f:data": {"f:a": {"f:x": {}}}}
    applied = obj(OURS, *live["metadata"]["managedFields"], data={"a": {"x": 1, "y": 2}})
    assert predicted(applied, live)["data"] == {"a": {"y": 2}}


def test_an_item_that_stays_keeps_what_it_is_called() -> None:
    items = {"f:spec": {"f:list": {WEB: {"f:name": {}, "f:image": {}}}}}
    live = obj(entry("helm", items))
    ours = entry("pipeline", {"f:spec": {"f:list": {WEB: {}}}}, "Apply")
    applied = obj(ours, entry("helm", items), spec={"list": [{"name": "web", "image": "i"}]})
    assert predicted(applied, live)["spec"] == {"list": [{"name": "web"}]}


def test_kubectls_memory_goes_and_other_annotations_stay() -> None:
    fields = {"f:metadata": {"f:annotations": {".": {}, f"f:{LAST_APPLIED}": {}}}, **data("a")}
    live = obj(entry("kubectl-client-side-apply", fields), annotations={LAST_APPLIED: "{}", "unowned": "1"})
    patch = adoption_patch(live)
    assert patch is not None
    assert patch["metadata"]["annotations"] == {LAST_APPLIED: None}
    assert patch["metadata"]["resourceVersion"] == "7"
    assert patch["metadata"]["managedFields"][0]["fieldsV1"] == data("a")
    applied = {**copy.deepcopy(live), "data": {"a": "1"}}
    assert predicted(applied, live)["metadata"]["annotations"] == {"unowned": "1"}


def test_kubectls_memory_stays_where_somebody_else_owns_it_too() -> None:
    fields = {"f:metadata": {"f:annotations": {f"f:{LAST_APPLIED}": {}}}}
    live = obj(entry("kubectl", fields), entry("operator", fields), annotations={LAST_APPLIED: "{}"})
    patch = adoption_patch(live)
    assert patch is not None
    assert "annotations" not in patch["metadata"]
    assert predicted(live, live)["metadata"]["annotations"] == {LAST_APPLIED: "{}"}


def test_neither_object_is_changed() -> None:
    live = obj(entry("helm", data("a", "b")), annotations={LAST_APPLIED: "{}"}, data={"a": "1", "b": "2"})
    applied = obj(OURS, *live["metadata"]["managedFields"], data={"a": "1", "b": "2"})
    before = copy.deepcopy((live, applied))
    predicted(applied, live)
    adopt(live, applied)
    assert (live, applied) == before


def test_a_trial_replaces_what_differs_and_nothing_of_the_server() -> None:
    live = obj(annotations={"x": "1"}, data={"a": "1"}, binaryData={"b": ""}, status={"s": 1})
    after = {**obj(data={"a": "2"}, immutable=True), "metadata": {"name": "n", "labels": {"l": "1"}}}
    assert trial(live, after) == [
        {"op": "remove", "path": "/binaryData"},
        {"op": "add", "path": "/data", "value": {"a": "2"}},
        {"op": "add", "path": "/immutable", "value": True},
        {"op": "remove", "path": "/metadata/annotations"},
        {"op": "add", "path": "/metadata/labels", "value": {"l": "1"}},
    ]


def test_a_note_names_the_tools_and_some_of_what_goes_without_values() -> None:
    live = obj(
        entry("helm", data("k0")), entry("kubectl", data("k1")), data={f"k{n}": "secret" for n in range(8)}
    )
    told = note(live, obj(data={"k0": "secret"}))
    assert told == (
        "takes the object over from helm, kubectl for good; removes what the manifest lacks: "
        "data.k1, data.k2, data.k3, data.k4, data.k5 and 2 more"
    )

"""What a change looks like to people, what proves a rollback, and that no secret shows in either."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest

from pipeline.core.diff import Masker, diff, differences
from pipeline.model.objects import ObjectRef
from pipeline.model.plan import FieldChange

REF = ObjectRef("apps", "Deployment", "demo", "web")


def obj(kind: str = "ConfigMap", **rest: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "n"}, **copy.deepcopy(rest)}


def secret(**data: str) -> dict[str, Any]:
    return obj("Secret", data={key: base64.b64encode(value.encode()).decode() for key, value in data.items()})


def changes(before: Any, after: Any) -> list[tuple[str, str, Any, Any]]:
    """Of ``spec`` alone."""
    found = diff(obj(spec=before), obj(spec=after))
    return [(f.path.removeprefix("spec."), f.op, f.before, f.after) for f in found]


def test_a_changed_image_is_told_by_the_name_of_its_container() -> None:
    before = {"containers": [{"name": "log", "image": "l:1"}, {"name": "web", "image": "w:1"}]}
    after = {"containers": [{"name": "log", "image": "l:1"}, {"name": "web", "image": "w:2"}]}
    assert changes(before, after) == [("containers[name=web].image", "change", "w:1", "w:2")]


def test_a_new_container_in_front_is_only_that() -> None:
    before = {"containers": [{"name": "web", "image": "w:1"}]}
    after = {"containers": [{"name": "a", "image": "l:1"}, {"name": "web", "image": "w:1"}]}
    assert changes(before, after) == [
        ("containers[name=a].image", "add", None, "l:1"),
        ("containers[name=a].name", "add", None, "a"),
    ]


def test_ports_without_names_are_told_apart_by_number_and_protocol() -> None:
    before = {"ports": [{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP", "hostPort": 1}]}
    after = {"ports": [{"containerPort": 53, "protocol": "UDP", "hostPort": 2}, {"containerPort": 53}]}
    assert changes(before, after)[1:] == [("ports[containerPort=53,protocol=UDP].hostPort", "change", 1, 2)]


def test_the_order_of_named_items_is_a_change_of_its_own() -> None:
    items = [{"name": "a"}, {"name": "b"}]
    assert changes({"initContainers": items}, {"initContainers": items[::-1]}) == [
        ("initContainers", "change", ["name=a", "name=b"], ["name=b", "name=a"])
    ]


def test_items_without_a_name_of_their_own_are_told_by_index() -> None:
    before = {"volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}]}
    after = {
        "volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/b", "readOnly": True}]
    }
    assert changes(before, after) == [("volumeMounts[mountPath=/b].readOnly", "add", None, True)]
    assert changes({"args": ["a", "b"]}, {"args": ["a", "c"]}) == [("args[1]", "change", "b", "c")]


def test_a_list_of_another_length_without_names_is_one_change() -> None:
    assert changes({"args": ["b"]}, {"args": ["a", "b"]}) == [("args", "change", ["b"], ["a", "b"])]


def test_keys_with_dots_are_quoted() -> None:
    assert [c[0] for c in changes({"a.b/c": 1}, {"a.b/c": 2})] == ['spec["a.b/c"]']


@pytest.mark.parametrize(
    ("before", "after", "op"),
    [
        ({}, {"a": {}}, "add"),
        ({"a": {}}, {}, "remove"),
        ({"a": 1}, {"a": True}, "change"),
        ({"a": []}, {"a": {}}, "change"),
    ],
)
def test_empty_values_and_truth_are_values(before: Any, after: Any, op: str) -> None:
    assert [(c[0], c[1]) for c in changes(before, after)] == [("a", op)]


def test_the_same_number_written_otherwise_is_no_change() -> None:
    assert changes({"a": 1}, {"a": 1.0}) == []


def test_an_object_that_is_not_there_has_no_fields() -> None:
    assert diff(None, obj(data={"a": "b"}))[-1] == FieldChange("metadata.name", "add", None, "n")
    assert {f.op for f in diff(obj(), None)} == {"remove"}
    assert diff(None, None) == ()


def test_bookkeeping_and_status_do_not_count_unless_asked() -> None:
    after = obj(status={"ready": 1})
    after["metadata"] |= {"uid": "x", "resourceVersion": "4", "managedFields": [], "generation": 2}
    assert diff(obj(), after) == ()
    assert [f.path for f in diff(obj(), after, ignore_status=False)] == ["status.ready"]


def test_secret_values_are_numbered_and_equal_ones_alike() -> None:
    before = secret(a="hunter22", b="swordfish")
    after = secret(a="swordfish", b="swordfish", c="new-value")
    assert diff(before, after) == (
        FieldChange("data.a", "change", "<masked #1>", "<masked #2>"),
        FieldChange("data.c", "add", None, "<masked #3>"),
    )


def test_one_masker_numbers_alike_across_objects_and_encodings() -> None:
    masker = Masker()
    (one,) = [f for f in diff(None, secret(a="swordfish"), masker=masker) if f.path == "data.a"]
    (two,) = [
        f
        for f in diff(None, obj("Secret", stringData={"z": "swordfish"}), masker=masker)
        if f.path == "stringData.z"
    ]
    assert one.after == two.after == "<masked #1>"


@pytest.mark.parametrize(
    ("value", "annotation"),
    [('sword"fish', '{"stringData": {"a": "sword\\"fish"}}'), ("sword\nfish", "it is: sword\nfish")],
)
def test_an_annotation_that_repeats_a_secret_is_masked(value: str, annotation: str) -> None:
    after = secret(a=value)
    after["metadata"]["annotations"] = {"example.com/original": annotation}
    assert "fish" not in str(diff(secret(), after))


def test_last_applied_is_never_shown() -> None:
    after = obj()
    after["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    assert diff(obj(), after) == ()


def test_a_large_text_is_summarised_by_its_lines() -> None:
    before = {"conf": "\n".join(f"line {n}" for n in range(40))}
    after = {"conf": before["conf"].replace("line 3", "LINE 3")}
    ((path, op, old, new),) = changes(before, after)
    assert (path, op) == ("conf", "change")
    assert old.startswith("309 B, 40 lines (sha256 ")
    assert new.startswith("309 B, 11 of 40 lines changed (sha256 ")


def test_a_long_list_is_summarised_by_its_items() -> None:
    before = {"args": ["x" * 150, "y" * 150]}
    ((_, _, old, new),) = changes(before, {"args": [*before["args"], "z"]})
    assert old.startswith("307 B, 2 items")
    assert new.startswith("311 B, 1 of 3 items changed")


@pytest.mark.parametrize(("size", "text"), [(999, "999 B"), (1234, "1.2 kB"), (2_500_000, "2.5 MB")])
def test_sizes_are_told_in_decimal_units(size: int, text: str) -> None:
    ((_, _, _, new),) = changes({}, {"a": "x" * size})
    assert new.startswith(f"{text}, 1 line")


def managed(spec: dict[str, Any], *entries: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    made = obj("Deployment", spec=spec)
    made["metadata"]["managedFields"] = [
        {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": fields}}
        for manager, operation, fields in entries
    ]
    return made


def test_a_field_of_an_autoscaler_alone_does_not_spoil_a_rollback() -> None:
    scaler = ("kube-controller-manager", "Update", {"f:replicas": {}})
    ours = ("pipeline", "Apply", {"f:replicas": {}})
    before = obj("Deployment", spec={"replicas": 2})
    assert differences(REF, before, managed({"replicas": 5}, scaler)) == ()
    assert [d.path for d in differences(REF, before, managed({"replicas": 5}, scaler, ours))] == [
        "spec.replicas"
    ]


def test_a_field_that_nobody_owns_counts() -> None:
    (found,) = differences(REF, managed({"clusterIP": "10.0.0.1"}), managed({"clusterIP": "10.0.0.2"}))
    assert (found.ref, found.path, found.before, found.after) == (
        REF,
        "spec.clusterIP",
        "10.0.0.1",
        "10.0.0.2",
    )


def test_a_lost_field_counts_unless_a_controller_of_kubernetes_took_it_back() -> None:
    controllers = managed({"x": 1}, ("kube-controller-manager", "Update", {"f:x": {}}))
    kubectl = managed({"x": 1}, ("kubectl", "Update", {"f:x": {}}))
    assert differences(REF, controllers, managed({})) == ()
    assert [d.path for d in differences(REF, kubectl, managed({}))] == ["spec.x"]


def test_ownership_is_looked_up_where_the_item_is_now() -> None:
    fields = {"f:containers": {'k:{"name":"web"}': {"f:image": {}}}}
    before = obj("Deployment", spec={"containers": [{"name": "web", "image": "w:1"}]})
    after = managed(
        {"containers": [{"name": "a"}, {"name": "web", "image": "w:2"}]}, ("injector", "Update", fields)
    )
    assert [d.path for d in differences(REF, before, after)] == ["spec.containers[name=a].name"]


def test_secret_values_are_masked_in_differences() -> None:
    (found,) = differences(REF, secret(a="hunter22"), secret(a="swordfish"))
    assert (found.before, found.after) == ("<masked #1>", "<masked #2>")

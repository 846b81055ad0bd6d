"""What of an old state can be had again, and why the rest cannot."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.attainable import (
    attainable,
    given_up,
    lost_allocated,
    with_allocated,
    with_written,
    without_held,
)
from pipeline.core.rollback import Before, residue
from pipeline.model.objects import Object, ObjectRef

SERVICE = ObjectRef("", "Service", "demo", "web")
CLAIM = ObjectRef("", "PersistentVolumeClaim", "demo", "data")
CRD = ObjectRef("apiextensions.k8s.io", "CustomResourceDefinition", "", "widgets.example.com")


def obj(ref: ObjectRef, spec: Any, **more: Any) -> Object:
    api_version = f"{ref.group}/v1" if ref.group else "v1"
    meta = {"name": ref.name, "namespace": ref.namespace}
    return {"apiVersion": api_version, "kind": ref.kind, "metadata": meta, "spec": spec, **more}


PORTS = [{"port": 80, "nodePort": 30080}, {"port": 80, "protocol": "UDP", "nodePort": 30081}]
ADDRESS = {"clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"]}


@pytest.mark.parametrize(
    ("refused", "spec"),
    [
        (["spec.clusterIPs"], {"ports": PORTS}),
        (["spec.ports[1].nodePort"], {**ADDRESS, "ports": [PORTS[0], {"port": 80, "protocol": "UDP"}]}),
        (["spec.ports[0].nodePort", "spec.clusterIP"], {"ports": [{"port": 80}, PORTS[1]]}),
        (["spec.ports[1].targetPort"], None),
        ([], None),
    ],
    ids=str,
)
def test_of_a_service_only_what_the_server_named_is_given_up(refused: list[str], spec: Any) -> None:
    body = obj(SERVICE, {**ADDRESS, "ports": PORTS})
    less = attainable(body, None, refused, one_way=False)
    assert (less and less["spec"]) == spec


def size(text: str) -> Object:
    return {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": text}}}


def test_of_a_claim_that_grew_the_size_is_given_up_if_the_plan_had_said_so() -> None:
    then, now = obj(CLAIM, size("1Gi")), obj(CLAIM, size("2Gi"))
    assert attainable(then, now, [], one_way=True) == obj(CLAIM, size("2Gi"))
    assert attainable(then, now, [], one_way=False) is None
    assert attainable(now, now, [], one_way=True) is None


def versions(*names: str) -> list[Object]:
    return [{"name": n, "served": True, "storage": n == names[-1]} for n in names]


def test_of_a_definition_the_versions_with_stored_objects_stay_and_store_nothing_more() -> None:
    then = obj(CRD, {"versions": versions("v1")})
    now = obj(CRD, {"versions": versions("v1", "v3", "v2")}, status={"storedVersions": ["v1", "v2"]})
    less = attainable(then, now, [], one_way=True)
    assert less is not None
    assert [(v["name"], v["storage"]) for v in less["spec"]["versions"]] == [("v1", True), ("v2", False)]
    assert attainable(then, now, [], one_way=False) is None


def test_of_other_kinds_all_comes_back_or_it_is_a_failure() -> None:
    ref = ObjectRef("", "ConfigMap", "demo", "a")
    assert attainable(obj(ref, {}), None, ["spec.clusterIP"], one_way=True) is None


@pytest.mark.parametrize(
    ("ref", "path", "expected"),
    [
        (SERVICE, "spec.clusterIP", True),
        (SERVICE, "spec.clusterIPs[0]", True),
        (SERVICE, "spec.ports[name=http].nodePort", True),
        (SERVICE, "spec.healthCheckNodePort", True),
        (SERVICE, "spec.ports[name=http].targetPort", False),
        (SERVICE, "spec.selector.app", False),
        (CLAIM, "spec.resources.requests.storage", True),
        (CLAIM, "spec.resources.requests.iops", False),
        (CLAIM, "metadata.labels.storage", False),
        (CRD, "spec.versions[name=v2].schema", True),
        (CRD, "spec.scope", False),
        (ObjectRef("", "ConfigMap", "demo", "a"), "spec.clusterIP", False),
    ],
    ids=str,
)
def test_only_what_may_be_given_up_has_an_excuse(ref: ObjectRef, path: str, expected: bool) -> None:
    assert bool(given_up(ref, path)) is expected


def before(ref: ObjectRef, then: Object | None) -> Before:
    return Before(objects={ref: then}, api_versions={ref: "v1"}, order={ref: 1})


def test_a_difference_has_an_excuse_only_where_the_server_refused_the_object() -> None:
    state, live = before(CLAIM, obj(CLAIM, size("1Gi"))), {CLAIM: obj(CLAIM, size("2Gi"))}
    (unexpected,) = residue(state, live, {})
    (expected,) = residue(state, live, {}, {CLAIM})
    assert (unexpected.reason, unexpected.path) == ("", "spec.resources.requests.storage")
    assert expected.reason == "a volume does not shrink, as the plan had said"


def test_what_was_created_and_kept_is_listed_with_its_reason_and_what_is_missing_without() -> None:
    there = {CLAIM: obj(CLAIM, {})}
    (kept,) = residue(before(CLAIM, None), there, {CLAIM: "it holds data"})
    (stayed,) = residue(before(CLAIM, None), there, {})
    (missing,) = residue(before(CLAIM, obj(CLAIM, {})), {}, {CLAIM: "it holds data"})
    assert [d.reason for d in (kept, stayed, missing)] == ["it holds data", "", ""]


def test_a_service_gets_the_address_and_the_node_ports_back_that_it_lost() -> None:
    then = obj(SERVICE, {**ADDRESS, "type": "NodePort", "ports": PORTS})
    now = obj(SERVICE, {**ADDRESS, "type": "ClusterIP", "ports": [{"port": 80}]})
    ours = obj(SERVICE, {"type": "NodePort", "ports": [{"port": 80}, {"port": 80, "protocol": "UDP"}]})
    assert lost_allocated(then, now)
    assert with_allocated(ours, then, now)["spec"] == {**ADDRESS, "type": "NodePort", "ports": PORTS}


def test_a_service_that_lost_nothing_is_restored_by_our_fields_alone() -> None:
    then = obj(SERVICE, {**ADDRESS, "ports": PORTS})
    now = obj(SERVICE, {**ADDRESS, "ports": [{**port, "targetPort": 1} for port in PORTS]})
    ours = obj(SERVICE, {"ports": [{"port": 80}]})
    assert not lost_allocated(then, now)
    assert with_allocated(ours, then, now) is ours
    assert not lost_allocated(obj(CLAIM, {"clusterIP": "x"}), obj(CLAIM, {}))


def service(spec: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec}


def test_a_trial_beside_a_service_asks_for_nothing_that_this_one_holds() -> None:
    held = {"port": 80, "nodePort": 30080}
    live = service({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ports": [held]})
    ports = [held, {"port": 81, "nodePort": 30081}]
    wanted = service({"clusterIP": "10.0.0.1", "ports": ports, "type": "NodePort"})
    tried = without_held(wanted, live)
    assert tried["spec"] == {"ports": [{"port": 80}, {"port": 81, "nodePort": 30081}], "type": "NodePort"}
    answer = service({"clusterIP": "10.0.0.9", "clusterIPs": ["10.0.0.9"], "ports": [{"port": 80}, ports[1]]})
    assert with_written(answer, wanted)["spec"] == {
        "clusterIP": "10.0.0.1",
        "clusterIPs": ["10.0.0.1"],
        "ports": ports,
    }


@pytest.mark.parametrize(("old", "new"), [("10.0.0.1", "None"), ("10.0.0.1", "10.0.0.2"), ("None", "None")])
def test_it_asks_for_the_new_address_or_for_none(old: str, new: str) -> None:
    wanted = service({"clusterIP": new, "ports": []})
    assert without_held(wanted, service({"clusterIP": old})) == wanted


def test_of_other_kinds_a_trial_asks_for_all() -> None:
    claim: Object = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "a"}}
    assert without_held(claim, claim) is claim
    assert with_written(claim, claim) is claim

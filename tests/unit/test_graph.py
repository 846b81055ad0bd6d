"""What is inferred and declared about order, and what is said where it cannot be followed."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.graph import Edge, delete_waves, needs, reverse, waves
from pipeline.model.errors import InvalidError
from pipeline.model.objects import Manifest, ObjectRef, Origin

OWN = "pipeline/depends-on"
CLI_UTILS = "config.kubernetes.io/depends-on"


def manifest(written: str, body: dict[str, Any] | None = None, **annotations: str) -> Manifest:
    """An object ``group/version/Kind/namespace/name`` in a file called like it."""
    group, version, kind, namespace, name = written.split("/")
    metadata: dict[str, Any] = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if annotations:
        metadata["annotations"] = {
            {"own": OWN, "cli_utils": CLI_UTILS}[key]: value for key, value in annotations.items()
        }
    full = {"apiVersion": f"{group}/{version}" if group else version, "kind": kind, "metadata": metadata}
    full |= body or {}
    lines = {("metadata", "annotations", OWN): 7, ("metadata", "annotations", CLI_UTILS): 8}
    return Manifest(ObjectRef.of(full), full, Origin(f"{name}.yaml", 1), lines)


def pod(name: str, namespace: str = "a", **spec: Any) -> Manifest:
    return manifest(f"/v1/Pod/{namespace}/{name}", {"spec": spec})


def edges(*manifests: Manifest) -> list[tuple[str, str, str]]:
    found = needs(manifests, default_namespace="a").edges
    return [(edge.source.short, edge.target.short, edge.strength) for edge in found]


def written(*manifests: Manifest) -> list[list[str]]:
    return [[ref.short for ref in wave] for wave in waves(needs(manifests, default_namespace="a"))]


def test_a_pod_comes_after_the_configuration_it_reads() -> None:
    web = pod("web", volumes=[{"name": "v", "configMap": {"name": "settings"}}])
    assert edges(web, manifest("/v1/ConfigMap/a/settings")) == [
        ("Pod/web", "ConfigMap/settings", "exists"),
    ]


def test_an_optional_reference_orders_where_its_target_is_in_the_set() -> None:
    web = pod("web", volumes=[{"name": "v", "configMap": {"name": "settings", "optional": True}}])
    assert len(edges(web, manifest("/v1/ConfigMap/a/settings"))) == 1


def test_a_reference_to_what_is_not_in_the_set_is_no_edge() -> None:
    assert edges(pod("web", serviceAccountName="runner")) == []


def test_the_default_namespace_may_be_left_out() -> None:
    web = pod("web", namespace="", serviceAccountName="runner")
    assert edges(web, manifest("/v1/ServiceAccount/a/runner")) == [
        ("Pod/web", "ServiceAccount/runner", "exists")
    ]


def test_the_same_name_in_another_namespace_is_another_object() -> None:
    assert edges(pod("web", serviceAccountName="runner"), manifest("/v1/ServiceAccount/b/runner")) == []


def test_a_namespace_comes_before_its_objects_and_not_before_cluster_scoped_ones() -> None:
    role = manifest("rbac.authorization.k8s.io/v1/ClusterRole//reader")
    found = edges(manifest("/v1/Namespace//a"), pod("web"), pod("api", namespace=""), role)
    assert [source for source, _, _ in found] == ["Pod/api", "Pod/web"]


def crd(scope: str = "Namespaced") -> Manifest:
    spec = {"group": "example.com", "names": {"kind": "Widget"}, "scope": scope}
    return manifest("apiextensions.k8s.io/v1/CustomResourceDefinition//widgets.example.com", {"spec": spec})


def test_a_custom_resource_waits_until_its_definition_is_ready() -> None:
    assert edges(crd(), manifest("example.com/v1/Widget/a/one")) == [
        ("Widget/one", "CustomResourceDefinition/widgets.example.com", "ready")
    ]


def test_a_cluster_scoped_custom_resource_does_not_wait_for_the_default_namespace() -> None:
    found = edges(crd("Cluster"), manifest("/v1/Namespace//a"), manifest("example.com/v1/Widget//one"))
    assert [target for _, target, _ in found] == ["CustomResourceDefinition/widgets.example.com"]


def test_a_binding_comes_after_its_role() -> None:
    binding = manifest(
        "rbac.authorization.k8s.io/v1/RoleBinding/a/b",
        {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}},
    )
    assert edges(binding, manifest("rbac.authorization.k8s.io/v1/Role/a/r")) == [
        ("RoleBinding/b", "Role/r", "exists")
    ]


def test_a_token_comes_after_its_account_though_the_account_lists_it() -> None:
    token = manifest(
        "/v1/Secret/a/token",
        {"type": "kubernetes.io/service-account-token"},
    )
    account = manifest("/v1/ServiceAccount/a/runner", {"secrets": [{"name": "token"}]})
    assert edges(token, account) == []
    assert edges(manifest("/v1/Secret/a/token"), account) == [
        ("ServiceAccount/runner", "Secret/token", "exists")
    ]


@pytest.mark.parametrize(
    "annotations",
    [
        {"own": "/Pod/a/db"},
        {"own": " /Pod/a/db , /Pod/a/db,"},
        {"own": "/Pod//db"},
        {"cli_utils": "/namespaces/a/Pod/db"},
    ],
)
def test_declared_dependencies_wait_for_readiness(annotations: dict[str, str]) -> None:
    web = manifest("/v1/Pod/a/web", None, **annotations)
    assert edges(web, pod("db")) == [("Pod/web", "Pod/db", "ready")]


def test_a_declared_dependency_on_a_cluster_scoped_object_has_three_parts() -> None:
    web = manifest("/v1/Pod/a/web", None, cli_utils="rbac.authorization.k8s.io/ClusterRole/reader")
    reader = manifest("rbac.authorization.k8s.io/v1/ClusterRole//reader")
    assert edges(web, reader) == [("Pod/web", "ClusterRole/reader", "ready")]


def test_a_declared_dependency_is_stronger_than_an_inferred_one_to_the_same_object() -> None:
    web = manifest(
        "/v1/Pod/a/web", {"spec": {"serviceAccountName": "runner"}}, own="/ServiceAccount/a/runner"
    )
    (edge,) = needs([web, manifest("/v1/ServiceAccount/a/runner")], default_namespace="a").edges
    assert (edge.strength, edge.declared, edge.origin) == ("ready", True, Origin("web.yaml", 7))


def test_an_object_does_not_wait_for_itself() -> None:
    web = manifest("/v1/Pod/a/web", None, own="/Pod/a/web")
    assert written(web) == [["Pod/web"]]


def test_a_declared_dependency_that_is_not_in_the_set_is_refused_with_the_nearest() -> None:
    web = manifest("/v1/Pod/a/web", None, own="/ConfigMap/a/setings")
    with pytest.raises(InvalidError) as caught:
        edges(web, manifest("/v1/ConfigMap/a/settings"), manifest("/v1/ConfigMap/a/other"))
    (problem,) = caught.value.problems
    assert problem.code == "depends-on-unknown"
    assert problem.origin == Origin("web.yaml", 7)
    assert problem.hint == "did you mean /ConfigMap/a/settings?"


@pytest.mark.parametrize(
    ("annotations", "line"),
    [({"own": "db"}, 7), ({"own": "/Pod/db"}, 7), ({"cli_utils": "/namespaces//Pod/db"}, 8)],
)
def test_a_malformed_declaration_is_refused_with_its_line(annotations: dict[str, str], line: int) -> None:
    with pytest.raises(InvalidError) as caught:
        edges(manifest("/v1/Pod/a/web", None, **annotations), pod("db"))
    (problem,) = caught.value.problems
    assert (problem.code, problem.origin) == ("depends-on-malformed", Origin("web.yaml", line))


def test_every_bad_declaration_is_told_at_once() -> None:
    with pytest.raises(InvalidError) as caught:
        edges(manifest("/v1/Pod/a/web", None, own="x,/Pod/a/gone"), manifest("/v1/Pod/a/b", None, own="y"))
    assert len(caught.value.problems) == 3


def test_waves_are_as_few_as_they_can_be() -> None:
    web = pod("web", serviceAccountName="runner")
    assert written(
        web, manifest("/v1/ServiceAccount/a/runner"), pod("other"), manifest("/v1/Namespace//a")
    ) == [
        ["Namespace/a"],
        ["Pod/other", "ServiceAccount/runner"],
        ["Pod/web"],
    ]


def test_users_are_deleted_before_what_they_use() -> None:
    found = needs([pod("web"), manifest("/v1/Namespace//a")], default_namespace="a")
    assert [[ref.short for ref in wave] for wave in delete_waves(found)] == [["Pod/web"], ["Namespace/a"]]
    assert [(e.source.short, e.target.short) for e in reverse(found).edges] == [("Namespace/a", "Pod/web")]


def test_a_cycle_is_told_with_its_members_and_lines_in_order() -> None:
    a = manifest("/v1/Pod/a/a", None, own="/Pod/a/b")
    b = manifest("/v1/Pod/a/b", None, own="/Pod/a/c")
    c = manifest("/v1/Pod/a/c", None, own="/Pod/a/a")
    behind = manifest("/v1/Pod/a/0", None, own="/Pod/a/a")
    with pytest.raises(InvalidError) as caught:
        written(c, b, a, behind)
    assert "/Pod/a/a → /Pod/a/b → /Pod/a/c → /Pod/a/a" in caught.value.message
    (problem,) = caught.value.problems
    assert problem.code == "dependency-cycle"
    assert problem.message == "objects need each other: " + ", ".join(
        f"/Pod/a/{x} declares with {OWN} that it needs /Pod/a/{y} ({x}.yaml:7)" for x, y in ("ab", "bc", "ca")
    )


def test_an_inferred_edge_that_closes_a_declared_cycle_is_told_with_it() -> None:
    account = manifest("/v1/ServiceAccount/a/runner", None, own="/Pod/a/web")
    with pytest.raises(InvalidError) as caught:
        written(account, pod("web", serviceAccountName="runner"))
    (problem,) = caught.value.problems
    assert "/Pod/a/web names the account /ServiceAccount/a/runner (web.yaml:1)" in problem.message
    assert "/ServiceAccount/a/runner declares with pipeline/depends-on" in problem.message
    assert problem.origin == Origin("runner.yaml", 7), "the declared edge is the one to remove"


def test_cycles_apart_from_each_other_are_all_told() -> None:
    pairs = [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")]
    with pytest.raises(InvalidError) as caught:
        written(*(manifest(f"/v1/Pod/a/{x}", None, own=f"/Pod/a/{y}") for x, y in pairs))
    assert len(caught.value.problems) == 2


def test_a_cycle_is_told_as_written_when_deleting() -> None:
    a, b = (manifest(f"/v1/Pod/a/{x}", None, own=f"/Pod/a/{y}") for x, y in ("ab", "ba"))
    with pytest.raises(InvalidError, match="/Pod/a/a → /Pod/a/b"):
        delete_waves(needs([a, b], default_namespace="a"))


def test_targets_map_every_object_to_what_it_needs() -> None:
    found = needs([pod("web"), manifest("/v1/Namespace//a")], default_namespace="a")
    assert {k.short: {t.short for t in v} for k, v in found.targets.items()} == {
        "Namespace/a": set(),
        "Pod/web": {"Namespace/a"},
    }


def test_an_edge_reads_as_a_sentence() -> None:
    edge = Edge(
        ObjectRef("", "Pod", "a", "w"), ObjectRef("", "Secret", "a", "s"), "reads", "exists", Origin("f", 3)
    )
    assert str(edge) == "/Pod/a/w reads /Secret/a/s (f:3)"

"""What is inferred and declared about order, and what is said where it cannot be followed."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.graph import Edge, needs, waves
from pipeline.model.errors import InvalidError
from pipeline.model.objects import Manifest, ObjectRef, Origin
from pipeline.model.plan import Strength

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
    assert problem.message == "the declared orders contradict each other: " + ", ".join(
        f"/Pod/a/{x} declares with {OWN} that it needs /Pod/a/{y} ({x}.yaml:7)" for x, y in ("ab", "bc", "ca")
    )
    assert problem.hint == f"remove one of {OWN} (a.yaml:7), {OWN} (b.yaml:7), {OWN} (c.yaml:7)"


def test_an_inferred_edge_that_closes_a_declared_cycle_is_told_with_it() -> None:
    account = manifest("/v1/ServiceAccount/a/runner", None, own="/Pod/a/web")
    with pytest.raises(InvalidError) as caught:
        written(account, pod("web", serviceAccountName="runner"))
    (problem,) = caught.value.problems
    assert "/Pod/a/web names the account /ServiceAccount/a/runner (web.yaml:1)" in problem.message
    assert "/ServiceAccount/a/runner declares with pipeline/depends-on" in problem.message
    assert problem.message.startswith("objects need each other: ")
    assert problem.origin == Origin("runner.yaml", 7), "the declared edge is the one to remove"
    assert problem.hint == f"remove {OWN} (runner.yaml:7)"


def test_cycles_apart_from_each_other_are_all_told() -> None:
    pairs = [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")]
    with pytest.raises(InvalidError) as caught:
        written(*(manifest(f"/v1/Pod/a/{x}", None, own=f"/Pod/a/{y}") for x, y in pairs))
    assert len(caught.value.problems) == 2


def test_targets_map_every_object_to_what_it_needs() -> None:
    found = needs([pod("web"), manifest("/v1/Namespace//a")], default_namespace="a")
    assert {k.short: {t.short for t in v} for k, v in found.targets.items()} == {
        "Namespace/a": set(),
        "Pod/web": {"Namespace/a"},
    }


def test_an_edge_reads_as_a_sentence() -> None:
    source, target = ObjectRef("", "Pod", "a", "w"), ObjectRef("", "Secret", "a", "s")
    edge = Edge(source, target, "reads", Strength.EXISTS, Origin("f", 3))
    assert str(edge) == "/Pod/a/w reads /Secret/a/s (f:3)"


def test_strengths_are_ordered_by_how_much_they_ask_for() -> None:
    assert sorted(["ready", "available", "exists"], key=Strength) == [
        Strength.EXISTS,
        Strength.AVAILABLE,
        Strength.READY,
    ]
    assert max(Strength.AVAILABLE, Strength.EXISTS) is Strength.AVAILABLE


def test_an_inferred_need_stays_one_for_existence_where_another_object_needs_more() -> None:
    web = pod("web", serviceAccountName="runner")
    other = manifest("/v1/Pod/a/other", None, own="/ServiceAccount/a/runner")
    found = needs([web, other, manifest("/v1/ServiceAccount/a/runner")], default_namespace="a").targets
    runner = ObjectRef("", "ServiceAccount", "a", "runner")
    assert (found[web.ref][runner], found[other.ref][runner]) == (Strength.EXISTS, Strength.READY)


def test_what_waits_for_a_hard_and_a_soft_reason_waits_hard() -> None:
    """A route to a Service that it also declares to need must not give way silently."""
    backend = {"defaultBackend": {"service": {"name": "web"}}}
    ingress = annotated("networking.k8s.io/v1/Ingress/a/web", {"spec": backend}, {OWN: "/Service/a/web"})
    service = annotated("/v1/Service/a/web", None, {OWN: "networking.k8s.io/Ingress/a/web"})
    with pytest.raises(InvalidError):
        written(ingress, service)


def test_a_soft_edge_gives_way_to_a_declared_order() -> None:
    backend = {"defaultBackend": {"service": {"name": "web"}}}
    ingress = annotated("networking.k8s.io/v1/Ingress/a/web", {"spec": backend}, {})
    service = annotated("/v1/Service/a/web", None, {OWN: "networking.k8s.io/Ingress/a/web"})
    found = needs([ingress, service], default_namespace="a")
    assert [[ref.short for ref in wave] for wave in waves(found)] == [["Ingress/web"], ["Service/web"]]
    assert [(e.source.short, e.target.short) for e in found.gave_way] == [("Ingress/web", "Service/web")]


def annotated(written: str, body: dict[str, Any] | None, annotations: dict[str, str]) -> Manifest:
    """As ``manifest``, with any annotations, which stand at lines 10, 11, …"""
    plain = manifest(written, body)
    full = {**plain.body, "metadata": {**plain.body["metadata"], "annotations": annotations}}
    lines = {("metadata", "annotations", key): 10 + n for n, key in enumerate(annotations)}
    return Manifest(plain.ref, full, plain.origin, lines)


# --- inferred from more than names


def workload(name: str, labels: dict[str, str], namespace: str = "a", **spec: Any) -> Manifest:
    template = {"metadata": {"labels": labels}, "spec": spec}
    return manifest(f"apps/v1/Deployment/{namespace}/{name}", {"spec": {"template": template}})


def why(source: Manifest, *others: Manifest) -> list[tuple[str, str, str, bool]]:
    """What ``source`` waits for among the others: (object, verb, strength, soft)."""
    found = needs([source, *others], default_namespace="a")
    return [(e.target.short, e.why, e.strength, bool(e.soft)) for e in found.edges if e.source == source.ref]


WEB = workload("web", {"app": "web", "tier": "front"})


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": {"app": "web"}},
        {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "x"]}]},
        {"matchExpressions": [{"key": "tier", "operator": "Exists"}]},
        {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]},
        {},
    ],
)
def test_a_disruption_budget_comes_after_the_workloads_it_protects(selector: dict[str, Any]) -> None:
    budget = manifest("policy/v1/PodDisruptionBudget/a/b", {"spec": {"selector": selector}})
    assert why(budget, WEB, workload("db", {"app": "db"}, namespace="b")) == [
        ("Deployment/web", "protects the pods of", "exists", True)
    ]


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": {"app": "db"}},
        {"matchLabels": {"app": "web", "tier": "back"}},
        {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]},
        {"matchExpressions": [{"key": "app", "operator": "Like", "values": ["web"]}]},
        {"matchExpressions": "junk"},
        {"matchLabels": ["junk"]},
        None,
    ],
)
def test_a_selector_that_does_not_match_or_is_none_orders_nothing(selector: Any) -> None:
    budget = manifest("policy/v1/PodDisruptionBudget/a/b", {"spec": {"selector": selector}})
    assert why(budget, WEB) == []


def test_no_pod_starts_before_what_bounds_and_guards_it() -> None:
    def policy(name: str, selector: dict[str, Any]) -> Manifest:
        return manifest(f"networking.k8s.io/v1/NetworkPolicy/a/{name}", {"spec": {"podSelector": selector}})

    found = why(
        WEB,
        manifest("/v1/LimitRange/a/limits"),
        manifest("/v1/ResourceQuota//quota"),
        manifest("/v1/ResourceQuota/b/elsewhere"),
        policy("all", {}),
        policy("web", {"matchLabels": {"app": "web"}}),
        policy("db", {"matchLabels": {"app": "db"}}),
    )
    assert [(target, soft) for target, _, _, soft in found] == [
        ("LimitRange/limits", True),
        ("ResourceQuota/quota", True),
        ("NetworkPolicy/all", True),
        ("NetworkPolicy/web", True),
    ]


def test_a_workload_waits_for_the_rights_of_its_account() -> None:
    def binding(name: str, account: str) -> Manifest:
        subjects = [{"kind": "ServiceAccount", "name": account, "namespace": "a"}]
        written = f"rbac.authorization.k8s.io/v1/ClusterRoleBinding//{name}"
        return manifest(written, {"subjects": subjects, "roleRef": {"kind": "ClusterRole", "name": "view"}})

    bindings = [binding("x", "runner"), binding("y", "default")]
    runner = workload("web", {}, serviceAccountName="runner")
    assert [t for t, _, _, _ in why(runner, *bindings)] == ["ClusterRoleBinding/x"]
    assert [t for t, _, _, _ in why(WEB, *bindings)] == ["ClusterRoleBinding/y"]


def test_an_aggregated_role_comes_after_the_roles_it_gathers() -> None:
    def role(name: str, **body: Any) -> Manifest:
        plain = manifest(f"rbac.authorization.k8s.io/v1/ClusterRole//{name}", body)
        labels = {"metadata": {"name": name, "labels": {"gather": "yes"}}}
        return Manifest(plain.ref, {**plain.body, **labels}, plain.origin)

    rule = {"clusterRoleSelectors": [{"matchLabels": {"gather": "yes"}}]}
    assert why(role("whole", aggregationRule=rule), role("part")) == [
        ("ClusterRole/part", "gathers the rules of", "exists", True)
    ]


def hook_service() -> list[Manifest]:
    return [
        manifest("/v1/Service/a/hook", {"spec": {"selector": {"app": "hook"}}}),
        workload("hook", {"app": "hook"}, serviceAccountName="hook"),
        manifest("/v1/ServiceAccount/a/hook"),
    ]


def webhook(kind: str = "Validating", **fields: Any) -> Manifest:
    client = {"service": {"name": "hook", "namespace": "a"}}
    written = f"admissionregistration.k8s.io/v1/{kind}WebhookConfiguration//w"
    return manifest(written, {"webhooks": [{"clientConfig": client, **fields}]})


def rule(resource: str, group: str = "", **fields: Any) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": [resource], "operations": ["CREATE"], **fields}


def test_a_webhook_waits_until_its_workload_serves() -> None:
    assert why(webhook(), *hook_service()) == [
        ("Service/hook", "routes to", "exists", False),
        ("Deployment/hook", "is answered by the pods of", "available", False),
    ]


def test_an_aggregated_api_waits_for_its_workload_and_its_objects_for_it() -> None:
    spec = {"group": "example.com", "version": "v1", "service": {"name": "hook", "namespace": "a"}}
    api = manifest("apiregistration.k8s.io/v1/APIService//v1.example.com", {"spec": spec})
    widget = manifest("example.com/v1/Widget/a/one")
    assert ("Deployment/hook", "is answered by the pods of", "available", False) in why(api, *hook_service())
    assert why(widget, api) == [("APIService/v1.example.com", "is served through", "ready", False)]
    assert why(manifest("example.com/v2/Widget/a/one"), api) == []


@pytest.mark.parametrize(
    ("rules", "covered"),
    [
        ([rule("configmaps")], True),
        ([rule("*")], True),
        ([rule("*/*", "*")], True),
        ([rule("configmaps", scope="Cluster")], False),
        ([rule("configmaps", "apps")], False),
        ([rule("configmaps", operations=["DELETE"])], False),
        ([rule("secrets")], False),
        (["junk", {"apiGroups": "*"}], False),
    ],
)
def test_an_object_comes_after_the_webhooks_that_look_at_it(rules: list[Any], covered: bool) -> None:
    settings = manifest("/v1/ConfigMap/a/settings")
    expected = [("ValidatingWebhookConfiguration/w", "is looked at by", "exists", True)] if covered else []
    assert why(settings, webhook(rules=rules)) == expected


def test_workloads_come_after_what_is_injected_into_their_pods() -> None:
    injector = webhook("Mutating", rules=[rule("pods")], objectSelector={"matchLabels": {"app": "web"}})
    assert why(WEB, injector) == [
        ("MutatingWebhookConfiguration/w", "makes pods that are looked at by", "exists", True)
    ]
    assert why(workload("db", {"app": "db"}), injector) == []


@pytest.mark.parametrize(
    ("labels", "selector", "covered"),
    [
        ({"inject": "yes"}, {"matchLabels": {"inject": "yes"}}, True),
        ({}, {"matchLabels": {"inject": "yes"}}, False),
        ({}, {"matchLabels": {"kubernetes.io/metadata.name": "a"}}, True),
        (None, {"matchLabels": {"inject": "yes"}}, True),
        (None, {"matchLabels": {"kubernetes.io/metadata.name": "other"}}, False),
    ],
)
def test_a_webhook_looks_only_at_the_namespaces_it_selects(
    labels: dict[str, str] | None, selector: dict[str, Any], covered: bool
) -> None:
    """``labels`` None: the Namespace is not in the set, and so may have any label but another name."""
    plain = manifest("/v1/Namespace//a")
    own = Manifest(plain.ref, {**plain.body, "metadata": {"name": "a", "labels": labels}}, plain.origin)
    others = [] if labels is None else [own]
    hook = webhook(rules=[rule("configmaps")], namespaceSelector=selector)
    found = why(manifest("/v1/ConfigMap/a/settings"), hook, *others)
    assert ("ValidatingWebhookConfiguration/w" in [target for target, _, _, _ in found]) is covered


def test_a_webhook_for_everything_does_not_hold_up_what_it_rests_on() -> None:
    everything = webhook(rules=[rule("*", "*")])
    found = written(
        everything, *hook_service(), manifest("/v1/ConfigMap/a/later"), manifest("/v1/Namespace//a")
    )
    assert found == [
        ["Namespace/a"],
        ["Service/hook", "ServiceAccount/hook"],
        ["Deployment/hook"],
        ["ValidatingWebhookConfiguration/w"],
        ["ConfigMap/later"],
    ]


def test_coverage_gives_way_before_protection_does() -> None:
    """The policy that guards the webhook's own pods is covered by it, and still comes before them."""
    policy = manifest("networking.k8s.io/v1/NetworkPolicy/a/p", {"spec": {"podSelector": {}}})
    service, hook, account = hook_service()
    found = why(hook, webhook(rules=[rule("*", "*")]), service, account, policy)
    assert ("NetworkPolicy/p", "makes pods guarded by", "exists", True) in found


def test_the_objects_that_configure_admission_are_looked_at_by_no_webhook() -> None:
    other = manifest("admissionregistration.k8s.io/v1/MutatingWebhookConfiguration//m")
    assert why(other, webhook(rules=[rule("*", "*")])) == []


def test_custom_resources_are_known_by_the_plural_of_their_definition() -> None:
    names = {"kind": "Widget", "plural": "gizmos"}
    spec = {"group": "example.com", "names": names, "scope": "Namespaced"}
    definition = manifest("apiextensions.k8s.io/v1/CustomResourceDefinition//g", {"spec": spec})
    widget = manifest("example.com/v1/Widget/a/one")
    looked_at = ("ValidatingWebhookConfiguration/w", "is looked at by", "exists", True)
    assert looked_at in why(widget, definition, webhook(rules=[rule("gizmos", "example.com")]))
    assert looked_at in why(widget, webhook(rules=[rule("widgets", "example.com")]))


def test_what_another_object_brings_is_waited_for_until_that_is_ready() -> None:
    certificate = manifest("cert-manager.io/v1/Certificate/a/c", {"spec": {"secretName": "tls"}})
    web = workload("web", {}, volumes=[{"secret": {"secretName": "tls"}}])
    said = "reads /Secret/a/tls, which comes from"
    assert why(web, certificate) == [("Certificate/c", said, "ready", False)]
    assert why(web, certificate, manifest("/v1/Secret/a/tls")) == [("Secret/tls", "reads", "exists", False)]


def test_an_ingress_does_not_wait_for_its_certificate_which_may_need_the_ingress() -> None:
    certificate = manifest("cert-manager.io/v1/Certificate/a/c", {"spec": {"secretName": "tls"}})
    ingress = manifest("networking.k8s.io/v1/Ingress/a/i", {"spec": {"tls": [{"secretName": "tls"}]}})
    assert [(target, strength) for target, _, strength, _ in why(ingress, certificate)] == [
        ("Certificate/c", "exists")
    ]


def test_content_waits_until_its_namespace_is_active() -> None:
    assert why(pod("web"), manifest("/v1/Namespace//a")) == [("Namespace/a", "lives in", "ready", False)]


def test_the_stronger_of_two_references_counts() -> None:
    certificate = manifest("cert-manager.io/v1/Certificate/a/c", {"spec": {"secretName": "tls"}})
    volumes = [{"secret": {"secretName": "tls", "optional": optional}} for optional in (True, False)]
    for written in (volumes, volumes[::-1]):
        (found,) = why(workload("web", {}, volumes=written), certificate)
        assert found[2] == "ready"


def test_of_two_references_a_hard_one_keeps_both_from_giving_way() -> None:
    backend = {"resource": {"kind": "Secret", "name": "s"}}
    spec = {"defaultBackend": backend, "tls": [{"secretName": "s"}]}
    ingress = manifest("networking.k8s.io/v1/Ingress/a/i", {"spec": spec})
    assert why(ingress, manifest("/v1/Secret/a/s")) == [("Secret/s", "routes to", "exists", False)]


@pytest.mark.parametrize("junk", [None, 1, "x", [], {}, [None], [[1]], {"a": None}, {"a": [{"b": 1}]}])
def test_malformed_fields_order_nothing_and_raise_nothing(junk: Any) -> None:
    kinds = [
        "apps/v1/Deployment/a/x",
        "policy/v1/PodDisruptionBudget/a/x",
        "networking.k8s.io/v1/NetworkPolicy/a/x",
        "rbac.authorization.k8s.io/v1/RoleBinding/a/x",
        "rbac.authorization.k8s.io/v1/ClusterRole//x",
        "apiextensions.k8s.io/v1/CustomResourceDefinition//x",
        "apiregistration.k8s.io/v1/APIService//x",
        "admissionregistration.k8s.io/v1/MutatingWebhookConfiguration//x",
        "bitnami.com/v1alpha1/SealedSecret/a/x",
        "/v1/Service/a/x",
    ]
    fields = ["spec", "webhooks", "subjects", "aggregationRule"]
    shapes = [junk, {"selector": junk, "podSelector": junk, "template": junk, "names": junk, "service": junk}]
    shapes += [[{"rules": junk, "namespaceSelector": junk, "objectSelector": junk, "clientConfig": junk}]]
    for shape in shapes:
        made = [manifest(written, dict.fromkeys(fields, shape)) for written in kinds]
        odd = Manifest(
            made[0].ref, {**made[0].body, "metadata": {"name": "x", "annotations": junk}}, Origin("f")
        )
        assert len(needs([odd, *made[1:]], default_namespace="a").objects) == len(kinds)

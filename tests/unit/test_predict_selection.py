"""Services and budgets that select no pods, and named ports that nobody has."""

from __future__ import annotations

import pytest

from pipeline.model.objects import ObjectRef
from tests.unit.predicting import DEPLOYMENT, facts, foresee, told

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: demo}
spec:
  selector:
    app: web
  ports:
  - port: 80
    targetPort: http
"""
BUDGET = """\
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: demo}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      app: web
"""
CUSTOM = "apiVersion: example.com/v1\nkind: Database\nmetadata: {name: db, namespace: demo}\n"


def test_a_service_that_selects_a_workload_is_in_order() -> None:
    assert foresee(SERVICE, BUDGET, DEPLOYMENT) == []


@pytest.mark.parametrize(("text", "line"), [(SERVICE, 6), (BUDGET, 8)])
def test_a_misspelt_label_is_told_with_what_was_meant(text: str, line: int) -> None:
    (problem,) = foresee(text.replace("app: web", "app: wbe"), DEPLOYMENT)
    assert told([problem]) == [("selects-nothing", line, True)]
    assert problem.hint == "app: wbe; did you mean web?"


def test_the_label_that_differs_is_named_among_those_that_do_not() -> None:
    (problem,) = foresee(SERVICE.replace("app: web", "app: web\n    tier: back"), DEPLOYMENT)
    assert problem.hint == "Deployment/web has tier: front"
    (problem,) = foresee(SERVICE.replace("app: web", "app: web\n    zone: a"), DEPLOYMENT)
    assert problem.hint == "Deployment/web has no label zone"


def test_workloads_of_other_namespaces_are_not_selected() -> None:
    other = DEPLOYMENT.replace("namespace: demo", "namespace: other")
    assert [p.code for p in foresee(SERVICE, other)] == ["selects-nothing"]


@pytest.mark.parametrize(
    "spec",
    ["type: ExternalName\n  externalName: example.com", "ports: [{port: 80}]", "selector: {}", "selector: ~"],
)
def test_services_without_pods_of_their_own_are_left_alone(spec: str) -> None:
    head = SERVICE.partition("spec:")[0]
    assert foresee(f"{head}spec:\n  {spec}\n", DEPLOYMENT) == []


def test_labels_that_controllers_add_to_pods_are_taken_to_match() -> None:
    text = SERVICE.replace("app: web", "statefulset.kubernetes.io/pod-name: db-0\n    app: web")
    assert foresee(text, DEPLOYMENT) == []
    only = SERVICE.replace("app: web", "statefulset.kubernetes.io/pod-name: db-0")
    assert foresee(only, DEPLOYMENT) == []


def test_expressions_of_a_budget_count() -> None:
    written = "matchExpressions: [{key: app, operator: In, values: [a, web]}]"
    text = BUDGET.replace("matchLabels:\n      app: web", written)
    assert foresee(text, DEPLOYMENT) == []
    assert [p.code for p in foresee(text.replace("web]", "wab]"), DEPLOYMENT)] == ["selects-nothing"]


def test_live_pods_of_others_are_as_good_as_workloads_of_the_set() -> None:
    ref = ObjectRef("", "Service", "demo", "web")
    known = facts(pods={ref: [{"app": "wbe"}]})
    assert foresee(SERVICE.replace("app: web", "app: wbe"), DEPLOYMENT, facts=known) == []


def test_live_pods_that_the_set_is_about_to_replace_do_not_count() -> None:
    ref = ObjectRef("", "Service", "demo", "web")
    known = facts(pods={ref: [{"app": "web", "tier": "back"}]})
    text = SERVICE.replace("app: web", "tier: back")
    assert [p.code for p in foresee(text, DEPLOYMENT, facts=known)] == ["selects-nothing"]


def test_an_operator_may_make_the_pods_of_a_custom_resource() -> None:
    text = SERVICE.replace("app: web", "cluster: db")
    assert foresee(text, CUSTOM, DEPLOYMENT) == []
    assert [p.code for p in foresee(text, DEPLOYMENT)] == ["selects-nothing"]


def test_a_relabelled_workload_is_told_of_the_service_that_stands() -> None:
    problems = foresee(SERVICE, DEPLOYMENT.replace("app: web", "app: api"), written=("web",))
    assert [p.code for p in problems] == ["selects-nothing"]


def test_a_port_name_that_no_container_has_is_told_with_the_nearest() -> None:
    (problem,) = foresee(SERVICE.replace("targetPort: http", "targetPort: htttp"), DEPLOYMENT)
    assert told([problem]) == [("no-such-port", 9, True)]
    assert problem.hint == "did you mean http?"


@pytest.mark.parametrize("port", ["8080", "'8080'"])
def test_numbers_need_no_declared_port(port: str) -> None:
    assert foresee(SERVICE.replace("targetPort: http", f"targetPort: {port}"), DEPLOYMENT) == []


@pytest.mark.parametrize("spec", ["selector: [a]", "selector: {app: 1}", "ports: 1\n  selector: {app: web}"])
def test_malformed_services_are_left_to_the_server(spec: str) -> None:
    head = SERVICE.partition("spec:")[0]
    assert foresee(f"{head}spec:\n  {spec}\n", DEPLOYMENT) == []


def test_a_set_of_thousands_is_looked_through_quickly() -> None:
    texts = []
    for n in range(1500):
        texts.append(SERVICE.replace("web", f"w{n}"))
        texts.append(DEPLOYMENT.replace(" web", f" w{n}"))
    assert foresee(*texts) == []

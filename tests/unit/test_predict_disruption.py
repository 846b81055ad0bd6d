"""Budgets that allow no eviction."""

from __future__ import annotations

import pytest

from tests.unit.predicting import DEPLOYMENT, facts, foresee, told

BUDGET = """\
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: demo}
spec:
  selector: {matchLabels: {app: web}}
  VALUE
"""
HPA = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: demo}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 9
  metrics: [{type: External, external: {}}]
"""


def _budget(value: str) -> str:
    return BUDGET.replace("VALUE", value)


@pytest.mark.parametrize(
    "value",
    [
        "maxUnavailable: 0",
        "maxUnavailable: 0%",
        "minAvailable: 3",
        "minAvailable: 4",
        "minAvailable: 100%",
        "minAvailable: 90%",  # of three, rounded up, are three
    ],
)
def test_a_budget_without_an_eviction_to_spare_is_a_warning_at_its_line(value: str) -> None:
    (problem,) = foresee(_budget(value), DEPLOYMENT)
    assert told([problem]) == [("pdb-blocks", 6, True)]
    assert "drains and upgrades will hang" in problem.hint


@pytest.mark.parametrize(
    "value",
    ["maxUnavailable: 1", "maxUnavailable: 1%", "minAvailable: 2", "minAvailable: 60%", "minAvailable: 0"],
)
def test_a_budget_that_spares_one_is_in_order(value: str) -> None:
    assert foresee(_budget(value), DEPLOYMENT) == []


def test_the_pods_of_all_selected_workloads_are_counted() -> None:
    other = DEPLOYMENT.replace("name: web, namespace", "name: api, namespace")
    assert foresee(_budget("minAvailable: 3"), DEPLOYMENT, other) == []
    assert len(foresee(_budget("minAvailable: 6"), DEPLOYMENT, other)) == 1


def test_a_workload_that_says_no_number_has_the_live_one_or_one() -> None:
    text = DEPLOYMENT.replace("  replicas: 3\n", "")
    assert len(foresee(_budget("minAvailable: 1"), text)) == 1
    assert foresee(_budget("minAvailable: 1"), text, facts=facts(DEPLOYMENT)) == []


def test_the_least_number_of_an_autoscaler_counts() -> None:
    text = DEPLOYMENT.replace("  replicas: 3\n", "")
    assert [p.code for p in foresee(_budget("minAvailable: 2"), text, HPA)] == ["pdb-blocks"]
    assert foresee(_budget("minAvailable: 1"), text, HPA) == []


def test_how_many_pods_a_daemon_set_has_is_not_known() -> None:
    text = DEPLOYMENT.replace("Deployment", "DaemonSet").replace("  replicas: 3\n", "")
    assert foresee(_budget("minAvailable: 3"), text) == []


def test_a_budget_is_told_when_what_it_is_for_is_written() -> None:
    text = DEPLOYMENT.replace("name: web, namespace", "name: api, namespace")
    assert len(foresee(_budget("minAvailable: 3"), text, written=("api",))) == 1
    assert foresee(_budget("minAvailable: 3"), text, written=()) == []


@pytest.mark.parametrize("value", ["minAvailable: -1", "minAvailable: many", "maxUnavailable: []", "a: b"])
def test_malformed_budgets_are_left_to_the_server(value: str) -> None:
    assert foresee(_budget(value), DEPLOYMENT) == []

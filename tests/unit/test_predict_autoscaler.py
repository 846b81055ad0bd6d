"""Autoscalers: whose number counts, and what they can compute."""

from __future__ import annotations

import pytest

from tests.unit.predicting import DEPLOYMENT, facts, foresee, told

HPA = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web-scaler, namespace: demo}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  maxReplicas: 9
  metrics:
  - type: Resource
    resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
"""
FREE = DEPLOYMENT.replace("  replicas: 3\n", "")
REQUESTS = "        resources: {requests: {cpu: 100m}}\n"


def test_a_number_that_an_autoscaler_overrules_is_a_warning_at_its_line() -> None:
    (problem,) = foresee(DEPLOYMENT + REQUESTS, HPA.replace("maxReplicas: 9", "maxReplicas: 2"))
    assert told([problem]) == [("replicas-of-autoscaler", 5, True)]
    assert "used only for creation" in problem.message


def test_a_number_within_the_autoscalers_bounds_is_a_good_start() -> None:
    assert foresee(DEPLOYMENT + REQUESTS, HPA) == []


def test_a_share_of_a_request_that_nobody_states_is_a_warning() -> None:
    (problem,) = foresee(FREE, HPA)
    assert told([problem]) == [("hpa-needs-requests", 24, True)]
    assert "does not request for web" in problem.message


def test_a_number_and_requests_in_the_right_place_are_in_order() -> None:
    assert foresee(FREE + REQUESTS, HPA) == []


def test_a_limit_or_the_default_of_a_range_is_a_request_too() -> None:
    assert foresee(FREE + REQUESTS.replace("requests", "limits"), HPA) == []
    known = facts(
        "apiVersion: v1\nkind: LimitRange\nmetadata: {name: r, namespace: demo}\n"
        "spec: {limits: [{type: Container, defaultRequest: {cpu: 1}}]}\n"
    )
    assert foresee(FREE, HPA, facts=known) == []


@pytest.mark.parametrize(
    "metrics",
    ["type: AverageValue, averageValue: 1", "type: Value, value: 1"],
)
def test_absolute_targets_need_no_requests(metrics: str) -> None:
    text = HPA.replace("type: Utilization, averageUtilization: 70", metrics)
    assert foresee(FREE, text) == []


def test_without_metrics_it_scales_on_a_share_of_cpu() -> None:
    assert [p.code for p in foresee(FREE, HPA.partition("  metrics")[0])] == ["hpa-needs-requests"]
    old = HPA.partition("  metrics")[0].replace("/v2", "/v1")
    assert [p.code for p in foresee(FREE, old)] == ["hpa-needs-requests"]


def test_a_metric_of_one_container_asks_only_that_one() -> None:
    text = HPA.replace("type: Resource", "type: ContainerResource").replace(
        "resource: {name: cpu", "containerResource: {container: other, name: cpu"
    )
    assert foresee(FREE, text) == []
    assert len(foresee(FREE, text.replace("other", "web"))) == 1


def test_other_workloads_and_unwritten_ones_are_left_alone() -> None:
    assert foresee(DEPLOYMENT, HPA.replace("name: web}", "name: api}")) == []
    assert foresee(DEPLOYMENT, HPA, written=()) == []


@pytest.mark.parametrize("target", ["1", "{}", "{kind: [], name: web}", "{kind: Deployment, name: 1}"])
def test_malformed_targets_are_left_to_the_server(target: str) -> None:
    text = HPA.replace("{apiVersion: apps/v1, kind: Deployment, name: web}", target)
    assert foresee(DEPLOYMENT, text) == []

"""Which Services must find pods, and what their EndpointSlices say."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.backends import Backends, has_ready_pods, wants_pods
from pipeline.core.readiness.endpoints import missing_port, ready_endpoints, rests_on_unknown, service_of
from pipeline.model.objects import ObjectRef
from tests.kube_objects import condition, daemon_set, deployment, endpoint_slice, service
from tests.unit.predicting import DEPLOYMENT, body, read

HPA = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {minReplicas: LEAST, maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
"""
KEDA = """\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: web}
spec: {scaleTargetRef: {name: web}, triggers: []}
"""
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {containers: [{name: web}]}
"""
WEB = DEPLOYMENT.replace(", namespace: demo", "")
JOB = WEB.replace("apps/v1", "batch/v1").replace("Deployment", "Job")
ROLLOUT = WEB.replace("apps/v1", "argoproj.io/v1alpha1").replace("Deployment", "Rollout")


def backends(spec: Any, *texts: str) -> list[str]:
    return [w.ref.short for w in Backends(read(*texts)).of("", {"spec": spec})]


@pytest.mark.parametrize(
    ("spec", "texts", "found"),
    [
        pytest.param({"selector": {"app": "web"}}, [WEB], ["Deployment/web"], id="a workload of the set"),
        pytest.param({"selector": {"app": "web"}}, [POD], ["Pod/web"], id="a bare pod of the set"),
        pytest.param({"selector": {"app": "web"}}, [WEB, JOB], ["Deployment/web"], id="only those that stay"),
        pytest.param({"selector": {"app": "api"}}, [WEB], [], id="nothing of the set"),
        pytest.param({}, [WEB], [], id="no selector"),
        pytest.param({"selector": {}}, [WEB], [], id="an empty selector"),
        pytest.param({"selector": {"app": "web"}, "type": "ExternalName"}, [WEB], [], id="another name"),
        pytest.param({"selector": {"app": "web"}}, [JOB], [], id="a Job's pods come and go"),
        pytest.param({"selector": {"app": "web"}}, [ROLLOUT], [], id="a controller with ways of its own"),
        pytest.param(
            {"selector": {"app": "web", "statefulset.kubernetes.io/pod-name": "web-5"}},
            [WEB],
            [],
            id="one pod, which may not be there",
        ),
        pytest.param(
            {"selector": {"app": "web", "rollouts-pod-template-hash": "1"}}, [WEB], [], id="a canary's pods"
        ),
        pytest.param(
            {"selector": {"app": "web"}}, [WEB, HPA.replace("LEAST", "1")], ["Deployment/web"], id="scaled"
        ),
        pytest.param({"selector": {"app": "web"}}, [WEB, HPA.replace("LEAST", "0")], [], id="scaled to zero"),
        pytest.param({"selector": {"app": "web"}}, [WEB, KEDA], [], id="KEDA goes to zero unless told"),
        pytest.param(
            {"selector": {"app": "web"}},
            [WEB, KEDA.replace("spec: {", "spec: {minReplicaCount: 1, ")],
            ["Deployment/web"],
            id="KEDA with a least number",
        ),
        pytest.param(
            {"selector": {"app": "web"}},
            [
                WEB,
                KEDA.replace("spec: {", "spec: {minReplicaCount: 1, ").replace(
                    "name: web}", "name: web, annotations: {autoscaling.keda.sh/paused-replicas: '0'}}", 1
                ),
            ],
            [],
            id="KEDA paused",
        ),
    ],
)
def test_only_workloads_that_cannot_do_without_pods_are_expected_to_have_some(
    spec: Any, texts: list[str], found: list[str]
) -> None:
    assert backends(spec, *texts) == found


@pytest.mark.parametrize(
    ("workload", "wants"),
    [
        (body(WEB), True),
        (body(WEB.replace("replicas: 3", "replicas: 0")), False),
        (body(WEB.replace("  replicas: 3\n", "")), True),  # apps/v1: 1 by default
        (deployment(wanted=0), False),
        (daemon_set(), True),
        (body(POD), True),
        (body(POD.replace("spec: {", "spec: {restartPolicy: Never, ")), False),
    ],
)
def test_what_asks_for_pods_that_stay(workload: Any, wants: bool) -> None:
    assert wants_pods(workload) is wants


@pytest.mark.parametrize(
    ("workload", "has"),
    [
        (deployment(), True),
        (deployment(wanted=0), False),
        (daemon_set(), True),
        (daemon_set(numberReady=0), False),
        ({"kind": "Pod", "status": {"conditions": [condition("Ready")]}}, True),
        ({"kind": "Pod", "status": {"conditions": [condition("Ready", "False")]}}, False),
    ],
)
def test_what_has_ready_pods(workload: Any, has: bool) -> None:
    assert has_ready_pods(workload) is has


NAMED = service(ports=[{"name": "web", "port": 80, "targetPort": "http"}])


@pytest.mark.parametrize(
    ("of", "slices", "count"),
    [
        pytest.param(NAMED, [], 0, id="no slice"),
        pytest.param(NAMED, [endpoint_slice()], 0, id="the placeholder of a Service that finds nothing"),
        pytest.param(NAMED, [endpoint_slice(True, False)], 1, id="ready ones count"),
        pytest.param(NAMED, [endpoint_slice(None)], 1, id="what says nothing is ready"),
        pytest.param(NAMED, [endpoint_slice(False), endpoint_slice(True, True)], 2, id="over all slices"),
        pytest.param(NAMED, [endpoint_slice(True, ports=None)], 0, id="pods that lack the port"),
        pytest.param(
            NAMED, [endpoint_slice(True, ports=None), endpoint_slice(True)], 1, id="and some that have it"
        ),
        pytest.param(
            service(clusterIP="None"), [endpoint_slice(True, ports=None)], 1, id="DNS alone needs no port"
        ),
        pytest.param(
            service(ports=None), [endpoint_slice(True, ports=None)], 1, id="a Service without ports"
        ),
        pytest.param(NAMED, [endpoint_slice(False, manager="")], None, id="somebody wrote it by hand"),
        pytest.param(
            NAMED,
            [endpoint_slice(False), endpoint_slice(False, manager="mesh.example.com")],
            None,
            id="somebody else's controller has a say",
        ),
        pytest.param(
            NAMED, [endpoint_slice(True, owner="older")], 0, id="slices of an older Service of that name"
        ),
    ],
)
def test_endpoints_count_where_a_ready_pod_can_be_reached(of: Any, slices: list[Any], count: Any) -> None:
    assert ready_endpoints(of, slices) == count


def test_a_slice_belongs_to_the_service_that_its_label_names() -> None:
    assert service_of(endpoint_slice()) == ObjectRef("", "Service", "demo", "web")
    assert service_of({"metadata": {"namespace": "demo"}}).name == ""


@pytest.mark.parametrize(
    ("slices", "missing"),
    [
        ([endpoint_slice(True, ports=None)], (0, "http")),
        ([endpoint_slice(False, ports=None)], None),
        ([endpoint_slice(True)], None),
        ([], None),
    ],
)
def test_a_port_is_missing_where_pods_are_ready_and_none_has_it(slices: list[Any], missing: Any) -> None:
    assert missing_port(NAMED, slices) == missing


@pytest.mark.parametrize(
    ("ports", "names", "unknown"),
    [
        ([{"port": 80, "targetPort": "htpp"}], ["http"], True),
        ([{"port": 80, "targetPort": "http"}], ["http"], False),
        ([{"port": 80, "targetPort": 8080}], [], False),
        ([{"port": 80}], [], False),
        ([{"port": 80, "targetPort": "htpp"}, {"port": 81, "targetPort": "http"}], ["http"], False),
        (None, [], False),
    ],
)
def test_a_service_rests_on_unknown_ports_where_it_has_no_others(
    ports: Any, names: list[str], unknown: bool
) -> None:
    assert rests_on_unknown(service(ports=ports), names) is unknown

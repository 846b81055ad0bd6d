"""Services and their workloads in one look: who is ready, and who is to blame."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.readiness.endpoints import Serving
from pipeline.core.rollout import (
    RolloutDecision,
    RolloutLog,
    Snapshot,
    Target,
    pending_causes,
    status_of,
    step,
)
from pipeline.model.environment import ReadyRule, Rollout
from pipeline.model.objects import Object, ObjectRef
from pipeline.model.status import CauseCode, Grade, ObjectStatus, Status
from tests.kube_objects import (
    T0,
    at,
    deployment,
    endpoint_slice,
    pod,
    replica_set,
    rolling,
    service,
    waiting,
)

NAMED = service(ports=[{"port": 80, "targetPort": "htpp"}])
WEB, SERVICE = ObjectRef.of(deployment()), ObjectRef.of(service())
CURRENT = ObjectStatus(Status.CURRENT)
STARTING = ObjectStatus(Status.IN_PROGRESS)


def serving(*slices: Object, web: ObjectStatus = CURRENT, looked: bool = True) -> Serving:
    return Serving(workloads={WEB: web}, port_names=("http",), slices=slices if looked else None)


def look(
    *objects: Object,
    known: Serving | None,
    after: float = 1,
    log: RolloutLog | None = None,
    rules: tuple[ReadyRule, ...] = (),
    **lists: Any,
) -> RolloutDecision:
    snapshot = Snapshot(
        objects={ObjectRef.of(obj): obj for obj in objects},
        services={SERVICE: known} if known else {},
        **lists,
    )
    targets = [Target(ref=ref, since=T0) for ref in snapshot.objects]
    return step(targets, snapshot, log or RolloutLog(), Rollout(rules=rules), T0 + after)


@pytest.mark.parametrize(
    ("known", "message"),
    [
        pytest.param(serving(endpoint_slice(True)), "", id="a ready endpoint is enough"),
        pytest.param(None, "", id="one that need not find pods is not asked"),
        pytest.param(serving(endpoint_slice(False, manager="me")), "", id="nor one that others look after"),
        pytest.param(
            serving(endpoint_slice(False)), "none of the pods that it selects is ready", id="none is ready"
        ),
        pytest.param(
            serving(endpoint_slice(), web=STARTING),
            "none of the pods that it selects is ready; waits for Deployment/web",
            id="and the workload says why",
        ),
        pytest.param(serving(), "no EndpointSlice has been made for it", id="no slice"),
        pytest.param(serving(looked=False), "its endpoints are not known yet", id="nobody has looked"),
        pytest.param(
            serving(looked=False, web=STARTING),
            "waits for Deployment/web, whose pods it selects",
            id="nobody has looked, and need not yet",
        ),
    ],
)
def test_a_service_is_current_once_it_has_a_ready_endpoint(known: Serving | None, message: str) -> None:
    status = look(service(), known=known).statuses[SERVICE]

    assert status.status is (Status.IN_PROGRESS if message else Status.CURRENT)
    assert not message or (status.reason, status.message) == ("NoEndpoints", message)
    assert status == status_of(
        Target(ref=SERVICE, since=T0), service(), RolloutLog(), Rollout(), T0 + 1, known
    )


def test_a_load_balancer_is_asked_for_its_address_first() -> None:
    waits = service(type="LoadBalancer")

    assert look(waits, known=serving(endpoint_slice(False))).statuses[SERVICE].reason == "AddressPending"


def test_a_rule_of_the_environment_counts_more_than_endpoints() -> None:
    rule = ReadyRule(group="", kind="Service", ready=("jsonpath={.spec.ports}",))

    assert look(service(), known=serving(endpoint_slice(False)), rules=(rule,)).done


def test_the_workload_of_the_same_look_is_what_the_service_waits_for() -> None:
    known = serving(endpoint_slice(False), web=CURRENT)

    decision = look(service(), rolling(), known=known)

    assert decision.statuses[SERVICE].message.endswith("waits for Deployment/web")


def test_the_workload_is_to_blame_and_not_the_service_beside_it() -> None:
    failing = pod(waiting("ErrImagePull", "not found"))

    decision = look(
        service(), rolling(), known=serving(endpoint_slice()), replica_sets=[replica_set()], pods=[failing]
    )

    assert [(ref, one.code) for ref, one in decision.fatal] == [(WEB, CauseCode.IMAGE_NOT_FOUND)]
    assert {ref for ref, _ in pending_causes(decision)} == {WEB}
    assert decision.blameless == {SERVICE}


def test_what_nobody_has_looked_at_proves_nothing() -> None:
    decision = look(service(), known=serving(looked=False))

    assert (pending_causes(decision), decision.blameless) == ([], {SERVICE})


def test_without_endpoints_though_its_workload_stands_a_service_is_the_cause_when_time_is_over() -> None:
    decision = look(service(), deployment(), known=serving(endpoint_slice(False)), after=500)

    ((ref, evidence),) = pending_causes(decision)
    assert (ref, evidence.code, evidence.grade) == (SERVICE, CauseCode.NO_ENDPOINTS, Grade.TRANSIENT)
    assert evidence.path == ("spec", "selector")
    assert "Deployment/web" in evidence.details[0]
    assert decision.fatal == ()  # the controller may be late


def test_a_port_that_no_ready_pod_has_fails_after_seconds_with_what_was_meant() -> None:
    known = serving(endpoint_slice(True, True, ports=None))
    first = look(NAMED, deployment(), known=known)
    later = look(NAMED, deployment(), known=known, after=12, log=first.log)

    assert first.fatal == ()
    ((ref, evidence),) = later.fatal
    assert (ref, evidence.code) == (SERVICE, CauseCode.NO_ENDPOINTS)
    assert evidence.path == ("spec", "ports", 0, "targetPort")
    assert "'htpp' is the name of no port" in evidence.message
    assert evidence.hint == "did you mean http?"


def test_the_pods_of_a_rollout_may_get_the_port_yet() -> None:
    known = serving(endpoint_slice(True, ports=None))
    first = look(NAMED, rolling(), known=known)
    later = look(NAMED, rolling(), known=known, after=60, log=first.log)

    assert later.fatal == ()
    assert later.blameless == {SERVICE}


def test_where_pods_are_not_looked_at_a_service_is_told_all_the_same() -> None:
    snapshot = Snapshot(objects={SERVICE: service()}, services={SERVICE: serving(endpoint_slice(False))})

    decision = step([Target(ref=SERVICE)], snapshot, RolloutLog(), Rollout(), T0, blindly=True)

    assert [ref for ref, _ in pending_causes(decision)] == [SERVICE]


def test_a_service_that_is_about_to_go_is_not_asked_for_endpoints() -> None:
    leaving = service()
    leaving["metadata"]["deletionTimestamp"] = at(0)

    assert look(leaving, known=serving(endpoint_slice())).statuses[SERVICE].status is Status.TERMINATING

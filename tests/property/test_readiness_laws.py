"""What holds for any object that a cluster could send."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.evidence import EvidenceLog, evidence, remember
from pipeline.core.readiness import RULES, assess
from pipeline.core.readiness.endpoints import Serving
from pipeline.core.readiness.nodes import excused
from pipeline.core.ready_rules import parse_rules
from pipeline.core.rollout import RolloutLog, Snapshot, Target, step
from pipeline.model.environment import Grace, Rollout
from pipeline.model.objects import ObjectRef
from pipeline.model.status import CauseCode, Evidence, Grade, ObjectStatus, Status

WORDS = st.sampled_from(
    [
        "conditions",
        "type",
        "status",
        "reason",
        "message",
        "True",
        "False",
        "Ready",
        "Progressing",
        "Available",
        "replicas",
        "observedGeneration",
        "phase",
        "Failed",
        "Running",
        "containerStatuses",
        "name",
        "web",
        "state",
        "waiting",
        "terminated",
        "lastState",
        "running",
        "exitCode",
        "ErrImagePull",
        "CrashLoopBackOff",
        "spec",
        "containers",
        "image",
        "loadBalancer",
        "ingress",
        "ip",
        "hard",
        "template",
        "restartCount",
        "ready",
        "lastUpdateTime",
        "ProgressDeadlineExceeded",
        "2023-11-14T22:13:20Z",
        "uid",
        "updatedReplicas",
        "parents",
        "parentRefs",
        "parentRef",
        "listeners",
        "Accepted",
        "Suspended",
        "suspend",
        "selector",
        "metrics",
        "currentMetrics",
        "resources",
        "requests",
        "storage",
        "capacity",
        "Bound",
        "8Gi",
        "restartPolicy",
        "Never",
        "",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=25,
)
KINDS = st.sampled_from([*RULES, ("example.com", "Thing"), ("", "ConfigMap")])


@st.composite
def objects(draw: st.DrawFn) -> dict[str, Any]:
    """An object with a sound head, as the API server guarantees, and anything below."""
    group, kind = draw(KINDS)
    meta: dict[str, Any] = {
        "name": "x",
        "namespace": "demo",
        "uid": "u1",
        "generation": draw(st.integers(0, 3)),
    }
    meta["ownerReferences"] = draw(JSON)
    return {
        "apiVersion": f"{group}/v1" if group else "v1",
        "kind": kind,
        "metadata": meta,
        "spec": draw(JSON),
        "status": draw(JSON),
    }


def turned(value: Any) -> Any:
    """The same value with the keys of every mapping in the other order."""
    if isinstance(value, dict):
        return {key: turned(item) for key, item in reversed(value.items())}
    return [turned(item) for item in value] if isinstance(value, list) else value


@given(objects(), st.none() | st.floats(0, 2e9), st.none() | st.booleans(), st.booleans())
def test_any_object_has_a_verdict(
    obj: dict[str, Any], since: float | None, known: bool | None, waits: bool
) -> None:
    verdict = assess(
        obj,
        since=since,
        now=1.7e9,
        has_status_subresource=known,
        wait_for_first_consumer=waits,
        class_exists=known,
        endpoints=0 if waits else None,
        excused_nodes=2,
    )

    assert isinstance(verdict, ObjectStatus)


@given(objects())
def test_the_order_of_keys_does_not_matter(obj: dict[str, Any]) -> None:
    assert assess(obj) == assess(turned(obj))


@st.composite
def with_conditions(draw: st.DrawFn) -> dict[str, Any]:
    """An object whose status has at most one condition of a type, all of the same time."""
    obj = draw(objects())
    kinds = draw(st.lists(CONDITIONS, unique=True, max_size=5))
    status = obj["status"] if isinstance(obj["status"], dict) else {}
    conditions = [
        {
            "type": kind,
            "status": draw(STATES),
            "reason": draw(WORDS),
            "lastTransitionTime": "2023-11-14T22:13:20Z",
        }
        for kind in kinds
    ]
    return obj | {"status": {"observedGeneration": 3, **status, "conditions": conditions}}


CONDITIONS = st.sampled_from(
    [
        "Ready",
        "Available",
        "Progressing",
        "ReplicaFailure",
        "Complete",
        "Failed",
        "FailureTarget",
        "SuccessCriteriaMet",
        "Suspended",
        "AbleToScale",
        "ScalingActive",
        "DisruptionAllowed",
        "Resizing",
        "FileSystemResizePending",
        "ModifyVolumeError",
        "Accepted",
        "Programmed",
        "Established",
        "NamesAccepted",
        "Dangling",
        "LoadBalancerPortsError",
        "Reconciling",
        "Stalled",
        "NamespaceContentRemaining",
    ]
)
STATES = st.sampled_from(["True", "False", "Unknown"])


@given(with_conditions(), st.randoms(use_true_random=False))
def test_the_order_of_conditions_of_one_time_does_not_matter(obj: dict[str, Any], chance: Any) -> None:
    shuffled = list(obj["status"]["conditions"])
    chance.shuffle(shuffled)

    assert assess(obj) == assess(obj | {"status": {**obj["status"], "conditions": shuffled}})


@given(objects() | with_conditions(), JSON, WORDS.filter(bool))
def test_an_object_that_is_being_deleted_is_terminating_whatever_else_it_says(
    obj: dict[str, Any], finalizers: Any, when: str
) -> None:
    obj["metadata"] |= {"deletionTimestamp": when, "finalizers": finalizers}

    verdict = assess(obj)

    assert verdict.status is Status.TERMINATING
    assert verdict == assess(turned(obj))


@given(st.lists(objects() | with_conditions(), min_size=1, max_size=4), st.lists(objects(), max_size=3))
def test_no_sequence_of_looks_makes_an_object_current_and_failed_both(
    seen: list[Any], pods: list[Any]
) -> None:
    group, kind = seen[0]["apiVersion"], seen[0]["kind"]
    looks = [obj | {"apiVersion": group, "kind": kind} for obj in seen]
    ref, log = ObjectRef.of(looks[0]), RolloutLog()
    for pod in pods:
        pod["metadata"]["ownerReferences"] = [{"uid": "u1", "controller": True}]

    for second, obj in enumerate(looks):
        snapshot = Snapshot(objects={ref: obj}, pods=pods, nodes=pods)
        decision = step([Target(ref=ref)], snapshot, log, Rollout(), 1.7e9 + 60 * second)
        log = decision.log
        if decision.statuses[ref].status is Status.CURRENT:
            assert not decision.fatal
            assert not decision.present


@given(objects(), st.lists(objects() | JSON, max_size=3), st.lists(objects() | JSON, max_size=3))
def test_any_nodes_can_be_read(obj: Any, pods: list[Any], nodes: list[Any]) -> None:
    assert 0 <= excused(obj, pods, nodes, 1.7e9) <= len(pods)


@given(
    objects(),
    st.lists(objects(), max_size=3),
    st.lists(JSON.filter(lambda j: isinstance(j, dict)), max_size=3),
)
def test_any_pods_and_events_can_be_read(obj: Any, pods: list[Any], events: list[Any]) -> None:
    for pod in pods:
        pod["metadata"]["ownerReferences"] = [{"uid": "u1", "controller": True}]

    found = evidence(obj, pods, pods, events, 1.7e9, remember({}, pods))

    assert found == evidence(turned(obj), pods[::-1], pods[::-1], events, 1.7e9, remember({}, pods))
    assert all(isinstance(one, Evidence) for one in found)


@given(st.lists(objects(), max_size=4))
def test_any_cluster_can_be_looked_at(found: list[Any]) -> None:
    by_ref = {ObjectRef.of(obj): obj for obj in found}
    targets = [Target(ref=ref, since=1.7e9) for ref in by_ref]

    snapshot = Snapshot(objects=by_ref, pods=found, nodes=found)
    decision = step(targets, snapshot, RolloutLog(), Rollout(), 1.7e9)

    assert set(decision.statuses) == set(by_ref)
    assert decision.done == (not decision.pending)


@st.composite
def endpoint_slices(draw: st.DrawFn) -> dict[str, Any]:
    """A slice of the Service of ``objects``, with anything in it."""
    labels = {"kubernetes.io/service-name": "x", "endpointslice.kubernetes.io/managed-by": draw(MANAGERS)}
    meta = {"namespace": "demo", "labels": labels, "ownerReferences": draw(JSON)}
    endpoints = draw(st.lists(st.fixed_dictionaries({"conditions": JSON}), max_size=2) | JSON)
    return {"metadata": meta, "endpoints": endpoints, "ports": draw(st.just([{"port": 80}]) | JSON)}


MANAGERS = st.sampled_from(["endpointslice-controller.k8s.io", "mesh.example.com"])
SPECS = st.fixed_dictionaries(
    {"selector": st.just({"app": "web"}) | JSON, "ports": st.just([{"port": 80, "targetPort": "web"}]) | JSON}
)
STATUSES = st.builds(ObjectStatus, st.sampled_from(Status))


@given(SPECS, st.none() | st.lists(endpoint_slices(), max_size=3), STATUSES)
def test_a_service_is_current_or_somebody_is_to_blame(
    spec: Any, slices: list[Any] | None, workload: ObjectStatus
) -> None:
    service = {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "x", "namespace": "demo"}}
    service["spec"] = spec
    ref = ObjectRef.of(service)
    seen = Serving(workloads={REF: workload}, slices=slices)

    snapshot = Snapshot(objects={ref: service}, services={ref: seen})
    decision = step([Target(ref=ref)], snapshot, RolloutLog(), Rollout(), 1.7e9)

    blamed = ref in {who for who, _ in decision.pending}
    assert decision.done + blamed + (ref in decision.blameless) == 1
    assert not (blamed and (slices is None or workload.status is not Status.CURRENT))


@given(
    st.text(max_size=30) | st.lists(WORDS | st.sampled_from("{}[]()=,.:\"'\\?@*"), max_size=12).map("".join)
)
def test_a_rule_is_read_or_refused_with_a_value_error(text: str) -> None:
    try:
        parse_rules(text)
    except ValueError:
        return


PIECES = st.builds(
    Evidence,
    code=st.sampled_from(CauseCode),
    grade=st.sampled_from(Grade),
    message=st.just("x"),
    count=st.integers(0, 5),
    container=st.sampled_from(["a", "b"]),
)
REF = ObjectRef("apps", "Deployment", "demo", "web")


@given(st.lists(PIECES, max_size=5), st.floats(0, 500), st.floats(0, 500))
def test_what_is_fatal_stays_fatal_as_time_goes_on(found: list[Evidence], now: float, more: float) -> None:
    log = EvidenceLog().update([(REF, one) for one in found], 0.0)

    before, after = log.fatal(Grace(), now), log.fatal(Grace(), now + more)

    assert all(one in after for one in before)


@given(st.lists(PIECES, max_size=5), st.integers(0, 5), st.integers(0, 5))
def test_more_patience_never_fails_sooner(found: list[Evidence], less: int, more: int) -> None:
    log = EvidenceLog().update([(REF, one) for one in found], 0.0)

    impatient = log.fatal(Grace(restarts=min(less, more)), 15.0)
    patient = log.fatal(Grace(restarts=max(less, more)), 15.0)

    assert all(one in impatient for one in patient)

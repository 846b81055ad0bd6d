"""What holds for any object that a cluster could send."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.evidence import EvidenceLog, evidence, remember
from pipeline.core.readiness import RULES, assess
from pipeline.core.ready_rules import parse_rules
from pipeline.core.rollout import RolloutLog, Snapshot, Target, step
from pipeline.model.environment import Grace, Rollout
from pipeline.model.objects import ObjectRef
from pipeline.model.status import CauseCode, Evidence, Grade, ObjectStatus

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
    obj: dict[str, Any], since: float | None, has_status: bool | None, waits: bool
) -> None:
    verdict = assess(obj, since=since, has_status_subresource=has_status, wait_for_first_consumer=waits)

    assert isinstance(verdict, ObjectStatus)


@given(objects())
def test_the_order_of_keys_does_not_matter(obj: dict[str, Any]) -> None:
    assert assess(obj) == assess(turned(obj))


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

    decision = step(targets, Snapshot(objects=by_ref, pods=found), RolloutLog(), Rollout(), 1.7e9)

    assert set(decision.statuses) == set(by_ref)
    assert decision.done == (not decision.pending)


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

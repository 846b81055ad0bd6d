"""What a LimitRange refuses of a workload that the server accepts."""

from __future__ import annotations

import pytest

from tests.unit.predicting import DEPLOYMENT, facts, foresee, told

RANGE = """\
apiVersion: v1
kind: LimitRange
metadata: {name: bounds, namespace: demo}
spec:
  limits:
  - ITEM
"""
CLAIM = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: demo}
spec:
  accessModes: [ReadWriteOnce]
  resources:
    requests:
      storage: 10Gi
"""


def _range(item: str) -> str:
    return RANGE.replace("ITEM", item)


def _with(resources: str) -> str:
    return DEPLOYMENT + f"        resources:\n          {resources}\n"


CASES = [
    (
        "limits: {memory: 2Gi}",
        "{type: Container, max: {memory: 1Gi}}",
        "limits 2Gi of memory, more than the 1Gi",
    ),
    ("requests: {cpu: 2}", "{type: Container, max: {cpu: 1}}", "requests 2 of cpu, more than the 1"),
    (
        "requests: {cpu: 50m}",
        "{type: Container, min: {cpu: 100m}}",
        "requests 50m of cpu, less than the 100m",
    ),
    (
        "{requests: {cpu: 100m}, limits: {cpu: 1}}",
        "{type: Container, maxLimitRequestRatio: {cpu: 4}}",
        "more than 4 times as much",
    ),
    (
        "requests: {cpu: 1}",
        "{type: Container, maxLimitRequestRatio: {cpu: 4}}",
        "no request or no limit of cpu",
    ),
    ("limits: {memory: 2Gi}", "{type: Pod, max: {memory: 1Gi}}", "the pod has limits 2Gi of memory"),
    ("requests: {cpu: 1}", "{type: Pod, max: {memory: 1Gi}}", "no limit of memory"),
]


@pytest.mark.parametrize(("resources", "item", "says"), CASES)
def test_a_bound_that_is_broken_is_an_error(resources: str, item: str, says: str) -> None:
    problems = foresee(_with(resources), facts=facts(_range(item)))
    assert [(p.code, p.warning) for p in problems] == [("limit-range", False)]
    assert says in problems[0].message
    assert "LimitRange/bounds" in problems[0].message


@pytest.mark.parametrize(
    ("resources", "item"),
    [
        ("limits: {memory: 1024Mi}", "{type: Container, max: {memory: 1Gi}}"),
        # What says nothing gets the maximum, and what has a limit requests it.
        ("requests: {cpu: 1}", "{type: Container, max: {memory: 1Gi}}"),
        ("limits: {cpu: 1}", "{type: Container, min: {cpu: 1}, maxLimitRequestRatio: {cpu: 1}}"),
        ("requests: {cpu: 100m}", "{type: Container, min: {memory: 1Gi}}"),
        ("limits: {memory: 2Gi}", "{type: PersistentVolumeClaim, max: {storage: 1Gi}}"),
        ("limits: {memory: 2Gi}", "{type: Container, max: [1]}"),
        ("limits: {memory: lots}", "{type: Container, max: {memory: 1Gi}}"),
    ],
)
def test_what_a_range_allows_is_in_order(resources: str, item: str) -> None:
    assert foresee(_with(resources), facts=facts(_range(item))) == []


def test_the_line_is_that_of_the_amount() -> None:
    text = DEPLOYMENT + "        resources:\n          limits:\n            memory: 2Gi\n"
    known = facts(_range("{type: Container, max: {memory: 1Gi}}"))
    assert told(foresee(text, facts=known)) == [("limit-range", 18, False)]


def test_a_range_of_the_set_counts_instead_of_the_live_one() -> None:
    known = facts(_range("{type: Container, max: {memory: 1Gi}}"))
    wider = _range("{type: Container, max: {memory: 4Gi}}")
    assert foresee(_with("limits: {memory: 2Gi}"), wider, facts=known) == []


def test_a_request_above_the_limit_that_a_range_gives_is_an_error() -> None:
    known = facts(_range("{type: Container, default: {memory: 1Gi}}"))
    (problem,) = foresee(_with("requests: {memory: 2Gi}"), facts=known)
    assert "requests 2Gi of memory, more than the limit of 1Gi that a LimitRange gives it" in problem.message
    assert foresee(_with("{requests: {memory: 2Gi}, limits: {memory: 2Gi}}"), facts=known) == []


def test_ranges_of_other_namespaces_do_not_count() -> None:
    known = facts(_range("{type: Container, max: {memory: 1Gi}}").replace("demo", "other"))
    assert foresee(_with("limits: {memory: 2Gi}"), facts=known) == []


def test_pods_that_run_and_are_not_replaced_are_left_alone() -> None:
    text = _with("limits: {cpu: 2000m}")
    live = _with("limits: {cpu: '2'}")
    known = facts(live, _range("{type: Container, max: {cpu: 1}}"))
    assert foresee(text, facts=known) == []
    assert len(foresee(text.replace("web:1.2", "web:1.3"), facts=known)) == 1


@pytest.mark.parametrize(
    ("bound", "count"), [("max: {storage: 5Gi}", 1), ("min: {storage: 20Gi}", 1), ("", 0)]
)
def test_claims_have_bounds_of_their_own(bound: str, count: int) -> None:
    known = facts(_range(f"{{type: PersistentVolumeClaim, {bound}}}"))
    problems = foresee(CLAIM, facts=known)
    assert told(problems) == [("limit-range", 8, False)] * count


def test_claims_that_a_stateful_set_makes_are_judged_too() -> None:
    text = DEPLOYMENT.replace("Deployment", "StatefulSet") + (
        "  volumeClaimTemplates:\n  - metadata: {name: data}\n"
        "    spec: {resources: {requests: {storage: 9Gi}}}\n"
    )
    known = facts(_range("{type: PersistentVolumeClaim, max: {storage: 5Gi}}"))
    assert told(foresee(text, facts=known)) == [("limit-range", 18, False)]

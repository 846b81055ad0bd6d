"""Whatever stands in a field, predictions do not break: the server tells what is wrong with it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.predict.all import predict
from pipeline.core.predict.facts import Facts, Outlook
from pipeline.core.predict.size import size_problems
from tests.unit.predicting import read
from tests.unit.test_predict_autoscaler import HPA
from tests.unit.test_predict_crd import CRD, LIVE
from tests.unit.test_predict_limits import CLAIM
from tests.unit.test_predict_selection import BUDGET, SERVICE
from tests.unit.test_predict_surge import JOB, WEB

QUOTA = (
    "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q, namespace: demo}\n"
    "spec: {hard: {pods: 2, cpu: 1}}\nstatus: {used: {pods: 1}}\n"
)
RANGE = (
    "apiVersion: v1\nkind: LimitRange\nmetadata: {name: r, namespace: demo}\n"
    "spec: {limits: [{type: Container, max: {cpu: 1}, maxLimitRequestRatio: {cpu: 2}},"
    " {type: Pod, min: {cpu: 1}}, {type: PersistentVolumeClaim, max: {storage: 1}}]}\n"
)
SET = read(WEB, JOB, HPA, SERVICE, BUDGET, CLAIM, CRD, QUOTA, RANGE)
STANDING = read(LIVE, WEB, QUOTA, RANGE)
ODD = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        1,
        2.5,
        "",
        "x",
        "0%",
        "100%",
        "1Gi",
        "-5",
        [],
        [None],
        [[]],
        {},
        {"a": None},
        {"a": []},
    ]
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    for key, item in items:
        if path or key not in ("apiVersion", "kind", "metadata"):
            found += _paths(item, (*path, key))
    return found


PLACES = [(index, path) for index, manifest in enumerate(SET) for path in _paths(manifest.body)]


@given(st.lists(st.tuples(st.sampled_from(PLACES), ODD), min_size=1, max_size=3), st.booleans())
def test_no_odd_value_in_any_field_raises(changes: list[tuple[Any, Any]], is_new: bool) -> None:
    manifests = [replace(m, body=copy.deepcopy(m.body)) for m in SET]
    for (index, path), odd in changes:
        _put(manifests[index].body, path, odd)
    quotas, ranges = (
        [m.body for m in manifests if m.ref.kind == kind] for kind in ("ResourceQuota", "LimitRange")
    )
    facts = Facts(
        live={} if is_new else {m.ref: m.body for m in STANDING}, quotas=quotas, limit_ranges=ranges
    )
    predict(Outlook(manifests, manifests, facts))
    for manifest in manifests:
        list(size_problems(manifest))


def _put(body: Any, path: tuple[Any, ...], value: Any) -> None:
    """Put it there, unless an earlier change took the place away."""
    for step in path[:-1]:
        try:
            body = body[step]
        except (KeyError, IndexError, TypeError):
            return
    step = path[-1]
    if isinstance(body, dict) or (isinstance(body, list) and isinstance(step, int) and step < len(body)):
        body[step] = copy.deepcopy(value)


@pytest.mark.parametrize(
    "scopes",
    ["scopes: x", "scopeSelector: x", "scopeSelector: {matchExpressions: x}"]
    + [
        f"scopeSelector: {{matchExpressions: [{one}]}}"
        for one in ("x", "~", "{values: x}", "{values: {a: b}}")
    ],
)
def test_no_odd_scope_of_a_quota_raises(scopes: str) -> None:
    quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q, namespace: demo}\n"
    manifests = read(WEB, f"{quota}spec: {{hard: {{pods: 2}}, {scopes}}}\n")
    predict(Outlook(manifests, manifests, Facts()))

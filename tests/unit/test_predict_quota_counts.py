"""Quotas that count objects: told before the first of them is written, at the first that does not fit."""

from __future__ import annotations

import pytest

from pipeline.core.predict.facts import Facts
from tests.unit.predicting import facts, foresee, told

CODE = "quota-exceeded"


def quota(hard: str, used: str | None, more: str = "") -> str:
    status = "" if used is None else f"status: {{used: {{{used}}}}}\n"
    return (
        "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q, namespace: demo}\n"
        f"spec: {{hard: {{{hard}}}{more}}}\n{status}"
    )


def one(kind: str, name: str, more: str = "", version: str = "v1") -> str:
    """Three lines, and those of ``more``."""
    return f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: demo}}\n{more}"


MAPS = [one("ConfigMap", name) for name in "abc"]


def of(hard: str, used: str | None, *live: str, more: str = "") -> Facts:
    return facts(quota(hard, used, more), *live)


def test_the_first_that_does_not_fit_is_named_with_what_is_left() -> None:
    (problem,) = foresee(*MAPS, facts=of("configmaps: 5", "configmaps: 4"))
    assert told([problem]) == [(CODE, 5, False)]
    assert problem.message == (
        "ConfigMap/b: new objects take 3 of configmaps, and ResourceQuota/q leaves 1 (4 of 5 are used)"
    )


@pytest.mark.parametrize(
    ("hard", "used"),
    [
        ("configmaps: 7", "configmaps: 4"),
        ("secrets: 0", "secrets: 0"),
        ("configmaps: 2", None),
        ("pods: 0", "pods: 0"),
        ("secrets: 1", "secrets: 3"),
    ],
    ids=["room enough", "of another kind", "not counted yet", "of pods", "exceeded by others"],
)
def test_else_nothing_is_said(hard: str, used: str | None) -> None:
    assert foresee(*MAPS, facts=of(hard, used)) == []


def test_what_is_there_already_takes_no_room() -> None:
    assert foresee(*MAPS, facts=of("configmaps: 5", "configmaps: 4", *MAPS[:2])) == []


def test_hooks_may_follow_each_other() -> None:
    known = of("count/configmaps: 1", "count/configmaps: 0")
    noted = [text.replace("demo}", "demo, annotations: {helm.sh/hook: pre-install}}") for text in MAPS]
    assert foresee(*noted, facts=known) == []
    assert [p.code for p in foresee(*MAPS, facts=known)] == [CODE]


def test_a_quota_of_a_scope_counts_pods_only() -> None:
    known = of("configmaps: 1", "configmaps: 1", more=", scopes: [BestEffort]")
    assert foresee(*MAPS, facts=known) == []


@pytest.mark.parametrize(
    ("text", "resource"),
    [
        (one("Role", "a", version="rbac.authorization.k8s.io/v1"), "count/roles.rbac.authorization.k8s.io"),
        (one("ConfigMap", "a"), "count/configmaps"),
        (one("Service", "a", "spec: {type: LoadBalancer, ports: [{port: 1}]}\n"), "services.loadbalancers"),
        (
            one("PersistentVolumeClaim", "a", "spec: {resources: {requests: {storage: 5Gi}}}\n"),
            "requests.storage",
        ),
    ],
)
def test_each_way_in_which_objects_are_counted(text: str, resource: str) -> None:
    def codes(hard: str) -> list[str]:
        known = of(f"{resource}: {hard}", f"{resource}: 0")
        return [p.code for p in foresee(text, facts=known) if not p.warning]

    assert codes("0") == [CODE]
    assert codes("5Gi") == []

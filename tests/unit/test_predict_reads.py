"""Predictions ask the cluster only what they need, and say nothing of what they may not read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from pipeline.core.kinds import builtin
from pipeline.core.planner import Desired
from pipeline.model.errors import ApiError, Problem, UnreachableError
from pipeline.model.objects import Manifest, Object, ResourceType
from pipeline.run.asked import Asked
from pipeline.run.predict import predictions
from tests.unit.predicting import DEPLOYMENT, read
from tests.unit.sessions import session_on
from tests.unit.test_predict_crd import CRD, LIVE
from tests.unit.test_predict_selection import SERVICE
from tests.unit.test_removed import CLAIM

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: it, namespace: demo}\n"
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: demo}\n"
QUOTA = (
    "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q, namespace: demo}\n"
    "spec: {hard: {pods: 2}}\nstatus: {used: {pods: 2}}\n"
)


class Cluster:
    """Lists what it holds; ``refuse`` says with which status a list is refused, 0 for none."""

    def __init__(self, *objects: str, refuse: Callable[[str, str], int] = lambda kind, namespace: 0) -> None:
        self.objects = [m.body for m in read(*objects)] if objects else []
        self.requests: list[tuple[str, ...]] = []
        self._refuse = refuse
        self._lock = threading.Lock()

    def lanes(self) -> int:
        return 4

    def version(self) -> str:
        self.requests.append(("version",))
        return "1.36.3"

    def resource(self, api_version: str, kind: str) -> ResourceType | None:
        return builtin(api_version, kind)

    def list(
        self, resource: ResourceType, namespace: str = "", selector: str = ""
    ) -> tuple[list[Object], str]:
        with self._lock:
            self.requests.append(tuple(filter(None, (resource.kind, namespace, selector))))
        if status := self._refuse(resource.kind, namespace):
            raise ApiError("refused", status=status)
        found = [
            obj
            for obj in self.objects
            if obj["kind"] == resource.kind and namespace in ("", obj["metadata"].get("namespace"))
        ]
        return found, "1"


def _desired(manifests: Sequence[Manifest]) -> list[Desired]:
    return [Desired(manifest=m, body=m.body, content="") for m in manifests]


def _foresee(
    cluster: Cluster, *texts: str, written: Sequence[str] | None = None, live: Sequence[str] = ()
) -> tuple[Problem, ...]:
    desired = _desired(read(*texts))
    chosen = [d for d in desired if written is None or d.manifest.ref.name in written]
    standing: Mapping[Any, Object] = {m.ref: m.body for m in read(*live)} if live else {}
    return predictions(session_on(cluster), desired, chosen, standing, Asked(cluster))


@pytest.mark.parametrize(
    ("texts", "written"), [((CONFIG,), None), ((DEPLOYMENT, SERVICE), ()), ((SERVICE, DEPLOYMENT), ("none",))]
)
def test_writes_that_nothing_is_to_be_said_of_cost_no_request(texts: Any, written: Any) -> None:
    cluster = Cluster()
    assert _foresee(cluster, *texts, written=written) == ()
    assert cluster.requests == []


def test_a_workload_costs_one_list_a_kind_and_namespace() -> None:
    cluster = Cluster(QUOTA)
    others = [DEPLOYMENT.replace("name: web, ", f"name: w{n}, ") for n in range(5)]
    problems = _foresee(cluster, DEPLOYMENT, *others, SERVICE, CONFIG)
    assert {p.code for p in problems} == {"quota-exceeded"}
    assert sorted(cluster.requests) == [("LimitRange", "demo"), ("ResourceQuota", "demo")]


def test_quotas_are_asked_for_where_several_objects_of_a_kind_are_new() -> None:
    """Whether there is room for one by itself the dry run tells."""
    cluster, other = Cluster(), CONFIG.replace("name: ", "name: other-", 1)
    _foresee(cluster, CONFIG, other, SERVICE, live=(other,), written=("none",))
    _foresee(cluster, CONFIG, other, live=(other,))
    assert cluster.requests == []
    _foresee(cluster, CONFIG, other)
    assert cluster.requests == [("ResourceQuota", "demo")]


def _spread(count: int) -> list[str]:
    return [DEPLOYMENT.replace("namespace: demo", f"namespace: n{n}") for n in range(count)]


def test_many_namespaces_are_read_with_one_list_a_kind() -> None:
    cluster = Cluster()
    _foresee(cluster, *_spread(4))
    assert sorted(cluster.requests) == [("LimitRange",), ("ResourceQuota",)]


def test_who_may_not_read_the_whole_cluster_reads_each_namespace() -> None:
    cluster = Cluster(QUOTA.replace("demo", "n2"), refuse=lambda kind, namespace: 0 if namespace else 403)
    problems = _foresee(cluster, *_spread(4))
    assert [p.code for p in problems] == ["quota-exceeded"]
    assert len(cluster.requests) == 2 + 2 * 4


def test_namespaces_that_the_set_brings_are_not_asked() -> None:
    cluster = Cluster()
    _foresee(cluster, NAMESPACE, DEPLOYMENT, SERVICE.replace("app: web", "app: wbe"))
    assert cluster.requests == []
    _foresee(cluster, NAMESPACE, DEPLOYMENT, live=(NAMESPACE,))
    assert len(cluster.requests) == 2


@pytest.mark.parametrize("status", [403, 404])
def test_what_may_not_be_read_is_taken_to_be_absent(status: int) -> None:
    assert _foresee(Cluster(QUOTA, refuse=lambda *_: status), DEPLOYMENT) == ()


def test_any_other_error_ends_it() -> None:
    with pytest.raises(ApiError):
        _foresee(Cluster(refuse=lambda *_: 500), DEPLOYMENT)

    class Gone(Cluster):
        def list(self, *_: Any, **__: Any) -> Any:
            raise UnreachableError("gone")

    with pytest.raises(UnreachableError):
        _foresee(Gone(), DEPLOYMENT)


def test_pods_are_asked_for_only_where_a_selector_matches_nothing_of_the_set() -> None:
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: demo, labels: {app: wbe}}\n"
    text = SERVICE.replace("app: web", "app: wbe")
    cluster = Cluster(pod)
    assert _foresee(cluster, text, written=("web",)) == ()
    assert cluster.requests == [("Pod", "demo", "app=wbe")]
    assert [p.code for p in _foresee(Cluster(), text)] == ["selects-nothing"]


def test_objects_of_a_definition_are_asked_for_only_where_it_matters() -> None:
    retyped = CRD.replace("size: {type: integer", "size: {type: string")
    widget = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w, namespace: demo}\n"
    cluster = Cluster(widget)
    assert [p.warning for p in _foresee(cluster, retyped, live=(LIVE,))] == [False]
    assert cluster.requests == [("Widget",)]
    assert [p.warning for p in _foresee(Cluster(), retyped, live=(LIVE,))] == [True]
    assert [p.warning for p in _foresee(Cluster(widget, refuse=lambda *_: 403), retyped, live=(LIVE,))] == [
        True
    ]
    unasked = Cluster(widget)
    _foresee(unasked, CRD.replace("maximum: 10", "maximum: 9"), live=(LIVE,))
    assert unasked.requests == []


def test_the_version_is_asked_for_only_where_an_api_is_on_its_way_out() -> None:
    cluster = Cluster()
    assert [p.code for p in _foresee(cluster, CLAIM)] == ["deprecated-api"]
    assert cluster.requests == [("version",)]


def test_numbers_are_those_that_are_sent_and_lines_those_that_were_written() -> None:
    (manifest,) = read(DEPLOYMENT)
    body = {**manifest.body, "spec": {**manifest.body["spec"], "replicas": 1}}
    desired = [replace(_desired([manifest])[0], body=body)]
    cluster = Cluster(QUOTA.replace("pods: 2}}\n", "pods: 1}}\n"))
    (problem,) = predictions(session_on(cluster), desired, desired, {}, Asked(cluster))
    assert problem.origin is not None
    assert (problem.code, problem.origin.line) == ("quota-exceeded", 13)


def test_a_definition_that_nobody_serves_is_not_listed() -> None:
    unserved = LIVE.replace("served: true", "served: false")
    cluster = Cluster()
    _foresee(cluster, CRD.replace("size: {type: integer", "size: {type: string"), live=(unserved,))
    assert cluster.requests == []

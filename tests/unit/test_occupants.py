"""What of a failed release's creations is left: what holds others' objects or data, and nothing else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.core import occupants
from pipeline.core.occupants import Contents, custom_resources, is_inside, made, staying
from pipeline.model.environment import Environment
from pipeline.model.errors import ApiError
from pipeline.model.events import Note
from pipeline.model.objects import Object, ObjectRef, ResourceType
from pipeline.model.release import Release
from pipeline.run.rollback import RolledBack, roll_back
from pipeline.run.session import Session
from tests.contract.memory_cluster import MemoryCluster

ENV = Environment(name="dev", application="web", namespace="demo", path="e.yaml")
LABELS = {"pipeline/application": "web", "pipeline/environment": "dev"}
SPACE = ObjectRef("", "Namespace", "", "more")
CRD = ObjectRef("apiextensions.k8s.io", "CustomResourceDefinition", "", "widgets.example.com")
CLAIM = ObjectRef("", "PersistentVolumeClaim", "more", "data")


def obj(ref: ObjectRef, *owners: str, ours: bool = False, **more: Any) -> Object:
    meta: dict[str, Any] = {"name": ref.name, "namespace": ref.namespace, "uid": str(ref)}
    meta["ownerReferences"] = [{"uid": owner} for owner in owners]
    if ours:
        meta["labels"] = LABELS
    api_version = f"{ref.group}/v1" if ref.group else "v1"
    return {"apiVersion": api_version, "kind": ref.kind, "metadata": meta, **more}


def inside(kind: str, name: str, group: str = "") -> ObjectRef:
    return ObjectRef(group, kind, "more", name)


def kept(*created: Object, of_space: list[Object] | str = "", of_crd: Any = ()) -> dict[ObjectRef, str]:
    contents: Contents = {SPACE: of_space or [], CRD: of_crd}
    return staying({ObjectRef.of(o): o for o in created}, contents, ENV)


DEPLOYMENT = obj(inside("Deployment", "web", "apps"), ours=True)
SET = obj(inside("ReplicaSet", "web-1", "apps"), "apps/Deployment/more/web")
POD = obj(inside("Pod", "web-1-x"), "apps/ReplicaSet/more/web-1")


def test_a_namespace_goes_with_what_the_release_and_controllers_made_and_what_kubernetes_puts_in() -> None:
    service = obj(inside("Service", "web"), ours=True)
    standard = [
        obj(inside("ServiceAccount", "default")),
        obj(inside("ConfigMap", "kube-root-ca.crt")),
        obj(inside("Event", "web.1")),
        obj(inside("Event", "web.1", "events.k8s.io")),
        obj(inside("PodMetrics", "web-1-x", "metrics.k8s.io")),
        obj(inside("Endpoints", "web")),
        obj(inside("EndpointSlice", "web-1", "discovery.k8s.io"), "/Service/more/web"),
    ]
    space = obj(SPACE, ours=True)
    # A pod may be listed before what it belongs to.
    assert kept(space, DEPLOYMENT, service, of_space=[POD, SET, DEPLOYMENT, service, *standard]) == {}


@pytest.mark.parametrize(
    "other",
    [
        obj(inside("ConfigMap", "theirs")),
        obj(inside("ServiceAccount", "builder")),
        obj(inside("Secret", "default")),
        obj(inside("Pod", "stray"), "apps/ReplicaSet/more/of-somebody"),
        obj(inside("Endpoints", "database")),
        obj(inside("PersistentVolumeClaim", "data-db-0")),
        obj(inside("ConfigMap", "labelled"), ours=True),
    ],
    ids=lambda other: f"{other['kind']} {other['metadata']['name']}",
)
def test_a_namespace_with_anything_else_stays_and_the_reason_names_it(other: Object) -> None:
    reasons = kept(obj(SPACE, ours=True), DEPLOYMENT, of_space=[DEPLOYMENT, SET, other])
    assert reasons == {SPACE: f"it holds what this release did not make: {ObjectRef.of(other)}"}


def test_of_many_the_first_are_named_and_the_others_counted() -> None:
    others = [obj(inside("ConfigMap", name)) for name in "edcba"]
    (reason,) = kept(obj(SPACE, ours=True), of_space=others).values()
    assert reason.endswith("/ConfigMap/more/a, /ConfigMap/more/b, /ConfigMap/more/c and 2 more")


def test_what_nobody_could_look_into_stays() -> None:
    (reason,) = kept(obj(SPACE, ours=True), of_space="list secrets in more: forbidden").values()
    assert reason == "nobody could look into it: list secrets in more: forbidden"


def test_a_definition_goes_with_the_resources_of_the_release_and_their_children_alone() -> None:
    ours = obj(inside("Widget", "ours", "example.com"), ours=True)
    child = obj(inside("Widget", "child", "example.com"), "example.com/Widget/more/ours")
    theirs = obj(ObjectRef("example.com", "Widget", "far", "theirs"))
    definition = obj(CRD, ours=True)
    assert kept(definition, ours, of_crd=[child, ours]) == {}
    assert list(kept(definition, ours, of_crd=[ours, theirs])) == [CRD]


def test_a_bound_claim_stays_and_the_namespace_with_it() -> None:
    bound = obj(CLAIM, ours=True, spec={"volumeName": "pv-1"})
    assert set(kept(obj(SPACE, ours=True), bound, of_space=[bound])) == {CLAIM, SPACE}


@pytest.mark.parametrize(
    ("kind", "spec", "stays"),
    [
        ("PersistentVolumeClaim", {"volumeName": "pv-1"}, True),
        ("PersistentVolumeClaim", {}, False),
        ("PersistentVolume", {"claimRef": {"name": "data"}}, True),
        ("PersistentVolume", {}, False),
        ("ConfigMap", {"volumeName": "x"}, False),
    ],
)
def test_a_volume_or_claim_stays_once_it_has_its_other_half(kind: str, spec: Object, stays: bool) -> None:
    assert bool(kept(obj(inside(kind, "data"), ours=True, spec=spec))) is stays


def test_what_somebody_else_made_meanwhile_is_not_ours_to_delete() -> None:
    theirs = obj(inside("ConfigMap", "same-name"))
    assert set(kept(obj(SPACE, ours=True), theirs, of_space=[theirs])) == {ObjectRef.of(theirs), SPACE}


def test_the_namespace_of_the_records_stays() -> None:
    own = ObjectRef("", "Namespace", "", "demo")
    assert kept(obj(own, ours=True)) == {own: "the records of this environment are in it"}


def test_what_controllers_made_is_known_by_its_owners_even_when_those_are_gone() -> None:
    known = made([DEPLOYMENT], {SPACE: [SET]})
    assert made((), {SPACE: [POD]}, known) >= {"/Pod/more/web-1-x"}


def test_how_a_definitions_resources_are_served() -> None:
    names = {"kind": "Widget", "plural": "widgets"}
    versions = [{"name": "v1", "served": False}, {"name": "v2", "served": True}]
    spec = {"group": "example.com", "scope": "Cluster", "names": names, "versions": versions}
    served = ResourceType("example.com", "v2", "Widget", "widgets", False)
    assert custom_resources({"spec": spec}) == served
    assert custom_resources({"spec": {**spec, "versions": versions[:1]}}) is None


def test_what_is_inside_of_what() -> None:
    spec = {"group": "example.com", "names": {"kind": "Widget"}}
    widget = inside("Widget", "one", "example.com")
    assert is_inside(widget, SPACE, {})
    assert is_inside(widget, CRD, {"spec": spec})
    assert not is_inside(inside("Gadget", "one", "example.com"), CRD, {"spec": spec})
    assert not is_inside(widget, widget, {})


# --- carried out


class Cluster(MemoryCluster):
    """One namespace more, in which only ConfigMaps are served."""

    kinds = (ResourceType("", "v1", "ConfigMap", "configmaps", True),)

    def lanes(self) -> int:
        return 1

    def resource(self, api_version: str, kind: str) -> ResourceType:
        return ResourceType("", "v1", kind, f"{kind.lower()}s", kind != "Namespace")

    def namespaced_kinds(self) -> tuple[ResourceType, ...]:
        return self.kinds


def back(cluster: Cluster, *refs: ObjectRef) -> tuple[RolledBack, list[str]]:
    """From a release that made these."""
    events: list[Any] = []
    changes = [{"object": str(r), "apiVersion": "v1", "wave": 1, "origin": "m.yaml:5"} for r in refs]
    release = Release(
        application="web",
        environment="dev",
        number=2,
        id="i",
        revision="r",
        before=tuple((ref, None) for ref in refs),
        plan={"changes": changes},
    )
    session = Session(
        environment=ENV,
        cluster=cluster,  # type: ignore[arg-type]
        releases=None,  # type: ignore[arg-type]
        lock=SimpleNamespace(check=lambda: None),  # type: ignore[arg-type]
        prober=None,  # type: ignore[arg-type]
        clock=cluster.time,
        tell=events.append,
        stopped=lambda: False,
        locked=True,
    )
    result = roll_back(session, release, (), "release 1")
    return result, [e.message for e in events if isinstance(e, Note)]


MINE = inside("ConfigMap", "mine")


def cluster_with(*objects: Object) -> Cluster:
    cluster = Cluster()
    for one in (obj(SPACE, ours=True), obj(MINE, ours=True), *objects):
        cluster.put(one)
    return cluster


def names(cluster: Cluster) -> set[str]:
    return {name for _, _, name in cluster.objects}


def test_a_namespace_goes_once_all_in_it_is_gone() -> None:
    cluster = cluster_with()
    result, _ = back(cluster, SPACE, MINE)
    assert (result.ok, result.differences, names(cluster)) == (True, (), set())


def test_what_is_put_in_while_the_rollback_is_under_way_keeps_the_namespace() -> None:
    cluster = cluster_with()

    def meanwhile(verb: str, name: str) -> None:
        if verb == "delete" and name == "mine":
            cluster.put(obj(inside("ConfigMap", "theirs")))

    cluster.fault = meanwhile
    result, _ = back(cluster, SPACE, MINE)
    assert result.ok
    assert names(cluster) == {"more", "theirs"}
    (difference,) = result.differences
    assert (difference.ref, difference.after) == (SPACE, "present")
    assert difference.reason.endswith("did not make: /ConfigMap/more/theirs")


def test_what_the_garbage_collector_takes_a_moment_for_keeps_nothing() -> None:
    cluster = cluster_with()
    late = inside("ConfigMap", "made-by-a-controller")

    def meanwhile(verb: str, name: str) -> None:
        if verb == "delete" and name == "mine":
            cluster.put(obj(late, "a uid that nobody has seen"))
            cluster.time.at.append((cluster.time.passed + 2, lambda: cluster.delete(late, "v1")))

    cluster.fault = meanwhile
    result, _ = back(cluster, SPACE, MINE)
    assert (result.ok, names(cluster)) == (True, set())


def test_a_namespace_is_not_deleted_to_get_rid_of_what_refuses_to_go() -> None:
    cluster = cluster_with()

    def refuse(verb: str, name: str) -> None:
        if name == "mine":
            raise ApiError("delete ConfigMap/mine: no", status=403)

    cluster.fault = refuse
    result, _ = back(cluster, SPACE, MINE)
    assert names(cluster) == {"more", "mine"}
    assert result.problems[1].endswith(f"not sent, as {MINE} must be gone before and is still there")
    assert not result.ok


def test_a_claim_that_was_bound_meanwhile_stays() -> None:
    cluster = cluster_with(obj(CLAIM, ours=True, spec={}))
    cluster.kinds = (*Cluster.kinds, ResourceType("", "v1", "PersistentVolumeClaim", "pvcs", True))
    asked: list[str] = []
    get = cluster.get

    def bound_later(ref: ObjectRef, api_version: str) -> Object | None:
        asked.append(ref.name)
        if asked.count("data") == 2:
            cluster.put(obj(CLAIM, ours=True, spec={"volumeName": "pv-1"}))
        return get(ref, api_version)

    cluster.get = bound_later  # type: ignore[method-assign]
    result, _ = back(cluster, CLAIM)
    assert result.ok
    assert result.kept == {CLAIM: "a bound PersistentVolumeClaim may hold data"}
    assert "data" in names(cluster)


def test_volumes_and_containers_are_what_may_hold_something() -> None:
    assert {kind for _, kind in occupants.VOLUMES | occupants.CONTAINERS} == {
        "Namespace",
        "CustomResourceDefinition",
        "PersistentVolume",
        "PersistentVolumeClaim",
    }

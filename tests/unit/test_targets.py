"""What is asked of the server about the objects that are waited for, beside themselves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.model.errors import PipelineError
from pipeline.model.objects import Manifest, Object, ObjectRef, Origin, ResourceType
from pipeline.run.targets import Facts, Target
from tests.kube_objects import simple


class FakeCluster:
    """A cluster with these objects; ``forbidden`` kinds may not be read."""

    def __init__(self, *objects: Object, forbidden: str = "") -> None:
        self.objects = {ObjectRef.of(obj): obj for obj in objects}
        self.forbidden = forbidden
        self.lists: list[str] = []

    def resource(self, api_version: str, kind: str) -> ResourceType:
        group, _, version = api_version.rpartition("/")
        return ResourceType(group, version, kind, f"{kind.lower()}s", True)

    def get(self, ref: ObjectRef, api_version: str) -> Object | None:
        if ref.kind == self.forbidden:
            raise PipelineError("forbidden")
        return self.objects.get(ref)

    def list(self, resource: ResourceType, namespace: str = "") -> tuple[list[Object], str]:
        self.lists.append(resource.kind)
        if resource.kind == self.forbidden:
            raise PipelineError("forbidden")
        return [obj for ref, obj in self.objects.items() if ref.kind == resource.kind], "1"


def asked(obj: Object, cluster: FakeCluster) -> Any:
    manifest = Manifest(ObjectRef.of(obj), obj, Origin("a.yaml", 1))
    return Facts(SimpleNamespace(cluster=cluster)).core_target(Target(manifest=manifest))  # type: ignore[arg-type]


def of_cluster(version: str, kind: str, name: str, *, namespace: str = "", **fields: Any) -> Object:
    meta = {"name": name, "namespace": namespace, "annotations": fields.pop("annotations", {})}
    return {"apiVersion": version, "kind": kind, "metadata": meta, **fields}


def claim(**spec: Any) -> Object:
    return simple("v1", "PersistentVolumeClaim", spec=spec)


def storage_class(name: str, mode: str = "Immediate", *, default: bool = False) -> Object:
    notes = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return of_cluster("storage.k8s.io/v1", "StorageClass", name, annotations=notes, volumeBindingMode=mode)


class TestTheClassOfAClaim:
    @pytest.mark.parametrize(
        ("spec", "exists"),
        [({"storageClassName": "gp3"}, True), ({"storageClassName": "gp4"}, False), ({}, False)],
        ids=["named", "misspelt", "by default"],
    )
    def test_is_there_or_not(self, spec: Any, exists: bool) -> None:
        assert asked(claim(**spec), FakeCluster(storage_class("gp3"))).class_exists is exists

    def test_is_not_there_where_the_cluster_has_none(self) -> None:
        assert asked(claim(storageClassName="gp3"), FakeCluster()).class_exists is False

    def test_may_be_the_default_one(self) -> None:
        found = asked(claim(), FakeCluster(storage_class("gp3", "WaitForFirstConsumer", default=True)))

        assert (found.class_exists, found.wait_for_first_consumer) == (True, True)

    def test_is_none_where_none_is_wanted(self) -> None:
        assert asked(claim(storageClassName=""), FakeCluster(storage_class("gp3"))).class_exists is None

    def test_is_not_known_where_it_may_not_be_read(self) -> None:
        cluster = FakeCluster(storage_class("gp3"), forbidden="StorageClass")

        assert asked(claim(storageClassName="gp3"), cluster).class_exists is None


class TestTheClassOfAnIngress:
    @pytest.mark.parametrize(("name", "exists"), [("alb", True), ("abl", False)])
    def test_is_there_or_not(self, name: str, exists: bool) -> None:
        ingress = simple("networking.k8s.io/v1", "Ingress", spec={"ingressClassName": name})
        cluster = FakeCluster(of_cluster("networking.k8s.io/v1", "IngressClass", "alb"))

        assert asked(ingress, cluster).class_exists is exists

    def test_is_not_asked_for_where_none_is_named(self) -> None:
        ingress = simple("networking.k8s.io/v1", "Ingress", spec={})

        cluster = FakeCluster()

        assert asked(ingress, cluster).class_exists is None
        assert cluster.lists == []


class TestTheTargetOfAnAutoscaler:
    REF = ("apps/v1", "Deployment", "web")

    def asked(self, cluster: FakeCluster) -> Any:
        version, kind, name = self.REF
        ref = {"apiVersion": version, "kind": kind, "name": name}
        return asked(
            simple("autoscaling/v2", "HorizontalPodAutoscaler", spec={"scaleTargetRef": ref}), cluster
        ).target_exists

    def test_is_there_or_not(self) -> None:
        assert self.asked(FakeCluster(of_cluster(*self.REF, namespace="demo"))) is True
        assert self.asked(FakeCluster(of_cluster(*self.REF, namespace="other"))) is False

    def test_is_not_known_where_it_may_not_be_read(self) -> None:
        assert self.asked(FakeCluster(forbidden="Deployment")) is None


def test_of_other_kinds_nothing_is_asked() -> None:
    cluster = FakeCluster()

    found = asked(simple("v1", "ConfigMap"), cluster)

    assert (found.class_exists, found.target_exists, found.has_status_subresource) == (None, None, None)
    assert cluster.lists == []


@pytest.mark.parametrize(("subresources", "promised"), [({"status": {}}, True), ({}, False)])
def test_a_definition_promises_a_status_or_not_also_in_a_group_of_kubernetes(
    subresources: Any, promised: bool
) -> None:
    """A group that ends in k8s.io is not for that one that the API server itself serves."""
    versions = [{"name": "v1", "subresources": subresources}]
    crd = of_cluster(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "things.example.k8s.io",
        spec={"versions": versions},
    )

    found = asked(simple("example.k8s.io/v1", "Thing"), FakeCluster(crd))

    assert found.has_status_subresource is promised

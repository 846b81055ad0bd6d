"""What our API server adapter does against a real API server."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.adapters.cluster import KubeCluster
from pipeline.adapters.connection import Connection, connect
from pipeline.adapters.discovery import aggregated
from pipeline.adapters.http import Call
from pipeline.adapters.retry import Retrier
from pipeline.core import kinds
from pipeline.model.errors import ApiError, UnreachableError
from pipeline.model.objects import Object, ObjectRef
from tests.cluster.local import LocalCluster

pytestmark = pytest.mark.cluster


@pytest.fixture
def kube(cluster: LocalCluster) -> Iterator[KubeCluster]:
    kube = open_cluster(cluster.kubeconfig)
    yield kube
    kube.http.connection.close()


def open_cluster(kubeconfig: Path, context: str = "") -> KubeCluster:
    return open_connection(connect(kubeconfig=str(kubeconfig), context=context))


def open_connection(connection: Connection) -> KubeCluster:
    return KubeCluster(connection, sleep=time.sleep, monotonic=time.monotonic)


def config_map(namespace: str, name: str = "settings", **data: str) -> Object:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def test_every_kind_that_is_taken_for_granted_is_served_as_we_believe(kube: KubeCluster) -> None:
    served = set()
    for root in ("/apis", "/api"):
        accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        served |= set(aggregated(kube.http.json(Call(method="GET", path=root, what="", accept=accept))))

    assert set(kinds._KINDS.values()) - served == set()


def test_every_kind_in_a_namespace_is_told_once_and_can_be_listed(kube: KubeCluster, namespace: str) -> None:
    found = kube.namespaced_kinds()

    kinds_of = [(kind.group, kind.kind) for kind in found]
    assert len(kinds_of) == len(set(kinds_of))
    assert {("", "ConfigMap"), ("apps", "Deployment"), ("coordination.k8s.io", "Lease")} < set(kinds_of)
    assert {
        ("", "Namespace"),
        ("", "Binding"),
        ("authorization.k8s.io", "LocalSubjectAccessReview"),
    }.isdisjoint(kinds_of)
    for kind in found:
        kube.list(kind, namespace)  # raises where that is none


def test_all_that_is_served_is_named_by_version_and_kind(kube: KubeCluster) -> None:
    found = kube.api_versions()

    assert list(found) == sorted(set(found))
    assert {"v1", "v1/ConfigMap", "apps/v1", "apps/v1/Deployment", "autoscaling/v2"} < set(found)
    assert kube.git_version().startswith(f"v{kube.version()}")


def test_what_was_applied_can_be_read_listed_and_deleted(kube: KubeCluster, namespace: str) -> None:
    ref = ObjectRef("", "ConfigMap", namespace, "settings")

    applied = kube.apply(config_map(namespace, color="red"))
    listed, version = kube.list(kube.resource("v1", "ConfigMap"), namespace)
    read = kube.get(ref, "v1")
    kube.delete(ref, "v1", uid=applied["metadata"]["uid"])

    assert read == applied
    assert [(o["apiVersion"], o["kind"]) for o in listed] == [("v1", "ConfigMap")] * len(listed)
    assert applied["metadata"]["name"] in [o["metadata"]["name"] for o in listed]
    assert int(version) >= int(applied["metadata"]["resourceVersion"])
    assert [m["manager"] for m in applied["metadata"]["managedFields"]] == ["pipeline"]
    assert kube.get(ref, "v1") is None


NO_TEXT_OF_YAML = [
    *map(chr, range(0x7F, 0xA0)),
    "\u2028",
    "\u2029",
    "\ufeff",
    "\ufffe",
    "\uffff",
    "\U0001ffff",
]


def test_every_character_of_a_string_arrives(kube: KubeCluster, namespace: str) -> None:
    """The server reads what is applied as YAML, which refuses some characters and folds lines at others."""
    data = {f"{ord(char):x}": f"a {char} b{char}c" for char in [*map(chr, range(0x20)), *NO_TEXT_OF_YAML]}
    applied = kube.apply(config_map(namespace, **data))
    assert applied["data"] == data


def test_a_dry_run_changes_nothing(kube: KubeCluster, namespace: str) -> None:
    ref = ObjectRef("", "ConfigMap", namespace, "settings")

    kube.try_apply(config_map(namespace))
    kube.create(config_map(namespace), dry_run=True)
    assert kube.get(ref, "v1") is None

    kube.create(config_map(namespace))
    kube.delete(ref, "v1", dry_run=True)
    assert kube.get(ref, "v1") is not None


def test_deleting_what_is_absent_is_fine_but_another_uid_is_not(kube: KubeCluster, namespace: str) -> None:
    ref = ObjectRef("", "ConfigMap", namespace, "settings")
    kube.delete(ref, "v1", uid="00000000-0000-0000-0000-000000000000")
    kube.create(config_map(namespace))

    with pytest.raises(ApiError) as caught:
        kube.delete(ref, "v1", uid="00000000-0000-0000-0000-000000000000")

    assert caught.value.status == 409
    assert kube.get(ref, "v1") is not None


def test_a_conflict_names_the_field_and_its_manager(kube: KubeCluster, namespace: str) -> None:
    ref = ObjectRef("", "ConfigMap", namespace, "settings")
    kube.http.send(
        Call(
            method="PATCH",
            path=f"/api/v1/namespaces/{namespace}/configmaps/settings",
            what="",
            query={"fieldManager": "somebody"},
            content_type="application/apply-patch+yaml",
            body=config_map(namespace, color="red"),
        )
    )

    with pytest.raises(ApiError) as caught:
        kube.apply(config_map(namespace, color="blue"))
    kube.apply(config_map(namespace, color="green"), force=True)

    assert (caught.value.status, caught.value.reason) == (409, "Conflict")
    [(reason, field, message)] = caught.value.causes
    assert (reason, field) == ("FieldManagerConflict", ".data.color")
    assert '"somebody"' in message
    assert (kube.get(ref, "v1") or {})["data"] == {"color": "green"}


def test_a_field_that_the_schema_lacks_is_refused_in_strict_mode(kube: KubeCluster, namespace: str) -> None:
    with pytest.raises(ApiError, match=r"\.colour: field not declared in schema"):
        kube.apply({**config_map(namespace), "colour": "red"})


def test_a_refused_secret_shows_nothing_of_its_value(kube: KubeCluster, namespace: str) -> None:
    meta = {"name": "s", "namespace": namespace}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta}
    refused = [
        {**secret, "data": {"password": "hunter2!"}},
        {**secret, "stringData": {"password": {"hunter2": "hunter2"}}},
        {**secret, "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "hunter2"}},
    ]

    for body in refused:
        with pytest.raises(ApiError) as caught:
            kube.apply(body)
        assert "hunter2" not in f"{caught.value} {caught.value.message} {caught.value.causes}"


def test_replacing_an_outdated_object_is_a_conflict(kube: KubeCluster, namespace: str) -> None:
    first = kube.create(config_map(namespace, color="red"))
    kube.replace({**first, "data": {"color": "blue"}})

    with pytest.raises(ApiError) as caught:
        kube.replace({**first, "data": {"color": "green"}})

    assert caught.value.status == 409


def test_of_a_list_only_what_is_asked_for_is_kept(
    kube: KubeCluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.adapters.cluster.PAGE", 2)
    for number in range(5):
        kube.create(config_map(namespace, f"kept-{number}"))

    def keep(obj: Object) -> Object | None:
        name = obj["metadata"]["name"]
        return {"is": [obj["apiVersion"], obj["kind"], name]} if name in ("kept-1", "kept-4") else None

    found, _ = kube.list(kube.resource("v1", "ConfigMap"), namespace, keep=keep)

    assert found == [{"is": ["v1", "ConfigMap", name]} for name in ("kept-1", "kept-4")]


def test_lists_of_several_pages_are_whole(
    kube: KubeCluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.adapters.cluster.PAGE", 2)
    for number in range(5):
        kube.create(config_map(namespace, f"page-{number}"))

    found, _ = kube.list(kube.resource("v1", "ConfigMap"), namespace)

    names = [o["metadata"]["name"] for o in found if o["metadata"]["name"].startswith("page-")]
    assert names == [f"page-{n}" for n in range(5)]


def test_a_watch_tells_what_happened_after_the_list(kube: KubeCluster, namespace: str) -> None:
    resource = kube.resource("v1", "ConfigMap")
    ref = ObjectRef("", "ConfigMap", namespace, "settings")
    _, version = kube.list(resource, namespace)
    with_watch = kube.watch(resource, namespace, version, timeout_s=30)
    kube.apply(config_map(namespace, color="red"))
    kube.apply(config_map(namespace, color="blue"))
    kube.delete(ref, "v1")

    events = []
    for event, body in with_watch:
        if body["metadata"]["name"] == "settings":
            events.append(event)
        if event == "DELETED":
            with_watch.close()

    assert events == ["ADDED", "MODIFIED", "DELETED"]


def test_a_blocked_watch_ends_when_another_thread_closes_it(kube: KubeCluster, namespace: str) -> None:
    resource = kube.resource("v1", "Pod")
    _, version = kube.list(resource, namespace)
    watch = kube.watch(resource, namespace, version, timeout_s=300)
    reader = threading.Thread(target=lambda: list(watch))
    reader.start()

    watch.close()
    reader.join(timeout=30)

    assert not reader.is_alive()


def test_kinds_are_discovered_and_forgotten_on_refresh(kube: KubeCluster, cluster: LocalCluster) -> None:
    name = "lamps.test.example"
    assert kube.resource("test.example/v1", "Lamp") is None
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    spec = {
        "group": "test.example",
        "scope": "Cluster",
        "names": {"kind": "Lamp", "plural": "lamps"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
    }
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    kube.apply({**crd, "metadata": {"name": name}, "spec": spec})
    try:
        assert kube.resource("test.example/v1", "Lamp") is None  # still what was found before
        for _ in range(100):
            kube.refresh()
            lamp = kube.resource("test.example/v1", "Lamp")
            if lamp is not None:
                break
            time.sleep(0.1)
        assert (lamp.plural, lamp.namespaced) == ("lamps", False)
        body = {"apiVersion": "test.example/v1", "kind": "Lamp", "metadata": {"name": "one"}}
        assert kube.apply(body)["metadata"]["uid"]
    finally:
        kube.delete(
            ObjectRef("apiextensions.k8s.io", "CustomResourceDefinition", "", name), crd["apiVersion"]
        )


def test_a_kind_that_is_not_served_is_called_so(kube: KubeCluster, namespace: str) -> None:
    body = {"apiVersion": "nobody.example/v1", "kind": "Ghost", "metadata": {"name": "g"}}

    with pytest.raises(ApiError, match=r"does not serve Ghost of nobody\.example/v1"):
        kube.apply(body)


def test_a_forbidden_request_names_what_may_not_be_done(cluster: LocalCluster, namespace: str) -> None:
    viewer = open_cluster(cluster.user_kubeconfig("viewer"))

    with pytest.raises(ApiError) as caught:
        viewer.apply(config_map(namespace))

    assert (caught.value.status, caught.value.reason) == (403, "Forbidden")
    assert "cannot patch resource" in caught.value.message
    assert viewer.identity() == "viewer"


def test_a_wrong_token_is_a_refused_login(cluster: LocalCluster, tmp_path: Path) -> None:
    config = json.loads(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": "wrong-token"}
    path = tmp_path / "config"
    path.write_text(json.dumps(config))

    with pytest.raises(UnreachableError, match="refused the login") as caught:
        open_cluster(path).identity()

    assert "wrong-token" not in f"{caught.value} {caught.value.hint}"


def test_another_authority_is_an_untrusted_certificate(cluster: LocalCluster, tmp_path: Path) -> None:
    config = json.loads(cluster.kubeconfig.read_text())
    del config["clusters"][0]["cluster"]["certificate-authority-data"]
    path = tmp_path / "config"
    path.write_text(json.dumps(config))

    with pytest.raises(UnreachableError, match="certificate that is not trusted"):
        open_cluster(path).version()


def test_the_cluster_tells_its_version_its_time_and_our_name(kube: KubeCluster) -> None:
    assert kube.version().count(".") == 2
    assert kube.identity() == "admin"
    assert abs(kube.server_time() - time.time()) < 60


def test_logs_of_a_pod_that_is_not_there_are_empty(kube: KubeCluster, namespace: str) -> None:
    assert kube.logs(namespace, "nobody", "main", previous=False, lines=5) == ""


def test_a_server_that_restarts_is_waited_for(cluster: LocalCluster, namespace: str) -> None:
    kube = open_cluster(cluster.kubeconfig)
    kube.version()
    cluster.stop_apiserver()
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        if not waited:
            cluster.start_apiserver()
        waited.append(seconds)
        time.sleep(seconds)

    kube.http.retrier = Retrier(sleep=sleep, monotonic=time.monotonic)

    assert kube.apply(config_map(namespace))["metadata"]["uid"]
    assert waited
    kube.http.connection.close()

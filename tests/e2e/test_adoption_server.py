"""Taking objects over from other deploy tools, against the API server: what goes is what was predicted."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from copy import deepcopy
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.error import HTTPError

import pytest

from pipeline.core.adoption import LAST_APPLIED, adopt, adoption_patch, note, predicted, trial
from pipeline.core.compare import compare
from tests.cluster.local import LocalCluster
from tests.e2e.live import until

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
TAKEOVERS = 5

Body = dict[str, Any]
Answer = TypeVar("Answer")


class Server:
    """The requests that a takeover makes, raw."""

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        self._cluster, self.namespace = cluster, namespace

    def path(self, body: Body, *, named: bool = True) -> str:
        root = "/api/v1" if body["apiVersion"] == "v1" else f"/apis/{body['apiVersion']}"
        name = f"/{body['metadata']['name']}" if named else ""
        return f"{root}/namespaces/{self.namespace}/{body['kind'].lower()}s{name}"

    def kubectl(self, body: Body, *flags: str) -> None:
        subprocess.run(
            ["kubectl", "-n", self.namespace, "apply", *flags, "-f", "-"],
            env={**os.environ, "KUBECONFIG": str(self._cluster.kubeconfig)},
            input=json.dumps(body),
            capture_output=True,
            text=True,
            check=True,
        )

    def create(self, body: Body, manager: str) -> None:
        path = self.path(body, named=False)
        self._cluster.api.call("POST", f"{path}?fieldManager={manager}", body)

    def get(self, body: Body) -> Body:
        return self._call("GET", self.path(body))

    def apply(self, body: Body, *, dry_run: bool = False, manager: str = "pipeline") -> Body:
        query = f"?fieldManager={manager}&force=true" + ("&dryRun=All" if dry_run else "")
        return self._call("PATCH", self.path(body) + query, body, APPLY)

    def patch(self, body: Body, patch: Any, content: str, manager: str, query: str = "") -> Body:
        path = f"{self.path(body)}?fieldManager={manager}{query}"
        return self._call("PATCH", path, patch, content)

    def _call(self, *args: Any) -> Body:
        answer: Body = self._cluster.api.call(*args)
        return answer

    def take_over(self, body: Body) -> tuple[Body, Body]:
        """(what was predicted with the server's defaults, what the apply then left)."""
        return again_when_it_moved(lambda: self._take_over(body))

    def _take_over(self, body: Body) -> tuple[Body, Body]:
        live = self.settled(body)
        applied = self.apply(body, dry_run=True)
        after = predicted(applied, live)
        expected = self.patch(body, trial(live, after), JSON_PATCH, "pipeline", "&dryRun=All")
        patch = adoption_patch(live, applied)
        assert patch is not None
        self.patch(body, patch, MERGE, "pipeline")
        return expected, self.apply(body)

    def settled(self, body: Body) -> Body:
        """The live object once controllers write no status any more: each write is another version."""
        if body["kind"] == "Deployment":
            until(lambda: _is_settled(self.get(body)))
            time.sleep(0.3)
        return self.get(body)


def again_when_it_moved(read_and_write: Callable[[], Answer]) -> Answer:
    """As the engine does: a controller may write the object between the read and the takeover, at any
    time; the API server then refuses with 409, and all is done again from a new read."""
    for _ in range(TAKEOVERS - 1):
        try:
            return read_and_write()
        except HTTPError as refused:
            refused.close()
            if refused.code != HTTPStatus.CONFLICT:
                raise
    return read_and_write()


def _is_settled(live: Body) -> bool:
    status = live.get("status", {})
    updated = status.get("observedGeneration") == live["metadata"]["generation"]
    wanted = live["spec"]["replicas"]
    counts = (status.get("replicas"), status.get("updatedReplicas"), status.get("availableReplicas"))
    return updated and counts == (wanted, wanted, wanted)


@pytest.fixture
def server(cluster: LocalCluster, namespace: str) -> Server:
    return Server(cluster, namespace)


def config(name: str = "settings", **data: str) -> Body:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(**more: Any) -> Body:
    container = {"name": "web", "image": "nginx:1.21", **more}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
        },
    }


def rich() -> Body:
    """A Deployment with something of everything that may go."""
    body = deployment(
        args=["serve"],
        env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        ports=[{"containerPort": 80}, {"containerPort": 443, "name": "tls"}],
        resources={"requests": {"cpu": "10m"}},
    )
    body["metadata"]["annotations"] = {"example.com/note": "old"}
    body["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "Helm"
    body["metadata"]["finalizers"] = ["example.com/old"]
    body["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2}}
    pod = body["spec"]["template"]["spec"]
    pod["containers"].append({"name": "sidecar", "image": "nginx:1.20"})
    pod["volumes"] = [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "old", "emptyDir": {}}]
    pod["nodeSelector"] = {"kubernetes.io/os": "linux"}
    return body


def lean() -> Body:
    body = deployment(env=[{"name": "A", "value": "1"}], ports=[{"containerPort": 80}])
    body["spec"]["template"]["spec"]["volumes"] = [{"name": "tmp", "emptyDir": {}}]
    return body


def unlike(expected: Body, found: Body) -> list[str]:
    """Where two states differ, but for versions and for what controllers do meanwhile."""

    def shown(obj: Body) -> Body:
        volatile = ("managedFields", "resourceVersion", "generation")
        meta = {k: v for k, v in obj["metadata"].items() if k not in volatile}
        return {**{k: v for k, v in obj.items() if k != "status"}, "metadata": meta}

    return [f"{u.place.path}: {u.before} → {u.after}" for u in compare(shown(expected), shown(found))]


def test_without_a_takeover_a_removed_field_stays(server: Server) -> None:
    server.kubectl(config(a="1", b="2"))
    assert server.apply(config(a="1"))["data"] == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    "flags", [(), ("--server-side",), ("--server-side", "--field-manager=argocd-controller")]
)
def test_a_field_that_kubectl_or_argo_applied_and_that_our_manifest_lacks_goes(
    server: Server, flags: tuple[str, ...]
) -> None:
    server.kubectl(config(a="1", b="2"), *flags)
    expected, found = server.take_over(config(a="1"))
    assert found["data"] == {"a": "1"}
    assert LAST_APPLIED not in found["metadata"].get("annotations", {})
    assert unlike(expected, found) == []
    assert [entry["manager"] for entry in found["metadata"]["managedFields"]] == ["pipeline"]


@pytest.mark.parametrize("how", ["kubectl", "server-side", "helm", "ours before"])
def test_of_a_deployment_exactly_what_was_predicted_goes(server: Server, how: str) -> None:
    match how:
        case "kubectl":
            server.kubectl(rich())
        case "server-side":
            server.kubectl(rich(), "--server-side")
        case "helm":
            server.create(rich(), "helm")
        case _:
            server.apply(rich())
            server.kubectl(rich())
    expected, found = server.take_over(lean())

    assert unlike(expected, found) == []
    pod = found["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert [v["name"] for v in container["env"]] == ["A"]
    assert [p["containerPort"] for p in container["ports"]] == [80]
    assert "args" not in container
    assert "nodeSelector" not in pod
    assert [v["name"] for v in pod["volumes"]] == ["tmp"]
    assert found["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == "25%"
    assert found["spec"]["progressDeadlineSeconds"] == 600
    assert found["metadata"]["labels"] == {"app": "web"}
    assert "finalizers" not in found["metadata"]


def test_what_others_own_stays_even_in_a_list_item_that_our_manifest_lacks(server: Server) -> None:
    server.kubectl(rich())
    theirs = {"name": "sidecar", "env": [{"name": "INJECTED", "value": "1"}]}
    patch = {
        "metadata": {"annotations": {"example.com/theirs": "1"}, "labels": {"example.com/theirs": "1"}},
        "spec": {"template": {"spec": {"containers": [theirs]}}},
    }
    server.patch(rich(), patch, STRATEGIC, "some-operator")
    server.patch(rich(), {"spec": {"replicas": 3}}, MERGE, "some-scaler")
    body = lean()
    del body["spec"]["replicas"]

    expected, found = server.take_over(body)

    assert unlike(expected, found) == []
    assert found["spec"]["replicas"] == 3
    assert found["metadata"]["annotations"]["example.com/theirs"] == "1"
    assert found["metadata"]["labels"] == {"app": "web", "example.com/theirs": "1"}
    web, sidecar = found["spec"]["template"]["spec"]["containers"]
    assert "args" not in web
    assert (sidecar["image"], sidecar["env"]) == ("nginx:1.20", theirs["env"])


def test_a_restart_by_hand_is_not_undone(server: Server) -> None:
    server.kubectl(deployment())
    at = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    patch = {"spec": {"template": {"metadata": {"annotations": at}}}}
    server.patch(deployment(), patch, STRATEGIC, "kubectl-rollout")
    expected, found = server.take_over(deployment())
    assert unlike(expected, found) == []
    assert found["spec"]["template"]["metadata"]["annotations"] == at


def test_a_service_keeps_its_address_and_a_claim_its_class(server: Server) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "labels": {"old": "1"}},
        "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": [{"name": "a", "port": 80}]},
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "labels": {"old": "1"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    for body in (service, claim):
        server.kubectl(body)
        before = server.get(body)
        ours = deepcopy(body)
        del ours["metadata"]["labels"]
        expected, found = server.take_over(ours)
        assert unlike(expected, found) == []
        assert "labels" not in found["metadata"]
        assert found["spec"].get("clusterIP") == before["spec"].get("clusterIP")
        assert found["spec"].get("storageClassName") == before["spec"].get("storageClassName")
        assert found["spec"].get("ports") == before["spec"].get("ports")


def test_a_takeover_of_an_object_that_moved_meanwhile_is_refused(server: Server) -> None:
    server.kubectl(config(a="1"))
    patch = adoption_patch(server.get(config()))
    server.patch(config(), {"data": {"b": "2"}}, MERGE, "somebody")
    with pytest.raises(HTTPError) as refused:
        server.patch(config(), patch, MERGE, "pipeline")
    refused.value.close()
    assert refused.value.code == 409


def test_after_a_takeover_there_is_nothing_to_take_over(server: Server) -> None:
    server.kubectl(config(a="1", b="2"))
    live = server.get(config())
    _, found = server.take_over(config(a="1"))
    assert adopt(found) is None
    told = note(live, found)
    assert told.startswith("takes the object over from kubectl-client-side-apply for good; removes")
    assert told.endswith(": data.b")


def test_a_takeover_alone_changes_no_field(server: Server) -> None:
    server.kubectl(rich())

    def adopted() -> tuple[Body, Body]:
        before = server.settled(rich())
        patch = adoption_patch(before)
        assert patch is not None
        return before, server.patch(rich(), patch, MERGE, "pipeline")

    before, after = again_when_it_moved(adopted)
    del before["metadata"]["annotations"][LAST_APPLIED]
    assert unlike(before, after) == []

"""From within a pod: its service account is the login, here with a token that the API server made."""

from pathlib import Path

import pytest

from pipeline.adapters import connection
from pipeline.adapters.clock import SystemClock
from pipeline.adapters.cluster import KubeCluster
from pipeline.model.errors import ApiError, UnreachableError
from pipeline.model.objects import ObjectRef
from tests.cluster.local import LocalCluster

pytestmark = pytest.mark.cluster


@pytest.fixture
def pod(
    cluster: LocalCluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """What a kubelet puts into a pod of the default service account: three files, two variables."""
    from kubernetes.config import incluster_config

    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
    token = cluster.api.call("POST", path, request)["status"]["token"]
    (tmp_path / "token").write_text(token)
    (tmp_path / "namespace").write_text(namespace)
    (tmp_path / "ca.crt").write_bytes(cluster.ca_file.read_bytes())
    monkeypatch.setattr(connection, "POD_FOLDER", tmp_path)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    host, _, port = cluster.server.removeprefix("https://").partition(":")
    environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "HOME": str(tmp_path)}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return environ


def connected(environ: dict[str, str]) -> KubeCluster:
    import threading

    clock = SystemClock(threading.Event())
    found = connection.connect(environ=environ)
    return KubeCluster(found, sleep=clock.pause, monotonic=clock.monotonic)


def test_a_pod_is_its_service_account(pod: dict[str, str], namespace: str) -> None:
    assert connection.connect(environ=pod).namespace == namespace
    assert connected(pod).identity() == f"system:serviceaccount:{namespace}:default"


def test_a_pod_has_no_more_rights_than_its_account(pod: dict[str, str], namespace: str) -> None:
    with pytest.raises(ApiError) as refused:
        connected(pod).get(ObjectRef("", "Secret", namespace, "any"), "v1")
    assert refused.value.status == 403


def test_a_token_that_is_no_longer_good_is_a_refused_login(pod: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("expired")
    with pytest.raises(UnreachableError) as refused:
        connected(pod).get(ObjectRef("", "Namespace", "", "default"), "v1")
    assert "expired" not in str(refused.value)


def test_a_kubeconfig_goes_before_the_pod(pod: dict[str, str], cluster: LocalCluster) -> None:
    assert connected({**pod, "KUBECONFIG": str(cluster.kubeconfig)}).identity() == "admin"

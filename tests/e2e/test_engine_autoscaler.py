"""A workload that an autoscaler has scaled is deployed anew without a word about its number."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.manifests import SETTINGS, WEB
from tests.e2e.workspace import Workspace

pytestmark = pytest.mark.cluster

MERGE_PATCH = "application/merge-patch+json"


def scale(repo: Workspace, replicas: int) -> None:
    """As the controller of autoscalers does it: through the scale subresource, under its own name."""
    path = f"/apis/apps/v1/namespaces/{repo.namespace}/deployments/web/scale"
    manager = "fieldManager=kube-controller-manager"
    repo.cluster.api.call("PATCH", f"{path}?{manager}", {"spec": {"replicas": replicas}}, MERGE_PATCH)


def live(repo: Workspace) -> Any:
    return repo.cluster.api.call("GET", f"/apis/apps/v1/namespaces/{repo.namespace}/deployments/web")


def test_the_number_that_an_autoscaler_set_stays_and_is_no_conflict(make_repo: Any) -> None:
    repo: Workspace = make_repo(create=True)
    repo.environment()
    repo.manifest("settings.yaml", SETTINGS)
    repo.manifest("web.yaml", WEB)
    repo.commit()
    assert repo.run("deploy", "-e", "dev").code == 0
    scale(repo, 3)
    repo.edit("environments/dev/manifests/web.yaml", "nginx:1.21", "nginx:1.22")
    repo.commit()

    result = repo.run("deploy", "-e", "dev", "-o", "json")

    assert result.code == 0, str(result)
    fields = [f["path"] for c in result.document["plan"]["changes"] for f in c.get("fields", ())]
    assert "spec.replicas" not in fields
    assert live(repo)["spec"]["replicas"] == 3
    scale(repo, 5)  # again, between two deploys that change nothing
    assert repo.run("deploy", "-e", "dev").code == 0
    assert live(repo)["spec"]["replicas"] == 5

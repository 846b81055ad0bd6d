"""The rights that the README asks for are enough, and are needed."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from tests.docs import ROOT
from tests.e2e.workspace import Workspace

USER = "nobody"


def rights(namespace: str) -> list[dict[str, Any]]:
    """Role and RoleBinding of the README, for our user and namespace."""
    found = re.search(r"<!-- rights -->\n```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found
    role, binding = yaml.safe_load_all(found[1])
    role["metadata"]["namespace"] = binding["metadata"]["namespace"] = namespace
    binding["subjects"] = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}]
    return [role, binding]


def rights_without(resource: str, namespace: str) -> list[dict[str, Any]]:
    """The same, less all that is about one resource."""
    role, binding = rights(namespace)
    for rule in role["rules"]:
        rule["resources"] = [name for name in rule["resources"] if name != resource]
    role["rules"] = [rule for rule in role["rules"] if rule["resources"]]
    return [role, binding]


def grant(repo: Workspace, *objects: dict[str, Any]) -> None:
    repo.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


@pytest.fixture
def limited(app: Workspace) -> Workspace:
    """A repository whose runs log in as a user without any rights yet."""
    app.environ["KUBECONFIG"] = str(app.cluster.user_kubeconfig(USER))
    return app


def as_admin(repo: Workspace) -> Workspace:
    return Workspace(repo.folder, repo.cluster, repo.namespace, repo.application)


def test_the_rights_of_the_readme_are_enough_for_a_deploy_a_rollback_and_a_deletion(
    limited: Workspace,
) -> None:
    grant(as_admin(limited), *rights(limited.namespace))
    limited.deployed()

    limited.edit("environments/dev/manifests/web.yaml", "nginx:1.21", "nginx:missing")
    limited.commit("an image that is not there")
    code, report = limited.json("deploy", "-e", "dev")
    assert (code, report["result"]) == (10, "rolled-back")
    assert report["causes"][0]["code"] == "ImageNotFound"

    limited.edit("environments/dev/manifests/web.yaml", "nginx:missing", "nginx:1.21")
    limited.manifest("extra.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: extra}}")
    limited.commit("one more object")
    limited.deployed()
    limited.remove("environments/dev/manifests/extra.yaml")
    limited.commit("and without it")
    limited.deployed()
    assert limited.get("configmaps", "extra") is None
    assert limited.run("diff", "-e", "dev").code == 0


@pytest.mark.parametrize("resource", ["secrets", "leases", "deployments"])
def test_without_the_right_to_a_resource_nothing_is_written(limited: Workspace, resource: str) -> None:
    grant(as_admin(limited), *rights_without(resource, limited.namespace))
    before = limited.objects()
    result = limited.run("deploy", "-e", "dev")
    assert result.code == 21, str(result)
    assert resource in result.output
    assert limited.objects() == before


def test_a_check_that_we_may_not_make_is_inconclusive_and_does_not_pass(limited: Workspace) -> None:
    grant(as_admin(limited), *rights_without("services/proxy", limited.namespace))
    limited.environment(
        "checks: [{name: home, http: {service: web}, samples: 2, interval: 100ms, deadline: 2s}]"
    )
    limited.commit("a check that needs services/proxy")

    code, report = limited.json("deploy", "-e", "dev")

    assert (code, report["result"]) == (10, "rolled-back")
    assert report["checks"][0]["verdict"] == "inconclusive", report["checks"]
    assert {s["verdict"] for s in report["checks"][0]["samples"]} == {"error"}
    assert report["causes"][0]["code"] == "CheckInconclusive"

"""Missing rights, as the API server's authoriser tells them, and the Role that is proposed against them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.core.access import Access, needed, role_for, role_yaml
from pipeline.core.kinds import builtin
from pipeline.model.objects import ObjectRef
from pipeline.model.plan import Action, Change
from tests.cluster.api import Api
from tests.cluster.local import LocalCluster
from tests.e2e.live import until
from tests.e2e.test_adoption_server import APPLY
from tests.e2e.workspace import Workspace

USER = "nobody"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def api_of(cluster: LocalCluster, user: str) -> Api:
    config = json.loads(cluster.user_kubeconfig(user).read_text())
    return Api(server=cluster.server, token=config["users"][0]["user"]["token"], ca_file=cluster.ca_file)


def allowed(api: Api, access: Access) -> bool:
    attributes = {
        "verb": access.verb,
        "group": access.group,
        "resource": access.resource,
        "namespace": access.namespace,
    }
    answer = api.call("POST", REVIEWS, {"spec": {"resourceAttributes": attributes}})
    return bool(answer["status"]["allowed"])


def plan(namespace: str, action: Action) -> list[Change]:
    kinds = (("v1", "ConfigMap"), ("apps/v1", "Deployment"))
    return [
        Change(ref=ObjectRef(api.rpartition("/")[0], kind, namespace, "n"), action=action, api_version=api)
        for api, kind in kinds
    ]


@pytest.mark.parametrize("written", [role_for, role_yaml])
def test_the_role_that_is_proposed_grants_what_was_missing_and_no_more(repo: Workspace, written: Any) -> None:
    repo.cluster.create_namespace(repo.namespace)
    api = api_of(repo.cluster, USER)
    wanted = needed(plan(repo.namespace, Action.RECREATE), builtin)
    missing = {access for access in wanted if not allowed(api, access)}
    assert missing == wanted

    repo.kubectl("apply", "-f", "-", stdin=written(missing, USER))

    # The authoriser learns of a Role by watching.
    until(lambda: all(allowed(api, access) for access in wanted), "for the rights to count")
    beyond = [
        Access("get", "", "configmaps", repo.namespace),
        Access("create", "", "secrets", repo.namespace),
        Access("create", "", "configmaps", "default"),
    ]
    assert not any(allowed(api, access) for access in beyond)


def test_a_right_that_is_granted_twice_over_is_not_taken_away_by_the_second_role(repo: Workspace) -> None:
    repo.cluster.create_namespace(repo.namespace)
    api = api_of(repo.cluster, USER)
    first, second = (Access("patch", "", kind, repo.namespace) for kind in ("configmaps", "secrets"))
    for access in (first, second):
        repo.kubectl("apply", "-f", "-", stdin=role_for([access], USER))
    until(lambda: allowed(api, second))
    assert allowed(api, first)


def test_an_apply_needs_patch_and_for_a_new_object_create(repo: Workspace) -> None:
    """What ``VERBS`` rests on."""
    repo.cluster.create_namespace(repo.namespace)
    api = api_of(repo.cluster, USER)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n"}}
    path = f"/api/v1/namespaces/{repo.namespace}/configmaps/n?fieldManager=pipeline"

    def refusal() -> str:
        try:
            api.call("PATCH", path, body, APPLY)
        except OSError as error:
            text = error.read().decode()  # type: ignore[attr-defined]
            error.close()  # type: ignore[attr-defined]
            return str(json.loads(text)["message"])
        return ""

    assert 'cannot patch resource "configmaps"' in refusal()
    repo.kubectl(
        "apply", "-f", "-", stdin=role_for([Access("patch", "", "configmaps", repo.namespace)], USER)
    )
    until(lambda: 'cannot create resource "configmaps"' in refusal())
    repo.kubectl(
        "apply", "-f", "-", stdin=role_for([Access("create", "", "configmaps", repo.namespace)], USER)
    )
    until(lambda: refusal() == "")

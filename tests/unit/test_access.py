"""The rights that a plan's writes need, and the Role that grants the missing ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from pipeline.core.access import Access, needed, role_for, role_yaml, rule
from pipeline.core.kinds import builtin
from pipeline.model.objects import ObjectRef
from pipeline.model.plan import Action, Change

RBAC = "rbac.authorization.k8s.io"


def change(kind: str, action: Action, *, api: str = "v1", namespace: str = "demo", **more: Any) -> Change:
    ref = ObjectRef(api.rpartition("/")[0], kind, namespace, more.pop("name", "n"))
    return Change(ref=ref, action=action, api_version=api, **more)


def rights(*changes: Change) -> set[tuple[str, str, str]]:
    return {(a.verb, a.kind, a.namespace) for a in needed(changes, builtin)}


@pytest.mark.parametrize(
    ("action", "verbs"),
    [
        (Action.CREATE, {"create", "patch"}),
        (Action.UPDATE, {"patch"}),
        (Action.RECREATE, {"create", "delete", "patch"}),
        (Action.DELETE, {"delete"}),
        (Action.KEEP, set()),
    ],
)
def test_an_action_needs_its_verbs(action: Action, verbs: set[str]) -> None:
    found = rights(change("Deployment", action, api="apps/v1"))
    assert found == {(verb, "deployments.apps", "demo") for verb in verbs}


def test_a_right_is_needed_once_whatever_the_number_of_objects() -> None:
    changes = [change("ConfigMap", Action.UPDATE, name=f"c{n}") for n in range(100)]
    assert needed(changes, builtin) == {Access("patch", "", "configmaps", "demo")}


def test_what_has_no_namespace_is_needed_in_none() -> None:
    assert rights(change("Namespace", Action.UPDATE, namespace="")) == {("patch", "namespaces", "")}


def test_the_resource_of_a_new_definition_is_read_from_it() -> None:
    spec = {
        "group": "example.com",
        "scope": "Cluster",
        "names": {"kind": "Gadget", "plural": "gadgetry"},
        "versions": [{"name": "v1"}],
    }
    definition = change(
        "CustomResourceDefinition",
        Action.CREATE,
        api="apiextensions.k8s.io/v1",
        namespace="",
        body={"spec": spec},
    )
    gadget = change("Gadget", Action.DELETE, api="example.com/v1", namespace="")
    assert ("delete", "gadgetry.example.com", "") in rights(definition, gadget)


def test_a_kind_that_nobody_knows_needs_nothing_that_could_be_named() -> None:
    broken = change("CustomResourceDefinition", Action.CREATE, api="x/v1", body={"spec": {"versions": 1}})
    assert rights(change("Gadget", Action.CREATE, api="example.com/v1"), broken) == set()


MISSING = [
    Access("patch", "apps", "deployments", "demo"),
    Access("create", "apps", "deployments", "demo"),
    Access("create", "apps", "statefulsets", "demo"),
    Access("patch", "apps", "statefulsets", "demo"),
    Access("patch", "", "configmaps", "demo"),
]
RULES = [
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]},
    {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": ["create", "patch"]},
]


def test_resources_with_the_same_verbs_share_a_rule() -> None:
    role = json.loads(role_for(MISSING))
    assert (role["kind"], role["metadata"]["namespace"]) == ("Role", "demo")
    assert role["rules"] == RULES


def test_there_is_a_role_a_namespace_and_a_cluster_role_for_the_rest() -> None:
    missing = [Access("patch", "", "namespaces", ""), *(Access("patch", "", "pods", ns) for ns in "ab")]
    document = json.loads(role_for(missing))
    found = [(i["kind"], i["metadata"].get("namespace")) for i in document["items"]]
    assert found == [("ClusterRole", None), ("Role", "a"), ("Role", "b")]


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("alice", {"apiGroup": RBAC, "kind": "User", "name": "alice"}),
        (
            "system:serviceaccount:ci:deployer",
            {"kind": "ServiceAccount", "namespace": "ci", "name": "deployer"},
        ),
        ("system:serviceaccount:", {"apiGroup": RBAC, "kind": "User", "name": "system:serviceaccount:"}),
    ],
)
def test_the_role_is_bound_to_who_lacks_it(user: str, subject: dict[str, str]) -> None:
    role, binding = json.loads(role_for(MISSING, user))["items"]
    assert binding["kind"] == "RoleBinding"
    assert binding["subjects"] == [subject]
    assert binding["roleRef"] == {"apiGroup": RBAC, "kind": "Role", "name": role["metadata"]["name"]}


def test_another_set_of_rights_is_another_role_and_the_same_the_same() -> None:
    names = {json.loads(role_for(m))["metadata"]["name"] for m in (MISSING, MISSING[:1], MISSING[::-1])}
    assert len(names) == 2


@pytest.mark.parametrize("user", ["", "alice", "it's: #1 {x}", "no", "12", "system:serviceaccount:a:b"])
def test_what_people_read_is_what_the_line_says(user: str) -> None:
    missing = [*MISSING, Access("patch", "", "namespaces", "", "one")]
    line = yaml.safe_load(role_for(missing, user))
    assert list(yaml.safe_load_all(role_yaml(missing, user))) == line["items"]
    assert "\n" not in role_for(missing, user)


def test_people_read_one_rule_a_line() -> None:
    name = json.loads(role_for(MISSING))["metadata"]["name"]
    assert role_yaml(MISSING).splitlines() == [
        "apiVersion: rbac.authorization.k8s.io/v1",
        "kind: Role",
        f"metadata: {{name: {name}, namespace: demo}}",
        "rules:",
        '  - {apiGroups: [""], resources: [configmaps], verbs: [patch]}',
        "  - {apiGroups: [apps], resources: [deployments, statefulsets], verbs: [create, patch]}",
    ]


def test_a_rule_is_one_line() -> None:
    assert rule(MISSING[:2]) == "{apiGroups: [apps], resources: [deployments], verbs: [create, patch]}"


def test_nothing_missing_needs_no_role() -> None:
    assert (role_for([]), role_yaml([]), rule([])) == ("", "", "")

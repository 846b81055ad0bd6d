"""Rights of one namespace or two are enough, missing ones are all told at once, and so are warnings."""

from __future__ import annotations

import pytest

from tests.e2e.audit import Audit, Witness
from tests.e2e.conftest import MakeRepo
from tests.e2e.live import line_of, until
from tests.e2e.manifests import SETTINGS, WEB, config_map
from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

RBAC = "rbac.authorization.k8s.io"
READ = ["get", "list", "watch"]
WRITE = [*READ, "create", "patch", "delete"]
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""
ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: $APP}
rules: [{apiGroups: [""], resources: [nodes], verbs: [get]}]
"""


Rule = tuple[str, list[str], list[str]]
"""(group, resources, verbs)"""


def grant(run: Witness, namespace: str, *rules: Rule) -> None:
    """A Role and its binding, in effect when this returns."""
    meta, api = {"name": run.user}, run.repo.cluster.api
    granted = [{"apiGroups": [group], "resources": names, "verbs": verbs} for group, names, verbs in rules]
    binding = {
        "metadata": meta,
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": run.user},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": run.user}],
    }
    folder = f"/apis/{RBAC}/v1/namespaces/{namespace}"
    api.call("POST", f"{folder}/roles", {"metadata": meta, "rules": granted})
    api.call("POST", f"{folder}/rolebindings", binding)
    group, resources, verbs = rules[-1]
    asked = {"namespace": namespace, "group": group, "resource": resources[0], "verb": verbs[0]}
    review = {"spec": {"user": run.user, "resourceAttributes": asked}}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    until(lambda: api.call("POST", path, review)["status"]["allowed"])


OWN: tuple[Rule, ...] = (
    ("", ["secrets"], [*WRITE, "update"]),
    ("", ["namespaces"], ["get"]),
    ("coordination.k8s.io", ["leases"], ["get", "create", "update", "delete"]),
)
"""What lock and records need, in the environment's own namespace."""

WORK: tuple[Rule, ...] = (
    ("", ["configmaps"], WRITE),
    ("apps", ["deployments"], WRITE),
    ("apps", ["replicasets"], READ),
    ("", ["pods", "pods/log", "events"], READ),
)


OTHERS = ("-two", "-three", "-four", "-five")
"""More than are looked into one by one where all may be looked into at once."""


@pytest.fixture
def limited(make_repo: MakeRepo, audit: Audit) -> Witness:
    """An application in namespaces that exist, deployed by somebody without any right."""
    repo = make_repo(create=True)
    for other in OTHERS:
        repo.cluster.create_namespace(f"{repo.namespace}{other}")
    run = audit.watch(repo, limited=True)
    names = [f"$NS{other}" for other in ("", *OTHERS)]
    repo.environment(f"allow: {{clusterScoped: [ClusterRole], namespaces: [{', '.join(names)}]}}")
    for namespace in names:
        parts = [SETTINGS, WEB, *(config_map(f"n{number}") for number in range(5))]
        placed = "---\n".join(parts).replace(
            "name: settings\n", f"name: settings\n  namespace: {namespace}\n", 1
        )
        placed = placed.replace("metadata:\n  name: web", f"metadata:\n  namespace: {namespace}\n  name: web")
        placed = placed.replace("metadata: {", f"metadata: {{namespace: {namespace}, ")
        repo.manifest(f"{namespace.replace('$NS', 'all')}.yaml", placed)
    repo.commit()
    return run


def test_rights_in_some_namespaces_are_enough_to_deploy_into_all_of_them(limited: Witness) -> None:
    grant(limited, limited.repo.namespace, *OWN, *WORK)
    for other in OTHERS:
        grant(limited, f"{limited.repo.namespace}{other}", *WORK)

    result = limited.deploy()

    assert result.code == 0, str(result)
    assert len(limited.written) == 7 * (1 + len(OTHERS))
    again = limited.deploy()
    assert (again.code, limited.all_writes) == (0, []), str(again)


def test_every_missing_right_is_told_once_with_the_rule_that_grants_it(limited: Witness) -> None:
    repo = limited.repo
    grant(limited, repo.namespace, *OWN, *WORK)
    for other in OTHERS[1:]:
        grant(limited, f"{repo.namespace}{other}", *WORK)
    grant(limited, f"{repo.namespace}-two", ("", ["configmaps"], READ), ("apps", ["deployments"], WRITE))
    repo.manifest("service.yaml", SERVICE)
    repo.manifest("role.yaml", ROLE)
    repo.commit()

    result = limited.deploy()

    assert result.code == 21, str(result)
    assert limited.all_writes == []
    problems = result.document["problems"]
    told = {p["message"]: p for p in problems}
    assert len(told) == len(problems) == 3, "\n".join(p["message"] for p in problems)
    two = f"configmaps in namespace {repo.namespace}-two"
    for what, rule in ((two, "configmaps"), ("services in", "services"), ("clusterroles", "clusterroles")):
        (problem,) = [p for message, p in told.items() if what in message]
        assert limited.user in problem["message"]
        assert "create" in problem["message"]
        assert "patch" in problem["message"]
        assert rule in problem["hint"]
        assert problem["line"]


ROLE_AND_BINDING = f"""\
apiVersion: {RBAC}/v1
kind: RoleBinding
metadata: {{name: a-reader}}
roleRef: {{apiGroup: {RBAC}, kind: Role, name: reader}}
subjects: [{{kind: ServiceAccount, name: default}}]
---
apiVersion: {RBAC}/v1
kind: Role
metadata: {{name: reader}}
rules: [{{apiGroups: [""], resources: [configmaps], verbs: [get]}}]
"""


def test_a_role_is_bound_in_the_run_that_makes_it_also_by_somebody_without_the_right_to_bind(
    make_repo: MakeRepo, audit: Audit
) -> None:
    run = audit.watch(make_repo(create=True), limited=True)
    grant(run, run.repo.namespace, *OWN, *WORK, (RBAC, ["roles", "rolebindings"], WRITE))
    run.repo.environment()
    run.repo.manifest("reader.yaml", ROLE_AND_BINDING)
    run.repo.commit()
    result = run.deploy()
    assert result.code == 0, str(result)
    assert run.written == ["roles/reader", "rolebindings/a-reader"]


# --- warnings


UNTAGGED = WEB.replace("nginx:1.21", "nginx")
DEPRECATED = """\
apiVersion: v1
kind: Pod
metadata:
  name: old
  annotations: {container.apparmor.security.beta.kubernetes.io/main: runtime/default}
spec:
  containers: [{name: main, image: "nginx:1.21"}]
"""


def test_the_plan_warns_of_an_image_without_tag_at_its_line(app: Workspace) -> None:
    app.manifest("web.yaml", UNTAGGED)
    app.commit()
    result = app.run("plan", "-e", "dev")
    assert result.code == 0, str(result)
    line = line_of(UNTAGGED, "image: nginx")
    (warning,) = [one for one in result.output.splitlines() if "nginx" in one and "warning" in one]
    assert f"environments/dev/manifests/web.yaml:{line}" in warning


def test_the_plan_shows_what_the_server_warns_of(app: Workspace) -> None:
    app.manifest("old.yaml", DEPRECATED)
    app.commit()
    result = app.run("plan", "-e", "dev")
    assert result.code == 0, str(result)
    (warning,) = [one for one in result.output.splitlines() if "deprecated" in one]
    assert "warning" in warning
    assert "environments/dev/manifests/old.yaml:" in warning
    assert "/old" in warning

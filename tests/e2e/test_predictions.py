"""What is predicted happens: a real API server, its quotas and its controllers are the witnesses."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError

import pytest

from pipeline.adapters.yaml import load_manifests
from pipeline.core.planner import Desired
from pipeline.model.errors import Problem
from pipeline.run.asked import Asked
from pipeline.run.predict import predictions
from pipeline.run.session import Session
from pipeline.wiring import App
from tests.e2e.live import until
from tests.e2e.manifests import SETTINGS
from tests.e2e.refusal import at, refused
from tests.e2e.workspace import Workspace

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: $NS}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: nginx:1.21
        resources: {requests: {cpu: 500m, memory: 100Mi}}
"""
BARE = DEPLOYMENT.replace("        resources: {requests: {cpu: 500m, memory: 100Mi}}\n", "")
LIMITED = DEPLOYMENT.replace("requests:", "limits:")
CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.$NS.example.com}
spec:
  group: $NS.example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              size: {type: integer}
"""
WIDGET = (
    "apiVersion: $NS.example.com/v1\nkind: Widget\nmetadata: {name: one, namespace: $NS}\nspec: {size: 1}\n"
)
MERGE_PATCH = "application/merge-patch+json"
POLICY = """\
apiVersion: admissionregistration.k8s.io/v1beta1
kind: ValidatingAdmissionPolicy
metadata: {name: it}
spec: {}
"""
ENDPOINTS = """\
apiVersion: v1
kind: Endpoints
metadata: {name: outside}
"""


def _quota(hard: str, scope: str = "") -> str:
    scoped = f", {scope}" if scope else ""
    return (
        "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: compute, namespace: $NS}\n"
        f"spec: {{hard: {{{hard}}}{scoped}}}\n"
    )


SYSTEM = (
    "scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In,"
    " values: [system-cluster-critical]}]}"
)
CRITICAL = DEPLOYMENT.replace(
    "      containers:", "      priorityClassName: system-cluster-critical\n      containers:"
)


def _range(item: str) -> str:
    return (
        "apiVersion: v1\nkind: LimitRange\nmetadata: {name: bounds, namespace: $NS}\n"
        f"spec: {{limits: [{{type: Container, {item}}}]}}\n"
    )


@pytest.fixture
def place(make_repo: Any) -> Workspace:
    """A namespace that exists, of an environment without anything."""
    repo: Workspace = make_repo(create=True)
    repo.environment()
    repo.manifest("settings.yaml", SETTINGS)
    repo.commit()
    return repo


def _session(repo: Workspace) -> Session:
    app = App(repo=str(repo.folder), kubeconfig=str(repo.cluster.kubeconfig))
    workspace = app.workspace()
    return app.session(workspace.environment("dev", workspace.repository.resolve("HEAD")))


def _foresee(repo: Workspace, *texts: str) -> tuple[Problem, ...]:
    """What is predicted of writing these, as the cluster is now."""
    session = _session(repo)
    text = "---\n".join(texts).replace("$NS", repo.namespace)
    manifests = load_manifests("f.yaml", text.encode())
    desired = [Desired(manifest=m, body=m.body, content="") for m in manifests]
    live = {m.ref: session.cluster.get(m.ref, m.api_version) for m in manifests}
    found = {ref: obj for ref, obj in live.items() if obj}
    return predictions(session, desired, desired, found, Asked(session.cluster))


def _apply(repo: Workspace, *texts: str) -> None:
    repo.kubectl("apply", "-f", "-", stdin="---\n".join(texts).replace("$NS", repo.namespace))


def _enforced(repo: Workspace) -> bool:
    """Whether the quota's controller has counted what there is."""
    quota = repo.get("resourcequotas", "compute")
    return bool(quota.get("status", {}).get("hard") == quota["spec"]["hard"])


def _refusal(repo: Workspace) -> Any:
    """Why the controller can make no pod, or None."""
    conditions = repo.get("apps/v1/deployments", "web").get("status", {}).get("conditions", ())
    return next((c["message"] for c in conditions if c["type"] == "ReplicaFailure"), None)


@pytest.mark.parametrize(
    ("bound", "text", "code", "server"),
    [
        (_quota("requests.cpu: 400m"), DEPLOYMENT, "quota-exceeded", "exceeded quota: compute"),
        (_quota("requests.cpu: '4'"), BARE, "quota-needs-requests", "must specify requests.cpu"),
        (_quota("pods: 0", "scopes: [NotBestEffort]"), DEPLOYMENT, "quota-exceeded", "exceeded quota"),
        (_quota("pods: 0", "scopes: [BestEffort]"), BARE, "quota-exceeded", "exceeded quota"),
        (_quota("pods: 0", "scopes: [NotTerminating]"), BARE, "quota-exceeded", "exceeded quota"),
        (_quota("pods: 0", SYSTEM), CRITICAL, "quota-exceeded", "exceeded quota"),
        (
            _range("max: {memory: 50Mi}"),
            DEPLOYMENT,
            "limit-range",
            "must be less than or equal to memory limit",
        ),
        (_range("max: {memory: 50Mi}"), LIMITED, "limit-range", "maximum memory usage per Container"),
        (_range("default: {memory: 50Mi}"), DEPLOYMENT, "limit-range", "less than or equal to memory limit"),
        (
            _range("maxLimitRequestRatio: {memory: '2'}"),
            DEPLOYMENT,
            "limit-range",
            "max limit to request ratio",
        ),
        (_range("min: {cpu: '1'}"), DEPLOYMENT, "limit-range", "minimum cpu usage per Container"),
    ],
)
def test_the_controller_makes_no_pod_where_an_error_was_predicted(
    place: Workspace, bound: str, text: str, code: str, server: str
) -> None:
    _apply(place, bound)
    until(lambda: "ResourceQuota" not in bound or _enforced(place), "for the quota")
    problems = _foresee(place, text)
    assert [(p.code, p.warning) for p in problems if not p.warning][:1] == [(code, False)]
    _apply(place, text)
    assert server in until(lambda: _refusal(place), "for the refusal")


@pytest.mark.parametrize(
    ("bound", "text"),
    [
        (_quota("requests.cpu: '1'"), DEPLOYMENT),
        (_quota("pods: 0", "scopes: [BestEffort]"), DEPLOYMENT),
        (_quota("pods: 0", "scopes: [Terminating]"), DEPLOYMENT),
        (_quota("pods: 0", SYSTEM), DEPLOYMENT),
        # The defaults of the range are stated, and charged.
        (_quota("limits.memory: 200Mi") + "---\n" + _range("default: {memory: 100Mi}"), DEPLOYMENT),
        (_range("max: {memory: 200Mi}"), BARE),
    ],
)
def test_all_pods_come_where_nothing_was_predicted(place: Workspace, bound: str, text: str) -> None:
    _apply(place, bound)
    until(lambda: "ResourceQuota" not in bound or _enforced(place), "for the quota")
    assert _foresee(place, text) == ()
    _apply(place, text)
    until(lambda: len(place.get("pods")["items"]) == 2, "for the pods")
    assert _refusal(place) is None


def test_a_rollout_for_which_there_is_no_room_stands_still_as_predicted(place: Workspace) -> None:
    _apply(place, _quota("pods: '2'"), DEPLOYMENT)
    until(lambda: place.get("resourcequotas", "compute").get("status", {}).get("used", {}).get("pods") == "2")
    changed = DEPLOYMENT.replace("1.21", "1.22")
    assert _foresee(place, DEPLOYMENT) == ()  # nothing changes, so no pod is made
    (problem,) = _foresee(place, changed)
    assert (problem.code, problem.warning) == ("quota-exceeded", False)
    assert "the rollout cannot start" in problem.message
    # What the hint says helps.
    rolling = "  strategy: {rollingUpdate: {maxUnavailable: 1}}\n  selector:"
    assert _foresee(place, changed.replace("  selector:", rolling)) == ()
    _apply(place, changed)
    assert "exceeded quota: compute" in until(lambda: _refusal(place), "for the refusal")


@pytest.fixture
def definition(place: Workspace) -> Iterator[Workspace]:
    _apply(place, CRD)
    name = f"widgets.{place.namespace}.example.com"
    place.kubectl("wait", "--for=condition=Established", f"crd/{name}")
    yield place
    place.kubectl("delete", "crd", name)


def test_a_definition_is_judged_by_the_objects_that_exist(definition: Workspace) -> None:
    changed = CRD.replace("{type: integer}", "{type: string}")
    assert [(p.code, p.warning) for p in _foresee(definition, changed)] == [("crd-type-changed", True)]
    until(lambda: _try(definition, WIDGET), "for the kind to be served")
    (problem,) = _foresee(definition, changed)
    assert (problem.code, problem.warning) == ("crd-type-changed", False)
    assert problem.origin is not None
    assert problem.origin.line == 19
    assert _foresee(definition, CRD) == ()


@pytest.mark.parametrize(
    ("old", "new", "code", "server"),
    [
        ("scope: Namespaced", "scope: Cluster", "crd-scope", "field is immutable"),
        ("name: v1", "name: v2", "crd-stored-version", "status.storedVersions"),
    ],
)
def test_an_upgrade_of_a_definition_that_the_server_refuses_is_told_with_what_to_do(
    definition: Workspace, old: str, new: str, code: str, server: str
) -> None:
    changed = CRD.replace(old, new)
    (problem,) = _foresee(definition, changed)
    assert (problem.code, problem.warning) == (code, False)
    assert problem.hint
    with pytest.raises(AssertionError, match=server):
        _apply(definition, changed)


def test_a_field_that_a_definition_begins_to_require_makes_objects_unchangeable(
    definition: Workspace,
) -> None:
    changed = CRD.replace(
        "            type: object\n            properties",
        "            type: object\n            required: [weight]\n            properties",
    )
    assert changed != CRD
    assert [p.warning for p in _foresee(definition, changed)] == [True], "there are no objects"
    until(lambda: _try(definition, WIDGET), "for the kind to be served")
    (problem,) = _foresee(definition, changed)
    assert (problem.code, problem.warning) == ("crd-required-field", False)
    _apply(definition, changed)
    path = f"/apis/{definition.namespace}.example.com/v1/namespaces/{definition.namespace}/widgets/one"

    def is_refused() -> bool:
        size = definition.cluster.api.call("GET", path)["spec"]["size"]
        try:
            definition.cluster.api.call("PATCH", path, {"spec": {"size": size + 1}}, MERGE_PATCH)
        except HTTPError as error:
            return b"spec.weight: Required value" in error.read()
        return False

    until(is_refused, "for the new schema")


def _try(repo: Workspace, text: str) -> bool:
    try:
        _apply(repo, text)
    except (AssertionError, HTTPError):
        return False
    return True


def test_a_service_that_selects_pods_of_the_cluster_is_in_order(place: Workspace) -> None:
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: $NS}\n"
    service += "spec: {selector: {app: web}, ports: [{port: 80}]}\n"
    assert [p.code for p in _foresee(place, service)] == ["selects-nothing"]
    _apply(place, DEPLOYMENT)
    until(lambda: place.get("pods")["items"], "for a pod")
    assert _foresee(place, service) == ()


def test_a_deploy_whose_pods_a_quota_refuses_writes_nothing(place: Workspace) -> None:
    _apply(place, _quota("pods: '0'"))
    place.manifest("web.yaml", DEPLOYMENT)
    place.commit()
    refused(place, 21, at("web.yaml", 13), "none of its pods can be created", "ResourceQuota/compute")


def test_a_deploy_with_more_objects_than_a_quota_leaves_room_for_writes_nothing(place: Workspace) -> None:
    """Each by itself would be taken: so the server's dry run says."""
    _apply(place, _quota("count/services: '2'"))
    counted = "/api/v1/namespaces/" + place.namespace + "/resourcequotas"
    until(lambda: "used" in place.cluster.api.call("GET", counted)["items"][0].get("status", {}))
    for name in "abc":
        text = f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: 80}}]}}\n"
        place.manifest(f"{name}.yaml", text)
    place.commit()
    refused(place, 21, at("c.yaml", 1), "new objects take 3 of count/services", "leaves 2 (0 of 2 are used)")
    place.remove("environments/dev/manifests/c.yaml")
    place.commit()
    place.deployed()


def test_a_plan_tells_what_may_go_wrong_and_goes_on(place: Workspace) -> None:
    place.manifest("web.yaml", DEPLOYMENT.replace(":1.21", ""))
    place.commit()
    result = place.run("plan", "-e", "dev")
    assert result.code == 0, str(result)
    assert (
        f"{at('web.yaml', 12)}: Deployment/web: the image nginx has neither tag nor digest" in result.stdout
    )


# --- versions of Kubernetes


def test_validate_refuses_what_the_target_no_longer_serves(place: Workspace) -> None:
    place.environment("allow: {clusterScoped: ['*']}")
    place.manifest("policy.yaml", POLICY)
    place.commit()
    says = (at("policy.yaml", 1), "was removed in Kubernetes 1.34", "use admissionregistration.k8s.io/v1")
    refused(place, 20, *says, args=("validate", "--target-version", "1.34"))
    refused(place, 20, *says, args=("validate",), env={"PIPELINE_TARGET_VERSION": "v1.36.1"})
    older = place.run("validate", "--target-version", "1.33")
    assert older.code == 0, str(older)
    assert "warning: " in older.stdout
    assert "is deprecated since Kubernetes 1.31 and removed in 1.34" in older.stdout


def test_warnings_alone_do_not_fail_validation(place: Workspace) -> None:
    place.manifest("large.yaml", ENDPOINTS + "subsets:\n- addresses: [{ip: 10.0.0.1}]\n")
    place.commit()
    code, document = place.json("validate", "--target-version", "1.36")
    assert code == 0
    assert [(p["code"], p["line"]) for p in document["problems"]] == [("deprecated-api", 1)]
    assert place.json("validate")[1]["problems"] == []


def test_warnings_are_told_though_the_set_has_errors(place: Workspace) -> None:
    place.manifest("outside.yaml", ENDPOINTS)
    place.manifest("broken.yaml", SETTINGS.replace("name: settings", "name: Settings"))
    place.commit()
    code, document = place.json("validate", "--target-version", "1.36")
    assert code == 20
    assert sorted(p["code"] for p in document["problems"]) == ["bad-name", "deprecated-api"]


@pytest.mark.parametrize("version", ["latest", "1", "2.0", "1.x", "1.34 "])
@pytest.mark.parametrize("command", [("validate",), ("plan", "-e", "dev")])
def test_what_is_no_version_is_a_wrong_command_line(
    place: Workspace, command: tuple[str, ...], version: str
) -> None:
    result = place.run(*command, "--target-version", version)
    assert result.code == 2
    assert "is no version of Kubernetes such as 1.34" in result.stderr


def test_plan_tells_what_an_upgrade_changes_and_goes_on(place: Workspace) -> None:
    place.manifest("outside.yaml", ENDPOINTS)
    place.commit()
    result = place.run("plan", "-e", "dev", "--target-version", "1.38")
    assert result.code == 0, str(result)
    assert "warning: " in result.stdout
    assert "v1 Endpoints is deprecated since Kubernetes 1.33" in result.stdout
    offline = place.run("plan", "-e", "dev", "--offline", "--target-version", "1.38")
    assert offline.code == 0
    assert "v1 Endpoints is deprecated" in offline.stdout


def test_plan_refuses_what_the_server_itself_no_longer_serves(place: Workspace) -> None:
    place.environment("allow: {clusterScoped: ['*']}")
    place.manifest("policy.yaml", POLICY)
    place.commit()
    args = ("plan", "-e", "dev", "--target-version", "1.38")
    refused(place, 21, at("policy.yaml", 1), "was removed in Kubernetes 1.34", args=args)
    refused(place, 20, "was removed in Kubernetes 1.34", args=(*args, "--offline"))


def test_sizes_that_no_server_takes_are_told_offline(place: Workspace) -> None:
    large = textwrap.indent("x" * 2_000_000, "  ")
    place.manifest("large.yaml", SETTINGS + f"  more: {large.strip()}\n")
    place.commit()
    refused(place, 20, at("large.yaml", 7), "its values have 1.9 MiB", args=("validate",))

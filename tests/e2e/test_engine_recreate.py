"""Replacing an object: only where a field proved to be immutable and somebody allowed it, never blindly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError

import pytest
import yaml

from pipeline.model.objects import get_path
from tests.e2e.audit import Audit, Witness
from tests.e2e.conftest import MakeRepo
from tests.e2e.live import changed, line_of, ready_images, snapshot, until
from tests.e2e.stories import tell
from tests.e2e.workspace import Result, Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

FILE = "environments/dev/manifests/it.yaml"
ALLOWED = "{pipeline/recreate: allowed}"
RBAC = "rbac.authorization.k8s.io/v1"

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  annotations: $NOTES
spec:
  selector: {matchLabels: {app: web, tier: one}}
  template:
    metadata: {labels: {app: web, tier: one}}
    spec: {containers: [{name: main, image: "nginx:1.21"}]}
"""
STATEFUL_SET = """\
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: db
  annotations: $NOTES
spec:
  serviceName: db
  podManagementPolicy: Parallel
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: main, image: "postgres:16"}]}
"""
JOB = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: migrate
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "migrate:1"}]
"""
CLAIM = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data
  annotations: $NOTES
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
"""

BINDING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: reader
  annotations: $NOTES
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: default}]
"""
CLASS = """\
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata:
  name: $NS
  annotations: $NOTES
value: 5
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: front
  annotations: $NOTES
spec:
  type: NodePort
  clusterIP: 10.96.201.201
  ports: [{port: 80, nodePort: 30751}]
"""
VOLUME = """\
apiVersion: v1
kind: PersistentVolume
metadata:
  name: $NS
  annotations: $NOTES
spec:
  accessModes: [ReadWriteOnce]
  capacity: {storage: 1Gi}
  storageClassName: $NS
  hostPath: {path: /one}
"""


@dataclass(frozen=True)
class Case:
    """A manifest, what is changed in it, and whether the object may be replaced."""

    manifest: str
    old: str
    new: str
    notes: str = "{}"
    path: str = "apps/v1/deployments"
    name: str = "web"
    also: dict[str, str] = field(default_factory=dict)


HOLD = '{"metadata": {"finalizers": ["example.com/hold"]}}'
LET_GO = '{"metadata": {"finalizers": null}}'

CASES = {
    "not allowed": Case(DEPLOYMENT, "tier: one", "tier: two"),
    "allowed": Case(DEPLOYMENT, "tier: one", "tier: two", ALLOWED),
    "unacceptable": Case(
        DEPLOYMENT, "tier: one", "tier: two", ALLOWED, also={'"nginx:1.21"': '"nginx:1.21", ports: [{}]'}
    ),
    "stateful": Case(
        STATEFUL_SET, "podManagementPolicy: Parallel", "podManagementPolicy: OrderedReady", ALLOWED,
        path="apps/v1/statefulsets", name="db",
    ),
    "job": Case(JOB, "migrate:1", "migrate:2", path="batch/v1/jobs", name="migrate"),
    "claim": Case(
        CLAIM, "ReadWriteOnce", "ReadWriteMany", ALLOWED, path="persistentvolumeclaims", name="data"
    ),
    "volume": Case(VOLUME, "/one", "/two", ALLOWED, path="persistentvolumes", name="$NS"),
    "binding": Case(
        BINDING, "name: view", "name: edit", ALLOWED, path=f"{RBAC}/rolebindings", name="reader"
    ),
    "class": Case(
        CLASS, "value: 5", "value: 6", ALLOWED, path="scheduling.k8s.io/v1/priorityclasses", name="$NS"
    ),
    "service": Case(SERVICE, "201.201", "201.202", ALLOWED, path="services", name="front"),
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """The second deploy with its plan, and the object and its pods before it."""

    run: Witness
    plan: Any
    result: Result
    before: Any
    pods: list[str]
    now: Any

    @property
    def is_the_same(self) -> bool:
        return bool(self.now["metadata"]["uid"] == self.before["metadata"]["uid"])


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, audit: Audit) -> dict[str, Told]:
    def story(case: Case) -> Callable[[], Told]:
        def deploy() -> Told:
            repo = make_repo(create=True)
            witness = audit.watch(repo)
            repo.environment("allow: {clusterScoped: [PersistentVolume, PriorityClass]}")
            repo.manifest("it.yaml", case.manifest.replace("$NOTES", case.notes))
            repo.commit()
            repo.deployed()
            before, pods = live_object(repo, case), pod_uids(witness)
            for old, new in {case.old: case.new, **case.also}.items():
                repo.edit(FILE, old, new)
            repo.commit()
            _, plan = repo.json("plan", "-e", "dev")
            result = witness.deploy()
            return Told(witness, plan, result, before, pods, live_object(repo, case))

        return deploy

    return tell({name: story(case) for name, case in CASES.items()})


def live_object(repo: Workspace, case: Case) -> Any:
    group, _, plural = case.path.rpartition("/")
    if case.name != "$NS":
        return repo.get(case.path, case.name)
    root = f"/apis/{group}" if group else "/api/v1"
    return repo.cluster.api.call("GET", f"{root}/{plural}/{repo.namespace}")


def pod_uids(run: Witness) -> list[str]:
    return sorted(pod["metadata"]["uid"] for pod in run.repo.get("pods")["items"])


def test_without_permission_an_immutable_field_is_refused_and_named(told: dict[str, Told]) -> None:
    story = told["not allowed"]
    assert story.result.code == 21, str(story.result)
    (problem,) = story.result.document["problems"]
    assert problem["code"] == "ImmutableField"
    assert "spec.selector" in problem["message"]
    assert problem["line"] == line_of(DEPLOYMENT, "selector:")
    assert "pipeline/recreate" in problem["hint"]
    assert story.run.all_writes == []
    assert story.is_the_same


def test_with_permission_the_object_is_replaced(told: dict[str, Told]) -> None:
    story = told["allowed"]
    assert story.result.code == 0, str(story.result)
    assert not story.is_the_same
    assert story.now["spec"]["selector"]["matchLabels"]["tier"] == "two"
    assert [r.verb for r in story.run.writes] == ["delete", "patch"]
    (change,) = story.plan["changes"]
    assert (change["action"], change["reversible"]) == ("recreate", "recreate")
    assert {f["path"] for f in change["fields"]} == {
        "spec.selector.matchLabels.tier",
        "spec.template.metadata.labels.tier",
    }
    tried = [r for r in story.run.requests if r.is_dry_run]
    assert max(r.at for r in tried) < story.run.writes[0].at, "tried before anything was deleted"


def test_what_the_server_would_not_take_anew_replaces_nothing(told: dict[str, Told]) -> None:
    story = told["unacceptable"]
    assert story.result.code == 21, str(story.result)
    assert "containerPort" in story.result.output
    assert story.run.all_writes == []
    assert story.is_the_same


def test_the_pods_of_a_replaced_stateful_set_go_on_serving(told: dict[str, Told]) -> None:
    story = told["stateful"]
    assert story.result.code == 0, str(story.result)
    assert not story.is_the_same
    assert len(story.pods) == 2
    assert pod_uids(story.run) == story.pods


def test_a_job_is_replaced_without_being_asked(told: dict[str, Told]) -> None:
    story = told["job"]
    assert story.result.code == 0, str(story.result)
    assert not story.is_the_same
    assert story.now["spec"]["template"]["spec"]["containers"][0]["image"] == "migrate:2"


@pytest.mark.parametrize(
    ("name", "kind"), [("claim", "PersistentVolumeClaim"), ("volume", "PersistentVolume")]
)
def test_what_holds_data_is_never_replaced_even_where_that_was_allowed(
    told: dict[str, Told], name: str, kind: str
) -> None:
    story = told[name]
    assert story.result.code == 21, str(story.result)
    assert story.run.all_writes == []
    assert story.is_the_same
    (problem,) = story.result.document["problems"]
    assert problem["code"] == "ImmutableField"
    assert problem["hint"] == f"restore the field: a {kind} is never replaced"


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("binding", ("roleRef", "name"), "edit"),
        ("class", ("value",), 6),
        ("service", ("spec", "clusterIP"), "10.96.201.202"),
    ],
)
def test_kinds_that_call_it_otherwise_are_replaced_too(
    told: dict[str, Told], name: str, field: tuple[str, ...], value: Any
) -> None:
    story = told[name]
    assert story.result.code == 0, str(story.result)
    assert [r.verb for r in story.run.writes] == ["delete", "patch"]
    assert not story.is_the_same
    assert get_path(story.now, *field) == value
    (change,) = story.plan["changes"]
    assert {f["path"].partition("[")[0] for f in change["fields"]} <= {
        ".".join(field),
        "spec.clusterIPs",
    }


def test_a_service_is_replaced_though_the_old_one_holds_its_node_port_until_then(
    told: dict[str, Told],
) -> None:
    assert not told["service"].is_the_same
    (port,) = told["service"].now["spec"]["ports"]
    assert port["nodePort"] == 30751


def test_a_rollback_that_replaces_a_stateful_set_again_leaves_its_pods_alone(
    make_repo: MakeRepo, audit: Audit
) -> None:
    repo = make_repo(create=True)
    run = audit.watch(repo)
    repo.environment()
    repo.manifest("it.yaml", STATEFUL_SET.replace("$NOTES", ALLOWED))
    repo.commit()
    repo.deployed()
    labelled = '{"metadata": {"labels": {"example.com/theirs": "1"}}}'
    repo.kubectl("patch", "statefulset/db", "--field-manager=auditor", "--patch", labelled)
    before, pods = snapshot(repo), pod_uids(run)
    repo.edit(FILE, "Parallel", "OrderedReady")
    repo.manifest("bad.yaml", DEPLOYMENT.replace("$NOTES", "{}").replace("nginx:1.21", "nginx:missing"))
    repo.commit()

    result = run.deploy()

    assert result.code == 10, str(result)
    assert [r.verb for r in run.writes if r.what == "statefulsets/db"].count("delete") == 2
    assert changed(before, repo) == []
    assert set(pods) <= set(pod_uids(run)), "they were restarted"


# --- the new object is refused only once the old one is gone


POLICY = {
    "failurePolicy": "Fail",
    "matchConstraints": {
        "resourceRules": [
            {
                "apiGroups": ["apps"],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["deployments"],
            }
        ]
    },
    # Not seen by any dry run: as a policy that was made a moment after it.
    "validations": [
        {
            "expression": "has(request.dryRun) && request.dryRun || "
            "object.spec.selector.matchLabels.tier != 'two'"
        }
    ],
}


def refuse_the_new_one(repo: Workspace) -> None:
    """In effect when this returns."""
    root, name = "/apis/admissionregistration.k8s.io/v1", repo.application
    api, meta = repo.cluster.api, {"name": name}
    api.call("POST", f"{root}/validatingadmissionpolicies", {"metadata": meta, "spec": POLICY})
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": repo.namespace}}}
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": here}
    api.call("POST", f"{root}/validatingadmissionpolicybindings", {"metadata": meta, "spec": binding})
    probe = yaml.safe_load(DEPLOYMENT.replace("$NOTES", "{}").replace("tier: one", "tier: two"))
    probe["metadata"]["name"] = "probe"
    path = f"/apis/apps/v1/namespaces/{repo.namespace}/deployments"

    def is_refused() -> bool:
        try:
            api.call("POST", path, probe)
        except HTTPError as error:
            return error.code == 422
        api.call("DELETE", f"{path}/probe")
        return False

    until(is_refused)


def test_where_the_new_object_is_refused_after_all_the_old_one_comes_back(
    make_repo: MakeRepo, audit: Audit
) -> None:
    repo = make_repo(create=True)
    run = audit.watch(repo)
    repo.environment()
    repo.manifest("it.yaml", DEPLOYMENT.replace("$NOTES", ALLOWED))
    repo.commit()
    repo.deployed()
    before = snapshot(repo)
    refuse_the_new_one(repo)
    repo.edit(FILE, "tier: one", "tier: two")
    repo.commit()

    result = run.deploy()

    assert result.code == 10, str(result)
    assert "the old object is back" in result.document["causes"][0]["message"]
    assert changed(before, repo) == []
    until(lambda: ready_images(repo) == ["nginx:1.21"])


# --- what does not go


def test_an_old_object_that_does_not_go_is_waited_for_no_longer_than_the_deploy_may_take(
    make_repo: MakeRepo,
) -> None:
    repo = make_repo(create=True)
    repo.environment("rollback: {auto: false}", deploy="{timeout: 3s}")
    repo.manifest("it.yaml", JOB)
    repo.commit()
    repo.deployed()
    repo.kubectl("patch", "job", "migrate", "--type=merge", "--patch", HOLD)
    repo.edit(FILE, "migrate:1", "migrate:2")
    repo.commit()

    code, report = repo.json("deploy", "-e", "dev")

    assert code == 11, report
    (cause,) = report["causes"]
    assert cause["code"] == "FinalizerStuck"
    assert "example.com/hold" in cause["message"]
    assert "after 60 s" not in cause["message"], "so long it is waited where there is time"
    repo.kubectl("patch", "job", "migrate", "--type=merge", "--patch", LET_GO)
    repo.deployed()
    assert (
        repo.get("batch/v1/jobs", "migrate")["spec"]["template"]["spec"]["containers"][0]["image"]
        == "migrate:2"
    )

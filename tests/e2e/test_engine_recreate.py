"""Replacing an object: only where a field proved to be immutable and somebody allowed it, never blindly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError

import pytest
import yaml

from tests.e2e.audit import Audit, Witness
from tests.e2e.conftest import MakeRepo
from tests.e2e.live import changed, line_of, ready_images, snapshot, until
from tests.e2e.stories import tell
from tests.e2e.workspace import Result, Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

FILE = "environments/dev/manifests/it.yaml"
ALLOWED = "{pipeline/recreate: allowed}"

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
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """The second deploy with its plan, and the object and its pods before it."""

    run: Witness
    plan: Any
    result: Result
    before: Any
    pods: list[str]

    @property
    def now(self) -> Any:
        return self.run.repo.get(self._path, self.before["metadata"]["name"])

    @property
    def _path(self) -> str:
        return next(c.path for c in CASES.values() if c.name == self.before["metadata"]["name"])

    @property
    def is_the_same(self) -> bool:
        return bool(self.now["metadata"]["uid"] == self.before["metadata"]["uid"])


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, audit: Audit) -> dict[str, Told]:
    def story(case: Case) -> Callable[[], Told]:
        def deploy() -> Told:
            repo = make_repo(create=True)
            witness = audit.watch(repo)
            repo.environment()
            repo.manifest("it.yaml", case.manifest.replace("$NOTES", case.notes))
            repo.commit()
            repo.deployed()
            before, pods = repo.get(case.path, case.name), pod_uids(witness)
            for old, new in {case.old: case.new, **case.also}.items():
                repo.edit(FILE, old, new)
            repo.commit()
            _, plan = repo.json("plan", "-e", "dev")
            return Told(witness, plan, witness.deploy(), before, pods)

        return deploy

    return tell({name: story(case) for name, case in CASES.items()})


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


def test_a_volume_claim_is_never_replaced_even_where_that_was_allowed(told: dict[str, Told]) -> None:
    story = told["claim"]
    assert story.result.code == 21, str(story.result)
    assert story.run.all_writes == []
    assert story.is_the_same


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

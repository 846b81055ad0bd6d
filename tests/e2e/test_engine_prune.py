"""Deleting what the repository no longer has: in the right order, never too much, and never in silence."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.audit import Audit, Witness
from tests.e2e.conftest import MakeRepo
from tests.e2e.live import until
from tests.e2e.manifests import SETTINGS, WEB, config_map
from tests.e2e.stories import tell
from tests.e2e.workspace import Result, Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

FOLDER = "environments/dev/manifests"
STAYS = config_map("stays")
PROTECTED = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: $APP, namespace: kube-public}\n"
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""
RIGHTS = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: default}]
"""


@dataclass(frozen=True)
class Told:
    """The deploy after the files were removed."""

    run: Witness
    result: Result

    def has(self, path: str, name: str, namespace: str = "") -> bool:
        live = self.run.repo.get(path, name, namespace)
        return live is not None and "deletionTimestamp" not in live["metadata"]

    def change(self, name: str) -> Any:
        return next(c for c in self.result.document["plan"]["changes"] if c["object"].endswith(f"/{name}"))


@dataclass(frozen=True)
class Case:
    """What is deployed, and removed again; ``between`` happens before that."""

    going: Mapping[str, str]
    between: Callable[[Workspace], object] = lambda _: None
    environment: str = ""
    spec: Mapping[str, str] = field(default_factory=dict)


def _take_labels_off(repo: Workspace) -> None:
    repo.kubectl("label", "configmap/gone", "pipeline/environment-", "pipeline/application-")


def _give_to_another(repo: Workspace) -> None:
    repo.kubectl("label", "--overwrite", "configmap/gone", "pipeline/environment=prod")


def _hold(repo: Workspace) -> None:
    patch = {"metadata": {"finalizers": ["example.com/hold"]}}
    repo.kubectl("patch", "configmap/gone", "--type=merge", "--patch", json.dumps(patch))


GONE = {"gone.yaml": config_map("gone")}
CASES = {
    "users first": Case({"settings.yaml": SETTINGS, "web.yaml": WEB, "s.yaml": SERVICE, "r.yaml": RIGHTS}),
    "labels taken off": Case(GONE, _take_labels_off),
    "given to another": Case(GONE, _give_to_another),
    "protected namespace": Case(
        {"p.yaml": PROTECTED, **GONE}, environment='allow: {namespaces: ["*"]}'
    ),
    "held": Case(GONE, _hold, spec={"deploy": "{timeout: 3s}"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, audit: Audit) -> dict[str, Told]:
    def story(case: Case) -> Callable[[], Told]:
        def deploy() -> Told:
            repo = make_repo(create=True)
            witness = audit.watch(repo)
            repo.environment(f"prune: {{maxPercent: 100}}\n{case.environment}", **case.spec)
            for name, text in {"stays.yaml": STAYS, **case.going}.items():
                repo.manifest(name, text)
            repo.commit()
            repo.deployed()
            case.between(repo)
            for name in case.going:
                repo.remove(f"{FOLDER}/{name}")
            repo.commit()
            return Told(witness, witness.deploy())

        return deploy

    return tell({name: story(case) for name, case in CASES.items()})


def test_users_are_deleted_before_what_they_use(told: dict[str, Told]) -> None:
    story = told["users first"]
    assert story.result.code == 0, str(story.result)
    deleted = [r.what for r in story.run.writes if r.verb == "delete"]
    rights = ["rolebindings/reader", "roles/reader"]
    assert sorted(deleted) == ["configmaps/settings", "deployments/web", *rights, "services/web"]
    order = {what: place for place, what in enumerate(deleted)}
    assert order["rolebindings/reader"] < order["roles/reader"]
    assert order["deployments/web"] < order["configmaps/settings"]
    assert story.has("configmaps", "stays")


def test_what_lost_our_labels_is_kept_and_said_so(told: dict[str, Told]) -> None:
    story = told["labels taken off"]
    assert story.result.code == 0, str(story.result)
    assert story.has("configmaps", "gone")
    assert story.change("gone")["action"] == "keep"
    assert "labels" in story.result.output


def test_what_belongs_to_another_environment_by_now_is_kept_and_said_so(told: dict[str, Told]) -> None:
    story = told["given to another"]
    assert story.result.code == 0, str(story.result)
    assert story.has("configmaps", "gone")
    assert "prod" in story.result.output


def test_nothing_is_deleted_in_a_namespace_of_the_cluster(told: dict[str, Told]) -> None:
    story = told["protected namespace"]
    application = story.run.repo.application
    try:
        assert story.result.code == 0, str(story.result)
        assert story.has("configmaps", application, "kube-public")
        assert not story.has("configmaps", "gone")
        assert story.change(application)["action"] == "keep"
    finally:
        story.run.repo.kubectl("-n", "kube-public", "delete", "configmap", application)


def test_what_a_finalizer_holds_is_warned_of_and_deleted_by_a_later_run(told: dict[str, Told]) -> None:
    story = told["held"]
    repo = story.run.repo
    assert story.result.code == 0, str(story.result)
    (warning,) = story.result.document["warnings"]
    assert "example.com/hold" in warning
    assert "/gone" in warning
    assert {a["object"].rpartition("/")[2]: a["result"] for a in story.result.document["applied"]}[
        "gone"
    ] == "left"
    assert repo.get("configmaps", "gone") is not None

    again = story.run.deploy()
    assert again.code == 0, str(again)
    assert any("example.com/hold" in text for text in again.document["warnings"]), "it was forgotten"

    repo.kubectl("patch", "configmap/gone", "--type=merge", "--patch", '{"metadata": {"finalizers": null}}')
    until(lambda: repo.get("configmaps", "gone") is None)
    last = story.run.deploy()
    assert (last.code, last.document["warnings"]) == (0, []), str(last)


def test_an_object_of_another_environment_is_refused(make_repo: MakeRepo, audit: Audit) -> None:
    repo = make_repo(create=True)
    witness = audit.watch(repo)
    repo.environment()
    repo.manifest("settings.yaml", SETTINGS)
    repo.environment(name="prod", namespace=repo.namespace)
    repo.manifest("settings.yaml", SETTINGS, "prod")
    repo.commit()
    assert repo.run("deploy", "-e", "prod").code == 0
    result = witness.deploy()
    assert result.code == 21, str(result)
    (problem,) = result.document["problems"]
    assert "prod" in problem["message"]
    assert (problem["file"], problem["line"]) == (f"{FOLDER}/settings.yaml", 1)
    assert witness.all_writes == []

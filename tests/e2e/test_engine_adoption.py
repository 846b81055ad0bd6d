"""Objects that another tool made: what the manifest lacks goes, as planned, and a rollback gives it back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.audit import Audit, Witness
from tests.e2e.conftest import MakeRepo
from tests.e2e.live import changed, ready_images, snapshot, until
from tests.e2e.stories import tell
from tests.e2e.workspace import Result, Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

BEFORE = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  annotations: {example.com/note: old}
spec:
  minReadySeconds: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: main
          image: nginx:1.21
          env: [{name: A, value: "1"}, {name: B, value: "2"}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, annotations: {example.com/note: old}}
data: {a: "1", b: "2"}
"""
AFTER = (
    BEFORE.replace("  annotations: {example.com/note: old}\n", "")
    .replace("  minReadySeconds: 1\n", "")
    .replace(', {name: B, value: "2"}', "")
    .replace(", annotations: {example.com/note: old}", "")
    .replace(', b: "2"', "")
)
GOES = {
    'metadata.annotations["example.com/note"]',
    "spec.minReadySeconds",
    "spec.template.spec.containers[name=main].env[name=B].name",
    "spec.template.spec.containers[name=main].env[name=B].value",
    "data.b",
}


def _by_helm(repo: Workspace) -> None:
    """As Helm does: created by a manager of that name, labelled, and never applied."""
    label = "app.kubernetes.io/managed-by: Helm"
    labelled = BEFORE.replace("name: settings,", f"name: settings, labels: {{{label}}},")
    repo.kubectl("create", "--field-manager=helm", "-f", "-", stdin=labelled)


HOW: dict[str, Callable[[Workspace], object]] = {
    "client side": lambda repo: repo.kubectl("apply", "-f", "-", stdin=BEFORE),
    "server side": lambda repo: repo.kubectl("apply", "--server-side", "-f", "-", stdin=BEFORE),
    "helm": _by_helm,
}


@dataclass(frozen=True)
class Told:
    """A deploy that failed, and a good one with its plan. ``left``: what the rollback did not restore."""

    run: Witness
    bad: Result
    left: list[str]
    plan: Any
    good: Result


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, audit: Audit) -> dict[str, Told]:
    def story(make: Callable[[Workspace], object]) -> Callable[[], Told]:
        def deploy() -> Told:
            run = audit.watch(make_repo(create=True))
            repo = run.repo
            make(repo)
            until(lambda: ready_images(repo) == ["nginx:1.21"])
            until(lambda: _settled(repo))
            before = snapshot(repo)
            repo.environment("rollback: {onFirstDeploy: remove}")
            repo.manifest("web.yaml", AFTER.replace("nginx:1.21", "nginx:missing"))
            repo.commit()
            bad = run.deploy()
            left = changed(before, repo)
            until(lambda: _settled(repo))
            repo.manifest("web.yaml", AFTER)
            repo.commit()
            code, plan = repo.json("plan", "-e", "dev")
            assert code == 0, plan
            return Told(run, bad, left, plan, run.deploy())

        return deploy

    return tell({name: story(make) for name, make in HOW.items()})


def _settled(repo: Workspace) -> bool:
    """Whether the controllers have written their last status."""
    live = repo.get("apps/v1/deployments", "web")
    status = live["status"]
    return (
        status.get("observedGeneration") == live["metadata"]["generation"]
        and status.get("availableReplicas") == status.get("replicas") == 1
    )


@pytest.mark.parametrize("how", HOW)
def test_what_the_manifest_lacks_really_goes(told: dict[str, Told], how: str) -> None:
    story = told[how]
    assert story.good.code == 0, str(story.good)
    web = story.run.repo.get("apps/v1/deployments", "web")
    settings = story.run.repo.get("configmaps", "settings")
    assert [e["name"] for e in web["spec"]["template"]["spec"]["containers"][0]["env"]] == ["A"]
    assert "minReadySeconds" not in web["spec"]
    assert settings["data"] == {"a": "1"}
    for live in (web, settings):
        notes = live["metadata"].get("annotations", {})
        assert not [key for key in notes if "example.com" in key or "last-applied" in key]
        managers = {m["manager"] for m in live["metadata"]["managedFields"] if not m.get("subresource")}
        assert managers - {"kube-controller-manager"} == {"pipeline"}


@pytest.mark.parametrize("how", HOW)
def test_the_plan_shows_exactly_what_goes(told: dict[str, Told], how: str) -> None:
    story = told[how]
    removed = {f["path"] for c in story.plan["changes"] for f in c["fields"] if f["op"] == "remove"}
    labels = {'metadata.labels["app.kubernetes.io/managed-by"]'} if how == "helm" else set()
    client = {'metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]'}
    assert removed - client == GOES | labels, json.dumps(story.plan, indent=1)


@pytest.mark.parametrize("how", HOW)
def test_after_a_failure_all_is_as_it_was_owners_included(told: dict[str, Told], how: str) -> None:
    story = told[how]
    assert story.bad.code == 10, str(story.bad)
    assert story.left == []

"""A choice that excludes what the server had filled in for the one before it: made, and taken back."""

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

WORKLOAD = """\
apiVersion: apps/v1
kind: $KIND
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "nginx:1.21"}]}
"""
RECREATE = WORKLOAD.replace("replicas: 1", "replicas: 1\n  strategy: {type: Recreate}")
ON_DELETE = WORKLOAD.replace("replicas: 1", "replicas: 1\n  updateStrategy: {type: OnDelete}")


def _nobody(_: Workspace, __: str) -> None:
    pass


def _by_kubectl(repo: Workspace, text: str) -> None:
    """Its manager owns what the server filled in as well: it was the one who created the object."""
    repo.kubectl("apply", "-f", "-", stdin=text)
    until(lambda: ready_images(repo) == ["nginx:1.21"])


@dataclass(frozen=True)
class Case:
    """What is there, by whom, and what the manifest says then."""

    before: str
    after: str
    kind: str = "Deployment"
    made: Callable[[Workspace, str], None] = _nobody

    @property
    def path(self) -> str:
        return f"apps/v1/{self.kind.lower()}s"


CASES = {
    "Deployment": Case(WORKLOAD, RECREATE),
    "StatefulSet": Case(WORKLOAD, ON_DELETE, "StatefulSet"),
    "of kubectl": Case(WORKLOAD, RECREATE, made=_by_kubectl),
    "fails": Case(WORKLOAD, RECREATE.replace("nginx:1.21", "nginx:missing")),
    "fails back": Case(RECREATE, WORKLOAD.replace("nginx:1.21", "nginx:missing")),
}


@dataclass(frozen=True)
class Told:
    """The plan and the deploy of the other choice, and what is not as it was before."""

    run: Witness
    plan: Any
    result: Result
    wrote: list[str]
    unlike: list[str]
    spec: Any
    again: Result

    @property
    def fields(self) -> dict[str, tuple[str, Any]]:
        (change,) = self.plan["changes"]
        return {f["path"]: (f["op"], f["after"]) for f in change["fields"] if "labels" not in f["path"]}


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, audit: Audit) -> dict[str, Told]:
    def story(case: Case) -> Callable[[], Told]:
        def deploy() -> Told:
            run = audit.watch(make_repo(create=True))
            repo = run.repo
            repo.environment()
            case.made(repo, case.before.replace("$KIND", case.kind))
            if case.made is _nobody:
                repo.manifest("it.yaml", case.before.replace("$KIND", case.kind))
                repo.commit()
                repo.deployed()
            before = snapshot(repo)
            repo.manifest("it.yaml", case.after.replace("$KIND", case.kind))
            repo.commit()
            _, plan = repo.json("plan", "-e", "dev")
            result = run.deploy()
            wrote, unlike = [r.what for r in run.writes], changed(before, repo)
            spec = repo.get(case.path, "web")["spec"]
            return Told(run, plan, result, wrote, unlike, spec, run.deploy())

        return deploy

    return tell({name: story(case) for name, case in CASES.items()})


GONE = {
    "spec.strategy.rollingUpdate.maxSurge": ("remove", None),
    "spec.strategy.rollingUpdate.maxUnavailable": ("remove", None),
    "spec.strategy.type": ("change", "Recreate"),
}


@pytest.mark.parametrize("name", ["Deployment", "of kubectl"])
def test_a_deployment_that_is_to_be_recreated_loses_the_defaults_of_a_rolling_update(
    told: dict[str, Told], name: str
) -> None:
    story = told[name]
    assert story.result.code == 0, str(story.result)
    assert story.spec["strategy"] == {"type": "Recreate"}
    shown = {path: field for path, field in story.fields.items() if "annotations" not in path}
    assert shown == GONE, json.dumps(story.plan, indent=1)


def test_so_does_a_stateful_set_whose_pods_a_person_deletes(told: dict[str, Told]) -> None:
    story = told["StatefulSet"]
    assert story.result.code == 0, str(story.result)
    assert story.spec["updateStrategy"] == {"type": "OnDelete"}
    assert story.fields["spec.updateStrategy.rollingUpdate.partition"] == ("remove", None)


@pytest.mark.parametrize("name", ["Deployment", "StatefulSet", "of kubectl"])
def test_afterwards_nothing_is_left_to_be_done_and_all_of_it_is_ours(
    told: dict[str, Told], name: str
) -> None:
    story = told[name]
    assert (story.again.code, story.run.all_writes) == (0, []), str(story.again)
    live = story.run.repo.get(CASES[name].path, "web")
    writers = [m["manager"] for m in live["metadata"]["managedFields"] if not m.get("subresource")]
    assert writers == ["pipeline"]


@pytest.mark.parametrize("name", ["fails", "fails back"])
def test_a_failure_leads_back_to_the_other_choice(told: dict[str, Told], name: str) -> None:
    story = told[name]
    assert story.result.code == 10, str(story.result)
    assert story.result.document["rollback"] == {"verified": True, "differences": []}
    # Of a default that the failed release had written its value is back, and ours.
    assert [line for line in story.unlike if "owners.pipeline (Apply).f:spec.f:strategy" not in line] == []

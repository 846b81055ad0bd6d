"""Custom resources of kinds that nobody knows: silent, strange, judged by rules, without a status."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import MakeRepo
from tests.e2e.live import line_of
from tests.e2e.nodes import MERGE
from tests.e2e.rollouts import Told
from tests.e2e.stories import tell
from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

FILE = "environments/dev/manifests/mood.yaml"
DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: moods.$NS.example.com}
spec:
  group: $NS.example.com
  scope: Cluster
  names: {plural: moods, kind: Mood}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
MOOD = """\
# how it is here
apiVersion: $NS.example.com/v1
kind: Mood
metadata:
  name: here
  labels: {step: first}
"""
ALLOWED = "allow: {clusterScoped: ['*']}\nrollback: {auto: false}"


def made(make: MakeRepo, definition: str) -> Workspace:
    repo = make(create=True)
    repo.kubectl("create", "-f", "-", stdin=definition.replace("$NS", repo.namespace))
    repo.kubectl("wait", "--for=condition=Established", f"crd/moods.{repo.namespace}.example.com")
    return repo


def deployed(repo: Workspace, manifest: str = MOOD, more: str = "") -> Told:
    repo.environment(f"{ALLOWED}\n{more}", deploy="{timeout: 4s}")
    repo.manifest("mood.yaml", manifest)
    repo.commit()
    return Told(repo, repo.run("-o", "json", "deploy", "-e", "dev"))


def noted(key: str) -> str:
    """With a rule of its own."""
    note = f'  annotations: {{pipeline/{key}: "jsonpath={{.status.phase}}=Happy"}}\n'
    return MOOD.replace("  labels:", f"{note}  labels:")


def strange(make: MakeRepo) -> dict[str, Told]:
    """Its controller is silent, then says what no convention knows; then rules tell what it means."""
    repo = made(make, DEFINITION)
    try:
        told = {"silent": deployed(repo)}
        status = {"status": {"phase": "Happy"}}
        path = f"/apis/{repo.namespace}.example.com/v1/moods/here/status"
        repo.cluster.api.call("PATCH", path, status, MERGE)
        told["strange"] = deployed(repo, MOOD.replace("first", "second"))
        told["ready by its annotation"] = deployed(repo, noted("ready"))
        told["failed by its annotation"] = deployed(repo, noted("failed"))
        happy = "jsonpath={.status.phase}=Happy"
        rule = f"{{group: {repo.namespace}.example.com, kind: Mood, ready: [{happy!r}]}}"
        told["ready by the environment"] = deployed(
            repo, MOOD.replace("first", "third"), f"rollout: {{steady: 0s, rules: [{rule}]}}"
        )
        return told
    finally:
        repo.kubectl("delete", "crd", f"moods.{repo.namespace}.example.com", "--wait=false")


def plain(make: MakeRepo) -> dict[str, Told]:
    """A kind that has no status to report."""
    repo = made(make, DEFINITION.replace("      subresources: {status: {}}\n", ""))
    try:
        return {"plain": deployed(repo)}
    finally:
        repo.kubectl("delete", "crd", f"moods.{repo.namespace}.example.com", "--wait=false")


STORIES: dict[str, Callable[[MakeRepo], dict[str, Told]]] = {"strange": strange, "plain": plain}


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo) -> dict[str, Told]:
    found: dict[str, dict[str, Told]] = tell(
        {name: lambda story=story: story(make_repo) for name, story in STORIES.items()}
    )
    return {**found["strange"], **found["plain"]}


def cause(story: Told, code: int) -> Any:
    assert story.result.code == code, str(story.result)
    (found,) = story.result.document["causes"]
    assert found["origin"] == f"{FILE}:{line_of(MOOD, 'apiVersion')}"
    return found


def test_silence_of_a_kind_that_has_a_status_is_not_ready(told: dict[str, Told]) -> None:
    story = told["silent"]
    found = cause(story, 12)
    assert (story.entry["status"], story.entry["reason"]) == ("InProgress", "NoStatus")
    assert "its controller has not reported a status yet" in found["message"]
    assert "whether the controller of its kind runs" in found["hint"]


def test_what_no_convention_knows_is_named_with_what_it_says_and_how_to_read_it(
    told: dict[str, Told],
) -> None:
    story = told["strange"]
    found = cause(story, 12)
    assert (story.entry["status"], found["code"]) == ("Unknown", "CustomResourceUnknown")
    assert "status.phase is Happy" in found["message"]
    assert "annotation pipeline/ready" in found["hint"]


@pytest.mark.parametrize("by", ["its annotation", "the environment"])
def test_a_rule_says_when_it_is_ready(by: str, told: dict[str, Told]) -> None:
    story = told[f"ready by {by}"]
    story.is_well()
    assert story.entry["reason"] == "RuleMet"


def test_a_rule_says_when_it_has_failed(told: dict[str, Told]) -> None:
    story = told["failed by its annotation"]
    found = cause(story, 11)
    assert (story.entry["status"], found["code"]) == ("Failed", "CustomResourceFailed")
    assert "its rule for failure holds" in found["message"]


def test_a_kind_without_a_status_is_current_once_it_exists(told: dict[str, Told]) -> None:
    story = told["plain"]
    story.is_well()
    assert story.entry["message"] == "its kind reports no status"

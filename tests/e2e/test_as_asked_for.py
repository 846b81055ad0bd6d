"""What looks unfinished and is as its manifest asks for: parted, paused, suspended, gone when it is done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conftest import MakeRepo
from tests.e2e.failures import workload
from tests.e2e.rollouts import Told, change, images, made
from tests.e2e.stories import tell

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: web}
spec:
  ttlSecondsAfterFinished: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "migrate:1"}]
"""
PARTED = workload(kind="StatefulSet").replace(
    "  replicas: 2\n", "  replicas: 2\n  updateStrategy: {rollingUpdate: {partition: 1}}\n"
)
PAUSED = workload().replace("  replicas: 2\n", "  replicas: 2\n  paused: true\n")


def once(make: MakeRepo, manifest: str) -> Told:
    repo = made(make, manifest)
    return Told(repo, repo.run("-o", "json", "deploy", "-e", "dev"))


def gone(make: MakeRepo) -> Told:
    """A Job that is deleted as soon as it has ended, while the rollout waits for something else."""
    first = once(make, f"{JOB}---\n{workload('nginx:slow', delay='5s')}")
    return Told(first.repo, first.result, first.repo.get("batch/v1/jobs")["items"])


def twice(make: MakeRepo, manifest: str, timeout: str) -> Told:
    """A second revision; what was deployed first is whole."""
    repo = made(make, manifest.replace("  paused: true\n", ""), timeout)
    repo.deployed()
    repo.manifest("web.yaml", manifest)
    change(repo, "nginx:1.21", "nginx:1.22")
    return Told(repo, repo.run("-o", "json", "deploy", "-e", "dev"), sorted(images(repo)))


STORIES: dict[str, Callable[[MakeRepo], Told]] = {
    "gone": gone,
    "suspended": lambda make: once(make, JOB.replace("  ttl", "  suspend: true\n  ttl")),
    "parted": lambda make: twice(make, PARTED, "60s"),
    "paused": lambda make: twice(make, PAUSED, "4s"),
}


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo) -> dict[str, Told]:
    return tell({name: lambda story=story: story(make_repo) for name, story in STORIES.items()})


def test_a_job_that_is_gone_once_it_has_ended_is_complete(told: dict[str, Told]) -> None:
    story = told["gone"]
    story.is_well()
    (entry,) = (one for one in story.result.document["rollout"] if "/Job/" in one["object"])
    assert (entry["reason"], story.seen) == ("Complete", [])


def test_a_suspended_job_is_current_and_says_so(told: dict[str, Told]) -> None:
    story = told["suspended"]
    story.is_well()
    assert "is suspended: it has not run" in story.result.stderr


def test_pods_below_the_partition_keep_their_revision_and_that_is_said(told: dict[str, Told]) -> None:
    story = told["parted"]
    story.is_well()
    assert story.seen == ["nginx:1.21", "nginx:1.22"]
    assert "1 pod runs the old revision below the partition 1" in story.result.stderr


def test_the_change_of_a_paused_deployment_is_not_there_and_that_is_why(told: dict[str, Told]) -> None:
    story = told["paused"]
    assert story.result.code == 12, str(story.result)
    (cause,) = story.result.document["causes"]
    assert "is paused, and its change waits" in cause["message"]
    assert "take spec.paused away" in cause["hint"]
    assert story.seen == ["nginx:1.21", "nginx:1.21"]

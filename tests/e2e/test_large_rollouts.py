"""More objects than pods are followed in full for: the verdict, its cause and its line are those of a few."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import MakeRepo
from tests.e2e.stories import tell
from tests.e2e.workspace import Result, Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

FEW, MANY = 5, 60
"""Beside the one that matters. Up to 50 all pods and events are followed from the beginning."""

JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: bad}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: 'migrate:crash'}]
"""


def web(name: str, mode: str = "runs", delay: str = "1s") -> str:
    """One pod without a readiness probe."""
    return f"""\
        apiVersion: apps/v1
        kind: Deployment
        metadata: {{name: {name}}}
        spec:
          selector: {{matchLabels: {{app: {name}}}}}
          template:
            metadata:
              labels: {{app: {name}}}
              annotations: {{pipeline.test/pod: {mode}, pipeline.test/delay: {delay}}}
            spec:
              containers:
                - name: main
                  image: nginx:1.21
        """


BAD = {
    "good": web("bad"),
    "a crash after the start": web("bad", "crash-late"),
    "a crash after the start, patiently": web("bad", "crash-late"),
    "a wrong image": web("bad", "missing"),
    "a Job that fails": JOB,
}
PATIENCE = {"a crash after the start, patiently": 9}


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo) -> dict[tuple[str, int], Result]:
    """What becomes of each among few and among many."""

    def story(name: str, count: int) -> Callable[[], Result]:
        def deploy() -> Result:
            repo: Workspace = make_repo(create=True)
            rollout = f"rollout: {{grace: {{restarts: {PATIENCE.get(name, 1)}}}}}"
            repo.environment(f"rollback: {{auto: false}}\n{rollout}", deploy="{timeout: 25s}")
            for number in range(count):
                repo.manifest(f"{number}.yaml", web(f"web-{number}"))
            repo.manifest("bad.yaml", BAD[name])
            repo.commit()
            return repo.run("-o", "json", "deploy", "-e", "dev")

        return deploy

    return tell({(name, count): story(name, count) for name in BAD for count in (FEW, MANY)})


def causes(result: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = result.document["causes"]
    return found


def named(result: Result) -> list[tuple[str, str, str]]:
    """(object, code, origin), but for the workspace's own names."""
    return [
        (c["object"].rpartition("/")[2], c["code"], c["origin"].rpartition("/")[2]) for c in causes(result)
    ]


def test_a_good_set_is_current_once_its_containers_have_run_for_a_moment(told: Any) -> None:
    for count in (FEW, MANY):
        result = told["good", count]
        assert result.code == 0, str(result)
        assert len(result.document["rollout"]) == count + 1


@pytest.mark.parametrize(
    ("name", "code", "line"),
    [
        ("a crash after the start", "CrashLoop", "bad.yaml:12"),
        ("a wrong image", "ImageNotFound", "bad.yaml:13"),
        ("a Job that fails", "JobFailed", "bad.yaml:9"),
    ],
)
def test_a_failure_is_told_with_its_cause_and_line(told: Any, name: str, code: str, line: str) -> None:
    few, many = told[name, FEW], told[name, MANY]
    assert (few.code, many.code) == (11, 11), str(many)
    assert named(many) == named(few)
    assert ("bad", code, line) in named(many)


def test_what_crashes_after_its_start_is_never_current(told: Any) -> None:
    """Borne, it comes up again and again, and each time is whole by its counts for a second."""
    for count in (FEW, MANY):
        result = told["a crash after the start, patiently", count]
        assert result.code == 12, str(result)
        assert [code for _, code, _ in named(result)] == ["CrashLoop"], str(result)


def test_evidence_is_that_of_the_crashed_container(told: Any) -> None:
    few, many = (causes(told["a crash after the start", count])[0] for count in (FEW, MANY))
    assert many["message"] == few["message"]
    assert len(many["evidence"]) == len(few["evidence"]) > 0

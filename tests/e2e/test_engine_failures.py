"""After a failure: what else is written, what is not, and what is said of each object that was skipped."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.audit import Audit, Witness
from tests.e2e.conftest import MakeRepo
from tests.e2e.manifests import config_map
from tests.e2e.stories import tell
from tests.e2e.test_engine_order import needs, noted
from tests.e2e.workspace import Result

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

SETS = {
    "bad.yaml": noted("Deployment", "bad", mode="crash"),
    "quick.yaml": noted("Deployment", "quick", mode="slow"),
    "first.yaml": config_map("first"),
    "needs-bad.yaml": noted("ConfigMap", "needs-bad", needs("apps/Deployment/$NS/bad")),
    "needs-that.yaml": noted("ConfigMap", "needs-that", needs("/ConfigMap/$NS/needs-bad")),
    "needs-quick.yaml": noted("ConfigMap", "needs-quick", needs("apps/Deployment/$NS/quick")),
}


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, audit: Audit) -> dict[str, tuple[Witness, Result]]:
    """A Deployment that fails before another is ready that something else needs."""

    def story(policy: str) -> Callable[[], tuple[Witness, Result]]:
        def deploy() -> tuple[Witness, Result]:
            run = audit.watch(make_repo(create=True))
            more = "rollback: {auto: false}\nrollout: {grace: {restarts: 0}}"
            run.repo.environment(more, deploy=f"{{timeout: 40s, onError: {policy}}}")
            for name, text in SETS.items():
                run.repo.manifest(name, text)
            run.repo.commit()
            return run, run.deploy()

        return deploy

    return tell({policy: story(policy) for policy in ("stop", "continue")})


def results(result: Result) -> dict[str, str]:
    return {a["object"].rpartition("/")[2]: a["result"] for a in result.document["applied"]}


WRITTEN = {"bad": "applied", "quick": "applied", "first": "applied"}


def test_by_default_nothing_more_is_written_after_a_failure(told: dict[str, tuple[Witness, Result]]) -> None:
    run, result = told["stop"]
    assert result.code == 11, str(result)
    skipped = dict.fromkeys(("needs-bad", "needs-that", "needs-quick"), "skipped")
    assert results(result) == WRITTEN | skipped
    assert sorted(run.written) == ["configmaps/first", "deployments/bad", "deployments/quick"]


def test_what_does_not_need_the_failed_one_is_written_where_policy_says_so(
    told: dict[str, tuple[Witness, Result]],
) -> None:
    run, result = told["continue"]
    assert result.code == 11, str(result)
    assert results(result) == WRITTEN | {
        "needs-bad": "skipped",
        "needs-that": "skipped",
        "needs-quick": "applied",
    }
    assert run.ready("deployments/quick") < run.first("configmaps/needs-quick")


def test_what_was_skipped_says_for_which_failure(told: dict[str, tuple[Witness, Result]]) -> None:
    _, result = told["continue"]
    said = [line for line in result.stderr.splitlines() if "needs-bad" in line or "needs-that" in line]
    skipped = [line for line in said if line.startswith("skipped")]
    assert len(skipped) == 2, str(result)
    assert all("Deployment" in line and "/bad, which did not become ready" in line for line in skipped)

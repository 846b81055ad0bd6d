"""A run that ends while it fetches, or between the environments of a promotion, has written nothing."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from pipeline.failpoint import Point
from tests.e2e.conftest import MakeRepo
from tests.e2e.conftest import make_repo as make_repo
from tests.e2e.manifests import SETTINGS
from tests.e2e.test_git_shapes import checkout, pushed
from tests.e2e.test_git_shapes import host as host
from tests.e2e.workspace import Workspace
from tests.git_host import GitHost

pytestmark = pytest.mark.cluster

FETCHING = (Point.FETCH_PRE, Point.FETCH_POST)
PROMOTING = (Point.PROMOTE_READ, Point.PROMOTE_WRITE)
NOT_BEGUN = (*FETCHING, *PROMOTING)
ENDS = {"kill": -signal.SIGKILL, "term": 50, "raise": 70}
ALL = pytest.mark.parametrize("action", ENDS)


def there(repo: Workspace, *environments: str) -> dict[str, str]:
    """Every object that a deploy may write, records and lock too, with its version."""
    found = {}
    for environment in environments:
        for kind in ("configmaps", "secrets", "coordination.k8s.io/v1/leases"):
            for item in repo.get(kind, namespace=repo.namespace_of(environment))["items"]:
                meta = item["metadata"]
                found[f"{environment}/{kind}/{meta['name']}"] = meta["resourceVersion"]
    return found


def disturbed(repo: Workspace, point: Point, action: str, code: int, *command: str) -> None:
    """It came by the point, ended with the code, and wrote nothing."""
    before = there(repo, "dev", "qa")
    run = repo.run("-o", "json", *command, env={"PIPELINE_FAILPOINT": f"{point}:{action}"})
    assert f"failpoint {point}" in run.stderr
    assert run.code == code, run.stderr
    assert there(repo, "dev", "qa") == before
    assert "Traceback" not in run.stderr


@pytest.fixture
def shop(make_repo: MakeRepo, host: GitHost) -> Workspace:
    """dev, and qa which takes from it; the first commit runs in dev, the second is pushed."""
    repo = make_repo(create=True)
    repo.environment()
    repo.environment("promotion: {from: [dev]}", name="qa")
    for name in ("dev", "qa"):
        repo.manifest("settings.yaml", SETTINGS, environment=name)
    repo.git("remote", "add", "origin", str(host.folder / "shop.git"))
    repo.commit("first")
    repo.deployed()
    pushed(repo, "two")
    return repo


@ALL
@pytest.mark.parametrize("point", FETCHING)
def test_who_ends_while_it_fetches_has_written_nothing(
    shop: Workspace, host: GitHost, tmp_path: Path, point: Point, action: str
) -> None:
    job = checkout(shop, host, tmp_path)  # without the commit that runs: it is fetched
    disturbed(job, point, action, ENDS[action], "deploy", "-e", "dev")
    job.deployed()
    assert shop.get("configmaps", "settings")["data"] == {"greeting": "two"}


@ALL
@pytest.mark.parametrize("point", PROMOTING)
def test_who_ends_in_a_promotion_has_written_nothing(shop: Workspace, point: Point, action: str) -> None:
    disturbed(shop, point, action, ENDS[action], "promote", "--to", "qa")
    code, report = shop.json("promote", "--to", "qa")
    assert (code, report["revision"]["sha"]) == (0, shop.git("rev-parse", "HEAD~1"))
    assert shop.get("configmaps", "settings", namespace=shop.namespace_of("qa"))["data"] == {
        "greeting": "hello"
    }

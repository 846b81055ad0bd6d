"""``unlock`` and ``status`` where a run is at work, and where one has died."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from tests.contract.fake_server import Reply, serving
from tests.e2e.conftest import MakeRepo, make_app
from tests.e2e.live import until
from tests.e2e.manifests import config_map
from tests.e2e.stories import Stories
from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

story = Stories()
AT_ONCE = 5  # they wait for locks to expire

RUN = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_ACTOR": "ana",
    "GITHUB_REPOSITORY": "shop/web",
    "GITHUB_RUN_ID": "4711",
    "GITHUB_RUN_ATTEMPT": "1",
}


def lease(repo: Workspace) -> Any:
    return repo.get("coordination.k8s.io/v1/leases", f"pipeline.{repo.application}.dev")


def phase(repo: Workspace, number: int) -> str:
    secret = repo.get("secrets", f"pipeline.{repo.application}.dev.{number}")
    return str(secret["metadata"]["labels"]["pipeline/phase"]) if secret else ""


@contextmanager
def at_work(repo: Workspace, **env: str) -> Iterator[subprocess.Popen[str]]:
    """A second deploy that waits for its rollout; killed in the end, whatever happens."""
    repo.deployed()
    repo.manifest("settings.yaml", config_map("settings", greeting="bye"))
    edit = repo.folder / "environments/dev/manifests/web.yaml"
    edit.write_text(
        edit.read_text().replace(
            "labels: {app: web}\n    spec:",
            "labels: {app: web}\n      annotations: {pipeline.test/pod: unready}\n    spec:",
        )
    )
    repo.commit()
    process = repo.start("deploy", "-e", "dev", env=env)
    try:
        until(lambda: phase(repo, 2) == "VERIFYING")
        yield process
    finally:
        process.kill()
        process.communicate()


@story()
def a_live_lock_is_explained_and_left_and_a_dead_one_released(app: Workspace) -> None:
    with at_work(app, PIPELINE_ACTOR="ana") as process:
        code, document = app.json("unlock", "-e", "dev")
        assert (code, document["result"], document["released"]) == (30, "locked", False), document
        assert document["lock"]["holder"].startswith("ana at ")
        assert document["lock"]["since"]
        assert document["lock"]["expires"]
        assert document["why"] == "it was renewed just now"
        assert lease(app)["spec"]["holderIdentity"] == document["lock"]["holder"]

        process.send_signal(signal.SIGKILL)
        process.wait()
        told = app.run("unlock", "-e", "dev")

    assert told.code == 0, str(told)
    assert "the lock of ana at " in told.stdout
    assert "is released: it expired: nobody renewed it in time" in told.stdout
    assert lease(app)["spec"].get("holderIdentity", "") == ""

    _, status = app.json("status", "-e", "dev")
    explained = (
        "release 2 was left VERIFYING by ana: it is written, and not verified. `pipeline deploy -e dev` "
        "takes it over and brings all to what is wanted now; should that fail, it goes back to release 1"
    )
    assert status["environments"][0]["next"] == explained
    assert explained in told.stdout
    app.environment(deploy="{onMerge: true, branch: main, timeout: 15s}")  # its pods never are ready
    app.commit()
    result = app.run("-o", "json", "deploy", "-e", "dev")
    assert result.code == 10, str(result)
    assert app.get("configmaps", "settings")["data"] == {"greeting": "hello"}


@story()
def without_a_lock_there_is_nothing_to_release(app: Workspace) -> None:
    app.deployed()
    before = lease(app)

    code, document = app.json("unlock", "-e", "dev")

    assert code == 0
    assert document == {
        "schema": "pipeline/unlock/v1",
        "environment": "dev",
        "result": "ok",
        "exit_code": 0,
        "lock": None,
        "released": False,
        "why": None,
        "next": None,
    }
    assert lease(app) == before
    assert "dev: nobody holds the lock" in app.run("unlock", "-e", "dev").stdout


@story()
def a_dead_lock_is_released_though_the_record_is_damaged(app: Workspace) -> None:
    app.deployed()
    parts = [secret["metadata"]["name"] for secret in app.get("secrets")["items"]]
    (inventory,) = [name for name in parts if ".1.inventory." in name]
    app.kubectl("delete", "secret", inventory)
    dead = '{"spec":{"holderIdentity":"ana at home","leaseDurationSeconds":1}}'
    app.kubectl("patch", "lease", f"pipeline.{app.application}.dev", "-p", dead)

    code, document = app.json("unlock", "-e", "dev")

    assert (code, document["released"], document["lock"]["holder"]) == (0, True, "ana at home"), document
    assert f"{inventory} is gone: somebody deleted a part of the record" in document["next"]
    assert lease(app)["spec"].get("holderIdentity", "") == ""


@story("completed", "in_progress")
def github_is_asked_whether_the_run_that_holds_the_lock_is_over(app: Workspace, state: str) -> None:
    why = {"completed": "says GitHub", "in_progress": "it expired"}[state]
    with serving() as github, at_work(app, **RUN) as process:
        github.says(Reply(body={"status": state, "conclusion": "cancelled"}))
        # Of a run that goes on to renew its lock GitHub is not believed.
        asking = {"GITHUB_API_URL": github.server, "GITHUB_TOKEN": "ghs_CANARY"}
        code, document = app.json("unlock", "-e", "dev", env=asking)
        assert (code, document["released"]) == (30, False), document

        process.send_signal(signal.SIGKILL)
        process.wait()
        result = app.run("-o", "json", "unlock", "-e", "dev", env=asking)

    assert result.code == 0, str(result)
    holder = result.document["lock"]["holder"]
    assert holder.startswith("ana in https://github.com/shop/web/actions/runs/4711/attempts/1 at ")
    assert why in result.document["why"]
    assert {r.path for r in github.requests} == {"/repos/shop/web/actions/runs/4711/attempts/1"}
    assert "CANARY" not in result.output


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo) -> Iterator[dict[str, Future[None]]]:
    with story.begun(lambda: make_app(make_repo), AT_ONCE) as told:
        yield told


@pytest.mark.parametrize("name", story)
def test_of_a_lock(told: dict[str, Future[None]], name: str) -> None:
    told[name].result()

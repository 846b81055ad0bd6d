"""Kill it anywhere: what is left is the old state, the new one, or one that the next run takes over."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.conftest import MakeRepo, make_app
from tests.e2e.conftest import app as app
from tests.e2e.conftest import make_repo as make_repo
from tests.e2e.live import changed, ready_images, snapshot, until
from tests.e2e.manifests import config_map
from tests.e2e.stories import Stories
from tests.e2e.workspace import Result, Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

WEB_FILE = "environments/dev/manifests/web.yaml"
LEASE_S = 15.0
TAKEOVER_S = LEASE_S + 5.0  # promised to whoever follows a dead run
ENOUGH_S = 60.0  # for a run to end by itself


def slowly(repo: Workspace, delay: str = "60s") -> None:
    """Change the manifest so that its rollout takes that long."""
    repo.edit(WEB_FILE, "nginx:1.21", "nginx:slow")
    labels = "labels: {app: web}\n    spec:"
    repo.edit(
        WEB_FILE,
        labels,
        f"labels: {{app: web}}\n      annotations: {{pipeline.test/delay: {delay}}}\n    spec:",
    )


def phase(repo: Workspace, number: int) -> str:
    """The recorded phase of a release, as any reader of the cluster sees it; empty before it is recorded."""
    secret = repo.get("secrets", f"pipeline.{repo.application}.dev.{number}")
    return str(secret["metadata"]["labels"]["pipeline/phase"]) if secret else ""


def lease(repo: Workspace) -> Any:
    return repo.get("coordination.k8s.io/v1/leases", f"pipeline.{repo.application}.dev")


def holder(repo: Workspace) -> str:
    live = lease(repo)
    return str(live["spec"].get("holderIdentity") or "") if live else ""


@contextmanager
def running(repo: Workspace, *args: str) -> Iterator[subprocess.Popen[str]]:
    """``pipeline -o json deploy -e dev``, which is gone in the end whatever happens."""
    process = repo.start("-o", "json", "deploy", "-e", "dev", *args)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> Result:
    out, err = process.communicate(timeout=ENOUGH_S)
    return Result(process.returncode, out, err)


def reach(repo: Workspace, number: int, *phases: str) -> None:
    """Wait for a phase of a release."""
    until(lambda: phase(repo, number) in phases, f"for release {number} to be {phases}")


story = Stories()
AT_ONCE = 5  # mostly they wait, for a dead run's lock to expire or for a rollout


def begun(make_repo: MakeRepo) -> Workspace:
    """The smallest application, deployed."""
    app = make_app(make_repo)
    app.deployed()
    return app


# --- signals


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_a_run_in_good_order(app: Workspace, signum: signal.Signals) -> None:
    app.deployed()
    slowly(app)
    app.commit()

    with running(app) as process:
        reach(app, 2, "VERIFYING")
        process.send_signal(signum)
        sent = time.monotonic()
        result = ended(process)
        took = time.monotonic() - sent

    assert result.code == 50, str(result)
    assert took < 7
    assert holder(app) == ""
    assert phase(app, 2) == "INTERRUPTED"
    report = result.document
    assert (report["result"], report["release"]["phase"]) == ("interrupted", "INTERRUPTED")
    assert report["causes"][0]["code"] == "Interrupted"
    assert "Traceback" not in result.output


@story()
def a_second_signal_ends_a_run_at_once(make_repo: MakeRepo) -> None:
    app = begun(make_repo)
    slowly(app)
    app.commit()

    with running(app) as process:
        reach(app, 2, "VERIFYING")
        # Stopped, it gets both before it can do anything about the first.
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        result = ended(process)

    assert result.code == 50
    assert phase(app, 2) == "VERIFYING"


@story()
def who_waits_for_the_lock_can_be_interrupted(make_repo: MakeRepo) -> None:
    app = begun(make_repo)
    slowly(app)
    app.commit()

    with running(app) as first:
        until(lambda: holder(app))
        before = holder(app)
        with running(app, "--wait-lock", "5m") as second:
            time.sleep(3)  # long enough to be waiting
            second.send_signal(signal.SIGTERM)
            assert ended(second).code == 50
        assert holder(app) == before
        assert first.poll() is None


# --- killed


BAD = "nginx:missing"


def killed_at(repo: Workspace, *phases: str, number: int = 2) -> None:
    """Start a deploy and kill it as soon as the phase is recorded."""
    with running(repo) as process:
        reach(repo, number, *phases)
        process.kill()
        process.wait()


def next_run(repo: Workspace, *args: str) -> tuple[int, Any, float]:
    started = time.monotonic()
    code, report = repo.json("deploy", "-e", "dev", *args)
    return code, report, time.monotonic() - started


def prepared(make_repo: MakeRepo) -> Workspace:
    repo = make_app(make_repo)
    repo.manifest("plain.yaml", config_map("plain", state="good"))
    repo.manifest("gone.yaml", config_map("gone", state="good"))
    repo.commit()
    repo.deployed()
    return repo


def worsen(repo: Workspace, image: str) -> None:
    """A release that changes, creates and removes objects, and whose pods do not become ready."""
    repo.edit(WEB_FILE, "nginx:1.21", image)
    repo.edit(WEB_FILE, "  name: web\n", "  name: web\n  annotations: {state: bad}\n")
    repo.manifest("plain.yaml", config_map("plain", state="bad"))
    repo.manifest("created.yaml", config_map("created", state="bad"))
    repo.remove("environments/dev/manifests/gone.yaml")
    repo.commit("bad")


def good_after_a_kill(make_repo: MakeRepo, image: str, *phases: str) -> None:
    repo = prepared(make_repo)
    before = snapshot(repo)
    worsen(repo, image)
    killed_at(repo, *phases)

    code, report, took = next_run(repo, "--revision", "HEAD~1")

    assert code == 0, report
    assert changed(before, repo) == []
    assert took < TAKEOVER_S + 20  # and the deploy itself
    assert report["release"]["phase"] == "SUCCEEDED"
    assert ready_images(repo) == ["nginx:1.21"]


@story()
def killed_while_applying_the_good_revision_brings_everything_back(make_repo: MakeRepo) -> None:
    good_after_a_kill(make_repo, "nginx:unready", "APPLYING", "VERIFYING")


@story()
def killed_while_verifying_the_good_revision_brings_everything_back(make_repo: MakeRepo) -> None:
    good_after_a_kill(make_repo, "nginx:unready", "VERIFYING")


@story()
def killed_while_rolling_back_the_good_revision_brings_everything_back(make_repo: MakeRepo) -> None:
    good_after_a_kill(make_repo, BAD, "FAILED", "ROLLING_BACK", "ROLLED_BACK")


@story()
def after_a_kill_a_run_that_fails_leads_back_to_before_the_killed_one(make_repo: MakeRepo) -> None:
    repo = prepared(make_repo)
    before = snapshot(repo)
    worsen(repo, "nginx:unready")
    killed_at(repo, "VERIFYING")
    repo.edit(WEB_FILE, "nginx:unready", BAD)
    repo.manifest("later.yaml", config_map("later"))
    repo.commit("worse")

    code, report, _ = next_run(repo)

    assert code == 10, report
    assert any("takes it over" in w for w in report["warnings"])
    assert changed(before, repo) == []
    until(lambda: ready_images(repo) == ["nginx:1.21"])
    assert {c["action"] for c in repo.deployed("--revision", "HEAD~2")["plan"]["changes"]} == {"keep"}


@story()
def the_same_bad_command_rolls_back_what_a_killed_run_wrote(make_repo: MakeRepo) -> None:
    repo = prepared(make_repo)
    before = snapshot(repo)
    repo.edit(WEB_FILE, "nginx:1.21", "nginx:crash")
    repo.commit("bad, and written by the run that is killed")
    killed_at(repo, "VERIFYING")

    code, report, _ = next_run(repo)

    assert code == 10, report
    assert changed(before, repo) == []
    until(lambda: ready_images(repo) == ["nginx:1.21"])
    assert [phase(repo, number) for number in (1, 2, 3)] == ["SUCCEEDED", "INTERRUPTED", "ROLLED_BACK"]


@story()
def a_first_deploy_that_was_killed_is_removed_when_the_next_fails(make_repo: MakeRepo) -> None:
    repo = make_app(make_repo)
    slowly(repo)
    repo.commit()
    killed_at(repo, "VERIFYING", number=1)
    repo.edit(WEB_FILE, "nginx:slow", BAD)
    repo.commit()

    code, report, _ = next_run(repo)

    assert code == 10, report
    assert snapshot(repo) == {}


@story()
def the_same_command_finishes_what_a_killed_run_began(make_repo: MakeRepo) -> None:
    repo = prepared(make_repo)
    worsen(repo, "nginx:1.22")
    killed_at(repo, "APPLYING", "VERIFYING", "SUCCEEDED")

    code, report, _ = next_run(repo)

    assert code == 0, report
    assert ready_images(repo) == ["nginx:1.22"]
    assert set(snapshot(repo)) == {
        "configmaps/settings",
        "configmaps/plain",
        "configmaps/created",
        "apps/v1/deployments/web",
    }


# --- two at once


@story()
def of_two_runs_one_wins_and_the_other_is_told_who(make_repo: MakeRepo) -> None:
    app = begun(make_repo)
    slowly(app, "12s")
    app.commit()

    with running(app) as first, running(app) as second:
        results = sorted((ended(first), ended(second)), key=lambda r: r.code)

    assert [r.code for r in results] == [0, 30], [str(r) for r in results]
    assert "holds the environment since" in results[1].output
    assert holder(app) == ""


@story()
def who_may_wait_deploys_after_the_other(make_repo: MakeRepo) -> None:
    app = begun(make_repo)
    slowly(app, "8s")
    app.commit()

    with running(app) as first:
        until(lambda: holder(app))
        with running(app, "--wait-lock", "2m") as second:
            assert ended(second).code == 0
        assert ended(first).code == 0


@story()
def who_waited_and_fails_goes_back_to_what_the_other_deployed(make_repo: MakeRepo) -> None:
    """Not to what was there when it began to wait: that the other one has replaced, and verified."""
    app = begun(make_repo)
    slowly(app, "8s")
    app.commit()

    with running(app) as first:
        reach(app, 2, "VERIFYING")
        before = snapshot(app)  # from here on it only waits; once it has ended the other one writes
        app.edit(WEB_FILE, "nginx:slow", BAD)
        app.manifest("created.yaml", config_map("created"))
        app.commit()
        with running(app, "--wait-lock", "2m") as second:
            assert ended(first).code == 0
            result = ended(second)

    assert result.code == 10, str(result)
    assert not any("takes it over" in w for w in result.document["warnings"])
    assert result.document["rollback"]["verified"] is True
    assert snapshot(app) == before
    assert [phase(app, number) for number in (2, 3)] == ["SUCCEEDED", "ROLLED_BACK"]


@story()
def who_lost_the_lock_to_a_careless_hand_writes_nothing_more(make_repo: MakeRepo) -> None:
    app = begun(make_repo)
    slowly(app, "12s")
    app.commit()
    with running(app) as process:
        reach(app, 2, "VERIFYING")
        versions = app.state()
        app.kubectl("delete", "lease", f"pipeline.{app.application}.dev")
        result = ended(process)

    assert result.code == 50, str(result)
    (cause,) = result.document["causes"]
    assert (cause["code"], cause["message"]) == ("LockLost", "the lock was deleted")
    assert app.state() == versions
    assert any("takes it over" in warning for warning in app.deployed()["warnings"])
    assert [phase(app, number) for number in (2, 3)] == ["INTERRUPTED", "SUCCEEDED"]


@story()
def a_run_that_slept_through_its_lock_writes_nothing_more(make_repo: MakeRepo) -> None:
    repo = prepared(make_repo)
    worsen(repo, "nginx:unready")
    with running(repo) as sleeper:
        reach(repo, 2, "VERIFYING")
        sleeper.send_signal(signal.SIGSTOP)

        code, report, took = next_run(repo, "--revision", "HEAD~1")
        assert code == 0, report
        assert took < TAKEOVER_S + 20
        after, versions = snapshot(repo), repo.state()

        sleeper.send_signal(signal.SIGCONT)
        result = ended(sleeper)

    assert result.code == 50, str(result)
    assert result.document["causes"][0]["code"] == "LockLost"
    assert changed(after, repo) == []
    assert repo.state() == versions
    assert phase(repo, 2) == "INTERRUPTED"
    assert holder(repo) == ""


# --- the world around


@story("stdout", "stderr", "both")
def nobody_listening_does_not_stop_a_deploy(make_repo: MakeRepo, closed: str) -> None:
    app = begun(make_repo)
    app.edit(WEB_FILE, "nginx:1.21", BAD)
    app.commit()
    before = snapshot(app)

    code = deploy_into_closed_pipes(app, closed)

    assert code == 10
    assert phase(app, 2) == "ROLLED_BACK"
    assert changed(before, app) == []


def deploy_into_closed_pipes(repo: Workspace, closed: str) -> int:
    """The exit code of a deploy whose readers went away before it said anything."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = subprocess.Popen(
            repo.command("-o", "json", "deploy", "-e", "dev"),
            cwd=repo.folder,
            env=repo.variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if closed == "stderr" else writing,
            stderr=subprocess.DEVNULL if closed == "stdout" else writing,
        )
    finally:
        os.close(writing)
    return process.wait(ENOUGH_S)


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo) -> Iterator[dict[str, Future[None]]]:
    with story.begun(lambda: make_repo, AT_ONCE) as told:
        yield told


@pytest.mark.parametrize("name", story)
def test_whatever_interrupts_it(told: dict[str, Future[None]], name: str) -> None:
    told[name].result()


# --- what no story may be told beside


def test_an_api_server_that_restarts_does_not_fail_a_rollout(app: Workspace) -> None:
    app.deployed()
    slowly(app, "4s")
    app.commit()

    with running(app) as process:
        reach(app, 2, "VERIFYING")
        app.cluster.restart_apiserver()
        result = ended(process)

    assert result.code == 0, str(result)
    assert phase(app, 2) == "SUCCEEDED"

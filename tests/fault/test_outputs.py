"""Nowhere to write to: a deploy goes on to its end, and ends by the same code, whoever hears of it."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from tests.e2e.conftest import app as app
from tests.e2e.conftest import make_repo as make_repo
from tests.e2e.live import changed, snapshot
from tests.e2e.workspace import RUN_LIMIT_S, Workspace
from tests.fault.test_interruption import BAD, WEB_FILE, holder, phase

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

FULL = "/dev/full"  # every write to it fails as on a disk without space
NO_FOLDER = "/nowhere/to/be/found"


def deploy(
    repo: Workspace, redirections: str, output: str = "text", **env: str
) -> subprocess.CompletedProcess[str]:
    """As a shell starts it with these redirections."""
    command = shlex.join(repo.command("-o", output, "deploy", "-e", "dev"))
    return subprocess.run(
        ["sh", "-c", f"exec {command} {redirections}"],
        cwd=repo.folder,
        env=repo.variables(env),
        capture_output=True,
        text=True,
        timeout=RUN_LIMIT_S,
        check=False,
    )


def rolls_back(repo: Workspace, redirections: str, output: str = "text", **env: str) -> str:
    """Deploy what fails, which is put back; all that was heard."""
    repo.deployed()
    before = snapshot(repo)
    repo.edit(WEB_FILE, "nginx:1.21", BAD)
    repo.commit()

    done = deploy(repo, redirections, output, **env)

    heard = done.stdout + done.stderr
    assert done.returncode == 10, heard
    assert (phase(repo, 2), holder(repo)) == ("ROLLED_BACK", "")
    assert changed(before, repo) == []
    assert "Traceback" not in heard
    return heard


@pytest.mark.parametrize(
    ("closed", "output"),
    [("1>&-", "text"), ("1>&-", "json"), ("2>&-", "text"), ("0<&- 1>&- 2>&-", "json")],
)
def test_streams_that_were_closed_from_the_start(app: Workspace, closed: str, output: str) -> None:
    heard = rolls_back(app, closed, output)

    assert ("ImageNotFound" in heard) == ("2>&-" not in closed or "1>&-" not in closed)


@pytest.mark.parametrize("full", [f"1>{FULL}", f"2>{FULL}", f"1>{FULL} 2>{FULL}"])
def test_a_disk_that_is_full(app: Workspace, full: str) -> None:
    step = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": FULL, "GITHUB_STEP_SUMMARY": FULL}
    rolls_back(app, full, "json", TMPDIR=NO_FOLDER, HOME=NO_FOLDER, **step)


def test_files_of_a_step_that_are_not_there(app: Workspace) -> None:
    step = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": NO_FOLDER, "GITHUB_STEP_SUMMARY": NO_FOLDER}
    heard = rolls_back(app, "", **step)

    assert heard.count("cannot write the file that GITHUB_") == 2

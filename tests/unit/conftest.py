"""A git host on this machine, a developer's work tree that pushes to it, and a clone of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.git_host import GitHost
from tests.unit.test_git import commit, run_git


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No configuration of whoever runs the tests."""
    for key in [key for key in os.environ if key.startswith("GIT_")]:
        monkeypatch.delenv(key)
    made = tmp_path / "home"
    made.mkdir()
    monkeypatch.setenv("HOME", str(made))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    for key in ("PIPELINE_GITHUB_TOKEN", "GITHUB_TOKEN", "GITHUB_SERVER_URL"):
        monkeypatch.delenv(key, raising=False)
    return made


@pytest.fixture
def host(tmp_path: Path, home: Path) -> Iterator[GitHost]:
    folder = tmp_path / "host"
    folder.mkdir()
    with GitHost(folder) as running:
        running.trusted_by(home)
        yield running


@pytest.fixture
def work(tmp_path: Path, host: GitHost) -> Path:
    """Where a developer works; pushes go to the host by its path."""
    bare = host.repository()
    made = tmp_path / "work"
    made.mkdir()
    run_git(made, "init", "-q")
    run_git(made, "remote", "add", "origin", str(bare))
    commit(made, a="1")
    run_git(made, "push", "-q", "origin", "main")
    return made


@pytest.fixture
def clone(tmp_path: Path, host: GitHost, work: Path) -> Path:
    run_git(tmp_path, "clone", "-q", host.url(), "clone")
    return tmp_path / "clone"

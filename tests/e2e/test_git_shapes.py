"""Where the record in the cluster is what counts: bases, old commits, and clones as CI makes them."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.live import until
from tests.e2e.manifests import SETTINGS
from tests.e2e.workspace import Workspace
from tests.git_host import GitHost

FILE = "environments/dev/manifests/settings.yaml"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    (tmp_path / "host").mkdir()
    with GitHost(tmp_path / "host") as running:
        running.repository()
        running.trusted_by(tmp_path)
        yield running


@pytest.fixture
def shop(repo: Workspace, host: GitHost) -> Workspace:
    """One ConfigMap, pushed to the host."""
    repo.environment()
    repo.manifest("settings.yaml", SETTINGS)
    repo.git("remote", "add", "origin", str(host.folder / "shop.git"))
    pushed(repo, "one")
    return repo


def pushed(repo: Workspace, word: str) -> str:
    repo.manifest("settings.yaml", SETTINGS.replace("hello", word))
    commit = repo.commit(word)
    repo.git("push", "--quiet", "--force", "origin", "HEAD:main")
    return commit


def checkout(repo: Workspace, host: GitHost, tmp_path: Path, commit: str = "", name: str = "ci") -> Workspace:
    """What a CI job has: one commit, HEAD detached."""
    clone = replace(repo, folder=tmp_path / name, environ={"HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": ""})
    clone.folder.mkdir()
    clone.git("init", "--quiet")
    clone.git("remote", "add", "origin", host.url())
    clone.git("fetch", "--quiet", "--depth=1", "origin", commit or "main")
    clone.git("checkout", "--quiet", "--detach", "FETCH_HEAD")
    return clone


def changed(repo: Workspace, *args: str, env: dict[str, str] | None = None) -> dict[str, object]:
    code, document = repo.json("changes", "-e", "dev", *args, env=env)
    assert code == 0, document
    (found,) = document["environments"]
    return dict(found)


def test_jobs_of_one_commit_compare_with_what_runs_and_never_go_back(
    shop: Workspace, host: GitHost, tmp_path: Path
) -> None:
    """Pushes whose runs were cancelled are not lost; the run of an old one is refused, and says what runs."""
    first = shop.git("rev-parse", "HEAD")
    shop.deployed()
    second = pushed(shop, "two")
    shop.write("README.md", "x")
    third = pushed(shop, "two")

    job = checkout(shop, host, tmp_path)
    found = changed(job)
    assert (found["base"], found["files"]) == (first, [{"path": FILE, "change": "modified"}])
    assert found["objects"] == [f"/ConfigMap/{shop.namespace}/settings"]
    assert json.loads(job.run("changes", "--matrix").stdout) == {"include": [{"environment": "dev"}]}
    assert job.deployed()["revision"] == {"sha": third, "base": first}
    assert changed(job)["affected"] is False
    assert json.loads(job.run("changes", "--matrix").stdout) == {"include": []}

    old = checkout(shop, host, tmp_path, second, "old")
    code, report = old.json("deploy", "-e", "dev")
    assert code == 21
    (problem,) = report["problems"]
    assert third[:12] in problem["message"]
    assert "is newer and contains it" in problem["message"]
    assert old.deployed("--allow-older")["revision"]["sha"] == second


def test_after_a_forced_push_that_lost_the_base_everything_counts_and_a_hint_is_given(
    shop: Workspace, host: GitHost, tmp_path: Path
) -> None:
    before = shop.git("rev-parse", "HEAD")
    shop.manifest("settings.yaml", SETTINGS.replace("hello", "lost"))
    lost = shop.commit("never pushed")
    shop.deployed()
    shop.git("reset", "--quiet", "--hard", before)
    pushed(shop, "three")
    job = checkout(shop, host, tmp_path)
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"before": before}))
    found = changed(job, env={"GITHUB_EVENT_PATH": str(event)})
    assert (found["affected"], found["base"]) == (True, None)
    because = found["because"]
    assert isinstance(because, list)
    assert f"{lost[:12]}, is not in this clone, so everything counts as changed" in because[0]
    assert because[1].startswith(f"in the last push alone, since {before[:12]}: {FILE} was modified")
    result = job.run("deploy", "-e", "dev")
    assert result.code == 0, str(result)
    assert "it is not known whether" in result.stderr
    assert shop.get("configmaps", "settings")["data"] == {"greeting": "three"}


def test_without_the_git_host_everything_is_deployed_and_it_is_said_why(
    shop: Workspace, host: GitHost, tmp_path: Path
) -> None:
    shop.deployed()
    pushed(shop, "two")
    job = checkout(shop, host, tmp_path)
    host.down()
    found = changed(job)
    assert (found["affected"], found["base"]) == (True, None)
    report = job.deployed()
    assert any("it is not known whether" in warning for warning in report.get("warnings", [])), report
    assert shop.get("configmaps", "settings")["data"] == {"greeting": "two"}


@pytest.mark.parametrize(
    ("ref", "base", "code", "word"),
    [
        ("refs/pull/7/merge", "main", 2, "merge of a pull request, which is not on main yet"),
        ("refs/tags/v1.0", "", 2, "the tag v1.0, which is no branch"),
        ("", "", 2, "HEAD is detached"),
        (f"refs/heads/gh-readonly-queue/main/pr-7-{'a' * 40}", "", 0, "merge queue is not on main yet"),
        ("refs/heads/main", "", 0, "SUCCEEDED"),
    ],
)
def test_only_a_commit_on_its_branch_deploys_on_merge(
    shop: Workspace, host: GitHost, tmp_path: Path, ref: str, base: str, code: int, word: str
) -> None:
    job = checkout(shop, host, tmp_path)
    actions = {"GITHUB_REF": ref, "GITHUB_BASE_REF": base}
    result = job.run("deploy", env=actions)
    assert result.code == code, str(result)
    assert word in result.output, str(result)
    assert shop.namespace_exists() == (ref == "refs/heads/main")
    shown = job.run("changes", "--on-merge", "--matrix", env=actions)
    goes_to_main = base == "main" or "/main" in ref
    assert (json.loads(shown.stdout)["include"] == []) == (not goes_to_main or ref == "refs/heads/main")


def test_a_dirty_work_tree_is_not_what_is_deployed(shop: Workspace) -> None:
    shop.manifest("settings.yaml", "broken: [")
    shop.git("add", "--all")
    shop.manifest("settings.yaml", SETTINGS.replace("hello", "dirty"))
    assert shop.deployed()["result"] == "ok"
    assert shop.get("configmaps", "settings")["data"] == {"greeting": "one"}


def test_what_is_not_read_is_said_by_changes_validate_and_deploy(shop: Workspace) -> None:
    head = shop.git("rev-parse", "HEAD")
    shop.git("update-index", "--add", "--cacheinfo", f"160000,{head},environments/dev/manifests/module")
    shop.git("commit", "--quiet", "--message", "module")
    said = "environments/dev/manifests/module is a submodule, whose files are not read"
    assert said in shop.run("changes", "-e", "dev").stderr
    code, document = shop.json("validate")
    assert code == 0
    assert said in [problem["message"] for problem in document["problems"]]
    result = shop.run("deploy", "-e", "dev")
    assert (result.code, said in result.stderr) == (0, True), str(result)


def test_an_environment_that_is_deleted_in_git_is_told_until_its_cluster_is_tidy(shop: Workspace) -> None:
    """Nothing deletes it; whoever follows what is told has nothing left, and is told no more of it."""
    shop.environment(name="qa")
    shop.manifest("settings.yaml", SETTINGS, environment="qa")
    shop.commit()
    shop.deployed()
    code, report = shop.json("deploy", "-e", "qa")
    assert code == 0, report
    namespace = shop.namespace_of("qa")
    shop.git("rm", "-rq", "environments/qa")
    shop.commit("no qa any more")

    def gone(*args: str) -> dict[str, Any]:
        code, document = shop.json("changes", *args)
        assert code == 0, document
        (found,) = [one for one in document["environments"] if one["name"] == "qa"]
        return dict(found)

    found = gone()
    assert (found["affected"], found["removed"]) == (True, True)
    assert f"/ConfigMap/{namespace}/settings" in found["objects"]
    result = shop.run("deploy")
    assert result.code == 0, str(result)
    assert "qa was removed" in result.stderr
    assert shop.get("configmaps", "settings", namespace)

    # By now the only base is the commit without it; its name still leads to it.
    found = gone("-e", "qa")
    (told,) = [one for one in found["because"] if one.startswith("to delete what is left: ")]
    for command in told.removeprefix("to delete what is left: ").split("; "):
        program, *arguments = command.split()
        assert program == "kubectl"
        shop.kubectl(*arguments)
    assert shop.get("configmaps", "settings", namespace) is None
    assert gone("-e", "qa")["affected"] is False


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_while_the_git_host_is_waited_for_is_an_interruption(
    shop: Workspace, host: GitHost, tmp_path: Path, signum: signal.Signals
) -> None:
    """What has run is the host's to give: nothing was deployed without knowing it."""
    shop.deployed()
    pushed(shop, "two")
    job = checkout(shop, host, tmp_path)
    host.hang, asked = True, host.asked
    process = job.start("-o", "json", "deploy", "-e", "dev")
    until(lambda: host.asked > asked, "for git to ask its host")
    process.send_signal(signum)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 50, output + errors
    assert shop.get("configmaps", "settings")["data"] == {"greeting": "one"}

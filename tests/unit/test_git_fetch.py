"""Following a branch on a git host: what moves, what is asked, and what is never run or shown."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from pipeline.adapters import git_command
from pipeline.adapters.git import GitRepository
from pipeline.model.errors import InterruptedRunError, InvalidError, UnreachableError
from tests.git_host import GitHost
from tests.unit.test_git import commit, run_git

SOON_S = 20.0  # for what ends at once, on a slow machine; what hangs would take a minute


def never() -> bool:
    return False


def latest(clone: Path, branch: str = "main") -> str:
    return GitRepository(clone).latest(branch, never)


def pushed(work: Path, *force: str, **files: str) -> str:
    made = commit(work, **files)
    run_git(work, "push", "-q", *force, "origin", "HEAD:main")
    return made


def test_a_new_commit_is_found_and_only_the_tracking_branch_moves(clone: Path, work: Path) -> None:
    before = run_git(clone, "rev-parse", "main")
    run_git(work, "tag", "v1")
    run_git(work, "push", "-q", "origin", "v1")
    head = pushed(work, a="2")

    assert latest(clone) == head

    assert GitRepository(clone).read(head, ["a"]) == {"a": b"2"}
    assert run_git(clone, "rev-parse", "main") == before
    assert run_git(clone, "rev-parse", "origin/main") == head
    assert run_git(clone, "tag") == ""
    assert not (clone / ".git/FETCH_HEAD").exists()


def test_a_branch_that_was_moved_back_is_followed(clone: Path, work: Path) -> None:
    first = run_git(work, "rev-parse", "HEAD")
    second = pushed(work, a="2")
    assert latest(clone) == second
    run_git(work, "push", "-q", "--force", "origin", f"{first}:main")
    assert latest(clone) == first


def test_a_shallow_clone_follows_too(tmp_path: Path, host: GitHost, work: Path) -> None:
    pushed(work, a="2")
    run_git(tmp_path, "clone", "-q", "--depth=1", host.url(), "shallow")
    head = pushed(work, a="3")
    assert latest(tmp_path / "shallow") == head


def test_without_a_remote_the_local_branch_is_followed(tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "alone"
    folder.mkdir()
    run_git(folder, "init", "-q")
    first = commit(folder, a="1")
    run_git(folder, "checkout", "-q", "-b", "side")
    second = commit(folder, a="2")
    assert latest(folder) == first
    assert latest(folder, "side") == second
    with pytest.raises(InvalidError, match="no such branch"):
        latest(folder, "nowhere")


def test_a_branch_that_the_host_has_not_is_told(clone: Path) -> None:
    with pytest.raises(UnreachableError, match="remote ref refs/heads/release"):
        latest(clone, "release")


@pytest.mark.parametrize("branch", ["--upload-pack=touch canary", "a..b", "@{u}", "main:refs/heads/x", ""])
def test_what_is_no_name_of_a_branch_reaches_no_host(clone: Path, host: GitHost, branch: str) -> None:
    asked = host.asked
    with pytest.raises((InvalidError, UnreachableError)):
        latest(clone, branch)
    assert host.asked == asked
    assert not (clone / "canary").exists()


@pytest.mark.parametrize(
    "url",
    [
        "/srv/git/shop.git",
        "file:///srv/git/shop.git",
        "../shop.git",
        "http://example.com/shop.git",
        "git://example.com/shop.git",
        "ext::sh -c touch% canary",
        "ext::touch",
        "--upload-pack=touch",
        "https://example.com/shop%0agit",
        "https://example.com/\x1b[31mshop",
        "",
    ],
)
def test_only_https_and_ssh_are_fetched(clone: Path, url: str) -> None:
    run_git(clone, "config", "remote.origin.url", url)
    with pytest.raises((InvalidError, UnreachableError)) as caught:
        latest(clone)
    assert "no https or ssh address" in caught.value.message or not url
    assert caught.value.message.isprintable()


def test_what_insteadof_makes_of_an_address_is_judged_not_what_is_written(clone: Path) -> None:
    run_git(clone, "config", "url.file:///srv/.insteadOf", "https://127.0.0.1")
    with pytest.raises(InvalidError, match="no https or ssh address"):
        latest(clone)


def test_of_several_remotes_origin_is_meant_or_a_person_must_say(clone: Path, work: Path) -> None:
    run_git(clone, "remote", "add", "other", "https://example.invalid/x.git")
    head = pushed(work, a="2")
    assert latest(clone) == head
    run_git(clone, "remote", "rename", "origin", "upstream")
    with pytest.raises(InvalidError, match="which remote"):
        latest(clone)
    run_git(clone, "remote", "remove", "other")
    assert latest(clone) == head


# --- a host that does not answer, or not kindly


def test_a_host_that_is_gone_is_unreachable_until_it_is_back(clone: Path, work: Path, host: GitHost) -> None:
    head = pushed(work, a="2")
    host.down()
    with pytest.raises(UnreachableError) as caught:
        latest(clone)
    assert "\n" not in caught.value.message
    host.up()
    assert latest(clone) == head


def test_a_refused_login_asks_nobody_and_shows_no_credential(
    clone: Path, host: GitHost, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "asked"
    program = tmp_path / "ask"
    program.write_text(f"#!/bin/sh\ntouch {marker}\necho x\n")
    program.chmod(0o755)
    monkeypatch.setenv("GIT_ASKPASS", str(program))
    monkeypatch.setenv("SSH_ASKPASS", str(program))
    run_git(clone, "config", "core.askPass", str(program))
    run_git(clone, "config", "remote.origin.url", host.url(user="bob:CANARY@"))
    run_git(clone, "config", f"http.{host.url('')}.extraHeader", "Authorization: Basic CANARY")
    host.answer = 401
    with pytest.raises(UnreachableError) as caught:
        latest(clone)
    told = f"{caught.value.message}{caught.value.hint}{caught.value.__cause__}"
    assert "CANARY" not in told
    assert host.logins
    run_git(clone, "config", "remote.origin.url", host.url())
    run_git(clone, "config", "--unset", f"http.{host.url('')}.extraHeader")
    with pytest.raises(UnreachableError):
        latest(clone)
    assert not marker.exists()


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_takes_no_login_elsewhere(clone: Path, host: GitHost, tmp_path: Path, status: int) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    with GitHost(folder) as elsewhere:
        run_git(clone, "config", "http.extraHeader", "Authorization: Basic CANARY")
        host.answer, host.location = status, elsewhere.url() + "/info/refs?service=git-upload-pack"
        with pytest.raises(UnreachableError) as caught:
            latest(clone)
        assert elsewhere.asked == 0
    assert "redirects are not followed" in caught.value.hint


def test_a_host_that_hangs_is_left_as_soon_as_we_are_to_stop(clone: Path, host: GitHost) -> None:
    host.hang = True
    asked = host.asked
    started = time.monotonic()
    with pytest.raises(InterruptedRunError, match="stopped"):
        GitRepository(clone).latest("main", lambda: host.asked > asked)
    assert time.monotonic() - started < SOON_S


def test_a_host_that_hangs_is_left_with_all_helpers_when_the_time_is_up(clone: Path, host: GitHost) -> None:
    host.hang = True
    started = time.monotonic()
    with pytest.raises(UnreachableError, match="no end after 1 s"):
        GitRepository(clone, timeout_s=1).latest("main", never)
    assert time.monotonic() - started < SOON_S


def test_no_helper_stays_behind_when_a_fetch_is_stopped(clone: Path, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    slow = script(tmp_path / "slow", tmp_path / "marker", f"echo $$ > {pid_file}; exec sleep 60")
    run_git(clone, "config", "--global", "core.sshCommand", str(slow))
    run_git(clone, "config", "remote.origin.url", "git@example.invalid:shop.git")
    with pytest.raises(InterruptedRunError, match="stopped"):
        GitRepository(clone).latest("main", lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
    pid = int(pid_file.read_text())
    until_gone(pid)


def until_gone(pid: int) -> None:
    limit = time.monotonic() + SOON_S
    while Path(f"/proc/{pid}").exists():
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":
            return  # dead, and not yet buried by init
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_a_clone_of_another_owner_is_fetched_where_it_was_named(
    clone: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = pushed(work, a="2")
    monkeypatch.setattr(
        git_command,
        "environment",
        lambda trusted, real=git_command.environment: {
            **real(trusted),
            "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1",
        },
    )
    assert latest(clone) == head


# --- commands in configurations


def script(path: Path, marker: Path, then: str = "exit 1") -> Path:
    path.write_text(f"#!/bin/sh\ntouch {marker}\n{then}\n")
    path.chmod(0o755)
    return path


def test_the_repositorys_own_commands_are_not_run(
    clone: Path, work: Path, host: GitHost, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    bad = script(tmp_path / "bad", marker)
    head = pushed(work, a="2")
    for key in (
        "core.sshCommand",
        "core.fsmonitor",
        "core.alternateRefsCommand",
        "remote.origin.uploadpack",
        "credential.helper",
        f"credential.{host.url('')}.helper",
        "core.gitProxy",
    ):
        run_git(clone, "config", key, str(bad))
    for hook in ("reference-transaction", "post-merge", "pre-auto-gc"):
        script(clone / ".git/hooks" / hook, marker)
    assert latest(clone) == head
    host.answer = 401
    with pytest.raises(UnreachableError):
        latest(clone)
    run_git(clone, "config", "remote.origin.url", "ssh://nobody@127.0.0.1:1/shop.git")
    with pytest.raises(UnreachableError):
        latest(clone)
    assert not marker.exists()


def test_the_users_own_ssh_is_run_and_asks_for_gits_own_upload_pack(
    clone: Path, work: Path, host: GitHost, home: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    # ssh as a script: the last word is the command for the other side, which is this machine.
    ours = script(tmp_path / "ours", marker, f'for last; do :; done\ncd {host.folder} && eval "$last"')
    run_git(clone, "config", "--global", "core.sshCommand", str(ours))
    run_git(clone, "config", "core.sshCommand", str(script(tmp_path / "bad", tmp_path / "worse")))
    run_git(clone, "config", "remote.origin.uploadpack", "false")
    run_git(clone, "config", "remote.origin.url", "git@example.invalid:shop.git")
    head = pushed(work, a="2")
    assert latest(clone) == head
    assert marker.exists()
    assert not (tmp_path / "worse").exists()


def test_the_ssh_of_the_environment_is_run_before_that_of_any_file(
    clone: Path, work: Path, host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As CI sets it for a deploy key."""
    ours = script(
        tmp_path / "ours", tmp_path / "marker", f'for last; do :; done\ncd {host.folder} && eval "$last"'
    )
    other = str(script(tmp_path / "other", tmp_path / "worse"))
    run_git(clone, "config", "--global", "core.sshCommand", other)
    run_git(clone, "config", "core.sshCommand", other)
    run_git(clone, "config", "remote.origin.url", "git@example.invalid:shop.git")
    monkeypatch.setenv("GIT_SSH_COMMAND", str(ours))
    head = pushed(work, a="2")
    assert latest(clone) == head
    assert not (tmp_path / "worse").exists()


def test_the_authority_that_the_environment_names_is_trusted(
    clone: Path, work: Path, host: GitHost, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".gitconfig").unlink()
    head = pushed(work, a="2")
    with pytest.raises(UnreachableError, match="certificate"):
        latest(clone)
    monkeypatch.setenv("GIT_SSL_CAINFO", str(host.authority))
    assert latest(clone) == head


def test_the_users_own_credential_helper_logs_in(
    clone: Path, work: Path, host: GitHost, tmp_path: Path
) -> None:
    helper = script(tmp_path / "helper", tmp_path / "marker", "echo username=bob\necho password=pw")
    run_git(clone, "config", "--global", f"credential.{host.url('')}.helper", str(helper))
    host.answer = 401
    with pytest.raises(UnreachableError):
        latest(clone)
    assert any(login.startswith("Basic ") for login in host.logins)


def test_no_submodule_is_fetched(clone: Path, work: Path, host: GitHost) -> None:
    inner = host.repository("inner.git")
    (work / ".gitmodules").write_text(
        f'[submodule "x"]\n\tpath = x\n\turl = {inner}\n\tfetchRecurseSubmodules = true\n'
    )
    run_git(work, "add", ".gitmodules")
    subprocess.run(
        ["git", "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},x"], cwd=work, check=True
    )
    run_git(work, "commit", "-q", "-m", "submodule")
    run_git(work, "push", "-q", "origin", "main")
    run_git(clone, "config", "fetch.recurseSubmodules", "true")
    run_git(clone, "config", "submodule.x.url", str(inner))
    assert latest(clone) == run_git(work, "rev-parse", "HEAD")
    assert not (clone / ".git/modules").exists()

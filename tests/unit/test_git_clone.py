"""Clones that lack something: what is fetched of it, by whom, and what is said where it cannot be had."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.adapters import git_clone, git_fetch
from pipeline.adapters.git import GitRepository
from pipeline.adapters.git_fetch import _token_of_job  # what goes to a host must not depend on its answer
from pipeline.model.errors import InterruptedRunError, InvalidError, UnreachableError
from tests.git_host import GitHost
from tests.unit.git_shop import MANIFESTS, WEB, changes, config_map, names, shop, web, workspace, write
from tests.unit.test_git import commit_all, run_git
from tests.unit.test_git_fetch import script

SOON_S = 20.0  # for what ends at once, on a slow machine; what hangs would take a minute


@pytest.fixture
def origin(tmp_path: Path, host: GitHost) -> Path:
    """Where a developer works on a shop; ``push`` brings it to the host."""
    bare = host.repository()
    run_git(bare, "config", "uploadpack.allowFilter", "true")
    made = tmp_path / "work"
    shop(made)
    run_git(made, "remote", "add", "origin", str(bare))
    push(made)
    return made


def push(folder: Path) -> str:
    run_git(folder, "push", "-q", "--force", "origin", "HEAD:main")
    return run_git(folder, "rev-parse", "HEAD")


def later(folder: Path, count: int, start: int = 0) -> list[str]:
    """Commits that change dev, pushed."""
    made = [web(folder, f"w{start + number}") for number in range(count)]
    push(folder)
    return made


def cloned(tmp_path: Path, host: GitHost, *options: str, name: str = "clone") -> Path:
    run_git(tmp_path, "clone", "-q", *options, host.url(), name)
    return tmp_path / name


def surroundings(folder: Path) -> str:
    """What a fetch must leave as it is: configuration, branches, and what was fetched last."""
    told = [run_git(folder, "config", "--local", "--list"), run_git(folder, "for-each-ref")]
    return "\n".join(
        [*told, *sorted(path.name for path in (folder / ".git").iterdir() if path.name != "shallow")]
    )


def commits(folder: Path) -> int:
    return int(run_git(folder, "rev-list", "--all", "--count"))


# --- shallow


def test_of_a_shallow_clone_the_base_alone_is_fetched(tmp_path: Path, host: GitHost, origin: Path) -> None:
    base = later(origin, 5)[2]
    clone = cloned(tmp_path, host, "--depth=1")
    before = surroundings(clone)
    found = changes(clone, base)
    assert (found.base, found.files, names(found)) == (base, ((WEB, "modified"),), ["web"])
    assert not changes(clone, base, name="qa").affected
    assert surroundings(clone) == before
    for between in ("HEAD~1", f"{base}~1"):
        with pytest.raises(InvalidError):
            GitRepository(clone).resolve(between)
    assert commits(clone) == 1, "no branch moved"


def test_a_commit_that_is_named_in_full_is_fetched_to_be_deployed(
    tmp_path: Path, host: GitHost, origin: Path
) -> None:
    first = push(origin)
    later(origin, 3)
    repository = GitRepository(cloned(tmp_path, host, "--depth=1"))
    assert repository.resolve(first) == first
    assert b"one" in repository.read(first, [WEB])[WEB]


def test_a_base_that_is_given_is_fetched(tmp_path: Path, host: GitHost, origin: Path) -> None:
    first = push(origin)
    later(origin, 3)
    found = changes(cloned(tmp_path, host, "--depth=1"), "", base=first)
    assert (found.base, found.files) == (first, ((WEB, "modified"),))


def test_a_base_on_another_branch_is_fetched_into_a_whole_clone_that_stays_whole(
    tmp_path: Path, host: GitHost, origin: Path
) -> None:
    clone = cloned(tmp_path, host, "--single-branch")
    run_git(origin, "checkout", "-q", "-b", "side")
    later_on_side = [web(origin, "two"), web(origin, "three")]
    run_git(origin, "push", "-q", "origin", "side")
    found = changes(clone, later_on_side[-1])
    assert found.files == ((WEB, "modified"),)
    assert run_git(clone, "rev-parse", "--is-shallow-repository") == "false"
    repository = GitRepository(clone)
    assert repository.is_ancestor(repository.resolve("HEAD"), later_on_side[-1]) is True


@pytest.mark.parametrize("shallow", [(), ("--depth=1",)])
def test_a_base_that_the_host_lost_affects_everything_and_says_so(
    tmp_path: Path, host: GitHost, origin: Path, shallow: tuple[str, ...]
) -> None:
    first = push(origin)
    lost = web(origin, "lost")  # never pushed, as after a forced push and the host's garbage collection
    run_git(origin, "reset", "-q", "--hard", first)
    later(origin, 2)
    clone = cloned(tmp_path, host, *shallow)
    found = changes(clone, lost)
    assert (found.affected, found.base, names(found)) == (True, "", ["web"])
    assert found.because == (
        f"its last release, {lost[:12]}, is not in this clone, so everything counts as changed: "
        "origin does not have it, either",
    )
    assert GitRepository(clone).is_ancestor(lost, run_git(clone, "rev-parse", "HEAD")) is None


def test_without_network_everything_is_affected_in_one_line_and_the_host_is_asked_once(
    tmp_path: Path, host: GitHost, origin: Path
) -> None:
    first = push(origin)
    head = later(origin, 3)[-1]
    clone = cloned(tmp_path, host, "--depth=1")
    host.down()
    found = changes(clone, first)
    assert (found.affected, found.base) == (True, "")
    (why,) = found.because
    assert "everything counts as changed: run git fetch: " in why
    assert "\n" not in why
    repository = GitRepository(clone)
    assert repository.is_ancestor(first, head) is None
    host.up()
    assert repository.is_ancestor(first, head) is None, "one answer for one run"
    assert GitRepository(clone).is_ancestor(first, head) is True


def test_without_network_a_commit_to_deploy_is_unreachable(
    tmp_path: Path, host: GitHost, origin: Path
) -> None:
    first = push(origin)
    later(origin, 3)
    clone = cloned(tmp_path, host, "--depth=1")
    host.down()
    with pytest.raises(UnreachableError, match="not in this clone"):
        GitRepository(clone).resolve(first)


_READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


def in_read_only(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run where nobody can write to ``folder``: root may write to all but what is mounted read-only."""
    if os.geteuid() == 0:
        command = ("unshare", "--mount", "sh", "-c", _READ_ONLY, str(folder), *command)
    else:
        run = ["chmod", "-R", "a-w", str(folder / ".git")]
        subprocess.run(run, check=True)
    return subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("options", [("--depth=1",), ("--filter=tree:0",)])
def test_into_a_clone_that_cannot_be_written_to_nothing_is_fetched_and_that_is_said(
    tmp_path: Path, host: GitHost, origin: Path, options: tuple[str, ...]
) -> None:
    base = later(origin, 3)[0]
    clone = cloned(tmp_path, host, *options)
    asked = host.asked
    done = in_read_only(
        clone,
        *(sys.executable, "-m", "pipeline", "-C", str(clone), "-o", "json"),
        *("changes", "-e", "dev", "--base", base),
    )
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["environments"]
    assert (found["affected"], found["base"]) == (True, None)
    assert "the clone cannot be written to, so nothing is fetched into it" in found["because"][0]
    assert host.asked == asked


def test_without_a_remote_it_is_said_that_there_is_none(tmp_path: Path, home: Path) -> None:
    shop(tmp_path / "alone")
    (why,) = changes(tmp_path / "alone", "e" * 40).because
    assert why.endswith("the clone has no remote to fetch it from")


def test_a_signal_ends_the_fetch_and_the_run_rather_than_deploying_everything(
    tmp_path: Path, host: GitHost, origin: Path
) -> None:
    first = push(origin)
    later(origin, 1)
    clone = cloned(tmp_path, host, "--depth=1")
    host.hang = True
    asked = host.asked
    started = time.monotonic()
    with pytest.raises(InterruptedRunError, match="stopped"):
        GitRepository(clone, stopped=lambda: host.asked > asked).obtain(first)
    assert time.monotonic() - started < SOON_S


def test_a_fetch_that_fails_as_a_signal_comes_is_no_reason_to_go_on_without(
    tmp_path: Path, host: GitHost, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = push(origin)
    later(origin, 1)
    clone = cloned(tmp_path, host, "--depth=1")

    def away(*_: object, **__: object) -> None:
        raise UnreachableError("the host went away")

    monkeypatch.setattr(git_fetch, "by_id", away)
    assert "went away" in GitRepository(clone).obtain(first)
    with pytest.raises(InterruptedRunError, match="went away"):
        GitRepository(clone, stopped=lambda: True).obtain(first)


# --- which of two commits is older


def test_a_shallow_history_is_deepened_until_it_is_known_which_commit_is_older(
    tmp_path: Path, host: GitHost, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_clone, "_STEPS", (2, 20))
    old = push(origin)
    made = later(origin, 8)
    clone = cloned(tmp_path, host, "--depth=1")
    assert GitRepository(clone).is_ancestor(old, made[-1]) is True
    again = cloned(tmp_path, host, "--depth=1", name="again")
    assert GitRepository(again).is_ancestor(made[-1], old) is False
    # What was checked out is the old commit, and the host's branch is far ahead.
    run_git(again, "checkout", "-q", "--detach", old)
    assert GitRepository(again).is_ancestor(old, made[3]) is True


def test_histories_that_part_below_the_first_step_are_no_ancestors_of_each_other(
    tmp_path: Path, host: GitHost, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_clone, "_STEPS", (2, 4, 400))
    push(origin)
    later(origin, 6)
    deployed = run_git(origin, "rev-parse", "HEAD")
    run_git(origin, "push", "-q", "origin", "HEAD:refs/heads/before")
    run_git(origin, "reset", "-q", "--hard", "HEAD~3")
    head = later(origin, 3, start=100)[-1]
    repository = GitRepository(cloned(tmp_path, host, "--depth=1"))
    assert repository.is_ancestor(deployed, head) is False
    assert repository.is_ancestor(head, deployed) is False


def dated(folder: Path, day: int, monkeypatch: pytest.MonkeyPatch) -> str:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_DATE", f"2026-01-{day:02d}T00:00:00Z")
    return web(folder, f"day{day}")


def test_a_history_that_ends_days_before_a_commit_does_not_hold_it_and_is_not_fetched(
    tmp_path: Path, host: GitHost, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_clone, "_STEPS", (2, 400))
    for day in range(1, 11):
        dated(origin, day, monkeypatch)
    push(origin)
    run_git(origin, "checkout", "-q", "-b", "side", "HEAD~8")
    apart = dated(origin, 28, monkeypatch)
    run_git(origin, "push", "-q", "origin", "side")
    clone = cloned(tmp_path, host, "--depth=1")
    assert GitRepository(clone).is_ancestor(apart, run_git(clone, "rev-parse", "HEAD")) is False
    assert int(run_git(clone, "rev-list", "--count", "HEAD")) == 3


def test_a_history_that_cannot_be_deepened_is_not_known(tmp_path: Path, host: GitHost, origin: Path) -> None:
    old = push(origin)
    made = later(origin, 4)
    clone = cloned(tmp_path, host, "--depth=1")
    assert GitRepository(clone).obtain(old) == ""
    host.down()
    assert GitRepository(clone).is_ancestor(old, made[-1]) is None


def test_a_history_that_is_deeper_than_the_steps_is_not_cut_off(
    tmp_path: Path, host: GitHost, origin: Path
) -> None:
    later(origin, 6)
    clone = cloned(tmp_path, host, "--depth=4")
    other = push_side(origin)
    assert GitRepository(clone).obtain(other) == ""
    assert int(run_git(clone, "rev-list", "--count", "HEAD")) == 4


def test_a_clone_in_want_of_packing_is_not_packed_while_somebody_waits(
    tmp_path: Path, host: GitHost, origin: Path
) -> None:
    base = later(origin, 3)[1]
    clone = cloned(tmp_path, host, "--depth=1")
    for key in ("fetch.unpackLimit", "gc.autoPackLimit"):
        run_git(clone, "config", key, "1")
    assert GitRepository(clone).obtain(base) == ""
    assert len(list((clone / ".git/objects/pack").glob("*.pack"))) == 2


def push_side(origin: Path) -> str:
    run_git(origin, "checkout", "-q", "-b", "side", "HEAD~5")
    made = web(origin, "side")
    run_git(origin, "push", "-q", "origin", "side")
    return made


# --- partial


@pytest.mark.parametrize("what", ["blob:none", "tree:0"])
@pytest.mark.parametrize("depth", [(), ("--depth=1",)])
def test_of_a_partial_clone_what_is_asked_for_is_fetched(
    tmp_path: Path, host: GitHost, origin: Path, what: str, depth: tuple[str, ...]
) -> None:
    for number in range(30):
        write(origin, f"{MANIFESTS.format('dev')}/f{number}.yaml", config_map(f"f{number}"))
    first = commit_all(origin)
    later(origin, 3)
    clone = cloned(tmp_path, host, "--no-checkout", f"--filter={what}", *depth)
    asked, before = host.asked, surroundings(clone)
    found = changes(clone, first)
    assert (found.files, names(found)) == (((WEB, "modified"),), ["web"])
    place = workspace(clone)
    environment = place.environment("dev", found.revision)
    assert len(place.render(environment, found.revision, lambda *_: None)) == 31
    assert host.asked - asked < 31, "not one by one"
    assert surroundings(clone) == before


def test_of_a_partial_clone_without_network_it_is_said_in_one_line(
    tmp_path: Path, host: GitHost, origin: Path
) -> None:
    push(origin)
    clone = cloned(tmp_path, host, "--no-checkout", "--filter=blob:none")
    host.down()
    place = workspace(clone)
    with pytest.raises(UnreachableError) as caught:
        place.environments(place.repository.resolve("HEAD"))
    assert "this partial clone lacks them" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_of_a_clone_without_folders_and_network_everything_is_affected(
    tmp_path: Path, host: GitHost, origin: Path
) -> None:
    first = push(origin)
    later(origin, 2)
    clone = cloned(tmp_path, host, "--filter=tree:0")
    host.down()
    found = changes(clone, first)
    assert (found.affected, found.base) == (True, "")
    assert "this partial clone lacks them" in found.because[0]


def test_reading_a_partial_clone_runs_no_program_that_its_configuration_names(
    tmp_path: Path, host: GitHost, origin: Path
) -> None:
    push(origin)
    clone = cloned(tmp_path, host, "--no-checkout", "--filter=blob:none")
    marker = tmp_path / "marker"
    bad = script(tmp_path / "bad", marker)
    run_git(clone, "config", "core.sshCommand", str(bad))
    run_git(clone, "config", "credential.helper", str(bad))
    run_git(clone, "config", "remote.origin.uploadpack", str(bad))
    for url in ("ssh://nobody@127.0.0.1:1/shop.git", str(host.folder / "shop.git"), f"ext::{bad}"):
        run_git(clone, "config", "remote.origin.url", url)
        place = workspace(clone)
        with pytest.raises(UnreachableError):
            place.environments(place.repository.resolve("HEAD"))
        assert place.repository.obtain("e" * 40)
        assert place.repository.is_ancestor("e" * 40, "d" * 40) is None
    assert not marker.exists()


# --- logging in


def test_what_actions_checkout_left_logs_in(tmp_path: Path, host: GitHost, origin: Path) -> None:
    """Its header in the clone's configuration, or in a file of its own that this includes."""
    first = push(origin)
    later(origin, 2)
    for number, included in enumerate((False, True)):
        clone = cloned(tmp_path, host, "--depth=1", name=f"clone{number}")
        header = (f"http.{host.url('')}.extraHeader", f"Authorization: Basic LEFT{number}")
        if included:
            run_git(clone, "config", "--file", str(tmp_path / "credentials"), *header)
            run_git(clone, "config", f"includeIf.gitdir:{clone}/.git.path", str(tmp_path / "credentials"))
        else:
            run_git(clone, "config", *header)
        assert GitRepository(clone).obtain(first) == ""
        assert set(host.logins) == {f"Basic LEFT{number}"}
        host.logins.clear()


def test_the_token_of_the_job_logs_in_to_its_own_host_alone(
    tmp_path: Path, host: GitHost, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = push(origin)
    later(origin, 2)
    monkeypatch.setenv("GITHUB_TOKEN", "CANARY")
    elsewhere = cloned(tmp_path, host, "--depth=1", name="elsewhere")
    assert GitRepository(elsewhere).obtain(first) == ""
    assert host.logins == []
    clone = cloned(tmp_path, host, "--depth=1")
    monkeypatch.setenv("GITHUB_SERVER_URL", host.url("").rstrip("/"))
    assert GitRepository(clone).obtain(first) == ""
    assert set(host.logins) == {"Basic " + base64.b64encode(b"x-access-token:CANARY").decode()}


def test_a_token_does_not_go_where_a_login_is_configured_or_the_host_is_another(
    tmp_path: Path, host: GitHost, origin: Path
) -> None:
    clone = cloned(tmp_path, host)
    git = GitRepository(clone)._git
    environ = {"GITHUB_TOKEN": "CANARY"}
    assert _token_of_job(git, "https://github.com/o/shop.git", environ)
    for url in (
        "https://github.com.evil.example/o/shop.git",
        "https://github.com:444/o/shop.git",
        "http://github.com/o/shop.git",
        "ssh://git@github.com/o/shop.git",
        "git@github.com:o/shop.git",
        "https://bob:pw@github.com/o/shop.git",
        host.url(),
    ):
        assert _token_of_job(git, url, environ) == (), url
    for token in ("", "two\nlines", "a b", "é"):
        assert _token_of_job(git, "https://github.com/o/shop.git", {"GITHUB_TOKEN": token}) == ()
    run_git(clone, "config", "http.https://github.com/.extraheader", "AUTHORIZATION: basic LEFT")
    assert _token_of_job(git, "https://github.com/o/shop.git", environ) == ()


def test_a_refused_token_is_in_no_message_and_in_no_argument(
    tmp_path: Path, host: GitHost, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = push(origin)
    later(origin, 2)
    clone = cloned(tmp_path, host, "--depth=1")
    told = tmp_path / "arguments"
    real = run_git(tmp_path, "--exec-path") + "/git"
    (tmp_path / "bin").mkdir()
    script(tmp_path / "bin/git", tmp_path / "marker", f'echo "$@" >> {told}; exec {real} "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("GITHUB_TOKEN", "CANARY")
    monkeypatch.setenv("GITHUB_SERVER_URL", host.url("").rstrip("/"))
    host.answer = 401
    (why,) = changes(clone, first).because
    encoded = base64.b64encode(b"x-access-token:CANARY").decode()
    assert any(encoded in login for login in host.logins)
    for text in (why, told.read_text()):
        assert "CANARY" not in text
        assert encoded not in text
    assert " fetch " in told.read_text()

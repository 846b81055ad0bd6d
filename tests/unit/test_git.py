"""The repository adapter on real repositories, kind and hostile ones."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import git  # loaded with the true git, before tests replace it
import pytest

from pipeline.adapters import git_command
from pipeline.adapters.git import GitRepository
from pipeline.model.errors import InterruptedRunError, InvalidError, PipelineError, UnreachableError
from pipeline.ports import Repository

ZEROS = "0" * 40
Sh = Callable[..., str]


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration of whoever runs the tests."""
    for key in [key for key in os.environ if key.startswith("GIT_")]:
        monkeypatch.delenv(key)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def run_git(folder: Path, *arguments: str | bytes) -> str:
    config = ("-c", "user.name=A B", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *config, *arguments], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode(errors="replace").strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "shop"
    made.mkdir()
    run_git(made, "init", "-q")
    return made


def commit(folder: Path, message: str = "change", **files: str | None) -> str:
    """Write files (``__`` is a slash, ``_`` before the end a dot) or delete them, and commit."""
    for key, content in files.items():
        path = folder / key.replace("__", "/").replace("_", ".")
        if content is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    return commit_all(folder, message)


def commit_all(folder: Path, message: str = "change") -> str:
    run_git(folder, "add", "-A")
    run_git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return run_git(folder, "rev-parse", "HEAD")


def test_the_adapter_is_a_repository(folder: Path) -> None:
    repository: Repository = GitRepository(folder)
    assert git.Repo(folder).working_tree_dir == str(repository.root)  # type: ignore[attr-defined]


# --- revisions


def test_branches_tags_and_short_ids_resolve_to_full_ids(folder: Path) -> None:
    first, second = commit(folder, a="1"), commit(folder, a="2")
    run_git(folder, "tag", "-a", "v1.0", "-m", "one", first)
    repository = GitRepository(folder)
    assert [repository.resolve(r) for r in ("main", "HEAD", second[:9], second)] == [second] * 4
    assert [repository.resolve(r) for r in ("v1.0", "HEAD~1", "main^", "refs/tags/v1.0")] == [first] * 4


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "-",
        "--output=canary",
        "--outp=canary",
        "-ocanary",
        "--git-dir=x",
        "main..HEAD",
        "../../HEAD",
        "@{-1}",
        "main@{1}",
        "@{upstream}",
        "main\n",
        "ma\x1b[31min",
        "main\x00",
        "main --output=canary",
        ":/change",
        "HEAD:a",
        "^main",
        "HEAD^{/change}",
        "HEAD^{tree}",
        "x" * 300,
        "*",
        "\u202emain",
        "\udcff",
    ],
)
def test_what_is_no_name_of_a_revision_is_refused_before_git_sees_it(
    folder: Path, hostile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(folder, a="1")
    repository = GitRepository(folder)
    monkeypatch.setattr(git_command.subprocess, "Popen", None)
    with pytest.raises(InvalidError) as caught:
        repository.resolve(hostile)
    assert caught.value.message.isprintable()
    assert caught.value.hint


@pytest.mark.parametrize(
    "hostile", ["main", "--output=canary", "-p", "HEAD", "abc", ZEROS[:-1], f"{ZEROS}\n"]
)
def test_everything_but_resolve_takes_full_object_ids(folder: Path, hostile: str) -> None:
    head = commit(folder, a="1")
    repository = GitRepository(folder)
    calls: list[Callable[[], object]] = [
        lambda: repository.changed(hostile, head),
        lambda: repository.changed(head, hostile),
        lambda: repository.files(hostile, ""),
        lambda: repository.read(hostile, ["a"]),
        lambda: repository.describe(hostile),
    ]
    for call in calls:
        with pytest.raises(InvalidError):
            call()
    assert repository.is_ancestor(hostile, head) is None
    assert repository.is_ancestor(head, hostile) is None
    assert not (folder / "canary").exists()


@pytest.mark.parametrize("name", ["nothing", ZEROS, "f" * 40, "v9"])
def test_an_unknown_revision_is_invalid(folder: Path, name: str) -> None:
    commit(folder, a="1")
    with pytest.raises(InvalidError, match="no such commit here"):
        GitRepository(folder).resolve(name)


def test_an_unknown_base_is_invalid(folder: Path) -> None:
    head = commit(folder, a="1")
    with pytest.raises(InvalidError, match="no such commit here"):
        GitRepository(folder).changed(ZEROS, head)


def test_a_blob_is_no_revision(folder: Path) -> None:
    commit(folder, a="1")
    with pytest.raises(InvalidError):
        GitRepository(folder).resolve(run_git(folder, "rev-parse", "HEAD:a"))


def test_a_repository_without_a_commit_says_so(folder: Path) -> None:
    repository = GitRepository(folder)
    with pytest.raises(InvalidError, match="no commit yet"):
        repository.resolve("HEAD")
    assert repository.branch() == "main"


def test_a_shallow_clone_hints_at_the_depth(folder: Path, tmp_path: Path) -> None:
    first, second, third = (commit(folder, a=str(n)) for n in range(3))
    run_git(tmp_path, "clone", "-q", "--depth=2", f"file://{folder}", "shallow")
    repository = GitRepository(tmp_path / "shallow")
    with pytest.raises(InvalidError) as caught:
        repository.resolve(first)
    assert "fetch-depth: 0" in caught.value.hint
    assert repository.is_ancestor(first, third) is None
    assert repository.is_ancestor(second, third) is True
    assert repository.is_ancestor(third, second) is False


def test_the_branch_is_empty_where_head_is_detached(folder: Path) -> None:
    commit(folder, a="1")
    assert GitRepository(folder).branch() == "main"
    run_git(folder, "checkout", "-q", "--detach")
    assert GitRepository(folder).branch() == ""


def test_ancestry_is_told_both_ways(folder: Path) -> None:
    first, second = commit(folder, a="1"), commit(folder, a="2")
    run_git(folder, "checkout", "-q", "--orphan", "other")
    apart = commit(folder, a="3")
    repository = GitRepository(folder)
    assert repository.is_ancestor(first, second) is True
    assert repository.is_ancestor(second, first) is False
    assert repository.is_ancestor(first, first) is True
    assert repository.is_ancestor(first, apart) is False
    assert repository.is_ancestor(ZEROS, second) is None
    assert repository.is_ancestor("", second) is None
    assert repository.is_ancestor(second, ZEROS) is None


def test_a_commit_is_described_by_author_and_first_line(folder: Path) -> None:
    head = commit(folder, "web: new image\n\nlong text\nauthor Somebody Else <x> 1 +0000", a="1")
    assert GitRepository(folder).describe(head) == ("A B", "web: new image")


def test_a_commit_in_another_encoding_is_read_in_it(folder: Path) -> None:
    run_git(folder, "-c", "i18n.commitEncoding=latin-1", "commit", "-q", "--allow-empty", "-m", b"caf\xe9")
    head = run_git(folder, "rev-parse", "HEAD")
    assert GitRepository(folder).describe(head)[1] == "café"


def test_a_huge_author_and_message_are_no_trouble(folder: Path) -> None:
    body = f"tree {run_git(folder, 'write-tree')}\nauthor {'<a ' * 300_000}<a@b> 1 +0000\n"
    body += f"committer c <c@d> 1 +0000\n\n{'m' * 1_000_000}"
    (folder.parent / "commit").write_text(body)
    head = run_git(folder, "hash-object", "-t", "commit", "-w", "--literally", str(folder.parent / "commit"))
    assert len(GitRepository(folder).describe(head)[1]) == 1_000_000


# --- content


def test_changes_are_added_modified_and_deleted_and_a_rename_is_two(folder: Path) -> None:
    base = commit(folder, d__a_yaml="1", d__b_yaml="2", d__c_yaml="3" * 100)
    (folder / "d/c.yaml").rename(folder / "d/é \n.yaml")
    head = commit(folder, d__a_yaml="changed", d__b_yaml=None, n_yaml="new")
    assert GitRepository(folder).changed(base, head) == (
        ("d/a.yaml", "modified"),
        ("d/b.yaml", "deleted"),
        ("d/c.yaml", "deleted"),
        ("d/é \n.yaml", "added"),
        ("n.yaml", "added"),
    )
    assert GitRepository(folder).changed(head, head) == ()


def test_a_mode_or_type_that_changed_is_a_modification(folder: Path) -> None:
    base = commit(folder, a="1", b="1")
    (folder / "a").chmod(0o755)
    (folder / "b").unlink()
    (folder / "b").symlink_to("a")
    assert GitRepository(folder).changed(base, commit_all(folder)) == (("a", "modified"), ("b", "modified"))


def test_files_are_those_of_the_commit_not_of_the_work_tree(folder: Path) -> None:
    head = commit(folder, d__a_yaml="committed", d__e__b_yaml="2", x_yaml="3")
    (folder / "d/a.yaml").write_text("edited")
    (folder / "d/new.yaml").write_text("untracked")
    repository = GitRepository(folder)
    assert repository.files(head, "d") == ("d/a.yaml", "d/e/b.yaml")
    assert repository.files(head, "./d/") == ("d/a.yaml", "d/e/b.yaml")
    assert repository.files(head, "d/a.yaml") == ("d/a.yaml",)
    assert repository.files(head, ".") == ("d/a.yaml", "d/e/b.yaml", "x.yaml")
    assert repository.files(head, "nothing") == ()
    assert repository.read(head, ["d/a.yaml", "x.yaml"]) == {"d/a.yaml": b"committed", "x.yaml": b"3"}


def test_empty_and_binary_files_are_read_as_they_are(folder: Path) -> None:
    (folder / "empty").touch()
    (folder / "binary").write_bytes(bytes(range(256)) * 3 + b"\n")
    head = commit_all(folder)
    assert GitRepository(folder).read(head, ["empty", "binary"]) == {
        "empty": b"",
        "binary": bytes(range(256)) * 3 + b"\n",
    }


def test_thousands_of_files_are_read_in_one_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"d__f{n}": f"{n}\n" * 500 for n in range(2000)}
    head = commit(folder, **files)
    repository = GitRepository(folder)
    paths = repository.files(head, "d")
    started: list[list[str]] = []
    popen = subprocess.Popen
    monkeypatch.setattr(git_command.subprocess, "Popen", lambda a, **kw: started.append(a) or popen(a, **kw))
    assert len(repository.read(head, paths)) == 2000
    assert len(started) == 1


def test_files_that_are_missing_are_all_told(folder: Path) -> None:
    head = commit(folder, d__a_yaml="1")
    with pytest.raises(InvalidError) as caught:
        GitRepository(folder).read(head, ["x", "d", "d/a.yaml", "../x"])
    assert sorted(p.code for p in caught.value.problems) == [
        "file-missing",
        "file-missing",
        "symlink-outside",
    ]


def test_links_within_the_tree_are_followed(folder: Path) -> None:
    commit(folder, base__a_yaml="1", base__sub__b_yaml="2")
    (folder / "env").mkdir()
    (folder / "env/one.yaml").symlink_to("../base/a.yaml")
    (folder / "env/all").symlink_to("../base")
    (folder / "alias").symlink_to("env")
    head = commit_all(folder)
    repository = GitRepository(folder)
    assert repository.files(head, "alias") == ("alias/all/a.yaml", "alias/all/sub/b.yaml", "alias/one.yaml")
    assert repository.read(head, ["alias/all/sub/b.yaml", "env/one.yaml"]) == {
        "alias/all/sub/b.yaml": b"2",
        "env/one.yaml": b"1",
    }


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/etc/passwd", "symlink-outside"),
        ("../../canary", "symlink-outside"),
        ("../d/../../canary", "symlink-outside"),
        ("nothing.yaml", "symlink-dangling"),
        ("link.yaml", "symlink-loop"),
        (".", "symlink-loop"),
        ("..", "symlink-loop"),
    ],
)
def test_a_link_that_leads_elsewhere_is_refused_where_it_stands(folder: Path, target: str, code: str) -> None:
    (folder.parent / "canary").write_text("secret")
    (folder / "d").mkdir()
    (folder / "d/link.yaml").symlink_to(target)
    head = commit_all(folder)
    with pytest.raises(InvalidError) as caught:
        GitRepository(folder).files(head, "d")
    problem = caught.value.problems[0]
    assert problem.code == code
    assert problem.origin is not None
    assert problem.origin.path.startswith("d/link.yaml")
    with pytest.raises(InvalidError):
        GitRepository(folder).read(head, ["d/link.yaml"])


def test_folders_of_links_to_folders_of_links_come_to_an_end(folder: Path) -> None:
    for level in range(30):
        (folder / f"d{level}").mkdir()
        for name in "ab":
            (folder / f"d{level}/{name}").symlink_to(f"../d{level + 1}")
    (folder / "d30").mkdir()
    (folder / "d30/f").touch()
    head = commit_all(folder)
    with pytest.raises(InvalidError, match="without end"):
        GitRepository(folder).files(head, "d0")


def test_submodules_are_passed_over(folder: Path) -> None:
    base = commit(folder, d__a_yaml="1")
    run_git(folder, "update-index", "--add", "--cacheinfo", f"160000,{base},d/module")
    run_git(folder, "commit", "-q", "-m", "module")
    head = run_git(folder, "rev-parse", "HEAD")
    repository = GitRepository(folder)
    assert repository.files(head, "d") == ("d/a.yaml",)
    assert repository.changed(base, head) == ()


def test_a_pointer_of_git_lfs_is_refused_with_a_hint(folder: Path) -> None:
    head = commit(folder, d__a_yaml="version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(InvalidError) as caught:
        GitRepository(folder).read(head, ["d/a.yaml"])
    (problem,) = caught.value.problems
    assert problem.code == "lfs-pointer"
    assert "lfs" in problem.hint


def test_a_path_that_is_not_utf8_is_refused_only_among_the_files_asked_for(folder: Path) -> None:
    base = commit(folder, d__a_yaml="1", e__b_yaml="1")
    with open(os.fsencode(folder) + b"/d/caf\xe9.yaml", "w") as stream:  # noqa: PTH123
        stream.write("x")
    head = commit_all(folder)
    repository = GitRepository(folder)
    assert repository.files(head, "e") == ("e/b.yaml",)
    assert repository.changed(base, head) == (("d/caf\\xe9.yaml", "added"),)
    with pytest.raises(InvalidError) as caught:
        repository.files(head, "d")
    assert caught.value.problems[0].code == "path-not-utf8"
    str(caught.value.problems[0]).encode()


def test_files_larger_than_any_manifest_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.adapters.git.FILE_BYTES", 10)
    head = commit(folder, a="x" * 11)
    with pytest.raises(InvalidError, match="10 are allowed"):
        GitRepository(folder).read(head, ["a"])


def test_of_files_too_large_nothing_is_read_and_all_are_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = commit(folder, a="x" * 11, b="y", c="z" * 12)
    monkeypatch.setattr("pipeline.adapters.git.FILE_BYTES", 10)
    with pytest.raises(InvalidError) as caught:
        GitRepository(folder).read(head, ["a", "b", "c"])
    assert [(p.code, str(p.origin)) for p in caught.value.problems] == [
        ("file-too-large", "a:1"),
        ("file-too-large", "c:1"),
    ]
    assert GitRepository(folder).read(head, ["b"]) == {"b": b"y"}


def test_files_that_are_too_much_together_are_not_all_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = commit(folder, a="x" * 10, b="y" * 11, c="z" * 12)
    monkeypatch.setattr("pipeline.adapters.git_blobs.STDOUT_BYTES", 20)
    with pytest.raises(UnreachableError, match="bytes of output"):
        GitRepository(folder).read(head, ["a", "b", "c"])


# --- the repository


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.com/org/shop-web.git", "shop-web"),
        ("https://example.com/org/api/", "api"),
        ("git@example.com:org/api.git", "api"),
        ("git@example.com:api.git", "api"),
        ("ssh://git@example.com:22/org/api", "api"),
        ("/srv/git/api.git", "api"),
        ("https://user:TOKEN@example.com", "shop"),
        ("https://user:TOKEN@example.com/", "shop"),
        ("https://[bad", "shop"),
        ("https://example.com/\x1b[31mapi", "shop"),
    ],
)
def test_the_name_is_the_last_part_of_origin_and_never_its_user(folder: Path, url: str, name: str) -> None:
    run_git(folder, "config", "remote.origin.url", url)
    assert GitRepository(folder).name() == name


def test_without_origin_the_name_is_the_folders(folder: Path) -> None:
    assert GitRepository(folder).name() == "shop"


def test_a_folder_within_the_repository_opens_it(folder: Path) -> None:
    head = commit(folder, d__a_yaml="1")
    repository = GitRepository(folder / "d")
    assert repository.root == folder.resolve()
    assert repository.files(head, "d") == ("d/a.yaml",)


def test_a_configuration_that_git_cannot_read_is_told(folder: Path) -> None:
    commit(folder, a="1")
    with (folder / ".git/config").open("a") as config:
        config.write("[broken")

    with pytest.raises(UnreachableError, match="bad config line"):
        GitRepository(folder).resolve("HEAD")


def test_a_folder_named_like_a_repository_is_none(tmp_path: Path) -> None:
    (tmp_path / ".git" / "objects").mkdir(parents=True)

    with pytest.raises(InvalidError, match="no git repository here"):
        GitRepository(tmp_path)


def test_a_linked_work_tree_is_a_repository_too(folder: Path, tmp_path: Path) -> None:
    commit(folder, a="1")
    run_git(folder, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    assert GitRepository(tmp_path / "side").branch() == "side"


@pytest.mark.parametrize("where", ["none", "missing", "bare", "broken"])
def test_a_folder_without_a_repository_is_invalid(tmp_path: Path, where: str) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "bare").mkdir()
    run_git(tmp_path / "bare", "init", "-q", "--bare")
    (tmp_path / "broken/.git").mkdir(parents=True)
    with pytest.raises(InvalidError) as caught:
        GitRepository(tmp_path / where)
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_git_that_is_missing_is_unreachable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = GitRepository(folder)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UnreachableError) as caught:
        GitRepository(folder).resolve("main")
    assert "install git" in caught.value.hint
    assert repository


def test_git_that_is_missing_when_its_library_is_loaded_is_unreachable(folder: Path) -> None:
    code = (
        "import sys\n"
        "from pipeline.adapters.git import GitRepository\n"
        "from pipeline.model.errors import UnreachableError\n"
        "assert 'git' not in sys.modules, 'loaded before it is needed'\n"
        "try:\n    GitRepository(sys.argv[1]).branch()\n"
        "except UnreachableError as error:\n    print(error.hint)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env={"PATH": "/nowhere", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("install git"), done.stdout + done.stderr


def fake_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """From now on git is a script."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/git"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")


def test_git_that_hangs_is_stopped(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_git(tmp_path, monkeypatch, "exec sleep 60")
    repository = GitRepository(folder, timeout_s=0.2)
    with pytest.raises(UnreachableError, match=r"no end after 0\.2 s"):
        repository.branch()


@pytest.mark.parametrize("signum", ["INT", "TERM"])
def test_a_signal_that_ends_git_as_well_is_an_interruption(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signum: str
) -> None:
    """As Ctrl-C in a terminal does, which is no trouble with git."""
    fake_git(tmp_path, monkeypatch, f"kill -{signum} $$")
    repository = GitRepository(folder)
    with pytest.raises(InterruptedRunError, match="ended by a signal"):
        repository.branch()


ASKS = """\
import sys
from pipeline.adapters.git import GitRepository
repository = GitRepository(sys.argv[1], timeout_s=1.0)
print(repository.branch())
"""


def test_git_that_ended_while_we_were_stopped_has_not_been_too_slow(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, end = tmp_path / "asked", tmp_path / "end"
    slow = f"touch {asked}; while [ ! -e {end} ]; do sleep 0.02; done; echo main"
    fake_git(tmp_path, monkeypatch, slow)
    with subprocess.Popen([sys.executable, "-c", ASKS, str(folder)], stdout=subprocess.PIPE) as ours:
        while not asked.exists():
            assert ours.poll() is None
            time.sleep(0.02)
        ours.send_signal(signal.SIGSTOP)
        end.touch()
        time.sleep(1.5)  # longer than git may take
        ours.send_signal(signal.SIGCONT)
        output, _ = ours.communicate(timeout=20)
    assert (ours.returncode, output) == (0, b"main\n")


def test_output_without_end_is_cut(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_command, "STDOUT_BYTES", 1000)
    fake_git(tmp_path, monkeypatch, "exec yes")
    repository = GitRepository(folder)
    with pytest.raises(UnreachableError, match="more than 1000 bytes"):
        repository.branch()


def test_what_git_complains_of_is_one_line_without_credentials(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_git(tmp_path, monkeypatch, "echo 'fatal: https://u:TOKEN@h/ failed' >&2; echo more >&2; exit 128")
    repository = GitRepository(folder)
    with pytest.raises(UnreachableError) as caught:
        repository.branch()
    assert "fatal" in caught.value.message
    assert "TOKEN" not in f"{caught.value.message}{caught.value.__cause__}"
    assert "more" not in caught.value.message


def test_a_damaged_object_is_told_in_one_line(folder: Path) -> None:
    head = commit(folder, a="some content")
    blob = run_git(folder, "rev-parse", "HEAD:a")
    path = folder / ".git/objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.write_bytes(b"garbage")
    with pytest.raises(PipelineError) as caught:
        GitRepository(folder).read(head, ["a"])
    assert caught.value.exit_code in (20, 40)
    assert "\n" not in caught.value.message


def test_an_object_that_was_not_fetched_is_told(folder: Path) -> None:
    head = commit(folder, a="some content")
    blob = run_git(folder, "rev-parse", "HEAD:a")
    (folder / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(UnreachableError, match="not in this clone"):
        GitRepository(folder).read(head, ["a"])


# --- hostile content and surroundings


def test_a_bare_repository_among_the_files_runs_nothing(folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    bare = folder / "d/inner"
    bare.mkdir(parents=True)
    run_git(bare, "init", "-q", "--bare")
    for key, value in (
        ("core.fsmonitor", f"touch {marker};false"),
        ("core.bare", "false"),
        ("core.worktree", ".."),
    ):
        run_git(folder, "config", "--file", str(bare / "config"), key, value)
    commit_all(folder)
    for start in (bare, folder / "d", folder):
        repository = GitRepository(start)
        repository.branch()
        assert repository.root == folder.resolve()
    assert not marker.exists()


def test_commands_in_the_configuration_are_not_run(folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    base, head = commit(folder, a_yaml="1"), commit(folder, a_yaml="2", _gitattributes="*.yaml diff=bad")
    for key in ("core.fsmonitor", "diff.external", "diff.bad.textconv", "core.pager", "diff.bad.command"):
        run_git(folder, "config", key, f"touch {marker};false")
    repository = GitRepository(folder)
    assert repository.changed(base, head)
    assert repository.branch()
    assert repository.read(head, ["a.yaml"])
    repository.describe(head)
    assert not marker.exists()


@pytest.mark.parametrize("key", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_CONFIG_PARAMETERS"])
def test_variables_of_git_around_us_lead_nowhere_else(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    head = commit(folder, a="1")
    monkeypatch.setenv(key, str(tmp_path / "elsewhere"))
    assert GitRepository(folder).read(GitRepository(folder).resolve("HEAD"), ["a"]) == {"a": b"1"}
    assert head


def test_an_object_that_is_replaced_locally_is_read_as_what_its_id_says(folder: Path) -> None:
    first, second = commit(folder, a="1"), commit(folder, a="2")
    run_git(folder, "replace", second, first)
    assert GitRepository(folder).read(second, ["a"]) == {"a": b"2"}


def test_only_the_folder_that_was_named_is_trusted_whoever_owns_it(folder: Path) -> None:
    (folder / "d").mkdir()
    environment = git_command.environment(folder)
    assert environment["GIT_CONFIG_VALUE_0"] == str(folder)
    assert "GIT_CONFIG_COUNT" not in git_command.environment(None)
    for key, value in {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "https:ssh"}.items():
        assert environment[key] == value


def test_a_repository_of_another_owner_is_read_where_it_was_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = commit(folder, d__a="1")
    monkeypatch.setattr(
        git_command,
        "environment",
        lambda trusted, real=git_command.environment: {
            **real(trusted),
            "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1",
        },
    )
    assert GitRepository(folder).resolve("HEAD") == head
    with pytest.raises(UnreachableError) as caught:
        GitRepository(folder / "d").resolve("HEAD")
    assert "another user" in caught.value.message
    assert "-C" in caught.value.hint


def test_nothing_but_two_wrappers_starts_programs() -> None:
    package = Path(git_command.__file__).parents[1]
    word = re.compile(r"\bsubprocess\b|os\.(system|popen|spawn|exec|posix_spawn)|\bpty\.|shell=True")
    starting = {path.name for path in package.rglob("*.py") if word.search(path.read_text())}
    assert starting == {"git_command.py", "child.py"}


def test_nothing_but_the_wrapper_runs_git() -> None:
    package = Path(git_command.__file__).parents[1]
    for path in package.rglob("*.py"):
        text = path.read_text()
        assert not re.search(r"\brepo(sitory)?\.git\.|git\.cmd\.|Git\(\)\.", text), path
        if path.name != "git_command.py":
            assert not re.search(r"""\[\s*["']git["']""", text), path

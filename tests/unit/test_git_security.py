"""Past findings in git and its callers, one test or more for each; they are red without their guards.

Rows that are tested beside what they belong to: names of revisions and branches, other owners, embedded
repositories, replaced objects and huge authors in ``test_git.py``; redirects, control characters in addresses
and credential helpers in ``test_git_fetch.py``; lazy fetches and tokens in ``test_git_clone.py``.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters import git_command
from pipeline.adapters.git import GitRepository
from pipeline.model.errors import InvalidError, PipelineError, UnreachableError
from pipeline.run import job
from tests.git_host import GitHost
from tests.unit.git_shop import WEB, changes, config_map, shop, web, workspace, write
from tests.unit.test_git import commit_all, run_git
from tests.unit.test_git_fetch import script

CANARY = "CANARY-content"

Calls = list[tuple[list[str], dict[str, str]]]

SPELLINGS = [
    "--output={marker}",  # GHSA-fjr4-x663-mwxc and its like: writes any file
    "--outp={marker}",  # abbreviated
    "-o{marker}",  # joined
    "--index-output={marker}",
    "--prefix={marker}",
    "--upload-pack=touch {marker}",  # CVE-2022-24439 and its like: runs any program
    "--upload_pack=touch {marker}",
    "-utouch {marker}",
    "-u touch${{IFS}}{marker}",
    "--config=core.pager=touch {marker}",
    "-ccore.fsmonitor=touch {marker}",
    "--exec=touch {marker}",
    "--ext-diff",
    "--template={marker}",
    "--git-dir={marker}",
    "--bundle-uri={marker}",
    "--pathspec-from-file={canary}",  # GHSA-hh9p-6wh2-4mfc and its like: reads any file
    "-F{canary}",
    "-S{canary}",
    "--contents={canary}",
    "--no-index",
]


@pytest.fixture
def folder(tmp_path: Path, home: Path) -> Path:
    made = tmp_path / "shop"
    shop(made)
    return made


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "marker"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Arguments and environment of every git that ``pipeline`` starts from now on."""
    seen: Calls = []
    real = subprocess.Popen

    def start(arguments: list[str], **more: Any) -> subprocess.Popen[bytes]:
        if arguments[1] == "--no-pager":
            seen.append((arguments, more["env"]))
        return real(arguments, **more)

    monkeypatch.setattr(git_command.subprocess, "Popen", start)
    return seen


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_what_looks_like_an_option_reaches_git_from_nowhere(
    folder: Path, tmp_path: Path, marker: Path, calls: Calls, spelling: str
) -> None:
    """As revision, base, record, branch, environment and path of a source."""
    canary = tmp_path / "canary"
    canary.write_text(CANARY)
    hostile = spelling.format(marker=marker, canary=canary)
    file = folder / "environments/qa/environment.yaml"
    file.write_text(file.read_text().replace("manifests: manifests", f"manifests: '{hostile}'"))
    head = commit_all(folder)
    place = workspace(folder)
    dev = place.environment("dev", head)
    told = ""
    for ask in (
        lambda: place.repository.resolve(hostile),
        lambda: job.compare(place, dev, head, hostile, ""),
        lambda: job.compare(place, dev, head, "", hostile).because,
        lambda: job.compare(place, dev, head, "", "e" * 40, hostile).because,
        lambda: place.repository.latest(hostile, lambda: False),
        lambda: place.repository.changed(hostile, head),
        lambda: place.repository.read(hostile, [WEB]),
        lambda: place.repository.describe(hostile),
        lambda: place.environment(hostile, head),
        lambda: place.render(place.environment("qa", head), head, lambda *_: None),
    ):
        try:
            told += str(ask())
        except PipelineError as error:
            told += f"{error.message}{error.hint}{error.problems}"
    assert not marker.exists()
    assert CANARY not in told
    assert not any(hostile in argument for arguments, _ in calls for argument in arguments)


def test_no_argument_of_git_holds_anything_of_the_repository_but_object_ids(
    folder: Path, calls: Calls
) -> None:
    """Whatever paths, names and texts there are, git is called in the same words."""

    def asked() -> set[tuple[str, ...]]:
        base = run_git(folder, "rev-parse", "HEAD~1")
        calls.clear()
        found = changes(folder, base)
        place = workspace(folder)
        place.render(place.environment("dev", found.revision), found.revision, lambda *_: None)
        place.remarks(place.environment("dev", found.revision), found.revision)
        place.repository.describe(found.revision)
        place.repository.is_ancestor(base, found.revision)
        assert found.files
        return {tuple(re.sub("[0-9a-f]{40}", "ID", word) for word in arguments) for arguments, _ in calls}

    web(folder, "two")
    before = asked()
    run_git(folder, "update-ref", "refs/heads/--output=x", "HEAD")
    run_git(folder, "symbolic-ref", "HEAD", "refs/heads/--output=x")
    write(folder, "environments/dev/manifests/--output=x.yaml", config_map("x"))
    write(folder, "--upload-pack=touch x", "x")
    commit_all(folder, "--output=x")
    assert asked() == before


def test_every_call_of_git_refuses_hidden_repositories_hooks_monitors_and_prompts(
    folder: Path, calls: Calls
) -> None:
    base = run_git(folder, "rev-parse", "HEAD")
    calls.clear()
    changes(folder, base)
    assert len(calls) > 5
    for arguments, _ in calls:
        for setting in ("safe.bareRepository=explicit", "core.fsmonitor=false", "core.hooksPath=/dev/null"):
            at = arguments.index(setting)
            assert arguments[at - 1] == "-c"
            assert at < 16, "before the command"
    environment = git_command.environment(folder)
    for key, value in {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "GIT_CONFIG_NOSYSTEM": "1"}.items():
        assert environment[key] == value
    assert (environment["GIT_CONFIG_KEY_0"], environment["GIT_CONFIG_VALUE_0"]) == (
        "safe.directory",
        str(folder),
    )


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1/$AWS_SECRET_ACCESS_KEY/shop.git", "https://127.0.0.1/~/${HOME}/%HOME%/shop.git"],
)
def test_variables_in_an_address_are_sent_as_they_are_written(
    clone: Path, host: GitHost, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """GHSA-rwj8-pgh3-r573: secrets of the environment were sent to the remote."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    run_git(clone, "config", "remote.origin.url", url.replace("https://127.0.0.1/", host.url("")))
    with pytest.raises(PipelineError) as caught:
        GitRepository(clone).latest("main", lambda: False)
    (path,) = {path.partition("/info/")[0] for path in host.paths[-1:]}
    assert path == url.removeprefix("https://127.0.0.1")
    assert CANARY not in f"{host.paths}{caught.value.message}"


GITMODULES = [
    '[submodule "../../.git/hooks"]\n\tpath = x\n\turl = https://127.0.0.1:1/x.git\n',  # CVE-2018-11235
    '[submodule "x"]\n\tpath = x\n\turl = -utouch MARKER\n',  # CVE-2018-17456
    '[submodule "x"]\n\tpath = "x\\r"\n\turl = ../x\n',  # CVE-2025-48384
    '[submodule "A/modules/x"]\n\tpath = A/modules/x\n\turl = ../x\n',  # CVE-2024-32002
    '[include]\n\tpath = /etc/passwd\n[submodule "x"]\n\tupdate = !touch MARKER\n',  # GHSA-hmq2-w58f-27jc
    '[submodule "x"]\n\tpath = environments/dev/manifests\n\turl = ext::touch MARKER\n\tignore = none\n',
]


@pytest.mark.parametrize("text", GITMODULES)
def test_a_hostile_gitmodules_changes_nothing_of_what_is_read(folder: Path, marker: Path, text: str) -> None:
    base = run_git(folder, "rev-parse", "HEAD")
    head = web(folder, "two")
    before = changes(folder, base)
    place = workspace(folder)
    rendered = place.render(place.environment("dev", head), head, lambda *_: None)
    write(folder, ".gitmodules", text.replace("MARKER", str(marker)))
    run_git(folder, "config", "submodule.recurse", "true")
    run_git(folder, "config", "diff.submodule", "diff")
    hostile = commit_all(folder)
    after = changes(folder, base)
    assert (after.because, after.files, after.objects) == (before.because, before.files, before.objects)
    place = workspace(folder)
    assert place.render(place.environment("dev", hostile), hostile, lambda *_: None) == rendered
    assert not marker.exists()


def test_a_clone_cannot_name_a_program_that_fetches(clone: Path, marker: Path) -> None:
    """``remote.NAME.vcs`` makes git run git-remote-NAME, whatever the address is."""
    run_git(clone, "config", "remote.origin.vcs", "ext")
    run_git(clone, "config", "protocol.ext.allow", "always")
    run_git(clone, "config", "remote.origin.url", f"ext::touch% {marker}")
    assert GitRepository(clone).obtain("e" * 40)
    run_git(clone, "config", "remote.origin.url", f"https://127.0.0.1/;touch${{IFS}}{marker}")
    assert "ext" in GitRepository(clone).obtain("e" * 40)
    assert not marker.exists()


@pytest.mark.parametrize("where", ["path", "file", "ext", "git", "http"])
def test_a_commit_is_fetched_by_no_other_protocol(
    clone: Path, host: GitHost, marker: Path, where: str
) -> None:
    """CVE-2022-39253 and its like begin with a local clone; no configuration widens what may be fetched."""
    url = {
        "path": str(host.folder / "shop.git"),
        "file": f"file://{host.folder}/shop.git",
        "ext": f"ext::touch {marker}",
        "git": "git://127.0.0.1:1/shop.git",
        "http": host.url().replace("https", "http"),
    }[where]
    run_git(clone, "config", "remote.origin.url", url)
    run_git(clone, "config", "protocol.allow", "always")
    run_git(clone, "config", "protocol.file.allow", "always")
    run_git(clone, "config", "protocol.ext.allow", "always")
    asked = host.asked
    assert "is no https or ssh address" in GitRepository(clone).obtain("e" * 40)
    assert host.asked == asked
    assert not marker.exists()


@pytest.mark.parametrize(
    "url", ["https://h%0ahost=evil/x.git", "https://h/x\r.git", "https://\x1b]0;x\x07@h/x.git"]
)
def test_an_address_with_control_characters_is_asked_for_nothing(clone: Path, url: str) -> None:
    """CVE-2020-5260, CVE-2024-50349, CVE-2024-52006: credentials for another host, or a forged prompt."""
    run_git(clone, "config", "remote.origin.url", url)
    told = GitRepository(clone).obtain("e" * 40)
    assert "is no https or ssh address" in told
    assert told.isprintable()


def test_no_hook_runs_whatever_is_asked(folder: Path, marker: Path) -> None:
    base = run_git(folder, "rev-parse", "HEAD")
    web(folder, "two")
    samples = {path.name.removesuffix(".sample") for path in (folder / ".git/hooks").iterdir()}
    for hook in samples | {
        "post-index-change",
        "reference-transaction",
        "post-checkout",
        "fsmonitor-watchman",
    }:
        script(folder / ".git/hooks" / hook, marker)
    run_git(folder, "-c", "core.hooksPath=/dev/null", "config", "core.hooksPath", ".git/hooks")
    marker.unlink(missing_ok=True)
    found = changes(folder, base)
    repository = GitRepository(folder)
    repository.branch()
    repository.describe(found.revision)
    assert found.files
    assert not marker.exists()


def test_no_bundle_is_fetched_from_where_the_host_or_the_clone_says(
    clone: Path, work: Path, host: GitHost, calls: Calls
) -> None:
    """CVE-2025-48385: what a bundle list names is written anywhere. Older versions of git do not know these
    settings, so it is looked at that they are made, too."""
    bare = host.folder / "shop.git"
    for key, value in {
        "uploadpack.advertiseBundleURIs": "true",
        "bundle.version": "1",
        "bundle.mode": "all",
        "bundle.one.uri": host.url("bundle"),
    }.items():
        run_git(bare, "config", key, value)
    for key, value in {"transfer.bundleURI": "true", "fetch.bundleURI": host.url("list")}.items():
        run_git(clone, "config", key, value)
    write(work, "a", "2")
    head = commit_all(work)
    run_git(work, "push", "-q", "origin", "main")
    assert GitRepository(clone).latest("main", lambda: False) == head
    assert not [path for path in host.paths if "bundle" in path or "/list" in path]
    (fetching,) = [settings_of(one) for _, one in calls if one["GIT_ALLOW_PROTOCOL"] != "none"]
    assert (fetching["transfer.bundleURI"], fetching["fetch.bundleURI"]) == ("false", "")


def settings_of(environment: dict[str, str]) -> dict[str, str]:
    count = int(environment.get("GIT_CONFIG_COUNT", "0"))
    return {environment[f"GIT_CONFIG_KEY_{n}"]: environment[f"GIT_CONFIG_VALUE_{n}"] for n in range(count)}


def test_only_a_fetch_may_talk_and_only_by_https_and_ssh(clone: Path, calls: Calls) -> None:
    """What only reads a partial clone must not fetch of itself; git before 2.39.4 heeds nothing but this."""
    repository = GitRepository(clone)
    repository.files(repository.resolve("HEAD"), "")
    assert {one["GIT_ALLOW_PROTOCOL"] for _, one in calls} == {"none"}
    repository.latest("main", lambda: False)
    assert {one["GIT_ALLOW_PROTOCOL"] for _, one in calls} == {"none", "https:ssh"}
    assert {one["GIT_NO_LAZY_FETCH"] for _, one in calls} == {"1"}


def test_a_redirect_of_a_commits_fetch_takes_no_token_elsewhere(
    clone: Path, host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CVE-2026-41506, CVE-2021-32690."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("GITHUB_TOKEN", "CANARY")
    monkeypatch.setenv("GITHUB_SERVER_URL", host.url("").rstrip("/"))
    with GitHost(tmp_path / "elsewhere") as elsewhere:
        host.answer, host.location = 302, elsewhere.url() + "/info/refs?service=git-upload-pack"
        both = tmp_path / "both.pem"
        both.write_bytes(host.authority.read_bytes() + elsewhere.authority.read_bytes())
        run_git(clone, "config", "http.sslCAInfo", str(both))
        assert GitRepository(clone).obtain("e" * 40)
        assert elsewhere.asked == 0
    assert host.logins


def test_nothing_of_the_error_of_a_fetch_holds_a_credential(clone: Path, host: GitHost) -> None:
    """GitPython 5a53ae6d: the header was shown in the exception."""
    run_git(clone, "config", "remote.origin.url", host.url(user="bob:CANARY@"))
    run_git(clone, "config", f"http.{host.url('')}.extraHeader", "Authorization: Basic CANARY")
    host.answer = 403
    told = GitRepository(clone).obtain("e" * 40)
    with pytest.raises(UnreachableError) as caught:
        GitRepository(clone).resolve("e" * 40)
    error: BaseException | None = caught.value
    while error is not None:
        told += f"{error}{error.args}{getattr(error, 'hint', '')}"
        error = error.__cause__ or error.__context__
    assert host.logins
    assert "CANARY" not in told


def test_a_huge_author_and_message_of_a_base_are_no_trouble(folder: Path) -> None:
    """GHSA-g5vv-9gxw-82hx: an expression that took quadratic time."""
    tree = run_git(folder, "write-tree")
    body = (
        f"tree {tree}\nauthor {'<a ' * 300_000}<a@b> 1 +0000\ncommitter c <c@d> 1 +0000\n\n{'m' * 1_000_000}"
    )
    (folder.parent / "commit").write_text(body)
    base = run_git(folder, "hash-object", "-t", "commit", "-w", "--literally", str(folder.parent / "commit"))
    web(folder, "two")
    assert changes(folder, base).files == ((WEB, "modified"),)


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "a/b", "a/../../b", "dev/../dev", "dev\x00", "é" * 300, ".", ""]
)
def test_the_name_of_an_environment_leads_to_no_other_file(folder: Path, name: str) -> None:
    """CVE-2023-41040: a name was read as a path."""
    write(
        folder,
        "environments/a/b/environment.yaml",
        (folder / "environments/dev/environment.yaml").read_text(),
    )
    head = commit_all(folder)
    with pytest.raises(InvalidError) as caught:
        workspace(folder).environment(name, head)
    assert "\n" not in caught.value.message


def test_a_hidden_repository_within_the_sources_is_content_and_runs_nothing(
    folder: Path, marker: Path
) -> None:
    """Finding 7, and git CVE-2022-24765: a repository among the files had its configuration read."""
    base = run_git(folder, "rev-parse", "HEAD")
    bare = folder / "environments/dev/manifests"
    for path in ("HEAD", "config", "objects/keep", "refs/keep"):
        write(bare, path, "ref: refs/heads/main\n" if path == "HEAD" else "")
    write(bare, "config", f"[core]\n\tbare = false\n\tworktree = .\n\tfsmonitor = touch {marker};false\n")
    write(bare, "extra.yaml", config_map("extra"))
    commit_all(folder)
    for start in (bare, folder / "environments/dev", folder):
        found = changes(start, base)
        assert [ref.name for ref in found.objects] == ["extra"]
        GitRepository(start).branch()
    assert not marker.exists()

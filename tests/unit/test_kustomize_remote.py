"""Kustomizations of other repositories: which may be fetched, and that nothing else ever is."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from pipeline.adapters.git import GitRepository
from pipeline.adapters.kustomize import Kustomize
from pipeline.core.kustomization_remote import NotAllowedError, Remote, parse
from pipeline.model.environment import Allow, Environment, Source
from pipeline.model.errors import InvalidError, UnreachableError
from pipeline.model.objects import Manifest, Origin
from tests.git_folder import GitFolder
from tests.git_host import GitHost

SHA = "0123456789abcdef0123456789abcdef01234567"
SOURCE = Source(kind="kustomize", path="overlay", origin=Origin("environments/dev/environment.yaml", 7))
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: far}\ndata: {a: b}\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"https://host/a/b//c/d?ref={SHA}", Remote("https://host/a/b", "c/d", SHA)),
        (f"https://host/a/b.git//c?ref={SHA}", Remote("https://host/a/b.git", "c", SHA)),
        (f"https://host/a/b.git/c?ref={SHA}", Remote("https://host/a/b.git", "c", SHA)),
        (f"https://host/a/b?ref={SHA}", Remote("https://host/a/b", "", SHA)),
        (f"https://HOST/a/b//?ref={SHA}", Remote("https://host/a/b", "", SHA)),
        (f"https://github.com/a/b/c/d?ref={SHA}", Remote("https://github.com/a/b", "c/d", SHA)),
        (f"https://host:8443/a?ref={SHA * 2}"[:-16], Remote("https://host:8443/a", "", (SHA * 2)[:64])),
    ],
)
def test_one_spelling_is_taken(text: str, wanted: Remote) -> None:
    assert parse(text, ["host", "host:8443", "github.com"]) == wanted


@pytest.mark.parametrize(
    "text",
    [
        f"http://host/a/b?ref={SHA}",
        f"ssh://host/a/b?ref={SHA}",
        f"git::https://host/a/b?ref={SHA}",
        f"file:///host/a?ref={SHA}",
        f"https://user:word@host/a/b?ref={SHA}",
        f"https://host@other/a/b?ref={SHA}",
        f"https://other/host?ref={SHA}",
        f"https://host.other/a?ref={SHA}",
        f"https://host:1/a?ref={SHA}",
        f"https://host\\@other/a?ref={SHA}",
        "https://host/a/b",
        "https://host/a/b?ref=main",
        "https://host/a/b?ref=v1.0.0",
        f"https://host/a/b?ref={SHA[:12]}",
        f"https://host/a/b?ref={SHA}&submodules=true",
        f"https://host/a/b?timeout=1&ref={SHA}",
        f"https://host/a/b?ref={SHA}#x",
        f"https://host/a/../b?ref={SHA}",
        f"https://host/a//../b?ref={SHA}",
        f"https://host/a//-x?ref={SHA}",
        f"https://host/-x?ref={SHA}",
        f"https://host/a%0ab?ref={SHA}",
        f"https://host/$HOME?ref={SHA}",
        f"https://host/?ref={SHA}",
        f"https:///a?ref={SHA}",
        f"https://[host/a?ref={SHA}",
        "host/a/b",
        f"github.com/a/b?ref={SHA}",
    ],
)
def test_everything_else_is_not_with_the_reason_and_what_helps(text: str) -> None:
    with pytest.raises(NotAllowedError) as caught:
        parse(text, ["host"])
    assert str(caught.value)
    assert caught.value.hint


# --- with a host


def push(host: GitHost, folder: Path, files: dict[str, str], name: str = "shop.git") -> str:
    far = GitFolder(folder)
    commit = far.commit(dict(files))
    far.git("push", "-q", str(host.repository(name)), "HEAD:refs/heads/main")
    return commit


def render(repo: GitFolder, host: GitHost, text: str, *, allow: bool = True, **more: str) -> list[Manifest]:
    revision = repo.commit({"overlay/kustomization.yaml": text, **more})
    name = host.url().removeprefix("https://").partition("/")[0]
    environment = Environment(
        name="dev",
        application="web",
        namespace="web",
        path="environments/dev/environment.yaml",
        allow=Allow(remote=(name,) if allow else ()),
    )
    kustomize = Kustomize(
        GitRepository(repo.folder), environ={"PATH": os.environ["PATH"]}, stopped=lambda: False
    )
    return list(kustomize.render(revision, SOURCE, environment))


@pytest.fixture
def repo(tmp_path: Path) -> GitFolder:
    return GitFolder(tmp_path / "shop")


def test_a_pinned_kustomization_of_an_allowed_host_is_rendered(
    repo: GitFolder, host: GitHost, tmp_path: Path
) -> None:
    deep = push(
        host, tmp_path / "deep", {"kustomization.yaml": "resources: [m.yaml]", "m.yaml": MAP}, "deep.git"
    )
    files = {
        "base/kustomization.yaml": f"namePrefix: very-\nresources:\n- {host.url('deep.git')}?ref={deep}\n",
    }
    commit = push(host, tmp_path / "far", files)
    text = f"namePrefix: my-\nresources:\n- own.yaml\n- {host.url()}//base?ref={commit}\n"
    own = {"overlay/own.yaml": MAP.replace("far", "near")}
    found = {m.ref.name: str(m.origin) for m in render(repo, host, text, **own)}
    assert found == {"my-near": "overlay/own.yaml:1", "my-very-far": "overlay/kustomization.yaml:4"}


def test_a_host_that_wants_a_login_gets_that_of_the_user_s_own_git(
    repo: GitFolder, host: GitHost, tmp_path: Path
) -> None:
    commit = push(host, tmp_path / "far", {"kustomization.yaml": "resources: [m.yaml]", "m.yaml": MAP})
    text = f"resources:\n- {host.url()}?ref={commit}\n"
    host.wanted = "Basic " + base64.b64encode(b"bob:canary-word").decode()
    with pytest.raises(UnreachableError) as caught:
        render(repo, host, text)
    assert "canary" not in str(caught.value)
    helper = tmp_path / "helper"
    helper.write_text("#!/bin/sh\necho username=bob\necho password=canary-word\n")
    helper.chmod(0o755)
    repo.git("config", "--global", f"credential.{host.url('')}.helper", str(helper))
    (one,) = render(repo, host, text)
    assert one.ref.name == "far"


def test_without_leave_no_host_is_asked(repo: GitFolder, host: GitHost, tmp_path: Path) -> None:
    commit = push(host, tmp_path / "far", {"kustomization.yaml": "resources: [m.yaml]", "m.yaml": MAP})
    with pytest.raises(InvalidError) as caught:
        render(repo, host, f"resources:\n- {host.url()}?ref={commit}\n", allow=False)
    (problem,) = caught.value.problems
    assert str(problem.origin) == "overlay/kustomization.yaml:2"
    assert "spec.allow.remote" in problem.hint
    assert host.asked == 0


@pytest.mark.parametrize(
    "text",
    [
        "resources: [{url}?ref=main]",
        "resources: [{url}]",
        "configMapGenerator: [{{name: a, files: ['{url}']}}]",
        "patches: [{{path: '{url}?ref={sha}'}}]",
        "transformers: ['{url}?ref={sha}']",
        "transformers: [plugins]",
        "openapi: {{path: '{url}?ref={sha}'}}",
        "components: [inner]",
    ],
)
def test_with_leave_nothing_is_asked_for_but_pinned_kustomizations(
    repo: GitFolder, host: GitHost, text: str
) -> None:
    values = {"url": host.url(), "sha": SHA}
    more = {
        "overlay/inner/kustomization.yaml": "kind: Component\nresources: ['http://127.0.0.1:1/x']",
        "overlay/plugins/kustomization.yaml": "resources: ['{url}?ref={sha}']".format(**values),
    }
    with pytest.raises(InvalidError) as caught:
        render(repo, host, text.format(**values), **more)
    assert {problem.code for problem in caught.value.problems} == {"remote-refused"}
    assert host.asked == 0


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"kustomization.yaml": "resources: ['http://127.0.0.1:1/x']"}, "is not of this repository"),
        ({"kustomization.yaml": "helmCharts: [{name: x}]"}, "kustomization.yaml:1: helmCharts makes"),
        ({"kustomization.yaml": "resources: [/etc/passwd]"}, 'kustomization.yaml:1: "/etc/passwd" leads out'),
        ({"other.yaml": MAP}, "there is no kustomization.yaml in the repository's root"),
        ({"kustomization.yaml": "resources: [m.yaml]", "m.yaml": "a: y\n"}, 'm.yaml:1: "y" is a boolean'),
    ],
)
def test_what_was_fetched_is_screened_as_our_own(
    repo: GitFolder, host: GitHost, tmp_path: Path, files: dict[str, str], told: str
) -> None:
    commit = push(host, tmp_path / "far", files)
    with pytest.raises(InvalidError) as caught:
        render(repo, host, f"resources:\n- {host.url()}?ref={commit}\n")
    assert any(told in problem.message for problem in caught.value.problems)
    assert {str(problem.origin) for problem in caught.value.problems} == {"overlay/kustomization.yaml:2"}


def test_a_commit_that_is_not_there_and_a_host_that_is_down_are_told(repo: GitFolder, host: GitHost) -> None:
    host.repository()
    text = f"resources:\n- {host.url()}?ref={SHA}\n"
    with pytest.raises(UnreachableError, match=f"fetch {host.url()} at {SHA[:12]}"):
        render(repo, host, text)
    host.down()
    with pytest.raises(UnreachableError):
        render(repo, host, text)


def test_no_redirect_is_followed(repo: GitFolder, host: GitHost, home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with GitHost(elsewhere) as other:
        authorities = host.authority.read_bytes() + other.authority.read_bytes()
        host.authority.write_bytes(authorities)
        files = {"kustomization.yaml": "resources: [m.yaml]", "m.yaml": MAP}
        commit = push(other, tmp_path / "far", files)
        host.answer, host.location = 302, other.url()
        with pytest.raises(UnreachableError):
            render(repo, host, f"resources:\n- {host.url()}?ref={commit}\n")
        assert (host.asked > 0, other.asked) == (True, 0)

"""Single files of other hosts as resources: which may be fetched, how far, and that they are screened."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters import kustomize_remote
from pipeline.adapters.git import GitRepository
from pipeline.adapters.kustomize import Kustomize
from pipeline.adapters.logins import Login, nobody
from pipeline.core.kustomization_remote import NotAllowedError, RemoteFile, parse
from pipeline.model.environment import Allow, Environment, Source
from pipeline.model.errors import InvalidError, UnreachableError
from pipeline.model.objects import Manifest, Origin
from tests.contract.test_chart_remote import Server, server
from tests.git_folder import GitFolder

__all__ = ["server"]

SHA = "0123456789abcdef0123456789abcdef01234567"
DIGEST = "ab" * 32
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: far}\ndata: {a: b}\n"
SOURCE = Source(kind="kustomize", path="overlay", origin=Origin("environments/dev/environment.yaml", 7))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"https://host/a/b.yaml?checksum=sha256:{DIGEST}", RemoteFile("https://host/a/b.yaml", DIGEST)),
        (f"https://HOST/b.json?checksum=sha256:{DIGEST}", RemoteFile("https://host/b.json", DIGEST)),
        (f"https://host/o/r/{SHA}/x.yml", RemoteFile(f"https://host/o/r/{SHA}/x.yml")),
        (
            f"https://host/o/r/{SHA}/x.yml?checksum=sha256:{DIGEST}",
            RemoteFile(f"https://host/o/r/{SHA}/x.yml", DIGEST),
        ),
    ],
)
def test_a_file_that_is_pinned_is_taken(text: str, wanted: RemoteFile) -> None:
    assert parse(text, ["host"]) == wanted


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("https://host/a/b.yaml", "can be another one tomorrow"),
        (f"https://host/{SHA[:12]}/b.yaml", "can be another one tomorrow"),
        (f"https://host/a/b.yaml?checksum=sha256:{DIGEST[:10]}", "can be another one tomorrow"),
        (f"https://host/{SHA}/b.yaml?x=main", "can be another one tomorrow"),
        (f"https://host/a/b.yaml#checksum=sha256:{DIGEST}", "is not of this repository"),
        (f"http://host/a/b.yaml?checksum=sha256:{DIGEST}", "is not of this repository"),
        (f"https://user:word@host/b.yaml?checksum=sha256:{DIGEST}", "is not of this repository"),
        (f"https://other/b.yaml?checksum=sha256:{DIGEST}", "its host is not allowed"),
        (f"https://host/{SHA}/b.txt", "can be another one tomorrow"),
        (f"https://host/{SHA}/../b.yaml", "has an odd path"),
        (f"https://host/{SHA}/-b.yaml", "has an odd path"),
        (f"https://host/{SHA}/%2e%2e/b.yaml", "has an odd path"),
        (f"https://host/{SHA}/kustomization.yaml", "is a kustomization"),
    ],
)
def test_any_other_file_is_not_with_the_reason_and_what_helps(text: str, why: str) -> None:
    with pytest.raises(NotAllowedError, match=why) as caught:
        parse(text, ["host"])
    assert caught.value.hint


# --- with a server


@pytest.fixture
def repo(tmp_path: Path) -> GitFolder:
    return GitFolder(tmp_path / "shop")


def render(repo: GitFolder, text: str, *allowed: str, login: Login = nobody, **more: str) -> list[Manifest]:
    revision = repo.commit({"overlay/kustomization.yaml": text, **more})
    environment = Environment(
        name="dev",
        application="web",
        namespace="web",
        path="environments/dev/environment.yaml",
        allow=Allow(remote=allowed),
    )
    kustomize = Kustomize(
        GitRepository(repo.folder), environ={"PATH": os.environ["PATH"]}, stopped=lambda: False, login=login
    )
    return list(kustomize.render(revision, SOURCE, environment))


def refused(repo: GitFolder, text: str, *allowed: str) -> str:
    with pytest.raises(InvalidError) as caught:
        render(repo, text, *allowed)
    problems = caught.value.problems
    assert {str(problem.origin) for problem in problems} == {"overlay/kustomization.yaml:2"}
    return "\n".join(map(str, problems))


def pinned(server: Server, content: str = MAP, path: str = "/org/m.yaml") -> str:
    server.put(path, content.encode())
    return f"https://{server.host}{path}?checksum=sha256:{hashlib.sha256(content.encode()).hexdigest()}"


def test_a_pinned_file_of_an_allowed_host_is_a_resource_like_others(repo: GitFolder, server: Server) -> None:
    text = f"namePrefix: my-\nresources:\n- own.yaml\n- {pinned(server)}\n"
    own = {"overlay/own.yaml": MAP.replace("far", "near")}
    found = {m.ref.name: str(m.origin) for m in render(repo, text, server.host, **own)}
    assert found == {"my-near": "overlay/own.yaml:1", "my-far": "overlay/kustomization.yaml:4"}
    assert server.paths == ["/org/m.yaml"]
    (_, headers) = server.asked[0]
    assert not {"Authorization", "Cookie"} & headers.keys()


def test_a_file_whose_address_names_a_commit_needs_no_digest(repo: GitFolder, server: Server) -> None:
    server.put(f"/org/repo/{SHA}/m.yaml", MAP.encode())
    text = f"resources:\n- https://{server.host}/org/repo/{SHA}/m.yaml\n"
    assert [m.ref.name for m in render(repo, text, server.host)] == ["far"]


def test_kustomize_alone_reads_the_same_address(repo: GitFolder, server: Server) -> None:
    """With a digest at its end: a repository that we render is not lost to others."""
    address = pinned(server)
    server.put(address.removeprefix(f"https://{server.host}"), MAP.encode())  # as servers of files do
    repo.commit({"overlay/kustomization.yaml": f"resources:\n- {address}\n"})
    done = subprocess.run(
        ["kubectl", "kustomize", repo.folder / "overlay"], capture_output=True, text=True, check=False
    )
    assert "name: far" in done.stdout, (server.paths, done.stderr)


def test_without_leave_no_server_is_asked(repo: GitFolder, server: Server) -> None:
    assert "spec.allow.remote" in refused(repo, f"resources:\n- {pinned(server)}\n")
    assert server.paths == []


@pytest.mark.parametrize(
    "text",
    [
        "components:\n- {url}",
        "transformers:\n- {url}",
        "patches:\n- path: {url}",
        "crds:\n- {url}",
        "configurations:\n- {url}",
    ],
)
def test_nothing_but_resources_is_fetched(repo: GitFolder, server: Server, text: str) -> None:
    assert "nothing else is fetched" in refused(repo, text.format(url=pinned(server)), server.host)
    assert server.paths == []


def test_other_content_than_the_digest_says_is_refused(repo: GitFolder, server: Server) -> None:
    address = pinned(server)
    server.put("/org/m.yaml", MAP.replace("far", "evil").encode())
    told = refused(repo, f"resources:\n- {address}\n", server.host)
    assert "its digest is " in told


def test_a_host_that_is_not_listed_is_asked_nothing_though_a_server_sends_us_there(
    repo: GitFolder, server: Server
) -> None:
    address = pinned(server)
    other = server.host.replace("localhost", "127.0.0.1")
    server.put("/org/m.yaml", b"", 302, Location=f"https://{other}/elsewhere.yaml")
    told = refused(repo, f"resources:\n- {address}\n", server.host)
    assert f"{other} is not an allowed host" in told
    server.put("/org/m.yaml", b"", 302, Location=f"http://{server.host}/elsewhere.yaml")
    assert "not https" in refused(repo, f"resources:\n- {address}\n", server.host)
    assert "/elsewhere.yaml" not in server.paths


def test_a_file_without_an_end_is_cut_off(
    repo: GitFolder, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kustomize_remote, "FILE_BYTES", 1024)
    address = pinned(server, MAP + "#" * 2000)
    assert "sends more than" in refused(repo, f"resources:\n- {address}\n", server.host)


def test_a_host_that_wants_a_login_gets_that_which_is_kept_for_it(repo: GitFolder, server: Server) -> None:
    text = f"resources:\n- {pinned(server)}\n"
    refusal = (401, {"WWW-Authenticate": "Basic"}, b"")
    server.gate = lambda _, headers: None if headers.get("Authorization") == "Basic bG9naW4=" else refusal
    (one,) = render(repo, text, server.host, login={server.host: "bG9naW4="}.__getitem__)
    assert one.ref.name == "far"
    with pytest.raises(UnreachableError, match="refuses the login"):
        render(repo, text, server.host, login=lambda _: "b3RoZXI=")


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (404, {}, "answered 404"),
        (401, {"WWW_Authenticate": "Basic"}, "wants a login"),
        (403, {}, "answered 403"),
    ],
)
def test_what_a_server_does_not_give_is_told_as_that(
    repo: GitFolder, server: Server, status: int, headers: Any, told: str
) -> None:
    address = pinned(server)
    server.put("/org/m.yaml", b"", status, **headers)
    with pytest.raises(UnreachableError, match=told) as caught:
        render(repo, f"resources:\n- {address}\n", server.host)
    assert "/org/m.yaml" in caught.value.message


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a: y\n", 'm.yaml:1: "y" is a boolean'),
        ("a: [\n", "m.yaml:2: not YAML"),
        ("a: &a [x]\na: *a\n", "is written twice"),
    ],
)
def test_what_was_fetched_is_screened_as_our_own(
    repo: GitFolder, server: Server, content: str, told: str
) -> None:
    found = refused(repo, f"resources:\n- {pinned(server, content)}\n", server.host)
    assert told in found
    assert f"in https://{server.host}/org/m.yaml" in found


def test_a_file_with_a_kustomization_in_it_fetches_nothing_more(repo: GitFolder, server: Server) -> None:
    inner = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [https://127.0.0.1:1/x]\n"
    with pytest.raises(InvalidError):
        render(repo, f"resources:\n- {pinned(server, inner)}\n", server.host)
    assert server.paths == ["/org/m.yaml"]

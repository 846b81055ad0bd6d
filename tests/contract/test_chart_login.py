"""Charts of hosts that want a login: who gets it, in which of the ways that they ask for it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.adapters.chart_remote import ChartRemote
from pipeline.adapters.logins import Logins
from pipeline.core.chart_reference import ChartReference
from pipeline.model.errors import PipelineError, UnreachableError
from tests.contract.test_chart_remote import (
    ARCHIVE,
    Answer,
    Gate,
    Server,
    archive,
    digest_of,
    in_registry,
    server,
)
from tests.git_folder import GitFolder

__all__ = ["server"]

USER, PASSWORD = "bot", "canary-word"
LOGIN = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
TOKEN = "token-of-the-bot"


@pytest.fixture
def told() -> list[str]:
    """The secrets that nobody may show."""
    return []


@pytest.fixture
def remote(tmp_path: Path, server: Server, told: list[str]) -> ChartRemote:
    """Who has a login for the server in a file of Docker's."""
    (tmp_path / "config.json").write_text(json.dumps({"auths": {server.host: {"auth": LOGIN}}}))
    environ = {"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)}
    logins = Logins(environ, lambda *secrets: told.extend(secrets))
    return ChartRemote(tmp_path / "cache", lambda: False, logins.of)


def basic(status: int = 401) -> Gate:
    """A server that lets in who comes with the login."""

    def gate(path: str, headers: Mapping[str, str]) -> Answer | None:
        if headers.get("Authorization") == f"Basic {LOGIN}":
            return None
        return status, {"WWW-Authenticate": 'Basic realm="here"'}, b""

    return gate


class Bearer:
    """A registry that lets in who comes with a token, and who gives one to whom comes with the login."""

    def __init__(self, realm: str) -> None:
        self.realm = realm

    def __call__(self, path: str, headers: Mapping[str, str]) -> Answer | None:
        if path.startswith("/token"):
            if headers.get("Authorization") == f"Basic {LOGIN}":
                return 200, {}, json.dumps({"access_token": TOKEN}).encode()
            return 401, {"WWW-Authenticate": "Basic"}, b""
        if not path.startswith("/v2/") or headers.get("Authorization") == f"Bearer {TOKEN}":
            return None
        return 401, {"WWW-Authenticate": f'Bearer realm="{self.realm}",service="s"'}, b""


def sent(server: Server) -> dict[str, list[str]]:
    """host → the logins and tokens that came with its requests."""
    found: dict[str, list[str]] = {}
    for _, headers in server.asked:
        found.setdefault(headers["Host"].partition(":")[0], []).append(headers.get("Authorization", ""))
    return found


def refused(remote: ChartRemote, reference: ChartReference, *allowed: str) -> str:
    with pytest.raises(PipelineError) as caught:
        remote.fetch(reference, allowed)
    chain: BaseException | None = caught.value
    while chain is not None:
        for secret in (PASSWORD, LOGIN, TOKEN):
            assert secret not in f"{chain!r}{getattr(chain, 'hint', '')}"
        chain = chain.__cause__
    assert isinstance(caught.value, UnreachableError)
    return f"{caught.value.message} ({caught.value.hint})"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_archive_is_fetched_with_the_login_where_anybody_is_not_let_in(
    remote: ChartRemote, server: Server, told: list[str], status: int
) -> None:
    reference = archive(server)
    server.gate = basic(status)
    assert remote.fetch(reference, [server.host]) == ARCHIVE
    assert sent(server) == {"localhost": ["", f"Basic {LOGIN}"]}
    assert {PASSWORD, LOGIN} <= set(told)


def test_a_server_that_lets_anybody_in_gets_no_login(remote: ChartRemote, server: Server) -> None:
    remote.fetch(archive(server), [server.host])
    remote.fetch(in_registry(server), [server.host])
    assert set(sent(server)["localhost"]) == {""}


def test_a_registry_is_asked_with_the_login_where_it_wants_that(remote: ChartRemote, server: Server) -> None:
    reference = in_registry(server)
    server.gate = basic()
    assert remote.fetch(reference, [server.host]) == ARCHIVE
    # It is asked for once, not for each of manifest and archive.
    assert sent(server) == {"localhost": ["", f"Basic {LOGIN}", f"Basic {LOGIN}"]}


def test_a_token_is_had_for_the_login_and_only_the_token_goes_to_the_registry(
    remote: ChartRemote, server: Server
) -> None:
    reference = in_registry(server)
    other = server.host.replace("localhost", "127.0.0.1")
    server.gate = Bearer(f"https://{other}/token")
    assert remote.fetch(reference, [server.host, other]) == ARCHIVE
    assert sent(server) == {
        "localhost": ["", f"Bearer {TOKEN}", f"Bearer {TOKEN}"],
        "127.0.0.1": [f"Basic {LOGIN}"],
    }


@pytest.mark.parametrize(
    ("realm", "words"),
    [
        ("http://localhost/token", "an address that is not https"),
        ("https://evil.example.com/token", "evil.example.com is not an allowed host"),
        ("https://{host}@evil.example.com/token", "evil.example.com is not an allowed host"),
        ("https://{host}.evil.example.com/token", "is not an allowed host"),
        ("file:///token", "an address that is not https"),
    ],
)
def test_no_login_is_given_to_who_may_not_be_asked(
    remote: ChartRemote, server: Server, realm: str, words: str
) -> None:
    reference = in_registry(server)
    server.gate = Bearer(realm.replace("{host}", server.host))
    with pytest.raises(PipelineError, match=words):
        remote.fetch(reference, [server.host])
    assert sent(server) == {"localhost": [""]}


@pytest.fixture
def elsewhere(server: Server) -> str:
    """The same server by another name, to which it sends us on: a host of its own."""
    other = server.host.replace("localhost", "127.0.0.1")
    server.put("/storage", ARCHIVE)
    return other


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_login_stays_with_its_host_where_that_sends_us_on(
    remote: ChartRemote, server: Server, elsewhere: str, status: int
) -> None:
    reference = archive(server)
    server.put("/web-1.2.3.tgz", b"", status, Location=f"https://{elsewhere}/storage")
    gate = basic()
    server.gate = lambda path, headers: None if path == "/storage" else gate(path, headers)
    assert remote.fetch(reference, [server.host, elsewhere]) == ARCHIVE
    assert sent(server) == {"localhost": ["", f"Basic {LOGIN}"], "127.0.0.1": [""]}


def test_a_host_that_we_are_sent_on_to_gets_no_login_though_it_wants_one(
    remote: ChartRemote, server: Server, elsewhere: str
) -> None:
    reference = archive(server)
    server.put("/web-1.2.3.tgz", b"", 302, Location=f"https://{elsewhere}/storage")
    gate = basic()
    server.gate = lambda path, headers: gate(path, headers) if path == "/storage" else None
    assert f"{elsewhere} wants a login" in refused(remote, reference, server.host, elsewhere)
    assert {login for logins in sent(server).values() for login in logins} == {""}


def test_a_registry_s_login_stays_with_it_where_that_sends_us_on(
    remote: ChartRemote, server: Server, elsewhere: str
) -> None:
    reference = in_registry(server)
    server.put(f"/v2/org/web/blobs/{digest_of(ARCHIVE)}", b"", 307, Location=f"https://{elsewhere}/storage")
    gate = basic()
    server.gate = lambda path, headers: None if path == "/storage" else gate(path, headers)
    assert remote.fetch(reference, [server.host, elsewhere]) == ARCHIVE
    assert sent(server)["127.0.0.1"] == [""]


def test_a_realm_that_sends_us_on_takes_no_login_along(
    remote: ChartRemote, server: Server, elsewhere: str
) -> None:
    reference = in_registry(server)
    bearer = Bearer(f"https://{server.host}/token")

    def gate(path: str, headers: Mapping[str, str]) -> Answer | None:
        if path.startswith("/token"):
            return 302, {"Location": f"https://{elsewhere}/other"}, b""
        return bearer(path, headers)

    server.gate = gate
    assert "answered 404" in refused(remote, reference, server.host, elsewhere)
    assert sent(server)["127.0.0.1"] == [""]


@pytest.mark.parametrize("kind", ["archive", "basic", "bearer"])
def test_a_login_that_is_refused_is_told_without_it(remote: ChartRemote, server: Server, kind: str) -> None:
    reference = archive(server) if kind == "archive" else in_registry(server)
    challenge = f'Bearer realm="https://{server.host}/token"' if kind == "bearer" else "Basic"
    server.gate = lambda *_: (401, {"WWW-Authenticate": challenge}, b"")
    assert f"{server.host} refuses the login (has it expired" in refused(remote, reference, server.host)


@pytest.mark.parametrize("kind", ["archive", "basic", "bearer"])
def test_a_login_that_is_not_there_is_told_with_the_way_to_one(
    tmp_path: Path, server: Server, kind: str
) -> None:
    reference = archive(server) if kind == "archive" else in_registry(server)
    server.gate = Bearer(f"https://{server.host}/token") if kind == "bearer" else basic()
    nobody = ChartRemote(tmp_path / "cache", lambda: False, Logins({"HOME": str(tmp_path)}, print).of)
    way = "`helm repo add --username`" if kind == "archive" else f"`docker login {server.host}`"
    assert f"{server.host} wants a login (log in, as by {way}" in refused(nobody, reference, server.host)


def test_a_token_that_is_none_is_told(remote: ChartRemote, server: Server) -> None:
    reference = in_registry(server)
    bearer = Bearer(f"https://{server.host}/token")
    answer = json.dumps({"token": "a\nb"}).encode()
    server.gate = lambda path, headers: (
        (200, {}, answer) if path.startswith("/token") else bearer(path, headers)
    )
    assert "no token from localhost" in refused(remote, reference, server.host)


def test_the_command_itself_logs_in_and_shows_no_login(tmp_path: Path, helm: str, server: Server) -> None:
    repo = GitFolder(tmp_path / "shop")
    server.put("/charts/web-1.2.3.tgz", ARCHIVE)
    index = {"entries": {"web": [{"version": "1.2.3", "urls": ["web-1.2.3.tgz"]}]}}
    server.put("/charts/index.yaml", json.dumps(index).encode())
    server.gate = basic()
    needed = {"name": "web", "version": "1.2.3", "repository": f"https://{server.host}/charts"}
    pin = {"name": "web", "digest": digest_of(ARCHIVE)}
    spec = {
        "namespace": "web",
        "sources": [{"helm": {"chart": "../../top", "dependencies": [pin]}}],
        "allow": {"remote": [server.host]},
    }
    environment = {
        "apiVersion": "pipeline/v1",
        "kind": "Environment",
        "metadata": {"name": "dev"},
        "spec": spec,
    }
    chart = {"apiVersion": "v2", "name": "top", "version": "1.0.0", "dependencies": [needed]}
    repo.commit(
        {"environments/dev/environment.yaml": json.dumps(environment), "top/Chart.yaml": json.dumps(chart)}
    )
    (tmp_path / "config.json").write_text(json.dumps({"auths": {server.host: {"auth": LOGIN}}}))
    places = {
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "DOCKER_CONFIG": str(tmp_path),
        "PIPELINE_HELM": helm,
    }
    command = [sys.executable, "-m", "pipeline", "-v", "--log-format", "json", "render", "-e", "dev"]
    done = [
        subprocess.run(command, cwd=repo.folder, env={**os.environ, **places}, capture_output=True, text=True)
        for _ in range(2)
    ]
    for one in done:
        assert one.returncode == 0, one.stderr
        assert "greeting: hello" in one.stdout
        for secret in (PASSWORD, LOGIN):
            assert secret not in one.stdout + one.stderr
    assert server.paths == ["/charts/index.yaml"] * 2 + ["/charts/web-1.2.3.tgz"] * 2, (
        "then it is in the cache"
    )

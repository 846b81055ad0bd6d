"""Charts from an https server and an OCI registry, by digest: what is fetched, from whom, and what is not."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.chart_remote import ChartRemote
from pipeline.adapters.git import GitRepository
from pipeline.adapters.helm import HelmRenderer
from pipeline.core.chart_reference import ChartReference, parse
from pipeline.model.environment import Allow, Environment, HelmChart, Source
from pipeline.model.errors import InvalidError, PipelineError, UnreachableError
from pipeline.model.objects import Origin
from tests import stack_chart
from tests.e2e.tls import serving
from tests.git_folder import GitFolder

FILES = {
    "Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.2.3\n",
    "values.yaml": "greeting: hello\n",
    "templates/x.yaml": textwrap.dedent(
        """\
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: {{ .Release.Name }}}
        data: {greeting: {{ required "a greeting" .Values.greeting }}}
        """
    ),
}
ARCHIVE = stack_chart.packed("web", FILES)
CANARY = "canary-of-the-machine"


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def manifest(
    layer: bytes = ARCHIVE, kind: str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
) -> bytes:
    return json.dumps({"layers": [{"mediaType": kind, "digest": digest_of(layer)}]}).encode()


Answer = tuple[int, dict[str, str], bytes]
Gate = Callable[[str, dict[str, str]], Answer | None]


@dataclass
class Server:
    """Answers by path with (status, headers, content), after ``gate`` let it; ``asked`` are the requests as
    (path, headers)."""

    host: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    token: str = ""
    gate: Gate = lambda *_: None

    def put(self, path: str, content: bytes, status: int = 200, **headers: str) -> None:
        self.answers[path] = status, {k.replace("_", "-"): v for k, v in headers.items()}, content

    def answer(self, path: str, headers: dict[str, str]) -> Answer:
        self.asked.append((path, headers))
        if refusal := self.gate(path, headers):
            return refusal
        if path.startswith("/token"):
            return 200, {}, json.dumps({"token": self.token}).encode()
        if self.token and headers.get("Authorization") != f"Bearer {self.token}" and path.startswith("/v2/"):
            challenge = f'Bearer realm="https://{self.host}/token",service="registry"'
            return 401, {"WWW-Authenticate": challenge}, b""
        return self.answers.get(path, (404, {}, b""))

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    found = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, content = found.answer(self.path, dict(self.headers))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with serving(tmp_path, ["localhost", "127.0.0.1"], Handler) as address:
        authority = tmp_path / "authority.pem"
        authority.write_bytes(base64.b64decode(address.ca_bundle))
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        found.host = f"localhost:{address.port}"
        yield found


@pytest.fixture
def remote(tmp_path: Path) -> ChartRemote:
    return ChartRemote(tmp_path / "cache", lambda: False)


def archive(server: Server, content: bytes = ARCHIVE) -> ChartReference:
    server.put("/web-1.2.3.tgz", content)
    return parse(f"https://{server.host}/web-1.2.3.tgz@{digest_of(ARCHIVE)}")


def in_registry(server: Server, content: bytes | None = None, layer: bytes = ARCHIVE) -> ChartReference:
    content = content if content is not None else manifest()
    server.put(f"/v2/org/web/manifests/{digest_of(content)}", content)
    server.put(f"/v2/org/web/blobs/{digest_of(ARCHIVE)}", layer)
    return parse(f"oci://{server.host}/org/web:1.2.3@{digest_of(content)}")


def refused(remote: ChartRemote, reference: ChartReference, *allowed: str) -> str:
    with pytest.raises(PipelineError) as caught:
        remote.fetch(reference, allowed)
    assert isinstance(caught.value, InvalidError | UnreachableError)
    return f"{caught.value.message} ({caught.value.hint})"


def test_an_archive_is_fetched_once_and_then_taken_from_the_cache(
    remote: ChartRemote, server: Server
) -> None:
    reference = archive(server)
    assert remote.fetch(reference, [server.host]) == ARCHIVE
    assert remote.fetch(reference, [server.host]) == ARCHIVE
    assert server.paths == ["/web-1.2.3.tgz"]


def test_a_registry_s_chart_is_fetched_once_too(remote: ChartRemote, server: Server) -> None:
    reference = in_registry(server)
    assert remote.fetch(reference, [server.host]) == ARCHIVE
    assert remote.fetch(reference, [server.host]) == ARCHIVE
    assert [path.split("/")[4] for path in server.paths] == ["manifests", "blobs"]


def test_a_registry_is_asked_with_the_token_that_anybody_gets(remote: ChartRemote, server: Server) -> None:
    reference = in_registry(server)
    server.token = "of-anybody"
    assert remote.fetch(reference, [server.host]) == ARCHIVE
    (token,) = [path for path in server.paths if path.startswith("/token")]
    assert token == "/token?scope=repository%3Aorg%2Fweb%3Apull&service=registry"


def test_what_lies_in_the_cache_and_is_something_else_is_not_believed(
    remote: ChartRemote, server: Server, tmp_path: Path
) -> None:
    reference = archive(server)
    remote.fetch(reference, [server.host])
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(b"other")
    assert remote.fetch(reference, [server.host]) == ARCHIVE
    assert kept.read_bytes() == ARCHIVE


@pytest.mark.parametrize("where", ["archive", "manifest", "blob"])
def test_other_content_than_the_digest_s_is_refused_and_not_kept(
    remote: ChartRemote, server: Server, tmp_path: Path, where: str
) -> None:
    reference = archive(server, b"other") if where == "archive" else in_registry(server)
    if where == "manifest":
        server.put(f"/v2/org/web/manifests/{reference.digest}", manifest(b"other"))
    if where == "blob":
        server.put(f"/v2/org/web/blobs/{digest_of(ARCHIVE)}", b"other")
    assert "what the server has is sha256:" in refused(remote, reference, server.host)
    kept = [path.read_bytes() for path in (tmp_path / "cache").glob("*")]
    assert b"other" not in kept


def test_a_host_that_is_not_allowed_is_not_asked(remote: ChartRemote, server: Server) -> None:
    found = refused(remote, archive(server), "example.com")
    assert f"{server.host} is not an allowed host (write allow.remote: [{server.host}]" in found
    assert server.asked == []


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("https://127.0.0.1:1/x.tgz", "127.0.0.1:1 is not an allowed host"),
        ("http://localhost/x.tgz", "an address that is not https"),
        ("file:///etc/passwd", "an address that is not https"),
        ("/web-1.2.3.tgz", "sent on more than 5 times"),
    ],
)
def test_a_server_sends_us_nowhere_else(
    remote: ChartRemote, server: Server, location: str, words: str
) -> None:
    reference = archive(server)
    server.put("/web-1.2.3.tgz", b"", 302, Location=location)
    assert words in refused(remote, reference, server.host)


def test_a_token_stays_with_the_server_that_it_is_for(remote: ChartRemote, server: Server) -> None:
    reference = in_registry(server)
    server.token = "of-anybody"
    other = server.host.replace("localhost", "127.0.0.1")
    blob = f"/v2/org/web/blobs/{digest_of(ARCHIVE)}"
    server.put(blob, b"", 307, Location=f"https://{other}/storage")
    server.put("/storage", ARCHIVE)
    assert remote.fetch(reference, [server.host, other]) == ARCHIVE
    (headers,) = [headers for path, headers in server.asked if path == "/storage"]
    assert "Authorization" not in headers


def test_a_realm_that_is_not_allowed_is_not_asked(remote: ChartRemote, server: Server) -> None:
    reference = in_registry(server)
    challenge = 'Bearer realm="https://evil.example.com/token"'
    server.put(f"/v2/org/web/manifests/{reference.digest}", b"", 401, WWW_Authenticate=challenge)
    assert "evil.example.com is not an allowed host" in refused(remote, reference, server.host)


@pytest.mark.parametrize("challenge", ["Basic realm=x", 'Bearer scope="x"', "nonsense"])
def test_a_registry_that_wants_a_login_is_told(remote: ChartRemote, server: Server, challenge: str) -> None:
    reference = in_registry(server)
    server.put(f"/v2/org/web/manifests/{reference.digest}", b"", 401, WWW_Authenticate=challenge)
    assert f"{server.host} wants a login" in refused(remote, reference, server.host)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"not json",
        b"{}",
        manifest(kind="application/vnd.oci.image.layer.v1.tar"),
        b'{"layers": [1]}',
    ],
)
def test_a_manifest_that_is_no_chart_s_is_refused(
    remote: ChartRemote, server: Server, content: bytes
) -> None:
    assert "is no chart" in refused(remote, in_registry(server, content), server.host)


def test_what_is_not_there_is_unreachable(remote: ChartRemote, server: Server) -> None:
    reference = replace(archive(server), address=f"https://{server.host}/other.tgz")
    assert "answered 404" in refused(remote, reference, server.host)


def test_another_authority_is_not_trusted(
    remote: ChartRemote, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "cannot be asked" in refused(remote, archive(server), server.host)
    assert server.asked == []


def test_more_than_a_chart_is_not_read_to_its_end(
    remote: ChartRemote, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.adapters.chart_remote.CHART_BYTES", 1024 * 1024)
    assert "sends more than 1 MiB" in refused(remote, archive(server, b"x" * 3_000_000), server.host)


def test_nothing_of_the_machine_is_sent(
    remote: ChartRemote, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text(f"machine localhost login {CANARY} password {CANARY}\n")
    monkeypatch.setenv("GITHUB_TOKEN", CANARY)
    remote.fetch(in_registry(server), [server.host])
    assert CANARY not in str(server.asked)


@pytest.fixture
def rendered(tmp_path: Path, helm: str, server: Server) -> tuple[HelmRenderer, Source, Environment]:
    reference = in_registry(server)
    repo = GitFolder(tmp_path / "shop")
    repo.commit({"values.yaml": "greeting: bye\n", "empty.yaml": "greeting: ''\n"})
    remote = ChartRemote(tmp_path / "cache", lambda: False)
    renderer = HelmRenderer(GitRepository(repo.folder), program=helm, remote=remote)
    chart = HelmChart(release="web", digest=reference.digest, values=("values.yaml",))
    source = Source(kind="helm", path=reference.address, origin=Origin("e.yaml", 8), helm=chart)
    allow = Allow(remote=(server.host,))
    return (
        renderer,
        source,
        Environment(name="dev", application="a", namespace="n", path="e.yaml", allow=allow),
    )


def test_it_is_rendered_with_the_values_of_the_commit(
    rendered: tuple[HelmRenderer, Source, Environment],
) -> None:
    renderer, source, environment = rendered
    revision = renderer.repository.resolve("HEAD")
    (one,) = renderer.render(revision, source, environment)
    assert one.body["data"] == {"greeting": "bye"}
    assert one.origin == source.origin
    assert [used.path for used in renderer.uses(revision, source)] == ["values.yaml"]


def test_problems_of_it_are_told_where_it_is_named(
    rendered: tuple[HelmRenderer, Source, Environment],
) -> None:
    renderer, source, environment = rendered
    assert source.helm is not None
    without = replace(source, helm=replace(source.helm, values=("empty.yaml",)))
    with pytest.raises(InvalidError) as caught:
        renderer.render(renderer.repository.resolve("HEAD"), without, environment)
    (problem,) = caught.value.problems
    assert str(problem).startswith("e.yaml:8: helm: a greeting (web/templates/x.yaml:4)")
    assert os.sep not in str(problem).partition("helm:")[0]

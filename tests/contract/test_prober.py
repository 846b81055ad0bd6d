"""What one sample of a health check says, for every way in which a service can answer or not."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.adapters.cluster import KubeCluster
from pipeline.adapters.prober import BODY_BYTES, KubeProber
from pipeline.model.environment import HttpCheck, TcpCheck
from pipeline.model.status import Sample, Verdict
from tests.contract.fake_server import FakeClock, Login, Reply, Script, open_fake, serving, status

WEB = HttpCheck(service="web", port=80, path="/health?full=1")
DATABASE = TcpCheck(service="db", port="sql")
REFUSED = status(
    503, "ServiceUnavailable", "error trying to reach service: dial tcp 10.0.0.9:80: connect: refused"
)
READY = Reply(body={"items": [{"endpoints": [{"conditions": {"ready": True}}]}]})


@pytest.fixture
def script() -> Iterator[Script]:
    with serving() as script:
        yield script


@pytest.fixture
def kube(script: Script) -> Iterator[KubeCluster]:
    kube = open_fake(script, FakeClock(), Login())
    yield kube
    kube.http.connection.close()


def sample(kube: KubeCluster, check: HttpCheck | TcpCheck, timeout_s: float = 5.0) -> Sample:
    return KubeProber(kube.http, lambda: 0.0).probe(check, "demo", timeout_s)


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Reply(200, b"fine"), Verdict.PASS),
        (Reply(404, b"no page"), Verdict.FAIL),
        (Reply(302, b"", {"Location": "/login"}), Verdict.FAIL),
        (Reply(403, b"the application forbids it"), Verdict.FAIL),
        (REFUSED, Verdict.FAIL),
        (status(503, "ServiceUnavailable", 'no endpoints available for service "web"'), Verdict.FAIL),
        (status(404, "NotFound", 'services "web" not found'), Verdict.FAIL),
        (status(403, "Forbidden", "cannot get resource services/proxy"), Verdict.ERROR),
        (status(401, "Unauthorized", "Unauthorized"), Verdict.ERROR),
        (Reply(reset=True), Verdict.ERROR),
    ],
)
def test_an_http_sample_through_the_api_server(
    kube: KubeCluster, script: Script, reply: Reply, verdict: Verdict
) -> None:
    script.says(reply)

    seen = sample(kube, WEB)

    assert seen.verdict is verdict, seen.message
    assert script.requests[0].path == "/api/v1/namespaces/demo/services/http:web:80/proxy/health?full=1"


def test_the_api_servers_own_refusal_is_never_the_wanted_status(kube: KubeCluster, script: Script) -> None:
    script.says(REFUSED)

    assert sample(kube, HttpCheck(service="web", status=503)).verdict is Verdict.FAIL

    script.says(Reply(503, b"the application is in maintenance"))
    assert sample(kube, HttpCheck(service="web", status=503)).verdict is Verdict.PASS


def test_the_body_must_contain_the_wanted_text_within_its_first_part(
    kube: KubeCluster, script: Script
) -> None:
    check = HttpCheck(service="web", contains="green")

    for body, verdict in (
        (b"all green", Verdict.PASS),
        (b"all red", Verdict.FAIL),
        (b"x" * BODY_BYTES + b"green", Verdict.FAIL),
    ):
        script.says(Reply(200, body))
        assert sample(kube, check).verdict is verdict


@pytest.mark.parametrize("path", ["/../../secrets/s", "/%2e%2e/x", "/a/./b", "..", "/a\\..\\b"])
def test_a_path_cannot_climb_out_of_the_proxy(kube: KubeCluster, script: Script, path: str) -> None:
    assert sample(kube, HttpCheck(service="web", path=path)).verdict is Verdict.ERROR
    assert script.requests == []


def test_a_url_is_fetched_without_our_login(kube: KubeCluster, script: Script) -> None:
    script.says(Reply(200, b"fine"))

    assert sample(kube, HttpCheck(url=f"{script.server}/x")).verdict is Verdict.PASS
    assert "Authorization" not in script.requests[0].headers


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/", "http://", "nonsense"])
def test_only_http_addresses_are_fetched(kube: KubeCluster, url: str) -> None:
    assert sample(kube, HttpCheck(url=url)).verdict is Verdict.ERROR


def test_a_url_that_nobody_serves_fails(kube: KubeCluster) -> None:
    seen = sample(kube, HttpCheck(url=f"http://127.0.0.1:{unused_port()}/"))

    assert seen.verdict is Verdict.FAIL
    assert "refused" in seen.message


def test_a_service_that_does_not_answer_in_time_fails(kube: KubeCluster) -> None:
    with listening() as port:
        assert sample(kube, HttpCheck(url=f"http://127.0.0.1:{port}/"), 0.2).verdict is Verdict.FAIL


def test_a_tcp_sample_of_a_host_is_a_connection(kube: KubeCluster) -> None:
    with listening() as port:
        assert sample(kube, TcpCheck(host="127.0.0.1", port=port)).verdict is Verdict.PASS
    assert sample(kube, TcpCheck(host="127.0.0.1", port=unused_port())).verdict is Verdict.FAIL
    assert sample(kube, TcpCheck(host="127.0.0.1", port="sql")).verdict is Verdict.ERROR


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Reply(200, b"hello"), Verdict.PASS),
        (status(503, "ServiceUnavailable", "error trying to reach service: EOF"), Verdict.PASS),
        (status(502, "", "error trying to reach service: malformed HTTP response"), Verdict.PASS),
        (REFUSED, Verdict.FAIL),
        (status(503, "ServiceUnavailable", 'no service port "sql" found'), Verdict.FAIL),
        (status(404, "NotFound", 'services "db" not found'), Verdict.FAIL),
        (status(403, "Forbidden", "cannot get resource services/proxy"), Verdict.ERROR),
    ],
)
def test_a_tcp_sample_of_a_service(kube: KubeCluster, script: Script, reply: Reply, verdict: Verdict) -> None:
    script.says(READY, reply)

    assert sample(kube, DATABASE).verdict is verdict


@pytest.mark.parametrize("endpoints", [[], [{"conditions": {"ready": False}}], None])
def test_a_service_without_a_ready_endpoint_fails(kube: KubeCluster, script: Script, endpoints: Any) -> None:
    script.says(Reply(body={"items": [{"endpoints": endpoints}]}))

    seen = sample(kube, DATABASE)

    assert (seen.verdict, seen.message) == (Verdict.FAIL, "Service db has no ready endpoint")


def test_endpoints_that_may_not_be_read_are_an_error(kube: KubeCluster, script: Script) -> None:
    script.says(status(403, "Forbidden", "cannot list endpointslices"))

    assert sample(kube, DATABASE).verdict is Verdict.ERROR


class listening:  # noqa: N801 - reads as a word
    """A port that accepts connections and says nothing."""

    def __enter__(self) -> int:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._held: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()
        return int(self._socket.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for held in (*self._held, self._socket):
            held.close()

    def _accept(self) -> None:
        while True:
            try:
                self._held.append(self._socket.accept()[0])
            except OSError:
                return


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])

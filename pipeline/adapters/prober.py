"""One sample of a health check: over HTTP or TCP, directly or through the API server's proxy.

``fail`` means that the service was seen not to work; ``error`` that this could not be found out: no
permission, no API server, a check that makes no sense.

Limits. The proxy reaches endpoints that are pods only, not addresses written by hand, and speaks
HTTP only. A TCP sample of a Service therefore needs a ready endpoint and then counts any HTTP
answer, and any protocol error after connecting, as connected; a server that waits for its client to
speak first and never answers HTTP is an ``error``. The API server does not verify the certificate
of a Service behind an https port (443, or one that is called ``https``).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

import urllib3
from urllib3 import exceptions as http_errors

from pipeline.model.environment import HttpCheck, TcpCheck
from pipeline.model.errors import ApiError, UnreachableError
from pipeline.model.status import Sample, Verdict

from .apierror import clean, parse_status
from .connection import Connection, proxy_for
from .http import Call, Http, explain

BODY_BYTES = 64 * 1024  # enough for a health page; a check must not fill the runner's memory
SAFE = "/%:@!$&'()*+,;=-._~"

_NOT_CONNECTED = ("dial ", "no endpoints", "no service port", "not found")
"""How the API server words it when it did not get as far as a connection."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer: its status, the start of its body, and what the API server itself says, if it does."""

    status: int
    body: bytes
    refusal: str = ""


class Unseen(Exception):  # noqa: N818 - carries a verdict
    """No answer; the verdict and the sentence that follow from that."""

    def __init__(self, verdict: Verdict, message: str) -> None:
        super().__init__(message)
        self.verdict = verdict
        self.message = message


class KubeProber:
    """Implements ``ports.Prober``: never raises but for a signal. ``at_s`` of a sample is its duration."""

    def __init__(self, http: Http, monotonic: Callable[[], float]) -> None:
        self._http = http
        self._monotonic = monotonic

    def probe(self, probe: HttpCheck | TcpCheck, namespace: str, timeout_s: float) -> Sample:
        start = self._monotonic()
        try:
            verdict, message = self._sample(probe, namespace, timeout_s)
        except Unseen as unseen:
            verdict, message = unseen.verdict, unseen.message
        except (UnreachableError, ApiError) as exc:
            verdict, message = Verdict.ERROR, exc.message
        return Sample(at_s=self._monotonic() - start, verdict=verdict, message=message)

    def _sample(self, probe: HttpCheck | TcpCheck, namespace: str, timeout_s: float) -> tuple[Verdict, str]:
        match probe:
            case HttpCheck():
                return self._http_sample(probe, namespace, timeout_s)
            case TcpCheck():
                return self._tcp_sample(probe, namespace, timeout_s)

    def _http_sample(self, probe: HttpCheck, namespace: str, timeout_s: float) -> tuple[Verdict, str]:
        if probe.url:
            seen = self._direct(probe.url, timeout_s)
        else:
            seen = self._proxied(namespace, probe.service, probe.port, probe.path, timeout_s)
        if seen.refusal:
            return _of_refusal(seen)
        if seen.status != probe.status:
            also = ", a redirect, which is not followed" if 300 <= seen.status < 400 else ""
            return Verdict.FAIL, f"status {seen.status}{also}, wanted {probe.status}"
        if probe.contains and probe.contains.encode() not in seen.body:
            return Verdict.FAIL, f"status {seen.status}, but the body does not contain the wanted text"
        return Verdict.PASS, f"status {seen.status}"

    def _tcp_sample(self, probe: TcpCheck, namespace: str, timeout_s: float) -> tuple[Verdict, str]:
        if probe.host:
            return _dial(probe.host, probe.port, timeout_s)
        if not self._has_ready_endpoint(namespace, probe.service):
            return Verdict.FAIL, f"Service {probe.service} has no ready endpoint"
        try:
            seen = self._proxied(namespace, probe.service, probe.port, "/", timeout_s)
        except Unseen as unseen:
            if unseen.verdict is Verdict.FAIL:  # silent: perhaps connected, perhaps not
                return Verdict.ERROR, f"{unseen.message}; whether it was connected is not known"
            raise
        if not seen.refusal:
            return Verdict.PASS, "connected"
        verdict, message = _of_refusal(seen)
        is_connected = seen.status >= 500 and not any(sign in seen.refusal for sign in _NOT_CONNECTED)
        if verdict is Verdict.FAIL and is_connected:
            return Verdict.PASS, "connected"
        return verdict, message

    def _has_ready_endpoint(self, namespace: str, service: str) -> bool:
        slices = self._http.json(
            Call(
                method="GET",
                path=f"/apis/discovery.k8s.io/v1/namespaces/{quote(namespace, safe='')}/endpointslices",
                what=f"read the endpoints of Service/{service}",
                query={"labelSelector": f"kubernetes.io/service-name={service}"},
                idempotent=True,
                budget_s=0,  # the next sample is the retry
            )
        )
        return any(
            (endpoint.get("conditions") or {}).get("ready") is not False  # absent means ready
            for item in slices.get("items") or []
            for endpoint in item.get("endpoints") or []
        )

    def _proxied(self, namespace: str, service: str, port: int | str, path: str, timeout_s: float) -> Seen:
        """GET through the API server. Raises Unseen."""
        connection = self._http.connection
        scheme = "https" if str(port) in ("443", "https") else "http"
        target = quote(f"{scheme}:{service}:{port}", safe=":")
        url = (
            f"{connection.server}/api/v1/namespaces/{quote(namespace, safe='')}"
            f"/services/{target}/proxy{_safe_path(path)}"
        )
        try:
            seen = self._through(connection, url, timeout_s)
            if seen.status == 401 and seen.refusal:
                connection.renew()
                seen = self._through(connection, url, timeout_s)
        except http_errors.ReadTimeoutError:
            raise Unseen(Verdict.FAIL, f"no answer within {timeout_s:g} s") from None
        except (http_errors.HTTPError, OSError) as exc:
            raise Unseen(Verdict.ERROR, f"{connection.server} {explain(exc)[0]}") from exc
        return seen

    def _through(self, connection: Connection, url: str, timeout_s: float) -> Seen:
        status, body = self._fetch(connection.pool, url, timeout_s, connection.headers())
        # The proxy's own errors are Status objects; what the service says is passed on as it is.
        said = parse_status(body) if status >= 400 else {}
        return Seen(status, body, clean(said.get("message"), 300) or str(said.get("reason") or ""))

    def _direct(self, url: str, timeout_s: float) -> Seen:
        """GET a URL without the cluster. Raises Unseen."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unseen(Verdict.ERROR, "the check's url is neither http nor https")
        proxy = proxy_for(url)
        pool = urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()
        try:
            return Seen(*self._fetch(pool, url, timeout_s, {}))
        except http_errors.ProxyError as exc:
            raise Unseen(Verdict.ERROR, f"{parts.hostname} {explain(exc)[0]}") from exc
        except http_errors.LocationValueError:
            raise Unseen(Verdict.ERROR, "the check's url is not a valid address") from None
        except (http_errors.TimeoutError, TimeoutError) as exc:
            if isinstance(exc, http_errors.NewConnectionError):
                raise Unseen(Verdict.FAIL, f"{parts.hostname} {explain(exc)[0]}") from exc
            raise Unseen(Verdict.FAIL, f"no answer within {timeout_s:g} s") from None
        except (http_errors.HTTPError, OSError) as exc:
            raise Unseen(Verdict.FAIL, f"{parts.hostname} {explain(exc)[0]}") from exc
        finally:
            pool.clear()

    def _fetch(
        self, pool: urllib3.PoolManager, url: str, timeout_s: float, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        """(status, the first 64 KiB of the body), all within the timeout."""
        deadline = self._monotonic() + timeout_s
        response = pool.request(
            "GET",
            url,
            headers={"User-Agent": "pipeline", "Accept": "*/*", **headers},
            timeout=urllib3.Timeout(total=timeout_s),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        body = b""
        try:
            while len(body) < BODY_BYTES and (piece := response.read1(BODY_BYTES - len(body))):
                body += piece
                if self._monotonic() > deadline:  # a body that drips would outlast any read timeout
                    break
        finally:
            response.close()
        return response.status, body


def _of_refusal(seen: Seen) -> tuple[Verdict, str]:
    """The verdict on an answer of the API server itself."""
    if seen.status == 404:  # said of a Service without endpoints too
        return Verdict.FAIL, f"{seen.refusal}, or without endpoints"
    if seen.status >= 500:
        return Verdict.FAIL, seen.refusal
    return Verdict.ERROR, f"the API server answered {seen.status}: {seen.refusal}"


def _dial(host: str, port: int | str, timeout_s: float) -> tuple[Verdict, str]:
    if not str(port).isdigit():
        return Verdict.ERROR, f"port {port!r} is not a number"
    try:
        with socket.create_connection((host, int(port)), timeout=timeout_s):
            return Verdict.PASS, "connected"
    except TimeoutError:
        return Verdict.FAIL, f"no connection within {timeout_s:g} s"
    except (OSError, OverflowError, UnicodeError) as exc:
        return Verdict.FAIL, clean(getattr(exc, "strerror", None) or str(exc), 200)


def _safe_path(path: str) -> str:
    """The path and query, encoded; it may not climb out of the proxy's own path, which has our login."""
    path, mark, query = path.partition("?")
    steps = unquote(path).replace("\\", "/").split("/")
    if ".." in steps or "." in steps:
        raise Unseen(Verdict.ERROR, "the check's path contains a step of dots")
    return quote("/" + path.lstrip("/"), safe=SAFE) + mark + quote(query, safe=SAFE + "?")

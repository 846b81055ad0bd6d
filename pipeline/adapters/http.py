"""Requests to one API server: login, time limits, retries, and errors in our own words.

Thread-safe: the pool is, the credentials are, and the rest is one small locked record.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import urlencode

import urllib3
from urllib3 import exceptions as http_errors

from pipeline import failpoint
from pipeline.failpoint import Point
from pipeline.model.errors import ApiError, PipelineError, UnreachableError
from pipeline.model.objects import Json

from .apierror import api_error, clean, parse_status
from .connection import Connection
from .pace import Pace
from .pool import Ahead, Sending, nothing, pool_of
from .retry import FIRST_CONTACT_S, TOTAL_S, Again, Retrier, attempts_worth, retry_after

CONNECT_S = 10.0
NONSENSE = 3  # times that an answer that is none is asked for again
OPENS_S = 10.0  # until the head of a stream
READ_S = 60.0  # the API server itself gives up on a request after 60 s
OVERSLEPT_S = 1.0  # so much later than its time-out nobody who is awake is told of it
_NEVER = urllib3.Retry.from_int(False, redirect=False)  # retries are ours


_NOT_IN_YAML = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def encode(body: Json) -> bytes:
    """JSON that means the same to those who read it as YAML, as the server does with an apply.

    There some characters are refused, and line breaks of Unicode are folded with the blanks around them
    (YAML 1.1, "Character Set" and "Line Break Characters"): they are escaped.
    """
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    if text.isascii() and "\x7f" not in text:
        return text.encode()
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. ``what`` is what it does in our words; ``secret`` keeps its answers out of messages.

    ``idempotent`` says that doing it twice is as good as once; ``patient``, that what refuses it now may
    be just coming up; ``paced``, that it is one of many, which must not overrun the server;
    ``compressed``, that its answer may be large; ``fenced``, that only the holder of the lock may send
    it; ``budget_s`` 0 means one attempt.
    """

    method: str
    path: str
    what: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Json = field(default=None, repr=False)
    content_type: str = "application/json"
    accept: str = "application/json"
    idempotent: bool = False
    patient: bool = False
    paced: bool = False
    compressed: bool = False
    secret: bool = False
    fenced: bool = False
    read_s: float = READ_S
    budget_s: float = TOTAL_S


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole. ``document`` is what a success says in JSON, where that was asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    document: Json = field(default=None, repr=False)


class Http:
    """Sends calls over one connection. All methods raise ApiError or UnreachableError."""

    def __init__(
        self,
        connection: Connection,
        *,
        sleep: Callable[[float], None],
        monotonic: Callable[[], float],
        stopped: Callable[[], bool] = lambda: False,
        parallelism: int = 16,
    ) -> None:
        self.connection = connection
        self._sending = Sending(monotonic)
        self._pool, self._root = pool_of(connection, self._sending, Ahead(parallelism))
        self.retrier = Retrier(sleep=sleep, monotonic=monotonic, stopped=stopped)
        self._pace = Pace(parallelism, monotonic)
        self._monotonic = monotonic
        self.fence: Callable[[], None] = lambda: None
        """Asked before each attempt at a fenced call, and when its connection stands; it may raise."""
        self._lock = threading.Lock()
        self._date: tuple[float, float] | None = None
        self._last_date = ""

    @property
    def lanes(self) -> int:
        """How many paced calls may be under way now."""
        return self._pace.allowed

    def send(self, call: Call, *, accept_status: frozenset[int] = frozenset()) -> Answer:
        """The answer; statuses from 300 are errors, unless in ``accept_status``."""

        def attempt() -> Answer:
            answer = self._once(call)
            if answer.status < 300:
                return self._decoded(call, answer)
            if answer.status in accept_status:
                return answer
            raise self._refusal(call, answer)

        return self.retrier.run(attempt, budget_s=self._budget(call))

    def json(self, call: Call) -> Json:
        """The decoded body."""
        return self.send(call).document

    def stream(self, call: Call) -> urllib3.BaseHTTPResponse:
        """The answer with its body unread; the caller closes it. Retried like any other until it starts.

        It has to start within ``OPENS_S``, as the API server does it at once; later silence is bounded by the
        call's own ``read_s``.
        """
        opening = replace(call, read_s=OPENS_S)

        def attempt() -> urllib3.BaseHTTPResponse:
            response = self._exchange(opening, preload=False)
            if response.status == 200:
                sock = getattr(getattr(response, "connection", None), "sock", None)
                if sock is not None:
                    sock.settimeout(call.read_s)
                return response
            answer = Answer(response.status, response.headers, self._read_all(call, response))
            raise self._refusal(call, answer)

        return self.retrier.run(attempt, budget_s=self._budget(call))

    def now(self) -> float | None:
        """The server's wall clock: its last Date header plus the time since then; None before any."""
        with self._lock:
            if self._date is None:
                return None
            date, at = self._date
        return date + self._monotonic() - at

    def unreachable(self, what: str, error: Exception) -> UnreachableError:
        """The error for an exchange that failed below HTTP."""
        reason, hint = explain(error)
        return UnreachableError(f"{what}: {self.connection.server} {reason}", hint=hint)

    def _budget(self, call: Call) -> float:
        return call.budget_s if self.now() is not None else min(call.budget_s, FIRST_CONTACT_S)

    def _once(self, call: Call) -> Answer:
        if not call.paced:
            response = self._exchange(call, preload=True)
        else:
            with self._pace.turn() as turn:
                response = self._exchange(call, preload=True)
                turn.answered(response.status)
        return Answer(response.status, response.headers, response.data)

    def _exchange(self, call: Call, *, preload: bool) -> urllib3.BaseHTTPResponse:
        """One request; a refused login is tried once more with new credentials."""
        response = self._wire(call, preload=preload)
        if response.status == 401:
            response.release_conn()
            self.connection.renew()
            response = self._wire(call, preload=preload)
        if response.status == 401:
            response.release_conn()
            raise UnreachableError(
                f"{call.what}: the cluster refused the login ({self.connection.source})",
                hint=self.connection.login_hint,
            )
        return response

    def _wire(self, call: Call, *, preload: bool) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": call.accept, "User-Agent": "pipeline", **self.connection.headers()}
        if call.compressed:
            headers["Accept-Encoding"] = "gzip"
        body = None
        if call.body is not None:
            body = encode(call.body)
            headers["Content-Type"] = call.content_type
        query = _encoded(tuple(call.query.items())) if call.query else ""
        self._sending.fence = self.fence if call.fenced else nothing
        self._sending.fence()  # who may not send need not connect
        try:
            response = self._pool.urlopen(
                call.method,
                f"{self._root}{call.path}{query}",
                body=body,
                headers=headers,
                timeout=_patience(call.read_s),
                retries=_NEVER,
                redirect=False,  # would carry the token elsewhere
                preload_content=preload,
            )
            if call.method != "GET":
                failpoint.passing(Point.WRITE_SENT)
        except (http_errors.HTTPError, OSError) as exc:
            raise self._lost(call, exc) from exc
        self._note_date(response.headers.get("Date", ""))
        return response

    def _read_all(self, call: Call, response: urllib3.BaseHTTPResponse) -> bytes:
        try:
            return response.read()
        except (http_errors.HTTPError, OSError) as exc:
            raise self._lost(call, exc) from exc
        finally:
            response.release_conn()

    def _decoded(self, call: Call, answer: Answer) -> Answer:
        """With its document. What else comes with success is somebody's on the way, a proxy's that asks for a
        login: as good as no answer, for nobody knows what the server has done."""
        if not call.accept.startswith("application/json"):
            return answer
        try:
            document = json.loads(answer.body)
            if isinstance(document, dict):
                return replace(answer, body=b"", document=document)
        except ValueError:
            pass
        error = UnreachableError(
            f"{call.what}: {self.connection.server} answered something that is not JSON",
            hint="is this the address of a Kubernetes API server, or of a proxy in front of it?",
        )
        if call.idempotent:
            raise Again(error, limit=NONSENSE)
        raise _in_doubt(error)

    def _lost(self, call: Call, exc: Exception) -> Exception:
        """What becomes of a call that got no answer."""
        error = self.unreachable(call.what, exc)
        error.__cause__ = exc
        if isinstance(_root(exc), ssl.SSLCertVerificationError):
            return error
        if was_not_sent(exc) or (call.idempotent and not self._is_used_up(call, exc)):
            return Again(error)
        return error if call.idempotent else _in_doubt(error)

    def _is_used_up(self, call: Call, exc: Exception) -> bool:
        """Whether all patience was used up on an answer that did not come. Not where its time passed while
        nobody here could take it, as the process was stopped, or its machine: what the server made of the
        request may be gone by now, connection and all."""
        if not isinstance(exc, http_errors.ReadTimeoutError):
            return False
        return self._sending.ago_s <= call.read_s + OVERSLEPT_S

    def _refusal(self, call: Call, answer: Answer) -> Exception:
        """What becomes of a call that was answered with an error."""
        error: PipelineError = api_error(call.what, answer.status, answer.body, secret=call.secret)
        if answer.status < 400:
            error = UnreachableError(
                f"{call.what}: {self.connection.server} answered with a redirect, which is not followed",
                hint="is this the address of a Kubernetes API server?",
            )
        else:
            status = parse_status(answer.body)
            limit = attempts_worth(answer.status, status, idempotent=call.idempotent, patient=call.patient)
            if limit > 1:
                return Again(error, after_s=retry_after(answer.headers), limit=limit)
        return error

    def _note_date(self, header: str) -> None:
        """Of many answers of one second the first tells best when that second began."""
        if header == self._last_date:
            return
        try:
            date = parsedate_to_datetime(header).timestamp()
        except (ValueError, TypeError):
            return
        with self._lock:
            self._last_date = header
            self._date = date, self._monotonic()


@lru_cache(64)
def _encoded(query: tuple[tuple[str, str], ...]) -> str:
    """The same few queries thousands of times."""
    return f"?{urlencode(query)}"


def _in_doubt(error: UnreachableError) -> UnreachableError:
    error.message += "; whether it was done is not known"
    error.args = (error.message,)
    return error


@lru_cache(64)
def _patience(read_s: float) -> urllib3.Timeout:
    return urllib3.Timeout(connect=CONNECT_S, read=read_s)


def explain(error: Exception) -> tuple[str, str]:
    """(why there is no answer, what to do) in plain words, of an error of urllib3 or the socket."""
    if isinstance(error, http_errors.ProxyError):
        why = clean(str(error.original_error), 120)
        return f"cannot be reached through the proxy: {why}", "check HTTPS_PROXY, NO_PROXY or proxy-url"
    cause = _root(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = clean(cause.verify_message, 200)
        return f"shows a certificate that is not trusted: {why}", (
            "the certificate authority of the configuration is not the server's: was the cluster made anew?"
        )
    for kind, reason, hint in _EXPLANATIONS:
        if isinstance(error, kind) or isinstance(cause, kind):
            return reason, hint
    return f"broke off: {clean(str(cause), 160) or type(cause).__name__}", "try again"


def was_not_sent(error: Exception) -> bool:
    """Whether the request certainly never left: there was no connection."""
    return isinstance(error, http_errors.NewConnectionError | http_errors.ConnectTimeoutError)


def _root(error: BaseException) -> BaseException:
    """The innermost error: urllib3 keeps the socket's own as cause, context or last argument."""
    while True:
        inner = next((a for a in reversed(error.args) if isinstance(a, BaseException)), None)
        inner = inner or error.__cause__ or error.__context__
        if inner is None:
            return error
        error = inner


_NETWORK = (
    "check the address, the network, VPN or firewall; a private endpoint needs a runner inside its network"
)

# In this order: a NewConnectionError is a ConnectTimeoutError too, and wraps the socket's own error.
_EXPLANATIONS: tuple[tuple[type[BaseException], str, str], ...] = (
    (http_errors.NameResolutionError, "has a name that cannot be resolved", _NETWORK),
    (ConnectionRefusedError, "refused the connection", "is the cluster running, and is this its address?"),
    (ConnectionResetError, "closed the connection", "try again; a load balancer or the server was restarted"),
    (http_errors.ReadTimeoutError, "did not answer in time", "the API server is overloaded or cut off"),
    (http_errors.NewConnectionError, "cannot be connected to", _NETWORK),
    (http_errors.ConnectTimeoutError, f"did not accept a connection within {CONNECT_S:.0f} s", _NETWORK),
    (ssl.SSLError, "broke off the TLS connection", "is this an https address, and no proxy in between?"),
)

__all__ = ["Answer", "ApiError", "Call", "Http", "explain"]

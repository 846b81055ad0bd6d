"""What an https server has at an address, within limits, and only from hosts that an environment allows.

Servers are asked as anybody asks them. Only one that does not let anybody in gets a login, which is that of
this very host; where it sends us on, it does not come along.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

import urllib3

from pipeline.model.errors import InterruptedRunError, InvalidError, UnreachableError

from .connection import proxy_for
from .logins import Login, nobody

_TIMEOUT: Final = urllib3.Timeout(connect=10.0, read=30.0)
_RETRIES: Final = urllib3.Retry(
    3, redirect=0, raise_on_redirect=False, status_forcelist=(429, 502, 503, 504), backoff_factor=0.5
)
_HOPS: Final = 5
_SECONDS: Final = 300.0
"""However it trickles in: as long as a rendering may take."""


_DENIED: Final = (401, 403, 404)
"""Some servers say that there is nothing, where they mean that it is not for everybody."""


def basic(login: str) -> dict[str, str]:
    """The header that logs in."""
    return {"Authorization": f"Basic {login}"}


class LoginWantedError(Exception):
    """The 401 of ``host``. ``sent``: though it was given a login."""

    def __init__(self, host: str, challenge: str, *, sent: bool = False) -> None:
        super().__init__("401")
        self.host = host
        self.challenge = challenge
        self.sent = sent


def not_let_in(what: str, host: str, *, sent: bool, registry: bool = False) -> UnreachableError:
    """What to do about a host that wants a login; another one where one was ``sent``."""
    if sent:
        hint = "has it expired, and may it read this? log in anew"
        return UnreachableError(f"{what}: {host} refuses the login", hint=hint)
    way = (
        f"`docker login {host}` or `helm registry login {host}`" if registry else "`helm repo add --username`"
    )
    hint = f"log in, as by {way}; or commit a copy"
    return UnreachableError(f"{what}: {host} wants a login", hint=hint)


class _DeniedError(Exception):
    """Another status than 200, that of ``host``."""

    def __init__(self, host: str, status: int, challenge: str) -> None:
        super().__init__(str(status))
        self.host = host
        self.status = status
        self.challenge = challenge


@dataclass(frozen=True, slots=True)
class Download:
    """``what`` begins each message; ``allowed`` are the hosts that may be asked, also where one
    sends us on; ``seconds`` are for one content."""

    what: str
    allowed: Collection[str]
    stopped: Callable[[], bool]
    seconds: float = _SECONDS
    login: Login = nobody

    def get(self, url: str, limit: int, headers: Mapping[str, str] | None = None) -> bytes:
        """At most ``limit`` bytes. ``headers`` are for the first host alone.

        Raises:
            InvalidError: a host is not allowed, or sends more.
            UnreachableError: a server cannot be asked, or does not have it.
            LoginWantedError: a server says how one logs in.
        """
        try:
            return self._follow(url, limit, headers or {})
        except _DeniedError as denied:
            first = urlsplit(url).netloc
            login = self.login(first) if denied.status in _DENIED and denied.host == first else ""
            if not login:
                raise self._told(denied) from None
        try:
            return self._follow(url, limit, {**(headers or {}), **basic(login)})
        except _DeniedError as denied:
            raise self._told(denied, sent=denied.host == first) from None

    def _told(self, denied: _DeniedError, *, sent: bool = False) -> Exception:
        if denied.status == 401 and denied.challenge:
            return LoginWantedError(denied.host, denied.challenge, sent=sent)
        host = urlsplit(f"//{denied.host}").hostname
        return UnreachableError(f"{self.what}: {host} answered {denied.status}")

    def _follow(self, url: str, limit: int, headers: Mapping[str, str]) -> bytes:
        first = urlsplit(url).netloc
        for _ in range(_HOPS):
            parts = urlsplit(url)
            self._allow(parts.scheme, parts.netloc)
            sent = headers if parts.netloc == first else {}
            answer = self._ask(url, {"User-Agent": "pipeline", **sent}, limit)
            if isinstance(answer, bytes):
                return answer
            url = urljoin(url, answer)
        raise UnreachableError(f"{self.what}: sent on more than {_HOPS} times")

    def _allow(self, scheme: str, host: str) -> None:
        if scheme != "https":
            raise InvalidError(f"{self.what}: sent on to an address that is not https")
        if host not in self.allowed:
            raise InvalidError(
                f"{self.what}: {host} is not an allowed host",
                hint=f"write allow.remote: [{host}], if it may come from there",
            )

    def _ask(self, url: str, headers: Mapping[str, str], limit: int) -> bytes | str:
        """The content, or the address that the server sends us to."""
        what = f"{self.what}: {urlsplit(url).hostname}"
        proxy = proxy_for(url)
        try:
            with urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager() as pool:
                answer = pool.request(
                    "GET", url, headers=headers, timeout=_TIMEOUT, retries=_RETRIES, preload_content=False
                )
                with answer:
                    if answer.status in (301, 302, 303, 307, 308) and answer.headers.get("Location"):
                        return str(answer.headers["Location"])
                    if answer.status != 200:
                        challenge = answer.headers.get("WWW-Authenticate", "")
                        raise _DeniedError(urlsplit(url).netloc, answer.status, challenge)
                    return self._read(answer, limit, what)
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(f"{what} cannot be asked: {type(error).__name__}") from error

    def _read(self, answer: urllib3.BaseHTTPResponse, limit: int, what: str) -> bytes:
        until = time.monotonic() + self.seconds
        content = bytearray()
        # What is there at once, not a whole piece: a server that trickles must not hold us for ever.
        while chunk := answer.read1(1 << 16):
            content += chunk
            if len(content) > limit:
                raise InvalidError(f"{what} sends more than {limit >> 20} MiB")
            if self.stopped():
                raise InterruptedRunError(f"{what}: stopped")
            if time.monotonic() > until:
                raise UnreachableError(f"{what} takes more than {self.seconds:g} s")
        return bytes(content)

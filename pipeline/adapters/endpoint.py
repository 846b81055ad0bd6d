"""The way to an API server: whom to trust, which certificate to show, and the proxy between.

One TLS context serves all connections: reading the authorities and the key anew for each costs a
millisecond of processor time, and a deploy opens dozens.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.model.errors import UnreachableError

from .apierror import clean
from .connection import proxy_for

if TYPE_CHECKING:
    import urllib3


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server and what its connections are made with. Certificates and keys are PEM.

    Without ``authorities`` those of the system count. ``server_name`` is the name in the server's
    certificate where it differs from the host. A ``proxy`` of None is what the environment says.
    """

    server: str
    authorities: bytes = b""
    is_verified: bool = True
    server_name: str = ""
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)
    proxy: str | None = None


def open_pool(endpoint: Endpoint, size: int) -> urllib3.PoolManager:
    """Connections to one endpoint, ``size`` of them kept. None is opened yet.

    Raises:
        UnreachableError: a certificate, the key or the proxy cannot be used; says which.
    """
    import urllib3
    from urllib3.util import make_headers, parse_url

    options: dict[str, Any] = {"maxsize": size, "socket_options": _keep_alive()}
    if endpoint.server.startswith("https:"):
        options |= {"ssl_context": _context(endpoint)}
        if endpoint.server_name:
            options |= {"server_hostname": endpoint.server_name}
    proxy = proxy_for(endpoint.server) if endpoint.proxy is None else endpoint.proxy
    if not proxy:
        return urllib3.PoolManager(**options)
    with _told(endpoint.server, "the proxy"):
        if proxy.startswith("socks"):
            from urllib3.contrib.socks import SOCKSProxyManager

            return SOCKSProxyManager(proxy, **options)
        login = parse_url(proxy).auth
        headers = make_headers(proxy_basic_auth=login) if login else None
        return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    from urllib3.util import create_urllib3_context

    context = create_urllib3_context()
    # Python 3.13 wants an extension that the authorities of many clusters have not, those of EKS among them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not endpoint.is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif endpoint.authorities:
        with _told(endpoint.server, "the certificate authority"):
            # What is not ASCII stands in remarks between the certificates.
            context.load_verify_locations(cadata=endpoint.authorities.decode("ascii", "ignore"))
    else:
        context.load_default_certs()
    if endpoint.certificate:
        with _told(endpoint.server, "the client's certificate or key"):
            pair = endpoint.certificate.rstrip() + b"\n" + endpoint.key
            with _as_file(pair) as path:
                context.load_cert_chain(path, password=_ask_nobody)
    return context


def _ask_nobody() -> str:
    """OpenSSL would ask on the terminal."""
    raise ValueError("the key is encrypted")


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A path to read a key from, as OpenSSL wants it; in memory where the system can, so that a run that is
    killed leaves no key behind."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pipeline", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
    else:
        with tempfile.NamedTemporaryFile(prefix="pipeline-") as file:
            file.write(content)
            file.flush()
            yield file.name


@contextlib.contextmanager
def _told(server: str, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, ImportError) as exc:
        reason = clean(str(exc), 200)
        raise UnreachableError(f"{server}: {what} cannot be used: {reason}") from exc


def _keep_alive() -> list[tuple[int, int, int]]:
    """TCP probes after 30 s of silence, as client-go has them: else a watch outlives a dead connection."""
    from urllib3.connection import HTTPConnection

    options: list[Any] = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):  # not on every system
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), 30))
    return options

"""Connections from kubeconfig files, merged and read as client-go does.

Certificates, tokens and passwords are read here; exec plugins and auth providers are the ``kubernetes``
package's business.
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pipeline.model.errors import UnreachableError

from .apierror import clean
from .connection import Connection, Credentials
from .endpoint import Endpoint, open_pool

Document = dict[str, Any]

PLUGINS = frozenset({"exec", "auth-provider"})
IMPERSONATION = frozenset({"as", "as-uid", "as-groups", "as-user-extra"})


class Entry(NamedTuple):
    """A cluster, user or context, and the folder of its file, from which its relative paths start."""

    fields: Document
    folder: Path


class Context(NamedTuple):
    """A context and what it names."""

    name: str
    namespace: str
    cluster: Entry
    user: Entry


class KubeconfigLogin:
    """Who a kubeconfig says that we are. ``log_in`` reads the files anew: so is a refused login renewed."""

    def __init__(self, log_in: Callable[[], Credentials]) -> None:
        self._log_in = log_in
        self._lock = threading.Lock()
        self.inner = log_in()

    def headers(self) -> dict[str, str]:
        return self.inner.headers()

    def renew(self) -> None:
        with self._lock:
            self.inner = self._log_in()


class FixedLogin(NamedTuple):
    """A token or password that stands in the files, or nothing where a certificate says who we are."""

    fixed: dict[str, str]

    def headers(self) -> dict[str, str]:
        return self.fixed

    def renew(self) -> None:
        """Nothing of its own to renew: ``KubeconfigLogin`` reads the files."""


def load(paths: Sequence[Path], context: str, *, pool_size: int) -> Connection:
    """Connect as ``context``, or as the current context, of the files, merged as kubectl merges them."""
    shown = ", ".join(str(p) for p in paths)
    chosen = _context(paths, context, shown)
    login = KubeconfigLogin(lambda: _log_in(paths, chosen.name, shown))
    endpoint = _endpoint(chosen, login.inner)
    return Connection(
        server=endpoint.server,
        pool=open_pool(endpoint, pool_size),
        credentials=login,
        namespace=chosen.namespace,
        source=f"context {chosen.name} of {shown}",
        login_hint=_login_hint(chosen.user.fields),
    )


def _context(paths: Sequence[Path], wanted: str, shown: str) -> Context:
    documents = [(path, document) for path in paths if (document := _document(path)) is not None]
    if not documents:
        raise UnreachableError(
            f"no kubeconfig: {shown} does not exist",
            hint="name one with --kubeconfig or KUBECONFIG, or set spec.cluster in environment.yaml",
        )
    name, entry = _choose(documents, wanted, shown)
    cluster = _named(documents, "clusters", entry.get("cluster"))
    if cluster is None or not cluster.fields.get("server"):
        raise UnreachableError(f"context {name} of {shown} names no cluster with a server")
    user = _named(documents, "users", entry.get("user"))
    if user is None and entry.get("user"):
        raise UnreachableError(f"context {name} of {shown} names a user that is not there")
    return Context(name, str(entry.get("namespace") or "default"), cluster, user or Entry({}, Path()))


def _log_in(paths: Sequence[Path], context: str, shown: str) -> Credentials:
    """The login of a context, as its files are now.

    Raises:
        UnreachableError: no such files or context, or no login can be had.
    """
    user = _context(paths, context, shown).user
    if found := IMPERSONATION & user.fields.keys():
        # Left out, we would act with rights that whoever wrote this did not want used.
        named = ", ".join(sorted(found))
        raise UnreachableError(
            f"the user of context {context} acts as another ({named}), which is not supported",
            hint="name a context that logs in as the identity to deploy with",
        )
    if PLUGINS & user.fields.keys():
        from .package_login import from_kubeconfig

        return from_kubeconfig(paths, context, has_plugin="exec" in user.fields)
    return FixedLogin(_headers(user))


def _headers(user: Entry) -> dict[str, str]:
    """A token wins over a name and password, and a token's file over the token, as in client-go."""
    fields = user.fields
    token = _file(user, "tokenFile").decode("ascii", "replace").strip() or str(fields.get("token") or "")
    if token:
        return {"Authorization": f"Bearer {token}"}
    if fields.get("username") and fields.get("password"):
        pair = f"{fields['username']}:{fields['password']}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    return {}


def _endpoint(context: Context, login: Credentials) -> Endpoint:
    cluster, user = context.cluster, context.user
    certificate, key = _content(user, "client-certificate"), _content(user, "client-key")
    if PLUGINS & user.fields.keys():
        from .package_login import certificate_of

        certificate, key = certificate_of(login) or (certificate, key)
    proxy = cluster.fields.get("proxy-url")
    return Endpoint(
        server=str(cluster.fields["server"]).rstrip("/"),
        authorities=_content(cluster, "certificate-authority"),
        is_verified=not cluster.fields.get("insecure-skip-tls-verify"),
        server_name=str(cluster.fields.get("tls-server-name") or ""),
        certificate=certificate,
        key=key,
        proxy=str(proxy) if proxy else None,
    )


def _content(entry: Entry, name: str) -> bytes:
    """What ``<name>-data`` holds, or else the file that ``<name>`` names; empty without either."""
    data = entry.fields.get(f"{name}-data")
    if not data:
        return _file(entry, name)
    try:
        return base64.b64decode(str(data), validate=False)
    except (binascii.Error, ValueError):
        raise UnreachableError(f"reading the kubeconfig: {name}-data is not base64") from None


def _file(entry: Entry, name: str) -> bytes:
    if not entry.fields.get(name):
        return b""
    path = entry.folder / str(entry.fields[name])
    try:
        return path.read_bytes()
    except OSError as exc:
        reason = exc.strerror or "it cannot be read"
        raise UnreachableError(f"reading the kubeconfig's {name} {clean(str(path), 200)}: {reason}") from exc


def _document(path: Path) -> Document | None:
    """A kubeconfig file; None where there is none, as kubectl skips missing files."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or "it is not UTF-8"
        raise UnreachableError(f"reading the kubeconfig {path}: {reason}") from exc
    try:
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        # Without the parser's own sentence: it quotes the line, which may hold a token.
        raise UnreachableError(f"reading the kubeconfig {place}: it is not YAML") from None
    if document is None:
        return None
    if not isinstance(document, dict):
        raise UnreachableError(f"reading the kubeconfig {path}: it is not a mapping")
    return document


def _choose(documents: Sequence[tuple[Path, Document]], wanted: str, shown: str) -> tuple[str, Document]:
    names = list(dict.fromkeys(n for _, d in documents for n, _ in _entries(d, "contexts")))
    listing = "contexts: " + (", ".join(clean(n, 80) for n in names) or "none")
    name = wanted or next((str(c) for _, d in documents if (c := d.get("current-context"))), "")
    if not name:
        raise UnreachableError(f"{shown} has no current context; {listing}", hint="name one with --context")
    entry = _named(documents, "contexts", name)
    if entry is None:
        raise UnreachableError(
            f"{shown} has no context {clean(name, 80)}; {listing}", hint="name one with --context"
        )
    return name, entry.fields


def _named(documents: Sequence[tuple[Path, Document]], section: str, name: Any) -> Entry | None:
    """The first entry of that name, without its wrapper."""
    found = ((path, entry) for path, d in documents for n, entry in _entries(d, section) if n == name)
    return next((Entry(entry, path.absolute().parent) for path, entry in found), None)


def _entries(document: Document, section: str) -> Iterator[tuple[str, Document]]:
    for item in document.get(section) or []:
        if isinstance(item, dict) and isinstance(inner := item.get(section[:-1]), dict):
            yield str(item.get("name")), inner


def _login_hint(user: Document) -> str:
    command = user["exec"].get("command") if isinstance(user.get("exec"), dict) else None
    if command:
        return f"does `{clean(command, 60)}` log in as an identity that the cluster knows?"
    if not user:
        return "the context names no user"
    return "is the kubeconfig's token or certificate expired, or of a cluster that was made anew?"

"""Connections from kubeconfig files, read by the ``kubernetes`` package, corrected where it differs.

Where several files are given kubectl takes the first ``current-context`` and that package the last;
it also logs the failure of an exec plugin and goes on without a login. Both are put right here.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipeline.model.errors import UnreachableError

from .apierror import clean
from .connection import Connection, is_loopback

if TYPE_CHECKING:
    import urllib3

Document = dict[str, Any]


class ConfiguredCredentials:
    """The login of a configuration object of the ``kubernetes`` package.

    ``read`` makes such an object from scratch: that is also how a refused login is renewed, because
    the package's own hook renews only what it believes to be expired.
    """

    def __init__(self, read: Callable[[], Any]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self.settings = read()
        self._fixed = self._unless_renewed()

    def headers(self) -> dict[str, str]:
        fixed = self._fixed
        if fixed is not None:
            return fixed
        with self._lock:
            return self._headers()

    def _unless_renewed(self) -> dict[str, str] | None:
        """What holds for all requests; None where the package wants to be asked for each."""
        return self._headers() if self.settings.refresh_api_key_hook is None else None

    def _headers(self) -> dict[str, str]:
        with plugin_errors() as said:
            try:
                # Calls the refresh hook, which runs an exec plugin again when its token expires.
                value = self.settings.get_api_key_with_prefix("BearerToken", alias="authorization")
            except Exception as exc:  # noqa: BLE001 - plugins and providers raise what they like
                raise _no_login(said, exc) from None
        return {"Authorization": value} if value else {}

    def renew(self) -> None:
        with self._lock:
            self.settings = self._read()
            self._fixed = self._unless_renewed()


def load(paths: Sequence[Path], context: str, *, pool_size: int) -> Connection:
    """Connect as ``context``, or as the current context, of the files, merged as kubectl merges them."""
    shown = ", ".join(str(p) for p in paths)
    documents = [document for path in paths if (document := _document(path)) is not None]
    if not documents:
        raise UnreachableError(
            f"no kubeconfig: {shown} does not exist",
            hint="name one with --kubeconfig or KUBECONFIG, or set spec.cluster in environment.yaml",
        )
    name, entry = _choose(documents, context, shown)
    cluster = _named(documents, "clusters", entry.get("cluster"))
    user = _named(documents, "users", entry.get("user")) or {}
    if not (cluster or {}).get("server"):
        raise UnreachableError(f"context {name} of {shown} names no cluster with a server")
    credentials = ConfiguredCredentials(lambda: _settings(paths, name, cluster or {}, user))
    return Connection(
        server=str(credentials.settings.host).rstrip("/"),
        pool=open_pool(credentials.settings, pool_size),
        credentials=credentials,
        namespace=str(entry.get("namespace") or "default"),
        source=f"context {name} of {shown}",
        login_hint=_login_hint(user),
    )


def open_pool(settings: Any, size: int) -> urllib3.PoolManager:
    """The connection pool that the ``kubernetes`` package makes of a configuration, sized for us."""
    from kubernetes.client.rest import RESTClientObject

    settings.connection_pool_maxsize = size
    settings.keep_alive = True  # else a watch outlives a dead connection
    if is_loopback(settings.host):
        settings.proxy = None
    try:
        pool: urllib3.PoolManager = RESTClientObject(settings).pool_manager
    except (OSError, ValueError, ImportError) as exc:
        reason = clean(str(exc), 200)
        raise UnreachableError(
            f"{settings.host}: the certificates or proxy cannot be used: {reason}"
        ) from exc
    return pool


@contextlib.contextmanager
def plugin_errors() -> Iterator[list[str]]:
    """What the ``kubernetes`` package says to the root logger meanwhile, kept off the screen."""
    said: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        if record.levelno < logging.ERROR or record.thread != threading.get_ident():
            return True
        said.append(record.getMessage())
        return False

    root, silent = logging.getLogger(), logging.NullHandler()
    root.addHandler(silent)  # without any handler logging.error() would install one that prints
    root.addFilter(keep)
    try:
        yield said
    finally:
        root.removeFilter(keep)
        root.removeHandler(silent)


def _settings(paths: Sequence[Path], context: str, cluster: Document, user: Document) -> Any:
    """A configuration object, with the first login made."""
    from kubernetes import config
    from kubernetes.client import Configuration

    settings = Configuration()
    with plugin_errors() as said:
        try:
            config.load_kube_config(  # type: ignore[no-untyped-call]  # the package has no types
                ":".join(str(p) for p in paths), context=context, client_configuration=settings
            )
        except Exception as exc:  # noqa: BLE001 - files, plugins and providers raise what they like
            raise _no_login(said, exc) from None
    if "exec" in user and not settings.api_key and not settings.cert_file:
        raise _no_login(said, None)
    if not cluster.get("proxy-url") and is_loopback(settings.host):
        settings.proxy = None
    return settings


def _no_login(said: Sequence[str], exc: Exception | None) -> UnreachableError:
    reason = clean(" ".join(said) or str(exc or "the exec plugin gave neither token nor certificate"), 300)
    return UnreachableError(
        f"logging in as the kubeconfig says: {reason}",
        hint="run the user's exec command by hand, or write the entry anew",
    )


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


def _choose(documents: Sequence[Document], wanted: str, shown: str) -> tuple[str, Document]:
    names = list(dict.fromkeys(n for d in documents for n, _ in _entries(d, "contexts")))
    listing = "contexts: " + (", ".join(clean(n, 80) for n in names) or "none")
    name = wanted or next((str(c) for d in documents if (c := d.get("current-context"))), "")
    if not name:
        raise UnreachableError(f"{shown} has no current context; {listing}", hint="name one with --context")
    entry = _named(documents, "contexts", name)
    if entry is None:
        raise UnreachableError(
            f"{shown} has no context {clean(name, 80)}; {listing}", hint="name one with --context"
        )
    return name, entry


def _named(documents: Sequence[Document], section: str, name: Any) -> Document | None:
    """The first entry of that name, without its wrapper."""
    return next((entry for d in documents for n, entry in _entries(d, section) if n == name), None)


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

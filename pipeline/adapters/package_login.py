"""Logins by the ``kubernetes`` package: exec plugins, auth providers, a pod's service account.

The package logs the failure of an exec plugin and goes on without a login; that is put right here. Its
import takes a fifth of the time of a run that changes nothing, so only who needs it pays for it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.model.errors import UnreachableError

from .apierror import clean


class PackageLogin:
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

    def renew(self) -> None:
        with self._lock:
            self.settings = self._read()
            self._fixed = self._unless_renewed()

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


def from_kubeconfig(paths: Sequence[Path], context: str, *, has_plugin: bool) -> PackageLogin:
    """The login of a context whose user has an exec plugin or an auth provider."""
    return PackageLogin(lambda: _settings(paths, context, has_plugin=has_plugin))


def certificate_of(login: object) -> tuple[bytes, bytes] | None:
    """(certificate, key) that an exec plugin gave; None where it gave a token."""
    files = (
        (login.settings.cert_file, login.settings.key_file) if isinstance(login, PackageLogin) else (None,)
    )
    if not all(files):
        return None
    certificate, key = (Path(str(file)).read_bytes() for file in files)
    return certificate, key


def from_service_account() -> PackageLogin:
    """The login of the pod we run in; its token is read anew before it expires."""
    return PackageLogin(_pod_settings)


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


def _settings(paths: Sequence[Path], context: str, *, has_plugin: bool) -> Any:
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
    if has_plugin and not settings.api_key and not settings.cert_file:
        raise _no_login(said, None)
    return settings


def _pod_settings() -> Any:
    from kubernetes import config
    from kubernetes.client import Configuration

    settings = Configuration()
    try:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]  # the package has no types
    except (config.ConfigException, OSError) as exc:
        raise UnreachableError(f"reading this pod's service account: {exc}") from exc
    return settings


def _no_login(said: Sequence[str], exc: Exception | None) -> UnreachableError:
    reason = clean(" ".join(said) or str(exc or "the exec plugin gave neither token nor certificate"), 300)
    return UnreachableError(
        f"logging in as the kubeconfig says: {reason}",
        hint="run the user's exec command by hand, or write the entry anew",
    )

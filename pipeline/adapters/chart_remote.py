"""Fetches a chart's archive by its digest, from an https server or an OCI registry, and keeps it in a cache.

Asked are only hosts that the environment allows, over https, also where a server sends us on, or to a
registry's tokens. They are asked as anybody asks them; only one that wants a login gets what is kept for it.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urljoin, urlsplit

from pipeline.core.chart_parts import Part
from pipeline.core.chart_reference import ChartReference, is_digest
from pipeline.core.charts import CHART_BYTES
from pipeline.model.errors import InvalidError, UnreachableError

from . import chart_index
from .download import Download, LoginWantedError, basic, not_let_in
from .logins import Login, nobody

_DOCUMENT_BYTES: Final = 4 * 1024 * 1024
"""A manifest or a token; what registries themselves allow."""
_INDEX_BYTES: Final = 64 * 1024 * 1024
"""The indexes of repositories with many charts have 10 to 30 MiB."""
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_LAYER: Final = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class ChartRemote:
    """``cache`` is a folder of contents, each named after its digest and compared with it when it is read."""

    cache: Path
    stopped: Callable[[], bool]
    login: Login = nobody
    indexes: dict[str, bytes] = field(default_factory=dict)

    def fetch(self, reference: ChartReference, allowed: Collection[str]) -> bytes:
        """The archive; ``allowed`` are the hosts that may be asked.

        Raises:
            InvalidError: a host is not allowed, or what it has is not what the digest says.
            UnreachableError: a server cannot be asked, or does not have it.
        """
        what = f"fetch {reference.address}"
        if not reference.repository:
            get = partial(self._get, what, allowed, reference.address, CHART_BYTES)
            return self._content(reference.digest, get)
        session = _Registry(reference, Download(what, allowed, self.stopped), self.login)
        manifest = self._content(reference.digest, lambda: session.get("manifests", reference.digest))
        layer = _layer(manifest, reference)
        return self._content(layer, lambda: session.get("blobs", layer))

    def part(self, part: Part, allowed: Collection[str]) -> bytes:
        """The archive of a dependency; raises as ``fetch``."""
        if part.reference is not None:
            return self.fetch(part.reference, allowed)
        return self._content(part.digest, lambda: self._of_repository(part, allowed))

    def _of_repository(self, part: Part, allowed: Collection[str]) -> bytes:
        """What the index of a repository leads to; the digest that it tells is only as good as itself."""
        what = f"fetch {part.name} {part.version} of {part.repository}"
        base = f"{part.repository}/"
        if base not in self.indexes:
            self.indexes[base] = self._get(what, allowed, f"{base}index.yaml", _INDEX_BYTES)
        try:
            url = urljoin(base, chart_index.address(self.indexes[base], part.name, part.version))
            parts = urlsplit(url)
        except ValueError as error:
            raise InvalidError(f"{what}: its index.yaml tells no address") from error
        except InvalidError as error:
            raise InvalidError(f"{what}: {error.message}", hint=error.hint) from error
        if "@" in parts.netloc or not url.isascii() or not url.isprintable() or " " in url:
            raise InvalidError(f"{what}: its index.yaml tells an odd address")
        return self._get(what, allowed, url, CHART_BYTES)

    def _get(self, what: str, allowed: Collection[str], url: str, limit: int) -> bytes:
        try:
            return Download(what, allowed, self.stopped, login=self.login).get(url, limit)
        except LoginWantedError as wanted:
            raise not_let_in(what, wanted.host, sent=wanted.sent) from None

    def _content(self, digest: str, get: Callable[[], bytes]) -> bytes:
        kept = self.cache / digest.replace(":", "-")
        with suppress(OSError):
            content = kept.read_bytes()
            if _digest(content) == digest:
                return content
        content = get()
        if _digest(content) != digest:
            raise InvalidError(
                f"fetch {digest[:19]}…: what the server has is {_digest(content)[:19]}…",
                hint="look at what was published there, and write the digest of what you have verified",
            )
        # Without a place to keep it, it is fetched again.
        with suppress(OSError):
            self.cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.cache, delete=False) as file:
                file.write(content)
            Path(file.name).replace(kept)
        return content


@dataclass(slots=True)
class _Registry:
    """What is asked for one chart. ``headers`` are for the registry alone."""

    reference: ChartReference
    download: Download
    login: Login
    headers: dict[str, str] = field(default_factory=lambda: {"Accept": f"{_MANIFEST}, */*"})
    sent: bool = False

    def get(self, what: str, digest: str) -> bytes:
        """A manifest or a blob (OCI distribution specification, pull)."""
        url = f"{self.reference.server}/v2/{self.reference.repository}/{what}/{digest}"
        limit = CHART_BYTES if what == "blobs" else _DOCUMENT_BYTES
        try:
            return self.download.get(url, limit, self.headers)
        except LoginWantedError as wanted:
            self.headers |= self._authorization(wanted.challenge)
        try:
            return self.download.get(url, limit, self.headers)
        except LoginWantedError:
            raise self._not_let_in() from None

    def _authorization(self, challenge: str) -> dict[str, str]:
        """What a registry wants to see: our login, or a token that is given to anybody, or for our login."""
        scheme = challenge.partition(" ")[0].lower()
        told = dict(_CHALLENGE.findall(challenge))
        is_bearer = scheme == "bearer" and bool(told.get("realm"))
        login = self.login(self.reference.host) if is_bearer or scheme == "basic" else ""
        self.sent = bool(login)
        if is_bearer:
            return {"Authorization": f"Bearer {self._token(told, login)}"}
        if not login:
            raise self._not_let_in() from None
        return basic(login)

    def _token(self, told: dict[str, str], login: str) -> str:
        """A token to read (Docker's token specification). The login goes to the one that the registry names,
        if the environment allows that host, and nowhere from there."""
        query = {"scope": f"repository:{self.reference.repository}:pull"}
        if "service" in told:
            query["service"] = told["service"]
        url = f"{told['realm']}?{urlencode(query)}"
        try:
            answer = _json(self.download.get(url, _DOCUMENT_BYTES, basic(login) if login else {}))
        except LoginWantedError:
            raise self._not_let_in() from None
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            host = urlsplit(url).hostname
            raise UnreachableError(f"{self.download.what}: no token from {host}")
        return token

    def _not_let_in(self) -> UnreachableError:
        return not_let_in(self.download.what, self.reference.host, sent=self.sent, registry=True)


def _layer(manifest: bytes, reference: ChartReference) -> str:
    """The digest of the archive that a manifest names."""
    layers = _json(manifest).get("layers")
    for layer in layers if isinstance(layers, list) else ():
        digest = layer.get("digest") if isinstance(layer, dict) and layer.get("mediaType") == _LAYER else None
        if isinstance(digest, str) and is_digest(digest):
            return digest
    raise InvalidError(f"fetch {reference.address}: {reference.digest[:19]}… is no chart")


def _json(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()

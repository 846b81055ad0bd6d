"""Fetches a chart's archive by its digest, from an https server or an OCI registry, and keeps it in a cache.

Asked are only hosts that the environment allows, over https, also where a server sends us on. Nothing of this
machine's is sent along: registries are asked as anybody is.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urljoin, urlsplit

from pipeline.core.chart_parts import Part
from pipeline.core.chart_reference import ChartReference, is_digest
from pipeline.core.charts import CHART_BYTES
from pipeline.model.errors import InvalidError, UnreachableError

from . import chart_index
from .download import Download, LoginWantedError

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
    indexes: dict[str, bytes] = field(default_factory=dict)

    def fetch(self, reference: ChartReference, allowed: Collection[str]) -> bytes:
        """The archive; ``allowed`` are the hosts that may be asked.

        Raises:
            InvalidError: a host is not allowed, or what it has is not what the digest says.
            UnreachableError: a server cannot be asked, or does not have it.
        """
        download = Download(f"fetch {reference.address}", allowed, self.stopped)
        if not reference.repository:
            return self._content(
                reference.digest, lambda: self._get(download, reference.address, CHART_BYTES)
            )
        session = _Registry(reference, download)
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
        download = Download(what, allowed, self.stopped)
        base = f"{part.repository}/"
        if base not in self.indexes:
            self.indexes[base] = self._get(download, f"{base}index.yaml", _INDEX_BYTES)
        try:
            url = urljoin(base, chart_index.address(self.indexes[base], part.name, part.version))
            parts = urlsplit(url)
        except ValueError as error:
            raise InvalidError(f"{what}: its index.yaml tells no address") from error
        except InvalidError as error:
            raise InvalidError(f"{what}: {error.message}", hint=error.hint) from error
        if "@" in parts.netloc or not url.isascii() or not url.isprintable() or " " in url:
            raise InvalidError(f"{what}: its index.yaml tells an odd address")
        return self._get(download, url, CHART_BYTES)

    def _get(self, download: Download, url: str, limit: int) -> bytes:
        try:
            return download.get(url, limit)
        except LoginWantedError as error:
            raise _login_wanted(download.what, urlsplit(url).netloc) from error

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
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, what: str, digest: str) -> bytes:
        """A manifest or a blob (OCI distribution specification, pull), with the token that anybody gets."""
        url = f"{self.reference.server}/v2/{self.reference.repository}/{what}/{digest}"
        limit = CHART_BYTES if what == "blobs" else _DOCUMENT_BYTES
        self.headers |= {"Accept": f"{_MANIFEST}, */*"}
        try:
            return self.download.get(url, limit, self.headers)
        except LoginWantedError as wanted:
            self.headers["Authorization"] = f"Bearer {self._token(wanted.challenge)}"
        try:
            return self.download.get(url, limit, self.headers)
        except LoginWantedError as error:
            raise _login_wanted(self.download.what, self.reference.host) from error

    def _token(self, challenge: str) -> str:
        told = dict(_CHALLENGE.findall(challenge))
        realm = told.get("realm", "")
        if not challenge.lower().startswith("bearer ") or not realm:
            raise UnreachableError(f"fetch {self.reference.address}: {self.reference.host} wants a login")
        query = {"scope": f"repository:{self.reference.repository}:pull"}
        if "service" in told:
            query["service"] = told["service"]
        answer = _json(self.download.get(f"{realm}?{urlencode(query)}", _DOCUMENT_BYTES))
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str) or not token.isprintable():
            raise UnreachableError(
                f"fetch {self.reference.address}: no token from {urlsplit(realm).hostname}"
            )
        return token


def _login_wanted(what: str, host: str) -> UnreachableError:
    hint = "vendor the chart: those that need a login are not fetched"
    return UnreachableError(f"{what}: {host} wants a login", hint=hint)


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

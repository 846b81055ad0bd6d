"""Charts that are not in the repository: an archive at an https address, or in an OCI registry, by digest.

Pure. The digest makes a rendering a function of the commit: what is fetched is either that, or refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

HTTPS = "https://"
DIGEST = r"^sha256:[0-9a-f]{64}$"
_DIGEST = re.compile(DIGEST)
_HOST = r"(?P<host>[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?)"
# The names of the OCI distribution specification (v1.1, pull).
_REPOSITORY = r"(?P<path>[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*)"
_OCI = re.compile(rf"oci://{_HOST}/{_REPOSITORY}(?::[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}})?")
_HTTPS = re.compile(rf"https://{_HOST}/(?P<path>[A-Za-z0-9._~%!$&'()*+,;=:@/-]+)")
_HTTPS_REPOSITORY = re.compile(rf"https://{_HOST}(?:/[A-Za-z0-9._~%!$&'()*+,;=:@-]+)*/?")
_OCI_REPOSITORY = re.compile(rf"oci://{_HOST}(?:/{_REPOSITORY})?/?")
_LONGEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartReference:
    """``address`` is as written, without the digest; ``host`` with its port, where one is written;
    ``repository`` a registry's, empty for an archive at an address."""

    address: str
    host: str
    digest: str
    repository: str = ""

    @property
    def server(self) -> str:
        """Where a registry is asked."""
        return HTTPS + self.host


def is_digest(text: str) -> bool:
    """Whether it is a digest that we can compare with."""
    return _DIGEST.fullmatch(text) is not None


def is_reference(written: str) -> bool:
    """Whether it names a chart elsewhere, however wrongly."""
    return "://" in written


def repository_host(written: str) -> str:
    """The host of a repository of charts, or of a registry's folder of them; empty where it is written
    otherwise than we ask for it."""
    match = _HTTPS_REPOSITORY.fullmatch(written) or _OCI_REPOSITORY.fullmatch(written)
    return match["host"] if match and len(written) <= _LONGEST and ".." not in written else ""


def parse(written: str) -> ChartReference:
    """Read ``oci://host/charts/web@sha256:…`` or ``https://host/web-1.2.3.tgz@sha256:…``.

    Raises:
        ValueError: with the reason.
    """
    if len(written) > _LONGEST or not written.isprintable():
        raise ValueError("an address is a line of at most 500 characters")
    address, at, digest = written.rpartition("@")
    if not at or not is_digest(digest):
        raise ValueError("a chart from elsewhere needs its digest: append @sha256:…")
    oci, https = _OCI.fullmatch(address), _HTTPS.fullmatch(address)
    match = oci or https
    if match is None or ".." in address:
        raise ValueError("write oci://host/path/chart@sha256:… or https://host/path/chart.tgz@sha256:…")
    repository = oci["path"] if oci else ""
    return ChartReference(address=address, host=match["host"], digest=digest, repository=repository)

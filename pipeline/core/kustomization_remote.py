"""Which repository of which host a kustomization refers to, and whether an environment allows it. Pure.

Only what cannot change under us: https, a host that ``allow.remote`` lists, and a commit's full object id. Of
kustomize's many spellings one is taken (https://github.com/kubernetes-sigs/kustomize/blob/master/examples/remoteBuild.md):
``https://HOST/REPOSITORY//FOLDER?ref=COMMIT``. A single file is one whose address has such an id on its way,
or ``?checksum=sha256:…`` at its end, as go-getter has it: kustomize alone asks for it like that, which
servers of files do not mind.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pipeline.core.kustomization import FILE_NAMES

_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PATH: Final = re.compile(r"[\w.~+-]+(?:/[\w.~+-]+)*")
_FORM: Final = "write https://HOST/REPOSITORY//FOLDER?ref=COMMIT"
_FILE: Final = re.compile(r"\.(?:ya?ml|json)$")
_DIGEST: Final = re.compile(r"checksum=sha256:([0-9a-f]{64})")


class NotAllowedError(Exception):
    """``str`` says why a reference is not fetched, ``hint`` what would help."""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Remote:
    """A folder of a commit of a repository; empty for the root."""

    url: str
    folder: str
    commit: str


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at an address, and its SHA-256; empty where the address itself says which version it is."""

    url: str
    digest: str = ""

    @property
    def name(self) -> str:
        return posixpath.basename(self.url)


def parse(text: str, allowed: Collection[str]) -> Remote | RemoteFile:
    """Read a reference that may be fetched.

    Raises:
        NotAllowedError: it is no such reference, or its host is not allowed.
    """
    try:
        parts = urlsplit(text)
        host = parts.netloc.lower()
    except ValueError:
        raise NotAllowedError("is no address", _FORM) from None
    if parts.scheme != "https" or "@" in host or parts.fragment or not host:
        raise NotAllowedError("is not of this repository", f"commit a copy, or {_FORM}, with allow.remote")
    if host not in allowed:
        raise NotAllowedError(
            "is not of this repository, and its host is not allowed",
            f"commit a copy, or add {host} to spec.allow.remote",
        )
    if _FILE.search(parts.path) and "//" not in parts.path and not parts.query.startswith("ref="):
        return _file(host, parts.path.strip("/"), parts.query)
    commit = parts.query.removeprefix("ref=")
    if not parts.query.startswith("ref=") or not _COMMIT.fullmatch(commit):
        raise NotAllowedError("can be another one tomorrow", f"{_FORM}, with the full id of the commit")
    repository, folder = _split(parts.path.strip("/"), host)
    if not _is_path(repository) or (folder and not _is_path(folder)):
        raise NotAllowedError("has an odd path", _FORM)
    return Remote(f"https://{host}/{repository}", folder, commit)


def _file(host: str, path: str, query: str) -> RemoteFile:
    form = "write https://HOST/…/FILE.yaml?checksum=sha256:DIGEST, or an address with the full id of a commit"
    if not _is_path(path):
        raise NotAllowedError("has an odd path", form)
    if posixpath.basename(path) in FILE_NAMES:
        raise NotAllowedError("is a kustomization, which is nothing without its repository", _FORM)
    digest = _DIGEST.fullmatch(query)
    if not digest and (query or not any(map(_COMMIT.fullmatch, path.split("/")))):
        raise NotAllowedError("can be another one tomorrow", form)
    return RemoteFile(f"https://{host}/{path}", digest[1] if digest else "")


def _split(path: str, host: str) -> tuple[str, str]:
    """(repository, folder): after ``//``, after ``.git``, or after the second part on github.com."""
    if "//" in path:
        repository, _, folder = path.partition("//")
        return repository, folder.strip("/")
    repository, git, folder = path.partition(".git/")
    if git:
        return f"{repository}.git", folder
    if host == "github.com":
        steps = path.split("/")
        return "/".join(steps[:2]), "/".join(steps[2:])
    return path, ""


def _is_path(path: str) -> bool:
    steps = path.split("/")
    odd = any(step.startswith("-") or step in (".", "..") for step in steps)
    return not odd and _PATH.fullmatch(path) is not None and posixpath.normpath(path) == path

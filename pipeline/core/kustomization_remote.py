"""Which repository of which host a kustomization refers to, and whether an environment allows it. Pure.

Only what cannot change under us: https, a host that ``allow.remote`` lists, and a commit's full object id. Of
kustomize's many spellings one is taken (https://github.com/kubernetes-sigs/kustomize/blob/master/examples/remoteBuild.md):
``https://HOST/REPOSITORY//FOLDER?ref=COMMIT``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PATH: Final = re.compile(r"[\w.~+-]+(?:/[\w.~+-]+)*")
_FORM: Final = "write https://HOST/REPOSITORY//FOLDER?ref=COMMIT"


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


def parse(text: str, allowed: Collection[str]) -> Remote:
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
    commit = parts.query.removeprefix("ref=")
    if not parts.query.startswith("ref=") or not _COMMIT.fullmatch(commit):
        raise NotAllowedError("can be another one tomorrow", f"{_FORM}, with the full id of the commit")
    repository, folder = _split(parts.path.strip("/"), host)
    if not _is_path(repository) or (folder and not _is_path(folder)):
        raise NotAllowedError("has an odd path", _FORM)
    return Remote(f"https://{host}/{repository}", folder, commit)


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

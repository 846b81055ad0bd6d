"""What a lock says of its holder: who, where, and in which run of GitHub Actions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

GITHUB = "https://github.com"

_RUN = re.compile(
    r" in (?P<server>https?://[A-Za-z0-9.:-]+)/(?P<repository>[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+)"
    r"/actions/runs/(?P<id>[0-9]{1,20})/attempts/(?P<attempt>[0-9]{1,6}) at "
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GithubRun:
    """One attempt of a run of GitHub Actions; ``repository`` is ``owner/name``."""

    server: str
    repository: str
    id: str
    attempt: str

    def __str__(self) -> str:
        return f"{self.server}/{self.repository}/actions/runs/{self.id}/attempts/{self.attempt}"


def holder_name(actor: str, host: str, word: str, environ: Mapping[str, str]) -> str:
    """``ana at runner-7 (0badc0de)``, with the address of the GitHub run where it is one. ``word`` makes it
    the name of this process and no other."""
    run = _run_of(environ)
    where = f" in {run}" if run else ""
    return f"{actor or 'unknown'}{where} at {host} ({word})"


def github_run(holder: str) -> GithubRun | None:
    """The run that a holder names, as ``holder_name`` writes it."""
    match = _RUN.search(holder)
    return GithubRun(**match.groupdict()) if match else None


def _run_of(environ: Mapping[str, str]) -> GithubRun | None:
    names = ("GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    repository, run_id = (environ.get(name, "") for name in names)
    if environ.get("GITHUB_ACTIONS") != "true" or not repository or not run_id:
        return None
    return GithubRun(
        server=environ.get("GITHUB_SERVER_URL") or GITHUB,
        repository=repository,
        id=run_id,
        attempt=environ.get("GITHUB_RUN_ATTEMPT") or "1",
    )

"""Asks GitHub whether a run of GitHub Actions is over."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import urllib3

from pipeline.core.holder import GITHUB, github_run

from .connection import is_loopback, proxy_for
from .github_event import job_token

_API = "https://api.github.com"
_TIMEOUT = urllib3.Timeout(connect=5.0, read=10.0)
_RETRIES = urllib3.Retry(2, redirect=0, raise_on_redirect=False)  # a run does not move; a token should not


class GithubRuns:
    """Runs of the one GitHub that ``environ`` names. What cannot be learned is told to ``warn``."""

    def __init__(self, environ: Mapping[str, str], warn: Callable[[str], None]) -> None:
        self._server = environ.get("GITHUB_SERVER_URL") or GITHUB
        self._api = (environ.get("GITHUB_API_URL") or _API).rstrip("/")
        self.token = job_token(environ)
        self._warn = warn

    def ended(self, holder: str) -> str:
        """Why the holder of a lock is over by GitHub's word; empty where it is not, or nobody knows.

        The token goes to the API that the environment names, never to an address from the lock.
        """
        run = github_run(holder)
        if run is None or not self.token or run.server != self._server:
            return ""
        if urlsplit(self._api).scheme != "https" and not is_loopback(self._api):
            self._warn(f"GITHUB_API_URL {self._api} is not https: the token is not sent there")
            return ""
        path = f"/repos/{run.repository}/actions/runs/{run.id}/attempts/{run.attempt}"
        try:
            found = self._ask(path)
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            self._warn(f"GitHub could not be asked about {run}: {type(error).__name__}")
            return ""
        if found.get("status") != "completed":
            return ""
        how = f", {found['conclusion']}" if isinstance(found.get("conclusion"), str) else ""
        return f"its run {run} is completed{how}, says GitHub"

    def _ask(self, path: str) -> Mapping[str, object]:
        proxy = proxy_for(self._api)
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self.token}",
            "User-Agent": "pipeline",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        with urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager() as pool:
            answer = pool.request(
                "GET", self._api + path, headers=headers, timeout=_TIMEOUT, retries=_RETRIES
            )
        if answer.status != 200:
            self._warn(f"GitHub answered {answer.status} to GET {path}")
            return {}
        found = json.loads(answer.data)
        if not isinstance(found, dict):
            raise ValueError("no object")
        return found

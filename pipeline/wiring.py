"""The composition root: the one place where adapters are built."""

from __future__ import annotations

import functools
import os
import secrets
import select
import signal
import socket
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from pipeline import log
from pipeline.adapters.clock import Stop, SystemClock
from pipeline.core.holder import holder_name
from pipeline.model.environment import Cluster, Environment
from pipeline.model.errors import InvalidError
from pipeline.model.events import Event
from pipeline.model.exit_codes import ExitCode

if TYPE_CHECKING:
    from pipeline.adapters.cluster import KubeCluster
    from pipeline.adapters.git import GitRepository
    from pipeline.adapters.github import GithubFiles
    from pipeline.adapters.github_runs import GithubRuns
    from pipeline.adapters.logins import Logins
    from pipeline.adapters.plans import PlanFiles
    from pipeline.adapters.sops import Sops
    from pipeline.ports import Renderer
    from pipeline.run.session import Session
    from pipeline.run.workspace import Workspace

LAST_WORD_S = 6.5
"""From a signal to the end, whatever is waited for: GitHub Actions kills a cancelled job after 7.5 s."""


@dataclass(slots=True, kw_only=True)
class App:
    """Everything that a command may need, built when it is first asked for.

    ``tell`` hears every event; ``stop`` is set by the first SIGINT or SIGTERM.
    """

    repo: str = "."
    kubeconfig: str = ""
    context: str = ""
    tell: Callable[[Event], None] = lambda _: None
    stop: Stop = field(default_factory=Stop)
    _connections: dict[tuple[Cluster | None, str], KubeCluster] = field(default_factory=dict)

    def catch_signals(self) -> None:
        """The first SIGINT or SIGTERM asks the run to end in good order; the second ends the process, as does
        time: what then still waits for an answer would be killed at any moment."""

        def handle(signum: int, frame: FrameType | None) -> None:
            if self.stop.is_set():
                os._exit(int(ExitCode.INTERRUPTED))
            self.stop.set()
            self.stop.afterwards(LAST_WORD_S, _out_of_time)

        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, handle)

    def workspace(self) -> Workspace:
        """The repository of ``-C``. InvalidError where there is none."""
        from pipeline.adapters import yaml
        from pipeline.adapters.git import GitRepository
        from pipeline.run.workspace import Workspace

        repository = GitRepository(Path(self.repo), stopped=self.stop.is_set)
        return Workspace(
            repository=repository,
            documents=lambda path, data: [
                (d.value, d.origin, d.lines) for d in yaml.load_documents(path, data)
            ],
            manifests=self._sops().manifests,
            renderer=functools.cache(lambda kind: self._renderer(kind, repository)),
        )

    def _renderer(self, kind: str, repository: GitRepository) -> Renderer:
        """Who renders a kind of source: built where there is one, as few repositories have all."""
        if kind == "helm":
            from pipeline.adapters.helm import HelmRenderer

            read = self._sops().documents
            return HelmRenderer(repository, read=read, stopped=self.stop.is_set, login=self._logins().of)
        if kind == "kustomize":
            from pipeline.adapters.kustomize import Kustomize

            stopped, login = self.stop.is_set, self._logins().of
            return Kustomize(repository, environ=os.environ, stopped=stopped, login=login)
        raise InvalidError(f"{kind} sources are not rendered by this version")

    def _sops(self) -> Sops:
        """Who reads files that may be encrypted; their clear text is shown nowhere."""
        from pipeline.adapters.sops import Sops

        return Sops(log.redact, stopped=self.stop.is_set)

    def _logins(self) -> Logins:
        """Who lets us in to hosts of charts and files; what they say is shown nowhere."""
        from pipeline.adapters.logins import Logins

        return Logins(os.environ, log.redact, stopped=self.stop.is_set)

    def cluster(self, environment: Environment) -> KubeCluster:
        """The API server of an environment; environments of one cluster share connections."""
        from pipeline.adapters.cluster import KubeCluster
        from pipeline.adapters.connection import connect

        folder = str(Path(self.repo) / Path(environment.path).parent)
        key = (environment.cluster, folder)
        if key not in self._connections:
            connection = connect(
                environment.cluster,
                kubeconfig=self.kubeconfig,
                context=self.context,
                parallelism=environment.deploy.parallelism,
                folder=Path(folder),
            )
            clock = SystemClock(self.stop)
            self._connections[key] = KubeCluster(
                connection,
                sleep=clock.pause,
                monotonic=clock.monotonic,
                stopped=self.stop.is_set,
                parallelism=environment.deploy.parallelism,
            )
        return self._connections[key]

    def clock(self) -> SystemClock:
        return SystemClock(self.stop)

    def afresh(self, *, reconnect: bool) -> None:
        """The next run of a process that stays begins: it knows no more than a new process would.

        Connections are kept where all went well; of an environment that moved the old one goes, too.
        """
        from pipeline.adapters import compose

        log.forget()
        compose.forget()
        if reconnect or len(self._connections) > 1:
            for cluster in self._connections.values():
                cluster.http.connection.close()
            self._connections.clear()
        for cluster in self._connections.values():
            cluster.refresh()

    def session(self, environment: Environment) -> Session:
        """All ports of one environment."""
        from pipeline.adapters.lease import LeaseLock
        from pipeline.adapters.prober import KubeProber
        from pipeline.adapters.records import SecretReleases
        from pipeline.run.session import Session

        cluster = self.cluster(environment)
        clock = SystemClock(self.stop)
        named, word = os.environ.get("PIPELINE_ACTOR") or os.environ.get("GITHUB_ACTOR"), uuid.uuid4().hex[:8]

        def actor() -> str:
            return named or cluster.identity()

        def holder() -> str:
            return holder_name(actor(), socket.gethostname(), word, os.environ)

        return Session(
            environment=environment,
            cluster=cluster,
            releases=SecretReleases(cluster, environment),
            lock=LeaseLock(cluster, environment, holder, clock),
            prober=KubeProber(cluster.http, clock.monotonic),
            clock=clock,
            tell=self.tell,
            stopped=self.stop.is_set,
            actor=actor,
            redact=log.redact,
            bind=log.bind,
        )


def _out_of_time() -> None:
    """End the process, with a line for who takes it at once."""
    line = b"error: stopped by a signal; what was under way did not end in time: the next run takes it over\n"
    with suppress(OSError, ValueError):
        if select.select([], [2], [], 0)[1]:
            os.write(2, line)
    os._exit(int(ExitCode.INTERRUPTED))


def plan_files() -> PlanFiles:
    """The plans that this user saved, or made last."""
    from pipeline.adapters.plans import PlanFiles

    return PlanFiles(os.environ)


def health_server(
    host: str, port: int, health: Callable[[], tuple[bool, Mapping[str, Any]]], ring: Callable[[], None]
) -> AbstractContextManager[object]:
    """``GET /healthz`` and ``POST /hook``, for as long as the context lasts."""
    from pipeline.adapters.health import HealthServer

    return HealthServer(host, port, health=health, ring=ring, monotonic=time.monotonic)


def github_files(warn: Callable[[str], None]) -> GithubFiles:
    """The files of a GitHub Actions step; inactive elsewhere."""
    from pipeline.adapters.github import GithubFiles

    return GithubFiles(os.environ, warn)


def pushed_from() -> str:
    """Where the push began that GitHub Actions runs for, or empty."""
    from pipeline.adapters import github_event

    return github_event.pushed_from(os.environ)


def github_runs(warn: Callable[[str], None]) -> GithubRuns:
    """Whether runs of GitHub Actions are over, as far as a token is at hand."""
    from pipeline.adapters.github_runs import GithubRuns

    runs = GithubRuns(os.environ, warn)
    if runs.token:
        log.redact(runs.token)
    return runs


def random_word() -> str:
    """A word that nobody can guess: the delimiter of a GitHub output."""
    return "pipeline_" + secrets.token_hex(16)


def reporter(
    lines: Callable[[Event], list[str]], *, log_entries: bool, no_color: bool
) -> AbstractContextManager[Callable[[Event], None]]:
    """Who hears the events: the log, a live view for people at a terminal, or plain lines."""
    if log_entries:
        from pipeline.adapters.event_log import LoggingReporter

        return nullcontext(LoggingReporter(log.get()))
    from pipeline.adapters import terminal

    def scrubbed(event: Event) -> list[str]:
        return [log.scrub(line) for line in lines(event)]

    return terminal.reporter(sys.stderr, scrubbed, environ=os.environ, color=not no_color, scrub=log.scrub)

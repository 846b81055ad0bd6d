"""``pipeline reconcile``: stays until a signal, and keeps one environment as its branch says."""

from __future__ import annotations

import argparse
import gc
import random
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

from pipeline import log
from pipeline.adapters.bell import PipeBell
from pipeline.cli.screen import Screen
from pipeline.model.errors import UsageError
from pipeline.model.exit_codes import ExitCode
from pipeline.model.following import Happening
from pipeline.model.release import Outcome
from pipeline.report import document, following
from pipeline.run.herald import Herald
from pipeline.run.reconcile import Reconciler
from pipeline.wiring import App, health_server

LEAST_INTERVAL_S = 1.0

_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[\w.-]+)):(?P<port>\d{1,5})")


def run(app: App, args: argparse.Namespace, screen: Screen) -> ExitCode:
    """Until SIGTERM or SIGINT: OK, or INTERRUPTED where that stopped a deploy."""
    if not args.environment:
        raise UsageError("reconcile needs an environment", hint="name it with -e")
    if args.output == "markdown":
        raise UsageError("reconcile writes one line after another: -o text or json")
    if args.interval < LEAST_INTERVAL_S:
        raise UsageError(f"--interval: at least {LEAST_INTERVAL_S:g} s")
    address = _address(args.listen)
    workspace = app.workspace()
    environment = workspace.environment(args.environment, workspace.repository.resolve("HEAD"))
    if not args.verbose and args.log_format != "json":
        app.tell = lambda _: None  # a line for each change is enough
    # A process of days: garbage is looked for as Python does it by default, and after each look.
    gc.set_threshold(700, 10, 10)
    lines = _Lines(screen, args.output)
    bell = PipeBell()
    herald = Herald(
        environment=environment.name,
        branch=environment.deploy.branch,
        interval_s=args.interval,
        clock=app.clock(),
        jitter=random.random,
        tell=lines.tell,
        report=lines.report,
    )
    reconciler = Reconciler(
        environment=environment,
        herald=herald,
        open_workspace=app.workspace,
        open_session=app.session,
        afresh=lambda reconnect: _afresh(app, reconnect=reconnect),
        bell=bell,
        stopped=app.stop.is_set,
    )
    bell.catch()
    try:
        with _health(address, herald, bell):
            return reconciler.run()
    finally:
        bell.close()


class _Lines:
    """One line on stdout for each change: text, or a JSON document."""

    def __init__(self, screen: Screen, output: str) -> None:
        self._screen = screen
        self._is_json = output == "json"

    def tell(self, happening: Happening) -> None:
        if self._is_json:
            self._show(following.happening_document(happening))
        else:
            self._screen.line(log.scrub(following.happening_line(happening)))

    def report(self, outcome: Outcome) -> None:
        if self._is_json:
            self._show(document.report_document(outcome))
        else:
            moment = datetime.now(UTC).isoformat(timespec="seconds")
            self._screen.line(log.scrub(following.outcome_line(moment, outcome)))

    def _show(self, shown: Mapping[str, Any]) -> None:
        self._screen.line(following.to_json_line(log.scrub_document(shown)))


def _afresh(app: App, *, reconnect: bool) -> None:
    app.afresh(reconnect=reconnect)
    gc.collect()


def _address(text: str) -> tuple[str, int] | None:
    if not text:
        return None
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise UsageError(f"--listen {text!r} is no address such as 127.0.0.1:8080 or [::1]:8080")
    return match["six"] or match["host"], int(match["port"])


def _health(
    address: tuple[str, int] | None, herald: Herald, bell: PipeBell
) -> AbstractContextManager[object]:
    if address is None:
        return nullcontext()

    def health() -> tuple[bool, Mapping[str, Any]]:
        pulse = herald.pulse()
        return pulse.healthy, log.scrub_document(following.pulse_document(pulse))

    return health_server(*address, health, bell.ring)

"""``pipeline report``: a release from its record alone."""

from __future__ import annotations

import argparse

from pipeline import log
from pipeline.cli.screen import Screen
from pipeline.core.secret_values import secret_values
from pipeline.core.verdicts import outcome_of
from pipeline.model.environment import Environment
from pipeline.model.errors import PreflightError, UsageError
from pipeline.model.exit_codes import ExitCode
from pipeline.model.release import Outcome, Release
from pipeline.report import document
from pipeline.run.reads import next_step
from pipeline.run.session import Session
from pipeline.run.workspace import Workspace
from pipeline.wiring import App


def report(app: App, args: argparse.Namespace, screen: Screen) -> ExitCode:
    """Show what a run found out, and write it as a page where ``--html`` names a file."""
    if not args.release.isdecimal():
        raise UsageError(f"report {args.release!r}: no release number", hint="see `pipeline history -e ENV`")
    workspace = app.workspace()
    environment = _environment(workspace, args.environment, workspace.repository.resolve("HEAD"))
    found = _release(app.session(environment), environment, int(args.release))
    # What the release holds is not shown: neither what it wrote nor what was there before.
    log.redact(*secret_values([*found.rendered, *(obj for _, obj in found.before if obj)]))
    outcome = outcome_of(found, next_step(found, environment, locked=False) if found.is_open else "")
    if args.html:
        _write_page(args.html, outcome, found)
    screen.show_release(outcome, _facts(found))
    return ExitCode.OK


def _environment(workspace: Workspace, name: str, revision: str) -> Environment:
    """The named one, or the only one that there is."""
    if name:
        return workspace.environment(name, revision)
    environments = workspace.environments(revision)
    if len(environments) != 1:
        names = ", ".join(e.name for e in environments) or "none"
        raise UsageError(f"report needs an environment: {names}", hint="name it with -e")
    return environments[0]


def _release(session: Session, environment: Environment, number: int) -> Release:
    found = session.releases.get(number)
    if found is None:
        kept = ", ".join(str(r.number) for r in session.releases.history()) or "none"
        raise PreflightError(f"{environment.name} has no release {number}", hint=f"kept: {kept}")
    return found


def _facts(release: Release) -> dict[str, str]:
    return {
        "phase": str(release.phase),
        "actor": release.actor,
        "identity": release.identity,
        "started": release.started,
        "finished": release.finished,
    }


def _write_page(path: str, outcome: Outcome, release: Release) -> None:
    from pipeline.report.html import release_page  # late: few want a page

    page = release_page(
        log.scrub_document(document.report_document(outcome)),
        log.scrub_document(_facts(release)),
        log.scrub_document(document.plan_document(outcome.plan)) if outcome.plan else None,
    )
    Screen.save(path, page, "--html")

"""`pipeline changes`, and which branch a run is about."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from pipeline.cli.screen import Screen
from pipeline.core.branches import Branches, branches
from pipeline.model.environment import Environment
from pipeline.model.errors import InvalidError, UnreachableError
from pipeline.model.events import Note
from pipeline.model.exit_codes import ExitCode
from pipeline.model.views import EnvironmentChanges
from pipeline.run import job
from pipeline.run.touched import with_objects
from pipeline.run.workspace import Workspace
from pipeline.wiring import App, pushed_from


def run(app: App, args: argparse.Namespace, screen: Screen, workspace: Workspace, revision: str) -> ExitCode:
    """Tell what changed, in which environments; only remarks go to stderr."""
    if args.environment:
        environments: Sequence[Environment] = [workspace.environment(args.environment, revision)]
    else:
        environments = workspace.environments(revision)
    if args.on_merge:
        environments = job.deployed_on_merge(environments, branches_of(workspace).into)
    screen.show_changes([_changes_of(app, workspace, e, revision, args.base) for e in environments])
    return ExitCode.OK


def _changes_of(
    app: App, workspace: Workspace, environment: Environment, revision: str, base: str
) -> EnvironmentChanges:
    """An explicit base needs no cluster."""
    before = pushed_from()
    if base and base.strip("0"):
        changes = job.compare(workspace, environment, revision, base, "", before)
    else:
        changes = job.changes_of(workspace, app.session(environment), environment, revision, base, before)
    for remark in workspace.remarks(environment, revision):
        app.tell(Note(f"{environment.name}: {remark}", warning=True))
    try:
        return with_objects(workspace, environment, changes)
    except (InvalidError, UnreachableError) as error:  # a program that renders may be missing
        why = error.problems[0] if error.problems else error.message
        app.tell(Note(f"{environment.name}: its objects cannot be told: {why}", warning=True))
        return changes


def branches_of(workspace: Workspace) -> Branches:
    """Of the work tree, or of the event that GitHub Actions runs for."""
    ref, base = (os.environ.get(name, "") for name in ("GITHUB_REF", "GITHUB_BASE_REF"))
    return branches(workspace.repository.branch(), ref, base)

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
from pipeline.run.workspace import Workspace, path_of
from pipeline.wiring import App, pushed_from


def run(app: App, args: argparse.Namespace, screen: Screen, workspace: Workspace, revision: str) -> ExitCode:
    """Tell what changed, in which environments; only remarks go to stderr."""
    name = args.environment or ""
    here = workspace.has(name, revision)
    environments: Sequence[Environment] = ()
    if here:
        environments = [workspace.environment(name, revision)] if name else workspace.environments(revision)
    if args.on_merge:
        environments = job.deployed_on_merge(environments, branches_of(workspace).into)
    found = [_changes_of(app, workspace, e, revision, args.base) for e in environments]
    if not (name and here):
        found += _removed(app, workspace, revision, args, [one.base for one in found])
    if not found and not here:
        # Which there are, it says best itself.
        _ = workspace.environment(name, revision) if name else workspace.environments(revision)
    if args.matrix:
        for one in found:
            if one.removed:
                app.tell(Note("; ".join(one.because), warning=True))
    screen.show_changes(found)
    return ExitCode.OK


def _removed(
    app: App, workspace: Workspace, revision: str, args: argparse.Namespace, compared: Sequence[str]
) -> list[EnvironmentChanges]:
    """Environments that were there at an explicit base, else where the push began or at any base that was
    compared with, and now are not; of one that is named, at the last commit that had it."""
    from pipeline.run.removed_environments import removed_environments  # late: a deploy needs none of it

    name = args.environment or ""
    if args.base and args.base.strip("0"):
        base, _ = job.base_commit(workspace.repository, args.base, "")
        return removed_environments(workspace, revision, [base], None, name)
    last = workspace.repository.last_with(revision, path_of(name)) if name else ""
    return removed_environments(workspace, revision, [last, pushed_from(), *compared], app.session, name)


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

"""One function a command: gather, run, show. Decisions are made elsewhere."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from pipeline import failpoint, log
from pipeline.cli import changes
from pipeline.cli.screen import Screen
from pipeline.core.plan_changes import ExpectedPlan
from pipeline.failpoint import Point
from pipeline.model.environment import Environment
from pipeline.model.errors import InvalidError, PipelineError, UsageError
from pipeline.model.events import Note
from pipeline.model.exit_codes import ExitCode
from pipeline.model.release import Outcome
from pipeline.model.status import Status
from pipeline.model.views import EnvironmentStatus
from pipeline.report import document, tables
from pipeline.report.secrets import Masker
from pipeline.run import job
from pipeline.run.workspace import Workspace
from pipeline.wiring import App, github_runs, plan_files, pushed_from


def run(args: argparse.Namespace) -> ExitCode:
    """Dispatch. A PipelineError that ends a command is shown as a ``problems`` document or one line."""
    with Screen(args) as screen:
        app = App(repo=args.repo, kubeconfig=args.kubeconfig, context=args.context, tell=screen.tell)
        app.catch_signals()
        try:
            failpoint.arm(os.environ.get(failpoint.VARIABLE, ""))
            failpoint.passing(Point.START)
            return _COMMANDS[args.command](app, args, screen)
        except PipelineError as error:
            screen.show_error(error)
            return error.exit_code


def _deploy(app: App, args: argparse.Namespace, screen: Screen) -> ExitCode:
    workspace, revision = _at_revision(app, args)
    found = changes.branches_of(workspace)
    order = replace(_order(args), branch=found.at)
    if args.environment:
        environment = workspace.environment(args.environment, revision)
        failpoint.passing(Point.CONFIG_READ)
        outcome = job.deploy_one(workspace, app.session, environment, revision, order)
        return _ended(screen, outcome, order)
    if order.expected:
        raise UsageError("--plan names the plan of one environment: which one? (-e)")
    environments = workspace.environments(revision)
    if not order.branch:
        raise UsageError(
            f"no environment deploys on merge here: {found.why_none}",
            hint="check out a branch, or name the environment with -e",
        )
    if found.why_none:
        screen.tell(Note(f"nothing deploys on merge: {found.why_none}"))
    outcomes = job.deploy_affected(workspace, app.session, environments, revision, order, app.tell)
    return screen.show_outcomes(outcomes, several=True)


def _promote(app: App, args: argparse.Namespace, screen: Screen) -> ExitCode:
    name = args.to or args.environment
    if not name:
        raise UsageError("promote to which environment? (--to)")
    workspace = app.workspace()
    revision = workspace.repository.resolve("HEAD")
    target = workspace.environment(name, revision)
    environments = workspace.environments(revision)
    order = _order(args)
    outcome = job.promote(workspace, app.session, environments, target, args.source, order)
    return _ended(screen, outcome, order)


def _rollback(app: App, args: argparse.Namespace, screen: Screen) -> ExitCode:
    if args.to and not args.to.isdigit():
        raise UsageError(f"--to {args.to!r} is no release number", hint="see `pipeline history`")
    workspace, revision = _at_revision(app, args)
    environment = workspace.environment(_one_environment(args), revision)
    number = int(args.to) if args.to else None
    order = _order(args)
    outcome = job.roll_back_to(app.session, environment, number, order)
    return _ended(screen, outcome, order)


def _ended(screen: Screen, outcome: Outcome, order: job.Order) -> ExitCode:
    """Show it. A plan that was only shown may be run next: then it is known what it was."""
    if outcome.plan and (order.dry_run or outcome.exit_code == ExitCode.PLAN_CHANGED):
        plan_files().keep(outcome.plan.digest, screen.plan_json(outcome.plan))
    return screen.show_outcomes([outcome])


def _plan(app: App, args: argparse.Namespace, screen: Screen) -> ExitCode:
    from pipeline.cli.plan import plan_of_cluster, plan_offline

    files = plan_files()
    # First of all: who cannot save it need not wait for it.
    with files.saving(args.save) as save:
        workspace, revision = _at_revision(app, args)
        environment = workspace.environment(_one_environment(args), revision)
        make = plan_offline if args.offline else plan_of_cluster
        plan = make(app, workspace, environment, revision, args.target_version)
        text = screen.plan_json(plan)
        save(text)
    files.keep(plan.digest, text)
    screen.show_plan(plan, environment.name)
    return ExitCode.OK


def _render(app: App, args: argparse.Namespace, screen: Screen) -> ExitCode:
    from pipeline.adapters import yaml

    workspace, revision = _at_revision(app, args)
    environment = workspace.environment(_one_environment(args), revision)
    screen.refuse_secrets_in_ci()
    _tell_versions(workspace, args, revision, screen)
    objects = [m.body for m in workspace.render(environment, revision, lambda *_: None)]
    # In a CI log a line of a block scalar could act as a command; JSON has no such lines.
    if args.output == "json" or os.environ.get("GITHUB_ACTIONS") == "true":
        text = document.to_json(document.render_document(objects, args.show_secrets))
    else:
        masker = Masker()
        text = yaml.dump(objects if args.show_secrets else [masker.object(o) for o in objects])
    # What was encrypted is a secret wherever it turns up.
    screen.show(text if args.show_secrets else log.hide(text))
    return ExitCode.OK


def _validate(app: App, args: argparse.Namespace, screen: Screen) -> ExitCode:
    from pipeline.cli.validate import validate
    from pipeline.report.sarif import sarif_document

    workspace, revision = _at_revision(app, args)
    _tell_versions(workspace, args, revision, screen)
    problems = validate(workspace, args, revision)
    if args.sarif:
        found = log.scrub_document(sarif_document(problems))
        screen.save(args.sarif, document.to_json(found), "--sarif")
    return screen.show_problems(problems)


def _tell_versions(workspace: Workspace, args: argparse.Namespace, revision: str, screen: Screen) -> None:
    """With -v: which programs render, as what they make may differ from version to version."""
    with suppress(InvalidError):  # what is wrong with the environments is told elsewhere
        if args.verbose and args.environment:
            environments: Sequence[Environment] = [workspace.environment(args.environment, revision)]
        else:
            environments = workspace.environments(revision) if args.verbose else ()
        for version in sorted({version for e in environments for version in workspace.versions(e)}):
            screen.tell(Note(f"rendered by {version}"))


def _changes(app: App, args: argparse.Namespace, screen: Screen) -> ExitCode:
    workspace, revision = _at_revision(app, args)
    return changes.run(app, args, screen, workspace, revision)


def _status(app: App, args: argparse.Namespace, screen: Screen) -> ExitCode:
    from pipeline.run import reads

    workspace, revision = _at_revision(app, args)
    if args.environment:
        environment = workspace.environment(args.environment, revision)
        found = [reads.status_of(app.session(environment), environment)]
    else:
        found = [_status_or_unreachable(app, e) for e in workspace.environments(revision)]
    screen.show_document(document.status_document(found), lambda: tables.status_text(found))
    return ExitCode.OK


def _status_or_unreachable(app: App, environment: Environment) -> EnvironmentStatus:
    from pipeline.run import reads

    try:
        return reads.status_of(app.session(environment), environment)
    except PipelineError as error:
        return reads.unreachable(environment, error)


def _history(app: App, args: argparse.Namespace, screen: Screen) -> ExitCode:
    workspace, revision = _at_revision(app, args)
    environment = workspace.environment(_one_environment(args), revision)
    releases = app.session(environment).releases.history()
    screen.show_document(document.history_document(releases), lambda: tables.history_text(releases))
    return ExitCode.OK


def _diff(app: App, args: argparse.Namespace, screen: Screen) -> ExitCode:
    from pipeline.run import reads

    workspace, revision = _at_revision(app, args)
    environment = workspace.environment(_one_environment(args), revision)
    session = app.session(environment)
    drift = reads.drift(session, session.releases.last_verified())
    screen.show_document(document.diff_document(drift), lambda: tables.diff_text(drift))
    return ExitCode.DRIFT if drift else ExitCode.OK


def _assess(app: App, args: argparse.Namespace, screen: Screen) -> ExitCode:
    from pipeline.adapters import files
    from pipeline.core.saved import assess_saved

    manifests = [m for name in args.filename for m in files.manifests(name)]
    policy = None
    if args.environment:
        workspace, revision = _at_revision(app, args)
        policy = workspace.environment(args.environment, revision).rollout
    verdicts = assess_saved(manifests, policy)
    screen.show_document(document.assess_document(verdicts), lambda: tables.assess_text(verdicts))
    settled = all(one.status.status is Status.CURRENT for one in verdicts)
    return ExitCode.DRIFT if args.exit_code and not settled else ExitCode.OK


def _eks(app: App, args: argparse.Namespace, screen: Screen) -> ExitCode:
    from pipeline.cli import eks

    return eks.run(app, args, screen)


def _unlock(app: App, args: argparse.Namespace, screen: Screen) -> ExitCode:
    from pipeline.run.unlock import unlock

    workspace, revision = _at_revision(app, args)
    environment = workspace.environment(_one_environment(args), revision)
    github = github_runs(lambda message: screen.tell(Note(message, warning=True)))
    unlocking = unlock(app.session(environment), github.ended)
    screen.show_document(document.unlock_document(unlocking), lambda: tables.unlock_text(unlocking))
    return ExitCode.OK if unlocking.is_free else ExitCode.LOCKED


def _report(app: App, args: argparse.Namespace, screen: Screen) -> ExitCode:
    from pipeline.cli import releases

    return releases.report(app, args, screen)


def _reconcile(app: App, args: argparse.Namespace, screen: Screen) -> ExitCode:
    from pipeline.cli import reconcile

    return reconcile.run(app, args, screen)


def _at_revision(app: App, args: argparse.Namespace) -> tuple[Workspace, str]:
    workspace = app.workspace()
    revision = workspace.repository.resolve(getattr(args, "revision", "HEAD"))
    failpoint.passing(Point.GIT_OPEN)
    return workspace, revision


def _one_environment(args: argparse.Namespace) -> str:
    if not args.environment:
        raise UsageError(f"{args.command} needs an environment", hint="name it with -e")
    return str(args.environment)


def _expected(text: str) -> ExpectedPlan | None:
    """What ``--plan`` names: a digest, or a file: with a slash, or named ``*.json``."""
    if not text:
        return None
    files = plan_files()
    if "/" in text or text.endswith(".json"):
        document = files.read(text)
        return ExpectedPlan(digest=str(document["digest"]), document=document)
    return ExpectedPlan(digest=text, document=files.known(text))


def _order(args: argparse.Namespace) -> job.Order:
    return job.Order(
        base=getattr(args, "base", ""),
        pushed_from=pushed_from(),
        expected=_expected(args.plan),
        wait_lock_s=float(args.wait_lock),
        allow_older=getattr(args, "allow_older", False),
        dry_run=args.dry_run,
    )


_COMMANDS: dict[str, Callable[[App, argparse.Namespace, Screen], ExitCode]] = {
    "assess": _assess,
    "changes": _changes,
    "deploy": _deploy,
    "diff": _diff,
    "eks": _eks,
    "history": _history,
    "plan": _plan,
    "promote": _promote,
    "reconcile": _reconcile,
    "render": _render,
    "report": _report,
    "rollback": _rollback,
    "status": _status,
    "unlock": _unlock,
    "validate": _validate,
}

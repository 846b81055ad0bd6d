"""The command line, as argparse wants it. Nothing but argparse is imported here: ``--help`` is quick."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence

from pipeline import __version__
from pipeline.model.exit_codes import ExitCode

_MEANINGS = {
    ExitCode.OK: "done and healthy, or nothing to do and healthy",
    ExitCode.DRIFT: "diff found drift, or assess --exit-code an object that is not Current",
    ExitCode.USAGE: "wrong command line",
    ExitCode.ROLLED_BACK: "the deploy failed; everything is back and verified",
    ExitCode.FAILED: "the deploy failed; not rolled back (off, or nothing to go back to)",
    ExitCode.TIMED_OUT: "as 11, and the time ran out without a definite failure",
    ExitCode.ROLLBACK_FAILED: "the rollback did not restore everything; the report lists what differs",
    ExitCode.INVALID: "configuration or manifests are wrong; nothing was written",
    ExitCode.PREFLIGHT: "the cluster refused before the first write; nothing was written",
    ExitCode.PLAN_CHANGED: "the plan is no longer the one that was named; nothing was written",
    ExitCode.GATE_CLOSED: "promotion is not eligible yet; nothing was written",
    ExitCode.LOCKED: "another live run holds the environment",
    ExitCode.UNREACHABLE: "git, AWS or the cluster cannot be reached or refused the login",
    ExitCode.INTERRUPTED: "a signal stopped the run; the next run takes over",
    ExitCode.BUG: "a bug of pipeline",
}

_DURATION = re.compile(r"^(?=.)(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?$")
_VERSION = re.compile(r"^v?(1\.[1-9]?[0-9])(?:\.[0-9]+)?$")


def build() -> argparse.ArgumentParser:
    """The parser of all commands. Global options stand before or after the command."""
    parser = argparse.ArgumentParser(
        prog="pipeline",
        description="Deploys what git says to Kubernetes, proves that it works, or puts back what was.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"pipeline {__version__}")
    _global_options(parser, suppress=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, prog="pipeline")
    add = _Adder(commands)
    _reading(add)
    _changing(add)
    _reconcile(add)
    _eks(add)
    return parser


class _Adder:
    """Adds a command with the global options."""

    def __init__(self, commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        self._commands = commands

    def __call__(self, name: str, text: str) -> argparse.ArgumentParser:
        command = self._commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        _global_options(command, suppress=True)
        return command


def option(
    parser: argparse.ArgumentParser,
    *names: str,
    default: str = "",
    suppress: bool = False,
    parse: Callable[[str], object] = str,
    choices: Sequence[str] | None = None,
    **more: str,
) -> None:
    """An option with a value that also reads ``PIPELINE_<OPTION>``."""
    variable = "PIPELINE_" + names[-1].lstrip("-").replace("-", "_").upper()
    # Empty is as good as unset: a GitHub Actions input that nobody gave arrives as an empty variable.
    value = os.environ.get(variable) or default
    if choices is not None and value not in choices:
        parser.error(f"{variable}={value!r}: choose from {', '.join(choices)}")
    parser.add_argument(
        *names,
        default=argparse.SUPPRESS if suppress else value,
        type=parse,
        choices=choices,
        help=more.get("help"),
        metavar=more.get("metavar"),
        dest=more.get("dest", names[-1].lstrip("-").replace("-", "_")),
    )


def flag(parser: argparse.ArgumentParser, *names: str, help: str, suppress: bool = False) -> None:
    """A switch that ``PIPELINE_<OPTION>=true`` turns on, too."""
    variable = "PIPELINE_" + names[-1].lstrip("-").replace("-", "_").upper()
    on = os.environ.get(variable, "").lower() in ("1", "true", "yes", "on")
    parser.add_argument(*names, action="store_true", default=argparse.SUPPRESS if suppress else on, help=help)


def several(parser: argparse.ArgumentParser, name: str, *, metavar: str, help: str) -> None:
    """An option that may be repeated; ``PIPELINE_<OPTION>`` has its values as a PATH has them."""
    variable = "PIPELINE_" + name.lstrip("-").replace("-", "_").upper()
    given = [value for value in os.environ.get(variable, "").split(os.pathsep) if value]
    parser.add_argument(name, action="append", default=given, metavar=metavar, help=help)


def duration(text: str) -> float:
    """``5m``, ``1h30m``, ``90s`` → seconds. ``0`` needs no unit."""
    if text == "0":
        return 0.0
    match = _DURATION.match(text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration such as 90s, 5m or 1h30m")
    hours, minutes, seconds = match.groups(default="0")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def version(text: str) -> str:
    """``1.34``, ``v1.34.2`` → ``1.34``: a removal is a matter of the minor version. Empty stays empty."""
    match = _VERSION.match(text)
    if text and not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no version of Kubernetes such as 1.34")
    return match.group(1) if match else ""


def _global_options(parser: argparse.ArgumentParser, *, suppress: bool) -> None:
    group = parser
    option(
        group,
        "-C",
        "--repo",
        default=".",
        suppress=suppress,
        metavar="DIR",
        help="the git repository (default: .)",
    )
    option(group, "-e", "--environment", suppress=suppress, metavar="NAME", help="the environment")
    option(
        group,
        "-o",
        "--output",
        default="text",
        suppress=suppress,
        choices=("text", "json", "markdown"),
        help="what stdout carries",
    )
    option(
        group,
        "--log-format",
        default="text",
        suppress=suppress,
        choices=("text", "json"),
        help="logs on stderr",
    )
    group.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=argparse.SUPPRESS if suppress else _verbosity(parser),
        help="more logs; twice for debugging",
    )
    flag(group, "--no-color", help="no colours and no live view", suppress=suppress)
    option(group, "--kubeconfig", suppress=suppress, metavar="FILE", help="instead of KUBECONFIG")
    option(group, "--context", suppress=suppress, metavar="NAME", help="of the kubeconfig")


def _verbosity(parser: argparse.ArgumentParser) -> int:
    text = os.environ.get("PIPELINE_VERBOSE") or "0"
    if not re.fullmatch(r"[0-9]", text):
        parser.error(f"PIPELINE_VERBOSE={text!r}: write 0, 1 or 2")
    return int(text)


def _reading(add: _Adder) -> None:
    changes = add("changes", "which files changed since each environment's last success, and whom it affects")
    _revision(changes)
    option(changes, "--base", metavar="REV", help="compare with this instead of the recorded release")
    flag(changes, "--on-merge", help="only environments that a merge to this branch deploys, upstream first")
    flag(changes, "--matrix", help="print the affected environments as a GitHub Actions matrix, nothing else")
    render = add("render", "the objects of an environment as YAML (-o json: as JSON)")
    _revision(render)
    flag(render, "--show-secrets", help="do not mask Secret values")
    validate = add("validate", "every problem of every environment at once, offline")
    _revision(validate)
    _target_version(validate, "hold it against this version of Kubernetes (default: the newest known)")
    several(validate, "--crds", metavar="FILE|DIR", help="definitions of custom resources; repeatable")
    option(validate, "--sarif", metavar="FILE", help="write the problems for code scanning, too")
    plan = add("plan", "what a deploy would do: order, field diffs, what can be undone, digest")
    _revision(plan)
    flag(plan, "--offline", help="without a cluster, as if it were empty")
    option(plan, "--save", metavar="FILE", help="write the plan's document, to be deployed with --plan FILE")
    _target_version(plan, "tell what an upgrade of the cluster to this version would refuse")
    add("status", "what runs where, and how healthy it is")
    add("history", "the releases of an environment, newest first")
    report = add("report", "a release from its record alone")
    report.add_argument("release", metavar="RELEASE", help="its number")
    option(report, "--html", metavar="FILE", help="write it as one self-contained page, too")
    add("diff", "drift: live objects against the last verified release; exit 1 where there is some")
    assess = add("assess", "readiness of objects saved in YAML or JSON files, offline")
    assess.add_argument("-f", "--filename", action="append", required=True, metavar="FILE", help="repeatable")
    flag(assess, "--exit-code", help="exit 1 if any object is not Current")


def _changing(add: _Adder) -> None:
    deploy = add("deploy", "deploy a commit; without -e to every affected environment that deploys on merge")
    _revision(deploy)
    option(deploy, "--base", metavar="REV", help="compare with this instead of the recorded release")
    flag(deploy, "--allow-older", help="deploy a commit that is contained in the one that runs")
    _run_options(deploy)
    promote = add("promote", "deploy the revision that was verified upstream")
    option(promote, "--to", metavar="NAME", help="the environment to deploy to")
    option(promote, "--from", metavar="NAME", dest="source", help="the environment where it was verified")
    _run_options(promote)
    rollback = add("rollback", "back to the last verified, or a named, release")
    option(rollback, "--to", metavar="RELEASE", help="number of the release")
    _run_options(rollback)
    add("unlock", "explain the lock, and release it where its holder is proven dead")


def _reconcile(add: _Adder) -> None:
    reconcile = add(
        "reconcile",
        "stays: deploys new commits of deploy.branch, puts drift back, one line a change; SIGHUP looks now",
    )
    reconcile.epilog = (
        "stdout has one line for each change: text, or with -o json one document a line, the report of each "
        "deploy and pipeline/reconcile/v1 for all else. Each commit is deployed once; what a person deploys "
        "stays until the branch has a newer commit. SIGTERM or SIGINT: exit code 0, or 50 where that stopped "
        "a deploy."
    )
    option(reconcile, "--interval", default="60s", parse=duration, metavar="TIME", help="between looks (60s)")
    option(
        reconcile,
        "--listen",
        metavar="HOST:PORT",
        help="serve GET /healthz, and POST /hook, which looks now",
    )


def _run_options(parser: argparse.ArgumentParser) -> None:
    option(
        parser,
        "--plan",
        metavar="DIGEST|FILE",
        help="only if the plan is still this one; else tell what differs",
    )
    option(
        parser, "--wait-lock", default="0", parse=duration, metavar="TIME", help="wait for another run (5m)"
    )
    flag(parser, "--dry-run", help="plan against the cluster, write nothing")


def _revision(parser: argparse.ArgumentParser) -> None:
    option(parser, "--revision", default="HEAD", metavar="REV", help="the commit (default: HEAD)")


def _target_version(parser: argparse.ArgumentParser, text: str) -> None:
    option(parser, "--target-version", parse=version, metavar="1.N", help=text)


def _eks(add: _Adder) -> None:
    eks = add("eks", "log in to EKS without the aws CLI")
    commands = eks.add_subparsers(
        dest="eks_command", metavar="kubeconfig|token", required=True, prog="pipeline eks"
    )
    nested = _Adder(commands)
    token = nested("token", "print an ExecCredential for kubectl")
    kubeconfig = nested("kubeconfig", "write a kubeconfig entry, as `aws eks update-kubeconfig` does")
    for command in (token, kubeconfig):
        option(command, "--name", metavar="CLUSTER", help="the EKS cluster (or -e ENV)")
        option(command, "--region", metavar="REGION", help="of the cluster")
        option(command, "--role-arn", metavar="ARN", help="role to assume for the token")
    option(kubeconfig, "--alias", metavar="NAME", help="of the context")
    option(kubeconfig, "--user-alias", metavar="NAME", help="of the user entry")
    option(kubeconfig, "--proxy-url", metavar="URL", help="proxy to the API server")
    option(kubeconfig, "--assume-role-arn", metavar="ARN", help="role to assume for describing the cluster")
    flag(kubeconfig, "--dry-run", help="print instead of writing")


def _epilog() -> str:
    codes = "\n".join(f"  {code.value:3}  {code.result:16} {text}" for code, text in _MEANINGS.items())
    return (
        "Every option also reads PIPELINE_<OPTION>. stdout carries the result, stderr progress and logs.\n\n"
        f"exit codes:\n{codes}"
    )

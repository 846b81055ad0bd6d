"""The command line: arguments → request; events and errors → screen and exit code."""

from __future__ import annotations

import gc
from collections.abc import Sequence

from pipeline import __version__
from pipeline.model.exit_codes import ExitCode


def main(argv: Sequence[str]) -> int:
    """Run one command; returns its exit code. No exception leaves it but SystemExit of --help."""
    if list(argv) == ["--version"]:
        print(f"pipeline {__version__}")  # noqa: T201 - asked by scripts, often: not worth a parser
        return int(ExitCode.OK)
    from pipeline.cli.parser import build

    try:
        args = build().parse_args(argv)
    except SystemExit as ended:
        return int(ended.code or 0)
    # A process of seconds, with some 100,000 objects that live to its end: looking for garbage among them
    # again and again costs up to a quarter of the time.
    gc.set_threshold(300_000, 50, 100)
    # Late: parsing and --help must not pay for git, Kubernetes and AWS.
    from pipeline import failpoint
    from pipeline.cli import commands, screen
    from pipeline.failpoint import Point

    try:
        code = commands.run(args)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last stop before the user
        return screen.bug(error, args)
    failpoint.passing(Point.EXIT)
    return int(code)

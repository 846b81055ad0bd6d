"""A run that takes too long writes where all its threads stand, again and again: else nobody can say why.

    python tests/fault/stacks.py FILE deploy -e dev     # as ``python -m pipeline deploy -e dev``

The harness asks for it, in the process that is the run; the product knows nothing of it.
"""

from __future__ import annotations

import faulthandler
import runpy
import sys
from pathlib import Path

LONG_S = 45.0
"""A run that waits for a dead one's lock is done by then; one that is stuck is killed well after it."""

_HEAD = "Timeout ("
_open = []  # for as long as the process is there


def write_when_late(file: Path, seconds: float = LONG_S) -> None:
    """Whenever so many seconds have passed, all stacks go into the file."""
    _open.append(file.open("w"))
    faulthandler.dump_traceback_later(seconds, repeat=True, file=_open[-1])


def last_in(file: Path) -> str:
    """The stacks as they were written last; empty where the run was never late."""
    written = file.read_text(errors="replace") if file.exists() else ""
    return written.rpartition(_HEAD)[2].partition("\n")[2].strip()


def main() -> None:
    write_when_late(Path(sys.argv[1]))
    sys.path[0] = str(Path.cwd())  # as with -m
    sys.argv = ["pipeline", *sys.argv[2:]]
    runpy.run_module("pipeline", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

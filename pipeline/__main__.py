"""``python -m pipeline`` and the console script."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    _open_closed_streams()
    from pipeline.cli import main as run

    sys.exit(run(sys.argv[1:]))


def _open_closed_streams() -> None:
    """Whoever started us may have closed a standard stream (``>&-``). What goes there is for nobody, and
    stops nothing; without a stand-in the next file or connection would have its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


if __name__ == "__main__":
    main()

"""``python -P recorder.py STATS ARGS…`` is ``python -m pipeline ARGS…`` that leaves a profile behind.

Every thread has a profiler of its own, in processor time. Nothing but the standard library is imported
here: whatever else the profile holds is the product's.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import threading
import time
from pathlib import Path


def record(stats: Path, args: list[str]) -> int:
    """Run the command line; its exit code."""
    profiles: list[cProfile.Profile] = []
    run = threading.Thread.run

    def profiled(self: threading.Thread) -> None:
        one = cProfile.Profile(time.thread_time)
        profiles.append(one)
        one.runcall(run, self)

    threading.Thread.run = profiled  # type: ignore[method-assign]
    sys.argv = ["pipeline", *args]
    whole = cProfile.Profile(time.thread_time)
    code = 0
    try:
        whole.runcall(_main, args)
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        found = pstats.Stats(whole)
        for one in profiles:
            one.create_stats()
            if one.getstats():
                found.add(one)
        found.dump_stats(stats)
    return code


def _main(args: list[str]) -> None:
    from pipeline.cli import main  # the import is a part of what is measured

    sys.exit(main(args))


if __name__ == "__main__":
    sys.exit(record(Path(sys.argv[1]), sys.argv[2:]))

"""Run the targets for a time each, and tell how many inputs they had. Exit 1, with the input, for a bug."""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.run import run
from tests.fuzz.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="for each target (default 60)")
    parser.add_argument("--seed", type=int, default=time.time_ns(), help="of the first round, to do it again")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(TARGETS)} (default: all)")
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    failed = False
    for name in arguments.targets or TARGETS:
        result = run(TARGETS[name], arguments.seconds, arguments.seed)
        print(f"{name}: {result.inputs} inputs in {result.seconds:.0f} s, seed {arguments.seed}", flush=True)
        if result.failure:
            print(result.failure, flush=True)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

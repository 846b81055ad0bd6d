"""``python -m tests.bench``: every comparison, as tables of ratios."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import contenders, decisions, deploys, engine, recovery, requests, scale, startup
from tests.bench.chain import Course
from tests.bench.measure import MOST_PAIRS, Comparison, table
from tests.bench.sides import Lab
from tests.cluster.build import cluster_binary
from tests.cluster.local import LocalCluster

# (objects, seconds after which no further pair begins).
FULL = ((10, 20.0), (100, 30.0), (300, 40.0))
QUICK = ((10, 5.0), (100, 5.0))
LATEST_S = 170.0
"""No size is begun later: this part stays below four minutes, on a slow machine with fewer lines."""
ENGINE_S = 400.0
"""No side of the engine's comparison begins later, so that all of it stays below fifteen minutes."""
ENGINE_QUICK_S = 120.0


def main() -> int:
    """Measure, and print tables."""
    arguments = _arguments()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    started = time.monotonic()
    contenders.compiled(contenders.ROOT)
    pairs = 2 if arguments.quick else MOST_PAIRS
    print(_context())
    tell("Start", startup.measure(pairs, 8.0))
    count = 1_000 if arguments.quick else 10_000
    tell("Decisions", decisions.measure(count, pairs, 5.0 if arguments.quick else 25.0))
    kubectl = shutil.which(arguments.kubectl)
    if kubectl:
        _with_cluster(kubectl, QUICK if arguments.quick else FULL, pairs, started + LATEST_S)
    else:
        print(f"The end-to-end comparisons are skipped: there is no {arguments.kubectl} on the PATH.\n")
    _engine(quick=arguments.quick)
    if arguments.git:
        print(scale.git())
    if arguments.large:
        print(scale.large(Course(namespaces=scale.LARGE_NAMESPACES)))
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"Done in {time.monotonic() - started:.0f} s; load at the end: {load}.")
    return 0


def tell(title: str, comparisons: list[Comparison]) -> None:
    """Print as soon as it is known."""
    print(table(title, comparisons))


def _with_cluster(kubectl: str, sizes: tuple[tuple[int, float], ...], pairs: int, latest: float) -> None:
    cluster_binary()
    with tempfile.TemporaryDirectory(prefix="pipeline-bench-") as name:
        folder = Path(name)
        audit = requests.Audit(folder)
        users = dict.fromkeys((requests.OURS, requests.PEER), ("system:masters",))
        with LocalCluster(users=users, apiserver_flags=audit.flags) as cluster:
            lab = Lab(cluster, audit, folder, kubectl)
            tell("A bad image", recovery.compare(lab, min(pairs, 3), 25.0 if pairs > 2 else 5.0))
            for count, budget_s in sizes:
                if time.monotonic() > latest:
                    print(f"Deploys of {count} objects are skipped: the time is used up.\n")
                    continue
                tell(f"Deploys of {count} objects", deploys.compare(lab, count, pairs, budget_s))


def _engine(*, quick: bool) -> None:
    """Every tool with 1,025 objects; without the slow ones and the distance where it is to be quick."""
    course, far_s = Course(), 0.0 if quick else engine.ROUND_TRIP_S
    sides = engine.available(engine.QUICK if quick else engine.ORDER)
    budget_s = ENGINE_QUICK_S if quick else ENGINE_S
    print(engine.report(engine.compare(sides, course, far_s=far_s, budget_s=budget_s), course, far_s))


def _context() -> str:
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return (
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load at the start: {load}.\n"
        "A ratio is our time through the peer's in the same pair of runs: below 1 we are faster.\n"
        "Told are the median and the range over the pairs; seconds are context, of this machine and hour.\n"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="two pairs of the smaller sizes, few peers; three minutes"
    )
    parser.add_argument("--large", action="store_true", help="also 10,004 objects, by us alone; minutes")
    parser.add_argument("--git", action="store_true", help="also 100,000 manifests in git, 10 changed")
    parser.add_argument(
        "--kubectl", default="kubectl", help="which kubectl to compare with (default: on the PATH)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

"""``python -m tests.bench.engine``: 1,025 objects by every tool, on clusters of their own, in one run.

first | unchanged | changed     up to that step, all sides
all                             every step, near and at a distance
ours                            our side alone: phases, processor time, memory, requests
large                           10,004 objects by us alone, beside 1,025
git                             100,000 manifests in git, 10 changed
profile                         where our processor time goes, by module
latency                         milliseconds from an event of the API server to our verdict
verdicts                        failures: seconds from the apply to the verdict, beside kubectl and Helm
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from tests.bench import chain, contenders, estate, latency, peers, profiling, scale, scores, verdicts
from tests.bench.chain import Course, Measured, Step
from tests.bench.contenders import Name
from tests.bench.scores import FAR, NEAR, Place
from tests.cluster.build import cluster_binary

ROUND_TRIP_S = 0.05
LIMIT_S = 300.0
BUDGET_S = 600.0
STEPS = {
    "first": (Step.FIRST,),
    "unchanged": (Step.FIRST, Step.UNCHANGED),
    "changed": tuple(Step),
    "all": tuple(Step),
    "ours": tuple(Step),
}
ORDER = (Name.OURS, Name.BARE, Name.HELM, Name.KAPP, Name.SERVER_SIDE, Name.CLIENT_SIDE)
QUICK = (Name.OURS, Name.BARE, Name.HELM)
# kubectl, tens of seconds near, takes minutes there and tells nothing new. It comes last: what the goals are
# measured by should not be what the time is used up for.
AT_A_DISTANCE = (Name.OURS, Name.BARE, Name.HELM, Name.KAPP)
PEER_FAR_LIMIT_S = 120.0


def compare(
    sides: Iterable[Name],
    course: Course,
    *,
    near: bool = True,
    far_s: float = 0.0,
    budget_s: float = BUDGET_S,
) -> dict[Place, list[Measured]]:
    """Each side in turn, told as it goes; none begins after ``budget_s``."""
    latest = time.monotonic() + budget_s
    results: dict[Place, list[Measured]] = {}
    for place, one in _courses(tuple(sides), course, near, far_s):
        if time.monotonic() > latest:
            say(f"{_title(place)}: skipped, the time is used up")
            continue
        say(f"{_title(place)} …")
        results[place] = chain.run(place[0], one)
    return results


def say(text: str) -> None:
    """To people who wait."""
    print(text, file=sys.stderr, flush=True)


def report(results: dict[Place, list[Measured]], course: Course, far_s: float) -> str:
    """All tables."""
    count = course.namespaces * estate.PER_NAMESPACE
    parts = [
        f"### {count:,} objects, each side on a cluster of its own",
        scores.seconds_table(results, far_s),
        scores.goals_table(results),
        scores.ours_table(results),
        "\n".join(scores.failures(results)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def available(sides: Iterable[Name]) -> tuple[Name, ...]:
    """Those whose tool is here; says who is left out."""
    found = []
    for name in sides:
        tool = contenders.NEEDED.get(name)
        if tool is None or peers.find(tool):
            found.append(name)
        else:
            say(f"{name} is left out: no {tool.name} here; hint: python -m tests.bench.peers")
    return tuple(found)


def _courses(
    sides: tuple[Name, ...], course: Course, near: bool, far_s: float
) -> Iterator[tuple[Place, Course]]:
    chosen = [name for name in sides if near]
    yield from (((name, NEAR), course) for name in chosen if name in AT_A_DISTANCE)
    for name in sides if far_s else ():
        if name in AT_A_DISTANCE:
            is_peer = name not in (Name.OURS, Name.BARE)
            limit_s = min(course.limit_s, PEER_FAR_LIMIT_S) if is_peer else course.limit_s
            yield (name, FAR), replace(course, limit_s=limit_s, round_trip_s=far_s)
    yield from (((name, NEAR), course) for name in chosen if name not in AT_A_DISTANCE)


def _title(place: Place) -> str:
    return f"{place[0]}{' at a distance' if place[1] else ''}"


def main() -> int:
    """Serve the command line."""
    arguments = _arguments()
    print(f"{os.cpu_count()} cores, load at the start: {_load()}.\n", flush=True)
    if arguments.what != "git":
        cluster_binary()
    course = _course(arguments)
    match arguments.what:
        case "git":
            print(scale.git(arguments.objects, course.code))
        case "large":
            print(scale.large(course))
        case "profile":
            print(profiling.profile(course))
        case "latency":
            print(latency.report(latency.measure()))
        case "verdicts":
            print(verdicts.report(verdicts.measure()))
        case _:
            _compare(arguments, course)
    print(f"load at the end: {_load()}.")
    return 0


def _course(arguments: argparse.Namespace) -> Course:
    usual = scale.LARGE_NAMESPACES if arguments.what == "large" else estate.NAMESPACES
    return Course(
        steps=STEPS.get(arguments.what, tuple(Step)),
        namespaces=arguments.namespaces or usual,
        limit_s=arguments.limit,
        code=contenders.compiled(arguments.code.resolve()),
    )


def _compare(arguments: argparse.Namespace, course: Course) -> None:
    alone = arguments.what == "ours"
    sides = (Name.OURS,) if alone else available(_chosen(arguments.sides))
    far_s = arguments.distance / 1000 if alone or arguments.what == "all" or arguments.far else 0.0
    results = compare(sides, course, near=not arguments.far, far_s=far_s, budget_s=arguments.budget)
    print(report(results, course, far_s))


def _chosen(words: str) -> tuple[Name, ...]:
    if not words:
        return ORDER
    return tuple(name for name in ORDER if name.name.lower().replace("_", "-") in words.split(","))


def _load() -> str:
    return ", ".join(f"{one:.1f}" for one in os.getloadavg())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.engine",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=[*STEPS, "large", "git", "profile", "latency", "verdicts"])
    words = ", ".join(name.name.lower().replace("_", "-") for name in ORDER)
    parser.add_argument("--sides", default="", help=f"separated by commas, of: {words}")
    parser.add_argument(
        "--distance", type=float, default=ROUND_TRIP_S * 1000, help="round trip in ms; 0: none"
    )
    parser.add_argument("--far", action="store_true", help="only at a distance")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for one command")
    parser.add_argument("--budget", type=float, default=BUDGET_S, help="seconds after which no side begins")
    parser.add_argument("--namespaces", type=int, default=0, help="of 41 objects")
    parser.add_argument("--objects", type=int, default=scale.GIT_OBJECTS, help="manifests, for git")
    parser.add_argument(
        "--code", type=Path, default=contenders.ROOT, help="the checkout whose pipeline is measured"
    )
    return parser.parse_args()


if __name__ == "__main__":
    # kubectl comes as a wheel beside the interpreter, too.
    if not shutil.which("kubectl"):
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    sys.exit(main())

"""The kill matrix: a run is disturbed at a failpoint, and the next one must put everything right.

    python -m tests.fault.matrix --runs 200 --seed 7         # as many cases, chosen by the seed
    python -m tests.fault.matrix --name change/apply-post:kill:3/s7

A case is SCENARIO/POINT:ACTION:N/sSEED, and its name is all that it takes to play it again: the seed decides
what the next run does. Of ``change/replies:lost:10/s7`` 10 % of the answers to the first run are lost on the
way back (``--lost 10`` plays many of those); ``raise`` is played by name only. Each case is the disturbed
run, the next one, which must converge without anybody's help, and a last one that must find nothing to do.
``checker`` decides.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import random
import re
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.fault.checker import KEPT
from tests.fault.faults import ResetAfter
from tests.fault.forks import Forks
from tests.fault.processes import end_with_us
from tests.fault.proxy import FaultyServer, Sometimes
from tests.fault.scenarios import SCENARIOS
from tests.fault.stage import Stage, Told, World, opened
from tests.fault.witness import USER

TRIM = "trim-mid"  # passed only where there are more releases than are kept
ACTIONS = ("kill", "term", "stop")
LOST = "lost"  # not done to the run itself: a share of the answers to it, in percent
LOSING = ("change", "failing", "recreate", "first", "first-failing", "definition")
AT_ONCE = 10  # most of the time a case waits for a dead run's lock
MOST_PASSINGS = 12  # of one point in one run: the later ones are much like these


@dataclass(frozen=True, slots=True)
class Case:
    """One disturbance."""

    scenario: str
    point: str
    action: str
    nth: int
    seed: int

    def __str__(self) -> str:
        return f"{self.scenario}/{self.failpoint}/s{self.seed}"

    @property
    def failpoint(self) -> str:
        return f"{self.point}:{self.action}:{self.nth}"

    @classmethod
    def parse(cls, name: str) -> Case:
        match = re.fullmatch(r"([a-z-]+)/([a-z-]+):([a-z-]+):(\d+)/s(\d+)", name)
        if match is None or match[1] not in SCENARIOS:
            raise ValueError(f"{name} is no case: SCENARIO/POINT:ACTION:N/sSEED, of {', '.join(SCENARIOS)}")
        return cls(match[1], match[2], match[3], int(match[4]), int(match[5]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``is_met``: the run came by the point. ``recovery_s`` is the next run's time until it had the lock."""

    case: Case
    is_met: bool
    violations: Sequence[str]
    codes: Mapping[str, int]
    recovery_s: float | None
    lost: int = 0


@dataclass(slots=True)
class Matrix:
    """Plays cases in one cluster, several side by side. Stages are used again while nothing went wrong."""

    world: World
    _free: dict[str, list[Stage]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def play(
        self, cases: Sequence[Case], at_once: int = AT_ONCE, minutes: float = math.inf
    ) -> Iterator[Verdict]:
        """Verdicts as they come, in the order of the cases; none begins after so many minutes."""
        until = time.monotonic() + 60 * minutes
        with ThreadPoolExecutor(at_once) as pool:
            played = pool.map(lambda case: self.one(case) if time.monotonic() < until else None, cases)
            yield from (verdict for verdict in played if verdict)

    def one(self, case: Case) -> Verdict:
        try:
            stage = self._stage(case)
            told = self._played(stage, case)
        except Exception as error:
            # A product that cannot even be asked is broken, too; and hundreds of other cases go on.
            found = [f"not played to its end: {type(error).__name__}: {error}"]
            return Verdict(case=case, is_met=False, violations=found, codes={}, recovery_s=None)
        if not told.violations and stage.is_reusable:
            with self._lock:
                self._free.setdefault(case.scenario, []).append(stage)
        else:
            stage.clear()
        return Verdict(
            case=case,
            is_met=told.is_met,
            violations=told.violations,
            codes=told.codes,
            recovery_s=told.recovery_s,
            lost=told.lost,
        )

    def _played(self, stage: Stage, case: Case) -> Told:
        chance = random.Random(case.seed)
        if case.action != LOST:
            return stage.play(case.failpoint, chance)
        folder = Path(tempfile.mkdtemp(prefix="proxy-", dir=self.world.folder))
        with FaultyServer(self.world.cluster, folder) as faulty:
            rule = Sometimes(fault=ResetAfter(), share=case.nth / 100, chance=random.Random(case.seed))
            faulty.rules.append(rule)
            way = faulty.kubeconfig(self.world.cluster.token_of(f"{USER}first"))
            told = stage.play("", chance, through=way)
        return replace(told, is_met=rule.met > 0, lost=rule.met)

    def survey(self, scenario: str) -> Counter[str]:
        """How often an undisturbed run of the scenario passes each point."""
        stage = self._stage(Case(scenario, TRIM if scenario == "change" else "", "", 0, 0))
        try:
            return stage.survey()
        finally:
            stage.clear()

    def _stage(self, case: Case) -> Stage:
        with self._lock:
            free = self._free.get(case.scenario, [])
            stage = free.pop() if free else None
        stage = stage or Stage(self.world, SCENARIOS[case.scenario])
        stage.prepare(releases=KEPT + 1 if case.point == TRIM else 1)
        return stage


def chosen(passings: Mapping[str, Counter[str]], count: int, seed: int) -> list[Case]:
    """So many cases, every point and action before any comes again; which scenario and which passing of the
    point the seed decides."""
    chance = random.Random(seed)
    points = sorted({point for counts in passings.values() for point in counts})
    found: list[Case] = []
    while len(found) < count:
        turn = [(point, action) for point in points for action in ACTIONS]
        chance.shuffle(turn)
        for point, action in turn[: count - len(found)]:
            scenario = chance.choice(sorted(name for name, counts in passings.items() if counts[point]))
            nth = chance.randint(1, min(passings[scenario][point], MOST_PASSINGS))
            found.append(Case(scenario, point, action, nth, chance.randrange(10_000)))
    return found


def losing(percent: int, count: int, seed: int) -> list[Case]:
    """So many runs that lose this share of their answers, of every scenario in turn."""
    chance = random.Random(seed)
    return [
        Case(LOSING[number % len(LOSING)], "replies", LOST, percent, chance.randrange(1_000_000))
        for number in range(count)
    ]


def surveyed(matrix: Matrix) -> dict[str, Counter[str]]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(SCENARIOS, pool.map(matrix.survey, SCENARIOS), strict=True))


@dataclass(slots=True)
class Score:
    """What many cases came to."""

    played: int = 0
    met: int = 0
    by_action: Counter[str] = field(default_factory=Counter)
    points: set[str] = field(default_factory=set)
    broken: list[Verdict] = field(default_factory=list)
    recovery: list[float] = field(default_factory=list)
    lost: int = 0

    def add(self, verdict: Verdict) -> None:
        self.played += 1
        if verdict.is_met:
            self.met += 1
            self.by_action[verdict.case.action] += 1
            self.points.add(verdict.case.point)
        self.lost += verdict.lost
        if verdict.violations:
            self.broken.append(verdict)
        if verdict.case.action == "kill" and verdict.is_met and verdict.recovery_s is not None:
            self.recovery.append(verdict.recovery_s)

    def lines(self) -> Iterator[str]:
        actions = ", ".join(f"{self.by_action[a]} {a}" for a in ACTIONS)
        yield f"{self.played} cases, {self.met} met their point ({actions}), at {len(self.points)} points"
        if self.lost:
            yield f"{self.lost} answers were lost"
        yield f"{len(self.broken)} with violations"
        if self.recovery:
            median, most = statistics.median(self.recovery), max(self.recovery)
            yield f"SIGKILL to the next run's lock: {median:.1f} s (median), {most:.1f} s (longest)"


def told(verdicts: Iterable[Verdict]) -> Score:
    """Print what was broken as it comes, and keep the score."""
    score = Score()
    for verdict in verdicts:
        score.add(verdict)
        if verdict.violations:
            codes = ", ".join(f"{role} {code}" for role, code in verdict.codes.items())
            print(f"VIOLATION make fault NAME={verdict.case}  ({codes})", flush=True)
            for violation in verdict.violations[:8]:
                print(f"    {violation}", flush=True)
        elif score.played % 50 == 0:
            print(f"{score.played} cases, {len(score.broken)} with violations", flush=True)
    return score


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fault.matrix", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=300, help="how many cases (default %(default)s)")
    parser.add_argument("--seed", type=int, help="what chooses them; printed where it is not given")
    parser.add_argument("--lost", type=int, metavar="PERCENT", help="lose so many answers instead")
    parser.add_argument("--name", type=Case.parse, action="append", help="play this case; may be repeated")
    parser.add_argument("--scenario", action="append", choices=sorted(SCENARIOS), help="only these")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="side by side (default %(default)s)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no case after so many")
    parser.add_argument("--forked", action="store_true", help="fork runs off a loaded program")
    return parser.parse_args()


def _cases(matrix: Matrix, arguments: argparse.Namespace, seed: int) -> list[Case]:
    if arguments.lost:
        return losing(arguments.lost, arguments.runs, seed)
    passings = surveyed(matrix)
    wanted = arguments.scenario or SCENARIOS
    return chosen({name: passings[name] for name in wanted}, arguments.runs, seed)


def main() -> int:
    """Exit 1 where there was a violation."""
    arguments = _arguments()
    seed = arguments.seed if arguments.seed is not None else random.randrange(1_000_000)
    started = time.monotonic()
    end_with_us()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        forks = stack.enter_context(Forks()) if arguments.forked else None
        matrix = Matrix(replace(stack.enter_context(opened(folder)), forks=forks))
        cases = arguments.name
        if not cases:
            print(f"seed {seed}", flush=True)
            cases = _cases(matrix, arguments, seed)
        score = told(matrix.play(cases, arguments.at_once, arguments.minutes))
    for line in score.lines():
        print(line)
    print(f"{time.monotonic() - started:.0f} s")
    return 1 if score.broken else 0


if __name__ == "__main__":
    sys.exit(main())

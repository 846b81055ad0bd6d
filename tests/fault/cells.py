"""Answers that do not get better: each fault, from the first time on, at each place of a deploy.

    python -m tests.fault.cells                    # all of them
    python -m tests.fault.cells --only "a change:409 for good"

``test_requests.py`` has what passes by itself: there both deploys must succeed. Here the disturbed run may
fail, and has to say so by the right exit code; nothing may be lost, and the next run, undisturbed, converges.
The checker of the kill matrix decides.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.local import LocalCluster
from tests.fault.checker import INTERRUPTED, OK, ROLLED_BACK
from tests.fault.faults import Exchange, Fault, Garbage, Hang, Refuse, ResetBefore
from tests.fault.processes import end_with_us
from tests.fault.proxy import FaultyServer
from tests.fault.scenarios import SCENARIOS
from tests.fault.stage import Stage, World, opened
from tests.fault.test_requests import FIRST, SECOND
from tests.fault.witness import USER

AT_ONCE = 8
FOR_GOOD = 10_000  # times
SEED = 1
CONTROLLERS_S = 120.0
FAILED, TIMED_OUT, ROLLBACK_FAILED, PREFLIGHT, UNREACHABLE = 11, 12, 13, 21, 40
ENDINGS = frozenset(
    {OK, ROLLED_BACK, FAILED, TIMED_OUT, ROLLBACK_FAILED, PREFLIGHT, UNREACHABLE, INTERRUPTED}
)


@dataclass(frozen=True, slots=True)
class Restart:
    """The API server ends in the middle of the request, and comes back within seconds."""

    cluster: LocalCluster

    def answer(self, exchange: Exchange) -> None:
        self.cluster.restart_apiserver()
        exchange.reset()

    def wait_for_controllers(self) -> None:
        """Until the controllers follow Deployments again: their watches back off for up to a minute, and a
        rollout without them is rolled back, as it should."""
        namespace = f"probe-{secrets.token_hex(3)}"
        self.cluster.create_namespace(namespace)
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        spec = {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "probe"}},
            "template": {
                "metadata": {"labels": {"app": "probe"}},
                "spec": {"containers": [{"name": "main", "image": "app:1"}]},
            },
        }
        self.cluster.api.call("POST", path, {"metadata": {"name": "probe"}, "spec": spec})
        limit = time.monotonic() + CONTROLLERS_S
        while not self.cluster.api.call("GET", f"{path}/probe")["status"].get("observedGeneration"):
            if time.monotonic() > limit:
                raise TimeoutError("the controllers did not come back")
            time.sleep(0.2)
        self.cluster.api.call("DELETE", f"/api/v1/namespaces/{namespace}")


FAULTS: Mapping[str, Fault] = {
    "400 for good": Refuse(400, "BadRequest", "the request is not understood"),
    "401 for good": Refuse(401, "Unauthorized", "the token has expired"),
    "403 for good": Refuse(403, "Forbidden", "not any more"),
    "404 for good": Refuse(404, "NotFound", "the server could not find the requested resource"),
    "409 for good": Refuse(409, "Conflict", "the object has been modified"),
    "410 for good": Refuse(410, "Gone", "no longer available"),
    "413 for good": Refuse(413, "RequestEntityTooLarge", "too large"),
    "422 for good": Refuse(422, "Invalid", "spec is invalid"),
    "nonsense with 200 for good": Garbage(),
    "nobody there for good": ResetBefore(),
    "an answer that never comes": Hang(20.0),
}
"""The last one only once."""

RESTART = "a restart of the API server"


@dataclass(frozen=True, slots=True)
class Cell:
    place: str
    fault: str

    def __str__(self) -> str:
        return f"{self.place}:{self.fault}"

    @property
    def where(self) -> Mapping[str, Any]:
        return FIRST.get(self.place) or SECOND[self.place]

    @property
    def scenario(self) -> str:
        return "first" if self.place in FIRST else "change"


ALL = [Cell(place, fault) for place in (*FIRST, *SECOND) for fault in (*FAULTS, RESTART)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    cell: Cell
    is_met: bool
    code: int
    violations: Sequence[str]


def play(world: World, cell: Cell) -> Verdict:
    """A stage of its own: what a fault for good leaves behind is not for the next one."""
    stage = Stage(world, SCENARIOS[cell.scenario])
    try:
        stage.prepare()
        folder = Path(tempfile.mkdtemp(prefix="proxy-", dir=world.folder))
        with FaultyServer(world.cluster, folder) as faulty:
            fault = FAULTS[cell.fault] if cell.fault in FAULTS else Restart(world.cluster)
            once = isinstance(fault, Hang | Restart)
            where = {k: v for k, v in cell.where.items() if k != "times"}
            rule = faulty.does(fault, times=1 if once else FOR_GOOD, **where)
            way = faulty.kubeconfig(world.cluster.token_of(f"{USER}first"))
            told = stage.play(
                "",
                random.Random(SEED),
                through=way,
                endings=ENDINGS,
                afterwards=fault.wait_for_controllers if isinstance(fault, Restart) else lambda: None,
            )
    finally:
        stage.clear()
    return Verdict(cell=cell, is_met=rule.met > 0, code=told.codes["first"], violations=told.violations)


@dataclass(slots=True)
class Score:
    played: int = 0
    met: int = 0
    broken: int = 0
    codes: Counter[int] = field(default_factory=Counter)

    def add(self, verdict: Verdict) -> None:
        self.played += 1
        self.met += verdict.is_met
        self.codes[verdict.code] += 1
        if verdict.violations:
            self.broken += 1
        if verdict.violations or not verdict.is_met:
            print(f"{verdict.cell}  (exit code {verdict.code})", flush=True)
            for line in verdict.violations[:6] or ["    never asked"]:
                print(f"    {line}", flush=True)

    def lines(self) -> Iterator[str]:
        yield f"{self.played} cells, {self.met} met their place, {self.broken} with violations"
        yield "exit codes: " + ", ".join(f"{code} ({count})" for code, count in sorted(self.codes.items()))


def many(world: World, cells: Sequence[Cell], at_once: int = AT_ONCE) -> Score:
    """Side by side; those that end the server one after the other, when all else is done."""
    score, lock = Score(), threading.Lock()

    def one(cell: Cell) -> None:
        try:
            verdict = play(world, cell)
        except Exception as error:
            told = [f"not played to its end: {type(error).__name__}: {error}"]
            verdict = Verdict(cell=cell, is_met=True, code=-1, violations=told)
        with lock:
            score.add(verdict)

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(one, [c for c in cells if c.fault != RESTART]))
    for cell in cells:
        if cell.fault == RESTART:
            one(cell)
    return score


def main() -> int:
    """Exit 1 where there was a violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.fault.cells")
    parser.add_argument("--only", action="append", choices=[str(c) for c in ALL], metavar="PLACE:FAULT")
    parser.add_argument("--fault", action="append", choices=[*FAULTS, RESTART], help="only these")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="side by side (default %(default)s)")
    arguments = parser.parse_args()
    cells = [c for c in ALL if not arguments.fault or c.fault in arguments.fault]
    cells = [c for c in cells if not arguments.only or str(c) in arguments.only]
    started = time.monotonic()
    end_with_us()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        score = many(stack.enter_context(opened(folder)), cells, arguments.at_once)
    for line in score.lines():
        print(line)
    print(f"{time.monotonic() - started:.0f} s")
    return 1 if score.broken else 0


if __name__ == "__main__":
    sys.exit(main())

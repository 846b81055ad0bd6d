"""One target for a time: rounds of hypothesis, each with a seed of its own."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass

from hypothesis import HealthCheck, given, seed, settings

from tests.fuzz.targets import Target

ROUND = 500


@dataclass(frozen=True)
class Result:
    """``failure`` is the traceback with the smallest input that was found; empty where all held."""

    inputs: int
    seconds: float
    failure: str = ""


def run(target: Target, seconds: float, first: int, *, examples: int = ROUND) -> Result:
    """As many rounds as begin within the time, at least one."""
    started, count, number = time.monotonic(), 0, first

    def law(value: object) -> None:
        nonlocal count
        count += 1
        target.law(value)

    while True:
        test = given(target.inputs)(law)
        test = settings(
            max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )(test)
        try:
            seed(number)(test)()
        except Exception:
            return Result(count, time.monotonic() - started, traceback.format_exc())
        number += 1
        if time.monotonic() - started >= seconds:
            return Result(count, time.monotonic() - started)

"""What it costs to be asked a small question."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.bench.measure import Comparison, Pace, compare
from tests.e2e.workspace import ROOT


def measure(pairs: int, budget_s: float) -> list[Comparison]:
    """``--version`` and ``--help`` beside an interpreter that does nothing."""
    return [_measure(option, Pace(pairs, budget_s / 2)) for option in ("--version", "--help")]


def _measure(option: str, pace: Pace) -> Comparison:
    def ours() -> None:
        _run("-m", "pipeline", option)

    return compare(f"pipeline {option}", "python -c pass", ours, lambda: _run("-c", "pass"), pace)


def _run(*args: str) -> None:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, *args], env=environ, stdout=subprocess.DEVNULL, check=True)

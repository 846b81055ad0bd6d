"""``python -m tests.bench.real``: seconds to the verdict on a real node, beside kubectl and Helm.

The failures of ``tests/e2e/test_failures_real.py`` on the cluster that ``PIPELINE_REAL_KUBECONFIG`` names,
each side in a namespace of its own. All have the same limit, 60 s; ours and Helm then put back what was.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from tests.bench import verdicts
from tests.bench.scores import grid
from tests.bench.verdicts import Lab, Told, Verdict
from tests.cluster.local import LocalCluster
from tests.e2e.test_failures_real import FAILURES, KUBECONFIG, RealCluster
from tests.e2e.workspace import Workspace

BUDGET = f"{verdicts.PATIENCE_S}s"
POLICY = "rollout: {steady: 3s}\nrollback: {auto: true, onFirstDeploy: remove}"
"""What an environment has that says nothing of it."""

LIMIT_S = 300.0  # for namespaces to be gone
PEERS_AT_ONCE = 7
"""Failures whose peers wait side by side: they mostly wait, and 21 minutes would tell no more than three."""


@dataclass(slots=True, kw_only=True)
class RealLab(Lab):
    """A cluster that is there; its namespaces are remembered, to be deleted."""

    word: str = field(default_factory=lambda: secrets.token_hex(3))
    opened: list[str] = field(default_factory=list)

    def workspace(self, name: str, side: str) -> Workspace:
        return Lab.workspace(self, name, f"{self.word}-{side}")

    def open(self, place: Workspace) -> None:
        self.opened.append(place.namespace)
        place.kubectl("create", "namespace", place.namespace)

    def close(self, *, wait: bool = True) -> None:
        """Delete what was opened."""
        names, self.opened = self.opened, []
        command = [
            "kubectl",
            "delete",
            "namespace",
            f"--wait={str(wait).lower()}",
            "--ignore-not-found",
            *names,
        ]
        environ = {**os.environ, "KUBECONFIG": KUBECONFIG}
        subprocess.run(command, env=environ, check=False, stdout=subprocess.DEVNULL, timeout=LIMIT_S)


def measure(names: Sequence[str], at_once: int) -> list[Verdict]:
    """The peers of several failures at once; then ours, one after the other."""
    cluster = cast("LocalCluster", RealCluster(Path(KUBECONFIG)))
    with tempfile.TemporaryDirectory(prefix="pipeline-bench-") as folder:
        lab = RealLab(
            cluster=cluster,
            folder=Path(folder),
            failures=FAILURES,
            budget=BUDGET,
            policy=POLICY,
            helm_also=("--rollback-on-failure",),
        )
        try:
            told = _peers(lab, names, at_once)
            lab.close()  # what goes on crashing there takes the node's time, and its kubelet's for events
            return [_ours(lab, name, told[name]) for name in names]
        finally:
            lab.close(wait=False)


def report(found: Sequence[Verdict]) -> str:
    """Seconds, and what each side says in the end."""
    return f"{seconds_table(found)}\n\n{verdicts.words_table(found)}\n"


def seconds_table(found: Sequence[Verdict]) -> str:
    """A line a failure."""
    rows = [
        (
            "failure",
            "our cause",
            "ours: apply to verdict, s",
            "ours: all, put back, s",
            "`kubectl rollout status`, s",
            "Helm, s",
        )
    ]
    rows += [
        (
            one.name,
            f"`{one.cause}`",
            f"{one.verdict_s:.1f}",
            f"{one.ours.seconds:.1f}",
            _seconds(one.kubectl),
            _seconds(one.helm),
        )
        for one in found
    ]
    return grid(rows)


def _peers(lab: Lab, names: Sequence[str], at_once: int) -> Mapping[str, list[Told | None]]:
    with ThreadPoolExecutor(at_once * len(verdicts.PEERS)) as pool:
        running = {name: [pool.submit(side, lab, name) for side in verdicts.PEERS] for name in names}
        return {name: [one.result() for one in sides] for name, sides in running.items()}


def _ours(lab: Lab, name: str, told: Sequence[Told | None]) -> Verdict:
    verdict = verdicts.ours(lab, name)
    print(f"{name}: {verdict.verdict_s:.1f} s", file=sys.stderr, flush=True)
    kubectl, helm = told
    return replace(verdict, kubectl=kubectl, helm=helm)


def _seconds(told: Told | None) -> str:
    if told is None:
        return ""
    return f"{told.seconds:.1f}: **called good**" if told.code == 0 else f"{told.seconds:.1f}"


def main() -> int:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.real", description=__doc__)
    parser.add_argument("--only", default="", help="failures whose names have this in them")
    parser.add_argument(
        "--at-once", type=int, default=PEERS_AT_ONCE, help="failures whose peers wait side by side"
    )
    arguments = parser.parse_args()
    if not KUBECONFIG:
        parser.error("PIPELINE_REAL_KUBECONFIG names no cluster")
    names = [name for name in FAILURES if arguments.only in name]
    print(report(measure(names, arguments.at_once)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

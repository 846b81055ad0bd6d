"""`reconcile` over many commits: memory and open files after each. ``python -m tests.bench.soak``."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.local import LocalCluster
from tests.e2e.following import following
from tests.e2e.manifests import config_map
from tests.e2e.workspace import Workspace

MIB = 1024 * 1024
WARM = 10
"""Commits after which everything that is loaded or made once is there."""


@dataclass(frozen=True, slots=True)
class Sample:
    """After one commit."""

    resident: int
    files: int


def soak(
    repo: Workspace, commits: int, told: Callable[[int, Sample], None] = lambda *_: None
) -> list[Sample]:
    """Commit after commit of a ConfigMap, a Secret with a new value in each, drift after every tenth.

    Every commit is looked at with SIGHUP; the process ends in good order.
    """
    repo.environment()
    _write(repo, 0)
    repo.commit()
    samples = []
    with following(repo, interval="1h") as process:
        process.deployed(repo.git("rev-parse", "HEAD"))
        for number in range(1, commits + 1):
            _write(repo, number)
            head = repo.commit()
            process.send(signal.SIGHUP)
            process.deployed(head)
            if number % 10 == 0:
                # Another field each time: one and the same is a fight, in which truces grow.
                repo.kubectl("patch", "configmap", "plain", "-p", f'{{"data":{{"k{number}":"by hand"}}}}')
                process.send(signal.SIGHUP)
                process.told("drift")
                process.deployed(head)
            samples.append(Sample(*process.memory()))
            told(number, samples[-1])
        assert process.ended() == 0
    return samples


def growth(samples: Sequence[Sample]) -> tuple[int, int]:
    """(bytes, files) by which the last third is above the first after warming up: medians, so that what
    comes and goes does not count."""
    warm = samples[WARM:]
    third = max(1, len(warm) // 3)
    first, last = warm[:third], warm[-third:]
    return (
        _median([s.resident for s in last]) - _median([s.resident for s in first]),
        _median([s.files for s in last]) - _median([s.files for s in first]),
    )


def _write(repo: Workspace, number: int) -> None:
    repo.manifest("plain.yaml", config_map("plain", **{f"k{number}": "wanted"}))
    word = secrets.token_hex(64)
    repo.manifest(
        "secret.yaml",
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: word}}\nstringData: {{word: {word}}}\n",
    )


def _median(values: Sequence[int]) -> int:
    return sorted(values)[len(values) // 2]


def main() -> int:
    """Print every twentieth sample, and the growth."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--commits", type=int, default=200, help="default %(default)s")
    commits = parser.parse_args().commits

    def told(number: int, sample: Sample) -> None:
        if number % 20 == 0 or number == 1:
            print(f"{number:5} {sample.resident / MIB:7.1f} MiB {sample.files:4} files", flush=True)

    started = time.monotonic()
    with LocalCluster() as cluster, tempfile.TemporaryDirectory(prefix="pipeline-soak-") as folder:
        repo = Workspace(folder=Path(folder) / "shop", cluster=cluster, namespace="soak", application="soak")
        repo.folder.mkdir()
        for words in (
            ("init", "-q", "-b", "main"),
            ("config", "user.name", "t"),
            ("config", "user.email", "t@e"),
        ):
            repo.git(*words)
        resident, files = growth(soak(repo, commits, told))
    print(
        f"{commits} commits in {time.monotonic() - started:.0f} s: {resident / MIB:+.1f} MiB, {files:+} files"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""One side's way on a cluster of its own: first deploy, nothing changed, ten Deployments changed."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.bench import bare, estate, timed
from tests.bench.contenders import HOME_NAMESPACE, KINDS, ROOT, Contender, Name
from tests.bench.delay import ONE_WAY_S, DelayProxy
from tests.bench.requests import OURS, PEER, Audit, Counts
from tests.cluster.local import LocalCluster

SETTLE_S = 120.0  # for what a step left under way; a peer that does not wait leaves 250 pods
LOOK_S = 0.5
CALM_S = 2.0  # a new cluster's controllers start besides
CHANGES_S = 60.0  # a peer that took longer for its changes is not asked again
PODS_PER_NODE = 1000  # tests/cluster/programs.py


class Step(StrEnum):
    """What has changed since the step before."""

    FIRST = "first"
    UNCHANGED = "unchanged"
    CHANGED = f"{estate.CHANGED} changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One step of one side. ``timings`` are the report's own, of ours only. ``all_s``: the seconds of a step
    that was taken several times, of which this is the middle one."""

    step: Step
    run: timed.Run
    counts: Counts
    timings: dict[str, float]
    all_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What to run. ``round_trip_s`` above zero puts that distance before the API server. ``changes``: so
    often ten Deployments change, there and back, as a peer may take twice as long the next time."""

    steps: tuple[Step, ...] = tuple(Step)
    namespaces: int = estate.NAMESPACES
    round_trip_s: float = 0.0
    changes: int = 5
    limit_s: float = 300.0
    code: Path = ROOT


def run(name: Name, course: Course) -> list[Measured]:
    """The steps in turn, up to the first that fails or is stopped, which is the last of the list."""
    user = OURS if name is Name.OURS else PEER
    found: list[Measured] = []
    with stage(name, course) as (contender, cluster, audit):
        for step in course.steps:
            if found:
                settle(cluster, course.namespaces)
            taken: list[Measured] = []
            while _is_due(step, taken, course):
                if taken:
                    settle(cluster, course.namespaces)
                if step is not Step.UNCHANGED:
                    contender.write(changed=step is Step.CHANGED and len(taken) % 2 == 0)
                audit.counts()
                environ = contender.environ(f"{step.name.lower()}-{len(taken)}")
                done = timed.run(contender.command(), env=environ, cwd=contender.cwd, limit_s=course.limit_s)
                counts = audit.counts(home=HOME_NAMESPACE)[user]
                taken.append(Measured(step=step, run=done, counts=counts, timings=_timings(name, done)))
            found.append(middle(taken))
            if not found[-1].run.ok:
                break
    return found


def _is_due(step: Step, taken: Sequence[Measured], course: Course) -> bool:
    """Whether the step is to be taken, again."""
    if not taken:
        return True
    is_over = not taken[-1].run.ok or sum(m.run.seconds for m in taken) > CHANGES_S
    return step is Step.CHANGED and len(taken) < course.changes and not is_over


def middle(taken: Sequence[Measured]) -> Measured:
    """The one of the middle by its seconds, of an even number the slower; or the one that failed."""
    if len(taken) == 1 or not taken[-1].run.ok:
        return taken[-1]
    in_order = sorted(taken, key=lambda m: m.run.seconds)
    return replace(in_order[len(in_order) // 2], all_s=tuple(m.run.seconds for m in taken))


@contextlib.contextmanager
def stage(name: Name, course: Course) -> Iterator[tuple[Contender, LocalCluster, Audit]]:
    with tempfile.TemporaryDirectory(prefix="pipeline-bench-") as text, contextlib.ExitStack() as stack:
        folder = Path(text)
        audit = Audit(folder)
        users = dict.fromkeys((OURS, PEER), ("system:masters",))
        nodes = max(3, -(-course.namespaces * estate.DEPLOYMENTS_PER_NAMESPACE * 2 // PODS_PER_NODE))
        cluster = stack.enter_context(LocalCluster(nodes=nodes, users=users, apiserver_flags=audit.flags))
        access = cluster.user_kubeconfig(OURS if name is Name.OURS else PEER)
        if course.round_trip_s:
            port = int(cluster.server.rpartition(":")[2])
            one_way_s = course.round_trip_s / 2
            access = through(access, stack.enter_context(DelayProxy(port, one_way_s)).port, folder)
        contender = KINDS[name](
            folder=folder,
            kubeconfig=access,
            namespaces=course.namespaces,
            is_far=course.round_trip_s >= ONE_WAY_S,
            limit_s=course.limit_s,
            code=course.code,
        )
        time.sleep(CALM_S)
        yield contender, cluster, audit


def through(kubeconfig: Path, port: int, folder: Path) -> Path:
    """The same access by another port of this machine; the server's certificate is good for any."""
    config = json.loads(kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    path = folder / "kubeconfig-far"
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))
    return path


def settle(cluster: LocalCluster, namespaces: int) -> None:
    """Wait until the cluster has no more to do for the step before: not counted, whoever caused it."""
    least = namespaces * estate.DEPLOYMENTS_PER_NAMESPACE
    limit = time.monotonic() + SETTLE_S
    while time.monotonic() < limit:
        found = cluster.api.call("GET", bare.DEPLOYMENTS)["items"]
        if len(found) >= least and all(bare.is_available(one) for one in found):
            break
        time.sleep(LOOK_S)
    time.sleep(LOOK_S)


def _timings(name: Name, done: timed.Run) -> dict[str, float]:
    if name is not Name.OURS:
        return {}
    try:
        document: Any = json.loads(done.stdout)
        return {k: v for k, v in document["timings"].items() if v}
    except (ValueError, KeyError):
        return {}

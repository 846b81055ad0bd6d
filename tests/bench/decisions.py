"""The pure core on large sets, beside what any tool at least has to do with them."""

from __future__ import annotations

import json
from graphlib import TopologicalSorter
from time import process_time
from typing import Any

import yaml

from pipeline.adapters.yaml import load_manifests
from pipeline.core import desired, graph, planner, rollout
from pipeline.core.planner import Desired, World
from pipeline.model.environment import Environment, Rollout
from pipeline.model.objects import Manifest, ObjectRef, digest
from tests import kube_objects
from tests.bench import fleet
from tests.bench.measure import Comparison, Pace, compare

PURE_SHARE = 20  # PyYAML's pure loader reads this part only, and its time is multiplied
DEPLOYMENTS = 300


def measure(count: int, pairs: int, budget_s: float) -> list[Comparison]:
    """Reading, ordering and planning of ``count`` objects, and one look at a rollout."""
    text, part = fleet.one_text(count), fleet.one_text(count // PURE_SHARE)
    manifests = load_manifests("bench.yaml", text)
    world = _world(manifests)
    needs = graph.needs(manifests, default_namespace="bench")
    bodies = [d.body for d in world.desired]
    snapshot, answer = _look()
    log = rollout.RolloutLog()
    targets = [rollout.Target(ref=ref, since=kube_objects.T0) for ref in snapshot.objects]
    now = kube_objects.T0 + 5

    def pace() -> Pace:
        return Pace(pairs, budget_s / 5)

    def read() -> object:
        return load_manifests("bench.yaml", text)

    def order() -> object:
        return graph.waves(graph.needs(manifests, default_namespace="bench"))

    pure = compare(
        f"read {count} manifests, with the line of every field",
        "yaml.SafeLoader",
        read,
        lambda: list(yaml.load_all(part, Loader=yaml.SafeLoader)),
        pace(),
        clock=process_time,
        factor=float(PURE_SHARE),
    )
    return [
        pure,
        compare(
            f"read {count} manifests, with the line of every field",
            "yaml.CSafeLoader",
            read,
            lambda: list(yaml.load_all(text, Loader=yaml.CSafeLoader)),
            pace(),
            clock=process_time,
        ),
        compare(
            f"find the references of {count} objects and order them",
            "graphlib, given the references",
            order,
            lambda: list(TopologicalSorter(needs.targets).static_order()),
            pace(),
            clock=process_time,
        ),
        compare(
            f"plan {count} new objects",
            "a digest of each",
            lambda: planner.build(world),
            lambda: [digest(body) for body in bodies],
            pace(),
            clock=process_time,
        ),
        compare(
            f"judge one look at {DEPLOYMENTS} Deployments in rollout",
            "json.loads of that look",
            lambda: rollout.step(targets, snapshot, log, Rollout(), now),
            lambda: json.loads(answer),
            pace(),
            clock=process_time,
        ),
    ]


def _world(manifests: list[Manifest]) -> World:
    environment = Environment(name="dev", application="bench", namespace="bench", path="environment.yaml")
    wanted = []
    for manifest in manifests:
        body = desired.body_of(manifest, environment)
        wanted.append(Desired(manifest=manifest, body=body, content=digest(body)))
    return World(environment=environment, revision="0" * 40, desired=wanted, offline=True)


def _look() -> tuple[rollout.Snapshot, str]:
    """Deployments in the middle of a rollout, each with two ReplicaSets, two pods and an event."""
    objects: dict[ObjectRef, Any] = {}
    replica_sets, pods, events = [], [], []
    for n in range(DEPLOYMENTS):
        one = kube_objects.rolling()
        one["metadata"] |= {"name": f"web-{n}", "uid": f"d{n}"}
        objects[ObjectRef.of(one)] = one
        for revision in ("r1", "r2"):
            owner = f"{n}-{revision}"
            one = kube_objects.replica_set(owner, owner=f"d{n}")
            one["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = revision[1:]
            replica_sets.append(one)
            waiting = kube_objects.waiting("ContainerCreating")
            pods.append(kube_objects.pod(waiting, uid=f"p{owner}", owner=owner))
        events.append(kube_objects.event(f"p{n}-r2", "Scheduled", "assigned to node-1", normal=True))
    snapshot = rollout.Snapshot(objects=objects, replica_sets=replica_sets, pods=pods, events=events)
    return snapshot, json.dumps([list(objects.values()), replica_sets, pods, events])

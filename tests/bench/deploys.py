"""End to end: a first deploy, one that changes nothing, one that changes a ConfigMap."""

from __future__ import annotations

from tests.bench import requests
from tests.bench.measure import Comparison, Pace, Sample, pair
from tests.bench.sides import Lab, Ours, Peer

STEPS = ("first deploy", "nothing changed", "one ConfigMap changed")


def compare(lab: Lab, count: int, pairs: int, budget_s: float) -> list[Comparison]:
    """One comparison a step, over the same pairs of fresh namespaces."""
    found = [Comparison(f"{count} objects, {step}", "kubectl apply, rollout status") for step in STEPS]
    pace = Pace(pairs, budget_s)
    while pace.next():
        ours, peer = Ours(lab, count), Peer(lab, count)
        for comparison, step in zip(found, STEPS, strict=True):
            if step == STEPS[2]:
                for side in (ours, peer):
                    side.edit("settings-0.yaml", '"hello"', '"hello again"')
            comparison.samples.append(_one(lab, ours, peer, ours_first=pace.ours_first))
    return found


def _one(lab: Lab, ours: Ours, peer: Peer, *, ours_first: bool) -> Sample:
    lab.audit.take()
    taken = pair(ours.deploy, peer.deploy, ours_first=ours_first)
    counts = lab.audit.take()
    return Sample(taken.ours_s, taken.peer_s, counts[requests.OURS], counts[requests.PEER])

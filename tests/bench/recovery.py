"""A bad image: how long until the cause has a name, and until what ran before runs again."""

from __future__ import annotations

import time

from tests.bench.measure import Comparison, Pace, Sample
from tests.bench.sides import Lab, Ours, Peer

COUNT = 10
PATIENCE_S = 20
"""What the peer is told to wait. Workflows say minutes, and its time grows with it second by second."""

_FILE, _GOOD, _BAD = "deployment-0.yaml", "web:1", "web:missing"
_CAUSE = "ImageNotFound"


def compare(lab: Lab, pairs: int, budget_s: float) -> list[Comparison]:
    """Both sides roll out the same bad image over the same healthy objects."""
    told = f"kubectl rollout status --timeout={PATIENCE_S}s"
    named = Comparison("bad image, until the cause is told", f"{told}: gives up, names none")
    back = Comparison("bad image, until restored and verified", f"{told}, rollout undo, status")
    pace = Pace(pairs, budget_s)
    ours, peer = Ours(lab, COUNT), Peer(lab, COUNT)
    ours.deploy()
    peer.deploy()
    while pace.next():
        ours_named, ours_back = _ours(ours)
        peer_named, peer_back = _peer(peer)
        named.samples.append(Sample(ours_named, peer_named))
        back.samples.append(Sample(ours_back, peer_back))
    return [named, back]


def _ours(side: Ours) -> tuple[float, float]:
    """Seconds from the start of the command to the first line that names the cause, and to its end."""
    side.edit(_FILE, _GOOD, _BAD)
    start = time.perf_counter()
    named = 0.0
    with side.workspace.start("deploy", "-e", "dev") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if _CAUSE in line and not named:
                named = time.perf_counter() - start
        code = process.wait()
        ended = time.perf_counter() - start
    if code != 10 or not named:
        raise SystemExit(f"error: a bad image ended with {code}, expected 10 and {_CAUSE} on stderr")
    _must_run_the_good_image(side.lab, side.workspace.namespace)
    side.edit(_FILE, _BAD, _GOOD)
    return named, ended


def _peer(side: Peer) -> tuple[float, float]:
    """Seconds until the wait is given up, and until the undo is rolled out."""
    side.edit(_FILE, _GOOD, _BAD)
    start = time.perf_counter()
    side.apply()
    done = side.status(f"{PATIENCE_S}s")
    gave_up = time.perf_counter() - start
    if not done.returncode or "pull" in (done.stdout + done.stderr).lower():
        raise SystemExit(f"error: kubectl rollout status was expected to give up in silence: {done}")
    side.run("rollout", "undo", "deployment/web-0").check_returncode()
    side.status(f"{PATIENCE_S}s").check_returncode()
    ended = time.perf_counter() - start
    _must_run_the_good_image(side.lab, side.namespace)
    side.edit(_FILE, _BAD, _GOOD)
    return gave_up, ended


def _must_run_the_good_image(lab: Lab, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web-0"
    image = lab.cluster.api.call("GET", path)["spec"]["template"]["spec"]["containers"][0]["image"]
    if not image.endswith(_GOOD):
        raise SystemExit(f"error: {namespace} runs {image} after the way back")

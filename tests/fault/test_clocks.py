"""A machine's clock that is wrong, or jumps while a run is at work, changes no verdict and steals no lock.

The API server's clock and the time since counts (``Cluster.server_time``, monotonic time). A machine's clock
is made wrong by a ``sitecustomize`` module, which Python loads before anything else: ``time.time`` is off by
so many seconds, from so long after the start on.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.conftest import app as app
from tests.e2e.conftest import make_repo as make_repo
from tests.e2e.conftest import repo as repo
from tests.e2e.live import snapshot
from tests.e2e.manifests import config_map
from tests.e2e.workspace import Workspace
from tests.fault.test_interruption import TAKEOVER_S, WEB_FILE, holder, reach, running, slowly

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

HOUR, DAY = 3600, 86400

WRONG = """\
import time
_right, _start = time.time, time.monotonic()
time.time = lambda: _right() + ({off} if time.monotonic() - _start >= {after} else 0)
"""


def wrong(folder: Path, off: int, after: float = 0.0) -> dict[str, str]:
    """Variables of a run whose clock is ``off`` seconds ahead, from ``after`` seconds of it on."""
    (folder / "sitecustomize.py").write_text(WRONG.format(off=off, after=after))
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize(
    ("off", "after"), [(DAY, 0), (-DAY, 0), (HOUR, 0.8), (-HOUR, 0.8)], ids=["+day", "-day", "+hour", "-hour"]
)
def test_verdicts_are_those_of_a_right_clock(app: Workspace, tmp_path: Path, off: int, after: float) -> None:
    clock = wrong(tmp_path, off, after)
    app.environment("rollout: {grace: {image: 2s}}")
    app.commit()
    code, report = app.json("deploy", "-e", "dev", env=clock)
    assert code == 0, report
    if not after:  # it is really wrong: the record has the time that people read
        started = app.json("history", "-e", "dev")[1]["releases"][0]["started"]
        assert started.startswith(time.strftime("%Y-%m-%d", time.gmtime(time.time() + off)))
    before = snapshot(app)
    app.manifest("more.yaml", config_map("more"))
    app.edit(WEB_FILE, "nginx:1.21", "nginx:missing")
    app.commit()

    code, report = app.json("deploy", "-e", "dev", env=clock)

    assert (code, report["causes"][0]["code"]) == (10, "ImageNotFound")
    assert report["rollback"] == {"verified": True, "differences": []}
    assert all(0 <= seconds < 60 for seconds in report["timings"].values())
    assert snapshot(app) == before


@pytest.mark.parametrize("off", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_a_live_lock_is_not_taken_by_whose_clock_is_off(app: Workspace, tmp_path: Path, off: int) -> None:
    app.deployed()
    slowly(app)
    app.commit()
    with running(app):
        reach(app, 2, "VERIFYING")
        owner = holder(app)
        result = app.run("-o", "json", "deploy", "-e", "dev", "--wait-lock", "3s", env=wrong(tmp_path, off))
        assert result.code == 30, str(result)
        assert holder(app) == owner


def test_a_dead_ones_lock_is_taken_in_its_time_whatever_its_clock_said(
    app: Workspace, tmp_path: Path
) -> None:
    """The Lease of a holder whose clock was ahead does not last an hour."""
    app.deployed()
    app.manifest("more.yaml", config_map("more"))
    app.commit()
    clock = wrong(tmp_path, HOUR)
    dead = app.run("deploy", "-e", "dev", env={**clock, "PIPELINE_FAILPOINT": "apply-post:kill"})
    assert dead.code == -9
    at = time.monotonic()

    app.deployed("--wait-lock", f"{TAKEOVER_S:.0f}s")

    assert app.get("configmaps", "more") is not None
    assert time.monotonic() - at < TAKEOVER_S + 10


def test_a_holder_whose_clock_jumps_keeps_its_lock(app: Workspace, tmp_path: Path) -> None:
    """It renews by monotonic time: one rollout of longer than a Lease's time goes through."""
    app.deployed()
    slowly(app, "18s")
    app.commit()
    code, report = app.json("deploy", "-e", "dev", env=wrong(tmp_path, HOUR, 3.0))
    assert (code, report["result"]) == (0, "ok"), report

"""A machine's clock that is wrong, or jumps while a run is at work, changes no verdict and steals no lock.

The API server's clock and the time since counts (``Cluster.server_time``, monotonic time). A machine's clock
is made wrong by a ``sitecustomize`` module, which Python loads before anything else: ``time.time`` is off by
so many seconds, from so long after the start on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeRepo, make_app
from tests.e2e.conftest import make_repo as make_repo
from tests.e2e.live import snapshot
from tests.e2e.manifests import config_map
from tests.e2e.stories import tell
from tests.e2e.workspace import Workspace
from tests.fault.test_interruption import TAKEOVER_S, WEB_FILE, holder, reach, running, slowly

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

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


def verdicts_are_those_of_a_right_clock(app: Workspace, folder: Path, *, off: int, after: float = 0) -> None:
    clock = wrong(folder, off, after)
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
    assert all(0 <= seconds < HOUR / 2 for seconds in report["timings"].values())
    assert snapshot(app) == before


def a_live_lock_is_not_taken(app: Workspace, folder: Path, *, off: int) -> None:
    app.deployed()
    slowly(app)
    app.commit()
    with running(app):
        reach(app, 2, "VERIFYING")
        owner = holder(app)
        result = app.run("-o", "json", "deploy", "-e", "dev", "--wait-lock", "3s", env=wrong(folder, off))
        assert result.code == 30, str(result)
        assert holder(app) == owner


def a_dead_ones_lock_is_taken_in_its_time(app: Workspace, folder: Path) -> None:
    """The Lease of a holder whose clock was ahead does not last an hour."""
    app.deployed()
    app.manifest("more.yaml", config_map("more"))
    app.commit()
    dies = {**wrong(folder, HOUR), "PIPELINE_FAILPOINT": "apply-post:kill"}
    assert app.run("deploy", "-e", "dev", env=dies).code == -9

    app.deployed("--wait-lock", f"{TAKEOVER_S:.0f}s")

    assert app.get("configmaps", "more") is not None


def a_holder_whose_clock_jumps_keeps_its_lock(app: Workspace, folder: Path) -> None:
    """It renews by monotonic time: one rollout of longer than a Lease's time goes through."""
    app.deployed()
    slowly(app, "18s")
    app.commit()
    code, report = app.json("deploy", "-e", "dev", env=wrong(folder, HOUR, 3.0))
    assert (code, report["result"]) == (0, "ok"), report


Story = Callable[[Workspace, Path], None]

STORIES: Mapping[str, Story] = {  # the longest first
    "a holder whose clock jumps keeps its lock": a_holder_whose_clock_jumps_keeps_its_lock,
    "a dead one's lock is taken in its time": a_dead_ones_lock_is_taken_in_its_time,
    "a live lock is not taken by a clock ahead": partial(a_live_lock_is_not_taken, off=HOUR),
    "a live lock is not taken by a clock behind": partial(a_live_lock_is_not_taken, off=-HOUR),
    "right verdicts, a day ahead": partial(verdicts_are_those_of_a_right_clock, off=DAY),
    "right verdicts, a day behind": partial(verdicts_are_those_of_a_right_clock, off=-DAY),
    "right verdicts, an hour forth": partial(verdicts_are_those_of_a_right_clock, off=HOUR, after=0.8),
    "right verdicts, an hour back": partial(verdicts_are_those_of_a_right_clock, off=-HOUR, after=0.8),
}


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, tmp_path_factory: pytest.TempPathFactory) -> dict[str, AssertionError | None]:
    """What each story ended with."""

    def play(story: Story, folder: Path) -> AssertionError | None:
        app = make_app(make_repo)
        try:
            story(app, folder)
        except AssertionError as error:
            return error
        return None

    return tell({n: partial(play, story, tmp_path_factory.mktemp("clock")) for n, story in STORIES.items()})


@pytest.mark.parametrize("story", STORIES)
def test_with_a_clock_that_is_wrong(told: dict[str, AssertionError | None], story: str) -> None:
    if error := told[story]:
        raise error

"""A sample of the kill matrix: at every failpoint a run is killed, and the next one puts everything right."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.failpoint import Point
from tests.fault.matrix import Case, Matrix, Verdict
from tests.fault.stage import opened
from tests.fault.test_not_begun import NOT_BEGUN

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]  # the first test waits for all cases

KILLED = (
    "change/start:kill:1/s2",
    "change/git-open:kill:1/s2",
    "change/config-read:kill:1/s2",
    "change/token-post:kill:5/s2",
    "change/diff-post:kill:1/s2",
    "change/render-pre:kill:1/s2",
    "change/render-mid:kill:1/s2",
    "definition/discovery-post:kill:1/s2",
    "change/validate-post:kill:1/s2",
    "definition/namespace-post:kill:1/s2",
    "change/plan-post:kill:1/s2",
    "change/lock-pre:kill:1/s2",
    "first/lock-post:kill:1/s2",
    "stateful/renew-mid:kill:1/s2",
    "first/intent-pre:kill:1/s2",
    "change/record-mid:kill:3/s1",
    "change/intent-post:kill:1/s1",
    "takeover/takeover-post:kill:1/s2",
    "change/apply-pre:kill:3/s2",
    "change/write-sent:kill:21/s2",
    "failing/apply-post:kill:3/s2",
    "recreate/recreate-mid:kill:1/s1",
    "definition/crd-wait:kill:1/s2",
    "stateful/watch-open:kill:2/s2",
    "recreate/watch-event:kill:2/s2",
    "change/gate-pass:kill:1/s1",
    "change/prune-list:kill:1/s2",
    "change/prune-delete-pre:kill:1/s1",
    "change/prune-delete-post:kill:1/s1",
    "definition/health-mid:kill:1/s2",
    "change/result-pre:kill:1/s2",
    "change/result-post:kill:1/s2",
    "change/trim-mid:kill:2/s2",
    "failing/rollback-start:kill:1/s2",
    "failing/rollback-object:kill:3/s2",
    "first-failing/rollback-post:kill:1/s2",
    "failing/rollback-record:kill:1/s1",
    "change/unlock-pre:kill:1/s2",
    "change/unlock-post:kill:1/s2",
    "change/report-write:kill:1/s2",
    "change/exit:kill:1/s2",
)
TERMINATED = (
    "first/lock-post:term:1/s2",
    "first/apply-post:term:2/s2",
    "change/intent-post:term:1/s2",
    "failing/rollback-object:term:2/s2",
    "stateful/watch-event:term:2/s1",
    "recreate/recreate-mid:term:1/s2",
)
STOPPED = (
    "change/lock-pre:stop:1/s2",
    "first/intent-post:stop:1/s2",
    "change/apply-pre:stop:2/s2",
    "change/apply-post:stop:4/s2",
    "change/prune-delete-pre:stop:1/s2",
    "failing/rollback-object:stop:2/s2",
    "recreate/recreate-mid:stop:1/s2",
    "change/result-pre:stop:1/s2",
)
MISTAKEN = (  # by a mistake of ours, on the main thread and on others
    "change/intent-post:raise:1/s1",
    "change/apply-pre:raise:2/s1",
    "recreate/recreate-mid:raise:1/s1",
    "stateful/watch-open:raise:1/s1",
    "stateful/renew-mid:raise:1/s1",
    "definition/health-mid:raise:1/s1",
    "change/result-pre:raise:1/s1",
    "failing/rollback-object:raise:2/s1",
)
LOST = (
    "change/replies:lost:10/s3",
    "failing/replies:lost:10/s3",
    "first/replies:lost:10/s609067",
    "definition/replies:lost:10/s3",
)
REPLAYED = (  # of defects that longer runs found
    "takeover/record-mid:kill:2/s5275",
    "definition/lock-pre:stop:1/s7676",
    "recreate/write-sent:stop:6/s793",
    "change/record-mid:kill:1/s1",
)
CASES = tuple(map(Case.parse, (*KILLED, *TERMINATED, *STOPPED, *MISTAKEN, *LOST, *REPLAYED)))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[Case, Verdict]:
    """In a cluster of its own: the checker's audit log tells when a request was done, too."""
    with opened(tmp_path_factory.mktemp("matrix")) as world:
        verdicts = list(Matrix(world).play(CASES))
    return {verdict.case: verdict for verdict in verdicts}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_next_run_puts_everything_right(told: dict[Case, Verdict], case: Case) -> None:
    verdict = told[case]
    assert verdict.violations == [], f"replay with: make fault NAME={case}"
    assert verdict.is_met, f"the run did not come by {case.point}: {dict(verdict.codes)}"


def test_a_run_is_killed_at_every_point_that_there_is() -> None:
    """Points that no deploy of a scenario passes are those of ``test_not_begun``."""
    killed = [case.point for case in map(Case.parse, KILLED) if case.action == "kill"]
    assert sorted([*killed, *NOT_BEGUN]) == sorted(Point)


def test_after_its_time_no_case_begins() -> None:
    none: Any = None  # a world in which nothing can be played
    assert list(Matrix(none).play([Case.parse(KILLED[0])], minutes=0)) == []

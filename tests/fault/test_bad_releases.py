"""A few of the bad releases that ``python -m tests.fault.bad_releases`` makes by hundreds, and of the cells
that ``python -m tests.fault.cells`` has for each fault and place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.local import LocalCluster
from tests.fault import bad_releases, cells
from tests.fault.cells import Cell
from tests.fault.releases import bad_release
from tests.fault.stage import opened

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

SEEDS = range(901, 907)
CELLS = (
    Cell("the lock's creation", "409 for good"),
    Cell("a trial", "422 for good"),
    Cell("a creation", "nonsense with 200 for good"),
    Cell("a record's head", "403 for good"),
    Cell("taking the lock", "409 for good"),
    Cell("a deletion", "403 for good"),
    Cell("a deletion", "409 for good"),
    Cell("the last change of a record", "401 for good"),
)
"""Each had found a defect, or is the only one of its end."""


def test_what_is_there_after_bad_releases_is_what_was_there_before(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    score = bad_releases.many(cluster, tmp_path, SEEDS, at_once=3)
    assert (score.played, score.broken) == (len(SEEDS), 0)


def test_the_same_seed_is_the_same_release_and_another_one_another() -> None:
    assert bad_release(7) == bad_release(7)
    assert bad_release(7) != bad_release(8)


def test_answers_that_do_not_get_better_end_a_run_by_the_right_code_and_the_next_one_converges(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as world:
        score = cells.many(world, CELLS, at_once=4)
    assert (score.played, score.met, score.broken) == (len(CELLS), len(CELLS), 0)

"""A shortened soak: what a thousand commits must not do, thirty do not do either."""

from __future__ import annotations

import pytest

from tests.bench.soak import MIB, growth, soak
from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

COMMITS = 30
MOST_MIB = 3.0  # what pages of the allocator come and go with
MOST_FILES = (
    2  # connections of the pool, which has as many as were ever used at once; a leak has one a commit
)


def test_memory_and_open_files_stay_as_they_are_over_many_commits(repo: Workspace) -> None:
    resident, files = growth(soak(repo, COMMITS))
    assert files <= MOST_FILES
    assert resident < MOST_MIB * MIB

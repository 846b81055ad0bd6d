"""A cluster that is far away: what is done meanwhile, or opened ahead, changes nothing but the time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.chain import through
from tests.bench.delay import DelayProxy
from tests.e2e.audit import Audit, Witness
from tests.e2e.conftest import MakeRepo, write_app
from tests.e2e.manifests import config_map

pytestmark = pytest.mark.cluster

ONE_WAY_S = 0.05


@pytest.fixture
def far(make_repo: MakeRepo, audit: Audit, tmp_path: Path) -> Iterator[Witness]:
    witness = audit.watch(make_repo(create=True))
    repo = witness.repo
    with DelayProxy(int(repo.cluster.server.rpartition(":")[2]), ONE_WAY_S) as proxy:
        way = through(Path(repo.environ["KUBECONFIG"]), proxy.port, tmp_path)
        repo.environ["KUBECONFIG"] = str(way)
        yield witness


def test_what_is_deployed_and_what_is_left_alone_is_the_same_as_near_by(far: Witness) -> None:
    write_app(far.repo)
    first = far.deploy()
    assert (first.code, len(far.writes)) == (0, 2), str(first)

    again = far.deploy()
    assert (again.code, far.all_writes) == (0, []), str(again)

    far.repo.manifest("settings.yaml", config_map("settings", word="two"))
    far.repo.commit("a change")
    changed = far.deploy()
    assert (changed.code, len(far.writes)) == (0, 1), str(changed)


def test_a_mistake_that_was_read_ahead_is_told_in_its_turn(far: Witness) -> None:
    far.repo.environment()
    far.repo.manifest("bad.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [}\n")
    far.repo.commit("a mistake")

    refused = far.deploy()

    assert (refused.code, far.all_writes) == (20, []), str(refused)
    (problem,) = refused.document["problems"]
    assert (problem["file"].rpartition("/")[2], problem["line"]) == ("bad.yaml", 3)

"""A cluster that is far away: what is done meanwhile, or opened ahead, changes nothing but the time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.bench.chain import through
from tests.bench.delay import DelayProxy
from tests.e2e.audit import Audit, Witness
from tests.e2e.conftest import MakeRepo, write_app
from tests.e2e.live import until
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
    assert looks(far) == {"configmaps": 1, "deployments": 1}, "what was looked at ahead is not asked again"

    far.repo.manifest("settings.yaml", config_map("settings", word="two"))
    far.repo.commit("a change")
    changed = far.deploy()
    assert (changed.code, len(far.writes)) == (0, 1), str(changed)


def test_who_has_waited_for_the_lock_goes_by_what_is_there_then(far: Witness) -> None:
    """Not by what it looked at ahead: somebody deletes an object meanwhile that the commit does not touch."""
    write_app(far.repo)
    first = far.deploy()
    assert first.code == 0, str(first)
    hold(far, "ana at home")
    far.repo.manifest("settings.yaml", config_map("settings", word="two"))
    far.repo.commit("a change")

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(far.deploy, "--wait-lock", "2m")
        until(lambda: [r.verb for r in far.requests if r.resource == "leases"].count("get") > 2)
        far.repo.kubectl("delete", "deployment", "web")
        hold(far, "")
        result = waiting.result()

    assert (result.code, far.written) == (0, ["configmaps/settings", "deployments/web"]), str(result)
    assert far.repo.get("apps/v1/deployments", "web") is not None


def looks(far: Witness) -> Counter[str]:
    """How often the last run asked for the application's objects, by resource."""
    asked = Counter(r.resource for r in far.requests if r.verb in ("get", "list"))
    return Counter({name: asked[name] for name in ("configmaps", "deployments")})


def hold(far: Witness, holder: str) -> None:
    """Give the lock to somebody, for ten minutes, or to nobody."""
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 600}
    lease = f"pipeline.{far.repo.application}.dev"
    far.repo.kubectl("patch", "lease", lease, "--type=merge", "-p", json.dumps({"spec": spec}))


def test_a_mistake_that_was_read_ahead_is_told_in_its_turn(far: Witness) -> None:
    far.repo.environment()
    far.repo.manifest("bad.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [}\n")
    far.repo.commit("a mistake")

    refused = far.deploy()

    assert (refused.code, far.all_writes) == (20, []), str(refused)
    (problem,) = refused.document["problems"]
    assert (problem["file"].rpartition("/")[2], problem["line"]) == ("bad.yaml", 3)

"""Three runs begin at once, each with its own commit: they take turns, or all but one are turned away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.fault import checker
from tests.fault.checker import LOCKED, OK, Evidence, Run
from tests.fault.scenarios import CANARY, SCENARIOS, Manifest
from tests.fault.stage import Stage, World, opened

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all rounds

ROLES = ("zeroth", "first", "next")
ROUNDS = 3
WAIT = "120s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """``codes`` of the three, ``numbers`` of the releases that they made; what the checker says of it all."""

    codes: list[int]
    numbers: list[int]
    violations: list[str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with opened(tmp_path_factory.mktemp("concurrent")) as running:
        yield running


@pytest.fixture(scope="module", params=[WAIT, ""], ids=["waiting", "not waiting"])
def rounds(request: pytest.FixtureRequest, world: World) -> list[Round]:
    stage = Stage(world, SCENARIOS["change"])
    stage.prepare()
    stage.repo.environ["PIPELINE_WAIT_LOCK"] = request.param
    allowed = frozenset({OK}) if request.param else frozenset({OK, LOCKED})
    return [played(stage, allowed) for _ in range(ROUNDS)]


def played(stage: Stage, allowed: frozenset[int]) -> Round:
    """All at once; then the commit that was the last to be deployed once more, which has nothing to do."""
    since, others, before = time.time(), stage._others(), newest(stage)[0]
    commits = dict(stage._commit(stage.scenario.good) for _ in ROLES)
    processes = [stage._start(role, revision=c) for role, c in zip(ROLES, commits, strict=True)]
    for process in processes:
        process.wait()
    runs = [process.ended() for process in processes]
    number, commit = newest(stage)
    runs.append(stage._run("last", commit))
    return Round(
        codes=[run.code for run in runs[:-1]],
        numbers=list(range(before + 1, number + 1)),
        violations=checker.violations(evidence(stage, runs, since, others, commits[commit], allowed)),
    )


def newest(stage: Stage) -> tuple[int, str]:
    """(number, commit) of the newest release."""
    release = stage.repo.json("history", "-e", "dev")[1]["releases"][0]
    return release["number"], release["revision"]


def evidence(
    stage: Stage,
    runs: list[Run],
    since: float,
    others: dict[str, str],
    deployed: list[Manifest],
    allowed: frozenset[int],
) -> Evidence:
    requests = stage.world.audit.requests({stage.repo.namespace, stage.repo.application}, since)
    name = f"pipeline.{stage.repo.application}.dev"
    return Evidence(
        application=stage.repo.application,
        runs=runs,
        writes=[r for r in requests if r.verb != "get"],
        leases=[r for r in requests if r.is_lease],
        live=stage._live(),
        records=stage._records(),
        lease=stage.repo.get("coordination.k8s.io/v1/leases", name),
        old=[],
        new=deployed,
        leads_to={("last", OK): "new"},
        must_end={**dict.fromkeys(ROLES, allowed), "last": frozenset({OK})},
        others_before=others,
        others_after=stage._others(),
        canaries=[f"{CANARY}-{version}" for version in range(stage.version + 1)],
        now=time.time(),
    )


def test_none_writes_while_another_holds_the_lock_and_the_last_one_s_state_stands(
    rounds: list[Round],
) -> None:
    assert [violation for one in rounds for violation in one.violations] == []


def test_each_that_ended_well_has_a_release_of_its_own(rounds: list[Round]) -> None:
    assert [len(one.numbers) for one in rounds] == [one.codes.count(OK) for one in rounds]
    assert all(OK in one.codes for one in rounds)

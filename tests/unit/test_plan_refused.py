"""A plan that is refused for what another run does at the same time is no refusal of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.model.errors import InterruptedRunError, PipelineError, PreflightError
from pipeline.model.release import Phase
from pipeline.run import deploy
from tests.unit.test_attempt import VERIFIED, Records, attempt, release

REQUEST = deploy.Request(
    command="deploy", revision="commit-9", base="", render=lambda: (), is_older=lambda _: False
)


MEANWHILE: list[Callable[[], None]] = []
"""What another run does while ours is planned."""


@pytest.fixture(autouse=True)
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def make_plan(*_: Any, **__: Any) -> None:
        for happens in MEANWHILE:
            happens()
        raise PreflightError("delete web: the UID does not match")

    monkeypatch.setattr(deploy, "make_plan", make_plan)


@pytest.mark.parametrize("is_lost", [True, False])
def test_under_a_lock_that_was_lost_it_is_an_interruption(is_lost: bool) -> None:
    def check() -> None:
        if is_lost:
            raise InterruptedRunError("the lock was lost")

    run, _ = attempt(Records([VERIFIED]), check=check)
    expected: type[PipelineError] = InterruptedRunError if is_lost else PreflightError
    with pytest.raises(expected):
        deploy._locked(run, REQUEST)


def test_before_the_lock_it_is_planned_anew_where_another_run_has_recorded_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    records = Records([VERIFIED])
    run, _ = attempt(records, locked=False)
    monkeypatch.setitem(globals(), "MEANWHILE", [lambda: records.save(release(2, Phase.SUCCEEDED))])
    assert not deploy._is_settled(run, REQUEST)
    assert run.planned is None


def test_before_the_lock_it_is_told_where_nobody_else_was_at_work() -> None:
    run, _ = attempt(Records([VERIFIED]), locked=False)
    with pytest.raises(PreflightError):
        deploy._is_settled(run, REQUEST)

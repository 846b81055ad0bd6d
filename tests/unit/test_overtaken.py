"""Whether another run recorded something: what was read beside the plan counts where the lock proves it."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.model.errors import UnreachableError
from pipeline.model.release import Phase, Release
from pipeline.run.overtaken import SecondLook
from pipeline.run.session import Session
from tests.unit.test_attempt import release

KNOWN, NEWER = release(1, Phase.SUCCEEDED), release(2, Phase.SUCCEEDED)


class Run:
    """A run that knows of ``KNOWN``, which is recorded."""

    def __init__(self, *, locked: bool = True, as_seen: bool = True) -> None:
        self.heads: list[Release] = [KNOWN]
        self.asked = 0
        self.error: Exception | None = None
        session: Any = SimpleNamespace(
            releases=SimpleNamespace(history=self._history),
            lock=SimpleNamespace(is_as_seen=as_seen),
            locked=locked,
        )
        self.look = SecondLook(cast("Session", session))

    def _history(self) -> list[Release]:
        self.asked += 1
        if self.error:
            raise self.error
        return list(self.heads)

    def begin(self) -> None:
        self.look.begin()
        for thread in [t for t in threading.enumerate() if t.name.startswith("ahead")]:
            thread.join(20)


@pytest.mark.parametrize(
    ("heads", "differs"),
    [
        ([KNOWN], False),
        ([NEWER, KNOWN], True),
        ([release(1, Phase.ROLLED_BACK)], True),
        ([release(1, Phase.SUCCEEDED, finished="later")], True),
        ([], True),
    ],
)
@pytest.mark.parametrize("beside", [True, False])
def test_another_release_or_another_state_of_it_is_a_difference(
    heads: list[Release], differs: bool, beside: bool
) -> None:
    run = Run()
    run.heads = heads
    if beside:
        run.begin()
    assert run.look.differs(KNOWN) is differs
    assert run.asked == 1


@pytest.mark.parametrize(("locked", "as_seen"), [(False, True), (True, False), (False, False)])
def test_what_was_read_before_is_not_trusted_where_another_may_have_had_the_lock(
    locked: bool, as_seen: bool
) -> None:
    run = Run(locked=locked, as_seen=as_seen)
    run.begin()
    run.heads = [NEWER, KNOWN]
    assert run.look.differs(KNOWN)


def test_it_counts_once() -> None:
    run = Run()
    run.begin()
    assert not run.look.differs(KNOWN)
    run.heads = [NEWER, KNOWN]
    assert run.look.differs(KNOWN)


def test_what_went_wrong_beside_is_asked_again() -> None:
    run = Run()
    run.error = UnreachableError("it broke off")
    run.begin()
    run.error, run.heads = None, [NEWER, KNOWN]
    assert run.look.differs(KNOWN)

"""The fuzz targets hold for a first handful of inputs, and a broken law is found and told."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from tests.fuzz.run import run
from tests.fuzz.targets import TARGETS, Target


@pytest.mark.parametrize("name", TARGETS)
def test_the_law_of_a_target_holds(name: str) -> None:
    result = run(TARGETS[name], 0, 1, examples=150)
    assert result.failure == ""
    assert result.inputs >= 100


def test_a_law_that_does_not_hold_is_told_with_the_input() -> None:
    def short(text: str) -> None:
        assert len(text) < 3

    result = run(Target(st.text(alphabet="x"), short), 0, 1)
    assert "xxx" in result.failure

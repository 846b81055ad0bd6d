"""The cheap bound of an object's size never lets a large one pass."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.predict.size import _may_exceed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=30,
)


@given(VALUES)
def test_what_may_not_exceed_a_size_is_no_larger(value: Any) -> None:
    size = len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())
    assert _may_exceed(value, size - 1)


def test_what_is_shared_counts_each_time() -> None:
    part = {"a": "x" * 1000}
    assert _may_exceed([part] * 1000, 1_000_000)


def test_a_bottomless_value_is_left_to_those_who_write_it() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    assert _may_exceed(value, 1_000_000)

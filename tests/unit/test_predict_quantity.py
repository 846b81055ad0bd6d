"""Quantities are read exactly, and shown so that they read back."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.predict.quantity import parse, show

DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
WHOLE = st.integers(0, 10**12)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("250m", Fraction(1, 4)),
        ("1.5Gi", 3 * 2**29),
        ("1.", 1),
        (".5", Fraction(1, 2)),
        ("+2", 2),
        ("-2", -2),
        ("1E", 10**18),
        ("1E3", 1000),
        ("1e-3", Fraction(1, 1000)),
        ("1e+3", 1000),
        (2, 2),
        (0.5, Fraction(1, 2)),
    ],
)
def test_every_spelling_has_its_value(text: Any, value: Any) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "1KI", "1K", "1mi", "1e", "1Gi2", "0x1", "1,5", "٣", "1\n", None, True, [], {}]
)
def test_what_is_no_quantity_is_none(text: Any) -> None:
    assert parse(text) is None


def test_absurd_lengths_cost_nothing() -> None:
    assert parse("9" * 10_000_000) is None
    assert parse("1e999999999") is None


@given(WHOLE, st.sampled_from(sorted(DECIMAL)))
def test_decimal_suffixes_are_powers_of_ten(number: int, suffix: str) -> None:
    assert parse(f"{number}{suffix}") == number * Fraction(10) ** DECIMAL[suffix]


@given(WHOLE, st.integers(0, 5))
def test_binary_suffixes_are_powers_of_1024(number: int, power: int) -> None:
    assert parse(f"{number}{BINARY[power]}") == number * 1024 ** (power + 1)


@given(WHOLE, st.integers(0, 999))
def test_decimals_are_exact(number: int, thousandths: int) -> None:
    assert parse(f"{number}.{thousandths:03}") == number + Fraction(thousandths, 1000)


@given(st.fractions(0, 10**15).map(lambda f: Fraction(int(f * 1000), 1000)))
def test_what_is_shown_reads_back(value: Fraction) -> None:
    assert parse(show(value)) == value


@given(st.fractions(0, 10**6))
def test_finer_values_are_shown_rounded_up(value: Fraction) -> None:
    shown = parse(show(value))
    assert shown is not None
    assert value <= shown < value + Fraction(1, 1000)


@given(st.text(max_size=8) | st.from_regex(r"[0-9.eE+\-]{0,6}[numkKMGTPEi]{0,2}", fullmatch=True))
def test_no_text_raises(text: str) -> None:
    parse(text)

"""Quantities as Kubernetes writes them (``250m``, ``1.5Gi``, ``2e3``), read exactly."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from pipeline.model.objects import Json

# Source: k8s.io/apimachinery/pkg/api/resource/suffix.go.
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_FORM: Final = re.compile(
    r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]{1,3}))?"
)
_LONGEST: Final = 64
"""Characters. The server keeps 18 digits; more is no quantity that anybody meant."""


def parse(value: Json) -> Fraction | None:
    """The exact value of a JSON string or number; None for what is no quantity."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value)
    match = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return None
    number, suffix, exponent = match.groups()
    amount = Fraction(number + "0" if number.endswith(".") else number)
    if suffix in _BINARY:
        return amount * Fraction(1024) ** _BINARY[suffix]
    return amount * Fraction(10) ** (int(exponent) if exponent else _DECIMAL[suffix or ""])


def show(value: Fraction) -> str:
    """For people: whole numbers with the largest binary suffix that fits, others in thousandths.

    Exact for whole numbers and thousandths; anything finer is rounded up, as the server does.
    """
    if value.denominator != 1:
        return f"{-((-value * 1000) // 1)}m"
    for suffix, power in reversed(_BINARY.items()):
        if value and value % 1024**power == 0:
            return f"{value // 1024**power}{suffix}"
    return str(value)

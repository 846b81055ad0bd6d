"""A survey of a text and the composer agree on its budgets, whatever the text is."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from hypothesis import example, given
from hypothesis import strategies as st
from yaml import YAMLError

from pipeline.adapters import compose, survey
from pipeline.adapters.compose import Composer, StopError

PIECES = [
    *("a: ", "b: ", "- ", "c", "{", "}", "[", "]", ", ", "&x ", "&y ", "*x", "*y", "<<: *x"),
    *("\n", "\n  ", "\n---\n", "? ", "'", "|", "#"),
]
SMALL = {"MAX_NODES": 12, "MAX_DEPTH": 4, "MAX_EXPANDED_NODES": 6}
BUDGETS = ("too-large", "too-deep", "excessive-aliasing")


def composed(text: str) -> tuple[bool, Any]:
    """(whether all of it was read, the budget at which that ended)."""
    composer = Composer("x", text)
    try:
        for _ in composer.documents():
            pass
    except StopError:
        found = composer.problems[-1]
        return False, found if found.code in BUDGETS else None
    except (YAMLError, ValueError):
        return False, None
    return True, None


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
@example("- &x [c, c, c]\n- &x c\n- [*x, *x, *x, *x, *x, *x]")
@example("- &x [c, c, c]\n- {&x c: c}\n- [*x, *x, *x, *x, *x]")
@example("- &x [c, c, c]\n---\n[*x, *x, *x]")
@example("- &x [c, c, c]\n- [*x, *x]")
@example("{a: [c], b: [c], d: [c], e: [c], f: [c], g: [c], h: [c]}")
@example("[{a: c, b: c}, {a: c, b: c}, {a: c, b: c}, c, c, c]")
@example("&x {a: &y [c, c], b: *y}")
def test_a_survey_stops_where_the_composer_does_and_nowhere_else(text: str) -> None:
    with patch.multiple(compose, **SMALL), patch.multiple(survey, **SMALL):
        whole, budget = composed(text)
        found = survey.exceeded("x", text)
    if whole or budget:
        assert found == budget

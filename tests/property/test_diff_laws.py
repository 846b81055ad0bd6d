"""A diff of any two objects: empty when equal, told otherwise, and never with a secret in it."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.diff import diff, differences
from pipeline.model.objects import ObjectRef, canonical

REF = ObjectRef("", "Secret", "a", "n")
NAMES = st.sampled_from(["name", "port", "containerPort", "protocol", "type", "a", "b.c"])
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | st.just("x" * 201)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
SECRETS = st.text('QXYZ!"\\\n é', min_size=6, max_size=300).filter(lambda s: s.strip())


def obj(spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "K", "metadata": {"name": "n"}, "spec": spec}


@given(VALUES)
def test_a_value_does_not_differ_from_itself(spec: Any) -> None:
    assert diff(obj(spec), obj(copy.deepcopy(spec))) == ()
    assert differences(REF, obj(spec), obj(copy.deepcopy(spec))) == ()


@given(VALUES, VALUES)
def test_what_differs_is_told_the_same_each_time(one: Any, other: Any) -> None:
    found = diff(obj(one), obj(other))
    assert bool(found) == (canonical(one) != canonical(other))
    assert found == diff(obj(copy.deepcopy(one)), obj(copy.deepcopy(other)))


@given(VALUES, VALUES)
def test_back_is_there_with_sides_exchanged(one: Any, other: Any) -> None:
    there, back = diff(obj(one), obj(other)), diff(obj(other), obj(one))
    assert [f.path for f in there] == [f.path for f in back]
    turned = {"add": "remove", "remove": "add", "change": "change"}
    assert [turned[f.op] for f in there] == [f.op for f in back]


@st.composite
def secrets(draw: st.DrawFn) -> tuple[dict[str, Any], list[str]]:
    values = draw(st.lists(SECRETS, min_size=1, max_size=4))
    encoded = [base64.b64encode(value.encode()).decode() for value in values]
    made: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "n"},
        "data": {f"key{n}": text for n, text in enumerate(encoded)},
    }
    if draw(st.booleans()):
        made["stringData"] = {"other": values[0]}
    repeated = draw(st.sampled_from(["last", "original", "note", "none"]))
    copied = json.dumps({"data": made["data"], "stringData": {"k": values[-1]}})
    made["metadata"]["annotations"] = {
        "last": {"kubectl.kubernetes.io/last-applied-configuration": copied},
        "original": {"example.com/original": copied},
        "note": {"example.com/note": f"see {values[0]}"},
        "none": {},
    }[repeated]
    return made, values + encoded


@given(secrets(), secrets())
def test_no_secret_value_is_shown(
    before: tuple[dict[str, Any], list[str]], after: tuple[dict[str, Any], list[str]]
) -> None:
    (one, hidden), (other, more) = before, after
    for shown in (*diff(one, other), *diff(None, one), *diff(one, None), *differences(REF, one, other)):
        for side in (shown.before, shown.after):
            text = side if isinstance(side, str) else json.dumps(side, ensure_ascii=False)
            assert not any(value in text for value in hidden + more)

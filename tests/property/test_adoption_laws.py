"""Laws of taking objects over: nothing of others goes, and twice is once."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.adoption import adopt, predicted
from pipeline.core.fields import FieldSet

NAMES = st.sampled_from(["a", "b", "c"])


def _items(by_name: dict[str, Any]) -> list[Any]:
    return [{"name": name, "value": value} for name, value in by_name.items()]


VALUES = st.recursive(
    st.integers(0, 3),
    lambda inner: (
        st.dictionaries(NAMES, inner, max_size=3)
        | st.dictionaries(NAMES, inner, max_size=3).map(_items)
        | st.lists(st.sampled_from(["x", "y", "z"]), max_size=3, unique=True)
    ),
    max_leaves=8,
)


@st.composite
def shares(draw: st.DrawFn, value: Any) -> dict[str, Any]:
    """FieldsV1 of a part of ``value``, as a manager may own it."""
    tree: dict[str, Any] = {}
    steps: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        steps = [(f"f:{key}", item) for key, item in value.items()]
    elif isinstance(value, list):
        named = [item for item in value if isinstance(item, dict)]
        steps = [("k:" + json.dumps({"name": i["name"]}, separators=(",", ":")), i) for i in named]
        steps += [(f'v:"{item}"', None) for item in value if isinstance(item, str)]
    for step, item in steps:
        if draw(st.booleans()):
            tree[step] = draw(shares(item))
            # The server always gives keys and membership of an item to whoever sent it.
            if step.startswith("k:") and draw(st.booleans()):
                tree[step] = {".": {}, "f:name": {}, **tree[step]}
    return tree


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """(live, what a dry run of our apply answers): the same fields, shares of a tool, of others and ours."""
    spec = draw(st.dictionaries(NAMES, VALUES, max_size=3))
    tools = [_entry(name, "Update", draw(shares(spec))) for name in ("helm", "kubectl")]
    others = [_entry(name, "Update", draw(shares(spec))) for name in ("operator", "scaler")]
    before, now = (_entry("pipeline", "Apply", draw(shares(spec))) for _ in range(2))
    return _obj(spec, [before, *tools, *others]), _obj(spec, [now, *tools, *others])


def _entry(manager: str, operation: str, spec: dict[str, Any]) -> dict[str, Any]:
    fields = {"f:spec": spec} if spec else {}
    return {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields}


def _obj(spec: Any, entries: list[dict[str, Any]]) -> dict[str, Any]:
    meta = {"name": "n", "managedFields": [e for e in entries if e["fieldsV1"]]}
    return {"apiVersion": "v1", "kind": "K", "metadata": meta, "spec": copy.deepcopy(spec)}


def _leaves(value: Any, fields: FieldSet, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """The owned leaves of ``value``, by their FieldsV1 steps."""
    found = {path} if path and fields.member and not fields.children else set()
    for step, child in fields.children.items():
        inner = _step(value, step)
        if inner is not None:
            found |= _leaves(inner[0], child, (*path, step))
    return found


def _step(value: Any, step: str) -> tuple[Any] | None:
    what = step[2:]
    if step.startswith("f:"):
        return (value[what],) if isinstance(value, dict) and what in value else None
    wanted = json.loads(what)
    for item in value if isinstance(value, list) else ():
        if item == wanted or (
            isinstance(item, dict) and isinstance(wanted, dict) and wanted.items() <= item.items()
        ):
            return (item,)
    return None


FIELDS = VALUES.flatmap(shares).map(FieldSet.parse)


@given(FIELDS, FIELDS)
def test_union_is_commutative(one: FieldSet, other: FieldSet) -> None:
    assert one.union(other) == other.union(one)


@given(FIELDS)
def test_union_is_idempotent(one: FieldSet) -> None:
    assert one.union(one) == one


@given(FIELDS.filter(bool))
def test_fields_are_written_as_they_were_read(fields: FieldSet) -> None:
    assert FieldSet.parse(fields.tree()) == fields


@given(worlds())
def test_nothing_that_others_own_and_nothing_that_we_send_ever_goes(
    world: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    live, applied = world
    after = predicted(applied, live)
    for entry in applied["metadata"]["managedFields"]:
        if entry["manager"] not in ("helm", "kubectl"):
            fields = FieldSet.parse(entry["fieldsV1"])
            assert _leaves(applied, fields) == _leaves(after, fields), entry["manager"]


@given(worlds())
def test_predicted_twice_is_once(world: tuple[dict[str, Any], dict[str, Any]]) -> None:
    live, applied = world
    once = predicted(applied, live)
    assert predicted(once, live) == once


@given(worlds())
def test_adopted_twice_is_once(world: tuple[dict[str, Any], dict[str, Any]]) -> None:
    live, applied = world
    entries = adopt(live, applied)
    if entries is None:
        return
    adopted = {**live, "metadata": {**live["metadata"], "managedFields": entries}}
    assert adopt(adopted, applied) is None
    assert predicted(predicted(applied, live), adopted) == predicted(applied, live)


@given(worlds())
def test_entries_of_others_are_not_touched(world: tuple[dict[str, Any], dict[str, Any]]) -> None:
    live, applied = world
    entries = adopt(live, applied)
    if entries is not None:
        theirs = [e for e in live["metadata"]["managedFields"] if e["manager"] in ("operator", "scaler")]
        assert entries[1:] == theirs

"""Deletions in any set: every declared order holds or is told of, the rest follows what objects are."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import delete_order as module
from pipeline.core import graph
from pipeline.core.delete_order import DeleteOrder, delete_order, still_there
from pipeline.model.objects import Manifest, ObjectRef, Origin

GROUP = "kapp.k14s.io/change-group"
RULE = "kapp.k14s.io/change-rule"
WAVE = "argocd.argoproj.io/sync-wave"
OWN = "pipeline/depends-on"
API_VERSIONS = {"Pod": "v1", "ConfigMap": "v1", "ServiceAccount": "v1", "Database": "example.com/v1"}
NAMES = ["p", "q"]
GROUPS = ["a", "b", "c"]


def made(kind: str, name: str, annotations: dict[str, str], reads: str) -> Manifest:
    spec = {"serviceAccountName": reads, "volumes": [{"configMap": {"name": reads}}]}
    body: dict[str, Any] = {
        "apiVersion": API_VERSIONS[kind],
        "kind": kind,
        "metadata": {"name": name, "namespace": "n", "annotations": annotations},
        **({"spec": spec} if kind == "Pod" else {}),
    }
    return Manifest(ObjectRef.of(body), body, Origin(f"{name}.yaml", 1))


REFS = [made(kind, name, {}, "p").ref for kind, name in product(API_VERSIONS, NAMES)]


@st.composite
def notes(draw: st.DrawFn) -> dict[str, str]:
    """Some of: groups, rules, a wave, dependencies."""
    found = {f"{GROUP}.{n}": n for n in draw(st.lists(st.sampled_from(GROUPS), max_size=2, unique=True))}
    for n in range(draw(st.integers(0, 2))):
        order, group = draw(st.sampled_from(["after", "before"])), draw(st.sampled_from(GROUPS))
        found[f"{RULE}.{n}"] = f"delete {order} deleting {group}"
    if draw(st.booleans()):
        found[WAVE] = str(draw(st.integers(-1, 2)))
    if draw(st.booleans()):
        found[OWN] = ",".join(map(str, draw(st.lists(st.sampled_from(REFS), max_size=2))))
    return found


@st.composite
def sets(draw: st.DrawFn, *, declared: bool = True) -> list[Manifest]:
    keys = draw(st.lists(st.sampled_from(REFS), min_size=1, max_size=8, unique=True))
    nothing: st.SearchStrategy[dict[str, str]] = st.just({})
    some = st.one_of(nothing, notes()) if declared else nothing
    return [made(ref.kind, ref.name, draw(some), draw(st.sampled_from(NAMES))) for ref in keys]


def annotations(manifest: Manifest) -> dict[str, str]:
    return dict(manifest.body["metadata"]["annotations"])


def rules(manifest: Manifest) -> set[tuple[str, str]]:
    """(before or after, group)."""
    found = (value.split() for key, value in annotations(manifest).items() if key.startswith(RULE))
    return {(order, group) for _, order, _, group in found}


Pair = tuple[ObjectRef, ObjectRef, set[str]]
"""What must go before what, and the names of the orders of which one says so."""


def by_rules(objects: Sequence[Manifest]) -> Iterator[Pair]:
    for holder, member in product(objects, objects):
        for annotation, value in annotations(holder).items():
            if not annotation.startswith(RULE) or holder is member:
                continue
            _, order, _, group = value.split()
            is_member = group in [v for k, v in annotations(member).items() if k.startswith(GROUP)]
            is_insider = group in [v for k, v in annotations(holder).items() if k.startswith(GROUP)]
            # Those of a group that wait for it do not wait for each other.
            alike = (order, group) in rules(member) and (is_insider or order == "before")
            if is_member and not alike:
                pair = (member, holder) if order == "after" else (holder, member)
                names = {f"{k} of {holder.ref}" for k, v in annotations(holder).items() if v == value}
                yield pair[0].ref, pair[1].ref, names


def by_dependencies(objects: Sequence[Manifest]) -> Iterator[Pair]:
    there = {m.ref for m in objects}
    for manifest in objects:
        for text in filter(None, annotations(manifest).get(OWN, "").split(",")):
            if (target := ObjectRef.parse(text)) in there - {manifest.ref}:
                yield manifest.ref, target, {f"{OWN} of {manifest.ref}"}


def by_waves(objects: Sequence[Manifest]) -> Iterator[Pair]:
    waves = {m.ref: int(annotations(m)[WAVE]) for m in objects if WAVE in annotations(m)}
    for high, low in product(waves, waves):
        if waves[high] > waves[low]:
            yield high, low, {f"{WAVE} of {ref}" for ref in (high, low)}


def declared_pairs(objects: Sequence[Manifest]) -> list[Pair]:
    return [*by_rules(objects), *by_dependencies(objects), *by_waves(objects)]


def ordered(objects: Sequence[Manifest]) -> DeleteOrder:
    with patch.object(module, "_NAMED", 1000):
        return delete_order(objects, "n")


@given(sets())
def test_every_declared_order_holds_or_is_named_in_a_warning(objects: list[Manifest]) -> None:
    found = ordered(objects)
    told = {
        name.strip() for w in found.warnings for name in w.message.partition("not followed: ")[2].split(",")
    }
    for first, then, names in declared_pairs(objects):
        assert found.waves[first] < found.waves[then] or names & told


@given(sets())
def test_nothing_is_told_where_the_declared_orders_go_together(objects: list[Manifest]) -> None:
    before: dict[ObjectRef, set[ObjectRef]] = {m.ref: set() for m in objects}
    for first, then, _ in declared_pairs(objects):
        before[then].add(first)
    left = set(before)
    while free := {ref for ref in left if not before[ref] & left}:
        left -= free
    assert bool(left) == bool(ordered(objects).warnings)


@given(sets())
def test_what_is_told_to_hold_is_held_back_while_the_other_is_there(objects: list[Manifest]) -> None:
    found = ordered(objects)
    for first, then, names in declared_pairs(objects):
        if not any(name in w.message for name in names for w in found.warnings):
            assert still_there(then, found.gone_first, {first}) == first


@given(sets())
def test_every_object_goes_in_a_wave_and_no_wave_is_empty(objects: list[Manifest]) -> None:
    found = ordered(objects)
    assert set(found.waves) == {m.ref for m in objects}
    assert set(found.waves.values()) == set(range(max(found.waves.values()) + 1))


@given(sets(), st.randoms(use_true_random=False))
def test_the_order_in_which_objects_are_given_changes_nothing(
    objects: list[Manifest], rnd: random.Random
) -> None:
    shuffled = list(objects)
    rnd.shuffle(shuffled)
    assert ordered(shuffled) == ordered(objects)


@given(sets(declared=False))
def test_without_declared_orders_custom_resources_go_first_and_users_before_what_they_use(
    objects: list[Manifest],
) -> None:
    found = ordered(objects)
    assert found.warnings == ()
    for one, other in product(found.waves, found.waves):
        if one.kind == "Database" and other.kind != "Database":
            assert found.waves[one] < found.waves[other]
    for edge in graph.needs(objects, default_namespace="n").edges:
        assert found.waves[edge.source] < found.waves[edge.target]


@given(sets())
def test_a_custom_resource_of_which_nobody_says_anything_goes_before_all_others(
    objects: list[Manifest],
) -> None:
    found = ordered(objects)
    told = {ref for first, then, _ in declared_pairs(objects) for ref in (first, then)}
    for ref in {m.ref for m in objects if not annotations(m)} - told:
        if ref.kind == "Database":
            others = [n for other, n in found.waves.items() if other.kind != "Database"]
            assert found.waves[ref] < min(others, default=len(objects))


@given(sets())
def test_users_go_before_what_they_use_where_no_declared_order_is_about_either(
    objects: list[Manifest],
) -> None:
    found = ordered(objects)
    told = {ref for first, then, _ in declared_pairs(objects) for ref in (first, then)}
    quiet = [m for m in objects if not annotations(m)]
    for edge in graph.needs(quiet, default_namespace="n").edges:
        if not {edge.source, edge.target} & told:
            assert found.waves[edge.source] < found.waves[edge.target]

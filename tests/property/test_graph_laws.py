"""Waves of any graph: after all needs, minimal, the same in any order; cycles are cycles."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.graph import Edge, Needs, cycles, delete_waves, needs, waves
from pipeline.model.errors import InvalidError
from pipeline.model.objects import Manifest, ObjectRef, Origin

ORIGIN = Origin("f.yaml", 1)
Pairs = list[tuple[int, int]]


def ref(n: int) -> ObjectRef:
    return ObjectRef("", "Pod", "a", f"p{n:06}")


def graph(size: int, pairs: Pairs) -> Needs:
    edges = (Edge(ref(s), ref(t), "reads", "exists", ORIGIN) for s, t in sorted(set(pairs)) if s != t)
    return Needs(tuple(ref(n) for n in range(size)), tuple(edges))


@st.composite
def dags(draw: st.DrawFn) -> Needs:
    size = draw(st.integers(1, 12))
    order = draw(st.permutations(range(size)))
    pairs = draw(st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=30))
    return graph(size, [(order[max(p)], order[min(p)]) for p in pairs])


@st.composite
def graphs(draw: st.DrawFn) -> Needs:
    size = draw(st.integers(1, 8))
    return graph(
        size, draw(st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=20))
    )


@given(dags())
def test_every_wave_is_one_after_the_last_of_its_needs(found: Needs) -> None:
    level = {ref: n for n, wave in enumerate(waves(found)) for ref in wave}
    assert set(level) == set(found.objects)
    for obj, targets in found.targets.items():
        assert level[obj] == 1 + max((level[t] for t in targets), default=-1)


@given(dags())
def test_nothing_is_deleted_before_what_uses_it(found: Needs) -> None:
    level = {ref: n for n, wave in enumerate(delete_waves(found)) for ref in wave}
    assert all(level[e.source] < level[e.target] for e in found.edges)


@given(graphs())
def test_only_true_cycles_are_named_and_something_always_is(found: Needs) -> None:
    stuck = stuck_of(found)
    if not stuck:
        assert waves(found)
        return
    with pytest.raises(InvalidError) as caught:
        waves(found)
    assert caught.value.problems
    for cycle in cycles(found, stuck):
        assert all(edge in found.edges for edge in cycle)
        assert [e.target for e in cycle] == [e.source for e in (*cycle[1:], cycle[0])]
        assert len({e.source for e in cycle}) == len(cycle)


def stuck_of(found: Needs) -> set[ObjectRef]:
    """By the definition: what is left when what needs nothing left is taken away again and again."""
    left = set(found.objects)
    while free := {o for o in left if not found.targets[o] & left}:
        left -= free
    return left


def manifests(size: int, rnd: random.Random) -> list[Manifest]:
    made = []
    for n in range(size):
        after = ",".join(str(ref(rnd.randrange(n))) for _ in range(2)) if n else ""
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": ref(n).name,
                "namespace": "a",
                "annotations": {"pipeline/depends-on": after},
            },
        }
        made.append(Manifest(ref(n), body, ORIGIN))
    return made


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_files_changes_nothing(rnd: random.Random) -> None:
    made = manifests(12, rnd)
    expected = needs(made, default_namespace="a")
    rnd.shuffle(made)
    found = needs(made, default_namespace="a")
    assert found == expected
    assert waves(found) == waves(expected)


def test_a_hundred_thousand_objects_are_ordered() -> None:
    made = manifests(100_000, random.Random(1))
    found = needs(made, default_namespace="a")
    assert sum(len(wave) for wave in waves(found)) == 100_000


def test_a_chain_of_a_hundred_thousand_is_a_wave_each_and_its_cycle_is_found() -> None:
    size = 100_000
    chain = [(n + 1, n) for n in range(size - 1)]
    assert len(waves(graph(size, chain))) == size
    with pytest.raises(InvalidError):
        waves(graph(size, [*chain, (0, size - 1)]))

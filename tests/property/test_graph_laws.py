"""Waves of any graph: after all needs, minimal, the same in any order; cycles are cycles."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.edges import is_milestone
from pipeline.core.graph import Edge, Needs, cycles, needs, waves
from pipeline.model.errors import InvalidError
from pipeline.model.objects import Manifest, ObjectRef, Origin
from pipeline.model.plan import Strength

ORIGIN = Origin("f.yaml", 1)
Pairs = list[tuple[int, int]]


def ref(n: int) -> ObjectRef:
    return ObjectRef("", "Pod", "a", f"p{n:06}")


def graph(size: int, pairs: Pairs) -> Needs:
    edges = (Edge(ref(s), ref(t), "reads", Strength.EXISTS, ORIGIN) for s, t in sorted(set(pairs)) if s != t)
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
    while free := {o for o in left if not found.targets[o].keys() & left}:
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


# --- sets of objects that name, select, cover and order each other

ARGO = "argocd.argoproj.io"
NAMES = ["p", "q", "r"]
KINDS = (
    "ConfigMap",
    "Deployment",
    "Ingress",
    "Job",
    "LimitRange",
    "Namespace",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "RoleBinding",
    "Service",
    "ServiceAccount",
    "ValidatingWebhookConfiguration",
)


def made(kind: str, name: str, annotations: dict[str, str], fields: dict[str, Any]) -> Manifest:
    api_version = {
        "Deployment": "apps/v1",
        "Job": "batch/v1",
        "PodDisruptionBudget": "policy/v1",
        "NetworkPolicy": "networking.k8s.io/v1",
        "Ingress": "networking.k8s.io/v1",
        "RoleBinding": "rbac.authorization.k8s.io/v1",
        "ValidatingWebhookConfiguration": "admissionregistration.k8s.io/v1",
    }.get(kind, "v1")
    metadata: dict[str, Any] = {"name": name, "annotations": annotations}
    if kind not in ("Namespace", "ValidatingWebhookConfiguration"):
        metadata["namespace"] = "p"
    body = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}
    return Manifest(ObjectRef.of(body), body, ORIGIN)


def fields_of(kind: str, name: str, other: str) -> dict[str, Any]:
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"serviceAccountName": other, "volumes": [{"configMap": {"name": other}}]},
    }
    client = {"service": {"name": other, "namespace": "p"}}
    rules = [{"apiGroups": ["*"], "resources": ["*"], "operations": ["*"]}]
    return {
        "Deployment": {"spec": {"template": template}},
        "Job": {"spec": {"template": template}},
        "Service": {"spec": {"selector": {"app": other}}},
        "PodDisruptionBudget": {"spec": {"selector": {"matchLabels": {"app": other}}}},
        "NetworkPolicy": {"spec": {"podSelector": {"matchLabels": {"app": other}}}},
        "Ingress": {"spec": {"defaultBackend": {"service": {"name": other}}}},
        "RoleBinding": {"subjects": [{"kind": "ServiceAccount", "name": other}]},
        "ValidatingWebhookConfiguration": {"webhooks": [{"clientConfig": client, "rules": rules}]},
    }.get(kind, {})


@st.composite
def sets(draw: st.DrawFn, *, declared: bool) -> list[Manifest]:
    """Objects of all kinds that the graph knows something about, at random; hooks are Jobs."""
    keys = draw(
        st.lists(
            st.tuples(st.sampled_from(KINDS), st.sampled_from(NAMES)), min_size=1, max_size=14, unique=True
        )
    )
    found = []
    for kind, name in keys:
        annotations = {}
        if declared and draw(st.booleans()):
            annotations[f"{ARGO}/sync-wave"] = str(draw(st.integers(-1, 1)))
        if declared and kind == "Job" and draw(st.booleans()):
            annotations[f"{ARGO}/hook"] = draw(st.sampled_from(["PreSync", "Sync", "PostSync", "SyncFail"]))
        found.append(made(kind, name, annotations, fields_of(kind, name, draw(st.sampled_from(NAMES)))))
    return found


def ordered(found: Needs) -> bool:
    """Whether what is left has an order: two declared ones may contradict each other, or a reference."""
    try:
        waves(found)
    except InvalidError:
        return False
    return True


@given(sets(declared=False))
def test_what_objects_are_and_name_is_always_ordered(objects: list[Manifest]) -> None:
    assert ordered(needs(objects, default_namespace="p"))


@given(sets(declared=True))
def test_every_edge_is_respected_also_through_milestones(objects: list[Manifest]) -> None:
    found = needs(objects, default_namespace="p")
    if not ordered(found):
        return
    level: dict[ObjectRef, int] = {ref: n for n, wave in enumerate(waves(found)) for ref in wave}
    assert set(level) == set(found.objects)
    for ref in found.objects:
        behind = objects_behind(found, ref)
        assert level[ref] == 1 + max((level[target] for target in behind), default=-1)


def objects_behind(found: Needs, ref: ObjectRef) -> set[ObjectRef]:
    """The objects that ``ref`` needs, with those behind the milestones that it needs."""
    seen: set[ObjectRef] = set()
    todo = list(found.targets[ref])
    while todo:
        target = todo.pop()
        if target not in seen:
            seen.add(target)
            todo += found.targets[target] if is_milestone(target) else ()
    return {target for target in seen if not is_milestone(target)}


@given(sets(declared=True), st.randoms(use_true_random=False))
def test_the_order_of_the_files_changes_nothing_in_a_mixed_set(
    objects: list[Manifest], rnd: random.Random
) -> None:
    expected = needs(objects, default_namespace="p")
    shuffled = list(objects)
    rnd.shuffle(shuffled)
    assert needs(shuffled, default_namespace="p") == expected


@given(sets(declared=True))
def test_an_object_needs_the_same_without_the_objects_that_it_does_not_rest_on(
    objects: list[Manifest],
) -> None:
    found = needs(objects, default_namespace="p")
    everything = {*found.edges, *found.gave_way}
    for ref in found.objects:
        rests_on = {ref}
        while more := {e.target for e in everything if e.source in rests_on} - rests_on:
            rests_on |= more
        alone = needs([m for m in objects if m.ref in rests_on], default_namespace="p")
        assert alone.targets[ref] == found.targets[ref]


@given(sets(declared=False))
def test_every_inferred_edge_is_between_two_objects_and_for_no_third(objects: list[Manifest]) -> None:
    by_ref = {m.ref: m for m in objects}
    found = needs(objects, default_namespace="p")
    for edge in (*found.edges, *found.gave_way):
        # What answers a webhook is found by way of its Service.
        services = [m for m in objects if m.ref.kind == "Service"] if "answered" in edge.why else []
        pair = [by_ref[edge.source], by_ref[edge.target], *services]
        alone = needs(pair, default_namespace="p")
        assert (edge.source, edge.target) in {(e.source, e.target) for e in (*alone.edges, *alone.gave_way)}


@given(sets(declared=True))
def test_only_soft_edges_of_cycles_give_way(objects: list[Manifest]) -> None:
    found = needs(objects, default_namespace="p")
    after: dict[ObjectRef, set[ObjectRef]] = {}
    for edge in (*found.edges, *found.gave_way):
        after.setdefault(edge.source, set()).add(edge.target)
    for edge in found.gave_way:
        assert edge.soft
        reached = {edge.target}
        while more := {t for ref in reached for t in after.get(ref, ())} - reached:
            reached |= more
        assert edge.source in reached


def test_protection_and_waves_of_a_large_namespace_cost_an_edge_each_and_not_their_product() -> None:
    objects = [
        made("Deployment", f"d{n}", {f"{ARGO}/sync-wave": str(n % 2)}, fields_of("Deployment", f"d{n}", "x"))
        for n in range(500)
    ]
    objects += [made("PodDisruptionBudget", f"d{n}", {}, {"spec": selecting(n)}) for n in range(500)]
    found = needs(objects, default_namespace="p")
    # A workload: the wave that it holds up or waits for. A budget: its workload, and wave 0 that holds it,
    # which gives way for those whose workload is in wave 1.
    assert len(found.edges) == 500 + 500 + 250
    assert len(found.gave_way) == 250
    assert len(found.milestones) == 1


def selecting(n: int) -> dict[str, Any]:
    return {"selector": {"matchLabels": {"app": f"d{n}"}}}

"""Cycles among edges: what gives way, and what is told of the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline.core.edges import Edge, Softness, is_milestone, order
from pipeline.model.errors import InvalidError, Problem
from pipeline.model.objects import ObjectRef

BySource = dict[ObjectRef, list[Edge]]


def give_way(by_source: BySource) -> tuple[Edge, ...]:
    """Take soft edges out of ``by_source`` where they are part of a cycle; returns them.

    The softest go first, and others only as far as cycles are left. Linear.
    """
    dropped: list[Edge] = []
    stuck = unordered(by_source)
    for softness in (Softness.COVERAGE, Softness.DEFAULT, Softness.REFERENCE):
        if not stuck:
            break
        component = components(by_source, stuck)
        for source in stuck:
            kept: list[Edge] = []
            for edge in by_source[source]:
                yields = edge.soft >= softness and component.get(edge.target) == component[source]
                (dropped if yields else kept).append(edge)
            by_source[source] = kept
        stuck = unordered(by_source, stuck)
    return tuple(dropped)


def unordered(by_source: BySource, among: Iterable[ObjectRef] | None = None) -> list[ObjectRef]:
    """The sources that cannot be put in order: members of cycles, and what needs them."""
    waiting = dict.fromkeys(by_source if among is None else among, 0)
    dependents: dict[ObjectRef, list[ObjectRef]] = {}
    for source in waiting:
        for edge in by_source[source]:
            # A target that needs nothing, or is in order already, keeps nobody waiting.
            if edge.target in waiting:
                waiting[source] += 1
                dependents.setdefault(edge.target, []).append(source)
    free = [ref for ref, count in waiting.items() if not count]
    while free:
        for source in dependents.get(free.pop(), ()):
            waiting[source] -= 1
            if not waiting[source]:
                free.append(source)
    return [ref for ref, count in waiting.items() if count]


def components(by_source: BySource, members: Iterable[ObjectRef]) -> Mapping[ObjectRef, int]:
    """The strongly connected component of each member (Tarjan 1972, without recursion). Linear."""
    inside = dict.fromkeys(members)
    index: dict[ObjectRef, int] = {}
    low: dict[ObjectRef, int] = {}
    component: dict[ObjectRef, int] = {}
    open_refs: list[ObjectRef] = []
    for root in inside:
        if root in index:
            continue
        walk = [(root, iter(by_source.get(root, ())))]
        while walk:
            ref, edges = walk[-1]
            if ref not in index:
                index[ref] = low[ref] = len(index)
                open_refs.append(ref)
            for edge in edges:
                target = edge.target
                if target not in inside or target in component:
                    continue
                if target not in index:
                    walk.append((target, iter(by_source.get(target, ()))))
                    break
                low[ref] = min(low[ref], index[target])
            else:
                walk.pop()
                if walk:
                    parent = walk[-1][0]
                    low[parent] = min(low[parent], low[ref])
                if low[ref] == index[ref]:
                    _close(ref, open_refs, component)
    return component


def _close(root: ObjectRef, open_refs: list[ObjectRef], component: dict[ObjectRef, int]) -> None:
    number = len(component)
    while True:
        ref = open_refs.pop()
        component[ref] = number
        if ref == root:
            return


def cycles_among(
    by_source: Mapping[ObjectRef, Sequence[Edge]], stuck: Iterable[ObjectRef]
) -> tuple[tuple[Edge, ...], ...]:
    """Disjoint cycles among ``stuck``, objects which all need another one of them.

    Follows the first such need of each; a walk that cannot end comes round. Every cycle starts
    at its smallest member. Linear.
    """
    members = set(stuck)
    following = {ref: next(edge for edge in by_source[ref] if edge.target in members) for ref in members}
    walked: dict[ObjectRef, ObjectRef] = {}
    found: list[tuple[Edge, ...]] = []
    for start in sorted(members, key=order):
        ref = start
        while ref not in walked:
            walked[ref] = start
            ref = following[ref].target
        if walked[ref] == start:
            found.append(_cycle_through(ref, following))
    return tuple(sorted(found, key=lambda cycle: order(cycle[0].source)))


def _cycle_through(ref: ObjectRef, following: Mapping[ObjectRef, Edge]) -> tuple[Edge, ...]:
    edges = [following[ref]]
    while edges[-1].target != ref:
        edges.append(following[edges[-1].target])
    first = min(range(len(edges)), key=lambda n: (is_milestone(edges[n].source), order(edges[n].source)))
    return tuple(edges[first:] + edges[:first])


def cyclic(found: Sequence[Sequence[Edge]]) -> InvalidError:
    """The error for cycles that nothing gives way in."""
    problems = [_problem(cycle) for cycle in found]
    objects = [str(edge.source) for edge in found[0] if not is_milestone(edge.source)]
    shown = " → ".join([*objects, objects[0]])
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return InvalidError(
        f"order the objects: they need each other in a cycle: {shown}{more}",
        hint=problems[0].hint,
        problems=problems,
    )


def _problem(cycle: Sequence[Edge]) -> Problem:
    contradiction = all(edge.declared for edge in cycle)
    what = "the declared orders contradict each other" if contradiction else "objects need each other"
    places = dict.fromkeys(f"{edge.annotation} ({edge.origin})" for edge in cycle if edge.annotation)
    hint = "remove one of these dependencies"
    if places:
        hint = f"remove {'one of ' if len(places) > 1 else ''}{', '.join(places)}"
    return Problem(
        code="dependency-cycle",
        message=f"{what}: " + ", ".join(str(edge) for edge in cycle),
        origin=next((edge.origin for edge in cycle if edge.declared), cycle[0].origin),
        hint=hint,
        object=cycle[0].source,
    )

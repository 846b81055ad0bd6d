"""Cycles among edges: what gives way, and what is told of the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress

from pipeline.core.edges import Edge, Softness, is_milestone, order
from pipeline.model.errors import InvalidError, Problem
from pipeline.model.objects import ObjectRef

BySource = dict[ObjectRef, list[Edge]]


def give_way(by_source: BySource) -> tuple[Edge, ...]:
    """Take soft edges out of ``by_source`` where they are part of a cycle; returns them.

    The softest go first, and others only as far as cycles are left. Linear.
    """
    sources = list(by_source)
    targets = numbered(sources, by_source)
    dropped: list[Edge] = []
    stuck = unordered(targets, range(len(sources)))
    for softness in (Softness.COVERAGE, Softness.DEFAULT, Softness.REFERENCE):
        if not stuck:
            break
        component = components(targets, stuck)
        for number in stuck:
            edges = by_source[sources[number]]
            inner = component[number]
            gone = [
                edge.soft >= softness and component.get(target) == inner
                for edge, target in zip(edges, targets[number], strict=True)
            ]
            if any(gone):
                dropped += compress(edges, gone)
                kept = [not leaves for leaves in gone]
                by_source[sources[number]] = list(compress(edges, kept))
                targets[number] = list(compress(targets[number], kept))
        stuck = unordered(targets, stuck)
    return tuple(dropped)


def contradictions(
    by_source: BySource, may_go: Callable[[Edge], bool]
) -> list[tuple[tuple[Edge, ...], tuple[Edge, ...]]]:
    """Take the edges that ``may_go`` out of ``by_source`` where they are part of a cycle.

    For each component a cycle that was in it, and all edges that were taken out of it. Every cycle must
    have an edge that may go. Linear.
    """
    sources = list(by_source)
    targets = numbered(sources, by_source)
    members: dict[int, list[ObjectRef]] = {}
    for number, root in components(targets, unordered(targets, range(len(sources)))).items():
        members.setdefault(root, []).append(sources[number])
    found = []
    for inside in (set(refs) for refs in members.values() if len(refs) > 1):
        cycle = cycles_among(by_source, inside)[0]
        gone = {e for ref in inside for e in by_source[ref] if e.target in inside and may_go(e)}
        for source in {edge.source for edge in gone}:
            by_source[source] = [edge for edge in by_source[source] if edge not in gone]
        found.append((cycle, tuple(sorted(gone, key=lambda e: (order(e.source), order(e.target))))))
    return sorted(found, key=lambda pair: order(pair[0][0].source))


def numbered(sources: Sequence[ObjectRef], by_source: Mapping[ObjectRef, Sequence[Edge]]) -> list[list[int]]:
    """The targets of each source as positions among them, -1 for others. Numbers are quicker than names."""
    position = {ref: number for number, ref in enumerate(sources)}
    return [[position.get(edge.target, -1) for edge in by_source.get(ref, ())] for ref in sources]


def unordered(targets: Sequence[Sequence[int]], among: Iterable[int]) -> list[int]:
    """Those that cannot be put in order: members of cycles, and what needs them. Others count as ordered."""
    waiting = dict.fromkeys(among, 0)
    dependents: dict[int, list[int]] = {}
    for source in waiting:
        for target in targets[source]:
            if target in waiting:
                waiting[source] += 1
                dependents.setdefault(target, []).append(source)
    free = [number for number, count in waiting.items() if not count]
    while free:
        for source in dependents.get(free.pop(), ()):
            waiting[source] -= 1
            if not waiting[source]:
                free.append(source)
    return [number for number, count in waiting.items() if count]


def components(targets: Sequence[Sequence[int]], members: Iterable[int]) -> Mapping[int, int]:
    """The strongly connected component of each member (Tarjan 1972, without recursion). Linear."""
    inside = dict.fromkeys(members)
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    component: dict[int, int] = {}
    unclosed: list[int] = []
    for root in inside:
        walk = [] if root in index else [(root, iter(targets[root]))]
        while walk:
            source, rest = walk[-1]
            if source not in index:
                index[source] = low[source] = len(index)
                unclosed.append(source)
            for target in rest:
                if target not in inside or target in component:
                    continue
                if target not in index:
                    walk.append((target, iter(targets[target])))
                    break
                low[source] = min(low[source], index[target])
            else:
                walk.pop()
                if walk:
                    parent = walk[-1][0]
                    low[parent] = min(low[parent], low[source])
                if low[source] == index[source]:
                    _close(source, unclosed, component)
    return component


def _close(root: int, unclosed: list[int], component: dict[int, int]) -> None:
    """Everything above ``root`` on the stack is one component with it, called by its number."""
    while root not in component:
        component[unclosed.pop()] = root


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

"""Which object must come before which, and the waves that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from operator import attrgetter

from pipeline.core.change_groups import grouped
from pipeline.core.cycles import BySource, cycles_among, cyclic, give_way, numbered
from pipeline.core.depends import declared
from pipeline.core.edges import Edge, Softness, is_milestone, order
from pipeline.core.hooks import HookEvent
from pipeline.core.inferred import inferred
from pipeline.core.lookup import Lookup
from pipeline.core.stages import Hooks, read_hooks, staged
from pipeline.core.webhooks import called, covered
from pipeline.model.errors import InvalidError, Problem
from pipeline.model.objects import Manifest, ObjectRef
from pipeline.model.plan import Strength

__all__ = [
    "Edge",
    "HookEvent",
    "Needs",
    "Softness",
    "as_mapping",
    "cycles",
    "is_milestone",
    "merged",
    "needs",
    "uses",
    "waves",
]


@dataclass(frozen=True)
class Needs:
    """The objects of a set, sorted, and the edges between them: one at most for two objects.

    ``milestones`` are sources and targets of edges too, but no objects. ``idle``: the hooks that this
    deploy does not run, or only after a failure. ``gave_way``: edges that were left out, as they would
    have closed cycles.
    """

    objects: tuple[ObjectRef, ...]
    edges: tuple[Edge, ...]
    milestones: tuple[ObjectRef, ...] = ()
    idle: frozenset[ObjectRef] = frozenset()
    gave_way: tuple[Edge, ...] = ()

    @cached_property
    def by_source(self) -> Mapping[ObjectRef, tuple[Edge, ...]]:
        """The edges of every object and milestone that needs another."""
        grouped: BySource = {}
        for source, edges in groupby(self.edges, key=attrgetter("source")):
            grouped.setdefault(source, []).extend(edges)
        return {ref: tuple(edges) for ref, edges in grouped.items()}

    @cached_property
    def targets(self) -> Mapping[ObjectRef, Mapping[ObjectRef, Strength]]:
        """For every object and milestone those that must come before it, and how far each must be."""
        return {
            ref: {edge.target: edge.strength for edge in self.by_source.get(ref, ())}
            for ref in (*self.objects, *self.milestones)
        }


def needs(
    manifests: Sequence[Manifest], *, default_namespace: str, event: HookEvent = HookEvent.UPGRADE
) -> Needs:
    """Find what each object needs of the others: inferred from its fields, or declared.

    An empty namespace and ``default_namespace`` are the same. References to what is not in the set
    are no edges; whether that is there is for preflight to say. Linear in objects and edges, but for
    sorting them.

    Raises:
        InvalidError: a declared order is malformed or names what is not in the set; all are listed.
    """
    hooks = read_hooks(manifests, event)
    taking_part = [m for m in manifests if m.ref not in hooks.idle] if hooks.idle else manifests
    lookup = Lookup(taking_part, default_namespace, hooks.idle)
    problems = list(hooks.problems)
    by_source = merged(_edges(lookup, hooks, problems))
    if problems:
        raise InvalidError(
            f"order the objects: {len(problems)} declared orders cannot be followed", problems=problems
        )
    milestones = sorted(filter(is_milestone, by_source), key=order)
    edges = {ref: list(targets.values()) for ref, targets in by_source.items() if targets}
    gave_way = give_way(edges)
    objects = tuple(m.ref for m in lookup.manifests)
    return Needs(
        objects,
        tuple(
            edge
            for ref in (*objects, *milestones)
            for edge in sorted(edges.get(ref, ()), key=lambda edge: order(edge.target))
        ),
        tuple(milestones),
        hooks.idle,
        tuple(sorted(gave_way, key=_edge_order)),
    )


def uses(lookup: Lookup) -> Iterator[Edge]:
    """Every edge that follows from what objects are and name."""
    yield from inferred(lookup)
    yield from called(lookup)
    yield from covered(lookup)


def _edges(lookup: Lookup, hooks: Hooks, problems: list[Problem]) -> Iterator[Edge]:
    yield from uses(lookup)
    yield from declared(lookup, problems)
    yield from staged(lookup, hooks, problems)
    yield from grouped(lookup, problems)


def merged(edges: Iterable[Edge]) -> dict[ObjectRef, dict[ObjectRef, Edge]]:
    """One edge for each source and target: the strongest, and soft only if all are."""
    result: dict[ObjectRef, dict[ObjectRef, Edge]] = {}
    source: ObjectRef | None = None
    known: dict[ObjectRef, Edge] = {}
    for edge in edges:
        # Edges come in runs of one source, and hashing that costs more than comparing identities.
        if edge.source is not source:
            source = edge.source
            known = result.setdefault(source, {})
        if edge.target == source:
            continue
        other = known.setdefault(edge.target, edge)
        if other is not edge:
            known[edge.target] = _stronger(other, edge)
    return result


def _stronger(one: Edge, other: Edge) -> Edge:
    kept = max(one, other, key=lambda edge: (edge.strength, edge.declared))
    soft = min(one.soft, other.soft)
    return kept if kept.soft is soft else replace(kept, soft=soft)


def waves(needs: Needs) -> tuple[tuple[ObjectRef, ...], ...]:
    """Group objects so that each needs only those of earlier waves, and stands as early as it can.

    Milestones have no wave: what waits for one goes right after the last object that leads to it.
    Equal sets give equal waves, member for member: the plan's digest rests on it. Linear in objects
    and edges, but for sorting each wave.

    Raises:
        InvalidError: objects need each other; each cycle is named with its edges, in order.
    """
    nodes = (*needs.objects, *needs.milestones)
    targets = numbered(nodes, needs.by_source)
    waiting = [len(numbers) for numbers in targets]
    dependents: list[list[int]] = [[] for _ in nodes]
    for source, numbers in enumerate(targets):
        for target in numbers:
            dependents[target].append(source)
    first_point = len(needs.objects)
    free = [number for number, count in enumerate(waiting) if not count]
    wave = [number for number in free if number < first_point]
    wave += _freed([number for number in free if number >= first_point], waiting, dependents, first_point)
    result: list[tuple[ObjectRef, ...]] = []
    while wave:
        # The objects are sorted, so their numbers are.
        result.append(tuple(nodes[number] for number in sorted(wave)))
        wave = _freed(wave, waiting, dependents, first_point)
    stuck = [nodes[number] for number, count in enumerate(waiting) if count]
    if stuck:
        raise cyclic(cycles(needs, stuck))
    return tuple(result)


def _freed(
    done: list[int], waiting: list[int], dependents: Sequence[Sequence[int]], first_point: int
) -> list[int]:
    """The objects that wait for nothing more once ``done`` are; through milestones, which take no time."""
    found: list[int] = []
    pending = list(done)
    while pending:
        for source in dependents[pending.pop()]:
            waiting[source] -= 1
            if not waiting[source]:
                (found if source < first_point else pending).append(source)
    return found


def as_mapping(needs: Needs) -> Mapping[ObjectRef, Mapping[ObjectRef, Strength]]:
    """For every object and milestone what must come before it: what ``Plan.needs`` holds."""
    return needs.targets


def cycles(needs: Needs, stuck: Iterable[ObjectRef]) -> tuple[tuple[Edge, ...], ...]:
    """Disjoint cycles among ``stuck``, objects which all need another one of them.

    Every cycle starts at its smallest object. Linear.
    """
    return cycles_among(needs.by_source, stuck)


def _edge_order(edge: Edge) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return order(edge.source), order(edge.target)

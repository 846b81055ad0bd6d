"""In which order objects are deleted that go together: the declared orders first, then users before used.

What counts is what the live objects say, as nobody has their manifests any more:

- kapp's rules about deletions (``change_groups``);
- depends-on, the other way round: dependents first (cli-utils prunes so);
- sync waves, from the last to the first ("higher values first for deletion": Argo CD, sync waves). What names
  none is in wave 0, which gives way to references; but a custom resource is in none then;
- custom resources before all others, since the controller that has to let go of them may be among those:
  but for what a declared order puts before them, and for who uses them or what is made of them (a Secret);
- users before what they use, by the objects' references, and by kapp's rules about how they were applied.

An order gives way to those above it. Declared ones that contradict each other are told and not followed: they
are no error, which nobody could correct any more.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from pipeline.core import graph
from pipeline.core.change_groups import Act, grouped, is_membership
from pipeline.core.cycles import BySource, contradictions, give_way
from pipeline.core.depends import declared
from pipeline.core.edges import Edge, Softness, is_milestone, milestone, order
from pipeline.core.hooks import SYNC_WAVE, hook_of
from pipeline.core.kinds import builtin
from pipeline.core.lookup import Lookup, annotations_of
from pipeline.core.stages import Hooks, staged
from pipeline.model.errors import Problem
from pipeline.model.objects import Manifest, ObjectRef, Origin
from pipeline.model.plan import Strength

_NOWHERE = Origin("")

Targets = Mapping[ObjectRef, frozenset[ObjectRef]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteOrder:
    """The wave of each object, from 0 on, and what is to be said of it.

    ``gone_first``: what a declared order wants gone before an object, or before a milestone, goes.
    """

    waves: Mapping[ObjectRef, int] = field(default_factory=dict)
    gone_first: Targets = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()


def delete_order(going: Sequence[Manifest], default_namespace: str) -> DeleteOrder:
    """Order live objects that are deleted together. Equal sets give equal orders."""
    lookup = Lookup(going, default_namespace)
    custom = {m.ref for m in lookup.manifests if _is_custom(m)}
    problems: list[Problem] = []
    wanted = list(_declared(lookup, problems))
    followed = _by_source(edge for edge in wanted if not edge.soft)
    problems += [_contradicting(*found) for found in contradictions(followed, _is_an_order)]
    by_default = (edge for edge in wanted if edge.soft)
    edges = _by_source(chain(*followed.values(), by_default, _users_first(lookup)))
    give_way(edges)
    first = _custom_first(edges, custom, [m.ref for m in lookup.manifests if m.ref not in custom])
    found = _needs(lookup, chain(*edges.values(), first))
    return DeleteOrder(
        waves={ref: n for n, wave in enumerate(graph.waves(found)) for ref in wave},
        gone_first=_gone_first(found),
        warnings=tuple(replace(problem, warning=True) for problem in problems),
    )


def still_there(ref: ObjectRef, gone_first: Targets, left: Container[ObjectRef]) -> ObjectRef | None:
    """One of ``left`` that a declared order wants gone before ``ref`` goes, also through milestones."""
    seen: set[ObjectRef] = set()
    todo = [ref]
    while todo:
        for target in sorted(gone_first.get(todo.pop(), ()), key=order):
            if target in left:
                return target
            if is_milestone(target) and target not in seen:
                seen.add(target)
                todo.append(target)
    return None


def _is_custom(manifest: Manifest) -> bool:
    return builtin(manifest.api_version, manifest.ref.kind) is None


def _declared(lookup: Lookup, problems: list[Problem]) -> Iterator[Edge]:
    yield from grouped(lookup, problems, Act.DELETE)
    yield from map(_turned, declared(lookup, problems, whole=False))
    in_waves = [m for m in lookup.manifests if _has_wave(m)]
    stages = staged(Lookup(in_waves, lookup.default_namespace), Hooks({}, frozenset(), ()), problems)
    yield from map(_turned, stages)


def _has_wave(manifest: Manifest) -> bool:
    """Objects without one are in wave 0, as Argo CD has it; its hooks are in waves of their own."""
    return hook_of(manifest) is None and (SYNC_WAVE in annotations_of(manifest) or not _is_custom(manifest))


def _turned(edge: Edge) -> Edge:
    """A declared order of applying, as one of deleting."""
    if is_milestone(edge.source):
        then = "follows" if is_milestone(edge.target) else f"goes by {edge.annotation} after all"
    else:
        then = "holds" if is_milestone(edge.target) else f"goes by {edge.annotation} after"
    return replace(edge, source=edge.target, target=edge.source, why=then)


def _users_first(lookup: Lookup) -> Iterator[Edge]:
    """Between what is left of the edges of an apply, the other way round."""
    applied = (replace(e, annotation=None, soft=Softness.DEFAULT) for e in grouped(lookup, []))
    edges = _by_source(chain(graph.uses(lookup), applied))
    give_way(edges)
    for edge in chain(*edges.values()):
        yield replace(
            edge,
            source=edge.target,
            target=edge.source,
            why="is used by",
            strength=Strength.EXISTS,
            soft=Softness.REFERENCE,
        )


def _custom_first(
    edges: BySource, custom: Collection[ObjectRef], others: Sequence[ObjectRef]
) -> Iterator[Edge]:
    """All others after all custom resources. Those that a custom resource waits for only after the ones that
    wait for none of the others: so no edge closes a cycle."""
    onwards = {source: [edge.target for edge in found] for source, found in edges.items()}
    back: dict[ObjectRef, list[ObjectRef]] = {}
    for edge in chain(*edges.values()):
        back.setdefault(edge.target, []).append(edge.source)
    awaited, waiting = _reached(onwards, custom), _reached(back, others)
    early = [ref for ref in others if ref in awaited]
    late = [ref for ref in others if ref not in awaited]
    free = [ref for ref in custom if ref not in waiting]
    yield from _barrier(late, milestone("all custom resources gone"), custom)
    yield from _barrier(early, milestone("custom resources gone that wait for no others"), free)


def _barrier(after: Iterable[ObjectRef], done: ObjectRef, before: Iterable[ObjectRef]) -> Iterator[Edge]:
    for source, target in chain(((ref, done) for ref in after), ((done, ref) for ref in before)):
        yield Edge(source, target, "goes after", Strength.EXISTS, _NOWHERE)


def _reached(onwards: Mapping[ObjectRef, Sequence[ObjectRef]], starts: Iterable[ObjectRef]) -> set[ObjectRef]:
    """What can be reached from ``starts``, without those that only start."""
    seen: set[ObjectRef] = set()
    todo = list(starts)
    while todo:
        for target in onwards.get(todo.pop(), ()):
            if target not in seen:
                seen.add(target)
                todo.append(target)
    return seen


def _by_source(edges: Iterable[Edge]) -> BySource:
    return {ref: list(targets.values()) for ref, targets in graph.merged(edges).items()}


def _needs(lookup: Lookup, edges: Iterable[Edge]) -> graph.Needs:
    found = sorted(edges, key=lambda edge: (order(edge.source), order(edge.target)))
    points = {ref for edge in found for ref in (edge.source, edge.target) if is_milestone(ref)}
    objects = tuple(m.ref for m in lookup.manifests)
    return graph.Needs(objects, tuple(found), tuple(sorted(points, key=order)))


def _gone_first(needs: graph.Needs) -> Targets:
    found: dict[ObjectRef, set[ObjectRef]] = {}
    for edge in needs.edges:
        if edge.declared:
            found.setdefault(edge.source, set()).add(edge.target)
    return {ref: frozenset(targets) for ref, targets in found.items()}


def _is_an_order(edge: Edge) -> bool:
    """Whether the edge itself was asked for; others only lead to and from a milestone."""
    return bool(edge.annotation) and not is_membership(edge.annotation or "")


_NAMED = 10
"""How many orders a warning names that are not followed: a person reads it."""


def _contradicting(cycle: Sequence[Edge], dropped: Sequence[Edge]) -> Problem:
    holders = [e.source if is_milestone(e.target) else e.target for e in dropped]
    names = sorted({f"{e.annotation} of {ref}" for e, ref in zip(dropped, holders, strict=True)})
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return Problem(
        code="delete-order-contradiction",
        message="the declared orders of deletions contradict each other: "
        + ", ".join(map(str, cycle))
        + f"; not followed: {', '.join(names[:_NAMED])}{more}",
        origin=dropped[0].origin,
        object=holders[0],
    )

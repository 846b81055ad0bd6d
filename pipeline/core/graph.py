"""Which object must come before which, and the waves that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Literal

from pipeline.core.depends import declared
from pipeline.core.kinds import builtin
from pipeline.core.references import Use, references
from pipeline.model.errors import InvalidError, Problem
from pipeline.model.objects import Manifest, ObjectRef, Origin, get_path

Strength = Literal["exists", "ready"]
"""What the target must be before its source is written: there at all, or ready."""


@dataclass(frozen=True, slots=True)
class Edge:
    """``source`` is written after ``target``. ``why`` is the verb between the two: "reads".

    ``origin`` is the line that says so. ``declared`` tells what a person wrote as an order from what
    follows from the object's fields.
    """

    source: ObjectRef
    target: ObjectRef
    why: str
    strength: Strength
    origin: Origin
    declared: bool = False

    def __str__(self) -> str:
        return f"{self.source} {self.why} {self.target} ({self.origin})"


@dataclass(frozen=True)
class Needs:
    """The objects of a set, sorted, and the edges between them: one at most for two objects."""

    objects: tuple[ObjectRef, ...]
    edges: tuple[Edge, ...]

    @cached_property
    def by_source(self) -> Mapping[ObjectRef, tuple[Edge, ...]]:
        """The edges of every object that needs another."""
        grouped: dict[ObjectRef, list[Edge]] = {}
        for edge in self.edges:
            grouped.setdefault(edge.source, []).append(edge)
        return {ref: tuple(edges) for ref, edges in grouped.items()}

    @cached_property
    def targets(self) -> Mapping[ObjectRef, frozenset[ObjectRef]]:
        """For every object those that must come before it: what ``Plan.needs`` holds."""
        return {ref: frozenset(edge.target for edge in self.by_source.get(ref, ())) for ref in self.objects}


def needs(manifests: Sequence[Manifest], *, default_namespace: str) -> Needs:
    """Find what each object needs of the others: inferred from its fields, or declared.

    An empty namespace and ``default_namespace`` are the same. References to what is not in the set
    are no edges; whether that is there is for preflight to say. Linear in objects and references.

    Raises:
        InvalidError: a declared dependency is malformed or not in the set; all of them are listed.
    """
    lookup = Lookup(manifests, default_namespace)
    problems: list[Problem] = []
    strongest: dict[tuple[ObjectRef, ObjectRef], Edge] = {}
    for manifest in lookup.manifests:
        for edge in _edges(manifest, lookup, problems):
            pair = (edge.source, edge.target)
            if edge.source == edge.target:
                continue
            if pair not in strongest or _rank(edge) > _rank(strongest[pair]):
                strongest[pair] = edge
    if problems:
        raise InvalidError(
            f"order the objects: {len(problems)} declared dependencies cannot be followed",
            problems=problems,
        )
    return Needs(
        tuple(m.ref for m in lookup.manifests),
        tuple(strongest[pair] for pair in sorted(strongest, key=_pair_order)),
    )


def waves(needs: Needs) -> tuple[tuple[ObjectRef, ...], ...]:
    """Group objects so that each needs only those of earlier waves, and stands as early as it can.

    Equal sets give equal waves, member for member: the plan's digest rests on it. Linear in objects
    and edges, but for sorting each wave.

    Raises:
        InvalidError: objects need each other; each cycle is named with its edges, in order.
    """
    waiting = dict.fromkeys(needs.objects, 0)
    dependents: dict[ObjectRef, list[ObjectRef]] = {}
    for edge in needs.edges:
        waiting[edge.source] += 1
        dependents.setdefault(edge.target, []).append(edge.source)
    wave = [ref for ref in needs.objects if not waiting[ref]]
    result: list[tuple[ObjectRef, ...]] = []
    while wave:
        result.append(tuple(sorted(wave, key=_order)))
        ready: list[ObjectRef] = []
        for target in wave:
            for source in dependents.get(target, ()):
                waiting[source] -= 1
                if not waiting[source]:
                    ready.append(source)
        wave = ready
    stuck = {ref for ref, count in waiting.items() if count}
    if stuck:
        raise _cyclic(cycles(needs, stuck))
    return tuple(result)


def reverse(needs: Needs) -> Needs:
    """The same edges the other way round: what uses an object goes before it is deleted."""
    turned = (
        Edge(e.target, e.source, f"stays until it is gone, as it {e.why}", "exists", e.origin, e.declared)
        for e in needs.edges
    )
    return Needs(needs.objects, tuple(sorted(turned, key=lambda e: (_order(e.source), _order(e.target)))))


def as_mapping(needs: Needs) -> Mapping[ObjectRef, frozenset[ObjectRef]]:
    """For every object those that must come before it: what ``Plan.needs`` holds."""
    return needs.targets


def delete_waves(needs: Needs) -> tuple[tuple[ObjectRef, ...], ...]:
    """The waves in which objects can be deleted: users first, what they use after them.

    Raises:
        InvalidError: as ``waves``.
    """
    waves(needs)  # names a cycle as it was written, not turned round
    return waves(reverse(needs))


def cycles(needs: Needs, stuck: Iterable[ObjectRef]) -> tuple[tuple[Edge, ...], ...]:
    """Disjoint cycles among ``stuck``, objects which all need another one of them.

    Follows the first such need of each; a walk that cannot end comes round. Every cycle starts
    at its smallest member. Linear.
    """
    members = set(stuck)
    following = {
        ref: next(edge for edge in needs.by_source[ref] if edge.target in members) for ref in members
    }
    walked: dict[ObjectRef, ObjectRef] = {}
    found: list[tuple[Edge, ...]] = []
    for start in sorted(members, key=_order):
        ref = start
        while ref not in walked:
            walked[ref] = start
            ref = following[ref].target
        if walked[ref] == start:
            found.append(_cycle_through(ref, following))
    return tuple(sorted(found, key=lambda cycle: cycle[0].source))


def _cycle_through(ref: ObjectRef, following: Mapping[ObjectRef, Edge]) -> tuple[Edge, ...]:
    edges = [following[ref]]
    while edges[-1].target != ref:
        edges.append(following[edges[-1].target])
    first = min(range(len(edges)), key=lambda n: edges[n].source)
    return tuple(edges[first:] + edges[:first])


def _cyclic(found: Sequence[Sequence[Edge]]) -> InvalidError:
    problems = [
        Problem(
            code="dependency-cycle",
            message="objects need each other: " + ", ".join(str(edge) for edge in cycle),
            origin=next((edge.origin for edge in cycle if edge.declared), cycle[0].origin),
            hint="remove one of these dependencies",
            object=cycle[0].source,
        )
        for cycle in found
    ]
    shown = " → ".join(str(edge.source) for edge in found[0]) + f" → {found[0][0].source}"
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return InvalidError(
        f"order the objects: they need each other in a cycle: {shown}{more}",
        hint=problems[0].hint,
        problems=problems,
    )


class Lookup:
    """Finds objects of a set, where an empty namespace stands for the default one."""

    def __init__(self, manifests: Sequence[Manifest], default_namespace: str) -> None:
        self.default_namespace = default_namespace
        self._by_key: dict[ObjectRef, Manifest] = {}
        for manifest in manifests:
            self._by_key.setdefault(self._key(manifest.ref), manifest)
        # Sorted, so that whatever is built from it does not depend on the order of files.
        self.manifests: Sequence[Manifest] = sorted(self._by_key.values(), key=lambda m: _order(m.ref))
        self.definitions = {
            (str(get_path(m.body, "spec", "group")), str(get_path(m.body, "spec", "names", "kind"))): m.ref
            for m in self.manifests
            if m.ref.group_kind == ("apiextensions.k8s.io", "CustomResourceDefinition")
        }

    def find(self, ref: ObjectRef) -> ObjectRef | None:
        """The reference as the set writes it."""
        manifest = self._by_key.get(self._key(ref))
        return manifest.ref if manifest else None

    def body(self, ref: ObjectRef) -> Mapping[str, object]:
        return self._by_key[self._key(ref)].body

    def namespace_of(self, manifest: Manifest) -> ObjectRef | None:
        """The Namespace of an object, where the set has it."""
        if self._is_cluster_scoped(manifest):
            return None
        namespace = manifest.ref.namespace or self.default_namespace
        return self.find(ObjectRef("", "Namespace", "", namespace))

    def _is_cluster_scoped(self, manifest: Manifest) -> bool:
        """False for a kind that is not known: waiting for a Namespace in vain costs a wave at most."""
        known = builtin(manifest.api_version, manifest.ref.kind)
        if known is not None:
            return not known.namespaced
        crd = self.definitions.get(manifest.ref.group_kind)
        return crd is not None and get_path(self.body(crd), "spec", "scope") == "Cluster"

    def _key(self, ref: ObjectRef) -> ObjectRef:
        if ref.namespace and ref.namespace == self.default_namespace:
            return ObjectRef(ref.group, ref.kind, "", ref.name)
        return ref


def _edges(manifest: Manifest, lookup: Lookup, problems: list[Problem]) -> Iterator[Edge]:
    yield from _enclosing(manifest, lookup)
    for reference in references(manifest.body):
        target = lookup.find(reference.target)
        if target is not None and not _token_of(manifest.ref, target, lookup):
            origin = manifest.origin_of(reference.path)
            yield Edge(manifest.ref, target, _WHY[reference.kind], "exists", origin)
    for path, target in declared(manifest, lookup, problems):
        origin = manifest.origin_of(path)
        yield Edge(manifest.ref, target, f"declares with {path[-1]} that it needs", "ready", origin, True)


def _enclosing(manifest: Manifest, lookup: Lookup) -> Iterator[Edge]:
    namespace = lookup.namespace_of(manifest)
    if namespace is not None:
        origin = manifest.origin_of(("metadata", "namespace"))
        yield Edge(manifest.ref, namespace, "lives in", "exists", origin)
    definition = lookup.definitions.get(manifest.ref.group_kind)
    if definition is not None:
        # Ready, since the API server serves the kind only once the CRD is Established.
        yield Edge(manifest.ref, definition, "is defined by", "ready", manifest.origin_of(("kind",)))


def _token_of(source: ObjectRef, target: ObjectRef, lookup: Lookup) -> bool:
    """Whether ``target`` is a token of the ServiceAccount ``source``.

    The token needs the account: the token controller deletes it where there is none. That the account
    lists it does not turn this round.
    """
    if source.group_kind != ("", "ServiceAccount") or target.group_kind != ("", "Secret"):
        return False
    return lookup.body(target).get("type") == "kubernetes.io/service-account-token"


# The order of ObjectRef, as a key: comparing two of the dataclass is ten times slower than two tuples.
_order = attrgetter("group", "kind", "namespace", "name")

_WHY: Mapping[Use, str] = {
    Use.CONFIG: "reads",
    Use.IDENTITY: "names the account",
    Use.STORAGE: "stores on",
    Use.ROLE: "binds",
    Use.ROUTE: "routes to",
    Use.SCALE: "scales",
    Use.CLASS: "is of the class",
}
"""The verb between two objects, in sentences about an edge."""


def _pair_order(pair: tuple[ObjectRef, ObjectRef]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return _order(pair[0]), _order(pair[1])


def _rank(edge: Edge) -> tuple[bool, bool]:
    return edge.strength == "ready", edge.declared

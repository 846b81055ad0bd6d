"""The order that follows from what objects are and name, without anybody declaring it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from pipeline.core.edges import Edge, Softness
from pipeline.core.lookup import Lookup
from pipeline.core.pod_references import POD_SPECS
from pipeline.core.references import RBAC, Reference, Use, references
from pipeline.core.selection import LabelIndex, Labelled, labels_of, parse
from pipeline.model.objects import FieldPath, Manifest, ObjectRef, get_path
from pipeline.model.plan import Strength

_WHY: Mapping[Use, str] = {
    Use.CONFIG: "reads",
    Use.IDENTITY: "names the account",
    Use.STORAGE: "stores on",
    Use.ROLE: "binds",
    Use.ROUTE: "routes to",
    Use.SCALE: "scales",
    Use.CLASS: "is of the class",
    Use.SOURCE: "gets its content from",
    Use.PEER: "lets in or out",
}
"""The verb between two objects, in sentences about an edge."""


def inferred(lookup: Lookup) -> Iterator[Edge]:
    """Every edge that the objects' own fields give, but for those of admission webhooks."""
    for manifest in lookup.manifests:
        yield from _enclosing(manifest, lookup)
        for reference in references(manifest.body):
            yield from _referring(manifest, reference, lookup)
    yield from _budgets(lookup)
    yield from _bounds(lookup)
    yield from _policies(lookup)
    yield from _rights(lookup)
    yield from _aggregated_roles(lookup)


def _enclosing(manifest: Manifest, lookup: Lookup) -> Iterator[Edge]:
    """What must be ready, since the API server takes nothing into a namespace that is not Active, and
    serves a kind only once its CRD is Established or its APIService Available."""
    ref = manifest.ref
    if lookup.is_namespaced(manifest):
        namespace = lookup.namespace(ref.namespace or lookup.default_namespace)
        if namespace is not None:
            origin = manifest.origin_of(("metadata", "namespace"))
            yield Edge(ref, namespace, "lives in", Strength.READY, origin)
    definition = lookup.definitions.get(ref.group_kind)
    if definition is not None:
        yield Edge(ref, definition.ref, "is defined by", Strength.READY, manifest.origin_of(("kind",)))
    server = lookup.aggregated.get(manifest.api_version) if lookup.aggregated else None
    if server is not None:
        origin = manifest.origin_of(("apiVersion",))
        yield Edge(ref, server.ref, "is served through", Strength.READY, origin)


def _referring(manifest: Manifest, reference: Reference, lookup: Lookup) -> Iterator[Edge]:
    target, strength, why = lookup.find(reference.target), reference.strength, _WHY[reference.kind]
    if target is None:
        target = lookup.provider(reference.target)
        if target is None:
            return
        why = f"{why} {reference.target}, which comes from"
        # What is optional must not wait: a certificate may be issued only once its Ingress answers.
        strength = Strength.EXISTS if reference.optional else Strength.READY
    elif _token_of(manifest.ref, target, lookup):
        return
    soft = Softness.REFERENCE if reference.soft else Softness.NONE
    yield Edge(manifest.ref, target, why, strength, manifest.origin_of(reference.path), None, soft)


def _token_of(source: ObjectRef, target: ObjectRef, lookup: Lookup) -> bool:
    """Whether ``target`` is a token of the ServiceAccount ``source``.

    The token needs the account: the token controller deletes it where there is none. That the account
    lists it does not turn this round.
    """
    if source.kind != "ServiceAccount" or source.group or target.group_kind != ("", "Secret"):
        return False
    return lookup.body(target).get("type") == "kubernetes.io/service-account-token"


def _soft(source: Manifest, target: ObjectRef, why: str, origin: tuple[Manifest, FieldPath]) -> Edge:
    manifest, path = origin
    line = manifest.origin_of(path)
    return Edge(source.ref, target, why, Strength.EXISTS, line, None, Softness.REFERENCE)


def _budgets(lookup: Lookup) -> Iterator[Edge]:
    for budget in lookup.kind("policy", "PodDisruptionBudget"):
        at: FieldPath = ("spec", "selector")
        selector = parse(get_path(budget.body, *at))
        for workload in lookup.pods.select(lookup.home(budget.ref), selector):
            yield _soft(budget, workload.ref, "protects the pods of", (budget, at))


def _bounds(lookup: Lookup) -> Iterator[Edge]:
    """No pod starts before the limits and quotas of its namespace count."""
    bounds: dict[str, list[Manifest]] = defaultdict(list)
    for kind in ("LimitRange", "ResourceQuota"):
        for bound in lookup.kind("", kind):
            bounds[lookup.home(bound.ref)].append(bound)
    for namespace, found in bounds.items():
        for workload in lookup.pods.select(namespace, ()):
            for bound in found:
                yield _soft(workload, bound.ref, "makes pods within", (bound, ("spec",)))


def _policies(lookup: Lookup) -> Iterator[Edge]:
    """No pod starts before the network policies that guard it stand."""
    for policy in lookup.kind("networking.k8s.io", "NetworkPolicy"):
        at: FieldPath = ("spec", "podSelector")
        selector = parse(get_path(policy.body, *at))
        for workload in lookup.pods.select(lookup.home(policy.ref), selector):
            yield _soft(workload, policy.ref, "makes pods guarded by", (policy, at))


def _rights(lookup: Lookup) -> Iterator[Edge]:
    """A pod that starts before its account has its rights is refused, and mostly ends for that."""
    bindings: dict[tuple[str, str], list[tuple[Manifest, FieldPath]]] = defaultdict(list)
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        for binding in lookup.kind(RBAC, kind):
            for reference in references(binding.body):
                if reference.kind is Use.IDENTITY:
                    account = lookup.home(reference.target), reference.target.name
                    bindings[account].append((binding, reference.path))
    if not bindings:
        return
    for kind_of_pods, path in POD_SPECS.items():
        for workload in lookup.kind(*kind_of_pods):
            spec = get_path(workload.body, *path)
            name = get_path(spec, "serviceAccountName") or get_path(spec, "serviceAccount") or "default"
            for binding, at in bindings.get((lookup.home(workload.ref), str(name)), ()):
                yield _soft(workload, binding.ref, "acts with the rights of", (binding, at))


def _aggregated_roles(lookup: Lookup) -> Iterator[Edge]:
    roles = lookup.kind(RBAC, "ClusterRole")
    gathering = [role for role in roles if get_path(role.body, "aggregationRule") is not None]
    if not gathering:
        return
    index = LabelIndex(Labelled("", role, labels_of(role.body)) for role in roles)
    for role in gathering:
        at: FieldPath = ("aggregationRule", "clusterRoleSelectors")
        selectors = get_path(role.body, *at)
        for selector in selectors if isinstance(selectors, list) else ():
            for part in index.select("", parse(selector)):
                yield _soft(role, part.ref, "gathers the rules of", (role, at))

"""kapp's change groups and rules: "upsert after upserting GROUP".

Rules and built-in groups: kapp's documentation (apply ordering) and its default configuration. Of the
default rules none is taken over: references tell better what has to wait. Rules about deletions are
checked and order nothing here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.core.edges import Edge, milestone
from pipeline.core.lookup import Lookup
from pipeline.model.errors import Problem
from pipeline.model.objects import Manifest, ObjectRef, Origin, get_path
from pipeline.model.plan import Strength

_GROUP = "kapp.k14s.io/change-group"
_RULE = "kapp.k14s.io/change-rule"
_BUILT_IN = "change-groups.kapp.k14s.io/"
_RBAC = "rbac.authorization.k8s.io"

_BUILT_IN_KINDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("apiextensions.k8s.io", "CustomResourceDefinition"): ("crds",),
    ("", "Namespace"): ("namespaces",),
    ("storage.k8s.io", "StorageClass"): ("storage-class",),
    ("", "PersistentVolume"): ("storage",),
    ("", "PersistentVolumeClaim"): ("storage",),
    (_RBAC, "ClusterRole"): ("rbac-roles", "rbac"),
    (_RBAC, "Role"): ("rbac-roles", "rbac"),
    (_RBAC, "ClusterRoleBinding"): ("rbac-role-bindings", "rbac"),
    (_RBAC, "RoleBinding"): ("rbac-role-bindings", "rbac"),
    ("networking.k8s.io", "NetworkPolicy"): ("pod-related",),
    ("", "ResourceQuota"): ("pod-related",),
    ("", "LimitRange"): ("pod-related",),
    ("policy", "PodDisruptionBudget"): ("pod-related",),
    ("scheduling.k8s.io", "PriorityClass"): ("pod-related",),
    ("node.k8s.io", "RuntimeClass"): ("pod-related",),
    ("", "ServiceAccount"): ("pod-related", "serviceaccount"),
    ("", "Secret"): ("pod-related",),
    ("", "ConfigMap"): ("pod-related",),
    ("kappctrl.k14s.io", "App"): ("appcr",),
    ("packaging.carvel.dev", "PackageInstall"): ("packageinstall",),
}
"""Groups by kind (kapp 0.60, ``changeGroupBindings``), with its slips corrected: there PodDisruptionBudget
counts in v1beta1 only, and StorageClass in a group that does not exist."""


class _Order(StrEnum):
    AFTER = "after"
    BEFORE = "before"


@dataclass(frozen=True, slots=True)
class _Rule:
    """``holder`` goes before or after ``group``, as the annotation at ``origin`` says."""

    holder: ObjectRef
    order: _Order
    group: str
    annotation: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class _Membership:
    """``annotation`` is empty for a group that an object is in by its kind."""

    ref: ObjectRef
    annotation: str
    origin: Origin


def grouped(lookup: Lookup, problems: list[Problem]) -> Iterator[Edge]:
    """The edges that change rules ask for: by milestones, as edges between all members would be a product."""
    rules: list[_Rule] = []
    joined: list[tuple[str, _Membership]] = []
    for manifest, notes in lookup.annotated:
        rules += _rules(manifest, notes, problems)
        joined += _joined(manifest, notes, problems)
    wanted = {rule.group for rule in rules}
    if any(group.startswith(_BUILT_IN) for group in wanted):
        joined += (membership for manifest in lookup.manifests for membership in _built_in(manifest))
    members: dict[str, list[_Membership]] = defaultdict(list)
    for group, membership in joined:
        members[group].append(membership)
    for group in sorted(wanted & set(members)):
        after, before = (
            {r.holder: r for r in rules if (r.group, r.order) == (group, order)}
            for order in (_Order.AFTER, _Order.BEFORE)
        )
        yield from _after(group, after, members[group])
        yield from _before(group, before, members[group])


def _after(group: str, rules: Mapping[ObjectRef, _Rule], members: list[_Membership]) -> Iterator[Edge]:
    # Who is in the group that it waits for waits for the others: those that do not wait for it themselves.
    insiders = {member.ref for member in members}.intersection(rules)
    rest = [member for member in members if member.ref not in insiders]
    outsiders = [holder for holder in rules if holder not in insiders]
    yield from _waiting(outsiders, rules, members, milestone(f"change-group {group} done"))
    yield from _waiting(insiders, rules, rest, milestone(f"rest of change-group {group} done"))


def _waiting(
    holders: Collection[ObjectRef],
    rules: Mapping[ObjectRef, _Rule],
    members: Sequence[_Membership],
    done: ObjectRef,
) -> Iterator[Edge]:
    if not holders or not members:
        return
    for holder in sorted(holders):
        rule = rules[holder]
        why = f"comes by {rule.annotation} after {rule.group}"
        yield Edge(holder, done, why, Strength.READY, rule.origin, rule.annotation)
    for member in members:
        yield Edge(done, member.ref, "holds", Strength.READY, member.origin, member.annotation)


def _before(group: str, rules: Mapping[ObjectRef, _Rule], members: list[_Membership]) -> Iterator[Edge]:
    done = milestone(f"all before change-group {group} done")
    waiting = [member for member in members if member.ref not in rules]
    if not waiting or not rules:
        return
    for member in waiting:
        how = f"by {member.annotation} " if member.annotation else ""
        why = f"is {how}in {group}, after all that come before it"
        yield Edge(member.ref, done, why, Strength.READY, member.origin, member.annotation)
    for rule in rules.values():
        why = f"holds by {rule.annotation}"
        yield Edge(done, rule.holder, why, Strength.READY, rule.origin, rule.annotation)


def _built_in(manifest: Manifest) -> Iterator[tuple[str, _Membership]]:
    ref = manifest.ref
    names = _BUILT_IN_KINDS.get((ref.group, ref.kind), ())
    if "namespaces" in names:
        names = (*names, f"namespaces-{ref.name}")
    if "crds" in names:
        group, kind = (get_path(manifest.body, "spec", *at) for at in (("group",), ("names", "kind")))
        names = (*names, f"crds-{group}-{kind}")
    for name in names:
        yield f"{_BUILT_IN}{name}", _Membership(ref, "", manifest.origin)


def _joined(
    manifest: Manifest, annotations: Mapping[str, object], problems: list[Problem]
) -> Iterator[tuple[str, _Membership]]:
    for annotation, value in _suffixed(annotations, _GROUP):
        origin = manifest.origin_of(("metadata", "annotations", annotation))
        if isinstance(value, str) and len(value.split()) == 1:
            yield value.strip(), _Membership(manifest.ref, annotation, origin)
        else:
            message = f"{manifest.ref}: {annotation}: {value!r} is not the name of a group"
            problems.append(_malformed(manifest, message, origin, "write one name, such as example.com/db"))


def _rules(manifest: Manifest, annotations: Mapping[str, object], problems: list[Problem]) -> Iterator[_Rule]:
    for annotation, value in _suffixed(annotations, _RULE):
        origin = manifest.origin_of(("metadata", "annotations", annotation))
        match value.split() if isinstance(value, str) else ():
            case ["upsert", ("after" | "before") as order, "upserting", group]:
                yield _Rule(manifest.ref, _Order(order), group, annotation, origin)
            case ["upsert" | "delete", "after" | "before", "upserting" | "deleting", _]:
                pass
            case _:
                message = f"{manifest.ref}: {annotation}: {value!r} is not a rule"
                hint = 'write "upsert after upserting GROUP" or "upsert before upserting GROUP"'
                problems.append(_malformed(manifest, message, origin, hint))


def _suffixed(annotations: Mapping[str, object], annotation: str) -> Iterator[tuple[str, object]]:
    """The annotation, and those with a suffix: one object may be in several groups and have several rules."""
    for key, value in annotations.items():
        if key == annotation or (isinstance(key, str) and key.startswith(f"{annotation}.")):
            yield key, value


def _malformed(manifest: Manifest, message: str, origin: Origin, hint: str) -> Problem:
    return Problem(
        code="change-rule-malformed", message=message, origin=origin, hint=hint, object=manifest.ref
    )

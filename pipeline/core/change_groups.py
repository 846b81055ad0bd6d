"""kapp's change groups and rules: "upsert after upserting GROUP", "delete before deleting GROUP".

Rules and built-in groups: kapp's documentation (apply ordering) and its default configuration. Of the
default rules none is taken over: references tell better what has to wait. A rule counts where its object is
written or deleted, as it says, and so are members of its group.

What leaves the set is deleted after all is written. So of the rules with both, "upsert before deleting" and
"delete after upserting" always hold, and the other two never do, which is told (``unheld``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.core.edges import Edge, milestone
from pipeline.core.lookup import Lookup, annotations_of
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


class Act(StrEnum):
    """What happens to an object: it is created or changed, or it is deleted."""

    UPSERT = "upsert"
    DELETE = "delete"


_ACTS = {"upserting": Act.UPSERT, "deleting": Act.DELETE}
_VERBS = {Act.UPSERT: "comes", Act.DELETE: "goes"}
_DONE = {Act.UPSERT: "done", Act.DELETE: "gone"}


class _Order(StrEnum):
    AFTER = "after"
    BEFORE = "before"


_Form = tuple[Act, _Order, Act]

_NEVER: frozenset[_Form] = frozenset(
    {(Act.UPSERT, _Order.AFTER, Act.DELETE), (Act.DELETE, _Order.BEFORE, Act.UPSERT)}
)
"""The forms that ask for a deletion before a write."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """``holder`` comes or goes before or after ``group``, as the annotation at ``origin`` says."""

    holder: ObjectRef
    form: _Form
    group: str
    annotation: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class _Membership:
    """``annotation`` is empty for a group that an object is in by its kind."""

    ref: ObjectRef
    annotation: str
    origin: Origin


def grouped(lookup: Lookup, problems: list[Problem], act: Act = Act.UPSERT) -> Iterator[Edge]:
    """The edges that change rules ask for among objects that are all written, or all deleted.

    By milestones, as edges between all members would be a product.
    """
    found: list[_Rule] = []
    for manifest, notes in lookup.annotated:
        found += _rules(manifest, notes, problems)
    rules = [rule for rule in found if (rule.form[0], rule.form[2]) == (act, act)]
    members = _members(lookup.manifests, lookup.annotated, {rule.group for rule in rules}, problems)
    for group in sorted(members):
        after, before = (
            {r.holder: r for r in rules if (r.group, r.form[1]) == (group, order)}
            for order in (_Order.AFTER, _Order.BEFORE)
        )
        yield from _after(group, after, members[group], _DONE[act])
        yield from _before(group, before, members[group], _DONE[act])


def is_membership(annotation: str) -> bool:
    """Whether it only says in which group an object is, and orders nothing by itself."""
    return annotation == _GROUP or annotation.startswith(f"{_GROUP}.")


def unheld(written: Sequence[Manifest], going: Sequence[Manifest]) -> Iterator[Problem]:
    """Rules which ask that something goes before something else is written, where both happen now.

    ``going`` are live objects, without a line in the set: their rules are told where the other one stands.
    """
    yield from _unheld(written, going, Act.UPSERT)
    yield from _unheld(going, written, Act.DELETE)


def never_held(manifests: Sequence[Manifest]) -> Iterator[Problem]:
    """Rules of the set that no deploy can follow, whatever it deletes."""
    for manifest in manifests:
        for rule in _rules(manifest, annotations_of(manifest), []):
            if rule.form in _NEVER:
                value = annotations_of(manifest)[rule.annotation]
                what = f"{value!r} cannot be followed: what leaves the set is deleted after all is written"
                yield _not_followed(rule, what, rule.origin)


def _unheld(holders: Sequence[Manifest], others: Sequence[Manifest], act: Act) -> Iterator[Problem]:
    found = [rule for m in holders for rule in _rules(m, annotations_of(m), [])]
    rules = [rule for rule in found if rule.form in _NEVER and rule.form[0] is act]
    annotated = [(m, annotations_of(m)) for m in others]
    members = _members(others, annotated, {rule.group for rule in rules}, [])
    for rule in rules:
        for member in members.get(rule.group, ())[:1]:  # one shows what happens
            here, there = (rule.holder, rule.origin), (member.ref, member.origin)
            (written, line), (gone, _) = (here, there) if act is Act.UPSERT else (there, here)
            what = f"{gone} is deleted after {written} is written, and not before: what leaves goes last"
            yield _not_followed(rule, what, line)


def _not_followed(rule: _Rule, what: str, origin: Origin) -> Problem:
    return Problem(
        code="change-rule-not-followed",
        message=f"{rule.holder}: {rule.annotation}: {what}",
        origin=origin,
        hint="to delete first, take it out of the set in a deploy before this one",
        object=rule.holder,
        warning=True,
    )


def _members(
    manifests: Iterable[Manifest],
    annotated: Iterable[tuple[Manifest, Mapping[str, object]]],
    wanted: Collection[str],
    problems: list[Problem],
) -> Mapping[str, list[_Membership]]:
    """Who is in the groups that somebody names, by annotation or by kind."""
    joined = [found for manifest, notes in annotated for found in _joined(manifest, notes, problems)]
    if any(group.startswith(_BUILT_IN) for group in wanted):
        joined += (membership for manifest in manifests for membership in _built_in(manifest))
    members: dict[str, list[_Membership]] = defaultdict(list)
    for group, membership in joined:
        if group in wanted:
            members[group].append(membership)
    return members


def _after(
    group: str, rules: Mapping[ObjectRef, _Rule], members: list[_Membership], how_far: str
) -> Iterator[Edge]:
    # Who is in the group that it waits for waits for the others: those that do not wait for it themselves.
    insiders = {member.ref for member in members}.intersection(rules)
    rest = [member for member in members if member.ref not in insiders]
    outsiders = [holder for holder in rules if holder not in insiders]
    yield from _waiting(outsiders, rules, members, milestone(f"change-group {group} {how_far}"))
    yield from _waiting(insiders, rules, rest, milestone(f"rest of change-group {group} {how_far}"))


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
        why = f"{_VERBS[rule.form[0]]} by {rule.annotation} after {rule.group}"
        yield Edge(holder, done, why, Strength.READY, rule.origin, rule.annotation)
    for member in members:
        yield Edge(done, member.ref, "holds", Strength.READY, member.origin, member.annotation)


def _before(
    group: str, rules: Mapping[ObjectRef, _Rule], members: list[_Membership], how_far: str
) -> Iterator[Edge]:
    done = milestone(f"all before change-group {group} {how_far}")
    waiting = [member for member in members if member.ref not in rules]
    if not waiting or not rules:
        return
    for member in waiting:
        how = f"by {member.annotation} " if member.annotation else ""
        why = f"is {how}in {group}, after all that is before it"
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
            case [
                ("upsert" | "delete") as act,
                ("after" | "before") as order,
                ("upserting" | "deleting") as other,
                group,
            ]:
                form = (Act(act), _Order(order), _ACTS[other])
                yield _Rule(manifest.ref, form, group, annotation, origin)
            case _:
                message = f"{manifest.ref}: {annotation}: {value!r} is not a rule"
                hint = 'write "upsert after upserting GROUP", or with before, delete and deleting'
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

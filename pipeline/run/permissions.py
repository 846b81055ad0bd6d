"""Asks the server which of the rights that a plan needs are missing, before its first write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.core.access import Access, ResourceOf, by_access, role_for, role_yaml, rule
from pipeline.model.errors import ApiError, Problem
from pipeline.model.plan import Action, Change
from pipeline.run.asked import Asked
from pipeline.run.parallel import in_parallel
from pipeline.run.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """The rights that are missing: a problem for each resource, and what grants them all.

    ``hint`` is one line that ``kubectl apply -f -`` takes; ``role`` the same for people.
    """

    accesses: frozenset[Access] = frozenset()
    problems: tuple[Problem, ...] = ()
    hint: str = ""
    role: str = ""


def missing_permissions(
    session: Session,
    writes: Sequence[Change],
    resource_of: ResourceOf,
    also: Sequence[str] = (),
    asked: Asked | None = None,
) -> Missing:
    """What the cluster would not let us write. What cannot be told counts as allowed: the dry run tells.

    ``also``: verbs that are needed beside those of the writes.
    One question for each verb and resource where we may do it in every namespace, else one a namespace;
    none that was ``asked`` already.
    """
    wanted = by_access(writes, resource_of, also)
    denied = _denied(session, wanted, asked or Asked(session.cluster))
    if not denied:
        return Missing()
    user, granted = _user(session), _grantable(denied, writes)
    return Missing(
        accesses=frozenset(denied),
        problems=tuple(_problems(denied, wanted, user)),
        hint=role_for(granted, user),
        role=role_yaml(granted, user),
    )


def _grantable(denied: Iterable[Access], writes: Sequence[Change]) -> frozenset[Access]:
    """A Role cannot stand in a namespace that this plan creates: there, only a ClusterRole grants it."""
    new = {c.ref.name for c in writes if c.ref.kind == "Namespace" and c.action is Action.CREATE}
    return frozenset(replace(a, namespace="") if a.namespace in new else a for a in denied)


def _denied(session: Session, wanted: Iterable[Access], asked: Asked) -> list[Access]:
    groups: dict[Access, list[Access]] = {}
    for access in sorted(wanted):
        groups.setdefault(replace(access, namespace=""), []).append(access)
    # One namespace is asked for at once: a right of all of them is more than is needed.
    everywhere = [one for one, accesses in groups.items() if len(accesses) > 1]
    refused = set(_refused(session, everywhere, asked))
    each = [a for one, many in groups.items() if len(many) == 1 or one in refused for a in many]
    return _refused(session, each, asked)


def _refused(session: Session, accesses: list[Access], asked: Asked) -> list[Access]:
    def ask(access: Access) -> bool | None:
        session.stay()
        return asked.allowed(access)

    answers = in_parallel(session, ask, accesses)
    return [access for access, allowed in zip(accesses, answers, strict=True) if allowed is False]


def _user(session: Session) -> str:
    try:
        return session.cluster.identity()
    except ApiError:
        return ""


def _problems(denied: Sequence[Access], wanted: Mapping[Access, Change], user: str) -> list[Problem]:
    by_resource: dict[tuple[str, str, str], list[Access]] = {}
    for access in sorted(denied, key=lambda a: (a.namespace, a.group, a.resource, a.verb)):
        by_resource.setdefault((access.namespace, access.group, access.resource), []).append(access)
    return [_problem(accesses, wanted, user) for accesses in by_resource.values()]


def _problem(accesses: Sequence[Access], wanted: Mapping[Access, Change], user: str) -> Problem:
    # ``wanted`` is in the plan's order: the first of ours there is the first write concerned.
    change = next(change for access, change in wanted.items() if access in accesses)
    namespace = accesses[0].namespace
    verbs = ", ".join(access.verb for access in accesses)
    where = f" in namespace {namespace}" if namespace else ""
    kind = "Role" if namespace else "ClusterRole"
    return Problem(
        code="permission-missing",
        message=f"{user or 'the login'} may not {verbs} {accesses[0].kind}{where}",
        origin=change.origin,
        hint=f"add to a {kind} of it: {rule(accesses)}",
        object=change.ref,
    )

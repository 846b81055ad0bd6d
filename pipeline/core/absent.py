"""What workloads rest on and their set does not bring, as far as that can be told without a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from pipeline.core.at_field import error
from pipeline.core.hints import HINTS
from pipeline.core.needed import is_needed
from pipeline.core.references import Reference, Use, provided_by, references
from pipeline.core.schema import nearest
from pipeline.model.environment import Environment
from pipeline.model.errors import Problem
from pipeline.model.objects import Manifest, ObjectRef
from pipeline.model.status import CauseCode


def absent_references(manifests: Sequence[Manifest], environment: Environment) -> Iterator[Problem]:
    """One problem for each object that another one needs and that the set has not.

    An error where the set makes the namespace itself, which then begins with nothing but the set. Anywhere
    else it may be in the cluster: a warning, and the run before its first write knows. ``allow.missing``
    excepts what something else creates.
    """
    ours = {m.ref for m in manifests} | set(provided_by(manifests))
    new = {m.ref.name for m in manifests if m.ref.group_kind == ("", "Namespace")}
    excepted = set(environment.allow.missing)
    names: dict[tuple[str, str], list[str]] = {}
    for ref in sorted(ours):
        names.setdefault(ref.group_kind, []).append(ref.name)
    for manifest in manifests:
        told: set[ObjectRef] = set()
        for reference in references(manifest.body):
            target = reference.target
            if target in ours or target in told or str(target) in excepted:
                continue
            told.add(target)
            others = names.get(target.group_kind, ())
            if is_needed(reference):
                yield _absent(manifest, reference, others, certain=target.namespace in new)
            elif reference.kind in _ROUTES and nearest(target.name, others):
                # A Service or workload of somebody else is nothing to tell of, but for its name.
                yield _absent(manifest, reference, others, certain=False)


_ROUTES: Final = frozenset({Use.ROUTE, Use.SCALE})


def _absent(manifest: Manifest, reference: Reference, names: Sequence[str], *, certain: bool) -> Problem:
    target = reference.target
    why = "whose namespace the set itself makes" if certain else "so it must be in the cluster before"
    near = nearest(target.name, names)
    hint = f"did you mean {near}?" if near else HINTS[CauseCode.REFERENCE_MISSING]
    code = str(CauseCode.REFERENCE_MISSING)
    message = f"{target.short} is not in the set, {why}"
    return replace(error(manifest, reference.path, code, message, hint), warning=not certain)

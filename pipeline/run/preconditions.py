"""What must be there before the first write: everything that a workload names and that nobody brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.core.config import nearest
from pipeline.core.hints import HINTS
from pipeline.core.needed import API_VERSIONS, is_needed
from pipeline.core.planner import Desired
from pipeline.core.references import Reference, provided_by, references
from pipeline.model.errors import ApiError, Problem
from pipeline.model.objects import Manifest, Object, ObjectRef, get_path
from pipeline.model.status import CauseCode
from pipeline.run.asked import Asked
from pipeline.run.parallel import in_parallel
from pipeline.run.session import Session

Named = tuple[Manifest, Reference]


def missing_references(
    session: Session, desired: Sequence[Desired], written: Sequence[Desired], asked: Asked
) -> list[Problem]:
    """One problem for each name, or key, that objects to be written rest on and that is nowhere.

    ``allow.missing`` excepts what something else creates later. What we may not read is taken to exist.
    """
    manifests = [d.manifest for d in desired]
    ours = {m.ref for m in manifests} | set(provided_by(manifests))
    excepted = set(session.environment.allow.missing)
    named = [
        (d.manifest, reference)
        for d in written
        for reference in references(d.manifest.body)
        if is_needed(reference) and reference.target not in ours and str(reference.target) not in excepted
    ]
    targets = sorted({reference.target for _, reference in named})
    live = dict(zip(targets, in_parallel(session, lambda ref: _read(asked, ref), targets), strict=True))
    names = [ref for ref in (*ours, *(ref for ref, obj in live.items() if obj)) if ref is not None]
    return [p for one in named if (p := _problem(one, live, names))]


def _read(asked: Asked, ref: ObjectRef) -> Object | None:
    try:
        return asked.get(ref, API_VERSIONS[ref.group_kind])
    except ApiError as error:
        if error.status == 403:
            return _UNKNOWN
        raise


_UNKNOWN: Object = {"unknown": True}


def _problem(
    named: Named, live: Mapping[ObjectRef, Object | None], names: Sequence[ObjectRef]
) -> Problem | None:
    manifest, reference = named
    target, obj = reference.target, live[reference.target]
    if obj is _UNKNOWN:
        return None
    if obj is None:
        what = f"{target.short} is neither in the set nor in the cluster"
        near = nearest(target.name, sorted({r.name for r in names if r.group_kind == target.group_kind}))
    else:
        keys = [k for part in ("data", "binaryData") for k in get_path(obj, part, default={})]
        if reference.key is None or reference.key in keys:
            return None
        what = f"{target.short} in the cluster has no key {reference.key}"
        near = nearest(reference.key, sorted(keys))
    return Problem(
        code=str(CauseCode.REFERENCE_MISSING),
        message=f"{manifest.ref}: {what}",
        origin=manifest.origin_of(reference.path),
        hint=f"did you mean {near}?" if near else HINTS[CauseCode.REFERENCE_MISSING],
        object=manifest.ref,
    )

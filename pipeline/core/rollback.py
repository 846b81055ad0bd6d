"""From the state before a deploy and the state now to the plan that leads back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.core import adoption, fields, versions
from pipeline.core.change_groups import unheld
from pipeline.core.delete_order import delete_order
from pipeline.core.desired import FIELD_MANAGER
from pipeline.core.diff import diff, differences
from pipeline.core.pruning import NEVER_PRUNED
from pipeline.model.environment import Environment
from pipeline.model.objects import Manifest, Object, ObjectRef, Origin, get_path
from pipeline.model.plan import Action, Change, Plan
from pipeline.model.release import Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """The state before the first write: None where an object was absent."""

    objects: Mapping[ObjectRef, Object | None]
    api_versions: Mapping[ObjectRef, str]
    order: Mapping[ObjectRef, int]  # the wave in which the deploy wrote the object
    origins: Mapping[ObjectRef, Origin] = field(default_factory=dict)

    def manifest(self, ref: ObjectRef, obj: Object) -> Manifest:
        """A live object, with the place where the deploy found it written."""
        return Manifest(ref, obj, self.origins.get(ref, Origin("the cluster")))


def plan_back(
    before: Before, live: Mapping[ObjectRef, Object | None], *, environment: Environment, revision: str
) -> Plan:
    """Restore what was changed or pruned, in the deploy's order; then remove what was created, in the order
    in which objects are pruned."""
    last = max(before.order.values(), default=0)
    restored, created = [], []
    for ref, then in before.objects.items():
        now = live.get(ref)
        if then is None:
            change = _removal(ref, before.api_versions[ref], now, last + 2)
            created += [change] if change else []
            continue
        # Objects were written in the versions that are about to go: they are restored while it is served.
        wave = last + 1 if _loses_version(then, now) else before.order.get(ref, last)
        change = _restoration(ref, before.api_versions[ref], then, now, wave)
        restored += [change] if change else []
    going = [before.manifest(c.ref, live[c.ref] or {}) for c in created if c.writes]
    found = delete_order(going, environment.namespace)
    created = [replace(c, wave=c.wave + found.waves.get(c.ref, 0)) for c in created]
    written = [before.manifest(c.ref, before.objects[c.ref] or {}) for c in restored]
    return Plan(
        environment=environment.name,
        revision=revision,
        changes=tuple(sorted([*restored, *created], key=lambda c: (c.wave, c.ref))),
        gone_first=found.gone_first,
        warnings=(*found.warnings, *unheld(written, going)),
    )


def _loses_version(then: Object, now: Object | None) -> bool:
    """Whether a definition gained a version meanwhile, which restoring it takes away."""
    had, has = (versions.served([obj] if obj else []) for obj in (then, now))
    return any(set(found) - set(had.get(kind, ())) for kind, found in has.items())


def _removal(ref: ObjectRef, api_version: str, now: Object | None, wave: int) -> Change | None:
    if now is None:
        return None
    if ref.kind in NEVER_PRUNED:
        note = f"created by this deploy and left: a {ref.kind} may hold data or others' objects"
        return Change(ref=ref, action=Action.KEEP, api_version=api_version, wave=wave, note=note)
    uid = str(get_path(now, "metadata", "uid", default=""))
    return Change(
        ref=ref,
        action=Action.DELETE,
        api_version=api_version,
        wave=wave,
        uid=uid,
        reason="created by the deploy",
    )


def _restoration(
    ref: ObjectRef, api_version: str, then: Object, now: Object | None, wave: int
) -> Change | None:
    if now is None or get_path(now, "metadata", "deletionTimestamp") is not None:
        body = creatable(fields.clean(then))
        return Change(
            ref=ref,
            action=Action.CREATE,
            api_version=api_version,
            wave=wave,
            body=body,
            reason="deleted by the deploy",
        )
    changed = diff(now, then)
    if not changed or not differences(ref, then, now):
        return None
    return Change(
        ref=ref,
        action=Action.UPDATE,
        api_version=api_version,
        wave=wave,
        fields=changed,
        body=_restore_body(then, now),
        reason="changed by the deploy",
        uid=str(get_path(now, "metadata", "uid", default="")),
        force=True,
    )


def creatable(obj: Object) -> Object:
    """Without what the server gave the old object and refuses to be given: a Job's selector and labels."""
    if obj.get("kind") != "Job" or get_path(obj, "spec", "manualSelector"):
        return obj
    spec = {key: value for key, value in obj["spec"].items() if key != "selector"}
    template = spec.get("template", {})
    meta = template.get("metadata", {})
    labels = {k: v for k, v in meta.get("labels", {}).items() if k not in _JOB_LABELS}
    spec["template"] = {**template, "metadata": {**meta, "labels": labels}}
    return {**obj, "spec": spec}


_JOB_LABELS = frozenset(
    {"controller-uid", "batch.kubernetes.io/controller-uid", "job-name", "batch.kubernetes.io/job-name"}
)


def _restore_body(then: Object, now: Object) -> Object:
    """What to apply so that our fields are as they were: those we owned then and those we own now.

    A field that we own now and that did not exist then is left out, so that the server removes it; fields
    that only others own are not touched, so that an autoscaler's replicas survive. What a deploy tool owned
    then, and we took over, comes back, too.
    """
    ours = fields.owned(then, FIELD_MANAGER).union(fields.owned(now, FIELD_MANAGER))
    for tool in adoption.tools_of(then):
        for operation in ("Apply", "Update"):  # kubectl's client-side apply and Helm's are updates
            ours = ours.union(fields.owned(then, tool, operation))
    return fields.extract(then, ours)


def residue(
    before: Before, live: Mapping[ObjectRef, Object | None], kept: frozenset[ObjectRef]
) -> tuple[Difference, ...]:
    """What is not as it was. ``kept`` objects were declared as staying and do not count."""
    found: list[Difference] = []
    for ref, then in before.objects.items():
        now = live.get(ref)
        if ref in kept:
            continue
        if then is None or now is None:
            if then is not now:
                found.append(Difference(ref, "", _presence(then), _presence(now)))
            continue
        found += differences(ref, then, now)
    return tuple(found)


def _presence(obj: Any) -> str:
    return "absent" if obj is None else "present"

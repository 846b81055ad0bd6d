"""From the state before a deploy and the state now to the plan that leads back."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.core import adoption, attainable, fields, occupants, versions
from pipeline.core.change_groups import unheld
from pipeline.core.delete_order import delete_order
from pipeline.core.desired import FIELD_MANAGER
from pipeline.core.diff import diff, differences
from pipeline.core.occupants import Contents
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
    one_way: frozenset[ObjectRef] = frozenset()  # what the deploy's plan said that no rollback can undo

    def created(self, live: Mapping[ObjectRef, Object | None]) -> dict[ObjectRef, Object]:
        """What was absent and is in ``live``."""
        there = ((ref, live.get(ref)) for ref, then in self.objects.items() if then is None)
        return {ref: obj for ref, obj in there if obj is not None}

    def manifest(self, ref: ObjectRef, obj: Object) -> Manifest:
        """A live object, with the place where the deploy found it written."""
        return Manifest(ref, obj, self.origins.get(ref, Origin("the cluster")))


def plan_back(
    before: Before,
    live: Mapping[ObjectRef, Object | None],
    contents: Contents | None = None,
    *,
    environment: Environment,
    revision: str,
) -> Plan:
    """Restore what was changed or pruned, in the deploy's order; then remove what was created, in the order
    in which objects are pruned. ``contents`` is what is in the Namespaces and definitions among that."""
    last = max(before.order.values(), default=0)
    restored, created = [], []
    kept = occupants.staying(before.created(live), contents or {}, environment)
    for ref, then in before.objects.items():
        now = live.get(ref)
        if then is None:
            change = _removal(ref, before.api_versions[ref], now, last + 2, kept.get(ref, ""))
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


def _removal(ref: ObjectRef, api_version: str, now: Object | None, wave: int, kept: str) -> Change | None:
    if now is None:
        return None
    if kept:
        return Change(ref=ref, action=Action.KEEP, api_version=api_version, wave=wave, note=kept)
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
    return attainable.with_allocated(fields.extract(then, ours), then, now)


def residue(
    before: Before,
    live: Mapping[ObjectRef, Object | None],
    kept: Mapping[ObjectRef, str],
    yielded: Container[ObjectRef] = (),
) -> tuple[Difference, ...]:
    """What is not as it was; what had to be expected says why.

    ``kept`` was created and is left, each with the reason; of ``yielded`` the server did not take all back.
    """
    found: list[Difference] = []
    for ref, then in before.objects.items():
        now = live.get(ref)
        if then is None or now is None:
            if then is not now:
                reason = kept.get(ref, "") if then is None else ""
                found.append(Difference(ref, "", _presence(then), _presence(now), reason))
            continue
        unlike = differences(ref, then, now)
        if ref in yielded:
            unlike = tuple(replace(d, reason=attainable.given_up(ref, d.path)) for d in unlike)
        found += unlike
    return tuple(found)


def _presence(obj: Any) -> str:
    return "absent" if obj is None else "present"

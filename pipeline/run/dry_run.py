"""Asks the server what it would make of each object, and makes a located problem of each refusal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.core import adoption, attainable, structural
from pipeline.core.conflicts import Conflict, conflicts_of, controllers, is_taken, managers
from pipeline.core.hints import HINTS
from pipeline.core.named import Reference, Use
from pipeline.core.outlived import chosen, outlived, suspects, without_choices
from pipeline.core.planner import Desired, DryRun
from pipeline.core.references import references
from pipeline.core.refused import code_of
from pipeline.model.errors import ApiError, Problem
from pipeline.model.objects import FieldPath, Manifest, Object, ObjectRef, digest, get_path
from pipeline.model.status import CauseCode
from pipeline.ports import Tried
from pipeline.run.asked import Once
from pipeline.run.parallel import in_parallel
from pipeline.run.session import Session

NEVER_RECREATED = frozenset(
    {"Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim"}
)

SUBSTITUTE = "default"
"""The namespace in which objects are tried whose own does not exist yet: every cluster has it."""

_TRIAL = "dry-run-"
_TRIAL_NAME = re.compile(_TRIAL + "[0-9a-f]{32}")
"""What an object is called that is tried beside the one whose name it will have."""

_RULES = "; its CEL rules are not evaluated"
_IMMUTABLE_SHOWN = 3


class DryRunner:
    """Sends the whole set as dry runs and makes a problem of each refusal.

    ``unsure`` may be live though nobody saw them; ``as_if_absent`` were made by this very run.
    """

    def __init__(
        self,
        session: Session,
        desired: Sequence[Desired],
        live: Mapping[ObjectRef, Object],
        unsure: frozenset[ObjectRef] = frozenset(),
        as_if_absent: frozenset[ObjectRef] = frozenset(),
    ) -> None:
        self._as_if_absent = as_if_absent
        self._session = session
        self._elsewhere_once = Once()
        self._live = live
        self._unsure = unsure
        self._new_namespaces = {
            d.manifest.ref.name
            for d in desired
            if d.manifest.ref.group_kind == ("", "Namespace") and d.manifest.ref not in live
        }
        self._new = {d.manifest.ref for d in desired if d.manifest.ref not in live}
        self._servers = {
            f"{get_path(d.body, 'spec', 'group')}/{get_path(d.body, 'spec', 'version')}": d.manifest.ref
            for d in desired
            if d.manifest.ref.kind == "APIService" and get_path(d.body, "spec", "service") is not None
        }
        self._schemas = structural.schemas(
            d.body for d in desired if d.manifest.ref.kind == "CustomResourceDefinition"
        )

    def run(self, desired: Sequence[Desired]) -> dict[ObjectRef, DryRun]:
        if desired:
            self._settle_namespaces(desired)
        results = in_parallel(self._session, self._one, list(desired))
        return {d.manifest.ref: result for d, result in zip(desired, results, strict=True)}

    def _settle_namespaces(self, desired: Sequence[Desired]) -> None:
        """The environment's namespace may be there though the plan is as if it were not, and the reverse;
        of those that a list by our labels did not show, some may be there without them."""
        own = ObjectRef("", "Namespace", "", self._session.environment.namespace)
        names = {own, *(ref for ref in self._unsure if ref.group_kind == ("", "Namespace"))}
        if self._session.has_own_namespace():
            names.discard(own)
            self._new_namespaces.discard(own.name)
        refs = sorted(names)
        for ref, exists in zip(refs, in_parallel(self._session, self._exists, refs), strict=True):
            if exists:
                self._new_namespaces.discard(ref.name)
            elif exists is False and ref == own and self._session.environment.create_namespace:
                self._new_namespaces.add(ref.name)

    def _exists(self, ref: ObjectRef) -> bool | None:
        """None where we may not know."""
        try:
            return self._session.cluster.get(ref, "v1") is not None
        except ApiError:
            return None

    def _one(self, desired: Desired) -> DryRun:
        self._session.stay()
        manifest = desired.manifest
        if self._session.cluster.resource(manifest.api_version, manifest.ref.kind) is None:
            return self._unserved(desired)
        if manifest.ref.namespace in self._new_namespaces:
            return self._elsewhere(desired)
        live = self._live.get(manifest.ref)
        try:
            tried = self._session.cluster.try_apply(desired.body)
        except ApiError as error:
            return self._refused(desired, error, live)
        return self._accepted(desired, tried, live)

    def _accepted(
        self, desired: Desired, tried: Tried, live: Object | None, *, force: bool = False
    ) -> DryRun:
        """``live`` is read late where a list by our labels could not show it."""
        if live is None and not tried.created and desired.manifest.ref not in self._as_if_absent:
            live = self._session.cluster.get(desired.manifest.ref, desired.manifest.api_version)
        if live is None:
            return DryRun(force=force, warnings=tried.warnings)  # new: nothing is compared
        found = DryRun(result=tried.result, live=live, force=force, warnings=tried.warnings)
        if adoption.adopt(live, tried.result) is None:
            return found
        after = self._after_adoption(desired, live, tried.result)
        return replace(found, result=after, takes_over=True, note=adoption.note(live, after))

    def _after_adoption(self, desired: Desired, live: Object, applied: Object) -> Object:
        """What remains once other tools' shares are ours: the server fills in the defaults of what goes."""
        after = adoption.predicted(applied, live)
        operations = adoption.trial(live, after)
        if not operations:
            return after
        try:
            return self._patched(desired, operations)
        except ApiError:
            return after  # told by the apply itself, if it matters

    # --- where the server cannot be asked as it will be

    def _unserved(self, desired: Desired) -> DryRun:
        manifest = desired.manifest
        schema = self._schemas.get((manifest.api_version, manifest.ref.kind))
        if schema is not None:
            return self._by_schema(desired, schema, "its kind is created by this plan")
        server = self._servers.get(manifest.api_version)
        if server is not None:
            return DryRun(note=f"not verified: its kind is served through {server.short}, of this plan")
        problem = Problem(
            code="unknown-kind",
            message=f"{manifest.ref}: the server has no such kind in {manifest.api_version}",
            hint="correct apiVersion or kind, or install the CustomResourceDefinition first",
            origin=manifest.origin_of(("kind",)),
            object=manifest.ref,
        )
        return DryRun(problems=(problem,))

    def _by_schema(self, desired: Desired, schema: Object, why: str) -> DryRun:
        problems = structural.violations(desired.manifest, schema, desired.body)
        rules = _RULES if structural.has_rules(schema) else ""
        return DryRun(
            problems=tuple(problems), note=f"verified against the schema, not by the server: {why}{rules}"
        )

    def _elsewhere(self, desired: Desired) -> DryRun:
        """Verify in a namespace that exists, under a name that does not. There, objects that differ by
        nothing but name and namespace are the same question, which is asked once."""
        body = _renamed(desired.body, SUBSTITUTE)
        question = body["metadata"]["name"]
        try:
            warnings = self._elsewhere_once.ask(
                question, lambda: self._session.cluster.try_apply(body).warnings
            )
        except ApiError as error:
            if error.status == 403:
                # What may not be there, by right or by policy, may be right where it belongs.
                note = "not verified by the server: its namespace is created by this plan"
                return DryRun(note=note, warnings=_of_policy(error))
            return self._refused(desired, error, None)
        note = "verified in another namespace: its own is created by this plan"
        return DryRun(note=note, warnings=warnings)

    # --- refusals

    def _refused(self, desired: Desired, error: ApiError, live: Object | None) -> DryRun:
        manifest = desired.manifest
        if error.status == 409 and error.reason == "Conflict" and error.causes:
            return self._conflict(desired, error, live)
        if error.is_about_immutability:
            return self._immutable(desired, error, live)
        if found := self._past_defaults(desired, error, live):
            return found
        if live is None and error.status in (403, 404):
            needed = [r for r in references(desired.body) if r.target in self._new]
            if found := self._before_its_needs(desired, needed, error):
                return found
        schema = self._schemas.get((manifest.api_version, manifest.ref.kind))
        if (
            schema is not None
            and error.status in (400, 422, 500)
            and error.reason in ("Invalid", "BadRequest")
        ):
            # The definition in the cluster is the old one; what counts is the one of this plan.
            return replace(self._by_schema(desired, schema, "its definition changes in this plan"), live=live)
        return DryRun(problems=(_problem(manifest, code_of(error.message), error),), live=live)

    def _before_its_needs(
        self, desired: Desired, needed: Sequence[Reference], error: ApiError
    ) -> DryRun | None:
        """Two kinds are refused while what they name is not there: bare pods, which are tried without it, and
        bindings by those whose own rights the server compares with the role's."""
        if error.status == 404:
            roles = [r.target.short for r in needed if r.kind is Use.ROLE]
            note = f"not verified by the server: {', '.join(roles)} is created by this plan"
            return DryRun(note=note) if roles else None
        without, names = without_new(desired.body, needed)
        if not names:
            return None
        try:
            tried = self._session.cluster.try_apply(without)
        except ApiError as again:
            return self._refused(replace(desired, body=without), again, None)
        note = f"verified without {', '.join(names)}: created by this plan"
        return DryRun(note=note, warnings=tried.warnings)

    def _past_defaults(self, desired: Desired, error: ApiError, live: Object | None) -> DryRun | None:
        """Where only defaults of another choice stand in the way: tried without the choice, and then, as no
        dry run of an apply can be, with it (``core.outlived``)."""
        if live is None and suspects(error):
            live = self._session.cluster.get(desired.manifest.ref, desired.manifest.api_version)
        paths = outlived(error, desired.body, live)
        if live is None or not paths:
            return None
        less = replace(desired, body=without_choices(desired.body, paths))
        try:
            found = self._accepted(less, self._session.cluster.try_apply(less.body), live)
        except ApiError as again:
            found = self._refused(less, again, live)
        if found.problems or found.result is None:
            return found
        after = chosen(found.result, desired.body, paths)
        if found.recreate:
            return replace(found, result=after)
        try:
            result = self._patched(desired, adoption.trial(live, after))
        except ApiError as again:
            return DryRun(problems=(_problem(desired.manifest, code_of(again.message), again),), live=live)
        names = ", ".join(".".join(map(str, path)) for path in paths)
        note = found.note or f"takes away the default of {names}"
        return replace(found, result=result, note=note, force=found.force or found.takes_over)

    def _patched(self, desired: Desired, operations: Sequence[Object]) -> Object:
        """What a JSON patch would make of the object."""
        ref, version = desired.manifest.ref, desired.manifest.api_version
        kind = "application/json-patch+json"
        return self._session.cluster.patch(ref, version, operations, content_type=kind, dry_run=True)

    def _conflict(self, desired: Desired, error: ApiError, live: Object | None) -> DryRun:
        if live is None:
            live = self._session.cluster.get(desired.manifest.ref, desired.manifest.api_version)
        conflicts = conflicts_of(error, desired.body, live)
        others = controllers(conflicts)
        if (others or not conflicts) and not is_taken(
            desired.body, self._session.environment.allow.conflicts
        ):
            return DryRun(problems=(_conflict_problem(desired.manifest, others, error),), live=live)
        try:
            tried = self._session.cluster.try_apply(desired.body, force=True)
        except ApiError as again:
            return self._refused(desired, again, live)
        found = self._accepted(desired, tried, live, force=True)
        taken = f"takes fields over from {managers(conflicts)}"
        return found if found.note else replace(found, note=taken)

    def _immutable(self, desired: Desired, error: ApiError, live: Object | None) -> DryRun:
        ref = desired.manifest.ref
        annotations = get_path(desired.body, "metadata", "annotations", default={})
        allowed = ref.kind == "Job" or desired.hook or annotations.get("pipeline/recreate") == "allowed"
        if not allowed or ref.kind in NEVER_RECREATED:
            found = _problem(desired.manifest, CauseCode.IMMUTABLE_FIELD, error)
            if ref.kind in NEVER_RECREATED:
                found = replace(found, hint=f"restore the field: a {ref.kind} is never replaced")
            return DryRun(problems=(found,), live=live)
        body = attainable.without_held(desired.body, live)
        try:
            # The new one must be acceptable before the old one goes.
            tried = self._session.cluster.try_apply(_renamed(body, ref.namespace))
        except ApiError as again:
            return DryRun(problems=(_problem(desired.manifest, code_of(again.message), again),), live=live)
        fields = list(dict.fromkeys(field for _, field, _ in error.causes if field))[:_IMMUTABLE_SHOWN]
        note = f"replaced, as {', '.join(fields) or 'what changes'} is immutable"
        # With the server's defaults, which are no change.
        result = {**tried.result, "metadata": {**tried.result["metadata"], "name": ref.name}}
        result = attainable.with_written(result, desired.body)
        return DryRun(result=result, recreate=True, note=note, live=live, warnings=tried.warnings)


def _renamed(body: Object, namespace: str) -> Object:
    """The object in that namespace, under a name that nobody has, and that tells what it is."""
    meta = {**body["metadata"], "name": "", "namespace": namespace}
    if not namespace:
        del meta["namespace"]
    renamed = {**body, "metadata": meta}
    meta["name"] = f"{_TRIAL}{digest(renamed)[7:39]}"
    return renamed


def without_new(body: Object, needed: Sequence[Reference]) -> tuple[Object, list[str]]:
    """A bare pod without the account and classes that are not there yet, and which these are.

    Admission looks for them as the pod is created (plugins ServiceAccount, Priority, RuntimeClass).
    """
    if ObjectRef.of(body).group_kind != ("", "Pod"):
        return body, []
    left_out = {
        r.path[-1]: r.target.short for r in needed if r.kind in (Use.IDENTITY, Use.CLASS) and len(r.path) == 2
    }
    spec = {field: value for field, value in body["spec"].items() if field not in left_out}
    return {**body, "spec": spec}, list(left_out.values())


def _of_policy(error: ApiError) -> tuple[str, ...]:
    """What an admission policy says; a missing right is no news of the object."""
    if "admission webhook" in error.message or "denied the request" in error.message:
        return (f"tried in namespace {SUBSTITUTE}: {error.message}",)
    return ()


def _conflict_problem(manifest: Manifest, conflicts: Sequence[Conflict], error: ApiError) -> Problem:
    said = "; ".join(str(conflict) for conflict in conflicts) or error.message
    return Problem(
        code=str(CauseCode.FIELD_CONFLICT),
        message=f"{manifest.ref}: {said}",
        hint=HINTS[CauseCode.FIELD_CONFLICT],
        origin=manifest.origin_of(conflicts[0].at if conflicts else ()),
        object=manifest.ref,
    )


def _problem(manifest: Manifest, code: CauseCode, error: ApiError) -> Problem:
    paths = [field for _, field, _ in error.causes if field]
    field = paths[0] if paths else next(iter(_FIELD_IN_TEXT.findall(error.message)), "")
    return Problem(
        code=str(code),
        message=f"{manifest.ref}: {_TRIAL_NAME.sub(manifest.ref.name, error.message)}",
        hint=error.hint or HINTS[code],
        origin=manifest.origin_of(field_path(field)),
        object=manifest.ref,
    )


_FIELD_IN_TEXT = re.compile(r'(?:unknown field "|: \.)([\w.\[\]"=-]+)')
_STEP = re.compile(r'\[(\d+)\]|\["?([^\]"]+)"?\]|([^.\[\]]+)')


def field_path(text: str) -> FieldPath:
    """``spec.containers[0].image`` → steps. Steps that are no index or name (``[name="a"]``) end it."""
    steps: list[str | int] = []
    for index, key, name in _STEP.findall(text.lstrip(".")):
        if key and "=" in key:
            break
        steps.append(int(index) if index else key or name)
    return tuple(steps)

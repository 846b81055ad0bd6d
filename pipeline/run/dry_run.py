"""Asks the server what it would make of each object, and makes a located problem of each refusal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pipeline.core.hints import HINTS
from pipeline.core.planner import Desired, DryRun
from pipeline.model.errors import ApiError, Problem
from pipeline.model.objects import FieldPath, Manifest, Object, ObjectRef, digest, get_path
from pipeline.model.status import CauseCode
from pipeline.run.session import Session, in_parallel

DEPLOY_TOOLS = re.compile(
    r"^(kubectl\b.*|helm|Helm|argocd-.*|kustomize-controller|helm-controller|kapp.*|before-first-apply|pipeline)$"
)
"""Field managers that deploy: what they own is ours to take over. Controllers' fields are not."""

NEVER_RECREATED = frozenset(
    {"Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim"}
)

_CONFLICTING_MANAGER = re.compile(r'conflict with "([^"]+)"')


class DryRunner:
    """Sends the whole set as dry runs and makes a problem of each refusal."""

    def __init__(
        self, session: Session, desired: Sequence[Desired], live: Mapping[ObjectRef, Object]
    ) -> None:
        self._session = session
        self._live = live
        self._new_namespaces = {
            d.manifest.ref.name
            for d in desired
            if d.manifest.ref.group_kind == ("", "Namespace") and d.manifest.ref not in live
        }
        self._settle_own_namespace()
        self._new_kinds = {
            (get_path(d.body, "spec", "group"), get_path(d.body, "spec", "names", "kind"))
            for d in desired
            if d.manifest.ref.kind == "CustomResourceDefinition"
        }

    def _settle_own_namespace(self) -> None:
        """The environment's namespace may be there though the plan is as if it were not, and the reverse."""
        ref = ObjectRef("", "Namespace", "", self._session.environment.namespace)
        try:
            exists = self._session.cluster.get(ref, "v1") is not None
        except ApiError:
            return
        if exists:
            self._new_namespaces.discard(ref.name)
        elif self._session.environment.create_namespace:
            self._new_namespaces.add(ref.name)

    def run(self, desired: Sequence[Desired]) -> dict[ObjectRef, DryRun]:
        results = in_parallel(self._session, self._one, list(desired))
        return {d.manifest.ref: result for d, result in zip(desired, results, strict=True)}

    def _one(self, desired: Desired) -> DryRun:
        self._session.stay()
        manifest = desired.manifest
        if self._session.cluster.resource(manifest.api_version, manifest.ref.kind) is None:
            return self._unserved(manifest)
        if manifest.ref.namespace in self._new_namespaces:
            return self._in_a_new_namespace(desired)
        try:
            return DryRun(result=self._session.cluster.apply(desired.body, dry_run=True))
        except ApiError as error:
            return self._refused(desired, error)

    def _unserved(self, manifest: Manifest) -> DryRun:
        if manifest.ref.group_kind in self._new_kinds:
            return DryRun(note="not verified by the server: its kind is created by this plan")
        return DryRun(
            problem=Problem(
                code="unknown-kind",
                message=f"{manifest.ref}: the server has no such kind in {manifest.api_version}",
                hint="correct apiVersion or kind, or install the CustomResourceDefinition first",
                origin=manifest.origin_of(("kind",)),
                object=manifest.ref,
            )
        )

    def _in_a_new_namespace(self, desired: Desired) -> DryRun:
        """Verify in a namespace that exists, under a name that does not."""
        meta = desired.body["metadata"]
        name = f"dry-run-{digest(desired.body)[7:19]}"
        body = {**desired.body, "metadata": {**meta, "namespace": "default", "name": name}}
        try:
            self._session.cluster.apply(body, dry_run=True)
        except ApiError as error:
            if error.status == 403:
                return DryRun(note="not verified by the server: its namespace is created by this plan")
            return self._refused(desired, error)
        return DryRun(note="verified in another namespace: its own is created by this plan")

    def _refused(self, desired: Desired, error: ApiError) -> DryRun:
        if error.status == 409 and error.reason == "Conflict" and error.causes:
            return self._conflict(desired, error)
        if error.is_about_immutability:
            return self._immutable(desired, error)
        return DryRun(problem=_problem(desired.manifest, CauseCode.APPLY_REJECTED, error))

    def _conflict(self, desired: Desired, error: ApiError) -> DryRun:
        managers = sorted({m for _, _, text in error.causes for m in _CONFLICTING_MANAGER.findall(text)})
        others = [m for m in managers if not DEPLOY_TOOLS.match(m)]
        if others and self._session.environment.allow.conflicts != "take":
            return DryRun(problem=_problem(desired.manifest, CauseCode.FIELD_CONFLICT, error))
        try:
            result = self._session.cluster.apply(desired.body, dry_run=True, force=True)
        except ApiError as again:
            return self._refused(desired, again)
        return DryRun(result=result, force=True, note=f"takes fields over from {', '.join(managers)}")

    def _immutable(self, desired: Desired, error: ApiError) -> DryRun:
        ref = desired.manifest.ref
        annotations = get_path(desired.body, "metadata", "annotations", default={})
        allowed = ref.kind == "Job" or annotations.get("pipeline/recreate") == "allowed"
        if not allowed or ref.kind in NEVER_RECREATED:
            return DryRun(problem=_problem(desired.manifest, CauseCode.IMMUTABLE_FIELD, error))
        return DryRun(result=desired.body, recreate=True, note=f"replaced: {error.message}")


def _problem(manifest: Manifest, code: CauseCode, error: ApiError) -> Problem:
    paths = [field for _, field, _ in error.causes if field]
    field = paths[0] if paths else next(iter(_FIELD_IN_TEXT.findall(error.message)), "")
    return Problem(
        code=str(code),
        message=f"{manifest.ref}: {error.message}",
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

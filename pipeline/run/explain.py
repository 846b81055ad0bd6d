"""From evidence to causes, as reports want them: with log lines, hidden secrets and the manifest's line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType

from pipeline.core.evidence.alike import alike
from pipeline.core.hints import HINTS, near_hint, tag_hint
from pipeline.core.hints import cause as make_cause
from pipeline.core.reading import mapping, text
from pipeline.model.errors import PipelineError
from pipeline.model.objects import Manifest, ObjectRef
from pipeline.model.status import Cause, CauseCode, Evidence, ObjectStatus
from pipeline.run.session import Session

_LOG_LINES = 50

_NO_LOG = ("unable to retrieve container logs", "failed to try resolving symlinks in path")
"""What the kubelet answers, as if it were the log, of a container that it has removed, or is removing."""

_WITHOUT_LOG = frozenset(
    {
        CauseCode.IMAGE_NOT_FOUND,
        CauseCode.IMAGE_DENIED,
        CauseCode.IMAGE_REGISTRY_UNAVAILABLE,
        CauseCode.IMAGE_NAME_INVALID,
        CauseCode.CONTAINER_CONFIG_MISSING,
        CauseCode.UNSCHEDULABLE,
    }
)
"""Causes that keep a container from starting: it has no log to ask for."""

_RUNS = frozenset({CauseCode.READINESS_PROBE_FAILED, CauseCode.DEGRADED})
"""Causes of a container that runs: what it says now tells more than how it ended once."""


_NAMES = 500  # ConfigMaps or Secrets of a namespace to compare a misspelt name with


def causes_of(
    session: Session,
    found: Sequence[tuple[ObjectRef, Evidence]],
    manifests: Mapping[ObjectRef, Manifest],
    *,
    most: int,
    before: Mapping[ObjectRef, ObjectStatus] = MappingProxyType({}),
) -> list[Cause]:
    """The first ``most`` causes; what many objects show of the same image is one, and names them.

    ``before``: what was broken before the deploy already is told as such.
    """
    return [
        _cause(
            session,
            one.ref,
            one.evidence,
            manifests,
            others=[_placed(ref, manifests) for ref in one.others],
            before=before.get(one.ref),
        )
        for one in alike(found)[:most]
    ]


def cause_of(
    session: Session, ref: ObjectRef, evidence: Evidence, manifests: Mapping[ObjectRef, Manifest]
) -> Cause:
    return _cause(session, ref, evidence, manifests)


def _cause(
    session: Session,
    ref: ObjectRef,
    evidence: Evidence,
    manifests: Mapping[ObjectRef, Manifest],
    *,
    others: Sequence[str] = (),
    before: ObjectStatus | None = None,
) -> Cause:
    logs = _log_lines(session, evidence)
    hint = tag_hint(evidence, manifests.values()) or near_hint(evidence, _names(session, ref, evidence))
    found = make_cause(ref, evidence, manifests.get(ref), logs, others=others, before=before, hint=hint)
    message, hint, *proof = session.hide(found.message, found.hint, *found.evidence)
    return replace(found, message=message, evidence=tuple(proof), hint=hint)


def _placed(ref: ObjectRef, manifests: Mapping[ObjectRef, Manifest]) -> str:
    manifest = manifests.get(ref)
    return f"{ref.short} ({manifest.origin})" if manifest else ref.short


def _names(session: Session, ref: ObjectRef, evidence: Evidence) -> list[str]:
    """The keys of the object that lacks one, else the names of its kind; never a value."""
    lacks, namespace = evidence.lacks, evidence.pod.namespace if evidence.pod else ref.namespace
    if lacks is None:
        return []
    with suppress(PipelineError):
        if lacks.key:
            live = session.cluster.get(ObjectRef("", lacks.kind, namespace, lacks.name), "v1")
            return [key for field in ("data", "binaryData") for key in mapping(live or {}, field)]
        resource = session.cluster.resource("v1", lacks.kind)
        listed = session.cluster.list(resource, namespace)[0] if resource else []
        names = [text(one, "metadata", "name") for one in listed[:_NAMES]]
        return [name for name in names if name != lacks.name and not name.startswith("pipeline.")]
    return []


def cause_of_time(ref: ObjectRef | None, message: str, manifests: Mapping[ObjectRef, Manifest]) -> Cause:
    manifest = manifests.get(ref) if ref else None
    origin = manifest.origin if manifest else None
    return Cause(
        object=ref,
        code=CauseCode.TIMED_OUT,
        message=message,
        origin=origin,
        hint=HINTS[CauseCode.TIMED_OUT],
    )


def _log_lines(session: Session, evidence: Evidence) -> list[str]:
    """The last words of the container: of its previous run first, if it was restarted and died."""
    if evidence.pod is None or not evidence.container or evidence.code in _WITHOUT_LOG:
        return []
    for previous in (False, True) if evidence.code in _RUNS else (True, False):
        with suppress(PipelineError):
            said = session.cluster.logs(
                evidence.pod.namespace,
                evidence.pod.name,
                evidence.container,
                previous=previous,
                lines=_LOG_LINES,
            )
            if said.strip() and not said.startswith(_NO_LOG):
                return said.splitlines()[-_LOG_LINES:]
    return []

"""From evidence to causes, as reports want them: with log lines, hidden secrets and the manifest's line."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from pipeline.core.hints import HINTS
from pipeline.core.hints import cause as make_cause
from pipeline.model.errors import PipelineError
from pipeline.model.objects import Manifest, ObjectRef
from pipeline.model.status import Cause, CauseCode, Evidence
from pipeline.run.session import Session

_LOG_LINES = 20

_NO_LOG = "unable to retrieve container logs"
"""What the kubelet answers, as if it were the log, of a container that it has removed."""

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


def cause_of(
    session: Session, ref: ObjectRef, evidence: Evidence, manifests: Mapping[ObjectRef, Manifest]
) -> Cause:
    found = make_cause(ref, evidence, manifests.get(ref), _log_lines(session, evidence))
    message, *proof = session.hide(found.message, *found.evidence)
    return Cause(
        object=found.object,
        code=found.code,
        message=message,
        evidence=tuple(proof),
        origin=found.origin,
        hint=found.hint,
    )


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
    """The last words of the container: of its previous run, if it was restarted."""
    if evidence.pod is None or not evidence.container or evidence.code in _WITHOUT_LOG:
        return []
    for previous in (True, False):
        with suppress(PipelineError):
            text = session.cluster.logs(
                evidence.pod.namespace,
                evidence.pod.name,
                evidence.container,
                previous=previous,
                lines=_LOG_LINES,
            )
            if text.strip() and not text.startswith(_NO_LOG):
                return text.splitlines()[-_LOG_LINES:]
    return []

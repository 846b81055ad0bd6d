"""Deletes the pod of a bad revision that keeps an ordered StatefulSet from reaching its newest one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from pipeline.core.reading import condition_is, is_deleting, uid
from pipeline.core.rollout import RolloutDecision
from pipeline.model.errors import InterruptedRunError, PipelineError
from pipeline.model.events import Note
from pipeline.model.objects import Manifest, Object, ObjectRef, get_path
from pipeline.model.status import CauseCode, Evidence
from pipeline.run.session import Session

_MOST = 3
"""How often a pod of one name is deleted: if that does not help, it is not the pod."""


class Unblocker:
    """Only where the StatefulSet says ``pipeline/recreate: allowed``; else the evidence says what to do."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._deleted: Counter[ObjectRef] = Counter()

    def without_blockers(
        self, decision: RolloutDecision, manifests: Mapping[ObjectRef, Manifest]
    ) -> RolloutDecision:
        """The decision without what is taken care of. Raises InterruptedRunError without the lock."""
        left = tuple(
            (ref, one) for ref, one in decision.fatal if not self._deals_with(one, manifests.get(ref))
        )
        return decision if len(left) == len(decision.fatal) else replace(decision, fatal=left)

    def _deals_with(self, evidence: Evidence, manifest: Manifest | None) -> bool:
        if evidence.code is not CauseCode.RELEASE_BLOCKED_BY_POD or evidence.pod is None or manifest is None:
            return False
        annotations = get_path(manifest.body, "metadata", "annotations", default={})
        if annotations.get("pipeline/recreate") != "allowed" or self._deleted[evidence.pod] >= _MOST:
            return False
        try:
            pod = self._session.cluster.get(evidence.pod, "v1")
            if pod is not None and not _is_past(pod):
                self._delete(evidence.pod, pod)
        except InterruptedRunError:
            raise
        except PipelineError as error:
            self._session.tell(Note(f"{evidence.pod} could not be deleted: {error.message}", warning=True))
            return False
        return True

    def _delete(self, ref: ObjectRef, pod: Object) -> None:
        self._session.guard()
        self._session.cluster.delete(ref, "v1", uid=uid(pod))
        self._deleted[ref] += 1
        self._session.tell(
            Note(f"deleted {ref}: it kept its StatefulSet from going on, and pipeline/recreate allows it")
        )


def _is_past(pod: Object) -> bool:
    """It goes already, or another one of its name is well."""
    return is_deleting(pod) or condition_is(pod, "Ready", "True")

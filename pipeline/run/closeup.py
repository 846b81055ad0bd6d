"""When to look closely at what waits: at its pods, its events, and what lies between."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pipeline.core import rollout
from pipeline.core.reading import uid
from pipeline.core.rollout import WORKLOADS, RolloutDecision
from pipeline.model.errors import PipelineError
from pipeline.model.objects import Manifest, ObjectRef
from pipeline.model.status import CauseCode
from pipeline.run.session import Session
from pipeline.run.sight import Sight
from pipeline.run.targets import NODES, companions

_PATIENCE_S = 2.0
"""Of many so long after the last of them became Current, """
_LONGEST_S = 10.0
"""or so long in all: not all trouble is seen in pods. And so long what explains may take to be listed."""


class Closeup:
    """``many``: only once one of them is in trouble, or they stand still. ``alarm`` says so."""

    def __init__(self, session: Session, sight: Sight, *, many: bool) -> None:
        self._session = session
        self._sight = sight
        self._many = many
        self._alarmed = False
        self._waits_since: float | None = None
        self._began: float | None = None
        self._progressed = float("-inf")

    def alarm(self) -> bool:
        """Something is in trouble; whether that is news."""
        first, self._alarmed = not self._alarmed, True
        return first

    def progress(self) -> None:
        """Something became Current."""
        self._progressed = self._session.clock.monotonic()

    def follow(self, active: Iterable[ObjectRef]) -> None:
        """Look closely at those that wait, if it is time."""
        waiting = [ref for ref in active if ref.group_kind in WORKLOADS or ref.namespace]
        if not waiting:
            self._waits_since = None
            return
        now = self._session.clock.monotonic()
        if self._waits_since is None:
            self._waits_since = now
        quiet_s = now - max(self._waits_since, self._progressed)
        calm = self._many and not self._alarmed
        if calm and quiet_s < _PATIENCE_S and now - self._waits_since < _LONGEST_S:
            return
        if self._began is None:
            self._began = now
        if any(ref.group_kind == ("apps", "DaemonSet") for ref in waiting):
            self._sight.follow(NODES, "", ours=False)
        for resource, namespaces in companions(waiting).items():
            for namespace in namespaces:
                self._sight.follow(resource, namespace, ours=False)

    @property
    def has_begun(self) -> bool:
        return self._began is not None

    @property
    def sees(self) -> bool:
        """Whether what explains was listed, or takes too long."""
        if self._began is None:
            return False
        return not self._sight.unseen or self._session.clock.monotonic() - self._began > _PATIENCE_S

    def is_too_soon(self, decision: RolloutDecision) -> bool:
        """Whether what failed might be explained by what has not been looked at yet."""
        return not self.sees and any(ref.group_kind in WORKLOADS for ref, _ in decision.fatal)


def confirmed(
    decision: RolloutDecision,
    sight: Sight,
    targets: Mapping[ObjectRef, rollout.Target],
    manifests: Mapping[ObjectRef, Manifest],
) -> RolloutDecision:
    """What seems lost is read once more: a watch may be far behind, and a failure is no guess."""

    def is_lost(ref: ObjectRef) -> bool:
        try:
            live = sight.read(ref, manifests[ref].api_version)
        except PipelineError:
            return False
        return live is None or uid(live) != targets[ref].uid

    left = tuple(
        (ref, one) for ref, one in decision.fatal if one.code is not CauseCode.OBJECT_LOST or is_lost(ref)
    )
    return decision if len(left) == len(decision.fatal) else replace(decision, fatal=left)

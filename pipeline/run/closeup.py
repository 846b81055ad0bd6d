"""When to look closely at what waits: at its pods, its events, and what lies between."""

from __future__ import annotations

from collections import deque
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
from pipeline.run.targets import NODES, SERVICE, companions

_PATIENCE_S = 2.0
"""Of many so long after the last of them became Current. And so long what explains may take to be listed."""
_LONGEST_S = 10.0
"""Also so long after one of them began to be waited for, or """
_SLOWER = 3.0
"""so many times as long as others took: not all trouble is seen in pods. Of thousands each may take a minute
where the control plane is what is slow, and what explains would only slow it down."""


class Closeup:
    """``many``: only once one of them is in trouble, or they stand still. ``alarm`` says so."""

    def __init__(self, session: Session, sight: Sight, *, many: bool) -> None:
        self._session = session
        self._sight = sight
        self._many = many
        self._alarmed = False
        self._waits_since: float | None = None
        self._since: dict[ObjectRef, float] = {}
        self._took: deque[float] = deque(maxlen=99)
        self._began: float | None = None
        self._speak_for_themselves = False
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
        self._speak_for_themselves = not waiting  # of the cluster's own objects nothing else tells
        if not waiting:
            self._waits_since = None
            return
        now = self._session.clock.monotonic()
        if self._waits_since is None:
            self._waits_since = now
        quiet_s = now - max(self._waits_since, self._progressed)
        calm = self._many and not self._alarmed
        if calm and quiet_s < _PATIENCE_S and not self._is_one_late(waiting, now):
            return
        if self._began is None:
            self._began = now
        if any(ref.group_kind == ("apps", "DaemonSet") for ref in waiting):
            self._sight.follow(NODES, "", ours=False)
        for resource, namespaces in companions(waiting).items():
            for namespace in namespaces:
                self._sight.follow(resource, namespace, ours=False)

    def _is_one_late(self, waiting: Iterable[ObjectRef], now: float) -> bool:
        """Whether one is waited for longer than the others were. A Service rightly waits for its pods."""
        late = {ref: self._since.get(ref, now) for ref in waiting if ref.group_kind != SERVICE}
        self._took.extend(now - began for ref, began in self._since.items() if ref not in late)
        self._since = late
        usual_s = sorted(self._took)[len(self._took) // 2] if self._took else 0.0
        return now - min(late.values(), default=now) > max(_LONGEST_S, _SLOWER * usual_s)

    @property
    def has_begun(self) -> bool:
        return self._began is not None

    @property
    def sees(self) -> bool:
        """Whether what explains was listed, or takes too long; or there is nothing to list."""
        if self._began is None:
            return self._speak_for_themselves
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

"""What a process that stays tells of itself: news once each, and how it is to whoever asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from pipeline.core import reconcile
from pipeline.core.reconcile import Trouble
from pipeline.model.exit_codes import ExitCode
from pipeline.model.following import Happening, Pulse
from pipeline.model.release import Outcome
from pipeline.model.views import ObjectDrift
from pipeline.ports import Clock

_RECOVERED = {
    "git": "the git host answers",
    "cluster": "the cluster answers",
    "deploy": "a deploy came to its end",
}
"""What may be in trouble, and what is told when it no longer is."""


@dataclass(slots=True, kw_only=True)
class Herald:
    """``pulse`` may be read on any thread; all else belongs to one."""

    environment: str
    branch: str
    interval_s: float
    clock: Clock
    jitter: Callable[[], float]
    tell: Callable[[Happening], None]
    report: Callable[[Outcome], None]
    troubles: dict[str, Trouble] = field(default_factory=dict)
    busy_until: float = 0.0
    _success_at: float | None = None
    _pulse: Pulse | None = None
    _told: dict[str, str] = field(default_factory=dict)

    def pulse(self) -> Pulse:
        """How it is now."""
        now = self.clock.monotonic()
        healthy = reconcile.is_healthy(
            now=now,
            success_at=now if self._success_at is None else self._success_at,
            interval_s=self.interval_s,
            busy_until=self.busy_until,
        )
        return replace(self._known(), healthy=healthy)

    def begin(self) -> None:
        self._success_at = self.clock.monotonic()
        self.happened("following", f"follows {self.branch}, looks every {self.interval_s:g} s")

    def looked_well(self) -> None:
        """A look came to its end, and nothing was in its way."""
        self._success_at = self.clock.monotonic()
        self.note(last_success=self.now())

    def note(self, **facts: object) -> None:
        """Facts for whoever asks; the names are those of Pulse."""
        self._pulse = replace(self._known(), **facts)  # type: ignore[arg-type]  # see above

    def failed(self, message: str) -> None:
        self.note(last_error=message, last_error_at=self.now())

    def happened(
        self, kind: str, message: str, revision: str = "", drift: tuple[ObjectDrift, ...] = ()
    ) -> None:
        self.tell(
            Happening(
                moment=self.now(),
                environment=self.environment,
                kind=kind,
                message=message,
                revision=revision,
                drift=drift,
            )
        )

    def state(self, kind: str, message: str) -> None:
        """Something that lasts: told when it begins, and when it is another; empty where it is over."""
        if message and self._told.get(kind) != message:
            self.happened(kind, message)
        self._told[kind] = message
        if kind == "held":
            self.note(held=message)

    def ended(self, outcome: Outcome, message: str) -> None:
        """A deploy's report. A refusal that was asked for again is news only where it is another."""
        text = f"{outcome.exit_code} {message} {outcome.revision}"
        is_refusal = outcome.exit_code != ExitCode.OK and outcome.release is None
        if not is_refusal or self._told.get("refusal") != text:
            self.report(outcome)
        self._told["refusal"] = text if is_refusal else ""
        if outcome.exit_code != ExitCode.OK:
            self.failed(message)
        elif outcome.release is not None:
            self.note(revision=outcome.revision, release=outcome.release.number)

    def trouble(self, what: str, message: str) -> None:
        """``what`` cannot be reached; its next try waits longer each time."""
        before = self.troubles.get(what)
        self.troubles[what] = self.one_more(before, message)
        self.failed(message)
        if before is None or before.message != message:
            self.happened("trouble", message)

    def recovered(self, what: str) -> None:
        trouble = self.troubles.pop(what, None)
        if trouble is not None:
            spent = self.clock.monotonic() - trouble.since
            self.happened("recovered", f"{_RECOVERED[what]} again after {spent:.0f} s")

    def one_more(self, before: Trouble | None, message: str) -> Trouble:
        return reconcile.troubled(before, message, self.clock.monotonic(), self.jitter())

    def now(self) -> str:
        return datetime.fromtimestamp(self.clock.now(), UTC).isoformat(timespec="seconds")

    def _known(self) -> Pulse:
        return self._pulse or Pulse(environment=self.environment, branch=self.branch)

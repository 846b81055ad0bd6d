"""What a run looks like while it lasts: one header that ticks, one row an object waited for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.core.escape import one_line
from pipeline.model.events import (
    Checked,
    Event,
    Failed,
    ObjectApplied,
    Planned,
    RollingBack,
    RolloutDone,
    RolloutProgress,
    Started,
)
from pipeline.model.objects import ObjectRef
from pipeline.model.plan import Plan
from pipeline.model.status import ObjectStatus, Status

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress_bar import ProgressBar
    from rich.table import Table

_BAR_FROM = 70
"""Columns that a terminal needs for bars beside names and reasons."""
_BAR_WIDTH = 10
_STYLES = {
    Status.FAILED: "red",
    Status.CURRENT: "green",
    Status.TERMINATING: "yellow",
    Status.UNKNOWN: "yellow",
}


@dataclass(frozen=True, slots=True)
class _Applying:
    """How far the writes of a plan are."""

    total: int = 0
    done: int = 0
    wave: int = 0
    waves: int = 0


class View:
    """Hears events, draws the present. Drawing happens on another thread than hearing: every
    attribute is replaced as a whole, never changed in place.
    """

    def __init__(self, monotonic: Callable[[], float], scrub: Callable[[str], str] = str) -> None:
        self._monotonic = monotonic
        self._scrub = scrub
        self._start_s = monotonic()
        self._title = ""
        self._stage = "starting"
        self._applying = _Applying()
        self.last_progress: RolloutProgress | None = None

    @staticmethod
    def is_transient(event: Event) -> bool:
        """Whether the event is shown in the view only, not as a line that stays."""
        return isinstance(event, RolloutProgress)

    def hear(self, event: Event) -> None:
        """Take an event into the picture."""
        match event:
            case Started():
                self._start_s = self._monotonic()
                self._title = self._clean(f"{event.command} {event.environment}")
                self._stage = "planning"
            case Planned(plan):
                self._begin(plan, "applying")
            case RollingBack(_, plan):
                self._begin(plan, "rolling back")
            case ObjectApplied(wave=wave):
                done = self._applying.done + 1
                self._applying = _Applying(self._applying.total, done, wave, self._applying.waves)
            case RolloutProgress():
                self.last_progress = event
            case RolloutDone() | Failed():
                self._stage, self.last_progress = "checking", None
            case Checked(result):
                self._stage = self._clean(f"checking; {result.name}: {result.verdict}")
            case _:
                pass

    def render(self, width: int, height: int) -> RenderableType:
        """The view for a terminal of ``width`` columns and ``height`` rows."""
        from rich.console import Group
        from rich.text import Text

        header = Text(self._header(), style="bold", no_wrap=True, overflow="ellipsis")
        progress = self.last_progress
        if progress is None:
            return header
        return Group(header, self._table(progress, width, max(1, height - 3)))

    def _begin(self, plan: Plan, stage: str) -> None:
        self._stage, self.last_progress = stage, None
        self._applying = _Applying(len(plan.writes), 0, 0, len(plan.waves))

    def _clean(self, text: str) -> str:
        return one_line(self._scrub(text))

    def _header(self) -> str:
        elapsed = int(self._monotonic() - self._start_s)
        return f"{self._title}  {self._doing()}  {elapsed // 60}:{elapsed % 60:02d}"

    def _doing(self) -> str:
        progress, applying = self.last_progress, self._applying
        if progress is not None:
            ready = sum(s.status is Status.CURRENT for _, s in progress.statuses)
            return f"{self._stage}: waiting, {ready} of {len(progress.statuses)} objects current"
        if applying.total and self._stage in ("applying", "rolling back"):
            wave = f"wave {applying.wave}, " if applying.done else ""
            return f"{self._stage}: {wave}{applying.done} of {applying.total} objects"
        return self._stage

    def _table(self, progress: RolloutProgress, width: int, rows: int) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1), expand=True)
        bars = width >= _BAR_FROM
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=2)
        if bars:
            table.add_column(width=_BAR_WIDTH)
        table.add_column(no_wrap=True, justify="right", min_width=3)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
        # What is not ready comes first: it is what one looks for.
        ordered = sorted(progress.statuses, key=lambda item: (item[1].status is Status.CURRENT, item[0]))
        for ref, status in ordered[:rows]:
            ready = Text(f"{status.progress[0]}/{status.progress[1]}" if status.progress else "")
            cells = [Text(self._clean(_name(ref))), ready, self._why(status)]
            table.add_row(*([cells[0], _bar(status), *cells[1:]] if bars else cells))
        if len(ordered) > rows:
            table.add_row(Text(f"and {len(ordered) - rows} more"))
        return table

    def _why(self, status: ObjectStatus) -> RenderableType:
        from rich.text import Text

        message = "" if status.status is Status.CURRENT else status.message or status.reason
        shown = f"{status.status}: {self._clean(message)}" if message else str(status.status)
        return Text(shown, style=_STYLES.get(status.status, ""))


def _name(ref: ObjectRef) -> str:
    return "/".join(part for part in (ref.kind, ref.namespace, ref.name) if part)


def _bar(status: ObjectStatus) -> ProgressBar:
    from rich.progress_bar import ProgressBar

    ready, wanted = status.progress or (int(status.status is Status.CURRENT), 1)
    return ProgressBar(total=max(wanted, 1), completed=min(ready, wanted), width=_BAR_WIDTH)

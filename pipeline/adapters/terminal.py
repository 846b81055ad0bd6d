"""The progress of a run on stderr: live for people at a terminal, plain lines everywhere else.

Neither ever aborts a run: a terminal that went away, a closed pipe or a character that the
encoding has not is no reason to stop half-way through a deploy.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from pipeline.model.errors import PipelineError
from pipeline.model.events import Event, ObjectApplied, Planned

from .live_view import View

if TYPE_CHECKING:
    from rich.live import Live

Line = Callable[[Event], list[str]]
"""The lines that tell of an event, harmless and without line ends."""

MANY = 100
"""Objects: a log of that many lines, one for each that went well, hides the line that matters."""

REFRESH_PER_S = 4
_STAND_INS = str.maketrans({"→": "->", "…": "...", "—": "-"})


class SafeStream:
    """A text stream that may be written to whatever happens.

    Characters that its encoding has not become ``?``; once the other side is gone, all that follows
    is dropped, and so is what Python would flush at its end.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.broken = False

    @property
    def encoding(self) -> str:
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        if not self.broken:
            try:
                self._stream.write(self._encodable(text))
            except (OSError, ValueError):
                self._give_up()
        return len(text)

    def flush(self) -> None:
        if not self.broken:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._give_up()

    def isatty(self) -> bool:
        with suppress(OSError, ValueError, AttributeError):
            return not self.broken and self._stream.isatty()
        return False

    def fileno(self) -> int:
        return self._stream.fileno()

    def _encodable(self, text: str) -> str:
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            known = text.translate(_STAND_INS)
            return known.encode(self.encoding, "replace").decode(self.encoding)
        return text

    def _give_up(self) -> None:
        self.broken = True
        # What is still buffered would raise again as the interpreter ends (exit code 120).
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


class PlainReporter(AbstractContextManager["PlainReporter"]):
    """One line a fact, as it happens. Of many objects that go well only every hundredth is one."""

    def __init__(self, stream: TextIO, line: Line) -> None:
        self._stream = SafeStream(stream)
        self._line = line
        self._planned = self._applied = 0

    def __call__(self, event: Event) -> None:
        if self._is_one_of_many(event):
            return
        self._stream.write("".join(f"{line}\n" for line in self._line(event)))
        self._stream.flush()

    def _is_one_of_many(self, event: Event) -> bool:
        """Whether its line would be one of hundreds that say the same."""
        match event:
            case Planned(plan):
                self._planned, self._applied = len(plan.writes), 0
            case ObjectApplied(result="applied", message="") if self._planned > MANY:
                self._applied += 1
                if self._applied % MANY == 0:
                    self._stream.write(f"applied {self._applied} of {self._planned}\n")
                    self._stream.flush()
                return True
        return False

    def __exit__(self, *_: object) -> None:
        self._stream.flush()


class LiveReporter(AbstractContextManager["LiveReporter"]):
    """Past events as lines that stay; below them, until the end, what is being waited for.

    The view is drawn ``REFRESH_PER_S`` times a second whatever arrives, so that the elapsed time
    ticks on and a burst of events costs no more. Leave the context, or the view stays on the screen.
    """

    def __init__(
        self,
        stream: TextIO,
        line: Line,
        *,
        color: bool = True,
        scrub: Callable[[str], str] = str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = SafeStream(stream)
        self._line = line
        self._view = View(monotonic, scrub)
        self._color = color
        self._live: Live | None = None
        self._failed = False

    def __call__(self, event: Event) -> None:
        try:
            self._view.hear(event)
            if not self._view.is_transient(event):
                self._print(self._line(event))
        except PipelineError:
            raise  # a signal handler's, not ours
        except Exception:  # noqa: BLE001 - a screen that cannot be drawn must not stop a deploy
            self._fall_back(event)

    def close(self) -> None:
        """End the live view; what was still waited for stays as a line."""
        with suppress(Exception):
            last = self._view.last_progress
            if last is not None:
                self._print(self._line(last))
        live, self._live = self._live, None
        if live is not None:
            with suppress(Exception):
                live.stop()
        self._stream.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _print(self, lines: list[str]) -> None:
        from rich.text import Text

        if self._failed:
            self._stream.write("".join(f"{line}\n" for line in lines))
            return
        # One print for all lines: each of them draws the view anew.
        whole = Text("\n").join(Text(line, style=_style(line)) for line in lines)
        self._started().console.print(whole, soft_wrap=True, highlight=False)

    def _started(self) -> Live:
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            console = Console(
                file=self._stream,  # type: ignore[arg-type]  # it needs write, flush, isatty and encoding
                force_terminal=True,
                no_color=not self._color,
                highlight=False,
                markup=False,
                emoji=False,
            )
            self._live = Live(
                get_renderable=lambda: self._view.render(console.width, console.height),
                console=console,
                refresh_per_second=REFRESH_PER_S,
                transient=True,
                redirect_stdout=False,  # stdout carries the result, never the progress
                vertical_overflow="crop",
            )
            self._live.start()
        return self._live

    def _fall_back(self, event: Event) -> None:
        self._failed = True
        live, self._live = self._live, None
        with suppress(Exception):
            if live is not None:
                live.stop()
        with suppress(Exception):
            self._stream.write("".join(f"{line}\n" for line in self._line(event)))
            self._stream.flush()


def _style(line: str) -> str:
    first = line.lstrip().partition(":")[0]
    if first.startswith(("failed", "rollout failed", "error")):
        return "red"
    return "yellow" if first.startswith(("warning", "rolling back")) else ""


def reporter(
    stream: TextIO,
    line: Line,
    *,
    environ: Mapping[str, str],
    color: bool = True,
    scrub: Callable[[str], str] = str,
) -> PlainReporter | LiveReporter:
    """The live view where ``stream`` is a terminal that a person looks at, else plain lines.

    ``scrub`` takes secrets out of what the view shows by itself; ``line`` is expected to do so too.
    """
    if not SafeStream(stream).isatty() or environ.get("TERM") == "dumb" or environ.get("CI"):
        return PlainReporter(stream, line)
    return LiveReporter(stream, line, color=color and not environ.get("NO_COLOR"), scrub=scrub)


def write(stream: TextIO, text: str) -> bool:
    """A result on stdout; False where no one takes it any more. Never raises."""
    safe = SafeStream(stream)
    safe.write(text)
    safe.flush()
    return not safe.broken

"""The files by which a step tells GitHub Actions its outputs and its summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path


class GithubFiles:
    """Appends to the files that the runner names. What cannot be written is told to ``warn``, and
    the run goes on: an output is no reason to leave a deploy half done.
    """

    def __init__(self, environ: Mapping[str, str], warn: Callable[[str], None]) -> None:
        self._environ = environ
        self._warn = warn

    @property
    def active(self) -> bool:
        """Whether a runner of GitHub Actions (or one that is like it) started us."""
        return self._environ.get("GITHUB_ACTIONS") == "true"

    def output(self, entries: str) -> None:
        """Append finished entries to the step's outputs."""
        self._append("GITHUB_OUTPUT", entries)

    def summary(self, markdown: str) -> None:
        """Append to the step's summary."""
        self._append("GITHUB_STEP_SUMMARY", markdown)

    def _append(self, variable: str, text: str) -> None:
        name = self._environ.get(variable, "")
        if not name:
            return
        try:
            with Path(name).open("a", encoding="utf-8", errors="replace", newline="\n") as file:
                file.write(text)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            self._warn(f"cannot write the file that {variable} names: {reason}")

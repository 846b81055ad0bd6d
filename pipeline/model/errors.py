"""Everything that can go wrong, each with its exit code and a hint: what to do next.

One cause, one code (design §2). Messages read *doing what, to what, why not*; facts travel as
attributes, never only in the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from .exit_codes import ExitCode
from .objects import FieldPath, ObjectRef, Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with what was given, where, and what to do about it.

    ``code`` is a stable kebab-case word for programs (``unknown-key``, ``duplicate-object``). ``path`` is
    the field of the object, where it is known: two who tell of one field tell one thing.
    """

    code: str
    message: str
    origin: Origin | None = None
    hint: str = ""
    object: ObjectRef | None = None
    warning: bool = False
    path: FieldPath = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        place = f"{self.origin.path}:{self.origin.line}: " if self.origin else ""
        return f"{place}{self.message}" + (f" ({self.hint})" if self.hint else "")


class PipelineError(Exception):
    """The root of all errors that a user may see. ``exit_code`` tells which kind it is."""

    exit_code = ExitCode.BUG
    attachment = ""

    def __init__(self, message: str, *, hint: str = "", problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.problems = tuple(problems)


class UsageError(PipelineError):
    """The command line is wrong."""

    exit_code = ExitCode.USAGE


class InvalidError(PipelineError):
    """The configuration or manifests are wrong; nothing was written. ``problems`` lists them all."""

    exit_code = ExitCode.INVALID


class PreflightError(PipelineError):
    """The cluster refused before the first write: permission, dry run, conflict, guard.

    ``attachment`` is what the hint says in one line, as YAML for people.
    """

    exit_code = ExitCode.PREFLIGHT

    def __init__(
        self, message: str, *, hint: str = "", problems: Sequence[Problem] = (), attachment: str = ""
    ) -> None:
        super().__init__(message, hint=hint, problems=problems)
        self.attachment = attachment


class PlanChangedError(PipelineError):
    """The plan to run is no longer the plan that was named."""

    exit_code = ExitCode.PLAN_CHANGED


class GateClosedError(PipelineError):
    """A promotion is not eligible yet."""

    exit_code = ExitCode.GATE_CLOSED


class LockedError(PipelineError):
    """Another live run holds the environment."""

    exit_code = ExitCode.LOCKED


class UnreachableError(PipelineError):
    """git, AWS or the cluster cannot be reached or refused the login."""

    exit_code = ExitCode.UNREACHABLE


class InterruptedRunError(PipelineError):
    """A signal, or a lost lock, stopped the run."""

    exit_code = ExitCode.INTERRUPTED


class LockLostError(InterruptedRunError):
    """The lock is another's, or may be: nothing is to be written any more."""


class ApiError(PipelineError):
    """The API server answered a request with an error.

    ``status`` is the HTTP code, ``reason`` the machine-readable word of the Status object
    (``NotFound``, ``Conflict``, ``Invalid``, …), ``causes`` its details as (reason, field, message).
    The body is never kept: it may hold secrets.
    """

    exit_code = ExitCode.PREFLIGHT

    def __init__(
        self,
        message: str,
        *,
        status: int,
        reason: str = "",
        causes: Sequence[tuple[str, str, str]] = (),
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.reason = reason
        self.causes = tuple(causes)

    @property
    def is_about_immutability(self) -> bool:
        """Only what the server proved: every cause speaks of it, so that no typo or policy passes for it.

        The server has no word for it but its sentences (apimachinery: ``FieldImmutableErrorMsg``).
        """
        texts = [text for _, _, text in self.causes if text] or [self.message]
        return self.status == 422 and all(any(p in text for p in _IMMUTABLE) for text in texts)


_IMMUTABLE: Final = (
    "immutable",
    "may not change",
    "updates to",
    "cannot change roleRef",
    "may not be changed in an update",
)
"""kubernetes pkg/apis: of most kinds; Services; StatefulSets and StorageClasses; bindings of RBAC;
PriorityClasses."""

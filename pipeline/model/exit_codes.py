"""What a process ends with. Apart from the errors, since ``--help`` needs nothing else of them."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Process exit codes; the same meaning in every command."""

    OK = 0
    DRIFT = 1
    USAGE = 2
    ROLLED_BACK = 10
    FAILED = 11
    TIMED_OUT = 12
    ROLLBACK_FAILED = 13
    INVALID = 20
    PREFLIGHT = 21
    PLAN_CHANGED = 22
    GATE_CLOSED = 23
    LOCKED = 30
    UNREACHABLE = 40
    INTERRUPTED = 50
    BUG = 70

    @property
    def result(self) -> str:
        """The word for it in reports: ``rolled-back``."""
        return self.name.lower().replace("_", "-")


GRAVITY: tuple[ExitCode, ...] = tuple(
    ExitCode(n) for n in (13, 70, 12, 11, 10, 50, 40, 30, 21, 20, 22, 23, 2, 1, 0)
)
"""From the gravest: a command that acts on several environments exits with the first one present."""

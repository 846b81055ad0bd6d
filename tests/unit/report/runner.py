"""How the GitHub runner finds commands in a line of output, ported from its ActionCommand.cs rules.

Everything is taken for a registered command here, and characters that a comparison by culture
ignores do not count: stricter than the runner is.
"""

import unicodedata


def commands(output: str) -> list[str]:
    """The lines of ``output`` that a runner would obey, as ``name`` or ``name props``."""
    lines = output.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [found for line in lines if (found := _command(line)) is not None]


def _command(line: str) -> str | None:
    weighed = "".join(
        c for c in line if unicodedata.category(c) not in ("Cf", "Mn", "Me", "Cc") or c.isspace()
    )
    return _v2(weighed.lstrip()) or _v1(weighed)


def _v2(line: str) -> str | None:
    if not line.startswith("::"):
        return None
    end = line.find("::", 2)
    return line[2:end] if end > 2 else None


def _v1(line: str) -> str | None:
    start = line.find("##[")
    if start < 0:
        return None
    end = line.find("]", start)
    return line[start + 3 : end] if end >= 0 else None

"""The one way in which git is run: nothing that a repository holds can make it do more than read.

Arguments are fixed words, full object ids, or one validated revision after ``--end-of-options``
(``tests/unit/test_git.py`` sees to it that nothing else runs git).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TypeVar

from pipeline.core.redaction import scrub
from pipeline.model.errors import InterruptedRunError, InvalidError, UnreachableError

TIMEOUT_S = 120.0
"""For one call. A tree of 100,000 files is listed in well under a second; slow disks are not that slow."""

STDOUT_BYTES = 256 * 1024 * 1024
"""More than this from one call is no repository of manifests."""

_PIECE = 1024 * 1024

OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")

_OPTIONS = (
    "--no-pager",
    "-c", "core.fsmonitor=false",  # a command that a configuration names
    "-c", "safe.bareRepository=explicit",  # no repository hidden among the files of another
    "-c", "core.hooksPath=/dev/null",
    "-c", "protocol.file.allow=never",
    "-c", "log.showSignature=false",
    "-c", "submodule.recurse=false",
)  # fmt: skip

_FOREIGN = "dubious ownership"
_BROKEN = "bad config"

_REVISION_BYTES = 250
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f:?*\[\\]|\.\.|@\{|\^\{|//|\.lock(?:/|$)")


Settings = Sequence[tuple[str, str]]
"""(key, value) of git's configuration; the last of a key wins."""

_STOP_POLL_S = 0.2
_AGAIN = "run the same command again"

_ENDED_WITH_US = (-signal.SIGINT, -signal.SIGTERM)
"""A terminal's Ctrl-C, and who ends a whole process group, reach git as well as us."""

_SILENT = {"GIT_ALLOW_PROTOCOL": "none"}
"""Calls that only read talk to nobody, whatever the clone's configuration says."""


Taken = TypeVar("Taken")


class Git:
    """Runs git in one work tree."""

    def __init__(
        self,
        work_tree: Path,
        *,
        trusted: bool,
        timeout_s: float = TIMEOUT_S,
        settings: Settings = (),
        stopped: Callable[[], bool] | None = None,
    ) -> None:
        """``trusted``: the user named exactly this folder, so that another owner of it does not matter.

        ``settings`` win over every configuration file. With ``stopped``, git and its helpers have no
        terminal that they could ask, and end as soon as it is true.
        """
        self.work_tree = work_tree
        self._trusted = trusted
        self._timeout_s = timeout_s
        self._stopped = stopped
        silent = _SILENT if stopped is None else {}
        self._environment = configured({**environment(work_tree if trusted else None), **silent}, settings)

    def talking(self, settings: Settings, stopped: Callable[[], bool]) -> Git:
        """The same for calls that talk to a git host."""
        return Git(
            self.work_tree,
            trusted=self._trusted,
            timeout_s=self._timeout_s,
            settings=settings,
            stopped=stopped,
        )

    def __call__(
        self, *arguments: str, stdin: bytes = b"", accept: tuple[int, ...] = (0,)
    ) -> tuple[int, bytes]:
        """(exit code, standard output) of one call.

        Raises:
            UnreachableError: git is missing, hangs, answers without end or with another code.
            InterruptedRunError: ``stopped`` became true, or a signal ended git.
        """
        return self._run(arguments, stdin, accept, _all)

    def read(self, *arguments: str, stdin: bytes, take: Callable[[IO[bytes]], Taken]) -> Taken:
        """What ``take`` makes of the standard output of one call, as it comes; git ends where it raises.

        Raises:
            UnreachableError: as a call.
        """
        return self._run(arguments, stdin, (0,), take)[1]

    def _run(
        self,
        arguments: tuple[str, ...],
        stdin: bytes,
        accept: tuple[int, ...],
        take: Callable[[IO[bytes]], Taken],
    ) -> tuple[int, Taken]:
        with tempfile.TemporaryFile() as errors:
            process = self._start(arguments, errors)
            taken, late, more = self._converse(process, stdin, take)
            errors.seek(0)
            told = errors.read(4096).decode(errors="replace")
        if late:
            if self._stopped and self._stopped():
                raise InterruptedRunError(f"run git {arguments[0]}: stopped", hint=_AGAIN)
            raise UnreachableError(f"run git {arguments[0]}: no end after {self._timeout_s:g} s")
        if more:
            raise UnreachableError(f"run git {arguments[0]}: more than {STDOUT_BYTES} bytes of output")
        if process.returncode in _ENDED_WITH_US:
            raise InterruptedRunError(f"run git {arguments[0]}: ended by a signal", hint=_AGAIN)
        # Where git refuses to open the repository, no exit code of the command means anything.
        if process.returncode not in accept or _FOREIGN in told or _BROKEN in told:
            raise _failed(arguments[0], process.returncode, told)
        return process.returncode, taken

    def _start(self, arguments: tuple[str, ...], errors: IO[bytes]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(  # noqa: S603 - arguments are as the module's docstring says
                ["git", *_OPTIONS, *arguments],  # noqa: S607 - the git of the user's PATH is meant
                cwd=self.work_tree,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=self._stopped is not None,
            )
        except OSError as error:
            raise UnreachableError(
                f"run git {arguments[0]}: {error.strerror or error}", hint="install git 2.38 or newer"
            ) from error

    def _converse(
        self, process: subprocess.Popen[bytes], stdin: bytes, take: Callable[[IO[bytes]], Taken]
    ) -> tuple[Taken, bool, bool]:
        """(what was taken of the output, whether the time ran out, whether there was more to take).

        The process has ended afterwards.
        """
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        late, ended = threading.Event(), threading.Event()

        def watch() -> None:
            if not self._wait(ended):
                late.set()
                self._kill(process)

        watcher = threading.Thread(target=watch, daemon=True)
        # In a thread of its own: git may fill its output before it has read all of its input.
        feeder = threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True)
        watcher.start()
        feeder.start()
        try:
            taken = take(process.stdout)
            more = bool(process.stdout.read(1))
            if more:
                self._kill(process)
            process.wait()
        finally:
            ended.set()
            watcher.join()
            if process.poll() is None:
                self._kill(process)
                process.wait()
            feeder.join()
            process.stdout.close()
        return taken, late.is_set(), more

    def _wait(self, ended: threading.Event) -> bool:
        """Whether git ended by itself: in time, and before it was to stop. Time in which this process itself
        was stopped is none: git may have ended long ago, or wait for us to read."""
        left = self._timeout_s
        while left > 0 and not (self._stopped and self._stopped()):
            if ended.wait(min(left, _STOP_POLL_S)):
                return True
            left -= _STOP_POLL_S
        return ended.is_set()

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        """git; and its helpers where it leads a session: they would hold its output open."""
        if self._stopped is None:
            process.kill()
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def environment(trusted: Path | None) -> Mapping[str, str]:
    """The environment of git: the user's, without what would lead it elsewhere."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    ours = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",  # set and empty: no program that asks a person either
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_ALLOW_PROTOCOL": "https:ssh",
        "GIT_NO_LAZY_FETCH": "1",  # what a partial clone lacks is fetched by ``git_fetch``, or not at all
        "GIT_NO_REPLACE_OBJECTS": "1",  # an object id stands for its own content
        "LC_ALL": "C",
    }
    if trusted is not None:
        ours |= {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": str(trusted),
        }
    return {**inherited, **ours}


def configured(variables: Mapping[str, str], settings: Settings) -> Mapping[str, str]:
    """git's environment with settings of ours; they come after those that it has already."""
    if not settings:
        return variables
    first = int(variables.get("GIT_CONFIG_COUNT", "0"))
    ours = {"GIT_CONFIG_COUNT": str(first + len(settings))}
    for number, (key, value) in enumerate(settings, first):
        ours |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return {**variables, **ours}


def object_id(text: str) -> str:
    """``text``, where it is a full object id. Raises InvalidError where it is not."""
    if not OBJECT_ID.fullmatch(text):
        raise InvalidError(f"read commit {shown(text)}: not a full object id")
    return text


def revision(text: str) -> str:
    """``text``, where it can only be the name of a revision: a branch, a tag, ``HEAD~2``, an object id.

    Raises InvalidError for options, ranges, reflog and path expressions, and for control characters.
    """
    odd = not text or text[0] in "-^/" or len(text.encode(errors="replace")) > _REVISION_BYTES
    if odd or _FORBIDDEN.search(text) or not text.isprintable():
        raise InvalidError(
            f"resolve revision {shown(text)}: not the name of a revision",
            hint="name a branch, a tag or a commit",
        )
    return text


def shown(text: str) -> str:
    """Somebody's text within a message: short, on one line."""
    short = text if len(text) <= 80 else text[:77] + "…"
    return repr(short)


def _all(pipe: IO[bytes]) -> bytes:
    """The output up to the limit. Piece by piece: a single read would reserve the memory for all of it."""
    pieces: list[bytes] = []
    left = STDOUT_BYTES
    while left > 0 and (piece := pipe.read(min(left, _PIECE))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _feed(pipe: IO[bytes], stdin: bytes) -> None:
    try:
        with pipe:
            pipe.write(stdin)
    except OSError:
        pass  # git ended early; its exit code tells why


def _failed(command: str, code: int, told: str) -> UnreachableError:
    first = next((line.strip() for line in told.splitlines() if line.strip()), f"exit code {code}")
    hint = ""
    if _FOREIGN in told:
        first = "the repository belongs to another user"
        hint = "name its folder with -C, or run as its owner"
    return UnreachableError(f"run git {command}: {scrub(first[:300])}", hint=hint)

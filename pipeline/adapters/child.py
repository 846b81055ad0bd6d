"""The one way in which other programs than git are run: they read a private folder and write to their output.

A program gets no network where the kernel lets us take it away, no credentials, no home, no terminal; its
time, memory and output are limited, and it ends with all of its children. It starts from a list of arguments,
never from a shell (``tests/unit/test_git.py`` sees to it that nothing else starts programs).
"""

from __future__ import annotations

import functools
import os
import resource
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipeline.model.errors import InterruptedRunError, InvalidError, UnreachableError

MIB = 1024 * 1024
_ERRORS_BYTES = 64 * 1024
"""What is kept of standard error; the rest is read and dropped, so that nobody waits for us to read."""

_POLL_S = 0.2
_DEAD_PROXY = "http://127.0.0.1:9"  # the discard port: nobody listens


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run of a program may take. More of anything is no rendering of manifests."""

    seconds: float = 60.0
    memory_bytes: int = 1024 * MIB
    output_bytes: int = 64 * MIB


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: its exit code (negative: by a signal), what it wrote."""

    code: int
    output: bytes
    errors: str


def never() -> bool:
    return False


def run(
    argv: Sequence[str],
    *,
    folder: Path,
    environ: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    stopped: Callable[[], bool] = never,
    stdin: bytes = b"",
    alone: bool = True,
) -> Ended:
    """Run a program in ``folder`` to its end. ``argv[0]`` is a path; ``environ`` comes on top of very little.

    ``alone``: without a network. The others have one: for a key that a cloud's service holds.

    Raises:
        UnreachableError: it cannot be started.
        InvalidError: it took more than ``limits``.
        InterruptedRunError: ``stopped`` became true.
    """
    limits = limits or Limits()
    name = Path(argv[0]).name
    variables = {**_environment(folder), **(environ or {})}
    if not alone:
        variables = {key: value for key, value in variables.items() if value != _DEAD_PROXY}
    try:
        with _input(stdin) as given:
            process = subprocess.Popen(  # noqa: S603 - a list of arguments, the first one found by us
                [*(_isolation() if alone else ()), *argv],
                cwd=folder,
                env=variables,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
    except OSError as error:
        raise UnreachableError(f"run {name}: {error.strerror or error}") from error
    try:
        _limit(process.pid, limits)
        return _converse(process, name, limits, stopped)
    finally:
        _end(process)


def _input(stdin: bytes) -> IO[bytes]:
    """A file without a name, in memory where the system has such: nobody has to feed it, no disk sees it."""
    memory = getattr(os, "memfd_create", None)
    file: IO[bytes] = os.fdopen(memory("stdin"), "w+b") if memory else tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    file.write(stdin)
    file.seek(0)
    return file


def _environment(folder: Path) -> dict[str, str]:
    """All that a program is told of the machine. Should it look for a network, git finds no protocol and
    Go's HTTP client a proxy that is not there."""
    return {
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PATH": "",
        "LC_ALL": "C.UTF-8",
        "GIT_ALLOW_PROTOCOL": "none",
        "HTTP_PROXY": _DEAD_PROXY,
        "HTTPS_PROXY": _DEAD_PROXY,
    }


@functools.cache
def _isolation() -> tuple[str, ...]:
    """What starts a program without a network: a namespace of its own. Empty where the kernel, or the
    container that we run in, does not let us make one."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return ()
    prefix = (unshare, "--user", "--map-current-user", "--net", "--")
    true = shutil.which("true") or "/bin/true"
    try:
        tried = subprocess.run(  # noqa: S603 - both are programs of the system
            [*prefix, true], capture_output=True, timeout=10, check=False, env={}
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return prefix if tried.returncode == 0 else ()


def _limit(pid: int, limits: Limits) -> None:
    """Right after the start, from outside: between fork and exec, a process of many threads must do nothing.

    RLIMIT_DATA counts what can be written; Go reserves far more addresses than it uses, so that RLIMIT_AS
    would have to be far too large.
    """
    prlimit = getattr(resource, "prlimit", None)
    if prlimit is None:
        return  # no Linux: time and output are limited
    values = ((resource.RLIMIT_DATA, limits.memory_bytes), (resource.RLIMIT_CORE, 0))
    for kind, value in values:
        with suppress(ProcessLookupError, PermissionError):
            prlimit(pid, kind, (value, value))


def _converse(
    process: subprocess.Popen[bytes], name: str, limits: Limits, stopped: Callable[[], bool]
) -> Ended:
    """Read both pipes to their ends, and wait. Time in which this process itself was stopped is none: the
    program may have waited for us to read."""
    left = limits.seconds
    output, errors = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for pipe, into in ((process.stdout, output), (process.stderr, errors)):
            assert pipe is not None  # noqa: S101 - both are pipes
            selector.register(pipe, selectors.EVENT_READ, into)
        while selector.get_map():
            if stopped():
                raise InterruptedRunError(f"run {name}: stopped")
            if left <= 0:
                raise InvalidError(f"run {name}: no end after {limits.seconds:g} s")
            turn = time.monotonic()
            for key, _ in selector.select(min(left, _POLL_S)):
                pipe_: IO[bytes] = key.fileobj  # type: ignore[assignment]  # as registered
                chunk = os.read(pipe_.fileno(), 1 << 16)
                if not chunk:
                    selector.unregister(pipe_)
                elif key.data is output or len(errors) < _ERRORS_BYTES:
                    key.data.extend(chunk)
            left -= min(time.monotonic() - turn, 2 * _POLL_S)
            if len(output) > limits.output_bytes:
                raise InvalidError(f"run {name}: more than {limits.output_bytes // MIB} MiB of output")
    try:
        code = process.wait(max(0.0, left))
    except subprocess.TimeoutExpired as error:
        raise InvalidError(f"run {name}: no end after {limits.seconds:g} s") from error
    return Ended(code, bytes(output), errors.decode(errors="replace"))


def _end(process: subprocess.Popen[bytes]) -> None:
    """The program and whatever it has started: they share a session of their own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()

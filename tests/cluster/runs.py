"""What one run of a cluster owns on this machine: a folder, ports, a supervisor."""

import contextlib
import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tests.cluster.programs import Ports


class ClusterError(Exception):
    """The cluster cannot be used; the message says what failed, and why if that is known."""


def claim_folder(root: Path) -> tuple[Path, IO[str]]:
    """Make a folder for a new run below ``root``, and return its lock, held.

    Also removes the folders of runs that ended without removing theirs: those whose
    lock is free, since a supervisor holds the lock for as long as it lives.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if root.stat().st_uid != os.getuid():
        # The default root has a name that anyone can guess and make first.
        raise ClusterError(f"use {root}: it belongs to another user; hint: choose another folder with TMPDIR")
    with (root / "lock").open("w") as guard:
        # Guards the moment in which a new folder's lock is not held yet.
        fcntl.flock(guard, fcntl.LOCK_EX)
        for old in root.glob("run-*"):
            _sweep(old)
        folder = root / f"run-{secrets.token_hex(4)}"
        folder.mkdir(mode=0o700)
        lock = (folder / "lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
    return folder, lock


def _sweep(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)


def supervise(folder: Path, lock: IO[str]) -> subprocess.Popen[bytes]:
    """Start the folder's supervisor, which takes the lock over.

    In a session of its own: Ctrl-C in a terminal reaches the starter only, whose
    orderly end it would otherwise overtake.
    """
    return subprocess.Popen(
        [sys.executable, Path(__file__).parent / "supervisor.py", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        pass_fds=(lock.fileno(),),
        start_new_session=True,
    )


def free_ports() -> Ports:
    """Find ports that nobody listens on; all are held until the last is found."""
    with contextlib.ExitStack() as held:
        numbers = list(_bound_ports(held, 4))
    return Ports(api=numbers[0], etcd=numbers[1], etcd_peer=numbers[2], kubelet=numbers[3])


def _bound_ports(held: contextlib.ExitStack, count: int) -> Iterator[int]:
    for _ in range(count):
        listener = held.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]


def last_words(log: Path) -> str:
    """Return what a program said last: its reason, if it gave one, for having ended."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    spoken = [line.strip() for line in lines if line.strip()]
    errors = [line for line in spoken if "rror" in line or "panic" in line or "fatal" in line]
    return (errors or spoken or ["it said nothing"])[-1]

"""Reads many blobs in one process, and of those that are too large nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

from pipeline.adapters.git_command import STDOUT_BYTES, Git, object_id


def read_blobs(git: Git, oids: set[str], most: int) -> tuple[Mapping[str, bytes], Mapping[str, int]]:
    """The contents of those that are here, and the sizes of those of more than ``most`` bytes.

    One process, and another one for each that is too large: git cannot be told to leave one out.
    """
    large: dict[str, int] = {}
    while wanted := oids - large.keys():
        asked = "".join(f"{object_id(oid)}\n" for oid in sorted(wanted))
        try:
            found = git.read("cat-file", "--batch", stdin=asked.encode(), take=lambda pipe: _take(pipe, most))
        except _LargeError as one:
            large[one.oid] = one.size
        else:
            return found, large
    return {}, large


class _LargeError(Exception):
    def __init__(self, oid: str, size: int) -> None:
        super().__init__(oid)
        self.oid = oid
        self.size = size


def _take(pipe: IO[bytes], most: int) -> Mapping[str, bytes]:
    """What ``cat-file --batch`` says, as it comes: each object that is here after its id, type and size."""
    found: dict[str, bytes] = {}
    left = STDOUT_BYTES
    # What is left in the pipe then is told as too much.
    while left > 0 and (line := pipe.readline()):
        oid, *about = line.decode(errors="replace").split()
        if len(about) != 2:
            continue
        size = int(about[1])
        if size > most:
            raise _LargeError(oid, size)
        found[oid] = pipe.read(size)
        pipe.read(1)
        left -= size
    return found

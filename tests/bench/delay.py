"""A loopback TCP proxy that makes the API server seem far away.

    with DelayProxy(port=6443) as far:      # 50 ms round trip
        …connect to 127.0.0.1:far.port…

Every chunk waits ``one_way_s`` on its way, whatever else is under way: delay, not less bandwidth. A new
connection costs a round trip before its first byte moves, as TCP's handshake does. The proxy is a process
of its own, so that its work is not counted as anybody's; it ends when its standard input does, hence with
whoever started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

ONE_WAY_S = 0.025  # 50 ms round trip: a hosted runner and a cluster in another region
BACKLOG = 1024
_END = b""  # in a queue: the other side sends no more


class Direction:
    """Chunks on their way from one side to the other: in order, each after its own wait.

    One timer at a time, for the oldest: a timer for each of thousands would cost more than the chunks.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, one_way_s: float, not_before: float = 0.0) -> None:
        self._loop = loop
        self._one_way_s = one_way_s
        self._not_before = not_before
        self._queue: deque[tuple[float, bytes]] = deque()
        self._target: asyncio.Transport | None = None
        self._armed = False

    def to(self, target: asyncio.Transport) -> None:
        """Where chunks go; until it is known they wait."""
        self._target = target
        self._arm()

    def put(self, chunk: bytes) -> None:
        due = max(self._loop.time() + self._one_way_s, self._not_before)
        self._queue.append((due, chunk))
        self._arm()

    def _arm(self) -> None:
        if self._queue and self._target and not self._armed:
            self._armed = True
            self._loop.call_at(self._queue[0][0], self._deliver)

    def _deliver(self) -> None:
        self._armed = False
        target = self._target
        if target is None or target.is_closing():
            self._queue.clear()
            return
        now = self._loop.time()
        ready: list[bytes] = []
        while self._queue and self._queue[0][0] <= now:
            ready.append(self._queue.popleft()[1])
        is_end = bool(ready) and ready[-1] is _END
        if data := b"".join(ready):
            target.write(data)
        if is_end:
            target.close()
            return
        self._arm()


class Side(asyncio.Protocol):
    """One end of a connection: what it receives goes into a direction."""

    def __init__(self, onward: Direction) -> None:
        self.onward = onward

    def data_received(self, data: bytes) -> None:
        self.onward.put(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.onward.put(_END)


class Near(Side):
    """The client's end: opens the far one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, port: int, one_way_s: float) -> None:
        # The first bytes leave the client a round trip after its SYN, and then travel.
        super().__init__(Direction(loop, one_way_s, loop.time() + 3 * one_way_s))
        self._back = Direction(loop, one_way_s)
        self._loop = loop
        self._port = port
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._back.to(transport)
        self._opening = self._loop.create_task(self._open(transport))

    async def _open(self, near: asyncio.Transport) -> None:
        try:
            far, _ = await self._loop.create_connection(lambda: Side(self._back), "127.0.0.1", self._port)
        except OSError:
            near.close()
            return
        self.onward.to(far)


async def serve(port: int, one_way_s: float) -> None:
    """Tell our own port on standard output; serve until standard input ends."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    await loop.connect_read_pipe(lambda: _Watch(ended), sys.stdin)
    server = await loop.create_server(lambda: Near(loop, port, one_way_s), "127.0.0.1", 0, backlog=BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()


class _Watch(asyncio.Protocol):
    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()


class DelayProxy:
    """The proxy's process, from ``with`` to its end."""

    def __init__(self, port: int, one_way_s: float = ONE_WAY_S) -> None:
        self._command = [sys.executable, "-m", "tests.bench.delay", str(port), str(one_way_s)]
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(
            self._command,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a terminal's Ctrl-C is the starter's to answer
        )
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            assert self._process.stdin
            assert self._process.stdout
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))

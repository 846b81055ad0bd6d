"""A run that is stopped in a request, for longer than that may take, goes on as if nothing had been."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pipeline.adapters.http import CONNECT_S
from tests.cluster.api import kubeconfig
from tests.cluster.local import LocalCluster
from tests.e2e.conftest import MakeRepo
from tests.e2e.conftest import make_repo as make_repo
from tests.e2e.live import until
from tests.e2e.manifests import config_map
from tests.fault.test_interruption import ended, running

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


@dataclass(slots=True)
class Way:
    """A way to the API server on which, while it is ``deaf``, what connects and speaks is not answered, ever;
    ``unanswered`` are those connections."""

    server: tuple[str, int]
    deaf: bool = True
    unanswered: list[socket.socket] = field(default_factory=list)
    port: int = 0

    def serve(self, listening: socket.socket) -> None:
        self.port = listening.getsockname()[1]
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return  # closed: the end
            threading.Thread(target=self._take, args=(near,), daemon=True).start()

    def _take(self, near: socket.socket) -> None:
        near.recv(1, socket.MSG_PEEK)
        if self.deaf:
            self.unanswered.append(near)
            return
        with near, socket.create_connection(self.server) as far:
            there = threading.Thread(target=_pass, args=(near, far), daemon=True)
            there.start()
            _pass(far, near)
            there.join()


def _pass(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def way_to(cluster: LocalCluster) -> Iterator[Way]:
    url = urlsplit(cluster.server)
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listening:
        way = Way((str(url.hostname), int(url.port or 0)), port=listening.getsockname()[1])
        serving = threading.Thread(target=way.serve, args=(listening,), daemon=True)
        serving.start()
        yield way
        listening.shutdown(socket.SHUT_RDWR)
    serving.join()
    for near in way.unanswered:
        near.close()


def access(cluster: LocalCluster, way: Way, folder: Path) -> str:
    path = folder / "kubeconfig"
    path.touch(mode=0o600)
    authority = cluster.ca_file.read_bytes()
    path.write_text(kubeconfig(f"https://127.0.0.1:{way.port}", authority, cluster.token, "way"))
    return str(path)


def test_who_was_stopped_while_connecting_connects_again(make_repo: MakeRepo, tmp_path: Path) -> None:
    repo = make_repo(create=True)
    repo.environment()
    repo.manifest("more.yaml", config_map("more"))
    repo.commit()
    with way_to(repo.cluster) as way:
        repo.environ["KUBECONFIG"] = access(repo.cluster, way, tmp_path)
        with running(repo) as process:
            until(lambda: way.unanswered, "for the first connection")
            process.send_signal(signal.SIGSTOP)
            way.deaf = False
            time.sleep(CONNECT_S + 1)
            process.send_signal(signal.SIGCONT)
            result = ended(process)

    assert result.code == 0, str(result)
    assert repo.get("configmaps", "more") is not None

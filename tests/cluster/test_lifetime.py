"""No process and no folder of a cluster outlives whoever asked for it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster import local
from tests.cluster.local import LocalCluster
from tests.cluster.runs import free_ports
from tests.cluster.test_local import until

pytestmark = pytest.mark.cluster


HOLDER = """
import signal, sys
from pathlib import Path
from tests.cluster.local import LocalCluster
cluster = LocalCluster(Path(sys.argv[1]), nodes=1)
cluster.start()
print(cluster.folder, flush=True)
signal.pause()
"""


def processes_of(folder: Path) -> dict[int, str]:
    """The processes whose command line names the folder: all of a cluster's do."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it ended meanwhile
        if f"{folder}" in line:
            found[int(entry.parent.name)] = line
    return found


@pytest.fixture
def holder(cluster: LocalCluster, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process with a cluster beside the one of the test run, and that cluster's folder."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdout
        folder = Path(process.stdout.readline().strip())
        yield process, folder
        process.kill()


def test_clusters_run_side_by_side_and_nothing_outlives_a_killed_starter(
    cluster: LocalCluster, holder: tuple[subprocess.Popen[str], Path]
) -> None:
    process, folder = holder
    assert len(processes_of(folder)) == 7  # the supervisor and six programs
    assert cluster.api.call("GET", "/readyz") == "ok"

    process.send_signal(signal.SIGKILL)

    until(lambda: processes_of(folder), lambda left: not left)
    until(folder.exists, lambda exists: not exists)
    assert cluster.api.call("GET", "/readyz") == "ok"


def test_programs_end_with_a_killed_supervisor_and_the_next_start_sweeps(
    holder: tuple[subprocess.Popen[str], Path],
) -> None:
    _, folder = holder
    (supervisor,) = (pid for pid, line in processes_of(folder).items() if "supervisor.py" in line)

    os.kill(supervisor, signal.SIGKILL)

    until(lambda: processes_of(folder), lambda left: not left)
    assert folder.exists()
    with LocalCluster(folder.parent, nodes=0) as other:
        assert not folder.exists()
        assert other.folder.exists()
    assert not other.folder.exists()


def test_start_takes_other_ports_if_one_was_lost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        lost = replace(free_ports(), kubelet=other.getsockname()[1])
        choices = iter([lost, free_ports()])
        monkeypatch.setattr(local, "free_ports", lambda: next(choices))

        with LocalCluster(tmp_path, nodes=1):
            assert next(choices, None) is None
            assert len(list(tmp_path.glob("run-*"))) == 1

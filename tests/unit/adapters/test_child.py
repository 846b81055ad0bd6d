"""How other programs are run: no network, no credentials, limits, and nobody is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.adapters import child
from pipeline.adapters.child import Limits
from pipeline.model.errors import InterruptedRunError, InvalidError, UnreachableError

SHELL = "/bin/sh"


def run(folder: Path, script: str, **more: object) -> child.Ended:
    return child.run([SHELL, "-c", script], folder=folder, **more)  # type: ignore[arg-type]


def test_what_a_program_writes_and_how_it_ends_is_told(tmp_path: Path) -> None:
    ended = run(tmp_path, "echo out; echo err >&2; exit 3")
    assert (ended.code, ended.output, ended.errors) == (3, b"out\n", "err\n")


def test_a_program_is_told_nothing_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("HTTPS_PROXY", "http://canary@proxy")
    told = run(tmp_path, "/usr/bin/env; read line; echo stdin=$line").output.decode()
    assert "canary" not in told
    assert f"HOME={tmp_path}" in told
    assert "stdin=\n" in told


@pytest.mark.skipif(not child._isolation(), reason="this kernel gives no namespaces to users")
def test_a_program_has_no_network_not_even_to_ourselves(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        ended = child.run([sys.executable, "-c", code], folder=tmp_path)
        assert ended.code == 1
        assert "unreachable" in ended.errors or "refused" in ended.errors
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_program_that_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match=r"no end after 0\.5 s"):
        run(
            tmp_path,
            "sleep 600 & echo $! > pid; wait",
            limits=Limits(seconds=0.5),
            environ={"PATH": "/bin:/usr/bin"},
        )
    pid = int((tmp_path / "pid").read_text())
    # It is killed; a processor may not have come to it yet.
    assert any(is_gone(pid) or time.sleep(0.05) for _ in range(400))


RUNS = """\
import sys
from pathlib import Path
from pipeline.adapters.child import Limits, run
script = ": > asked; while [ ! -e end ]; do /bin/sleep 0.02; done; echo done"
print(run(["/bin/sh", "-c", script], folder=Path(sys.argv[1]), limits=Limits(seconds=1.0)).output)
"""


def test_a_program_that_ended_while_we_were_stopped_has_not_been_too_slow(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", RUNS, str(tmp_path)], stdout=subprocess.PIPE) as ours:
        while not (tmp_path / "asked").exists():
            assert ours.poll() is None
            time.sleep(0.02)
        ours.send_signal(signal.SIGSTOP)
        (tmp_path / "end").touch()
        time.sleep(1.5)  # longer than it may take
        ours.send_signal(signal.SIGCONT)
        output, _ = ours.communicate(timeout=20)
    assert (ours.returncode, output) == (0, b"b'done\\n'\n")


def test_a_program_that_closes_its_output_and_stays_is_ended_too(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="no end"):
        run(tmp_path, "exec >&- 2>&-; exec /bin/sleep 600", limits=Limits(seconds=0.5))


def test_output_without_end_is_cut_off_and_errors_without_end_are_dropped(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="more than 1 MiB of output"):
        run(tmp_path, "exec /bin/cat /dev/zero", limits=Limits(output_bytes=child.MIB))
    ended = run(tmp_path, "/usr/bin/head -c 5000000 /dev/zero >&2; echo end")
    assert ended.output == b"end\n"
    assert len(ended.errors) < 200_000


@pytest.mark.skipif(sys.platform != "linux", reason="limits are set from outside on Linux")
def test_memory_is_limited(tmp_path: Path) -> None:
    ended = child.run(
        [sys.executable, "-c", "bytearray(300 << 20)"], folder=tmp_path, limits=Limits(memory_bytes=200 << 20)
    )
    assert ended.code == 1
    assert "MemoryError" in ended.errors


def test_who_is_to_stop_does_not_wait_for_a_program(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(InterruptedRunError):
        run(tmp_path, "exec /bin/sleep 600", stopped=stop.is_set)


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    if child._isolation():
        assert child.run(["/nowhere/x"], folder=tmp_path).code == 127
    else:
        with pytest.raises(UnreachableError):
            child.run(["/nowhere/x"], folder=tmp_path)


def test_without_namespaces_a_program_runs_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_isolation", tuple)
    ended = run(tmp_path, "echo $HTTPS_PROXY $GIT_ALLOW_PROTOCOL $PATH")
    assert ended.output == b"http://127.0.0.1:9 none\n"

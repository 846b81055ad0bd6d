"""What is forked from the loaded program is, to all that a case asks of it, a run that was started anew."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.live import until
from tests.fault import processes, stacks
from tests.fault.forks import ROOT, Forked, Forks

ENV = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as running:
        yield running


def forked(forks: Forks, folder: Path, arguments: list[str], env: Mapping[str, str]) -> Forked:
    with (folder / "out").open("wb") as output:
        return forks.start(arguments, cwd=folder, env=env, output=output.fileno())


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (["--version"], {}),
        (["deploy", "-e", "dev"], {}),  # of a folder that is no repository
        (["deploy", "--no-such-option"], {}),
        (["--version"], {"PIPELINE_FAILPOINT": "nowhere:kill"}),
        (["deploy", "-e", "dev"], {"PIPELINE_FAILPOINT": "start:kill"}),
        (["deploy", "-e", "dev"], {"PIPELINE_FAILPOINT": "every:say"}),
    ],
)
def test_it_ends_and_says_as_one_that_was_started_anew(
    forks: Forks, tmp_path: Path, arguments: list[str], env: dict[str, str]
) -> None:
    code = forked(forks, tmp_path, arguments, ENV | env).wait()
    anew = subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=tmp_path,
        env=ENV | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (code, (tmp_path / "out").read_text()) == (anew.returncode, anew.stdout)


def test_that_it_stopped_itself_is_told_and_it_goes_on(forks: Forks, tmp_path: Path) -> None:
    run = forked(forks, tmp_path, ["deploy", "-e", "dev"], ENV | {"PIPELINE_FAILPOINT": "start:stop"})
    seen = os.waitid(os.P_PID, run.pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
    assert seen is not None
    assert (seen.si_code, run.poll()) == (os.CLD_STOPPED, None)
    run.send_signal(signal.SIGCONT)
    assert run.wait() != 0
    assert "repository" in (tmp_path / "out").read_text()


SLEEPER = (
    "import pathlib, sys, time\n"
    "from tests.fault import stacks\n"
    "stacks.write_when_late(pathlib.Path(sys.argv[1]), 0.05)\n"
    "def stand_still(): time.sleep(60)\n"
    "stand_still()\n"
)


def test_who_is_late_says_again_and_again_where_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "stacks"
    late = subprocess.Popen([sys.executable, "-c", SLEEPER, str(file)], cwd=ROOT, env=ENV)
    try:
        until(lambda: file.exists() and file.read_text().count("in stand_still") > 1)
    finally:
        late.kill()
        late.wait()
    assert stacks.last_in(file).count("in stand_still") == 1


@pytest.mark.parametrize("are_forked", [True, False], ids=["forked", "started"])
def test_a_run_of_a_case_has_a_file_for_its_stacks(forks: Forks, tmp_path: Path, are_forked: bool) -> None:
    file = tmp_path / "next.out"
    run = processes.start(
        "next", ["--version"], cwd=tmp_path, env=ENV, file=file, forks=forks if are_forked else None
    )
    ended = run.ended()
    assert (ended.code, ended.output.split()[0], ended.stacks) == (0, "pipeline", "")
    assert file.with_suffix(".stacks").exists()


def test_each_has_a_state_of_its_own(forks: Forks, tmp_path: Path) -> None:
    """What one run does to its variables or folder the next one does not see."""
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        run = forked(forks, folder, ["deploy", "-e", "dev"], ENV | {"PIPELINE_FAILPOINT": f"p{number}:kill"})
        assert run.wait() == 2
        assert f"p{number}" in (folder / "out").read_text()

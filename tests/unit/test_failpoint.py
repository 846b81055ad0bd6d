"""Failpoints: off unless asked for, exact about where and when, and closed: what is not listed is refused."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline import failpoint
from pipeline.cli import main
from pipeline.failpoint import FailpointError, LostReplyError, Point, arm, passing
from pipeline.model.errors import UsageError

PRODUCT = Path(failpoint.__file__).parent


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    arm("")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The signals that this process would have sent to itself."""
    found: list[int] = []
    instead_of_signals(monkeypatch, found.append)
    return found


def instead_of_signals(monkeypatch: pytest.MonkeyPatch, take: Callable[[int], None]) -> None:
    monkeypatch.setattr(os, "kill", lambda pid, signum: take(signum))
    monkeypatch.setattr(signal, "pthread_kill", lambda thread, signum: take(signum))


def test_nothing_happens_where_nothing_is_asked_for(sent: list[int]) -> None:
    for point in Point:
        passing(point)
    assert sent == []


@pytest.mark.parametrize(
    ("action", "signum"),
    [("kill", signal.SIGKILL), ("term", signal.SIGTERM), ("stop", signal.SIGSTOP)],
)
def test_the_process_gets_the_signal_at_the_point_and_only_there(
    sent: list[int], action: str, signum: int
) -> None:
    arm(f"apply-pre:{action}")
    passing(Point.APPLY_POST)
    assert sent == []
    passing(Point.APPLY_PRE)
    assert sent == [signum]


@pytest.mark.parametrize("action", ["kill", "term", "stop"])
def test_it_says_so_before_the_signal(
    action: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    instead_of_signals(monkeypatch, lambda signum: said.append(capfd.readouterr().err))
    arm(f"apply-pre:{action}:2")
    for _ in range(3):
        passing(Point.APPLY_PRE)
    assert said == ["failpoint apply-pre\n"]
    assert capfd.readouterr().err == ""


PAST = """\
import os, threading
from pipeline.failpoint import Point, arm, passing
arm("apply-pre:stop")
def turn():
    passing(Point.APPLY_PRE)
    os.write(1, b"past")
thread = threading.Thread(target=turn)
thread.start()
thread.join()
"""


def test_the_thread_that_stops_the_process_is_not_past_its_point() -> None:
    """It would be, most times, if the signal were for the process: another thread takes it."""
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", PAST], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            os.set_blocking(process.stdout.fileno(), False)
            early = process.stdout.read()
            process.send_signal(signal.SIGCONT)
            os.set_blocking(process.stdout.fileno(), True)
            assert (early, process.stdout.read()) == (None, b"past")


def test_where_nobody_listens_it_acts_all_the_same(sent: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(descriptor: int, text: bytes) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(os, "write", closed)
    arm("apply-pre:kill")
    passing(Point.APPLY_PRE)
    assert sent == [signal.SIGKILL]


def test_it_acts_at_the_passing_that_was_asked_for_and_once(sent: list[int]) -> None:
    arm("apply-pre:kill:3")
    counts = []
    for _ in range(5):
        passing(Point.APPLY_PRE)
        counts.append(len(sent))
    assert counts == [0, 0, 1, 1, 1]


def test_a_bug_and_a_lost_reply_can_be_played() -> None:
    arm("plan-post:raise")
    with pytest.raises(FailpointError, match="plan-post"):
        passing(Point.PLAN_POST)
    arm("write-sent:lost-reply")
    with pytest.raises(LostReplyError):
        passing(Point.WRITE_SENT)


def test_a_pause_is_as_long_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    arm("watch-event:sleep=2.5:2")
    passing(Point.WATCH_EVENT)
    passing(Point.WATCH_EVENT)
    assert slept == [2.5]


def test_every_point_can_be_told_as_it_is_passed(capfd: pytest.CaptureFixture[str]) -> None:
    arm("every:say")
    for point in (Point.START, Point.APPLY_PRE, Point.APPLY_PRE):
        passing(point)
    assert capfd.readouterr().err.splitlines() == [
        "failpoint start",
        "failpoint apply-pre",
        "failpoint apply-pre",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "nowhere:kill",
        "apply-pre",
        "apply-pre:",
        "apply-pre:explode",
        "apply-pre:kill=3",
        "apply-pre:sleep",
        "apply-pre:sleep=soon",
        "apply-pre:kill:0",
        "apply-pre:kill:first",
        "plan-post:lost-reply",
    ],
)
def test_what_is_not_listed_is_refused_with_the_list(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError):
        arm(text)
    monkeypatch.setenv(failpoint.VARIABLE, text)
    assert main(["validate"]) == 2
    message = capsys.readouterr().err
    assert text in message
    listed = "rollback-object" if text.startswith("nowhere") else "kill, term, stop"
    assert listed in message or "count from 1" in message


def test_every_point_stands_in_the_product_once() -> None:
    source = "".join(p.read_text() for p in PRODUCT.rglob("*.py") if p.name != "failpoint.py")
    passed = re.findall(r"failpoint\.passing\(Point\.(\w+)\)", source)
    assert sorted(passed) == sorted(point.name for point in Point)

"""The bell, and the server that rings it."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest

from pipeline.adapters import health
from pipeline.adapters.bell import PipeBell
from pipeline.adapters.health import CALLERS, HOOKS, HealthServer
from pipeline.model.errors import UnreachableError


@pytest.fixture
def bell() -> Iterator[PipeBell]:
    made = PipeBell()
    before = signal.getsignal(signal.SIGHUP)
    yield made
    made.close()
    signal.signal(signal.SIGHUP, before)


def test_a_bell_that_nobody_rings_lets_the_time_pass(bell: PipeBell) -> None:
    assert bell.wait(0.01) is False
    assert bell.wait(-1) is False


def test_a_ring_is_heard_later_and_once(bell: PipeBell) -> None:
    for _ in range(100_000):
        bell.ring()
    assert bell.wait(0) is True
    assert bell.wait(0) is False


def test_a_ring_from_another_thread_ends_the_wait(bell: PipeBell) -> None:
    timer = threading.Timer(0.05, bell.ring)
    timer.start()
    assert bell.wait(60) is True
    timer.join()


def test_a_signal_ends_the_wait(bell: PipeBell) -> None:
    bell.catch()
    os.kill(os.getpid(), signal.SIGHUP)
    assert bell.wait(60) is True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def serving(well: bool = True, host: str = "127.0.0.1") -> Iterator[tuple[HealthServer, list[int], Clock]]:
    rung: list[int] = []
    clock = Clock()
    server = HealthServer(
        host, 0, health=lambda: (well, {"healthy": well}), ring=lambda: rung.append(1), monotonic=clock
    )
    with server:
        yield server, rung, clock


def ask(server: HealthServer, method: str, path: str, body: bytes = b"") -> tuple[int, Any, dict[str, str]]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(method, path, body=body or None)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None, dict(answer.headers)
    finally:
        connection.close()


@pytest.mark.parametrize(("well", "status"), [(True, 200), (False, 503)])
def test_health_is_a_status_and_a_document(well: bool, status: int) -> None:
    with serving(well) as (server, rung, _):
        assert ask(server, "GET", "/healthz?x=1")[:2] == (status, {"healthy": well})
        assert ask(server, "HEAD", "/healthz")[:2] == (status, None)
        assert rung == []


@pytest.mark.parametrize("body", [b"", b'{"ref": "refs/heads/evil"}', b"x" * 20_000_000])
def test_a_hook_rings_whatever_it_says(body: bytes) -> None:
    with serving() as (server, rung, _):
        assert ask(server, "POST", "/hook", body)[0] == 202
        assert rung == [1]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/hook"), ("POST", "/healthz"), ("GET", "/../etc/passwd")]
)
def test_there_is_nothing_else(method: str, path: str) -> None:
    with serving() as (server, rung, _):
        assert ask(server, method, path)[0] == 404
        assert rung == []


def test_other_methods_are_refused() -> None:
    with serving() as (server, rung, _):
        connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("DELETE", "/hook")
        assert connection.getresponse().status == 501
        connection.close()
        assert rung == []


def test_too_many_hooks_are_told_so_and_still_heard() -> None:
    with serving() as (server, rung, clock):
        statuses = [ask(server, "POST", "/hook")[0] for _ in range(HOOKS + 1)]
        assert statuses == [202] * HOOKS + [429]
        assert len(rung) == HOOKS + 1
        assert ask(server, "POST", "/hook")[2]["Retry-After"] == "1"
        clock.now += 1
        assert ask(server, "POST", "/hook")[0] == 202


def test_callers_that_say_nothing_are_hung_up_on_and_leave_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health._Handler, "timeout", 0.5)
    with serving() as (server, _, __):
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(CALLERS * 2)]
        for caller in silent:
            caller.settimeout(20)
            assert caller.recv(1) == b""
            caller.close()
        assert ask(server, "GET", "/healthz")[0] == 200


def test_no_more_than_so_many_callers_are_waited_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health._Handler, "timeout", 60)
    with serving() as (server, _, __):
        before = threading.active_count()
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(CALLERS * 3)]
        silent[-1].settimeout(20)
        assert silent[-1].recv(1) == b""  # turned away, so all before it have been looked at
        assert threading.active_count() - before <= CALLERS
        for caller in silent:
            caller.close()


def test_an_address_that_is_taken_is_told() -> None:
    with serving() as (server, _, __), pytest.raises(UnreachableError, match="listen on"):
        HealthServer(
            "127.0.0.1", server.port, health=lambda: (True, {}), ring=lambda: None, monotonic=Clock()
        )


def test_the_program_and_its_version_are_not_told() -> None:
    with serving() as (server, _, __):
        assert "Python" not in str(ask(server, "GET", "/healthz")[2])

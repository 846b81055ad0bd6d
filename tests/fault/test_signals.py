"""A signal while something hangs: the run ends in time, records what it can, and gives up what it may."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeRepo, write_app
from tests.e2e.conftest import make_repo as make_repo
from tests.e2e.live import snapshot, until
from tests.e2e.manifests import config_map
from tests.e2e.stories import tell
from tests.e2e.workspace import Result, Workspace
from tests.fault.faults import Fault, Hang, ResetBefore
from tests.fault.proxy import FaultyServer
from tests.fault.test_interruption import ended, holder, phase, reach, running

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]  # the first test waits for all stories

PROMISED_S = 7.0  # from the signal to the end of the process
SOON = 1.0  # for a run to be where it hangs
GONE = "environments/dev/manifests/gone.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How the run ended that got the signal, how long it took to, and what it left. ``following`` is the end
    of the same command once more, ``there`` what is in the namespace then."""

    result: Result
    took_s: float
    phase: str
    holder: str
    following: Result
    there: set[str]


@contextmanager
def silent() -> Iterator[str]:
    """The URL of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def prepared(make_repo: MakeRepo) -> Workspace:
    """A release, and the next one committed: an object more and one less."""
    repo = make_repo(create=True)
    write_app(repo)
    repo.manifest("gone.yaml", config_map("gone"))
    repo.commit()
    repo.deployed()
    repo.manifest("more.yaml", config_map("more"))
    repo.remove(GONE)
    repo.commit()
    return repo


def told(repo: Workspace, hangs: Callable[[], Any]) -> Told:
    """Deploy until it hangs, and send the signal."""
    with running(repo) as process:
        until(hangs)
        time.sleep(SOON)
        process.send_signal(signal.SIGTERM)
        sent = time.monotonic()
        result = ended(process)
        took_s = time.monotonic() - sent
    left = phase(repo, 2), holder(repo)
    repo.environ.pop("KUBECONFIG", None)
    repo.environment(deploy="{timeout: 15s}")
    repo.commit()
    following = repo.run("-o", "json", "deploy", "-e", "dev", "--wait-lock", "30s")
    there = {name.partition("/")[2] for name in snapshot(repo) if name.startswith("configmaps/")}
    return Told(result=result, took_s=took_s, phase=left[0], holder=left[1], following=following, there=there)


def at_the_server(make_repo: MakeRepo, folder: Path, fault: Fault, **where: Any) -> Told:
    """Something that a request of the second deploy meets."""
    repo = prepared(make_repo)
    with FaultyServer(repo.cluster, folder) as faulty:
        repo.environ["KUBECONFIG"] = str(faulty.kubeconfig(repo.cluster.token))
        rule = faulty.does(fault, **where)
        return told(repo, lambda: rule.met)


def at_a_check(make_repo: MakeRepo) -> Told:
    repo = prepared(make_repo)
    with silent() as url:
        repo.environment(f"checks: [{{name: home, http: {{url: '{url}'}}, timeout: 60s}}]")
        repo.commit()
        return told(repo, lambda: phase(repo, 2) == "VERIFYING")


def without_a_server(make_repo: MakeRepo, folder: Path) -> Told:
    """From the rollout on nobody is there, for good."""
    repo = prepared(make_repo)
    repo.edit("environments/dev/manifests/web.yaml", "nginx:1.21", "nginx:unready")
    repo.commit()
    with ExitStack() as stack:
        faulty = stack.enter_context(FaultyServer(repo.cluster, folder))
        repo.environ["KUBECONFIG"] = str(faulty.kubeconfig(repo.cluster.token))

        def hangs() -> bool:
            reach(repo, 2, "VERIFYING")
            faulty.does(ResetBefore(), times=10_000)
            return True

        return told(repo, hangs)


WRITES = {
    "a write": {"verb": "patch", "resource": "configmaps"},
    "a deletion": {"verb": "delete", "resource": "configmaps"},
}
BEFORE = {
    "a dry run": {"verb": "patch", "resource": "configmaps", "dry_run": True},
    "a list of records": {"verb": "list", "resource": "secrets"},
    "the lock": {"verb": "update", "resource": "leases"},
    "the intent": {"verb": "create", "resource": "secrets"},
}


@pytest.fixture(scope="module")
def stories(make_repo: MakeRepo, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    def hanging(where: dict[str, Any]) -> Callable[[], Told]:
        return lambda: at_the_server(make_repo, tmp_path_factory.mktemp("proxy"), Hang(), **where)

    return tell(
        {
            "a check": lambda: at_a_check(make_repo),
            "no server": lambda: without_a_server(make_repo, tmp_path_factory.mktemp("proxy")),
            **{name: hanging(where) for name, where in (WRITES | BEFORE).items()},
        }
    )


@pytest.mark.parametrize("name", ["a check", "no server", *WRITES, *BEFORE])
def test_it_ends_in_time_and_the_next_one_takes_over(name: str, stories: dict[str, Told]) -> None:
    story = stories[name]
    assert story.took_s < PROMISED_S
    assert story.result.code == 50, str(story.result)
    assert "Traceback" not in story.result.output
    assert story.following.code == (10 if name == "no server" else 0), str(story.following)
    expected = {"settings", "gone"} if name == "no server" else {"settings", "more"}
    assert story.there == expected


def test_what_is_asked_of_the_application_alone_delays_nothing(stories: dict[str, Told]) -> None:
    """It is recorded, and the lock is given up: nothing of ours is on its way to the server."""
    story = stories["a check"]
    assert (story.phase, story.holder) == ("INTERRUPTED", "")
    assert story.result.document["result"] == "interrupted"


def test_where_no_server_can_be_asked_that_is_told(stories: dict[str, Told]) -> None:
    assert stories["no server"].result.document["result"] == "interrupted"


@pytest.mark.parametrize("name", WRITES)
def test_the_lock_outlives_a_write_that_may_still_be_done(name: str, stories: dict[str, Told]) -> None:
    """Who came at once might be overtaken by it; the Lease ends by itself."""
    story = stories[name]
    assert story.phase in ("APPLYING", "VERIFYING")
    assert story.holder != ""
    assert "did not end in time: the next run takes it over" in story.result.stderr

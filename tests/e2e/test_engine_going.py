"""Objects that are wanted while somebody deletes them: waited for, and never taken for what is wanted."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.audit import Audit, Witness
from tests.e2e.conftest import MakeRepo
from tests.e2e.live import until
from tests.e2e.manifests import config_map
from tests.e2e.stories import tell
from tests.e2e.workspace import Result, Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

FOLDER = "environments/dev/manifests"
HELD = {"metadata": {"finalizers": ["example.com/hold"]}}
LET_GO = {"metadata": {"finalizers": None}}


def patch(repo: Workspace, what: object) -> None:
    repo.kubectl("patch", "configmap/settings", "--type=merge", f"--patch={json.dumps(what)}")


def looks(run: Witness) -> int:
    """How often runs have asked for the object."""
    found = [r for r in run.audit.requests() if r.user == run.user and r.agent == "pipeline"]
    return sum(r.what == "configmaps/settings" for r in found)


@dataclass(frozen=True)
class Told:
    """``before``: the object as it was when somebody began to delete it."""

    run: Witness
    result: Result
    before: Any

    @property
    def now(self) -> Any:
        return self.run.repo.get("configmaps", "settings")


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, audit: Audit) -> dict[str, Told]:
    """The object is let go once the deploy has looked at it, or never; its manifest changes, or not."""

    def story(*, goes: bool, changes: bool) -> Callable[[], Told]:
        def deploy() -> Told:
            run = audit.watch(make_repo(create=True))
            repo = run.repo
            repo.environment()
            repo.manifest("settings.yaml", config_map("settings"))
            repo.commit()
            repo.deployed()
            patch(repo, HELD)
            repo.kubectl("delete", "configmap/settings", "--wait=false")
            if changes:
                repo.manifest("settings.yaml", config_map("settings", value="other"))
                repo.commit()
            before = repo.get("configmaps", "settings")
            letting_go = threading.Thread(target=let_go, args=(run, looks(run)))
            if goes:
                letting_go.start()
            result = run.deploy()
            if goes:
                letting_go.join()
            return Told(run, result, before)

        return deploy

    def let_go(run: Witness, seen: int) -> None:
        until(lambda: looks(run) > seen, "for a look at it")
        patch(run.repo, LET_GO)

    return tell(
        {
            "unchanged": story(goes=True, changes=False),
            "changed": story(goes=True, changes=True),
            "held, unchanged": story(goes=False, changes=False),
            "held, changed": story(goes=False, changes=True),
        }
    )


@pytest.mark.parametrize(("name", "value"), [("unchanged", "value"), ("changed", "other")])
def test_what_is_just_going_is_waited_for_and_made_anew(told: dict[str, Told], name: str, value: str) -> None:
    story = told[name]
    assert story.result.code == 0, str(story.result)
    assert "waiting for what is being deleted" in story.result.stderr
    assert story.now["metadata"]["uid"] != story.before["metadata"]["uid"]
    assert "deletionTimestamp" not in story.now["metadata"]
    assert list(story.now["data"].values()) == [value]
    assert [r.what for r in story.run.writes] == ["configmaps/settings"]


@pytest.mark.parametrize("name", ["held, unchanged", "held, changed"])
def test_what_does_not_go_is_refused_with_what_holds_it(told: dict[str, Told], name: str) -> None:
    story = told[name]
    assert story.result.code == 21, str(story.result)
    (problem,) = story.result.document["problems"]
    assert problem["code"] == "FinalizerStuck"
    assert "is being deleted" in problem["message"]
    assert "example.com/hold" in problem["message"]
    assert (problem["file"], problem["line"]) == (f"{FOLDER}/settings.yaml", 1)
    assert story.run.all_writes == []
    assert story.now == story.before
    patch(story.run.repo, LET_GO)
    again = story.run.deploy()
    assert again.code == 0, str(again)
    assert story.now["metadata"]["uid"] != story.before["metadata"]["uid"]

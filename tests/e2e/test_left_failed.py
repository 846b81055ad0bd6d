"""A release that failed and was left so is not what anybody goes back to, nor what it took over lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.live import snapshot
from tests.e2e.manifests import config_map
from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

WEB_FILE = "environments/dev/manifests/web.yaml"
STAYS = "rollback: {auto: false}\nrollout: {grace: {image: 2s}}"


def left_failed(app: Workspace) -> None:
    """Release 2 stands; release 3 takes a ConfigMap of somebody's over, fails, and policy leaves it so."""
    app.environment(STAYS)
    app.commit()
    app.deployed()
    app.manifest("settings.yaml", config_map("settings", greeting="bye"))
    app.manifest("theirs.yaml", config_map("theirs", colour="red"))
    app.manifest("new.yaml", config_map("new"))
    app.edit(WEB_FILE, "nginx:1.21", "nginx:missing")
    app.commit()
    assert app.json("deploy", "-e", "dev")[0] == 11
    assert app.get("configmaps", "theirs")["data"] == {"colour": "red"}


def theirs(app: Workspace) -> None:
    app.kubectl("create", "configmap", "theirs", "--from-literal=colour=blue", "--from-literal=size=9")


def test_the_next_one_that_fails_goes_back_to_what_was_verified(app: Workspace) -> None:
    app.deployed()
    theirs(app)
    before = snapshot(app)
    left_failed(app)
    app.environment("rollout: {grace: {image: 2s}}")
    app.manifest("more.yaml", config_map("more"))
    app.commit()

    code, report = app.json("deploy", "-e", "dev")

    assert (code, report["result"]) == (10, "rolled-back")
    assert report["rollback"] == {"verified": True, "differences": []}
    assert any(
        "release 3 was left FAILED" in text and "back to release 2" in text for text in report["warnings"]
    )
    assert snapshot(app) == before


def _revert(app: Workspace) -> None:
    app.git("revert", "--no-edit", "HEAD")
    app.deployed()


def _roll_back(app: Workspace) -> None:
    code, report = app.json("rollback", "-e", "dev")
    assert code == 0, report
    app.git("revert", "--no-edit", "HEAD")


@pytest.mark.parametrize("way", [_revert, _roll_back])
def test_what_it_took_over_gets_back_what_it_had(app: Workspace, way: Callable[[Workspace], None]) -> None:
    """To prune it would delete what was somebody's before a release that never stood."""
    app.deployed()
    theirs(app)
    left_failed(app)
    _, plan = app.json("plan", "-e", "dev", "--revision", "HEAD~1")
    planned = {c["object"].split("/")[-1]: c["action"] for c in plan["changes"]}
    assert (planned["theirs"], planned["new"]) == ("update", "delete")

    way(app)

    live = app.get("configmaps", "theirs")
    assert live["data"] == {"colour": "blue", "size": "9"}
    assert "labels" not in live["metadata"]
    assert app.get("configmaps", "settings")["data"] == {"greeting": "hello"}
    assert "configmaps/new" not in snapshot(app)
    assert app.run("deploy", "-e", "dev").code == 0
    assert "configmaps/theirs" in snapshot(app)  # and it is nobody's to prune

"""What was broken before a deploy is told apart from what the deploy, or a failed one before, has broken."""

from __future__ import annotations

import pytest

from tests.e2e.failures import workload
from tests.e2e.live import until
from tests.e2e.manifests import WEB, config_map
from tests.e2e.workspace import Workspace

pytestmark = pytest.mark.cluster

NOT_ROLLED_BACK = "rollback: {auto: false}"
BROKEN = WEB.replace("nginx:1.21", "nginx:missing")


def with_a_new_map(repo: Workspace, name: str) -> None:
    """A commit that changes something else."""
    repo.manifest(f"{name}.yaml", config_map(name))
    repo.commit(name)


def starve(repo: Workspace) -> None:
    """Take the application's pod away, and all room for another, without touching what was deployed."""
    repo.kubectl("create", "quota", "none", "--hard=pods=0")
    repo.kubectl("delete", "pods", "--all", "--wait=false")
    until(lambda: not repo.get("apps/v1/deployments", "web")["status"].get("readyReplicas"), "for it to go")


def test_an_unchanged_object_that_is_unhealthy_is_said_and_not_held_against_the_deploy(
    app: Workspace,
) -> None:
    app.deployed()
    starve(app)
    with_a_new_map(app, "more")

    result = app.run("-o", "json", "deploy", "-e", "dev")

    assert result.code == 0, str(result)
    said = f"apps/Deployment/{app.namespace}/web was InProgress before this deploy and is not waited for"
    assert said in result.stderr


def test_a_changed_object_that_was_unhealthy_is_told_to_have_been(app: Workspace) -> None:
    app.environment(NOT_ROLLED_BACK)
    app.commit()
    app.deployed()
    app.kubectl("set", "image", "deployment/web", "web=nginx:unready")
    until(lambda: app.get("apps/v1/deployments", "web")["status"].get("unavailableReplicas"), "for its pod")
    app.manifest("web.yaml", BROKEN)
    app.commit()

    result = app.run("-o", "json", "deploy", "-e", "dev")

    assert result.code == 11, str(result)
    (cause,) = result.document["causes"]
    assert cause["code"] == "ImageNotFound"
    assert any("before this deploy already" in line for line in cause["evidence"]), cause


def test_what_a_failed_release_has_left_must_become_ready_though_nothing_changes_it(
    repo: Workspace,
) -> None:
    """Else the next revision would be green with it, and the one to go back to."""
    repo.environment(NOT_ROLLED_BACK)
    repo.manifest("web.yaml", BROKEN)
    repo.manifest("settings.yaml", config_map("settings"))
    repo.commit()
    assert repo.run("deploy", "-e", "dev").code == 11
    with_a_new_map(repo, "more")

    result = repo.run("-o", "json", "deploy", "-e", "dev")

    assert result.code == 11, str(result)
    assert [cause["code"] for cause in result.document["causes"]] == ["ImageNotFound"]


def test_old_pods_that_crash_are_not_held_against_the_revision_that_replaces_them(repo: Workspace) -> None:
    crashing = workload("nginx:crash-late", delay="300ms")
    repo.environment(f"{NOT_ROLLED_BACK}\nrollout: {{grace: {{restarts: 2}}, steady: 0s}}")
    repo.manifest("web.yaml", crashing)
    repo.commit()
    repo.run("deploy", "-e", "dev")  # whether it is seen as whole for a moment is not the point
    until(lambda: min(restarts(repo), default=0) > 2, "for its pods to crash")
    repo.manifest("web.yaml", workload("nginx:slow", delay="2s"))
    repo.commit()

    result = repo.run("-o", "json", "deploy", "-e", "dev")

    assert result.code == 0, str(result)
    assert result.document["causes"] == []


def restarts(repo: Workspace) -> list[int]:
    """Of each pod's container."""
    statuses = (pod["status"].get("containerStatuses", ()) for pod in repo.get("pods")["items"])
    return [one["restartCount"] for found in statuses for one in found]


def test_a_deadline_that_another_revision_exceeded_is_not_held_against_its_revert(repo: Workspace) -> None:
    """The condition stays until progress is recorded, though the controller has seen the new spec. Of one
    replica none is, before the other revision's pod is gone."""
    good = workload().replace("  replicas: 2\n", "  replicas: 1\n  progressDeadlineSeconds: 2\n")
    repo.environment(NOT_ROLLED_BACK)
    for manifest, code in ((good, 0), (good.replace("nginx:1.21", "nginx:unready"), 11), (good, 0)):
        repo.manifest("web.yaml", manifest)
        repo.commit()
        result = repo.run("-o", "json", "deploy", "-e", "dev")
        assert result.code == code, str(result)
        codes = {cause["code"] for cause in result.document["causes"]}
        assert ("ProgressDeadlineExceeded" in codes) if code else not codes

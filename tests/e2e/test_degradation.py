"""What falls back while the checks look at the application has not been deployed well."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tests.e2e.conftest import MakeRepo
from tests.e2e.live import answering
from tests.e2e.manifests import SETTINGS, WEB
from tests.e2e.workspace import Result, Workspace

pytestmark = pytest.mark.cluster

MERGE_PATCH = "application/merge-patch+json"


def crash(repo: Workspace) -> None:
    """Let the application's pod crash again and again, some time after it became ready."""
    pods = f"/api/v1/namespaces/{repo.namespace}/pods"
    until = time.monotonic() + 30
    while time.monotonic() < until:
        ready = [pod for pod in repo.cluster.api.call("GET", pods)["items"] if _is_ready(pod)]
        if ready:
            break
        time.sleep(0.1)
    time.sleep(1.0)
    pod = ready[0]
    container = pod["status"]["containerStatuses"][0]
    ended = {"exitCode": 1, "reason": "Error", "startedAt": None, "finishedAt": None}
    broken = {
        **container,
        "ready": False,
        "restartCount": 3,
        "state": {
            "waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}
        },
        "lastState": {"terminated": ended},
    }
    conditions = [
        {**c, "status": "False"} if c["type"] in ("Ready", "ContainersReady") else c
        for c in pod["status"]["conditions"]
    ]
    status = {"status": {"containerStatuses": [broken], "conditions": conditions}}
    repo.cluster.api.call("PATCH", f"{pods}/{pod['metadata']['name']}/status", status, MERGE_PATCH)


def _is_ready(pod: Any) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def deployed(repo: Workspace, url: str, *, borne: int, deadline: str, samples: int = 30) -> Result:
    """What becomes of a deploy whose pod crashes while its check asks ``url``; ``borne``: so many times."""
    repo.manifest("settings.yaml", SETTINGS)
    repo.manifest("web.yaml", WEB)
    check = (
        f"{{name: home, http: {{url: '{url}'}}, samples: {samples}, interval: 500ms, deadline: {deadline}}}"
    )
    repo.environment(f"checks: [{check}]\nrollout: {{grace: {{restarts: {borne}}}}}")
    repo.commit()
    thread = threading.Thread(target=crash, args=(repo,))
    thread.start()
    result = repo.run("-o", "json", "deploy", "-e", "dev")
    thread.join()
    return result


def test_a_crash_within_the_time_of_the_checks_fails_the_deploy(make_repo: MakeRepo) -> None:
    with answering(200) as url:
        result = deployed(make_repo(create=True), url, borne=2, deadline="40s")

    assert result.code == 10, str(result)
    report = result.document
    codes = [cause["code"] for cause in report["causes"]]
    assert codes[:2] == ["Degraded", "CrashLoop"], codes
    assert "was ready and is no longer" in report["causes"][0]["message"]
    assert report["checks"][0]["verdict"] == "skipped"
    assert "failed meanwhile" in report["checks"][0]["reason"]


def test_a_crash_that_is_borne_is_told_with_the_check_that_fails(make_repo: MakeRepo) -> None:
    with answering(500) as url:
        result = deployed(make_repo(create=True), url, borne=99, deadline="20s", samples=12)

    assert result.code == 10, str(result)
    codes = [cause["code"] for cause in result.document["causes"]]
    assert codes == ["CheckFailed", "CrashLoop"], str(result)

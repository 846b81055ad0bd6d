"""What people see of a plan; and plans that are saved and run later: that one, or none and the difference."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.live import until
from tests.e2e.manifests import SECRET, SETTINGS, WEB, config_map
from tests.e2e.refusal import DEPLOY, at, refused
from tests.e2e.workspace import Workspace

PLAN = ("plan", "-e", "dev")
BY_HAND = '{"data": {"greeting": "by hand"}}'


@pytest.fixture
def shop(app: Workspace, tmp_path: Path) -> Workspace:
    """Deployed once; a new commit changes the greeting. Its user has a cache of its own."""
    app.environ["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    app.deployed()
    app.manifest("settings.yaml", SETTINGS.replace("hello", "good day"))
    app.commit("a greeting")
    return app


def save(repo: Workspace, name: str = "plan.json", environment: str = "dev") -> Any:
    """The plan that was saved, as it is in the file."""
    result = repo.run("plan", "-e", environment, "--save", name)
    assert result.code == 0, str(result)
    return json.loads((repo.folder / name).read_text())


def problems(repo: Workspace, *args: str) -> list[str]:
    """What a run that is refused for another plan says of the difference; it writes nothing."""
    before, lock = repo.state(), repo.get("coordination.k8s.io/v1/leases")
    code, report = repo.json(*args)
    assert (code, report["result"], report["release"]) == (22, "plan-changed", None), report
    assert (repo.state(), report["applied"]) == (before, [])
    assert _versions(repo.get("coordination.k8s.io/v1/leases")) == _versions(lock)
    return [problem["message"] for problem in report["problems"]]


def _versions(leases: Any) -> dict[str, str]:
    return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in leases["items"]}


def test_a_saved_plan_is_what_is_shown_and_runs_while_the_world_is_as_it_was(shop: Workspace) -> None:
    document = save(shop)
    assert shop.json(*PLAN) == (0, document)
    assert (shop.folder / "plan.json").stat().st_mode & 0o777 == 0o600
    report = shop.deployed("--plan", "plan.json")
    assert report["plan"]["digest"] == document["digest"]
    assert shop.get("configmaps", "settings")["data"] == {"greeting": "good day"}


def test_a_field_that_somebody_changed_meanwhile_is_named_and_nothing_is_written(shop: Workspace) -> None:
    save(shop)
    shop.kubectl("patch", "configmap", "settings", "--patch", BY_HAND)
    change = "data.greeting: then hello → good day, now by hand → good day"
    says = (f"/ConfigMap/{shop.namespace}/settings: {change}", "--plan sha256:", at("settings.yaml", 1))
    refused(shop, 22, *says, args=(*DEPLOY, "--plan", "./plan.json"))
    assert problems(shop, *DEPLOY, "--plan", "plan.json") == [
        f"/ConfigMap/{shop.namespace}/settings: {change}",
        f"/ConfigMap/{shop.namespace}/settings: fields of other managers: then left to them, now taken",
    ]
    assert shop.get("configmaps", "settings")["data"] == {"greeting": "by hand"}


def test_a_digest_alone_is_explained_where_the_plan_was_made(shop: Workspace, tmp_path: Path) -> None:
    _, document = shop.json(*PLAN)
    shop.kubectl("delete", "configmap", "settings")
    (told,) = problems(shop, *DEPLOY, "--plan", document["digest"])
    assert told == f"/ConfigMap/{shop.namespace}/settings: action: then update, now create"
    shop.environ["XDG_CACHE_HOME"] = str(tmp_path / "of another user")
    _, new = shop.json(*PLAN)
    says = ("--save FILE", f"plan: {new['digest']}", "1 to create, 1 unchanged")
    refused(shop, 22, *says, args=(*DEPLOY, "--plan", document["digest"]))
    assert shop.deployed("--plan", new["digest"])["plan"]["digest"] == new["digest"]


def test_a_plan_that_a_refusal_showed_is_known_from_then_on(shop: Workspace) -> None:
    wrong = "sha256:" + "0" * 64
    code, report = shop.json(*DEPLOY, "--plan", wrong)
    assert code == 22
    shop.kubectl("patch", "configmap", "settings", "--patch", BY_HAND)
    told, *_ = problems(shop, *DEPLOY, "--plan", report["plan"]["digest"])
    assert "now by hand → good day" in told


def test_the_plan_of_another_commit_or_environment_is_refused(shop: Workspace) -> None:
    old = save(shop)["revision"]
    shop.manifest("more.yaml", config_map("more"))
    new = shop.commit("more")
    assert problems(shop, *DEPLOY, "--plan", "plan.json") == [
        f"revision: then {old[:12]}, now {new[:12]}",
        f"/ConfigMap/{shop.namespace}/more: create, which was not in the plan",
    ]
    assert shop.deployed("--plan", "plan.json", "--revision", old)["revision"]["sha"] == old
    shop.environment(name="qa")
    shop.manifest("settings.yaml", SETTINGS, environment="qa")
    shop.commit("qa")
    save(shop, "qa.json", environment="qa")
    assert problems(shop, *DEPLOY, "--plan", "qa.json") == ["it is a plan of environment qa, not of dev"]


def test_a_rollback_that_was_tried_dry_is_the_one_that_runs(shop: Workspace) -> None:
    shop.deployed()
    code, dry = shop.json("rollback", "-e", "dev", "--dry-run")
    assert code == 0
    shop.kubectl("patch", "configmap", "settings", "--patch", BY_HAND)
    rollback = ("rollback", "-e", "dev", "--plan", dry["plan"]["digest"])
    told, *_ = problems(shop, *rollback)
    assert "then good day → hello, now by hand → hello" in told
    _, dry = shop.json("rollback", "-e", "dev", "--dry-run")
    assert shop.json("rollback", "-e", "dev", "--plan", dry["plan"]["digest"])[0] == 0
    assert shop.get("configmaps", "settings")["data"] == {"greeting": "hello"}


HOOK = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: $WHEN
  annotations: {helm.sh/hook: $WHEN}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: it, image: "app:1"}]
"""


def test_the_plan_of_a_first_deploy_has_the_hooks_of_an_installation(app: Workspace) -> None:
    for when in ("post-install", "post-upgrade"):
        app.manifest(f"{when}.yaml", HOOK.replace("$WHEN", when))
    app.commit()
    document = save(app)
    hooks = {c["object"].rpartition("/")[2]: (c["action"], c["hook"]) for c in document["changes"]}
    assert hooks["post-install"] == ("create", "post")
    assert hooks["post-upgrade"] == ("keep", "idle")
    assert "post hook" in app.run(*PLAN).stdout
    assert app.deployed("--plan", "plan.json")["plan"]["digest"] == document["digest"]


def test_no_secret_is_in_a_saved_plan_wherever_it_stands(shop: Workspace) -> None:
    canary = "c4n4ry-S3cr3t"
    shop.manifest("secret.yaml", SECRET.replace("CANARY", canary))
    note = f'metadata:\n      annotations: {{note: "log in with {canary}"}}\n      labels'
    shop.edit("environments/dev/manifests/web.yaml", "metadata:\n      labels", note)
    shop.commit("a secret")
    shop.deployed()
    shop.manifest("secret.yaml", SECRET.replace("CANARY", f"{canary}-two"))
    shop.edit("environments/dev/manifests/web.yaml", canary, f"{canary}-two")
    shop.commit("another secret")
    save(shop)
    kept = [path.read_text() for path in shop.folder.parent.parent.rglob("*.json") if path.is_file()]
    for text in ((shop.folder / "plan.json").read_text(), *kept):
        assert canary[:8] not in text
        assert base64.b64encode(canary.encode()).decode()[:12] not in text
    assert shop.deployed("--plan", "plan.json")["result"] == "ok"


def test_what_is_no_plan_is_a_wrong_command_line(shop: Workspace) -> None:
    shop.write("settings.json", "{}")
    for name in ("settings.json", "missing.json", "no/such/file"):
        refused(shop, 2, name, "--save FILE", args=(*DEPLOY, "--plan", name))


def test_a_place_that_cannot_be_written_is_told_before_any_request(shop: Workspace) -> None:
    nowhere = {"KUBECONFIG": "/nonexistent"}
    assert shop.run(*PLAN, env=nowhere).code == 40
    refused(shop, 2, "no/such/plan.json", args=(*PLAN, "--save", "no/such/plan.json"), env=nowhere)
    refused(shop, 2, "is no file", args=PLAN, env={**nowhere, "PIPELINE_SAVE": "."})


# --- what people see


def test_a_warning_stands_in_the_plan_and_at_its_line_in_github(app: Workspace, tmp_path: Path) -> None:
    app.manifest("web.yaml", WEB.replace(":1.21", ""))
    app.commit()
    result = app.run(*PLAN)
    warning = f"warning: {at('web.yaml', 15)}: Deployment/web: the image nginx has neither tag nor digest"
    assert result.stdout.splitlines()[-1].startswith(warning)
    assert "neither tag nor digest" not in result.stderr
    step = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    code, document = app.run("-o", "json", *PLAN, env=step).code, app.json(*PLAN)[1]
    assert (code, [(w["line"], w["warning"]) for w in document["warnings"]]) == (0, [(15, True)])
    for command in (PLAN, (*DEPLOY, "--dry-run")):
        lines = app.run(*command, env=step).stderr.splitlines()
        (annotation,) = [line for line in lines if line.startswith("::")]
        assert annotation.startswith("::warning file=environments/dev/manifests/web.yaml,line=15,")
    assert "neither tag nor digest" in (tmp_path / "summary.md").read_text()


def test_warnings_alone_are_ok_for_github(app: Workspace, tmp_path: Path) -> None:
    app.manifest("outside.yaml", "apiVersion: v1\nkind: Endpoints\nmetadata: {name: outside}\n")
    app.commit()
    step = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(tmp_path / "output")}
    result = app.run("-o", "json", "validate", "--target-version", "1.36", env=step)
    assert (result.code, [p["warning"] for p in result.document["problems"]]) == (0, [True])
    assert "\nok\n" in (tmp_path / "output").read_text()


def test_missing_rights_are_shown_with_the_role_to_be_applied(app: Workspace) -> None:
    user = "limited-3"
    reads = ["--verb=get,list", "--resource=secrets,configmaps,deployments.apps,leases,events"]
    app.kubectl("create", "role", "reader", *reads)
    app.kubectl("create", "rolebinding", "reader", "--role=reader", f"--user={user}")
    login = {"KUBECONFIG": str(app.cluster.user_kubeconfig(user))}
    result = until(lambda: _plan_without_rights(app, login), "for the role to count")
    head, _, role = result.stderr.partition("next: grant what is missing:\n")
    assert f"{at('settings.yaml', 1)}: {user} may not create, patch" in head
    hints = [problem["hint"] for problem in app.json(*PLAN, env=login)[1]["problems"]]
    assert len(hints) == 2
    assert all(hint.startswith("add to a Role of it: {") for hint in hints)
    app.kubectl("apply", "-f", "-", stdin=role)
    until(lambda: app.run(*PLAN, env=login).code == 0, "for the role that was shown to count")


def _plan_without_rights(app: Workspace, login: dict[str, str]) -> Any:
    result = app.run(*PLAN, env=login)
    return result if "grant what is missing" in result.stderr else None

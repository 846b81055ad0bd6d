"""What only a cluster can know: logins, rights, dry runs, ownership. Told in one line, nothing written."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import write_app
from tests.e2e.manifests import SETTINGS, WEB, config_map
from tests.e2e.refusal import DEPLOY, at, refused
from tests.e2e.workspace import Workspace

TAKEN_BY_KUBECTL = config_map("by-kubectl", colour="red")
TAKEN_BY_CONTROLLER = config_map("by-controller", colour="red")


@pytest.fixture(scope="module")
def standing(make_repo: Callable[..., Workspace]) -> Workspace:
    """A deployed application, to which every test adds its own mistake."""
    repo = make_repo(create=True)
    write_app(repo)
    repo.git("tag", "good")
    repo.deployed()
    return repo


@pytest.fixture
def good(standing: Workspace) -> Iterator[Workspace]:
    standing.git("reset", "--quiet", "--hard", "good")
    standing.git("clean", "-fdq")
    yield standing
    standing.git("reset", "--quiet", "--hard", "good")


def _changed(tmp_path: Path, repo: Workspace, **changes: dict[str, object]) -> str:
    """A copy of the administrator's kubeconfig with other values in its cluster, user or context."""
    config = json.loads(repo.cluster.kubeconfig.read_text())
    for part, values in changes.items():
        config[f"{part}s"][0][part] |= values
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    return str(path)


# --- logins


def test_a_server_that_does_not_listen_is_unreachable(good: Workspace, tmp_path: Path) -> None:
    with socket.socket() as held:  # bound and not listening: nobody else gets the port
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        kubeconfig = _changed(tmp_path, good, cluster={"server": f"https://127.0.0.1:{port}"})
        refused(good, 40, str(port), "next:", args=(*DEPLOY, "--kubeconfig", kubeconfig))


def test_a_wrong_token_is_unreachable(good: Workspace, tmp_path: Path) -> None:
    kubeconfig = _changed(tmp_path, good, user={"token": "expired-long-ago"})
    result = refused(good, 40, "refused the login", "next:", args=(*DEPLOY, "--kubeconfig", kubeconfig))
    assert "expired-long-ago" not in result.output


def test_a_missing_kubeconfig_is_told(good: Workspace, tmp_path: Path) -> None:
    path = str(tmp_path / "absent")
    refused(good, 40, path, args=(*DEPLOY, "--kubeconfig", path))


def test_an_unknown_context_is_told_with_those_that_are_there(good: Workspace) -> None:
    refused(good, 40, "pipeline-lokal", "pipeline-local", args=(*DEPLOY, "--context", "pipeline-lokal"))


@pytest.mark.parametrize("user", ["viewer", "nobody"])
def test_missing_rights_are_told_with_verb_and_resource(good: Workspace, user: str) -> None:
    good.manifest("settings.yaml", SETTINGS.replace("hello", "changed"))
    good.commit("a change")
    kubeconfig = str(good.cluster.user_kubeconfig(user))
    refused(good, 21, "list secrets", f'User "{user}" cannot', args=(*DEPLOY, "--kubeconfig", kubeconfig))


# --- the dry run


BAD_OBJECTS = {
    "a wrong field": (WEB.replace("replicas", "replica"), 6, "replica"),
    "an unknown kind": (SETTINGS.replace("v1", "example.com/v1").replace("ConfigMap", "Gadget"), 2, "Gadget"),
    "a wrong type": (WEB.replace("replicas: 1", "replicas: many"), 6, "replicas"),
    "a changed selector": (WEB.replace("{app: web}", "{app: other}"), 7, "immutable"),
    "an invalid value": (WEB.replace("replicas: 1", "replicas: -1"), 6, "spec.replicas"),
    "an unknown reference": (WEB.replace("name: settings", "name: setings"), 17, "settings"),
}


@pytest.mark.parametrize("name", BAD_OBJECTS)
def test_what_the_server_refuses_is_told_with_its_line(good: Workspace, name: str) -> None:
    text, line, word = BAD_OBJECTS[name]
    file = "settings.yaml" if "Gadget" in text else "web.yaml"
    good.manifest(file, text)
    good.commit(name)
    refused(good, 21, at(file, line), word, "nothing was written")


def test_every_refusal_of_the_server_is_told_at_once(good: Workspace) -> None:
    good.manifest("a.yaml", WEB.replace("name: web\n", "name: a\n", 1).replace("replicas", "replica"))
    good.manifest("b.yaml", WEB.replace("name: web\n", "name: b\n", 1).replace("replicas: 1", "replicas: -1"))
    good.commit("two mistakes")
    refused(good, 21, at("a.yaml", 6), at("b.yaml", 6), args=("plan", "-e", "dev"))


def test_a_field_of_a_controller_is_a_conflict_that_names_it(good: Workspace) -> None:
    body = config_map("contested", colour="blue")
    good.kubectl("apply", "--server-side", "--field-manager=some-controller", "-f", "-", stdin=body)
    good.manifest("contested.yaml", config_map("contested", colour="red"))
    good.commit("contested")
    refused(good, 21, "some-controller", "allow.conflicts: take", at("contested.yaml", 5))
    _, report = good.json(*DEPLOY)
    assert [problem["code"] for problem in report["problems"]] == ["FieldConflict"]
    assert good.get("configmaps", "contested")["data"] == {"colour": "blue"}
    good.environment("allow: {conflicts: take}")
    good.commit("take it")
    code, plan = good.json("plan", "-e", "dev")
    assert code == 0
    assert "some-controller" in json.dumps(plan)


def test_an_object_of_another_application_is_refused(good: Workspace) -> None:
    labels = "metadata:\n  labels: {pipeline/application: other, pipeline/environment: dev}\n  name: theirs"
    good.kubectl("create", "-f", "-", stdin=f"apiVersion: v1\nkind: ConfigMap\n{labels}\n")
    good.manifest("theirs.yaml", config_map("theirs"))
    good.commit("theirs")
    refused(good, 21, "other", at("theirs.yaml", 1))


# --- guards


def test_a_mass_deletion_is_refused(make_repo: Callable[..., Workspace]) -> None:
    repo = make_repo(create=True)
    repo.environment("prune: {maxDeletions: 3, maxPercent: 100}")
    for number in range(5):
        repo.manifest(f"map-{number}.yaml", config_map(f"map-{number}"))
    repo.commit("five")
    repo.deployed()
    for number in range(4):
        repo.remove(f"environments/dev/manifests/map-{number}.yaml")
    repo.commit("one left")
    refused(repo, 21, "delete 4 of 5", "prune.maxDeletions")
    repo.environment("prune: {maxDeletions: 10, maxPercent: 50}")
    repo.commit("by percent")
    refused(repo, 21, "delete 4 of 5", "maxPercent")
    repo.environment("prune: {maxDeletions: 10, maxPercent: 100}")
    repo.commit("meant")
    report = repo.deployed()
    assert sum(change["action"] == "delete" for change in report["plan"]["changes"]) == 4
    assert repo.get("configmaps", "map-0") is None


def test_a_plan_that_changed_is_refused_and_the_named_one_runs(app: Workspace) -> None:
    _, plan = app.json("plan", "-e", "dev")
    wrong = "sha256:" + "0" * 64
    refused(app, 22, plan["digest"], args=(*DEPLOY, "--plan", wrong))
    report = app.deployed("--plan", plan["digest"])
    assert report["plan"]["digest"] == plan["digest"]
    refused(app, 22, args=(*DEPLOY, "--plan", plan["digest"]))  # the world has moved: it was deployed


# --- the environment's own namespace


def test_a_namespace_that_is_missing_is_told(repo: Workspace) -> None:
    repo.environment(createNamespace="false")
    repo.manifest("settings.yaml", SETTINGS)
    repo.commit()
    refused(repo, 21, repo.namespace, "createNamespace: true")


def test_a_namespace_that_was_made_for_a_refused_plan_goes_again(repo: Workspace) -> None:
    repo.environment()
    repo.manifest("web.yaml", WEB.replace("replicas", "replica"))
    repo.commit()
    refused(repo, 21, "replica")
    assert not repo.namespace_exists()


def test_planning_makes_no_namespace(repo: Workspace) -> None:
    repo.environment()
    repo.manifest("settings.yaml", SETTINGS)
    repo.commit()
    assert repo.json("plan", "-e", "dev")[0] == 0
    code, report = repo.json("deploy", "-e", "dev", "--dry-run")
    assert (code, report["release"], report["applied"]) == (0, None, [])
    assert not repo.namespace_exists()

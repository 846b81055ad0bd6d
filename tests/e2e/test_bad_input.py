"""Mistakes in the command line, in git and in the files: told in one line each, nothing written."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.manifests import SETTINGS, WEB, config_map
from tests.e2e.refusal import DEPLOY, at, refused
from tests.e2e.workspace import Workspace


@pytest.fixture(scope="module")
def shared(make_repo: Callable[..., Workspace]) -> Workspace:
    """A good first commit, to which every test adds its own mistake. Never deployed."""
    repo = make_repo()
    repo.environment()
    repo.manifest("settings.yaml", SETTINGS)
    repo.commit("good")
    repo.git("tag", "good")
    return repo


@pytest.fixture
def good(shared: Workspace) -> Workspace:
    shared.git("reset", "--quiet", "--hard", "good")
    shared.git("clean", "-fdq")
    return shared


def test_an_unknown_environment_is_told_with_the_nearest_name(good: Workspace) -> None:
    refused(good, 20, "no environment 'dew'", "did you mean dev", args=("deploy", "-e", "dew"))


def test_a_folder_that_is_no_repository_is_told(good: Workspace, tmp_path: Path) -> None:
    refused(good, 20, str(tmp_path), args=(*DEPLOY, "-C", str(tmp_path)))
    refused(good, 20, "absent", args=(*DEPLOY, "-C", str(tmp_path / "absent")))


def test_a_repository_without_a_commit_is_told(repo: Workspace) -> None:
    repo.environment()
    refused(repo, 20, "commit")


@pytest.mark.parametrize("revision", ["nowhere", "deadbeef", "--help", "HEAD~99", "a b", "x..y"])
def test_an_unknown_revision_is_told(good: Workspace, revision: str) -> None:
    refused(good, 20, revision, args=(*DEPLOY, f"--revision={revision}"))


BAD_FILES = {
    "a syntax error": ("a: b: c\n", 1, "mapping values"),
    "a tab": ("apiVersion: v1\nkind: ConfigMap\n\tmetadata: {}\n", 3, "tab"),
    "a key twice": (SETTINGS + "  greeting: again\n", 7, "greeting"),
    "no kind": ("apiVersion: v1\nmetadata: {name: a}\n", 1, "kind"),
    "no name": ("apiVersion: v1\nkind: ConfigMap\nmetadata: {labels: {a: b}}\n", 3, "name"),
    "the same object": (SETTINGS, 1, "settings.yaml:1"),
    "a list of words": ("- a\n- b\n", 1, "not a Kubernetes object"),
    "a foreign namespace": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: kube-system}\n",
        3,
        "kube-system",
    ),
    "a cluster-scoped kind": (
        "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: a}\nvalue: 1\n",
        2,
        "clusterScoped",
    ),
    "a PodSecurityPolicy": (
        "apiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata: {name: a}\nspec: {}\n",
        1,
        "Pod Security Admission",
    ),
    "a key that is not there": (
        WEB.replace(
            "envFrom:\n            - configMapRef: {name: settings}",
            "env:\n            - {name: A, valueFrom: {configMapKeyRef: {name: settings, key: greetnig}}}",
        ),
        17,
        "did you mean greeting",
    ),
    "a misspelt field": (WEB.replace("containers:", "contaners:"), 13, "did you mean containers?"),
    "an unknown name in depends-on": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations:\n"
        "    pipeline/depends-on: /ConfigMap/$NS/settigns\n",
        6,
        "settings",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_manifest_is_told_with_its_line(good: Workspace, name: str) -> None:
    text, line, word = BAD_FILES[name]
    good.manifest("zz.yaml", text)
    good.commit(name)
    place = at("zz.yaml", line) if line else at("zz.yaml", 1).rpartition(":")[0]
    result = refused(good, 20, place, word, "nothing was written")
    told = [entry for entry in result.stdout.splitlines() if place in entry]
    assert len(told) == 1, "one line, one problem"
    assert not good.namespace_exists()


def test_every_problem_of_every_file_is_told_at_once(good: Workspace) -> None:
    for number, (text, _, _) in enumerate(BAD_FILES.values()):
        good.manifest(f"bad-{number:02}.yaml", text)
    good.commit("all of them")
    result = refused(good, 20, args=("-o", "json", "validate"))
    told = " ".join(f"{problem['file']} {problem['message']}" for problem in result.document["problems"])
    # The order is only looked at when every object is good: depends-on comes later.
    for number in range(len(BAD_FILES) - 1):
        assert f"bad-{number:02}.yaml" in told


def test_a_cycle_is_told_with_its_members(good: Workspace) -> None:
    for name, needs in (("a", "b"), ("b", "c"), ("c", "a")):
        needed = f"metadata:\n  annotations: {{pipeline/depends-on: /ConfigMap/$NS/{needs}}}\n  name: {name}"
        good.manifest(f"{name}.yaml", f"apiVersion: v1\nkind: ConfigMap\n{needed}\n")
    good.commit("a cycle")
    refused(good, 20, "in a cycle", *(f"ConfigMap/{good.namespace}/{name}" for name in "abc"))


BAD_ENVIRONMENTS = {
    "an unknown key": ("prun: {enabled: true}", "did you mean prune"),
    "a policy that is not enforced": ("promotion: {from: [qa], soak: 30m}", "soak"),
    "a wrong type": ("prune: {maxDeletions: many}", "maxDeletions"),
    "a wrong duration": ("rollout: {grace: {image: 5 minutes}}", "image"),
    "an unknown choice": ("allow: {conflicts: ignore}", "refuse"),
}


@pytest.mark.parametrize("name", BAD_ENVIRONMENTS)
def test_a_bad_environment_file_is_told_with_its_line(good: Workspace, name: str) -> None:
    more, word = BAD_ENVIRONMENTS[name]
    good.environment(more)
    good.commit(name)
    line = (good.folder / "environments/dev/environment.yaml").read_text().count("\n")
    refused(good, 20, f"environments/dev/environment.yaml:{line}", word)


def test_an_environment_outside_the_repository_is_refused(good: Workspace) -> None:
    good.environment(sources="[{manifests: ../../../elsewhere}]")
    good.commit("outside")
    refused(good, 20, "environments/dev/environment.yaml:8", "elsewhere")


def test_an_empty_manifest_folder_is_told(good: Workspace) -> None:
    good.remove("environments/dev/manifests/settings.yaml")
    good.manifest("README.md", "nothing here\n")
    good.commit("empty")
    refused(good, 20, "environments/dev/environment.yaml:8", "manifests", "nothing was written")


def test_a_set_without_objects_is_told(good: Workspace) -> None:
    good.manifest("settings.yaml", "# nothing\n---\n")
    good.commit("only comments")
    refused(good, 20, "no manifests", "nothing was written")


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("depoly",),
        ("deploy", "--nosuch"),
        ("deploy", "--env", "dev"),  # no abbreviations: they would bind us
        ("-o", "xml", "status"),
        ("plan",),
        ("history",),
        ("rollback",),
        ("rollback", "-e", "dev", "--to", "last"),
        ("promote",),
        ("deploy", "--plan", "sha256:0"),
        ("deploy", "-e", "dev", "--wait-lock", "soon"),
        ("assess",),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_ends_with_2(good: Workspace, args: tuple[str, ...]) -> None:
    assert refused(good, 2, args=args).stdout == ""


def test_a_wrong_value_in_the_environment_ends_with_2(good: Workspace) -> None:
    refused(good, 2, "PIPELINE_OUTPUT", args=("status",), env={"PIPELINE_OUTPUT": "xml"})
    refused(good, 2, "PIPELINE_VERBOSE", args=("status",), env={"PIPELINE_VERBOSE": "much"})
    refused(good, 2, "--wait-lock", args=DEPLOY, env={"PIPELINE_WAIT_LOCK": "soon"})


def test_an_unknown_file_is_told(good: Workspace) -> None:
    refused(good, 20, "absent.yaml", args=("assess", "-f", "absent.yaml"))


@pytest.mark.parametrize("command", ["deploy", "plan", "render", "validate", "changes", "status", "history"])
def test_json_is_one_document_also_for_an_error(good: Workspace, command: str) -> None:
    code, document = good.json(command, "-e", "dew")
    assert (code, document["schema"]) == (20, "pipeline/problems/v1")
    (problem,) = document["problems"]
    assert set(problem) == {"file", "line", "column", "code", "message", "hint"}
    assert "dev" in problem["hint"]


def test_help_lists_every_exit_code(good: Workspace) -> None:
    result = good.run("--help")
    assert result.code == 0
    for code in (0, 1, 2, 10, 11, 12, 13, 20, 21, 22, 23, 30, 40, 50, 70):
        assert f"\n{code:5} " in result.stdout


def test_a_reader_that_goes_away_is_no_error(good: Workspace) -> None:
    for command in (good.command("render", "-e", "dev"), good.command("--help")):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            command,
            cwd=good.folder,
            env=good.variables(),
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        os.close(write)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_work_tree_does_not_count(good: Workspace) -> None:
    good.manifest("settings.yaml", "a: b: c\n")
    good.manifest("more.yaml", config_map("more"))
    code, document = good.json("render", "-e", "dev")
    assert code == 0
    assert [o["metadata"]["name"] for o in document["objects"]] == ["settings"]
    assert document["objects"][0]["data"] == {"greeting": "hello"}

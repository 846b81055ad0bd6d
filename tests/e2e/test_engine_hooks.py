"""Hooks of Argo CD and Helm: when they run, what their failure stops, and that nothing else runs them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.audit import Audit, Witness
from tests.e2e.conftest import MakeRepo
from tests.e2e.manifests import SETTINGS, config_map
from tests.e2e.stories import tell
from tests.e2e.workspace import Result

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

FOLDER = "environments/dev/manifests"
ARGO, HELM = "argocd.argoproj.io/hook", "helm.sh/hook"


def hook(name: str, *notes: str, image: str = "run:1") -> str:
    """A Job with annotations, one a line."""
    return "\n".join(
        [
            "apiVersion: batch/v1",
            "kind: Job",
            f"metadata:\n  name: {name}\n  annotations:",
            *(f"    {note}" for note in notes),
            "spec:\n  backoffLimit: 0\n  template:\n    spec:\n      restartPolicy: Never",
            f"      containers: [{{name: main, image: '{image}'}}]\n",
        ]
    )


SETS = {
    "argo": {
        "settings.yaml": SETTINGS,
        "pre.yaml": hook("pre", f"{ARGO}: PreSync"),
        "post.yaml": hook("post", f"{ARGO}: PostSync", f"{ARGO}-delete-policy: HookSucceeded"),
        "fail.yaml": hook("fail", f"{ARGO}: SyncFail"),
    },
    "helm": {
        "settings.yaml": SETTINGS,
        "late.yaml": hook("a-late", f"{HELM}: 'pre-install,pre-upgrade'", f"{HELM}-weight: '5'"),
        "early.yaml": hook("z-early", f"{HELM}: pre-install", f"{HELM}-weight: '-5'"),
        "up.yaml": hook("up", f"{HELM}: post-upgrade", f"{HELM}-delete-policy: hook-succeeded"),
    },
}

Runs = dict[str, tuple[list[tuple[str, str]], Result]]
"""A deploy's name → its writes to objects in order, and what it ended with."""


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, audit: Audit) -> dict[str, tuple[Witness, Runs]]:
    def story(name: str) -> Callable[[], tuple[Witness, Runs]]:
        def deploy() -> tuple[Witness, Runs]:
            run = audit.watch(make_repo(create=True))
            repo, runs = run.repo, Runs()
            repo.environment()
            for file, text in SETS[name].items():
                repo.manifest(file, text)
            repo.commit()

            def deploy_as(what: str) -> None:
                result = run.deploy()
                assert result.code == 0, f"{what}: {result}"
                writes = run.all_writes if what == "unchanged" else run.writes
                runs[what] = [(r.verb, r.what) for r in writes], result

            deploy_as("first")
            deploy_as("unchanged")
            repo.manifest("settings.yaml", SETTINGS.replace("hello", "bye"))
            repo.commit()
            deploy_as("changed")
            return run, runs

        return deploy

    return tell({name: story(name) for name in SETS})


@pytest.mark.parametrize("name", SETS)
def test_a_deploy_that_changes_nothing_runs_no_hook_and_writes_nothing(
    told: dict[str, tuple[Witness, Runs]], name: str
) -> None:
    assert told[name][1]["unchanged"][0] == []


def test_presync_runs_before_all_and_postsync_after_all(told: dict[str, tuple[Witness, Runs]]) -> None:
    _, runs = told["argo"]
    written = [what for verb, what in runs["first"][0] if verb == "patch"]
    assert written == ["jobs/pre", "configmaps/settings", "jobs/post"]


def test_a_hook_that_runs_again_is_made_anew(told: dict[str, tuple[Witness, Runs]]) -> None:
    _, runs = told["argo"]
    assert runs["changed"][0] == [
        ("delete", "jobs/pre"),
        ("patch", "jobs/pre"),
        ("patch", "configmaps/settings"),
        ("patch", "jobs/post"),
        ("delete", "jobs/post"),
    ]


def test_a_hook_that_is_to_go_once_it_succeeded_is_deleted(told: dict[str, tuple[Witness, Runs]]) -> None:
    run, _ = told["argo"]
    assert run.repo.get("batch/v1/jobs", "post") is None
    assert run.repo.get("batch/v1/jobs", "pre") is not None
    assert run.repo.get("batch/v1/jobs", "fail") is None, "nothing failed"


def test_hooks_of_an_installation_run_by_weight_and_only_then(
    told: dict[str, tuple[Witness, Runs]],
) -> None:
    _, runs = told["helm"]
    assert runs["first"][0] == [
        ("patch", "jobs/z-early"),
        ("patch", "jobs/a-late"),
        ("patch", "configmaps/settings"),
    ]
    assert runs["changed"][0] == [
        ("delete", "jobs/a-late"),
        ("patch", "jobs/a-late"),
        ("patch", "configmaps/settings"),
        ("patch", "jobs/up"),
        ("delete", "jobs/up"),
    ]


# --- failures


BROKEN = "run:crash"


@pytest.fixture(scope="module")
def failed(make_repo: MakeRepo, audit: Audit) -> dict[str, tuple[Witness, Result, list[str]]]:
    """A hook before all that fails; before it there was a release, or none; it goes back, or not."""

    def story(
        environment: str = "", *, first: bool = False, **spec: str
    ) -> Callable[[], tuple[Witness, Result, list[str]]]:
        def deploy() -> tuple[Witness, Result, list[str]]:
            run = audit.watch(make_repo(create=True))
            repo = run.repo
            repo.environment(environment, **spec)
            repo.manifest("settings.yaml", SETTINGS)
            repo.manifest("other.yaml", config_map("other"))
            for phase in ("PreSync", "PostSync", "SyncFail"):
                repo.manifest(f"{phase}.yaml", hook(phase.lower(), f"{ARGO}: {phase}"))
            repo.commit()
            if not first:
                repo.deployed()
            repo.manifest("PreSync.yaml", hook("presync", f"{ARGO}: PreSync", image=BROKEN))
            repo.manifest("settings.yaml", SETTINGS.replace("hello", "bye"))
            repo.commit()
            result = run.deploy()
            return run, result, [f"{r.verb} {r.what}" for r in run.writes]

        return deploy

    return tell(
        {
            "back": story(),
            "first": story(first=True),
            "stays": story("rollback: {auto: false}"),
            "goes on": story(deploy="{timeout: 40s, onError: continue}"),
        }
    )


@pytest.mark.parametrize(("name", "code"), [("back", 10), ("first", 10), ("stays", 11), ("goes on", 10)])
def test_a_failed_hook_before_all_stops_all_behind_it(
    failed: dict[str, tuple[Witness, Result, list[str]]], name: str, code: int
) -> None:
    _, result, writes = failed[name]
    assert result.code == code, str(result)
    assert "patch configmaps/settings" not in writes
    assert "patch jobs/postsync" not in writes
    (cause,) = result.document["causes"]
    assert cause["code"] == "JobFailed"
    assert cause["origin"].startswith(f"{FOLDER}/PreSync.yaml:")


@pytest.mark.parametrize("name", ["back", "stays", "goes on"])
def test_after_a_failure_its_hook_runs_and_no_other_hook_again(
    failed: dict[str, tuple[Witness, Result, list[str]]], name: str
) -> None:
    run, result, writes = failed[name]
    assert writes[:3] == ["delete jobs/presync", "patch jobs/presync", "patch jobs/syncfail"], str(result)
    assert not [one for one in writes[3:] if "patch" in one or "create" in one], writes
    assert run.repo.get("configmaps", "settings")["data"] == {"greeting": "hello"}

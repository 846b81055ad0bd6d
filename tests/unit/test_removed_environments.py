"""Environments that were there at the base and are no more: named, never passed over."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.adapters.git import GitRepository
from pipeline.core import leftovers
from pipeline.model.environment import Environment
from pipeline.model.errors import InvalidError, UnreachableError
from pipeline.model.objects import Object, ObjectRef
from pipeline.model.release import InventoryEntry
from pipeline.model.views import EnvironmentChanges
from pipeline.report import document, github, tables
from pipeline.run.removed_environments import OpenSession, removed_environments
from tests.unit.git_shop import config_map, environment, shop, web, workspace, write
from tests.unit.test_git import commit_all, run_git
from tests.unit.test_git_shapes import told

QA = "environments/qa"


@pytest.fixture
def folder(tmp_path: Path, home: Path) -> Path:
    made = tmp_path / "shop"
    shop(made)
    return made


def removed(folder: Path, base: str = "HEAD~1", open_session: OpenSession | None = None) -> Any:
    place = workspace(folder)
    resolve = place.repository.resolve
    return removed_environments(place, resolve("HEAD"), [resolve(base)], open_session)


def without_qa(folder: Path) -> str:
    shutil.rmtree(folder / QA)
    return commit_all(folder, "no qa")


def test_an_environment_whose_folder_is_gone_is_named_with_what_it_had(folder: Path) -> None:
    without_qa(folder)
    (found,) = removed(folder)
    assert (found.name, found.affected, found.removed) == ("qa", True, True)
    assert found.files == ((f"{QA}/environment.yaml", "deleted"), (f"{QA}/manifests/web.yaml", "deleted"))
    assert [str(ref) for ref in found.objects] == ["/ConfigMap/qa/web"]
    assert found.because[0].startswith("qa was removed: ")
    assert "no run deletes it" in found.because[1]


def test_without_its_file_a_folder_is_no_environment_any_more(folder: Path) -> None:
    (folder / QA / "environment.yaml").unlink()
    commit_all(folder)
    (found,) = removed(folder)
    assert (found.name, found.files) == ("qa", ((f"{QA}/environment.yaml", "deleted"),))


def test_a_renamed_environment_is_gone_by_its_old_name(folder: Path) -> None:
    environment(folder, "prod")
    without_qa(folder)
    assert [one.name for one in removed(folder)] == ["qa"]


def test_what_was_never_readable_is_still_named(folder: Path) -> None:
    write(folder, f"{QA}/environment.yaml", "broken: [")
    commit_all(folder)
    without_qa(folder)
    (found,) = removed(folder)
    assert (found.name, found.affected, found.objects) == ("qa", True, ())
    assert "what it was cannot be read" in found.because[1]


def test_a_folder_that_was_a_link_is_gone_with_it(folder: Path) -> None:
    shutil.move(folder / QA, folder / "shared-qa")
    (folder / QA).symlink_to("../shared-qa")
    commit_all(folder)
    (folder / QA).unlink()
    commit_all(folder)
    assert [one.name for one in removed(folder)] == ["qa"]


def test_where_all_are_there_none_is_gone(folder: Path) -> None:
    web(folder, "two")
    assert removed(folder) == []


# --- the command


def test_the_command_shows_it_and_the_matrix_has_no_job_for_it(folder: Path) -> None:
    write(folder, "environments/dev/manifests/web.yaml", config_map("web", "two"))
    without_qa(folder)
    shown, said = told(folder)
    assert "dev: affected" in shown
    assert "qa: removed" in shown
    assert "deleted   environments/qa/environment.yaml" in shown
    assert said == ""
    matrix, said = told(folder, "--matrix")
    assert json.loads(matrix) == {"include": [{"environment": "dev"}]}
    assert "qa was removed" in said
    found = json.loads(told(folder, "-o", "json")[0])["environments"]
    assert [(e["name"], e["affected"], e.get("removed")) for e in found] == [
        ("dev", True, None),
        ("qa", True, True),
    ]


def test_a_removed_environment_can_be_asked_for_by_name(folder: Path) -> None:
    without_qa(folder)
    shown, _ = told(folder, "-e", "qa")
    assert shown.startswith("qa: removed")
    assert "qa" not in told(folder, "-e", "dev")[0]


def test_the_last_environment_of_all_is_named_when_it_goes(folder: Path) -> None:
    shutil.rmtree(folder / "environments")
    commit_all(folder)
    shown, _ = told(folder)
    assert [line[:8] for line in shown.splitlines() if not line.startswith(" ")] == ["dev: rem", "qa: remo"]


def test_outputs_of_a_step_name_no_environment_that_cannot_be_deployed() -> None:
    gone = EnvironmentChanges(name="qa", base="a" * 40, revision="b" * 40, affected=True, removed=True)
    assert github.changes_outputs([gone])["environment"] == ""
    assert document.matrix_document([gone]) == {"include": []}
    assert tables.changes_text([gone]).startswith("qa: removed")


def test_who_asks_for_a_removed_environment_is_told_that_it_was_removed(folder: Path) -> None:
    last = run_git(folder, "rev-parse", "HEAD")
    head = without_qa(folder)
    place = workspace(folder)
    with pytest.raises(InvalidError) as caught:
        place.environment("qa", head)
    assert caught.value.hint.startswith(f"it was removed after {last[:12]}: `pipeline changes -e qa`")
    with pytest.raises(InvalidError) as caught:
        place.environment("dve", head)
    assert caught.value.hint == "did you mean dev?"


# --- history


def test_the_last_commit_that_had_a_file_is_found_however_long_ago(folder: Path) -> None:
    last = web(folder, "two")
    without_qa(folder)
    head = web(folder, "three")
    repository = GitRepository(folder)
    assert repository.last_with(head, f"{QA}/environment.yaml") == last
    assert repository.last_with(head, "environments/never/environment.yaml") == ""
    assert repository.last_with(head, "environments/*/environment.yaml") == ""


def test_a_file_that_a_merge_took_away_is_found_in_the_branch_that_had_it(folder: Path) -> None:
    start = run_git(folder, "rev-parse", "HEAD")
    run_git(folder, "checkout", "-q", "-b", "side")
    environment(folder, "prod")
    side = commit_all(folder)
    run_git(folder, "checkout", "-q", "main")
    run_git(folder, "merge", "-q", "--no-ff", "--no-commit", "side")
    shutil.rmtree(folder / "environments/prod")
    head = commit_all(folder, "merged without prod")
    assert GitRepository(folder).last_with(head, "environments/prod/environment.yaml") == side
    assert GitRepository(folder).last_with(start, "environments/prod/environment.yaml") == ""


# --- what is left in its cluster


def live(name: str, *, environment: str = "qa", kind: str = "ConfigMap", **annotations: str) -> Object:
    meta = {
        "name": name,
        "namespace": "qa",
        "uid": name,
        "labels": {"pipeline/application": "shop", "pipeline/environment": environment},
        "annotations": {key.replace("__", "/"): value for key, value in annotations.items()},
    }
    return {"apiVersion": "v1", "kind": kind, "metadata": meta}


def entry(name: str, kind: str = "ConfigMap") -> InventoryEntry:
    return InventoryEntry(
        ref=ObjectRef("", kind, "qa", name),
        api_version="v1",
        uid=name,
        generation=0,
        resource_version="",
        content="",
        origin="",
    )


def left_of(objects: list[Object], *more: str) -> tuple[leftovers.Leftovers, list[str]]:
    qa = Environment(name="qa", application="shop", namespace="qa", path="x")
    kinds = {o["metadata"]["name"]: o["kind"] for o in objects}
    inventory = [entry(name, kinds.get(name, "ConfigMap")) for name in (*kinds, *more)]
    left = leftovers.leftovers(qa, inventory, {ObjectRef.of(o): o for o in objects})
    return left, list(leftovers.sentences(qa, left, 7))


def test_what_is_still_there_is_told_with_the_command_that_deletes_it() -> None:
    left, sentences = left_of([live("a"), live("b", kind="Service")], "deleted-by-hand")
    assert [ref.name for ref in left.objects] == ["a", "b"]
    assert sentences == [
        "left in the cluster by its release 7: 2 objects; no run deletes them",
        "to delete what is left: kubectl delete configmap,secret,service -n qa "
        "-l pipeline/application=shop,pipeline/environment=qa",
    ]


def test_what_another_environment_took_over_is_not_left() -> None:
    left, sentences = left_of([live("a", environment="prod")])
    assert left.objects == ()
    assert "nothing of its release 7 is left in the cluster but its record" in sentences[0]


def test_a_kind_with_something_to_be_kept_is_in_no_command() -> None:
    left, sentences = left_of([live("a", pipeline__prune="keep"), live("b"), live("c", kind="Service")])
    assert [ref.name for ref in left.going] == ["b", "c"]
    assert "kubectl delete secret,service -n qa" in sentences[1]
    assert sentences[2] == "/ConfigMap/qa/a would be kept: annotation pipeline/prune: keep"


def test_a_cluster_that_cannot_be_asked_hides_no_removal(folder: Path) -> None:
    def down(_: Environment) -> Any:
        raise UnreachableError("reach the cluster: no route")

    without_qa(folder)
    (found,) = removed(folder, open_session=down)
    assert found.affected
    assert found.because[1] == "what is left of it in its cluster is not known: reach the cluster: no route"


def test_what_has_no_record_left_is_named_and_affects_nothing(folder: Path) -> None:
    without_qa(folder)
    session = cast("Any", SimpleNamespace(releases=SimpleNamespace(latest=lambda: None)))
    (found,) = removed(folder, open_session=lambda _: session)
    assert (found.removed, found.affected, found.objects) == (True, False, ())

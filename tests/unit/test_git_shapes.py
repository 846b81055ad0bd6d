"""What counts as changed, for every shape that a history and a tree can have; on real repositories."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pipeline.model.errors import InvalidError
from pipeline.model.release import Phase
from pipeline.model.views import EnvironmentChanges
from pipeline.report import document, github, tables
from pipeline.run import job
from pipeline.run.session import Session
from pipeline.run.touched import SAME
from tests.unit.git_shop import (
    MANIFESTS,
    WEB,
    changes,
    config_map,
    environment,
    names,
    shop,
    web,
    workspace,
    write,
)
from tests.unit.test_git import commit_all, run_git

ROOT = Path(__file__).parents[2]
DEV = MANIFESTS.format("dev")
ZEROS = "0" * 40


@pytest.fixture
def folder(tmp_path: Path, home: Path) -> Path:
    made = tmp_path / "shop"
    shop(made)
    return made


def head(folder: Path, revision: str = "HEAD") -> str:
    return run_git(folder, "rev-parse", revision)


# --- histories


def test_what_changed_since_the_recorded_release_counts_not_since_the_last_commit(folder: Path) -> None:
    recorded = head(folder)
    web(folder, "two")
    write(folder, "README.md", "x")
    commit_all(folder)
    found = changes(folder, recorded)
    assert found.because == (f"{WEB} was modified, and is a source of dev",)
    assert (found.base, found.files, names(found)) == (recorded, ((WEB, "modified"),), ["web"])
    assert not changes(folder, recorded, name="qa").affected


def test_an_explicit_base_wins_over_the_record(folder: Path) -> None:
    recorded = head(folder)
    changed = web(folder, "two")
    assert not changes(folder, recorded, base=changed).affected
    assert not changes(folder, recorded, base="main").affected
    assert changes(folder, changed, base="main~1").affected


def test_a_base_that_is_misspelt_is_a_mistake_not_a_reason_to_deploy(folder: Path) -> None:
    with pytest.raises(InvalidError, match="mian"):
        changes(folder, head(folder), base="mian")


def test_of_a_new_branch_the_zeros_are_no_base_and_the_record_counts(folder: Path) -> None:
    assert not changes(folder, head(folder), base=ZEROS).affected


def test_what_was_never_deployed_is_new_whatever_the_event_says(folder: Path) -> None:
    before = head(folder)
    found = changes(folder, "", before=before)
    assert found.because == ("it was never deployed successfully, so everything is new",)
    assert (found.affected, names(found)) == (True, ["web"])


@pytest.mark.parametrize("base", ["", "f" * 40])
def test_a_lost_base_affects_everything_and_the_push_is_told_as_a_hint(folder: Path, base: str) -> None:
    before = head(folder)
    web(folder, "two")
    found = changes(folder, "e" * 40, base=base, before=before)
    assert found.affected
    assert found.base == ""
    assert (base or "e" * 40)[:12] in found.because[0]
    assert "everything counts as changed" in found.because[0]
    assert (
        found.because[1]
        == f"in the last push alone, since {before[:12]}: {WEB} was modified, and is a source of dev"
    )
    of_qa = changes(folder, "e" * 40, name="qa", base=base, before=before)
    assert of_qa.affected, "a hint never makes less of it"
    assert of_qa.because[1].endswith("none of the files of qa changed")


def test_squashed_commits_are_what_was_deployed_of_their_branch(folder: Path) -> None:
    run_git(folder, "checkout", "-q", "-b", "feature")
    web(folder, "two")
    deployed = web(folder, "three")
    run_git(folder, "checkout", "-q", "main")
    run_git(folder, "merge", "-q", "--squash", "feature")
    commit_all(folder, "squashed")
    assert not changes(folder, deployed).affected


def test_after_a_rebase_only_what_came_below_counts(folder: Path) -> None:
    run_git(folder, "checkout", "-q", "-b", "feature")
    deployed = web(folder, "two")
    run_git(folder, "checkout", "-q", "main")
    write(folder, f"{DEV}/other.yaml", config_map("other"))
    commit_all(folder)
    run_git(folder, "checkout", "-q", "feature")
    run_git(folder, "rebase", "-q", "main")
    assert changes(folder, deployed).files == ((f"{DEV}/other.yaml", "added"),)


def test_a_merge_brings_what_its_branch_changed(folder: Path) -> None:
    run_git(folder, "checkout", "-q", "-b", "feature")
    web(folder, "two")
    run_git(folder, "checkout", "-q", "main")
    write(folder, "README.md", "x")
    deployed = commit_all(folder)
    run_git(folder, "merge", "-q", "--no-ff", "-m", "merge", "feature")
    assert changes(folder, deployed).files == ((WEB, "modified"),)


def test_a_revert_of_what_runs_counts_and_the_revert_of_a_revert_is_what_runs(folder: Path) -> None:
    deployed = web(folder, "two")
    run_git(folder, "revert", "--no-edit", deployed)
    assert changes(folder, deployed).files == ((WEB, "modified"),)
    run_git(folder, "revert", "--no-edit", head(folder))
    assert not changes(folder, deployed).affected
    assert workspace(folder).repository.is_ancestor(head(folder), deployed) is False


def test_a_revert_of_what_never_ran_counts_for_nothing(folder: Path) -> None:
    deployed = head(folder)
    run_git(folder, "revert", "--no-edit", web(folder, "two"))
    assert not changes(folder, deployed).affected


def test_an_old_commit_is_known_as_older_than_what_runs(folder: Path) -> None:
    old = head(folder)
    running = web(folder, "two")
    place = workspace(folder)
    assert place.repository.is_ancestor(old, running) is True
    assert changes(folder, running, revision=old).files == ((WEB, "modified"),)


def test_a_forced_push_that_took_the_base_away_is_compared_as_long_as_it_is_here(folder: Path) -> None:
    first = head(folder)
    deployed = web(folder, "two")
    run_git(folder, "reset", "-q", "--hard", first)
    write(folder, f"{DEV}/other.yaml", config_map("other"))
    commit_all(folder)
    assert changes(folder, deployed).files == ((f"{DEV}/other.yaml", "added"), (WEB, "modified"))


@pytest.mark.parametrize("annotated", [(), ("-a", "-m", "one")])
def test_a_tag_is_compared_as_its_commit(folder: Path, annotated: tuple[str, ...]) -> None:
    recorded = head(folder)
    tagged = web(folder, "two")
    run_git(folder, "tag", *annotated, "v1")
    web(folder, "three")
    found = changes(folder, recorded, revision="v1")
    assert (found.revision, found.affected) == (tagged, True)
    assert not changes(folder, tagged, base="v1", revision="v1").affected


def test_a_detached_head_is_compared_like_any_commit(folder: Path) -> None:
    recorded = head(folder)
    web(folder, "two")
    run_git(folder, "checkout", "-q", "--detach")
    assert changes(folder, recorded).affected


def test_a_linked_work_tree_is_compared_by_its_own_head(folder: Path, tmp_path: Path) -> None:
    recorded = head(folder)
    run_git(folder, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    web(tmp_path / "side", "two")
    assert changes(tmp_path / "side", recorded).affected
    assert not changes(folder, recorded).affected


def test_a_dirty_work_tree_changes_nothing(folder: Path) -> None:
    recorded = head(folder)
    write(folder, WEB, "broken: [")
    write(folder, f"{DEV}/new.yaml", "also broken: [")
    (folder / "environments/dev/environment.yaml").unlink()
    run_git(folder, "add", "-A")
    found = changes(folder, recorded)
    assert not found.affected
    place = workspace(folder)
    (manifest,) = place.render(place.environment("dev", recorded), recorded, lambda *_: None)
    assert manifest.body["data"] == {"word": "one"}


@pytest.mark.parametrize("phase", [Phase.APPLYING, Phase.INTERRUPTED, Phase.FAILED, Phase.ROLLBACK_FAILED])
def test_what_a_release_left_unfinished_affects_though_no_file_changed(folder: Path, phase: Phase) -> None:
    found = looked_at(folder, phase)
    assert found.affected
    assert found.because == (f"its release 2 was left {phase}",)


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.ROLLED_BACK])
def test_what_a_release_left_in_order_is_no_reason(folder: Path, phase: Phase) -> None:
    assert not looked_at(folder, phase).affected


def looked_at(folder: Path, phase: Phase) -> EnvironmentChanges:
    """The newest release is in ``phase``; the one before it was verified, at HEAD."""
    revision = head(folder)
    releases = ((2, phase), (1, Phase.SUCCEEDED))
    heads = [
        SimpleNamespace(
            number=number, phase=one, revision=revision, is_open=one in (Phase.APPLYING, Phase.INTERRUPTED)
        )
        for number, one in releases
    ]
    session = SimpleNamespace(releases=SimpleNamespace(history=lambda: heads))
    place = workspace(folder)
    return job.changes_of(place, cast("Session", session), place.environment("dev", revision), revision, "")


# --- what counts


def test_files_that_no_environment_has_touch_nothing_and_that_is_said(folder: Path) -> None:
    recorded = head(folder)
    for path in (
        "README.md",
        "environments/notes.yaml",
        "environments/dev2/manifests/web.yaml",
        "a/web.yaml",
    ):
        write(folder, path, "x")
    commit_all(folder)
    found = [changes(folder, recorded, name=name) for name in ("dev", "qa")]
    assert [(one.affected, one.because, one.files, one.objects) for one in found] == [(False, (), (), ())] * 2
    assert "dev: not affected" in tables.changes_text(found)
    assert document.matrix_document(found) == {"include": []}
    assert "matrix" in github.changes_outputs(found)


def test_a_rename_across_environments_affects_both(folder: Path) -> None:
    write(folder, f"{DEV}/moved.yaml", config_map("moved"))
    recorded = commit_all(folder)
    run_git(folder, "mv", f"{DEV}/moved.yaml", f"{MANIFESTS.format('qa')}/moved.yaml")
    commit_all(folder)
    of_dev, of_qa = (changes(folder, recorded, name=name) for name in ("dev", "qa"))
    assert (of_dev.files, names(of_dev)) == (((f"{DEV}/moved.yaml", "deleted"),), ["moved"])
    assert (of_qa.files, names(of_qa)) == (((f"{MANIFESTS.format('qa')}/moved.yaml", "added"),), ["moved"])
    assert of_dev.objects != of_qa.objects


def test_a_rename_within_an_environment_is_told_with_no_object_that_differs(folder: Path) -> None:
    recorded = head(folder)
    run_git(folder, "mv", WEB, f"{DEV}/renamed.yaml")
    commit_all(folder)
    found = changes(folder, recorded)
    assert [change for _, change in found.files] == ["added", "deleted"]
    assert (found.affected, found.objects, found.because[-1]) == (True, (), SAME)


def _mode(path: Path) -> None:
    path.chmod(0o755)


def _crlf(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def _comment(path: Path) -> None:
    path.write_text("# why\n" + path.read_text())


@pytest.mark.parametrize("change", [_mode, _crlf, _comment])
def test_a_change_that_no_object_shows_counts_and_is_told_as_that(folder: Path, change: object) -> None:
    """The file counts, as what reads it may be a chart or a generator; what to expect of it is said."""
    recorded = head(folder)
    assert callable(change)
    change(folder / WEB)
    commit_all(folder)
    found = changes(folder, recorded)
    assert found.files == ((WEB, "modified"),)
    assert (found.affected, found.objects, found.because[-1]) == (True, (), SAME)


def test_of_a_file_with_many_objects_those_that_differ_are_told_also_those_that_are_gone(
    folder: Path,
) -> None:
    write(folder, WEB, "---\n".join(config_map(name) for name in ("a", "b", "c")))
    recorded = commit_all(folder)
    write(folder, WEB, "---\n".join([config_map("a"), config_map("b", "two"), config_map("d")]))
    commit_all(folder)
    assert names(changes(folder, recorded)) == ["b", "d", "c"]


def test_another_namespace_makes_all_objects_others(folder: Path) -> None:
    recorded = head(folder)
    file = folder / "environments/dev/environment.yaml"
    file.write_text(file.read_text().replace("namespace: dev", "namespace: dev-2"))
    commit_all(folder)
    found = changes(folder, recorded)
    assert found.because == ("environments/dev/environment.yaml was modified, and configures dev",)
    assert [ref.namespace for ref in found.objects] == ["dev-2", "dev"]


def test_an_environment_that_is_new_since_its_base_has_only_new_objects(folder: Path) -> None:
    recorded = head(folder)
    environment(folder, "prod")
    commit_all(folder)
    assert names(changes(folder, recorded, name="prod")) == ["web"]


def test_a_repository_with_longer_ids_is_compared_alike(tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "long"
    folder.mkdir()
    run_git(folder, "init", "-q", "--object-format=sha256")
    environment(folder, "dev")
    recorded = commit_all(folder)
    assert len(recorded) == 64
    web(folder, "two")
    assert changes(folder, recorded).files == changes(folder, "", base=recorded).files == ((WEB, "modified"),)
    for lost in (changes(folder, "e" * 64), changes(folder, recorded, base="e" * 64)):
        assert "everything counts as changed" in lost.because[0]


# --- the command


def told(folder: Path, *arguments: str, **environ: str) -> tuple[str, str]:
    """(stdout, stderr) of `changes` since the first commit; no cluster is asked."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIPELINE_", "GITHUB_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "changes", "--base", "HEAD~1", *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, done.stderr


def test_the_matrix_names_the_affected_and_a_pull_request_asks_for_its_base(folder: Path) -> None:
    for name, branch in (("dev", "main"), ("qa", "release")):
        file = folder / f"environments/{name}/environment.yaml"
        file.write_text(
            file.read_text().replace("namespace:", f"deploy: {{onMerge: true, branch: {branch}}}, namespace:")
        )
    commit_all(folder)
    web(folder, "two")
    write(folder, f"{MANIFESTS.format('qa')}/web.yaml", config_map("web", "two"))
    run_git(folder, "add", "-A")
    run_git(folder, "commit", "-q", "--amend", "-m", "both")
    run_git(folder, "checkout", "-q", "--detach")
    both = [{"environment": "dev"}, {"environment": "qa"}]
    assert json.loads(told(folder, "--matrix")[0]) == {"include": both}
    pull = {"GITHUB_REF": "refs/pull/7/merge", "GITHUB_BASE_REF": "release"}
    assert json.loads(told(folder, "--matrix", "--on-merge", **pull)[0]) == {"include": both[1:]}
    assert json.loads(told(folder, "--matrix", "--on-merge")[0]) == {"include": []}
    web(folder, "two", "nothing")
    assert json.loads(told(folder, "--matrix")[0]) == {"include": []}


def test_what_cannot_be_told_of_its_objects_is_said_beside_the_result(folder: Path) -> None:
    write(folder, WEB, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    commit_all(folder)
    shown, said = told(folder, "-e", "dev")
    assert f"{WEB} was modified" in shown
    assert f"dev: its objects cannot be told: {WEB}:1: {WEB} is a pointer of Git LFS" in said
    assert len(said.splitlines()) == 1


# --- paths


@pytest.mark.parametrize(
    "name",
    [
        "a b.yaml",
        " .yaml",
        "line\nbreak.yaml",
        "tab\t.yaml",
        "é – 名.yaml",  # noqa: RUF001 - a dash that looks like another
        '"q".yaml',
        "-o.yaml",
        "a\\b.yaml",
    ],
)
def test_a_path_may_hold_whatever_utf8_has(folder: Path, name: str) -> None:
    recorded = head(folder)
    write(folder, f"{DEV}/{name}", config_map("odd"))
    commit_all(folder)
    found = changes(folder, recorded)
    assert (found.files, names(found)) == (((f"{DEV}/{name}", "added"),), ["odd"])
    lines = tables.changes_text([found]).splitlines()
    assert sum("added" in line for line in lines) == 2, "one line each, for the reason and the file"
    assert document.changes_document([found])["environments"][0]["files"][0]["path"] == f"{DEV}/{name}"


def test_a_path_that_is_not_utf8_affects_and_is_shown_and_what_reads_it_is_refused(folder: Path) -> None:
    recorded = head(folder)
    with open(os.fsencode(folder / DEV) + b"/caf\xe9.yaml", "w") as stream:  # noqa: PTH123
        stream.write(config_map("odd"))
    revision = commit_all(folder)
    place = workspace(folder)
    dev = place.environment("dev", revision)
    found = job.compare(place, dev, revision, "", recorded)
    assert found.files == ((f"{DEV}/caf\\xe9.yaml", "added"),)
    assert found.affected
    with pytest.raises(InvalidError) as caught:
        place.render(dev, revision, lambda *_: None)
    assert [p.code for p in caught.value.problems] == ["path-not-utf8"]


def test_paths_that_differ_only_in_case_are_both_read_and_told(folder: Path) -> None:
    write(folder, f"{DEV}/Web.yaml", config_map("other"))
    write(folder, "docs/Read.yaml", "x")
    write(folder, "docs/read.yaml", "x")
    revision = commit_all(folder)
    place = workspace(folder)
    dev = place.environment("dev", revision)
    assert len(place.render(dev, revision, lambda *_: None)) == 2
    (remark,) = place.remarks(dev, revision)
    assert (remark.code, remark.warning) == ("case-collision", True)
    assert f"{DEV}/Web.yaml and {WEB} differ only in case" in remark.message
    assert not place.remarks(place.environment("qa", revision), revision)


def test_accents_that_are_encoded_in_two_ways_are_told_like_case(folder: Path) -> None:
    write(folder, f"{DEV}/caf\u00e9.yaml", config_map("a"))
    write(folder, f"{DEV}/cafe\u0301.yaml", config_map("b"))
    revision = commit_all(folder)
    place = workspace(folder)
    (remark,) = place.remarks(place.environment("dev", revision), revision)
    assert remark.code == "case-collision"


# --- links, submodules, LFS


def link(folder: Path, path: str, target: str) -> None:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    file.symlink_to(target)


@pytest.fixture
def linked(folder: Path) -> Path:
    """dev reads base/one.yaml by a link, base/all by a link to a folder, more/x.yaml by a link in there."""
    for path in ("base/one.yaml", "base/all/two.yaml", "more/three.yaml", "base/unused.yaml"):
        write(folder, path, config_map(Path(path).stem))
    link(folder, "base/all/three.yaml", "../../more/three.yaml")
    link(folder, f"{DEV}/one.yaml", "../../../base/one.yaml")
    link(folder, f"{DEV}/all", "../../../base/all")
    commit_all(folder)
    return folder


@pytest.mark.parametrize(
    ("path", "by"),
    [
        ("base/one.yaml", f"{DEV}/one.yaml"),
        ("base/all/two.yaml", f"{DEV}/all"),
        ("base/all/new.yaml", f"{DEV}/all"),
        ("more/three.yaml", "base/all/three.yaml"),
    ],
)
def test_a_change_behind_a_link_affects_and_the_link_is_named(linked: Path, path: str, by: str) -> None:
    recorded = head(linked)
    write(linked, path, config_map(Path(path).stem, "changed"))
    commit_all(linked)
    found = changes(linked, recorded)
    change = "added" if "new" in path else "modified"
    target = "base/all" if by.endswith("/all") else path
    assert found.because == (f"{path} was {change}, and is used by dev: {DEV} ← {by} ← {target}",)
    assert (found.files, names(found)) == (((path, change),), [Path(path).stem])
    assert not changes(linked, recorded, name="qa").affected


def test_what_lies_beside_a_links_target_affects_nothing(linked: Path) -> None:
    recorded = head(linked)
    write(linked, "base/unused.yaml", "x")
    commit_all(linked)
    assert not changes(linked, recorded).affected


def test_a_file_that_is_deleted_behind_a_link_to_its_folder_affects(linked: Path) -> None:
    recorded = head(linked)
    (linked / "base/all/two.yaml").unlink()
    commit_all(linked)
    found = changes(linked, recorded)
    assert (found.files, names(found)) == ((("base/all/two.yaml", "deleted"),), ["two"])


def test_a_link_that_leads_elsewhere_now_affects(linked: Path) -> None:
    recorded = head(linked)
    link(linked, f"{DEV}/one.yaml", "../../../base/unused.yaml")
    commit_all(linked)
    found = changes(linked, recorded)
    assert (found.files, names(found)) == (((f"{DEV}/one.yaml", "modified"),), ["unused", "one"])


def test_a_link_in_the_middle_that_leads_elsewhere_now_affects(linked: Path) -> None:
    recorded = head(linked)
    link(linked, "base/all/three.yaml", "../unused.yaml")
    commit_all(linked)
    found = changes(linked, recorded)
    assert found.files == (("base/all/three.yaml", "modified"),)
    assert names(found) == ["unused", "three"]


def test_a_file_that_becomes_a_link_to_the_same_content_shows_no_object(folder: Path) -> None:
    recorded = head(folder)
    write(folder, "base/web.yaml", (folder / WEB).read_text())
    link(folder, WEB, "../../../base/web.yaml")
    commit_all(folder)
    found = changes(folder, recorded)
    assert (found.affected, found.objects) == (True, ())


@pytest.mark.parametrize("moved", ["environments/dev", "environments/dev/manifests"])
def test_a_folder_on_the_way_that_is_a_link_affects_when_it_or_its_target_changes(
    folder: Path, moved: str
) -> None:
    run_git(folder, "mv", moved, "real")
    link(folder, moved, "../" * moved.count("/") + "real")
    recorded = commit_all(folder)
    file = "real/manifests/web.yaml" if moved == "environments/dev" else "real/web.yaml"
    write(folder, file, config_map("web", "two"))
    second = commit_all(folder)
    found = changes(folder, recorded)
    (why,) = found.because
    assert why.startswith(f"{file} was modified, and is used by dev: {DEV} ← ")
    assert moved in why
    assert names(found) == ["web"]
    run_git(folder, "mv", "real", "other")
    link(folder, moved, "../" * moved.count("/") + "other")
    commit_all(folder)
    assert (moved, "modified") in changes(folder, second).files
    (folder / moved).unlink()
    run_git(folder, "mv", "other", moved)
    third = head(folder)
    commit_all(folder)
    assert (moved, "deleted") in changes(folder, third).files


def test_a_file_of_an_environment_that_is_read_by_a_link_configures_it(folder: Path) -> None:
    run_git(folder, "mv", "environments/dev", "real")
    link(folder, "environments/dev", "../real")
    recorded = commit_all(folder)
    file = folder / "real/environment.yaml"
    file.write_text(file.read_text().replace("namespace: dev", "namespace: dev-2"))
    commit_all(folder)
    found = changes(folder, recorded)
    assert found.files == (("real/environment.yaml", "modified"),)
    assert [ref.namespace for ref in found.objects] == ["dev-2", "dev"]


def test_a_target_that_is_gone_affects_and_the_deploy_says_so(linked: Path) -> None:
    recorded = head(linked)
    (linked / "base/one.yaml").unlink()
    revision = commit_all(linked)
    place = workspace(linked)
    dev = place.environment("dev", revision)
    found = job.compare(place, dev, revision, "", recorded)
    chain = f"{DEV} ← {DEV}/one.yaml ← base/one.yaml"
    assert found.because == (f"base/one.yaml was deleted, and is used by dev: {chain}",)
    with pytest.raises(InvalidError) as caught:
        place.render(dev, revision, lambda *_: None)
    assert [p.code for p in caught.value.problems] == ["symlink-dangling"]


@pytest.mark.parametrize("target", ["/etc/hostname", "../../../../outside.yaml"])
def test_a_link_out_of_the_repository_affects_and_is_refused_where_it_stands(
    folder: Path, target: str
) -> None:
    recorded = head(folder)
    write(folder.parent, "outside.yaml", config_map("secret", "CANARY"))
    link(folder, f"{DEV}/out.yaml", target)
    revision = commit_all(folder)
    place = workspace(folder)
    dev = place.environment("dev", revision)
    assert job.compare(place, dev, revision, "", recorded).files == ((f"{DEV}/out.yaml", "added"),)
    with pytest.raises(InvalidError) as caught:
        place.render(dev, revision, lambda *_: None)
    assert [p.code for p in caught.value.problems] == ["symlink-outside"]
    assert "CANARY" not in str(caught.value.problems)


def test_a_submodule_is_not_followed_and_that_is_said(folder: Path) -> None:
    recorded = head(folder)
    for path in (f"{DEV}/module", "elsewhere"):
        run_git(folder, "update-index", "--add", "--cacheinfo", f"160000,{recorded},{path}")
    run_git(folder, "commit", "-q", "-m", "module")
    found = changes(folder, recorded)
    assert (found.affected, found.files) == (False, ())
    place = workspace(folder)
    (remark,) = place.remarks(place.environment("dev", head(folder)), head(folder))
    assert (remark.code, remark.warning) == ("submodule", True)
    assert remark.message == f"{DEV}/module is a submodule, whose files are not read"
    assert not place.remarks(place.environment("qa", head(folder)), head(folder))
    before = head(folder)
    run_git(folder, "update-index", "--cacheinfo", f"160000,{before},{DEV}/module")
    run_git(folder, "commit", "-q", "-m", "moved")
    assert not changes(folder, before).affected
    run_git(folder, "rm", "-q", "--cached", f"{DEV}/module")
    run_git(folder, "commit", "-q", "-m", "removed")
    assert not changes(folder, before).affected


def test_files_that_become_a_submodule_are_gone(folder: Path) -> None:
    write(folder, f"{DEV}/lib/a.yaml", config_map("a"))
    recorded = commit_all(folder)
    run_git(folder, "rm", "-q", "-r", f"{DEV}/lib")
    run_git(folder, "update-index", "--add", "--cacheinfo", f"160000,{recorded},{DEV}/lib")
    run_git(folder, "commit", "-q", "-m", "module")
    found = changes(folder, recorded)
    assert (found.files, names(found)) == (((f"{DEV}/lib/a.yaml", "deleted"),), ["a"])


def test_a_pointer_of_lfs_affects_and_is_refused_with_its_file(folder: Path) -> None:
    recorded = head(folder)
    write(folder, WEB, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    revision = commit_all(folder)
    place = workspace(folder)
    dev = place.environment("dev", revision)
    assert job.compare(place, dev, revision, "", recorded).files == ((WEB, "modified"),)
    with pytest.raises(InvalidError) as caught:
        place.render(dev, revision, lambda *_: None)
    (problem,) = caught.value.problems
    assert (problem.code, problem.origin and problem.origin.path) == ("lfs-pointer", WEB)

"""``history`` and ``report`` tell of releases from their records alone."""

from __future__ import annotations

import pytest

from tests.e2e.audit import Audit, Witness
from tests.e2e.conftest import MakeRepo, write_app
from tests.e2e.manifests import SECRET, config_map
from tests.e2e.test_engine_rights import grant
from tests.e2e.workspace import Result

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, audit: Audit) -> tuple[Witness, list[Result]]:
    """Two releases, the second rolled back; from then on with the right to read Secrets alone."""
    repo = make_repo(create=True)
    write_app(repo)
    repo.manifest("secret.yaml", SECRET)
    repo.commit()
    results = [repo.run("-o", "json", "deploy", "-e", "dev")]
    repo.manifest("secret.yaml", SECRET.replace("CANARY", "second-CANARY"))
    repo.manifest("settings.yaml", config_map("settings", greeting="bye"))
    repo.edit("environments/dev/manifests/web.yaml", "nginx:1.21", "nginx:missing")
    repo.commit()
    results.append(repo.run("-o", "json", "deploy", "-e", "dev"))
    assert [r.code for r in results] == [0, 10], results
    run = audit.watch(repo, limited=True)
    grant(run, repo.namespace, ("", ["secrets"], ["get", "list"]))
    return run, results


@pytest.mark.parametrize("number", [1, 2])
def test_a_report_is_the_one_that_the_run_gave(told: tuple[Witness, list[Result]], number: int) -> None:
    run, results = told
    then = results[number - 1].document

    result = run.run("report", str(number), "-e", "dev")

    assert result.code == 0, str(result)
    now = result.document
    assert now["timings"].pop("total") == pytest.approx(then["timings"].pop("total"), abs=0.5)
    assert now == then
    assert "CANARY" not in result.output
    asked = {r.resource for r in run.requests}
    assert asked <= {"secrets", "selfsubjectreviews"}
    assert not run.all_writes


def test_history_needs_no_other_right(told: tuple[Witness, list[Result]]) -> None:
    run, _ = told
    result = run.run("history", "-e", "dev")
    assert result.code == 0, str(result)
    assert [r["result"] for r in result.document["releases"]] == ["rolled-back", "ok"]


def test_a_page_is_written_whole_and_without_secrets(told: tuple[Witness, list[Result]]) -> None:
    repo = told[0].repo
    file = repo.folder.parent / "page.html"

    result = repo.run("report", "2", "--html", str(file))  # the only environment need not be named

    assert result.code == 0, str(result)
    assert result.stdout.startswith("dev: rolled-back (exit code 10): release 2")
    page = file.read_text()
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")
    assert "ImageNotFound" in page
    assert "masked" in page
    assert "CANARY" not in page + result.output
    assert repo.run("-o", "markdown", "report", "2").stdout.startswith("### dev: rolled-back")


@pytest.mark.parametrize(
    ("args", "code", "hint"),
    [
        (("report", "9"), 21, "kept: 2, 1"),
        (("report", "last"), 2, "no release number"),
        (("report", "2", "--html", "/nowhere/page.html"), 2, "No such file"),
        (("report",), 2, "RELEASE"),
    ],
)
def test_what_cannot_be_reported_is_told(
    told: tuple[Witness, list[Result]], args: tuple[str, ...], code: int, hint: str
) -> None:
    result = told[0].repo.run(*args)
    assert result.code == code, str(result)
    assert hint in result.output

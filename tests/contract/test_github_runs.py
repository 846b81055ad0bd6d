"""What GitHub says of the run that holds a lock, from a stand-in on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.adapters.github_runs import GithubRuns
from pipeline.core.holder import github_run, holder_name
from tests.contract.fake_server import Reply, Script, serving

RUN = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.example.com",
    "GITHUB_REPOSITORY": "shop/web.site",
    "GITHUB_RUN_ID": "4711",
    "GITHUB_RUN_ATTEMPT": "2",
}
HOLDER = holder_name("ana", "runner-7", "0badc0de", RUN)
URL = "https://github.example.com/shop/web.site/actions/runs/4711/attempts/2"


@pytest.fixture
def script() -> Iterator[Script]:
    with serving() as script:
        yield script


def ended(script: Script, holder: str = HOLDER, **environ: str) -> tuple[str, list[str]]:
    """(what is said, what was warned of)."""
    warnings: list[str] = []
    values = {
        "GITHUB_SERVER_URL": "https://github.example.com",
        "GITHUB_API_URL": script.server,
        "GITHUB_TOKEN": "ghs_CANARY",
        **environ,
    }
    return GithubRuns(values, warnings.append).ended(holder), warnings


def test_a_holder_names_its_run() -> None:
    assert f"ana in {URL} at runner-7 (0badc0de)" == HOLDER
    run = github_run(HOLDER)
    assert run is not None
    assert (run.repository, run.id, run.attempt, str(run)) == ("shop/web.site", "4711", "2", URL)


def test_outside_of_github_a_holder_names_its_machine_alone() -> None:
    assert holder_name("", "laptop", "1", {"GITHUB_RUN_ID": "4711"}) == "unknown at laptop (1)"
    assert github_run("ana at laptop (1)") is None


def test_a_completed_run_is_over_and_the_token_is_ours_first(script: Script) -> None:
    script.says(Reply(body={"status": "completed", "conclusion": "cancelled"}))

    said, warnings = ended(script, PIPELINE_GITHUB_TOKEN="ours")

    assert (said, warnings) == (f"its run {URL} is completed, cancelled, says GitHub", [])
    (request,) = script.requests
    assert request.path == "/repos/shop/web.site/actions/runs/4711/attempts/2"
    assert request.headers["Authorization"] == "Bearer ours"
    ended(script)
    assert script.requests[-1].headers["Authorization"] == "Bearer ghs_CANARY"


@pytest.mark.parametrize("status", ["in_progress", "queued", "waiting", None])
def test_any_other_run_is_not_over(script: Script, status: str | None) -> None:
    script.says(Reply(body={"status": status, "conclusion": None}))
    assert ended(script) == ("", [])


@pytest.mark.parametrize(
    ("reply", "warning"),
    [
        (Reply(404, {"message": "Not Found"}), "GitHub answered 404"),
        (Reply(401, {"message": "Bad credentials"}), "GitHub answered 401"),
        (Reply(301, "", {"Location": "http://127.0.0.1:1/elsewhere"}), "GitHub answered 301"),
        (Reply(200, []), "could not be asked"),
        (Reply(200, "no JSON"), "could not be asked"),
        (Reply(reset=True), "could not be asked"),
    ],
    ids=["404", "401", "301", "list", "text", "reset"],
)
def test_what_github_does_not_say_proves_nothing_and_is_told(
    script: Script, reply: Reply, warning: str
) -> None:
    script.says(reply)

    said, (told,) = ended(script)

    assert said == ""
    assert warning in told
    assert "CANARY" not in told


@pytest.mark.parametrize(
    "holder",
    [
        "ana at runner-7 (0badc0de)",
        HOLDER.replace("github.example.com", "evil.example.com"),
        HOLDER.replace("4711", "../../user"),
        HOLDER.replace("shop/web.site", "a/b/c"),
    ],
)
def test_the_token_is_sent_for_no_other_holder(script: Script, holder: str) -> None:
    script.says(Reply(body={"status": "completed"}))
    assert ended(script, holder) == ("", [])
    assert script.requests == []


def test_without_a_token_nobody_is_asked(script: Script) -> None:
    script.says(Reply(body={"status": "completed"}))
    assert ended(script, GITHUB_TOKEN="") == ("", [])
    assert script.requests == []


def test_the_token_is_not_sent_in_the_clear() -> None:
    warnings: list[str] = []
    values = {
        "GITHUB_SERVER_URL": "https://github.example.com",
        "GITHUB_API_URL": "http://github.example.com",
        "GITHUB_TOKEN": "t",
    }
    assert GithubRuns(values, warnings.append).ended(HOLDER) == ""
    assert "not https" in warnings[0]

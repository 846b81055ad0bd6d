"""What the payload of an event says, and what it may not do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.adapters.github_event import job_token, pushed_from

BEFORE = "a" * 40


def event(tmp_path: Path, content: str) -> dict[str, str]:
    (tmp_path / "event.json").write_text(content)
    return {"GITHUB_EVENT_PATH": str(tmp_path / "event.json")}


def test_a_push_says_where_it_began(tmp_path: Path) -> None:
    assert pushed_from(event(tmp_path, json.dumps({"before": BEFORE, "after": "b" * 40}))) == BEFORE


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"before": "0" * 40}),
        json.dumps({"before": "--output=x"}),
        json.dumps({"before": "main"}),
        json.dumps({"before": 7}),
        json.dumps({"before": None}),
        json.dumps([BEFORE]),
        "{",
        "",
        "[" * 100_000,
        "\udcff".encode(errors="surrogateescape").decode("latin-1"),
    ],
)
def test_what_is_no_commit_is_no_hint(tmp_path: Path, content: str) -> None:
    assert pushed_from(event(tmp_path, content)) == ""


def test_without_an_event_there_is_no_hint(tmp_path: Path) -> None:
    assert pushed_from({}) == ""
    assert pushed_from({"GITHUB_EVENT_PATH": str(tmp_path / "none")}) == ""
    assert pushed_from({"GITHUB_EVENT_PATH": str(tmp_path)}) == ""


def test_our_own_token_goes_before_that_of_the_job() -> None:
    assert job_token({"GITHUB_TOKEN": "b", "PIPELINE_GITHUB_TOKEN": "a"}) == "a"
    assert job_token({"GITHUB_TOKEN": "b", "PIPELINE_GITHUB_TOKEN": ""}) == "b"
    assert job_token({}) == ""

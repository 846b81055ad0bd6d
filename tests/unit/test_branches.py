"""Which branch a run is about."""

from __future__ import annotations

import pytest

from pipeline.core.branches import branches

QUEUED = f"gh-readonly-queue/main/pr-12-{'a' * 40}"


@pytest.mark.parametrize(
    ("checked_out", "ref", "base", "at", "into"),
    [
        ("main", "", "", "main", "main"),
        ("main", "refs/pull/7/merge", "release", "main", "main"),  # checked out by name, so that is meant
        ("feature/a", "refs/heads/main", "", "feature/a", "feature/a"),
        ("", "refs/heads/main", "", "main", "main"),
        ("", "refs/heads/feature/a", "", "feature/a", "feature/a"),
    ],
)
def test_the_branch_is_what_is_checked_out_else_the_events(
    checked_out: str, ref: str, base: str, at: str, into: str
) -> None:
    found = branches(checked_out, ref, base)
    assert (found.at, found.into, found.why_none) == (at, into, "")


@pytest.mark.parametrize(("checked_out", "ref"), [(QUEUED, ""), ("", f"refs/heads/{QUEUED}")])
def test_a_commit_of_the_merge_queue_is_not_on_its_branch_yet(checked_out: str, ref: str) -> None:
    found = branches(checked_out, ref)
    assert (found.at, found.into) == (QUEUED, "main")
    assert found.why_none == "this commit of the merge queue is not on main yet"


def test_a_queue_of_a_branch_with_slashes_is_understood() -> None:
    assert branches(QUEUED.replace("main", "release/1.2")).into == "release/1.2"


def test_a_pull_request_is_at_no_branch_and_goes_into_its_base() -> None:
    found = branches("", "refs/pull/7/merge", "main")
    assert (found.at, found.into) == ("", "main")
    assert "pull request" in found.why_none


def test_a_tag_is_no_branch() -> None:
    found = branches("", "refs/tags/v1.0")
    assert (found.at, found.into, found.why_none) == ("", "", "this is the tag v1.0, which is no branch")


@pytest.mark.parametrize("ref", ["", "refs/notes/x", "main"])
def test_a_detached_head_is_at_no_branch(ref: str) -> None:
    found = branches("", ref, "")
    assert (found.at, found.into) == ("", "")
    assert "HEAD is detached" in found.why_none

"""What a run found out survives its record: the same report comes out of it."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from pipeline.core.verdicts import cause_of_record, cause_record, outcome_of, verdicts
from pipeline.model.release import Difference, Outcome, Phase, Release
from pipeline.model.status import CauseCode
from pipeline.report import document, markdown, summary
from tests.unit.report.samples import WEB, cause, release, rollback_failed, rolled_back, succeeded


def through(outcome: Outcome) -> Outcome:
    """Recorded, stored as JSON, and read again."""
    assert outcome.release is not None
    assert outcome.plan is not None
    record = replace(
        outcome.release,
        plan_digest=outcome.plan.digest,
        seconds=outcome.timings["total"],
        causes=tuple(json.loads(json.dumps([cause_record(c) for c in outcome.causes]))),
        verdicts=json.loads(json.dumps(verdicts(outcome))),
    )
    return outcome_of(record)


@pytest.mark.parametrize("make", [succeeded, rolled_back, rollback_failed])
def test_the_report_of_a_record_is_that_of_the_run(make: Any) -> None:
    outcome = make()
    outcome.warnings = ("beware",)
    outcome.differences += (Difference(WEB, "", "absent", "present", "it holds data"),)

    again = through(outcome)

    assert document.report_document(again) == document.report_document(outcome)
    shown, kept = (
        [{**change, "content": None} for change in document.plan_document(o.plan)["changes"]]
        for o in (outcome, again)
        if o.plan
    )
    assert kept == [{**change, "takes_over": False, "force": False} for change in shown]
    assert summary.summary(again) == summary.summary(outcome)
    assert markdown.report_markdown(again) == markdown.report_markdown(outcome)


def test_nothing_of_an_outcome_is_forgotten() -> None:
    again = through(rolled_back())
    same = {f.name for f in fields(Outcome) if getattr(again, f.name) == getattr(rolled_back(), f.name)}
    # The release is the record itself; bodies and contents are not kept.
    assert {f.name for f in fields(Outcome)} - same == {"release", "plan"}


@pytest.mark.parametrize(
    ("phase", "result", "code", "verified"),
    [
        (Phase.SUCCEEDED, "ok", 0, None),
        (Phase.ROLLED_BACK, "rolled-back", 10, True),
        (Phase.ROLLBACK_FAILED, "rollback-failed", 13, False),
        (Phase.FAILED, "timed-out", 12, None),
        (Phase.APPLYING, "", 50, None),
    ],
)
def test_of_a_record_without_verdicts_what_is_known_is_told(
    phase: Phase, result: str, code: int, verified: bool | None
) -> None:
    change = {
        "object": str(WEB),
        "apiVersion": "apps/v1",
        "action": "update",
        "wave": 2,
        "origin": "web.yaml:3",
        "reversible": "exact",
        "fields": [["spec.replicas", "change", 1, 2]],
    }
    record = replace(
        release(phase, result),
        plan={"digest": "sha256:1", "changes": [change]},
        plan_digest="sha256:1",
        causes=(cause_record(cause()),),
        checks=(["home", "fail", "500"],),
    )

    found = document.report_document(outcome_of(record, "wait"))

    assert (found["exit_code"], found["rollback"]["verified"]) == (code, verified)
    assert found["plan"] == {
        "digest": "sha256:1",
        "changes": [{k: change[k] for k in ("object", "action", "wave", "origin", "reversible")}],
    }
    assert found["causes"][0]["code"] == "ImageNotFound"
    assert found["checks"] == [{"name": "home", "verdict": "fail", "reason": "500", "samples": []}]
    assert outcome_of(record, "wait").next_step == "wait"


def test_a_release_that_was_only_begun_has_no_plan_yet() -> None:
    record = Release(application="web", environment="dev", number=1, id="i", revision="r")
    assert outcome_of(record).plan is None


def test_a_cause_with_a_code_of_another_version_is_still_told() -> None:
    record = [*cause_record(cause())]
    record[1] = "NoLongerKnown"
    found = cause_of_record(record)
    assert (found.code, found.message) == (CauseCode.DEGRADED, cause().message)

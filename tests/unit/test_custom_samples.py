"""Whole statuses as controllers write them have the verdicts that their projects document."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.readiness import assess
from pipeline.core.readiness.custom_rules import rule_of
from pipeline.model.status import Status
from tests.custom_resources import GATEWAY_API, Bad, Sample, missing, samples

ALL = [pytest.param(sample, id=f"{sample.kind}.{sample.group}") for sample in samples().values()]


def verdicts(sample: Sample, *statuses: Any) -> list[Status]:
    judged = [assess(sample.live(status), has_status_subresource=sample.subresource) for status in statuses]
    return [verdict.status for verdict in judged]


def test_every_kind_that_has_a_rule_has_a_sample() -> None:
    assert missing() == []


@pytest.mark.parametrize("sample", ALL)
def test_a_sample_is_of_a_kind_that_has_a_rule_and_has_what_the_rule_speaks_of(sample: Sample) -> None:
    if sample.group == GATEWAY_API:
        return
    rule = rule_of(*sample.key)
    assert rule is not None
    assert bool(sample.waiting is not None) == bool(rule.current or rule.busy)
    assert sample.ready is not None or not rule.current
    assert bool(sample.failing) == bool(rule.failed)
    assert bool(sample.troubled) == bool(rule.trouble)


@pytest.mark.parametrize("sample", ALL)
def test_it_is_ready_with_its_last_status_and_not_before(sample: Sample) -> None:
    if sample.waiting is None:
        assert set(verdicts(sample, None, sample.ready)) == {Status.CURRENT}
        return
    first = [Status.CURRENT if sample.group.endswith("istio.io") else Status.IN_PROGRESS]
    assert verdicts(sample, None) == first
    assert verdicts(sample, sample.waiting, sample.ready) == [Status.IN_PROGRESS, Status.CURRENT]


@pytest.mark.parametrize("sample", ALL)
def test_a_failure_is_told_in_its_own_words(sample: Sample) -> None:
    for bad in (sample.failing, sample.troubled):
        if bad is not None:
            _is_told(sample, bad)


def _is_told(sample: Sample, bad: Bad) -> None:
    verdict = assess(sample.live(bad.status), has_status_subresource=sample.subresource)

    assert (verdict.status, verdict.reason) == (Status.FAILED, "CustomResourceFailed"), verdict
    assert bad.says in verdict.message

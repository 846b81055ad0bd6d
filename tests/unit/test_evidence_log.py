"""When evidence becomes a verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.core.evidence import EvidenceLog
from pipeline.model.environment import Grace
from pipeline.model.objects import ObjectRef
from pipeline.model.status import CauseCode, Evidence, Grade

WEB = ObjectRef("apps", "Deployment", "demo", "web")
JOB = ObjectRef("batch", "Job", "demo", "migrate")
GRACE = Grace(image_s=60, schedule_s=90, quota_s=30, restarts=2)


def evidence(code: CauseCode, grade: Grade, count: int = 1, container: str = "web") -> Evidence:
    return Evidence(code=code, grade=grade, message="x", count=count, container=container)


def fatal_after(seconds: float, shown: Evidence, ref: ObjectRef = WEB) -> bool:
    log = EvidenceLog().update([(ref, shown)], 0.0).update([(ref, shown)], seconds)
    return bool(log.fatal(GRACE, seconds))


def test_terminal_evidence_is_fatal_at_once() -> None:
    assert fatal_after(0, evidence(CauseCode.IMAGE_NOT_FOUND, Grade.TERMINAL))


@pytest.mark.parametrize(
    ("code", "grade", "seconds"),
    [
        (CauseCode.IMAGE_REGISTRY_UNAVAILABLE, Grade.TRANSIENT, 60),
        (CauseCode.CONTAINER_NOT_CREATED, Grade.TRANSIENT, 60),
        (CauseCode.UNSCHEDULABLE, Grade.TRANSIENT, 90),
        (CauseCode.VOLUME_MOUNT_FAILED, Grade.TRANSIENT, 90),
        (CauseCode.VOLUME_ATTACH_FAILED, Grade.TRANSIENT, 90),
        (CauseCode.CLAIM_PENDING, Grade.TRANSIENT, 90),
        (CauseCode.REFERENCE_MISSING, Grade.TRANSIENT, 90),
        (CauseCode.QUOTA_EXCEEDED, Grade.TRANSIENT, 30),
        (CauseCode.WEBHOOK_UNAVAILABLE, Grade.TRANSIENT, 30),
        (CauseCode.IMAGE_DENIED, Grade.PROBABLE, 10),
        (CauseCode.ADMISSION_DENIED, Grade.PROBABLE, 10),
        (CauseCode.CONTAINER_CONFIG_MISSING, Grade.PROBABLE, 5),
        (CauseCode.RELEASE_BLOCKED_BY_POD, Grade.PROBABLE, 5),
        (CauseCode.SCALING_BROKEN, Grade.PROBABLE, 20),
    ],
)
def test_other_evidence_is_fatal_when_its_grace_is_over(
    code: CauseCode, grade: Grade, seconds: float
) -> None:
    shown = evidence(code, grade)

    assert not fatal_after(seconds - 0.1, shown)
    assert fatal_after(seconds, shown)


def test_a_registry_that_denies_twice_is_fatal_before_its_time() -> None:
    assert fatal_after(0, evidence(CauseCode.IMAGE_DENIED, Grade.PROBABLE, count=2))


def test_an_unready_container_is_never_fatal_by_itself() -> None:
    assert not fatal_after(1e6, evidence(CauseCode.READINESS_PROBE_FAILED, Grade.TRANSIENT, count=999))


def test_an_unready_container_is_fatal_where_the_environment_says_how_long_is_too_long() -> None:
    """Beyond what initialDelaySeconds, and failureThreshold times periodSeconds (core/v1 Probe), allow."""
    unready = replace(evidence(CauseCode.READINESS_PROBE_FAILED, Grade.TRANSIENT), window_s=30)
    log = EvidenceLog().update([(WEB, unready)], 100)

    assert log.fatal(Grace(ready_s=10), 139) == []
    assert log.fatal(Grace(ready_s=10), 140) == [(WEB, unready)]


@pytest.mark.parametrize(
    "code",
    [
        CauseCode.CRASH_LOOP,
        CauseCode.OUT_OF_MEMORY,
        CauseCode.COMMAND_NOT_FOUND,
        CauseCode.INIT_CONTAINER_FAILED,
        CauseCode.LIVENESS_PROBE_FAILED,
        CauseCode.STARTUP_PROBE_FAILED,
    ],
)
def test_deaths_are_counted_not_timed(code: CauseCode) -> None:
    assert not fatal_after(1e6, evidence(code, Grade.PROBABLE, count=1))
    assert fatal_after(0, evidence(code, Grade.PROBABLE, count=2))


def test_a_job_s_own_limit_counts_its_deaths() -> None:
    assert not fatal_after(1e6, evidence(CauseCode.CRASH_LOOP, Grade.PROBABLE, count=9), JOB)
    assert fatal_after(0, evidence(CauseCode.IMAGE_NOT_FOUND, Grade.TERMINAL), JOB)


def test_evidence_that_is_gone_is_not_fatal() -> None:
    shown = (WEB, evidence(CauseCode.UNSCHEDULABLE, Grade.TRANSIENT))
    log = EvidenceLog().update([shown], 0.0).update([], 1.0)

    assert log.fatal(GRACE, 1000.0) == []
    assert log.present() == []


def test_evidence_that_comes_back_soon_has_not_been_gone() -> None:
    shown = (WEB, evidence(CauseCode.UNSCHEDULABLE, Grade.TRANSIENT))
    log = EvidenceLog().update([shown], 0.0).update([shown], 75.0).update([], 80.0).update([shown], 90.0)

    assert log.fatal(GRACE, 90.0)


def test_evidence_that_comes_back_late_starts_anew() -> None:
    shown = (WEB, evidence(CauseCode.UNSCHEDULABLE, Grade.TRANSIENT))
    log = EvidenceLog().update([shown], 0.0).update([], 50.0).update([shown], 100.0)

    assert not log.fatal(GRACE, 189.0)


def test_containers_are_told_apart() -> None:
    shown = [
        (WEB, evidence(CauseCode.IMAGE_NOT_FOUND, Grade.TERMINAL, container=name)) for name in ("a", "b")
    ]

    assert len(EvidenceLog().update(shown, 0.0).fatal(GRACE, 0.0)) == 2


def test_what_may_still_be_explained_is_fatal_only_once_it_is_settled() -> None:
    open_yet = replace(evidence(CauseCode.CRASH_LOOP, Grade.PROBABLE, count=5), settled=False)

    assert not fatal_after(60, open_yet)
    assert fatal_after(0, replace(open_yet, settled=True))

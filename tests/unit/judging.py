"""What rows of readiness tables claim: an object, and what its verdict is or says."""

from __future__ import annotations

from typing import Any

from pipeline.core.readiness import assess
from pipeline.model.status import Status


def is_judged(obj: Any, status: Status, reason: str) -> None:
    verdict = assess(obj)

    assert (verdict.status, verdict.reason) == (status, reason), verdict.message


def is_current_with_a_warning(obj: Any, said: str) -> None:
    verdict = assess(obj)

    assert verdict.status is Status.CURRENT
    assert said in verdict.warning


def is_told(obj: Any, said: str) -> None:
    assert said in assess(obj).message

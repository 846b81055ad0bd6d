"""Samples to verdict: when a health check has passed, failed, or found nothing out."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.model.environment import Check
from pipeline.model.status import CheckResult, Sample, Verdict

_SHOWN_SAMPLES = 10


def judge(check: Check, samples: Sequence[Sample], elapsed_s: float) -> CheckResult | None:
    """The verdict so far, or None while more samples are wanted.

    Passes with ``check.samples`` good samples in a row; fails with as many bad ones in a row, so that a
    service that is down does not cost the whole deadline. A sample that could not be taken
    (``error``) is neither. At the deadline one bad sample is enough to fail, and without any
    answer at all the check is inconclusive: silence never passes.
    """
    tail = samples[-check.samples :]
    if len(tail) == check.samples and len({s.verdict for s in tail}) == 1:
        verdict = tail[0].verdict
        return _result(check, samples, Verdict.INCONCLUSIVE if verdict is Verdict.ERROR else verdict)
    if elapsed_s < check.deadline_s:
        return None
    failed = any(s.verdict is Verdict.FAIL for s in samples)
    return _result(check, samples, Verdict.FAIL if failed else Verdict.INCONCLUSIVE)


def skipped(check: Check, reason: str) -> CheckResult:
    """The result of a check that was not run."""
    return CheckResult(name=check.name, verdict=Verdict.SKIPPED, reason=reason)


def _result(check: Check, samples: Sequence[Sample], verdict: Verdict) -> CheckResult:
    good = sum(s.verdict is Verdict.PASS for s in samples)
    if verdict is Verdict.PASS:
        reason = f"{check.samples} good samples in a row"
    else:
        unlike = [s for s in samples if s.verdict is not Verdict.PASS]
        last = f"; last: {unlike[-1].message}" if unlike else ""
        reason = f"{good} of {len(samples)} samples were good{last}"
    return CheckResult(
        name=check.name, verdict=verdict, reason=reason, samples=tuple(samples[-_SHOWN_SAMPLES:])
    )

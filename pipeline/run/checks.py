"""Runs the health checks of an environment; ``core.gates`` says what the samples mean."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread

from pipeline import failpoint
from pipeline.core import gates
from pipeline.core.hints import HINTS
from pipeline.failpoint import Point
from pipeline.model.environment import Check
from pipeline.model.events import Checked
from pipeline.model.status import Cause, CauseCode, CheckResult, Sample, Verdict
from pipeline.run.session import Session

Alarm = Callable[[], str]
"""Asked before each sample: why there is no point in going on, or an empty string."""

_LOOK_S = 0.2  # between two looks at lock and signals while a sample is taken


def run_checks(session: Session, alarm: Alarm = lambda: "") -> tuple[CheckResult, ...]:
    """All checks in the file's order; after one that does not pass the rest is skipped."""
    results: list[CheckResult] = []
    for check in session.environment.checks:
        unmet = next((r for r in results if r.verdict is not Verdict.PASS), None)
        result = gates.skipped(check, f"{unmet.name} did not pass") if unmet else _run(session, check, alarm)
        results.append(result)
        session.tell(Checked(result))
    return tuple(results)


def skip_checks(session: Session, reason: str) -> tuple[CheckResult, ...]:
    return tuple(gates.skipped(check, reason) for check in session.environment.checks)


def causes_of(session: Session, results: tuple[CheckResult, ...]) -> tuple[Cause, ...]:
    """Why the checks do not let the release through; empty where all passed."""
    causes = []
    for check, result in zip(session.environment.checks, results, strict=True):
        if result.verdict in (Verdict.PASS, Verdict.SKIPPED):
            continue
        code = CauseCode.CHECK_FAILED if result.verdict is Verdict.FAIL else CauseCode.CHECK_INCONCLUSIVE
        evidence = tuple(f"{s.at_s:.1f} s: {s.verdict}: {s.message}" for s in result.samples[-5:])
        causes.append(
            Cause(
                object=None,
                code=code,
                message=f"check {check.name}: {result.reason}",
                evidence=evidence,
                origin=check.origin,
                hint=HINTS[code],
            )
        )
    return tuple(causes)


def _run(session: Session, check: Check, alarm: Alarm) -> CheckResult:
    started = session.clock.monotonic()
    samples: list[Sample] = []
    while True:
        session.hold()
        if why := alarm():
            return gates.skipped(check, why)
        at = session.clock.monotonic() - started
        taken = _sampled(session, check)
        failpoint.passing(Point.HEALTH_MID)
        [message] = session.hide(taken.message)
        samples.append(Sample(at_s=round(at, 3), verdict=taken.verdict, message=message))
        elapsed = session.clock.monotonic() - started
        if result := gates.judge(check, samples, elapsed):
            return result
        session.clock.sleep(max(0.0, check.interval_s - (elapsed - at)))


def _sampled(session: Session, check: Check) -> Sample:
    """One sample, on a thread of its own: it writes nothing, and who is told to stop, or loses the lock, need
    not wait for an application that does not answer."""
    found: Future[Sample] = Future()

    def take() -> None:
        try:
            probe, namespace = check.probe, session.environment.namespace
            found.set_result(session.prober.probe(probe, namespace, check.timeout_s))
        except BaseException as error:  # noqa: BLE001 - told by the thread that asked
            found.set_exception(error)

    Thread(target=take, name="check", daemon=True).start()
    while not wait([found], _LOOK_S).done:
        session.hold()
    return found.result()

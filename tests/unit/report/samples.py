"""Outcomes to report on: one that failed and was rolled back, one that succeeded."""

from __future__ import annotations

from pipeline.model.objects import ObjectRef, Origin
from pipeline.model.plan import Action, Change, FieldChange, Plan, Reversible
from pipeline.model.release import Applied, Difference, Outcome, Phase, Release, RolloutEntry
from pipeline.model.status import Cause, CauseCode, CheckResult, ObjectStatus, Sample, Status, Verdict

WEB = ObjectRef("apps", "Deployment", "demo", "web")
SETTINGS = ObjectRef("", "ConfigMap", "demo", "settings")
OLD = ObjectRef("", "ConfigMap", "demo", "old")
READER = ObjectRef("rbac.authorization.k8s.io", "ClusterRole", "", "reader")
PASSWORD = ObjectRef("", "Secret", "demo", "password")
SHA = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
BASE = "9f8e7d6c5b4a39281706f5e4d3c2b1a098765432"
MANIFEST = "environments/dev/manifests/web.yaml"

IMAGE = FieldChange("spec.template.spec.containers[0].image", "change", "nginx:1.21", "nginx:1.22")


def plan() -> Plan:
    return Plan(
        environment="dev",
        revision=SHA,
        changes=(
            Change(ref=SETTINGS, action=Action.CREATE, api_version="v1", wave=1, origin=Origin(MANIFEST, 20)),
            Change(
                ref=WEB,
                action=Action.UPDATE,
                api_version="apps/v1",
                wave=2,
                origin=Origin(MANIFEST, 1),
                fields=(IMAGE, FieldChange("spec.replicas", "add", None, 3)),
                note="takes over fields of helm",
            ),
            Change(
                ref=OLD,
                action=Action.DELETE,
                api_version="v1",
                wave=3,
                reversible=Reversible.RECREATE,
                reason="no longer in the repository",
            ),
            Change(ref=READER, action=Action.KEEP, api_version="rbac.authorization.k8s.io/v1"),
        ),
    )


def large_plan() -> Plan:
    """999 objects that are new, and at the end a Job that runs anew."""
    new = (
        Change(ref=ObjectRef("", "ConfigMap", "demo", f"c{n:03}"), action=Action.CREATE, api_version="v1")
        for n in range(999)
    )
    job = Change(
        ref=ObjectRef("batch", "Job", "demo", "migrate"),
        action=Action.RECREATE,
        api_version="batch/v1",
        wave=9,
        hook="post",
        reason="a post hook",
        reversible=Reversible.ONE_WAY,
    )
    return Plan(environment="dev", revision=SHA, changes=(*new, job))


def release(phase: Phase, result: str) -> Release:
    return Release(
        application="web",
        environment="dev",
        number=7,
        id="sha256:7777",
        revision=SHA,
        base=BASE,
        previous=6,
        phase=phase,
        result=result,
        actor="alice",
        started="2025-01-02T03:04:05Z",
        seconds=6.3,
    )


def cause() -> Cause:
    return Cause(
        object=WEB,
        code=CauseCode.IMAGE_NOT_FOUND,
        message='container web: image "nginx:9.99" cannot be pulled',
        evidence=("Failed to pull image: not found\nmanifest unknown",),
        origin=Origin(MANIFEST, 14),
        hint="check that the tag exists",
    )


def rolled_back() -> Outcome:
    failed = ObjectStatus(Status.FAILED, "ImagePullFailed", "nginx:9.99 cannot be pulled", (2, 3))
    return Outcome(
        command="deploy",
        environment="dev",
        revision=SHA,
        base=BASE,
        release=release(Phase.ROLLED_BACK, "rolled-back"),
        plan=plan(),
        applied=(Applied(ref=WEB, result="applied", seconds=0.02),),
        rollout=(RolloutEntry(ref=WEB, status=failed, seconds=3.1),),
        checks=(CheckResult(name="home", verdict=Verdict.SKIPPED, reason="rollout failed"),),
        causes=(cause(),),
        rolled_back=True,
        rollback_verified=True,
        timings={"plan": 0.4, "apply": 0.3, "rollout": 3.1, "rollback": 2.2, "total": 6.3},
        exit_code=10,
        next_step="correct the image and merge again",
    )


def rollback_failed() -> Outcome:
    outcome = rolled_back()
    outcome.exit_code, outcome.rollback_verified = 13, False
    outcome.differences = (
        Difference(WEB, "spec.replicas", 3, 2),
        Difference(PASSWORD, "data.password", "aHVudGVyMi1zZWNyZXQ=", "b3RoZXItc2VjcmV0"),
    )
    return outcome


def succeeded() -> Outcome:
    current = ObjectStatus(Status.CURRENT, "", "", (3, 3))
    sample = Sample(at_s=0.5, verdict=Verdict.PASS, message="200")
    return Outcome(
        command="deploy",
        environment="dev",
        revision=SHA,
        base=BASE,
        release=release(Phase.SUCCEEDED, "ok"),
        plan=plan(),
        applied=(
            Applied(ref=SETTINGS, result="applied", seconds=0.02),
            Applied(ref=WEB, result="applied", seconds=0.02),
            Applied(ref=OLD, result="deleted", seconds=0.01),
        ),
        rollout=(RolloutEntry(ref=WEB, status=current, seconds=4.0),),
        checks=(CheckResult(name="home", verdict=Verdict.PASS, reason="", samples=(sample,)),),
        timings={"plan": 0.4, "apply": 0.3, "rollout": 4.0, "total": 4.8},
        exit_code=0,
    )

"""Runs in which everything that comes from outside is one hostile text."""

from pipeline.model.errors import Problem
from pipeline.model.events import (
    Checked,
    Failed,
    Note,
    ObjectApplied,
    Planned,
    Recorded,
    RollingBack,
    RolloutDone,
    RolloutProgress,
    Started,
)
from pipeline.model.objects import ObjectRef, Origin
from pipeline.model.plan import Action, Change, FieldChange, Plan
from pipeline.model.release import Difference, Outcome, Phase, Release, RolloutEntry
from pipeline.model.status import Cause, CauseCode, CheckResult, ObjectStatus, Sample, Status, Verdict
from pipeline.report.changes import SHOWN


def hostile_plan(text):
    text = text.replace("\ud800", "?")  # no such plan: it has no digest
    return Plan(
        environment=text,
        revision=text,
        changes=(
            Change(
                ref=ObjectRef(text, text, text, text),
                action=Action.UPDATE,
                api_version="v1",
                origin=Origin(text, 1),
                fields=(
                    FieldChange(text, "change", text, {text: text}),
                    FieldChange(text, "add", None, text),
                ),
                reason=text,
                note=text,
                hook=text,
            ),
            Change(ref=ObjectRef("", text, "", text), action=Action.DELETE, api_version="v1", reason=text),
            Change(ref=ObjectRef("", text, "", text), action=Action.KEEP, api_version="v1", note=text),
            *(
                Change(ref=ObjectRef("", text, "", f"{text}{n}"), action=Action.CREATE, api_version="v1")
                for n in range(SHOWN)
            ),
        ),
        warnings=(Problem(code=text, message=text, origin=Origin(text, 1), hint=text, warning=True),),
    )


def hostile_outcome(text):
    ref = ObjectRef(text, text, text, text)
    release = Release(
        application=text,
        environment=text,
        number=1,
        id=text,
        revision=text,
        phase=Phase.FAILED,
        result=text,
        actor=text,
        started=text,
        message=text,
    )
    return Outcome(
        command=text,
        environment=text,
        revision=text,
        base=text,
        release=release,
        plan=hostile_plan(text),
        rollout=(RolloutEntry(ref=ref, status=ObjectStatus(Status.FAILED, text, text), seconds=1.0),),
        checks=(CheckResult(name=text, verdict=Verdict.FAIL, reason=text),),
        causes=(
            Cause(
                object=ref,
                code=CauseCode.CRASH_LOOP,
                message=text,
                evidence=(text,),
                origin=Origin(text, 1),
                hint=text,
            ),
        ),
        warnings=(text,),
        rolled_back=True,
        rollback_verified=False,
        differences=(Difference(ref, text, text, text),),
        timings={text: 1.0, "total": 1.0},
        exit_code=13,
        next_step=text,
        message=text,
        problems=(Problem(code=text, message=text, origin=Origin(text), hint=text),),
    )


def hostile_events(text):
    outcome = hostile_outcome(text)
    ref = ObjectRef(text, text, text, text)
    status = ObjectStatus(Status.FAILED, text, text, (1, 2), text)
    sample = Sample(at_s=1.0, verdict=Verdict.FAIL, message=text)
    return [
        Started(text, text, text, text, (text,)),
        Note(text),
        Note(text, True),
        Planned(outcome.plan),
        ObjectApplied(ref, Action.UPDATE, 1, text, 1.0, text),
        RolloutProgress(((ref, status),), 1.0),
        RolloutDone((RolloutEntry(ref=ref, status=status, seconds=1.0),), False, 1.0),
        RolloutDone((RolloutEntry(ref=ref, status=status, seconds=1.0),), True, 1.0),
        Checked(CheckResult(name=text, verdict=Verdict.FAIL, reason=text, samples=(sample,))),
        Failed(outcome.causes),
        RollingBack(text, outcome.plan),
        Recorded(1, text),
    ]

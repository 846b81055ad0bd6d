"""A rollout, look by look."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from pipeline.core.rollout import (
    RolloutDecision,
    RolloutLog,
    Snapshot,
    Target,
    pending_causes,
    settled,
    status_of,
    step,
)
from pipeline.model.environment import Grace, ReadyRule, Rollout
from pipeline.model.objects import Object, ObjectRef
from pipeline.model.status import CauseCode, Evidence, Status
from tests.kube_objects import (
    T0,
    at,
    condition,
    deployment,
    ended,
    event,
    job,
    pod,
    replica_set,
    rolling,
    running,
    simple,
    template,
    waiting,
)

POLICY = Rollout(grace=Grace(image_s=60, schedule_s=90, quota_s=30, restarts=2))


def target(obj: Object, **more: Any) -> Target:
    return Target(ref=ObjectRef.of(obj), since=T0, **more)


def snapshot(*objects: Object, **lists: Any) -> Snapshot:
    return Snapshot(objects={ObjectRef.of(obj): obj for obj in objects}, **lists)


def look(obj: Object, after: float = 1, log: RolloutLog | None = None, **lists: Any) -> RolloutDecision:
    """One step with one target that exists."""
    return step([target(obj)], snapshot(obj, **lists), log or RolloutLog(), POLICY, T0 + after)


def codes(found: Any) -> list[CauseCode]:
    return [evidence.code for _, evidence in found]


def only(found: list[tuple[ObjectRef, Evidence]]) -> Evidence:
    ((_, evidence),) = found
    return evidence


def test_is_done_when_every_target_is_current() -> None:
    objects = [deployment(), simple("v1", "ConfigMap")]

    decision = step([target(obj) for obj in objects], snapshot(*objects), RolloutLog(), POLICY, T0)

    assert decision.done
    assert decision.fatal == ()
    assert pending_causes(decision) == []


def test_is_not_done_while_one_target_is_missing() -> None:
    decision = step([target(deployment())], Snapshot(), RolloutLog(), POLICY, T0)

    assert not decision.done
    assert [status.status for status in decision.statuses.values()] == [Status.NOT_FOUND]


def test_fails_in_one_look_on_an_image_that_does_not_exist() -> None:
    failing = pod(waiting("ErrImagePull", "not found"))

    decision = look(rolling(), replica_sets=[replica_set()], pods=[failing])

    assert codes(decision.fatal) == [CauseCode.IMAGE_NOT_FOUND]


def test_remembers_why_a_pull_failed_from_look_to_look() -> None:
    first = look(
        rolling(), replica_sets=[replica_set()], pods=[pod(waiting("ErrImagePull", "401 Unauthorized"))]
    )
    backed_off = pod(waiting("ImagePullBackOff", "Back-off pulling image"))

    second = look(rolling(), 12, first.log, replica_sets=[replica_set()], pods=[backed_off])

    assert first.fatal == ()
    assert codes(second.fatal) == [CauseCode.IMAGE_DENIED]


def test_bears_a_registry_that_is_down_for_its_grace() -> None:
    lists: dict[str, Any] = {
        "replica_sets": [replica_set()],
        "pods": [pod(waiting("ErrImagePull", "connection refused"))],
    }
    first = look(rolling(), 1, **lists)
    later = look(rolling(), 30, first.log, **lists)
    at_last = look(rolling(), 61, later.log, **lists)

    assert (first.fatal, later.fatal) == ((), ())
    assert codes(at_last.fatal) == [CauseCode.IMAGE_REGISTRY_UNAVAILABLE]


def test_blames_nobody_for_the_pods_of_the_revision_before() -> None:
    old = replica_set("r1", image="registry.example/web:0")
    crashing = pod(waiting("CrashLoopBackOff", restarts=50, last=ended(1)), owner="r1")

    decision = look(rolling(), replica_sets=[old, replica_set()], pods=[crashing])

    assert decision.present == ()


def test_a_crash_does_not_count_once_the_workload_is_whole() -> None:
    crashing = pod(waiting("CrashLoopBackOff", restarts=5, last=ended(1)))

    decision = look(deployment(), replica_sets=[replica_set()], pods=[crashing])
    again = pod(running(ready=True, restarts=5, last=ended(1)))
    later = look(deployment(), 30, decision.log, replica_sets=[replica_set()], pods=[again])

    assert (decision.fatal, decision.present) == ((), ())
    assert later.done


def test_of_what_is_up_again_but_not_believed_yet_its_crash_is_told_when_the_time_is_over() -> None:
    crashing = pod(waiting("CrashLoopBackOff", restarts=1, last=ended(1)))
    first = look(rolling(), replica_sets=[replica_set()], pods=[crashing])
    again = pod(running(ready=True, restarts=1, last=ended(1)))

    up = look(deployment(), 8, first.log, replica_sets=[replica_set()], pods=[again])

    assert (up.fatal, up.present) == ((), ())
    assert [one.code for _, one in pending_causes(up)] == [CauseCode.CRASH_LOOP]


def test_an_exceeded_deadline_comes_after_what_the_pods_show() -> None:
    timed_out = rolling()
    timed_out["status"]["conditions"] = [
        condition("Progressing", "False", "ProgressDeadlineExceeded", "has timed out", lastUpdateTime=at(601))
    ]
    spec = template(readinessProbe={"httpGet": {"port": 80, "path": "/"}})["spec"]
    said = event("p1", "Unhealthy", "Readiness probe failed: statuscode: 503", container="web")

    decision = look(
        timed_out,
        602,
        replica_sets=[replica_set()],
        pods=[pod(running(ready=False), phase="Running", spec=spec)],
        events=[said],
    )

    assert codes(decision.fatal) == [CauseCode.READINESS_PROBE_FAILED, CauseCode.PROGRESS_DEADLINE_EXCEEDED]
    deadline = decision.fatal[-1][1]
    assert "Readiness probe failed: statuscode: 503" in deadline.details
    assert deadline.container == "web"


def test_a_stale_deadline_does_not_fail_a_rollback() -> None:
    reverted = rolling()
    reverted["status"]["conditions"] = [
        condition("Progressing", "False", "ProgressDeadlineExceeded", "has timed out", lastUpdateTime=at(-5))
    ]

    assert look(reverted, 3).fatal == ()


def test_a_claim_that_its_pod_waits_for_says_why() -> None:
    claim = simple(
        "v1", "PersistentVolumeClaim", spec={"storageClassName": "gp4"}, status={"phase": "Pending"}
    )
    said = "pod has unbound immediate PersistentVolumeClaims"
    waits = pod(conditions=[condition("PodScheduled", "False", "Unschedulable", said)])
    seen = snapshot(rolling(), claim, replica_sets=[replica_set()], pods=[waits])
    targets = [target(rolling()), target(claim, class_exists=False)]

    first = step(targets, seen, RolloutLog(), POLICY, T0 + 1)
    later = step(targets, seen, first.log, POLICY, T0 + 99)

    assert first.fatal == ()
    assert [(ref.kind, one.code) for ref, one in later.fatal] == [
        ("Deployment", CauseCode.CLAIM_PENDING),
        ("PersistentVolumeClaim", CauseCode.CLAIM_PENDING),
    ]
    assert "gp4, which does not exist" in later.fatal[1][1].message


def test_a_failed_job_tells_its_pod_for_the_log() -> None:
    failed = pod({"name": "web", "state": {"terminated": ended(2)}}, owner="j1", phase="Failed")

    decision = look(
        job(condition("Failed", reason="BackoffLimitExceeded", message="too many")), pods=[failed]
    )

    evidence = only(list(decision.fatal))
    assert evidence.code is CauseCode.JOB_FAILED
    assert evidence.pod is not None
    assert evidence.pod.name == "web-p1"
    assert evidence.container == "web"


def test_a_job_that_is_cleaned_up_after_its_end_stays_current() -> None:
    complete = job(condition("Complete"), succeeded=1)
    first = look(complete)

    second = step([target(complete)], Snapshot(), first.log, POLICY, T0 + 9)

    assert second.done


def test_a_job_that_is_cleaned_up_after_its_failure_has_failed() -> None:
    """ "ttlSecondsAfterFinished: if this field is set to zero, the Job becomes eligible to be deleted
    immediately after it finishes" (batch/v1): it may be seen for the last time as it goes."""
    failed = job(condition("Failed", message="Job has reached the specified backoff limit"), failed=1)
    ref = ObjectRef.of(failed)
    log = settled(RolloutLog(), ref, status_of(target(failed), failed, RolloutLog(), POLICY, T0 + 5))

    decision = step([target(failed)], Snapshot(), log, POLICY, T0 + 9)

    assert decision.statuses[ref].status is Status.FAILED
    assert codes(decision.fatal) == [CauseCode.JOB_FAILED]


def test_an_autoscaler_without_target_is_told_as_such_before_its_controller_says_so() -> None:
    alone = simple("autoscaling/v2", "HorizontalPodAutoscaler", spec={"scaleTargetRef": {"name": "wbe"}})

    decision = step([target(alone, target_exists=False)], snapshot(alone), RolloutLog(), POLICY, T0 + 9)

    assert codes(decision.pending) == [CauseCode.SCALING_BROKEN]
    assert only(list(decision.pending)).path == ("spec", "scaleTargetRef")


def test_a_broken_autoscaler_may_have_looked_before_its_target_came() -> None:
    broken = simple(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        status={"conditions": [condition("AbleToScale", "False", "FailedGetScale", "not found")]},
    )
    first = look(broken, 1)
    later = look(broken, 21, look(broken, 10, first.log).log)

    assert first.fatal == ()
    assert codes(later.fatal) == [CauseCode.SCALING_BROKEN]


def test_a_stalled_custom_resource_fails_the_rollout() -> None:
    stalled = simple("example.com/v1", "Thing", status={"conditions": [condition("Stalled", message="no")]})

    assert codes(look(stalled).fatal) == [CauseCode.CUSTOM_RESOURCE_FAILED]


def test_a_failed_bare_pod_is_its_own_log() -> None:
    decision = look(pod(phase="Failed", message="node was lost"))

    assert {evidence.pod.name for _, evidence in decision.fatal if evidence.pod} == {"web-p1"}


def test_a_snapshot_older_than_our_write_says_nothing() -> None:
    old = deployment()
    decision = step([target(old, generation=3)], snapshot(old), RolloutLog(), POLICY, T0)
    other = step([target(old, uid="another")], snapshot(old), RolloutLog(), POLICY, T0)

    assert [s.reason for s in decision.statuses.values()] == ["NotObserved"]
    assert [s.reason for s in other.statuses.values()] == ["Replaced"]


def test_what_we_wrote_and_somebody_took_away_or_made_anew_is_lost() -> None:
    obj = deployment()
    for seen, says in (({}, "was deleted after"), ({ObjectRef.of(obj): obj}, "made anew by somebody")):
        log, fatal = RolloutLog(), {}
        for after in (0, 14, 15):
            decision = step([target(obj, uid="ours")], Snapshot(objects=seen), log, POLICY, T0 + after)
            log, fatal[after] = decision.log, decision.fatal

        assert not fatal[0]
        assert not fatal[14], "its watch may be behind"
        assert only(list(fatal[15])).code is CauseCode.OBJECT_LOST
        assert says in only(list(fatal[15])).message


def test_what_we_did_not_write_is_not_lost_but_waited_for() -> None:
    absent = target(deployment())
    log = RolloutLog()
    for after in (0, 100):
        decision = step([absent], Snapshot(), log, POLICY, T0 + after)
        log = decision.log

    assert not decision.fatal


def test_a_deleted_target_is_waited_for_until_it_is_gone() -> None:
    obj = simple("v1", "ConfigMap")
    going = deepcopy(obj)
    going["metadata"]["deletionTimestamp"] = at(0)
    gone = target(obj, gone=True, uid="u1")

    def status(**objects: Any) -> Status:
        decision = step([gone], Snapshot(**objects), RolloutLog(), POLICY, T0)
        return decision.statuses[gone.ref].status

    assert status() is Status.CURRENT
    assert status(objects={gone.ref: going}) is Status.TERMINATING
    assert status(objects={gone.ref: obj}) is Status.IN_PROGRESS


def test_a_rule_that_cannot_be_read_is_no_crash() -> None:
    obj = simple("v1", "ConfigMap", annotations={"pipeline/ready": "nonsense"})

    assert [s.reason for s in look(obj).statuses.values()] == ["RuleInvalid"]


def test_rules_of_the_environment_are_obeyed() -> None:
    obj = simple("example.com/v1", "Thing", status={"phase": "Up"})
    rule = ReadyRule(kind="Thing", group="example.com", ready=("jsonpath={.status.phase}=Up",))

    assert step([target(obj)], snapshot(obj), RolloutLog(), Rollout(rules=(rule,)), T0).done


class TestWhenTheTimeIsOver:
    def test_a_load_balancer_without_address_asks_for_its_controller(self) -> None:
        service = simple("v1", "Service", spec={"type": "LoadBalancer"}, status={"loadBalancer": {}})
        said = event("u1", "SyncLoadBalancerFailed", "no subnets")

        evidence = only(pending_causes(look(service, events=[said])))

        assert evidence.code is CauseCode.ADDRESS_PENDING
        assert "is a load-balancer controller installed?" in evidence.message
        assert evidence.details == ("SyncLoadBalancerFailed: no subnets",)

    def test_an_unready_container_is_told_with_its_probe(self) -> None:
        spec = template(readinessProbe={"tcpSocket": {"port": 5432}})["spec"]
        unready = pod(running(ready=False), phase="Running", spec=spec)

        evidence = only(pending_causes(look(rolling(), replica_sets=[replica_set()], pods=[unready])))

        assert evidence.code is CauseCode.READINESS_PROBE_FAILED
        assert "TCP port 5432" in evidence.message

    def test_what_has_no_controller_asks_for_one(self) -> None:
        silent = simple("apps/v1", "Deployment", spec={"replicas": 1})

        assert "controller of its kind runs" in only(pending_causes(look(silent))).hint

    def test_a_paused_deployment_says_how_it_goes_on(self) -> None:
        paused = rolling()
        paused["spec"]["paused"] = True

        assert "spec.paused" in only(pending_causes(look(paused))).hint

    def test_a_pending_claim_is_told_with_its_provisioner_s_words(self) -> None:
        claim = simple("v1", "PersistentVolumeClaim", spec={}, status={"phase": "Pending"})
        said = event("u1", "ProvisioningFailed", 'storageclass "gp9" not found')

        evidence = only(pending_causes(look(claim, events=[said])))

        assert evidence.code is CauseCode.CLAIM_PENDING
        assert 'storageclass "gp9" not found' in evidence.details[0]

    def test_an_unknown_custom_resource_is_told_as_such(self) -> None:
        assert only(pending_causes(look(simple("example.com/v1", "Thing")))).code is (
            CauseCode.CUSTOM_RESOURCE_UNKNOWN
        )

    def test_an_object_held_by_a_finalizer_is_told_as_such(self) -> None:
        held = simple("v1", "ConfigMap", deletionTimestamp=at(0), finalizers=["example.com/hold"])

        evidence = only(pending_causes(look(held)))

        assert evidence.code is CauseCode.FINALIZER_STUCK
        assert "example.com/hold" in evidence.message

    def test_anything_else_has_timed_out_with_what_it_said_last(self) -> None:
        evidence = only(pending_causes(look(rolling())))

        assert evidence.code is CauseCode.TIMED_OUT
        assert "1 of 2 replicas are updated" in evidence.message

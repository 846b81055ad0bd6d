"""Evidence in detail: the field to blame, the hint that fits, what is the node's doing."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pipeline.core.evidence import EventIndex, blocking_pods, evidence
from pipeline.core.evidence.configuration import lack, volume_lack
from pipeline.core.evidence.log import patience
from pipeline.core.evidence.pending import explain_failure
from pipeline.core.evidence.probes import window_s
from pipeline.model.environment import Grace
from pipeline.model.objects import FieldPath, Object, ObjectRef
from pipeline.model.status import CauseCode, Evidence, Grade, Lack, ObjectStatus, Status
from tests.kube_objects import (
    T0,
    at,
    condition,
    ended,
    event,
    job,
    pod,
    replica_set,
    rolling,
    running,
    simple,
    stateful_set,
    template,
    waiting,
)

NOW = T0 + 10
SPEC: FieldPath = ("spec", "template", "spec")
CONTAINER: FieldPath = (*SPEC, "containers", 0)
RESOURCES = {"resources": {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}}}
BAD = {"controller-revision-hash": "db-a"}


def shown(failing: Object, *events: Any, **spec: Any) -> list[Evidence]:
    """What speaks against a Deployment whose only new pod this is; ``spec`` are more fields of its pods."""
    workload, new = rolling(), replica_set()
    pod_spec = template(**spec.pop("container", {}))["spec"] | spec
    workload["spec"]["template"]["spec"] = new["spec"]["template"]["spec"] = pod_spec
    failing["spec"] = pod_spec
    return evidence(workload, [new], [failing], events, NOW, {}, since=T0)


def crashing(exit_code: int, why: str = "Error", message: str = "", **more: Any) -> Object:
    last = ended(exit_code, why, message)
    return pod(waiting("CrashLoopBackOff", "back-off", restarts=2, last=last), **more)


class TestExits:
    @pytest.mark.parametrize(
        ("exit_code", "hint"),
        [
            (0, "keep the process in the foreground"),
            (137, "SIGKILL"),
            (139, "SIGSEGV"),
            (143, "SIGTERM"),
        ],
    )
    def test_that_say_something_have_a_hint_of_their_own(self, exit_code: int, hint: str) -> None:
        (found,) = shown(crashing(exit_code))

        assert found.code is CauseCode.CRASH_LOOP
        assert hint in found.hint

    def test_that_say_nothing_have_the_hint_of_the_code(self) -> None:
        assert [found.hint for found in shown(crashing(1))] == [""]

    def test_for_lack_of_memory_are_not_told_as_killed_by_someone(self) -> None:
        (found,) = shown(crashing(137, "OOMKilled"), container={"resources": {"limits": {"memory": "64Mi"}}})

        assert (found.code, found.hint) == (CauseCode.OUT_OF_MEMORY, "")
        assert "limit 64Mi" in found.message
        assert found.path == (*CONTAINER, "resources", "limits", "memory")

    @pytest.mark.parametrize("reason", ["ContainerCannotRun", "StartError"])
    def test_of_what_never_ran_tell_the_runtime_s_words(self, reason: str) -> None:
        (found,) = shown(crashing(128, reason, "cgroup: no space left on device"))

        assert (found.code, found.grade) == (CauseCode.CRASH_LOOP, Grade.PROBABLE)
        assert "cannot be started: cgroup: no space left on device" in found.message
        assert "never started" in found.hint

    def test_of_a_wrong_platform_point_at_the_image(self) -> None:
        said = 'exec: "/app": exec format error'

        at_start, later = (
            shown(pod(waiting("RunContainerError", said))),
            shown(crashing(128, "StartError", said)),
        )

        assert [found.path for found in (*at_start, *later)] == [(*CONTAINER, "image")] * 2

    def test_of_a_pod_whose_time_was_over_are_its_deadline_s(self) -> None:
        over = pod(
            {"name": "web", "state": {"terminated": ended(137)}},
            phase="Failed",
            reason="DeadlineExceeded",
            message="Pod was active on the node longer than the specified deadline",
        )

        (found,) = shown(over)

        assert found.code is CauseCode.POD_FAILED
        assert found.path == (*SPEC, "activeDeadlineSeconds")
        over["metadata"]["ownerReferences"][0]["uid"] = "j1"
        (of_job,) = evidence(job(), [], [over], [], NOW, {})
        assert of_job.code is CauseCode.JOB_DEADLINE_EXCEEDED


class TestMissingConfiguration:
    ENV = (
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "a"}}},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "b"}}},
    )

    def test_of_a_key_points_at_the_key(self) -> None:
        status = waiting("CreateContainerConfigError", "couldn't find key b in Secret demo/keys")

        (found,) = shown(pod(status), container={"env": list(self.ENV)})

        assert found.path == (*CONTAINER, "env", 1, "valueFrom", "secretKeyRef", "key")
        assert found.lacks == Lack("Secret", "keys", "b")

    def test_of_a_whole_object_points_at_its_entry(self) -> None:
        status = waiting("CreateContainerConfigError", 'configmap "settings" not found')
        sources = [{"secretRef": {"name": "settings"}}, {"configMapRef": {"name": "settings"}}]

        (found,) = shown(pod(status), container={"envFrom": sources})

        assert found.path == (*CONTAINER, "envFrom", 1)
        assert found.lacks == Lack("ConfigMap", "settings")

    def test_of_a_user_that_is_not_root_has_its_own_hint(self) -> None:
        said = "container has runAsNonRoot and image will run as root (pod: x, container: web)"

        (found,) = shown(pod(waiting("CreateContainerConfigError", said)))

        assert found.path[-1] == "securityContext"
        assert found.hint.startswith("set securityContext.runAsUser")

    @pytest.mark.parametrize(
        ("words", "volume", "lacks"),
        [
            ('configmap "settings" not found', {}, Lack("ConfigMap", "settings")),
            (
                "configmap references non-existent config key: a.ini",
                {"configMap": {"name": "settings"}},
                Lack("ConfigMap", "settings", "a.ini"),
            ),
            (
                "references non-existent secret key: tls.crt",
                {"secret": {"secretName": "tls"}},
                Lack("Secret", "tls", "tls.crt"),
            ),
            ("references non-existent secret key: tls.crt", {"projected": {}}, None),
            ("timed out waiting for the condition", {}, None),
        ],
    )
    def test_of_a_volume_is_read_from_the_mount_s_words(
        self, words: str, volume: Object, lacks: Lack | None
    ) -> None:
        assert volume_lack(words, volume) == lacks

    def test_is_not_read_from_other_words(self) -> None:
        assert lack('serviceaccount "settings" not found') is None

    def test_of_a_volume_points_at_the_volume(self) -> None:
        said = 'MountVolume.SetUp failed for volume "conf" : configmap "settings" not found'
        volumes = [{"name": "data"}, {"name": "conf", "configMap": {"name": "settings"}}]

        (found,) = shown(
            pod(waiting("ContainerCreating")), event("p1", "FailedMount", said, count=4), volumes=volumes
        )

        assert found.path == (*SPEC, "volumes", 1)
        assert found.lacks == Lack("ConfigMap", "settings")
        assert found.details == (f"FailedMount: {said} (4 times)",)

    @pytest.mark.parametrize(
        ("named", "more", "wanted"),
        [
            ("pvc-0a1b", [], ("volumes", 1)),
            ("pvc-0a1b", [{"name": "other", "persistentVolumeClaim": {"claimName": "other"}}], ("volumes",)),
            ("kube-api-access-x", [], ("volumes",)),  # what admission has added
            ("scratch", [], ("volumes", 0)),
        ],
    )
    def test_of_a_persistent_volume_points_at_the_only_claim(
        self, named: str, more: list[Object], wanted: tuple[Any, ...]
    ) -> None:
        said = f'AttachVolume.Attach failed for volume "{named}" : rpc error: code = Internal'
        volumes = [
            {"name": "scratch", "emptyDir": {}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
            *more,
        ]
        web, new, starting = rolling(), replica_set(), pod(waiting("ContainerCreating"))
        for one in (web, new):
            one["spec"]["template"]["spec"]["volumes"] = volumes
        starting["spec"]["volumes"] = [*volumes, {"name": "kube-api-access-x", "projected": {}}]
        told = [event("p1", "FailedAttachVolume", said)]

        (found,) = evidence(web, [new], [starting], told, NOW, {}, since=T0)

        assert found.path == (*SPEC, *wanted)


class TestProbes:
    @pytest.mark.parametrize(
        ("probe", "seconds"),
        [
            ({}, 30),
            ({"initialDelaySeconds": 5, "periodSeconds": 2, "failureThreshold": 10}, 25),
            ({"initialDelaySeconds": -1, "periodSeconds": 0, "failureThreshold": "x"}, 3),
        ],
    )
    def test_bear_as_much_as_their_timings_allow(self, probe: Object, seconds: int) -> None:
        assert window_s(probe) == seconds

    @pytest.mark.parametrize(
        ("threshold", "words"),
        [(30, "in 8 s; its timings allow 30 s"), (2, "in 8 s, more than the 2 s of its timings")],
    )
    def test_tell_whether_their_time_is_over(self, threshold: int, words: str) -> None:
        probe = {"periodSeconds": 1, "failureThreshold": threshold, "tcpSocket": {"port": 80}}
        unready = pod(running(ready=False), phase="Running")

        (found,) = shown(unready, container={"readinessProbe": probe})

        assert found.message.endswith(f"readiness probe of TCP port 80 has not passed {words}")
        assert found.window_s == threshold

    def test_of_a_sidecar_hold_up_the_pod(self) -> None:
        sidecar = {"name": "mesh", "image": "mesh:1", "restartPolicy": "Always", "startupProbe": {}}
        status = running(ready=False, started=False) | {"name": "mesh"}
        failing = pod(waiting("PodInitializing"), initContainerStatuses=[status])
        said = event("p1", "Unhealthy", "Startup probe failed: refused", container="mesh")

        (found,) = shown(failing, said, initContainers=[sidecar])

        assert (found.code, found.container) == (CauseCode.STARTUP_PROBE_FAILED, "mesh")
        assert found.path == (*SPEC, "initContainers", 0, "startupProbe")

    def test_that_failed_before_do_not_count_once_another_kills(self) -> None:
        killed = [
            event("p1", "Killing", f"Container web failed {word} probe", container="web", after=after)
            for word, after in (("liveness", 3), ("startup", 5))
        ]

        assert [found.code for found in shown(crashing(137), *killed)] == [CauseCode.STARTUP_PROBE_FAILED]

    def test_that_kill_are_told_though_another_fails_later(self) -> None:
        said = [
            event("p1", "Killing", "Container web failed liveness probe", container="web", after=3),
            event("p1", "Unhealthy", "Liveness probe failed: 503", container="web", after=3),
            event("p1", "Unhealthy", "Readiness probe failed: 503", container="web", after=5),
            event("p1", "Unhealthy", "Readiness probe errored", container="web", after=6),
        ]

        (found,) = shown(crashing(137), *said)

        assert {"Container web failed liveness probe", "Liveness probe failed: 503"} <= set(found.details)
        assert not any("Readiness" in line for line in found.details)


def test_an_init_container_that_does_not_end_is_told_but_never_fatal() -> None:
    init = {"name": "wait", "image": "wait:1"}
    status = running(ready=False, restarts=5) | {
        "name": "wait",
        "lastState": {"terminated": ended(1, finished=-90)},
    }
    failing = pod(waiting("PodInitializing"), initContainerStatuses=[status])

    (found,) = shown(failing, initContainers=[init])

    assert (found.code, found.grade, found.count) == (CauseCode.INIT_CONTAINER_FAILED, Grade.TRANSIENT, 0)
    assert "has not ended yet" in found.message


def test_ephemeral_containers_are_a_person_s() -> None:
    broken = {**waiting("CrashLoopBackOff", restarts=9, last=ended(1)), "name": "debugger"}
    fine = pod(running(ready=True), phase="Running", ephemeralContainerStatuses=[broken])

    assert shown(fine, ephemeralContainers=[{"name": "debugger", "image": "busybox:missing"}]) == []


class TestTheFieldThatNoNodeSatisfies:
    @pytest.mark.parametrize(
        ("words", "field"),
        [
            (
                "0/3 nodes are available: 3 Insufficient cpu.",
                ("containers", 0, "resources", "requests", "cpu"),
            ),
            ("0/3 nodes are available: 1 Insufficient memory, 2 Too many pods.", ()),
            (
                "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
                ("nodeSelector",),
            ),
            ("0/3 nodes are available: 3 node(s) had untolerated taint {gpu: true}.", ()),
            (
                "0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints.",
                ("topologySpreadConstraints",),
            ),
            ("no nodes available to schedule pods", ()),
        ],
    )
    def test_is_named(self, words: str, field: FieldPath) -> None:
        failing = pod(conditions=[condition("PodScheduled", "False", "Unschedulable", words)])

        (found,) = shown(
            failing,
            container={"resources": {"requests": {"cpu": "99"}}},
            nodeSelector={"disk": "ssd"},
            topologySpreadConstraints=[],
        )

        assert (found.code, found.path) == (CauseCode.UNSCHEDULABLE, (*SPEC, *field))

    def test_counts_as_missing_once_the_node_that_was_ordered_is_late(self) -> None:
        failing = pod(conditions=[condition("PodScheduled", "False", "Unschedulable", "Insufficient cpu")])
        late = event("p1", "Nominated", "Pod should schedule on: nodeclaim/a", after=-291, normal=True)

        assert [found.code for found in shown(failing, late)] == [CauseCode.UNSCHEDULABLE]


class TestTheFieldThatIsNotAdmitted:
    @pytest.mark.parametrize(
        ("words", "field"),
        [
            (
                "exceeded quota: small, requested: requests.cpu=2, used: requests.cpu=1",
                ("containers", 0, "resources", "requests", "cpu"),
            ),
            (
                "exceeded quota: small, requested: limits.memory=1Gi, used: limits.memory=0",
                ("containers", 0, "resources", "limits", "memory"),
            ),
            ("exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2", ()),
            (
                "failed quota: small: must specify limits.cpu for: web",
                ("containers", 0, "resources", "requests", "cpu"),
            ),
            (
                "failed quota: small: must specify limits.nvidia.com/gpu for: web",
                ("containers", 0, "resources"),
            ),
            (
                "maximum memory usage per Container is 512Mi, but limit is 1Gi",
                ("containers", 0, "resources", "limits", "memory"),
            ),
            (
                'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false',
                ("securityContext",),
            ),
            ('serviceaccount "web" not found', ("serviceAccountName",)),
        ],
    )
    def test_is_named(self, words: str, field: FieldPath) -> None:
        workload = stateful_set(3) | {"status": {"replicas": 1}}
        workload["spec"]["template"]["spec"]["containers"][0] |= RESOURCES

        (found,) = evidence(workload, [], [], [event("s1", "FailedCreate", words)], NOW, {}, since=T0)

        assert found.path == (*SPEC, *field)


class TestWhatTheNodeTakesAway:
    @pytest.mark.parametrize(
        "leaving",
        [
            crashing(137, phase="Failed", reason="NodeShutdown"),
            crashing(137, phase="Failed", reason="Terminated"),
            crashing(137, phase="Failed", reason="Preempting"),
            crashing(137, conditions=[condition("DisruptionTarget", reason="DeletionByTaintManager")]),
            crashing(137, conditions=[condition("DisruptionTarget", reason="TerminationByKubelet")]),
            crashing(137, conditions=[condition("DisruptionTarget", reason="EvictionByEvictionAPI")]),
        ],
        ids=["node shutdown", "node shut down", "preempted", "tainted", "evicted by kubelet", "drained"],
    )
    def test_is_no_failure_of_the_release(self, leaving: Object) -> None:
        assert shown(leaving) == []

    def test_is_one_where_the_disruption_is_over(self) -> None:
        stayed = crashing(1, conditions=[condition("DisruptionTarget", "False")])

        assert [found.code for found in shown(stayed)] == [CauseCode.CRASH_LOOP]


class TestEvents:
    def test_that_say_the_same_are_one_with_a_count(self) -> None:
        same = [event("p1", "Failed", "401 Unauthorized", count=n, after=n) for n in (2, 3)]

        (found,) = EventIndex(same).about("p1")

        assert (found.count, found.at, found.told) == (5, T0 + 3, "401 Unauthorized (5 times)")

    def test_that_came_in_twice_count_once_in_their_newest_state(self) -> None:
        states = [event("p1", "Failed", "no", count=n, after=n) for n in (1, 4)]
        for state in states:
            state["metadata"]["uid"] = "e1"

        assert [h.count for h in EventIndex([*states, *states[::-1]]).about("p1")] == [4]

    def test_of_one_time_are_read_in_one_order(self) -> None:
        said = [
            event("p1", "Killing", f"Container web failed {w} probe", container="web")
            for w in ("liveness", "startup")
        ]
        failing = [crashing(137), crashing(137)]

        first, second = (shown(one, *events) for one, events in zip(failing, (said, said[::-1]), strict=True))

        assert first == second


class TestAnOrderedStatefulSet:
    def bad(self, ordinal: int = 0, **more: Any) -> Object:
        made = crashing(1, owner="s1", labels=BAD, uid=f"b{ordinal}", **more)
        made["metadata"]["name"] = f"db-{ordinal}"
        return made

    def test_names_the_pods_of_other_revisions_that_block_it_in_its_order(self) -> None:
        ready = pod(running(ready=True), owner="s1", labels=BAD, uid="r", conditions=[condition("Ready")])
        new = pod(running(ready=False), owner="s1", labels={"controller-revision-hash": "db-b"}, uid="n")

        found = blocking_pods(stateful_set(), [self.bad(10), self.bad(2), ready, new])

        assert [ref.name for ref in found] == ["db-2", "db-10"]

    @pytest.mark.parametrize(
        "workload",
        [
            stateful_set(observedGeneration=1),
            stateful_set(updateRevision=""),
            stateful_set() | {"kind": "Deployment"},
        ],
        ids=["not seen yet", "no revision", "no StatefulSet"],
    )
    def test_blocks_nothing_before_it_knows_its_revision(self, workload: Object) -> None:
        assert blocking_pods(workload, [self.bad()]) == []
        assert [e.code for e in evidence(workload, [], [self.bad()], [], NOW, {})] == []

    def test_that_is_parallel_is_not_blocked(self) -> None:
        workload = stateful_set()
        workload["spec"]["podManagementPolicy"] = "Parallel"

        assert blocking_pods(workload, [self.bad()]) == []

    def test_leaves_what_is_below_its_partition(self) -> None:
        workload = stateful_set()
        workload["spec"]["updateStrategy"]["rollingUpdate"] = {"partition": 2}

        assert [ref.name for ref in blocking_pods(workload, [self.bad(1), self.bad(2)])] == ["db-2"]

    def test_counts_its_partition_from_its_first_ordinal(self) -> None:
        """ "spec.ordinals.start: the number representing the first replica's index" (apps/v1); the partition
        counts places among the replicas (kubernetes pkg/controller/statefulset)."""
        workload = stateful_set()
        workload["spec"] |= {"ordinals": {"start": 5}}
        workload["spec"]["updateStrategy"]["rollingUpdate"] = {"partition": 2}

        assert [ref.name for ref in blocking_pods(workload, [self.bad(6), self.bad(7)])] == ["db-7"]

    def test_leaves_what_is_going_already(self) -> None:
        going = self.bad()
        going["metadata"]["deletionTimestamp"] = at(3)

        assert blocking_pods(stateful_set(), [going]) == []

    def test_says_how_to_unblock_it(self) -> None:
        (found,) = evidence(stateful_set(), [], [self.bad()], [], NOW, {})

        assert (found.code, found.grade) == (CauseCode.RELEASE_BLOCKED_BY_POD, Grade.PROBABLE)
        assert found.hint.startswith(
            "run kubectl -n demo delete pod db-0, or set the annotation pipeline/recreate"
        )

    def test_that_waits_for_a_pod_which_may_yet_be_ready_is_only_slow(self) -> None:
        slow = pod(
            running(ready=False),
            owner="s1",
            labels=BAD,
            phase="Running",
            spec=template(readinessProbe={"tcpSocket": {"port": 1}})["spec"],
        )

        (found,) = evidence(stateful_set(), [], [slow], [], NOW, {})

        assert (found.code, found.grade) == (CauseCode.RELEASE_BLOCKED_BY_POD, Grade.TRANSIENT)

    def test_does_not_blame_a_pod_that_only_starts(self) -> None:
        starting = pod(waiting("ContainerCreating"), owner="s1", labels=BAD)

        assert evidence(stateful_set(), [], [starting], [], NOW, {}) == []


def test_two_troubles_of_one_pod_are_not_told_as_many_pods() -> None:
    both = [event("p1", reason, "timed out") for reason in ("FailedMount", "FailedMapVolume")]

    (found,) = shown(pod(waiting("ContainerCreating")), *both)

    assert not any("more pod" in line for line in found.details)


def test_a_claim_that_lost_its_volume_has_no_use_of_a_storage_class() -> None:
    ref = ObjectRef("", "PersistentVolumeClaim", "demo", "data")
    status = ObjectStatus(Status.FAILED, "ClaimLost", "its volume is gone, and the data with it")

    found = explain_failure(ref, status, [])

    assert found.code is CauseCode.CLAIM_PENDING
    assert found.path == ("spec", "volumeName")
    assert "restore the data" in found.hint


@pytest.mark.parametrize(
    ("reason", "path", "hint"),
    [
        ("ResizeInfeasible", ("spec", "resources", "requests", "storage"), "more than it has"),
        ("ModifyInfeasible", ("spec", "volumeAttributesClassName"), "put back the class"),
    ],
)
def test_a_claim_whose_change_cannot_be_points_at_what_was_asked_for(
    reason: str, path: FieldPath, hint: str
) -> None:
    ref = ObjectRef("", "PersistentVolumeClaim", "demo", "data")

    found = explain_failure(ref, ObjectStatus(Status.FAILED, reason, "cannot"), [])

    assert (found.code, found.path) == (CauseCode.CLAIM_PENDING, path)
    assert hint in found.hint


def test_a_bare_pod_that_failed_is_its_own_evidence() -> None:
    bare = simple("v1", "Pod", spec={}, status={"phase": "Failed", "reason": "OutOfcpu", "message": "no cpu"})

    assert [found.code for found in evidence(bare, [], [], [], NOW, {})] == [CauseCode.POD_FAILED]


def test_a_bare_pod_that_failed_points_at_the_container_that_did() -> None:
    bare = pod({"name": "web", "state": {"terminated": ended(6)}}, phase="Failed")
    ref = ObjectRef("", "Pod", "demo", "web-p1")
    status = ObjectStatus(Status.FAILED, "PodFailed", "container web exited with 6")

    found = explain_failure(ref, status, evidence(bare, [], [], [], NOW, {}))

    assert found.path == ("spec", "containers", 0)
    assert explain_failure(ref, status, []).path == ("spec", "containers")


class TestAJobThatFailed:
    REF = ObjectRef("batch", "Job", "demo", "migrate")
    FAILED = ObjectStatus(Status.FAILED, "JobFailed", "Job has reached the specified backoff limit")

    def told(self, status: Any) -> Evidence:
        of_pod = evidence(job(failed=1), [], [pod(status, owner="j1", phase="Failed")], [], NOW, {})
        return explain_failure(self.REF, self.FAILED, of_pod)

    def test_points_at_what_its_pods_died_of(self) -> None:
        found = self.told({"name": "web", "state": {"terminated": ended(137, "OOMKilled")}})

        assert found.code is CauseCode.JOB_FAILED
        assert found.path == (*CONTAINER, "resources", "limits", "memory")
        assert found.hint.startswith("raise resources.limits.memory")

    def test_points_at_the_container_that_died_where_that_says_nothing(self) -> None:
        found = self.told({"name": "web", "state": {"terminated": ended(139)}})

        assert found.path == CONTAINER
        assert "SIGSEGV" in found.hint

    def test_needs_no_pod(self) -> None:
        found = explain_failure(self.REF, self.FAILED, [])

        assert (found.path, found.hint) == ((*SPEC, "containers"), "")


def test_what_was_remembered_of_a_pull_is_not_told_twice() -> None:
    said = "rpc error: code = NotFound desc = not found"
    failing = pod(waiting("ImagePullBackOff", f"Back-off pulling image: ErrImagePull: {said}"))

    (found,) = evidence(rolling(), [replica_set()], [failing], [], NOW, {("p1", "web"): said})

    assert found.details == (f"ImagePullBackOff: Back-off pulling image: ErrImagePull: {said}",)


def test_a_command_that_cannot_start_is_told_without_the_runtime_s_layers() -> None:
    said = 'failed to create containerd task: OCI runtime create failed: exec: "x": executable file not found'

    (found,) = shown(pod(waiting("RunContainerError", said)), container={"command": ["x", "--token=hunter2"]})

    assert found.message == "container web cannot start 'x': exec: \"x\": executable file not found"
    assert found.details == (f"RunContainerError: {said}",)


def test_a_missing_service_account_is_named_so_that_a_near_one_can_be_found() -> None:
    workload = stateful_set(3) | {"status": {"replicas": 1}}
    said = (
        'pods "db-0" is forbidden: error looking up service account demo/wbe: serviceaccount "wbe" not found'
    )

    (found,) = evidence(workload, [], [], [event("s1", "FailedCreate", said)], NOW, {}, since=T0)

    assert found.lacks == Lack("ServiceAccount", "wbe")


def test_a_pod_of_a_node_that_does_not_report_is_told_but_never_fatal() -> None:
    lost = pod(
        running(ready=True),
        phase="Running",
        conditions=[condition("PodScheduled"), condition("Ready", "False", "")],
    )

    (found,) = shown(lost)

    assert (found.code, found.grade) == (CauseCode.NODE_NOT_READY, Grade.TRANSIENT)
    assert "does not report" in found.message
    assert found.path == SPEC
    assert patience(found, Grace()) == math.inf


@pytest.mark.parametrize(
    ("ready", "reason"), [("True", ""), ("False", "ContainersNotReady"), ("False", "PodCompleted")]
)
def test_a_pod_of_which_its_kubelet_tells_is_not_of_a_lost_node(ready: str, reason: str) -> None:
    told = pod(running(ready=True), phase="Running", conditions=[condition("Ready", ready, reason)])

    assert shown(told) == []


def test_a_closed_readiness_gate_is_told_but_never_fatal() -> None:
    said = 'the status of pod readiness gate "target-health.elbv2.k8s.aws/x" is not "True", but False'
    closed = condition("Ready", "False", "ReadinessGatesNotReady", said)
    gated = pod(running(ready=True), phase="Running", conditions=[condition("PodScheduled"), closed])

    (found,) = shown(gated)

    assert (found.code, found.grade) == (CauseCode.READINESS_PROBE_FAILED, Grade.TRANSIENT)
    assert said in found.message
    assert found.path == (*SPEC, "readinessGates")

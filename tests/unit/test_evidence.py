"""Evidence: which pods count, what they show, and how grave it is."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.evidence import evidence, new_pods, remember
from pipeline.core.reading import seconds
from pipeline.model.objects import Object
from pipeline.model.status import CauseCode, Evidence, Grade
from tests.kube_objects import (
    T0,
    at,
    condition,
    daemon_set,
    ended,
    event,
    job,
    pod,
    replica_set,
    rolling,
    running,
    stateful_set,
    template,
    waiting,
)

TERMINAL, PROBABLE, TRANSIENT = Grade.TERMINAL, Grade.PROBABLE, Grade.TRANSIENT
NOW = T0 + 10


def shown(
    *pods: Object,
    events: list[Any] | None = None,
    memory: Any = None,
    workload: Any = None,
    after: float = NOW - T0,
) -> list[Evidence]:
    """What speaks against a Deployment (or ``workload``) that has these pods, so long after our write."""
    now = T0 + after
    return evidence(workload or rolling(), [replica_set()], pods, events or [], now, memory or {}, since=T0)


CRASH = ended(1, "Error")
BACK_OFF = "back-off 10s restarting failed container=web pod=web-p1_demo(p1)"
RUNC = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create "
    "failed: unable to start container process: error during container init: exec: "
)

CONTAINERS: dict[str, tuple[Any, CauseCode, Grade, int]] = {
    # the fourteen waiting reasons of the kubelet
    "an image that the registry does not have is terminal": (
        waiting("ErrImagePull", "rpc error: code = NotFound desc = failed to pull: not found"),
        CauseCode.IMAGE_NOT_FOUND,
        TERMINAL,
        1,
    ),
    "a back-off that quotes its reason is graded by it": (
        waiting("ImagePullBackOff", 'Back-off pulling image "x": ErrImagePull: 403 Forbidden'),
        CauseCode.IMAGE_DENIED,
        PROBABLE,
        1,
    ),
    "a back-off without reason is transient": (
        waiting("ImagePullBackOff", 'Back-off pulling image "x"'),
        CauseCode.IMAGE_REGISTRY_UNAVAILABLE,
        TRANSIENT,
        1,
    ),
    "an image that cannot be inspected is transient": (
        waiting("ImageInspectError", "Failed to inspect image"),
        CauseCode.IMAGE_REGISTRY_UNAVAILABLE,
        TRANSIENT,
        1,
    ),
    "an image that may not be pulled and is not there is terminal": (
        waiting("ErrImageNeverPull", "is not present"),
        CauseCode.IMAGE_NOT_FOUND,
        TERMINAL,
        1,
    ),
    "an invalid image name is terminal": (
        waiting("InvalidImageName", "couldn't parse image name"),
        CauseCode.IMAGE_NAME_INVALID,
        TERMINAL,
        1,
    ),
    "a missing ConfigMap is probable": (
        waiting("CreateContainerConfigError", 'configmap "settings" not found'),
        CauseCode.CONTAINER_CONFIG_MISSING,
        PROBABLE,
        1,
    ),
    "a missing key is probable": (
        waiting("CreateContainerConfigError", "couldn't find key k in ConfigMap demo/settings"),
        CauseCode.CONTAINER_CONFIG_MISSING,
        PROBABLE,
        1,
    ),
    "a kubelet whose cache is not filled is transient": (
        waiting(
            "CreateContainerConfigError",
            "failed to sync configmap cache: timed out waiting for the condition",
        ),
        CauseCode.CONTAINER_CONFIG_MISSING,
        TRANSIENT,
        1,
    ),
    "a failed PreCreateHook is transient": (
        waiting("PreCreateHookError", "x"),
        CauseCode.CONTAINER_NOT_CREATED,
        TRANSIENT,
        1,
    ),
    "a container that the runtime cannot create is transient": (
        waiting("CreateContainerError", "context deadline exceeded"),
        CauseCode.CONTAINER_NOT_CREATED,
        TRANSIENT,
        1,
    ),
    "an image without command is terminal": (
        waiting("CreateContainerError", "failed to generate spec: no command specified"),
        CauseCode.COMMAND_NOT_FOUND,
        TERMINAL,
        0,
    ),
    "a failed PreStartHook is transient": (
        waiting("PreStartHookError", "x"),
        CauseCode.CONTAINER_NOT_CREATED,
        TRANSIENT,
        1,
    ),
    "a failed PostStartHook is a crash": (
        waiting("PostStartHookError", "hook exited with 1", restarts=1),
        CauseCode.CRASH_LOOP,
        PROBABLE,
        1,
    ),
    "a crash loop counts its restarts": (
        waiting("CrashLoopBackOff", BACK_OFF, restarts=3, last=CRASH),
        CauseCode.CRASH_LOOP,
        PROBABLE,
        3,
    ),
    "a command that is not in the image is terminal": (
        waiting("RunContainerError", RUNC + '"serve": executable file not found in $PATH: unknown'),
        CauseCode.COMMAND_NOT_FOUND,
        TERMINAL,
        0,
    ),
    "a command whose path is not there is terminal": (
        waiting("RunContainerError", RUNC + '"/serve": stat /serve: no such file or directory: unknown'),
        CauseCode.COMMAND_NOT_FOUND,
        TERMINAL,
        0,
    ),
    "a command that is not executable is terminal": (
        waiting("RunContainerError", RUNC + '"/serve": permission denied: unknown'),
        CauseCode.COMMAND_NOT_EXECUTABLE,
        TERMINAL,
        0,
    ),
    "a program of another platform is terminal": (
        waiting("RunContainerError", RUNC + '"/serve": exec format error'),
        CauseCode.IMAGE_PLATFORM_MISMATCH,
        TERMINAL,
        0,
    ),
    "a sandbox that cannot be created is transient": (
        waiting("CreatePodSandboxError", "x"),
        CauseCode.CONTAINER_NOT_CREATED,
        TRANSIENT,
        1,
    ),
    "a sandbox that cannot be configured is transient": (
        waiting("ConfigPodSandboxError", "x"),
        CauseCode.CONTAINER_NOT_CREATED,
        TRANSIENT,
        1,
    ),
    **{
        f"{reason}, which no kubelet says yet, is transient": (
            waiting(reason, "x"),
            CauseCode.CONTAINER_NOT_CREATED,
            TRANSIENT,
            1,
        )
        for reason in ("ErrDeviceAllocation", "AttestationFailed", "CheckpointRestoreError", "UnpackBackOff")
    },
    # exits
    "an exit for lack of memory is told as such": (
        waiting("CrashLoopBackOff", BACK_OFF, restarts=2, last=ended(137, "OOMKilled")),
        CauseCode.OUT_OF_MEMORY,
        PROBABLE,
        2,
    ),
    "exit code 127 is a command that was not found": (
        waiting("CrashLoopBackOff", BACK_OFF, restarts=1, last=ended(127)),
        CauseCode.COMMAND_NOT_FOUND,
        PROBABLE,
        1,
    ),
    "exit code 126 is a command that is not executable": (
        waiting("CrashLoopBackOff", BACK_OFF, restarts=1, last=ended(126)),
        CauseCode.COMMAND_NOT_EXECUTABLE,
        PROBABLE,
        1,
    ),
    "a start error in the last state is terminal": (
        waiting(
            "CrashLoopBackOff",
            BACK_OFF,
            restarts=1,
            last=ended(128, "StartError", RUNC + '"x": executable file not found in $PATH: unknown'),
        ),
        CauseCode.COMMAND_NOT_FOUND,
        TERMINAL,
        1,
    ),
    "a container between crash and restart is a crash": (
        {"name": "web", "ready": False, "restartCount": 0, "state": {"terminated": CRASH}},
        CauseCode.CRASH_LOOP,
        PROBABLE,
        0,
    ),
    "a container that crashed just now and runs again is a crash": (
        running(ready=False, restarts=2, last=CRASH),
        CauseCode.CRASH_LOOP,
        PROBABLE,
        2,
    ),
}


@pytest.mark.parametrize("sentence", CONTAINERS)
def test_a_container_is_graded_by_what_the_kubelet_says(sentence: str) -> None:
    status, code, grade, count = CONTAINERS[sentence]

    (found,) = shown(pod(status))

    assert (found.code, found.grade, found.count) == (code, grade, count)
    assert found.container == "web"
    assert found.pod is not None
    assert found.pod.name == "web-p1"
    assert found.path[:5] == ("spec", "template", "spec", "containers", 0)
    assert "\n" not in found.message


SILENT: dict[str, Any] = {
    "a container that is being created shows nothing": waiting("ContainerCreating"),
    "a container that waits for init containers shows nothing": waiting("PodInitializing"),
    "a container that waits for a reason that nobody knows shows nothing": waiting("Queued", "for a node"),
    "a ready container with an old crash shows nothing": running(ready=True, restarts=5, last=CRASH),
    "a container that crashed long ago and starts now shows nothing": running(
        ready=False, restarts=2, last=ended(1, finished=-90)
    ),
    "a container that ended well shows nothing": {
        "name": "web",
        "state": {"terminated": ended(0, "Completed")},
    },
}


@pytest.mark.parametrize("sentence", SILENT)
def test_what_may_still_come_right_shows_nothing(sentence: str) -> None:
    assert shown(pod(SILENT[sentence], phase="Running")) == []


def test_a_cause_names_container_image_and_field() -> None:
    (found,) = shown(pod(waiting("ErrImagePull", "registry.example/web:1: not found")))

    assert found.message == (
        "container web cannot pull image registry.example/web:1: the registry does not have it"
    )
    assert found.path == ("spec", "template", "spec", "containers", 0, "image")
    assert found.details == ("ErrImagePull: registry.example/web:1: not found",)


def test_a_crash_tells_restarts_and_exit_code() -> None:
    (found,) = shown(pod(waiting("CrashLoopBackOff", BACK_OFF, restarts=3, last=CRASH)))

    assert found.message == "container web of image registry.example/web:1 exits with code 1"
    assert "restarted 3 times, exit code 1 (Error)" in found.details


def test_a_missing_reference_points_at_the_entry_that_names_it() -> None:
    workload = rolling()
    env = [
        {"name": "A", "value": "1"},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "b"}}},
    ]
    workload["spec"]["template"] = template(env=env)
    new = replica_set()
    new["spec"]["template"]["spec"] = workload["spec"]["template"]["spec"]
    failing = pod(
        waiting("CreateContainerConfigError", 'secret "keys" not found'), spec=template(env=env)["spec"]
    )

    (found,) = evidence(workload, [new], [failing], [], NOW, {})

    assert found.path == ("spec", "template", "spec", "containers", 0, "env", 1)


def test_an_injected_container_points_at_the_list_of_containers() -> None:
    spec = {"containers": [{"name": "proxy", "image": "mesh:1"}, {"name": "web", "image": "w"}]}
    status = waiting("ErrImagePull", "not found", name="proxy")

    (found,) = shown(pod(status, spec=spec))

    assert found.path == ("spec", "template", "spec", "containers", "image")


class TestTheFlipBetweenErrImagePullAndImagePullBackOff:
    BACKED_OFF = waiting("ImagePullBackOff", 'Back-off pulling image "registry.example/web:1"')

    def test_is_bridged_by_what_was_seen_before(self) -> None:
        memory = remember({}, [pod(waiting("ErrImagePull", "not found"))])
        memory = remember(memory, [pod(self.BACKED_OFF)])

        (found,) = shown(pod(self.BACKED_OFF), memory=memory)

        assert (found.code, found.grade) == (CauseCode.IMAGE_NOT_FOUND, TERMINAL)
        assert "not found" in found.details

    def test_is_bridged_by_the_event_of_the_pull(self) -> None:
        events = [event("p1", "Failed", "Failed to pull image: 401 Unauthorized", container="web", count=3)]

        (found,) = shown(pod(self.BACKED_OFF), events=events)

        assert (found.code, found.count) == (CauseCode.IMAGE_DENIED, 3)

    def test_is_not_bridged_by_another_container_s_event(self) -> None:
        events = [event("p1", "Failed", "Failed to pull image: 401 Unauthorized", container="other")]

        (found,) = shown(pod(self.BACKED_OFF), events=events)

        assert found.code is CauseCode.IMAGE_REGISTRY_UNAVAILABLE

    def test_is_forgotten_with_the_pod(self) -> None:
        assert remember({("gone", "web"): "not found"}, [pod(self.BACKED_OFF)]) == {}


class TestInitContainers:
    def failing(self, status: Any, **init: Any) -> Object:
        spec = {"initContainers": [{"name": "init", "image": "init:1", **init}], **template()["spec"]}
        return pod(waiting("PodInitializing"), spec=spec, initContainerStatuses=[{**status, "name": "init"}])

    def test_that_crash_are_told_as_such(self) -> None:
        (found,) = shown(self.failing(waiting("CrashLoopBackOff", restarts=2, last=CRASH)))

        assert (found.code, found.count, found.container) == (CauseCode.INIT_CONTAINER_FAILED, 2, "init")

    def test_whose_image_is_missing_have_that_cause(self) -> None:
        (found,) = shown(self.failing(waiting("ErrImagePull", "not found")))

        assert found.code is CauseCode.IMAGE_NOT_FOUND

    def test_that_are_sidecars_crash_like_others(self) -> None:
        failing = self.failing(waiting("CrashLoopBackOff", restarts=2, last=CRASH), restartPolicy="Always")

        assert [found.code for found in shown(failing)] == [CauseCode.CRASH_LOOP]


class TestProbes:
    def test_a_failing_readiness_probe_is_told_with_its_event(self) -> None:
        spec = template(readinessProbe={"httpGet": {"port": 8080, "path": "/ready"}})["spec"]
        said = "Readiness probe failed: HTTP probe failed with statuscode: 503"

        (found,) = shown(
            pod(running(ready=False), phase="Running", spec=spec),
            events=[event("p1", "Unhealthy", said, container="web", count=7)],
        )

        assert (found.code, found.grade, found.count) == (CauseCode.READINESS_PROBE_FAILED, TRANSIENT, 7)
        assert "GET :8080/ready" in found.message
        assert f"{said} (7 times)" in found.details
        assert found.path[-1] == "readinessProbe"

    @pytest.mark.parametrize(
        ("word", "code"),
        [("liveness", CauseCode.LIVENESS_PROBE_FAILED), ("startup", CauseCode.STARTUP_PROBE_FAILED)],
    )
    def test_what_the_kubelet_kills_is_no_crash(self, word: str, code: CauseCode) -> None:
        killed = event(
            "p1", "Killing", f"Container web failed {word} probe, will be restarted", container="web"
        )

        (found,) = shown(
            pod(waiting("CrashLoopBackOff", BACK_OFF, restarts=2, last=ended(137))), events=[killed]
        )

        assert (found.code, found.count) == (code, 2)

    KILLED = "Container web failed liveness probe, will be restarted"

    @pytest.mark.parametrize(
        ("exit_code", "after", "probe", "said", "settled"),
        [
            (143, 6, "livenessProbe", "", False),
            (137, 6, "startupProbe", "", False),
            (143, 6, "livenessProbe", KILLED, True),
            (143, 11, "livenessProbe", "", True),
            (143, 6, "readinessProbe", "", True),
            (1, 6, "livenessProbe", "", True),
        ],
        ids=["liveness", "startup", "told", "not told in time", "no such probe", "died by itself"],
    )
    def test_what_a_probe_may_have_killed_waits_for_the_event_that_says_so(
        self, exit_code: int, after: float, probe: str, said: str, settled: bool
    ) -> None:
        died = waiting("CrashLoopBackOff", restarts=2, last=ended(exit_code))  # after 5 s
        spec = template(**{probe: {"exec": {"command": ["false"]}}})["spec"]
        events = [event("p1", "Killing", said, container="web", after=5)] if said else []

        (found,) = shown(pod(died, spec=spec), events=events, after=after)

        assert found.settled is settled

    def test_a_crash_that_also_fails_its_probe_stays_a_crash(self) -> None:
        unhealthy = event("p1", "Unhealthy", "Liveness probe failed: connection refused", container="web")

        (found,) = shown(pod(waiting("CrashLoopBackOff", restarts=2, last=CRASH)), events=[unhealthy])

        assert found.code is CauseCode.CRASH_LOOP

    def test_the_arguments_of_a_probe_s_command_are_not_told(self) -> None:
        spec = template(readinessProbe={"exec": {"command": ["psql", "--password=hunter2"]}})["spec"]

        (found,) = shown(pod(running(ready=False), phase="Running", spec=spec))

        assert "psql" in found.message
        assert "hunter2" not in str(found)


class TestPodsWithoutAPlace:
    UNSCHEDULABLE = pod(
        conditions=[
            condition(
                "PodScheduled", "False", "Unschedulable", "0/1 nodes are available: 1 Insufficient cpu."
            )
        ]
    )

    def test_are_unschedulable_with_the_scheduler_s_words(self) -> None:
        events = [event("p1", "FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu.")]

        (found,) = shown(self.UNSCHEDULABLE, events=events)

        assert (found.code, found.grade) == (CauseCode.UNSCHEDULABLE, TRANSIENT)
        assert "Insufficient cpu" in found.message

    def test_wait_for_a_node_that_was_ordered(self) -> None:
        ordered = event("p1", "TriggeredScaleUp", "pod triggered scale-up", normal=True)

        assert shown(self.UNSCHEDULABLE, events=[ordered]) == []

    def test_that_wait_for_a_claim_say_so(self) -> None:
        said = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
        unbound = pod(conditions=[condition("PodScheduled", "False", "Unschedulable", said)])

        assert [found.code for found in shown(unbound)] == [CauseCode.CLAIM_PENDING]

    @pytest.mark.parametrize(
        ("reason", "code"),
        [
            ("FailedMount", CauseCode.VOLUME_MOUNT_FAILED),
            ("FailedAttachVolume", CauseCode.VOLUME_ATTACH_FAILED),
            ("FailedCreatePodSandBox", CauseCode.CONTAINER_NOT_CREATED),
        ],
    )
    def test_whose_volume_or_network_fails_are_transient(self, reason: str, code: CauseCode) -> None:
        events = [event("p1", reason, 'MountVolume.SetUp failed for volume "data" : not found')]

        (found,) = shown(pod(waiting("ContainerCreating")), events=events)

        assert (found.code, found.grade) == (code, TRANSIENT)

    def test_that_got_over_it_show_nothing(self) -> None:
        events = [
            event("p1", "FailedMount", "timed out", after=3),
            event("p1", "Pulling", "Pulling image", after=4, normal=True),
        ]

        assert shown(pod(waiting("ContainerCreating")), events=events) == []


class TestPodsThatCannotBeCreated:
    QUOTA = 'pods "web-r2-x" is forbidden: exceeded quota: small, requested: pods=1, limited: pods=2'
    WORDS = (
        (QUOTA, CauseCode.QUOTA_EXCEEDED, TRANSIENT),
        (
            'pods "x" is forbidden: violates PodSecurity "restricted:latest"',
            CauseCode.ADMISSION_DENIED,
            PROBABLE,
        ),
        ('admission webhook "p.example" denied the request: no', CauseCode.ADMISSION_DENIED, PROBABLE),
        ('failed calling webhook "p.example": connection refused', CauseCode.WEBHOOK_UNAVAILABLE, TRANSIENT),
        (
            'error looking up service account demo/w: serviceaccount "w" not found',
            CauseCode.REFERENCE_MISSING,
            PROBABLE,
        ),
        (
            "unable to create new content in namespace demo because it is being terminated",
            CauseCode.NAMESPACE_TERMINATING,
            TERMINAL,
        ),
        ("etcdserver: request timed out", CauseCode.ADMISSION_DENIED, TRANSIENT),
    )

    @pytest.mark.parametrize(("message", "code", "grade"), WORDS)
    def test_are_told_from_the_condition_of_the_new_replica_set(
        self, message: str, code: CauseCode, grade: Grade
    ) -> None:
        short = replica_set(
            replicas=0, conditions=[condition("ReplicaFailure", "True", "FailedCreate", message)]
        )

        (found,) = evidence(rolling(), [short], [], [], NOW, {})

        assert (found.code, found.grade) == (code, grade)
        assert message in found.message

    @pytest.mark.parametrize(
        "workload",
        [stateful_set(replicas=3) | {"status": {"replicas": 1}}, job(), daemon_set(currentNumberScheduled=1)],
        ids=lambda workload: workload["kind"],
    )
    def test_are_told_from_the_event_where_there_is_no_condition(self, workload: Object) -> None:
        events = [event(workload["metadata"]["uid"], "FailedCreate", self.QUOTA, count=4)]

        (found,) = evidence(workload, [], [], events, NOW, {}, since=T0)

        assert (found.code, found.count) == (CauseCode.QUOTA_EXCEEDED, 4)

    def test_before_our_write_do_not_count(self) -> None:
        workload = stateful_set(3) | {"status": {"replicas": 1}}

        assert (
            evidence(workload, [], [], [event("s1", "FailedCreate", self.QUOTA, after=-5)], NOW, {}, since=T0)
            == []
        )

    def test_do_not_count_once_they_exist(self) -> None:
        assert evidence(stateful_set(3), [], [], [event("s1", "FailedCreate", self.QUOTA)], NOW, {}) == []


class TestNewPods:
    def test_of_a_deployment_are_those_of_the_replica_set_with_its_template(self) -> None:
        old, new = replica_set("r1", image="registry.example/web:0"), replica_set("r2")
        pods = [pod(uid="old", owner="r1"), pod(uid="new", owner="r2")]

        assert [p["metadata"]["uid"] for p in new_pods(rolling(), [old, new], pods)] == ["new"]

    def test_of_a_deployment_back_on_an_old_template_are_those_of_its_old_replica_set(self) -> None:
        back, bad = replica_set("r1"), replica_set("r2", image="registry.example/web:bad")
        pods = [pod(uid="good", owner="r1"), pod(uid="bad", owner="r2")]

        assert [p["metadata"]["uid"] for p in new_pods(rolling(), [back, bad], pods)] == ["good"]

    def test_of_an_argo_rollout_have_the_hash_that_it_names(self) -> None:
        """RolloutStatus.currentPodHash: "the hash of the current pod template" (Argo Rollouts)."""
        rollout = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": {"uid": "d1", "generation": 2},
            "status": {"observedGeneration": "2", "currentPodHash": "r2"},
        }
        sets = [replica_set("r1"), replica_set("r2")]
        for one in sets:
            one["metadata"]["labels"] = {"rollouts-pod-template-hash": one["metadata"]["uid"]}
        pods = [pod(uid="p1", owner="r1"), pod(uid="p2", owner="r2")]

        assert [p["metadata"]["uid"] for p in new_pods(rollout, sets, pods)] == ["p2"]
        assert (
            new_pods({**rollout, "status": {"observedGeneration": "1", "currentPodHash": "r2"}}, sets, pods)
            == []
        )

    def test_do_not_exist_before_the_controller_has_seen_the_template(self) -> None:
        old = replica_set("r2", image="registry.example/web:0")

        assert new_pods(rolling(observedGeneration=1), [old], [pod(owner="r2")]) == []

    def test_are_found_by_revision_where_a_webhook_changed_the_template(self) -> None:
        changed = replica_set("r2", image="mirror.example/web:1")

        assert len(new_pods(rolling(), [changed], [pod(owner="r2")])) == 1

    def test_of_someone_else_s_replica_set_do_not_count(self) -> None:
        assert new_pods(rolling(), [replica_set("r2", owner="other")], [pod(owner="r2")]) == []

    def test_of_a_stateful_set_have_its_update_revision(self) -> None:
        pods = [
            pod(uid="0", owner="s1", labels={"controller-revision-hash": "db-a"}),
            pod(uid="1", owner="s1", labels={"controller-revision-hash": "db-b"}),
        ]

        assert [p["metadata"]["uid"] for p in new_pods(stateful_set(), [], pods)] == ["1"]
        assert new_pods(stateful_set(observedGeneration=1), [], pods) == []

    def test_of_a_daemon_set_have_the_hash_of_the_newest_revision(self) -> None:
        owner = [{"kind": "DaemonSet", "uid": "ds1", "controller": True}]
        revisions = [
            {"metadata": {"labels": {"controller-revision-hash": h}, "ownerReferences": owner}, "revision": n}
            for h, n in (("old", 1), ("new", 2))
        ]
        pods = [pod(uid=h, owner="ds1", labels={"controller-revision-hash": h}) for h in ("old", "new")]

        assert [p["metadata"]["uid"] for p in new_pods(daemon_set(), [], pods, revisions)] == ["new"]

    def test_of_a_daemon_set_without_revisions_have_its_template_generation(self) -> None:
        workload = daemon_set()
        workload["metadata"]["annotations"] = {"deprecated.daemonset.template.generation": "2"}
        pods = [pod(uid=n, owner="ds1", labels={"pod-template-generation": n}) for n in ("1", "2")]

        assert [p["metadata"]["uid"] for p in new_pods(workload, [], pods)] == ["2"]

    def test_of_a_job_are_all_it_owns_and_a_bare_pod_is_its_own(self) -> None:
        assert len(new_pods(job(), [], [pod(owner="j1"), pod(uid="p2", owner="j2")])) == 1
        bare = pod(uid="p9")
        assert new_pods(bare, [], []) == [bare]

    @pytest.mark.parametrize(
        "leaving",
        [
            pod() | {"metadata": {**pod()["metadata"], "deletionTimestamp": at(3)}},
            pod(phase="Failed", reason="Evicted"),
            pod(phase="Failed", conditions=[condition("DisruptionTarget", reason="PreemptionByScheduler")]),
        ],
        ids=["deleted", "evicted", "preempted"],
    )
    def test_that_leave_do_not_count(self, leaving: Object) -> None:
        assert new_pods(rolling(), [replica_set()], [leaving]) == []


def test_the_same_trouble_on_many_pods_is_told_once() -> None:
    status = waiting("CrashLoopBackOff", restarts=1, last=CRASH)
    worse = waiting("CrashLoopBackOff", restarts=4, last=CRASH)

    (found,) = shown(pod(status, uid="p1"), pod(worse, uid="p2"), pod(status, uid="p3"))

    assert found.count == 4
    assert found.details[-1] == "the same on 2 more pods"


def test_a_broken_pod_of_the_revision_to_leave_blocks_an_ordered_stateful_set() -> None:
    crash = waiting("CrashLoopBackOff", BACK_OFF, restarts=9, last=CRASH)
    bad = pod(crash, owner="s1", labels={"controller-revision-hash": "db-a"})

    (found,) = evidence(stateful_set(updatedReplicas=2), [], [bad], [], NOW, {})

    assert (found.code, found.grade) == (CauseCode.RELEASE_BLOCKED_BY_POD, PROBABLE)
    assert found.pod is not None


def test_a_failed_pod_of_a_job_tells_its_exit_code() -> None:
    status = {"name": "web", "restartCount": 0, "state": {"terminated": ended(2)}}

    (found,) = evidence(job(failed=1), [], [pod(status, owner="j1", phase="Failed")], [], NOW, {})

    assert found.code is CauseCode.CRASH_LOOP
    assert found.details[0] == "exit code 2 (Error)"


def test_events_of_the_newer_api_are_read_too() -> None:
    said = {
        "apiVersion": "events.k8s.io/v1",
        "regarding": {"uid": "p1"},
        "reason": "FailedMount",
        "note": "timed out",
        "eventTime": "2023-11-14T22:13:24.000001Z",
        "series": {"count": 5, "lastObservedTime": "2023-11-14T22:13:25.000001Z"},
    }

    (found,) = shown(pod(waiting("ContainerCreating")), events=[said])

    assert (found.code, found.count) == (CauseCode.VOLUME_MOUNT_FAILED, 5)


def test_a_time_beyond_the_calendar_is_no_crash() -> None:
    assert seconds("0001-01-01T00:00:00+23:59") != 0
    assert seconds("2023-11-14T22:13:20Z") == T0
    assert seconds("2023-11-14T22:13:20.123456789Z") is not None
    assert seconds("not a time but long enough") is None

"""What stands in the way of a start: the words of runtimes, kubelet and scheduler, and the field to blame.

The messages are those of a real node (Kubernetes 1.34, containerd 1.6, runc 1.1), shortened.
"""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.evidence import evidence, remember
from pipeline.core.evidence.log import patience
from pipeline.model.environment import Grace
from pipeline.model.objects import FieldPath, Object
from pipeline.model.status import CauseCode, Evidence, Grade, Lack
from tests.kube_objects import (
    T0,
    condition,
    deployment,
    ended,
    event,
    job,
    pod,
    replica_set,
    rolling,
    template,
    waiting,
)

NOW = T0 + 10
SPEC: FieldPath = ("spec", "template", "spec")
CONTAINER: FieldPath = (*SPEC, "containers", 0)
LAYERS = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: "
)
FOLDER = {"volumeMounts": [{"name": "a", "mountPath": "/a"}, {"name": "conf", "mountPath": "/etc/app.ini"}]}
MOUNTS = {
    "volumeMounts": [
        {"name": "a", "mountPath": "/a"},
        {"name": "data", "mountPath": "/d", "subPathExpr": "$(POD)/x"},
    ]
}
VOLUMES = [{"name": "a"}, {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
LIMITS = {"resources": {"requests": {"memory": "1Mi"}, "limits": {"memory": "1Mi"}}}
OOM = "container init was OOM-killed (memory limit too low?): unknown"


def shown(failing: Object, *events: Any, container: Any = None, **spec: Any) -> list[Evidence]:
    """What speaks against a Deployment whose only new pod this is; ``spec`` are more fields of its pods."""
    workload, new = rolling(), replica_set()
    pod_spec = template(**container or {})["spec"] | spec
    workload["spec"]["template"]["spec"] = new["spec"]["template"]["spec"] = pod_spec
    failing["spec"] = pod_spec
    return evidence(workload, [new], [failing], events, NOW, {}, since=T0)


RUNTIME: dict[str, tuple[str, Any, FieldPath, str]] = {
    "a folder over a file is the mount's fault": (
        'error during container init: error mounting "/var/lib/kubelet/pods/1/volumes/conf" to rootfs at '
        '"/etc/app.ini": mount /var/lib/kubelet/pods/1/volumes/conf: not a directory: unknown',
        FOLDER,
        ("volumeMounts", 1, "mountPath"),
        "subPath",
    ),
    "an older runtime tells the path on the node": (
        'error mounting "/x" to rootfs at "/run/containerd/io.containerd.runtime.v2.task/k8s.io/1/rootfs/a": '
        "not a directory",
        FOLDER,
        ("volumeMounts", 0, "mountPath"),
        "subPath",
    ),
    "a mount into a file system that is read-only": (
        'error mounting "/x" to rootfs at "/a": mkdir /run/rootfs/a: read-only file system: unknown',
        FOLDER,
        ("volumeMounts", 0, "mountPath"),
        "read-only",
    ),
    "a working folder that is a file": (
        "error during container init: mkdir /etc/passwd: not a directory: unknown",
        {"workingDir": "/etc/passwd"},
        ("workingDir",),
        "no such folder",
    ),
    "a working folder that the user may not enter": (
        'chdir to cwd ("/srv/app") set in config.json failed: permission denied: unknown',
        {"workingDir": "/srv/app/"},
        ("workingDir",),
        "has to be able to enter it",
    ),
    "a user that the image does not know": (
        "unable to find user app: no matching entries in passwd file",
        {},
        ("securityContext",),
        "to a number",
    ),
    "a profile that the node does not have": (
        'cannot load seccomp profile "/var/lib/kubelet/seccomp/a.json": no such file',
        {},
        ("securityContext",),
        "RuntimeDefault",
    ),
}


class TestARuntimeThatCannotCreateAContainer:
    @pytest.mark.parametrize("sentence", RUNTIME)
    def test_blames_a_field_that_no_later_try_can_satisfy(self, sentence: str) -> None:
        words, container, field, hint = RUNTIME[sentence]

        (found,) = shown(pod(waiting("RunContainerError", LAYERS + words)), container=container)

        assert (found.code, found.grade) == (CauseCode.CONTAINER_NOT_CREATED, Grade.PROBABLE)
        assert found.path == (*CONTAINER, *field)
        assert hint in found.hint
        assert LAYERS not in found.message
        assert LAYERS in found.details[0]

    @pytest.mark.parametrize("sentence", RUNTIME)
    def test_says_the_same_between_two_tries(self, sentence: str) -> None:
        words, container, field, _ = RUNTIME[sentence]
        last = ended(128, "StartError", LAYERS + words)

        (found,) = shown(
            pod(waiting("CrashLoopBackOff", "back-off", restarts=2, last=last)), container=container
        )

        assert (found.code, found.path) == (CauseCode.CONTAINER_NOT_CREATED, (*CONTAINER, *field))

    @pytest.mark.parametrize(
        "words",
        [
            "mkdir /var/lib/containerd/x: permission denied",
            'error mounting "/x" to rootfs at "/other": not a directory',
            "context deadline exceeded",
        ],
    )
    def test_blames_nothing_that_the_container_does_not_say(self, words: str) -> None:
        (found,) = shown(
            pod(waiting("CreateContainerError", words)), container={**FOLDER, "workingDir": "/app"}
        )

        assert (found.grade, found.path, found.hint) == (Grade.TRANSIENT, CONTAINER, "")

    @pytest.mark.parametrize(
        "words",
        [
            LAYERS + OOM,
            "set memory limit 4096 too low; should be at least 12582912 bytes",
            "Minimum memory limit allowed is 6MB",
        ],
        ids=["runc", "CRI-O", "Docker"],
    )
    def test_for_lack_of_memory_blames_the_limit_and_counts_the_tries(self, words: str) -> None:
        (found,) = shown(pod(waiting("RunContainerError", words, restarts=2)))

        assert (found.code, found.grade, found.count) == (CauseCode.OUT_OF_MEMORY, Grade.PROBABLE, 2)
        assert found.path == (*CONTAINER, "resources", "limits", "memory")
        assert "even to start" in found.hint


class TestASandbox:
    def test_that_lacks_memory_blames_the_limit_and_counts_the_tries(self) -> None:
        said = event("p1", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {LAYERS}{OOM}", count=2)

        (found,) = shown(pod(waiting("ContainerCreating")), said, container=LIMITS)

        assert (found.code, found.grade, found.count) == (CauseCode.OUT_OF_MEMORY, Grade.PROBABLE, 2)
        assert found.path == (*CONTAINER, "resources", "limits", "memory")
        assert found.message.endswith("cannot start, its memory limit is too low")
        assert LAYERS in found.details[0]

    def test_without_an_address_is_the_node_s_trouble(self) -> None:
        said = event("p1", "FailedCreatePodSandBox", "failed to assign an IP address to container")

        (found,) = shown(pod(waiting("ContainerCreating")), said)

        assert (found.code, found.grade, found.path) == (
            CauseCode.CONTAINER_NOT_CREATED,
            Grade.TRANSIENT,
            SPEC,
        )


class TestAVolume:
    def test_whose_key_is_missing_is_a_slip_and_whose_source_is_missing_may_yet_come(self) -> None:
        volumes = [{"name": "conf", "configMap": {"name": "settings"}}]
        grades = [
            shown(
                pod(waiting("ContainerCreating")),
                event("p1", "FailedMount", f'MountVolume.SetUp failed for volume "conf" : {words}'),
                volumes=volumes,
            )[0].grade
            for words in (
                "configmap references non-existent config key: a",
                'configmap "settings" not found',
            )
        ]

        assert grades == [Grade.PROBABLE, Grade.TRANSIENT]


class TestAConfiguration:
    @pytest.mark.parametrize(
        ("words", "hint"),
        [
            ("missing value for POD", "variable POD"),
            ('failed to prepare subPath for volumeMount "data" of container "web"', "correct subPath"),
        ],
    )
    def test_whose_sub_path_does_not_fit_points_at_the_mount(self, words: str, hint: str) -> None:
        (found,) = shown(pod(waiting("CreateContainerConfigError", words)), container=MOUNTS)

        assert found.path == (*CONTAINER, "volumeMounts", 1)
        assert hint in found.hint

    @pytest.mark.parametrize(
        "words",
        [
            "failed to sync secret cache: timed out waiting for the condition",
            "services have not yet been read at least once, cannot construct envvars",
            'object "demo"/"settings" not registered',
        ],
    )
    def test_that_the_kubelet_has_not_read_yet_is_transient(self, words: str) -> None:
        (found,) = shown(pod(waiting("CreateContainerConfigError", words)))

        assert found.grade is Grade.TRANSIENT


class TestAPull:
    def test_that_is_not_allowed_is_told_as_such(self) -> None:
        said = 'Container image "web:1" is not present with pull policy of Never'

        (found,) = shown(pod(waiting("ErrImageNeverPull", said)))

        assert "it is not on the node, and imagePullPolicy is Never" in found.message
        assert found.path == (*CONTAINER, "imagePullPolicy")
        assert found.hint.startswith("set imagePullPolicy: IfNotPresent")

    def test_without_its_login_names_the_secret(self) -> None:
        said = "Unable to retrieve some image pull secrets (regcred); attempting to pull may not succeed."
        login = event("p1", "FailedToRetrieveImagePullSecret", said)

        (found,) = shown(pod(waiting("ErrImagePull", "401 Unauthorized")), login)

        assert found.code is CauseCode.IMAGE_DENIED
        assert said in found.details
        assert "imagePullSecrets" in found.hint

    def test_onto_a_full_disk_is_the_node_s_trouble(self) -> None:
        (found,) = shown(pod(waiting("ErrImagePull", "write /layer: no space left on device")))

        assert (found.code, found.grade) == (CauseCode.IMAGE_REGISTRY_UNAVAILABLE, Grade.TRANSIENT)
        assert "disk is full" in found.message

    @pytest.mark.parametrize(
        "words", ["rpc error: code = NotFound desc = blob sha256:ab: not found", "connection refused"]
    )
    def test_before_which_the_node_cannot_read_its_images_is_no_registry_s_trouble(self, words: str) -> None:
        """ "ErrImageInspect - Unable to inspect image" (kubernetes pkg/kubelet/images/types.go)"""
        said = f'Failed to inspect image "": {words}'
        unread = pod(waiting("ImageInspectError", said))
        event_of_it = event("p1", "InspectFailed", said, container="web")

        (found,) = shown(unread, event_of_it)
        (later,) = shown(pod(waiting("ImagePullBackOff", 'Back-off pulling image "web:1"')), event_of_it)

        assert (found.code, found.grade) == (CauseCode.IMAGE_REGISTRY_UNAVAILABLE, Grade.TRANSIENT)
        assert "container runtime cannot tell" in found.message
        assert "container runtime of the pod's node" in found.hint
        assert found.details == (f"ImageInspectError: {said}",)
        assert remember({}, [unread]) == {}
        assert later.grade is Grade.TRANSIENT
        assert "does not say why yet" in later.message

    @pytest.mark.parametrize(
        ("reason", "message"),
        [
            (
                "SignatureValidationFailed",
                "image pull failed for web:1 because the signature validation failed",
            ),
            (
                "ImagePullBackOff",
                'Back-off pulling image "web:1": SignatureValidationFailed: no signature exists',
            ),
        ],
    )
    def test_of_what_is_not_signed_is_told_as_such(self, reason: str, message: str) -> None:
        """kubernetes cri-api pkg/errors: ErrSignatureValidationFailed"""
        (found,) = shown(pod(waiting(reason, message)))

        assert (found.code, found.grade) == (CauseCode.IMAGE_DENIED, Grade.PROBABLE)
        assert "its signature is missing" in found.message
        assert found.hint.startswith("sign the image")

    def test_that_fails_for_a_reason_nobody_knows_is_told_in_the_kubelet_s_words(self) -> None:
        (found,) = shown(pod(waiting("ErrImagePull", "unexpected media type")))

        assert found.message.endswith(": unexpected media type")


class TestAProcess:
    """Exit codes 126 and 127 are the runtime's word about its own program, or a shell's about another."""

    @pytest.mark.parametrize(
        ("exit_code", "message", "hint"),
        [
            (127, "exits with code 127: a command that it runs was not found", "which command is missing"),
            (126, "exits with code 126: a command that it runs is not executable", "what is not executable"),
        ],
    )
    def test_that_did_start_was_found(self, exit_code: int, message: str, hint: str) -> None:
        crash = waiting("CrashLoopBackOff", "back-off", restarts=2, last=ended(exit_code))

        (found,) = shown(pod(crash), container={"command": ["sh", "-c", "srve"]})

        assert found.message.endswith(message)
        assert hint in found.hint
        assert found.path == (*CONTAINER, "command")

    def test_that_did_not_start_is_told_by_its_name(self) -> None:
        last = ended(127, "ContainerCannotRun", 'exec: "srve": executable file not found in $PATH')
        crash = waiting("CrashLoopBackOff", "back-off", restarts=2, last=last)

        (found,) = shown(pod(crash), container={"command": ["srve"]})

        assert found.message.endswith("cannot start 'srve': no such command")
        assert found.hint == ""

    @pytest.mark.parametrize("exit_code", [137, 143])
    def test_whose_hook_fails_is_killed_for_that(self, exit_code: int) -> None:
        """ "If the handler fails, the container is terminated and restarted" (core/v1 Lifecycle)."""
        crash = waiting("CrashLoopBackOff", "back-off", restarts=2, last=ended(exit_code))
        said = event("p1", "FailedPostStartHook", "PostStartHook failed", container="web")

        (found,) = shown(pod(crash), said)
        (without,) = shown(pod(crash))

        assert found.message.endswith("is killed: its postStart hook fails")
        assert found.path == (*CONTAINER, "lifecycle", "postStart")
        assert "postStart" in found.hint
        assert "postStart" not in without.hint

    @pytest.mark.parametrize(
        ("policy", "restarts", "counts"), [("Always", 2, 1), ("Always", 0, 0), ("Never", 2, 0)]
    )
    def test_that_ends_well_should_have_stayed(self, policy: str, restarts: int, counts: int) -> None:
        done = {"name": "web", "restartCount": restarts, "state": {"terminated": ended(0, "Completed")}}

        found = shown(pod(done, phase="Running"), restartPolicy=policy)

        assert [one.count for one in found] == [restarts] * counts

    def test_that_its_node_lost_sight_of_has_not_crashed(self) -> None:
        lost = {"name": "web", "state": {"terminated": ended(137, "ContainerStatusUnknown")}}

        assert shown(pod(lost, phase="Running")) == []


def unschedulable(words: str) -> Object:
    return pod(conditions=[condition("PodScheduled", "False", "Unschedulable", words)])


class TestAPodThatNoNodeTakes:
    def test_for_a_claim_that_does_not_exist_names_it(self) -> None:
        failing = unschedulable('0/1 nodes are available: persistentvolumeclaim "data" not found. not found')

        (found,) = shown(failing, volumes=VOLUMES)

        assert found.code is CauseCode.REFERENCE_MISSING
        assert found.path == (*SPEC, "volumes", 1, "persistentVolumeClaim", "claimName")
        assert found.lacks == Lack("PersistentVolumeClaim", "data")
        assert patience(found, Grace(schedule_s=7)) == 7

    @pytest.mark.parametrize(
        "words",
        [
            "pod has unbound immediate PersistentVolumeClaims. not found",
            'persistentvolumeclaim "data" bound to non-existent persistentvolume "pv-1"',
        ],
    )
    def test_for_a_claim_that_has_no_volume_says_so(self, words: str) -> None:
        (found,) = shown(unschedulable(words), volumes=VOLUMES)

        assert (found.code, found.path) == (CauseCode.CLAIM_PENDING, (*SPEC, "volumes"))

    @pytest.mark.parametrize(
        ("words", "field", "hint"),
        [
            ("3 node(s) had volume node affinity conflict.", ("volumes",), "zone"),
            ("1 node(s) didn't find available persistent volumes to bind.", ("volumes",), "zone"),
            ("1 node(s) exceed max volume count.", ("volumes",), "cannot attach more"),
            (
                "1 node(s) didn't have free ports for the requested pod ports.",
                ("containers", 0, "ports"),
                "hostPort",
            ),
            ("Scheduling is blocked due to non-empty scheduling gates", ("schedulingGates",), "gates"),
        ],
    )
    def test_points_at_the_field_that_asks_too_much(self, words: str, field: FieldPath, hint: str) -> None:
        (found,) = shown(
            unschedulable(words),
            volumes=VOLUMES,
            schedulingGates=[{"name": "kueue.x-k8s.io/admission"}],
            container={"ports": [{"containerPort": 80, "hostPort": 80}]},
        )

        assert (found.code, found.path) == (CauseCode.UNSCHEDULABLE, (*SPEC, *field))
        assert hint in found.hint


def test_a_deployment_that_may_not_have_another_replica_set_says_so() -> None:
    said = 'replicasets.apps "web-1" is forbidden: exceeded quota: q, requested: count/replicasets.apps=1'
    refused = deployment(condition("Progressing", "False", "ReplicaSetCreateError", said))

    (found,) = evidence(refused, [], [], [], NOW, {}, since=T0)

    assert found.code is CauseCode.QUOTA_EXCEEDED
    assert said in found.message


class TestThePodsOfAJob:
    def gone(self, **more: Any) -> Object:
        failing = pod({"name": "web", "state": {"terminated": ended(4)}}, owner="j1", **more)
        failing["metadata"]["deletionTimestamp"] = "2023-11-14T22:13:25Z"
        return failing

    @pytest.mark.parametrize("end", ["FailureTarget", "Failed"])
    def test_that_it_deletes_as_it_fails_tell_why(self, end: str) -> None:
        (found,) = evidence(job(condition(end)), [], [self.gone()], [], NOW, {})

        assert "exits with code 4" in found.message

    def test_that_leave_while_it_goes_on_do_not_count(self) -> None:
        assert evidence(job(), [], [self.gone()], [], NOW, {}) == []

    def test_that_were_taken_away_do_not_count(self) -> None:
        taken = self.gone(conditions=[condition("DisruptionTarget")])

        assert evidence(job(condition("Failed")), [], [taken], [], NOW, {}) == []

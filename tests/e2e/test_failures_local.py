"""Every way in which pods fail: the exit code, the cause, the line to blame, the evidence, and how soon."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conftest import MakeRepo
from tests.e2e.failures import POLICY, Failure, deploy, is_told, quota, restricted, workload
from tests.e2e.manifests import config_map
from tests.e2e.stories import tell
from tests.e2e.workspace import Result, Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

SOON_S = 15.0  # from the first write; most take two seconds, on a machine that does nothing else


JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: web}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: migrate:fail
"""
INIT = "initContainers: [{name: prepare, image: 'setup:crash'}]"
KEY = "env: [{name: GREETING, valueFrom: {configMapKeyRef: {name: settings, key: greting}}}]"


def waits(reason: str, code: str, at: str, *lines: str, hint: str = "") -> Failure:
    """A container that waits for the kubelet's reason of that name: so the local cluster reads the tag."""
    return Failure(workload(f"nginx:{reason}", *lines), code, at, f"{reason}: ", hint)


FAILURES = {
    "a crash loop": Failure(
        workload("nginx:crash"),
        "CrashLoop",
        "name: main",
        "panic: cannot open /data: no such file or directory",
        "read the container's log above",
    ),
    "a crash after a while": Failure(
        workload("nginx:crash-late", delay="500ms"), "CrashLoop", "name: main", "CrashLoopBackOff: back-off"
    ),
    "a crash with a signal": Failure(
        workload("nginx:crash", exit_code="139"),
        "CrashLoop",
        "name: main",
        "exit code 139 (Error)",
        "SIGSEGV",
    ),
    "a program of another platform": Failure(
        workload("nginx:crash", exit_code="255", log="exec /app: exec format error"),
        "ImagePlatformMismatch",
        "image: nginx:crash",
        "exec /app: exec format error",
        "architecture",
    ),
    "an init container that crashes": Failure(
        workload(pod=INIT), "InitContainerFailed", "initContainers", "panic"
    ),
    "too little memory": Failure(
        workload("nginx:oom", "resources:", "  limits:", "    memory: 64Mi"),
        "OutOfMemory",
        "memory: 64Mi",
        "exit code 137 (OOMKilled)",
        "raise resources.limits.memory",
    ),
    "a wrong tag": Failure(
        workload("nginx:missing"),
        "ImageNotFound",
        "image: nginx:missing",
        "not found",
        "Deployment/other uses nginx:1.27",
        beside=workload("nginx:1.27")
        .replace("{name: web}", "{name: other}")
        .replace("app: web", "app: other"),
    ),
    "an image of another platform": Failure(
        workload("nginx:wrong-platform"),
        "ImagePlatformMismatch",
        "image: nginx:wrong-platform",
        "no match for platform in manifest",
        "for the nodes' architecture",
    ),
    "an image that may not be pulled": Failure(
        workload("shop/web:unauthorized"),
        "ImageDenied",
        "image: shop/web:unauthorized",
        "401 Unauthorized",
        "imagePullSecrets the right to pull it",
    ),
    "a registry that limits pulls": Failure(
        workload("registry.example/shop/web:rate-limited"),
        "ImageRegistryUnavailable",
        "image: registry.example",
        "the registry limits the rate of pulls",
        "account with a higher limit",
    ),
    "a missing key": Failure(
        workload("nginx:keyerror", KEY),
        "ContainerConfigMissing",
        "key: greting",
        "couldn't find key greting in ConfigMap",
        "did you mean 'greeting'?",
        more="allow: {missing: [/ConfigMap/$NS/settings]}",
        beside=config_map("settings", greeting="hello"),
    ),
    "a command that is not there": Failure(
        workload("nginx:nocommand", "command: [srve, --port=80]"),
        "CommandNotFound",
        "command: [srve",
        "executable file not found in $PATH",
        "the program is not in the image",
    ),
    "a container that its runtime cannot run": Failure(
        workload("nginx:crash", exit_code="128", exit_reason="ContainerCannotRun"),
        "CrashLoop",
        "name: main",
        "exit code 128 (ContainerCannotRun)",
        "the process was never started",
    ),
    "a script that calls what is not there": Failure(
        workload("nginx:crash", exit_code="127", log="sh: 1: srve: not found"),
        "CommandNotFound",
        "name: main",
        "sh: 1: srve: not found",
    ),
    "pods that never are ready": Failure(
        workload("nginx:unready", "readinessProbe:", "  httpGet: {path: /ready, port: 8080}"),
        "ReadinessProbeFailed",
        "readinessProbe",
        "Readiness probe failed: HTTP probe failed with statuscode: 503",
        "probe's port and path",
        timeout="4s",
        exit_code=12,
    ),
    "no room in a quota": Failure(
        workload(), "QuotaExceeded", "spec:", "exceeded quota: small", "raise the ResourceQuota", before=quota
    ),
    "a policy that denies the pods": Failure(
        workload(), "AdmissionDenied", "spec:", "violates PodSecurity", "admits it", before=restricted
    ),
    "a node that there is not": Failure(
        workload(pod="nodeSelector: {disk: none}"),
        "Unschedulable",
        "nodeSelector",
        "FailedScheduling",
        "loosen its node selection",
    ),
    "a job that fails": Failure(
        JOB, "JobFailed", "name: main", 'error: migration 0042 failed: relation "orders" does not exist'
    ),
    "a name of an image that is none": Failure(
        workload("Shop:1.0"), "ImageNameInvalid", "image: Shop", "InvalidImageName: ", "in lower case"
    ),
    "images that the node cannot read": waits(
        "ImageInspectError", "ImageRegistryUnavailable", "image:", hint="container runtime of the pod's node"
    ),
    "an image that must be there and is not": waits(
        "ErrImageNeverPull", "ImageNotFound", "imagePullPolicy", "imagePullPolicy: Never", hint="IfNotPresent"
    ),
    "a registry that is not there": waits(
        "RegistryUnavailable", "ImageRegistryUnavailable", "image:", hint="the nodes reach the registry"
    ),
    "an image that nobody signed": waits(
        "SignatureValidationFailed", "ImageDenied", "image:", hint="sign the image"
    ),
    "a hook before the container": waits("PreCreateHookError", "ContainerNotCreated", "name: main"),
    "a runtime that takes too long": waits("CreateContainerError", "ContainerNotCreated", "name: main"),
    "a hook before the start": waits("PreStartHookError", "ContainerNotCreated", "name: main"),
    "a hook after the start": waits(
        "PostStartHookError",
        "CrashLoop",
        "postStart",
        "lifecycle: {postStart: {exec: {command: ['false']}}}",
        hint="lifecycle.postStart",
    ),
    "a sandbox without an address": waits(
        "CreatePodSandboxError", "ContainerNotCreated", "name: main", hint="free IP addresses"
    ),
    "a sandbox that cannot be described": waits("ConfigPodSandboxError", "ContainerNotCreated", "name: main"),
}

WAITING = (
    "ErrImagePull",
    "ImagePullBackOff",
    "ImageInspectError",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "PreCreateHookError",
    "CreateContainerError",
    "PreStartHookError",
    "PostStartHookError",
    "CrashLoopBackOff",
    "RunContainerError",
    "CreatePodSandboxError",
    "ConfigPodSandboxError",
)
"""All that a kubelet says of a container that waits for something to come right (kubernetes 1.36,
pkg/kubelet/{images,kuberuntime,container})."""


TRAP = "a bad revision that blocks its own revert"
REVERTED = "a revert that may delete the pod"
ROLLED_BACK = "a rollback that may delete the pod"


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo) -> dict[str, tuple[Workspace, Result]]:
    """What became of every bad manifest, each in a namespace of its own."""

    def story(failure: Failure) -> Callable[[], tuple[Workspace, Result]]:
        def run() -> tuple[Workspace, Result]:
            repo = make_repo(create=True)
            return repo, deploy(repo, failure)

        return run

    def trap() -> tuple[Workspace, Result]:
        """A StatefulSet's bad revision fails, and its revert is deployed."""
        repo = make_repo(create=True)
        repo.environment(POLICY, deploy="{timeout: 40s}")
        for image in ("nginx:1.21", "nginx:crash", "nginx:1.21"):
            repo.manifest("web.yaml", workload(image, kind="StatefulSet"))
            repo.commit()
            result = repo.run("-o", "json", "deploy", "-e", "dev")
        return repo, result

    def allowed(policy: str, *images: str) -> Callable[[], tuple[Workspace, Result]]:
        """The same, where the StatefulSet allows that its broken pod is deleted."""

        def run() -> tuple[Workspace, Result]:
            repo = make_repo(create=True)
            repo.environment(policy, deploy="{timeout: 40s}")
            for image in images:
                text = workload(image, kind="StatefulSet")
                head = 'metadata: {name: web, annotations: {"pipeline/recreate": allowed}}'
                repo.manifest("web.yaml", text.replace("metadata: {name: web}", head, 1))
                repo.commit()
                result = repo.run("-o", "json", "deploy", "-e", "dev")
            return repo, result

        return run

    more = {
        TRAP: trap,
        REVERTED: allowed(POLICY, "nginx:1.21", "nginx:crash", "nginx:1.21"),
        ROLLED_BACK: allowed("rollback: {auto: true}", "nginx:1.21", "nginx:crash"),
    }
    return tell(more | {name: story(failure) for name, failure in FAILURES.items()})


@pytest.mark.parametrize(("name", "code"), [(REVERTED, 0), (ROLLED_BACK, 10)])
def test_with_permission_the_pod_that_blocks_the_revert_is_deleted(
    name: str, code: int, told: dict[str, tuple[Workspace, Result]]
) -> None:
    repo, result = told[name]
    assert result.code == code, str(result)
    assert "deleted /Pod/" in result.stderr
    pods = repo.cluster.api.call("GET", f"/api/v1/namespaces/{repo.namespace}/pods")["items"]
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {"nginx:1.21"}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_told_with_cause_line_evidence_and_what_to_do(
    name: str, told: dict[str, tuple[Workspace, Result]]
) -> None:
    is_told(FAILURES[name], *told[name])


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_known_within_seconds(name: str, told: dict[str, tuple[Workspace, Result]]) -> None:
    _, result = told[name]
    assert result.document["timings"]["rollout"] < SOON_S, str(result)


@pytest.mark.parametrize("reason", WAITING)
def test_each_reason_of_the_kubelet_is_the_evidence_of_one_of_them(
    reason: str, told: dict[str, tuple[Workspace, Result]]
) -> None:
    causes = [cause for name in FAILURES for cause in told[name][1].document["causes"]]
    assert any(line.startswith(f"{reason}: ") for cause in causes for line in cause["evidence"])


def test_what_many_pods_show_is_told_once_with_their_number(
    told: dict[str, tuple[Workspace, Result]],
) -> None:
    _, result = told["pods that never are ready"]
    (cause,) = result.document["causes"]
    assert "the same on 1 more pod" in cause["evidence"]


def test_a_pod_that_blocks_the_revert_of_its_revision_is_named_with_the_command_that_helps(
    told: dict[str, tuple[Workspace, Result]],
) -> None:
    repo, result = told[TRAP]
    assert result.code == 11, str(result)

    (cause,) = result.document["causes"]
    assert cause["code"] == "ReleaseBlockedByPod"
    assert "pod web-1 of another revision is broken and blocks the rollout" in cause["message"]
    assert f"kubectl -n {repo.namespace} delete pod web-1" in cause["hint"]
    assert any("panic" in line for line in cause["evidence"])

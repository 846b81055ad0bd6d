"""The same failures on a real kubelet: containers that are really pulled, crash, run out of memory and hang.

Only where ``PIPELINE_REAL_KUBECONFIG`` names a cluster of real nodes (kind, k3d, EKS) that can pull
``busybox:1.36``. Each failure gets a namespace of its own there, which is deleted at the end. Where
``PIPELINE_REAL_LIMITED_IMAGE`` names an image whose registry answers 429, that is told, too.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from tests.cluster.local import LocalCluster
from tests.e2e.failures import POLICY, Failure, deploy, is_told, quota, workload
from tests.e2e.live import until
from tests.e2e.manifests import config_map
from tests.e2e.stories import tell
from tests.e2e.workspace import Result, Workspace

KUBECONFIG = os.environ.get("PIPELINE_REAL_KUBECONFIG", "")

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not KUBECONFIG, reason="PIPELINE_REAL_KUBECONFIG names no cluster"),
]

IMAGE = "busybox:1.36"
LONG = "60s"
EVICTED = "a pod that is evicted"


def shell(script: str, *lines: str, pod: str = "") -> str:
    """A Deployment whose container runs a script."""
    return workload(IMAGE, f"command: [sh, -c, {script!r}]", *lines, pod=pod)


def init(script: str, more: str = "") -> str:
    command = f"command: [sh, -c, {script!r}]"
    return f"initContainers: [{{name: prepare, image: '{IMAGE}', {command}{more}}}]"


def probe(kind: str) -> str:
    return f"{kind}Probe: {{exec: {{command: ['false']}}, periodSeconds: 1, failureThreshold: 2}}"


def job(script: str, *spec: str, policy: str = "Never") -> str:
    lines = [
        "apiVersion: batch/v1",
        "kind: Job",
        "metadata: {name: web}",
        "spec:",
        *(f"  {line}" for line in spec),
        "  template:",
        "    spec:",
        f"      restartPolicy: {policy}",
        "      containers:",
        "        - name: main",
        f"          image: {IMAGE}",
        f"          command: [sh, -c, {script!r}]",
    ]
    return "\n".join(lines) + "\n"


RUNS = "trap : TERM INT; sleep 1000 & wait"
DEATH = "echo cannot open the data; exit 3"
KEY = "env: [{name: GREETING, valueFrom: {configMapKeyRef: {name: settings, key: greting}}}]"
MOUNT = "volumeMounts: [{name: conf, mountPath: /conf}]"
MISSPELT = "{name: settings, items: [{key: greting, path: a}]}"
FAILURES = {
    "a crash": Failure(
        shell(DEATH), "CrashLoop", "name: main", "cannot open the data", "container's log", timeout=LONG
    ),
    "an init container that crashes": Failure(
        shell(RUNS, pod=init(DEATH)),
        "InitContainerFailed",
        "initContainers",
        "cannot open the data",
        timeout=LONG,
    ),
    "a sidecar that crashes": Failure(
        shell(RUNS, pod=init(DEATH, ", restartPolicy: Always")),
        "CrashLoop",
        "initContainers",
        "cannot open the data",
        timeout=LONG,
    ),
    "too little memory": Failure(
        shell("tail /dev/zero", "resources:", "  limits:", "    memory: 16Mi"),
        "OutOfMemory",
        "memory: 16Mi",
        "exit code 137 (OOMKilled)",
        "raise resources.limits.memory",
        timeout=LONG,
    ),
    "a wrong tag": Failure(
        workload("busybox:no-such-tag"), "ImageNotFound", "image: busybox:no-such-tag", "not found"
    ),
    "an image that must be there and is not": Failure(
        workload("busybox:no-such-tag", "imagePullPolicy: Never"),
        "ImageNotFound",
        "imagePullPolicy",
        "pull policy of Never",
        "IfNotPresent",
    ),
    "a missing key": Failure(
        shell(RUNS, KEY),
        "ContainerConfigMissing",
        "key: greting",
        "couldn't find key greting in ConfigMap",
        "did you mean 'greeting'?",
        more="allow: {missing: [/ConfigMap/$NS/settings]}",
        beside=config_map("settings", greeting="hello"),
    ),
    "pods that never are ready": Failure(
        shell(RUNS, probe("readiness")),
        "ReadinessProbeFailed",
        "readinessProbe",
        "Readiness probe failed",
        "check the probe",
        timeout="20s",
        exit_code=12,
    ),
    "a liveness probe that fails": Failure(
        shell(RUNS, probe("liveness"), probe("readiness")),
        "LivenessProbeFailed",
        "livenessProbe",
        "Container main failed liveness probe",
        "livenessProbe",
        timeout=LONG,
    ),
    "a startup probe that fails": Failure(
        shell(RUNS, probe("startup")),
        "StartupProbeFailed",
        "startupProbe",
        "Container main failed startup probe",
        "startupProbe",
        timeout=LONG,
    ),
    "no room in a quota": Failure(
        shell(RUNS),
        "QuotaExceeded",
        "spec:",
        "exceeded quota: small",
        "raise the ResourceQuota",
        before=quota,
    ),
    "a node that there is not": Failure(
        shell(RUNS, pod="nodeSelector: {disk: none}"), "Unschedulable", "nodeSelector", "FailedScheduling"
    ),
    "more processors than any node has": Failure(
        shell(RUNS, "resources:", "  requests:", "    cpu: 4k"),
        "Unschedulable",
        "cpu: 4k",
        "Insufficient cpu",
    ),
    "a command that is not there": Failure(
        workload(IMAGE, "command: [srve, --port=80]"),
        "CommandNotFound",
        "command: [srve",
        "executable file not found in $PATH",
        "the program is not in the image",
    ),
    "a command that is no program": Failure(
        workload(IMAGE, "command: [/etc/passwd]"),
        "CommandNotExecutable",
        "command: [/etc",
        "permission denied",
    ),
    "a script that calls what is not there": Failure(
        shell("srve --port=80"),
        "CommandNotFound",
        "command: [sh",
        "srve: not found",
        "which command is missing",
        timeout=LONG,
    ),
    "a hook that fails": Failure(
        shell(RUNS, "lifecycle: {postStart: {exec: {command: ['false']}}}"),
        "CrashLoop",
        "postStart",
        "its postStart hook fails",
        "lifecycle.postStart",
        timeout=LONG,
    ),
    "a folder over a file": Failure(
        shell(
            RUNS,
            "volumeMounts:",
            "- name: conf",
            "  mountPath: /etc/passwd",
            pod="volumes: [{name: conf, emptyDir: {}}]",
        ),
        "ContainerNotCreated",
        "mountPath",
        "not a directory",
        "a folder over a folder",
        timeout=LONG,
    ),
    "a volume of a Secret that does not exist": Failure(
        shell(RUNS, MOUNT, pod="volumes: [{name: conf, secret: {secretName: credentials}}]"),
        "VolumeMountFailed",
        "secretName: credentials",
        'secret "credentials" not found',
        more="allow: {missing: [/Secret/$NS/credentials]}",
        timeout=LONG,
    ),
    "a volume with a misspelt key": Failure(
        shell(RUNS, MOUNT, pod=f"volumes: [{{name: conf, configMap: {MISSPELT}}}]"),
        "VolumeMountFailed",
        "key: greting",
        "references non-existent config key: greting",
        "did you mean 'greeting'?",
        more="allow: {missing: [/ConfigMap/$NS/settings]}",
        beside=config_map("settings", greeting="hello"),
        timeout=LONG,
    ),
    "a job that fails": Failure(
        job("echo migration failed; exit 4", "backoffLimit: 0"), "JobFailed", "name: main", "migration failed"
    ),
    "a job whose failed pods are deleted": Failure(
        job("echo migration failed; exit 4", "backoffLimit: 1", policy="OnFailure"),
        "JobFailed",
        "name: main",
        "exits with code 4",
    ),
    "a job that takes too long": Failure(
        job("sleep 1000", "activeDeadlineSeconds: 2"),
        "JobDeadlineExceeded",
        "activeDeadlineSeconds",
        "longer than specified deadline",
    ),
}
LIMITED = os.environ.get("PIPELINE_REAL_LIMITED_IMAGE", "")
if LIMITED:
    FAILURES["a registry that limits pulls"] = Failure(
        workload(LIMITED),
        "ImageRegistryUnavailable",
        f"image: {LIMITED}",
        "the registry limits the rate of pulls",
        "account with a higher limit",
        timeout=LONG,
    )


@dataclass(frozen=True)
class RealCluster:
    """A cluster that is there; of the local one's members it has this."""

    kubeconfig: Path


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Workspace, Result]]]:
    """What became of every bad manifest, each in a namespace of its own."""
    cluster = cast("LocalCluster", RealCluster(Path(KUBECONFIG)))
    word = secrets.token_hex(3)
    environ = {**os.environ, "KUBECONFIG": KUBECONFIG}
    names: list[str] = []

    def story(number: int, act: Callable[[Workspace], Result]) -> Callable[[], tuple[Workspace, Result]]:
        folder = tmp_path_factory.mktemp(f"real-{number}")
        namespace = f"pipeline-test-{word}-{number}"

        def run() -> tuple[Workspace, Result]:
            repo = Workspace(folder=folder, cluster=cluster, namespace=namespace, application=namespace)
            for args in (("init", "-qb", "main"), ("config", "user.name", "tester")):
                repo.git(*args)
            repo.git("config", "user.email", "tester@example.invalid")
            names.append(namespace)
            repo.kubectl("create", "namespace", namespace)
            return repo, act(repo)

        return run

    acts = {name: lambda repo, bad=failure: deploy(repo, bad) for name, failure in FAILURES.items()}
    acts[EVICTED] = evicted
    yield tell({name: story(number, act) for number, (name, act) in enumerate(acts.items())})
    subprocess.run(["kubectl", "delete", "namespace", "--wait=false", *names], env=environ, check=False)


OPEN = "exec: {command: [test, -f, /tmp/open]}, periodSeconds: 1"


def evicted(repo: Workspace) -> Result:
    """A pod of the new revision is evicted before it is ready."""
    repo.environment(POLICY, deploy=f"{{timeout: {LONG}}}")
    repo.manifest("web.yaml", shell(RUNS, f"readinessProbe: {{{OPEN}}}"))
    repo.commit()
    process = repo.start("-o", "json", "deploy", "-e", "dev")
    try:
        first = until(lambda: running(repo, 2), "for its pods")
        evict(repo, first[0])
        second = until(lambda: first[0] not in (found := running(repo, 2)) and found, "for another pod")
        for pod in second:
            repo.kubectl("exec", pod, "--", "touch", "/tmp/open")
        out, errors = process.communicate(timeout=120)
        return Result(process.returncode, out, errors)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def running(repo: Workspace, count: int) -> list[str]:
    """The names of pods that run and stay; none where they are not so many."""
    items = json.loads(repo.kubectl("get", "pods", "-o", "json"))["items"]
    names = [
        pod["metadata"]["name"]
        for pod in items
        if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]
    return names if len(names) == count else []


def evict(repo: Workspace, pod: str) -> None:
    body = json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}})
    path = f"/api/v1/namespaces/{repo.namespace}/pods/{pod}/eviction"
    repo.kubectl("create", "--raw", path, "-f", "-", stdin=body)


def test_a_pod_that_is_evicted_during_the_rollout_is_no_failure(
    told: dict[str, tuple[Workspace, Result]],
) -> None:
    _, result = told[EVICTED]
    assert result.code == 0, str(result)
    assert result.document["causes"] == []


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_told_with_cause_line_evidence_and_what_to_do(
    name: str, told: dict[str, tuple[Workspace, Result]]
) -> None:
    is_told(FAILURES[name], *told[name])

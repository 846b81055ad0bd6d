"""Failures that no crash tells of: objects that wait in vain, pods that are refused, runs that end badly."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conftest import MakeRepo
from tests.e2e.failures import Failure, deploy, is_told, quota, restricted, workload
from tests.e2e.stories import tell
from tests.e2e.workspace import Result, Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

LATE = 12  # the time is over, and nothing has failed for good
HOOK = "validatingwebhookconfigurations"


def run_of(kind: str, image: str, *lines: str) -> str:
    """A Pod, or a Job of one, that runs to an end."""
    pod = ["restartPolicy: Never", "containers:", "- name: main", f"  image: {image}"]
    if kind == "Pod":
        spec = [*lines, *pod]
    else:
        spec = [*lines, "template:", "  spec:", *(f"    {line}" for line in pod)]
    version = "v1" if kind == "Pod" else "batch/v1"
    head = [f"apiVersion: {version}", f"kind: {kind}", "metadata: {name: web}", "spec:"]
    return "\n".join([*head, *(f"  {line}" for line in spec)]) + "\n"


def refuse_pods(repo: Workspace) -> None:
    """An admission webhook for the namespace's pods that nobody answers."""
    selector = {"matchLabels": {"kubernetes.io/metadata.name": repo.namespace}}
    hook = {
        "name": "pods.example.com",
        "clientConfig": {"url": "https://127.0.0.1:9/"},
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
        ],
        "namespaceSelector": selector,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
    }
    body = {"metadata": {"name": repo.namespace}, "webhooks": [hook]}
    repo.cluster.api.call("POST", f"/apis/admissionregistration.k8s.io/v1/{HOOK}", body)


def take_the_kind(repo: Workspace) -> None:
    """Another definition of the same group has it."""
    taken = DEFINITION.replace("gadgets", "widgets").replace("$NS", repo.namespace)
    repo.kubectl("create", "-f", "-", stdin=taken)
    repo.kubectl("wait", "--for=condition=Established", f"crd/widgets.{repo.namespace}.example.com")


SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  ports: [{port: 80}]
"""
INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  defaultBackend: {service: {name: web, port: {number: 80}}}
"""
AUTOSCALER = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api}
  maxReplicas: 3
"""
DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.$NS.example.com}
spec:
  group: $NS.example.com
  scope: Namespaced
  names: {plural: gadgets, kind: Widget}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
"""
VOLUME = "volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]"

LOGIN = """\
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {password: hunter2}
"""
PASSWORD = "env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: login, key: pasword}}}]"
SIDECAR = "initContainers: [{name: prepare, image: 'setup:crash', restartPolicy: Always}]"

FAILURES = {
    "a replica set whose pods crash": Failure(
        workload("nginx:crash", kind="ReplicaSet"), "CrashLoop", "name: main", "panic"
    ),
    "a sidecar that crashes": Failure(workload(pod=SIDECAR), "CrashLoop", "initContainers", "panic"),
    "a program that may not be run": Failure(
        workload("nginx:crash", exit_code="126", log="sh: 1: serve: Permission denied"),
        "CommandNotExecutable",
        "name: main",
        "sh: 1: serve: Permission denied",
        "what is not executable",
    ),
    "a program that is killed, and not for its memory": Failure(
        workload("nginx:crash", exit_code="137"), "CrashLoop", "name: main", "exit code 137", "SIGKILL"
    ),
    "a program that is told to end": Failure(
        workload("nginx:crash", exit_code="143"), "CrashLoop", "name: main", "exit code 143", "SIGTERM"
    ),
    "a misspelt key of a Secret": Failure(
        workload("nginx:keyerror", PASSWORD),
        "ContainerConfigMissing",
        "key: pasword",
        "couldn't find key pasword in Secret",
        "did you mean 'password'?",
        more="allow: {missing: [/Secret/$NS/login]}",
        beside=LOGIN,
    ),
    "variables from what there is not": Failure(
        workload("nginx:configerror", "envFrom:", "  - configMapRef: {name: absent}"),
        "ContainerConfigMissing",
        "name: absent",
        'configmap "absent" not found',
        more="allow: {missing: [/ConfigMap/$NS/absent]}",
    ),
    "no room for a set of pods": Failure(
        workload(kind="StatefulSet"),
        "QuotaExceeded",
        "spec:",
        "exceeded quota: small",
        "raise the ResourceQuota",
        before=quota,
    ),
    "a policy that denies a job's pod": Failure(
        run_of("Job", "migrate:1"),
        "AdmissionDenied",
        "spec:",
        "violates PodSecurity",
        "admits it",
        before=restricted,
    ),
    "a pod that fails": Failure(
        run_of("Pod", "migrate:fail"), "PodFailed", "name: main", "migration 0042 failed"
    ),
    "a job that takes too long": Failure(
        run_of("Job", "migrate:hang", "activeDeadlineSeconds: 2"),
        "JobDeadlineExceeded",
        "activeDeadlineSeconds: 2",
        "longer than specified deadline",
        "raise activeDeadlineSeconds",
    ),
    "a load balancer that nobody makes": Failure(
        SERVICE,
        "AddressPending",
        "spec:",
        "no load balancer address",
        "load-balancer or ingress controller",
        timeout="4s",
        exit_code=LATE,
    ),
    "an ingress that nobody serves": Failure(
        INGRESS,
        "AddressPending",
        "spec:",
        "has no address",
        "load-balancer or ingress controller",
        timeout="4s",
        exit_code=LATE,
        more="allow: {missing: [/Service/$NS/web]}",
    ),
    "an autoscaler of what there is not": Failure(
        AUTOSCALER,
        "ScalingBroken",
        "scaleTargetRef",
        "there is no Deployment api for it to scale",
        "correct scaleTargetRef",
        timeout="4s",
        exit_code=LATE,
        more="allow: {missing: [apps/Deployment/$NS/api]}",
    ),
    "a claim that there is not": Failure(
        workload(pod=VOLUME),
        "ReferenceMissing",
        "claimName: data",
        'persistentvolumeclaim "data" not found',
        "add the object that is named",
        more="allow: {missing: [/PersistentVolumeClaim/$NS/data]}",
    ),
    "an account that there is not": Failure(
        workload(pod="serviceAccountName: robot"),
        "ReferenceMissing",
        "serviceAccountName",
        'serviceaccount "robot" not found',
        "add the object that is named",
        more="allow: {missing: [/ServiceAccount/$NS/robot]}",
    ),
    "a definition whose kind is taken": Failure(
        DEFINITION,
        "ApplyRejected",
        "names: {plural: gadgets",
        "already in use",
        "correct the field",
        more="allow: {clusterScoped: ['*']}",
        before=take_the_kind,
    ),
    "a webhook that does not answer for pods": Failure(
        workload(),
        "WebhookUnavailable",
        "spec:",
        'failed calling webhook "pods.example.com"',
        "the webhook's own workload",
        before=refuse_pods,
    ),
}


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo) -> dict[str, tuple[Workspace, Result]]:
    """What became of every bad manifest, each in a namespace of its own."""

    def story(failure: Failure) -> Callable[[], tuple[Workspace, Result]]:
        def run() -> tuple[Workspace, Result]:
            repo = make_repo(create=True)
            try:
                return repo, deploy(repo, failure)
            finally:
                names = (f"{name}.{repo.namespace}.example.com" for name in ("widgets", "gadgets"))
                repo.kubectl("delete", HOOK, repo.namespace, "--ignore-not-found")
                repo.kubectl("delete", "crd", *names, "--ignore-not-found", "--wait=false")

        return run

    return tell({name: story(failure) for name, failure in FAILURES.items()})


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_told_with_cause_line_evidence_and_what_to_do(
    name: str, told: dict[str, tuple[Workspace, Result]]
) -> None:
    is_told(FAILURES[name], *told[name])

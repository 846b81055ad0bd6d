"""What Pod Security Admission of the API server refuses in a namespace, and what is told of the same pod."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError

import pytest

from pipeline.core.predict.facts import workload_of
from pipeline.core.predict.pod_security import LABEL, pod_security_problems
from pipeline.model.objects import Manifest, ObjectRef, Origin
from tests.cluster.local import LocalCluster

LEVELS = ("baseline", "restricted")
CONTEXT: dict[str, Any] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
GOOD: dict[str, Any] = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [{"name": "c", "image": "c:1", "securityContext": CONTEXT}],
}


def _pod(**fields: Any) -> dict[str, Any]:
    return {"spec": {**copy.deepcopy(GOOD), **fields}}


def _context(**fields: Any) -> dict[str, Any]:
    """Of the container; a field that is None is left out."""
    merged = {key: value for key, value in {**CONTEXT, **fields}.items() if value is not None}
    return _pod(containers=[{"name": "c", "image": "c:1", "securityContext": merged}])


def _of_pod(**fields: Any) -> dict[str, Any]:
    merged = {**GOOD["securityContext"], **fields}
    return _pod(securityContext={key: value for key, value in merged.items() if value is not None})


def _container(**fields: Any) -> dict[str, Any]:
    return _pod(containers=[{**GOOD["containers"][0], **fields}])


def _volume(**source: Any) -> dict[str, Any]:
    return _pod(volumes=[{"name": "v", **source}])


def _annotated(value: str) -> dict[str, Any]:
    key = "container.apparmor.security.beta.kubernetes.io/c"
    return {"metadata": {"annotations": {key: value}}, **_pod()}


HTTP = {"path": "/", "port": 80}
CASES: dict[str, dict[str, Any]] = {
    "nothing wrong": _pod(),
    "bare": {"spec": {"containers": [{"name": "c", "image": "c:1"}]}},
    "hostNetwork": _pod(hostNetwork=True),
    "hostNetwork false": _pod(hostNetwork=False),
    "hostPID": _pod(hostPID=True),
    "hostIPC": _pod(hostIPC=True),
    "host port": _container(ports=[{"containerPort": 80, "hostPort": 80}]),
    "port": _container(ports=[{"containerPort": 80}]),
    "privileged": _context(privileged=True, allowPrivilegeEscalation=None),
    "not privileged": _context(privileged=False),
    "escalation unsaid": _context(allowPrivilegeEscalation=None),
    "escalation": _context(allowPrivilegeEscalation=True),
    "no capabilities": _context(capabilities=None),
    "drop some": _context(capabilities={"drop": ["KILL"]}),
    "add the port": _context(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}),
    "add a mild one": _context(capabilities={"drop": ["ALL"], "add": ["CHOWN"]}),
    "add a strong one": _context(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
    "root by container": _context(runAsUser=0),
    "root by pod": _of_pod(runAsUser=0),
    "a user": _of_pod(runAsUser=1000),
    "non-root unsaid": _of_pod(runAsNonRoot=None),
    "non-root denied": _of_pod(runAsNonRoot=False),
    "non-root by container": {
        "spec": {
            **_context(runAsNonRoot=True)["spec"],
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        }
    },
    "non-root denied by container": _context(runAsNonRoot=False),
    "own users": _pod(
        hostUsers=False, securityContext={"seccompProfile": {"type": "RuntimeDefault"}, "runAsUser": 0}
    ),
    "seccomp unsaid": _of_pod(seccompProfile=None),
    "seccomp by container": {
        "spec": {
            **_context(seccompProfile={"type": "RuntimeDefault"})["spec"],
            "securityContext": {"runAsNonRoot": True},
        }
    },
    "seccomp off": _of_pod(seccompProfile={"type": "Unconfined"}),
    "seccomp off by container": _context(seccompProfile={"type": "Unconfined"}),
    "seccomp local": _of_pod(seccompProfile={"type": "Localhost", "localhostProfile": "a.json"}),
    "apparmor off": _of_pod(appArmorProfile={"type": "Unconfined"}),
    "apparmor": _context(appArmorProfile={"type": "RuntimeDefault"}),
    "apparmor off by annotation": _annotated("unconfined"),
    "apparmor by annotation": _annotated("runtime/default"),
    "selinux type": _of_pod(seLinuxOptions={"type": "spc_t"}),
    "selinux engine": _of_pod(seLinuxOptions={"type": "container_engine_t"}),
    "selinux user": _context(seLinuxOptions={"user": "root"}),
    "selinux role": _context(seLinuxOptions={"role": "sysadm_r"}),
    "selinux level": _context(seLinuxOptions={"level": "s0:c1,c2"}),
    "sysctl": _of_pod(sysctls=[{"name": "kernel.msgmax", "value": "1"}]),
    "mild sysctl": _of_pod(sysctls=[{"name": "net.ipv4.tcp_wmem", "value": "1"}]),
    "emptyDir": _volume(emptyDir={}),
    "a volume of no kind": _volume(),
    "configMap": _volume(configMap={"name": "x"}),
    "hostPath": _volume(hostPath={"path": "/"}),
    "nfs": _volume(nfs={"server": "a", "path": "/"}),
    "image": _volume(image={"reference": "a:1"}),
    "probe elsewhere": _container(livenessProbe={"httpGet": {**HTTP, "host": "10.0.0.1"}}),
    "tcp probe elsewhere": _container(readinessProbe={"tcpSocket": {"port": 80, "host": "10.0.0.1"}}),
    "hook elsewhere": _container(lifecycle={"preStop": {"httpGet": {**HTTP, "host": "10.0.0.1"}}}),
    "probe": _container(livenessProbe={"httpGet": HTTP}),
    "init container": _pod(initContainers=[{"name": "i", "image": "i:1"}]),
    "windows": {
        "spec": {
            "os": {"name": "windows"},
            "securityContext": {"runAsNonRoot": True},
            "containers": [{"name": "c", "image": "c:1"}],
        }
    },
    "windows on the host": {
        "spec": {
            "os": {"name": "windows"},
            "hostNetwork": True,
            "securityContext": {"runAsNonRoot": True, "windowsOptions": {"hostProcess": True}},
            "containers": [{"name": "c", "image": "c:1"}],
        }
    },
}


@pytest.fixture(scope="module")
def namespaces(cluster: LocalCluster) -> Iterator[dict[str, str]]:
    word = secrets.token_hex(3)
    found = {level: f"{level}-{word}" for level in LEVELS}
    for level, name in found.items():
        labels = {LABEL: level}
        cluster.api.call("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
        account = {"metadata": {"name": "default"}}
        try:
            cluster.api.call("POST", f"/api/v1/namespaces/{name}/serviceaccounts", account)
        except HTTPError as error:
            error.close()  # the controller was quicker
    yield found
    for name in found.values():
        cluster.api.call("DELETE", f"/api/v1/namespaces/{name}")


def _refusal(cluster: LocalCluster, body: dict[str, Any]) -> str:
    path = f"/api/v1/namespaces/{body['metadata']['namespace']}/pods?dryRun=All"
    try:
        cluster.api.call("POST", path, body)
    except HTTPError as error:
        text = error.read().decode()
        error.close()
        return text
    return ""


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("case", CASES)
def test_the_verdict_is_that_of_the_admission(
    cluster: LocalCluster, namespaces: dict[str, str], case: str, level: str
) -> None:
    name = namespaces[level]
    pod = CASES[case]
    meta = {"name": "p", "namespace": name, **pod.get("metadata", {})}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": pod["spec"]}
    theirs = _refusal(cluster, body)
    assert not theirs or "violates PodSecurity" in theirs
    manifest = Manifest(ObjectRef.of(body), body, Origin("pod.yaml"))
    workload = workload_of(manifest)
    assert workload is not None
    home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {LABEL: level}}}
    namespace = Manifest(ObjectRef.of(home), home, Origin("namespace.yaml"))
    ours = [p.message for p in pod_security_problems([namespace], [workload])]
    assert bool(ours) == bool(theirs), (ours, theirs)

"""Objects of which only a controller can say that they work: volumes, APIs, addresses, scalers, budgets.

Where the local cluster has no such controller (load balancers, ingresses, certificates), the test answers.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.e2e.conftest import MakeRepo
from tests.e2e.controllers import deploying
from tests.e2e.failures import POLICY, workload
from tests.e2e.live import line_of, until
from tests.e2e.nodes import MERGE, add_node, at_home, nodes, pods, say
from tests.e2e.rollouts import Told, change
from tests.e2e.stories import tell
from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

FILE = "environments/dev/manifests/web.yaml"
VOLUMES = "/api/v1/persistentvolumes"
APIS = "/apis/apiregistration.k8s.io/v1/apiservices"
HOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


def made(make: MakeRepo, manifest: str, more: str = "", timeout: str = "60s") -> Workspace:
    repo = make(create=True)
    repo.environment(f"{POLICY}\n{more}", deploy=f"{{timeout: {timeout}}}")
    repo.manifest("web.yaml", manifest)
    repo.commit()
    return repo


def deployed(repo: Workspace) -> Told:
    return Told(repo, repo.run("-o", "json", "deploy", "-e", "dev"))


def changed(repo: Workspace, old: str, new: str) -> Told:
    change(repo, old, new)
    return deployed(repo)


def entry(story: Told, kind: str, name: str = "") -> Any:
    found = [one for one in story.result.document["rollout"] if f"/{kind}/" in one["object"]]
    (one,) = (one for one in found if not name or one["object"].endswith(f"/{name}"))
    return one


def cause(story: Told) -> Any:
    assert story.result.code in (11, 12), str(story.result)
    (found,) = story.result.document["causes"]
    return found


def is_at(story: Told, found: Any, marker: str) -> None:
    """The cause names the line that holds ``marker``."""
    text = (story.repo.folder / FILE).read_text()
    assert found["origin"] == f"{FILE}:{line_of(text, marker)}", found


# --- volumes

VOLUME = """\
apiVersion: v1
kind: PersistentVolume
metadata: {name: $NS, labels: {step: first}}
spec:
  storageClassName: $NS
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: /nonexistent}
"""
CLAIM = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: %s
  resources: {requests: {storage: 1Gi}}
"""


def volume(make: MakeRepo, policy: str, after: str) -> list[Told]:
    """A volume is deployed when it is new, when a claim has it, and when that claim is gone."""
    repo = made(make, VOLUME.replace("Retain", policy), "allow: {clusterScoped: [PersistentVolume]}")
    address = f"{VOLUMES}/{repo.namespace}"

    def reaches(phase: str) -> None:
        until(lambda: repo.cluster.api.call("GET", address)["status"].get("phase") == phase, f"for {phase}")

    try:
        told = [deployed(repo)]
        repo.kubectl("create", "-f", "-", stdin=CLAIM % repo.namespace)
        reaches("Bound")
        told.append(changed(repo, "step: first", "step: second"))
        repo.kubectl("delete", "pvc", "data")
        reaches(after)
        return [*told, changed(repo, "step: second", "step: third")]
    finally:
        repo.cluster.api.call("DELETE", address)


# --- an API of which another server is to answer

API = """\
apiVersion: v1
kind: Service
metadata: {name: server}
spec: {selector: {app: server}, ports: [{port: 443}]}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.$APP.example.com}
spec:
  group: $APP.example.com
  version: v1
  groupPriorityMinimum: 100
  versionPriority: 10
  insecureSkipTLSVerify: true
  service: {name: server, namespace: $NS}
"""


def without_server(make: MakeRepo) -> list[Told]:
    repo = made(make, API, "allow: {clusterScoped: [APIService]}", "6s")
    try:
        return [deployed(repo)]
    finally:
        repo.cluster.api.call("DELETE", f"{APIS}/v1.{repo.application}.example.com")


# --- what gets an answer while the deploy waits

ADDRESSES = """\
apiVersion: v1
kind: Service
metadata: {name: by-ip}
spec: {type: LoadBalancer, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: by-name}
spec: {type: LoadBalancer, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  defaultBackend: {service: {name: by-ip, port: {number: 80}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: $NS, annotations: {cert-manager.io/inject-ca-from: $NS/serving}}
webhooks:
- name: hook.example.com
  clientConfig: {url: "https://127.0.0.1:9/"}
  rules: [{apiGroups: [$NS.example.com], apiVersions: [v1], operations: [CREATE], resources: [things]}]
  sideEffects: None
  admissionReviewVersions: [v1]
"""


def answered(make: MakeRepo) -> list[Told]:
    """Load balancers, an ingress and a webhook's CA come while the deploy waits for them."""
    repo = made(make, ADDRESSES, "allow: {clusterScoped: [MutatingWebhookConfiguration]}")
    api, core = repo.cluster.api, f"/api/v1/namespaces/{repo.namespace}/services"
    ingress = f"/apis/networking.k8s.io/v1/namespaces/{repo.namespace}/ingresses/web"
    hook = f"{HOOKS}/{repo.namespace}"
    given = {
        f"{core}/by-ip": {"ip": "203.0.113.7"},
        f"{core}/by-name": {"hostname": "lb-1.elb.example.com"},
        ingress: {"hostname": "lb-2.elb.example.com"},
    }
    try:
        with deploying(repo) as running:
            for address in (*given, hook):
                until(lambda one=address: api.holds(one) or running.process.poll() is not None)
            waited_for = running.waits_for()
            for address, point in given.items():
                status = {"status": {"loadBalancer": {"ingress": [point]}}}
                api.call("PATCH", f"{address}/status", status, MERGE)
            bundle = {"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": ca_of(repo)}
            api.call("PATCH", hook, [bundle], "application/json-patch+json")
            return [Told(repo, running.ended(), {name.rpartition("/")[2] for name in waited_for})]
    finally:
        api.call("DELETE", hook)


def ca_of(repo: Workspace) -> str:
    """Any that is well formed: the API server's own."""
    return base64.b64encode(repo.cluster.ca_file.read_bytes()).decode()


# --- an autoscaler without metrics, and two of one workload

SCALED = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
---
"""
REQUESTING = workload("nginx:1.21", "resources: {requests: {cpu: 10m}}").replace("  replicas: 2\n", "")
SCALERS = "autoscaling/v2/horizontalpodautoscalers"


def scaled(make: MakeRepo) -> list[Told]:
    """Changed when nobody has metrics, and when somebody's autoscaler has the same pods."""
    repo = made(make, SCALED + REQUESTING)

    def is_said(reason: str) -> None:
        def holds() -> bool:
            status = repo.get(SCALERS, "web")["status"]
            return any(one["reason"] == reason for one in status.get("conditions", ()))

        until(holds, f"for {reason}")

    assert deployed(repo).result.code == 0
    is_said("FailedGetResourceMetric")
    told = [changed(repo, "maxReplicas: 3", "maxReplicas: 4")]
    repo.kubectl("autoscale", "deployment", "web", "--name=other", "--max=2", "--cpu-percent=50")
    is_said("AmbiguousSelector")
    return [*told, changed(repo, "maxReplicas: 4", "maxReplicas: 5")]


# --- a node that an autoscaler has ordered


def ordered(make: MakeRepo) -> list[Told]:
    """No node takes the pod, for longer than that is borne; but one is on its way."""
    repo = made(make, at_home(workload().replace("replicas: 2", "replicas: 1")))
    with nodes(repo, 0), deploying(repo) as running:
        pod = until(lambda: pods(repo) and pods(repo)[0])
        say(repo, pod, "TriggeredScaleUp", "pod triggered scale-up: [{workers 3->4 (max: 9)}]", kind="Normal")
        until(lambda: is_refused(repo, BORNE_S + 2), "for it to be refused for long")
        assert running.process.poll() is None, running.ended()
        add_node(repo, "new")
        return [Told(repo, running.ended())]


BORNE_S = 2.0  # the grace of these deploys


def is_refused(repo: Workspace, for_s: float) -> bool:
    (pod,) = pods(repo)
    found = (c for c in pod["status"].get("conditions", ()) if c["type"] == "PodScheduled")
    since = [datetime.fromisoformat(c["lastTransitionTime"]) for c in found if c["status"] == "False"]
    return bool(since) and time.time() - since[0].timestamp() > for_s


# --- what its controller counts

COUNTED = """\
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: tight}
spec: {minAvailable: 2, selector: {matchLabels: {app: web}}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: room}
spec: {hard: {pods: "9"}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 0 30 2 *"
  suspend: true
  jobTemplate:
    spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: "migrate:1"}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: alone}
spec: {containers: [{name: main, image: "nginx:1.21"}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: $NS-beside}
---
"""


def counted(make: MakeRepo) -> list[Told]:
    more = "allow: {clusterScoped: [Namespace]}"
    return [deployed(made(make, COUNTED + workload(kind="ReplicaSet"), more))]


STORIES: dict[str, Callable[[MakeRepo], list[Told]]] = {
    "kept": lambda make: volume(make, "Retain", "Released"),
    "deleted": lambda make: volume(make, "Delete", "Failed"),
    "no server": without_server,
    "answered": answered,
    "scaled": scaled,
    "counted": counted,
    "ordered": ordered,
}


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo) -> dict[str, list[Told]]:
    return tell({name: lambda story=story: story(make_repo) for name, story in STORIES.items()})


@pytest.mark.parametrize("name", ["kept", "deleted"])
def test_a_volume_is_current_when_it_is_free_and_when_a_claim_has_it(
    name: str, told: dict[str, list[Told]]
) -> None:
    free, bound, _ = told[name]
    for story, reason in ((free, "Available"), (bound, "Bound")):
        story.is_well()
        assert entry(story, "PersistentVolume")["reason"] == reason


def test_a_volume_that_its_claim_has_left_is_current_and_says_what_to_do(told: dict[str, list[Told]]) -> None:
    story = told["kept"][-1]
    story.is_well()
    assert entry(story, "PersistentVolume")["reason"] == "Released"
    assert "none can be bound until spec.claimRef is removed" in story.result.stderr


def test_a_volume_that_cannot_be_reclaimed_has_failed(told: dict[str, list[Told]]) -> None:
    story = told["deleted"][-1]
    found = cause(story)
    assert story.result.code == 11
    assert entry(story, "PersistentVolume")["status"] == "Failed"
    assert "host_path deleter only supports" in found["message"]  # the words of the volume's own plugin
    assert "persistentVolumeReclaimPolicy: Retain" in found["hint"]
    is_at(story, found, "persistentVolumeReclaimPolicy")


def test_an_api_whose_service_has_no_endpoints_is_waited_for_and_told_with_it(
    told: dict[str, list[Told]],
) -> None:
    (story,) = told["no server"]
    found = cause(story)
    assert story.result.code == 12
    assert entry(story, "APIService")["status"] == "InProgress"
    assert f'service/server in "{story.repo.namespace}" have no addresses' in found["message"]
    assert "pods behind its Service" in found["hint"]
    is_at(story, found, "service: {name: server")


def test_what_a_controller_answers_for_is_waited_for_until_then(told: dict[str, list[Told]]) -> None:
    (story,) = told["answered"]
    assert story.seen == {"by-ip", "by-name", "web", story.repo.namespace}
    story.is_well()
    for kind, name, at in (
        ("Service", "by-ip", "203.0.113.7"),
        ("Service", "by-name", "lb-1.elb.example.com"),
        ("Ingress", "web", "lb-2.elb.example.com"),
    ):
        assert entry(story, kind, name)["message"] == f"is reachable at {at}"


def test_an_autoscaler_without_metrics_holds_up_nothing_and_names_them(told: dict[str, list[Told]]) -> None:
    story = told["scaled"][0]
    story.is_well()
    assert entry(story, "HorizontalPodAutoscaler")["reason"] == "NoMetrics"
    assert "does not scale yet" in story.result.stderr
    assert "unable to get metrics for resource cpu" in story.result.stderr


def test_an_autoscaler_of_pods_that_another_one_scales_is_broken(told: dict[str, list[Told]]) -> None:
    story = told["scaled"][-1]
    found = cause(story)
    assert story.result.code == 11
    assert found["code"] == "ScalingBroken"
    assert "controlled by multiple HPAs" in found["message"]
    is_at(story, found, "scaleTargetRef")


def test_a_pod_whose_node_is_on_its_way_is_waited_for(told: dict[str, list[Told]]) -> None:
    (story,) = told["ordered"]
    story.is_well()


def test_what_is_counted_is_current_once_its_controller_counts_with_it(told: dict[str, list[Told]]) -> None:
    (story,) = told["counted"]
    story.is_well()
    reasons = {one["object"].split("/")[1]: one["reason"] for one in story.result.document["rollout"]}
    assert reasons == {
        "PodDisruptionBudget": "Observed",
        "ResourceQuota": "InForce",
        "CronJob": "Suspended",
        "Pod": "Ready",
        "Namespace": "Active",
        "ReplicaSet": "Available",
    }
    assert "is suspended: it starts no Jobs" in story.result.stderr

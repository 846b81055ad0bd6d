"""Claims and volumes, by the cluster's own controllers: lost, without a class, bound late, not attached."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.conftest import MakeRepo
from tests.e2e.failures import POLICY, workload
from tests.e2e.live import line_of, until
from tests.e2e.nodes import MERGE, add_node, at_home, is_called_ready, nodes
from tests.e2e.stories import tell
from tests.e2e.workspace import Result, Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

FILE = "environments/dev/manifests/web.yaml"
STORAGE = "/apis/storage.k8s.io/v1"
VOLUMES = "/api/v1/persistentvolumes"
ATTACHED_BY_CONTROLLER = "volumes.kubernetes.io/controller-managed-attach-detach"  # what a kubelet writes

CLAIM = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  volumeName: $NS
  resources: {requests: {storage: 1Gi}}
"""
BY_CLASS = CLAIM.replace('storageClassName: ""', "storageClassName: $NS").replace("  volumeName: $NS\n", "")
BESIDE = """\
volumes:
        - {name: scratch, emptyDir: {}}
        - {name: data, persistentVolumeClaim: {claimName: data}}"""
MOUNTED = "volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]"


@dataclass(frozen=True, slots=True)
class Told:
    repo: Workspace
    result: Result
    claim: Any = None

    def cause(self, code: str) -> Any:
        assert self.result.code in (11, 12), str(self.result)
        found = [one for one in self.result.document["causes"] if one["code"] == code]
        assert len(found) == 1, str(self.result)
        return found[0]

    def entry(self, kind: str) -> Any:
        return next(one for one in self.result.document["rollout"] if f"/{kind}/" in one["object"])


def made(make: MakeRepo, manifest: str, timeout: str = "90s", more: str = "") -> Workspace:
    repo = make(create=True)
    repo.environment(f"{POLICY}\n{more}", deploy=f"{{timeout: {timeout}}}")
    repo.manifest("web.yaml", manifest)
    repo.commit()
    return repo


def deployed(repo: Workspace) -> Result:
    return repo.run("-o", "json", "deploy", "-e", "dev")


def add_volume(repo: Workspace, source: dict[str, Any], **spec: Any) -> None:
    """A volume of the namespace's name, made by hand."""
    size = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
    body = {"metadata": {"name": repo.namespace}, "spec": {**size, **source, **spec}}
    repo.cluster.api.call("POST", VOLUMES, body)


def of_driver(repo: Workspace) -> dict[str, Any]:
    driver = {"driver": f"{repo.namespace}.csi.example.com", "volumeHandle": "vol-0123456789abcdef0"}
    return {"csi": driver}


def remove_volume(repo: Workspace) -> None:
    """Though its claim is there: what an administrator does who takes the finalizer away."""
    path = f"{VOLUMES}/{repo.namespace}"
    repo.cluster.api.call("DELETE", path)
    repo.cluster.api.call("PATCH", path, {"metadata": {"finalizers": None}}, MERGE)


def lost(make: MakeRepo) -> Told:
    """The volume of a bound claim is gone when the claim is changed."""
    repo = made(make, CLAIM)
    add_volume(repo, {"hostPath": {"path": "/nonexistent"}})
    assert deployed(repo).code == 0
    remove_volume(repo)
    until(lambda: phase(repo) == "Lost", "for the claim to be lost")
    repo.edit(FILE, "{name: data}", "{name: data, labels: {changed: again}}")
    repo.commit()
    return Told(repo, deployed(repo))


def phase(repo: Workspace) -> str:
    return str(repo.get("persistentvolumeclaims", "data")["status"].get("phase"))


def without_class(make: MakeRepo) -> Told:
    """A claim of a class that does not exist, and that is said to come from elsewhere."""
    missing = "allow: {missing: [storage.k8s.io/StorageClass//$NS]}"
    return Told(repo := made(make, BY_CLASS, "5s", missing), deployed(repo))


def modified(make: MakeRepo) -> Told:
    """A bound claim asks for other attributes, and there is no driver that could give it them."""
    classes = ", ".join(f"'storage.k8s.io/VolumeAttributesClass//{name}'" for name in ("silver", "gold"))
    manifest = CLAIM.replace("  volumeName", "  volumeAttributesClassName: silver\n  volumeName")
    repo = made(make, manifest, "5s", f"allow: {{missing: [{classes}]}}")
    add_volume(repo, of_driver(repo), volumeAttributesClassName="silver")
    assert deployed(repo).code == 0
    repo.edit(FILE, "silver", "gold")
    repo.commit()
    return Told(repo, deployed(repo), repo.get("persistentvolumeclaims", "data"))


def bound_late(make: MakeRepo, manifest: str) -> Told:
    """A claim of a class that binds with the first pod, to a volume that was made by hand."""
    repo = made(make, manifest)
    add_class(repo)
    add_volume(repo, {"hostPath": {"path": "/nonexistent"}}, storageClassName=repo.namespace)
    result = deployed(repo)
    return Told(repo, result, repo.get("persistentvolumeclaims", "data"))


def add_class(repo: Workspace) -> None:
    body = {
        "metadata": {"name": repo.namespace},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    repo.cluster.api.call("POST", f"{STORAGE}/storageclasses", body)


def not_attached(make: MakeRepo) -> Told:
    """The driver says why it cannot attach a volume to the node of the pod."""
    repo = made(make, f"{CLAIM}---\n{at_home(workload(pod=BESIDE).replace('replicas: 2', 'replicas: 1'))}")
    add_volume(repo, of_driver(repo))
    over = threading.Event()
    attacher = threading.Thread(target=refuse, args=(repo, over))
    with nodes(repo, 0):
        name = add_node(repo, "old", kubelet=False)
        is_called_ready(repo, name)
        note = {"metadata": {"annotations": {ATTACHED_BY_CONTROLLER: "true"}}}
        repo.cluster.api.call("PATCH", f"/api/v1/nodes/{name}", note, MERGE)
        attacher.start()
        try:
            return Told(repo, deployed(repo))
        finally:
            over.set()
            attacher.join()


def refuse(repo: Workspace, over: threading.Event) -> None:
    """The driver's attacher, which writes its answer into what the attach-detach controller asks for."""
    api = repo.cluster.api
    said = 'rpc error: code = Internal desc = Could not attach volume "vol-0123456789abcdef0": VolumeInUse'
    error = {"status": {"attached": False, "attachError": {"message": said, "time": "2026-03-02T09:14:05Z"}}}
    while not over.wait(0.2):
        for one in api.call("GET", f"{STORAGE}/volumeattachments")["items"]:
            wanted = one["spec"]["attacher"] == f"{repo.namespace}.csi.example.com"
            if wanted and "attachError" not in one.get("status", {}):
                path = f"{STORAGE}/volumeattachments/{one['metadata']['name']}/status"
                api.call("PATCH", path, error, MERGE)


STORIES: dict[str, Callable[[MakeRepo], Told]] = {
    "lost": lost,
    "without class": without_class,
    "modified": modified,
    "with consumer": lambda make: bound_late(make, f"{BY_CLASS}---\n{workload(pod=MOUNTED)}"),
    "without consumer": lambda make: bound_late(make, BY_CLASS),
    "not attached": not_attached,
}


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo) -> dict[str, Told]:
    return tell({name: lambda story=story: story(make_repo) for name, story in STORIES.items()})


def is_at(story: Told, cause: Any, marker: str) -> None:
    """The cause names the line that holds ``marker``."""
    text = (story.repo.folder / FILE).read_text()
    assert cause["origin"] == f"{FILE}:{line_of(text, marker)}", cause


def test_a_claim_whose_volume_is_gone_has_failed(told: dict[str, Told]) -> None:
    story = told["lost"]
    cause = story.cause("ClaimPending")

    assert story.result.code == 11
    assert story.entry("PersistentVolumeClaim")["status"] == "Failed"
    assert "its volume is gone, and the data with it" in cause["message"]
    assert "restore" in cause["hint"]
    is_at(story, cause, "volumeName")


def test_a_claim_of_a_class_that_does_not_exist_is_waited_for_and_then_told_with_it(
    told: dict[str, Told],
) -> None:
    story = told["without class"]
    cause = story.cause("ClaimPending")

    assert story.result.code == 12
    assert f"storage class {story.repo.namespace}, which does not exist" in cause["message"]
    assert any("ProvisioningFailed" in line for line in cause["evidence"]), cause
    is_at(story, cause, "storageClassName")


def test_a_claim_without_the_attributes_that_it_asks_for_is_waited_for(told: dict[str, Told]) -> None:
    story = told["modified"]
    cause = story.cause("TimedOut")

    assert story.result.code == 12
    assert story.claim["status"]["currentVolumeAttributesClassName"] == "silver"
    assert "its volume does not have the attributes of gold yet" in cause["message"]
    assert "whether the VolumeAttributesClass exists" in cause["hint"]
    is_at(story, cause, "volumeAttributesClassName")


def test_a_claim_that_waits_for_its_consumer_is_no_deadlock(told: dict[str, Told]) -> None:
    story = told["with consumer"]
    assert story.result.code == 0, str(story.result)
    assert story.claim["status"]["phase"] == "Bound"


def test_a_claim_that_waits_for_a_consumer_that_is_not_in_the_set_is_current_and_says_so(
    told: dict[str, Told],
) -> None:
    story = told["without consumer"]
    assert story.result.code == 0, str(story.result)
    assert story.claim["status"]["phase"] == "Pending"
    assert "is bound only with the first pod that uses it" in story.result.stderr


def test_a_volume_that_cannot_be_attached_is_told_in_the_drivers_words(told: dict[str, Told]) -> None:
    story = told["not attached"]
    cause = story.cause("VolumeAttachFailed")

    assert story.result.code == 11
    assert "Could not attach volume" in cause["message"]
    assert "VolumeInUse" in cause["message"]
    assert any(line.startswith("FailedAttachVolume: ") for line in cause["evidence"]), cause
    assert "not attached elsewhere" in cause["hint"]
    is_at(story, cause, "persistentVolumeClaim: {")

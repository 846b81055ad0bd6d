"""What a rollback leaves: what would take along others' objects or data, and what nobody can undo."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.e2e.audit import Audit, Witness
from tests.e2e.conftest import MakeRepo
from tests.e2e.live import changed, snapshot, until
from tests.e2e.stories import tell
from tests.e2e.test_engine_order import ALLOW, CRD, ELSEWHERE, WIDGET, noted, prepared
from tests.e2e.workspace import Result, Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

NEVER_READY = noted("Deployment", "web", mode="unready")
INSIDE = """\
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: inside, namespace: $NS-other}
spec:
  selector: {matchLabels: {app: in}}
  template:
    metadata: {labels: {app: in}}
    spec: {containers: [{name: main, image: "nginx:1.21"}]}
---
apiVersion: v1
kind: Service
metadata: {name: inside, namespace: $NS-other}
spec: {selector: {app: in}, ports: [{port: 80}]}
"""
CLAIMS = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: bound}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: $APP
  resources: {requests: {storage: 1Gi}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: waiting}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: none
  resources: {requests: {storage: 1Gi}}
"""
GROWING = CLAIMS.partition("---")[0]
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80}, {port: 53, protocol: UDP, name: dns}]
""".replace("{port: 80}", "{port: 80, name: http}")
SECOND = CRD.replace("storage: true", "storage: false") + CRD.partition("  versions:\n")[2].replace(
    "v1", "v2"
)
FIRST = {"crd.yaml": CRD, "one.yaml": WIDGET, "elsewhere.yaml": ELSEWHERE + INSIDE, "web.yaml": NEVER_READY}

KEEPING = {
    "own": "pipeline/prune: keep",
    "helm": "helm.sh/resource-policy: keep",
    "kapp": "kapp.k14s.io/delete-strategy: orphan",
}


@dataclass(frozen=True)
class Told:
    """A deploy that was undone."""

    run: Witness
    result: Result
    before: dict[str, Any]

    @property
    def differences(self) -> dict[str, Any]:
        """By object and path."""
        found = self.result.document["rollback"]["differences"]
        return {" ".join(filter(None, (d["object"], d["path"]))): d for d in found}

    @property
    def deleted(self) -> list[str]:
        """``resource/name`` in the order of the requests."""
        return [r.what for r in self.run.writes if r.verb == "delete"]


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, audit: Audit) -> dict[str, Told]:
    def first(files: dict[str, str], meanwhile: Callable[[Workspace], object]) -> Callable[[], Told]:
        def story() -> Told:
            run = prepared(make_repo, audit, files)
            run.repo.edit("environments/dev/environment.yaml", "timeout: 40s", "timeout: 6s")
            run.repo.commit()
            return undone(run, meanwhile)

        return story

    def second(
        good: dict[str, str], bad: dict[str, str], meanwhile: Callable[[Workspace], object] = lambda _: None
    ) -> Callable[[], Told]:
        def story() -> Told:
            run = prepared(make_repo, audit, good)
            result = ended(run.repo, meanwhile)
            assert result.code == 0, str(result)
            run.repo.edit("environments/dev/environment.yaml", "timeout: 40s", "timeout: 4s")
            for name, text in {**bad, "web.yaml": NEVER_READY}.items():
                run.repo.manifest(name, text)
            run.repo.commit()
            return undone(run, lambda _: None)

        return story

    def address_taken() -> Told:
        run = prepared(make_repo, audit, {"service.yaml": SERVICE, "a.yaml": noted("ConfigMap", "a")})
        repo = run.repo
        repo.deployed()
        service = repo.get("services", "web")
        repo.remove("environments/dev/manifests/service.yaml")
        with socket.create_server(("127.0.0.1", 0)) as silent:  # listens, and never answers
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
            check = f"{{name: home, http: {{url: '{url}'}}, timeout: 300ms, samples: 1, deadline: 4s}}"
            repo.environment(f"{ALLOW.replace('$NS', repo.namespace)}checks: [{check}]")
            repo.commit()
            return undone(run, lambda repo: take_address(repo, service))

    return tell(
        {
            "nobody": first(FIRST, lambda _: None),
            "others": first(FIRST, others_put_something_in),
            "claims": first({"claims.yaml": CLAIMS, "web.yaml": NEVER_READY}, volume),
            "stored": second({"crd.yaml": CRD, "one.yaml": WIDGET}, {"crd.yaml": noted_crd(SECOND)}),
            "grown": second({"claim.yaml": GROWING}, {"claim.yaml": grown(GROWING)}, volume),
            "typed": second(
                {"service.yaml": SERVICE}, {"service.yaml": SERVICE.replace("NodePort", "ClusterIP")}
            ),
            "taken": address_taken,
            "annotated": second(
                {"a.yaml": noted("ConfigMap", "a")},
                {f"{name}.yaml": noted("ConfigMap", name, note) for name, note in KEEPING.items()}
                | {"goes.yaml": noted("ConfigMap", "goes")},
            ),
        }
    )


def noted_crd(text: str) -> str:
    return text.replace("metadata: {", "metadata: {annotations: {note: new}, ", 1)


def grown(text: str) -> str:
    return text.replace("metadata: {", "metadata: {labels: {note: new}, ").replace("1Gi", "2Gi")


def undone(run: Witness, meanwhile: Callable[[Workspace], object]) -> Told:
    before = snapshot(run.repo)
    return Told(run, ended(run.repo, meanwhile), before)


def ended(repo: Workspace, meanwhile: Callable[[Workspace], object]) -> Result:
    """A deploy while which something else happens."""
    process = repo.start("-o", "json", "deploy", "-e", "dev")
    try:
        meanwhile(repo)
    finally:
        out, err = process.communicate(timeout=90)
    return Result(process.returncode, out, err)


def others_put_something_in(repo: Workspace) -> None:
    """A ConfigMap into the release's new Namespace, and a custom resource of its new kind elsewhere."""
    other = f"{repo.namespace}-other"
    until(lambda: repo.get("configmaps", "inside", other))
    until(lambda: repo.get(f"{repo.application}.example.com/v1/widgets", "one"))
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": other}}
    group = f"{repo.application}.example.com"
    widget = {
        "apiVersion": f"{group}/v1",
        "kind": "Widget",
        "metadata": {"name": "theirs", "namespace": repo.namespace},
    }
    repo.cluster.api.call("POST", f"/api/v1/namespaces/{other}/configmaps", theirs)
    repo.cluster.api.call("POST", f"/apis/{group}/v1/namespaces/{repo.namespace}/widgets", widget)


def volume(repo: Workspace) -> None:
    """A volume for the claim ``bound``, of a class whose volumes may grow."""
    storage = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": repo.application},
        "provisioner": "example.com/none",
        "allowVolumeExpansion": True,
    }
    repo.cluster.api.call("POST", "/apis/storage.k8s.io/v1/storageclasses", storage)
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/nowhere"},
        "storageClassName": repo.application,
    }
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": repo.application}}
    repo.cluster.api.call("POST", "/api/v1/persistentvolumes", {**volume, "spec": spec})
    until(
        lambda: (repo.get("persistentvolumeclaims", "bound") or {}).get("status", {}).get("phase") == "Bound"
    )


def take_address(repo: Workspace, service: Any) -> None:
    """Another Service gets its cluster IP and the node port of its first port, once it is gone."""
    until(lambda: repo.get("services", "web") is None)
    port = {k: service["spec"]["ports"][0][k] for k in ("port", "nodePort")}
    address = service["spec"]["clusterIP"]
    other = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "other"},
        "spec": {"type": "NodePort", "clusterIP": address, "ports": [port]},
    }
    repo.cluster.api.call("POST", f"/api/v1/namespaces/{repo.namespace}/services", other)


def exists(repo: Workspace, path: str) -> bool:
    try:
        live = repo.cluster.api.call("GET", path)
    except HTTPError as error:
        if error.code == 404:
            return False
        raise
    return "deletionTimestamp" not in live["metadata"]


def definition(repo: Workspace) -> str:
    return f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{repo.application}.example.com"


def test_an_empty_namespace_and_a_definition_that_a_failed_release_made_go_last(
    told: dict[str, Told],
) -> None:
    one = told["nobody"]
    repo = one.run.repo
    assert one.result.code == 10, str(one.result)
    assert one.result.document["rollback"] == {"verified": True, "differences": []}
    assert not exists(repo, f"/api/v1/namespaces/{repo.namespace}-other")
    assert not exists(repo, definition(repo))
    order = one.deleted
    crd = f"customresourcedefinitions/widgets.{repo.application}.example.com"
    assert order.index("widgets/one") < order.index(crd)
    inside = ("configmaps/inside", "deployments/inside", "services/inside")
    assert max(map(order.index, inside)) < order.index(f"namespaces/{repo.namespace}-other")


def test_a_namespace_and_a_definition_with_what_others_made_stay_and_are_reported(
    told: dict[str, Told],
) -> None:
    one = told["others"]
    repo = one.run.repo
    assert one.result.code == 10, str(one.result)
    assert one.result.document["rollback"]["verified"] is True
    kept = {
        f"/Namespace//{repo.namespace}-other": f"/ConfigMap/{repo.namespace}-other/theirs",
        f"apiextensions.k8s.io/CustomResourceDefinition//widgets.{repo.application}.example.com": (
            f"{repo.application}.example.com/Widget/{repo.namespace}/theirs"
        ),
    }
    assert {name: d["reason"].rpartition(": ")[2] for name, d in one.differences.items()} == kept
    warnings = " ".join(one.result.document["warnings"])
    assert all(name in warnings for name in kept)


def test_nothing_of_others_is_touched_and_all_of_the_release_goes(told: dict[str, Told]) -> None:
    one = told["others"]
    repo = one.run.repo
    assert not [r for r in one.run.writes if r.name == "theirs"]
    inside = {"configmaps/inside", "deployments/inside", "services/inside"}
    assert set(one.deleted) == {"widgets/one", "deployments/web", *inside}
    assert repo.get("configmaps", "theirs", f"{repo.namespace}-other")
    widgets = repo.get(f"{repo.application}.example.com/v1/widgets")["items"]
    assert [w["metadata"]["name"] for w in widgets] == ["theirs"]


def test_a_claim_with_a_volume_stays_and_one_that_waits_for_one_goes(told: dict[str, Told]) -> None:
    one = told["claims"]
    assert one.result.code == 10, str(one.result)
    assert set(snapshot(one.run.repo)) == {"persistentvolumeclaims/bound"}
    ((name, difference),) = one.differences.items()
    assert name == f"/PersistentVolumeClaim/{one.run.repo.namespace}/bound"
    assert difference["reason"] == "a bound PersistentVolumeClaim may hold data"
    assert one.deleted.count("persistentvolumeclaims/waiting") == 1


def test_of_a_definition_all_goes_back_but_the_version_in_which_objects_may_be_stored(
    told: dict[str, Told],
) -> None:
    one = told["stored"]
    assert one.result.code == 10, str(one.result)
    live = one.run.repo.cluster.api.call("GET", definition(one.run.repo))
    assert [(v["name"], v["storage"]) for v in live["spec"]["versions"]] == [("v1", True), ("v2", False)]
    assert "note" not in live["metadata"].get("annotations", {})
    assert one.differences
    assert {name.partition("]")[0].partition(" ")[2] for name in one.differences} == {"spec.versions[name=v2"}
    reasons = {d["reason"] for d in one.differences.values()}
    assert reasons == {"objects are stored in this version, as the plan had said"}


def test_of_a_claim_that_grew_all_goes_back_but_its_size(told: dict[str, Told]) -> None:
    one = told["grown"]
    assert one.result.code == 10, str(one.result)
    claim = one.run.repo.get("persistentvolumeclaims", "bound")
    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"
    assert "note" not in claim["metadata"]["labels"]
    ((name, difference),) = one.differences.items()
    assert name.endswith(" spec.resources.requests.storage")
    assert difference["reason"] == "a volume does not shrink, as the plan had said"


def test_a_service_whose_type_changed_has_its_node_ports_and_owners_again(told: dict[str, Told]) -> None:
    one = told["typed"]
    assert one.result.code == 10, str(one.result)
    assert one.result.document["rollback"] == {"verified": True, "differences": []}
    assert changed(one.before, one.run.repo) == []


def test_a_service_comes_back_with_what_of_its_addresses_is_still_free(told: dict[str, Told]) -> None:
    one = told["taken"]
    assert one.result.code == 10, str(one.result)
    then, now = one.before["services/web"]["object"]["spec"], one.run.repo.get("services", "web")["spec"]
    assert now["ports"][1] == then["ports"][1]
    assert {name.partition(" ")[2] for name in one.differences} == {
        "spec.clusterIP",
        "spec.clusterIPs[0]",
        "spec.ports[name=http].nodePort",
    }
    assert {d["reason"] for d in one.differences.values()} == {"another one has it by now"}


@pytest.mark.parametrize("name", KEEPING)
def test_what_is_annotated_to_be_kept_stays_and_says_so(told: dict[str, Told], name: str) -> None:
    one = told["annotated"]
    repo = one.run.repo
    assert one.result.code == 10, str(one.result)
    assert repo.get("configmaps", name) is not None
    assert repo.get("configmaps", "goes") is None
    assert one.differences[f"/ConfigMap/{repo.namespace}/{name}"]["reason"] == f"annotation {KEEPING[name]}"
    assert set(one.differences) == {f"/ConfigMap/{repo.namespace}/{kept}" for kept in KEEPING}

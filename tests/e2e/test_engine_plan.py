"""What a plan shows of changes, and what it says of those that cannot be taken back or will not do well."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any

import pytest

from tests.e2e.audit import Audit
from tests.e2e.conftest import MakeRepo
from tests.e2e.live import line_of, until
from tests.e2e.refusal import refused
from tests.e2e.workspace import Result, Workspace

pytestmark = pytest.mark.cluster

PLAN = ("plan", "-e", "dev")
OLD, NEW = "0ld-c4n4ry", "n3w-c4n4ry"
LINES = [f"line {number} of a page" for number in range(40)]
CHANGED = [*LINES[:7], "another line", *LINES[8:]]
ALLOW = "allow: {clusterScoped: [CustomResourceDefinition]}"

SECRET = """\
apiVersion: v1
kind: Secret
metadata: {name: credentials}
stringData:
  again: $SECRET
  other: k3pt-c4n4ry
  password: $SECRET
"""
CLAIM = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  storageClassName: $NS
  accessModes: [ReadWriteOnce]
  resources:
    requests:
      storage: 1Gi
"""
JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "migrate:1"}]
"""
CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.$APP.example.com}
spec:
  group: $APP.example.com
  scope: Namespaced
  names: {kind: Thing, plural: things}
  versions:
    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
"""
VERSIONS = """\
    - {name: v1, served: true, storage: false, schema: {openAPIV3Schema: {type: object}}}
    - {name: v2, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
"""
THEIRS = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "page"}, "data": {"theirs": "1"}}'
STORAGE = """\
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: $NS}
provisioner: example.com/none
allowVolumeExpansion: true
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: $NS}
spec:
  storageClassName: $NS
  accessModes: [ReadWriteOnce]
  capacity: {storage: 1Gi}
  hostPath: {path: /nonexistent}
"""


WORKLOAD = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 9
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: main
          image: nginx
          $RESOURCES
"""
AROUND = """apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  maxReplicas: 3
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec:
  minAvailable: 1
  selector: {matchLabels: {app: web}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector:
    app: wep
  ports: [{port: 80, targetPort: http}]
"""
BOUNDS = """apiVersion: v1
kind: LimitRange
metadata: {name: bounds}
spec: {limits: [{type: Container, max: {memory: 50Mi}}]}
"""


def page(lines: list[str]) -> str:
    text = "\n".join(f"    {line}" for line in lines)
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: page}}\ndata:\n  text: |\n{text}\n"


def write(repo: Workspace, secret: str, lines: list[str], *, one_way: bool) -> None:
    repo.manifest("secret.yaml", SECRET.replace("$SECRET", secret))
    repo.manifest("page.yaml", page(lines))
    repo.manifest("claim.yaml", CLAIM.replace("1Gi", "2Gi") if one_way else CLAIM)
    repo.manifest("job.yaml", JOB.replace("migrate:1", "migrate:2") if one_way else JOB)
    repo.manifest("crd.yaml", CRD.rpartition("    - ")[0] + VERSIONS if one_way else CRD)
    repo.commit()


@dataclass(frozen=True)
class Told:
    """One plan in each form: a Secret and a long text change, and three objects in ways that stay."""

    repo: Workspace
    text: Result
    markdown: Result
    document: Any

    def change(self, name: str) -> Any:
        return next(c for c in self.document["changes"] if c["object"].endswith(f"/{name}"))

    def fields(self, name: str) -> Mapping[str, tuple[Any, Any]]:
        return {f["path"]: (f["before"], f["after"]) for f in self.change(name)["fields"]}


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo) -> Iterator[Told]:
    repo = make_repo(create=True)
    repo.kubectl("apply", "-f", "-", stdin=STORAGE.replace("$NS", repo.namespace))
    repo.environment(ALLOW)
    write(repo, OLD, LINES, one_way=False)
    repo.deployed()
    repo.kubectl("apply", "--server-side", "--field-manager=controller-x", "-f", "-", stdin=THEIRS)
    until(lambda: repo.get("persistentvolumeclaims", "data")["status"]["phase"] == "Bound", "for the claim")
    write(repo, NEW, CHANGED, one_way=True)
    shown = repo.together((*PLAN, "-o", "text"), ("-o", "markdown", *PLAN))
    text, markdown = shown["dev"], shown["plan"]
    code, document = repo.json(*PLAN)
    assert (code, text.code, markdown.code) == (0, 0, 0), f"{text}\n{markdown}"
    yield Told(repo, text, markdown, document)
    repo.kubectl("delete", "--wait=false", "-f", "-", stdin=STORAGE.replace("$NS", repo.namespace))


def test_equal_values_of_a_secret_have_equal_numbers_in_the_document(told: Told) -> None:
    fields = told.fields("credentials")
    assert set(fields) == {"data.again", "data.password"}
    before, after = fields["data.password"]
    assert fields["data.again"] == (before, after)
    assert before != after
    assert before.startswith("<masked #")
    assert after.startswith("<masked #")


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_so_they_have_where_people_read(told: Told, form: str) -> None:
    before, after = told.fields("credentials")["data.password"]
    shown = unescape(getattr(told, form).stdout)
    for field in ("data.again", "data.password"):
        (line,) = [line for line in shown.splitlines() if field in line]
        assert before in line
        assert after in line


def test_no_form_shows_a_secret(told: Told) -> None:
    outputs = told.text.output + told.markdown.output + str(told.document)
    for secret in (OLD, NEW):
        assert secret not in outputs
        assert base64.b64encode(secret.encode()).decode() not in outputs


@pytest.mark.parametrize("form", ["text", "markdown", "document"])
def test_of_a_long_text_the_plan_shows_how_much_of_it_changes(told: Told, form: str) -> None:
    shown = str(told.document) if form == "document" else getattr(told, form).stdout
    assert "1 of 40 lines changed" in shown
    assert "another line" not in shown
    assert LINES[20] not in shown


ONE_WAY = {
    "data": ("PersistentVolumeClaim", "claim.yaml"),
    "migrate": ("Job", "job.yaml"),
    "things": ("CustomResourceDefinition", "crd.yaml"),
}
"""A volume does not shrink, a Job has run, a version in which objects are stored stays."""


def test_what_no_rollback_takes_back_is_said(told: Told) -> None:
    found = {c["object"].rpartition("/")[2].partition(".")[0]: c for c in told.document["changes"]}
    assert {name for name, change in found.items() if change["reversible"] == "one-way"} == set(ONE_WAY)
    assert {name for name, change in found.items() if change["reversible"] == "exact"} == {
        "page",
        "credentials",
    }
    (line,) = [text for text in told.text.stdout.splitlines() if "a rollback cannot undo: " in text]
    assert all(f"{kind}/" in line for kind, _ in ONE_WAY.values())
    assert told.markdown.stdout.count("a rollback cannot undo this") == len(ONE_WAY)


def test_fields_of_others_are_no_change(told: Told) -> None:
    assert set(told.fields("page")) == {"data.text"}
    assert told.fields("data") == {"spec.resources.requests.storage": ("1Gi", "2Gi")}


def test_where_exact_rollbacks_are_required_such_a_plan_is_refused_and_each_change_named(told: Told) -> None:
    repo = told.repo
    repo.environment(f"rollback: {{require: exact}}\n{ALLOW}")
    repo.commit()
    for command in (PLAN, ("deploy", "-e", "dev")):
        result = refused(repo, 21, args=("-o", "json", *command))
        problems = {p["file"].rpartition("/")[2]: p for p in result.document["problems"]}
        assert set(problems) == {file for _, file in ONE_WAY.values()}
        for kind, file in ONE_WAY.values():
            assert problems[file]["code"] == "not-reversible"
            assert f"{kind}/" in problems[file]["message"]
            assert "rollback.require" in problems[file]["message"]
    write(repo, NEW, CHANGED, one_way=False)
    repo.deployed()
    live = repo.get("configmaps", "page")["data"]
    assert (live["text"].splitlines(), live["theirs"]) == (CHANGED, "1")


# --- what the server cannot be asked


ABSENT = """\
apiVersion: v1
kind: Namespace
metadata: {name: $NS-new}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: inside, namespace: $NS-new}
---
apiVersion: $APP.example.com/v1
kind: Thing
metadata: {name: thing}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: account}
---
apiVersion: v1
kind: Pod
metadata: {name: bare}
spec: {serviceAccountName: account, containers: [{name: main, image: "nginx:1.21"}]}
"""


def test_what_rests_on_what_the_plan_creates_is_marked(make_repo: MakeRepo) -> None:
    repo = make_repo(create=True)
    repo.environment("allow: {clusterScoped: ['*'], namespaces: ['*']}")
    repo.manifest("absent.yaml", ABSENT)
    repo.manifest("crd.yaml", CRD)
    repo.commit()
    code, document = repo.json(*PLAN)
    assert code == 0
    notes = {c["object"].rpartition("/")[2]: c["note"] for c in document["changes"] if c["note"]}
    assert notes == {
        "inside": "verified in another namespace: its own is created by this plan",
        "thing": "verified against the schema, not by the server: its kind is created by this plan",
        "bare": "verified without ServiceAccount/account: created by this plan",
    }


TENANTS = """\
apiVersion: v1
kind: Namespace
metadata: {name: $TENANT}
---
apiVersion: v1
kind: Service
metadata: {name: good, namespace: $TENANT}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: bad, namespace: $TENANT}
spec: {selector: {app: web}, ports: [{port: 80}], sessionAffinity: Sometimes}
"""


def test_what_many_new_namespaces_have_alike_is_asked_once_and_told_of_each(
    make_repo: MakeRepo, audit: Audit
) -> None:
    witness = audit.watch(make_repo(create=True))
    repo = witness.repo
    repo.environment("allow: {clusterScoped: [Namespace], namespaces: ['*']}")
    for tenant in ("$NS-a", "$NS-b", "$NS-c"):
        repo.manifest(f"{tenant[-1]}.yaml", TENANTS.replace("$TENANT", tenant))
    repo.commit()
    result = witness.run(*PLAN)
    assert result.code == 21
    problems = result.document["problems"]
    told = {(p["file"].rpartition("/")[2], p["line"]) for p in problems}
    assert told == {(name, line_of(TENANTS, "Sometimes")) for name in ("a.yaml", "b.yaml", "c.yaml")}
    assert all("/bad: " in p["message"] and "dry-run" not in p["message"] for p in problems)
    assert len([r for r in witness.requests if r.is_dry_run and r.resource == "services"]) == 2


# --- what will not do well though the server takes it


@pytest.fixture
def poor(make_repo: MakeRepo) -> Workspace:
    repo = make_repo(create=True)
    repo.environment()
    repo.manifest("web.yaml", WORKLOAD.replace("$RESOURCES", ""))
    repo.manifest("around.yaml", AROUND)
    repo.commit()
    return repo


def test_one_plan_warns_of_everything_that_may_go_wrong_each_at_its_line(poor: Workspace) -> None:
    code, document = poor.json(*PLAN)
    assert code == 0
    assert [(w["file"].rpartition("/")[2], w["line"], w["code"]) for w in document["warnings"]] == [
        ("around.yaml", line_of(AROUND, "spec:"), "hpa-needs-requests"),
        ("around.yaml", line_of(AROUND, "minAvailable"), "pdb-blocks"),
        ("around.yaml", line_of(AROUND, "app: wep"), "selects-nothing"),
        ("web.yaml", line_of(WORKLOAD, "replicas"), "replicas-of-autoscaler"),
        ("web.yaml", line_of(WORKLOAD, "image"), "image-not-pinned"),
    ]


def test_what_a_limit_range_will_refuse_is_refused_before_anything_is_written(poor: Workspace) -> None:
    resources = "resources: {limits: {memory: 60Mi}}"
    poor.kubectl("apply", "-f", "-", stdin=BOUNDS)
    poor.manifest("web.yaml", WORKLOAD.replace("$RESOURCES", resources))
    poor.commit()
    result = refused(poor, 21, args=("-o", "json", "deploy", "-e", "dev"))
    (problem,) = result.document["problems"]
    assert (problem["code"], problem["line"]) == ("limit-range", line_of(WORKLOAD, "$RESOURCES"))

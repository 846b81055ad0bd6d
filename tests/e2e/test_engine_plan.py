"""What a plan shows of changes, and what it says of those that cannot be taken back or will not do well."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any

import pytest

from tests.e2e.conftest import MakeRepo
from tests.e2e.live import line_of, until
from tests.e2e.manifests import SETTINGS
from tests.e2e.refusal import refused
from tests.e2e.workspace import Result, Workspace

pytestmark = pytest.mark.cluster

PLAN = ("plan", "-e", "dev")
OLD, NEW = "0ld-c4n4ry", "n3w-c4n4ry"
LINES = [f"line {number} of a page" for number in range(40)]

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


def write(repo: Workspace, secret: str, lines: list[str]) -> None:
    repo.manifest("secret.yaml", SECRET.replace("$SECRET", secret))
    repo.manifest("page.yaml", page(lines))


@dataclass(frozen=True)
class Told:
    """One plan in each form: a Secret, a long text and the size of a volume change."""

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
    repo.environment()
    write(repo, OLD, LINES)
    repo.manifest("settings.yaml", SETTINGS)
    repo.manifest("claim.yaml", CLAIM)
    repo.commit()
    repo.deployed()
    until(lambda: repo.get("persistentvolumeclaims", "data")["status"]["phase"] == "Bound", "for the claim")
    write(repo, NEW, [*LINES[:7], "another line", *LINES[8:]])
    repo.manifest("claim.yaml", CLAIM.replace("1Gi", "2Gi"))
    repo.commit()
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


def test_a_volume_that_grows_does_not_come_back(told: Told) -> None:
    assert told.change("data")["reversible"] == "one-way"
    assert told.fields("data") == {"spec.resources.requests.storage": ("1Gi", "2Gi")}
    assert {told.change(name)["reversible"] for name in ("page", "credentials")} == {"exact"}
    assert f"a rollback cannot undo: PersistentVolumeClaim/{told.repo.namespace}/data" in told.text.stdout
    assert "a rollback cannot undo this" in told.markdown.stdout


def test_where_exact_rollbacks_are_required_such_a_plan_is_refused_and_the_change_named(told: Told) -> None:
    repo = told.repo
    repo.environment("rollback: {require: exact}")
    repo.commit()
    for command in (PLAN, ("deploy", "-e", "dev")):
        result = refused(repo, 21, args=("-o", "json", *command))
        (problem,) = result.document["problems"]
        assert problem["code"] == "not-reversible"
        assert "PersistentVolumeClaim" in problem["message"]
        assert "rollback.require" in problem["message"]
        assert problem["file"] == "environments/dev/manifests/claim.yaml"
    repo.manifest("claim.yaml", CLAIM)
    repo.commit()
    repo.deployed()
    assert repo.get("configmaps", "page")["data"]["text"].splitlines()[7] == "another line"


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

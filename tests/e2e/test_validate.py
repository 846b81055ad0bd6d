"""``validate`` as a command: schemas, given definitions, code scanning, and who else uses the schemas."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.e2e.manifests import SETTINGS
from tests.e2e.refusal import at, refused
from tests.e2e.workspace import ROOT, Workspace

WIDGET = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: big}\n"
CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: %s
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer}}}
"""


@pytest.fixture
def place(make_repo: Any) -> Workspace:
    """An environment with one good object."""
    repo: Workspace = make_repo()
    repo.environment()
    repo.manifest("settings.yaml", SETTINGS)
    repo.commit()
    return repo


def _add(place: Workspace, name: str, text: str) -> None:
    place.manifest(name, text)
    place.commit()


def test_a_field_that_a_kind_does_not_know_is_told_with_its_line_and_the_nearest(place: Workspace) -> None:
    _add(place, "other.yaml", SETTINGS.replace("name: settings", "name: other") + "immutabel: true\n")
    line = (SETTINGS + "immutabel: true\n").count("\n")
    says = (at("other.yaml", line), "unknown field immutabel (did you mean immutable?)")
    refused(place, 20, *says, args=("validate",))
    refused(place, 20, *says, args=("plan", "-e", "dev", "--offline"))


def test_a_custom_resource_is_held_against_definitions_of_files(place: Workspace, tmp_path: Any) -> None:
    _add(place, "widget.yaml", WIDGET)
    code, document = place.json("validate")
    assert (code, [p["code"] for p in document["problems"]]) == (0, ["unknown-kind"])
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "crd.yaml").write_text(CRD % "Namespaced")
    says = (at("widget.yaml", 4), "spec.size is a string, not an integer")
    refused(place, 20, *says, args=("validate", "--crds", str(tmp_path)))
    file = str(tmp_path / "deep" / "crd.yaml")
    refused(place, 20, *says, args=("validate",), env={"PIPELINE_CRDS": file})


def test_given_definitions_tell_the_scope_of_their_objects(place: Workspace, tmp_path: Any) -> None:
    _add(place, "widget.yaml", WIDGET.replace("big", "1"))
    (tmp_path / "crd.yaml").write_text(CRD % "Cluster")
    says = "Widget/w is cluster-scoped, which dev does not allow"
    refused(place, 20, says, args=("validate", "--crds", str(tmp_path)))


@pytest.mark.parametrize(
    ("name", "says"),
    [("absent.yaml", "No such file or directory"), (".", "no CustomResourceDefinition in")],
)
def test_files_of_definitions_that_have_none_are_refused(
    place: Workspace, tmp_path: Any, name: str, says: str
) -> None:
    refused(place, 20, says, args=("validate", "--crds", str(tmp_path / name)))


def test_problems_are_written_for_code_scanning_too(place: Workspace, tmp_path: Any) -> None:
    _add(place, "a b.yaml", SETTINGS.replace("name: settings", "name: Settings"))
    target = tmp_path / "found.sarif"
    result = place.run("validate", "--sarif", str(target))
    assert result.code == 20
    (run,) = json.loads(target.read_text())["runs"]
    (found,) = run["results"]
    assert (found["ruleId"], found["level"]) == ("bad-name", "error")
    where = found["locations"][0]["physicalLocation"]
    assert where["artifactLocation"]["uri"] == "environments/dev/manifests/a%20b.yaml"
    assert where["region"]["startLine"] > 1
    assert "a b.yaml" in result.stdout


def test_a_file_for_code_scanning_that_cannot_be_written_is_a_wrong_command_line(place: Workspace) -> None:
    result = place.run("validate", "--sarif", "/nowhere/found.sarif")
    assert (result.code, "--sarif" in result.stderr) == (2, True)


def test_all_environments_are_told_of_at_once_in_the_order_of_files(place: Workspace) -> None:
    place.environment(name="prod")
    place.manifest("b.yaml", WIDGET.replace("kind: Widget", "kind: Wodget"), environment="prod")
    place.manifest("a.yaml", SETTINGS + "more: 1\n", environment="prod")
    place.manifest("settings.yaml", SETTINGS.replace("name: settings", "name: Settings"))
    place.commit()
    code, document = place.json("validate")
    files = [p["file"].removeprefix("environments/") for p in document["problems"]]
    assert code == 20
    assert files == ["dev/manifests/settings.yaml", "prod/manifests/a.yaml", "prod/manifests/b.yaml"]


def test_an_environment_that_cannot_be_read_hides_nothing_of_the_others(place: Workspace) -> None:
    place.write("environments/broken/environment.yaml", "kind: Environment\n")
    place.manifest("settings.yaml", SETTINGS.replace("name: settings", "name: Settings"))
    place.commit()
    _, document = place.json("validate")
    files = [p["file"].removeprefix("environments/") for p in document["problems"]]
    assert set(files) == {"broken/environment.yaml", "dev/manifests/settings.yaml"}


def test_who_asks_a_server_does_not_load_the_schemas() -> None:
    code = "import sys, pipeline.cli.commands; print(*sys.modules)"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    loaded = set(done.stdout.split())
    assert "pipeline.cli.commands" in loaded
    assert not loaded & {"pipeline.adapters.schemas", "pipeline.core.shape", "pipeline.core.catalogue"}

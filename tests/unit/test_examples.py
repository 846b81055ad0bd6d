"""The example environments: read, rendered and validated as their readers would, from a commit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.run.workspace import Workspace
from pipeline.wiring import App
from tests.docs import ROOT
from tests.unit.test_git import commit_all, run_git

SHARED = ["Deployment/web", "NetworkPolicy/allow-http", "NetworkPolicy/default-deny", "Service/web"]
OWN = ["HorizontalPodAutoscaler/web", "Secret/web-credentials", "ServiceAccount/web"]


@pytest.fixture
def folder(tmp_path: Path, home: Path) -> Path:
    made = tmp_path / "shop"
    shutil.copytree(ROOT / "environments", made / "environments")
    run_git(made, "init", "-q")
    commit_all(made)
    return made


def workspace(folder: Path) -> tuple[Workspace, str]:
    place = App(repo=str(folder)).workspace()
    return place, place.repository.resolve("HEAD")


@pytest.mark.parametrize("name", ["dev", "staging", "prod"])
def test_each_example_has_the_same_objects(folder: Path, name: str) -> None:
    """prod by an overlay, whose settings have a hash; the others by folders of manifests."""
    place, revision = workspace(folder)
    found = place.render(place.environment(name, revision), revision, lambda *_: None)
    names = sorted(f"{m.ref.kind}/{m.ref.name}" for m in found)
    settings = [one for one in names if one.startswith("ConfigMap/web-settings")]
    assert len(settings) == 1
    assert (settings[0] == "ConfigMap/web-settings") == (name != "prod")
    assert [n for n in names if n not in settings] == sorted([*SHARED, *OWN, f"Namespace/web-{name}"])
    (web,) = [m.body for m in found if m.ref.kind == "Deployment"]
    (variable, *_) = web["spec"]["template"]["spec"]["containers"][0]["env"]
    assert variable["valueFrom"]["configMapKeyRef"]["name"] == settings[0].partition("/")[2]


def test_what_is_shared_is_told_of_all_of_them_with_the_way_to_prod(folder: Path) -> None:
    file = folder / "environments/base/deployment.yaml"
    file.write_text(file.read_text().replace("nginx:1.21", "nginx:1.22"))
    commit_all(folder)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "-C", str(folder), "changes", "--base", "HEAD~1"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count(": affected") == 3
    assert "prod: environments/prod/overlay ← environments/base/deployment.yaml" in done.stdout


def test_the_examples_are_valid(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "-C", str(folder), "validate"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout

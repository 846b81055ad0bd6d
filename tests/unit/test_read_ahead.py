"""While a distant cluster is waited for manifests are read; what is wrong with them is told in its turn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.model.environment import Environment
from pipeline.model.errors import UnreachableError
from pipeline.run import job
from pipeline.run.session import Session
from tests.unit.git_shop import MANIFESTS, shop, workspace, write
from tests.unit.test_git import commit_all


@pytest.fixture
def folder(tmp_path: Path, home: Path) -> Path:
    made = tmp_path / "shop"
    shop(made)
    return made


def asked(folder: Path, *, near: bool) -> tuple[list[str], str]:
    """(in which order the manifests and the cluster's records were asked for, how the run ended)."""
    order: list[str] = []
    place = workspace(folder)
    read, render = place.manifests, place.renderer

    def manifests(path: str, content: bytes) -> Any:
        order.append("manifests")
        return read(path, content)

    def renderer(kind: str) -> Any:
        order.append("program")
        return render(kind)

    def history() -> None:
        order.append("records")
        raise UnreachableError("the cluster is gone")

    def open_session(_: Environment) -> Session:
        session = SimpleNamespace(
            bind=lambda **_: None,
            look_ahead=lambda: None,
            is_answered=lambda _: near,
            cluster=SimpleNamespace(resource=lambda *_: None),
            releases=SimpleNamespace(history=history),
        )
        return cast("Session", session)

    place = replace(place, manifests=manifests, renderer=renderer)
    revision = place.repository.resolve("HEAD")
    outcome = job.deploy_one(place, open_session, place.environment("dev", revision), revision, job.Order())
    return order, outcome.message


def test_a_near_cluster_is_asked_first(folder: Path) -> None:
    assert asked(folder, near=True) == (["records"], "the cluster is gone")


def test_the_time_that_a_distant_cluster_takes_is_used(folder: Path) -> None:
    assert asked(folder, near=False) == (["manifests", "records"], "the cluster is gone")


def test_what_is_wrong_with_manifests_is_not_told_before_they_are_needed(folder: Path) -> None:
    write(folder, f"{MANIFESTS.format('dev')}/bad.yaml", "kind: [")
    commit_all(folder)

    order, message = asked(folder, near=False)

    assert (order[-1], message) == ("records", "the cluster is gone")
    assert "manifests" in order


@pytest.mark.parametrize("source", ["{kustomize: overlay}", "{helm: {chart: chart, release: x}}"])
def test_what_needs_a_program_waits_until_it_is_needed(folder: Path, source: str) -> None:
    spec = f"{{application: shop, namespace: dev, sources: [{source}]}}"
    text = f"apiVersion: pipeline/v1\nkind: Environment\nmetadata: {{name: dev}}\nspec: {spec}\n"
    write(folder, "environments/dev/environment.yaml", text)
    write(folder, "environments/dev/overlay/kustomization.yaml", "resources: []\n")
    write(folder, "environments/dev/chart/Chart.yaml", "apiVersion: v2\nname: chart\nversion: 1.0.0\n")
    commit_all(folder)

    assert asked(folder, near=False) == (["records"], "the cluster is gone")

"""Rendering for a cluster: charts are told of it, and keep what the release that runs made up."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.core.desired import body_of
from pipeline.model.environment import Environment, HelmChart, Source
from pipeline.model.objects import Manifest, ObjectRef, Origin
from pipeline.model.release import Phase
from pipeline.run.render import facing, rendered

PLAIN = Source(kind="manifests", path="m", origin=Origin("e.yaml"))
CHART = Source(
    kind="helm", path="c", origin=Origin("e.yaml"), helm=HelmChart(release="web", kube_version="1.30")
)
ENVIRONMENT = Environment(
    name="dev",
    application="shop",
    namespace="a",
    path="environments/dev/environment.yaml",
    sources=(PLAIN, CHART),
)


class FakeCluster:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def git_version(self) -> str:
        self.asked.append("version")
        return "v1.33.4-eks-1"

    def api_versions(self) -> list[str]:
        self.asked.append("versions")
        return ["apps/v1", "apps/v1/Deployment"]


def secret(password: str, *, made_up: bool = True) -> Manifest:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "data": {"password": password}}
    return Manifest(
        ObjectRef.of(body), body, Origin("x.yaml"), generated=(("data", "password"),) if made_up else ()
    )


def release(phase: Phase, password: str) -> Any:
    return SimpleNamespace(phase=phase, rendered=(body_of(secret(password), ENVIRONMENT),))


def session(latest: Any = None, verified: Any = None, heads: Any = ()) -> Any:
    told: list[Any] = []
    releases = SimpleNamespace(
        latest=lambda: latest, last_verified=lambda: verified, history=lambda: tuple(heads)
    )
    return SimpleNamespace(cluster=FakeCluster(), releases=releases, tell=told.append, told=told)


def workspace(*manifests: Manifest) -> Any:
    return SimpleNamespace(render=lambda environment, revision, scope: manifests)


def test_a_chart_is_told_what_the_cluster_is_and_serves() -> None:
    plain, chart = facing(session(), ENVIRONMENT).sources
    assert plain is PLAIN
    assert chart.helm == HelmChart(
        release="web", kube_version="v1.33.4-eks-1", api_versions=("apps/v1", "apps/v1/Deployment")
    )


@pytest.mark.parametrize(
    ("heads", "installed"),
    [
        ([], False),
        ([(Phase.SUCCEEDED, ("web",))], True),
        ([(Phase.SUCCEEDED, ("other",))], False),
        ([(Phase.SUCCEEDED, ())], False),
        ([(Phase.ROLLED_BACK, ("web",)), (Phase.SUCCEEDED, ("other",))], False),
        ([(Phase.FAILED, ("other",)), (Phase.SUCCEEDED, ("web",)), (Phase.SUCCEEDED, ())], True),
        ([(Phase.SUCCEEDED, None)], True),
    ],
)
def test_a_chart_is_an_upgrade_where_the_last_verified_release_had_it(
    heads: list[tuple[Phase, Any]], installed: bool
) -> None:
    found = session(heads=[SimpleNamespace(phase=phase, charts=names) for phase, names in heads])
    _, chart = facing(found, ENVIRONMENT).sources
    assert chart.helm
    assert chart.helm.installed is installed


def test_without_charts_the_cluster_is_not_asked() -> None:
    asked = session()
    environment = replace(ENVIRONMENT, sources=(PLAIN,))
    assert facing(asked, environment) is environment
    assert asked.cluster.asked == []


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.APPLYING, Phase.INTERRUPTED, Phase.FAILED])
def test_what_the_newest_release_made_up_is_kept(phase: Phase) -> None:
    found = session(latest=release(phase, "b2xk"), verified=release(Phase.SUCCEEDED, "b2xkZXI="))
    (kept,) = rendered(workspace(secret("bmV3")), found, ENVIRONMENT, "1")
    assert kept.body["data"] == {"password": "b2xk"}
    assert found.told == []


def test_of_one_that_was_taken_back_it_is_that_of_the_one_before() -> None:
    found = session(latest=release(Phase.ROLLED_BACK, "b2xk"), verified=release(Phase.SUCCEEDED, "b2xkZXI="))
    (kept,) = rendered(workspace(secret("bmV3")), found, ENVIRONMENT, "1")
    assert kept.body["data"] == {"password": "b2xkZXI="}


def test_where_nothing_was_made_up_before_it_is_told() -> None:
    found = session()
    (kept,) = rendered(workspace(secret("bmV3")), found, ENVIRONMENT, "1")
    assert kept.body["data"] == {"password": "bmV3"}
    (note,) = found.told
    assert note.warning
    assert "made up anew at each rendering: data.password" in note.message


def test_what_nobody_made_up_is_not_looked_up() -> None:
    found = session(latest=release(Phase.SUCCEEDED, "b2xk"))
    (kept,) = rendered(workspace(secret("bmV3", made_up=False)), found, ENVIRONMENT, "1")
    assert kept.body["data"] == {"password": "bmV3"}

"""kustomize sources on a real API server: overlays, generators with hashes, rollback, what is affected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.workspace import Workspace

MakeRepo = Callable[..., Workspace]

WEB = """
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
    spec:
      replicas: 1
      selector: {matchLabels: {app: web}}
      template:
        metadata: {labels: {app: web}}
        spec:
          containers:
          - name: web
            image: nginx:1.21
            envFrom:
            - configMapRef: {name: settings}
"""
BASE = """
    resources: [web.yaml]
    configMapGenerator:
    - name: settings
      files: [greeting=greeting.txt]
"""
OVERLAY = """
    resources: [../../../base]
    namePrefix: my-
    components: [../../../components/two]
    images: [{name: nginx, newTag: "1.22"}]
    replacements:
    - source: {kind: ConfigMap, name: settings, fieldPath: data.greeting}
      targets:
      - select: {kind: Deployment}
        fieldPaths: [metadata.annotations.greeting]
        options: {create: true}
"""
COMPONENT = """
    apiVersion: kustomize.config.k8s.io/v1alpha1
    kind: Component
    patches:
    - target: {kind: Deployment}
      patch: |-
        - {op: replace, path: /spec/replicas, value: 2}
"""


def write(repo: Workspace) -> None:
    repo.environment(sources="[{kustomize: overlay}]")
    repo.write("environments/dev/overlay/kustomization.yaml", OVERLAY)
    repo.write("base/kustomization.yaml", BASE)
    repo.write("base/web.yaml", WEB)
    repo.write("base/greeting.txt", "hello")
    repo.write("components/two/kustomization.yaml", COMPONENT)
    repo.commit()


@pytest.fixture
def repo(make_repo: MakeRepo) -> Workspace:
    made = make_repo(create=True)
    write(made)
    return made


def settings(repo: Workspace) -> dict[str, str]:
    """The greeting of each generated ConfigMap, by name."""
    items = repo.get("configmaps")["items"]
    found = {i["metadata"]["name"]: i.get("data", {}).get("greeting", "") for i in items}
    return {name: greeting for name, greeting in found.items() if name.startswith("my-settings-")}


def used(repo: Workspace) -> str:
    """The ConfigMap that the Deployment's pods read."""
    (container,) = repo.get("apps/v1/deployments", "my-web")["spec"]["template"]["spec"]["containers"]
    return str(container["envFrom"][0]["configMapRef"]["name"])


def order(report: dict[str, Any]) -> list[str]:
    """What was written, as ``result Kind``, in its order."""
    return [
        f"{e['result']} {e['object'].split('/')[1]}" for e in report["applied"] if e["result"] != "unchanged"
    ]


def test_an_overlay_is_deployed_and_a_new_hash_rolls_the_workload_before_the_old_one_goes(
    repo: Workspace,
) -> None:
    repo.deployed()
    (first,) = settings(repo)
    live = repo.get("apps/v1/deployments", "my-web")
    assert used(repo) == first
    assert live["spec"]["replicas"] == 2
    assert live["metadata"]["annotations"]["greeting"] == "hello"
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1.22"
    before = repo.objects()
    repo.deployed()
    assert repo.objects() == before

    repo.write("base/greeting.txt", "good day")
    repo.commit()
    report = repo.deployed()
    (second,) = settings(repo)
    assert second != first
    assert used(repo) == second
    assert order(report) == ["applied ConfigMap", "applied Deployment", "deleted ConfigMap"]


def test_a_new_hash_that_does_not_get_ready_leads_back_to_the_old_one_which_was_never_gone(
    repo: Workspace,
) -> None:
    repo.deployed()
    before = settings(repo)
    uid = repo.get("configmaps", next(iter(before)))["metadata"]["uid"]
    repo.write("base/greeting.txt", "good day")
    repo.edit("environments/dev/overlay/kustomization.yaml", 'newTag: "1.22"', "newTag: missing")
    repo.commit()
    code, report = repo.json("deploy", "-e", "dev")
    assert code == 10
    assert settings(repo) == before
    assert used(repo) == next(iter(before))
    assert repo.get("configmaps", used(repo))["metadata"]["uid"] == uid
    (cause,) = report["causes"]
    assert cause["code"] == "ImageNotFound"
    assert cause["origin"] == "environments/dev/overlay/kustomization.yaml:4"


def test_what_an_overlay_uses_affects_it_with_the_way_that_leads_there(repo: Workspace) -> None:
    base = repo.git("rev-parse", "HEAD")
    repo.write("base/README.md", "words")
    repo.write("components/three/kustomization.yaml", COMPONENT)
    repo.write("environments/dev/overlay/notes.txt", "words")
    repo.commit()
    (one,) = repo.json("changes", "-e", "dev", "--base", base)[1]["environments"]
    assert (one["affected"], one["because"], one["files"]) == (False, [], [])

    repo.write("base/greeting.txt", "good day")
    repo.edit("components/two/kustomization.yaml", "value: 2", "value: 3")
    repo.commit()
    (one,) = repo.json("changes", "-e", "dev", "--base", base)[1]["environments"]
    source = "environments/dev/overlay"
    assert one["because"] == [
        f"base/greeting.txt was modified, and is used by dev: {source} ← base/greeting.txt",
        "components/two/kustomization.yaml was modified, and is used by dev:"
        f" {source} ← components/two/kustomization.yaml",
    ]
    kinds = sorted(name.split("/")[1] for name in one["objects"])
    assert kinds == ["ConfigMap", "ConfigMap", "Deployment"]  # the new hash, the old one, who reads it

    repo.write("environments/dev/overlay/kustomization.yaml", "resources: [../../../other]\n")
    repo.write("other/kustomization.yaml", "resources: []\n")
    no_base = repo.commit()
    repo.remove("base/web.yaml")
    repo.commit()
    (one,) = repo.json("changes", "-e", "dev", "--base", base)[1]["environments"]
    assert f"base/web.yaml was deleted, and is used by dev: {source} ← base/web.yaml" in one["because"]
    (one,) = repo.json("changes", "-e", "dev", "--base", no_base)[1]["environments"]
    assert not one["affected"]


def test_what_renders_is_told_to_who_wants_to_know(repo: Workspace) -> None:
    for command in ("validate", "render"):
        result = repo.run(command, "-e", "dev", "-v")
        assert (result.code, "rendered by kustomize v5." in result.stderr) == (0, True), str(result)
    assert "rendered by" not in repo.run("render", "-e", "dev").stderr
    missing = repo.run("validate", "-e", "dev", env={"PIPELINE_KUSTOMIZE": "/nowhere/kustomize"})
    assert missing.code == 40
    assert "install kustomize 5 or kubectl 1.27 or newer" in missing.stderr


def test_problems_of_a_kustomization_are_told_all_at_once_with_their_lines(repo: Workspace) -> None:
    repo.write(
        "environments/dev/overlay/kustomization.yaml",
        """
        resources:
        - ../../../base
        - https://example.com/web.yaml
        - /etc/passwd
        patches:
        - path: pacth.yaml
        helmCharts:
        - name: redis
        """,
    )
    repo.write("base/web.yaml", WEB.replace("replicas: 1", "paused: on"))
    repo.commit()
    result = repo.run("validate", "-e", "dev")
    assert result.code == 20
    places = [line.partition(": ")[0] for line in result.stdout.splitlines()[:-1]]
    file = "environments/dev/overlay/kustomization.yaml"
    assert sorted(places) == [
        "base/web.yaml:5",
        *(f"{file}:{line}" for line in (3, 4, 6, 7)),
    ]

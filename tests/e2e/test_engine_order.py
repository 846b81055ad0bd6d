"""The order of writes, as the API server saw it: what is needed comes first, and only that is waited for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.audit import Audit, Witness
from tests.e2e.conftest import MakeRepo
from tests.e2e.live import line_of
from tests.e2e.manifests import SETTINGS, WEB
from tests.e2e.stories import tell

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.$APP.example.com}
spec:
  group: $APP.example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              properties:
                colour: {type: string}
                size: {type: integer}
"""
WIDGET = """\
apiVersion: $APP.example.com/v1
kind: Widget
metadata: {name: one}
spec:
  colour: red
"""
ELSEWHERE = """\
apiVersion: v1
kind: Namespace
metadata: {name: $NS-other}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: inside, namespace: $NS-other}
"""


def noted(kind: str, name: str, *notes: str, mode: str = "") -> str:
    """A ConfigMap or a Deployment with annotations, one a line; ``mode`` is of the pods."""
    lines = [f"kind: {kind}", f"metadata:\n  name: {name}"]
    if notes:
        lines += ["  annotations:", *(f"    {note}" for note in notes)]
    if kind == "ConfigMap":
        return "\n".join(["apiVersion: v1", *lines, ""])
    delay = "pipeline.test/delay: 2s" if mode == "slow" else ""
    pod = f"{{labels: {{app: {name}}}, annotations: {{pipeline.test/pod: {mode or 'run'}, {delay}}}}}"
    lines += [
        f"spec:\n  selector: {{matchLabels: {{app: {name}}}}}",
        f"  template:\n    metadata: {pod}",
        "    spec:\n      containers:",
        "        - {name: main, image: 'nginx:1.21', readinessProbe: {tcpSocket: {port: 80}}}",
    ]
    return "\n".join(["apiVersion: apps/v1", *lines, ""])


def needs(what: str, annotation: str = "pipeline/depends-on") -> str:
    return f"{annotation}: {what}"


SLOW = noted("Deployment", "slow", mode="slow")
SETS = {
    "inferred": {
        "web.yaml": WEB,
        "settings.yaml": SETTINGS,
        "one.yaml": WIDGET,
        "zcrd.yaml": CRD,
        "elsewhere.yaml": ELSEWHERE,
    },
    "declared": {
        "slow.yaml": SLOW,
        "quick.yaml": noted("Deployment", "quick"),
        "a.yaml": noted("ConfigMap", "after-slow", needs("apps/Deployment/$NS/slow")),
        "b.yaml": noted(
            "ConfigMap",
            "also-after-slow",
            needs("apps/namespaces/$NS/Deployment/slow", "config.kubernetes.io/depends-on"),
        ),
        "c.yaml": noted("ConfigMap", "after-quick", needs("apps/Deployment/$NS/quick")),
    },
    "waves": {
        "first.yaml": noted("ConfigMap", "first", 'argocd.argoproj.io/sync-wave: "-1"'),
        "slow.yaml": SLOW,
        "last.yaml": noted("ConfigMap", "last", 'argocd.argoproj.io/sync-wave: "1"'),
    },
    "change rules": {
        "slow.yaml": noted("Deployment", "slow", "kapp.k14s.io/change-group: shop/db", mode="slow"),
        "a.yaml": noted("ConfigMap", "after", "kapp.k14s.io/change-rule: upsert after upserting shop/db"),
        "b.yaml": noted("ConfigMap", "before", "kapp.k14s.io/change-rule: upsert before upserting shop/db"),
    },
}
ALLOW = """\
allow: {clusterScoped: [CustomResourceDefinition, Namespace], namespaces: [$NS, $NS-other]}
"""


@pytest.fixture(scope="module")
def deployed(make_repo: MakeRepo, audit: Audit) -> dict[str, Witness]:
    """Every set, deployed into a namespace of its own."""

    def story(name: str) -> Callable[[], Witness]:
        def deploy() -> Witness:
            witness = prepared(make_repo, audit, SETS[name])
            result = witness.deploy()
            assert result.code == 0, str(result)
            return witness

        return deploy

    return tell({name: story(name) for name in SETS})


def prepared(make_repo: MakeRepo, audit: Audit, manifests: dict[str, str]) -> Witness:
    repo = make_repo(create=True)
    witness = audit.watch(repo)
    repo.environment(ALLOW)
    for name, text in manifests.items():
        repo.manifest(name, text)
    repo.commit()
    return witness


def test_what_a_workload_reads_is_written_before_it(deployed: dict[str, Witness]) -> None:
    run = deployed["inferred"]
    assert run.first("configmaps/settings") < run.first("deployments/web")


def test_a_custom_resource_is_written_once_its_definition_is_established(
    deployed: dict[str, Witness],
) -> None:
    run = deployed["inferred"]
    name = f"widgets.{run.repo.application}.example.com"
    definition, widget = run.first(f"customresourcedefinitions/{name}"), run.first("widgets/one")
    crd = run.repo.cluster.api.call("GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
    assert definition < widget
    assert {"Established"} <= {c["type"] for c in crd["status"]["conditions"] if c["status"] == "True"}
    assert [r.what for r in run.writes].count("widgets/one") == 1, "it was tried too early"


def test_a_namespace_is_written_before_what_is_in_it(deployed: dict[str, Witness]) -> None:
    run = deployed["inferred"]
    assert run.first(f"namespaces/{run.repo.namespace}-other") < run.first("configmaps/inside")
    assert run.written.count("configmaps/inside") == 1


@pytest.mark.parametrize("dependent", ["after-slow", "also-after-slow"])
def test_what_declares_a_dependency_waits_until_that_is_current(
    deployed: dict[str, Witness], dependent: str
) -> None:
    run = deployed["declared"]
    ready, written = run.ready("deployments/slow"), run.first(f"configmaps/{dependent}")
    assert run.first("deployments/slow") + 1.5 < ready < written, "its pods take two seconds"


def test_nothing_waits_for_an_object_that_it_does_not_need(deployed: dict[str, Witness]) -> None:
    run = deployed["declared"]
    assert run.ready("deployments/quick") < run.first("configmaps/after-quick")
    assert run.first("configmaps/after-quick") < run.ready("deployments/slow")


def test_a_sync_wave_waits_until_the_one_before_is_current(deployed: dict[str, Witness]) -> None:
    run = deployed["waves"]
    assert run.written == ["configmaps/first", "deployments/slow", "configmaps/last"]
    assert run.ready("deployments/slow") < run.first("configmaps/last")


def test_a_change_rule_waits_until_its_group_is_current(deployed: dict[str, Witness]) -> None:
    run = deployed["change rules"]
    assert run.written == ["configmaps/before", "deployments/slow", "configmaps/after"]
    assert run.ready("deployments/slow") < run.first("configmaps/after")


# --- refused before any write


REFUSED = {
    "a cycle": {
        "a.yaml": noted("ConfigMap", "a", needs("/ConfigMap/$NS/b")),
        "b.yaml": noted("ConfigMap", "b", needs("/ConfigMap/$NS/c")),
        "c.yaml": noted("ConfigMap", "c", needs("/ConfigMap/$NS/a")),
    },
    "a contradiction": {
        "a.yaml": noted("ConfigMap", "a", needs("/ConfigMap/$NS/b"), 'argocd.argoproj.io/sync-wave: "0"'),
        "b.yaml": noted("ConfigMap", "b", 'argocd.argoproj.io/sync-wave: "1"'),
    },
    "a schema": {"crd.yaml": CRD, "one.yaml": WIDGET.replace("colour", "color")},
    "a type": {"crd.yaml": CRD, "one.yaml": WIDGET.replace("colour: red", "size: large")},
}


@pytest.fixture(scope="module")
def refused(make_repo: MakeRepo, audit: Audit) -> dict[str, tuple[Witness, str]]:
    """Every bad set; what was said."""

    def story(name: str) -> Callable[[], tuple[Witness, str]]:
        def deploy() -> tuple[Witness, str]:
            witness = prepared(make_repo, audit, REFUSED[name])
            result = witness.deploy()
            print(result)
            assert result.code in (20, 21), str(result)
            assert witness.all_writes == []
            return witness, result.output

        return deploy

    return tell({name: story(name) for name in REFUSED})


def test_a_cycle_is_named_with_its_members_and_nothing_is_written(
    refused: dict[str, tuple[Witness, str]],
) -> None:
    run, said = refused["a cycle"]
    a, b, c = (f"/ConfigMap/{run.repo.namespace}/{name}" for name in "abc")
    declared = "declares with pipeline/depends-on that it needs"
    edges = [
        f"{one} {declared} {other} (environments/dev/manifests/{one[-1]}.yaml:6)"
        for one, other in ((a, b), (b, c), (c, a))
    ]
    assert ", ".join(edges) in said, "each with its place, in the order of the cycle"


def test_of_orders_that_contradict_each_other_both_are_named(
    refused: dict[str, tuple[Witness, str]],
) -> None:
    _, said = refused["a contradiction"]
    assert "contradict" in said
    assert "pipeline/depends-on" in said
    assert "argocd.argoproj.io/sync-wave" in said


@pytest.mark.parametrize(
    ("name", "line", "says"),
    [("a schema", "color", "colour"), ("a type", "size", "integer")],
)
def test_a_custom_resource_is_held_to_the_definition_that_is_in_the_same_plan(
    refused: dict[str, tuple[Witness, str]], name: str, line: str, says: str
) -> None:
    _, said = refused[name]
    number = line_of(REFUSED[name]["one.yaml"], line)
    assert f"environments/dev/manifests/one.yaml:{number}" in said or f'"line": {number}' in said
    assert says in said

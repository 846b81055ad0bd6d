"""Charts of repositories, rendered by the real Helm."""

from __future__ import annotations

import hashlib
import os
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.git import GitRepository
from pipeline.adapters.helm import HelmRenderer
from pipeline.core import generated
from pipeline.core.charts import CHART_BYTES
from pipeline.core.desired import body_of
from pipeline.model.environment import Environment, HelmChart, Source
from pipeline.model.errors import InvalidError, UnreachableError
from pipeline.model.objects import Manifest, Origin
from pipeline.run.workspace import Workspace
from tests import stack_chart
from tests.git_folder import GitFolder

ORIGIN = Origin("environments/dev/environment.yaml", 8)
ENVIRONMENT = Environment(name="dev", application="shop", namespace="shop-dev", path=ORIGIN.path)
CHART = "apiVersion: v2\nname: web\nversion: 1.2.3\n"
CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  greeting: {{ .Values.greeting | quote }}
"""
CANARY = "canary-of-the-machine"
ALIASES = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


class Repo(GitFolder):
    """Where files are written one by one and committed when something is rendered."""

    def __init__(self, folder: Path, helm: str) -> None:
        super().__init__(folder)
        self.helm = helm

    def write(self, path: str, text: str | bytes) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).encode())

    def link(self, path: str, target: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).symlink_to(target)

    def chart(self, template: str = CONFIG) -> None:
        self.write("charts/web/Chart.yaml", CHART)
        self.write("charts/web/values.yaml", "greeting: hello\n")
        self.write("charts/web/templates/config.yaml", template)

    def renderer(self) -> HelmRenderer:
        return HelmRenderer(GitRepository(self.folder), program=self.helm)

    def render(self, path: str = "charts/web", **helm: Any) -> list[Manifest]:
        return list(self.renderer().render(self.commit(), source(path, **helm), ENVIRONMENT))

    def refused(self, path: str = "charts/web", **helm: Any) -> list[str]:
        with pytest.raises(InvalidError) as caught:
            self.render(path, **helm)
        problems = [str(problem) for problem in caught.value.problems]
        assert problems, caught.value.message
        for text in problems:
            assert "\n" not in text
            assert len(text) < 700
            assert CANARY not in text
        return problems


def source(path: str = "charts/web", **helm: Any) -> Source:
    return Source(kind="helm", path=path, origin=ORIGIN, helm=HelmChart(release="web", **helm))


@pytest.fixture
def repo(tmp_path: Path, helm: str) -> Repo:
    return Repo(tmp_path / "repo", helm)


def data(manifests: list[Manifest]) -> dict[str, Any]:
    (one,) = manifests
    return dict(one.body["data"])


# --- what is rendered


def test_a_chart_is_rendered_with_its_own_values(repo: Repo) -> None:
    repo.chart()
    (one,) = repo.render()
    assert one.body["metadata"] == {"name": "web"}
    assert one.body["data"] == {"greeting": "hello"}


def test_values_files_are_merged_in_order_and_the_last_one_wins(repo: Repo) -> None:
    repo.chart(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {{ toYaml .Values.d | nindent 2 }}\n"
    )
    repo.write("charts/web/values.yaml", "d: {a: '1', b: '1', c: '1', z: '1'}\n")
    repo.write("one.yaml", "d: {b: '2', c: '2'}\n---\nd: {x: '2'}\n")
    repo.write("two.yaml", "d: {c: '3', z: null}\n")
    assert data(repo.render(values=("one.yaml", "two.yaml"))) == {"a": "1", "b": "2", "c": "3", "x": "2"}


def test_numbers_and_texts_of_values_arrive_as_they_are_written(repo: Repo) -> None:
    repo.chart(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {v: {{ toJson .Values.d | quote }}}\n"
    )
    repo.write("v.yaml", 'd: [8080, "8080", 1.5, on, "on", 0644, "a\\n--- \\nb", 1e3, 123456789]\n')
    assert data(repo.render(values=("v.yaml",))) == {
        "v": '[8080,"8080",1.5,true,"on",420,"a\\n--- \\nb",1000,123456789]'
    }


def test_release_namespace_and_capabilities_are_told_to_the_templates(repo: Repo) -> None:
    repo.chart(
        """\
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: x}
        data:
          release: {{ .Release.Name }}
          namespace: {{ .Release.Namespace }}
          kube: {{ .Capabilities.KubeVersion.Version }}
          has: {{ .Capabilities.APIVersions.Has "example.com/v1/Widget" | quote }}
        """
    )
    wanted = {"release": "web", "namespace": "shop-dev", "kube": "v1.33.4", "has": "true"}
    found = repo.render(kube_version="1.33.4", api_versions=("example.com/v1", "example.com/v1/Widget"))
    assert data(found) == wanted
    assert data(repo.render())["has"] == "false"


def test_a_server_s_own_build_is_told_as_it_is(repo: Repo) -> None:
    repo.chart(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
        "data:\n  v: {{ .Capabilities.KubeVersion.Version }}\n"
        "  minor: {{ .Capabilities.KubeVersion.Minor | quote }}\n"
    )
    found = repo.render(kube_version="v1.33.4-eks-3025e55")
    assert data(found) == {"v": "v1.33.4-eks-3025e55", "minor": "33"}


def test_objects_that_name_no_namespace_are_in_the_release_s(repo: Repo) -> None:
    repo.chart(CONFIG + "---\n" + CONFIG.replace("name: {{ .Release.Name }}", "name: x\n  namespace: named"))
    found = repo.render(namespace="other")
    assert [(m.ref.namespace, m.body["metadata"]["namespace"]) for m in found] == [
        ("other", "other"),
        ("named", "named"),
    ]


def test_definitions_come_first_hooks_and_tests_keep_their_annotations(repo: Repo) -> None:
    repo.chart()
    repo.write(
        "charts/web/crds/widgets.yaml",
        "# a comment\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
        "metadata: {name: widgets.example.com}\nspec:\n  names:\n    kind: Widget\n",
    )
    job = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {0}\n  annotations: {{helm.sh/hook: {0}}}\n"
    repo.write("charts/web/templates/hook.yaml", job.format("pre-install"))
    repo.write("charts/web/templates/tests/t.yaml", job.format("test"))
    found = repo.render()
    assert [m.ref.short for m in found] == [
        "CustomResourceDefinition/widgets.example.com",
        "ConfigMap/web",
        "Job/pre-install",
        "Job/test",
    ]
    assert [str(m.origin) for m in found] == [
        "charts/web/crds/widgets.yaml:2",
        "charts/web/templates/config.yaml:1",
        "charts/web/templates/hook.yaml:1",
        "charts/web/templates/tests/t.yaml:1",
    ]
    assert found[0].origin_of(("metadata", "name")).line == 4
    assert found[0].origin_of(("spec", "names", "kind")).line == 7
    assert found[1].origin_of(("data", "greeting")).line == 6


def test_the_work_tree_does_not_count(repo: Repo) -> None:
    repo.chart()
    revision = repo.commit()
    repo.write("charts/web/values.yaml", "greeting: changed\n")
    found = repo.renderer().render(revision, source(), ENVIRONMENT)
    assert data(list(found)) == {"greeting": "hello"}


def test_a_packed_chart_is_rendered_as_it_is(repo: Repo) -> None:
    files = {"Chart.yaml": CHART, "values.yaml": "greeting: packed\n", "templates/c.yaml": CONFIG}
    repo.write("vendor/web-1.2.3.tgz", stack_chart.packed("web", files))
    (one,) = repo.render("vendor/web-1.2.3.tgz")
    assert one.body["data"] == {"greeting": "packed"}
    assert str(one.origin) == "vendor/web-1.2.3.tgz:1"


def test_parts_are_found_in_the_chart_packed_or_elsewhere_in_the_repository(repo: Repo) -> None:
    repo.write(
        "charts/web/Chart.yaml",
        CHART + "dependencies:\n- {name: a, version: '*'}\n- {name: b, version: '*'}\n"
        "- {name: c, version: '*', repository: 'file://../c', alias: third}\n",
    )
    for name in "abc":
        chart = {
            "Chart.yaml": CHART.replace("web", name),
            "templates/x.yaml": CONFIG.replace("}}\ndata", f"}}}}-{name}\ndata"),
        }
        if name == "b":
            repo.write("charts/web/charts/b-1.2.3.tgz", stack_chart.packed("b", chart))
        for path, text in chart.items() if name != "b" else ():
            repo.write(f"{'charts/web/charts/a' if name == 'a' else 'charts/c'}/{path}", text)
    found = repo.render()
    assert {m.ref.name: str(m.origin) for m in found} == {
        "web-a": "charts/web/charts/a/templates/x.yaml:1",
        "web-b": "charts/web/charts/b-1.2.3.tgz:1",
        "web-c": "charts/c/templates/x.yaml:1",
    }


def test_what_is_vendored_is_not_looked_for_elsewhere(repo: Repo) -> None:
    repo.chart()
    repo.write(
        "charts/web/Chart.yaml",
        CHART + "dependencies: [{name: a, version: '*', repository: 'file://../a'}]\n",
    )
    repo.write("charts/web/charts/a/Chart.yaml", CHART.replace("web", "a"))
    repo.write("charts/a/Chart.yaml", "broken: [")
    assert len(repo.render()) == 1
    assert [used.path for used in repo.renderer().uses(repo.commit(), source())] == ["charts/web"]


def test_a_template_that_only_calls_another_has_its_first_line(repo: Repo) -> None:
    repo.chart('{{ include "all" . }}\n')
    repo.write("charts/web/templates/_all.tpl", f'{{{{ define "all" }}}}\n{CONFIG}{{{{ end }}}}\n')
    (one,) = repo.render()
    assert str(one.origin) == "charts/web/templates/config.yaml:1"


def test_what_an_archive_lacks_is_told_of_the_archive(repo: Repo) -> None:
    chart = CHART + "dependencies:\n- {name: db, version: '1'}\n"
    repo.write("charts/web.tgz", stack_chart.packed("web", {"Chart.yaml": chart}))
    (problem,) = repo.refused("charts/web.tgz")
    assert problem.startswith("charts/web.tgz:1: web needs the chart db, not in charts/")


def test_what_a_rendering_uses_is_told_with_the_chain(repo: Repo) -> None:
    repo.write(
        "charts/web/Chart.yaml",
        CHART + "dependencies: [{name: c, version: '*', repository: 'file://../c'}]\n",
    )
    repo.write(
        "charts/c/Chart.yaml",
        CHART.replace("web", "c") + "dependencies: [{name: d, repository: 'file://../../d'}]\n",
    )
    repo.write("d/Chart.yaml", CHART.replace("web", "d"))
    found = repo.renderer().uses(repo.commit(), source(values=("dev/v.yaml",)))
    assert [used.chain for used in found] == [
        ("charts/web",),
        ("charts/web", "dev/v.yaml"),
        ("charts/web", "charts/c"),
        ("charts/web", "charts/c", "d"),
    ]


def test_what_a_broken_chart_uses_is_told_as_far_as_it_can_be_read(repo: Repo) -> None:
    repo.write("charts/web/Chart.yaml", "name: [\n")
    found = repo.renderer().uses(repo.commit(), source(values=("v.yaml",)))
    assert [used.path for used in found] == ["charts/web", "v.yaml"]


def test_made_up_values_are_marked(repo: Repo) -> None:
    repo.chart(CONFIG + "  password: {{ randAlphaNum 20 }}\n")
    (one,) = repo.render()
    assert one.generated == (("data", "password"),)
    assert len(one.body["data"]["password"]) == 20


def test_made_up_certificates_are_marked_wherever_they_are_and_fit_each_other_once_kept(repo: Repo) -> None:
    repo.chart(
        """\
        {{- $ca := genCA "admission" 365 }}
        apiVersion: v1
        kind: Secret
        metadata: {name: x}
        data: {tls.crt: {{ $ca.Cert | b64enc }}, tls.key: {{ $ca.Key | b64enc }}}
        ---
        apiVersion: admissionregistration.k8s.io/v1
        kind: ValidatingWebhookConfiguration
        metadata: {name: x}
        webhooks: [{name: x.example.com, clientConfig: {caBundle: {{ $ca.Cert | b64enc }}}}]
        """
    )
    first, second = repo.render(), repo.render()
    assert {m.ref.kind: m.generated for m in first} == {
        "Secret": (("data", "tls.crt"), ("data", "tls.key")),
        "ValidatingWebhookConfiguration": (("webhooks", 0, "clientConfig", "caBundle"),),
    }
    recorded = {m.ref: body_of(m, ENVIRONMENT) for m in first}
    found = generated.kept(second, recorded, ENVIRONMENT)
    assert [m.body for m in found] == [m.body for m in first]


def test_what_tells_the_time_is_marked(repo: Repo) -> None:
    repo.chart(CONFIG + "  at: {{ now | unixEpoch | quote }}\n")
    (one,) = repo.render()
    assert one.generated == (("data", "at"),)


def test_a_chart_of_the_size_of_kube_prometheus_stack(repo: Repo) -> None:
    stack_chart.write(repo.folder / "charts/stack")
    found = repo.render("charts/stack")
    assert len(found) > 100
    places = {m.ref.short: str(m.origin) for m in found}
    assert places["Deployment/web-kube-state-metrics"] == "charts/stack/charts/metrics/templates/all.yaml:1"
    assert places["Deployment/web-pushgateway"] == "charts/stack/charts/metrics/templates/all.yaml:1"
    assert places["DaemonSet/web-node-exporter"] == "charts/stack/charts/node-exporter-4.1.0.tgz:1"
    operator = (repo.folder / "charts/stack/templates/operator.yaml").read_text().splitlines()
    line = operator.index("apiVersion: apps/v1") + 1
    assert places["Deployment/web-operator"] == f"charts/stack/templates/operator.yaml:{line}"
    assert places["CustomResourceDefinition/probes.monitoring.coreos.com"].startswith(
        "charts/stack/charts/crds/crds/"
    )
    assert [m.ref.short for m in found if m.generated] == ["Secret/web-grafana"]


def test_what_a_rendering_is_of_has_a_digest_of_all_that_it_depends_on(repo: Repo) -> None:
    repo.chart()
    repo.write("dev/v.yaml", "a: 1\n")
    repository = GitRepository(repo.folder)
    workspace = Workspace(
        repository=repository,
        documents=lambda *_: [],
        manifests=lambda *_: [],
        renderer=lambda _: HelmRenderer(repository, program=repo.helm),
    )

    def inputs(**helm: Any) -> str:
        return workspace.inputs(replace(ENVIRONMENT, sources=(source(**helm),)), repo.commit())

    first = inputs(values=("dev/v.yaml",))
    assert inputs(values=("dev/v.yaml",)) == first
    others = [
        inputs(values=("dev/v.yaml",), kube_version="1.30"),
        inputs(values=("dev/v.yaml",), api_versions=("example.com/v1",)),
    ]
    repo.write("dev/v.yaml", "a: 2\n")
    others.append(inputs(values=("dev/v.yaml",)))
    repo.write("charts/web/templates/config.yaml", CONFIG + "\n")
    others.append(inputs(values=("dev/v.yaml",)))
    assert len({first, *others}) == 5


UPGRADE = """\
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: {{ if .Release.IsUpgrade }}later{{ else if .Release.IsInstall }}first{{ end }}}
    """


def test_templates_are_told_an_upgrade_from_an_installation(repo: Repo) -> None:
    repo.chart(UPGRADE)
    (first,), (later,) = repo.render(), repo.render(installed=True)
    assert (first.ref.name, first.installs) == ("first", True)
    assert (later.ref.name, later.installs) == ("later", False)


def test_an_installation_that_an_upgrade_may_differ_from_is_rendered_again_next_time(repo: Repo) -> None:
    repository = GitRepository(repo.folder)
    workspace = Workspace(
        repository=repository,
        documents=lambda *_: [],
        manifests=lambda *_: [],
        renderer=lambda _: HelmRenderer(repository, program=repo.helm),
    )

    def inputs(**helm: Any) -> str:
        return workspace.inputs(replace(ENVIRONMENT, sources=(source(**helm),)), repo.commit())

    repo.chart()
    assert inputs() == inputs(installed=True) != ""
    repo.chart(UPGRADE)
    assert inputs() == ""
    assert inputs(installed=True) != ""


# --- what is refused, and where


def test_no_chart_at_the_path(repo: Repo) -> None:
    (problem,) = repo.refused("charts/nope")
    assert problem.startswith(f"{ORIGIN}: there is no chart at charts/nope")


def test_a_folder_without_a_chart_file(repo: Repo) -> None:
    repo.write("charts/web/templates/x.yaml", CONFIG)
    (problem,) = repo.refused()
    assert problem.startswith("charts/web/Chart.yaml:1: charts/web has no Chart.yaml")


def test_values_files_that_are_missing_or_wrong_are_told_all_at_once(repo: Repo) -> None:
    repo.chart()
    repo.write("list.yaml", "- a\n")
    repo.write("twice.yaml", "a: 1\na: 2\n")
    found = repo.refused(values=("none.yaml", "list.yaml", "twice.yaml"))
    assert [p.partition(": ")[0] for p in found] == [str(ORIGIN), "list.yaml:1", "twice.yaml:2"]


@pytest.mark.parametrize(
    ("template", "place", "words"),
    [
        ("a: b\n{{ .Values.x.y.z }}\n", 2, "nil pointer evaluating"),
        ('a: b\nc: {{ required "a host" .Values.host }}\n', 2, "a host"),
        ('a: b\n\nc: {{ fail "never" }}\n', 3, "never"),
        ("a: b\nc: {{ nope }}\n", 2, 'function "nope" not defined'),
        ("a: b\nc: {{ if }}\n", 2, "missing value for if"),
        ("kind: ConfigMap\n a: b\n", 1, "no YAML"),
        ("apiVersion: v1\nkind: ConfigMap\n", 1, "metadata.name"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: 1, a: 2}\n", 1, "twice"),
    ],
)
def test_what_is_wrong_with_a_template_is_told_with_its_line(
    repo: Repo, template: str, place: int, words: str
) -> None:
    repo.chart(template)
    (problem,) = repo.refused()
    assert problem.startswith(f"charts/web/templates/config.yaml:{place}: "), problem
    assert words in problem


def test_an_error_in_a_helper_names_both_places(repo: Repo) -> None:
    repo.chart('a: 1\nb: {{ include "web.x" . }}\n')
    repo.write("charts/web/templates/_helpers.tpl", '{{ define "web.x" }}\n{{ .Values.a.b }}\n{{ end }}\n')
    (problem,) = repo.refused()
    assert problem.startswith("charts/web/templates/_helpers.tpl:2: helm: nil pointer")
    assert "used at charts/web/templates/config.yaml:2" in problem


def test_values_that_the_schema_refuses_are_told_where_they_stand(repo: Repo) -> None:
    repo.chart()
    repo.write(
        "charts/web/values.schema.json", '{"properties": {"count": {"type": "integer"}, "m": {"minimum": 3}}}'
    )
    repo.write("v.yaml", "a: 1\ncount: many\nm: 1\n")
    found = repo.refused(values=("v.yaml",))
    assert sorted(p.partition(": ")[0] for p in found) == ["v.yaml:2", "v.yaml:3"]


def test_a_chart_that_wants_another_kubernetes(repo: Repo) -> None:
    repo.chart()
    repo.write("charts/web/Chart.yaml", CHART + "kubeVersion: '>=1.99.0-0'\n")
    (problem,) = repo.refused()
    assert problem.startswith("charts/web/Chart.yaml:1: helm: chart requires kubeVersion: >=1.99.0-0")


def test_a_part_that_is_not_vendored(repo: Repo) -> None:
    repo.chart()
    repo.write(
        "charts/web/Chart.yaml",
        CHART + "dependencies:\n- {name: db, version: '1', repository: 'oci://127.0.0.1/x'}\n",
    )
    (problem,) = repo.refused()
    assert problem.startswith("charts/web/Chart.yaml:5: web needs the chart db (oci://127.0.0.1/x)")
    assert "helm dependency build" in problem


def test_parts_that_lead_round_or_out(repo: Repo) -> None:
    repo.chart()
    repo.write(
        "charts/web/Chart.yaml",
        CHART
        + "dependencies: [{name: a, repository: 'file://../a'}, {name: x, repository: 'file:///etc'}]\n",
    )
    repo.write(
        "charts/a/Chart.yaml",
        CHART.replace("web", "a") + "dependencies: [{name: web, repository: 'file://../web'}]\n",
    )
    found = repo.refused()
    assert any("file://../web leads round in a circle" in p for p in found)
    assert any("file:///etc leads out of the repository" in p for p in found)


# --- what must not happen


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the machine that must not be read, and credentials that must not be seen."""
    file = tmp_path / "outside" / "secret.yaml"
    file.parent.mkdir()
    file.write_text(f"greeting: {CANARY}\n")
    for name in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "HELM_KUBETOKEN"):
        monkeypatch.setenv(name, CANARY)
    monkeypatch.setenv("HELM_NAMESPACE", "elsewhere")
    return file


@pytest.mark.parametrize(
    "place", ["charts/web/values.yaml", "charts/web/templates/config.yaml", "charts/web/Chart.yaml"]
)
@pytest.mark.parametrize("shape", ["absolute", "relative", "chained", "proc", "folder"])
def test_no_link_leads_out_of_the_repository(repo: Repo, outside: Path, place: str, shape: str) -> None:
    repo.chart()
    (repo.folder / place).unlink()
    target = {
        "absolute": str(outside),
        "relative": "../" * 5 + str(outside).lstrip("/"),
        "chained": "other",
        "proc": "/proc/self/environ",
        "folder": "other/secret.yaml",
    }[shape]
    repo.link(place, target)
    parent = str(Path(place).parent)
    if shape == "chained":
        repo.link(f"{parent}/other", str(outside))
    if shape == "folder":
        repo.link(f"{parent}/other", str(outside.parent))
    assert any("leads out of the repository" in p for p in repo.refused())


@pytest.mark.parametrize(
    "path", ["../outside/secret.yaml", "/etc/passwd", "charts/../../outside/secret.yaml"]
)
def test_no_values_file_from_outside(repo: Repo, outside: Path, path: str) -> None:
    repo.chart()
    with pytest.raises(InvalidError) as caught:
        repo.render(values=(path,))
    assert CANARY not in str(caught.value.problems)


def test_links_within_the_repository_are_followed_to_copies(repo: Repo) -> None:
    repo.chart(CONFIG + '  list: {{ .Files.Get "lock" | quote }}\n')
    repo.write("shared.txt", "shared")
    repo.link("charts/web/lock", "../../shared.txt")
    assert data(repo.render())["list"] == "shared"


def test_a_lock_that_is_a_link_is_only_read(repo: Repo) -> None:
    repo.chart()
    repo.write("victim.yaml", "dependencies: []\n")
    repo.link("charts/web/Chart.lock", "../../victim.yaml")
    before = hashes(repo.folder)
    repo.render()
    assert hashes(repo.folder) == before


def hashes(folder: Path) -> dict[str, str]:
    files = [p for p in folder.rglob("*") if p.is_file() and ".git" not in p.parts]
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_templates_see_no_variable_no_file_and_no_name_of_the_machine(repo: Repo, outside: Path) -> None:
    repo.chart(
        f"""\
        apiVersion: v1
        kind: ConfigMap
        metadata: {{name: x}}
        data:
          a: {{{{ .Files.Get "{outside}" | quote }}}}
          b: {{{{ .Files.Get "../../../{outside}" | quote }}}}
          c: {{{{ getHostByName "localhost" | quote }}}}
          d: {{{{ (lookup "v1" "Secret" "kube-system" "").items | quote }}}}
          e: {{{{ range $p, $_ := .Files.Glob "/etc/**" }}}}{{{{ $p }}}}{{{{ end }}}}
        """
    )
    found = data(repo.render())
    assert not any(found.values())


@pytest.mark.parametrize("function", ["env", "expandenv"])
def test_functions_that_read_variables_do_not_exist(repo: Repo, outside: Path, function: str) -> None:
    repo.chart(f'a: {{{{ {function} "AWS_SECRET_ACCESS_KEY" }}}}\n')
    (problem,) = repo.refused()
    assert "not defined" in problem


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """A server that counts who asks it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("key", ["$ref", "$schema"])
@pytest.mark.parametrize("packed", [False, True])
def test_no_schema_asks_a_server(repo: Repo, server: tuple[str, list[str]], key: str, packed: bool) -> None:
    address, asked = server
    schema = f'{{"{key}": "{address}/x.json"}}'
    repo.chart()
    if packed:
        part = {"Chart.yaml": CHART.replace("web", "db"), "values.schema.json": schema}
        repo.write("charts/web/charts/db.tgz", stack_chart.packed("db", part))
    else:
        repo.write("charts/web/values.schema.json", schema)
    (problem,) = repo.refused()
    assert "outside of itself" in problem
    assert asked == []


def test_no_chart_and_no_values_come_from_a_server(repo: Repo, server: tuple[str, list[str]]) -> None:
    address, asked = server
    repo.chart()
    for path, values in ((f"{address}/x.tgz", ()), ("charts/web", (f"{address}/v.yaml",))):
        with pytest.raises(InvalidError):
            repo.render(path, values=values)
    assert asked == []


def test_no_server_is_asked_even_where_nobody_looked(
    repo: Repo, server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, asked = server
    monkeypatch.setattr("pipeline.core.charts.foreign_references", lambda _: iter(()))
    repo.chart()
    repo.write("charts/web/values.schema.json", f'{{"$ref": "{address}/x.json"}}')
    repo.refused()
    assert asked == []


def test_helm_gets_nothing_of_the_machine_and_only_options_that_make_text(
    repo: Repo, outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins = tmp_path / "plugins/evil"
    plugins.mkdir(parents=True)
    (plugins / "plugin.yaml").write_text("name: evil\n")
    for name, value in (
        ("HELM_PLUGINS", str(plugins.parent)),
        ("HOME", str(tmp_path)),
        ("KUBECONFIG", CANARY),
    ):
        monkeypatch.setenv(name, value)
    spy = tmp_path / "helm"
    spy.write_text(
        f'#!/bin/sh\n/usr/bin/env > {tmp_path}/seen\necho "$@" > {tmp_path}/asked\nexec {repo.helm} "$@"\n'
    )
    spy.chmod(0o755)
    repo.chart()
    renderer = replace(repo.renderer(), program=str(spy))
    renderer.render(repo.commit(), source(values=("charts/web/values.yaml",)), ENVIRONMENT)
    seen = dict(line.partition("=")[::2] for line in (tmp_path / "seen").read_text().splitlines())
    assert CANARY not in str(seen)
    homes = {k: v for k, v in seen.items() if k.startswith("HELM_") and k != "HELM_COLOR"}
    assert {"HELM_PLUGINS", "HELM_CONFIG_HOME", "HELM_REGISTRY_CONFIG", "HELM_REPOSITORY_CONFIG"} <= set(
        homes
    )
    assert all(value.startswith(seen["HOME"]) and not Path(value).exists() for value in homes.values())
    assert not seen["HOME"].startswith(str(tmp_path))
    assert seen["KUBECONFIG"] == os.devnull
    options = [word for word in (tmp_path / "asked").read_text().split() if word.startswith("--")]
    assert options == ["--namespace", "--kube-version", "--include-crds", "--values"]


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "."])
@pytest.mark.parametrize("key", ["name", "version", "alias"])
def test_no_name_leads_out_of_a_folder(repo: Repo, tmp_path: Path, name: str, key: str) -> None:
    repo.chart()
    text = {
        "name": CHART.replace("web", f"'{name}'"),
        "version": CHART.replace("1.2.3", f"'{name}'"),
        "alias": CHART + f"dependencies:\n- {{name: db, alias: '{name}'}}\n",
    }[key]
    repo.write("charts/web/Chart.yaml", text)
    repo.commit()
    before = hashes(tmp_path)
    found = repo.refused()
    assert all(problem.startswith("charts/web/Chart.yaml:") for problem in found)
    assert not any("helm: " in problem for problem in found), "Helm is not even asked"
    assert hashes(tmp_path) == before


@pytest.mark.parametrize(
    ("kind", "bomb"),
    [
        ("template", '{{ define "x" }}{{ include "x" . }}{{ end }}{{ include "x" . }}'),
        ("template", "{{ range until 100000000 }}{{ end }}"),
        ("template", '{{ repeat 2000000000 "x" }}'),
        ("values", ALIASES),
        ("schema", '{"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}'),
        ("schema", '{"$ref": "#"}'),
        ("schema", "[" * 100_000),
        ("chart", "name: web\nversion: 1.0.0\nx: " + "[" * 50_000),
    ],
)
def test_a_bomb_ends_in_one_line(repo: Repo, kind: str, bomb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = replace(helm_limits(), seconds=20.0)
    monkeypatch.setattr("pipeline.adapters.helm._LIMITS", limits)
    repo.chart(bomb if kind == "template" else CONFIG)
    for name, file in (("values", "values.yaml"), ("schema", "values.schema.json"), ("chart", "Chart.yaml")):
        if kind == name:
            repo.write(f"charts/web/{file}", bomb)
    with pytest.raises(InvalidError) as caught:
        repo.render()
    told = str((caught.value.problems or [caught.value.message])[0])
    assert "\n" not in told
    assert len(told) < 700


def helm_limits() -> Any:
    from pipeline.adapters import helm

    return helm._LIMITS


def test_a_chart_that_is_too_large_is_refused(repo: Repo) -> None:
    repo.chart()
    repo.write("charts/web/big.bin", b"\0" * (5 * 1024 * 1024 + 1))
    (problem,) = repo.refused()
    assert problem.startswith("charts/web/big.bin:1: charts/web/big.bin: a file of more than 5 MiB")


def test_an_archive_that_grows_without_end_is_refused(repo: Repo) -> None:
    import gzip

    repo.write("charts/web.tgz", gzip.compress(b"\0" * (CHART_BYTES + 1)))
    (problem,) = repo.refused("charts/web.tgz")
    assert "more than 100 MiB are packed in it" in problem


@pytest.mark.parametrize("name", ["../../x", "/x", "web/../../x"])
def test_an_archive_whose_paths_lead_out_is_refused(repo: Repo, name: str) -> None:
    repo.write("charts/web.tgz", stack_chart.packed(name, {"Chart.yaml": CHART}))
    (problem,) = repo.refused("charts/web.tgz")
    assert "no file within a chart" in problem


@pytest.mark.parametrize("content", [b"", b"x" * 1000, b"\x1f\x8b\x08"])
def test_what_is_no_archive_is_refused(repo: Repo, content: bytes) -> None:
    repo.write("charts/web.tgz", content)
    assert len(repo.refused("charts/web.tgz")) == 1


def test_nothing_is_left_behind(repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "tmp"
    own.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(own))
    repo.chart()
    repo.render()
    repo.chart("{{ fail `x` }}")
    repo.refused()
    assert list(own.iterdir()) == []


# --- the program


def test_without_helm_it_is_said_what_to_do(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    repo.chart()
    renderer = replace(repo.renderer(), program="")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnreachableError) as caught:
        renderer.version()
    assert "no helm on the PATH" in caught.value.message
    assert "PIPELINE_HELM" in caught.value.hint


@pytest.mark.parametrize("told", ["v3.18.4+gd80839c", "nothing"])
def test_another_version_is_refused(repo: Repo, tmp_path: Path, told: str) -> None:
    fake = tmp_path / "helm"
    fake.write_text(f"#!/bin/sh\necho {told}\n")
    fake.chmod(0o755)
    with pytest.raises(UnreachableError) as caught:
        replace(repo.renderer(), program=str(fake)).version()
    assert "install Helm 4" in caught.value.hint


def test_the_version_is_told(repo: Repo) -> None:
    assert repo.renderer().version().startswith("helm v4.")

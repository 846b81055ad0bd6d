"""environment.yaml: what is accepted, and how each mistake is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.adapters.yaml import load_documents
from pipeline.core.config import environment_schema, nearest, parse_environment
from pipeline.core.schema import seconds
from pipeline.model.environment import (
    Allow,
    Deploy,
    EksCluster,
    Environment,
    Grace,
    HelmChart,
    HttpCheck,
    KubeconfigCluster,
    Prune,
    ReadyRule,
    Rollback,
    TcpCheck,
)
from pipeline.model.errors import InvalidError

PATH = "environments/staging/environment.yaml"
ROOT = Path(__file__).parents[2]

# The example of the contract, without what this version refuses.
FULL = """\
apiVersion: pipeline/v1
kind: Environment
metadata: {name: staging}
spec:
  application: web
  namespace: web-staging
  createNamespace: false
  cluster:
    eks: {name: my-eks-cluster, region: ap-northeast-2, describeRole: ARN1, role: ARN2}
  sources:
  - manifests: manifests
  - manifests: ../base/
  deploy: {onMerge: false, branch: release, timeout: 1h30m, parallelism: 8}
  prune: {enabled: false, maxDeletions: 5, maxPercent: 20}
  rollout:
    grace: {image: 10s, schedule: 90s, quota: 250ms, restarts: 3, ready: 1m}
    steady: 500ms
    rules:
    - {group: example.com, kind: Widget, ready: ["condition=Ready"], failed: ["condition=Stalled"]}
  checks:
  - {name: home, http: {service: web, port: 80, path: /, status: 204, contains: ok}, samples: 5, interval: 2s}
  - {name: db, tcp: {service: db, port: sql}, timeout: 1s, deadline: 30s}
  - {name: out, http: {url: "https://example.com/x"}}
  rollback: {auto: false, onFirstDeploy: keep}
  allow:
    clusterScoped: [ClusterRole.rbac.authorization.k8s.io, Namespace]
    namespaces: [web-staging, other]
    conflicts: take
    missing: [/Secret/web-staging/later]
  promotion: {from: [dev], auto: false}
"""

SMALL = """\
apiVersion: pipeline/v1
kind: Environment
metadata: {name: staging}
spec:
  namespace: web
  sources: [{manifests: manifests}]
"""


def _parse(text: str, repository: str = "shop") -> Environment:
    (document,) = load_documents(PATH, text.encode())
    return parse_environment(document.value, document.lines, PATH, repository)


def _problems(text: str) -> list[str]:
    with pytest.raises(InvalidError) as caught:
        _parse(text)
    return [str(problem).removeprefix(f"{PATH}:") for problem in caught.value.problems]


def test_every_setting_reaches_its_field() -> None:
    env = _parse(FULL)
    assert (env.name, env.application, env.namespace, env.path) == ("staging", "web", "web-staging", PATH)
    assert env.create_namespace is False
    assert env.cluster == EksCluster(
        name="my-eks-cluster", region="ap-northeast-2", role="ARN2", describe_role="ARN1"
    )
    assert [(s.kind, s.path, str(s.origin)) for s in env.sources] == [
        ("manifests", "environments/staging/manifests", f"{PATH}:11"),
        ("manifests", "environments/base", f"{PATH}:12"),
    ]
    assert env.deploy == Deploy(on_merge=False, branch="release", timeout_s=5400.0, parallelism=8)
    assert env.prune == Prune(enabled=False, max_deletions=5, max_percent=20)
    assert env.rollout.grace == Grace(image_s=10, schedule_s=90, quota_s=0.25, restarts=3, ready_s=60)
    assert env.rollout.steady_s == 0.5
    assert env.rollout.rules == (
        ReadyRule(
            group="example.com", kind="Widget", ready=("condition=Ready",), failed=("condition=Stalled",)
        ),
    )
    assert [c.name for c in env.checks] == ["home", "db", "out"]
    assert env.checks[0].probe == HttpCheck(service="web", port=80, path="/", status=204, contains="ok")
    assert (env.checks[0].samples, env.checks[0].interval_s) == (5, 2.0)
    assert env.checks[1].probe == TcpCheck(service="db", port="sql")
    assert (env.checks[1].timeout_s, env.checks[1].deadline_s) == (1.0, 30.0)
    assert env.checks[2].probe == HttpCheck(url="https://example.com/x")
    assert env.rollback == Rollback(auto=False, on_first_deploy="keep")
    assert env.allow == Allow(
        cluster_scoped=("ClusterRole.rbac.authorization.k8s.io", "Namespace"),
        namespaces=("web-staging", "other"),
        conflicts="take",
        missing=("/Secret/web-staging/later",),
    )
    assert env.promotion.sources == ("dev",)


def test_what_is_not_written_has_the_defaults_of_the_model() -> None:
    env = _parse(SMALL)
    assert (env.deploy, env.prune, env.rollback, env.checks) == (Deploy(), Prune(), Rollback(), ())
    assert env.cluster is None


@pytest.mark.parametrize(
    ("repository", "application"),
    [("shop", "shop"), ("My_Shop.git", "my-shop"), ("___", "staging"), ("", "staging")],
)
def test_the_application_is_called_as_the_repository(repository: str, application: str) -> None:
    assert _parse(SMALL, repository).application == application


def test_a_cluster_may_come_from_a_kubeconfig() -> None:
    cluster = "  cluster: {kubeconfig: {path: /etc/kube, context: c}}\n"
    assert _parse(SMALL + cluster).cluster == KubeconfigCluster(path="/etc/kube", context="c")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("deploy: {timeuot: 1s}", '7: unknown key "timeuot" in spec.deploy (did you mean timeout?)'),
        ("replicas: 3", '7: unknown key "replicas" in spec ('),
        ("deploy: {timeout: 600}", "7: spec.deploy.timeout is a number, not a duration (write 600s)"),
        ("deploy: {timeout: soon}", '7: spec.deploy.timeout is "soon": a duration is written like'),
        ("deploy: {timeout: 0s}", "7: spec.deploy.timeout is 0s, not between 0.001 s and"),
        ("deploy: {onMerge: 'yes'}", "7: spec.deploy.onMerge is a string, not true or false"),
        ("deploy: {parallelism: many}", "7: spec.deploy.parallelism is a string, not a whole number"),
        ("deploy: {parallelism: true}", "7: spec.deploy.parallelism is a boolean, not a whole number"),
        ("deploy: {parallelism: 0}", "7: spec.deploy.parallelism is 0, not between 1 and 64"),
        (
            "deploy: {branch: --upload-pack=x}",
            '7: spec.deploy.branch is "--upload-pack=x": no branch\'s name',
        ),
        ("deploy:", "7: spec.deploy is empty"),
        ("deploy: [a]", "7: spec.deploy is a list, not a mapping"),
        ("prune: {maxPercent: 101}", "7: spec.prune.maxPercent is 101, not between 0 and 100"),
        (
            "rollback: {onFirstDeploy: removed}",
            '7: spec.rollback.onFirstDeploy is "removed", not remove or keep (did',
        ),
        ("allow: {conflicts: ignore}", '7: spec.allow.conflicts is "ignore", not refuse or take'),
        ("allow: {namespaces: other}", "7: spec.allow.namespaces is a string, not a list (write [other])"),
        (
            "allow: {missing: [a/b]}",
            "7: spec.allow.missing[0] is \"a/b\": 'a/b' is not group/Kind/namespace/name",
        ),
        (
            "allow: {clusterScoped: [clusterrole]}",
            '7: spec.allow.clusterScoped[0] is "clusterrole": write Kind',
        ),
        ("cluster: {}", "7: spec.cluster has none of eks, kubeconfig (write exactly one of them)"),
        (
            "cluster: {eks: {name: a}, kubeconfig: {}}",
            "7: spec.cluster has eks and kubeconfig of eks, kubeconfig",
        ),
        ("cluster: {eks: {}}", "7: spec.cluster.eks.name is missing"),
        ("checks: [{name: a}]", "7: spec.checks[0] has none of http, tcp"),
        ("checks: [{name: a, http: {}}]", "7: spec.checks[0].http has none of service, url"),
        (
            "checks: [{name: a, http: {service: b, path: x}}]",
            '7: spec.checks[0].http.path is "x": must begin with /',
        ),
        (
            "checks: [{name: a, http: {url: 'file:///x'}}]",
            '7: spec.checks[0].http.url is "file:///x": no http',
        ),
        ("checks: [{name: a, http: {url: 'http://x', port: 1}}]", "7: port has no effect beside url"),
        ("checks: [{name: a, tcp: {service: b}}]", "7: spec.checks[0].tcp.port is missing"),
        ("checks: [{name: a, tcp: {host: b, port: 99999}}]", "7: spec.checks[0].tcp.port is 99999"),
        ("checks: [{name: a, tcp: {host: b, port: 1}, samples: 100}]", "7: 100 samples every 2 s take 198 s"),
        ("rollout: {rules: [{kind: A, ready: [Ready]}]}", '7: spec.rollout.rules[0].ready[0] is "Ready"'),
        ("promotion: {from: [staging]}", "7: an environment cannot be promoted from itself"),
        ("application: Web", '7: spec.application is "Web": lower-case letters'),
        ("application: \"web\\n\"", '7: spec.application is "web?"'),
        ("namespace2: a", '7: unknown key "namespace2" in spec (did you mean namespace?)'),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_what_is_right(line: str, told: str) -> None:
    (problem,) = _problems(SMALL + f"  {line}\n")
    assert problem.startswith(told)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("promotion: {soak: 30m}", "soak is not enforced by this version"),
        ("promotion: {approvals: {required: 2, from: [a], notAuthor: true}}", "approvals are not enforced"),
        (
            "promotion: {windows: [{deny: FREQ=DAILY, duration: 24h, timezone: Asia/Seoul}]}",
            "windows are not enforced",
        ),
        ("promotion: {auto: true}", "auto is not acted upon by this version"),
    ],
)
def test_a_policy_that_is_not_enforced_yet_is_refused_not_ignored(setting: str, told: str) -> None:
    (problem,) = _problems(SMALL + f"  {setting}\n")
    assert told in problem


@pytest.mark.parametrize(
    "path", ["../../../x", "/etc", "../..", "a\\b", "https://example.com/x", "../../../../.."]
)
def test_a_source_outside_of_the_repository_is_refused(path: str) -> None:
    (problem,) = _problems(SMALL.replace("manifests: manifests", f"manifests: '{path}'"))
    assert "is not a folder or file within the repository" in problem


DIGEST = "sha256:" + "0" * 64
PINNED = f"{{name: db, digest: '{DIGEST}'}}"


def test_a_chart_from_an_allowed_host_is_named_by_its_digest() -> None:
    allowed = SMALL + "  allow: {remote: [ghcr.io, 'charts.example.com:8443']}\n"
    for address in ("oci://ghcr.io/org/charts/web:1.2.3", "https://charts.example.com:8443/web-1.2.3.tgz"):
        text = allowed.replace("manifests: manifests", f"helm: {{chart: '{address}@{DIGEST}'}}")
        (source,) = _parse(text).sources
        assert source.path == address
        assert source.helm == HelmChart(release="shop", digest=DIGEST)


def chart(written: str) -> str:
    return SMALL.replace("manifests: manifests", f"helm: {{{written}}}")


def test_a_chart_is_read_with_its_values_and_what_it_is_told() -> None:
    text = chart(
        "chart: ../../charts/web, release: shop, namespace: other, values: [v.yaml, ../w.yaml], "
        "kubeVersion: '1.34', apiVersions: [example.com/v1, example.com/v1/Widget]"
    )
    (source,) = _parse(text).sources
    assert (source.kind, source.path) == ("helm", "charts/web")
    assert source.helm == HelmChart(
        release="shop",
        namespace="other",
        values=("environments/staging/v.yaml", "environments/w.yaml"),
        kube_version="1.34",
        api_versions=("example.com/v1", "example.com/v1/Widget"),
    )


def test_a_release_without_a_name_has_that_of_the_application() -> None:
    (source,) = _parse(chart("chart: ../../charts/web")).sources
    assert source.helm == HelmChart(release="shop")


def test_a_release_s_name_is_never_longer_than_helm_allows() -> None:
    text = chart("chart: ../../charts/web").replace(
        "spec:", "spec:\n  application: " + "a" * 52 + "-" + "b" * 9
    )
    (source,) = _parse(text).sources
    assert source.helm == HelmChart(release="a" * 52)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("release: web", "spec.sources[0].helm.chart is missing"),
        ("chart: ../../../x", "'../../../x' is not a folder or file within the repository"),
        ("chart: ../../charts/web, values: [/etc/passwd]", "'/etc/passwd' is not a folder or file"),
        ("chart: ../../charts/web, values: ['https://x/y']", "'https://x/y' is not a folder or file"),
        ("chart: 'oci://x/y'", "needs its digest: append @sha256:"),
        ("chart: 'https://x/y.tgz@sha256:abc'", "needs its digest: append @sha256:"),
        (f"chart: 'http://x/y.tgz@{DIGEST}'", "write oci://host/path/chart@sha256:"),
        (f"chart: 'oci://u:p@x/y@{DIGEST}'", "write oci://host/path/chart@sha256:"),
        (f"chart: 'oci://x/../y@{DIGEST}'", "write oci://host/path/chart@sha256:"),
        (f"chart: 'oci://x/y@{DIGEST}'", "x is not an allowed host (write allow: {remote: [x]}"),
        ("chart: ../../charts/web, release: " + "x" * 54, "at most 53"),
        ("chart: ../../charts/web, release: --set", "at most 53"),
        ("chart: ../../charts/web, kubeVersion: --x", "1.36.0"),
        ("chart: ../../charts/web, apiVersions: ['a,b']", "group/version"),
        ("chart: ../../charts/web, set: [a=b]", "unknown key"),
        ("chart: ../../charts/web, dependencies: [{name: db}]", "dependencies[0].digest is missing"),
        ("chart: ../../charts/web, dependencies: [{name: db, digest: abc}]", "write sha256: and 64 hex"),
        (f"chart: ../../charts/web, dependencies: [{PINNED}, {PINNED}]", "two digests are given for db"),
    ],
)
def test_a_chart_that_is_written_wrongly_is_refused(written: str, told: str) -> None:
    (problem,) = _problems(chart(written))
    assert told in problem


def test_dependencies_that_are_fetched_are_read_with_their_lines() -> None:
    (source,) = _parse(chart(f"chart: ../../charts/web, dependencies: [{PINNED}]")).sources
    assert source.helm is not None
    (pin,) = source.helm.dependencies
    assert (pin.name, pin.digest) == ("db", DIGEST)
    assert pin.origin == source.origin


def test_dependencies_of_a_chart_from_elsewhere_are_refused() -> None:
    text = chart(f"chart: 'oci://x/y@{DIGEST}', dependencies: [{PINNED}]") + "  allow: {remote: [x]}\n"
    (problem,) = _problems(text)
    assert "dependencies have no effect beside a chart from elsewhere" in problem


def test_two_releases_of_a_chart_are_two_sources_but_not_one_twice() -> None:
    two = SMALL.replace(
        "{manifests: manifests}", "{helm: {chart: c, release: a}}, {helm: {chart: c, release: b}}"
    )
    assert [s.helm.release for s in _parse(two).sources if s.helm] == ["a", "b"]
    (problem,) = _problems(two.replace("release: b", "release: a"))
    assert "is a source already" in problem


@pytest.mark.parametrize("path", ["../../..", "/etc", "https://example.com/x?ref=main", "a\nb"])
def test_a_kustomization_outside_of_the_repository_is_refused(path: str) -> None:
    (problem,) = _problems(SMALL.replace("manifests: manifests", f"kustomize: {json.dumps(path)}"))
    assert "is not a folder or file within the repository" in problem


@pytest.mark.parametrize(("path", "wanted"), [("overlay/", "environments/staging/overlay"), ("../..", ".")])
def test_a_kustomization_may_be_anywhere_in_the_repository_also_at_its_root(path: str, wanted: str) -> None:
    env = _parse(SMALL.replace("manifests: manifests", f"kustomize: {path}"))
    assert [(s.kind, s.path) for s in env.sources] == [("kustomize", wanted)]


def test_a_source_may_be_anywhere_within_the_repository() -> None:
    env = _parse(SMALL.replace("manifests: manifests", "manifests: ../../deploy/./x"))
    assert env.sources[0].path == "deploy/x"


def test_a_source_written_twice_is_refused() -> None:
    (problem,) = _problems(SMALL.replace("[{manifests: manifests}]", "[{manifests: a}, {manifests: ./a/}]"))
    assert problem == "6: environments/staging/a is a source already"


def test_the_name_must_be_that_of_the_folder() -> None:
    (problem,) = _problems(SMALL.replace("name: staging", "name: prod"))
    assert problem == "3: metadata.name is prod, the folder is staging (write name: staging)"


@pytest.mark.parametrize(
    "text",
    ["[]", "text", "1", "{}", "{spec: 1}", "{spec: {sources: [1, null, {}]}}", "{spec: {checks: [1]}}"],
)
def test_something_else_entirely_is_refused_with_a_problem(text: str) -> None:
    assert _problems(text)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = SMALL.replace("namespace: web", "namespace: Web").replace("kind: Environment", "kind: Env")
    problems = _problems(text + "  deploy: {timeout: 1}\n  prun: {}\n")
    assert [problem.split(":")[0] for problem in problems] == ["2", "5", "7", "8"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10m", 600),
        ("1h30m", 5400),
        ("60s", 60),
        ("250ms", 0.25),
        ("1.5h", 5400),
        ("0s", 0),
        ("1m0.5s", 60.5),
    ],
)
def test_durations_are_read_as_seconds(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "10", "m", "1d", "-1s", "1s ", "1 s", "1e3s", "1h-1m", "٣s", "1s\n"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration is written like"):
        seconds(text)


@pytest.mark.parametrize(
    ("name", "found"),
    [("stagin", "staging"), ("Prod", "prod"), ("production", "prod"), ("zzz", ""), ("", "")],
)
def test_the_nearest_name_is_found_or_none(name: str, found: str) -> None:
    assert nearest(name, ["dev", "staging", "prod"]) == found


def test_the_published_schema_is_that_of_the_reader() -> None:
    published = json.loads((ROOT / "docs/environment.schema.json").read_text("utf-8"))
    assert published == environment_schema()


def test_the_schema_knows_every_key_of_the_full_example() -> None:
    (document,) = load_documents(PATH, FULL.encode())
    for path in document.lines:
        schema = environment_schema()
        for step in path:
            schema = schema["items"] if isinstance(step, int) else schema["properties"][step]

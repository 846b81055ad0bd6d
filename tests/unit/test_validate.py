"""What is told of a set of manifests without asking a cluster."""

from __future__ import annotations

import dataclasses
import json

import pytest

from pipeline.adapters.yaml import load_manifests
from pipeline.core.object_rules import problems_of
from pipeline.core.removed import removed
from pipeline.core.scope import offline
from pipeline.core.validate import check, with_namespaces
from pipeline.model.environment import Allow, Environment, Source
from pipeline.model.errors import Problem
from pipeline.model.objects import Manifest, Origin

ENV = Environment(
    name="dev",
    application="app",
    namespace="demo",
    path="environments/dev/environment.yaml",
    sources=(Source(kind="manifests", path="environments/dev/manifests", origin=Origin("e.yaml", 6)),),
)
EVERYTHING = dataclasses.replace(ENV, allow=Allow(cluster_scoped=("*",), namespaces=("*",)))


def _load(text: str, path: str = "f.yaml", env: Environment = ENV) -> list[Manifest]:
    return with_namespaces(load_manifests(path, text.encode()), env, lambda version, kind: None)


def _check(text: str, env: Environment = EVERYTHING) -> list[Problem]:
    return check(_load(text, env=env), env)


def _told(text: str, env: Environment = EVERYTHING) -> list[tuple[str, int]]:
    return [(p.code, p.origin.line if p.origin else 0) for p in _check(text, env)]


def _head(api_version: str, kind: str, name: str = "it", more: str = "") -> str:
    return f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: {json.dumps(name)}{more}}}\n"


CONFIG = _head("v1", "ConfigMap")

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: c
        image: nginx
"""


# --- namespaces


def test_namespaced_objects_go_to_the_namespace_of_the_environment() -> None:
    (manifest,) = _load(CONFIG)
    assert str(manifest.ref) == "/ConfigMap/demo/it"
    assert manifest.body["metadata"] == {"name": "it", "namespace": "demo"}


def test_a_namespace_that_is_written_stays() -> None:
    (manifest,) = _load(_head("v1", "ConfigMap", more=", namespace: other"))
    assert manifest.ref.namespace == "other"


def test_cluster_scoped_objects_have_no_namespace_even_if_they_name_one() -> None:
    (manifest,) = _load(_head("rbac.authorization.k8s.io/v1", "ClusterRole", more=", namespace: other"))
    assert manifest.ref.namespace == ""
    assert "namespace" not in manifest.body["metadata"]


def test_filling_in_does_not_change_what_was_read() -> None:
    read = load_manifests("f", CONFIG.encode())
    with_namespaces(read, ENV, lambda version, kind: None)
    assert "namespace" not in read[0].body["metadata"]


@pytest.mark.parametrize(("scope", "namespace"), [("Cluster", ""), ("Namespaced", "demo")])
def test_definitions_of_the_set_tell_the_scope_of_their_objects(scope: str, namespace: str) -> None:
    crd = _head("apiextensions.k8s.io/v1", "CustomResourceDefinition", "widgets.example.com")
    crd += f"spec: {{group: example.com, names: {{kind: Widget}}, scope: {scope}}}\n"
    widget, _ = _load(_head("example.com/v1", "Widget") + "---\n" + crd)
    assert widget.ref.namespace == namespace


def test_the_cluster_knows_better_than_the_tables() -> None:
    read = load_manifests("f", _head("example.com/v1", "Widget").encode())
    assert with_namespaces(read, ENV, lambda version, kind: False)[0].ref.namespace == ""


def test_kinds_that_nobody_knows_are_taken_for_namespaced() -> None:
    assert _load(_head("example.com/v1", "Widget"))[0].ref.namespace == "demo"


@pytest.mark.parametrize(
    ("api_version", "kind", "namespaced"),
    [
        ("v1", "Namespace", False),
        ("rbac.authorization.k8s.io/v1beta1", "ClusterRole", False),
        ("rbac.authorization.k8s.io/v1beta1", "Role", True),
        ("policy/v1beta1", "PodSecurityPolicy", False),
        ("cert-manager.io/v1", "ClusterIssuer", False),
        ("example.com/v1", "Widget", None),
    ],
)
def test_scopes_are_known_offline(api_version: str, kind: str, namespaced: bool | None) -> None:
    assert offline(api_version, kind) is namespaced


# --- the set


def test_a_set_without_manifests_is_a_mistake() -> None:
    (problem,) = check([], ENV)
    assert problem.message == "no manifests found in environments/dev/manifests"
    assert str(problem.origin) == "e.yaml:6"


def test_an_object_written_twice_is_told_with_both_places() -> None:
    manifests = _load(CONFIG, "a.yaml") + _load(_head("v1", "ConfigMap", more=", namespace: demo"), "b.yaml")
    (problem,) = check(manifests, ENV)
    assert problem.message == "/ConfigMap/demo/it is written twice, at a.yaml:1 and b.yaml:1"


def test_the_same_name_in_two_namespaces_is_no_duplicate() -> None:
    assert _told(CONFIG + "---\n" + _head("v1", "ConfigMap", more=", namespace: other")) == []


def test_a_good_set_has_no_problems() -> None:
    assert _told(DEPLOYMENT + "---\n" + CONFIG, ENV) == []


def test_all_problems_are_told_at_once_in_the_order_of_the_files() -> None:
    bad = _head("v1", "ConfigMap", "A") + "data: {a: 1}\n"
    assert _told(bad + "---\n" + _head("batch/v1beta1", "PodThing") + "---\n" + bad) == [
        ("bad-name", 3),
        ("wrong-type", 4),
        ("duplicate-object", 10),
        ("bad-name", 12),
        ("wrong-type", 13),
    ]


# --- what is allowed


@pytest.mark.parametrize("entry", ["ClusterRole", "ClusterRole.rbac.authorization.k8s.io", "*"])
def test_cluster_scoped_kinds_must_be_allowed(entry: str) -> None:
    text = _head("rbac.authorization.k8s.io/v1", "ClusterRole", "system:it")
    (problem,) = _check(text, ENV)
    assert problem.code == "cluster-scoped-not-allowed"
    assert "add ClusterRole.rbac.authorization.k8s.io to spec.allow.clusterScoped" in problem.hint
    assert _check(text, dataclasses.replace(ENV, allow=Allow(cluster_scoped=(entry,)))) == []


def test_the_namespace_of_the_environment_needs_no_entry_but_others_do() -> None:
    assert _told(_head("v1", "Namespace", "demo"), ENV) == []
    assert _told(_head("v1", "Namespace", "other"), ENV) == [("cluster-scoped-not-allowed", 2)]


@pytest.mark.parametrize("namespace", ["other", "kube-system"])
def test_other_namespaces_must_be_allowed(namespace: str) -> None:
    text = _head("v1", "ConfigMap", more=f", namespace: {namespace}")
    assert _told(text, ENV) == [("namespace-not-allowed", 3)]
    assert _told(text, dataclasses.replace(ENV, allow=Allow(namespaces=(namespace,)))) == []


def test_the_own_namespace_is_allowed_beside_others() -> None:
    assert _told(CONFIG, dataclasses.replace(ENV, allow=Allow(namespaces=("other",)))) == []


# --- one object


@pytest.mark.parametrize(
    ("api_version", "kind", "since", "instead"),
    [
        ("policy/v1beta1", "PodSecurityPolicy", "1.25", "pod-security.kubernetes.io/enforce"),
        ("extensions/v1beta1", "Ingress", "1.22", "networking.k8s.io/v1"),
        ("networking.k8s.io/v1beta1", "Ingress", "1.22", "networking.k8s.io/v1"),
        ("apps/v1beta2", "Deployment", "1.16", "apps/v1"),
        ("batch/v1beta1", "CronJob", "1.25", "batch/v1"),
        ("policy/v1beta1", "PodDisruptionBudget", "1.25", "policy/v1"),
        ("autoscaling/v2beta2", "HorizontalPodAutoscaler", "1.26", "autoscaling/v2"),
        ("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema", "1.32", "flowcontrol.apiserver.k8s.io/v1"),
    ],
)
def test_removed_apis_are_told_with_what_replaces_them(
    api_version: str, kind: str, since: str, instead: str
) -> None:
    problem = _check(_head(api_version, kind))[0]
    assert problem.code == "removed-api"
    assert f"was removed in Kubernetes {since}" in problem.message
    assert instead in problem.hint


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [("apps/v1", "Deployment"), ("policy/v1", "PodDisruptionBudget"), ("example.com/v1beta1", "Ingress")],
)
def test_apis_that_are_served_are_not_removed(api_version: str, kind: str) -> None:
    assert removed(api_version, kind) is None


def test_the_environment_file_itself_is_no_manifest() -> None:
    assert _told(_head("pipeline/v1", "Environment")) == [("not-an-object", 1)]


@pytest.mark.parametrize(
    ("api_version", "kind", "name", "ok"),
    [
        ("v1", "ConfigMap", "a.b-c", True),
        ("v1", "ConfigMap", "kube-root-ca.crt", True),
        ("v1", "ConfigMap", "A", False),
        ("v1", "ConfigMap", "a_b", False),
        ("v1", "ConfigMap", "-a", False),
        ("v1", "ConfigMap", "a..b", False),
        ("v1", "ConfigMap", "a\n", False),
        ("v1", "ConfigMap", "a" * 254, False),
        ("v1", "Service", "a.b", False),
        ("v1", "Namespace", "a" * 64, False),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", "system:Node", True),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", "a/b", False),
    ],
)
def test_names_follow_the_rules_of_their_kind(api_version: str, kind: str, name: str, ok: bool) -> None:
    assert _told(_head(api_version, kind, name)) == ([] if ok else [("bad-name", 3)])


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("labels: {a: b, app.kubernetes.io/name: c, d: ''}", []),
        ("labels: {a: true}", ["wrong-type"]),
        ("labels: {a: 1}", ["wrong-type"]),
        ("labels: {a b: c}", ["bad-label"]),
        ("labels: {'a/b/c': d}", ["bad-label"]),
        ("labels: {'/a': d}", ["bad-label"]),
        ("labels: {a: b c}", ["bad-label"]),
        ("labels: {a: '" + "x" * 64 + "'}", ["bad-label"]),
        ("labels: [a]", ["wrong-type"]),
        ("annotations: {a: 'any text: at all'}", []),
        ("annotations: {a: yes}", ["wrong-type"]),
        ("annotations: {a b: c}", ["bad-label"]),
    ],
)
def test_labels_and_annotations_follow_the_rules(entry: str, told: list[str]) -> None:
    assert [code for code, _ in _told(_head("v1", "ConfigMap", more=f", {entry}"))] == told


@pytest.mark.parametrize(
    ("kind", "data", "told"),
    [
        ("Secret", "data: {a: aGVsbG8=, b: '', c: ~}", []),
        ("Secret", "data: {a: \"aGVs\\nbG8=\\n\"}", []),
        ("Secret", "data: {a: hunter2}", ["not-base64"]),
        ("Secret", "data: {a: aGVsbG8}", ["not-base64"]),
        ("Secret", "data: {a: 12345678}", ["wrong-type"]),
        ("Secret", "stringData: {a: hunter2}", []),
        ("Secret", "stringData: {a: 1}", ["wrong-type"]),
        ("Secret", "data: [a]", ["wrong-type"]),
        ("ConfigMap", "data: {a: 1.5}", ["wrong-type"]),
        ("ConfigMap", "data: {a/b: c}", ["bad-key"]),
        ("ConfigMap", "binaryData: {a: '?'}", ["not-base64"]),
    ],
)  # fmt: skip
def test_data_must_be_what_the_server_takes(kind: str, data: str, told: list[str]) -> None:
    assert [code for code, _ in _told(_head("v1", kind) + data)] == told


@pytest.mark.parametrize(
    "data", ["data: {a: s3cr3t-value}", "stringData: {a: [s3cr3t-value]}", "data: s3cr3t-value"]
)
def test_no_problem_shows_a_value_of_a_secret(data: str) -> None:
    problems = _check(_head("v1", "Secret") + data)
    assert problems
    assert "s3cr3t-value" not in repr(problems)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("labels: {app: web}", "labels: {app: wep}", [("selector-mismatch", 6)]),
        ("labels: {app: web}", "labels: {app: web, more: x}", []),
        ("matchLabels: {app: web}", "matchLabels: {}", [("missing-selector", 5)]),
        ("matchLabels: {app: web}", "matchExpressions: [{key: app, operator: Exists}]", []),
        ("matchLabels: {app: web}", "matchExpressions: [{key: app, operator: In, values: [web]}]", []),
        (
            "matchLabels: {app: web}",
            "matchExpressions: [{key: app, operator: NotIn, values: [web]}]",
            [("selector-mismatch", 6)],
        ),
        (
            "matchLabels: {app: web}",
            "matchLabels: {app: web}\n    matchExpressions:\n    - {key: a, operator: Exists}",
            [("selector-mismatch", 8)],
        ),
        ("matchLabels: {app: web}", "matchLabels: {app: web}\n    matchExpressions: [x, {key: 1}]", []),
        ("        image: nginx\n", "", [("no-image", 12)]),
        ("image: nginx", "image: ''", [("no-image", 12)]),
        ("image: nginx", "image: nginx\n        env: [{name: A, value: 1}]", [("wrong-type", 14)]),
        ("labels: {app: web}", "labels: {app: web, b: true}", [("wrong-type", 9)]),
    ],
)
def test_workloads_that_a_server_would_refuse_are_told(
    old: str, new: str, told: list[tuple[str, int]]
) -> None:
    assert old in DEPLOYMENT
    assert _told(DEPLOYMENT.replace(old, new)) == told


def test_a_workload_without_containers_is_told() -> None:
    assert _told(_head("batch/v1", "Job") + "spec: {template: {spec: {}}}") == [("no-containers", 4)]


# --- sizes


MIB = 1024 * 1024


def _sized(kind: str, field: str, size: int, api_version: str = "v1", character: str = "x") -> str:
    one, two = character * (size // 2), character * (size - size // 2)
    return _head(api_version, kind) + f'{field}: {{a: "{one}", b: "{two}"}}\n'


def _keys(count: int) -> str:
    """A ConfigMap with many keys of 250 characters, and nothing in them."""
    keys = ", ".join(f"{'k' * 245}{number:05}: a" for number in range(count))
    return _head("v1", "ConfigMap") + f"data: {{{keys}}}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (_sized("ConfigMap", "data", MIB), []),
        (_sized("ConfigMap", "data", MIB + 1), [("data-too-large", 4)]),
        (_sized("Secret", "stringData", MIB + 1), [("data-too-large", 4)]),
        # 4 characters of base64 are 3 bytes.
        (_sized("Secret", "data", MIB * 4 // 3 // 8 * 8), []),
        (_sized("Secret", "data", MIB * 4 // 3 // 8 * 8 + 8), [("data-too-large", 4)]),
        (_sized("ConfigMap", "data", 4 * MIB), [("data-too-large", 4)]),
        # Quotes are two bytes of what is sent, and one of what is stored.
        (_sized("ConfigMap", "data", MIB, character='\\"'), []),
        (_sized("Secret", "stringData", MIB, character='\\"'), []),
        (_sized("ConfigMap", "data", MIB, character="\\x01"), [("object-too-large", 3)]),
        (_keys(2500), []),
        (_keys(4000), [("object-too-large", 3)]),
        (_sized("NetworkPolicy", "spec", 2 * MIB, "networking.k8s.io/v1"), [("object-too-large", 3)]),
        (_head("v1", "Endpoints") + "subsets:\n" + "- {notReadyAddresses: []}\n" * 80_000, []),
        (_sized("Widget", "spec", MIB - 1000, "example.com/v1"), []),
        (_sized("Widget", "spec", MIB // 5, "example.com/v1", character="<"), [("object-large", 3)]),
        (_sized("Widget", "spec", MIB // 3, "example.com/v1", character="<"), [("object-too-large", 3)]),
        (_sized("Widget", "spec", MIB, "example.com/v1"), [("object-large", 3)]),
        (_sized("Widget", "spec", 3 * MIB // 2, "example.com/v1"), [("object-too-large", 3)]),
        (_sized("Widget", "spec", 3 * MIB, "example.com/v1"), [("object-too-large", 3)]),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else None,
)
def test_objects_that_are_too_large_to_be_stored_are_told(text: str, told: list[tuple[str, int]]) -> None:
    assert _told(text) == told


def test_the_limit_that_is_broken_is_named() -> None:
    (stored,) = _check(_sized("Widget", "spec", 2 * MIB, "example.com/v1"))
    (sent,) = _check(_sized("Widget", "spec", 4 * MIB, "example.com/v1"))
    (large,) = _check(_sized("Widget", "spec", MIB, "example.com/v1"))
    assert "of it 2.0 MiB are stored, with the server's own bookkeeping; etcd takes 1.5 MiB" in stored.message
    assert "it has 4.0 MiB as JSON, the API server takes 3 MiB" in sent.message
    assert (stored.warning, sent.warning, large.warning) == (False, False, True)


def test_a_key_of_string_data_that_wins_over_data_is_counted_once() -> None:
    half = "x" * (MIB * 3 // 4)
    assert _told(_head("v1", "Secret") + f"data: {{a: {half}}}\nstringData: {{a: {half}}}\n") == []


def test_the_size_is_counted_in_bytes() -> None:
    text = _head("v1", "ConfigMap") + f"data: {{a: {'é' * (MIB // 2 + 1)}}}\n"
    assert _told(text) == [("data-too-large", 4)]


@pytest.mark.parametrize(
    ("size", "told"), [(256 * 1024 - 1, []), (256 * 1024, [("annotations-too-large", 3)])]
)
def test_annotations_are_limited_in_total(size: int, told: list[tuple[str, int]]) -> None:
    assert _told(_head("v1", "ConfigMap", more=f", annotations: {{a: {'x' * size}}}")) == told


def test_annotations_of_the_pods_that_a_schedule_makes_are_limited_too() -> None:
    notes = f"{{annotations: {{a: {'x' * 256 * 1024}}}}}"
    pod = f"{{metadata: {notes}, spec: {{containers: [{{name: a, image: 'b:1'}}]}}}}"
    text = _head("batch/v1", "CronJob") + f"spec:\n  jobTemplate: {{spec: {{template: {pod}}}}}\n"
    assert _told(text) == [("annotations-too-large", 5)]


def test_a_small_object_is_not_written_out_to_learn_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise AssertionError("serialised")

    text = CONFIG + f"data: {{a: {'x' * 100_000}}}\n"
    manifests = _load(text)
    monkeypatch.setattr("pipeline.core.predict.size.json.dumps", refuse)
    assert check(manifests, EVERYTHING) == []


# --- keys


def _reads(reference: str, holder: str, env: Environment = EVERYTHING) -> list[Problem]:
    text = DEPLOYMENT + f"        env: [{{name: A, valueFrom: {reference}}}]\n---\n{holder}"
    return _check(text, env)


def test_a_key_that_its_config_map_has_not_is_told_with_the_nearest() -> None:
    (problem,) = _reads("{configMapKeyRef: {name: it, key: colour}}", CONFIG + "data: {color: red}\n")
    assert str(problem) == "f.yaml:14: ConfigMap/it has no key 'colour' (did you mean color?)"


@pytest.mark.parametrize(
    ("reference", "holder"),
    [
        ("{configMapKeyRef: {name: it, key: a}}", CONFIG + "data: {a: red}"),
        ("{configMapKeyRef: {name: it, key: a}}", CONFIG + "binaryData: {a: aGk=}"),
        ("{configMapKeyRef: {name: it, key: b, optional: true}}", CONFIG + "data: {a: red}"),
        ("{configMapKeyRef: {name: other, key: b}}", CONFIG + "data: {a: red}"),
        ("{configMapKeyRef: {name: it, key: b}}", CONFIG),
        ("{secretKeyRef: {name: it, key: a}}", _head("v1", "Secret") + "stringData: {a: red}"),
        (
            "{secretKeyRef: {name: it, key: token}}",
            _head("v1", "Secret") + "type: kubernetes.io/service-account-token\ndata: {a: aGk=}",
        ),
    ],
)
def test_keys_that_are_there_or_may_come_later_are_no_problem(reference: str, holder: str) -> None:
    assert _reads(reference, holder) == []


def test_a_secret_that_something_else_fills_can_be_allowed() -> None:
    env = dataclasses.replace(EVERYTHING, allow=Allow(missing=("/Secret/demo/it",)))
    holder = _head("v1", "Secret") + "stringData: {a: red}"
    assert _reads("{secretKeyRef: {name: it, key: b}}", holder, env) == []
    assert len(_reads("{secretKeyRef: {name: it, key: b}}", holder)) == 1


@pytest.mark.parametrize("annotation", ["pipeline/ready", "pipeline/failed"])
def test_a_readiness_rule_that_cannot_be_read_is_told_with_its_line(annotation: str) -> None:
    text = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n"
        f"  annotations:\n    {annotation}: 'conditon=Ready'\n"
    )
    (problem,) = [p for m in load_manifests("m.yaml", text.encode()) for p in problems_of(m)]
    assert (problem.code, problem.origin.line if problem.origin else 0) == ("bad-rule", 6)

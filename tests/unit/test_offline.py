"""What is told of a set without a server: all at once, and in file order."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline.adapters.schemas import carried, catalogue
from pipeline.adapters.yaml import load_manifests
from pipeline.core import removed
from pipeline.core.offline import in_order, offline_problems
from pipeline.core.validate import check, with_namespaces
from pipeline.model.environment import Allow, Environment
from pipeline.model.errors import Problem
from pipeline.model.objects import Object

ENV = Environment(
    name="dev",
    application="app",
    namespace="demo",
    path="environments/dev/environment.yaml",
    allow=Allow(cluster_scoped=("*",), namespaces=("*",)),
)

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: web
        image: registry.example/web:1
        resources: {limits: {memory: 64Mi}}
"""
CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
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
          spec: {type: object, properties: {size: {type: integer}}}
"""
WIDGET = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: 1}\n"
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: demo\n"


def _told(
    text: str, *, env: Environment = ENV, target: str = "", definitions: tuple[Object, ...] = ()
) -> list[Problem]:
    """All that validate tells of one file."""
    manifests = with_namespaces(load_manifests("f.yaml", text.encode()), env, lambda *_: None)
    known = check(manifests, env)
    return offline_problems(
        manifests, env, catalogue(target), target=target, definitions=definitions, known=known
    )


def _lines(text: str, **more: object) -> list[str]:
    return [f"{'warning: ' if p.warning else ''}{p}" for p in _told(text, **more)]  # type: ignore[arg-type]


def _head(api_version: str, kind: str, name: str = "it") -> str:
    return f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: {name}}}\n"


def test_a_good_set_has_no_problems() -> None:
    assert _lines(DEPLOYMENT + "---\n" + CRD + "---\n" + WIDGET) == []


# --- schemas of Kubernetes


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "replicas: 2",
            "replica: 2",
            "f.yaml:5: Deployment/web: unknown field spec.replica (did you mean replicas?)",
        ),
        (
            "replicas: 2",
            "replicas: two",
            "f.yaml:5: Deployment/web: spec.replicas is a string, not an integer",
        ),
        (
            "replicas: 2",
            "replicas: 2.5",
            "f.yaml:5: Deployment/web: spec.replicas is a fraction, not an integer",
        ),
        (
            "memory: 64Mi",
            "memory: 64MB",
            'f.yaml:15: Deployment/web: spec.template.spec.containers[0].resources.limits.memory is "64MB", '
            "not a quantity such as 500m or 1Gi",
        ),
        (
            "image: registry.example/web:1",
            "image: registry.example/web:1\n        imagePullPolicy: always",
            'f.yaml:15: Deployment/web: spec.template.spec.containers[0].imagePullPolicy is "always", '
            'not one of "Always", "IfNotPresent", "Never" (did you mean Always?)',
        ),
        (
            "image: registry.example/web:1",
            "image: registry.example/web:1\n        ports: [{containerPort: '80'}]",
            "f.yaml:15: Deployment/web: spec.template.spec.containers[0].ports[0].containerPort is a string, "
            "not an integer",
        ),
        (
            "image: registry.example/web:1",
            "image: registry.example/web:1\n        env: [{name: A}, {name: A}]",
            'f.yaml:15: Deployment/web: spec.template.spec.containers[0].env[1] is name: "A" again, as '
            "spec.template.spec.containers[0].env[0] (keep one of them)",
        ),
        (
            "metadata: {name: web}",
            "metadata: {name: web, lables: {a: b}}",
            "f.yaml:3: Deployment/web: unknown field metadata.lables (did you mean labels?)",
        ),
        (
            "      - name: web\n",
            "      - command: [a]\n",
            "f.yaml:13: Deployment/web: spec.template.spec.containers[0].name is required (give it: "
            "a string)",
        ),
    ],
)
def test_what_the_kind_does_not_know_is_told_with_its_line(old: str, new: str, told: str) -> None:
    assert DEPLOYMENT.count(old) == 1
    assert _lines(DEPLOYMENT.replace(old, new)) == [told]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("replicas: 2", "replicas:"),
        ("memory: 64Mi", "memory: 64000000, cpu: 0.5"),
        ("memory: 64Mi", "memory: '1e3'"),
        ("replicas: 2", "replicas: 2\n  strategy: {rollingUpdate: {maxSurge: 25%, maxUnavailable: 0}}"),
        ("metadata: {name: web}", "metadata: {name: web, creationTimestamp: ~}\nstatus: {anything: at all}"),
    ],
)
def test_what_the_server_takes_is_no_problem(old: str, new: str) -> None:
    assert _lines(DEPLOYMENT.replace(old, new)) == []


def test_a_required_field_that_is_misspelt_is_told_once() -> None:
    assert _lines(DEPLOYMENT.replace("selector:", "selektor:").replace("template:", "templat:")) == [
        "f.yaml:4: Deployment/web: spec.selector is missing or empty (select the labels of "
        "spec.template.metadata.labels)",
        "f.yaml:4: Deployment/web: spec.template.spec.containers is missing or empty",
        "f.yaml:6: Deployment/web: unknown field spec.selektor (did you mean selector?)",
        "f.yaml:8: Deployment/web: unknown field spec.templat (did you mean template?)",
    ]


def test_a_required_field_that_is_null_is_missing() -> None:
    (told,) = _lines(DEPLOYMENT.replace("      - name: web\n", "      - name:\n"))
    assert "spec.template.spec.containers[0].name is required" in told


def test_a_field_that_a_rule_misses_its_schema_does_not_miss_again() -> None:
    without = DEPLOYMENT.replace("  selector:\n    matchLabels: {app: web}\n", "")
    (problem,) = _told(without)
    assert problem.code == "missing-selector"


def test_what_a_rule_tells_of_a_field_its_schema_does_not_tell_again() -> None:
    text = _head("v1", "ConfigMap") + "data:\n  a: 1\n"
    assert _lines(text) == ["f.yaml:5: ConfigMap/it: data.a is a number, not a string (quote it)"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            _head("apps/v1", "Deploymnet"),
            "f.yaml:2: Deploymnet/it: Kubernetes 1.36 has no apps/v1 Deploymnet "
            "(did you mean apps/v1 Deployment?)",
        ),
        (
            _head("v1", "Deployment"),
            "f.yaml:2: Deployment/it: Kubernetes 1.36 has no v1 Deployment "
            "(did you mean apps/v1 Deployment?)",
        ),
        (
            _head("networking.k8s.io/v2", "Ingress"),
            "f.yaml:2: Ingress/it: Kubernetes 1.36 has no networking.k8s.io/v2 Ingress (did you mean "
            "networking.k8s.io/v1 Ingress?)",
        ),
    ],
)
def test_a_kind_that_kubernetes_has_not_is_told_with_the_nearest(text: str, told: str) -> None:
    assert _lines(text) == [told]


def test_a_removed_api_is_told_once_and_with_what_replaces_it() -> None:
    (problem,) = _told(_head("policy/v1beta1", "PodSecurityPolicy"))
    assert problem.code == "removed-api"
    assert "pod-security.kubernetes.io/enforce" in problem.hint


@pytest.mark.parametrize("target", ["1.31", "1.36"])
def test_the_schemas_are_those_of_the_version_that_is_meant(target: str) -> None:
    text = _head("resource.k8s.io/v1", "DeviceClass") + "spec: {}\n"
    told = [p.code for p in _told(text, target=target)]
    assert told == ([] if target == "1.36" else ["unknown-kind"])


def test_without_a_version_what_an_older_one_serves_is_held_against_that() -> None:
    alpha = _head("resource.k8s.io/v1alpha3", "DeviceClass") + "spec: {more: 1}\n"
    assert [p.code for p in _told(alpha)] == ["unknown-field"]
    assert [p.code for p in _told(alpha, target="1.36")] == ["unknown-kind"]


def test_a_version_whose_schemas_are_not_carried_is_said() -> None:
    (problem,) = _told(DEPLOYMENT, target="1.28")
    assert (problem.code, problem.warning) == ("no-schemas", True)
    assert "those of 1.31" in problem.message


def test_the_newest_version_whose_removals_are_known_is_carried_too() -> None:
    assert carried()[-1] == removed.NEWEST
    assert len(carried()) >= 6


# --- custom resources


def test_custom_resources_are_held_against_the_definitions_of_the_set() -> None:
    text = CRD + "---\n" + WIDGET.replace("size: 1", "size: big, colour: red")
    assert _lines(text) == [
        "f.yaml:21: Widget/w: unknown field spec.colour (remove it, or add it to the definition's schema)",
        "f.yaml:21: Widget/w: spec.size is a string, not an integer",
    ]


def test_definitions_may_be_given_beside_the_set() -> None:
    given = [m.body for m in load_manifests("crd.yaml", CRD.encode())]
    told = _lines(WIDGET.replace("size: 1", "size: big"), definitions=tuple(given))
    assert told == ["f.yaml:4: Widget/w: spec.size is a string, not an integer"]


def test_a_version_that_a_definition_does_not_serve_is_told() -> None:
    text = CRD + "---\n" + WIDGET.replace("example.com/v1", "example.com/v2")
    assert _lines(text) == [
        "f.yaml:18: Widget/w: its definition does not serve example.com/v2 (it serves example.com/v1)"
    ]


def test_a_kind_without_a_schema_is_a_warning_told_once() -> None:
    (problem,) = _told(WIDGET + "---\n" + WIDGET.replace("name: w", "name: v"))
    assert (problem.code, problem.warning) == ("unknown-kind", True)
    assert "--crds" in problem.hint


def test_metadata_of_a_custom_resource_is_held_against_its_schema_all_the_same() -> None:
    told = _lines(CRD + "---\n" + WIDGET.replace("{name: w}", "{name: w, label: {a: b}}"))
    assert told == ["f.yaml:20: Widget/w: unknown field metadata.label (did you mean labels?)"]


def test_a_misspelt_word_of_a_definition_is_told() -> None:
    told = _lines(CRD.replace("served: true", "serve: true"))
    assert told[0].startswith("f.yaml:10: CustomResourceDefinition/widgets.example.com: unknown field")


# --- references


NAMED = DEPLOYMENT + "        envFrom: [{configMapRef: {name: setings}}]\n"
SETTINGS = "---\n" + _head("v1", "ConfigMap", "settings") + "data: {a: b}\n"


def test_what_is_not_in_the_set_may_be_in_the_cluster() -> None:
    assert _lines(NAMED + SETTINGS) == [
        "warning: f.yaml:16: Deployment/web: ConfigMap/setings is not in the set, so it must be in the "
        "cluster before (did you mean settings?)"
    ]


def test_in_a_namespace_that_the_set_makes_there_is_nothing_else() -> None:
    (problem,) = _told(NAMED + "---\n" + NAMESPACE)
    assert (problem.code, problem.warning) == ("ReferenceMissing", False)
    assert "whose namespace the set itself makes" in problem.message
    assert "allow.missing" in problem.hint


def test_what_something_else_creates_can_be_allowed() -> None:
    allow = dataclasses.replace(ENV.allow, missing=("/ConfigMap/demo/setings",))
    assert _lines(NAMED + "---\n" + NAMESPACE, env=dataclasses.replace(ENV, allow=allow)) == []


@pytest.mark.parametrize(
    "extra",
    [
        "      serviceAccountName: default\n",
        "      priorityClassName: system-node-critical\n",
        "        envFrom: [{secretRef: {name: s, optional: true}}]\n",
    ],
)
def test_what_every_cluster_has_or_a_pod_can_do_without_is_not_missing(extra: str) -> None:
    at = DEPLOYMENT.index("      containers:") if extra.startswith("      s") or "priority" in extra else None
    text = DEPLOYMENT[:at] + extra + DEPLOYMENT[at:] if at else DEPLOYMENT + extra
    assert _lines(text + "---\n" + NAMESPACE) == []


@pytest.mark.parametrize(
    ("field", "missing"),
    [
        ("serviceAccountName: robot", "ServiceAccount/robot"),
        ("volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]", "PersistentVolumeClaim/data"),
        ("volumes: [{name: v, secret: {secretName: login}}]", "Secret/login"),
        ("imagePullSecrets: [{name: pull}]", "Secret/pull"),
        ("runtimeClassName: gvisor", "RuntimeClass/gvisor"),
    ],
)
def test_everything_that_a_pod_rests_on_is_looked_for(field: str, missing: str) -> None:
    (told,) = _lines(DEPLOYMENT.replace("      containers:", f"      {field}\n      containers:"))
    assert f"{missing} is not in the set" in told


SERVICE = "---\n" + _head("v1", "Service", "web") + "spec: {selector: {app: web}, ports: [{port: 80}]}\n"
SCALER = _head("autoscaling/v2", "HorizontalPodAutoscaler")
SCALER += "spec:\n  maxReplicas: 2\n  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: %s}\n"
SCALER += "  metrics: [{type: External, external: {metric: {name: a}, target: {type: Value, value: 1}}}]\n"


@pytest.mark.parametrize(("name", "told"), [("web", 0), ("wbe", 1), ("elsewhere", 0)])
def test_a_route_or_scaler_whose_target_is_only_misspelt_is_told(name: str, told: int) -> None:
    backend = f"{{service: {{name: {name}, port: {{number: 80}}}}}}"
    ingress = _head("networking.k8s.io/v1", "Ingress") + f"spec: {{defaultBackend: {backend}}}\n"
    for text in (ingress, SCALER % name):
        found = _lines(DEPLOYMENT + SERVICE + "---\n" + text)
        assert len(found) == told, found
        assert all("did you mean web?" in line and line.startswith("warning: ") for line in found)


def test_a_file_that_two_environments_share_is_told_of_once() -> None:
    other = dataclasses.replace(ENV, name="prod", namespace="prod")
    text = DEPLOYMENT.replace("replicas", "replica")
    assert len(in_order([*_told(text), *_told(text, env=other)])) == 1


# --- selectors and ports


def test_a_service_that_selects_nothing_is_told() -> None:
    service = _head("v1", "Service") + "spec:\n  selector: {app: wep}\n  ports: [{port: 80}]\n"
    (told,) = _lines(DEPLOYMENT + "---\n" + service)
    assert told.startswith("warning: f.yaml:21: Service/it: its selector app=wep selects no pods")
    assert "did you mean web?" in told


PORTS = _head("v1", "Service") + "spec:\n  ports:\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (PORTS + "  - {port: 0}\n", [("bad-port", 6)]),
        (PORTS + "  - {port: 70000}\n", [("bad-port", 6)]),
        (PORTS + "  - {port: 80, targetPort: '80'}\n", [("bad-port", 6)]),
        (PORTS + "  - {port: 80, targetPort: a_b}\n", [("bad-port", 6)]),
        (PORTS + "  - {port: 80, targetPort: http}\n", []),
        (PORTS + "  - {port: 80}\n  - {port: 81, name: b}\n", [("bad-port", 6)]),
        (PORTS + "  - {port: 80, name: a}\n  - {port: 81, name: a}\n", [("duplicate-item", 7)]),
        (PORTS + "  - {port: 80, name: a}\n  - {port: 80, name: b, protocol: UDP}\n", []),
        (DEPLOYMENT + "        ports: [{containerPort: 70000}]\n", [("bad-port", 16)]),
        (DEPLOYMENT + "        ports: [{containerPort: 80, name: much-too-long-name}]\n", [("bad-port", 16)]),
        (DEPLOYMENT + "        ports: [{containerPort: 80, hostPort: 0, name: http}]\n", []),
    ],
)
def test_ports_are_ports(text: str, told: list[tuple[str, int]]) -> None:
    assert [(p.code, p.origin.line if p.origin else 0) for p in _told(text)] == told


def test_a_mount_of_a_volume_that_the_pod_has_not_is_told() -> None:
    mounts = "        volumeMounts: [{name: confg, mountPath: /c}]\n"
    mounts += "      volumes: [{name: config, emptyDir: {}}]\n"
    assert _lines(DEPLOYMENT + mounts) == [
        'f.yaml:16: Deployment/web: the pod has no volume "confg" (did you mean config?)'
    ]


def test_a_probe_of_a_port_that_its_container_has_not_is_told() -> None:
    probe = (
        "        ports: [{name: http, containerPort: 80}]\n        readinessProbe: {httpGet: {port: htp}}\n"
    )
    assert _lines(DEPLOYMENT + probe) == [
        'warning: f.yaml:17: Deployment/web: readinessProbe asks for port "htp", which is no port\'s name in '
        "its container (did you mean http?)"
    ]


def test_an_init_container_cannot_have_the_name_of_another() -> None:
    init = "      initContainers: [{name: web, image: 'i:1'}]\n"
    (told,) = _lines(DEPLOYMENT + init)
    assert 'two containers are called "web"' in told


JOB = _head("batch/v1", "Job") + "spec:\n  template:\n    spec:\n      restartPolicy: Never\n"
JOB += "      containers: [{name: c, image: 'c:1'}]\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (JOB, []),
        (JOB.replace("Never", "OnFailure"), []),
        (JOB.replace("Never", "Always"), [("bad-value", 7)]),
        (JOB.replace("      restartPolicy: Never\n", ""), [("bad-value", 6)]),
        (JOB.replace("Never", "Sometimes"), [("bad-value", 7)]),
        (DEPLOYMENT.replace("      containers:", "      restartPolicy: Always\n      containers:"), []),
        (
            DEPLOYMENT.replace("      containers:", "      restartPolicy: Never\n      containers:"),
            [("bad-value", 12)],
        ),
        (DEPLOYMENT.replace("- name: web", "- name: Web"), [("bad-name", 13)]),
        (DEPLOYMENT + "      volumes: [{name: a.b, emptyDir: {}}]\n", [("bad-name", 16)]),
    ],
)
def test_what_a_controller_wants_of_its_pods(text: str, told: list[tuple[str, int]]) -> None:
    assert [(p.code, p.origin.line if p.origin else 0) for p in _told(text)] == told


@pytest.mark.parametrize(
    ("schedule", "codes"), [("*/5 * * * *", []), ("@daily", []), ("* * * *", ["bad-value"])]
)
def test_a_schedule_has_five_fields(schedule: str, codes: list[str]) -> None:
    text = _head("batch/v1", "CronJob") + f"spec:\n  schedule: '{schedule}'\n  jobTemplate:\n    spec:\n"
    text += "      template: {spec: {restartPolicy: Never, containers: [{name: c, image: 'c:1'}]}}\n"
    assert [p.code for p in _told(text)] == codes


# --- Pod Security


def test_pods_that_the_level_of_their_namespace_forbids_are_told_with_each_field() -> None:
    labelled = NAMESPACE + "  labels: {pod-security.kubernetes.io/enforce: restricted}\n"
    told = _lines(
        DEPLOYMENT.replace("      containers:", "      hostNetwork: true\n      containers:")
        + "---\n"
        + labelled
    )
    assert [line.split(": ", 2)[2].split(" is ")[0].split(" does ")[0] for line in told] == [
        "spec.template.spec.hostNetwork",
        "spec.template.spec.containers[0].securityContext.allowPrivilegeEscalation",
        "spec.template.spec.containers[0].securityContext.runAsNonRoot",
        "spec.template.spec.containers[0].securityContext.seccompProfile.type",
        "spec.template.spec.containers[0].securityContext.capabilities.drop",
    ]
    assert told[0].startswith("f.yaml:12: ")
    assert all("which the level restricted of its namespace forbids" in line for line in told)


def test_a_namespace_without_a_level_forbids_nothing() -> None:
    assert _lines(DEPLOYMENT + "---\n" + NAMESPACE) == []


def test_a_level_that_is_none_is_told() -> None:
    (told,) = _lines(NAMESPACE + "  labels: {pod-security.kubernetes.io/enforce: strict}\n")
    assert '"strict" is no level of Pod Security (one of privileged, baseline, restricted)' in told


# --- together


def test_all_problems_are_told_at_once_and_in_the_order_of_the_file() -> None:
    text = (
        NAMED.replace("replicas: 2", "replica: 2").replace("app: web}\n  template", "app: wep}\n  template")
        + "---\n"
        + _head("policy/v1beta1", "PodDisruptionBudget")
        + "---\n"
        + _head("v1", "ConfigMap", "A")
        + "data: {a: 1}\n"
    )
    lines = [p.origin.line for p in _told(text) if p.origin]
    assert lines == sorted(lines)
    assert {p.code for p in _told(text)} >= {
        "unknown-field",
        "selector-mismatch",
        "ReferenceMissing",
        "removed-api",
        "bad-name",
        "wrong-type",
    }


def test_no_problem_shows_a_value_of_a_secret() -> None:
    text = (
        _head("v1", "Secret")
        + "type: 5\nstringData: {a: s3cr3t-value}\ndata: [s3cr3t-value]\nmore: s3cr3t-value\n"
    )
    assert _told(text)
    assert "s3cr3t-value" not in repr(_told(text))

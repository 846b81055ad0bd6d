"""Charts as sources: first deploy, upgrades, hooks, rollback, made-up values, a stack of 100 objects."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import stack_chart
from tests.e2e.audit import Audit
from tests.e2e.conftest import MakeRepo
from tests.e2e.manifests import SETTINGS
from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

NGINX = {
    "Chart.yaml": "apiVersion: v2\nname: nginx\nversion: 0.1.0\n",
    "values.yaml": "replicas: 1\nimage: nginx:1.27\ngreeting: hello\n",
    "templates/_helpers.tpl": '{{ define "nginx.name" }}{{ .Release.Name }}-nginx{{ end }}\n',
    "templates/configmap.yaml": """
        apiVersion: v1
        kind: ConfigMap
        metadata:
          name: {{ include "nginx.name" . }}
        data:
          greeting: {{ .Values.greeting }}
        """,
    "templates/deployment.yaml": """
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          name: {{ include "nginx.name" . }}
        spec:
          replicas: {{ .Values.replicas }}
          selector: {matchLabels: {app: nginx}}
          template:
            metadata: {labels: {app: nginx}}
            spec:
              containers:
              - name: nginx
                image: {{ .Values.image }}
                ports: [{name: http, containerPort: 80}]
                envFrom: [{configMapRef: {name: {{ include "nginx.name" . }}}}]
        """,
    "templates/service.yaml": """
        apiVersion: v1
        kind: Service
        metadata:
          name: {{ include "nginx.name" . }}
        spec:
          selector: {app: nginx}
          ports: [{name: http, port: 80, targetPort: http}]
        """,
}


def job(name: str, events: str, weight: int = 0, policy: str = "before-hook-creation") -> str:
    return f"""
        apiVersion: batch/v1
        kind: Job
        metadata:
          name: {{{{ .Release.Name }}}}-{name}
          annotations:
            helm.sh/hook: {events}
            helm.sh/hook-weight: "{weight}"
            helm.sh/hook-delete-policy: {policy}
        spec:
          backoffLimit: 0
          template:
            spec:
              restartPolicy: Never
              containers: [{{name: main, image: "{{{{ .Values.job | default "run:1" }}}}"}}]
        """


@pytest.fixture
def make(make_repo: MakeRepo, helm: str) -> Callable[..., Workspace]:
    """A repository with the chart ``charts/nginx`` and further templates, as the only source of dev."""

    def made(values: str = "replicas: 2\n", **templates: str) -> Workspace:
        repo = make_repo(create=True)
        repo.environ["PIPELINE_HELM"] = helm
        for path, text in NGINX.items():
            repo.write(f"charts/nginx/{path}", text)
        for name, text in templates.items():
            repo.write(f"charts/nginx/templates/{name}.yaml", text)
        repo.write("environments/dev/values.yaml", values)
        repo.environment(sources="[{helm: {chart: ../../charts/nginx, release: web, values: [values.yaml]}}]")
        repo.commit()
        return repo

    return made


def actions(document: Any) -> dict[str, str]:
    changes = {c["object"]: c["action"] for c in document["plan"]["changes"]}
    return {object_.rpartition("/")[2]: action for object_, action in changes.items() if action != "keep"}


def test_a_chart_is_deployed_and_an_upgrade_changes_what_its_values_changed(
    make: Callable[..., Workspace],
) -> None:
    repo = make()
    first = repo.deployed()
    assert {c["object"].split("/")[1] for c in first["plan"]["changes"]} == {
        "ConfigMap",
        "Deployment",
        "Service",
    }
    assert repo.get("apps/v1/deployments", "web-nginx")["spec"]["replicas"] == 2
    (deployment,) = [c for c in first["plan"]["changes"] if "Deployment" in c["object"]]
    assert deployment["origin"] == "charts/nginx/templates/deployment.yaml:1"

    before = repo.objects()
    again = repo.run("-o", "json", "deploy", "-e", "dev")
    assert again.code == 0, str(again)
    assert repo.objects() == before

    repo.write("environments/dev/values.yaml", "replicas: 3\n")
    repo.commit()
    code, found = repo.json("changes", "-e", "dev")
    (environment,) = found["environments"]
    assert code == 0
    assert environment["because"] == [
        "environments/dev/values.yaml was modified, and is used by dev: "
        "charts/nginx ← environments/dev/values.yaml"
    ]
    assert environment["objects"] == [f"apps/Deployment/{repo.namespace}/web-nginx"]
    second = repo.deployed()
    changed = [c["object"] for c in second["plan"]["changes"] if c["action"] == "update"]
    assert changed == [f"apps/Deployment/{repo.namespace}/web-nginx"]


def test_hooks_run_in_helm_s_order_and_go_as_their_policies_say(
    make: Callable[..., Workspace], audit: Audit
) -> None:
    run = audit.watch(
        make(
            late=job("late", "pre-install,pre-upgrade", 5, "hook-succeeded"),
            aaa=job("later", "pre-install", 5),
            early=job("early", "pre-install", -5),
            post=job("post", "post-install,post-upgrade", 0, "before-hook-creation,hook-succeeded"),
            back=job("back", "post-rollback"),
            test=job("test", "test"),
        )
    )
    repo = run.repo
    assert run.deploy().code == 0
    written = [r.what for r in run.writes if r.verb == "patch"]
    assert written[:3] == ["jobs/web-early", "jobs/web-late", "jobs/web-later"]
    assert written[-1] == "jobs/web-post"
    jobs = [item["metadata"]["name"] for item in repo.get("batch/v1/jobs")["items"]]
    assert jobs == ["web-early", "web-later"]

    repo.write("environments/dev/values.yaml", "replicas: 1\ngreeting: bye\n")
    repo.commit()
    assert run.deploy().code == 0
    written = [r.what for r in run.writes if r.verb == "patch"]
    assert written[0] == "jobs/web-late"
    assert written[-1] == "jobs/web-post"
    assert not {"jobs/web-early", "jobs/web-later", "jobs/web-test", "jobs/web-back"} & set(written)


def test_an_upgrade_that_fails_is_rolled_back_with_the_template_s_line(
    make: Callable[..., Workspace],
) -> None:
    repo = make()
    repo.deployed()
    before = repo.get("apps/v1/deployments", "web-nginx")["spec"]
    repo.write("environments/dev/values.yaml", "replicas: 2\nimage: 'nginx:missing'\ngreeting: bye\n")
    repo.commit()
    code, found = repo.json("deploy", "-e", "dev")
    assert code == 10, found
    assert repo.get("apps/v1/deployments", "web-nginx")["spec"] == before
    assert repo.get("configmaps", "web-nginx")["data"] == {"greeting": "hello"}
    assert any(c["origin"] == "charts/nginx/templates/deployment.yaml:13" for c in found["causes"]), found[
        "causes"
    ]


def test_a_pre_upgrade_hook_that_fails_leaves_everything_as_it_was(make: Callable[..., Workspace]) -> None:
    repo = make(values="replicas: 1\n", pre=job("pre", "pre-upgrade"))
    repo.deployed()
    before = repo.objects()
    repo.write("environments/dev/values.yaml", "replicas: 1\ngreeting: bye\njob: 'run:crash'\n")
    repo.commit()
    code, _ = repo.json("deploy", "-e", "dev")
    assert code == 10
    after = repo.objects() or {}
    assert {k: v for k, v in after.items() if "jobs/" not in k} == before


MADE_UP = """
    apiVersion: v1
    kind: Secret
    metadata:
      name: login
    stringData:
      user: {{ .Values.user | default "admin" }}
      password: {{ randAlphaNum 24 }}
    """


def test_a_made_up_password_stays_from_release_to_release(make: Callable[..., Workspace]) -> None:
    repo = make(login=MADE_UP)
    first = repo.run("deploy", "-e", "dev")
    assert first.code == 0
    assert "/Secret/" in first.stderr
    assert "login is made up anew at each rendering: data.password" in first.stderr
    password = repo.get("secrets", "login")["data"]["password"]
    assert base64.b64decode(password).decode() not in first.output

    unchanged = repo.objects()
    assert repo.run("deploy", "-e", "dev").code == 0
    assert repo.objects() == unchanged

    repo.write("environments/dev/values.yaml", "greeting: bye\nuser: root\n")
    repo.commit()
    second = repo.deployed()
    assert {k: a for k, a in actions(second).items() if a != "none"}["login"] == "update"
    live = repo.get("secrets", "login")["data"]
    assert live["password"] == password
    assert base64.b64decode(live["user"]) == b"root"


def test_a_plan_of_a_chart_with_made_up_values_is_the_one_that_is_carried_out(
    make: Callable[..., Workspace],
) -> None:
    repo = make(login=MADE_UP)
    repo.deployed()
    repo.write("environments/dev/values.yaml", "greeting: bye\n")
    repo.commit()
    code, plan = repo.json("plan", "-e", "dev")
    assert code == 0
    found = repo.deployed("--plan", plan["digest"])
    assert found["plan"]["digest"] == plan["digest"]


ONCE = """
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: {{ if .Release.IsInstall }}first{{ else }}later{{ end }}}
    """


def test_the_next_deploy_of_a_chart_is_its_upgrade_and_then_nothing_changes(
    make: Callable[..., Workspace],
) -> None:
    repo = make(once=ONCE)
    assert actions(repo.deployed())["first"] == "create"
    assert actions(repo.deployed()) == {"first": "delete", "later": "create"}
    unchanged = repo.objects()
    assert actions(repo.deployed()) == {}
    assert repo.objects() == unchanged


def test_a_chart_that_joins_an_environment_is_installed_there_with_its_hooks(
    make: Callable[..., Workspace],
) -> None:
    repo = make(once=ONCE, early=job("early", "pre-install"), late=job("late", "pre-upgrade"))
    with_chart = (repo.folder / "environments/dev/environment.yaml").read_text()
    repo.environment()
    repo.manifest("settings.yaml", SETTINGS)
    repo.commit()
    repo.deployed()
    repo.write("environments/dev/environment.yaml", with_chart)
    repo.commit()
    joined = actions(repo.deployed())
    assert (joined["web-early"], joined["first"]) == ("create", "create")
    assert "web-late" not in joined
    repo.write("environments/dev/values.yaml", "replicas: 1\n")
    repo.commit()
    upgraded = actions(repo.deployed())
    assert upgraded["web-late"] == "create"
    assert "web-early" not in upgraded


FIRST = """
    {{- $ca := genCA "admission" 365 }}
    apiVersion: v1
    kind: Secret
    metadata: {name: login}
    stringData: {user: admin, password: {{ randAlphaNum 24 }}, ca: {{ $ca.Key | b64enc }}}
    ---
    apiVersion: v1
    kind: ConfigMap
    metadata:
      name: once-{{ randAlphaNum 5 | lower }}
      annotations: {checksum/ca: {{ $ca.Cert | sha256sum }}}
    data: {ca: {{ $ca.Cert | b64enc }}, greeting: {{ .Values.greeting }}}
    """


def test_the_first_plan_of_a_chart_with_made_up_values_can_be_reviewed_and_run(
    make: Callable[..., Workspace], tmp_path: Path
) -> None:
    """A password is not what one reviews: where no record has it, the run that writes it makes it up."""
    repo = make(made=FIRST)
    saved = tmp_path / "plan.json"
    _, one = repo.json("plan", "-e", "dev")
    _, two = repo.json("plan", "-e", "dev", "--save", str(saved))
    assert one["digest"] == two["digest"]
    repo.edit("charts/nginx/templates/made.yaml", "user: admin", "user: root")
    repo.commit()
    refused = repo.run("deploy", "-e", "dev", "--plan", str(saved))
    assert refused.code == 22
    assert "once-" not in refused.stderr.partition("error:")[2]
    repo.git("checkout", "-q", "HEAD~1")
    found = repo.deployed("--plan", one["digest"])
    assert found["plan"]["digest"] == one["digest"]
    password = base64.b64decode(repo.get("secrets", "login")["data"]["password"])
    assert len(password) == 24
    assert password.decode() not in saved.read_text()


def test_templates_are_told_what_the_cluster_serves(make: Callable[..., Workspace]) -> None:
    told = """
        apiVersion: v1
        kind: ConfigMap
        metadata:
          name: told
        data:
          version: {{ .Capabilities.KubeVersion.Version }}
          leases: {{ .Capabilities.APIVersions.Has "coordination.k8s.io/v1/Lease" | quote }}
          nothing: {{ .Capabilities.APIVersions.Has "nothing.example.com/v1" | quote }}
        """
    repo = make(told=told)
    repo.deployed()
    version = repo.cluster.api.call("GET", "/version")["gitVersion"]
    assert repo.get("configmaps", "told")["data"] == {
        "version": version,
        "leases": "true",
        "nothing": "false",
    }
    offline = repo.run("-o", "json", "render", "-e", "dev", env={"KUBECONFIG": "/nowhere"})
    assert offline.code == 0
    (found,) = [o for o in offline.document["objects"] if o["metadata"]["name"] == "told"]
    assert found["data"]["version"] == "v1.36.0"
    assert found["data"]["leases"] == "false"


def test_problems_of_charts_are_told_by_validate_with_their_lines(make: Callable[..., Workspace]) -> None:
    repo = make(bad='a: b\nc: {{ required "a host" .Values.host }}\n')
    result = repo.run("validate")
    assert result.code == 20
    assert "charts/nginx/templates/bad.yaml:2: helm: a host" in result.stdout


# --- a stack of the size of kube-prometheus-stack


@contextmanager
def operator(repo: Workspace) -> Iterator[None]:
    """What the operator's pods would do: custom resources with a status get one."""
    stop = threading.Event()
    group = f"/apis/{stack_chart.GROUP}/v1/namespaces/{repo.namespace}"
    conditions = [{"type": kind, "status": "True"} for kind in ("Available", "Reconciled")]

    def work() -> None:
        while not stop.wait(0.3):
            for plural in ("prometheuses", "alertmanagers"):
                try:
                    for item in repo.cluster.api.call("GET", f"{group}/{plural}")["items"]:
                        at = f"{group}/{plural}/{item['metadata']['name']}/status"
                        generation = item["metadata"]["generation"]
                        own = [{**c, "observedGeneration": generation} for c in conditions]
                        item["status"] = {"conditions": own, "observedGeneration": generation}
                        repo.cluster.api.call("PUT", at, item)
                except OSError:
                    continue  # the definition is not there yet, or another write came first

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


STACK_ENVIRONMENT = """
prune: {maxDeletions: 50}
allow:
  clusterScoped:
  - CustomResourceDefinition
  - ClusterRole
  - ClusterRoleBinding
  - MutatingWebhookConfiguration
  - ValidatingWebhookConfiguration
  missing: [/Secret/$NS/stack-admission]
"""


def test_a_stack_with_definitions_webhooks_and_hooks_is_deployed_and_upgraded(
    make_repo: MakeRepo, helm: str
) -> None:
    repo = make_repo(create=True)
    repo.environ["PIPELINE_HELM"] = helm
    stack_chart.write(repo.folder / "charts/stack")
    repo.write("environments/dev/values.yaml", f"fullnameOverride: {repo.application}\n")
    repo.environment(
        STACK_ENVIRONMENT.replace("stack-admission", f"{repo.application}-admission"),
        sources="[{helm: {chart: ../../charts/stack, release: stack, values: [values.yaml]}}]",
        deploy="{timeout: 80s}",
    )
    repo.commit()
    with operator(repo):
        first = repo.deployed()
        assert len(first["plan"]["changes"]) > 100
        again = repo.run("-o", "json", "deploy", "-e", "dev")
        assert again.code == 0, str(again)
        assert again.document["plan"]["changes"] == [] or {
            c["action"] for c in again.document["plan"]["changes"]
        } <= {"keep", "none"}
        repo.write(
            "environments/dev/values.yaml",
            f"fullnameOverride: {repo.application}\ngrafana: {{image: 'grafana:13'}}\n",
        )
        repo.commit()
        second = repo.deployed()
    updated = {c["object"] for c in second["plan"]["changes"] if c["action"] == "update"}
    assert updated == {f"apps/Deployment/{repo.namespace}/stack-grafana"}
    jobs = repo.get("batch/v1/jobs")["items"]
    assert jobs == []

"""What falls short is put back: the cause is named, and all is as it was before, owners included."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.conftest import MakeRepo, make_app
from tests.e2e.live import answering, changed, line_of, ready_images, snapshot, until
from tests.e2e.manifests import config_map
from tests.e2e.stories import AT_ONCE, Stories
from tests.e2e.workspace import Result, Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

story = Stories()
WEB_FILE = "environments/dev/manifests/web.yaml"


def deployment(
    image: str = "nginx:1.21", *, mode: str = "", init: str = "", spec: str = "", name: str = "web"
) -> str:
    """A Deployment's manifest; every line that a cause may point at is a line of its own."""
    lines = [
        "apiVersion: apps/v1",
        "kind: Deployment",
        f"metadata: {{name: {name}}}",
        "spec:",
        *([f"  {spec}"] if spec else []),
        f"  selector: {{matchLabels: {{app: {name}}}}}",
        "  template:",
        "    metadata:",
        f"      labels: {{app: {name}}}",
        *([f"      annotations: {{pipeline.test/pod: {mode}}}"] if mode else []),
        "    spec:",
        *(["      initContainers:", "        - name: prepare", f"          image: {init}"] if init else []),
        "      containers:",
        "        - name: main",
        f"          image: {image}",
        "          readinessProbe: {tcpSocket: {port: 80}}",
    ]
    return "\n".join(lines) + "\n"


def job(image: str, spec: str = "backoffLimit: 0") -> str:
    return f"""\
apiVersion: batch/v1
kind: Job
metadata: {{name: migrate}}
spec:
  {spec}
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: {image}
"""


@dataclass(frozen=True)
class Failure:
    """A bad manifest for ``file``, and what must be told of it: the cause, and the line that holds ``at``."""

    manifest: str
    code: str
    at: str
    file: str = "web.yaml"
    policy: str = ""
    timeout: str = "40s"
    leaves: str = ""  # a field with a default: its value is restored, and it stays ours


GRACE = "rollout: {grace: {image: 2s, schedule: 2s, restarts: 2}}"
FAILURES = {
    "a missing image": Failure(deployment("nginx:missing"), "ImageNotFound", "nginx:missing"),
    "a denied image": Failure(deployment("nginx:denied"), "ImageDenied", "nginx:denied"),
    "a registry that is down": Failure(
        deployment("nginx:registry-down"), "ImageRegistryUnavailable", "nginx:registry-down", policy=GRACE
    ),
    "an image name that is none": Failure(deployment("Bad:Image:Name"), "ImageNameInvalid", "Bad:Image:Name"),
    "a crash loop": Failure(deployment("nginx:crash"), "CrashLoop", "name: main"),
    "no memory left": Failure(deployment("nginx:oom"), "OutOfMemory", "name: main"),
    "a missing configuration": Failure(
        deployment("nginx:configerror"), "ContainerConfigMissing", "name: main"
    ),
    "an init container that fails": Failure(
        deployment(init="setup:crash"), "InitContainerFailed", "name: prepare"
    ),
    "an init container without image": Failure(
        deployment(init="setup:missing"), "ImageNotFound", "setup:missing"
    ),
    "pods that never are ready": Failure(
        deployment(mode="unready"), "ReadinessProbeFailed", "readinessProbe", timeout="5s"
    ),
    "no progress within its deadline": Failure(
        deployment(mode="unready", spec="progressDeadlineSeconds: 2"),
        "ProgressDeadlineExceeded",
        "progressDeadlineSeconds",
        leaves="f:progressDeadlineSeconds",
    ),
    "a job that fails": Failure(job("migrate:crash"), "JobFailed", "name: main", file="job.yaml"),
}


@dataclass(frozen=True)
class Story:
    """What a bad release did: the repository with the state before it and after."""

    repo: Workspace
    before: dict[str, Any]
    images: list[str]
    result: Result

    @property
    def report(self) -> Any:
        return self.result.document


@pytest.fixture(scope="module")
def stories(make_repo: MakeRepo) -> Iterator[dict[str, Story]]:
    """All bad releases, each in an environment of its own, some at a time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        repos = {name: make_repo(create=True) for name in FAILURES}
        told = pool.map(lambda name: fail(repos[name], FAILURES[name]), FAILURES)
        yield dict(zip(FAILURES, told, strict=True))


def fail(repo: Workspace, failure: Failure) -> Story:
    deploy = f"{{onMerge: true, branch: main, timeout: {failure.timeout}}}"
    repo.environment(failure.policy, deploy=deploy)
    repo.manifest("web.yaml", deployment())
    repo.manifest("settings.yaml", config_map("settings", color="red"))
    repo.commit("good")
    repo.deployed()
    before, images = snapshot(repo), ready_images(repo)
    repo.manifest(failure.file, failure.manifest)
    repo.manifest("settings.yaml", config_map("settings", color="blue"))
    repo.commit("bad")
    return Story(repo, before, images, repo.run("-o", "json", "deploy", "-e", "dev"))


@pytest.mark.parametrize("name", FAILURES)
def test_a_bad_release_is_put_back_and_its_cause_named(stories: dict[str, Story], name: str) -> None:
    story, failure = stories[name], FAILURES[name]
    assert story.result.code == 10, str(story.result)
    report = story.report
    line = line_of(failure.manifest, failure.at)

    assert (report["schema"], report["command"], report["environment"]) == (
        "pipeline/report/v1",
        "deploy",
        "dev",
    )
    assert (report["result"], report["exit_code"]) == ("rolled-back", 10)
    assert (report["release"]["number"], report["release"]["phase"], report["release"]["previous"]) == (
        2,
        "ROLLED_BACK",
        1,
    )
    assert report["rollback"] == {"verified": True, "differences": []}
    causes = {c["code"]: c for c in report["causes"]}
    cause = causes[failure.code]
    assert cause["origin"] == f"environments/dev/manifests/{failure.file}:{line}"
    assert cause["object"].endswith(("/web", "/migrate"))
    assert cause["message"]
    assert cause["hint"]
    assert report["timings"]["rollback"] > 0


@pytest.mark.parametrize("name", FAILURES)
def test_after_a_bad_release_everything_is_as_before(stories: dict[str, Story], name: str) -> None:
    story = stories[name]

    leaves = FAILURES[name].leaves
    assert [line for line in changed(story.before, story.repo) if not leaves or leaves not in line] == []
    assert story.images == ["nginx:1.21"]
    until(lambda: ready_images(story.repo) == story.images)
    until(lambda: len(story.repo.get("pods")["items"]) == 1)


SLOW = ("no progress within its deadline", "pods that never are ready")


@pytest.mark.parametrize("name", ["a missing image", "a job that fails", *SLOW])
def test_a_bad_release_goes_through_all_phases_and_is_remembered(
    stories: dict[str, Story], name: str
) -> None:
    story = stories[name]
    told = [
        line.split(": ")[1] for line in story.result.stderr.splitlines() if line.startswith("release 2: ")
    ]
    _, history = story.repo.json("history", "-e", "dev")

    # What fails while the rest is still being sent need not be waited for.
    at_once = name not in SLOW and "VERIFYING" not in told
    assert told == ["APPLYING", *([] if at_once else ["VERIFYING"]), "FAILED", "ROLLING_BACK", "ROLLED_BACK"]
    assert [(r["number"], r["phase"], r["result"]) for r in history["releases"]] == [
        (2, "ROLLED_BACK", "rolled-back"),
        (1, "SUCCEEDED", "ok"),
    ]


@pytest.mark.parametrize("name", ["a missing image", "a job that fails"])
def test_the_good_revision_has_nothing_to_write_after_a_rollback(
    stories: dict[str, Story], name: str
) -> None:
    repo = stories[name].repo
    before = repo.objects()

    report = repo.deployed("--revision", "HEAD~1")

    assert [c["action"] for c in report["plan"]["changes"]] == ["keep", "keep"]
    assert repo.objects() == before


# --- the first deploy


@story("remove", "keep")
def a_first_deploy_that_fails_is_removed_or_kept(make_repo: MakeRepo, policy: str) -> None:
    repo = make_repo(create=True)
    repo.environment(f"rollback: {{onFirstDeploy: {policy}}}")
    repo.manifest("web.yaml", deployment("nginx:missing"))
    repo.manifest("settings.yaml", config_map("settings"))
    repo.commit()

    result = repo.run("-o", "json", "deploy", "-e", "dev")

    assert result.code == (10 if policy == "remove" else 11), str(result)
    there = set(snapshot(repo))
    assert there == (set() if policy == "remove" else {"configmaps/settings", "apps/v1/deployments/web"})
    assert result.document["release"]["phase"] == ("ROLLED_BACK" if policy == "remove" else "FAILED")
    assert result.document["release"]["previous"] is None
    assert result.document["causes"][0]["code"] == "ImageNotFound"


# --- without rollback


@story()
def without_automatic_rollback_the_failed_state_stays(make_repo: MakeRepo) -> None:
    app = make_app(make_repo)
    app.environment("rollback: {auto: false}")
    app.commit()
    app.deployed()
    app.manifest("web.yaml", deployment("nginx:missing", name="web2"))
    app.manifest("more.yaml", config_map("more"))
    app.commit()

    result = app.run("-o", "json", "deploy", "-e", "dev")

    assert result.code == 11, str(result)
    assert result.document["release"]["phase"] == "FAILED"
    assert result.document["rollback"]["verified"] is None
    assert {"configmaps/more", "apps/v1/deployments/web2"} <= set(snapshot(app))
    _, history = app.json("history", "-e", "dev")
    assert (history["releases"][0]["phase"], history["releases"][0]["result"]) == ("FAILED", "failed")

    app.deployed("--revision", "HEAD~1", "--allow-older")
    assert set(snapshot(app)) == {"configmaps/settings", "apps/v1/deployments/web"}


@story()
def without_automatic_rollback_a_budget_that_ran_out_is_told_apart(make_repo: MakeRepo) -> None:
    app = make_app(make_repo)
    app.environment("rollback: {auto: false}", deploy="{timeout: 3s}")
    app.manifest("web.yaml", deployment(mode="unready"))
    app.commit()

    code, report = app.json("deploy", "-e", "dev")

    assert (code, report["result"], report["causes"][0]["code"]) == (
        12,
        "timed-out",
        "ReadinessProbeFailed",
    )


@story()
def what_was_not_applied_when_a_deploy_failed_is_applied_by_the_next(make_repo: MakeRepo) -> None:
    app = make_app(make_repo)
    app.environment("rollback: {auto: false}")
    app.commit()
    app.deployed()
    clash(app, 30007)
    needed = ", ".join(f"/Service/{app.namespace}/{name}" for name in ("one", "two"))
    app.edit(
        WEB_FILE,
        "  name: web\nspec",
        f"  name: web\n  annotations: {{pipeline/depends-on: '{needed}'}}\nspec",
    )
    app.edit(WEB_FILE, "nginx:1.21", "nginx:1.22")
    app.commit()
    code, report = app.json("deploy", "-e", "dev")
    assert code == 11
    assert sorted(a["result"] for a in report["applied"]) == ["applied", "failed", "skipped", "unchanged"]
    assert "already allocated" in report["causes"][0]["message"]

    app.manifest("one.yaml", node_port("one", 30008))
    app.manifest("two.yaml", node_port("two", 30010))
    app.commit()
    app.deployed()

    assert {"services/one", "services/two"} <= set(snapshot(app))
    until(lambda: ready_images(app) == ["nginx:1.22"])


@story()
def a_write_that_is_refused_midway_leads_back(make_repo: MakeRepo) -> None:
    app = make_app(make_repo)
    app.deployed()
    before = snapshot(app)
    clash(app, 30009)
    app.manifest("settings.yaml", config_map("settings", greeting="bye"))
    app.commit()

    code, report = app.json("deploy", "-e", "dev")

    assert code == 10
    cause = report["causes"][0]
    assert cause["origin"] in (
        "environments/dev/manifests/one.yaml:1",
        "environments/dev/manifests/two.yaml:1",
    )
    assert changed(before, app) == []


def clash(repo: Workspace, port: int) -> None:
    """Two Services for one port of the nodes: each passes the dry run, and the second is refused as it is
    written."""
    for name in ("one", "two"):
        repo.manifest(f"{name}.yaml", node_port(name, port))


def node_port(name: str, port: int) -> str:
    """Of the lower ports, which the server gives to nobody who does not ask for one."""
    head = f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  type: NodePort\n"
    return f"{head}  ports: [{{port: 80, nodePort: {port}}}]\n"


# --- everything that a release can change


GOOD = {
    "settings.yaml": """\
        apiVersion: v1
        kind: ConfigMap
        metadata:
          name: settings
          labels: {tier: front}
          annotations: {note: old}
        data: {greeting: hello, color: red}
        """,
    "credentials.yaml": """\
        apiVersion: v1
        kind: Secret
        metadata: {name: credentials}
        stringData: {password: first-CANARY, user: ana}
        """,
    "service.yaml": """\
        apiVersion: v1
        kind: Service
        metadata: {name: web}
        spec:
          selector: {app: web}
          ports:
            - {name: http, port: 80, targetPort: 8080}
            - {name: admin, port: 81, targetPort: 8081}
        """,
    "autoscaler.yaml": """\
        apiVersion: autoscaling/v2
        kind: HorizontalPodAutoscaler
        metadata: {name: web}
        spec:
          minReplicas: 2
          maxReplicas: 5
          scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
          metrics:
            - type: Resource
              resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}
        """,
    "web.yaml": """\
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          name: web
          annotations: {owner: shop, note: old}
        spec:
          replicas: 2
          selector: {matchLabels: {app: web}}
          template:
            metadata:
              labels: {app: web}
              annotations: {config: v1}
            spec:
              terminationGracePeriodSeconds: 5
              containers:
                - name: main
                  image: nginx:1.21
                  env:
                    - {name: COLOR, value: red}
                    - {name: MODE, value: plain}
                  resources: {requests: {cpu: 50m}}
                - name: side
                  image: envoy:1.0
        """,
}

BAD = {
    "settings.yaml": """\
        apiVersion: v1
        kind: ConfigMap
        metadata:
          name: settings
          annotations: {note: new, extra: one}
        data: {greeting: bye, size: large}
        """,
    "credentials.yaml": """\
        apiVersion: v1
        kind: Secret
        metadata: {name: credentials}
        stringData: {password: second-CANARY}
        """,
    "service.yaml": """\
        apiVersion: v1
        kind: Service
        metadata: {name: web}
        spec:
          selector: {app: web, tier: front}
          ports:
            - {name: http, port: 80, targetPort: 9090}
            - {name: metrics, port: 82}
        """,
    "autoscaler.yaml": """\
        apiVersion: autoscaling/v2
        kind: HorizontalPodAutoscaler
        metadata: {name: web}
        spec:
          maxReplicas: 9
          scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
        """,
    "web.yaml": """\
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          name: web
          annotations: {note: new}
        spec:
          minReadySeconds: 1
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web, version: two}}
            spec:
              containers:
                - name: main
                  image: nginx:missing
                  args: [serve]
                  env:
                    - {name: MODE, value: fancy}
                    - {name: NEW, value: "1"}
        """,
    "new.yaml": """\
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: brand-new}
        data: {a: b}
        ---
        apiVersion: v1
        kind: ServiceAccount
        metadata: {name: brand-new}
        """,
}


@story()
def all_kinds_and_fields_that_one_bad_release_changed_are_restored_with_their_owners(
    make_repo: MakeRepo,
) -> None:
    repo = make_repo(create=True)
    repo.environment()
    for name, text in GOOD.items():
        repo.manifest(name, text)
    repo.commit("good")
    repo.deployed()
    before = snapshot(repo)
    for name, text in BAD.items():
        repo.manifest(name, text)
    repo.commit("bad")

    result = repo.run("-o", "json", "deploy", "-e", "dev")

    assert result.code == 10, str(result)
    assert changed(before, repo) == []
    assert "CANARY" not in result.output
    versions = repo.objects()
    again = repo.deployed("--revision", "HEAD~1")
    assert {c["action"] for c in again["plan"]["changes"]} == {"keep"}
    assert repo.objects() == versions


# --- deletions and checks


def checked(url: str, more: str = "") -> str:
    return f"checks: [{{name: home, http: {{url: '{url}'}}, samples: 2, interval: 200ms{more}}}]"


@story()
def what_was_pruned_comes_back_when_the_checks_fail(make_repo: MakeRepo) -> None:
    app = make_app(make_repo)
    app.manifest("extra.yaml", config_map("extra", keep="me"))
    app.manifest(
        "service.yaml",
        """\
        apiVersion: v1
        kind: Service
        metadata: {name: web}
        spec:
          type: NodePort
          selector: {app: web}
          ports: [{port: 80}]
        """,
    )
    app.commit()
    app.deployed()
    before = snapshot(app)
    address = app.get("services", "web")["spec"]["clusterIP"]
    app.remove("environments/dev/manifests/extra.yaml")
    app.remove("environments/dev/manifests/service.yaml")
    with answering(500) as url:
        app.environment(checked(url))
        app.commit()
        result = app.run("-o", "json", "deploy", "-e", "dev")

    assert result.code == 10, str(result)
    report = result.document
    assert {
        a["object"].split("/")[1]: a["result"] for a in report["applied"] if a["result"] == "deleted"
    } == {
        "ConfigMap": "deleted",
        "Service": "deleted",
    }
    assert report["causes"][0]["code"] == "CheckFailed"
    assert "status 500" in report["causes"][0]["message"]
    assert report["causes"][0]["origin"].startswith("environments/dev/environment.yaml:")
    assert report["checks"][0]["verdict"] == "fail"
    assert changed(before, app) == []
    assert app.get("services", "web")["spec"]["clusterIP"] == address
    versions = app.objects()
    again = app.deployed("--revision", "HEAD~1")
    assert {c["action"] for c in again["plan"]["changes"]} == {"keep"}
    assert app.objects() == versions


@story()
def a_check_that_passes_lets_the_release_through(make_repo: MakeRepo) -> None:
    app = make_app(make_repo)
    with answering(200) as url:
        app.environment(checked(url))
        app.commit()
        report = app.deployed()

    assert [(c["name"], c["verdict"], len(c["samples"])) for c in report["checks"]] == [("home", "pass", 2)]
    assert report["release"]["phase"] == "SUCCEEDED"


@story()
def a_check_of_a_service_without_endpoints_fails(make_repo: MakeRepo) -> None:
    app = make_app(make_repo)
    app.deployed()
    before = snapshot(app)
    app.environment(
        "checks: [{name: home, http: {service: nobody}, samples: 2, interval: 200ms, deadline: 2s}]"
    )
    app.manifest("settings.yaml", config_map("settings", greeting="bye"))
    app.commit()

    code, report = app.json("deploy", "-e", "dev")

    assert code == 10
    assert report["checks"][0]["verdict"] == "fail", report["checks"]
    assert report["causes"][0]["code"] == "CheckFailed"
    assert changed(before, app) == []


@story()
def a_check_that_gets_no_answer_in_time_fails(make_repo: MakeRepo) -> None:
    app = make_app(make_repo)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # listens, and never answers
        port = silent.getsockname()[1]
        app.environment(checked(f"http://127.0.0.1:{port}/", ", timeout: 300ms, deadline: 1s"))
        app.commit()
        code, report = app.json("deploy", "-e", "dev")

    assert code == 10
    assert report["checks"][0]["verdict"] == "fail", report["checks"]
    assert all(s["verdict"] != "pass" for s in report["checks"][0]["samples"])


@story()
def checks_are_skipped_and_say_so_when_the_rollout_failed(make_repo: MakeRepo) -> None:
    app = make_app(make_repo)
    app.environment(checked("http://127.0.0.1:9/"))
    app.edit(WEB_FILE, "nginx:1.21", "nginx:missing")
    app.commit()

    _, report = app.json("deploy", "-e", "dev")

    assert [(c["verdict"], c["reason"]) for c in report["checks"]] == [("skipped", "rollout failed")]


# --- what was broken before


@story()
def what_was_broken_before_is_not_held_against_a_release(make_repo: MakeRepo) -> None:
    app = make_app(make_repo)
    app.manifest("sick.yaml", deployment(name="sick"))
    app.commit()
    app.deployed()
    sicken(app, "sick")
    app.manifest("settings.yaml", config_map("settings", greeting="bye"))
    app.commit()

    result = app.run("-o", "json", "deploy", "-e", "dev")

    assert result.code == 0, str(result)
    assert "sick" in " ".join(result.document["warnings"])


@story()
def nothing_to_do_is_no_success_where_something_is_broken(make_repo: MakeRepo) -> None:
    app = make_app(make_repo)
    app.environment(deploy="{timeout: 4s}")
    app.manifest("sick.yaml", deployment(name="sick"))
    app.commit()
    app.deployed()
    sicken(app, "sick")
    before = app.objects()

    code, report = app.json("deploy", "-e", "dev")

    assert (code, report["result"]) == (12, "timed-out"), report["causes"]
    assert report["causes"][0]["object"].endswith("/sick")
    assert app.objects() == before


def sicken(repo: Workspace, name: str) -> None:
    """Break a Deployment's pods without touching the Deployment."""
    for pod in repo.get("pods")["items"]:
        if pod["metadata"]["labels"].get("app") == name:
            patch = {"metadata": {"annotations": {"pipeline.test/pod": "unready"}}}
            repo.kubectl("patch", "pod", pod["metadata"]["name"], "--patch", json.dumps(patch))
            status = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
            repo.kubectl(
                "patch", "pod", pod["metadata"]["name"], "--subresource=status", "--patch", json.dumps(status)
            )
    until(lambda: not repo.get("apps/v1/deployments", name)["status"].get("readyReplicas"))


# --- what others own


@story()
def the_number_that_an_autoscaler_chose_survives_a_rollback(make_repo: MakeRepo) -> None:
    repo = make_repo(create=True)
    repo.environment()
    for name in ("autoscaler.yaml", "web.yaml"):
        repo.manifest(name, GOOD[name])
    repo.commit()
    repo.deployed()
    repo.kubectl("scale", "deployment/web", "--replicas=4")
    until(lambda: len(repo.get("pods")["items"]) == 4)
    repo.edit(WEB_FILE, "nginx:1.21", "nginx:missing")
    repo.commit()

    result = repo.run("-o", "json", "deploy", "-e", "dev")

    assert result.code == 10, str(result)
    assert repo.get("apps/v1/deployments", "web")["spec"]["replicas"] == 4


@story()
def a_field_of_somebody_else_survives_a_rollback(make_repo: MakeRepo) -> None:
    app = make_app(make_repo)
    app.deployed()
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "annotations": {"team": "shop"}},
        "spec": {"template": {"metadata": {"annotations": {"restarted": "today"}}}},
    }
    app.kubectl("apply", "--server-side", "--field-manager=auditor", "-f", "-", stdin=json.dumps(patch))
    before = snapshot(app)
    app.edit(WEB_FILE, "nginx:1.21", "nginx:missing")
    app.commit()

    result = app.run("-o", "json", "deploy", "-e", "dev")

    assert result.code == 10, str(result)
    assert changed(before, app) == []
    assert app.get("apps/v1/deployments", "web")["metadata"]["annotations"]["team"] == "shop"


# --- other workloads


SETS = {
    "statefulset": """\
        apiVersion: apps/v1
        kind: StatefulSet
        metadata: {name: db}
        spec:
          replicas: 2
          serviceName: db
          podManagementPolicy: Parallel
          selector: {matchLabels: {app: db}}
          template:
            metadata: {labels: {app: db}}
            spec: {containers: [{name: main, image: "postgres:16"}]}
        """,
    "daemonset": """\
        apiVersion: apps/v1
        kind: DaemonSet
        metadata: {name: db}
        spec:
          selector: {matchLabels: {app: db}}
          template:
            metadata: {labels: {app: db}}
            spec: {containers: [{name: main, image: "postgres:16"}]}
        """,
}


@story(*SETS)
def sets_are_rolled_back_too(make_repo: MakeRepo, kind: str) -> None:
    repo = make_repo(create=True)
    repo.environment()
    repo.manifest("db.yaml", SETS[kind])
    repo.commit()
    repo.deployed()
    before = snapshot(repo)
    repo.edit("environments/dev/manifests/db.yaml", "postgres:16", "postgres:missing")
    repo.commit()

    result = repo.run("-o", "json", "deploy", "-e", "dev")

    assert result.code == 10, str(result)
    assert result.document["causes"][0]["code"] == "ImageNotFound"
    assert changed(before, repo) == []
    until(lambda: ready_images(repo) == ["postgres:16"])


@story()
def a_job_that_was_replaced_comes_back_as_it_was(make_repo: MakeRepo) -> None:
    app = make_app(make_repo)
    app.manifest("job.yaml", job("migrate:1"))
    app.commit()
    app.deployed()
    before = snapshot(app)
    app.manifest("job.yaml", job("migrate:crash"))
    app.commit()

    result = app.run("-o", "json", "deploy", "-e", "dev")

    assert result.code == 10, str(result)
    assert result.document["causes"][0]["code"] == "JobFailed"
    assert without_uid(snapshot(app)) == without_uid(before)
    done = app.get("batch/v1/jobs", "migrate")["status"]
    assert done["succeeded"] == 1
    app.deployed("--revision", "HEAD~1")


@story()
def a_job_that_was_pruned_comes_back(make_repo: MakeRepo) -> None:
    app = make_app(make_repo)
    app.manifest("job.yaml", job("migrate:1"))
    app.commit()
    app.deployed()
    before = snapshot(app)
    app.remove("environments/dev/manifests/job.yaml")
    with answering(500) as url:
        app.environment(checked(url))
        app.commit()
        result = app.run("-o", "json", "deploy", "-e", "dev")

    assert result.code == 10, str(result)
    assert without_uid(snapshot(app)) == without_uid(before)
    versions = app.objects()
    assert {c["action"] for c in app.deployed("--revision", "HEAD~1")["plan"]["changes"]} == {"keep"}
    assert app.objects() == versions


def without_uid(state: dict[str, Any]) -> dict[str, Any]:
    """A Job's selector and labels name its uid; one that came back has another."""
    found: dict[str, Any] = json.loads(json.dumps(state))
    for name, entry in found.items():
        if name.startswith("batch/v1/jobs/"):
            spec = entry["object"]["spec"]
            uid = spec.pop("selector")["matchLabels"]["batch.kubernetes.io/controller-uid"]
            entry["object"] = json.loads(json.dumps(entry["object"]).replace(uid, "UID"))
    return found


# --- when there is no way back


@story()
def a_rollback_that_is_refused_says_what_differs_and_makes_nothing_worse(make_repo: MakeRepo) -> None:
    app = make_app(make_repo)
    app.deployed()
    app.manifest("settings.yaml", config_map("settings", greeting="bye"))
    app.manifest("other.yaml", config_map("other"))
    app.edit(WEB_FILE, "nginx:1.21", "nginx:missing")
    app.commit()
    refuse_the_way_back(app, "bye")

    code, report = app.json("deploy", "-e", "dev")

    assert code == 13
    assert (report["result"], report["release"]["phase"]) == ("rollback-failed", "ROLLBACK_FAILED")
    assert report["rollback"]["verified"] is False
    (difference,) = report["rollback"]["differences"]
    assert difference["object"] == f"/ConfigMap/{app.namespace}/settings"
    assert (difference["path"], difference["before"], difference["after"]) == (
        "data.greeting",
        "hello",
        "bye",
    )
    assert any("no way back" in c["message"] for c in report["causes"])
    # All else is back, and what could not be restored is still there.
    assert set(snapshot(app)) == {"configmaps/settings", "apps/v1/deployments/web"}
    until(lambda: ready_images(app) == ["nginx:1.21"])

    app.kubectl("delete", "validatingadmissionpolicybinding", app.application)
    until(lambda: _may_annotate(app, "settings"), "for the policy to end")
    app.deployed("--revision", "HEAD~1")
    assert app.get("configmaps", "settings")["data"] == {"greeting": "hello"}


@story()
def after_a_rollback_that_failed_the_next_failure_goes_back_to_what_was_verified(make_repo: MakeRepo) -> None:
    """Not to the mixture which the first rollback left: that was never verified."""
    app = make_app(make_repo)
    app.deployed()
    before = snapshot(app)
    app.manifest("settings.yaml", config_map("settings", greeting="bye"))
    app.manifest("other.yaml", config_map("other"))
    app.edit(WEB_FILE, "nginx:1.21", "nginx:missing")
    app.commit()
    refuse_the_way_back(app, "bye")
    assert app.json("deploy", "-e", "dev")[0] == 13
    assert app.get("configmaps", "settings")["data"] == {"greeting": "bye"}
    told = app.json("status", "-e", "dev")[1]["environments"][0]["next"]
    assert told.endswith("should that fail, it goes back to release 1")

    app.kubectl("delete", "validatingadmissionpolicybinding", app.application)
    until(lambda: _may_annotate(app, "settings"), "for the policy to end")
    app.manifest("more.yaml", config_map("more"))
    app.commit()
    code, report = app.json("deploy", "-e", "dev")

    assert (code, report["result"]) == (10, "rolled-back")
    assert any("should this run fail, it goes back to release 1" in w for w in report["warnings"])
    assert app.get("configmaps", "settings")["data"] == {"greeting": "hello"}
    app.kubectl("annotate", "configmap", "settings", "at-")  # by which the policy was looked for
    assert snapshot(app) == before
    # Once all is back, the state before a later release is what is there again.
    app.kubectl("annotate", "configmap", "settings", "somebody=else")
    assert app.run("deploy", "-e", "dev").code == 10
    assert app.get("configmaps", "settings")["metadata"]["annotations"]["somebody"] == "else"


def refuse_the_way_back(repo: Workspace, greeting: str) -> None:
    """From now on a ConfigMap of the namespace with this greeting cannot be updated."""
    group = "admissionregistration.k8s.io/v1"
    policy = {
        "apiVersion": group,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": repo.application},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": repo.namespace}},
                "resourceRules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["UPDATE"],
                        "resources": ["configmaps"],
                    }
                ],
            },
            "validations": [
                {
                    "expression": f"oldObject.data.?greeting.orValue('') != '{greeting}'",
                    "message": "no way back",
                }
            ],
        },
    }
    binding = {
        "apiVersion": group,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": repo.application},
        "spec": {"policyName": repo.application, "validationActions": ["Deny"]},
    }
    for document in (policy, binding):
        repo.kubectl("apply", "-f", "-", stdin=json.dumps(document))
    probe = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "probe"},
        "data": {"greeting": greeting},
    }
    repo.kubectl("create", "-f", "-", stdin=json.dumps(probe))
    until(lambda: not _may_annotate(repo, "probe"), "for the policy")
    repo.kubectl("delete", "configmap", "probe")


def _may_annotate(repo: Workspace, name: str) -> bool:
    try:
        repo.kubectl("annotate", "configmap", name, "--overwrite", f"at={time.monotonic()}")
    except AssertionError:
        return False
    return True


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo) -> Iterator[dict[str, Future[None]]]:
    with story.begun(lambda: make_repo) as told:
        yield told


@pytest.mark.parametrize("name", story)
def test_of_what_is_put_back(told: dict[str, Future[None]], name: str) -> None:
    told[name].result()

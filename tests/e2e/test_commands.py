"""The commands, each as a process against a real API server: what they do, and the documents they print."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.conftest import write_app
from tests.e2e.live import until
from tests.e2e.manifests import SETTINGS, WEB, config_map
from tests.e2e.workspace import Workspace

MakeRepo = Callable[..., Workspace]


@pytest.fixture(scope="module")
def standing(make_repo: MakeRepo) -> Workspace:
    """An application that was deployed once; tests that only read share it."""
    repo = make_repo(create=True)
    write_app(repo)
    repo.deployed()
    return repo


def actions(document: Any) -> dict[str, str]:
    """Of a report or a plan: last two parts of each object's name → action."""
    changes = document["plan"]["changes"] if "plan" in document else document["changes"]
    return {change["object"].rpartition("/")[2]: change["action"] for change in changes}


# --- deploying


def test_deploying_again_writes_nothing_and_a_new_commit_is_recorded(app: Workspace) -> None:
    first = app.deployed()
    assert actions(first) == {"settings": "create", "web": "create"}
    assert (first["release"]["number"], first["release"]["phase"]) == (1, "SUCCEEDED")
    before = app.state()
    second = app.deployed()
    assert app.state() == before
    assert second["release"] == first["release"]

    objects = app.objects()
    app.write("docs/readme.md", "words\n")
    revision = app.commit("docs")
    third = app.deployed()
    assert app.objects() == objects
    assert third["revision"] == {"sha": revision, "base": first["revision"]["sha"]}
    assert third["release"]["number"] == 2
    assert third["applied"] == [] or {entry["result"] for entry in third["applied"]} == {"unchanged"}


def test_only_what_changed_is_written_and_what_was_removed_is_pruned(app: Workspace) -> None:
    app.environment("prune: {maxPercent: 100}")
    for name in ("extra", "precious"):
        app.manifest(f"{name}.yaml", config_map(name))
    app.edit(
        "environments/dev/manifests/precious.yaml", "{name:", "{annotations: {pipeline/prune: keep}, name:"
    )
    app.commit()
    app.deployed()
    before = app.objects()
    assert before is not None

    app.manifest("settings.yaml", SETTINGS.replace("hello", "good day"))
    for name in ("extra", "precious"):
        app.remove(f"environments/dev/manifests/{name}.yaml")
    app.commit()
    report = app.deployed()
    after = app.objects()
    assert after is not None
    assert {name for name in before if before[name] != after.get(name)} == {
        "configmaps/settings",
        "configmaps/extra",
    }
    assert actions(report)["settings"] == "update"
    assert actions(report)["extra"] == "delete"
    assert actions(report).get("precious", "keep") == "keep"
    assert "configmaps/precious" in after
    assert app.get("configmaps", "settings")["data"] == {"greeting": "good day"}


def test_nothing_is_pruned_by_a_deploy_that_fails(app: Workspace) -> None:
    app.environment("prune: {maxPercent: 100}")
    app.manifest("extra.yaml", config_map("extra"))
    app.commit()
    app.deployed()
    extra = app.get("configmaps", "extra")
    app.remove("environments/dev/manifests/extra.yaml")
    app.edit("environments/dev/manifests/web.yaml", "nginx:1.21", "nginx:missing")
    app.commit()
    code, report = app.json("deploy", "-e", "dev")
    assert (code, report["result"]) == (10, "rolled-back")
    assert report["rollback"] == {"verified": True, "differences": []}
    assert report["causes"][0]["code"] == "ImageNotFound"
    assert report["causes"][0]["origin"] == "environments/dev/manifests/web.yaml:15"
    assert app.get("configmaps", "extra")["metadata"] == extra["metadata"]


def test_an_older_revision_is_refused_unless_it_is_meant(app: Workspace) -> None:
    older = app.git("rev-parse", "HEAD")
    app.manifest("settings.yaml", SETTINGS.replace("hello", "newer"))
    app.commit()
    app.deployed()
    code, report = app.json("deploy", "-e", "dev", "--revision", older)
    assert code == 21
    assert "--allow-older" in report["problems"][0]["hint"]
    report = app.deployed("--revision", older, "--allow-older")
    assert report["revision"]["sha"] == older
    assert app.get("configmaps", "settings")["data"] == {"greeting": "hello"}


def test_objects_that_were_there_before_are_adopted(app: Workspace) -> None:
    app.kubectl("apply", "-f", "-", stdin=SETTINGS.replace("hello", "by hand"))
    app.kubectl("create", "-f", "-", stdin=WEB)
    uids = [app.get("configmaps", "settings"), app.get("apps/v1/deployments", "web")]
    report = app.deployed()
    assert actions(report) == {"settings": "update", "web": "update"}
    live = [app.get("configmaps", "settings"), app.get("apps/v1/deployments", "web")]
    assert [o["metadata"]["uid"] for o in live] == [o["metadata"]["uid"] for o in uids]
    assert live[0]["data"] == {"greeting": "hello"}
    assert live[0]["metadata"]["labels"]["pipeline/application"] == app.application
    _, plan = app.json("plan", "-e", "dev")
    assert {change["action"] for change in plan["changes"]} <= {"keep"}


def test_fields_of_kubectl_are_taken_over_with_a_note(app: Workspace) -> None:
    app.kubectl("apply", "-f", "-", stdin=SETTINGS.replace("hello", "by hand"))
    code, plan = app.json("plan", "-e", "dev")
    assert code == 0
    (change,) = [c for c in plan["changes"] if c["object"].endswith("/settings")]
    assert "kubectl" in change["note"]


def test_replicas_that_an_autoscaler_owns_are_left_alone(app: Workspace) -> None:
    app.manifest(
        "autoscaler.yaml",
        """
        apiVersion: autoscaling/v2
        kind: HorizontalPodAutoscaler
        metadata: {name: web}
        spec:
          minReplicas: 1
          maxReplicas: 5
          scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
          metrics:
            - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}
        """,
    )
    app.commit()
    app.deployed()
    app.kubectl("scale", "deployment/web", "--replicas=3")
    app.edit("environments/dev/manifests/web.yaml", "nginx:1.21", "nginx:1.22")
    app.commit()
    app.deployed()
    live = app.get("apps/v1/deployments", "web")
    assert live["spec"]["replicas"] == 3
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1.22"


def test_a_definition_and_its_resource_a_namespace_and_workloads_go_in_one_run(repo: Workspace) -> None:
    word = repo.application.rpartition("-")[2]
    repo.environment("allow: {clusterScoped: [CustomResourceDefinition, Namespace], namespaces: ['*']}")
    repo.manifest("all.yaml", EVERYTHING.replace("$WORD", word))
    repo.commit()
    report = repo.deployed()
    try:
        found = actions(report)
        assert set(found.values()) == {"create"}
        waves = {c["object"]: c["wave"] for c in report["plan"]["changes"]}
        by_kind = {name.split("/")[1]: wave for name, wave in waves.items() if "/Namespace/" not in name}
        assert by_kind["CustomResourceDefinition"] < by_kind["Gadget"]
        assert {entry["status"] for entry in report["rollout"]} == {"Current"}
        assert repo.get("configmaps", "inside", namespace=f"{repo.namespace}-more") is not None
        assert repo.get("batch/v1/jobs", "migrate")["status"]["succeeded"] == 1
        before = repo.state()
        repo.deployed()
        assert repo.state() == before
    finally:
        repo.kubectl("delete", "crd", f"gadgets.{word}.example.com")


EVERYTHING = """\
apiVersion: $WORD.example.com/v1
kind: Gadget
metadata: {name: first}
spec: {size: 3}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: inside, namespace: $NS-more}
data: {a: b}
---
apiVersion: v1
kind: Namespace
metadata: {name: $NS-more}
---
apiVersion: v1
kind: Namespace
metadata: {name: $NS, labels: {team: shop}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.$WORD.example.com}
spec:
  group: $WORD.example.com
  scope: Namespaced
  names: {kind: Gadget, plural: gadgets, singular: gadget, listKind: GadgetList}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties: {spec: {type: object, properties: {size: {type: integer}}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{name: migrate, image: "app:1"}]
---
apiVersion: v1
kind: Service
metadata: {name: store}
spec: {clusterIP: None, selector: {app: store}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec:
  serviceName: store
  replicas: 2
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec: {containers: [{name: store, image: "store:1"}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: agent, image: "agent:1"}]}
"""


# --- several environments


@pytest.fixture
def two(make_repo: MakeRepo) -> Workspace:
    """Environments dev and qa, which takes from dev."""
    repo = make_repo(create=True)
    repo.environment()
    repo.environment("promotion: {from: [dev]}", name="qa")
    for name in ("dev", "qa"):
        repo.manifest("settings.yaml", SETTINGS, environment=name)
    repo.commit("first")
    return repo


def test_promotion_takes_the_verified_revision_and_not_the_newest(two: Workspace) -> None:
    code, report = two.json("promote", "--to", "qa")
    assert (code, report["result"]) == (23, "gate-closed")
    verified = two.git("rev-parse", "HEAD")
    two.deployed()
    two.manifest("settings.yaml", SETTINGS.replace("hello", "newer"), environment="qa")
    two.commit("not deployed to dev yet")
    code, report = two.json("promote", "--to", "qa")
    assert (code, report["command"], report["revision"]["sha"]) == (0, "promote", verified)
    qa = two.namespace_of("qa")
    assert two.get("configmaps", "settings", namespace=qa)["data"] == {"greeting": "hello"}
    code, report = two.json("promote", "--to", "dev", "--from", "qa")
    assert code == 23
    assert two.json("promote", "--to", "nowhere")[0] == 20


def test_without_a_name_every_affected_environment_is_deployed_upstream_first(two: Workspace) -> None:
    two.environment("promotion: {from: [qa]}", name="alpha", deploy="{onMerge: true, branch: main}")
    two.manifest("settings.yaml", SETTINGS, environment="alpha")
    two.environment(name="manual", deploy="{onMerge: false}")
    two.manifest("settings.yaml", SETTINGS, environment="manual")
    two.environment(name="other-branch", deploy="{onMerge: true, branch: release}")
    two.manifest("settings.yaml", SETTINGS, environment="other-branch")
    two.commit()
    code, document = two.json("deploy")
    assert (code, document["schema"]) == (0, "pipeline/reports/v1")
    assert [report["environment"] for report in document["reports"]] == ["dev", "qa", "alpha"]

    two.manifest("settings.yaml", SETTINGS.replace("hello", "changed"), environment="qa")
    two.commit("only qa")
    matrix = two.run("changes", "--matrix").stdout
    assert {"environment": "qa"} in json.loads(matrix)["include"]
    assert {"environment": "dev"} not in json.loads(matrix)["include"]
    code, document = two.json("deploy")
    assert [report["environment"] for report in document["reports"]] == ["qa"]
    code, document = two.json("deploy")
    assert (code, document["reports"]) == (0, [])


def test_the_gravest_ending_counts_and_downstream_waits(two: Workspace) -> None:
    two.manifest("web.yaml", WEB.replace("nginx:1.21", "nginx:missing"))
    two.commit()
    code, document = two.json("deploy")
    assert code in (10, 11)
    assert [report["environment"] for report in document["reports"]] == ["dev"]
    assert not two.namespace_exists(two.namespace_of("qa"))


# --- rolling back


def test_rollback_goes_to_the_release_before_or_to_a_named_one(app: Workspace) -> None:
    for word in ("one", "two", "three"):
        app.manifest("settings.yaml", SETTINGS.replace("hello", word))
        app.commit(word)
        app.deployed()
    code, report = app.json("rollback", "-e", "dev")
    assert (code, report["command"], report["release"]["number"]) == (0, "rollback", 4)
    assert app.get("configmaps", "settings")["data"] == {"greeting": "two"}
    code, report = app.json("rollback", "-e", "dev", "--to", "1")
    assert (code, app.get("configmaps", "settings")["data"]) == (0, {"greeting": "one"})
    code, report = app.json("rollback", "-e", "dev", "--to", "99")
    assert code == 21
    assert "99" in report["problems"][0]["message"]
    assert app.get("configmaps", "settings")["data"] == {"greeting": "one"}


def test_a_second_run_is_told_who_holds_the_lock(app: Workspace) -> None:
    app.edit("environments/dev/manifests/web.yaml", "nginx:1.21", "nginx:unready")
    app.commit()
    first = app.start("deploy", "-e", "dev")
    try:
        assert first.stderr is not None
        assert any("VERIFYING" in line for line in first.stderr)
        code, report = app.json("deploy", "-e", "dev", env={"PIPELINE_ACTOR": "second"})
        assert (code, report["result"]) == (30, "locked")
        _, status = app.json("status", "-e", "dev")
        lock = status["environments"][0]["lock"]
        assert set(lock) == {"holder", "since", "expires"}
        assert lock["holder"] in report["problems"][0]["message"]
    finally:
        first.terminate()
        first.communicate(timeout=60)
    assert first.returncode == 50


# --- reading


REPORT_KEYS = {
    "schema",
    "command",
    "environment",
    "result",
    "exit_code",
    "revision",
    "release",
    "plan",
    "applied",
    "rollout",
    "checks",
    "causes",
    "rollback",
    "timings",
}


def test_the_report_has_every_key_of_its_schema(standing: Workspace) -> None:
    code, report = standing.json("deploy", "-e", "dev")
    assert code == 0
    assert set(report) >= REPORT_KEYS
    assert report["schema"] == "pipeline/report/v1"
    assert set(report["release"]) == {"id", "number", "phase", "previous"}
    assert set(report["rollback"]) == {"verified", "differences"}
    assert set(report["timings"]) >= {"plan", "apply", "rollout", "rollback", "total"}
    assert report["plan"]["digest"].startswith("sha256:")
    for change in report["plan"]["changes"]:
        assert set(change) >= {"object", "action", "wave", "origin", "reversible"}


def test_every_reading_command_prints_its_document(standing: Workspace) -> None:
    keys = {
        "history": {"number", "id", "revision", "phase", "result", "actor", "started", "seconds", "previous"},
        "status": {
            "name", "release", "revision", "phase", "health", "drift", "lock", "hold", "gates", "next"
        },
        "changes": {"name", "base", "revision", "affected", "because", "files", "objects"},
    }  # fmt: skip
    lists = {"history": "releases", "status": "environments", "changes": "environments"}
    found = standing.together(*(("-o", "json", c, "-e", "dev") for c in (*keys, "plan", "render", "diff")))
    for command, wanted in keys.items():
        code, document = found[command].code, found[command].document
        assert (code, document["schema"]) == (0, f"pipeline/{command}/v1")
        assert set(document[lists[command]][0]) >= wanted
    for command, wanted in {
        "plan": {"schema", "digest", "waves", "changes"},
        "render": {"schema", "objects"},
        "diff": {"schema", "objects"},
    }.items():
        code, document = found[command].code, found[command].document
        assert (code, document["schema"]) == (0, f"pipeline/{command}/v1")
        assert set(document) >= wanted
    code, document = standing.json("validate")
    assert (code, document) == (0, {"schema": "pipeline/problems/v1", "problems": []})


def test_every_command_speaks_to_people_and_in_markdown(standing: Workspace) -> None:
    commands = ("plan", "deploy", "status", "history", "changes", "diff", "validate")
    outputs = dict.fromkeys(commands, "text") | dict.fromkeys(("plan", "deploy"), "markdown")
    found = standing.together(*(("-o", output, command, "-e", "dev") for command, output in outputs.items()))
    for command, result in found.items():
        assert (command, result.code) == (command, 0)
        assert result.stdout.strip()


def test_saved_objects_are_assessed_with_what_is_saved_beside_them(make_repo: MakeRepo) -> None:
    repo = make_repo(create=True)
    repo.environment("rollback: {auto: false}\nrollout: {grace: {restarts: 99}}", deploy="{timeout: 40s}")
    repo.manifest("web.yaml", WEB.replace("nginx:1.21", "nginx:missing"))
    repo.manifest("settings.yaml", SETTINGS)
    repo.commit()
    assert repo.run("deploy", "-e", "dev").code == 11
    kinds = "deployments,replicasets,pods,events"
    repo.write("saved.yaml", repo.kubectl("get", kinds, "-o", "yaml"))

    code, document = repo.json("assess", "-f", str(repo.folder / "saved.yaml"), "--exit-code")
    shown = repo.run("assess", "-f", str(repo.folder / "saved.yaml"))

    (web,) = (one for one in document["objects"] if "Deployment" in one["object"])
    assert (code, web["status"], web["reason"]) == (1, "Failed", "ImageNotFound")
    assert web["evidence"][0]["hint"].startswith("push the image")
    assert "  ImageNotFound: container web cannot pull image nginx:missing" in shown.stdout


def test_saved_objects_are_assessed_by_the_rules_of_an_environment(repo: Workspace) -> None:
    rule = '{kind: Thing, group: example.com, ready: ["jsonpath={.status.phase}=Up"]}'
    repo.environment(f"rollout: {{rules: [{rule}]}}")
    repo.commit()
    thing = {
        "apiVersion": "example.com/v1",
        "kind": "Thing",
        "metadata": {"name": "it"},
        "status": {"phase": "Up"},
    }
    path = repo.folder / "thing.json"
    path.write_text(json.dumps(thing))

    statuses = [
        repo.json("assess", "-f", str(path), *of)[1]["objects"][0]["status"] for of in ((), ("-e", "dev"))
    ]

    assert statuses == ["Unknown", "Current"]


def test_options_stand_before_or_after_the_command_or_in_the_environment(standing: Workspace) -> None:
    before = standing.run("-o", "json", "-e", "dev", "history")
    after = standing.run("history", "-e", "dev", "-o", "json")
    variables = standing.run(
        "history",
        cwd=standing.folder.parent,
        env={
            "PIPELINE_ENVIRONMENT": "dev",
            "PIPELINE_OUTPUT": "json",
            "PIPELINE_REPO": str(standing.folder),
            "PIPELINE_KUBECONFIG": str(standing.cluster.kubeconfig),
            "KUBECONFIG": "/nonexistent",
        },
    )
    assert before.document == after.document == variables.document


def test_the_actor_is_who_the_environment_says(app: Workspace) -> None:
    app.environ |= {"GITHUB_ACTOR": "octocat", "PIPELINE_ACTOR": ""}
    app.deployed()
    _, history = app.json("history", "-e", "dev")
    assert history["releases"][0]["actor"] == "octocat"


def test_drift_is_found_field_by_field_and_ends_with_1(app: Workspace) -> None:
    app.deployed()
    patch = '{"data": {"greeting": "by hand"}}'
    app.kubectl("patch", "configmap", "settings", "--patch", patch, "--field-manager=somebody")
    code, document = app.json("diff", "-e", "dev")
    assert code == 1
    ((drifted),) = document["objects"]
    assert drifted["object"] == f"/ConfigMap/{app.namespace}/settings"
    (field,) = drifted["fields"]
    assert (field["path"], field["desired"], field["live"]) == ("data.greeting", "hello", "by hand")
    assert field["manager"] == "somebody"
    _, status = app.json("status", "-e", "dev")
    assert status["environments"][0]["drift"] == [f"/ConfigMap/{app.namespace}/settings"]
    app.kubectl("patch", "configmap", "settings", "--patch", patch.replace("hand", "kubectl"))
    app.deployed()
    assert app.json("diff", "-e", "dev")[0] == 0
    app.kubectl("delete", "configmap", "settings")
    code, document = app.json("diff", "-e", "dev")
    assert (code, [o["object"] for o in document["objects"]]) == (1, [f"/ConfigMap/{app.namespace}/settings"])


def test_what_defaults_controllers_and_autoscalers_wrote_is_no_drift(app: Workspace) -> None:
    app.manifest(
        "more.yaml",
        """
        apiVersion: autoscaling/v2
        kind: HorizontalPodAutoscaler
        metadata: {name: web}
        spec: {maxReplicas: 5, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: web}
        spec: {type: NodePort, selector: {app: web}, ports: [{port: 80}]}
        ---
        apiVersion: batch/v1
        kind: Job
        metadata: {name: migrate}
        spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: "migrate:done"}]}}}
        """,
    )
    app.commit()
    app.deployed()
    app.kubectl("scale", "deployment/web", "--replicas=3")
    app.kubectl("rollout", "restart", "deployment/web")
    until(lambda: app.get("apps/v1/deployments", "web")["status"].get("replicas") == 3)

    assert app.json("diff", "-e", "dev") == (0, {"schema": "pipeline/diff/v1", "objects": []})
    assert app.json("status", "-e", "dev")[1]["environments"][0]["drift"] == []
    app.kubectl("set", "image", "deployment/web", "web=nginx:by-hand")
    code, document = app.json("diff", "-e", "dev")
    fields = [field["path"] for one in document["objects"] for field in one["fields"]]
    assert (code, fields) == (1, ["spec.template.spec.containers[name=web].image"])


@pytest.fixture
def unborn(repo: Workspace) -> Iterator[Workspace]:
    """Committed, never deployed, its namespace absent."""
    write_app(repo)
    yield repo
    assert not repo.namespace_exists()


def test_reading_what_was_never_deployed_says_so_and_makes_nothing(unborn: Workspace) -> None:
    assert unborn.json("history", "-e", "dev")[1]["releases"] == []
    _, status = unborn.json("status", "-e", "dev")
    assert status["environments"][0]["release"] is None
    _, changes = unborn.json("changes", "-e", "dev")
    (environment,) = changes["environments"]
    assert (environment["base"], environment["affected"]) == (None, True)
    assert len(environment["objects"]) == 2
    assert unborn.json("diff", "-e", "dev")[0] == 0
    assert unborn.json("rollback", "-e", "dev")[0] == 21
    _, plan = unborn.json("plan", "-e", "dev", "--offline")
    assert [[ref.rpartition("/")[2] for ref in wave] for wave in plan["waves"]] == [["settings"], ["web"]]

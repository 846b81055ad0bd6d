"""Services and their pods: a Service that a deploy writes is Current once it has an endpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.audit import Audit, Request
from tests.e2e.conftest import MakeRepo
from tests.e2e.stories import tell
from tests.e2e.test_readme_rights import rights_without
from tests.e2e.workspace import Result, Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

NO_ROLLBACK = "rollback: {auto: false}"
WAVE = 'annotations: {argocd.argoproj.io/sync-wave: "1"}'
FILE = "environments/dev/manifests/web.yaml"


def deployment(name: str = "web", image: str = "nginx:1.21", replicas: int = 2, more: str = "") -> str:
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, {more}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
        - name: main
          image: {image}
          ports: [{{name: http, containerPort: 8080}}]
"""


def service(name: str = "web", target: str = "http", more: str = "") -> str:
    return f"""\
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  {more}
  selector:
    app: {name}
  ports:
    - port: 80
      targetPort: {target}
"""


@dataclass(slots=True)
class Told:
    """What became of a repository's last deploy; ``first`` is what the one before asked for."""

    repo: Workspace
    result: Result
    requests: list[Request] = field(default_factory=list)
    first: list[Request] = field(default_factory=list)

    @property
    def causes(self) -> list[Any]:
        return list(self.result.document["causes"])

    def entry(self, kind: str, name: str) -> Any:
        return next(
            e for e in self.result.document["rollout"] if e["object"].endswith(f"/{self.place(kind, name)}")
        )

    def place(self, kind: str, name: str) -> str:
        return f"{kind}/{self.repo.namespace}/{name}"


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, audit: Audit) -> dict[str, Told]:
    def deployed(*states: str, timeout: str = "40s", more: str = NO_ROLLBACK) -> Told:
        repo = make_repo(create=True)
        repo.environment(more, deploy=f"{{timeout: {timeout}}}")
        for state in states:
            repo.manifest("web.yaml", state)
            repo.commit()
            result = repo.run("-o", "json", "deploy", "-e", "dev")
        return Told(repo, result)

    def waves() -> Told:
        """The Service is in the first wave, its pods in the second, after another Deployment."""
        first, second = deployment("first"), deployment(more=WAVE)
        return deployed("---\n".join([service(), first, second]))

    def unchanged() -> Told:
        witness = audit.watch(make_repo(create=True))
        witness.repo.environment()
        witness.repo.manifest("web.yaml", f"{service()}---\n{deployment()}")
        witness.repo.commit()
        first = witness.deploy()
        assert first.code == 0, str(first)
        asked = witness.requests
        return Told(witness.repo, witness.deploy(), witness.requests, asked)

    def without_rights() -> Told:
        witness = audit.watch(make_repo(create=True), limited=True)
        witness.repo.environment()
        witness.repo.manifest("web.yaml", f"{service()}---\n{deployment()}")
        witness.repo.commit()
        _grant(witness.repo, witness.user)
        return Told(witness.repo, witness.deploy(), witness.requests)

    def many() -> Told:
        """More than are looked at one by one."""
        pairs = [f"{service(f'n{n}')}---\n{deployment(f'n{n}', replicas=1)}" for n in range(30)]
        return deployed("---\n".join(pairs))

    good = f"{service()}---\n{deployment()}"
    return tell(
        {
            "a port of no container": lambda: deployed(good.replace("targetPort: http", "targetPort: htpp")),
            "a port that was right": lambda: deployed(
                good, good.replace("targetPort: http", "targetPort: htpp"), more=""
            ),
            "pods that never are ready": lambda: deployed(
                f"{service()}---\n{deployment(image='nginx:unready')}", timeout="6s"
            ),
            "pods that serve before they are ready": lambda: deployed(
                f"{service(more='publishNotReadyAddresses: true')}---\n{deployment(image='nginx:unready')}",
                timeout="6s",
            ),
            "an image that is missing": lambda: deployed(
                f"{service()}---\n{deployment(image='nginx:missing')}"
            ),
            "no replicas": lambda: deployed(f"{service()}---\n{deployment(replicas=0)}"),
            "waves": waves,
            "unchanged": unchanged,
            "without rights": without_rights,
            "many": many,
        }
    )


def _grant(repo: Workspace, user: str) -> None:
    """The rights of the README, less those to endpoints."""
    role, binding = rights_without("endpointslices", repo.namespace)
    binding["subjects"][0]["name"] = user
    admin = Workspace(repo.folder, repo.cluster, repo.namespace, repo.application)
    for obj in (role, binding):
        plural = f"{obj['kind'].lower()}s"
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{repo.namespace}/{plural}"
        admin.cluster.api.call("POST", path, obj)


def test_a_service_is_current_only_once_its_pods_are_ready(told: dict[str, Told]) -> None:
    story = told["waves"]
    assert story.result.code == 0, str(story.result)
    # Its pods were not even asked for before the first wave stood.
    first, second = story.entry("Deployment", "first"), story.entry("Service", "web")
    assert second["status"] == "Current"
    assert second["seconds"] >= first["seconds"]


def test_a_service_of_the_first_wave_does_not_hold_up_its_pods_of_the_second(told: dict[str, Told]) -> None:
    assert told["waves"].entry("Deployment", "web")["status"] == "Current"


def test_a_misspelt_port_is_told_with_line_and_name(told: dict[str, Told]) -> None:
    story = told["a port of no container"]
    assert story.result.code == 11, str(story.result)
    (cause,) = story.causes
    assert (cause["code"], cause["object"]) == ("NoEndpoints", f"/{story.place('Service', 'web')}")
    assert "'htpp' is the name of no port" in cause["message"]
    assert cause["hint"] == "did you mean http?"
    assert _line(story, cause) == "targetPort: htpp"
    assert story.entry("Deployment", "web")["status"] == "Current"


def test_endpoints_of_the_release_before_do_not_hide_it(told: dict[str, Told]) -> None:
    story = told["a port that was right"]
    assert story.result.code == 10, str(story.result)
    assert [(c["code"], _line(story, c)) for c in story.causes] == [("NoEndpoints", "targetPort: htpp")]
    assert story.repo.get("services", "web")["spec"]["ports"][0]["targetPort"] == "http"


@pytest.mark.parametrize(
    ("name", "code", "cause"),
    [
        ("pods that never are ready", 12, "ReadinessProbeFailed"),
        ("an image that is missing", 11, "ImageNotFound"),
    ],
)
def test_the_workload_is_the_cause_and_its_service_only_waits(
    told: dict[str, Told], name: str, code: int, cause: str
) -> None:
    story = told[name]
    assert story.result.code == code, str(story.result)
    assert {c["object"] for c in story.causes} == {f"apps/{story.place('Deployment', 'web')}"}
    entry = story.entry("Service", "web")
    assert (entry["status"], entry["reason"]) == ("InProgress", "NoEndpoints")
    assert entry["message"] == "none of the pods that it selects is ready; waits for Deployment/web"


def test_pods_that_are_published_before_they_are_ready_are_endpoints(told: dict[str, Told]) -> None:
    story = told["pods that serve before they are ready"]
    assert story.result.code == 12, str(story.result)
    assert story.entry("Service", "web")["status"] == "Current"


@pytest.mark.parametrize("name", ["no replicas", "without rights", "many"])
def test_a_deploy_goes_well(told: dict[str, Told], name: str) -> None:
    story = told[name]
    assert story.result.code == 0, str(story.result)
    assert {entry["status"] for entry in story.result.document["rollout"]} == {"Current"}


def test_what_may_not_be_read_is_said(told: dict[str, Told]) -> None:
    story = told["without rights"]
    assert "whether Services have endpoints is not looked at" in story.result.stderr
    assert [r.verb for r in story.requests if r.resource == "endpointslices"] == ["list"]


def test_where_nothing_changed_nobody_asks_for_endpoints(told: dict[str, Told]) -> None:
    story = told["unchanged"]
    assert story.result.code == 0, str(story.result)
    assert "list" in [r.verb for r in story.first if r.resource == "endpointslices"]
    assert [r for r in story.requests if r.resource == "endpointslices"] == []


def test_saved_objects_tell_of_endpoints_too(told: dict[str, Told]) -> None:
    repo = told["a port of no container"].repo
    repo.write("saved.yaml", repo.kubectl("get", "services,deployments,endpointslices", "--output=yaml"))

    _, document = repo.json("assess", "-f", "saved.yaml")

    (web,) = [o for o in document["objects"] if "/Service/" in o["object"]]
    assert (web["status"], web["reason"]) == ("InProgress", "NoEndpoints")
    assert "'htpp' is the name of no port" in web["message"]


def _line(story: Told, cause: Any) -> str:
    path, _, line = cause["origin"].rpartition(":")
    assert path == FILE
    return (story.repo.folder / path).read_text().splitlines()[int(line) - 1].strip()

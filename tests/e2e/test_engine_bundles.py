"""Operators with their definitions, webhooks and resources: in one run, though they need each other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.e2e.audit import Audit, Request, Witness
from tests.e2e.conftest import MakeRepo
from tests.e2e.stories import tell
from tests.e2e.webhooks import SIDECAR, Webhooks, answering_webhooks
from tests.e2e.workspace import Result, Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

FOLDER = Path(__file__).parent / "bundles"
KINDS = (
    "ClusterRole ClusterRoleBinding CustomResourceDefinition MutatingWebhookConfiguration "
    "Namespace ValidatingWebhookConfiguration ClusterIssuer"
)


@dataclass(frozen=True)
class Bundle:
    """``webhook``: namespace and name of the Service; ``edit``: a change of what it looks at;
    ``controlled``: what a controller says is ready."""

    webhook: tuple[str, str]
    edit: tuple[str, str]
    controlled: tuple[str, ...] = ()


BUNDLES = {
    "certificates": Bundle(
        ("certs", "webhook"),
        ("hosts: [web.example.com]", "hosts: [shop.example.com]"),
        (
            "certs.{app}.example.com/v1/clusterissuers/root-{app}",
            "certs.{app}.example.com/v1/namespaces/{ns}-certs-app/certificates/web",
        ),
    ),
    "mesh": Bundle(("mesh", "control-plane"), ("[shop.example.com]", "[web.example.com]")),
    "serving": Bundle(
        ("serving", "webhook"),
        ("hello:1.0", "hello:2.0"),
        ("serving.{app}.example.com/v1/namespaces/{ns}-serving-app/services/hello",),
    ),
}


@dataclass(frozen=True)
class Told:
    """The first run into namespaces that did not exist, a second one, and one while no webhook answers."""

    run: Witness
    webhooks: Webhooks
    first: Result
    again: Result
    wrote: list[Request]
    down: Result
    writes: list[Request]
    ready: float
    times: dict[str, float]


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, audit: Audit, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    folders = {name: tmp_path_factory.mktemp(name) for name in BUNDLES}

    def story(name: str, bundle: Bundle) -> Callable[[], Told]:
        def deploy() -> Told:
            run = audit.watch(make_repo())
            repo, (namespace, service) = run.repo, bundle.webhook
            host = f"{service}.{repo.namespace}-{namespace}.svc"
            with answering_webhooks(folders[name], [host]) as webhooks, controlling(repo, bundle):
                _write(repo, name, webhooks)
                first = run.deploy()
                writes = run.writes
                times = {r.what: r.at for r in reversed(writes)}
                ready = _ready(run, f"{repo.namespace}-{namespace}", service)
                again = run.deploy()
                wrote = run.all_writes
            repo.edit(f"environments/dev/manifests/{name}.yaml", *bundle.edit)
            repo.commit()
            return Told(run, webhooks, first, again, wrote, run.deploy(), writes, ready, times)

        return deploy

    return tell({name: story(name, bundle) for name, bundle in BUNDLES.items()})


def _write(repo: Workspace, name: str, webhooks: Webhooks) -> None:
    kinds = ", ".join(KINDS.split())
    repo.environment(f"allow: {{clusterScoped: [{kinds}], namespaces: ['*']}}")
    text = (FOLDER / f"{name}.yaml").read_text()
    text = text.replace("$PORT", str(webhooks.port)).replace("$CA", webhooks.ca_bundle)
    repo.manifest(f"{name}.yaml", text)
    repo.commit()


def _ready(run: Witness, namespace: str, name: str) -> float:
    """When the status of the webhook's Deployment came in for the last time."""
    return max(
        (
            r.at
            for r in run.audit.requests()
            if (r.resource, r.namespace, r.name) == ("deployments/status", namespace, name)
        ),
        default=0.0,
    )


@contextmanager
def controlling(repo: Workspace, bundle: Bundle) -> Iterator[None]:
    """Play the controller: say of each custom resource that it is ready, once it is there."""
    ended = threading.Event()

    def work() -> None:
        left = [path.format(app=repo.application, ns=repo.namespace) for path in bundle.controlled]
        while left and not ended.wait(0.1):
            left = [path for path in left if not _say_ready(repo, f"/apis/{path}")]

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _say_ready(repo: Workspace, path: str) -> bool:
    with suppress(HTTPError):
        generation = repo.cluster.api.call("GET", path)["metadata"]["generation"]
        ready: dict[str, Any] = {"type": "Ready", "status": "True", "observedGeneration": generation}
        status = {"observedGeneration": generation, "conditions": [ready]}
        repo.cluster.api.call("PATCH", f"{path}/status", {"status": status}, "application/merge-patch+json")
        return True
    return False


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_is_deployed_in_one_run(told: dict[str, Told], name: str) -> None:
    story = told[name]
    assert story.first.code == 0, str(story.first)
    written = {(r.resource, r.namespace, r.name) for r in story.writes}
    assert len(story.writes) == len(written), "something was written twice"
    documents = (FOLDER / f"{name}.yaml").read_text().count("\n---\n") + 1
    assert len(story.writes) == documents + 1, "and the environment's own namespace"


@pytest.mark.parametrize("name", BUNDLES)
def test_a_second_run_writes_nothing(told: dict[str, Told], name: str) -> None:
    story = told[name]
    assert story.again.code == 0, str(story.again)
    assert story.wrote == []


@pytest.mark.parametrize("name", BUNDLES)
def test_a_webhook_is_configured_once_its_pods_are_available(told: dict[str, Told], name: str) -> None:
    story = told[name]
    configured = [at for what, at in story.times.items() if "webhookconfigurations" in what]
    assert configured
    assert all(story.ready < at for at in configured)


@pytest.mark.parametrize(
    ("name", "path", "about"),
    [
        ("certificates", "/validate", "Certificate/web"),
        ("mesh", "/validate", "VirtualService/shop"),
        ("serving", "/mutate", "Service/hello"),
    ],
)
def test_custom_resources_go_through_the_webhook_of_the_same_set(
    told: dict[str, Told], name: str, path: str, about: str
) -> None:
    assert about in told[name].webhooks.asked(path)


def test_the_pods_of_an_application_are_injected_at_once(told: dict[str, Told]) -> None:
    repo = told["mesh"].run.repo
    pods = repo.get("pods", namespace=f"{repo.namespace}-mesh-app")["items"]
    assert len(pods) == 2
    assert all(SIDECAR["name"] in [c["name"] for c in pod["spec"]["containers"]] for pod in pods)


def test_the_configuration_that_a_webhook_looks_at_may_be_read_by_its_own_pods(
    told: dict[str, Told],
) -> None:
    times = told["serving"].times
    assert times["configmaps/config-network"] < times["deployments/webhook"]
    assert times["deployments/webhook"] < min(at for what, at in times.items() if "webhookconf" in what)


@pytest.mark.parametrize("name", BUNDLES)
def test_where_a_webhook_does_not_answer_nothing_is_written_and_the_cause_is_told(
    told: dict[str, Told], name: str
) -> None:
    story = told[name]
    assert story.down.code == 21, str(story.down)
    (problem,) = story.down.document["problems"]
    assert (problem["code"], problem["file"]) == (
        "WebhookUnavailable",
        f"environments/dev/manifests/{name}.yaml",
    )
    assert "webhook" in problem["hint"]
    assert story.run.all_writes == []

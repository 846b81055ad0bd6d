"""One resource of every kind that has a rule, on an API server, with controllers that report step by step.

The cluster is the module's own: hundreds of definitions would slow down every other test's discovery. What
the controllers say is in ``tests/custom_resources``.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from tests.cluster.local import LocalCluster
from tests.custom_resources import GATEWAY_API, Bad, Sample, missing, named, samples
from tests.e2e.live import LIMIT_S, until
from tests.e2e.stories import tell
from tests.e2e.workspace import Result, Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]  # the first test waits for all stories

AT_ONCE = 8  # requests side by side
JSON_PATCH = "application/json-patch+json"
QUIET_S = 1.5  # three times the pause between two lines of progress

ALL = tuple(samples().values())
WAITED = tuple(sample for sample in ALL if sample.waiting is not None)
FAILING = tuple(sample for sample in ALL if sample.failing)
DEPLOYED = tuple({str(sample.failing): sample for sample in FAILING}.values())
"""One for each status that fails: the other kinds of which a controller says the same are assessed alone."""
TROUBLED = tuple(sample for sample in ALL if sample.troubled)
LASTING = samples()["source.toolkit.fluxcd.io", "GitRepository"]

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ONLY_WHERE_TOLD = "istio.io"
"""Of groups below this the control plane writes no status unless it is told to: silence is ready, and what is
ready as it is written is not followed any more."""


def each(found: Iterable[Sample], act: Callable[[Sample], Any]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(act, found))


def of(found: Iterable[Sample]) -> Any:
    """A test for each of these kinds."""
    chosen = [pytest.param(sample, id=f"{sample.kind}.{sample.group}") for sample in found]
    return pytest.mark.parametrize("sample", chosen)


@dataclass(slots=True)
class Controllers:
    """The controllers of some kinds as the API server sees them: each writes the status of one object."""

    repo: Workspace
    kinds: tuple[Sample, ...]

    def address(self, sample: Sample) -> str:
        place = "" if sample.cluster else f"/namespaces/{self.repo.namespace}"
        return f"/apis/{sample.api_version}{place}/{sample.plural}/{self.repo.namespace}"

    def name(self, sample: Sample) -> str:
        place = "" if sample.cluster else self.repo.namespace
        return f"{sample.group}/{sample.kind}/{place}/{self.repo.namespace}"

    def wait_for_objects(self, running: subprocess.Popen[str]) -> None:
        """Until the deploy has created all of them."""
        for sample in self.kinds:
            until(lambda one=sample: self.is_there(one) or running.poll() is not None, f"for {sample.kind}")

    def is_there(self, sample: Sample) -> bool:
        return self.repo.cluster.api.holds(self.address(sample))

    def report(self, status_of: Callable[[Sample], Any]) -> None:
        """Write the next status of each that has one, in place of what it said before."""

        def write(sample: Sample) -> None:
            status = status_of(sample)
            if status is None:
                return
            patch = [{"op": "add", "path": "/status", "value": named(status, self.repo.namespace)}]
            address = self.address(sample) + ("/status" if sample.subresource else "")
            self.repo.cluster.api.call("PATCH", address, patch, JSON_PATCH)

        each(self.kinds, write)

    def assessed(self) -> dict[str, Any]:
        """What ``assess`` makes of them as they are now, by name, with their definitions beside them."""
        api = self.repo.cluster.api
        live = [api.call("GET", self.address(sample)) for sample in self.kinds]
        path = self.repo.folder / f"{secrets.token_hex(3)}.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [*live, *definitions(api)]}))
        code, document = self.repo.json("assess", "-f", str(path))
        assert code == 0, document
        return {one["object"]: one for one in document["objects"]}


def definitions(api: Any) -> list[Any]:
    kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    return [{**kind, **item} for item in api.call("GET", CRDS)["items"]]


class Running:
    """A deploy on its way, and the lines of its log."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[Any] = []
        self.told_at = time.monotonic()
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(json.loads(line))
            self.told_at = time.monotonic()

    def waits_for(self) -> frozenset[str]:
        """What is waited for once nothing more is news."""
        until(lambda: time.monotonic() - self.told_at > QUIET_S or self.process.poll() is not None)
        told = [line["waiting"] for line in self.lines if line["event"] == "rollout_progressed"]
        return frozenset(told[-1] if told else ())

    def ended(self) -> Result:
        assert self.process.stdout is not None
        out = self.process.stdout.read()
        code = self.process.wait(LIMIT_S)
        self._thread.join(LIMIT_S)
        return Result(code, out, "\n".join(map(str, self.lines)))

    def close(self) -> None:
        """It is gone in the end whatever happened."""
        if self.process.poll() is None:
            self.process.kill()
        with self.process:
            self._thread.join(LIMIT_S)


Make = Callable[..., Workspace]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Makes repositories with a resource of each of these kinds, on a cluster that has all definitions."""
    tmp_path_factory.getbasetemp()
    with LocalCluster(nodes=1) as cluster:
        each(ALL, lambda sample: cluster.api.call("POST", CRDS, sample.definition()))

        def make(kinds: Iterable[Sample], timeout: str = "120s") -> Workspace:
            word = secrets.token_hex(3)
            folder = tmp_path_factory.mktemp(f"custom-{word}") / "shop"
            folder.mkdir()
            repo = Workspace(
                folder=folder, cluster=cluster, namespace=f"e2e-{word}", application=f"app-{word}"
            )
            for args in (("init", "-qb", "main"), ("config", "user.name", "tester")):
                repo.git(*args)
            repo.git("config", "user.email", "tester@example.invalid")
            cluster.create_namespace(repo.namespace)
            policy = "allow: {clusterScoped: ['*']}\nrollback: {auto: false}"
            repo.environment(policy, deploy=f"{{timeout: {timeout}}}")
            for sample in kinds:
                text = yaml.safe_dump(sample.manifest(repo.namespace), sort_keys=False)
                repo.manifest(file_of(sample), f"# {sample.kind}\n---\n{text}")
            repo.commit()
            return repo

        yield make


def file_of(sample: Sample) -> str:
    return f"{sample.kind}.{sample.group}.yaml"


@contextmanager
def deploying(repo: Workspace) -> Iterator[Running]:
    running = Running(repo.start("--log-format", "json", "-o", "json", "deploy", "-e", "dev"))
    try:
        yield running
    finally:
        running.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a deploy said at its end, what it waited for, and what ``assess`` said, step by step."""

    controllers: Controllers
    result: Result
    waited_for: dict[str, frozenset[str]] = field(default_factory=dict)
    assessed: dict[str, dict[str, Any]] = field(default_factory=dict)

    def entry(self, sample: Sample) -> Any:
        return self._find("rollout", sample)

    def cause(self, sample: Sample) -> Any:
        return self._find("causes", sample)

    @property
    def why(self) -> str:
        document = self.result.document
        return f"exit code {self.result.code}: {document['causes']}, {document.get('problems')}"

    def _find(self, part: str, sample: Sample) -> Any:
        name = self.controllers.name(sample)
        found = [one for one in self.result.document[part] if one["object"] == name]
        assert len(found) == 1, f"{name} is not in {part}: {self.why}"
        return found[0]


def becoming_ready(make: Make) -> Story:
    """All kinds in one environment: silent, then not ready, then ready; afterwards each goes bad."""
    repo = make(ALL)
    controllers = Controllers(repo, ALL)
    waited_for, assessed = {}, {}
    with deploying(repo) as running:
        controllers.wait_for_objects(running.process)
        for step in ("silent", "waiting"):
            controllers.report(lambda sample, step=step: sample.waiting if step == "waiting" else None)
            waited_for[step] = running.waits_for()
            assessed[step] = controllers.assessed()
        give_pods(repo)
        controllers.report(lambda sample: sample.ready)
        result = running.ended()
    assessed["ready"] = controllers.assessed()
    for step, bad_of in BAD.items():
        controllers.report(lambda sample, bad_of=bad_of: bad.status if (bad := bad_of(sample)) else None)
        assessed[step] = controllers.assessed()
    return Story(controllers=controllers, result=result, waited_for=waited_for, assessed=assessed)


BAD: dict[str, Callable[[Sample], Bad | None]] = {
    "troubled": lambda sample: sample.troubled,
    "failing": lambda sample: sample.failing,
}


def give_pods(repo: Workspace) -> None:
    """What the Rollout's controller makes: a ReplicaSet, whose pods count as those of a Deployment do."""
    api = repo.cluster.api
    rollout = samples()["argoproj.io", "Rollout"]
    live = api.call("GET", Controllers(repo, (rollout,)).address(rollout))
    labels = {"app": "shop", "rollouts-pod-template-hash": rollout.ready["currentPodHash"]}
    owner = {"apiVersion": rollout.api_version, "kind": rollout.kind, "controller": True}
    owner |= {"name": live["metadata"]["name"], "uid": live["metadata"]["uid"]}
    pods = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "shop", "image": "nginx:1.27"}]}}
    spec = {"replicas": rollout.ready["replicas"], "selector": {"matchLabels": labels}, "template": pods}
    path = f"/apis/apps/v1/namespaces/{repo.namespace}/replicasets"
    meta = {"name": f"shop-{rollout.ready['currentPodHash']}", "labels": labels, "ownerReferences": [owner]}
    api.call("POST", path, {"metadata": meta, "spec": spec})
    until(lambda: api.holds(f"{path}/{meta['name']}", lambda one: one["status"].get("readyReplicas") == 3))


def going_bad(make: Make, sample: Sample, status: Any) -> Story:
    """A resource of one kind, whose controller finds fault with it."""
    repo = make([sample])
    controllers = Controllers(repo, (sample,))
    with deploying(repo) as running:
        controllers.wait_for_objects(running.process)
        controllers.report(lambda _: status)
        waited_for = running.waits_for()
        return Story(controllers=controllers, result=running.ended(), waited_for={"bad": waited_for})


@pytest.fixture(scope="module")
def told(shop: Make) -> dict[object, Story]:
    """Every story, by name or by the kind that fails."""
    assert LASTING.troubled is not None
    status = LASTING.troubled.status
    stories: dict[Any, Callable[[], Story]] = {
        "lasting": lambda: going_bad(shop, LASTING, status),
        "ready": lambda: becoming_ready(shop),
    }
    for sample in DEPLOYED:
        assert sample.failing is not None
        stories[sample.key] = lambda one=sample, said=sample.failing.status: going_bad(shop, one, said)
    return tell(stories)


def test_every_kind_that_has_a_rule_is_among_them() -> None:
    assert missing() == []


def test_a_watch_for_each_of_so_many_kinds_is_nothing_to_complain_of(told: dict[object, Story]) -> None:
    assert "library_reported" not in told["ready"].result.stderr


@of(ALL)
def test_a_kind_is_current_with_what_its_project_documents_as_ready(
    sample: Sample, told: dict[object, Story]
) -> None:
    story = told["ready"]
    assert story.result.code == 0, story.why
    name = story.controllers.name(sample)
    assert story.assessed["ready"][name]["status"] == "Current"
    if (sample.group, sample.kind) != (GATEWAY_API, "ReferenceGrant"):  # has no status, so none is waited for
        assert story.entry(sample)["status"] == "Current"


@of(WAITED)
@pytest.mark.parametrize("step", ["silent", "waiting"])
def test_it_is_waited_for_as_long_as_its_controller_says_nothing_or_not_that(
    step: str, sample: Sample, told: dict[object, Story]
) -> None:
    story = told["ready"]
    name = story.controllers.name(sample)
    verdict = story.assessed[step][name]

    if sample.group.endswith(ONLY_WHERE_TOLD):
        assert verdict["status"] == ("Current" if step == "silent" else "InProgress")
        return
    assert name in story.waited_for[step]
    assert verdict["status"] == "InProgress"
    assert verdict["reason"]
    assert verdict["message"]


@of(TROUBLED)
def test_trouble_of_a_saved_object_is_a_failure_in_its_own_words(
    sample: Sample, told: dict[object, Story]
) -> None:
    assert sample.troubled is not None
    is_assessed(told["ready"], "troubled", sample, sample.troubled.says)


@of(FAILING)
def test_a_failure_of_a_saved_object_is_told_in_its_own_words(
    sample: Sample, told: dict[object, Story]
) -> None:
    assert sample.failing is not None
    is_assessed(told["ready"], "failing", sample, sample.failing.says)


def is_assessed(story: Story, step: str, sample: Sample, says: str) -> None:
    verdict = story.assessed[step][story.controllers.name(sample)]
    assert (verdict["status"], verdict["reason"]) == ("Failed", "CustomResourceFailed")
    assert says in verdict["message"]


@of(DEPLOYED)
def test_a_failure_ends_the_deploy_with_the_kinds_own_words_and_its_line(
    sample: Sample, told: dict[object, Story]
) -> None:
    assert sample.failing is not None
    is_told(told[sample.key], sample, sample.failing.says)


def test_trouble_that_lasts_is_a_failure_and_is_waited_for_until_then(told: dict[object, Story]) -> None:
    assert LASTING.troubled is not None
    assert told["lasting"].waited_for["bad"] == {told["lasting"].controllers.name(LASTING)}
    is_told(told["lasting"], LASTING, LASTING.troubled.says)


def is_told(story: Story, sample: Sample, says: str) -> None:
    assert story.result.code == 11, story.why
    assert story.entry(sample)["status"] == "Failed"

    cause = story.cause(sample)
    assert cause["code"] == "CustomResourceFailed"
    assert says in cause["message"]
    assert cause["origin"] == f"environments/dev/manifests/{file_of(sample)}:3"
    assert "see the resource's conditions" in cause["hint"]

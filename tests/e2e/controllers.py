"""Custom resources on a cluster of their own, with controllers that report as a test tells them to."""

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
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.local import LocalCluster
from tests.custom_resources import Sample, named
from tests.e2e.live import LIMIT_S, until
from tests.e2e.workspace import Result, Workspace

AT_ONCE = 8  # requests side by side
JSON_PATCH = "application/json-patch+json"
QUIET_S = 1.5  # three times the pause between two lines of progress
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

Make = Callable[..., Workspace]


def each(found: Iterable[Sample], act: Callable[[Sample], Any]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(act, found))


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


@contextmanager
def shops(kinds: Iterable[Sample], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Makes repositories with a resource of each of some kinds, on a cluster with their definitions."""
    folder = tmp_path_factory.mktemp("discovery")
    with LocalCluster(nodes=1) as cluster:
        each(kinds, lambda sample: cluster.api.call("POST", CRDS, sample.definition()))
        wanted = {f"{sample.plural}.{sample.group}" for sample in kinds}
        until(lambda: wanted <= served(cluster, folder), "for all kinds to be served")

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


def served(cluster: LocalCluster, folder: Path) -> set[str]:
    """``plural.group`` of all kinds that discovery tells of: hundreds of new ones take the server seconds,
    and until then a deploy is told that there is no such kind."""
    command = [
        "kubectl",
        "--kubeconfig",
        str(cluster.kubeconfig),
        "--cache-dir",
        str(folder),
        "api-resources",
    ]
    done = subprocess.run([*command, "-o", "name"], capture_output=True, text=True, check=False)
    return set(done.stdout.split())


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


def going_bad(make: Make, sample: Sample, status: Any, after: Any = None) -> Story:
    """A new resource, with which its controller finds fault; it may say something else ``after`` that."""
    repo = make([sample])
    controllers = Controllers(repo, (sample,))
    with deploying(repo) as running:
        controllers.wait_for_objects(running.process)
        controllers.report(lambda _: status)
        waited_for = running.waits_for()
        controllers.report(lambda _: after)
        return Story(controllers=controllers, result=running.ended(), waited_for={"bad": waited_for})


def is_told(story: Story, sample: Sample, says: str) -> None:
    assert story.result.code == 11, story.why
    assert story.entry(sample)["status"] == "Failed"

    cause = story.cause(sample)
    assert cause["code"] == "CustomResourceFailed"
    assert says in cause["message"]
    assert cause["origin"] == f"environments/dev/manifests/{file_of(sample)}:3"
    assert "see the resource's conditions" in cause["hint"]

"""From an event of the API server to our verdict: how long, beside a bare watch of the same objects.

The bare watch sees each object first become what readiness asks for; the difference to the moment at which
our run settled the object is our delay. Both clocks are this machine's.
"""

from __future__ import annotations

import json
import ssl
import statistics
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bench import timed
from tests.bench.contenders import git
from tests.bench.scores import grid
from tests.cluster.local import LocalCluster
from tests.e2e.workspace import Workspace

LIMIT_S = 180.0
SIZES = (10, 40, 200)
FIRST_S, APART_S = 1.0, 0.15  # the first pod is ready after this, each further one so much later
_PLURALS = {"Deployment": "apis/apps/v1/deployments", "Pod": "api/v1/pods"}


@dataclass(frozen=True, slots=True)
class Delays:
    """Milliseconds for each verdict of one kind."""

    name: str
    delays: Sequence[float]


@dataclass(slots=True)
class Seen:
    """When a bare watch first saw each object as ``is_it`` says, in seconds since 1970."""

    at: dict[str, float] = field(default_factory=dict)


def measure() -> list[Delays]:
    """Deployments that become ready one after the other, and a pod that fails in each of ten deploys."""
    with tempfile.TemporaryDirectory(prefix="pipeline-bench-") as name, LocalCluster() as cluster:
        folder = Path(name)
        found = [
            Delays(f"{size} Deployments become ready", _readiness(cluster, folder, size)) for size in SIZES
        ]
        failures = [_failure(cluster, folder, number) for number in range(10)]
        return [*found, Delays("a Deployment fails: its image is not found", failures)]


def report(found: Sequence[Delays]) -> str:
    """A line a kind: median, 95th percentile and maximum in milliseconds."""
    rows = [("from the event to the verdict", "verdicts", "median, ms", "95 %, ms", "longest, ms")]
    for one in found:
        ordered = sorted(one.delays)
        high = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
        numbers = (statistics.median(ordered), high, ordered[-1])
        rows.append((one.name, str(len(ordered)), *(f"{number:.0f}" for number in numbers)))
    return grid(rows)


def _readiness(cluster: LocalCluster, folder: Path, size: int) -> list[float]:
    place = _place(cluster, folder, f"latency-{size}")
    for number in range(size):
        delay_ms = 1000 * (FIRST_S + number * APART_S)
        place.manifest(f"{number}.yaml", _deployment(f"web-{number}", "slow", f"{delay_ms:.0f}ms"))
    with _watching(cluster, place.namespace, "Deployment", _is_ready) as seen:
        _, lines, document = _deploy(place)
    began = _gate_began(lines)
    return [
        1000 * (began + entry["seconds"] - seen.at[entry["object"].rpartition("/")[2]])
        for entry in document["rollout"]
    ]


def _failure(cluster: LocalCluster, folder: Path, number: int) -> float:
    place = _place(cluster, folder, f"latency-fails-{number}")
    place.manifest("web.yaml", _deployment("web", "missing", "1s"))
    with _watching(cluster, place.namespace, "Pod", _is_refused) as seen:
        _, lines, _ = _deploy(place)
    ended = next(line for line in lines if line["event"] == "rollout_ended")
    return 1000 * (_time(ended) - min(seen.at.values()))


def _place(cluster: LocalCluster, folder: Path, name: str) -> Workspace:
    """A repository with an environment, and its namespace."""
    where = folder / name / "shop"
    where.mkdir(parents=True)
    place = Workspace(folder=where, cluster=cluster, namespace=name, application=name)
    cluster.create_namespace(name)
    place.environment("rollback: {auto: false}", deploy="{timeout: 2m}")
    return place


def _deployment(name: str, mode: str, delay: str) -> str:
    return f"""\
        apiVersion: apps/v1
        kind: Deployment
        metadata: {{name: {name}}}
        spec:
          selector: {{matchLabels: {{app: {name}}}}}
          template:
            metadata:
              labels: {{app: {name}}}
              annotations: {{pipeline.test/pod: {mode}, pipeline.test/delay: {delay}}}
            spec:
              containers: [{{name: main, image: 'nginx:1.21'}}]
        """


def _deploy(place: Workspace) -> tuple[timed.Run, list[Any], Any]:
    """(the run, its log, its report)."""
    git(place.folder, "init", "--quiet", "--initial-branch", "main")
    git(place.folder, "add", "--all")
    git(place.folder, "commit", "--quiet", "--message", "a change")
    command = place.command("-o", "json", "--log-format", "json", "deploy", "-e", "dev")
    run = timed.run(command, env=place.variables(), cwd=place.folder, limit_s=LIMIT_S)
    if run.code not in (0, 11):
        raise SystemExit(f"error: pipeline deploy ended with {run.code}\n{run.stdout}{run.stderr}")
    lines = [json.loads(line) for line in run.stderr.splitlines() if line.startswith("{")]
    return run, lines, json.loads(run.stdout)


def _gate_began(lines: Sequence[Any]) -> float:
    """When the gate's own seconds began: its first word tells both times."""
    first = next(line for line in lines if line["event"] == "rollout_progressed")
    return _time(first) - float(first["elapsed_s"])


def _time(line: Any) -> float:
    return datetime.fromisoformat(line["time"]).timestamp()


def _is_ready(obj: Any) -> bool:
    status, wanted = obj.get("status", {}), obj["spec"]["replicas"]
    seen = status.get("observedGeneration") == obj["metadata"]["generation"]
    return seen and status.get("availableReplicas") == wanted and status.get("updatedReplicas") == wanted


def _is_refused(obj: Any) -> bool:
    statuses = obj.get("status", {}).get("containerStatuses", ())
    waiting = [one.get("state", {}).get("waiting", {}).get("reason") for one in statuses]
    return "ErrImagePull" in waiting or "ImagePullBackOff" in waiting


@contextmanager
def _watching(cluster: LocalCluster, namespace: str, kind: str, is_it: Any) -> Iterator[Seen]:
    """A bare watch on a thread, from before the first object on."""
    seen = Seen()
    root, _, plural = _PLURALS[kind].rpartition("/")
    request = urllib.request.Request(
        f"{cluster.server}/{root}/namespaces/{namespace}/{plural}?watch=1",
        headers={"Authorization": f"Bearer {cluster.token}"},
    )
    trust = ssl.create_default_context(cafile=str(cluster.ca_file))
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
    )
    answer = opener.open(request, timeout=LIMIT_S)

    def read() -> None:
        for line in answer:
            now = time.time()
            obj = json.loads(line)["object"]
            if is_it(obj):
                seen.at.setdefault(obj["metadata"]["name"], now)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    yield seen

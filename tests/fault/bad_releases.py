"""Releases that cannot come up, made up by seeds: each must be rolled back, and leave what was there before.

    python -m tests.fault.bad_releases --runs 300 --seed 1
    python -m tests.fault.bad_releases --only 17

Before the bad release somebody else has changed fields of the good one: those stay. What is compared is
every object of the namespace, as the API server has it, without what only counts or dates it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.local import LocalCluster
from tests.e2e.workspace import Workspace
from tests.fault.releases import BadRelease, bad_release

AT_ONCE = 5
ROLLED_BACK = 10
UP_S = 30.0
FILE = "environments/dev/manifests/all.yaml"
KINDS = (
    "configmaps",
    "secrets",
    "services",
    "serviceaccounts",
    "apps/v1/deployments",
    "apps/v1/statefulsets",
    "apps/v1/daemonsets",
    "batch/v1/jobs",
    "batch/v1/cronjobs",
    "networking.k8s.io/v1/networkpolicies",
    "policy/v1/poddisruptionbudgets",
    "rbac.authorization.k8s.io/v1/roles",
)
_COUNTED = ("resourceVersion", "generation", "managedFields", "uid", "creationTimestamp")
_COUNTS = ("deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation")
_NOBODYS = ("configmaps/kube-root-ca.crt", "serviceaccounts/default")

State = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``differences``: what is there after the rollback and was not before, or the other way round."""

    seed: int
    why: str
    code: int
    differences: Sequence[str]
    objects: int = 0


def play(cluster: LocalCluster, folder: Path, seed: int) -> Verdict:
    """One good release, somebody's changes of it, and the bad one."""
    release = bad_release(seed)
    repo = _repository(cluster, folder)
    try:
        return _played(repo, release, seed)
    finally:
        with contextlib.suppress(OSError):
            cluster.api.call("DELETE", f"/api/v1/namespaces/{repo.namespace}")


def _played(repo: Workspace, release: BadRelease, seed: int) -> Verdict:
    first = _deploy(repo, release.good, release)
    if first[0] != 0:
        told = [f"the good release ended with {first[0]}: {first[1][-600:]}"]
        return Verdict(seed=seed, why=release.why, code=first[0], differences=told)
    _drift(repo, seed)
    before = state(repo)
    code, output = _deploy(repo, release.bad, release)
    found = list(differences(before, state(repo)))
    if code != ROLLED_BACK:
        found.append(f"ended with {code}: {output[-900:]}")
    found += _not_up(repo)
    return Verdict(seed=seed, why=release.why, code=code, differences=found, objects=len(before))


def _repository(cluster: LocalCluster, folder: Path) -> Workspace:
    word = secrets.token_hex(3)
    place = folder / word / "shop"
    place.mkdir(parents=True)
    repo = Workspace(folder=place, cluster=cluster, namespace=f"bad-{word}", application=f"app-{word}")
    repo.git("init", "--quiet", "--initial-branch", "main")
    repo.git("config", "user.name", "tester")
    repo.git("config", "user.email", "tester@example.invalid")
    cluster.create_namespace(repo.namespace)
    return repo


def _deploy(repo: Workspace, manifests: Sequence[Any], release: BadRelease) -> tuple[int, str]:
    timeout = release.timeout if manifests is release.bad else "60s"
    repo.environment("prune: {maxDeletions: 100, maxPercent: 100}", deploy=f"{{timeout: {timeout}}}")
    repo.write(FILE, "\n---\n".join(json.dumps(m, indent=1) for m in manifests) + "\n")
    repo.commit()
    result = repo.run("deploy", "-e", "dev")
    return result.code, result.output


def _drift(repo: Workspace, seed: int) -> None:
    """Another manager's fields, in objects that the bad release will change, remove or leave alone."""
    for kind in ("configmaps", "apps/v1/deployments", "services"):
        for item in repo.get(kind)["items"]:
            name = item["metadata"]["name"]
            if f"{kind}/{name}" in _NOBODYS or (seed + len(name)) % 2:
                continue
            prefix = "/api/v1" if "/" not in kind else f"/apis/{kind.rpartition('/')[0]}"
            path = f"{prefix}/namespaces/{repo.namespace}/{kind.rpartition('/')[2]}/{name}"
            patch: dict[str, Any] = {"metadata": {"annotations": {"example.org/by-hand": str(seed)}}}
            if kind == "configmaps":
                patch["data"] = {"by-hand": str(seed)}
            repo.cluster.api.call(
                "PATCH", f"{path}?fieldManager=somebody", patch, content="application/merge-patch+json"
            )


# --- what is there


def state(repo: Workspace) -> State:
    """Every object of the namespace by kind and name, as its owners want it."""
    found = {}
    for kind in KINDS:
        for item in repo.get(kind)["items"]:
            name = f"{kind}/{item['metadata']['name']}"
            if not name.startswith("secrets/pipeline.") and name not in _NOBODYS:
                found[name] = _wanted(item)
    return found


def _wanted(item: Any) -> Any:
    meta = {k: v for k, v in item["metadata"].items() if k not in _COUNTED}
    notes = {k: v for k, v in meta.pop("annotations", {}).items() if k not in _COUNTS}
    return {**{k: v for k, v in item.items() if k != "status"}, "metadata": meta | {"annotations": notes}}


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Where two values are not the same, a line each."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            at = f"{path}.{key}" if path else key
            yield from differences(before.get(key), after.get(key), at)
    elif before != after:
        yield f"{path}: {json.dumps(before)[:200]} before, {json.dumps(after)[:200]} after"


def _not_up(repo: Workspace) -> Iterator[str]:
    """Workloads that are not as large, ready and of one revision as they should be. A little is waited:
    pods of a set that is far enough may still be on their way."""
    limit = time.monotonic() + UP_S
    while True:
        found = [
            f"{kind}/{item['metadata']['name']} is not up: {json.dumps(item['status'])[:300]}"
            for kind in ("apps/v1/deployments", "apps/v1/statefulsets", "apps/v1/daemonsets")
            for item in repo.get(kind)["items"]
            if not _is_up(item)
        ]
        if not found or time.monotonic() > limit:
            yield from found
            return
        time.sleep(0.3)


def _is_up(item: Any) -> bool:
    status, spec = item["status"], item["spec"]
    if "replicas" not in spec:
        wanted = status.get("desiredNumberScheduled", 0)
        return bool(status.get("numberReady", 0) == wanted == status.get("updatedNumberScheduled", 0))
    wanted = spec["replicas"]
    return bool(status.get("readyReplicas", 0) == wanted == status.get("replicas", 0))


# --- many


@dataclass(slots=True)
class Score:
    played: int = 0
    objects: int = 0
    by_why: Counter[str] = field(default_factory=Counter)
    broken: int = 0

    def add(self, verdict: Verdict) -> None:
        self.played += 1
        self.objects += verdict.objects
        self.by_why[verdict.why] += 1
        if verdict.differences:
            self.broken += 1
            print(f"seed {verdict.seed} ({verdict.why}), exit code {verdict.code}", flush=True)
            for line in verdict.differences[:8]:
                print(f"    {line}", flush=True)

    def lines(self) -> Iterator[str]:
        yield f"{self.played} bad releases over {self.objects} objects, {self.broken} not as before"
        yield ", ".join(f"{count} {why}" for why, count in sorted(self.by_why.items()))


def many(cluster: LocalCluster, folder: Path, seeds: Sequence[int], at_once: int = AT_ONCE) -> Score:
    """Play them side by side; what differs is printed as it comes."""
    score = Score()
    with ThreadPoolExecutor(at_once) as pool:
        for verdict in pool.map(lambda seed: play(cluster, folder, seed), seeds):
            score.add(verdict)
    return score


def main() -> int:
    """Exit 1 where something was not as before."""
    parser = argparse.ArgumentParser(prog="python -m tests.fault.bad_releases")
    parser.add_argument("--runs", type=int, default=300, help="how many (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the first one (default %(default)s)")
    parser.add_argument("--only", type=int, action="append", help="play this seed; may be repeated")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="side by side (default %(default)s)")
    arguments = parser.parse_args()
    seeds = arguments.only or range(arguments.seed, arguments.seed + arguments.runs)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, LocalCluster() as cluster:
        score = many(cluster, Path(folder), seeds, arguments.at_once)
    for line in score.lines():
        print(line)
    print(f"{time.monotonic() - started:.0f} s")
    return 1 if score.broken else 0


if __name__ == "__main__":
    sys.exit(main())

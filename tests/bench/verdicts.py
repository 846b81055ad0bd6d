"""Seconds from the apply to the verdict: ours beside ``kubectl rollout status`` and ``helm upgrade --wait``.

The failures are those of the end-to-end tests, each side with the same manifests in a namespace of its own.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import peers, timed
from tests.bench.contenders import git
from tests.bench.scores import grid
from tests.cluster.local import LocalCluster
from tests.e2e.failures import Failure
from tests.e2e.stories import tell
from tests.e2e.test_failures_local import FAILURES
from tests.e2e.workspace import Workspace

LONGEST_NAME = 63  # of a namespace, a label of RFC 1123
PATIENCE_S = 60
"""What both peers are told to wait. Workflows say minutes, and their time grows with it second by second."""

BUDGET = "2m"
"""Ours: longer than every default grace (image and quota 60 s, schedule 90 s), so that these decide."""

LIMIT_S = 150.0  # a command that takes longer is stuck

MOST_CHARS = 170  # of what is said: a policy's message has 500

# Those that end with a grace or the budget come first, so that the last lane is not left alone with one.
STORIES = (
    "a node that there is not",
    "no room in a quota",
    "pods that never are ready",
    "a wrong tag",
    "a missing key",
    "a command that is not there",
    "a crash loop",
    "an init container that crashes",
    "too little memory",
    "a policy that denies the pods",
    "a job that fails",
)

MANIFESTS, TEMPLATES = "environments/dev/manifests", "chart/templates"
CHART = "apiVersion: v2\nname: web\nversion: 0.1.0\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How long a command took, and what it said in the end."""

    seconds: float
    code: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One failure by every side, None for a peer that is absent. ``verdict_s`` is ours, from the apply on."""

    name: str
    cause: str
    verdict_s: float
    ours: Told
    kubectl: Told | None
    helm: Told | None


@dataclass(slots=True, kw_only=True)
class Lab:
    """The cluster, where to work, and what is deployed there. ``policy`` are lines of our environment,
    ``helm_also`` further options of Helm."""

    cluster: LocalCluster
    folder: Path
    failures: Mapping[str, Failure] = field(default_factory=lambda: FAILURES)
    budget: str = BUDGET
    policy: str = "rollback: {auto: false}"
    helm_also: tuple[str, ...] = ()
    kubectl: peers.Found | None = field(default_factory=partial(peers.find, peers.KUBECTL))
    helm: peers.Found | None = field(default_factory=partial(peers.find, peers.HELM))

    def workspace(self, name: str, side: str) -> Workspace:
        """A folder and a namespace of the same name, with what the failure needs in it."""
        words = "-".join(re.findall(r"[a-z0-9]+", name.lower()))
        word = f"{words[: LONGEST_NAME - len(side) - 1].rstrip('-')}-{side}"
        folder = self.folder / word / "shop"
        folder.mkdir(parents=True)
        place = Workspace(folder=folder, cluster=self.cluster, namespace=word, application=word)
        self.open(place)
        self.failures[name].before(place)
        return place

    def open(self, place: Workspace) -> None:
        """Make its namespace."""
        self.cluster.create_namespace(place.namespace)


def measure(names: Sequence[str] = STORIES) -> list[Verdict]:
    """Every failure on one cluster, some side by side."""
    with tempfile.TemporaryDirectory(prefix="pipeline-bench-") as name, LocalCluster() as cluster:
        lab = Lab(cluster=cluster, folder=Path(name))
        return list(tell({one: partial(_story, lab, one) for one in names}).values())


def report(verdicts: Sequence[Verdict]) -> str:
    """Both tables."""
    return f"{seconds_table(verdicts)}\n\n{words_table(verdicts)}\n"


def seconds_table(verdicts: Iterable[Verdict]) -> str:
    """A line a failure: seconds, and our whole command through the peer's."""
    peer_heads = ("`kubectl`, s", "ratio", "Helm, s", "ratio")
    rows = [("failure", "our cause", "apply to verdict, s", "whole command, s", *peer_heads)]
    for one in verdicts:
        ours = (f"`{one.cause}`", f"{one.verdict_s:.1f}", f"{one.ours.seconds:.1f}")
        rows.append((one.name, *ours, *_beside(one.ours, one.kubectl), *_beside(one.ours, one.helm)))
    return grid(rows)


def words_table(verdicts: Iterable[Verdict]) -> str:
    """A line a failure: what each side says in the end, with its exit code."""
    rows = [("failure", "ours", "`kubectl`", "Helm")]
    rows += [(one.name, _said(one.ours), _said(one.kubectl), _said(one.helm)) for one in verdicts]
    return grid(rows)


def lay(place: Workspace, failure: Failure, folder: str) -> None:
    """Write the manifests, the same ones for every side."""
    place.write(f"{folder}/web.yaml", failure.manifest)
    if failure.beside:
        place.write(f"{folder}/beside.yaml", failure.beside)


def told_by(document: Any, run: timed.Run, expected: str) -> tuple[str, float, Told]:
    """The cause, seconds from the start of the apply to the verdict, and the cause's sentence with its line.

    ``expected`` is the cause that counts where there are several; any other stands as it was told.
    """
    causes = sorted(document["causes"], key=lambda cause: cause["code"] != expected)
    cause = causes[0] if causes else {"code": "none", "message": run.last_words, "origin": ""}
    spent = document["timings"]
    words = ": ".join(filter(None, (Path(cause["origin"]).name, cause["message"])))
    told = Told(seconds=run.seconds, code=run.code, words=words)
    return cause["code"], spent["apply"] + spent["rollout"], told


def last_words(run: timed.Run) -> str:
    """A peer's error, which may have several lines; else its last line."""
    found = re.search(r"^error: .*", run.stderr, re.IGNORECASE | re.MULTILINE | re.DOTALL)
    return "; ".join(found[0].splitlines()) if found else run.last_words


def _beside(ours: Told, peer: Told | None) -> tuple[str, str]:
    return (f"{peer.seconds:.1f}", f"{ours.seconds / peer.seconds:.2f}") if peer else ("", "")


def _said(told: Told | None) -> str:
    if told is None:
        return ""
    words = textwrap.shorten(told.words, MOST_CHARS, placeholder=" …")
    return f"{told.code}: {words}".replace("|", "\\|")


def _story(lab: Lab, name: str) -> Verdict:
    """Ours alone; then both peers at once, as they mostly wait."""
    verdict = ours(lab, name)
    with ThreadPoolExecutor(2) as pool:
        kubectl_told, helm_told = pool.map(lambda side: side(lab, name), PEERS)
    print(f"{name}: {verdict.ours.seconds:.1f} s by us", file=sys.stderr, flush=True)
    return replace(verdict, kubectl=kubectl_told, helm=helm_told)


def ours(lab: Lab, name: str) -> Verdict:
    """``pipeline deploy`` with the default grace."""
    failure, place = lab.failures[name], lab.workspace(name, "ours")
    # Where only the budget ends the wait it is the peers' own.
    budget = f"{PATIENCE_S}s" if failure.exit_code == 12 else lab.budget
    place.environment(f"{lab.policy}\n{failure.more}", deploy=f"{{timeout: {budget}}}")
    lay(place, failure, MANIFESTS)
    git(place.folder, "init", "--quiet", "--initial-branch", "main")
    git(place.folder, "add", "--all")
    git(place.folder, "commit", "--quiet", "--message", "a change")
    run = _run(place, place.command("-o", "json", "deploy", "-e", "dev"))
    if run.code not in (10, 11, 12):
        raise SystemExit(f"error: {name}: pipeline deploy ended with {run.code}\n{run.stdout}{run.stderr}")
    cause, verdict_s, told = told_by(json.loads(run.stdout), run, failure.code)
    return Verdict(name=name, cause=cause, verdict_s=verdict_s, ours=told, kubectl=None, helm=None)


def kubectl(lab: Lab, name: str) -> Told | None:
    """``kubectl apply``, then what waits for the kind: ``rollout status`` knows no Job."""
    if lab.kubectl is None:
        return None
    failure, place = lab.failures[name], lab.workspace(name, "kubectl")
    lay(place, failure, MANIFESTS)
    command = [lab.kubectl.path, "--namespace", place.namespace]
    limit = f"--timeout={PATIENCE_S}s"
    wait = ["rollout", "status", "deployment/web", limit]
    if is_job(failure):
        wait = ["wait", "--for=condition=complete", "job/web", limit]
    started = time.perf_counter()
    run = _run(place, [*command, "apply", "-f", MANIFESTS])
    if run.ok:
        run = _run(place, [*command, *wait])
    return Told(seconds=time.perf_counter() - started, code=run.code, words=last_words(run))


def helm(lab: Lab, name: str) -> Told | None:
    """One release of a chart whose templates are the manifests."""
    if lab.helm is None:
        return None
    failure, place = lab.failures[name], lab.workspace(name, "helm")
    lay(place, failure, TEMPLATES)
    place.write("chart/Chart.yaml", CHART)
    also = [*(["--wait-for-jobs"] if is_job(failure) else []), *lab.helm_also]
    command = [lab.helm.path, "upgrade", "--install", "web", "chart", "--namespace", place.namespace]
    run = _run(place, [*command, "--wait", *also, "--timeout", f"{PATIENCE_S}s"])
    return Told(seconds=run.seconds, code=run.code, words=last_words(run))


PEERS: tuple[Callable[[Lab, str], Told | None], ...] = (kubectl, helm)


def is_job(failure: Failure) -> bool:
    """Whether it is waited for to end, not to stand."""
    return "kind: Job" in failure.manifest


def _run(place: Workspace, command: Sequence[str]) -> timed.Run:
    return timed.run(command, env=place.variables(), cwd=place.folder, limit_s=LIMIT_S)

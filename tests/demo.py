"""``make demo``: the main job as a story, on the local cluster or on one of the user's own.

Everything is real: a git repository, an API server, the ``pipeline`` command as a user types it. On the
local cluster only nodes and pods are simulated.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline.adapters.clock import SystemClock
from pipeline.adapters.cluster import KubeCluster
from pipeline.adapters.connection import connect
from pipeline.model.errors import PipelineError
from pipeline.model.objects import ObjectRef

ROOT = Path(__file__).parent.parent
NAMESPACES = ("web-dev", "web-staging")


class Story:
    """Tells what happens, runs commands as a user would, and stops where one ends unexpectedly."""

    def __init__(self, repository: Path, environ: Mapping[str, str], context: str) -> None:
        self._repository = repository
        self._environ = {**environ, "GIT_CONFIG_GLOBAL": os.devnull, "PYTHONPATH": str(ROOT)}
        self._options = ["--context", context] if context else []
        self._chapter = 0

    def tell(self, title: str, text: str) -> None:
        self._chapter += 1
        print(f"\n{_bold(f'{self._chapter}. {title}')}")
        print(textwrap.indent(textwrap.fill(textwrap.dedent(text).strip(), 92), "   "))

    def pipeline(self, *args: str, expect: int = 0) -> None:
        """Run ``pipeline``; its output goes to the screen."""
        print(f"\n{_dim('$ pipeline ' + ' '.join(args))}", flush=True)
        command = [sys.executable, "-m", "pipeline", *self._options, *args]
        result = subprocess.run(command, cwd=self._repository, env=self._environ, check=False)
        if result.returncode != expect:
            raise SystemExit(
                f"error: `pipeline {' '.join(args)}` ended with {result.returncode}, expected {expect}"
            )
        if expect:
            print(_dim(f"(exit code {result.returncode}, as it should be)"))

    def change(self, file: str, old: str, new: str, message: str) -> None:
        """Edit a file and commit it."""
        path = self._repository / "environments" / file
        text = path.read_text()
        if old not in text:
            raise SystemExit(f"error: {file} does not hold {old!r}: the example and the demo went apart")
        path.write_text(text.replace(old, new))
        print(f"\n{_dim(f'environments/{file}: {old} → {new}')}")
        self.commit(message)

    def commit(self, message: str) -> None:
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", message)
        print(_dim(f"$ git commit -m '{message}'"))

    def start(self) -> None:
        """A scratch repository with the example environments."""
        shutil.copytree(ROOT / "environments", self._repository / "environments")
        self._git("init", "--quiet", "--initial-branch", "main")
        self._git("config", "user.name", "demo")
        self._git("config", "user.email", "demo@example.invalid")

    def without_checks(self) -> None:
        """Simulated pods serve nothing, so that no HTTP check can pass."""
        for name in ("dev", "staging"):
            path = self._repository / "environments" / name / "environment.yaml"
            path.write_text(re.sub(r"  checks:\n(    .*\n)+", "", path.read_text()))

    def _git(self, *args: str) -> None:
        subprocess.run(["git", *args], cwd=self._repository, env=self._environ, check=True)


def play(story: Story, *, simulated: bool) -> None:
    """The story."""
    story.tell(
        "A repository",
        "The example of this project: nginx behind a Service, with an autoscaler, settings, a Secret and "
        "network policies, in the environments dev, staging and prod.",
    )
    story.start()
    if simulated:
        print(
            "   Nodes and pods are simulated here and serve nothing: the example's HTTP checks are left out."
        )
        story.without_checks()
    story.commit("web: the first version")
    story.pipeline("validate")
    story.tell(
        "First deploy of dev", "Nothing is written until the whole set passed a dry run on the server."
    )
    story.pipeline("deploy", "-e", "dev")
    story.tell("A changed setting", "Only what changed is written; everything else costs no write at all.")
    story.change("dev/manifests/settings.yaml", "hello from dev", "hello again", "dev: a kinder greeting")
    story.pipeline("deploy", "-e", "dev")
    story.tell(
        "A bad image",
        "The tag does not exist. The cause is named within seconds, with the line of the manifest, and "
        "what ran before is put back and compared with what it was.",
    )
    story.change("base/deployment.yaml", "nginx:1.21", "nginx:missing", "web: a version that is not there")
    story.pipeline("deploy", "-e", "dev", expect=10)
    story.tell(
        "Promotion",
        "staging gets the revision that was last verified in dev: the one before the bad image, although "
        "the bad one is newer.",
    )
    story.pipeline("promote", "--to", "staging")
    story.tell("What runs where", "Everything is recorded in the cluster; nothing had to be installed in it.")
    story.pipeline("status", "-e", "dev")
    story.pipeline("status", "-e", "staging")
    story.pipeline("history", "-e", "dev")


@contextmanager
def own_cluster(context: str) -> Iterator[Mapping[str, str]]:
    """The user's cluster. Namespaces of the demo must not exist before, and are removed after it."""
    import threading

    clock = SystemClock(threading.Event())
    cluster = KubeCluster(connect(context=context), sleep=clock.sleep, monotonic=clock.monotonic)
    refs = [ObjectRef("", "Namespace", "", name) for name in NAMESPACES]
    there = [ref.name for ref in refs if cluster.get(ref, "v1") is not None]
    if there:
        raise SystemExit(
            f"error: namespace {there[0]} exists in {context}; the demo touches nothing that is yours. "
            f"Delete it, or choose another cluster"
        )
    try:
        yield os.environ
    finally:
        for ref in refs:
            cluster.delete(ref, "v1")
        print(_dim(f"removed the namespaces {' and '.join(NAMESPACES)} again"))


@contextmanager
def local_cluster() -> Iterator[Mapping[str, str]]:
    """The embedded one; it ends with the demo."""
    from tests.cluster.build import cluster_binary
    from tests.cluster.local import LocalCluster

    cluster_binary()
    print("starting the local cluster: etcd, API server, controllers, scheduler, simulated nodes", flush=True)
    with LocalCluster() as running:
        yield {**os.environ, "KUBECONFIG": str(running.kubeconfig)}


def main() -> int:
    """Tell the story; exit code 1 where something did not go as it should."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # in order with the commands' own
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "--context", default="", help="a context of your kubeconfig instead of the local cluster"
    )
    context = parser.parse_args().context
    open_cluster: Callable[[], object] = (lambda: own_cluster(context)) if context else local_cluster
    try:
        with open_cluster() as environ, tempfile.TemporaryDirectory(prefix="pipeline-demo-") as folder:  # type: ignore[attr-defined]
            play(Story(Path(folder), environ, context), simulated=not context)
    except PipelineError as error:
        print(f"error: {error.message}" + (f" ({error.hint})" if error.hint else ""), file=sys.stderr)
        return 1
    print(f"\n{_bold('That was it.')} Read on in README.md; `make test` runs the whole suite.")
    return 0


def _bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text


def _dim(text: str) -> str:
    return f"\033[2m{text}\033[0m" if sys.stdout.isatty() else text


if __name__ == "__main__":
    sys.exit(main())

"""A user's repository, and the command line as a process of its own in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from tests.cluster.local import LocalCluster

ROOT = Path(__file__).parents[2]
RUN_LIMIT_S = 90.0  # a run that takes longer is stuck
SERVER_SIDE = "application/apply-patch+yaml"

CORE = ("configmaps", "secrets", "services", "serviceaccounts", "persistentvolumeclaims")
WITH_STATUS = (
    "apps/v1/deployments",
    "apps/v1/statefulsets",
    "apps/v1/daemonsets",
    "batch/v1/jobs",
    "autoscaling/v2/horizontalpodautoscalers",
)


@dataclass(frozen=True, slots=True)
class Result:
    """What a run of the command ended with."""

    code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """All that could be seen."""
        return self.stdout + self.stderr

    @property
    def document(self) -> Any:
        """The one JSON document on stdout; fails where there is none, or more."""
        return json.loads(self.stdout)

    def __str__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


@dataclass(slots=True)
class Workspace:
    """A scratch repository with environments of its own in the cluster.

    ``namespace`` is that of the environment ``dev``; other environments append their name to it.
    ``application`` is unique, too, so that labels never select another test's objects.
    """

    folder: Path
    cluster: LocalCluster
    namespace: str
    application: str
    environ: dict[str, str] = field(default_factory=dict)

    def write(self, path: str, text: str) -> None:
        """Write a file of the work tree; ``text`` may be indented. ``$NS`` and ``$APP`` are replaced."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        text = textwrap.dedent(text).lstrip("\n").replace("$APP", self.application)
        target.write_text(text.replace("$NS", self.namespace))

    def manifest(self, name: str, text: str, environment: str = "dev") -> None:
        """Write a file of an environment's manifest folder."""
        self.write(f"environments/{environment}/manifests/{name}", text)

    def environment(self, more: str = "", name: str = "dev", **spec: str) -> None:
        """Write an environment's file; ``more`` are further lines of ``spec``, unindented.

        Where they say nothing of the rollout, containers without a readiness probe are believed at once.
        """
        namespace = self.namespace_of(name)
        values = {
            "application": self.application,
            "namespace": namespace,
            "createNamespace": "true",
            "sources": "[{manifests: manifests}]",
            "deploy": "{onMerge: true, branch: main, timeout: 40s}",
            "rollout": "" if "rollout:" in more else "{steady: 0s}",
        } | spec
        lines = [f"{key}: {value}" for key, value in values.items() if value]
        body = "\n".join([*lines, textwrap.dedent(more).strip()]).strip()
        head = f"apiVersion: pipeline/v1\nkind: Environment\nmetadata: {{name: {name}}}\nspec:\n"
        self.write(f"environments/{name}/environment.yaml", head + textwrap.indent(body, "  ") + "\n")

    def namespace_of(self, environment: str) -> str:
        return self.namespace if environment == "dev" else f"{self.namespace}-{environment}"

    def remove(self, path: str) -> None:
        (self.folder / path).unlink()

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text that must be there."""
        text = (self.folder / path).read_text()
        assert old in text, f"{old!r} is not in {path}"
        (self.folder / path).write_text(text.replace(old, new))

    def git(self, *args: str) -> str:
        done = subprocess.run(
            ["git", *args],
            cwd=self.folder,
            env=self.variables({}),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, message: str = "a change") -> str:
        """Commit the whole work tree; returns the full object id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "pipeline", *args]

    def run(
        self, *args: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, **options: Any
    ) -> Result:
        """Run ``pipeline ARGS`` to its end. An empty value in ``env`` removes the variable."""
        done = subprocess.run(
            self.command(*args),
            cwd=cwd or self.folder,
            env=self.variables(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_LIMIT_S,
            check=False,
            **options,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def json(self, *args: str, env: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """Run with ``-o json``; the exit code, and the document."""
        result = self.run("-o", "json", *args, env=env)
        return result.code, result.document

    def together(self, *commands: tuple[str, ...]) -> dict[str, Result]:
        """Run several that only read at once; results by the command's name, the third word."""
        with ThreadPoolExecutor(2) as pool:
            results = pool.map(lambda command: self.run(*command), commands)
        return {command[2]: result for command, result in zip(commands, results, strict=True)}

    def start(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start ``pipeline ARGS`` and do not wait; the caller ends it."""
        return subprocess.Popen(
            self.command(*args),
            cwd=self.folder,
            env=self.variables(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def deployed(self, *args: str) -> Any:
        """Deploy ``dev``, which must succeed; its report."""
        result = self.run("-o", "json", "deploy", "-e", "dev", *args)
        assert result.code == 0, str(result)
        return result.document

    def get(self, path: str, name: str = "", namespace: str = "") -> Any:
        """The live object, or the list: ``configmaps``, ``apps/v1/deployments``; None where there is none."""
        prefix = "/api/v1" if "/" not in path else f"/apis/{path.rpartition('/')[0]}"
        plural = path.rpartition("/")[2]
        address = f"{prefix}/namespaces/{namespace or self.namespace}/{plural}" + (f"/{name}" if name else "")
        try:
            return self.cluster.api.call("GET", address)
        except HTTPError as error:
            if error.code == 404:
                return None
            raise

    def kubectl(self, *args: str, stdin: str = "") -> str:
        """Run kubectl as the administrator in the namespace; it must succeed."""
        done = subprocess.run(
            ["kubectl", "--namespace", self.namespace, *args],
            env=self.variables({}),
            input=textwrap.dedent(stdin),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def state(self, namespace: str = "") -> dict[str, str] | None:
        """What users and ``pipeline`` wrote into the namespace, with versions; None where it is absent.

        Of kinds with a status only the generation counts: controllers write without being asked.
        The lock's Lease is left out: taking it is no deploy.
        """
        name = namespace or self.namespace
        if not self.namespace_exists(name):
            return None
        found = {}
        for kind in CORE:
            for item in self.get(kind, namespace=name)["items"]:
                found[f"{kind}/{item['metadata']['name']}"] = item["metadata"]["resourceVersion"]
        for kind in WITH_STATUS:
            for item in self.get(kind, namespace=name)["items"]:
                meta = item["metadata"]
                found[f"{kind}/{meta['name']}"] = f"{meta['uid']} {meta.get('generation')}"
        return found

    def objects(self, namespace: str = "") -> dict[str, str] | None:
        """``state`` without the release records."""
        state = self.state(namespace)
        return state and {k: v for k, v in state.items() if not k.startswith("secrets/pipeline.")}

    def namespace_exists(self, namespace: str = "") -> bool:
        """Whether it is there and not on its way out."""
        try:
            live = self.cluster.api.call("GET", f"/api/v1/namespaces/{namespace or self.namespace}")
        except HTTPError as error:
            if error.code == 404:
                return False
            raise
        return "deletionTimestamp" not in live["metadata"]

    def variables(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment variables of a run: none of this process's that ``pipeline`` or git would heed."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIPELINE_", "GITHUB_", "GIT_"))}
        values = {
            **kept,
            "PYTHONPATH": str(ROOT),
            "KUBECONFIG": str(self.cluster.kubeconfig),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "HOME": str(self.folder.parent),
            **self.environ,
            **(more or {}),
        }
        return {k: v for k, v in values.items() if v}

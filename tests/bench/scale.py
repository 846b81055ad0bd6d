"""How time and memory grow: ten times the objects in the cluster, a hundred times the manifests in git."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.bench import chain, contenders, estate, timed
from tests.bench.chain import Course, Measured, Step
from tests.bench.contenders import ROOT, Name
from tests.bench.scores import grid

LARGE_NAMESPACES = 244  # 10,004 objects
LARGE_LIMIT_S = 1800.0
PEAK_MIB = 300
GIT_OBJECTS = 100_000
GIT_CHANGED = 10
GIT_S = 2.0
GIT_ROUNDS = 3


def large(course: Course) -> str:
    """Ours alone with 1,025 objects and with many: time per object, peak of memory."""
    steps, many = (Step.FIRST, Step.UNCHANGED), course.namespaces
    few = _by_step(chain.run(Name.OURS, replace(course, steps=steps, namespaces=estate.NAMESPACES)))
    limit_s = max(course.limit_s, LARGE_LIMIT_S)
    lots = _by_step(chain.run(Name.OURS, replace(course, steps=steps, limit_s=limit_s)))
    rows: list[tuple[str, ...]] = [
        ("step", "objects", "wall s", "ms an object", "cpu ms an object", "peak MiB", "requests")
    ]
    for step in steps:
        for count, found in ((estate.NAMESPACES, few), (many, lots)):
            rows.append(_row(step, count * estate.PER_NAMESPACE, found.get(step)))
    return "\n\n".join(
        [
            "### Many objects, ours alone",
            grid(rows),
            *(_growth(few, lots, step, many) for step in steps if step in few and step in lots),
            f"Goals: time an object no worse, peak below {PEAK_MIB} MiB.\n",
        ]
    )


def _growth(few: dict[Step, Measured], lots: dict[Step, Measured], step: Step, many: int) -> str:
    ratio = lots[step].run.seconds / many / (few[step].run.seconds / estate.NAMESPACES)
    return f"{step}: time an object is {ratio:.2f} times that of {estate.NAMESPACES * estate.PER_NAMESPACE}."


def _by_step(found: list[Measured]) -> dict[Step, Measured]:
    return {m.step: m for m in found}


def _row(step: Step, objects: int, m: Measured | None) -> tuple[str, ...]:
    if m is None:
        return (step, f"{objects:,}", "", "", "", "", "")
    run = m.run
    wall = f"{run.seconds:.2f}" if run.ok else f"fails after {run.seconds:.0f}: {run.last_words[:80]}"
    each = (f"{1000 * value / objects:.2f}" for value in (run.seconds, run.cpu_s))
    return (step, f"{objects:,}", wall, *each, run.peak, str(m.counts.total))


def git(objects: int = GIT_OBJECTS, code: Path = ROOT) -> str:
    """Detection among many manifests, beside git's own comparison of the two commits."""
    with tempfile.TemporaryDirectory(prefix="pipeline-bench-") as text:
        folder = Path(text) / "repository"
        folder.mkdir()
        base, head = _two_commits(folder, objects)
        rows = [("what", "seconds", "cpu s", "peak MiB")]
        for title, command in _questions(base, head):
            found = [_ask(command, folder, code) for _ in range(GIT_ROUNDS)]
            best = min(found, key=lambda run: run.seconds)
            shown = f"{best.seconds:.2f}" if best.ok else f"exit code {best.code}: {best.last_words[:80]}"
            rows.append((title, shown, f"{best.cpu_s:.2f}", best.peak))
    title = f"### {objects:,} manifests in git, {GIT_CHANGED} changed (best of {GIT_ROUNDS})"
    return "\n\n".join([title, grid(rows), f"Goal: below {GIT_S:g} s.\n"])


def _questions(base: str, head: str) -> tuple[tuple[str, list[str]], ...]:
    ours = [sys.executable, "-m", "pipeline", "-o", "json", "changes", "-e", "dev", "--base", base]
    return (
        ("pipeline changes", ours),
        ("pipeline --version", [sys.executable, "-m", "pipeline", "--version"]),
        ("git diff --raw", ["git", "diff", "--raw", "--no-renames", base, head]),
    )


def _ask(command: list[str], folder: Path, code: Path) -> timed.Run:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIPELINE_", "GITHUB_", "GIT_", "KUBE"))}
    home = folder.parent
    # No cluster: with a base that is named, none has to be asked.
    environ = {**kept, "PYTHONPATH": str(code), "HOME": str(home), "KUBECONFIG": os.devnull}
    return timed.run(command, env=environ, cwd=folder, limit_s=600.0)


def _two_commits(folder: Path, objects: int) -> tuple[str, str]:
    """Both states by ``git fast-import``: nothing is checked out, as manifests are read from commits."""
    contenders.git(folder, "init", "--quiet", "--initial-branch", "main")
    stream = folder.parent / "import"
    with stream.open("wb") as out:
        for part in _stream(objects):
            out.write(part)
    with stream.open("rb") as source:
        contenders.git(folder, "fast-import", "--quiet", stdin=source.read())
    stream.unlink()
    return contenders.git(folder, "rev-parse", "main~1"), contenders.git(folder, "rev-parse", "main")


def _stream(objects: int) -> Iterator[bytes]:
    namespaces = -(-objects // estate.PER_NAMESPACE)
    place = "environments/dev"
    yield _commit("first")
    yield _file(f"{place}/environment.yaml", contenders.ENVIRONMENT)
    for path, text in estate.files(namespaces):
        yield _file(f"{place}/manifests/{path}", text)
    yield _commit("second")
    for path, text in estate.changed_files(namespaces, changed=True).items():
        yield _file(f"{place}/manifests/{path}", text)


def _commit(message: str) -> bytes:
    head = "commit refs/heads/main\ncommitter bench <bench@example.invalid> 1790000000 +0000\n"
    return f"{head}data {len(message)}\n{message}\n".encode()


def _file(path: str, text: str) -> bytes:
    data = text.encode()
    return f"M 100644 inline {path}\ndata {len(data)}\n".encode() + data + b"\n"

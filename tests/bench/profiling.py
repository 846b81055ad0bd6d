"""Where our processor time goes: every thread of ``pipeline deploy`` under a profiler of its own, by module.

A profiler slows what it looks at, short functions most: read shares, not seconds.
"""

from __future__ import annotations

import pstats
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench import chain, timed
from tests.bench.chain import Course, Step
from tests.bench.contenders import HOME_NAMESPACE, Name
from tests.bench.requests import OURS
from tests.bench.scores import grid

MODULES = 16
FUNCTIONS = 24
OWN = ("pipeline/", "import ")
RECORDER = Path(__file__).with_name("recorder.py")

_WORDS = (
    ("/pipeline/", ""),
    ("/site-packages/", ""),
    ("/lib/python", "stdlib "),
)


def profile(course: Course) -> str:
    """The first deploy and one that changes nothing: shares by module, and the costliest functions."""
    parts = []
    with chain.stage(Name.OURS, course) as (contender, cluster, audit):
        for step in (Step.FIRST, Step.UNCHANGED):
            if step is Step.FIRST:
                contender.write(changed=False)
            audit.counts()
            stats = contender.folder / f"{step.value}.stats"
            command = [sys.executable, "-P", str(RECORDER), str(stats), *contender.command()[3:]]
            done = timed.run(command, env=contender.environ(step), cwd=contender.cwd, limit_s=600.0)
            counts = audit.counts(home=HOME_NAMESPACE)[OURS]
            head = f"### {step}: {done.seconds:.1f} s, {done.cpu_s:.1f} s of processor time (profiled)"
            words = f"requests: {counts.total}, of these reads {dict(counts.reads.most_common(12))}"
            if not done.ok:
                words += f"\nexit code {done.code}: {done.last_words}"
            parts += [head, words, tables(stats)]
            chain.settle(cluster, course.namespaces)
    return "\n\n".join(parts)


def tables(path: Path) -> str:
    """Own time by module and by function, and our own functions with all that they call."""
    stats: Any = pstats.Stats(str(path))
    modules: Counter[str] = Counter()
    functions: list[tuple[float, float, int, str]] = []
    for (file, line, name), (_, calls, own, total, _) in stats.stats.items():
        modules[_module(file, name)] += own
        functions.append((own, total, calls, f"{_module(file, name)}:{line} {name}"))
    whole = sum(modules.values())
    first = [("module", "own s", "share")]
    first += [(m, f"{s:.2f}", f"{s / whole:.0%}") for m, s in modules.most_common(MODULES)]
    by_own = sorted(functions, key=lambda f: f[0], reverse=True)
    by_total = sorted((f for f in functions if f[3].startswith(OWN)), key=lambda f: f[1], reverse=True)
    return "\n\n".join([grid(first), _functions(by_own), _functions(by_total)])


def _functions(ordered: Sequence[tuple[float, float, int, str]]) -> str:
    rows = [("function", "own s", "with callees", "calls")]
    for own, total, calls, words in ordered[:FUNCTIONS]:
        rows.append((words, f"{own:.2f}", f"{total:.2f}", str(calls)))
    return grid(rows)


def _module(file: str, name: str) -> str:
    if name == "_find_and_load":
        return "import "
    if file == "~":
        return _builtin(name)
    for mark, word in _WORDS:
        _, found, rest = file.rpartition(mark)
        if found:
            parts = Path(rest.removesuffix(".py")).parts
            kept = parts if mark == "/pipeline/" else parts[:2]
            return f"{word}{'pipeline/' if mark == '/pipeline/' else ''}{'/'.join(kept)}"
    return file


def _builtin(name: str) -> str:
    """Built-in functions have no file; those that are a story of their own keep their names."""
    for word in ("ssl", "socket", "json", "_yaml", "lock", "marshal", "zlib", "hashlib", "posix", "select"):
        if word.lower() in name.lower():
            return f"built-in {word}"
    return "built-in"

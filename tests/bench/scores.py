"""What the engine's comparison says: seconds side by side, ratios beside goals, what ours consisted of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.chain import Measured, Step
from tests.bench.contenders import Name

NEAR, FAR = False, True
Place = tuple[Name, bool]
Results = Mapping[Place, Sequence[Measured]]

PEERS = tuple(name for name in Name if name not in (Name.OURS, Name.BARE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """At most ``most`` times the bare loop, or the fastest peer where ``beside_bare`` is off."""

    step: Step
    is_far: bool
    beside_bare: bool
    most: float


# From the engine's requirements: several times faster than the fastest peer, near what is possible at all.
GOALS = (
    Goal(step=Step.FIRST, is_far=NEAR, beside_bare=True, most=1.3),
    Goal(step=Step.FIRST, is_far=NEAR, beside_bare=False, most=1.0),
    Goal(step=Step.UNCHANGED, is_far=NEAR, beside_bare=False, most=1 / 4),
    Goal(step=Step.CHANGED, is_far=NEAR, beside_bare=False, most=1 / 3),
    Goal(step=Step.FIRST, is_far=FAR, beside_bare=True, most=1.5),
    Goal(step=Step.FIRST, is_far=FAR, beside_bare=False, most=1 / 5),
    Goal(step=Step.CHANGED, is_far=FAR, beside_bare=False, most=1 / 3),
)
UNCHANGED_FAR_S = 1.5
CPU_S = 2.0


def seconds_table(results: Results, round_trip_s: float) -> str:
    """A line a side, a column a step."""
    places = [NEAR, *([FAR] if any(is_far for _, is_far in results) else [])]
    heads = [f"{s}{f', {round_trip_s * 1000:.0f} ms' if far else ''}" for far in places for s in Step]
    rows = [("seconds", *heads)]
    for name in Name:
        if any(place[0] is name for place in results):
            rows.append((name.value, *(_cell(_of(results, name, far, s)) for far in places for s in Step)))
    return grid(rows)


def goals_table(results: Results) -> str:
    """Ours through the other's, beside the goal."""
    rows: list[tuple[str, ...]] = [("ours, beside", "ratio", "goal", "met")]
    rows += [row for goal in GOALS if (row := _goal(results, goal))]
    far = _of(results, Name.OURS, FAR, Step.UNCHANGED)
    if far and far.run.ok:
        rows.append(_limit("unchanged at a distance, seconds", far.run.seconds, UNCHANGED_FAR_S))
    near = _of(results, Name.OURS, NEAR, Step.FIRST)
    if near and near.run.ok:
        rows.append(_limit("processor time of the first deploy, seconds", near.run.cpu_s, CPU_S))
    return grid(rows)


def ours_table(results: Results) -> str:
    """Phases, processor time, memory and requests of our steps."""
    heads = ("ours", "wall s", "cpu s", "peak MiB", "requests", "dry runs", "writes", "own", "phases")
    rows: list[tuple[str, ...]] = [heads]
    for is_far in (NEAR, FAR):
        for measured in results.get((Name.OURS, is_far), ()):
            rows.append(_ours_row(measured, is_far))
    return grid(rows)


def failures(results: Results) -> list[str]:
    """A line for each step that did not end well."""
    return [
        f"{name}, {m.step}{' at a distance' if is_far else ''}: "
        + (f"stopped after {m.run.seconds:.0f} s" if m.run.stopped else f"exit code {m.run.code}")
        + f": {m.run.last_words}"
        for (name, is_far), steps in results.items()
        for m in steps
        if not m.run.ok
    ]


def grid(rows: Sequence[Sequence[str]]) -> str:
    """A table for people and, as it is, for Markdown; nothing where there is only its head."""
    if len(rows) == 1:
        return ""
    lines = [rows[0], tuple("---" for _ in rows[0]), *rows[1:]]
    widths = [max(len(row[n]) for row in lines) for n in range(len(rows[0]))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in lines
    )


def fastest_peer(results: Results, step: Step, is_far: bool) -> tuple[str, float] | None:
    """Of those that ended well, whether they wait for the rollout or not."""
    found = [(m.run.seconds, n) for n in PEERS if (m := _of(results, n, is_far, step)) and m.run.ok]
    if not found:
        return None
    seconds, name = min(found)
    return name.value, seconds


def _of(results: Results, name: Name, is_far: bool, step: Step) -> Measured | None:
    return next((m for m in results.get((name, is_far), ()) if m.step is step), None)


def _cell(measured: Measured | None) -> str:
    if measured is None:
        return ""
    run = measured.run
    if run.stopped:
        return f"over {run.seconds:.0f}, stopped"
    if not run.ok:
        return f"fails after {run.seconds:.0f}"
    spread = f" ({min(measured.all_s):.2f} to {max(measured.all_s):.2f})" if measured.all_s else ""
    return f"{run.seconds:.2f}{spread}"


def _goal(results: Results, goal: Goal) -> tuple[str, ...] | None:
    ours = _of(results, Name.OURS, goal.is_far, goal.step)
    if ours is None or not ours.run.ok:
        return None
    if goal.beside_bare:
        bare = _of(results, Name.BARE, goal.is_far, goal.step)
        other = (Name.BARE.value, bare.run.seconds) if bare and bare.run.ok else None
    else:
        other = fastest_peer(results, goal.step, goal.is_far)
    if other is None:
        return None
    where = " at a distance" if goal.is_far else ""
    return _limit(f"{goal.step}{where}, {other[0]}", ours.run.seconds / other[1], goal.most)


def _limit(what: str, found: float, most: float) -> tuple[str, ...]:
    return what, f"{found:.2f}", f"≤ {most:.2f}", "yes" if found <= most else "no"


def _ours_row(m: Measured, is_far: bool) -> tuple[str, ...]:
    phases = ", ".join(f"{name} {value:.2f}" for name, value in m.timings.items() if name != "total")
    counts = m.counts
    return (
        f"{m.step}{', far' if is_far else ''}",
        f"{m.run.seconds:.2f}",
        f"{m.run.cpu_s:.2f}",
        m.run.peak,
        str(counts.total),
        str(counts.dry_runs),
        str(counts.writes),
        str(counts.own),
        phases,
    )

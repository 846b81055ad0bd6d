"""Sync waves and hooks: stages of a deploy, each after the one before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.core.edges import Edge, Softness, milestone
from pipeline.core.hooks import (
    HELM_HOOK,
    SYNC_WAVE,
    Hook,
    HookEvent,
    HookPhase,
    hook_of,
    hook_problems,
    integer,
    not_an_integer,
    runs,
)
from pipeline.core.lookup import Lookup
from pipeline.model.errors import Problem
from pipeline.model.objects import Manifest, ObjectRef, Origin, get_path
from pipeline.model.plan import Strength

_PHASES = (HookPhase.PRE, HookPhase.MAIN, HookPhase.POST)


@dataclass(frozen=True, slots=True)
class Hooks:
    """The hooks of a set for one event: what runs in which phase, and what does not run."""

    running: Mapping[ObjectRef, tuple[Hook, HookPhase]]
    idle: frozenset[ObjectRef]
    problems: tuple[Problem, ...]


def read_hooks(manifests: Sequence[Manifest], event: HookEvent) -> Hooks:
    """Tell hooks from other objects. Those for a failure count as idle: they have no place in the order."""
    running: dict[ObjectRef, tuple[Hook, HookPhase]] = {}
    idle: set[ObjectRef] = set()
    problems: list[Problem] = []
    for manifest in manifests:
        if not get_path(manifest.body, "metadata", "annotations"):
            continue
        problems += hook_problems(manifest)
        hook = hook_of(manifest)
        if hook is None:
            continue
        phase = runs(hook, event)
        if phase is None or phase is HookPhase.FAIL:
            idle.add(manifest.ref)
        else:
            running[manifest.ref] = (hook, phase)
    return Hooks(running, frozenset(idle), tuple(problems))


@dataclass(frozen=True, slots=True)
class _Member:
    """An object in its stage. ``annotation``: the one that puts it there; None where none does."""

    ref: ObjectRef
    origin: Origin
    annotation: str | None


@dataclass(frozen=True, slots=True)
class _Stage:
    """Objects that are written together. ``number``: the weight or the wave; None where nobody has one."""

    phase: HookPhase
    number: int | None
    members: tuple[_Member, ...]

    @property
    def label(self) -> str:
        """Completes "after …"."""
        if self.phase is not HookPhase.MAIN:
            return f"the {self.phase} hooks of weight {self.number}"
        return "all that are no hooks" if self.number is None else f"wave {self.number}"

    @property
    def done(self) -> ObjectRef:
        return milestone(f"{'sync-' if self.label.startswith('wave') else ''}{self.label} done")

    @property
    def origin(self) -> Origin:
        """Where the first of those stands that say that they belong here."""
        return min(self.members, key=lambda member: member.annotation is None).origin

    def membership(self, annotation: str | None) -> str:
        """Completes "this object …", which is here by that annotation."""
        if self.phase is not HookPhase.MAIN:
            return f"is by {annotation} one of {self.label}"
        if self.number is None:
            return "is no hook"
        return f"is in {SYNC_WAVE} {self.number}" + ("" if annotation else " by default")


def staged(lookup: Lookup, hooks: Hooks, problems: list[Problem]) -> Iterator[Edge]:
    """Each object after the stage before its own; the stages are linked by milestones.

    The stages: hooks before, by weight; all else, by sync wave where any object has one; hooks after.
    """
    stages = _stages(lookup, hooks, problems)
    for stage in stages:
        yield from _in_turn(stage)
    before_main = [stage for stage in stages if stage.phase is HookPhase.PRE][-1:]
    for earlier, stage in pairwise(stages):
        yield from _holding(earlier)
        starts_main = stage.phase is HookPhase.MAIN and earlier.phase is HookPhase.PRE
        chained = Softness.DEFAULT if starts_main else Softness.NONE
        if stage is not stages[-1]:
            why = f"comes after {earlier.label}"
            yield Edge(stage.done, earlier.done, why, Strength.READY, stage.origin, "", chained)
        yield from _waiting(stage.members, stage, earlier, chained)
        if before_main and stage.phase is HookPhase.MAIN and not starts_main:
            # Where its own wave has to give way, what runs before all waves need not.
            by_default = [member for member in stage.members if member.annotation is None]
            yield from _waiting(by_default, stage, before_main[0], Softness.DEFAULT)


def _in_turn(stage: _Stage) -> Iterator[Edge]:
    """Of one weight, Helm runs what ends one after the other, by name (pkg/action/hooks.go, hookByWeight)."""
    members = [m for m in stage.members if m.annotation == HELM_HOOK and m.ref.kind in ("Job", "Pod")]
    for earlier, later in pairwise(sorted(members, key=lambda m: (m.ref.name, m.ref))):
        why = f"is by name the next of {stage.label}"
        yield Edge(later.ref, earlier.ref, why, Strength.READY, later.origin, HELM_HOOK, Softness.DEFAULT)


def _holding(stage: _Stage) -> Iterator[Edge]:
    done = stage.done
    for member in stage.members:
        soft = Softness.NONE if member.annotation else Softness.DEFAULT
        annotation = member.annotation or ""
        yield Edge(done, member.ref, "holds", Strength.READY, member.origin, annotation, soft)


def _waiting(members: Sequence[_Member], stage: _Stage, earlier: _Stage, soft: Softness) -> Iterator[Edge]:
    done, label = earlier.done, earlier.label
    whys = {
        annotation: f"{stage.membership(annotation)}, after {label}"
        for annotation in {member.annotation for member in members}
    }
    for member in members:
        gives_way = soft if member.annotation else Softness.DEFAULT
        annotation = member.annotation
        why = whys[annotation]
        yield Edge(member.ref, done, why, Strength.READY, member.origin, annotation or "", gives_way)


def _stages(lookup: Lookup, hooks: Hooks, problems: list[Problem]) -> list[_Stage]:
    waves = _sync_waves(lookup, problems)
    apart = {ref for ref, (_, phase) in hooks.running.items() if phase is not HookPhase.MAIN}
    in_waves = any(ref not in apart for ref in waves)
    if not in_waves and not apart:
        return []
    members: dict[tuple[HookPhase, int], list[_Member]] = defaultdict(list)
    for manifest in lookup.manifests:
        key, annotation = (HookPhase.MAIN, 0), None
        if manifest.ref in apart:
            hook, phase = hooks.running[manifest.ref]
            key, annotation = (phase, hook.weight), hook.annotation
        elif (wave := waves.get(manifest.ref)) is not None:
            key, annotation = (HookPhase.MAIN, wave), SYNC_WAVE
        origin = (
            manifest.origin_of(("metadata", "annotations", annotation)) if annotation else manifest.origin
        )
        members[key].append(_Member(manifest.ref, origin, annotation))
    return [
        _Stage(
            phase, number if in_waves or phase is not HookPhase.MAIN else None, tuple(members[phase, number])
        )
        for phase, number in sorted(members, key=lambda key: (_PHASES.index(key[0]), key[1]))
    ]


def _sync_waves(lookup: Lookup, problems: list[Problem]) -> dict[ObjectRef, int]:
    """The wave of every object that names one; what is no integer is added to ``problems``."""
    waves: dict[ObjectRef, int] = {}
    for manifest, notes in lookup.annotated:
        if SYNC_WAVE not in notes:
            continue
        wave = integer(notes[SYNC_WAVE])
        if wave is None:
            problems.append(not_an_integer(manifest, SYNC_WAVE, "sync-wave-malformed"))
        else:
            waves[manifest.ref] = wave
    return waves

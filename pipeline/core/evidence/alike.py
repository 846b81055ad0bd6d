"""Causes that are one: the same image, and the same reason, on many objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.model.objects import ObjectRef
from pipeline.model.status import CauseCode, Evidence, Lack


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """The first of several pieces of evidence that mean the same, and the other objects that show it."""

    ref: ObjectRef
    evidence: Evidence
    others: tuple[ObjectRef, ...] = ()


def alike(found: Iterable[tuple[ObjectRef, Evidence]]) -> list[Alike]:
    """One for each image (or missing reference) and code; order stays. What has neither stands alone."""
    groups: dict[tuple[object, ...], list[tuple[ObjectRef, Evidence]]] = {}
    for ref, one in found:
        groups.setdefault(_key(ref, one), []).append((ref, one))
    return [_one(group) for group in groups.values()]


def _key(ref: ObjectRef, one: Evidence) -> tuple[object, ...]:
    lacks: Lack | None = one.lacks
    if one.code is CauseCode.RELEASE_BLOCKED_BY_POD or not (one.image or lacks):
        return (ref, one.code, one.container)
    if lacks:
        return (one.code, ref.namespace, lacks)
    return (one.code, one.image)


def _one(group: list[tuple[ObjectRef, Evidence]]) -> Alike:
    ref, evidence = group[0]
    others = dict.fromkeys(other for other, _ in group[1:] if other != ref)
    return Alike(ref=ref, evidence=evidence, others=tuple(others))

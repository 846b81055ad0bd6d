"""What a field conflict is about: who owns which field, with which value, and what ours would be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.core.diff import is_secret
from pipeline.core.drift import located
from pipeline.core.redaction import MASK
from pipeline.model.errors import ApiError
from pipeline.model.objects import FieldPath, Json, Object, get_path

CONFLICTS_ANNOTATION: Final = "pipeline/conflicts"
"""``take`` or ``refuse``, for one object; wins over ``allow.conflicts``."""

DEPLOY_TOOLS: Final = re.compile(
    r"(kubectl\b.*|helm|Helm|argocd-.*|kustomize-controller|helm-controller|kapp.*|before-first-apply|pipeline)"
)
"""Field managers that deploy: what they own is ours to take over. Controllers' fields are not."""

_MANAGER: Final = re.compile(r'conflict with "([^"]+)"')
_SELECTOR: Final = re.compile(r'([\w-]+)="?([^",\]]*)"?')
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Conflict:
    """One field that another manager owns with another value. ``at`` are its steps in our manifest."""

    path: str
    manager: str
    theirs: str
    ours: str
    at: FieldPath

    def __str__(self) -> str:
        return f"{self.path} belongs to {self.manager} with {self.theirs}, ours is {self.ours}"


def conflicts_of(error: ApiError, body: Object, live: Object | None) -> tuple[Conflict, ...]:
    """The fields that the server names (``details.causes`` of a 409), with both values; secrets masked."""
    hidden = is_secret(body)
    found = []
    for _, field, text in error.causes:
        for manager in _MANAGER.findall(text):
            path = _readable(field)
            at = located(body, path)
            theirs = get_path(live, *located(live, path)) if live is not None else None
            ours = get_path(body, *at)
            found.append(Conflict(path, manager, _shown(theirs, hidden), _shown(ours, hidden), at))
    return tuple(found)


def controllers(conflicts: Iterable[Conflict]) -> tuple[Conflict, ...]:
    """Those with managers that are no deploy tools: not ours to take without being asked."""
    return tuple(c for c in conflicts if not DEPLOY_TOOLS.fullmatch(c.manager))


def is_taken(body: Object, policy: str) -> bool:
    """Whether fields of controllers are taken over: by the object's annotation, else by the environment."""
    annotations = get_path(body, "metadata", "annotations", default={})
    own = annotations.get(CONFLICTS_ANNOTATION) if isinstance(annotations, dict) else None
    return (own if own in ("take", "refuse") else policy) == "take"


def managers(conflicts: Sequence[Conflict]) -> str:
    return ", ".join(sorted({c.manager for c in conflicts}))


def _readable(field: str) -> str:
    """``.spec.ports[port=80,protocol="TCP"].name`` → as ``core.diff`` writes paths."""

    def plain(match: re.Match[str]) -> str:
        return "[" + ",".join(f"{key}={value}" for key, value in _SELECTOR.findall(match[0])) + "]"

    return re.sub(r"\[[\w-]+=[^\]]*\]", plain, field.lstrip("."))


def _shown(value: Json, hidden: bool) -> str:
    if hidden:
        return MASK
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"

"""Which environments a change affects, why, and in which order they are deployed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.model.environment import Environment, Used
from pipeline.model.errors import InvalidError, Problem
from pipeline.model.objects import Origin

FileChange = tuple[str, str]
"""(path within the repository, added | modified | deleted)."""

_TOLD = 5
"""Reasons that are written out; the files are listed anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Whether an environment has to be deployed. ``because`` are sentences, ``files`` those it rests on."""

    affected: bool
    because: tuple[str, ...] = ()
    files: tuple[FileChange, ...] = ()


def affected(
    environments: Sequence[Environment],
    changed: Sequence[FileChange] | None,
    *,
    unknown: str = "",
    also: Mapping[str, Sequence[Used]] | None = None,
) -> dict[str, Selection]:
    """``selection`` of each environment, by name, where all have the same base.

    ``also`` holds by environment what its sources use.
    """
    return {
        environment.name: selection(
            environment, changed, unknown=unknown, also=(also or {}).get(environment.name, ())
        )
        for environment in environments
    }


def selection(
    environment: Environment,
    changed: Sequence[FileChange] | None,
    *,
    unknown: str = "",
    also: Sequence[Used] = (),
) -> Selection:
    """Whether files changed that the environment depends on: its own file, its sources, and ``also``.

    Of plain manifests the whole source counts, of what is rendered only what ``also`` names: a folder that
    holds a kustomization may hold much else. ``changed`` is None where the base is not known: then the
    environment is affected, never passed over, and ``unknown`` is the sentence that says why.
    """
    name = environment.name
    if changed is None:
        return Selection(
            affected=True,
            because=(unknown or f"it is not known what {name} runs, so everything counts as changed",),
        )
    roles = [(environment.path, f"configures {name}")]
    roles += [(s.path, f"is a source of {name}") for s in environment.sources if s.kind == "manifests"]
    roles += [(used.path, f"is used by {name}: {' ← '.join(used.chain)}") for used in also]
    found = [(file, role) for file in sorted(changed) if (role := _role(file[0], roles))]
    sentences = [f"{path} was {change}, and {role}" for (path, change), role in found]
    if len(sentences) > _TOLD:
        sentences[_TOLD:] = [f"{len(sentences) - _TOLD} more files of {name} changed"]
    return Selection(affected=bool(found), because=tuple(sentences), files=tuple(file for file, _ in found))


def promotion_order(environments: Iterable[Environment]) -> tuple[Environment, ...]:
    """Upstream first, by name where nothing says otherwise.

    Sources that are not among ``environments`` are passed over.

    Raises:
        InvalidError: environments are promoted from each other.
    """
    waiting = {environment.name: environment for environment in environments}
    ordered: list[Environment] = []
    while waiting:
        ready = sorted(name for name, e in waiting.items() if not _upstream(e, waiting))
        if not ready:
            raise _circle(waiting)
        ordered += [waiting.pop(name) for name in ready]
    return tuple(ordered)


def _role(path: str, roles: Sequence[tuple[str, str]]) -> str:
    return next((role for root, role in roles if is_below(path, root)), "")


def is_below(path: str, root: str) -> bool:
    """Whether a file is ``root`` or lies in it; the repository itself is ``.`` or empty."""
    root = root.removeprefix("./").rstrip("/")
    return root in ("", ".") or path == root or path.startswith(f"{root}/")


def _upstream(environment: Environment, among: Mapping[str, Environment]) -> list[str]:
    return sorted(name for name in environment.promotion.sources if name in among)


def _circle(waiting: Mapping[str, Environment]) -> InvalidError:
    """Every environment left has one upstream that is left: following them comes round."""
    walked = [min(waiting)]
    while (following := _upstream(waiting[walked[-1]], waiting)[0]) not in walked:
        walked.append(following)
    circle = walked[walked.index(following) :]
    start = circle.index(min(circle))
    circle = circle[start:] + circle[:start]
    told = ", ".join(
        f"{name} from {source} ({waiting[name].path})"
        for name, source in zip(circle, [*circle[1:], circle[0]], strict=True)
    )
    problem = Problem(
        code="promotion-cycle",
        message=f"environments are promoted from each other: {told}",
        origin=Origin(waiting[circle[0]].path),
        hint="remove one of these from promotion.from",
    )
    return InvalidError(problem.message, hint=problem.hint, problems=(problem,))

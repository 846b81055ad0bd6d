"""Which environments a change affects, why, and in which order they are deployed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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


def selection(
    environment: Environment,
    changed: Sequence[FileChange] | None,
    *,
    unknown: str = "",
    also: Sequence[Used] = (),
) -> Selection:
    """Whether files changed that the environment depends on: its own file, its sources, ``also``, and where
    ``links`` (path → symbolic link) lead.

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
    known = _by_root(roles)
    found = [(file, role) for file in sorted(changed) if (role := _role(file[0], known))]
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


def _by_root(roles: Sequence[tuple[str, str]]) -> Mapping[str, tuple[int, str]]:
    """(rank, role) by path. A file above a root was, or became, something else than a folder on the way to
    it: a link."""
    found: dict[str, tuple[int, str]] = {}
    for rank, (root, role) in enumerate(roles):
        found.setdefault(_normal(root), (rank, role))
    above: dict[str, tuple[int, str]] = {}
    for root, ranked in found.items():
        for folder in list(_upwards(root))[1:]:
            above.setdefault(f"{folder}/", ranked)
    return {**above, **found}


def _role(path: str, known: Mapping[str, tuple[int, str]]) -> str:
    """What the first root that holds ``path`` says of it, or empty."""
    found = [known[place] for place in (*_upwards(path), f"{path}/") if place in known]
    return min(found)[1] if found else ""


def _upwards(path: str) -> Iterator[str]:
    """``a/b/c``, ``a/b``, ``a`` and the empty root."""
    yield path
    while path:
        path = path.rpartition("/")[0]
        yield path


def _normal(root: str) -> str:
    root = root.removeprefix("./").rstrip("/")
    return "" if root == "." else root


def is_below(path: str, root: str) -> bool:
    """Whether a file is ``root`` or lies in it; the repository itself is ``.`` or empty."""
    root = _normal(root)
    return not root or path == root or path.startswith(f"{root}/")


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

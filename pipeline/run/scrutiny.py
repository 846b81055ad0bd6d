"""What speaks against a plan though the server takes each of its objects: rights that are missing, references
to nothing, and what will go wrong later.

Loaded late: most deploys change nothing, and need none of it (40 ms of 600).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module

from pipeline.core.planner import Desired, World
from pipeline.model.errors import ApiError, Problem
from pipeline.model.objects import Object, ObjectRef
from pipeline.model.plan import Action, Change, Plan
from pipeline.run import predict
from pipeline.run.asked import Asked
from pipeline.run.parallel import in_parallel
from pipeline.run.permissions import Missing, missing_permissions
from pipeline.run.preconditions import missing_references
from pipeline.run.session import Session

Live = Mapping[ObjectRef, Object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that is against the plan, refused dry runs among it; ``missing`` has the rights that are."""

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    missing: Missing


def ask_ahead(
    session: Session, desired: Sequence[Desired], tried: Sequence[Desired], live: Live, asked: Asked
) -> None:
    """Ask what a plan is examined by, beside the dry runs of what it will probably write, and load what
    writes it. What goes wrong comes again, and is told, when it is needed."""
    writes = [_probable(d, live) for d in tried]
    with ThreadPoolExecutor(3, thread_name_prefix="scrutiny") as pool:
        pool.submit(missing_permissions, session, writes, session.cluster.resource, asked=asked)
        pool.submit(missing_references, session, desired, tried, asked)
        pool.submit(predict.ask_ahead, session, desired, tried, live, asked)
        import_module("pipeline.run.phases")


def examine(
    session: Session, world: World, live: Live, plan: Plan | None, refused: Sequence[Problem], asked: Asked
) -> Findings:
    """``plan`` is None, and ``refused`` why, where the server does not take the whole set."""
    written = [d for d in world.desired if d.manifest.ref in world.dry_runs]
    # Each is a few questions to the server, and none rests on another's answers.
    with ThreadPoolExecutor(2, thread_name_prefix="scrutiny") as pool:
        rights = pool.submit(_permissions, session, world, plan, asked)
        dangling = pool.submit(missing_references, session, world.desired, written, asked)
        foreseen = predict.predictions(session, world.desired, written, live, asked)
        missing, unmet = rights.result(), tuple(dangling.result())
    problems = tuple(p for p in refused if not _is_told_by(missing, p))
    problems = _once(problems, tuple(p for p in foreseen if not p.warning))
    problems += missing.problems + unmet
    if plan is not None and not problems:
        problems += tuple(_refused_deletions(session, plan.changes))
    warnings = tuple(p for p in foreseen if p.warning)
    return Findings(problems=problems, warnings=warnings, missing=missing)


def write_of(desired: Desired, action: Action) -> Change:
    """The change that writes it, as far as rights are concerned."""
    manifest = desired.manifest
    return Change(
        ref=manifest.ref,
        action=action,
        api_version=manifest.api_version,
        origin=manifest.origin,
        body=desired.body,
    )


def _probable(desired: Desired, live: Live) -> Change:
    return write_of(desired, Action.UPDATE if desired.manifest.ref in live else Action.CREATE)


def _permissions(session: Session, world: World, plan: Plan | None, asked: Asked) -> Missing:
    """What the writes need and we may not do; where there is no plan, of everything that was tried."""
    if plan is not None:
        writes: Sequence[Change] = plan.writes
    else:
        writes = [_probable(d, world.live) for d in world.desired if d.manifest.ref in world.dry_runs]
    if not writes:
        return Missing()
    return missing_permissions(session, writes, session.cluster.resource, asked=asked)


def _once(refused: tuple[Problem, ...], foreseen: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """What the server refused is not told a second time; of definitions ours says what to do instead."""
    explained = {p.object for p in foreseen if p.code.startswith("crd-")}
    told = {p.object for p in refused}
    kept = tuple(p for p in refused if p.object not in explained)
    return kept + tuple(p for p in foreseen if p.object in explained or p.object not in told)


def _is_told_by(missing: Missing, problem: Problem) -> bool:
    """A dry run that was refused for want of a right, which is told once for the kind and namespace."""
    if problem.object is None or "cannot" not in problem.message or "resource" not in problem.message:
        return False
    told = {(a.group, a.namespace) for a in missing.accesses}
    return (problem.object.group, problem.object.namespace) in told


def _refused_deletions(session: Session, changes: Sequence[Change]) -> Iterable[Problem]:
    """A deletion that is not permitted must be known before the first write, too."""

    def ask(change: Change) -> Problem | None:
        session.stay()
        try:
            session.cluster.delete(change.ref, change.api_version, uid=change.uid, dry_run=True)
        except ApiError as error:
            message = f"delete {change.ref}: {error.message}"
            return Problem(code="delete-refused", message=message, hint=error.hint, object=change.ref)
        return None

    going = [c for c in changes if c.action in (Action.DELETE, Action.RECREATE)]
    return [problem for problem in in_parallel(session, ask, going) if problem]

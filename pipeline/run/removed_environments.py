"""Environments that a commit has no more: named, with what is left of them. Nothing is deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from pipeline.core import leftovers, select
from pipeline.model.environment import Environment
from pipeline.model.errors import InvalidError, PipelineError, UnreachableError
from pipeline.model.objects import ObjectRef
from pipeline.model.views import EnvironmentChanges
from pipeline.run.live import read_live
from pipeline.run.session import Session
from pipeline.run.workspace import FILE, FOLDER, Workspace, path_of

OpenSession = Callable[[Environment], Session]

_UNASKED = "whatever of it is in its cluster stays there; no run deletes it"


def removed_environments(
    workspace: Workspace,
    revision: str,
    bases: Iterable[str],
    open_session: OpenSession | None,
    only: str = "",
) -> list[EnvironmentChanges]:
    """The environments (or the one called ``only``) that one of these commits has and ``revision`` has not.

    ``bases`` with the one first that knows best how an environment was; those that cannot be had are passed
    over. Without ``open_session`` no cluster is asked what is left.
    """
    seen = set(workspace.names(revision))
    found = []
    for base in dict.fromkeys(base for base in bases if base.strip("0")):
        if workspace.repository.obtain(base) or not _may_have_gone(workspace, base, revision):
            continue
        for name in sorted(set(workspace.names(base)) - seen):
            seen.add(name)
            if not only or name == only:
                found.append(_removed(workspace, name, revision, base, open_session))
    return sorted(found, key=lambda one: one.name)


def _may_have_gone(workspace: Workspace, base: str, revision: str) -> bool:
    """Whether the file of an environment, or a link on the way to it, is not what it was; else the tree of
    the base need not be read, which is the dearest of all."""
    for path, change in workspace.repository.changed(base, revision):
        parts = path.split("/")
        if parts[0] == FOLDER and change != "added" and (len(parts) < 3 or parts[2:] == [FILE]):
            return True
    return False


def _removed(
    workspace: Workspace, name: str, revision: str, base: str, open_session: OpenSession | None
) -> EnvironmentChanges:
    path = path_of(name)
    gone = f"{name} was removed: {base[:12]} has {path}, {revision[:12]} has not"
    changes = EnvironmentChanges(
        name=name, base=base, revision=revision, affected=True, removed=True, because=(gone,)
    )
    try:
        environment = workspace.environment(name, base)
    except InvalidError as error:
        why = f"what it was cannot be read: {(error.problems or (error,))[0]}"
        return replace(changes, because=(gone, why, _UNASKED))
    changes = replace(changes, files=_files(workspace, environment, changes))
    if open_session is None:
        objects = tuple(_written(workspace, environment, base))
        return replace(changes, because=(gone, _UNASKED), objects=objects)
    try:
        return _with_leftovers(changes, open_session(environment))
    except PipelineError as error:
        why = f"what is left of it in its cluster is not known: {error.message}"
        return replace(changes, because=(gone, why, _UNASKED))


def _files(
    workspace: Workspace, environment: Environment, changes: EnvironmentChanges
) -> tuple[select.FileChange, ...]:
    """Those of its files that went with it; what it shared with others is theirs."""
    deleted = [c for c in workspace.repository.changed(changes.base, changes.revision) if c[1] == "deleted"]
    try:
        also = workspace.uses(environment, changes.base)
    except (InvalidError, UnreachableError):  # a program that renders may be missing
        also = ()
    return select.selection(environment, deleted, also=also).files


def _written(workspace: Workspace, environment: Environment, base: str) -> Iterator[ObjectRef]:
    try:
        yield from (m.ref for m in workspace.written_in(environment, base, None))
    except (InvalidError, UnreachableError):
        return


def _with_leftovers(changes: EnvironmentChanges, session: Session) -> EnvironmentChanges:
    """Without a record nothing of it runs: it was never deployed, or somebody has tidied up."""
    latest = session.releases.latest()
    if latest is None:
        none = "no release of it is recorded in its cluster: nothing is left to delete"
        return replace(changes, affected=False, because=(*changes.because, none))
    live = read_live(session, {entry.ref: entry.api_version for entry in latest.inventory})
    left = leftovers.leftovers(session.environment, latest.inventory, live)
    told = leftovers.sentences(session.environment, left, latest.number)
    return replace(changes, objects=left.objects, because=(*changes.because, *told))

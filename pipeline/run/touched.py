"""Which objects of an environment differ between its base and a commit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from pipeline.core.select import is_below
from pipeline.model.environment import Environment
from pipeline.model.errors import InvalidError
from pipeline.model.objects import ObjectRef, digest
from pipeline.model.views import EnvironmentChanges
from pipeline.run.workspace import Workspace, is_manifest

SAME = "none of its objects differs: comments, order or spelling changed, or a file's mode"


def with_objects(
    workspace: Workspace, environment: Environment, changes: EnvironmentChanges
) -> EnvironmentChanges:
    """``changes`` with the objects that are new, other than they were, or gone; without a base all of them.

    Raises:
        InvalidError: they cannot be read.
    """
    if not changes.base:
        manifests = workspace.render(environment, changes.revision, lambda *_: None)
        return replace(changes, objects=tuple(m.ref for m in manifests))
    if not changes.files:
        return changes
    earlier = _earlier(workspace, environment, changes.base)
    paths = _paths(workspace, environment, earlier, changes)
    after = _digests(workspace, environment, changes.revision, paths)
    before = _before(workspace, earlier, changes.base, paths)
    differing = [ref for ref, content in after.items() if before.get(ref) != content]
    objects = (*differing, *(ref for ref in before if ref not in after))
    files = {path for path, _ in changes.files}
    because = changes.because if objects or environment.path in files else (*changes.because, SAME)
    return replace(changes, objects=objects, because=because)


def _earlier(workspace: Workspace, environment: Environment, base: str) -> Environment | None:
    """The environment as its base had it; None where there was none that could be read."""
    try:
        return workspace.environment(environment.name, base)
    except InvalidError:
        return None


def _paths(
    workspace: Workspace, environment: Environment, earlier: Environment | None, changes: EnvironmentChanges
) -> Collection[str] | None:
    """The files to be read; None for all of them."""
    if earlier and (earlier.namespace, earlier.sources) != (environment.namespace, environment.sources):
        return None
    changed = {path for path, _ in changes.files} - {environment.path}
    roots = [source.path for source in environment.sources if source.kind == "manifests"]
    if all(is_manifest(path) and any(is_below(path, root) for root in roots) for path in changed):
        return changed
    # Some are reached by links: then the names by which they are read are looked for.
    before = dict(workspace.fingerprints(environment, changes.base))
    after = dict(workspace.fingerprints(environment, changes.revision))
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def _before(
    workspace: Workspace, earlier: Environment | None, base: str, paths: Collection[str] | None
) -> Mapping[ObjectRef, str]:
    """Nothing where it could not be read then: so all that can be now is new."""
    try:
        return _digests(workspace, earlier, base, paths) if earlier else {}
    except InvalidError:
        return {}


def _digests(
    workspace: Workspace, environment: Environment, revision: str, paths: Collection[str] | None
) -> Mapping[ObjectRef, str]:
    manifests = workspace.written_in(environment, revision, paths)
    return {manifest.ref: digest(manifest.body) for manifest in manifests}

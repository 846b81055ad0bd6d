"""Rendering for a cluster: what charts are told of it, and what they made up before."""

from __future__ import annotations

from dataclasses import replace

from pipeline.core import generated
from pipeline.core.lifecycle import last_known
from pipeline.model.environment import Environment
from pipeline.model.events import Note
from pipeline.model.objects import Manifest, Object, ObjectRef
from pipeline.model.release import Phase, Release
from pipeline.run.session import Session
from pipeline.run.workspace import Scope, Workspace


def rendered(
    workspace: Workspace, session: Session, environment: Environment, revision: str
) -> tuple[Manifest, ...]:
    """The manifests of an environment for the cluster that it is deployed to.

    Raises:
        InvalidError: with every problem of every file.
    """
    manifests = workspace.render(facing(session, environment), revision, scope_of(session))
    if not any(manifest.generated for manifest in manifests):
        return manifests
    recorded = _recorded(session)
    for sentence in generated.told(manifests, recorded):
        session.tell(Note(sentence, warning=True))
    return tuple(generated.kept(manifests, recorded, environment))


def facing(session: Session, environment: Environment) -> Environment:
    """The environment with what templates of charts may ask of its cluster, and whether they are there
    already; that is asked for charts only."""
    if not any(source.helm for source in environment.sources):
        return environment
    version, versions = session.cluster.git_version(), tuple(session.cluster.api_versions())
    verified = last_known(session.releases.history())
    sources = [
        replace(
            source,
            helm=replace(
                source.helm,
                kube_version=version,
                api_versions=versions,
                installed=_had(verified, source.helm.release),
            ),
        )
        if source.helm
        else source
        for source in environment.sources
    ]
    return replace(environment, sources=tuple(sources))


def _had(verified: Release | None, chart: str) -> bool:
    """A record of an older version does not tell; then it is an upgrade, like all else there."""
    return verified is not None and (verified.charts is None or chart in verified.charts)


def scope_of(session: Session) -> Scope:
    """Whether the server serves a kind with a namespace; None where it does not know the kind."""

    def namespaced(api_version: str, kind: str) -> bool | None:
        resource = session.cluster.resource(api_version, kind)
        return resource.namespaced if resource else None

    return namespaced


def _recorded(session: Session) -> dict[ObjectRef, Object]:
    """What the release that is in the cluster rendered: the newest, unless it was taken back."""
    newest = session.releases.latest()
    if newest is not None and newest.phase is Phase.ROLLED_BACK:
        newest = session.releases.last_verified()
    return {ObjectRef.of(body): body for body in newest.rendered} if newest else {}

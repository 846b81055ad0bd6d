"""Deploys what a verified release rendered once more, from its record: what others changed is put back."""

from __future__ import annotations

from pipeline.model.environment import Environment
from pipeline.model.errors import PreflightError
from pipeline.model.events import Started
from pipeline.model.release import Outcome, Release
from pipeline.run.deploy import Request, deploy
from pipeline.run.job import OpenSession, Order, Telling
from pipeline.run.recorded import recorded_manifests


def put_back(
    open_session: OpenSession, environment: Environment, release: Release, why: str, order: Order
) -> Outcome:
    """As ``job.deploy_one``, of a release that is recorded; git is not needed."""
    outcome = Outcome(command="reconcile", environment=environment.name, revision=release.revision)
    with Telling(outcome):
        session = open_session(environment)
        session.bind(environment=environment.name, revision=release.revision)
        session.tell(Started("reconcile", environment.name, release.revision, "", (why,)))
        recorded = session.releases.get(release.number)
        if recorded is None:
            raise PreflightError(f"release {release.number} of {environment.name} is no longer on record")
        manifests = recorded_manifests(recorded)
        request = Request(
            command="reconcile",
            revision=recorded.revision,
            base=recorded.base,
            render=lambda: manifests,
            is_older=lambda _: None,
            allow_older=True,
            inputs=recorded.inputs,
            charts=recorded.charts,
            newest=order.newest,
            followed=order.followed,
        )
        deploy(session, request, outcome)
    return outcome

"""``pipeline plan``: what a deploy would do, of a cluster or of none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline import log
from pipeline.core.predict.apis import api_problems
from pipeline.core.secret_values import secret_values
from pipeline.model.environment import Environment
from pipeline.model.errors import InvalidError, PipelineError, PreflightError, Problem
from pipeline.model.plan import Plan
from pipeline.model.release import Outcome
from pipeline.run.attempt import Attempt
from pipeline.run.planning import make_plan, offline_plan
from pipeline.run.render import rendered
from pipeline.run.workspace import Workspace
from pipeline.wiring import App


def plan_offline(
    app: App, workspace: Workspace, environment: Environment, revision: str, target: str
) -> Plan:
    """The plan for an empty cluster; ``target`` is the version that is asked about, if any."""
    from pipeline.cli.validate import Judge

    manifests = workspace.render(environment, revision, lambda *_: None)
    log.redact(*secret_values(m.body for m in manifests))
    plan = offline_plan(environment, manifests, revision)
    problems = Judge(target=target).problems(environment, manifests)
    return _warned(plan, _warnings(environment, problems, InvalidError))


def plan_of_cluster(
    app: App, workspace: Workspace, environment: Environment, revision: str, target: str
) -> Plan:
    """The plan that a deploy would make now."""
    session = app.session(environment)
    manifests = rendered(workspace, session, environment, revision)
    session.learn_secrets(secret_values(m.body for m in manifests))
    # What the server itself has against the set, make_plan tells.
    server = session.cluster.version() if target else ""
    problems = list(api_problems(manifests, target=target, server=server)) if target else []
    warnings = _warnings(environment, problems, PreflightError)
    # As a deploy would: the same hooks, hence the same digest.
    attempt = Attempt(session, "deploy", Outcome(command="plan", environment=environment.name))
    attempt.look_back()
    planned = make_plan(
        session, manifests, revision, attempt.owned, event=attempt.event, before=attempt.carried
    )
    session.learn_secrets(secret_values(planned.live.values()))
    return _warned(planned.plan, warnings)


def _warned(plan: Plan, warnings: Sequence[Problem]) -> Plan:
    return replace(plan, warnings=(*plan.warnings, *(p for p in warnings if p not in plan.warnings)))


def _warnings(
    environment: Environment, problems: Sequence[Problem], refusal: type[PipelineError]
) -> Sequence[Problem]:
    """The problems, all of them warnings; an error among them ends the command."""
    if any(not p.warning for p in problems):
        noun = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise refusal(f"plan {environment.name}: {noun}, nothing was written", problems=problems)
    return problems

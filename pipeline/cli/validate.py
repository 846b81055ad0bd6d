"""``validate``, and what ``plan --offline`` takes from it: everything that can be known without a cluster."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.core.offline import in_order, offline_problems
from pipeline.core.scope import defined
from pipeline.model.environment import Environment
from pipeline.model.errors import InvalidError, Problem
from pipeline.model.objects import Manifest
from pipeline.report import document
from pipeline.run.planning import offline_plan
from pipeline.run.workspace import Workspace

_CRD = ("apiextensions.k8s.io", "CustomResourceDefinition")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """What manifests are held against: a version of Kubernetes, and the definitions that were given."""

    target: str
    definitions: Sequence[Manifest] = ()

    def scope(self, api_version: str, kind: str) -> bool | None:
        """As a server that has the given definitions would answer."""
        return defined(self.definitions).get((api_version.rpartition("/")[0], kind))

    def problems(
        self, environment: Environment, manifests: Sequence[Manifest], known: Sequence[Problem] = ()
    ) -> list[Problem]:
        """All of one set, what is known already among them, in file order."""
        from pipeline.adapters.schemas import catalogue  # late: no other command needs them

        return offline_problems(
            manifests,
            environment,
            catalogue(self.target),
            target=self.target,
            definitions=[m.body for m in self.definitions],
            known=known,
        )


def validate(workspace: Workspace, args: argparse.Namespace, revision: str) -> list[Problem]:
    """Every problem of the wanted environments, each once, in file order."""
    judge = Judge(target=args.target_version, definitions=_given(args.crds))
    problems: list[Problem] = []
    environments: Sequence[Environment] = ()
    try:
        if args.environment:
            environments = [workspace.environment(args.environment, revision)]
        else:
            environments, problems = workspace.readable(revision)
    except InvalidError as error:
        problems += document.error_problems(error)
    for environment in environments:
        problems += _problems_of(workspace, environment, revision, judge)
    return in_order(problems)


def _problems_of(
    workspace: Workspace, environment: Environment, revision: str, judge: Judge
) -> list[Problem]:
    """Of one environment. What was read is judged by itself, too, though the set may be refused."""
    try:
        remarks = workspace.remarks(environment, revision)
        manifests, known = workspace.examine(environment, revision, judge.scope)
    except InvalidError as error:
        return list(document.error_problems(error))
    if not known:
        try:
            known += offline_plan(environment, manifests, revision).warnings
        except InvalidError as error:
            known += document.error_problems(error)
    return judge.problems(environment, manifests, [*known, *remarks])


def _given(names: Sequence[str]) -> list[Manifest]:
    """The definitions of files and folders. InvalidError where one has none: it is not what was meant."""
    from pipeline.adapters import files  # late, as above

    found: list[Manifest] = []
    for name in names:
        definitions = [m for m in files.manifests(name) if m.ref.group_kind == _CRD]
        if not definitions:
            raise InvalidError(
                f"no CustomResourceDefinition in {name}",
                hint="kubectl get crd -o yaml > crds.yaml writes those of a cluster",
            )
        found += definitions
    return found

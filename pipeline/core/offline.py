"""Everything that can be said of a set without a server, beyond what keeps it from being read at all.

For ``validate`` and ``plan --offline``. A run against a cluster asks the server instead: it knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from pipeline.core.absent import absent_references
from pipeline.core.catalogue import Catalogue
from pipeline.core.pod_rules import pod_problems
from pipeline.core.predict.all import predict
from pipeline.core.predict.apis import api_problems
from pipeline.core.predict.facts import Facts, Outlook
from pipeline.core.predict.pod_security import pod_security_problems
from pipeline.core.predict.size import size_problems
from pipeline.core.removed import minor
from pipeline.core.shape import Shapes
from pipeline.model.environment import Environment
from pipeline.model.errors import Problem
from pipeline.model.objects import Manifest, Object

_MAY_BE_GIVEN: Final = frozenset({"quota-needs-requests"})
"""What a LimitRange of the cluster may fill in."""


def offline_problems(
    manifests: Sequence[Manifest],
    environment: Environment,
    catalogue: Catalogue,
    *,
    target: str = "",
    definitions: Iterable[Object] = (),
    known: Iterable[Problem] = (),
) -> list[Problem]:
    """All that is ``known`` already and more: errors, which must fail, and warnings, in file order.

    The manifests are those that ``with_namespaces`` returned. ``target`` is the version of Kubernetes that is
    meant; ``definitions`` are of custom resources, beside those of the set.
    """
    shapes = Shapes(catalogue, manifests, definitions)
    outlook = Outlook(manifests, manifests, Facts())
    found = [
        *known,
        *_of_version(catalogue, target),
        *(p for m in manifests for p in pod_problems(m)),
        *(p for m in manifests for p in size_problems(m) if p.warning),
        *api_problems(manifests, target=target),
        *absent_references(manifests, environment),
        *pod_security_problems(outlook.of_kind("", "Namespace"), outlook.workloads),
        *(_offline(p) for p in predict(outlook)),
    ]
    # What a schema says of a field, the rules say better.
    told = {_field(p) for p in found if p.path}
    found += [p for m in manifests for p in shapes.problems(m) if _field(p) not in told]
    return in_order(found)


def _of_version(catalogue: Catalogue, target: str) -> Iterator[Problem]:
    if target and minor(catalogue.version) != minor(target):
        message = (
            f"the schemas of Kubernetes {target} are not carried, so those of {catalogue.version} are used"
        )
        yield Problem(code="no-schemas", message=message, warning=True)


def _offline(problem: Problem) -> Problem:
    return replace(problem, warning=True) if problem.code in _MAY_BE_GIVEN else problem


def _field(problem: Problem) -> tuple[object, ...]:
    return problem.origin, problem.object, problem.path


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Each once, in the order of files and lines; what has no place of its own comes first.

    A file that several environments share is told of once, whatever namespaces its objects go to.
    """
    kept: dict[tuple[object, ...], Problem] = {}
    for problem in problems:
        kept.setdefault(_shown(problem), problem)
    return sorted(kept.values(), key=_place)


def _shown(problem: Problem) -> tuple[object, ...]:
    return problem.origin, problem.code, problem.message, problem.hint, problem.warning


def _place(problem: Problem) -> tuple[str, int, int]:
    origin = problem.origin
    return (origin.path, origin.line, origin.column) if origin else ("", 0, 0)

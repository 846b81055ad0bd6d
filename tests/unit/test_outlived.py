"""Defaults of a choice that a manifest no longer makes: found by what the server refuses, if nobody's."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.adoption import claim_patch
from pipeline.core.outlived import chosen, outlived, without_choices
from pipeline.model.errors import ApiError

ROLLING = ("spec", "strategy", "rollingUpdate")
NAMED = ".".join(ROLLING)
DEFAULTS = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}}


def refused(*fields: str, status: int = 422) -> ApiError:
    causes = [("FieldValueForbidden", field, "may not be specified") for field in fields]
    return ApiError("is invalid", status=status, reason="Invalid", causes=causes)


def entry(manager: str, fields: dict[str, Any]) -> dict[str, Any]:
    operation = "Apply" if manager == "pipeline" else "Update"
    return {"manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsV1": fields}


def web(strategy: Any, *entries: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": "web", "resourceVersion": "7", "managedFields": list(entries)}
    spec = {"replicas": 1} | ({} if strategy is None else {"strategy": strategy})
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def strategy_of(manager: str) -> dict[str, Any]:
    return entry(manager, {"f:spec": {"f:strategy": {"f:rollingUpdate": {"f:maxSurge": {}}}}})


WANTED = web({"type": "Recreate"})


@pytest.mark.parametrize(
    "owners", [[], [strategy_of("kubectl-client-side-apply")], [strategy_of("pipeline")]]
)
def test_what_nobody_but_a_deploy_tool_wants_is_in_the_way(owners: list[dict[str, Any]]) -> None:
    assert outlived(refused(NAMED), WANTED, web(DEFAULTS, *owners)) == (ROLLING,)


@pytest.mark.parametrize(
    ("error", "body", "live"),
    [
        (refused(NAMED, status=409), WANTED, web(DEFAULTS)),
        (refused(NAMED), WANTED, None),
        (refused(NAMED), WANTED, web(DEFAULTS, strategy_of("a-controller"))),
        (refused(NAMED), web(DEFAULTS | {"type": "Recreate"}), web(DEFAULTS)),
        (refused(NAMED), web(None), web(DEFAULTS)),
        (refused("spec.replicas"), web(None), web(DEFAULTS)),
        (refused("spec.template.spec.containers[0].image"), WANTED, web(DEFAULTS)),
        (refused(), WANTED, web(DEFAULTS)),
    ],
    ids=[
        "another refusal",
        "new",
        "a controller's",
        "written in the manifest",
        "no other choice",
        "no choice at all",
        "in a list",
        "no field named",
    ],
)  # fmt: skip
def test_nothing_else_is(error: ApiError, body: Any, live: Any) -> None:
    assert outlived(error, body, live) == ()


def test_tried_without_the_choice_and_then_made_with_it() -> None:
    assert without_choices(WANTED, [ROLLING]) == web(None)
    assert chosen(web(DEFAULTS), WANTED, [ROLLING]) == WANTED
    assert web({"type": "Recreate"}) == WANTED, "it was changed"


def test_a_claim_adds_to_what_is_ours_and_leaves_others_alone() -> None:
    ours = entry("pipeline", {"f:spec": {"f:replicas": {}}})
    theirs = entry("a-controller", {"f:metadata": {"f:labels": {"f:a": {}}}})
    patch = claim_patch(web(DEFAULTS, ours, theirs), [ROLLING])
    claimed, other = patch["metadata"]["managedFields"]
    assert claimed["fieldsV1"] == {"f:spec": {"f:replicas": {}, "f:strategy": {"f:rollingUpdate": {}}}}
    assert (other, patch["metadata"]["resourceVersion"]) == (theirs, "7")


def test_a_claim_takes_over_what_deploy_tools_own() -> None:
    patch = claim_patch(web(DEFAULTS, strategy_of("kubectl-client-side-apply")), [ROLLING])
    (claimed,) = patch["metadata"]["managedFields"]
    assert (claimed["manager"], claimed["operation"]) == ("pipeline", "Apply")
    assert "f:rollingUpdate" in claimed["fieldsV1"]["f:spec"]["f:strategy"]

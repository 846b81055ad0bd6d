"""Readiness in general: what exists, conventions of custom resources, the rules of the user."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.readiness import assess
from pipeline.core.readiness.verdicts import SETTLE_S
from pipeline.model.environment import ReadyRule
from pipeline.model.status import Status
from tests.kube_objects import T0, at, condition, having, simple
from tests.unit.judging import is_judged

C, P, F = Status.CURRENT, Status.IN_PROGRESS, Status.FAILED
U, T = Status.UNKNOWN, Status.TERMINATING


def definition(*conditions: Any) -> Any:
    return simple(
        "apiextensions.k8s.io/v1", "CustomResourceDefinition", status={"conditions": list(conditions)}
    )


def custom(*conditions: Any, generation: int = 1, **status: Any) -> Any:
    whole = {"conditions": list(conditions), **status}
    return simple("example.com/v1", "Thing", status=whole, generation=generation)


ROWS = {
    # definitions
    "an established CRD is Current": (
        definition(condition("NamesAccepted"), condition("Established")),
        C,
        "Established",
    ),
    "a CRD that is being installed is not ready": (
        definition(condition("NamesAccepted"), condition("Established", "False", "Installing")),
        P,
        "Installing",
    ),
    "a CRD whose names clash has failed": (
        definition(condition("NamesAccepted", "False")),
        F,
        "NamesNotAccepted",
    ),
    "an available APIService is Current": (
        simple("apiregistration.k8s.io/v1", "APIService", status={"conditions": [condition("Available")]}),
        C,
        "Available",
    ),
    # built-in kinds without status
    "a ConfigMap is Current at once": (simple("v1", "ConfigMap"), C, "Exists"),
    "a Role is Current at once": (simple("rbac.authorization.k8s.io/v1", "Role"), C, "Exists"),
    "a NetworkPolicy is Current at once": (
        simple("networking.k8s.io/v1", "NetworkPolicy", spec={}),
        C,
        "Exists",
    ),
    # custom resources
    "a custom resource that is Ready is Current": (custom(condition("Ready")), C, "Ready"),
    "a custom resource that is not Ready is not": (custom(condition("Ready", "False")), P, "NotReady"),
    "a Ready that nobody knows is not ready": (custom(condition("Ready", "Unknown")), P, "NotReady"),
    "a Ready of an older generation does not count": (
        custom(condition("Ready", observedGeneration=1), generation=2),
        P,
        "NotObserved",
    ),
    "an older observedGeneration as a string does not count": (
        custom(condition("Ready"), generation=2, observedGeneration="1"),
        P,
        "NotObserved",
    ),
    "an observedGeneration as a string that matches counts": (
        custom(condition("Ready"), generation=2, observedGeneration="2"),
        C,
        "Ready",
    ),
    "a stalled custom resource has failed": (
        custom(condition("Stalled"), condition("Ready", "False")),
        F,
        "CustomResourceFailed",
    ),
    "a reconciling custom resource is not ready": (
        custom(condition("Reconciling"), condition("Ready")),
        P,
        "Reconciling",
    ),
    "a degraded custom resource is not ready": (
        custom(condition("Available"), condition("Degraded")),
        P,
        "Degraded",
    ),
    "an available custom resource is Current": (custom(condition("Available")), C, "Available"),
    "a custom resource with unusual conditions is Unknown": (
        custom(condition("Moody")),
        U,
        "CustomResourceUnknown",
    ),
    "a custom resource without status is Unknown": (
        simple("example.com/v1", "Thing"),
        U,
        "CustomResourceUnknown",
    ),
    "a kind of a k8s.io group that is no built-in one is a custom resource": (
        simple("things.example.k8s.io/v1", "Thing"),
        U,
        "CustomResourceUnknown",
    ),
}


@pytest.mark.parametrize("sentence", ROWS)
def test_every_state_is_judged_by_its_rule(sentence: str) -> None:
    is_judged(*ROWS[sentence])


@pytest.mark.parametrize(
    ("since", "after_s", "status"),
    [(100.0, 1.0, P), (100.0, SETTLE_S, F), (-100.0, 1.0, F), (0.5, 1.0, F)],
)
def test_names_that_clashed_before_the_write_may_not_clash_any_more(
    since: float, after_s: float, status: Status
) -> None:
    clash = definition({**condition("NamesAccepted", "False"), "lastTransitionTime": at(0)})

    found = assess(clash, since=T0 + since, now=T0 + since + after_s)

    assert found.status is status


def test_an_object_that_does_not_exist_is_not_found() -> None:
    assert assess(None).status is Status.NOT_FOUND


@pytest.mark.parametrize(
    ("has_status", "status"), [(True, Status.IN_PROGRESS), (False, Status.CURRENT), (None, Status.UNKNOWN)]
)
def test_a_custom_resource_without_status_is_judged_by_whether_its_kind_has_one(
    has_status: bool | None, status: Status
) -> None:
    assert assess(simple("example.com/v1", "Thing"), has_status_subresource=has_status).status is status


@pytest.mark.parametrize(("phase", "said"), [("Failed", " (status.phase is Failed)"), ("long " * 20, "")])
def test_one_whose_status_says_nothing_usual_is_told_with_its_phase(phase: str, said: str) -> None:
    found = assess(custom(condition("Moody"), phase=phase))

    assert found.status is Status.UNKNOWN
    assert found.message.startswith(f"has none of the usual conditions{said}, so")


@pytest.mark.parametrize(("phase", "says"), [("", "has not started"), ("Unknown", "is Unknown, and not")])
def test_a_pod_of_which_nothing_else_is_known_is_told_by_its_phase(phase: str, says: str) -> None:
    assert assess(simple("v1", "Pod", status={"phase": phase})).message.startswith(says)


class TestRulesOfTheUser:
    def test_the_annotation_wins_over_what_is_built_in(self) -> None:
        obj = having(
            simple("v1", "ConfigMap"),
            "metadata",
            "annotations",
            value={"pipeline/ready": "jsonpath={.data.ok}"},
        )

        assert assess(obj).reason == "RuleNotMet"
        assert assess({**obj, "data": {"ok": "1"}}).status is Status.CURRENT

    def test_all_ready_rules_must_hold_and_any_failed_rule_fails(self) -> None:
        rule = ReadyRule(
            kind="Thing",
            group="example.com",
            ready=("condition=Synced", "jsonpath={.status.phase}=Running"),
            failed=("condition=Broken", "jsonpath={.status.phase}=Dead"),
        )

        def status(*conditions: Any, phase: str) -> Status:
            return assess(custom(*conditions, phase=phase), rules=(rule,)).status

        assert status(condition("Synced"), phase="Running") is Status.CURRENT
        assert status(condition("Synced"), phase="Starting") is Status.IN_PROGRESS
        assert status(condition("Synced"), phase="Dead") is Status.FAILED
        assert status(condition("Broken"), phase="Running") is Status.FAILED

    def test_a_rule_for_failure_alone_leaves_readiness_to_what_is_built_in(self) -> None:
        obj = having(
            custom(condition("Ready")), "metadata", "annotations", value={"pipeline/failed": "condition=Bad"}
        )

        assert assess(obj).reason == "Ready"

    def test_a_rule_of_another_kind_says_nothing(self) -> None:
        rule = ReadyRule(kind="Other", group="example.com", ready=("condition=Never",))

        assert assess(custom(condition("Ready")), rules=(rule,)).status is Status.CURRENT

    def test_a_rule_that_cannot_be_read_is_an_error(self) -> None:
        obj = having(simple("v1", "ConfigMap"), "metadata", "annotations", value={"pipeline/ready": "Ready"})

        with pytest.raises(ValueError, match="starts neither with condition="):
            assess(obj)

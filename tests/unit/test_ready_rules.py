"""The language of readiness rules."""

from __future__ import annotations

import pytest

from pipeline.core.json_path import find, parse_path
from pipeline.core.ready_rules import parse_rule, parse_rules

OBJ = {
    "metadata": {"generation": 2, "labels": {"app.kubernetes.io/name": "web", "a,b": "c"}},
    "spec": {"clusterIP": "10.0.0.1", "empty": "", "zero": 0, "ports": [{"port": 80}, {"port": 443}]},
    "status": {
        "phase": "Running",
        "none": None,
        "ok": True,
        "conditions": [
            {"type": "Ready", "status": "True"},
            {"type": "Stalled", "status": "False"},
            {"type": "Old", "status": "True", "observedGeneration": 1},
        ],
    },
}

PATHS = {
    "{.status.phase}": ["Running"],
    ".status.phase": ["Running"],
    "status.phase": ["Running"],
    "{$.status.phase}": ["Running"],
    "{.spec.ports[0].port}": [80],
    "{.spec.ports[-1].port}": [443],
    "{.spec.ports[*].port}": [80, 443],
    "{.spec.ports[9].port}": [],
    '{.status.conditions[?(@.type=="Ready")].status}': ["True"],
    "{.status.conditions[?(@.type=='Stalled')].status}": ["False"],
    '{.status.conditions[?(@.type!="Ready")].type}': ["Stalled", "Old"],
    "{.status.conditions[?(@.observedGeneration)].type}": ["Old"],
    "{.spec.ports[?(@.port==443)].port}": [443],
    '{.metadata.labels["app.kubernetes.io/name"]}': ["web"],
    r"{.metadata.labels.app\.kubernetes\.io/name}": ["web"],
    '{.metadata.labels["a,b"]}': ["c"],
    "{.nothing.at.all}": [],
    "{.status.none}": [],
}


@pytest.mark.parametrize("path", PATHS)
def test_a_path_reaches_what_kubectl_reaches(path: str) -> None:
    assert find(OBJ, parse_path(path)) == PATHS[path]


@pytest.mark.parametrize(
    "path", ["", "{}", "{.}", "{.a[}", "{.a..b}", "{.a[?(@.b==)]}", "{.a b}", "{.a[1:2]}"]
)
def test_a_path_beyond_the_subset_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="JSONPath"):
        parse_path(path)


RULES = {
    "condition=Ready": True,
    "condition=Ready:True": True,
    "condition=Ready:true": True,
    "condition=Ready:False": False,
    "condition=Stalled:False": True,
    "condition=Missing": False,
    "condition=Old": False,  # older than the spec
    "jsonpath={.status.phase}=Running": True,
    'jsonpath={.status.phase}="Running"': True,
    "jsonpath={.status.phase}=Failed": False,
    "jsonpath={.status.ok}=true": True,
    "jsonpath={.spec.clusterIP}": True,
    "jsonpath={.spec.empty}": False,
    "jsonpath={.spec.zero}": True,
    "jsonpath={.spec.missing}": False,
    "jsonpath={.spec.ports[*].port}=80": False,
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_holds_or_not(rule: str) -> None:
    assert parse_rule(rule).holds(OBJ) is RULES[rule]


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "Ready",
        "condition",
        "condition=",
        "condition=:True",
        "jsonpath=.a",
        "jsonpath={.a",
        "jsonpath={.a}b",
        "jsonpath={}",
        "cel=self.ok",
    ],
)
def test_a_rule_that_is_not_understood_is_refused(rule: str) -> None:
    with pytest.raises(ValueError, match=r"rule|JSONPath"):
        parse_rule(rule)


def test_rules_are_separated_by_commas_but_not_by_those_in_braces() -> None:
    rules = parse_rules(
        'condition=Ready, jsonpath={.metadata.labels["a,b"]}=c ,jsonpath={.status.phase}=Running'
    )

    assert len(rules) == 3
    assert all(rule.holds(OBJ) for rule in rules)


def test_a_rule_with_a_comma_in_braces_is_refused_whole() -> None:
    with pytest.raises(ValueError, match=r"\.a,b"):
        parse_rules("condition=Ready,jsonpath={.a,b}")

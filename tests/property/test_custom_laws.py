"""What holds for every custom resource that the table knows, whatever its status."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.json_path import Key
from pipeline.core.readiness import RULES, assess
from pipeline.core.readiness.custom import KindRule
from pipeline.core.readiness.custom_rules import TABLE, rule_of
from pipeline.core.reading import number
from pipeline.core.ready_rules import AllOf, AnyOf, FieldRule, Rule, conditions_of, parse_rule, parse_rules
from pipeline.model.status import ObjectStatus, Status

NOW = 1_700_000_000.0
WORDS = st.sampled_from(["True", "False", "Unknown", "Ready", "Failed", "", "2", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.floats(allow_nan=True) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
TIMES = st.floats(-200, 200).map(
    lambda s: datetime.fromtimestamp(NOW + s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
)
RULE_TEXTS = sorted({rule.source for entry in TABLE for rule in entry.current + entry.failed + entry.trouble})


def rules_of(entry: KindRule) -> tuple[Rule, ...]:
    return entry.current + entry.failed + entry.trouble + entry.busy + entry.idle


def fields_of(rule: Rule) -> Iterator[FieldRule]:
    match rule:
        case FieldRule():
            yield rule
        case AllOf(rules) | AnyOf(rules):
            for part in rules:
                yield from fields_of(part)
        case _:
            return


def place(obj: dict[str, Any], path: list[str], value: Any) -> None:
    """Put a value where a path leads, unless something else stands in its way."""
    for name in path[:-1]:
        following = obj.setdefault(name, {})
        if not isinstance(following, dict):
            return
        obj = following
    obj[path[-1]] = value


@st.composite
def conditions(draw: st.DrawFn, entry: KindRule) -> list[Any]:
    known = [one for rule in rules_of(entry) for one in conditions_of(rule)]
    types = sorted({one.type for one in known} | {"Ready", "Other"})
    reasons = sorted({reason for one in known for reason in one.reasons} | {"", "Other"})
    found = []
    for kind in draw(st.lists(st.sampled_from(types), unique=True, max_size=4)):
        one: dict[str, Any] = {
            "type": kind,
            "status": draw(st.sampled_from(["True", "False", "Unknown"]) | JSON),
        }
        one["reason"] = draw(st.sampled_from(reasons) | JSON)
        one["message"] = draw(WORDS | JSON)
        if draw(st.booleans()):
            one["observedGeneration"] = draw(st.integers(0, 3) | JSON)
        if draw(st.booleans()):
            one["lastTransitionTime"] = draw(TIMES | JSON)
        found.append(one)
    return found


@st.composite
def resources(draw: st.DrawFn) -> dict[str, Any]:
    """An object of a known kind whose status says what the kind's rules look at, or anything else."""
    entry = draw(st.sampled_from(TABLE))
    group = entry.group.replace("*", "x", 1)
    kind = draw(st.sampled_from(entry.kinds)).replace("*", "Any")
    meta: dict[str, Any] = {"name": "x", "namespace": "demo", "generation": draw(st.integers(1, 3))}
    if draw(st.booleans()):
        meta["creationTimestamp"] = draw(TIMES)
    obj: dict[str, Any] = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": meta, "spec": {}}
    if draw(st.booleans()):
        return {**obj, "spec": draw(JSON), "status": draw(JSON)}
    obj["status"] = {"conditions": draw(conditions(entry) | JSON)}
    if draw(st.booleans()):
        obj["status"]["observedGeneration"] = draw(st.integers(-1, 3) | st.sampled_from(["1", "3"]) | JSON)
    for field in (one for rule in rules_of(entry) for one in fields_of(rule)):
        path = [step.name for step in field.path if isinstance(step, Key)]
        if len(path) == len(field.path) and draw(st.booleans()):
            place(obj, path, draw(st.sampled_from(field.values or ("x",)) | JSON))
    return obj


def entry_of(obj: dict[str, Any]) -> KindRule:
    found = rule_of(obj["apiVersion"].rpartition("/")[0], obj["kind"])
    assert found is not None
    return found


def holding(rules: tuple[Rule, ...], obj: dict[str, Any]) -> list[Rule]:
    return [rule for rule in rules if rule.holds(obj)]


@given(resources(), st.none() | st.floats(-100, 100), st.none() | st.booleans())
def test_any_status_has_a_verdict_that_is_never_unknown(
    obj: dict[str, Any], after: float | None, has_status: bool | None
) -> None:
    since = None if after is None else NOW + after

    verdict = assess(obj, since=since, now=NOW, has_status_subresource=has_status)

    assert isinstance(verdict, ObjectStatus)
    assert verdict.status in (Status.CURRENT, Status.IN_PROGRESS, Status.FAILED)


@given(resources())
def test_what_is_current_shows_nothing_that_fails_and_what_has_failed_shows_it(obj: dict[str, Any]) -> None:
    entry, verdict = entry_of(obj), assess(obj)

    against = holding(entry.failed + entry.trouble, obj)

    if verdict.status is Status.CURRENT and verdict.reason != "Suspended":
        assert not against
        assert holding(entry.current, obj) == list(entry.current)
        assert not holding(entry.busy, obj)
    if verdict.status is Status.FAILED:
        assert against


@given(resources(), st.integers(0, 5), st.sampled_from([int, str]))
def test_a_status_of_an_older_generation_proves_nothing(obj: dict[str, Any], seen: int, kind: Any) -> None:
    if not isinstance(obj["status"], dict):
        return
    obj["status"]["observedGeneration"] = kind(seen)
    obj["metadata"]["generation"] = seen + 1

    verdict = assess(obj)

    if holding(entry_of(obj).idle, obj):
        assert verdict.reason == "Suspended"
    elif any_of_newest(obj):
        assert verdict.status is not Status.CURRENT
    else:
        assert verdict.reason == "NotObserved"


def any_of_newest(obj: dict[str, Any]) -> bool:
    """Whether a condition says that it is about the newest spec, though the status as a whole is not."""
    listed = obj["status"].get("conditions")
    told = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return any(number(one, "observedGeneration", default=-1) >= obj["metadata"]["generation"] for one in told)


@given(resources(), st.floats(-100, 100), st.floats(0, 300), st.floats(0, 300))
def test_a_failure_stays_one_as_time_goes_on(
    obj: dict[str, Any], since: float, at: float, more: float
) -> None:
    before = assess(obj, since=NOW + since, now=NOW + since + at)
    after = assess(obj, since=NOW + since, now=NOW + since + at + more)

    if before.status is Status.FAILED:
        assert after.status is Status.FAILED
    if before.status is Status.CURRENT:
        assert after.status is Status.CURRENT


@given(resources())
def test_the_order_of_conditions_does_not_change_the_status(obj: dict[str, Any]) -> None:
    before = assess(obj)
    listed = obj["status"].get("conditions") if isinstance(obj["status"], dict) else None
    if not isinstance(listed, list) or len({str(c.get("type")) for c in listed if isinstance(c, dict)}) < len(
        listed
    ):
        return

    obj["status"]["conditions"] = listed[::-1]

    assert assess(obj).status is before.status


def test_the_table_has_no_kind_twice() -> None:
    listed = [(entry.group, kind) for entry in TABLE for kind in entry.kinds]

    assert len(listed) == len(set(listed))
    assert not set(listed) & set(RULES)


@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: f"{entry.group}/{entry.kinds[0]}")
def test_every_entry_has_a_source_and_finds_itself(entry: KindRule) -> None:
    project, _, field = entry.source.partition(": ")
    assert project
    assert field
    assert entry.kinds
    found = {rule_of(entry.group.replace("*", "x", 1), kind.replace("*", "Any")) for kind in entry.kinds}
    assert found == {entry}


@pytest.mark.parametrize("text", RULE_TEXTS)
def test_every_rule_of_the_table_can_be_copied_into_an_annotation(text: str) -> None:
    assert parse_rules(text) == (parse_rule(text),)


PIECES = st.sampled_from(
    ["condition=", "jsonpath=", "{.a}", "{.b[*].c}", "Ready", ":False", "(", ")", "in", " ", "x", "{", "}"]
) | st.sampled_from(["||", "&&", ",", "=", "==", "!=", ">=", "<=", ">", "<", "1", "-2.5", "'", '"'])


@given(
    st.lists(PIECES, max_size=9).map(" ".join) | st.lists(PIECES, max_size=9).map("".join),
    st.dictionaries(st.sampled_from("ab"), JSON),
)
def test_any_text_is_a_rule_that_holds_or_not_or_a_value_error(text: str, obj: dict[str, Any]) -> None:
    try:
        rules = parse_rules(text)
    except ValueError:
        return
    assert all(rule.holds(obj) in (True, False) for rule in rules)
    assert ", ".join(rule.source for rule in rules) or not text.strip(" ,")


@given(JSON, JSON)
def test_opposite_comparisons_never_both_hold(one: Any, other: Any) -> None:
    obj = {"a": one, "b": other}

    def holds(operator: str) -> bool:
        return parse_rule(f"jsonpath={{.a}}{operator}{{.b}}").holds(obj)

    assert not (holds("=") and holds("!="))
    assert not (holds(">=") and holds("<"))
    assert not (holds("<=") and holds(">"))

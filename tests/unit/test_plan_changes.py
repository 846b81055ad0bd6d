"""A saved plan beside a later one: every difference is told, and none that is not there."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.plan_changes import ExpectedPlan, differences, is_plan
from pipeline.log import scrub_document
from pipeline.model.errors import PlanChangedError
from pipeline.model.objects import ObjectRef, Origin
from pipeline.model.plan import Action, Change, FieldChange, Plan
from pipeline.report.document import plan_document, to_json

WEB = ObjectRef("apps", "Deployment", "demo", "web")
SETTINGS = ObjectRef("", "ConfigMap", "demo", "settings")
PASSWORD = ObjectRef("", "Secret", "demo", "password")
GREETING = FieldChange("data.greeting", "change", "hello", "good day")


def saved(plan: Plan) -> dict[str, Any]:
    """The document as it comes back from a file."""
    document: dict[str, Any] = json.loads(to_json(scrub_document(plan_document(plan))))
    return document


def change(ref: ObjectRef = SETTINGS, action: Action = Action.UPDATE, **more: Any) -> Change:
    values = {"content": "sha256:1", "wave": 1, "api_version": "v1", "origin": Origin("a.yaml", 3)} | more
    return Change(ref=ref, action=action, **values)


def plan(*changes: Change, revision: str = "1" * 40, environment: str = "dev") -> Plan:
    return Plan(environment=environment, revision=revision, changes=changes)


THEN = plan(change(fields=(GREETING,)), change(WEB, Action.CREATE, wave=2))


def told(then: Plan, now: Plan) -> list[str]:
    return [problem.message for problem in differences(saved(then), now)]


def test_a_plan_does_not_differ_from_its_own_document() -> None:
    assert differences(saved(THEN), THEN) == ()
    ExpectedPlan(digest=THEN.digest, document=saved(THEN)).check(THEN)


def now(**more: Any) -> Plan:
    """``THEN`` with its ConfigMap changed."""
    return replace(THEN, changes=(replace(THEN.changes[0], **more), THEN.changes[1]))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"action": Action.RECREATE}, "action: then update, now recreate"),
        (
            {"fields": (replace(GREETING, before="by hand"),)},
            "data.greeting: then hello → good day, now by hand → good day",
        ),
        (
            {"fields": (GREETING, FieldChange("data.more", "remove", "x"))},
            "data.more: then no change, now x → nothing",
        ),
        ({"fields": ()}, "data.greeting: then hello → good day, now no change"),
        (
            {"fields": (FieldChange("data.greeting", "add", None, {"a": " "}),)},
            'data.greeting: then hello → good day, now nothing → {"a": " "}',
        ),
        (
            {"fields": (replace(GREETING, after="bye"),), "content": "sha256:2"},
            "data.greeting: then hello → good day, now hello → bye",
        ),
        ({"content": "sha256:2"}, "what is written is another content"),
        ({"wave": 3}, "wave: then 1, now 3"),
        ({"force": True}, "fields of other managers: then left to them, now taken"),
    ],
)
def test_each_difference_is_told_with_its_object_and_place(changed: dict[str, Any], message: str) -> None:
    (problem,) = differences(saved(THEN), now(**changed))
    assert problem.message == f"/ConfigMap/demo/settings: {message}"
    assert (problem.code, problem.object, problem.warning) == ("plan-changed", SETTINGS, False)
    assert problem.origin == Origin("a.yaml", 3)


def test_what_is_new_and_what_is_gone_is_told_by_name() -> None:
    assert told(plan(change()), plan(change(WEB, Action.DELETE))) == [
        "apps/Deployment/demo/web: delete, which was not in the plan",
        "/ConfigMap/demo/settings: update is no longer in the plan",
    ]


def test_where_an_object_is_made_anew_its_fields_are_not_told_beside_it() -> None:
    assert told(THEN, now(action=Action.CREATE, fields=())) == [
        "/ConfigMap/demo/settings: action: then update, now create"
    ]


def test_what_is_kept_is_no_part_of_a_plan() -> None:
    kept = change(WEB, Action.KEEP)
    assert told(plan(change(), kept), plan(change())) == []
    assert told(plan(kept), plan(change(WEB, Action.CREATE))) == [
        "apps/Deployment/demo/web: create, which was not in the plan"
    ]


def test_another_commit_is_told_first() -> None:
    found = told(THEN, replace(now(wave=3), revision="2" * 40))
    assert found[0] == "revision: then 111111111111, now 222222222222"
    assert len(found) == 2


def test_of_another_environment_nothing_else_is_told() -> None:
    other = replace(now(wave=3), environment="prod")
    assert told(THEN, other) == ["it is a plan of environment dev, not of prod"]
    expected = ExpectedPlan(digest=THEN.digest, document=saved(THEN))
    expected.check_environment("dev")
    with pytest.raises(PlanChangedError, match="of environment dev, not of prod") as caught:
        expected.check_environment("prod")
    assert [p.code for p in caught.value.problems] == ["plan-changed"]


def test_values_that_are_equal_to_python_but_not_to_a_server_differ() -> None:
    one = plan(change(fields=(FieldChange("spec.a", "add", None, 1),)))
    other = plan(change(fields=(FieldChange("spec.a", "add", None, True),)))
    assert told(one, other) == [
        "/ConfigMap/demo/settings: spec.a: then nothing → 1, now nothing → true",
    ]


# --- what a document does not hold


def secret(before: str, content: str) -> Change:
    masked = FieldChange("data.p", "change", before, "<masked #2>")
    return change(PASSWORD, fields=(masked,), content=content)


def test_a_masked_value_is_told_as_changed_and_not_by_its_number() -> None:
    then, later = plan(secret("<masked: empty>", "sha256:1")), plan(secret("<masked #1>", "sha256:1"))
    assert told(then, later) == [
        "/Secret/demo/password: data.p: then <masked: empty> → <masked>, now <masked> → <masked>"
    ]


def test_a_secret_that_is_another_one_is_told_though_its_document_looks_the_same() -> None:
    then, later = plan(secret("<masked #1>", "sha256:1")), plan(secret("<masked #1>", "sha256:2"))
    assert "sha256:1" not in json.dumps(saved(then)["changes"])
    assert told(then, later) == ["/Secret/demo/password: values that are not shown are other ones"]


def test_a_secret_that_is_the_same_is_not_suspected_of_what_another_object_did() -> None:
    same = secret("<masked #1>", "sha256:1")
    assert told(plan(same, change()), plan(same, change(wave=3))) == [
        "/ConfigMap/demo/settings: wave: then 1, now 3"
    ]


def test_credentials_that_were_taken_out_of_a_document_are_compared_by_the_digest() -> None:
    def with_url(password: str, after: str = "b") -> Plan:
        url = f"https://me:{password}@host/"
        return plan(change(fields=(FieldChange("data.url", "change", url, after),)))

    assert "hunter2" not in json.dumps(saved(with_url("hunter2")))
    assert told(with_url("hunter2"), replace(with_url("hunter2"), revision="2" * 40)) == [
        "revision: then 111111111111, now 222222222222"
    ]
    assert told(with_url("hunter2"), with_url("hunter3")) == [
        "/ConfigMap/demo/settings: values that are not shown are other ones"
    ]


# --- the refusal


def test_a_refusal_says_in_one_line_what_differs_and_lists_all() -> None:
    many = plan(*(change(ObjectRef("", "ConfigMap", "demo", f"c{n}")) for n in range(5)))
    with pytest.raises(PlanChangedError) as caught:
        ExpectedPlan(digest=THEN.digest, document=saved(THEN)).check(many)
    error = caught.value
    assert len(error.problems) == 7
    assert "\n" not in error.message
    assert error.message.endswith("/ConfigMap/demo/c2: update, which was not in the plan; and 4 more")
    assert many.digest in error.hint


def test_where_only_the_digest_is_known_the_hint_says_how_to_save_a_plan() -> None:
    with pytest.raises(PlanChangedError) as caught:
        ExpectedPlan(digest="sha256:0").check(THEN)
    assert caught.value.problems == ()
    assert "--save FILE" in caught.value.hint
    assert THEN.digest in caught.value.message
    ExpectedPlan(digest=THEN.digest).check(THEN)


# --- documents that are none


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {**saved(THEN), "schema": "pipeline/plan/v2"},
        {**saved(THEN), "digest": 1},
        {**saved(THEN), "environment": None},
        {**saved(THEN), "changes": {}},
        {**saved(THEN), "revision": "\ud800"},
    ],
)
def test_what_is_no_plan_is_told_apart(document: Any) -> None:
    assert is_plan(saved(THEN))
    assert not is_plan(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "object": JSON | st.just("/ConfigMap/demo/settings"),
        "action": JSON | st.just("update"),
        "wave": JSON,
        "content": JSON,
        "force": JSON,
        "fields": JSON | st.lists(st.fixed_dictionaries({}, optional={"path": JSON, "before": JSON})),
    },
)


@given(st.lists(JSON | ENTRIES, max_size=3), JSON)
def test_a_malformed_document_differs_and_raises_nothing(changes: list[Any], revision: Any) -> None:
    assert differences({**saved(THEN), "digest": "x", "changes": changes, "revision": revision}, THEN)


# --- properties

NAMES = st.sampled_from("abc")
VALUES = st.none() | st.integers(0, 1) | st.sampled_from(["x", "<masked #1>", "token=abc", "a b"])
FIELDS = st.builds(
    FieldChange, st.sampled_from(["data.a", "data.b"]), st.sampled_from(["add", "change"]), VALUES, VALUES
)
CHANGES = st.builds(
    change,
    st.builds(ObjectRef, st.just(""), st.sampled_from(["Secret", "ConfigMap"]), st.just("demo"), NAMES),
    st.sampled_from(Action),
    wave=st.integers(1, 2),
    force=st.booleans(),
    content=st.sampled_from(["sha256:1", "sha256:2"]),
    fields=st.lists(FIELDS, max_size=2, unique_by=lambda f: f.path).map(
        lambda fields: tuple(sorted(fields, key=lambda f: f.path))
    ),
)
PLANS = st.builds(
    lambda changes, revision: plan(*changes, revision=revision * 40),
    st.lists(CHANGES, max_size=4, unique_by=lambda c: c.ref),
    st.sampled_from("12"),
)


@given(PLANS)
def test_no_plan_differs_from_its_own_document(one: Plan) -> None:
    assert differences(saved(one), one) == ()


@given(PLANS, PLANS)
def test_every_change_of_digest_shows_a_difference_and_only_objects_that_differ(
    one: Plan, other: Plan
) -> None:
    found = differences(saved(one), other)
    assert bool(found) == (one.digest != other.digest)
    before, after = ({c.ref: c for c in p.writes} for p in (one, other))
    for problem in found:
        ref = problem.object
        unsure = "may be" in problem.message
        assert ref is None or unsure or before.get(ref) != after.get(ref)
    assert (one.revision != other.revision) == any(p.object is None for p in found)


@given(PLANS, st.data())
def test_one_object_that_changed_is_named_and_no_other(one: Plan, data: st.DataObject) -> None:
    if not one.writes:
        return
    victim = data.draw(st.sampled_from(one.writes))
    changed = data.draw(
        st.sampled_from(
            [
                replace(victim, wave=victim.wave + 1),
                replace(victim, force=not victim.force),
                replace(victim, fields=(*victim.fields, FieldChange("data.z", "add", None, "z"))),
            ]
        )
    )
    later = replace(one, changes=tuple(changed if c is victim else c for c in one.changes))
    assert {p.object for p in differences(saved(one), later)} == {victim.ref}

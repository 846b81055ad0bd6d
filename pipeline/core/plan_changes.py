"""What became of a plan since it was saved: its document beside the plan of now."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pipeline.core.escape import one_line
from pipeline.core.redaction import MASK
from pipeline.model.errors import PlanChangedError, Problem
from pipeline.model.objects import Json, ObjectRef, canonical
from pipeline.model.plan import Action, Change, FieldChange, Plan

SCHEMA: Final = "pipeline/plan/v1"
CODE: Final = "plan-changed"

_VALUE_LIMIT: Final = 100
"""Characters of a value in a message: as a plan shows them."""

_NAMED: Final = 3
"""Differences that one line can hold. A gut feeling."""

_NUMBERED: Final = re.compile(r"<masked #\d+>")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedPlan:
    """The plan that was reviewed; ``document`` is None where nothing but its digest is known."""

    digest: str
    document: Mapping[str, Any] | None = None

    def check_environment(self, environment: str) -> None:
        """Before anything is asked of the cluster. Raises PlanChangedError where it is another's plan."""
        then = str((self.document or {}).get("environment") or environment)
        if then != environment:
            raise PlanChangedError(
                f"the plan to run is of environment {one_line(then)}, not of {environment}",
                problems=(_other_environment(then, environment),),
                hint=f"name a plan of {environment}",
            )

    def check(self, plan: Plan) -> None:
        """Whether ``plan`` is this one. Raises PlanChangedError with every difference."""
        if self.digest == plan.digest:
            return
        again = f"review the new plan, then run it with --plan {plan.digest}"
        if self.document is None:
            raise PlanChangedError(
                f"the plan is now {plan.digest}, not {one_line(self.digest, 100)}",
                hint=f"{again}; to be told what differs, save plans that are reviewed: "
                f"`pipeline plan -e {plan.environment} --save FILE`, then --plan FILE",
            )
        found = differences(self.document, plan)
        raise PlanChangedError(
            f"the plan is no longer the one that was saved: {_in_one_line(found)}",
            problems=found,
            hint=again,
        )


def is_plan(document: object) -> bool:
    """Whether a JSON value is the document of a plan, which a digest can be made of."""
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        return False
    if not isinstance(document.get("digest"), str) or not isinstance(document.get("environment"), str):
        return False
    try:
        canonical(document)
    except (ValueError, RecursionError):  # lone surrogates, and depths that no plan has
        return False
    return isinstance(document.get("changes"), list)


def differences(saved: Mapping[str, Any], plan: Plan) -> tuple[Problem, ...]:
    """Why ``plan`` is not the plan of the document ``saved``; empty only where their digests are equal.

    The gravest first: what is done to which object, then fields and content, then order. What the
    document does not hold (contents of Secrets, credentials) counts as equal unless the digest proves
    that it is not.
    """
    if saved.get("digest") == plan.digest:
        return ()
    then = _plan_of(saved)
    if then.environment != plan.environment:
        return (_other_environment(then.environment, plan.environment),)
    hidden = _hidden(then)
    then = _filled(then, plan, hidden)
    found = [*_of_revision(then, plan), *_of_objects(then, plan)]
    if then.digest != saved.get("digest"):
        found += _not_shown(hidden, plan)
    if not found:
        found.append(Problem(code=CODE, message="it differs in what its document does not hold"))
    return tuple(found)


def _other_environment(then: str, now: str) -> Problem:
    """A plan is of one environment."""
    return Problem(
        code=CODE, message=one_line(f"it is a plan of environment {then or '(none)'}, not of {now}")
    )


def _in_one_line(found: Sequence[Problem]) -> str:
    """The first differences, and how many more there are."""
    named = "; ".join(problem.message for problem in found[:_NAMED])
    more = len(found) - _NAMED
    return f"{named}; and {more} more" if more > 0 else named


# --- the document as a plan


def _plan_of(saved: Mapping[str, Any]) -> Plan:
    """Only its writes: no other change counts. What is malformed names nothing."""
    changes = (_change_of(entry) for entry in _list(saved.get("changes")))
    return Plan(
        environment=str(saved.get("environment") or ""),
        revision=str(saved.get("revision") or ""),
        changes=tuple(change for change in changes if change is not None and change.writes),
    )


def _change_of(entry: Json) -> Change | None:
    if not isinstance(entry, dict):
        return None
    try:
        ref, action = ObjectRef.parse(str(entry.get("object"))), Action(str(entry.get("action")))
    except ValueError:
        return None
    wave, content = entry.get("wave"), entry.get("content")
    return Change(
        ref=ref,
        action=action,
        api_version="",
        wave=wave if isinstance(wave, int) else 0,
        fields=tuple(_field_of(field) for field in _list(entry.get("fields")) if isinstance(field, dict)),
        content=content if isinstance(content, str) else "",
        force=entry.get("force") is True,
        made_up_name=entry.get("made_up_name") is True,
    )


def _field_of(field: Mapping[str, Any]) -> FieldChange:
    path, op = (str(field.get(key) or "") for key in ("path", "op"))
    return FieldChange(path, op, field.get("before"), field.get("after"))


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _hidden(then: Plan) -> frozenset[ObjectRef]:
    """Objects of which the document leaves something out."""
    return frozenset(
        c.reviewed_ref for c in then.changes if not c.content or any(map(_is_scrubbed, c.fields))
    )


def _is_scrubbed(field: FieldChange) -> bool:
    return MASK in json.dumps([field.before, field.after], default=str)


def _filled(then: Plan, now: Plan, hidden: frozenset[ObjectRef]) -> Plan:
    """``then`` with what is now where it was left out: its digest is right if nothing of that differs."""
    present = {change.reviewed_ref: change for change in now.writes}
    return replace(
        then,
        changes=tuple(
            _with_now(c, present[ref]) if (ref := c.reviewed_ref) in hidden and ref in present else c
            for c in then.changes
        ),
    )


def _with_now(then: Change, now: Change) -> Change:
    fields = {field.path: field for field in now.fields}
    return replace(
        then,
        content=then.content or now.content,
        fields=tuple(fields.get(f.path, f) if _is_scrubbed(f) else f for f in then.fields),
    )


# --- what differs


def _of_revision(then: Plan, now: Plan) -> Iterator[Problem]:
    if then.revision != now.revision:
        yield Problem(
            code=CODE, message=f"revision: then {_short(then.revision)}, now {_short(now.revision)}"
        )


def _of_objects(then: Plan, now: Plan) -> Iterator[Problem]:
    before, after = ({change.reviewed_ref: change for change in plan.writes} for plan in (then, now))
    for ref in sorted(after.keys() - before.keys()):
        yield _problem(after[ref], f"{after[ref].action}, which was not in the plan")
    for ref in sorted(before.keys() - after.keys()):
        yield _problem(before[ref], f"{before[ref].action} is no longer in the plan")
    both = [(before[ref], after[ref]) for ref in sorted(before.keys() & after.keys())]
    for differ in (_actions, _fields, _contents, _owners, _orders):
        for one, other in both:
            yield from (_problem(other, text) for text in differ(one, other))


def _actions(then: Change, now: Change) -> Iterator[str]:
    if then.action is not now.action:
        yield f"action: then {then.action}, now {now.action}"


def _fields(then: Change, now: Change) -> Iterator[str]:
    if then.action is not now.action and not (then.fields and now.fields):
        return  # what is made or deleted as a whole has no fields to compare
    before, after = ({field.path: field for field in change.fields} for change in (then, now))
    for path in sorted(before.keys() | after.keys()):
        one, other = before.get(path), after.get(path)
        if _spelled(one) != _spelled(other):
            yield f"{path}: then {_change_text(one)}, now {_change_text(other)}"


def _spelled(field: FieldChange | None) -> str:
    """``1``, ``1.0`` and ``true`` are equal to Python, but not to a digest."""
    return json.dumps([field.op, field.before, field.after], sort_keys=True, default=str) if field else ""


def _contents(then: Change, now: Change) -> Iterator[str]:
    # Where fields differ they say it better.
    if then.content != now.content and then.fields == now.fields:
        yield "what is written is another content"


def _owners(then: Change, now: Change) -> Iterator[str]:
    if then.force != now.force:
        one, other = ("taken" if change.force else "left to them" for change in (then, now))
        yield f"fields of other managers: then {one}, now {other}"


def _orders(then: Change, now: Change) -> Iterator[str]:
    if then.wave != now.wave:
        yield f"wave: then {then.wave}, now {now.wave}"


def _not_shown(hidden: Iterable[ObjectRef], now: Plan) -> Iterator[Problem]:
    """The digest proves that something differs, but not in which of these."""
    unsure = [change for change in now.writes if change.reviewed_ref in frozenset(hidden)]
    verb = "are" if len(unsure) == 1 else "may be"
    for change in unsure:
        yield _problem(change, f"values that are not shown {verb} other ones")


def _problem(change: Change, text: str) -> Problem:
    return Problem(
        code=CODE, message=one_line(f"{change.ref}: {text}"), origin=change.origin, object=change.ref
    )


def _change_text(field: FieldChange | None) -> str:
    if field is None:
        return "no change"
    before = "nothing" if field.op == "add" else _value_text(field.before)
    after = "nothing" if field.op == "remove" else _value_text(field.after)
    return f"{before} → {after}"


def _value_text(value: Json) -> str:
    text = (
        value
        if isinstance(value, str)
        else json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    )
    # Numbers of masks tell values of one document apart, not those of two.
    return _NUMBERED.sub("<masked>", one_line(text, _VALUE_LIMIT)) if text.strip() else json.dumps(text)


def _short(revision: str) -> str:
    return one_line(revision[:12]) or "(none)"

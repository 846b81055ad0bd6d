"""Custom resources by rules that are data: the vocabulary, and the one function that applies it.

The rules themselves are in ``custom_rules.py``, in the language in which users write theirs
(``core/ready_rules.py``), so that whoever disagrees with one can copy it and alter it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import TypeAlias

from pipeline.core.json_path import Key, find, parse_path, spell
from pipeline.core.readiness.verdicts import SETTLE_S, Facts, current, failed, waiting
from pipeline.core.reading import condition, items, mapping, number, seconds, text
from pipeline.core.ready_rules import FieldRule, Operator, Rule, conditions_of, parse_rule
from pipeline.model.objects import Object
from pipeline.model.status import ObjectStatus

GRACE_S = 60.0
"""How long trouble may last before it is a failure: what an image gets, too (``rollout.grace.image``).

Most controllers try again by themselves, and what is missing (a store, a right, an address) is often
on its way in the same deploy.
"""


class Generation(StrEnum):
    """Where a kind says which spec its status is about."""

    STATUS = "status"  # status.observedGeneration
    CONDITIONS = "conditions"  # status.conditions[].observedGeneration
    NONE = "none"


Texts: TypeAlias = str | tuple[str, ...]
"""One rule, or several."""

READY, NOT_READY = "condition=Ready", "condition=Ready:False"
EXISTS = "no status tells more than that it exists"


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRule:
    """What the status of some kinds of one API group means.

    All of ``current`` must hold, none of the others; nothing in it: the object is Current as soon as it
    exists. Any of ``failed`` means that it will not mend by itself; any of ``trouble`` that it has
    not come right, which is a failure after ``GRACE_S``; any of ``busy`` that it is not ready
    although ``current`` holds, or not in trouble although that does; any of ``idle`` that its
    controller is told to leave it alone. ``says`` is where its message stands, unless a
    condition tells: the first of these fields that has one. ``*`` is any kind; a group may begin with ``*.``.
    """

    group: str
    kinds: tuple[str, ...]
    source: str
    current: tuple[Rule, ...] = ()
    failed: tuple[Rule, ...] = ()
    trouble: tuple[Rule, ...] = ()
    busy: tuple[Rule, ...] = ()
    idle: tuple[Rule, ...] = ()
    generation: Generation = Generation.NONE
    says: tuple[str, ...] = ()
    note: str = ""


def kind_rule(
    group: str,
    kinds: str,
    source: str,
    *,
    generation: Generation = Generation.NONE,
    says: Texts = (),
    note: str = "",
    like: Mapping[str, Texts] = MappingProxyType({}),
    **rules: Texts,
) -> KindRule:
    """Write a ``KindRule`` down: kinds separated by blanks, rules as texts; ``like`` are those of a family.

    Raises:
        ValueError: a text is no rule.
    """
    texts = {**like, **rules}
    read = {name: tuple(_read(rule) for rule in _several(texts[name])) for name in texts}
    return KindRule(
        group=group,
        kinds=tuple(kinds.split()),
        source=source,
        generation=generation,
        says=_several(says),
        note=note,
        **read,
    )


def field(path: str, *words: str) -> str:
    """The rule that a field has one of these values."""
    return f"jsonpath={path}={words[0]}" if len(words) == 1 else f"jsonpath={path} in ({', '.join(words)})"


def phase(*words: str) -> str:
    return field("{.status.phase}", *words)


def run_rule(
    group: str,
    kinds: str,
    source: str,
    done: str,
    failed: tuple[str, ...],
    says: Texts,
    *,
    trouble: Texts = (),
) -> KindRule:
    """A ``kind_rule`` of what runs to an end, and says in ``status.phase`` how it ended."""
    return kind_rule(
        group, kinds, source, current=phase(done), failed=phase(*failed), trouble=trouble, says=says
    )


def judge(rule: KindRule, obj: Object, facts: Facts) -> ObjectStatus:
    """The verdict on one live object of a kind that the table knows."""
    idle = _first(rule.idle, obj)
    if idle is not None:
        return current("Suspended", warning=f"its controller leaves it alone: {idle.source}")
    early = _too_early(rule, obj, facts)
    if early is not None:
        return told_of_newest(rule, obj, facts) or early
    return _fault(rule, obj, facts) or _by_current(rule, obj)


def told_of_newest(rule: KindRule, obj: Object, facts: Facts) -> ObjectStatus | None:
    """What speaks against an object in conditions about its newest spec, where its status as a whole is about
    an older one; None where nothing does.

    Flux's status.observedGeneration is "the latest .metadata.generation which resulted in either a ready
    state, or stalled" (GitRepository v1, Observed Generation; its other kinds likewise), so that it stays
    behind as long as something fails and is tried again.
    """
    return _fault(rule, obj, facts, of_newest=True)


def _fault(rule: KindRule, obj: Object, facts: Facts, *, of_newest: bool = False) -> ObjectStatus | None:
    def first(rules: Iterable[Rule]) -> Rule | None:
        holding = (part for part in rules if part.holds(obj))
        return next((part for part in holding if not of_newest or _is_of_newest(part, obj)), None)

    broken = first(rule.failed)
    if broken is not None:
        return _is_broken(rule, broken, obj, facts)
    busy = first(rule.busy)
    if busy is not None:
        return waiting(_reason(busy, obj) or "Busy", _said(rule, busy, obj))
    trouble = first(rule.trouble)
    return None if trouble is None else _in_trouble(rule, trouble, obj, facts)


def _is_of_newest(part: Rule, obj: Object) -> bool:
    """Whether the condition that speaks for a rule says that it is about the newest spec."""
    seen = number(dict(_told_by(part, obj)), "observedGeneration", default=-1)
    return seen >= number(obj, "metadata", "generation", default=0)


def _by_current(rule: KindRule, obj: Object) -> ObjectStatus:
    missing = [part for part in rule.current if not part.holds(obj)]
    if missing:
        return waiting(_reason(missing[0], obj) or "NotReady", _lacks(rule, missing[0], obj))
    if not rule.current:
        return current("Exists", "is in effect as soon as it exists")
    told = _told_by(rule.current[0], obj)
    return current(text(told, "type") or "Ready", text(told, "message"))


def _too_early(rule: KindRule, obj: Object, facts: Facts) -> ObjectStatus | None:
    """Whether nothing that the status says is about the newest spec yet."""
    if not rule.current:
        return None
    status = mapping(obj, "status")
    if not status and not all(part.holds(obj) for part in rule.current):
        return waiting("NoStatus", "its controller has not reported a status yet")
    if number(status, "observedGeneration") < 0:
        # What Flux writes before its first look (GitOps Toolkit, status.observedGeneration: -1).
        return waiting("NotObserved", "its controller has not seen it yet")
    if _may_be_old(obj, facts, SETTLE_S):
        return waiting(
            "NotObserved", "its status does not tell which spec it is about: it may be the old one"
        )
    return None


def _may_be_old(obj: Object, facts: Facts, within_s: float) -> bool:
    """Whether we wrote the object within that time, and its status tells of no generation."""
    if facts.since is None or facts.now is None or facts.now - facts.since >= within_s:
        return False
    conditions = items(obj, "status", "conditions")
    if any("observedGeneration" in found for found in (mapping(obj, "status"), *conditions)):
        return False
    created = seconds(mapping(obj, "metadata").get("creationTimestamp"))
    return created is not None and created < _whole(facts.since)


def _whole(since: float) -> float:
    """Times of the API are whole seconds: what our write caused may seem up to one second older."""
    return since - 1


def _is_broken(rule: KindRule, broken: Rule, obj: Object, facts: Facts) -> ObjectStatus:
    """Failed; but a failure from before our write gets as long to go away as trouble does."""
    said = _said(rule, broken, obj)
    began = seconds(_told_by(broken, obj).get("lastTransitionTime"))
    is_new = began is not None and facts.since is not None and began >= _whole(facts.since)
    if not is_new and _may_be_old(obj, facts, GRACE_S):
        return waiting(_reason(broken, obj) or "NotObserved", f"{said} (may be about the old spec)")
    return failed("CustomResourceFailed", said)


def _in_trouble(rule: KindRule, trouble: Rule, obj: Object, facts: Facts) -> ObjectStatus:
    said = _said(rule, trouble, obj)
    began = seconds(_told_by(trouble, obj).get("lastTransitionTime"))
    start = max((at for at in (began, facts.since) if at is not None), default=None)
    if start is None or facts.now is None or facts.now - start >= GRACE_S:
        return failed("CustomResourceFailed", said)
    return waiting(_reason(trouble, obj) or "Trouble", f"{said} (a failure if it lasts {GRACE_S:.0f} s)")


def _first(rules: Iterable[Rule], obj: Object) -> Rule | None:
    return next((rule for rule in rules if rule.holds(obj)), None)


def _told_by(rule: Rule, obj: Object) -> Mapping[str, object]:
    """The condition that speaks for a rule: the first that holds, else the first that is there."""
    looked_at = list(conditions_of(rule))
    holding = [part for part in looked_at if part.holds(obj)]
    found = (condition(obj, part.type) for part in (*holding, *looked_at))
    return next((one for one in found if one), {})


def _reason(rule: Rule, obj: Object) -> str:
    return text(dict(_told_by(rule, obj)), "reason")


def _said(rule: KindRule, part: Rule, obj: Object) -> str:
    """What the object says about itself, else the rule that holds."""
    told = dict(_told_by(part, obj))
    if told:
        said = text(told, "message") or text(told, "reason")
        return f"{text(told, 'type')} is {spell(told.get('status'))}" + (f": {said}" if said else "")
    state = _state(part, obj)
    said = _message(rule, obj)
    return ": ".join(filter(None, (state, said))) or part.source


def _state(part: Rule, obj: Object) -> str:
    """``status.phase is Failed``: the message alone may be that of the last sync, which went well."""
    if not isinstance(part, FieldRule) or not part.values or part.operator is not Operator.EQUAL:
        return ""
    names = [step.name for step in part.path if isinstance(step, Key)]
    return f"{'.'.join(names)} is {', '.join(spell(value) for value in find(obj, part.path))}"


def _lacks(rule: KindRule, part: Rule, obj: Object) -> str:
    if _told_by(part, obj):
        return _said(rule, part, obj)
    said = _message(rule, obj)
    return f"waits for {part.source}" + (f": {said}" if said else "")


def _message(rule: KindRule, obj: Object) -> str:
    found = (value for path in rule.says for value in find(obj, parse_path(path)))
    return next((value for value in found if isinstance(value, str) and value), "")


_read = cache(parse_rule)  # the table says most things more than once


def _several(texts: Texts) -> tuple[str, ...]:
    return texts if isinstance(texts, tuple) else (texts,)

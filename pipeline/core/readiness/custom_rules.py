"""The table of custom resources: what the status of each kind means, from its published API documentation.

A kind has one entry. An entry for a group that begins with ``*.``, or for the kind ``*``, counts where no
other does. What is not in the table is judged by the conventions of ``generic.py``.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.readiness import generic
from pipeline.core.readiness.custom import KindRule, judge, told_of_newest
from pipeline.core.readiness.custom_rules_apps import DATA, MESSAGING, OPERATIONS
from pipeline.core.readiness.custom_rules_cloud import CLOUD, TRAFFIC
from pipeline.core.readiness.custom_rules_compute import COMPUTE
from pipeline.core.readiness.custom_rules_delivery import DELIVERY, SECRETS
from pipeline.core.readiness.verdicts import Facts
from pipeline.core.reading import text
from pipeline.model.objects import Object
from pipeline.model.status import ObjectStatus

TABLE: tuple[KindRule, ...] = (
    *DELIVERY,
    *SECRETS,
    *CLOUD,
    *DATA,
    *MESSAGING,
    *COMPUTE,
    *TRAFFIC,
    *OPERATIONS,
)

_BY_KIND: Mapping[tuple[str, str], KindRule] = {
    (rule.group, name): rule for rule in TABLE for name in rule.kinds
}


def rule_of(group: str, kind: str) -> KindRule | None:
    """The entry for a kind: its own, else that of all kinds of its group, else of the groups above."""
    rule = _BY_KIND.get((group, kind)) or _BY_KIND.get((group, "*"))
    while rule is None and "." in group:
        _, _, group = group.partition(".")
        rule = _BY_KIND.get((f"*.{group}", kind)) or _BY_KIND.get((f"*.{group}", "*"))
    return rule


def assess_custom(obj: Object, facts: Facts) -> ObjectStatus:
    """Judge a custom resource: by its entry in the table, else by the conventions of conditions."""
    rule = _rule_for(obj)
    return generic.custom(obj, facts) if rule is None else judge(rule, obj, facts)


def fault_of_newest(obj: Object, facts: Facts) -> ObjectStatus | None:
    """What its conditions say against the newest spec where its status has not caught up."""
    rule = _rule_for(obj)
    return None if rule is None else told_of_newest(rule, obj, facts)


def is_idle(obj: Object) -> bool:
    """Whether its controller is told to leave it alone, and so never sees its newest spec."""
    rule = _rule_for(obj)
    return rule is not None and any(part.holds(obj) for part in rule.idle)


def _rule_for(obj: Object) -> KindRule | None:
    group, _, _ = text(obj, "apiVersion").rpartition("/")
    return rule_of(group, text(obj, "kind"))

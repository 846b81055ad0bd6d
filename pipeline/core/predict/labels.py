"""Labels and what selects by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pipeline.model.objects import Json

Labels = Mapping[str, str]

MADE_BY_CONTROLLERS: Final = frozenset(
    {
        "pod-template-hash",
        "pod-template-generation",
        "controller-revision-hash",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
        "rollouts-pod-template-hash",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-name",
        "batch.kubernetes.io/job-completion-index",
        "controller-uid",
        "job-name",
    }
)
"""Labels that pods have though no template says so: whether they match cannot be told from a template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Wanted labels, and expressions as (key, operator, values). Without either, everything is selected."""

    pairs: Labels
    expressions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.pairs and not self.expressions

    def matches(self, labels: Labels) -> bool:
        return all(labels.get(key) == value for key, value in self.pairs.items()) and all(
            _holds(expression, labels) for expression in self.expressions
        )

    def as_text(self) -> str:
        """``a=b,c=d``, as a list's labelSelector; without the expressions."""
        return ",".join(f"{key}={value}" for key, value in sorted(self.pairs.items()))


def labels_of(value: Json) -> Labels:
    """The strings of a mapping; labels of another type are for validation to tell."""
    entries = value.items() if isinstance(value, dict) else ()
    return {key: text for key, text in entries if isinstance(key, str) and isinstance(text, str)}


def of_labels(value: Json) -> Selector:
    """A Service's selector."""
    return Selector(pairs=_known(labels_of(value)))


def of_label_selector(value: Json) -> Selector:
    """A LabelSelector (``matchLabels``, ``matchExpressions``)."""
    known = value if isinstance(value, dict) else {}
    pairs = _known(labels_of(known.get("matchLabels")))
    written = known.get("matchExpressions")
    expressions = []
    for entry in written if isinstance(written, list) else ():
        if not isinstance(entry, dict) or entry.get("key") in MADE_BY_CONTROLLERS:
            continue
        values = entry.get("values")
        texts = tuple(str(v) for v in values) if isinstance(values, list) else ()
        expressions.append((str(entry.get("key")), str(entry.get("operator")), texts))
    return Selector(pairs=pairs, expressions=tuple(expressions))


def _known(pairs: Labels) -> Labels:
    return {key: value for key, value in pairs.items() if key not in MADE_BY_CONTROLLERS}


def _holds(expression: tuple[str, str, tuple[str, ...]], labels: Labels) -> bool:
    key, operator, values = expression
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return True  # the server refuses it

"""Label selectors: does one match, and which objects of a set does it select?

Semantics of ``metav1.LabelSelector`` (k8s.io/apimachinery/pkg/labels): all requirements hold at once,
``NotIn`` also where there is no such label, an empty selector matches everything. What is malformed
matches nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from pipeline.model.objects import FieldPath, Json, Manifest, get_path

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Labelled:
    """An object with the labels by which it is selected: its own, or those of its pods."""

    namespace: str
    manifest: Manifest
    labels: Labels


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition of a selector; ``values`` is empty for Exists and DoesNotExist."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def holds(self, labels: Labels) -> bool:
        return _OPERATORS[self.operator](self.values, labels.get(self.key))


_OPERATORS: Mapping[str, Callable[[frozenset[str], str | None], bool]] = {
    "In": lambda values, label: label in values,
    "NotIn": lambda values, label: label not in values,
    "Exists": lambda values, label: label is not None,
    "DoesNotExist": lambda values, label: label is None,
}

Selector = tuple[Requirement, ...]


def parse(selector: Json) -> Selector | None:
    """The requirements of a LabelSelector; None for what is none."""
    if not isinstance(selector, dict):
        return None
    exact = parse_map(selector.get("matchLabels") or {})
    expressions = selector.get("matchExpressions") or []
    if exact is None or not isinstance(expressions, list):
        return None
    found = list(exact)
    for expression in expressions:
        requirement = _requirement(expression)
        if requirement is None:
            return None
        found.append(requirement)
    return tuple(found)


def parse_map(selector: Json) -> Selector | None:
    """The requirements of a plain mapping, such as a Service's selector; None for what is none."""
    if not isinstance(selector, dict):
        return None
    if not all(isinstance(part, str) for pair in selector.items() for part in pair):
        return None
    return tuple(Requirement(key, "In", frozenset({value})) for key, value in selector.items())


def _requirement(expression: Json) -> Requirement | None:
    key, operator = get_path(expression, "key"), get_path(expression, "operator")
    values = get_path(expression, "values", default=[])
    if not isinstance(key, str) or not isinstance(operator, str) or operator not in _OPERATORS:
        return None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        return None
    return Requirement(key, operator, frozenset(values))


def matches(selector: Selector | None, labels: Labels) -> bool:
    """Whether the labels meet every requirement."""
    return selector is not None and all(requirement.holds(labels) for requirement in selector)


def labels_of(obj: Json, metadata: FieldPath = ("metadata",)) -> Labels:
    """The labels below ``metadata``, as far as they are ones."""
    labels = get_path(obj, *metadata, "labels")
    if not isinstance(labels, dict):
        return {}
    return {key: value for key, value in labels.items() if isinstance(value, str)}


class LabelIndex:
    """Finds what a selector selects without looking at every object: by the rarest label it wants."""

    def __init__(self, entries: Iterable[Labelled]) -> None:
        self._all: dict[str, list[Labelled]] = defaultdict(list)
        self._by_label: dict[tuple[str, str, str], list[Labelled]] = defaultdict(list)
        for entry in entries:
            self._all[entry.namespace].append(entry)
            for key, value in entry.labels.items():
                self._by_label[entry.namespace, key, value].append(entry)

    def select(self, namespace: str, selector: Selector | None) -> Iterator[Manifest]:
        """The objects of a namespace that the selector matches."""
        if selector is None:
            return
        for entry in self._candidates(namespace, selector):
            if matches(selector, entry.labels):
                yield entry.manifest

    def _candidates(self, namespace: str, selector: Selector) -> Iterable[Labelled]:
        everything: Sequence[Labelled] = self._all.get(namespace, ())
        fewest = len(everything)
        lists: list[Sequence[Labelled]] = [everything]
        for requirement in selector:
            if requirement.operator == "In":
                keys = [(namespace, requirement.key, value) for value in sorted(requirement.values)]
                found: list[Sequence[Labelled]] = [self._by_label.get(key, ()) for key in keys]
                count = sum(map(len, found))
                if count < fewest:
                    fewest, lists = count, found
        return chain.from_iterable(lists)

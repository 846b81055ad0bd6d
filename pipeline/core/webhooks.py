"""The order that webhooks and aggregated APIs ask for: what answers comes before what is asked about.

Rules: ``admissionregistration.k8s.io/v1`` (RuleWithOperations, namespaceSelector, objectSelector). Whether
a CEL condition matches is not known here; it is taken to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.core.edges import Edge, Softness
from pipeline.core.kinds import builtin
from pipeline.core.lookup import Lookup, pod_metadata
from pipeline.core.pod_references import POD_SPECS
from pipeline.core.references import ADMISSION, NAME_LABEL, Use, references
from pipeline.core.selection import (
    Labels,
    Requirement,
    Selector,
    labels_of,
    matches,
    parse,
    parse_map,
)
from pipeline.model.objects import FieldPath, Json, Manifest, ObjectRef, get_path
from pipeline.model.plan import Strength

_CONFIGURATIONS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_CRD = ("apiextensions.k8s.io", "CustomResourceDefinition")
_CALLERS = (
    *((ADMISSION, kind) for kind in _CONFIGURATIONS),
    ("apiregistration.k8s.io", "APIService"),
    _CRD,
)


@dataclass(frozen=True, slots=True)
class _Webhook:
    """One webhook of a configuration, and the line of its rules."""

    configuration: Manifest
    path: FieldPath
    rules: Sequence[Mapping[str, Json]]
    namespaces: Selector | None
    objects: Selector | None


@dataclass(frozen=True, slots=True)
class _Resource:
    """What a request is about."""

    group: str
    plural: str
    namespaced: bool


def called(lookup: Lookup) -> Iterator[Edge]:
    """Webhook configurations and APIServices after the workloads that answer for them."""
    for kind in _CALLERS:
        for caller in lookup.kind(*kind):
            soft = Softness.REFERENCE if kind == _CRD else Softness.NONE
            for reference in references(caller.body):
                service = lookup.find(reference.target)
                if reference.kind is Use.ROUTE and service is not None:
                    origin = caller.origin_of(reference.path)
                    for workload in _behind(service, lookup):
                        why = "is answered by the pods of"
                        yield Edge(caller.ref, workload, why, Strength.AVAILABLE, origin, None, soft)


def _behind(service: ObjectRef, lookup: Lookup) -> Iterator[ObjectRef]:
    selector = parse_map(get_path(lookup.body(service), "spec", "selector"))
    # A Service without selector has its endpoints from somewhere else.
    if selector:
        for workload in lookup.pods.select(lookup.home(service), selector):
            yield workload.ref


def covered(lookup: Lookup) -> Iterator[Edge]:
    """Every object after the webhook configurations whose rules match it, or the pods it makes."""
    coverage = _Coverage(lookup)
    if coverage.webhooks:
        for manifest in lookup.manifests:
            yield from coverage.edges(manifest)


class _Coverage:
    """Which webhooks look at which objects. What matches is worked out once a kind."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self.webhooks = [
            webhook
            for kind in _CONFIGURATIONS
            for configuration in lookup.kind(ADMISSION, kind)
            for webhook in _webhooks(configuration)
        ]
        self._by_resource: dict[_Resource, list[_Webhook]] = {}
        self._by_kind: dict[tuple[str, str], list[_Webhook]] = {}
        self._for_pods = self._matching(_Resource("", "pods", True))

    def edges(self, manifest: Manifest) -> Iterator[Edge]:
        """The edges of one object."""
        ref = manifest.ref
        own = self._of_kind(manifest)
        spec = POD_SPECS.get((ref.group, ref.kind)) if self._for_pods else None
        if not own and spec is None:
            return
        if own:
            yield from self._selected(manifest, own, labels_of(manifest.body), "is looked at by")
        if spec is not None:
            labels = labels_of(manifest.body, pod_metadata(spec))
            yield from self._selected(manifest, self._for_pods, labels, "makes pods that are looked at by")

    def _selected(
        self, manifest: Manifest, webhooks: Sequence[_Webhook], labels: Labels, why: str
    ) -> Iterator[Edge]:
        for webhook in webhooks:
            if not matches(webhook.objects, labels) or not self._in_namespace(webhook, manifest):
                continue
            configuration = webhook.configuration
            origin = configuration.origin_of(webhook.path)
            target, soft = configuration.ref, Softness.COVERAGE
            yield Edge(manifest.ref, target, why, Strength.EXISTS, origin, None, soft)

    def _in_namespace(self, webhook: _Webhook, manifest: Manifest) -> bool:
        if not webhook.namespaces:
            return webhook.namespaces is not None
        if manifest.ref.group_kind == ("", "Namespace"):
            name, labels = manifest.ref.name, labels_of(manifest.body)
        elif not self._lookup.is_namespaced(manifest):
            return True
        else:
            name = self._lookup.home(manifest.ref)
            namespace = self._lookup.namespace(name)
            if namespace is None:
                return _may_hold(webhook.namespaces, {NAME_LABEL: name})
            labels = labels_of(self._lookup.body(namespace))
        return matches(webhook.namespaces, {**labels, NAME_LABEL: name})

    def _of_kind(self, manifest: Manifest) -> list[_Webhook]:
        kind = (manifest.api_version, manifest.ref.kind)
        if kind not in self._by_kind:
            self._by_kind[kind] = self._matching(self._resource(manifest))
        return self._by_kind[kind]

    def _resource(self, manifest: Manifest) -> _Resource:
        known = builtin(manifest.api_version, manifest.ref.kind)
        crd = self._lookup.definitions.get(manifest.ref.group_kind)
        named = get_path(crd.body, "spec", "names", "plural") if crd else None
        word = known.plural if known else str(named or _plural(manifest.ref.kind))
        return _Resource(manifest.ref.group, word, self._lookup.is_namespaced(manifest))

    def _matching(self, resource: _Resource) -> list[_Webhook]:
        # The server asks no webhook about the objects that configure admission itself.
        if resource.group == ADMISSION:
            return []
        return [w for w in self.webhooks if any(_rule_matches(rule, resource) for rule in w.rules)]


def _webhooks(configuration: Manifest) -> Iterator[_Webhook]:
    written = get_path(configuration.body, "webhooks")
    for index, webhook in enumerate(written if isinstance(written, list) else ()):
        rules = get_path(webhook, "rules")
        yield _Webhook(
            configuration,
            ("webhooks", index, "rules"),
            tuple(rule for rule in (rules if isinstance(rules, list) else ()) if isinstance(rule, dict)),
            parse(get_path(webhook, "namespaceSelector", default={})),
            parse(get_path(webhook, "objectSelector", default={})),
        )


def _rule_matches(rule: Mapping[str, Json], resource: _Resource) -> bool:
    operations = _texts(rule, "operations")
    scope = rule.get("scope") or "*"
    return (
        bool(operations & {"*", "CREATE", "UPDATE"})
        and bool(_texts(rule, "apiGroups") & {"*", resource.group})
        and bool(_texts(rule, "resources") & {"*", "*/*", resource.plural, f"{resource.plural}/*"})
        and scope in ("*", "Namespaced" if resource.namespaced else "Cluster")
    )


def _texts(rule: Mapping[str, Json], field: str) -> frozenset[str]:
    values = rule.get(field)
    return frozenset(v for v in values if isinstance(v, str)) if isinstance(values, list) else frozenset()


def _plural(kind: str) -> str:
    """The guess that Kubernetes itself makes (apimachinery: ``UnsafeGuessKindToResource``)."""
    word = kind.lower()
    if word.endswith("y"):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith("s") else "s")


def _may_hold(selector: Selector, labels: Labels) -> bool:
    """Of a namespace that is not in the set only the name is known: any other label may be there."""

    def possible(requirement: Requirement) -> bool:
        return requirement.key not in labels or requirement.holds(labels)

    return all(map(possible, selector))

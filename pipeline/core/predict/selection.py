"""Services and PodDisruptionBudgets that select no pods, and ports that no container has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pipeline.core.at_field import warning
from pipeline.core.kinds import builtin
from pipeline.core.predict.facts import Outlook, Workload
from pipeline.core.predict.labels import Labels, Selector, of_label_selector, of_labels
from pipeline.core.schema import nearest, shown
from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Manifest, ObjectRef, get_path

_MOST_COMPARED = 200
"""Workloads of a namespace that a hint is looked for among; ours, so that a large set stays cheap."""


def selecting(outlook: Outlook) -> Iterator[tuple[Manifest, Selector, FieldPath]]:
    """Each object that selects pods, with its selector and where that stands; empty selectors left out."""
    for service in outlook.of_kind("", "Service"):
        path: FieldPath = ("spec", "selector")
        selector = of_labels(get_path(service.body, *path))
        if not selector.is_empty and get_path(service.body, "spec", "type") != "ExternalName":
            yield service, selector, path
    for budget in outlook.of_kind("policy", "PodDisruptionBudget"):
        path = ("spec", "selector", "matchLabels")
        selector = of_label_selector(get_path(budget.body, "spec", "selector"))
        if not selector.is_empty:
            yield budget, selector, path


def unmatched(outlook: Outlook) -> Iterator[tuple[Manifest, Selector]]:
    """Those that select nothing of the set, though they or a workload beside them are written.

    Whether they select pods of others is for the cluster to say.
    """
    concerned = {w.ref.namespace for w in outlook.changed_workloads()}
    for manifest, selector, _ in selecting(outlook):
        if manifest.ref not in outlook.refs and manifest.ref.namespace not in concerned:
            continue
        if not outlook.selected(manifest.ref.namespace, selector):
            yield manifest, selector


def selection_problems(outlook: Outlook) -> Iterator[Problem]:
    """Warnings: pods may come from where we cannot see them."""
    paths = {manifest.ref: path for manifest, _, path in selecting(outlook)}
    customs = {m.ref.namespace for m in outlook.manifests if builtin(m.api_version, m.ref.kind) is None}
    for manifest, selector in unmatched(outlook):
        pods = outlook.facts.pods.get(manifest.ref)
        if pods is not None and _of_others(pods, selector, outlook.in_namespace(manifest.ref.namespace)):
            continue
        key, hint = _nearest(selector, outlook.in_namespace(manifest.ref.namespace))
        # Without a likely misspelling, an operator may make the pods of a custom resource.
        if hint or manifest.ref.namespace not in customs:
            path = (*paths[manifest.ref], key) if key else paths[manifest.ref]
            message = f"its selector {selector.as_text()} selects no pods of any workload"
            yield warning(manifest, path, "selects-nothing", message, hint or _OTHERWISE)
    for manifest, selector, _ in selecting(outlook):
        if manifest.ref.group_kind == ("", "Service"):
            yield from _ports(manifest, outlook.selected(manifest.ref.namespace, selector), outlook.refs)


_OTHERWISE = "select labels of a workload's spec.template.metadata.labels"


def _of_others(pods: Sequence[Labels], selector: Selector, workloads: Sequence[Workload]) -> bool:
    """Whether a live pod is selected that is not about to be replaced by one of the set."""
    own = [of_label_selector(get_path(w.manifest.body, "spec", "selector")) for w in workloads]
    own = [s for s in own if not s.is_empty]
    return any(selector.matches(pod) and not any(s.matches(pod) for s in own) for pod in pods)


def _nearest(selector: Selector, workloads: Sequence[Workload]) -> tuple[str, str]:
    """(the label that differs, what it probably should be) for the workload that is least unlike."""
    best: tuple[int, str, str] = (-1, "", "")
    for workload in workloads[:_MOST_COMPARED]:
        differing = [(k, v) for k, v in selector.pairs.items() if workload.labels.get(k) != v]
        if not differing:
            continue
        key, value = differing[0]
        score = 2 * (len(selector.pairs) - len(differing))
        actual = workload.labels.get(key)
        if actual is not None and nearest(value, [actual]):
            found = (score + 1, key, f"{key}: {value}; did you mean {actual}?")
        elif score and actual is not None:
            found = (score, key, f"{workload.ref.short} has {key}: {actual}")
        elif score:
            found = (score, key, f"{workload.ref.short} has no label {key}")
        else:
            continue
        best = max(best, found, key=lambda one: one[0])
    return best[1], best[2]


def _ports(
    service: Manifest, workloads: Sequence[Workload], written: frozenset[ObjectRef]
) -> Iterator[Problem]:
    """Named target ports that no container of the selected workloads has."""
    if not workloads or not (service.ref in written or any(w.ref in written for w in workloads)):
        return
    names = {name for workload in workloads for name in port_names(workload)}
    ports = get_path(service.body, "spec", "ports")
    for index, port in enumerate(ports if isinstance(ports, list) else ()):
        target = get_path(port, "targetPort")
        if not isinstance(target, str) or target.isdigit() or target in names:
            continue
        message = f"targetPort {shown(target)} is the name of no port of {workloads[0].ref.short}"
        path = ("spec", "ports", index, "targetPort")
        yield warning(service, path, "no-such-port", message, port_hint(target, names))


def port_hint(target: str, names: Iterable[str]) -> str:
    """What a name that no port has was probably meant to be, of the names that there are."""
    known = sorted(names)
    if near := nearest(target, known):
        return f"did you mean {near}?"
    return f"there are {', '.join(known[:10])}" if known else "they name no port"


def port_names(workload: Workload) -> Iterator[str]:
    """The names that its containers give to their ports."""
    for container, _ in workload.containers():
        ports = container.get("ports")
        for port in ports if isinstance(ports, list) else ():
            name = get_path(port, "name")
            if isinstance(name, str):
                yield name

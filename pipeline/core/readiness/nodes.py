"""Nodes that cannot be expected to run a DaemonSet's newest pod, so that they hold up no deploy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.core.reading import condition_is, items, owner_uid, seconds, text, uid
from pipeline.model.objects import Json, Object, get_path


def excused(daemon_set: Object, pods: Iterable[Object], nodes: Sequence[Object], since: float | None) -> int:
    """How many of those nodes lack a ready pod of the DaemonSet; ``since`` is when it was written.

    Only nodes for which it has made a pod: those of others are not among the desired ones. Pods of any
    revision, because on a dead node the old one can neither end nor be replaced.
    """
    weak = {text(node, "metadata", "name") for node in nodes if _is_excused(node, since)}
    own = uid(daemon_set)
    places = [
        (node_of(pod), condition_is(pod, "Ready", "True")) for pod in pods if own == owner_uid(pod) != ""
    ]
    well = {place for place, is_ready in places if is_ready}
    return len({place for place, _ in places if place in weak} - well - {""})


def node_of(pod: Object) -> str:
    """Where the pod runs, or is bound for: a daemon pod names its node in its affinity before it is
    scheduled (kubernetes pkg/controller/daemon/util, GetTargetNodeName)."""
    bound = text(pod, "spec", "nodeName")
    if bound:
        return bound
    required = ("spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    for term in items(pod, *required, "nodeSelectorTerms"):
        for field in items(term, "matchFields"):
            value = get_path(field, "values", 0)
            if field.get("key") == "metadata.name" and isinstance(value, str):
                return value
    return ""


def _is_excused(node: Json, since: float | None) -> bool:
    """Not ready, cordoned, or younger than our write: krane passes over the same three."""
    created = seconds(get_path(node, "metadata", "creationTimestamp"))
    is_new = since is not None and created is not None and created >= since
    cordoned = get_path(node, "spec", "unschedulable") is True
    return is_new or cordoned or not condition_is(node, "Ready", "True")

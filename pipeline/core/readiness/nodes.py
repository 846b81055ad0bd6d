"""Nodes that cannot be expected to run a DaemonSet's newest pod, so that they hold up no deploy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.core.reading import condition_is, items, number, owner_uid, seconds, text, uid
from pipeline.model.objects import Json, Object, get_path


def excused(daemon_set: Object, pods: Iterable[Object], nodes: Sequence[Object], since: float | None) -> int:
    """How many of those nodes lack a ready pod of the DaemonSet; ``since`` is when it was written.

    Only nodes that are among the desired ones: those for which it has made a pod that tolerates their
    taints. Pods of any revision, because on a dead node the old one can neither end nor be replaced.
    A pod may be seen before its node is among those that the status counts: what it does not count yet lacks
    nothing that it tells of.
    """
    known = {text(node, "metadata", "name"): node for node in nodes}
    weak = {name for name, node in known.items() if _is_excused(node, since)}
    own = uid(daemon_set)
    places = [(node_of(pod), pod) for pod in pods if own == owner_uid(pod) != ""]
    well = {place for place, pod in places if condition_is(pod, "Ready", "True")}
    wanted = {place for place, pod in places if _may_run(pod, known.get(place, {}))} - {""}
    uncounted = max(0, len(wanted) - number(daemon_set, "status", "desiredNumberScheduled"))
    return max(0, len(wanted & weak - well) - uncounted)


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


def _may_run(pod: Object, node: Json) -> bool:
    """Whether its controller wants the pod there. Not on a node that is not ready and tainted so: daemon pods
    tolerate "node.kubernetes.io/not-ready" as NoExecute only, so that the old one stays, and the node is not
    counted any more (kubernetes pkg/controller/daemon, NodeShouldRunDaemonPod).
    """
    taints = (t for t in items(node, "spec", "taints") if t.get("effect") in ("NoSchedule", "NoExecute"))
    tolerations = items(pod, "spec", "tolerations")
    return all(any(_tolerates(one, taint) for one in tolerations) for taint in taints)


def _tolerates(toleration: Object, taint: Object) -> bool:
    """As core/v1 says of Toleration: an empty effect or key matches all, Exists any value."""
    if text(toleration, "effect") not in ("", taint.get("effect")):
        return False
    if text(toleration, "operator") == "Exists":
        return text(toleration, "key") in ("", taint.get("key"))
    same_key = text(toleration, "key") == text(taint, "key")
    return same_key and text(toleration, "value") == text(taint, "value")


def _is_excused(node: Json, since: float | None) -> bool:
    """Not ready, cordoned, or younger than our write: krane passes over the same three."""
    created = seconds(get_path(node, "metadata", "creationTimestamp"))
    # Times of the API are whole seconds: one that came after our write may seem a second older.
    is_new = since is not None and created is not None and created > since - 1
    cordoned = get_path(node, "spec", "unschedulable") is True
    return is_new or cordoned or not condition_is(node, "Ready", "True")

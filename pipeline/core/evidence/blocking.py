"""Pods of another revision that an ordered StatefulSet waits for before it touches any other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.core.evidence.newest import new_pods, old_pods
from pipeline.core.evidence.pods import of_pod
from pipeline.core.evidence.scene import Scene
from pipeline.core.reading import condition_is, number, observed, ref_of, text
from pipeline.model.objects import Object, ObjectRef
from pipeline.model.status import CauseCode, Evidence, Grade


def blocking_pods(stateful_set: Object, pods: Sequence[Object]) -> list[ObjectRef]:
    """The pods to delete so that an ordered StatefulSet can reach its newest revision; in its order.

    Its controller first waits for every pod to be running and ready, also for those that it would
    replace next: a bad revision's pod blocks its own revert for ever (kubernetes#67250). Deleting
    such a pod takes nothing away, since replacing it is what comes next. Empty for what is parallel,
    below the update's partition, or while the controller has not seen the newest spec.
    """
    return [ref_of(pod, "Pod") for pod in blockers(stateful_set, pods, new_pods(stateful_set, (), pods))]


def blockers(workload: Object, pods: Sequence[Object], new: Sequence[Object]) -> list[Object]:
    """The same as objects; ``new`` are the pods of the newest revision."""
    if text(workload, "kind") != "StatefulSet" or text(workload, "spec", "podManagementPolicy") == "Parallel":
        return []
    if not observed(workload) or not text(workload, "status", "updateRevision"):
        return []  # the newest revision is not known: none is another one
    partition = number(workload, "spec", "updateStrategy", "rollingUpdate", "partition")
    first = number(workload, "spec", "ordinals", "start") + partition
    found = [
        (ordinal, pod)
        for pod in old_pods(workload, pods, new)
        if (ordinal := _ordinal(pod)) >= first and not condition_is(pod, "Ready", "True")
    ]
    return [pod for _, pod in sorted(found, key=lambda item: (item[0], text(item[1], "metadata", "name")))]


def of_blockers(pods: Sequence[Object], scene: Scene) -> Iterator[Evidence]:
    """What each of them shows, with the command that lets the rollout go on."""
    order = {Grade.TERMINAL: 0, Grade.PROBABLE: 1, Grade.TRANSIENT: 2}
    for pod in pods:
        shown = min(of_pod(pod, scene), key=lambda e: (order[e.grade], e.code, e.container), default=None)
        if shown is None:
            continue  # nothing speaks against it: it is only starting
        name, namespace = text(pod, "metadata", "name"), text(pod, "metadata", "namespace")
        yield Evidence(
            code=CauseCode.RELEASE_BLOCKED_BY_POD,
            # What may pass by itself does not block for good, but explains why it takes so long.
            grade=Grade.TRANSIENT if shown.grade is Grade.TRANSIENT else Grade.PROBABLE,
            message=f"pod {name} of another revision is broken and blocks the rollout: {shown.message}",
            details=shown.details,
            path=("spec", "template"),
            pod=ref_of(pod, "Pod"),
            container=shown.container,
            image=shown.image,
            hint=f"run kubectl -n {namespace} delete pod {name}, "
            "or set the annotation pipeline/recreate: allowed on the StatefulSet",
        )


def _ordinal(pod: Object) -> int:
    word = text(pod, "metadata", "name").rpartition("-")[2]
    return int(word) if word.isascii() and word.isdigit() and len(word) < 10 else 0

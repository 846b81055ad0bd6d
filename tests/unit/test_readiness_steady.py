"""A workload that looks whole counts once its new containers have run for a moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.core.rollout import RolloutLog, Snapshot, Target, step
from pipeline.model.environment import Rollout
from pipeline.model.objects import Object, ObjectRef
from pipeline.model.status import ObjectStatus, Status
from tests.kube_objects import (
    T0,
    at,
    condition,
    daemon_set,
    deployment,
    ended,
    pod,
    replica_set,
    running,
    stateful_set,
    waiting,
)

PROBED = {"containers": [{"name": "web", "image": "web:1", "readinessProbe": {"tcpSocket": {"port": 80}}}]}
PLAIN = {"containers": [{"name": "web", "image": "web:1"}]}
SIDECAR = {"initContainers": [{"name": "mesh", "image": "mesh:1", "restartPolicy": "Always"}]}


def look(
    workload: Object, *pods: Object, after: float = 20, nodes: Sequence[Object] = (), **more: Any
) -> ObjectStatus:
    """The status of a workload that looks whole, so many seconds after our write."""
    ref = ObjectRef.of(workload)
    seen = Snapshot(objects={ref: workload}, replica_sets=[replica_set()], pods=pods, nodes=nodes)
    target = Target(ref=ref, **{"since": T0, **more})
    return step([target], seen, RolloutLog(), Rollout(), T0 + after).statuses[ref]


def up(for_s: float, *, name: str = "web", died: int | None = None, after: float = 20) -> Object:
    """A container that has run so long now; with ``died``, after an end with that exit code."""
    status = running(ready=True, restarts=0 if died is None else 1) | {"name": name}
    status["state"] = {"running": {"startedAt": at(after - for_s)}}
    if died is not None:
        status["lastState"] = {"terminated": {"exitCode": died, "finishedAt": at(after - for_s - 1)}}
    return status


class TestAContainerThatHasJustStarted:
    @pytest.mark.parametrize(("for_s", "status"), [(2, Status.IN_PROGRESS), (3, Status.CURRENT)])
    def test_has_to_run_for_a_moment_where_no_probe_tells(self, for_s: float, status: Status) -> None:
        found = look(deployment(), pod(up(for_s), spec=PLAIN, phase="Running"))

        assert found.status is status

    def test_says_so(self) -> None:
        found = look(deployment(), pod(up(0), spec=PLAIN, phase="Running"))

        assert (found.reason, found.progress) == ("Started", (2, 2))
        assert found.message == (
            "container web has just started, and has no readiness probe; it has to run for 3 s"
        )

    def test_is_believed_where_its_probe_has_passed(self) -> None:
        assert look(deployment(), pod(up(0), spec=PROBED, phase="Running")).status is Status.CURRENT

    def test_is_believed_where_its_workload_waits_for_longer_itself(self) -> None:
        """ "minReadySeconds: minimum number of seconds for which a newly created pod should be ready without
        any of its container crashing, for it to be considered available" (apps/v1)."""
        patient = deployment()
        patient["spec"]["minReadySeconds"] = 5

        assert look(patient, pod(up(0), spec=PLAIN, phase="Running")).status is Status.CURRENT

    def test_is_believed_where_it_started_before_our_write(self) -> None:
        old = pod(up(3, after=0), spec=PLAIN, phase="Running")

        assert look(deployment(), old, after=-1).status is Status.CURRENT

    def test_is_believed_where_we_did_not_write(self) -> None:
        new = pod(up(0), spec=PLAIN, phase="Running")

        assert look(deployment(), new, since=None).status is Status.CURRENT

    def test_may_be_a_sidecar(self) -> None:
        spec = {**PROBED, **SIDECAR}
        sidecar = pod(up(9), spec=spec, phase="Running", initContainerStatuses=[up(0, name="mesh")])

        assert "container mesh" in look(deployment(), sidecar).message

    def test_is_not_looked_for_among_the_pods_of_older_revisions(self) -> None:
        assert look(deployment(), pod(up(0), spec=PLAIN, owner="r1")).status is Status.CURRENT

    @pytest.mark.parametrize("workload", [stateful_set(), daemon_set()], ids=lambda obj: obj["kind"])
    def test_counts_in_every_workload(self, workload: Object) -> None:
        hashes = {"controller-revision-hash": "db-b"}
        new = pod(up(0), spec=PLAIN, owner=workload["metadata"]["uid"], labels=hashes)

        assert look(workload, new).reason == "Started"


class TestAContainerThatHasCrashed:
    """ "after a container in a Pod exits, the kubelet restarts it with an exponential backoff delay (10s,
    20s, 40s, …)" (Kubernetes documentation, Pod lifecycle)."""

    @pytest.mark.parametrize("exit_code", [137, 0])
    def test_has_to_stay_up_before_its_workload_counts(self, exit_code: int) -> None:
        found = look(deployment(), pod(up(2, died=exit_code), spec=PROBED))

        assert (found.status, found.reason) == (Status.IN_PROGRESS, "Restarted")

    def test_counts_once_it_has(self) -> None:
        assert look(deployment(), pod(up(12, died=137), spec=PROBED)).status is Status.CURRENT

    def test_before_our_write_is_history(self) -> None:
        old = pod(up(2, died=137, after=1), spec=PROBED)

        assert look(deployment(), old, after=1).status is Status.CURRENT


class TestPodsThatAreSeenAsTheyWereBeforeTheCounts:
    """A Deployment's status may arrive before its pods' (each watch is a stream of its own)."""

    STALE = (
        waiting("ContainerCreating"),
        waiting("CrashLoopBackOff", "back-off", restarts=1, last=ended(1)),
        {"name": "web", "state": {"terminated": ended(1)}},
        {"name": "another"},
    )

    @pytest.mark.parametrize("container", STALE, ids=["created", "waits", "ended", "not there"])
    def test_have_to_be_seen_to_run(self, container: Object) -> None:
        found = look(deployment(), pod(container, spec=PROBED))

        assert (found.status, found.reason) == (Status.IN_PROGRESS, "NotSeen")

    def test_need_not_be_where_not_all_run_by_the_counts(self) -> None:
        agents = daemon_set(numberAvailable=2, numberReady=2)
        sick = {"metadata": {"name": "n1"}, "status": {"conditions": [condition("Ready", "Unknown")]}}
        waits = pod(waiting("ContainerCreating"), owner="ds1", spec={**PROBED, "nodeName": "n1"})

        assert look(agents, waits, nodes=[sick]).status is Status.CURRENT

    def test_do_not_count_once_they_have_failed(self) -> None:
        """ "UnexpectedAdmissionError", "OutOfcpu" (kubernetes pkg/kubelet/lifecycle): a node that could not
        take the pod leaves it behind, and its controller makes another."""
        refused = pod(spec=PROBED, phase="Failed", reason="OutOfcpu")

        assert look(deployment(), refused).status is Status.CURRENT

"""Objects saved to files, judged with what the other objects of the files tell about them."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.hints import HINTS
from pipeline.core.reading import ref_of
from pipeline.core.saved import assess_saved
from pipeline.model.environment import Grace, ReadyRule, Rollout
from pipeline.model.objects import Manifest, Object, Origin
from pipeline.model.status import CauseCode, Status
from pipeline.model.views import SavedObject
from tests.kube_objects import (
    condition,
    daemon_set,
    deployment,
    ended,
    event,
    job,
    pod,
    replica_set,
    rolling,
    running,
    simple,
    waiting,
)

GONE = waiting("ImagePullBackOff", "ErrImagePull: registry.example/web:1: not found")
CRASH = waiting("CrashLoopBackOff", "back-off", restarts=5, last=ended(1))


def first(*objects: Object, policy: Rollout | None = None) -> SavedObject:
    """What is told about the first of these objects."""
    return judged(*objects, policy=policy)[0]


def judged(*objects: Object, policy: Rollout | None = None) -> list[SavedObject]:
    manifests = [Manifest(ref_of(obj), obj, Origin("f.yaml", 1)) for obj in objects]
    return assess_saved(manifests, policy)


def codes(saved: SavedObject) -> list[CauseCode]:
    return [one.code for one in saved.evidence]


def test_every_object_is_judged_in_the_order_of_the_files() -> None:
    found = judged(*[simple("v1", "ConfigMap"), deployment(), job(condition("Failed"))])

    assert [one.ref.kind for one in found] == ["ConfigMap", "Deployment", "Job"]
    assert [one.status.status for one in found] == [Status.CURRENT, Status.CURRENT, Status.FAILED]


class TestAWorkload:
    @pytest.mark.parametrize(
        ("container", "code"),
        [(GONE, CauseCode.IMAGE_NOT_FOUND), (CRASH, CauseCode.CRASH_LOOP)],
        ids=["no image", "crash loop"],
    )
    def test_has_failed_by_what_its_new_pods_show(self, container: Object, code: CauseCode) -> None:
        found = first(rolling(), replica_set(), pod(container))

        assert (found.status.status, found.status.reason) == (Status.FAILED, code)
        assert codes(found) == [code]
        assert found.status.message == found.evidence[0].message
        assert found.evidence[0].hint == HINTS[code]

    def test_bears_as_many_restarts_as_its_environment_says(self) -> None:
        patient = Rollout(grace=Grace(restarts=6))

        assert first(rolling(), replica_set(), pod(CRASH), policy=patient).status.status is Status.IN_PROGRESS

    def test_goes_on_with_what_one_look_cannot_prove(self) -> None:
        unready = pod(running(ready=False), phase="Running", spec={"containers": [{"name": "web"}]})
        unready["spec"]["containers"][0]["readinessProbe"] = {"periodSeconds": 1}
        said = event("p1", "Unhealthy", "Readiness probe failed: 503", container="web", after=9)

        found = first(rolling(), replica_set(), unready, said)

        assert found.status.status is Status.IN_PROGRESS
        assert codes(found) == [CauseCode.READINESS_PROBE_FAILED]
        assert "in 7 s" in found.evidence[0].message  # the newest time of the files is now
        assert "Readiness probe failed: 503" in found.evidence[0].details

    def test_that_is_whole_is_spared_the_crashes_of_its_pods(self) -> None:
        found = first(deployment(), replica_set(), pod(CRASH))

        assert (found.status.status, found.evidence) == (Status.CURRENT, ())

    def test_is_not_told_of_other_pods(self) -> None:
        assert first(rolling(), replica_set(), pod(GONE, owner="r1")).evidence == ()

    def test_that_has_failed_by_its_own_status_keeps_that(self) -> None:
        found = first(job(condition("Failed", message="backoff limit")), pod(CRASH, owner="j1"))

        assert (found.status.reason, codes(found)) == ("JobFailed", [CauseCode.CRASH_LOOP])

    def test_lacks_no_pod_on_a_node_that_is_sick(self) -> None:
        sick = {
            **simple("v1", "Node", status={"conditions": [condition("Ready", "Unknown")]}),
            "metadata": {"name": "n1"},
        }
        waits = pod(waiting("ContainerCreating"), owner="ds1", spec={"nodeName": "n1"})

        found = first(daemon_set(numberAvailable=2, numberReady=2), waits, sick)

        assert found.status.status is Status.CURRENT


class TestABarePod:
    def test_has_failed_by_what_its_containers_show(self) -> None:
        """kstatus, too, calls a running Pod in CrashLoopBackOff Failed."""
        found = first(
            simple("v1", "Pod", spec={"containers": [{"name": "web"}]}) | {"status": pod(CRASH)["status"]}
        )

        assert (found.status.status, found.status.reason) == (Status.FAILED, "CrashLoop")


CRD = simple(
    "apiextensions.k8s.io/v1",
    "CustomResourceDefinition",
    spec={
        "group": "example.com",
        "names": {"kind": "Thing"},
        "versions": [{"name": "v1", "subresources": {"status": {}}}, {"name": "v2"}],
    },
)


def test_an_object_that_has_failed_by_its_own_words_says_what_to_do() -> None:
    found = first(simple("v1", "PersistentVolumeClaim", status={"phase": "Lost"}))

    (told,) = found.evidence
    assert (told.code, told.details) == (CauseCode.CLAIM_PENDING, ())
    assert "restore the data" in told.hint


class TestAnObjectWhoseKindIsSavedToo:
    @pytest.mark.parametrize(
        ("version", "reason"), [("v1", "NoStatus"), ("v2", "Exists"), ("v3", "CustomResourceUnknown")]
    )
    def test_is_judged_by_whether_its_definition_promises_a_status(self, version: str, reason: str) -> None:
        assert first(simple(f"example.com/{version}", "Thing"), CRD).status.reason == reason

    @pytest.mark.parametrize(
        ("spec", "reason"),
        [
            ({"storageClassName": "gp3"}, "WaitForFirstConsumer"),
            ({}, "WaitForFirstConsumer"),
            ({"storageClassName": "gp2"}, "ClaimPending"),
        ],
        ids=["by name", "by default", "another"],
    )
    def test_waits_for_its_consumer_where_its_class_says_so(self, spec: Any, reason: str) -> None:
        notes = {"storageclass.kubernetes.io/is-default-class": "true"}
        gp3 = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "gp3", "annotations": notes},
            "volumeBindingMode": "WaitForFirstConsumer",
        }
        pending = simple("v1", "PersistentVolumeClaim", spec=spec, status={"phase": "Pending"})

        assert first(pending, gp3).status.reason == reason


class TestTheRules:
    def test_of_an_environment_are_obeyed(self) -> None:
        rule = ReadyRule(kind="Thing", group="example.com", ready=("jsonpath={.status.phase}=Up",))
        thing = simple("example.com/v1", "Thing", status={"phase": "Up"})

        assert first(thing, policy=Rollout(rules=(rule,))).status.reason == "RuleMet"

    def test_of_an_annotation_that_cannot_be_read_are_told(self) -> None:
        found = first(simple("v1", "ConfigMap", annotations={"pipeline/ready": "nonsense"}))

        assert (found.status.status, found.status.reason) == (Status.UNKNOWN, "RuleInvalid")


def test_anything_can_be_read() -> None:
    found = judged(*[{"kind": "Deployment", "apiVersion": "apps/v1", "metadata": 7}, {}, {"kind": []}])

    assert len(found) == 3

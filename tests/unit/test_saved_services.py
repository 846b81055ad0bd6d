"""Verdicts on saved objects: what stands beside a Service tells of its endpoints."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.saved import assess_saved
from pipeline.model.objects import Manifest, ObjectRef, Origin
from pipeline.model.status import Status
from tests.kube_objects import deployment, endpoint_slice, rolling, service

SERVICE = ObjectRef("", "Service", "demo", "web")
NONE = "none of the pods that it selects is ready"


def verdict(*objects: Any) -> tuple[Status, str]:
    manifests = [Manifest(ObjectRef.of(obj), obj, Origin("f.yaml", 1, 1)) for obj in objects]
    status = next(one.status for one in assess_saved(manifests) if one.ref == SERVICE)
    return status.status, status.message


@pytest.mark.parametrize(
    ("beside", "told"),
    [
        pytest.param([], "", id="without slices nothing is known"),
        pytest.param([endpoint_slice(True)], "", id="a ready endpoint"),
        pytest.param([endpoint_slice(False)], NONE, id="none that is ready"),
        pytest.param([endpoint_slice(False), deployment()], NONE, id="though its workload stands"),
        pytest.param(
            [endpoint_slice(), rolling()], f"{NONE}; waits for Deployment/web", id="and its workload does not"
        ),
        pytest.param([endpoint_slice(), deployment(wanted=0)], "", id="a workload without replicas"),
        pytest.param(
            [endpoint_slice(), {**deployment(), "apiVersion": "batch/v1", "kind": "Job"}],
            "",
            id="a Job's pods come and go",
        ),
    ],
)
def test_a_saved_service_is_judged_by_the_slices_beside_it(beside: list[Any], told: str) -> None:
    status, message = verdict(service(), *beside)

    assert status is (Status.IN_PROGRESS if told else Status.CURRENT)
    assert not told or message == told

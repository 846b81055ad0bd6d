"""Which kinds a rollout follows beside those it waits for: each costs a list and a watch."""

from __future__ import annotations

import pytest

from pipeline.model.objects import ObjectRef
from pipeline.run.targets import explained_by


@pytest.mark.parametrize(
    ("written", "kinds"),
    [
        ("apps/Deployment/demo/web", ["Event", "Pod", "ReplicaSet"]),
        ("argoproj.io/Rollout/demo/web", ["Event", "Pod", "ReplicaSet"]),
        ("apps/DaemonSet/demo/agent", ["ControllerRevision", "Event", "Pod"]),
        ("apps/StatefulSet/demo/db", ["Event", "Pod"]),
        ("batch/Job/demo/migrate", ["Event", "Pod"]),
        ("/Service/demo/web", ["Event"]),
        ("/Namespace//demo", []),
    ],
)
def test_only_what_can_explain_an_object_is_followed_with_it(written: str, kinds: list[str]) -> None:
    found = explained_by(ObjectRef.parse(written))

    assert sorted(resource.kind for resource in found) == kinds

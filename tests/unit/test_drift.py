"""Who changed a drifted field: paths as reports write them, and the managers beside us."""

from typing import Any

import pytest

from pipeline.core.drift import located, manager_of

POD: dict[str, Any] = {
    "metadata": {"labels": {"app.kubernetes.io/name": "web"}},
    "spec": {
        "containers": [{"name": "log"}, {"name": "web", "image": "a:1", "ports": [{"containerPort": 80}]}]
    },
}


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("spec.containers[name=web].image", ("spec", "containers", 1, "image")),
        (
            "spec.containers[name=web].ports[containerPort=80,protocol=TCP]",
            ("spec", "containers", 1, "ports", 0),
        ),
        ('metadata.labels["app.kubernetes.io/name"]', ("metadata", "labels", "app.kubernetes.io/name")),
        ("spec.containers[0]", ("spec", "containers", 0)),
        ("spec.containers[name=gone].image", ()),
        ("", ()),
    ],
)
def test_a_path_as_it_is_shown_leads_to_the_field(path: str, steps: tuple[str | int, ...]) -> None:
    assert located(POD, path) == steps


def _live(*managers: str) -> dict[str, Any]:
    owned = {"f:data": {"f:greeting": {}}}
    entries = [{"manager": m, "operation": "Update", "fieldsV1": owned} for m in managers]
    return {"metadata": {"managedFields": entries}, "data": {"greeting": "hi"}}


def test_the_manager_of_a_field_is_named_and_we_are_not() -> None:
    assert manager_of(_live("pipeline", "kubectl-edit"), "data.greeting") == "kubectl-edit"
    assert manager_of(_live("pipeline"), "data.greeting") == ""
    assert manager_of(_live("somebody"), "data.other") == ""

"""Fields that a controller owns: told with both values, and taken only where that is allowed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.audit import Audit, Witness
from tests.e2e.conftest import MakeRepo
from tests.e2e.live import line_of
from tests.e2e.stories import tell
from tests.e2e.workspace import Result

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

MANAGER = "controller-x"
OURS, THEIRS = "T1VSQ0FOQVJZ", "VEhFSVJDQU5BUlk="  # OURCANARY, THEIRCANARY
CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  annotations: {$NOTES}
data:
  calm: "1"
  colour: red
"""
SECRET = """\
apiVersion: v1
kind: Secret
metadata: {name: credentials}
stringData:
  password: OURCANARY
"""


def theirs(kind: str, name: str, **fields: Any) -> str:
    return json.dumps({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **fields})


@dataclass(frozen=True)
class Case:
    """Which policy holds, and which annotation the object has."""

    environment: str = ""
    annotation: str = ""


CASES = {
    "nothing": Case(),
    "environment": Case("allow: {conflicts: take}"),
    "annotation": Case(annotation="pipeline/conflicts: take"),
    "refused by annotation": Case("allow: {conflicts: take}", "pipeline/conflicts: refuse"),
}


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, audit: Audit) -> dict[str, tuple[Witness, Result]]:
    """Every case, in which the controller's value is another one than the manifest's."""

    def story(case: Case) -> Callable[[], tuple[Witness, Result]]:
        def deploy() -> tuple[Witness, Result]:
            repo = make_repo(create=True)
            witness = audit.watch(repo)
            repo.environment(case.environment)
            repo.manifest("settings.yaml", CONFIG.replace("$NOTES", case.annotation))
            repo.manifest("secret.yaml", SECRET)
            repo.commit()
            apply = ("apply", "--server-side", f"--field-manager={MANAGER}", "-f", "-")
            repo.kubectl(*apply, stdin=theirs("ConfigMap", "settings", data={"colour": "blue"}))
            repo.kubectl(*apply, stdin=theirs("Secret", "credentials", data={"password": THEIRS}))
            return witness, witness.deploy()

        return deploy

    return tell({name: story(case) for name, case in CASES.items()})


@pytest.mark.parametrize("name", ["nothing", "refused by annotation"])
def test_a_conflict_names_manager_field_both_values_and_the_line(
    told: dict[str, tuple[Witness, Result]], name: str
) -> None:
    run, result = told[name]
    assert result.code == 21, str(result)
    problem = next(p for p in result.document["problems"] if "settings" in p["message"])
    for text in ("data.colour", MANAGER, "blue", "red"):
        assert text in problem["message"]
    assert (problem["file"], problem["line"]) == (
        "environments/dev/manifests/settings.yaml",
        line_of(CONFIG, "colour"),
    )
    assert "pipeline/conflicts" in problem["hint"] or "allow.conflicts" in problem["hint"]
    assert run.all_writes == []


def test_a_conflict_in_a_secret_shows_no_value(told: dict[str, tuple[Witness, Result]]) -> None:
    run, result = told["nothing"]
    problem = next(p for p in result.document["problems"] if "credentials" in p["message"])
    assert MANAGER in problem["message"]
    assert "password" in problem["message"]
    assert not [text for text in ("CANARY", OURS, THEIRS) if text in result.output]
    assert run.all_writes == []


@pytest.mark.parametrize("name", ["environment", "annotation"])
def test_where_taking_is_allowed_the_field_is_ours_afterwards(
    told: dict[str, tuple[Witness, Result]], name: str
) -> None:
    run, result = told[name]
    if name == "annotation":  # the Secret has none: all of the plan is refused for it, and for it only
        assert result.code == 21, str(result)
        assert ["credentials" in p["message"] for p in result.document["problems"]] == [True]
        run.repo.remove("environments/dev/manifests/secret.yaml")
        run.repo.commit()
        result = run.deploy()
    assert result.code == 0, str(result)
    live = run.repo.get("configmaps", "settings")
    assert live["data"] == {"calm": "1", "colour": "red"}
    (owner,) = [m["manager"] for m in live["metadata"]["managedFields"] if "f:data" in m["fieldsV1"]]
    assert owner == "pipeline"


def test_the_plan_says_from_whom_a_field_is_taken(make_repo: MakeRepo) -> None:
    repo = make_repo(create=True)
    repo.environment("allow: {conflicts: take}")
    repo.manifest("settings.yaml", CONFIG.replace("$NOTES", ""))
    repo.commit()
    apply = ("apply", "--server-side", f"--field-manager={MANAGER}", "-f", "-")
    repo.kubectl(*apply, stdin=theirs("ConfigMap", "settings", data={"colour": "blue"}))
    _, plan = repo.json("plan", "-e", "dev")
    (change,) = [c for c in plan["changes"] if c["object"].endswith("/settings")]
    assert MANAGER in change["note"]
    assert {"path": "data.colour", "op": "change", "before": "blue", "after": "red"} in change["fields"]

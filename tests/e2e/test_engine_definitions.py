"""A definition that changes together with its resources: they count by the new one, at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.e2e.audit import Audit, Witness
from tests.e2e.conftest import MakeRepo
from tests.e2e.manifests import config_map
from tests.e2e.stories import tell
from tests.e2e.test_engine_order import CRD, WIDGET, noted, prepared
from tests.e2e.workspace import Result

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

FOLDER = "environments/dev/manifests"
COUNT = 20
FIELD = "colour: {type: string}"
SECOND = CRD.partition("  versions:\n")[2].replace("v1", "v2").replace("storage: true", "storage: false")
BLUE = WIDGET.replace("/v1\n", "/v2\n").replace("red", "blue")
BAD = noted("Deployment", "bad", mode="crash")


def widgets(text: str) -> str:
    return "---\n".join(text.replace("name: one", f"name: n{number}") for number in range(COUNT))


Told = tuple[Witness, Any, Result]
"""With the plan that was shown before."""


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo, audit: Audit) -> dict[str, Told]:
    """A deployed definition with resources; then a field or a version more, and resources that need it."""

    def story(definition: str, resource: str, **more: str) -> Callable[[], Told]:
        def deploy() -> Told:
            run = prepared(make_repo, audit, {"crd.yaml": CRD, "w.yaml": widgets(WIDGET)})
            repo = run.repo
            repo.deployed()
            repo.manifest("crd.yaml", definition)
            repo.manifest("w.yaml", widgets(resource))
            for name, text in more.items():
                repo.manifest(f"{name}.yaml", text)
            repo.commit()
            _, plan = repo.json("plan", "-e", "dev")
            return run, plan, run.deploy()

        return deploy

    a_field = CRD.replace(FIELD, f"{FIELD}\n                shape: {{type: string}}")
    extra, extra_field = (text.replace("name: one", "name: extra") for text in (BLUE, WIDGET))
    return tell(
        {
            "a field": story(a_field, f"{WIDGET}  shape: round\n"),
            "a version": story(CRD + SECOND, BLUE),
            "a bad version": story(CRD + SECOND, BLUE, bad=BAD, extra=extra),
            "a bad field": story(a_field, f"{WIDGET}  shape: round\n", bad=BAD, extra=extra_field),
        }
    )


@pytest.fixture(scope="module")
def lost(make_repo: MakeRepo, audit: Audit) -> dict[str, tuple[Witness, Result]]:
    """A resource is removed from the repository while the version goes in which it was applied: with the same
    deploy, or some time before it, by somebody else."""

    def story(*, first: bool, new: bool) -> Callable[[], tuple[Witness, Result]]:
        def deploy() -> tuple[Witness, Result]:
            files = {
                "crd.yaml": CRD if new else CRD + SECOND,
                "w.yaml": WIDGET,
                "stays.yaml": config_map("stays"),
            }
            run = prepared(make_repo, audit, files)
            repo = run.repo
            repo.deployed()
            unserved = CRD.replace("served: true", "served: false").replace("storage: true", "storage: false")
            definition = unserved + SECOND.replace("storage: false", "storage: true")
            if first:
                name = f"widgets.{repo.application}.example.com"
                versions = yaml.safe_load(definition)["spec"]["versions"]
                patch = json.dumps({"spec": {"versions": versions}})
                repo.kubectl("patch", f"crd/{name}", "--type=merge", f"--patch={patch}")
            repo.manifest("crd.yaml", definition)
            repo.remove(f"{FOLDER}/w.yaml")
            repo.commit()
            return run, run.deploy()

        return deploy

    return tell(
        {
            "with this deploy": story(first=False, new=False),
            "for one that is new": story(first=False, new=True),
            "before": story(first=True, new=False),
        }
    )


@pytest.mark.parametrize("name", ["with this deploy", "for one that is new", "before"])
def test_a_resource_is_deleted_though_the_version_it_was_applied_in_is_lost(
    lost: dict[str, tuple[Witness, Result]], name: str
) -> None:
    run, result = lost[name]
    assert result.code == 0, str(result)
    assert [r.what for r in run.writes if r.verb == "delete"] == ["widgets/one"]
    assert run.repo.get(f"{run.repo.application}.example.com/v2/widgets")["items"] == []


def shown(plan: Any) -> set[tuple[str, str]]:
    """(action, fields that change) of the resources."""
    return {
        (c["action"], ", ".join(f"{f['path']}={f['after']}" for f in c["fields"]))
        for c in plan["changes"]
        if "/Widget/" in c["object"]
    }


def test_resources_may_use_at_once_a_field_that_their_definition_gained(told: dict[str, Told]) -> None:
    run, plan, result = told["a field"]
    assert result.code == 0, str(result)
    assert shown(plan) == {("update", "spec.shape=round")}
    live = run.repo.get(f"{run.repo.application}.example.com/v1/widgets")["items"]
    assert [item["spec"] for item in live] == [{"colour": "red", "shape": "round"}] * COUNT


def test_resources_may_move_at_once_to_a_version_that_their_definition_gained(
    told: dict[str, Told],
) -> None:
    run, plan, result = told["a version"]
    group = f"{run.repo.application}.example.com"
    assert result.code == 0, str(result)
    assert shown(plan) == {("update", f"apiVersion={group}/v2, spec.colour=blue")}
    live = run.repo.get(f"{group}/v2/widgets")["items"]
    assert [item["spec"]["colour"] for item in live] == ["blue"] * COUNT
    again = run.deploy()
    assert (again.code, run.all_writes) == (0, []), str(again)


@pytest.mark.parametrize("name", ["a bad version", "a bad field"])
def test_a_failure_after_that_leads_back_to_the_objects_as_they_were(
    told: dict[str, Told], name: str
) -> None:
    run, _, result = told[name]
    group = f"{run.repo.application}.example.com"
    assert result.code == 10, str(result)
    live = run.repo.get(f"{group}/v1/widgets")["items"]
    assert sorted(item["metadata"]["name"] for item in live) == sorted(f"n{n}" for n in range(COUNT))
    assert [item["spec"] for item in live] == [{"colour": "red"}] * COUNT
    assert run.repo.get(f"{group}/v2/widgets") is None

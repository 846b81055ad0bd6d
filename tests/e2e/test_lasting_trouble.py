"""Trouble of custom resources: a failure once it has lasted, none where it mends; and what was before it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.core.readiness.verdicts import SETTLE_S
from tests.custom_resources import Sample, samples
from tests.e2e.controllers import Controllers, Make, Story, deploying, file_of, going_bad, is_told, shops
from tests.e2e.live import until
from tests.e2e.stories import tell

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # the first test waits for all stories

BY_CONDITION = samples()["source.toolkit.fluxcd.io", "GitRepository"]  # its status as a whole stays behind
BY_FIELD = samples()["postgresql.cnpg.io", "Cluster"]  # nothing tells since when
OLD = samples()["external-secrets.io", "ExternalSecret"]  # nothing tells which spec it is about
FAILED = samples()["flagger.app", "Canary"]  # likewise, and its failure is one at once
USED = (BY_CONDITION, BY_FIELD, OLD, FAILED)


def changed(make: Make, sample: Sample, before: Any, after: Any = None) -> Story:
    """A resource that is in a bad state when it is deployed again; the controller may look ``after`` that."""
    repo = make([sample])
    controllers = Controllers(repo, (sample,))
    with deploying(repo) as running:
        controllers.wait_for_objects(running.process)
        controllers.report(lambda _: sample.ready)
        assert running.ended().code == 0
    controllers.report(lambda _: before)
    time.sleep(TICK_S)
    manifest = f"environments/dev/manifests/{file_of(sample)}"
    repo.edit(manifest, "metadata:", "metadata:\n  labels: {changed: again}")
    repo.commit()
    address = controllers.address(sample)
    with deploying(repo) as running:
        until(lambda: repo.cluster.api.holds(address, lambda one: "changed" in one["metadata"]["labels"]))
        waited_for = running.waits_for()
        time.sleep(SETTLE_S + 1)  # until what was said before counts again
        controllers.report(lambda _: after)
        return Story(controllers=controllers, result=running.ended(), waited_for={"bad": waited_for})


def bad(sample: Sample) -> Any:
    found = sample.troubled or sample.failing
    assert found is not None
    return found.status


STORIES: dict[str, tuple[Sample, Callable[[Make, Sample], Story]]] = {
    "by a condition": (BY_CONDITION, lambda make, sample: going_bad(make, sample, bad(sample))),
    "by a field": (BY_FIELD, lambda make, sample: going_bad(make, sample, bad(sample))),
    "from before": (OLD, lambda make, sample: changed(make, sample, bad(sample))),
    "that mends": (BY_CONDITION, lambda make, sample: going_bad(make, sample, bad(sample), sample.ready)),
    "from before that mends": (OLD, lambda make, sample: changed(make, sample, bad(sample), sample.ready)),
    "failed before": (FAILED, lambda make, sample: changed(make, sample, bad(sample), sample.ready)),
}
TICK_S = 2.5  # the API's times are whole seconds: what is a moment older than a write might be of it
MINUTE_S = 58.0  # at least, with the server's whole seconds
LASTING = ("by a condition", "by a field", "from before")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Story]]:
    with shops(USED, tmp_path_factory) as make:
        yield tell({name: lambda s=sample, a=act: a(make, s) for name, (sample, act) in STORIES.items()})


@pytest.mark.parametrize("name", LASTING)
def test_trouble_that_lasts_is_a_failure_and_is_waited_for_until_then(
    name: str, told: dict[str, Story]
) -> None:
    story, sample = told[name], STORIES[name][0]
    assert sample.troubled is not None
    assert story.waited_for["bad"] == {story.controllers.name(sample)}
    is_told(story, sample, sample.troubled.says)
    assert story.result.document["timings"]["rollout"] > MINUTE_S


def test_trouble_that_was_there_before_the_deploy_is_told_as_such(told: dict[str, Story]) -> None:
    cause = told["from before"].cause(OLD)
    assert any("before this deploy already" in line for line in (cause["message"], *cause["evidence"]))


@pytest.mark.parametrize("name", [name for name in STORIES if name not in LASTING])
def test_what_mends_in_time_is_no_failure(name: str, told: dict[str, Story]) -> None:
    story, sample = told[name], STORIES[name][0]
    assert story.waited_for["bad"] == {story.controllers.name(sample)}
    assert story.result.code == 0, story.why
    assert story.result.document["causes"] == []
    assert story.entry(sample)["status"] == "Current"

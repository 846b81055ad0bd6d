"""One resource of every kind that has a rule, on an API server, with controllers that report step by step.

The cluster is the module's own: hundreds of definitions would slow down every other test's discovery. What
the controllers say is in ``tests/custom_resources``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from tests.custom_resources import GATEWAY_API, Bad, Sample, missing, samples
from tests.e2e.controllers import Controllers, Make, Story, deploying, going_bad, is_told, shops
from tests.e2e.lasting import LASTING, MINUTE_S, OLD, STORIES
from tests.e2e.lasting import lasting as lasting_trouble
from tests.e2e.live import until
from tests.e2e.stories import tell
from tests.e2e.workspace import Workspace

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]  # the first test waits for all stories


ALL = tuple(samples().values())
WAITED = tuple(sample for sample in ALL if sample.waiting is not None)
FAILING = tuple(sample for sample in ALL if sample.failing)
DEPLOYED = tuple({str(sample.failing): sample for sample in FAILING}.values())
"""One for each status that fails: the other kinds of which a controller says the same are assessed alone."""
TROUBLED = tuple(sample for sample in ALL if sample.troubled)

ONLY_WHERE_TOLD = "istio.io"
"""Of groups below this the control plane writes no status unless it is told to: silence is ready, and what is
ready as it is written is not followed any more."""


def of(found: Iterable[Sample]) -> Any:
    """A test for each of these kinds."""
    chosen = [pytest.param(sample, id=f"{sample.kind}.{sample.group}") for sample in found]
    return pytest.mark.parametrize("sample", chosen)


def becoming_ready(make: Make) -> Story:
    """All kinds in one environment: silent, then not ready, then ready; afterwards each goes bad."""
    repo = make(ALL)
    controllers = Controllers(repo, ALL)
    waited_for, assessed = {}, {}
    with deploying(repo) as running:
        controllers.wait_for_objects(running.process)
        for step in ("silent", "waiting"):
            controllers.report(lambda sample, step=step: sample.waiting if step == "waiting" else None)
            waited_for[step] = running.waits_for()
            assessed[step] = controllers.assessed()
        give_pods(repo)
        controllers.report(lambda sample: sample.ready)
        result = running.ended()
    assessed["ready"] = controllers.assessed()
    for step, bad_of in BAD.items():
        controllers.report(lambda sample, bad_of=bad_of: bad.status if (bad := bad_of(sample)) else None)
        assessed[step] = controllers.assessed()
    return Story(controllers=controllers, result=result, waited_for=waited_for, assessed=assessed)


BAD: dict[str, Callable[[Sample], Bad | None]] = {
    "troubled": lambda sample: sample.troubled,
    "failing": lambda sample: sample.failing,
}


def give_pods(repo: Workspace) -> None:
    """What the Rollout's controller makes: a ReplicaSet, whose pods count as those of a Deployment do."""
    api = repo.cluster.api
    rollout = samples()["argoproj.io", "Rollout"]
    live = api.call("GET", Controllers(repo, (rollout,)).address(rollout))
    labels = {"app": "shop", "rollouts-pod-template-hash": rollout.ready["currentPodHash"]}
    owner = {"apiVersion": rollout.api_version, "kind": rollout.kind, "controller": True}
    owner |= {"name": live["metadata"]["name"], "uid": live["metadata"]["uid"]}
    pods = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "shop", "image": "nginx:1.27"}]}}
    spec = {"replicas": rollout.ready["replicas"], "selector": {"matchLabels": labels}, "template": pods}
    path = f"/apis/apps/v1/namespaces/{repo.namespace}/replicasets"
    meta = {"name": f"shop-{rollout.ready['currentPodHash']}", "labels": labels, "ownerReferences": [owner]}
    api.call("POST", path, {"metadata": meta, "spec": spec})
    until(lambda: api.holds(f"{path}/{meta['name']}", lambda one: one["status"].get("readyReplicas") == 3))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    with shops(ALL, tmp_path_factory) as make:
        yield make


@pytest.fixture(scope="module")
def lasting(shop: Make) -> Iterator[dict[str, Future[Story]]]:
    """They mostly wait, and are told while all else is."""
    with lasting_trouble(shop) as begun:
        yield begun


@pytest.fixture(scope="module")
def told(shop: Make, lasting: object) -> dict[object, Story]:
    """Every story, by name or by the kind that fails."""
    stories: dict[Any, Callable[[], Story]] = {"ready": lambda: becoming_ready(shop)}
    for sample in DEPLOYED:
        assert sample.failing is not None
        stories[sample.key] = lambda one=sample, said=sample.failing.status: going_bad(shop, one, said)
    return tell(stories)


def test_every_kind_that_has_a_rule_is_among_them() -> None:
    assert missing() == []


def test_a_watch_for_each_of_so_many_kinds_is_nothing_to_complain_of(told: dict[object, Story]) -> None:
    assert "library_reported" not in told["ready"].result.stderr


@of(ALL)
def test_a_kind_is_current_with_what_its_project_documents_as_ready(
    sample: Sample, told: dict[object, Story]
) -> None:
    story = told["ready"]
    assert story.result.code == 0, story.why
    name = story.controllers.name(sample)
    assert story.assessed["ready"][name]["status"] == "Current"
    if (sample.group, sample.kind) != (GATEWAY_API, "ReferenceGrant"):  # has no status, so none is waited for
        assert story.entry(sample)["status"] == "Current"


@of(WAITED)
@pytest.mark.parametrize("step", ["silent", "waiting"])
def test_it_is_waited_for_as_long_as_its_controller_says_nothing_or_not_that(
    step: str, sample: Sample, told: dict[object, Story]
) -> None:
    story = told["ready"]
    name = story.controllers.name(sample)
    verdict = story.assessed[step][name]

    if sample.group.endswith(ONLY_WHERE_TOLD):
        assert verdict["status"] == ("Current" if step == "silent" else "InProgress")
        return
    assert name in story.waited_for[step]
    assert verdict["status"] == "InProgress"
    assert verdict["reason"]
    assert verdict["message"]


@of(TROUBLED)
def test_trouble_of_a_saved_object_is_a_failure_in_its_own_words(
    sample: Sample, told: dict[object, Story]
) -> None:
    assert sample.troubled is not None
    is_assessed(told["ready"], "troubled", sample, sample.troubled.says)


@of(FAILING)
def test_a_failure_of_a_saved_object_is_told_in_its_own_words(
    sample: Sample, told: dict[object, Story]
) -> None:
    assert sample.failing is not None
    is_assessed(told["ready"], "failing", sample, sample.failing.says)


def is_assessed(story: Story, step: str, sample: Sample, says: str) -> None:
    verdict = story.assessed[step][story.controllers.name(sample)]
    assert (verdict["status"], verdict["reason"]) == ("Failed", "CustomResourceFailed")
    assert says in verdict["message"]


@of(DEPLOYED)
def test_a_failure_ends_the_deploy_with_the_kinds_own_words_and_its_line(
    sample: Sample, told: dict[object, Story]
) -> None:
    assert sample.failing is not None
    is_told(told[sample.key], sample, sample.failing.says)


# --- trouble that lasts


@pytest.mark.parametrize("name", LASTING)
def test_trouble_that_lasts_is_a_failure_and_is_waited_for_until_then(
    name: str, lasting: dict[str, Future[Story]]
) -> None:
    story, sample = lasting[name].result(), STORIES[name][0]
    assert sample.troubled is not None
    assert story.waited_for["bad"] == {story.controllers.name(sample)}
    is_told(story, sample, sample.troubled.says)
    assert story.result.document["timings"]["rollout"] > MINUTE_S


def test_trouble_that_was_there_before_the_deploy_is_told_as_such(lasting: dict[str, Future[Story]]) -> None:
    cause = lasting["from before"].result().cause(OLD)
    assert any("before this deploy already" in line for line in (cause["message"], *cause["evidence"]))


@pytest.mark.parametrize("name", [name for name in STORIES if name not in LASTING])
def test_what_mends_in_time_is_no_failure(name: str, lasting: dict[str, Future[Story]]) -> None:
    story, sample = lasting[name].result(), STORIES[name][0]
    assert story.waited_for["bad"] == {story.controllers.name(sample)}
    assert story.result.code == 0, story.why
    assert story.result.document["causes"] == []
    assert story.entry(sample)["status"] == "Current"

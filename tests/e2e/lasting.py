"""Trouble of custom resources: a failure once it has lasted, none where it mends; and what was before it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from pipeline.core.readiness.verdicts import SETTLE_S
from tests.custom_resources import Sample, samples
from tests.e2e.controllers import Controllers, Make, Story, deploying, file_of, going_bad
from tests.e2e.live import until
from tests.e2e.stories import begun

BY_CONDITION = samples()["source.toolkit.fluxcd.io", "GitRepository"]  # its status as a whole stays behind
BY_FIELD = samples()["postgresql.cnpg.io", "Cluster"]  # nothing tells since when
OLD = samples()["external-secrets.io", "ExternalSecret"]  # nothing tells which spec it is about
FAILED = samples()["flagger.app", "Canary"]  # likewise, and its failure is one at once


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


def lasting(make: Make) -> AbstractContextManager[dict[str, Future[Story]]]:
    """The stories, begun all at once: the longest wait a minute, and do nothing."""
    stories = {name: partial(act, make, sample) for name, (sample, act) in STORIES.items()}
    return begun(stories, at_once=len(stories))

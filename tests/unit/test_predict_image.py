"""Images that may be another one tomorrow."""

from __future__ import annotations

import pytest

from tests.unit.predicting import DEPLOYMENT, foresee, told

DIGEST = "@sha256:" + "0a" * 32
CRON = """\
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: demo}
spec:
  schedule: "0 0 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          initContainers:
          - name: first
            image: busybox
          containers:
          - name: main
            image: busybox:1.36
"""


def _with(image: str) -> str:
    return DEPLOYMENT.replace("registry.example/web:1.2", f"'{image}'")


@pytest.mark.parametrize(
    "image", ["nginx", "nginx:latest", "registry.example:5000/web", "[::1]:5000/a/b", "a/b/c:latest"]
)
def test_an_image_without_a_version_is_a_warning_at_its_line(image: str) -> None:
    assert told(foresee(_with(image))) == [("image-not-pinned", 14, True)]


@pytest.mark.parametrize(
    "image",
    [
        "nginx:1.27",
        "registry.example:5000/web:v1",
        "nginx" + DIGEST,
        "nginx:latest" + DIGEST,
        "registry.example/web:latest-slim",
    ],
)
def test_a_tag_or_a_digest_is_enough(image: str) -> None:
    assert foresee(_with(image)) == []


@pytest.mark.parametrize("image", ["", "Not An Image", "nginx:", "nginx@sha256", "x" * 5000, "${IMAGE}"])
def test_what_is_no_image_is_left_to_others(image: str) -> None:
    assert foresee(_with(image)) == []


def test_init_containers_of_a_cron_job_count_too() -> None:
    assert told(foresee(CRON)) == [("image-not-pinned", 12, True)]


def test_what_is_not_written_is_not_told() -> None:
    assert foresee(_with("nginx"), written=()) == []


def test_an_image_that_is_no_text_is_left_to_others() -> None:
    assert foresee(DEPLOYMENT.replace("registry.example/web:1.2", "[1]")) == []

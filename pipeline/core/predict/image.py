"""Images that may be another one tomorrow: what was verified is not what will run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pipeline.core.at_field import warning
from pipeline.core.predict.facts import Workload
from pipeline.model.errors import Problem

# github.com/distribution/reference, without its length limits: [host[:port]/]path[:tag][@digest].
_FORM: Final = re.compile(
    r"(?:[A-Za-z0-9.-]+(?::[0-9]+)?/|\[[0-9a-fA-F:]+\](?::[0-9]+)?/)?[a-z0-9._/-]+"
    r"(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(@[a-z0-9+._-]+:[0-9a-fA-F]{32,})?"
)


def image_problems(workload: Workload) -> Iterator[Problem]:
    """A warning for each image without tag or digest, or with ``latest``. Init containers count, too."""
    for container, path in workload.containers():
        image = container.get("image")
        match = _FORM.fullmatch(image) if isinstance(image, str) and len(image) < 1000 else None
        if match is None or match[2]:
            continue
        if match[1] in (None, "latest"):
            words = "has the tag latest" if match[1] else "has neither tag nor digest"
            yield warning(
                workload.manifest,
                (*path, "image"),
                "image-not-pinned",
                f"the image {image} {words}: which one runs is settled when a pod starts",
                f"write a version or, better, a digest: {image.removesuffix(':latest')}@sha256:…",
            )

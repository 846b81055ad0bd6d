"""Deploys of several repositories side by side, told to the tests of one module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Told = TypeVar("Told")

AT_ONCE = 3  # runs side by side: more would only wait for the processor


def tell(stories: Mapping[str, Callable[[], Told]]) -> dict[str, Told]:
    """What each story returned."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {name: pool.submit(story) for name, story in stories.items()}
        return {name: future.result() for name, future in running.items()}

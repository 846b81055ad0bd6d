"""A session of nothing but a cluster, for what asks only that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.model.environment import Environment
from pipeline.run.session import Session

ENVIRONMENT = Environment(name="dev", application="web", namespace="demo", path="e.yaml")


def session_on(cluster: Any, stopped: Callable[[], bool] = lambda: False) -> Session:
    nothing: Any = None
    return Session(
        environment=ENVIRONMENT,
        cluster=cluster,
        releases=nothing,
        lock=nothing,
        prober=nothing,
        clock=nothing,
        tell=lambda _: None,
        stopped=stopped,
    )

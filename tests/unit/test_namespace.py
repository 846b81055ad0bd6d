"""The environment's namespace on its way out: waited for where an earlier run took it away, else told."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.model.environment import Environment
from pipeline.model.errors import PreflightError
from pipeline.run import namespace
from pipeline.run.session import Session
from tests.contract.memory_cluster import Time

GOING = {"metadata": {"name": "demo", "deletionTimestamp": "2026-11-25T00:00:00Z"}}
HELD = "Some resources are remaining: pods. has 1 resource instances"
LEFT = {"type": "NamespaceContentRemaining", "status": "True", "message": HELD}


@dataclass
class Cluster:
    """Its namespace is deleted, and gone after so many seconds; ``held``: its controller says by what."""

    time: Time
    gone_at: float
    held: bool
    applied: list[Any] = field(default_factory=list)

    def get(self, *_: Any) -> Any:
        going = {**GOING, "status": {"conditions": [LEFT] if self.held else []}}
        return going if self.time.monotonic() < self.gone_at else None

    def apply(self, body: Any) -> None:
        self.applied.append(body)


def session(
    gone_at: float, *, held: bool = False, create: bool = True, releases: tuple[str, ...] = ()
) -> tuple[Session, Cluster]:
    time = Time()
    cluster = Cluster(time, gone_at, held)
    made: Any = Session(
        environment=Environment(
            name="dev", application="shop", namespace="demo", path="e", sources=(), create_namespace=create
        ),
        cluster=cluster,  # type: ignore[arg-type]
        releases=SimpleNamespace(history=lambda: releases),  # type: ignore[arg-type]
        lock=None,  # type: ignore[arg-type]
        prober=None,  # type: ignore[arg-type]
        clock=time,
        tell=lambda _: None,
        stopped=lambda: False,
    )
    return made, cluster


@pytest.mark.parametrize(
    ("gone_at", "held"),
    [(5.0, False), (25.0, True), (120.0, False)],
    ids=["soon", "held", "nobody looked yet"],
)
def test_one_that_an_earlier_run_took_away_is_waited_for_and_made_anew(gone_at: float, held: bool) -> None:
    made, cluster = session(gone_at=gone_at, held=held)
    assert namespace.ensure(made, dry_run=False)
    assert [body["metadata"]["name"] for body in cluster.applied] == ["demo"]


@pytest.mark.parametrize(
    ("options", "dry_run"),
    [
        ({"gone_at": 6000.0}, False),
        ({"gone_at": 120.0, "held": True}, False),
        ({"gone_at": 5.0, "create": False}, False),
        ({"gone_at": 5.0, "releases": ("1",)}, False),
        ({"gone_at": 5.0}, True),
    ],
    ids=[
        "it stays",
        "something holds it",
        "we may not make it",
        "somebody deletes a release",
        "only a plan is asked for",
    ],
)
def test_else_it_is_told(options: dict[str, Any], dry_run: bool) -> None:
    made, cluster = session(**options)
    with pytest.raises(PreflightError, match="is being deleted"):
        namespace.ensure(made, dry_run=dry_run)
    assert cluster.applied == []


def test_what_holds_it_is_told_in_time_and_with_its_name() -> None:
    made, cluster = session(gone_at=120.0, held=True)
    with pytest.raises(PreflightError, match=f"is being deleted: {HELD}"):
        namespace.ensure(made, dry_run=False)
    assert cluster.time.monotonic() < 35

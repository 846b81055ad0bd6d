"""Deleting wave by wave: what is held by its finalizers holds back only what was declared to come after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.core.edges import milestone
from pipeline.model.environment import Environment
from pipeline.model.errors import ApiError, UnreachableError
from pipeline.model.events import Note, ObjectApplied
from pipeline.model.objects import ObjectRef, ResourceType
from pipeline.model.plan import Action, Change
from pipeline.model.release import LEFT
from pipeline.run.apply import ApplyFailedError
from pipeline.run.prune import prune
from pipeline.run.session import Session
from tests.contract.memory_cluster import Time

ENV = Environment(name="dev", application="web", namespace="demo", path="e.yaml")
DONE = milestone("change-group db gone")


def ref(name: str) -> ObjectRef:
    return ObjectRef("", "ConfigMap", "demo", name)


class Server:
    """Remembers what it was to delete; ``held`` stays there. Deleting x meets a conflict, and x is there then
    with the uid ``conflict``; about s it says nothing. It serves the kind from the ``served_at``-th discovery
    on."""

    def __init__(self, held: Sequence[str], conflict: str = "", served_at: float = 0) -> None:
        self.asked: list[str] = []
        self.discoveries = 0
        self._served_at = served_at
        self._held = held
        self._conflict = conflict

    def lanes(self) -> int:
        return 1

    def resource(self, api_version: str, kind: str) -> ResourceType | None:
        is_served = self.discoveries >= self._served_at
        return ResourceType("", "v1", kind, "configmaps", True) if is_served else None

    def refresh(self) -> None:
        self.discoveries += 1

    def delete(self, of: ObjectRef, api_version: str, **_: Any) -> None:
        if self.resource(api_version, of.kind) is None:
            return
        self.asked.append(of.name)
        if of.name == "x":
            raise ApiError("delete x", status=409, reason="Conflict")
        if of.name == "s":
            raise UnreachableError("delete s: the server did not answer in time")

    def get(self, of: ObjectRef, api_version: str) -> dict[str, Any] | None:
        if of.name == "x":
            return {"metadata": {"name": "x", "uid": self._conflict}}
        meta = {"name": of.name, "uid": of.name, "finalizers": ["example.com/hold"]}
        return {"metadata": meta} if of.name in self._held else None


def pruned(
    names: str,
    gone_first: dict[ObjectRef, str],
    held: str = "",
    budget_s: float = 300.0,
    conflict: str = "",
    served_at: float = 0,
) -> tuple[list[str], dict[str, str], list[Any]]:
    """What was asked for, the results and the events; each of ``names`` is a wave."""
    server, events = Server(held, conflict, served_at), []
    session = Session(
        environment=ENV,
        cluster=server,
        releases=None,
        lock=SimpleNamespace(check=lambda: None),
        prober=None,
        clock=Time(),
        tell=events.append,
        stopped=lambda: False,
        locked=True,
    )
    changes = [
        Change(ref=ref(name), action=Action.DELETE, api_version="v1", wave=n, uid=name)
        for n, name in enumerate(names)
    ]
    first = {source: frozenset(targets(names)) for source, names in gone_first.items()}
    applied = prune(session, changes, first, budget_s=budget_s)
    return server.asked, {a.ref.name: a.result for a in applied}, events


def targets(names: str) -> Iterator[ObjectRef]:
    return (DONE if name == "*" else ref(name) for name in names)


def test_a_wave_is_deleted_when_the_one_before_is_gone() -> None:
    asked, results, _ = pruned("ab", {ref("b"): "a"})
    assert asked == ["a", "b"]
    assert results == {"a": "deleted", "b": "deleted"}


def test_what_was_declared_to_go_after_a_held_object_is_not_deleted_and_said_so() -> None:
    asked, results, events = pruned("ab", {ref("b"): "*", DONE: "a"}, held="a")
    assert asked == ["a"]
    assert results == {"a": LEFT, "b": LEFT}
    warnings = [e.message for e in events if isinstance(e, Note) and e.warning]
    assert warnings[1] == (
        "delete /ConfigMap/demo/b: not sent, as /ConfigMap/demo/a must be gone before and is still there; "
        "it stays in the inventory"
    )
    assert [e.result for e in events if isinstance(e, ObjectApplied)] == [LEFT, LEFT]


def test_what_comes_after_one_that_was_held_back_is_held_back_too() -> None:
    asked, results, _ = pruned("abc", {ref("b"): "a", ref("c"): "b"}, held="a")
    assert (asked, results) == (["a"], dict.fromkeys("abc", LEFT))


def test_what_nobody_declared_to_go_after_a_held_object_is_deleted() -> None:
    asked, results, _ = pruned("abc", {ref("b"): "a"}, held="a")
    assert asked == ["a", "c"]
    assert results == {"a": LEFT, "b": LEFT, "c": "deleted"}


def test_what_somebody_made_anew_is_left_to_them() -> None:
    _, results, _ = pruned("x", {}, conflict="another")
    assert results == {"x": "skipped"}


def test_a_conflict_about_the_very_object_is_no_reason_to_forget_it() -> None:
    with pytest.raises(ApplyFailedError, match="delete x"):
        pruned("x", {}, conflict="x")


def test_a_deletion_without_an_answer_is_told_from_one_that_was_refused() -> None:
    with pytest.raises(ApplyFailedError, match="delete s") as silent:
        pruned("s", {})
    with pytest.raises(ApplyFailedError) as refused:
        pruned("x", {}, conflict="x")
    assert [e.value.applied[0].unanswered for e in (silent, refused)] == [True, False]


def test_a_version_that_came_with_this_deploy_is_waited_for() -> None:
    asked, results, _ = pruned("a", {}, served_at=3)
    assert (asked, results) == (["a"], {"a": "deleted"})


def test_a_kind_that_is_gone_is_not_waited_for_long() -> None:
    asked, results, _ = pruned("a", {}, served_at=float("inf"))
    assert (asked, results) == ([], {"a": "deleted"})

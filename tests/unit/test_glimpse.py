"""A look that was begun ahead spares the questions that it answers, and no others."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.core.kinds import builtin
from pipeline.model.environment import Environment
from pipeline.model.errors import UnreachableError
from pipeline.model.objects import Object, ObjectRef, ResourceType
from pipeline.run.live import Glimpse, look
from pipeline.run.session import Session

ENVIRONMENT = Environment(name="dev", application="web", namespace="demo", path="e.yaml")
MANY = {ObjectRef("", "ConfigMap", space, f"n{n}"): "v1" for space in ("demo", "more") for n in range(4)}
FEW = {ObjectRef("apps", "Deployment", "demo", name): "apps/v1" for name in ("api", "web")}
UNSEEN = ObjectRef("", "ConfigMap", "more", "n3")
"""It is there, but for our labels."""


class Server:
    """Everything is there; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gone = False
        self._lock = threading.Lock()

    def lanes(self) -> int:
        return 2

    def resource(self, api_version: str, kind: str) -> ResourceType | None:
        return builtin(api_version, kind)

    def _note(self, question: str) -> None:
        with self._lock:
            self.asked.append(question)
        if self.gone:
            raise UnreachableError("it is gone")

    def get(self, ref: ObjectRef, api_version: str) -> Object:
        self._note(f"get {ref.short}")
        return _object(ref, api_version)

    def list(self, resource: ResourceType, namespace: str = "", selector: str = "") -> Any:
        self._note(f"list {resource.kind}")
        return [_object(ref, version) for ref, version in MANY.items() if ref != UNSEEN], "1"


def _object(ref: ObjectRef, api_version: str) -> Object:
    return {
        "apiVersion": api_version,
        "kind": ref.kind,
        "metadata": {"name": ref.name, "namespace": ref.namespace},
    }


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def session(server: Server) -> Session:
    return cast("Session", SimpleNamespace(cluster=server, environment=ENVIRONMENT, stay=lambda: None))


def begun(session: Session, server: Server, wanted: Mapping[ObjectRef, str]) -> Glimpse:
    """A glimpse whose questions are asked; what the server is asked from now on is noted anew."""
    glimpse = Glimpse(session, wanted)
    for thread in [t for t in threading.enumerate() if t.name.startswith("ahead")]:
        thread.join(20)
    server.asked.clear()
    server.gone = False
    return glimpse


@pytest.mark.parametrize(
    ("ahead", "asked"),
    [
        ({**MANY, **FEW}, []),
        (MANY, ["get Deployment/api", "get Deployment/web"]),
        (FEW, ["list ConfigMap"]),
        ({}, ["get Deployment/api", "get Deployment/web", "list ConfigMap"]),
        # Seen in a version in which it is not wanted.
        ({**MANY, **dict.fromkeys(FEW, "apps/v1beta1")}, ["get Deployment/api", "get Deployment/web"]),
    ],
)
def test_only_what_was_not_seen_is_asked_for(
    session: Session, server: Server, ahead: Mapping[ObjectRef, str], asked: list[str]
) -> None:
    wanted = {**MANY, **FEW}
    plain = look(session, wanted)
    found = begun(session, server, ahead).look(session, wanted)
    assert sorted(server.asked) == asked
    assert found == plain
    assert found.unsure == {UNSEEN}


def test_what_nobody_wants_any_more_was_seen_in_vain(session: Session, server: Server) -> None:
    found = begun(session, server, {**MANY, **FEW}).look(session, FEW)
    assert (set(found.objects), found.unsure, server.asked) == (set(FEW), frozenset(), [])


def test_it_counts_once(session: Session, server: Server) -> None:
    glimpse = begun(session, server, FEW)
    glimpse.look(session, FEW)
    glimpse.look(session, FEW)
    assert sorted(server.asked) == ["get Deployment/api", "get Deployment/web"]


def test_what_went_wrong_ahead_is_asked_again(session: Session, server: Server) -> None:
    server.gone = True
    glimpse = begun(session, server, FEW)
    assert set(glimpse.look(session, FEW).objects) == set(FEW)
    assert sorted(server.asked) == ["get Deployment/api", "get Deployment/web"]

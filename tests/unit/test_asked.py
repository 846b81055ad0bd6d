"""One question costs one request, whoever asks it and when."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipeline.core.access import Access
from pipeline.model.errors import ApiError
from pipeline.model.objects import ObjectRef, ResourceType
from pipeline.run.asked import Asked

REF = ObjectRef("", "Secret", "demo", "keys")
PODS = ResourceType("", "v1", "Pod", "pods", True)
RIGHT = Access("patch", "", "pods", "demo")


class Server:
    """Answers what it is told to; remembers what it was asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.begun, self.free = threading.Event(), threading.Event()
        self.free.set()
        self._error = error

    def _answer(self, *question: object) -> Any:
        self.asked.append(question)
        self.begun.set()
        self.free.wait(20)
        if self._error is not None:
            raise self._error
        return len(self.asked)

    def get(self, ref: ObjectRef, api_version: str) -> Any:
        return {"number": self._answer("get", ref, api_version)}

    def list(self, resource: ResourceType, namespace: str, selector: str) -> Any:
        return [{"number": self._answer("list", resource, namespace, selector)}], "1"

    def allowed(self, access: Access) -> bool:
        return bool(self._answer("allowed", access))


QUESTIONS: list[Callable[[Asked], object]] = [
    lambda asked: asked.get(REF, "v1"),
    lambda asked: asked.list(PODS, "demo", "app=web"),
    lambda asked: asked.allowed(RIGHT),
]


@pytest.mark.parametrize("ask", QUESTIONS)
def test_the_same_question_is_asked_once(ask: Callable[[Asked], object]) -> None:
    server: Any = Server()
    asked = Asked(server)
    assert ask(asked) == ask(asked)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "another",
    [
        lambda asked: asked.get(REF._replace(name="others"), "v1"),
        lambda asked: asked.list(PODS, "demo", "app=api"),
        lambda asked: asked.list(PODS, "prod", "app=web"),
        lambda asked: asked.allowed(Access("patch", "", "pods", "prod")),
    ],
)
def test_another_question_is_asked(another: Callable[[Asked], object]) -> None:
    server: Any = Server()
    asked = Asked(server)
    for ask in QUESTIONS:
        ask(asked)
    known = len(server.asked)
    another(asked)
    assert len(server.asked) == known + 1


@pytest.mark.parametrize("error", [ApiError("no", status=403), KeyError("a mistake of ours")])
def test_who_asks_again_gets_the_same_error(error: Exception) -> None:
    server: Any = Server(error)
    asked = Asked(server)
    for _ in range(2):
        with pytest.raises(type(error)) as found:
            asked.allowed(RIGHT)
        assert found.value is error
    assert len(server.asked) == 1


def test_who_asks_while_the_answer_is_on_its_way_waits_for_it() -> None:
    server: Any = Server()
    server.free.clear()
    asked = Asked(server)
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(asked.get, REF, "v1") for _ in range(3)]
        server.begun.wait(20)
        server.free.set()
        assert [answer.result(20) for answer in answers] == [{"number": 1}] * 3
    assert len(server.asked) == 1

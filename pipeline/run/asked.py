"""What a cluster was asked already: the same question twice costs one request."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Any, TypeVar

from pipeline.core.access import Access
from pipeline.model.objects import Object, ObjectRef, ResourceType
from pipeline.ports import Cluster

T = TypeVar("T")


class Once:
    """Answers, or errors, by their questions: who asks again gets what there is, or waits. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._answers: dict[Hashable, Future[Any]] = {}

    def ask(self, question: Hashable, ask: Callable[[], T]) -> T:
        """``ask()``, which is called for the first of those who ask."""
        with self._lock:
            known = self._answers.get(question)
            answer: Future[T] = known or self._answers.setdefault(question, Future())
        if known is None:
            try:
                answer.set_result(ask())
            except BaseException as error:  # noqa: BLE001 - raised again by all who ask
                answer.set_exception(error)
        return answer.result()


class Asked:
    """Questions that a plan is examined by. Some are asked before it is known whether anybody needs them,
    while something else is waited for; who needs one then gets that answer, or the error. Thread-safe."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._once = Once()

    def get(self, ref: ObjectRef, api_version: str) -> Object | None:
        """As ``Cluster.get``."""
        return self._once.ask((ref, api_version), lambda: self._cluster.get(ref, api_version))

    def list(self, resource: ResourceType, namespace: str, selector: str) -> list[Object]:
        """The objects of ``Cluster.list``."""
        key = resource, namespace, selector
        return self._once.ask(key, lambda: self._cluster.list(resource, namespace, selector)[0])

    def allowed(self, access: Access) -> bool | None:
        """As ``Cluster.allowed``."""
        return self._once.ask(access, lambda: self._cluster.allowed(access))

"""An API server's store in memory, as far as records and locks need one, with faults on demand.

The tests that use it run against a real API server, too: it keeps no promise that the real one does not.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pipeline.model.errors import ApiError, UnreachableError
from pipeline.model.objects import Object, ObjectRef, ResourceType
from pipeline.ports import Keep

Key = tuple[str, str, str]
"""(kind, namespace, name)."""


class Time:
    """Time that passes in ``sleep`` alone; ``at`` lists what happens when that moment is reached."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.at: list[tuple[float, Callable[[], None]]] = []

    def now(self) -> float:
        return 1_800_000_000.0 + self.passed

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.passed = round(self.passed + seconds, 6)
        for due in [entry for entry in self.at if entry[0] <= self.passed]:
            self.at.remove(due)
            due[1]()


class MemoryCluster:
    """``ports.Cluster`` of get, list, create, replace and delete.

    ``fault``, where set, is asked before each write with (verb, name): it may raise. ``lost`` names verbs
    the next write of which is done but answered by nothing.
    """

    def __init__(self, time: Time | None = None) -> None:
        self.time = time or Time()
        self.objects: dict[Key, Object] = {}
        self.writes: list[tuple[str, str]] = []
        self.fault: Callable[[str, str], None] = lambda verb, name: None
        self.lost: list[str] = []
        self.deleted: list[tuple[str, str]] = []  # (name, the uid that was named)
        self._version = 0
        self._lock = threading.Lock()

    def server_time(self) -> float:
        return float(int(self.time.now()))  # a Date header counts whole seconds

    def get(self, ref: ObjectRef, api_version: str) -> Object | None:
        return copy.deepcopy(self.objects.get((ref.kind, ref.namespace, ref.name)))

    def list(
        self, resource: ResourceType, namespace: str = "", selector: str = "", keep: Keep | None = None
    ) -> tuple[list[Object], str]:
        parts = [part for part in selector.split(",") if part]
        wanted = [part.split("=") for part in parts if "!=" not in part]
        unwanted = [part.split("!=") for part in parts if "!=" in part]
        found = [
            copy.deepcopy(obj)
            for (kind, at, _), obj in sorted(self.objects.items())
            if kind == resource.kind
            and at == namespace
            and all(obj["metadata"].get("labels", {}).get(k) == v for k, v in wanted)
            and not any(obj["metadata"].get("labels", {}).get(k) == v for k, v in unwanted)
        ]
        if keep:
            found = [kept for obj in found if (kept := keep(obj)) is not None]
        return found, str(self._version)

    def create(self, body: Object, *, dry_run: bool = False) -> Object:
        def insert(key: Key) -> Object:
            if key in self.objects:
                raise ApiError("create: it exists", status=409, reason="AlreadyExists")
            return self._store(key, body)

        return self._write("create", body, insert)

    def replace(self, body: Object, *, once: bool = False) -> Object:
        def update(key: Key) -> Object:
            live = self.objects.get(key)
            if live is None:
                raise ApiError("replace: not found", status=404, reason="NotFound")
            version = body["metadata"].get("resourceVersion")
            if version and version != live["metadata"]["resourceVersion"]:
                raise ApiError("replace: it was modified", status=409, reason="Conflict")
            return self._store(key, body)

        return self._write("replace", body, update)

    def delete(self, ref: ObjectRef, api_version: str, *, uid: str = "", dry_run: bool = False) -> None:
        self.fault("delete", ref.name)
        key = ref.kind, ref.namespace, ref.name
        if uid and key in self.objects and self.objects[key]["metadata"]["uid"] != uid:
            raise ApiError("delete: it is another one", status=409, reason="Conflict")
        self.objects.pop(key, None)
        self.deleted.append((ref.name, uid))

    def put(self, obj: Object) -> None:
        """What somebody else wrote."""
        self._store(_key(obj), obj)

    def _write(self, verb: str, body: Object, change: Callable[[Key], Object]) -> Object:
        with self._lock:
            self.fault(verb, body["metadata"]["name"])
            answer = copy.deepcopy(change(_key(body)))
            self.writes.append((verb, body["metadata"]["name"]))
            if verb in self.lost:
                self.lost.remove(verb)
                raise UnreachableError(f"{verb}: broke off; whether it was done is not known")
            return answer

    def _store(self, key: Key, body: Object) -> Object:
        self._version += 1
        moment = datetime.fromtimestamp(self.time.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        known = self.objects.get(key, {}).get("metadata", {}).get("uid")
        meta: dict[str, Any] = {
            "uid": known or f"uid-{self._version}",
            **body["metadata"],
            "resourceVersion": str(self._version),
            "managedFields": [{"manager": "pipeline", "operation": "Update", "time": moment}],
        }
        self.objects[key] = copy.deepcopy({**body, "metadata": meta})
        return self.objects[key]


def _key(obj: Object) -> Key:
    return obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"]

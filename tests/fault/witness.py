"""The API server's audit log, read by itself: who asked for what, when it came in, when it was done.

Shares no code with ``pipeline``: it is what the checker believes.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.cluster.local import ONE_FILE

ROLES = ("zeroth", "first", "next", "last")
"""The runs of a case, each with a login of its own: so the log tells them apart."""

USER = "fault-"
USERS: Mapping[str, Sequence[str]] = {f"{USER}{role}": ("system:masters",) for role in ROLES}
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_QUESTIONS = frozenset({"selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews"})

_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],  # the last line of a request has all its times
    "rules": [
        {
            "level": "Request",
            "users": [*USERS],
            "verbs": ["get", "create", "update", "delete"],
            "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}],
        },
        {"level": "Request", "users": [*USERS], "verbs": ["delete"]},
        {"level": "Metadata", "users": [*USERS], "verbs": sorted(_WRITES)},
        {"level": "None"},
    ],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request that was to change something, or a look at a lock. Times are the server's."""

    role: str
    verb: str
    resource: str
    namespace: str
    name: str
    received: float
    done: float
    code: int
    body: Mapping[str, Any] = field(repr=False)

    @property
    def succeeded(self) -> bool:
        return self.code < 300

    @property
    def what(self) -> str:
        return f"{self.resource}/{self.name}"

    @property
    def is_lease(self) -> bool:
        return self.resource == "leases" and self.name.startswith("pipeline.")

    @property
    def is_record(self) -> bool:
        return self.resource == "secrets" and self.name.startswith("pipeline.")

    @property
    def is_head(self) -> bool:
        return self.is_record and re.fullmatch(r"pipeline\.[^.]+\.[^.]+\.\d+", self.name) is not None

    @property
    def is_users(self) -> bool:
        """To an object that is neither lock nor record nor the namespace in which both live."""
        return not (self.is_lease or self.is_record or self.resource == "namespaces")

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Request | None:
        """None of what is neither: dry runs and questions."""
        target = event.get("objectRef", {})
        body = event.get("requestObject") or {}
        is_trial = "dryRun=All" in event["requestURI"] or bool(body.get("dryRun"))
        is_told = event["verb"] in _WRITES or target.get("resource") == "leases"
        if is_trial or not is_told or target.get("resource") in _QUESTIONS:
            return None
        return cls(
            role=event["user"]["username"].removeprefix(USER),
            verb=event["verb"],
            resource="/".join(p for p in (target.get("resource"), target.get("subresource")) if p),
            namespace=target.get("namespace", ""),
            name=target.get("name", ""),
            received=_seconds(event["requestReceivedTimestamp"]),
            done=_seconds(event["stageTimestamp"]),
            code=int(event.get("responseStatus", {}).get("code", 0)),
            body=body,
        )


class AuditLog:
    """Hand ``flags`` and ``USERS`` to the API server at its start. Read once, remembered, from any thread."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "audit.log"
        self._file.touch()
        policy = folder / "audit-policy.json"
        policy.write_text(json.dumps(_POLICY))
        self.flags = [f"--audit-log-path={self._file}", f"--audit-policy-file={policy}", ONE_FILE]
        self._read = 0
        self._requests: list[Request] = []
        self._lock = threading.Lock()

    def requests(self, words: Collection[str], since: float) -> list[Request]:
        """In the order of their arrival: what has one of the words in its namespace or its name."""
        with self._lock:
            self._take_in()
            found = [w for w in self._requests if w.received >= since and _bears(words, w)]
        return sorted(found, key=lambda w: w.received)

    def _take_in(self) -> None:
        with self._file.open("rb") as file:
            if file.seek(0, os.SEEK_END) < self._read:
                raise RuntimeError("the audit log was begun anew: what happened meanwhile cannot be told")
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # being written
                self._read += len(line)
                if write := Request.of(json.loads(line)):
                    self._requests.append(write)


def _bears(words: Collection[str], write: Request) -> bool:
    return any(word in write.namespace or word in write.name for word in words)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()

"""What each side asked of the API server, counted by the server itself: its audit log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.local import ONE_FILE

OURS, PEER = "bench-pipeline", "bench-kubectl"

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    # One line a request, as it comes in: watches, too, which may never end.
    "omitStages": ["ResponseStarted", "ResponseComplete", "Panic"],
    "rules": [{"level": "Metadata", "users": [OURS, PEER]}],
}

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
DRY_RUN = "dryRun=All"
# Asked by a POST, and nothing is stored.
REVIEWS = frozenset(
    {
        "selfsubjectreviews",
        "selfsubjectaccessreviews",
        "selfsubjectrulesreviews",
        "subjectaccessreviews",
        "tokenreviews",
    }
)


@dataclass(slots=True)
class Counts:
    """Requests of one user. ``writes`` are to objects: no dry runs, no questions, and not ``own``.

    ``own`` are the tool's records: leases, and all that is in the namespace of its records.
    """

    total: int = 0
    writes: int = 0
    own: int = 0
    dry_runs: int = 0
    verbs: Counter[str] = field(default_factory=Counter)
    reads: Counter[str] = field(default_factory=Counter)

    def add(self, event: dict[str, Any], home: str) -> None:
        verb, target = event["verb"], event.get("objectRef", {})
        resource = target.get("resource", "")
        self.total += 1
        self.verbs[verb] += 1
        if verb not in WRITES or resource in REVIEWS:
            self.reads[f"{verb} {resource or 'discovery'}"] += 1
        elif DRY_RUN in event["requestURI"]:
            self.dry_runs += 1
        elif resource == "leases" or (home and target.get("namespace") == home):
            self.own += 1
        else:
            self.writes += 1


class Audit:
    """The log of one API server; hand ``flags`` to it at its start."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "audit.log"
        self._log.touch()
        self._policy = folder / "audit-policy.json"
        self._policy.write_text(json.dumps(POLICY))
        self._read_to = 0

    @property
    def flags(self) -> list[str]:
        return [f"--audit-log-path={self._log}", f"--audit-policy-file={self._policy}", ONE_FILE]

    def take(self) -> dict[str, int]:
        """Requests by user since the last call."""
        return {user: counts.total for user, counts in self.counts().items()}

    def counts(self, home: str = "") -> dict[str, Counts]:
        """What each user asked since the last call; ``home`` is the namespace of its records."""
        found = {OURS: Counts(), PEER: Counts()}
        for event in self._events():
            found[event["user"]["username"]].add(event, home)
        return found

    def _events(self) -> Iterator[dict[str, Any]]:
        with self._log.open() as log:
            log.seek(self._read_to)
            lines = log.read()
            self._read_to = log.tell()
        for line in lines.splitlines():
            yield json.loads(line)

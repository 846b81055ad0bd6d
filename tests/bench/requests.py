"""What each side asked of the API server, counted by the server itself: its audit log."""

from __future__ import annotations

import json
from pathlib import Path

OURS, PEER = "bench-pipeline", "bench-kubectl"

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    # One line a request, as it comes in: watches, too, which may never end.
    "omitStages": ["ResponseStarted", "ResponseComplete", "Panic"],
    "rules": [{"level": "Metadata", "users": [OURS, PEER]}],
}


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
        return [f"--audit-log-path={self._log}", f"--audit-policy-file={self._policy}"]

    def take(self) -> dict[str, int]:
        """Requests by user since the last call."""
        with self._log.open() as log:
            log.seek(self._read_to)
            lines = log.read()
            self._read_to = log.tell()
        counts = {OURS: 0, PEER: 0}
        for line in lines.splitlines():
            counts[json.loads(line)["user"]["username"]] += 1
        return counts

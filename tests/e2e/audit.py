"""The API server's audit log as a witness: what a run asked for, in which order, and what it wrote."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from tests.bench.requests import DRY_RUN, REVIEWS, WRITES
from tests.cluster.local import ONE_FILE
from tests.e2e.workspace import Result, Workspace

WATCHED: Mapping[str, Sequence[str]] = {f"watched-{n}": ("system:masters",) for n in range(299)}
"""Users with every right, one for each story: stories run side by side, and each has its own log."""
LIMITED: Mapping[str, Sequence[str]] = {f"limited-{n}": () for n in range(29)}
"""Users with no right at all."""

READY = {"apps": "deployments/status", "apiextensions.k8s.io": "customresourcedefinitions/status"}
"""Written by controllers: when something becomes ready, that is when the last of these came."""

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    # One line a request, written before the request is carried out; but that a deletion is a dry run only
    # its body says, and that is logged afterwards.
    "omitStages": ["ResponseStarted", "Panic"],
    "rules": [
        {
            "level": "Request",
            "users": [*WATCHED, *LIMITED],
            "verbs": ["delete"],
            "omitStages": ["RequestReceived"],
        },
        {"level": "Metadata", "users": [*WATCHED, *LIMITED], "omitStages": ["ResponseComplete"]},
        {
            "level": "Metadata",
            "verbs": ["update", "patch"],
            "resources": [{"group": group, "resources": [name]} for group, name in READY.items()],
            "omitStages": ["ResponseComplete"],
        },
        {"level": "None"},
    ],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it came in. ``resource`` includes the subresource; ``at`` is in seconds; ``asks`` is
    what its address says after the question mark."""

    at: float
    user: str
    agent: str
    verb: str
    resource: str
    namespace: str
    name: str
    is_dry_run: bool
    asks: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def is_write(self) -> bool:
        return self.verb in WRITES and self.resource not in REVIEWS and not self.is_dry_run

    @property
    def is_own(self) -> bool:
        """About the lock or a release record. Records are created by POST, whose log has no name."""
        record = self.name.startswith("pipeline.") or self.verb == "create"
        return self.resource == "leases" or (self.resource == "secrets" and record)

    @property
    def what(self) -> str:
        """``deployments/web``."""
        return f"{self.resource}/{self.name}"

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Request:
        target = event.get("objectRef", {})
        resource = "/".join(part for part in (target.get("resource"), target.get("subresource")) if part)
        return cls(
            at=datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp(),
            user=event["user"]["username"],
            agent=event.get("userAgent", ""),
            verb=event["verb"],
            resource=resource,
            namespace=target.get("namespace", ""),
            name=target.get("name", ""),
            asks=parse_qs(urlsplit(event["requestURI"]).query),
            is_dry_run=DRY_RUN in event["requestURI"] or bool(event.get("requestObject", {}).get("dryRun")),
        )


class Audit:
    """The log of one API server; hand ``flags`` and ``users`` to it at its start."""

    users: ClassVar[Mapping[str, Sequence[str]]] = {**WATCHED, **LIMITED}

    def __init__(self, folder: Path) -> None:
        self._log = folder / "audit.log"
        self._log.touch()
        policy = folder / "audit-policy.json"
        policy.write_text(json.dumps(POLICY))
        self.flags = [f"--audit-log-path={self._log}", f"--audit-policy-file={policy}", ONE_FILE]
        self._free, self._limited = iter(WATCHED), iter(LIMITED)
        self._lock = threading.Lock()

    def watch(self, repo: Workspace, *, limited: bool = False) -> Witness:
        """From here on the repository's runs have a login, and so a log, of their own; without any right
        where they are ``limited``."""
        with self._lock:
            user = next(self._limited if limited else self._free)
        repo.environ["KUBECONFIG"] = str(repo.cluster.user_kubeconfig(user))
        return Witness(audit=self, repo=repo, user=user)

    def requests(self) -> list[Request]:
        """All that were logged, as they came in; a line that is being written is left out."""
        lines = self._log.read_text().splitlines(keepends=True)
        found = (Request.of(json.loads(line)) for line in lines if line.endswith("\n"))
        return sorted(found, key=attrgetter("at"))


@dataclass(slots=True)
class Witness:
    """What the runs in one repository asked of the API server. What kubectl does there is left out."""

    audit: Audit
    repo: Workspace
    user: str
    _seen: int = field(default=0)

    def deploy(self, *args: str) -> Result:
        """Deploy ``dev``; ``requests`` are those of this run then."""
        return self.run("deploy", "-e", "dev", *args)

    def run(self, *args: str) -> Result:
        self._seen = len(self._all())
        return self.repo.run("-o", "json", *args)

    @property
    def requests(self) -> list[Request]:
        """Those of the last run, in order."""
        return self._all()[self._seen :]

    @property
    def all_writes(self) -> list[Request]:
        return [r for r in self.requests if r.is_write]

    @property
    def writes(self) -> list[Request]:
        """Those to users' objects: no dry run, no question, neither lock nor record."""
        return [r for r in self.all_writes if not r.is_own]

    @property
    def written(self) -> list[str]:
        """The objects of ``writes``: ``deployments/web``."""
        return [r.what for r in self.writes]

    def first(self, what: str) -> float:
        """When the first write to an object came in."""
        return next(r.at for r in self.writes if r.what == what)

    def ready(self, what: str, before: float = float("inf")) -> float:
        """When the last status of an object came in: ``deployments/web``; it must have one."""
        resource, _, name = what.partition("/")
        namespaces = (self.repo.namespace, "")
        times = [
            r.at
            for r in self.audit.requests()
            if (r.resource, r.name) == (f"{resource}/status", name) and r.namespace in namespaces
        ]
        return max(at for at in times if at < before)

    def _all(self) -> list[Request]:
        return [r for r in self.audit.requests() if r.user == self.user and r.agent == "pipeline"]

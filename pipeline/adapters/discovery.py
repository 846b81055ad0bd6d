"""Which kinds the API server serves, and under which path."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import chain
from typing import Any

from pipeline import failpoint
from pipeline.core.kinds import builtin
from pipeline.failpoint import Point
from pipeline.model.errors import ApiError
from pipeline.model.objects import ResourceType

from .http import Call, Http

_AGGREGATED = ",".join(
    f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    for version in ("v2", "v2beta1")
)
_WHAT = "ask which kinds the cluster serves"
_ABSENT = frozenset({403, 404, 406, 503})  # not served, not ours to see, or its own server is down

Key = tuple[str, str]


class Discovery:
    """Kinds by (apiVersion, kind). Kubernetes' own are known; others are asked for, once.

    One request fetches all groups (aggregated discovery, Kubernetes 1.27); what it does not name,
    a CRD that is seconds old or a server that is older, is asked of its own group and version.
    Thread-safe.
    """

    def __init__(self, http: Http) -> None:
        self._http = http
        self._lock = threading.Lock()
        self._found: dict[Key, ResourceType] = {}
        self._asked: set[str] = set()

    def resource(self, api_version: str, kind: str) -> ResourceType | None:
        known = builtin(api_version, kind)
        if known is not None:
            return known
        with self._lock:
            for ask in (self._ask_all, self._ask_version):
                if (api_version, kind) not in self._found:
                    ask(api_version)
            return self._found.get((api_version, kind))

    def is_builtin(self, resource: ResourceType) -> bool:
        """Whether the kind was taken for granted rather than asked for."""
        return builtin(resource.api_version, resource.kind) is not None

    def refresh(self) -> None:
        with self._lock:
            self._found.clear()
            self._asked.clear()

    def namespaced(self) -> tuple[ResourceType, ...]:
        """Every kind that can be listed in a namespace, in the version that its group prefers.

        ApiError where that is not all: the server is older than aggregated discovery, or an API server
        beside it did not answer.
        """
        documents = [self._http.json(_everything(root)) for root in ("/api", "/apis")]
        for document in documents:
            if missing := _missing(document):
                raise ApiError(f"{_WHAT}: {missing}", status=503, reason="ServiceUnavailable")
        kinds: dict[tuple[str, str], ResourceType] = {}
        for resource in chain.from_iterable(aggregated(d, listable=True) for d in documents):
            if resource.namespaced:
                kinds.setdefault((resource.group, resource.kind), resource)
        return tuple(kinds.values())

    def versions(self) -> tuple[str, ...]:
        """``group/version`` and ``group/version/Kind`` of all that is served, sorted.

        A group whose own server does not answer is named all the same. Servers that are older than aggregated
        discovery name no kinds.
        """
        found: set[str] = set()
        for root in ("/api", "/apis"):
            document = self._http.json(_everything(root))
            found |= set(named_versions(document))
            found |= {f"{r.api_version}/{r.kind}" for r in aggregated(document)}
        return tuple(sorted(found))

    def _ask_all(self, api_version: str) -> None:
        root = "/apis" if "/" in api_version else "/api"
        if root in self._asked:
            return
        answer = self._http.send(_everything(root), accept_status=_ABSENT)
        self._asked.add(root)
        if answer.status == 200:
            self._found.update((_key(r), r) for r in aggregated(answer.document))
        failpoint.passing(Point.DISCOVERY_POST)

    def _ask_version(self, api_version: str) -> None:
        path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        if path in self._asked:
            return
        answer = self._http.send(
            Call(method="GET", path=path, what=f"ask which kinds {api_version} has", idempotent=True),
            accept_status=_ABSENT,
        )
        self._asked.add(path)
        if answer.status == 200:
            self._found.update((_key(r), r) for r in of_version(api_version, answer.document))


def _everything(root: str) -> Call:
    accept = f"{_AGGREGATED},application/json"
    return Call(method="GET", path=root, what=_WHAT, accept=accept, idempotent=True)


def _missing(document: Any) -> str:
    """What an answer does not tell; empty where it tells all."""
    if document.get("kind") != "APIGroupDiscoveryList":
        return "the server is too old to tell"
    stale = [
        f"{group['metadata'].get('name')}/{version['version']}"
        for group in document.get("items") or []
        for version in group.get("versions") or []
        if version.get("freshness") == "Stale"
    ]
    return f"{', '.join(stale)} did not answer" if stale else ""


def named_versions(document: Any) -> Iterator[str]:
    """``group/version`` of what an answer names, in each of its forms."""
    for group in document.get("items") or []:
        name = group.get("metadata", {}).get("name") or ""
        yield from (f"{name}/{v['version']}" if name else v["version"] for v in group.get("versions") or [])
    for group in document.get("groups") or []:  # APIGroupList
        yield from (version["groupVersion"] for version in group.get("versions") or [])
    if document.get("kind") == "APIVersions":
        yield from document.get("versions") or []


def aggregated(document: Any, *, listable: bool = False) -> Iterator[ResourceType]:
    """The resources of an APIGroupDiscoveryList; nothing of a plain APIGroupList.

    ``listable``: only those that can be listed.
    """
    if document.get("kind") != "APIGroupDiscoveryList":
        return
    for group in document.get("items") or []:
        name = group.get("metadata", {}).get("name") or ""
        for version in group.get("versions") or []:
            for item in version.get("resources") or []:
                kind = item.get("responseKind") or {}
                if kind.get("kind") and (not listable or "list" in item.get("verbs", ())):
                    namespaced = item.get("scope") == "Namespaced"
                    yield ResourceType(name, version["version"], kind["kind"], item["resource"], namespaced)


def of_version(api_version: str, document: Any) -> Iterator[ResourceType]:
    """The resources of an APIResourceList, without subresources."""
    group, _, version = api_version.rpartition("/")
    for item in document.get("resources") or []:
        if "/" not in item["name"]:
            yield ResourceType(group, version, item["kind"], item["name"], bool(item["namespaced"]))


def _key(resource: ResourceType) -> Key:
    return resource.api_version, resource.kind

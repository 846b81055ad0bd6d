"""One Kubernetes API server, as the shell sees it (``ports.Cluster``): plain JSON over HTTP."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

from pipeline.core.access import Access
from pipeline.model.errors import ApiError, PipelineError
from pipeline.model.objects import Json, Object, ObjectRef, ResourceType
from pipeline.ports import Keep, Tried

from . import pod_logs, reviews
from .api_paths import collection_path, namespace_of, object_path
from .apierror import clean, is_missing_path
from .connection import Connection
from .discovery import Discovery
from .http import READ_S, Answer, Call, Http
from .readback import holds
from .retry import Again
from .watch import Watch

MANAGER = "pipeline"
"""The field manager of every write (design §4)."""

PAGE = 500  # objects a list request; kubectl's own default
APPLY_PATCH = "application/apply-patch+yaml"  # JSON is YAML
MERGE_PATCH = "application/merge-patch+json"
STALL_S = 75.0  # a watch on which nothing comes for so long, no bookmark either (one a minute), is dead

SERVED_WITHIN_S = 10.0  # from Established to discovery; nelm waits as long

Objects: TypeAlias = list[Object]  # named out here, because inside the class ``list`` is the method

_FOUND_OR_NOT = frozenset({404})


class KubeCluster:
    """Implements ``ports.Cluster``; thread-safe.

    Reads, server-side applies, merge patches and deletions of a uid are repeated for up to 30 s where the
    server or the network stumbles; so are creations and replacements of a known version, of which a second
    one is refused: the object is read back then. What could do harm twice is not once it may have been
    received: an UnreachableError "whether it was done is not known" asks the caller to look.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        sleep: Callable[[float], None],
        monotonic: Callable[[], float],
        stopped: Callable[[], bool] = lambda: False,
        parallelism: int = 16,
    ) -> None:
        self.http = Http(
            connection, sleep=sleep, monotonic=monotonic, stopped=stopped, parallelism=parallelism
        )
        self._discovery = Discovery(self.http)
        self._identity: str | None = None
        self._identifying = threading.Lock()

    def fence(self, check: Callable[[], None] | None) -> None:
        self.http.fence = check or (lambda: None)

    def lanes(self) -> int:
        return self.http.lanes

    def identity(self) -> str:
        """The cluster's name for us; empty where the server does not tell. Asked once: it does not change."""
        with self._identifying:
            if self._identity is None:
                self._identity = reviews.identity(self.http)
            return self._identity

    def git_version(self) -> str:
        return str(self.http.json(_read("/version", "ask the cluster's version")).get("gitVersion") or "")

    def version(self) -> str:
        match = re.match(r"v?(\d+\.\d+\.\d+)", text := self.git_version())
        return match.group(1) if match else text

    def resource(self, api_version: str, kind: str) -> ResourceType | None:
        return self._discovery.resource(api_version, kind)

    def refresh(self) -> None:
        self._discovery.refresh()

    def api_versions(self) -> Sequence[str]:
        return self._discovery.versions()

    def namespaced_kinds(self) -> Sequence[ResourceType]:
        return self._discovery.namespaced()

    def get(self, ref: ObjectRef, api_version: str) -> Object | None:
        resource = self.resource(api_version, ref.kind)
        if resource is None:
            return None  # a kind that is not served has no objects
        what = f"get {ref.short}"
        call = replace(_read(object_path(resource, ref, what), what, secret=_is_secret(ref)), paced=True)
        answer = self.http.send(call, accept_status=_FOUND_OR_NOT)
        if answer.status == 404:
            self._check_served(resource, answer, what)
            return None
        return _object(answer)

    def list(
        self, resource: ResourceType, namespace: str = "", selector: str = "", keep: Keep | None = None
    ) -> tuple[Objects, str]:
        try:
            return self._list(resource, namespace, selector, keep)
        except ApiError as exc:
            if exc.status != 410:
                raise
        # The list took so long that its snapshot was compacted away: once more from the start.
        return self._list(resource, namespace, selector, keep)

    def apply(self, body: Object, *, force: bool = False, strict: bool = True) -> Object:
        ref = ObjectRef.of(body)
        self._await_served(str(body["apiVersion"]), ref)
        return _object(self._apply(body, f"apply {ref.short}", force=force, strict=strict, dry_run=False))

    def try_apply(self, body: Object, *, force: bool = False) -> Tried:
        what = f"try to apply {ObjectRef.of(body).short}"
        answer = self._apply(body, what, force=force, strict=True, dry_run=True)
        return Tried(result=_object(answer), created=answer.status == 201, warnings=_warnings(answer))

    def _apply(self, body: Object, what: str, *, force: bool, strict: bool, dry_run: bool) -> Answer:
        query = {"fieldManager": MANAGER, "force": "true" if force else "false"}
        if strict:
            query["fieldValidation"] = "Strict"
        if dry_run:
            query["dryRun"] = "All"
        ref = ObjectRef.of(body)
        resource = self._served(str(body["apiVersion"]), ref.kind, what)
        return self.http.send(
            Call(
                method="PATCH",
                path=object_path(resource, ref, what),
                what=what,
                query=query,
                body=body,
                content_type=APPLY_PATCH,
                idempotent=True,
                patient=not dry_run,
                fenced=not dry_run,
                paced=True,
                secret=_is_secret(ref),
            )
        )

    def _await_served(self, api_version: str, ref: ObjectRef) -> None:
        """A kind whose definition was Established a moment ago may be missing from discovery still."""

        def look() -> None:
            if self.resource(api_version, ref.kind) is None:
                self.refresh()
                raise Again(_unserved(f"apply {ref.short}", api_version, ref.kind))

        self.http.retrier.run(look, budget_s=SERVED_WITHIN_S)

    def allowed(self, access: Access) -> bool | None:
        return reviews.allowed(self.http, access)

    def create(self, body: Object, *, dry_run: bool = False) -> Object:
        query = {"fieldManager": MANAGER}
        if dry_run:
            return self._write("POST", "try to create", body, query, dry_run=True, idempotent=True)
        # Of one name there is one object: a second creation is refused, and then a look tells whose it is.
        return self._read_back(
            body, lambda: self._write("POST", "create", body, query, dry_run=False, idempotent=True)
        )

    def replace(self, body: Object, *, once: bool = False) -> Object:
        # With a version the second of two is refused; without, it would undo what others wrote in between.
        safe = "resourceVersion" in body["metadata"] and not once
        query = {"fieldManager": MANAGER}
        write = partial(self._write, "PUT", "replace", body, query, dry_run=False, idempotent=safe)
        return self._read_back(body, write) if safe else write()

    def patch(
        self, ref: ObjectRef, api_version: str, body: Json, *, content_type: str, dry_run: bool = False
    ) -> Object:
        what = f"patch {ref.short}"
        resource = self._served(api_version, ref.kind, what)
        query = {"fieldManager": MANAGER}
        if content_type == APPLY_PATCH:
            query["force"] = "false"
        if dry_run:
            query["dryRun"] = "All"
        return _object(
            self.http.send(
                Call(
                    method="PATCH",
                    path=object_path(resource, ref, what),
                    what=what,
                    query=query,
                    body=body,
                    content_type=content_type,
                    # A merge patch says what shall be, not what to do: twice is as once.
                    idempotent=dry_run or content_type in (APPLY_PATCH, MERGE_PATCH),
                    fenced=not dry_run,
                    secret=_is_secret(ref),
                )
            )
        )

    def delete(
        self, ref: ObjectRef, api_version: str, *, uid: str = "", dry_run: bool = False, orphan: bool = False
    ) -> None:
        resource = self.resource(api_version, ref.kind)
        if resource is None:
            return
        what = f"delete {ref.short}"
        options: Object = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Orphan" if orphan else "Background",
        }
        if uid:
            options["preconditions"] = {"uid": uid}
        if dry_run:
            options["dryRun"] = ["All"]  # in the body: with one, the server ignores the query
        call = Call(
            method="DELETE",
            path=object_path(resource, ref, what),
            what=what,
            body=options,
            idempotent=bool(uid) or dry_run,
            fenced=not dry_run,
            paced=True,
            secret=_is_secret(ref),
        )
        answer = self.http.send(call, accept_status=_FOUND_OR_NOT)
        if answer.status == 404:
            self._check_served(resource, answer, what)

    def watch(
        self,
        resource: ResourceType,
        namespace: str,
        resource_version: str,
        *,
        timeout_s: float,
        selector: str = "",
    ) -> Watch:
        """Events after ``resource_version``, for about ``timeout_s``; ``close()`` ends it from any thread.

        Starts the request before it returns, so that ApiError and UnreachableError come from here too.
        """
        what = f"watch {resource.plural}" + (f" in {namespace}" if namespace else "")
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(max(1, round(timeout_s))),
        }
        if selector:
            query["labelSelector"] = selector
        secret = _is_secret(resource)
        response = self.http.stream(
            Call(
                method="GET",
                path=collection_path(resource, namespace),
                what=what,
                query=query,
                idempotent=True,
                secret=secret,
                read_s=min(timeout_s + READ_S, STALL_S),
            )
        )
        return Watch(response, what, secret=secret)

    def logs(self, namespace: str, pod: str, container: str, *, previous: bool, lines: int) -> str:
        return pod_logs.read(self.http, namespace, pod, container, previous=previous, lines=lines)

    def server_time(self) -> float:
        if self.http.now() is None:
            self.version()
        now = self.http.now()
        if now is None:
            raise ApiError("read the cluster's clock: its answers carry no date", status=502)
        return now

    def _list(
        self, resource: ResourceType, namespace: str, selector: str, keep: Keep | None
    ) -> tuple[Objects, str]:
        what = f"list {resource.plural}" + (f" in {namespace}" if namespace else "")
        path, secret = collection_path(resource, namespace), _is_secret(resource)
        query = {"limit": str(PAGE)}
        if selector:
            query["labelSelector"] = selector
        found: Objects = []
        while True:
            page = self.http.json(replace(_read(path, what, query=query, secret=secret), compressed=True))
            for item in page.get("items") or []:
                # Items of a typed list come without these two.
                obj = {"apiVersion": resource.api_version, "kind": resource.kind, **item}
                kept = keep(obj) if keep else obj
                found += [kept] if kept is not None else []
            meta = page.get("metadata") or {}
            if not meta.get("continue"):
                return found, str(meta.get("resourceVersion") or "")
            query = {**query, "continue": str(meta["continue"])}

    def _read_back(self, body: Object, write: Callable[[], Object]) -> Object:
        """Write; where that meets a conflict, it may be one with an attempt of ours whose answer was lost."""
        try:
            return write()
        except ApiError as error:
            if error.status != 409:
                raise
            with suppress(PipelineError):  # what the write met says more than that it cannot be looked at
                live = self.get(ObjectRef.of(body), str(body["apiVersion"]))
                if live is not None and holds(live, body):
                    return live
            raise

    def _write(
        self,
        method: str,
        verb: str,
        body: Object,
        query: Mapping[str, str],
        dry_run: bool,
        *,
        content_type: str = "application/json",
        idempotent: bool = False,
    ) -> Object:
        ref = ObjectRef.of(body)
        what = f"{verb} {ref.short}"
        resource = self._served(str(body["apiVersion"]), ref.kind, what)
        if method == "POST":
            path = collection_path(resource, namespace_of(resource, ref, what))
        else:
            path = object_path(resource, ref, what)
        return _object(
            self.http.send(
                Call(
                    method=method,
                    path=path,
                    what=what,
                    query={**query, "dryRun": "All"} if dry_run else query,
                    body=body,
                    content_type=content_type,
                    idempotent=idempotent,
                    fenced=not dry_run and not _is_lease(ref),
                    secret=_is_secret(ref),
                )
            )
        )

    def _served(self, api_version: str, kind: str, what: str) -> ResourceType:
        resource = self.resource(api_version, kind)
        if resource is None:
            raise _unserved(what, api_version, kind)
        return resource

    def _check_served(self, resource: ResourceType, answer: Answer, what: str) -> None:
        """Tell an absent object from a built-in kind that this server does not have."""
        if is_missing_path(answer.status, answer.body) and self._discovery.is_builtin(resource):
            raise _unserved(what, resource.api_version, resource.kind)


def _unserved(what: str, api_version: str, kind: str) -> ApiError:
    return ApiError(
        f"{what}: the cluster does not serve {kind} of {api_version}",
        status=404,
        reason="NotFound",
        hint="is its CustomResourceDefinition installed, and has the cluster's release this version?",
    )


def _warnings(answer: Answer) -> tuple[str, ...]:
    """The texts of Warning headers: ``299 - "v1 Endpoints is deprecated…"`` (RFC 7234, 5.5)."""
    header = answer.headers.get("Warning") or ""
    return tuple(clean(match.replace('\\"', '"'), 300) for match in _WARNING.findall(header))


_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


def _read(path: str, what: str, *, query: Mapping[str, str] | None = None, secret: bool = False) -> Call:
    return Call(method="GET", path=path, what=what, query=query or {}, idempotent=True, secret=secret)


def _object(answer: Answer) -> Object:
    body: Any = answer.document
    return dict(body)


def _is_secret(of: ObjectRef | ResourceType) -> bool:
    return of.kind == "Secret" and not of.group


def _is_lease(ref: ObjectRef) -> bool:
    """The lock cannot wait for itself; its versions fence it."""
    return ref.group_kind == ("coordination.k8s.io", "Lease")

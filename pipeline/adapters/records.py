"""Releases as Secrets in the environment's namespace (design §4).

A release is one head Secret, ``pipeline.<application>.<environment>.<number>``, and its shards,
``….<number>.<part>.<digest>.<k>``. A shard is never changed: other content has another name, and the head,
which is written last, says which shards count. So a run may die between any two writes, or lose its lock,
and the record is the one before or the one after. The head is replaced with a precondition on its
resourceVersion: a run that lost its lock cannot overwrite what its successor records.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain
from typing import Any

from pipeline import failpoint
from pipeline.adapters import codec
from pipeline.core.desired import APPLICATION_LABEL, ENVIRONMENT_LABEL
from pipeline.failpoint import Point
from pipeline.model.environment import Environment
from pipeline.model.errors import (
    ApiError,
    LockLostError,
    PipelineError,
    PreflightError,
    UnreachableError,
)
from pipeline.model.objects import Object, ObjectRef, ResourceType, digest
from pipeline.model.release import Phase, Release
from pipeline.ports import Cluster

RECORD_LABEL = "pipeline/record"
NUMBER_LABEL = "pipeline/release"
SECRETS = ResourceType("", "v1", "Secret", "secrets", True)


class SecretReleases:
    """``ports.Releases`` over Secrets."""

    def __init__(self, cluster: Cluster, environment: Environment) -> None:
        self._cluster = cluster
        self._environment = environment
        self._written: dict[tuple[int, str], tuple[str, list[str]]] = {}
        self._saved: dict[tuple[int, str], tuple[Any, ...]] = {}
        self._head_version: dict[int, str] = {}
        self._ahead: _Ahead | None = None
        self._numbers: set[int] = set()  # of the releases that are there, as of the last look at all

    def read_ahead(self) -> None:
        """Fetch the newest record on a thread, while others do something else: ``history`` and the next
        ``latest`` find it there. What goes wrong is told then."""
        self._ahead = _Ahead(self._heads, self._whole)

    def latest(self, *, anew: bool = False) -> Release | None:
        if self._ahead is not None:
            ahead, self._ahead = self._ahead, None
            if not anew:
                return ahead.newest()
            with suppress(PipelineError):  # to its end: it notes versions that are older than ours
                ahead.newest()
        heads = self._heads()
        return self._whole(heads[0]) if heads else None

    def last_verified(self) -> Release | None:
        for head in self._heads():
            release, _ = self._parse(head)
            if release.phase is Phase.SUCCEEDED:
                return self._whole(head)
        return None

    def get(self, number: int) -> Release | None:
        head = self._cluster.get(self._ref(self._name(number)), "v1")
        return self._whole(head) if head else None

    def history(self) -> Sequence[Release]:
        heads = self._ahead.heads() if self._ahead is not None else self._heads()
        return tuple(self._parse(head)[0] for head in heads)

    def save(self, release: Release) -> None:
        stale = [name for part in codec.BODY_FIELDS for name in self._shards_of(release.number, part)]
        shards = self._save_parts(release)
        failpoint.passing(Point.RECORD_MID)
        document = base64.b64encode(codec.head_document(release, shards)).decode()
        head = self._secret(self._name(release.number), "release", release.number, {"head": document})
        head["metadata"]["labels"]["pipeline/phase"] = str(release.phase)
        write: Callable[[Object], Object] = self._cluster.create
        if known := self._head_version.get(release.number):
            head["metadata"]["resourceVersion"] = known
            write = self._cluster.replace
        try:
            saved = self._settle(write, head)
        except ApiError as error:
            if error.status != 409:
                raise
            raise LockLostError(
                f"record release {release.number}: another run has written it meanwhile",
                hint="see `pipeline status`; this run stops without touching anything more",
            ) from error
        self._head_version[release.number] = saved["metadata"]["resourceVersion"]
        self._numbers |= {release.number} if self._numbers else set()
        for name in set(stale).difference(*shards.values()):
            with suppress(PipelineError):  # nobody reads it any more; it goes with the release at the latest
                self._cluster.delete(self._ref(name), "v1")

    def trim(self, keep: int = 10) -> None:
        """Delete all but the newest ``keep`` releases and the last verified one."""
        if 0 < len(self._numbers) <= keep:
            return  # as far as we have seen: what came after that is counted next time
        releases = self.history()
        verified = next((r.number for r in releases if r.phase is Phase.SUCCEEDED), None)
        for release in releases[keep:]:
            if release.number != verified:
                self._delete(release.number)

    def sweep(self) -> None:
        # Only under a lock whose holder died: of a live one the head may be on its way.
        heads = [self._parse(head)[0].number for head in self._heads()]
        selector = ",".join([self._selector("release-data"), *(f"{NUMBER_LABEL}!={n}" for n in heads)])
        found, _ = self._cluster.list(SECRETS, self._environment.namespace, selector)
        for meta in (secret["metadata"] for secret in found):
            self._cluster.delete(self._ref(meta["name"]), "v1", uid=meta["uid"])

    def _delete(self, number: int) -> None:
        """The head last, so that a run that dies on the way leaves it for the next one to find. Each by its
        uid: so it may be repeated where the answer is lost."""
        of_it, head = f"{self._selector()},{NUMBER_LABEL}={number}", self._name(number)
        found, _ = self._cluster.list(SECRETS, self._environment.namespace, of_it)
        metas = [secret["metadata"] for secret in found]
        parts = [meta for meta in metas if meta["labels"].get(RECORD_LABEL) == "release-data"]
        for meta in [*parts, *(meta for meta in metas if meta["name"] == head)]:
            self._cluster.delete(self._ref(meta["name"]), "v1", uid=meta["uid"])
            failpoint.passing(Point.TRIM_MID)

    def _settle(self, write: Callable[[Object], Object], secret: Object) -> Object:
        """Write, and look where that leaves in doubt whether it was done: the reply was lost, or a conflict
        may be one with an earlier attempt of ours. What stands there as we meant it is ours.
        """
        try:
            return write(secret)
        except (ApiError, UnreachableError) as error:
            if isinstance(error, ApiError) and error.status != 409:
                raise
            live = self._cluster.get(self._ref(secret["metadata"]["name"]), "v1")
            if live is not None and live.get("data") == secret["data"]:
                return live
            raise  # it was repeated for as long as that makes sense

    def _shards_of(self, number: int, part: str) -> list[str]:
        """The Secrets that this part consists of as far as we know."""
        return self._written[number, part][1] if (number, part) in self._written else []

    def _save_parts(self, release: Release) -> dict[str, list[str]]:
        """At once: none of them counts before the head that names it."""
        changed = [part for part in codec.BODY_FIELDS if not self._is_saved(release, part)]
        with ThreadPoolExecutor(max(len(changed), 1), thread_name_prefix="records") as pool:
            list(pool.map(lambda part: self._save_part(release, part), changed))
        return {part: self._shards_of(release.number, part) for part in codec.BODY_FIELDS}

    def _is_saved(self, release: Release, part: str) -> bool:
        """The very same values, as in most saves of a run: a thousand objects need no digest for that."""
        values = _values(release, part)
        written = self._written.get((release.number, part))
        last = self._saved.get((release.number, part))
        return bool(written and last and all(a is b for a, b in zip(last, values, strict=True)))

    def _save_part(self, release: Release, part: str) -> None:
        written = self._written.get((release.number, part))
        self._saved[release.number, part] = _values(release, part)
        document = codec.body_document(release, part)
        if document is None:
            self._written.pop((release.number, part), None)
            return
        content = digest(document)
        if written and written[0] == content:
            return
        pieces = codec.pack(document)
        stem = f"{self._name(release.number)}.{part}.{content[7:17]}"
        names = [f"{stem}.{k}" for k in range(len(pieces))]
        for name, piece in zip(names, pieces, strict=True):
            self._put(self._secret(name, "release-data", release.number, {"shard": piece}))
        self._written[release.number, part] = content, names

    def _put(self, secret: Object) -> None:
        try:
            self._settle(self._cluster.create, secret)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            self._settle(self._cluster.replace, secret)

    def _secret(self, name: str, record: str, number: int, data: dict[str, str]) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "pipeline/release.v1",
            "metadata": {
                "name": name,
                "namespace": self._environment.namespace,
                "labels": {
                    APPLICATION_LABEL: self._environment.application,
                    ENVIRONMENT_LABEL: self._environment.name,
                    RECORD_LABEL: record,
                    NUMBER_LABEL: str(number),
                },
            },
            "data": data,
        }

    def _name(self, number: int | str) -> str:
        return f"pipeline.{self._environment.application}.{self._environment.name}.{number}"

    def _ref(self, name: str) -> ObjectRef:
        return ObjectRef("", "Secret", self._environment.namespace, name)

    def _selector(self, record: str = "") -> str:
        labels = {
            APPLICATION_LABEL: self._environment.application,
            ENVIRONMENT_LABEL: self._environment.name,
            **({RECORD_LABEL: record} if record else {}),
        }
        return ",".join(f"{key}={value}" for key, value in labels.items())

    def _heads(self) -> list[Object]:
        """Newest first. A copy under another name is none of ours."""
        found, _ = self._cluster.list(SECRETS, self._environment.namespace, self._selector("release"))
        stem = self._name("")
        heads = {
            int(number): head
            for head in found
            if (number := head["metadata"]["name"].removeprefix(stem)).isdecimal()
        }
        self._numbers = set(heads)
        return [heads[number] for number in sorted(heads, reverse=True)]

    def _read_all(self, names: Sequence[str]) -> Iterator[Object | None]:
        if len(names) < 2:
            return iter([self._cluster.get(self._ref(name), "v1") for name in names])
        with ThreadPoolExecutor(min(len(names), 8), thread_name_prefix="records") as pool:
            return pool.map(lambda name: self._cluster.get(self._ref(name), "v1"), names)

    def _parse(self, head: Object) -> tuple[Release, dict[str, list[str]]]:
        name = head["metadata"]["name"]
        with _told_of(name):
            values, shards = codec.parse_head(base64.b64decode(head["data"]["head"]))
            return Release(**values), shards

    def _whole(self, head: Object) -> Release:
        release, shards = self._parse(head)
        self._head_version[release.number] = head["metadata"]["resourceVersion"]
        body: dict[str, Any] = {}
        found = dict(zip(chain(*shards.values()), self._read_all([*chain(*shards.values())]), strict=True))
        for part, names in ((part, names) for part, names in shards.items() if names):
            secrets = [found[name] for name in names]
            missing = [name for name, secret in zip(names, secrets, strict=True) if secret is None]
            if missing:
                raise PreflightError(
                    f"read release record {head['metadata']['name']}: {missing[0]} is gone",
                    hint="somebody deleted a part of the record; delete the head Secret as well to go on",
                )
            self._written[release.number, part] = "", names
            with _told_of(head["metadata"]["name"]):
                value = codec.unpack([s["data"]["shard"] for s in secrets if s])
                body |= codec.parse_body(part, value)
        return replace(release, **body)


def _values(release: Release, part: str) -> tuple[Any, ...]:
    return tuple(getattr(release, name) for name in codec.BODY_FIELDS[part])


class _Ahead:
    """The heads and the newest record, each read once, in the background."""

    def __init__(self, heads: Callable[[], list[Object]], whole: Callable[[Object], Release]) -> None:
        pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._heads: Future[list[Object]] = pool.submit(heads)
        self._newest: Future[Release | None] = pool.submit(self._read, whole)
        pool.shutdown(wait=False)

    def _read(self, whole: Callable[[Object], Release]) -> Release | None:
        heads = self._heads.result()
        return whole(heads[0]) if heads else None

    def heads(self) -> list[Object]:
        return self._heads.result()

    def newest(self) -> Release | None:
        return self._newest.result()


@contextmanager
def _told_of(name: str) -> Iterator[None]:
    """Makes of anything that a record should not hold an error that names it."""
    try:
        yield
    except codec.NewerRecordError as error:
        raise PreflightError(f"read release record {name}: {error}", hint="use a newer pipeline") from error
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise PreflightError(
            f"read release record {name}: it is damaged",
            hint="delete that Secret if an older release is good enough to go on from",
        ) from error

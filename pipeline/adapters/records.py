"""Releases as Secrets in the environment's namespace (design §4).

A release is one head Secret, ``pipeline.<application>.<environment>.<number>``, and its shards,
``….<number>.<part>.<k>``. The head is written last and replaced with a precondition on its
resourceVersion, so a run that lost its lock cannot overwrite what its successor records.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipeline.adapters import codec
from pipeline.core.desired import APPLICATION_LABEL, ENVIRONMENT_LABEL
from pipeline.model.environment import Environment
from pipeline.model.errors import ApiError, InterruptedRunError, PreflightError
from pipeline.model.objects import Object, ObjectRef, ResourceType, digest
from pipeline.model.release import Phase, Release
from pipeline.ports import Cluster

RECORD_LABEL = "pipeline/record"
SECRETS = ResourceType("", "v1", "Secret", "secrets", True)


class SecretReleases:
    """``ports.Releases`` over Secrets."""

    def __init__(self, cluster: Cluster, environment: Environment) -> None:
        self._cluster = cluster
        self._environment = environment
        self._written: dict[tuple[int, str], tuple[str, list[str]]] = {}
        self._head_version: dict[int, str] = {}

    def latest(self) -> Release | None:
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
        return tuple(self._parse(head)[0] for head in self._heads())

    def save(self, release: Release) -> None:
        shards = {}
        for part in codec.BODY_FIELDS:
            shards[part] = self._save_part(release, part)
        name = self._name(release.number)
        head = self._secret(
            name, "release", {"head": base64.b64encode(codec.head_document(release, shards)).decode()}
        )
        head["metadata"]["labels"]["pipeline/phase"] = str(release.phase)
        known = self._head_version.get(release.number)
        try:
            if known is None:
                saved = self._create_head(head)
            else:
                head["metadata"]["resourceVersion"] = known
                saved = self._replace_head(head)
        except ApiError as error:
            if error.status == 409:
                raise InterruptedRunError(
                    f"record release {release.number}: another run has written it meanwhile",
                    hint="see `pipeline status`; this run stops without touching anything more",
                ) from error
            raise
        self._head_version[release.number] = saved["metadata"]["resourceVersion"]

    def trim(self, keep: int = 10) -> None:
        """Delete all but the newest ``keep`` releases and the last verified one."""
        heads = self._heads()
        releases = [self._parse(head) for head in heads]
        verified = next((r.number for r, _ in releases if r.phase is Phase.SUCCEEDED), None)
        for release, shards in releases[keep:]:
            if release.number == verified:
                continue
            for name in [self._name(release.number), *(n for names in shards.values() for n in names)]:
                self._cluster.delete(self._ref(name), "v1")

    def _create_head(self, head: Object) -> Object:
        """Create; where the reply to our own earlier attempt was lost, what stands there is ours."""
        try:
            return self._cluster.create(head)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            existing = self._cluster.get(self._ref(head["metadata"]["name"]), "v1")
            if existing is None or existing.get("data") != head["data"]:
                raise
            return existing

    def _replace_head(self, head: Object) -> Object:
        """Replace; a conflict with what we meant to write is a lost reply, not another run."""
        try:
            return self._cluster.replace(head)
        except ApiError as error:
            existing = self._cluster.get(self._ref(head["metadata"]["name"]), "v1")
            if error.status != 409 or existing is None or existing.get("data") != head["data"]:
                raise
            return existing

    def _save_part(self, release: Release, part: str) -> list[str]:
        document = codec.body_document(release, part)
        content = digest(document)
        written = self._written.get((release.number, part))
        if written and written[0] == content:
            return written[1]
        pieces = codec.pack(document)
        names = [f"{self._name(release.number)}.{part}.{k}" for k in range(len(pieces))]
        for name, piece in zip(names, pieces, strict=True):
            self._put(self._secret(name, "release-data", {"shard": piece}))
        self._written[release.number, part] = content, names
        return names

    def _put(self, secret: Object) -> None:
        try:
            self._cluster.create(secret)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            self._cluster.replace(secret)

    def _secret(self, name: str, record: str, data: dict[str, str]) -> Object:
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
                },
            },
            "data": data,
        }

    def _name(self, number: int) -> str:
        return f"pipeline.{self._environment.application}.{self._environment.name}.{number}"

    def _ref(self, name: str) -> ObjectRef:
        return ObjectRef("", "Secret", self._environment.namespace, name)

    def _heads(self) -> list[Object]:
        """Newest first."""
        selector = ",".join(
            f"{key}={value}"
            for key, value in (
                (APPLICATION_LABEL, self._environment.application),
                (ENVIRONMENT_LABEL, self._environment.name),
                (RECORD_LABEL, "release"),
            )
        )
        heads, _ = self._cluster.list(SECRETS, self._environment.namespace, selector)
        return sorted(heads, key=lambda h: -int(h["metadata"]["name"].rpartition(".")[2]))

    def _parse(self, head: Object) -> tuple[Release, dict[str, list[str]]]:
        name = head["metadata"]["name"]
        try:
            values, shards = codec.parse_head(base64.b64decode(head["data"]["head"]))
            release = Release(**values)
        except codec.NewerRecordError as error:
            raise PreflightError(
                f"read release record {name}: {error}", hint="use a newer pipeline"
            ) from error
        except (KeyError, ValueError, TypeError) as error:
            raise PreflightError(
                f"read release record {name}: it is damaged",
                hint="delete that Secret if an older release is good enough to go on from",
            ) from error
        return release, shards

    def _whole(self, head: Object) -> Release:
        release, shards = self._parse(head)
        self._head_version[release.number] = head["metadata"]["resourceVersion"]
        body: dict[str, Any] = {}
        for part, names in shards.items():
            secrets = [self._cluster.get(self._ref(name), "v1") for name in names]
            missing = [name for name, secret in zip(names, secrets, strict=True) if secret is None]
            if missing:
                raise PreflightError(
                    f"read release record {head['metadata']['name']}: {missing[0]} is gone",
                    hint="somebody deleted a part of the record; delete the head Secret as well to go on",
                )
            value = codec.unpack([s["data"]["shard"] for s in secrets if s])
            body |= codec.parse_body(part, value)
        return replace(release, **body)

"""Kubernetes objects as data: what they are called, where they were written, what they hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

Json: TypeAlias = Any
"""A JSON value as the API server sends it. ``Any`` because a recursive alias buys nothing here."""

Object: TypeAlias = dict[str, Any]
"""One Kubernetes object, as plain JSON. Treated as immutable: whoever changes one copies it first."""

FieldPath: TypeAlias = tuple[str | int, ...]
"""Steps from the root of an object: ``("spec", "containers", 0, "image")``."""


class ObjectRef(NamedTuple):
    """The identity of an object; written ``group/Kind/namespace/name``.

    Without the version, which the API server does not count as part of an object's identity either.
    The group of the core API and the namespace of a cluster-scoped object are empty.
    A tuple, since it is the key of nearly everything: hashed and compared ten times as fast as a dataclass.
    """

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.group}/{self.kind}/{self.namespace}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> ObjectRef:
        """Read the written form. Raises ValueError where it has not four parts."""
        parts = text.strip().split("/")
        if len(parts) != 4 or not parts[1] or not parts[3]:
            raise ValueError(f"{text!r} is not group/Kind/namespace/name")
        return cls(*parts)

    @classmethod
    def of(cls, obj: Mapping[str, Any]) -> ObjectRef:
        """The identity of an object that has apiVersion, kind and metadata.name."""
        group, _, _ = str(obj["apiVersion"]).rpartition("/")
        meta = obj["metadata"]
        return cls(group, str(obj["kind"]), str(meta.get("namespace") or ""), str(meta["name"]))

    @property
    def group_kind(self) -> tuple[str, str]:
        return self.group, self.kind

    @property
    def short(self) -> str:
        """For people, where the namespace is plain from the context: ``Deployment/web``."""
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where something was written: path within the repository, line and column from 1."""

    path: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"

    @classmethod
    def parse(cls, text: str) -> Origin | None:
        """Read the written form; None where it is not that."""
        path, _, line = text.rpartition(":")
        return cls(path, int(line)) if path and line.isdecimal() else None


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object as the repository wants it.

    ``lines`` gives the line of every field, so that a cause can point at the image that could not
    be pulled rather than at the file; ``elsewhere`` has the fields that another file has set. ``generated``
    are those that a chart makes up at each rendering. ``installs``: it is of a chart that the environment did
    not have before, whatever else it had.
    """

    ref: ObjectRef
    body: Object
    origin: Origin
    lines: Mapping[FieldPath, int] = field(default_factory=dict, repr=False, compare=False)
    elsewhere: Mapping[FieldPath, Origin] = field(default_factory=dict, repr=False, compare=False)
    generated: tuple[FieldPath, ...] = ()
    installs: bool = False

    @property
    def api_version(self) -> str:
        return str(self.body["apiVersion"])

    def with_body(self, body: Object) -> Manifest:
        """The same object as written, with other content."""
        # No ``replace``: of thousands that takes three times as long.
        return Manifest(
            self.ref, body, self.origin, self.lines, self.elsewhere, self.generated, self.installs
        )

    def origin_of(self, path: FieldPath) -> Origin:
        """Where the field stands; the nearest enclosing field where it is not written itself."""
        for end in range(len(path), 0, -1):
            place = self.elsewhere.get(path[:end]) if self.elsewhere else None
            if place is not None:
                return place
            line = self.lines.get(path[:end])
            if line is not None:
                return Origin(self.origin.path, line)
        return self.origin


@dataclass(frozen=True, slots=True)
class ResourceType:
    """How the API server serves a kind: ``/apis/<group>/<version>/[namespaces/<ns>/]<plural>``."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


def canonical(value: Json) -> bytes:
    """JSON with one spelling for one value: sorted keys, no blanks, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: Json) -> str:
    """``sha256:<hex>`` of the canonical JSON: equal content, equal digest."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


def get_path(obj: Json, *path: str | int, default: Json = None) -> Json:
    """Follow ``path`` through dicts and lists; ``default`` where it ends early or holds null."""
    for step in path:
        if isinstance(obj, dict):
            obj = obj.get(step)
        elif isinstance(obj, list) and isinstance(step, int) and -len(obj) <= step < len(obj):
            obj = obj[step]
        else:
            return default
    return default if obj is None else obj


def show_path(path: FieldPath) -> str:
    """``spec.containers[0].image``: as people and kubectl write it. Keys with dots are quoted."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif "." in step or "/" in step or not step:
            text += f'["{step}"]'
        else:
            text += f".{step}" if text else step
    return text

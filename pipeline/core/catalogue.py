"""The kinds that one version of Kubernetes serves itself, with the shape of their objects.

Made from what Kubernetes publishes (``python -m tests.schemas``), in the words of a structural schema, so
that ``core.structural`` judges built-in kinds and custom resources alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pipeline.core.schema import nearest
from pipeline.model.objects import Json, Object

_METADATA: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_INNER: Final = ("items", "additionalProperties")


class Catalogue:
    """Schemas are put together when they are asked for, and share their parts: they may be circular.

    ``older`` gives the versions before, newest first, where the one that is meant is not known.
    """

    def __init__(
        self, document: Mapping[str, Json], older: Callable[[], Sequence[Catalogue]] = tuple
    ) -> None:
        self.version = ".".join(str(document["version"]).split(".")[:2])
        self.older = older
        self._kinds: Mapping[str, Mapping[str, str]] = document["kinds"]
        self._definitions: Mapping[str, Object] = document["definitions"]
        self._groups = frozenset(version.rpartition("/")[0] for version in self._kinds)
        self._ready: dict[str, Object] = {}

    @property
    def metadata(self) -> Object:
        """The shape of every object's metadata."""
        return self._definition(_METADATA)

    def schema(self, api_version: str, kind: str) -> Object | None:
        """The shape of a kind's objects; None where this version of Kubernetes does not serve it."""
        name = self._kinds.get(api_version, {}).get(kind)
        return None if name is None else self._definition(name)

    def is_own(self, api_version: str) -> bool:
        """Whether the group is one of Kubernetes itself, in which nobody else defines kinds."""
        return api_version.rpartition("/")[0] in self._groups

    def alternative(self, api_version: str, kind: str) -> str:
        """What a kind that is not served was probably meant to be, ``apps/v1 Deployment``; or empty."""
        group = api_version.rpartition("/")[0]
        for same_group in (True, False):
            for version, kinds in self._kinds.items():
                if kind in kinds and (version.rpartition("/")[0] == group) is same_group:
                    return f"{version} {kind}"
        near = nearest(kind, self._kinds.get(api_version, ()))
        return f"{api_version} {near}" if near else ""

    def _definition(self, name: str) -> Object:
        schema = self._definitions[name]
        if "$ref" in schema:
            return self._definition(schema["$ref"])
        if name not in self._ready:
            # First the empty one: what is circular leads back to it.
            self._ready[name] = {}
            self._ready[name].update(self._put_together(schema))
        return self._ready[name]

    def _put_together(self, schema: Object) -> Object:
        if "$ref" in schema:
            return self._definition(schema["$ref"])
        # A null is as good as nothing there, in lists too.
        found = {**schema, "nullable": True}
        for key in _INNER:
            if key in found:
                found[key] = self._put_together(found[key])
        if "properties" in found:
            found["properties"] = {n: self._put_together(inner) for n, inner in found["properties"].items()}
        return found

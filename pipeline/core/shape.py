"""Manifests against the schema of their kind, without a server: of Kubernetes itself, or of a definition.

What Kubernetes accepts must pass: null is as good as nothing there, and what only admission knows (ranges,
immutability, policies) is left to it. tests/contract/test_schemas_as_server.py holds both side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from pipeline.core.at_field import error, warning
from pipeline.core.catalogue import Catalogue
from pipeline.core.removed import fate
from pipeline.core.structural import Finding, findings, schemas, told, violations
from pipeline.core.versions import served
from pipeline.model.errors import Problem
from pipeline.model.objects import Json, Manifest, Object

_CRD: Final = "CustomResourceDefinition"


class Shapes:
    """Every schema that is known: of one version of Kubernetes, and of definitions.

    ``given`` are definitions beside those of the set, which count more.
    """

    def __init__(self, catalogue: Catalogue, manifests: Sequence[Manifest], given: Iterable[Object] = ()):
        own = [m.body for m in manifests if m.ref.kind == _CRD]
        definitions = [*given, *own]
        self._catalogue = catalogue
        self._defined: Mapping[tuple[str, str], Object] = schemas(definitions)
        self._served = served(definitions)
        self._missed: set[tuple[str, str]] = set()

    def problems(self, manifest: Manifest) -> list[Problem]:
        """What is wrong with one object. A kind that nobody knows is told once, as a warning."""
        version, kind = manifest.api_version, manifest.ref.kind
        serving = self._serving(version, kind)
        schema = serving.schema(version, kind) if serving else None
        if schema is not None:
            return told(manifest, _of_kubernetes(findings(_without_nulls(_judged(manifest.body)), schema)))
        found = told(manifest, _of_kubernetes(self._of_metadata(manifest)))
        if (version, kind) in self._defined:
            return found + violations(manifest, self._defined[version, kind])
        return found + list(self._unknown(manifest))

    def _serving(self, version: str, kind: str) -> Catalogue | None:
        """The version of Kubernetes to ask. Where none was named, what only older ones serve is theirs."""
        if self._catalogue.schema(version, kind) is not None:
            return self._catalogue
        if not self._catalogue.is_own(version):
            return None
        return next((c for c in self._catalogue.older() if c.schema(version, kind) is not None), None)

    def _of_metadata(self, manifest: Manifest) -> Iterator[Finding]:
        metadata = _without_nulls(manifest.body.get("metadata"))
        return findings(metadata, self._catalogue.metadata, ("metadata",))

    def _unknown(self, manifest: Manifest) -> Iterator[Problem]:
        version, kind = manifest.api_version, manifest.ref.kind
        known = self._served.get(manifest.ref.group_kind)
        if known is not None:
            if version not in known:
                message = f"its definition does not serve {version}"
                hint = f"it serves {', '.join(known)}" if known else "it serves no version"
                yield error(manifest, ("apiVersion",), "unknown-kind", message, hint)
        elif self._catalogue.is_own(version):
            # Of what was removed other rules tell more.
            if fate(version, kind, self._catalogue.version) is None:
                message = f"Kubernetes {self._catalogue.version} has no {version} {kind}"
                meant = self._catalogue.alternative(version, kind)
                hint = f"did you mean {meant}?" if meant else "correct apiVersion or kind"
                yield error(manifest, ("kind",), "unknown-kind", message, hint)
        elif (version, kind) not in self._missed:
            self._missed.add((version, kind))
            message = f"no schema of {version} {kind} is known, so its fields are not checked"
            hint = "pipeline validate --crds FILE takes its CustomResourceDefinition"
            yield warning(manifest, ("kind",), "unknown-kind", message, hint)


def _judged(body: Object) -> Object:
    """Without ``status``, which is a subresource of nearly every kind: the server drops it."""
    return {key: value for key, value in body.items() if key != "status"}


def _without_nulls(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _of_kubernetes(found: Iterable[Finding]) -> list[Finding]:
    """A required field that is only misspelt is told with the misspelling. Nobody adds to these schemas."""
    kept = list(found)
    misspelt = {(*finding.path[:-1], finding.meant) for finding in kept if finding.meant}
    return [
        f._replace(hint="remove it") if f.code == "unknown-field" and not f.meant else f
        for f in kept
        if f.code != "missing-field" or f.path not in misspelt
    ]

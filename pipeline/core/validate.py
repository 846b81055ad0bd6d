"""What is wrong with a set of manifests, as far as it can be known without a cluster: all of it at once.

Pure. No message holds a value of a Secret or of an environment variable.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

from pipeline.core.encrypted import left_encrypted
from pipeline.core.object_rules import problems_of
from pipeline.core.references import references
from pipeline.core.schema import nearest
from pipeline.core.scope import Scope, is_namespaced
from pipeline.model.environment import Environment
from pipeline.model.errors import Problem
from pipeline.model.objects import Manifest, Object, ObjectRef, get_path

_CONFIG_MAP, _SECRET = ("", "ConfigMap"), ("", "Secret")


def with_namespaces(
    manifests: Sequence[Manifest], environment: Environment, namespaced: Scope
) -> list[Manifest]:
    """Every namespaced object in the environment's namespace, unless it names another.

    Cluster-scoped objects lose a namespace that they name, as the API server would drop it.
    ``namespaced`` answers None for kinds that it does not know; see ``scope.is_namespaced``.
    """
    answer = is_namespaced(manifests, namespaced)
    return [_placed(manifest, environment.namespace, answer) for manifest in manifests]


def _placed(manifest: Manifest, default: str, namespaced: Callable[[str, str], bool]) -> Manifest:
    written = manifest.ref.namespace
    wanted = (written or default) if namespaced(manifest.api_version, manifest.ref.kind) else ""
    meta = manifest.body["metadata"]
    if wanted == written and ("namespace" in meta) == bool(wanted):
        return manifest
    meta = {key: value for key, value in meta.items() if key != "namespace"}
    if wanted:
        meta["namespace"] = wanted
    body = {**manifest.body, "metadata": meta}
    return dataclasses.replace(manifest, ref=ObjectRef.of(body), body=body)


def check(manifests: Sequence[Manifest], environment: Environment) -> list[Problem]:
    """Every problem of the set, in its order. Objects are those that ``with_namespaces`` returned."""
    if not manifests:
        return [_empty(environment)]
    places: dict[ObjectRef, Manifest] = {}
    for manifest in manifests:
        places.setdefault(manifest.ref, manifest)
    problems: list[Problem] = []
    for manifest in manifests:
        first = places[manifest.ref]
        if first is not manifest:
            problems.append(_duplicate(first, manifest))
        problems += problems_of(manifest)
        problems += left_encrypted(manifest)
        problems += _not_allowed(manifest, environment)
        problems += _missing_keys(manifest, places, environment)
    return problems


def _empty(environment: Environment) -> Problem:
    folders = ", ".join(source.path for source in environment.sources) or "its sources"
    return Problem(
        code="no-manifests",
        message=f"no manifests found in {folders}",
        origin=environment.sources[0].origin if environment.sources else None,
        hint="commit *.yaml, *.yml or *.json files there, or correct spec.sources",
    )


def _duplicate(first: Manifest, second: Manifest) -> Problem:
    return Problem(
        code="duplicate-object",
        message=f"{first.ref} is written twice, at {first.origin} and {second.origin}",
        origin=second.origin,
        hint="remove one of them",
        object=second.ref,
    )


# --- what the environment allows


def _not_allowed(manifest: Manifest, environment: Environment) -> Iterator[Problem]:
    ref, allow = manifest.ref, environment.allow
    if not ref.namespace:
        own = ref.group_kind == ("", "Namespace") and ref.name == environment.namespace
        entry = f"{ref.kind}.{ref.group}" if ref.group else ref.kind
        if not own and not {"*", ref.kind, entry} & set(allow.cluster_scoped):
            yield Problem(
                code="cluster-scoped-not-allowed",
                message=f"{ref.short} is cluster-scoped, which {environment.name} does not allow",
                origin=manifest.origin_of(("kind",)),
                hint=f"add {entry} to spec.allow.clusterScoped in {environment.path}",
                object=ref,
            )
    elif ref.namespace != environment.namespace and not {"*", ref.namespace} & set(allow.namespaces):
        yield Problem(
            code="namespace-not-allowed",
            message=f"{ref.short} is in namespace {ref.namespace}, which {environment.name} does not allow",
            origin=manifest.origin_of(("metadata", "namespace")),
            hint=f"add {ref.namespace} to spec.allow.namespaces in {environment.path}",
            object=ref,
        )


# --- keys of ConfigMaps and Secrets of the set


def _missing_keys(
    manifest: Manifest, places: Mapping[ObjectRef, Manifest], environment: Environment
) -> Iterator[Problem]:
    for reference in references(manifest.body):
        target = places.get(reference.target)
        if reference.key is None or reference.optional or target is None:
            continue
        keys = _keys(target.body)
        if keys is None or reference.key in keys or str(reference.target) in environment.allow.missing:
            continue
        near = nearest(reference.key, keys)
        yield Problem(
            code="missing-key",
            message=f"{reference.target.short} has no key {reference.key!r}",
            origin=manifest.origin_of(reference.path),
            hint=f"did you mean {near}?" if near else f"it has {', '.join(sorted(keys)[:10])}",
            object=manifest.ref,
        )


def _keys(holder: Object) -> set[str] | None:
    """The keys of a ConfigMap or Secret; None where something else is going to fill it."""
    group_kind = ObjectRef.of(holder).group_kind
    if group_kind == _SECRET and get_path(holder, "type") == "kubernetes.io/service-account-token":
        return None
    fields = {_CONFIG_MAP: ("data", "binaryData"), _SECRET: ("data", "stringData")}.get(group_kind, ())
    found = [get_path(holder, field) for field in fields]
    return {str(key) for data in found if isinstance(data, dict) for key in data} or None

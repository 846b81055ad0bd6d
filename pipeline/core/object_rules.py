"""What can be wrong with one object by itself, where the reason can be told better than a server does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pipeline.core.at_field import error
from pipeline.core.formats import is_base64
from pipeline.core.predict.size import size_problems
from pipeline.core.ready_rules import FAILED, READY, parse_rules
from pipeline.core.references import pod_spec_path
from pipeline.core.removed import removed
from pipeline.core.schema import kind_of, nearest, shown
from pipeline.core.selection import labels_of, matches, parse
from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Json, Manifest, get_path, show_path

# Source of the rules: k8s.io/apimachinery/pkg/util/validation.
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_DATA_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")

_LABEL_NAMED: Final = frozenset({("", "Namespace"), ("", "Service")})
# Their names may hold colons and capitals.
_FREELY_NAMED: Final = frozenset({"rbac.authorization.k8s.io", "certificates.k8s.io"})

_SELECTING: Final = frozenset(
    ("apps", kind) for kind in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")
)


def problems_of(manifest: Manifest) -> list[Problem]:
    """Every problem of the object, from its head to its fields."""
    return [
        *_version(manifest),
        *_name(manifest),
        *_metadata(manifest, ("metadata",)),
        *_readiness(manifest),
        *_data(manifest),
        *_selector(manifest),
        *_pods(manifest),
        *size_problems(manifest),
    ]


def _version(manifest: Manifest) -> Iterator[Problem]:
    version, kind = manifest.api_version, manifest.ref.kind
    gone = removed(version, kind)
    if gone is not None:
        message = f"{version} {kind} was removed in Kubernetes {gone.since}"
        yield error(manifest, ("apiVersion",), "removed-api", message, f"use {gone.instead}")
    elif version.startswith("pipeline/"):
        message = f"{kind} configures pipeline and is no object of Kubernetes"
        hint = "keep manifests in a folder of their own"
        yield error(manifest, ("apiVersion",), "not-an-object", message, hint)


def _name(manifest: Manifest) -> Iterator[Problem]:
    name, group_kind = manifest.ref.name, manifest.ref.group_kind
    if group_kind[0] in _FREELY_NAMED or group_kind == ("networking.k8s.io", "IPAddress"):
        ok, words = name not in (".", "..") and not set("/%") & set(name), "no / and no %"
    elif group_kind in _LABEL_NAMED:
        ok = len(name) <= 63 and _LABEL.fullmatch(name) is not None
        words = "lower-case letters, digits and -, at most 63"
    else:
        ok = len(name) <= 253 and _SUBDOMAIN.fullmatch(name) is not None
        words = "lower-case letters, digits, - and ., at most 253"
    if not ok:
        message = f"metadata.name {shown(name)} is not valid"
        yield error(manifest, ("metadata", "name"), "bad-name", message, words)
    if manifest.ref.namespace and not (
        len(manifest.ref.namespace) <= 63 and _LABEL.fullmatch(manifest.ref.namespace)
    ):
        message = f"metadata.namespace {shown(manifest.ref.namespace)} is not valid"
        hint = "lower-case letters, digits and -, at most 63"
        yield error(manifest, ("metadata", "namespace"), "bad-name", message, hint)


def _readiness(manifest: Manifest) -> Iterator[Problem]:
    """Rules that cannot be read would be found only when the object is waited for."""
    annotations = get_path(manifest.body, "metadata", "annotations")
    for key in (READY, FAILED) if isinstance(annotations, dict) else ():
        if not isinstance(annotations.get(key), str):
            continue
        try:
            parse_rules(annotations[key])
        except ValueError as unreadable:
            at = ("metadata", "annotations", key)
            yield error(
                manifest, at, "bad-rule", f"{key}: {unreadable}", "see docs/readiness.md for the grammar"
            )


# --- labels and annotations


def _metadata(manifest: Manifest, path: FieldPath) -> Iterator[Problem]:
    for field in ("labels", "annotations"):
        at = (*path, field)
        entries = get_path(manifest.body, *at)
        if entries is None:
            continue
        if not isinstance(entries, dict):
            message = f"{show_path(at)} is {kind_of(entries)}, not a mapping"
            yield error(manifest, at, "wrong-type", message)
            continue
        for key, value in entries.items():
            yield from _entry(manifest, at, key, value)


def _entry(manifest: Manifest, at: FieldPath, key: str, value: Json) -> Iterator[Problem]:
    is_label = at[-1] == "labels"
    noun = "label" if is_label else "annotation"
    if not _is_qualified(key if is_label else key.lower()):
        message = f"the {noun} {shown(key)} is no valid key"
        hint = "[prefix/]name: letters, digits, -, _ and ., at most 63 after the slash"
        yield error(manifest, (*at, key), "bad-label", message, hint)
    if not isinstance(value, str):
        message = f"the {noun} {shown(key)} is {kind_of(value)}, not a string"
        yield error(manifest, (*at, key), "wrong-type", message, "quote it")
    elif is_label and value and not (len(value) <= 63 and _QUALIFIED.fullmatch(value)):
        message = f"the value of label {shown(key)} is not valid"
        hint = "letters, digits, -, _ and ., at most 63, alphanumeric at both ends"
        yield error(manifest, (*at, key), "bad-label", message, hint)


def _is_qualified(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= 253 and _SUBDOMAIN.fullmatch(prefix)):
        return False
    return len(name) <= 63 and _QUALIFIED.fullmatch(name) is not None


# --- ConfigMaps and Secrets

_DATA_FIELDS: Final = {
    ("", "ConfigMap"): (("data", False), ("binaryData", True)),
    ("", "Secret"): (("data", True), ("stringData", False)),
}


def _data(manifest: Manifest) -> Iterator[Problem]:
    for field, encoded in _DATA_FIELDS.get(manifest.ref.group_kind, ()):
        entries = manifest.body.get(field)
        if entries is None:
            continue
        if not isinstance(entries, dict):
            yield error(manifest, (field,), "wrong-type", f"{field} is {kind_of(entries)}, not a mapping")
            continue
        for key, value in entries.items():
            yield from _datum(manifest, (field, key), value, encoded=encoded)


def _datum(manifest: Manifest, path: FieldPath, value: Json, *, encoded: bool) -> Iterator[Problem]:
    key = str(path[-1])
    if len(key) > 253 or not _DATA_KEY.fullmatch(key) or key in (".", ".."):
        hint = "letters, digits, -, _ and ."
        yield error(manifest, path, "bad-key", f"the key {shown(key)} is not valid", hint)
    # kubectl sends null for a key without a value, which the API server takes for empty.
    if value is None:
        return
    if not isinstance(value, str):
        message = f"{show_path(path)} is {kind_of(value)}, not a string"
        yield error(manifest, path, "wrong-type", message, "quote it")
    elif encoded and not is_base64(value):
        hint = "write plain text under stringData" if manifest.ref.kind == "Secret" else "encode it"
        yield error(manifest, path, "not-base64", f"{show_path(path)} is not base64", hint)


# --- workloads


def _selector(manifest: Manifest) -> Iterator[Problem]:
    if manifest.ref.group_kind not in _SELECTING:
        return
    spec = manifest.body.get("spec")
    wanted = get_path(spec, "selector", "matchLabels", default={})
    path: FieldPath = ("spec", "selector", "matchLabels")
    if not wanted and not get_path(spec, "selector", "matchExpressions"):
        message = "spec.selector is missing or empty"
        hint = "select the labels of spec.template.metadata.labels"
        yield error(manifest, ("spec", "selector"), "missing-selector", message, hint)
        return
    labels = get_path(spec, "template", "metadata", "labels", default={})
    if not isinstance(wanted, dict) or not isinstance(labels, dict):
        return
    for key, value in wanted.items():
        if labels.get(key) != value:
            message = f"the selector wants label {shown(key)}, the template's labels do not match it"
            hint = "write the same value under spec.template.metadata.labels"
            yield error(manifest, (*path, key), "selector-mismatch", message, hint)
    yield from _expressions(manifest)


def _expressions(manifest: Manifest) -> Iterator[Problem]:
    """Those that the template's labels do not meet. What is malformed is told by its schema."""
    labels = labels_of(manifest.body, ("spec", "template", "metadata"))
    expressions = get_path(manifest.body, "spec", "selector", "matchExpressions")
    for index, expression in enumerate(expressions if isinstance(expressions, list) else ()):
        selector = parse({"matchExpressions": [expression]})
        if selector is not None and not matches(selector, labels):
            key = shown(expression["key"])
            message = f"the selector's expression for label {key} does not match the template's labels"
            hint = "write labels under spec.template.metadata.labels that it matches"
            at = ("spec", "selector", "matchExpressions", index)
            yield error(manifest, at, "selector-mismatch", message, hint)


def _pods(manifest: Manifest) -> Iterator[Problem]:
    path = pod_spec_path(manifest.body)
    if path is None:
        return
    if path != ("spec",):
        yield from _metadata(manifest, (*path[:-1], "metadata"))
    # An Argo rollout may take its pods from a Deployment.
    if get_path(manifest.body, *path) is None and manifest.ref.group == "argoproj.io":
        return
    if not get_path(manifest.body, *path, "containers"):
        yield _without_containers(manifest, path)
    for field in ("initContainers", "containers"):
        containers = get_path(manifest.body, *path, field)
        for index, container in enumerate(containers if isinstance(containers, list) else ()):
            yield from _container(manifest, (*path, field, index), container)


def _without_containers(manifest: Manifest, path: FieldPath) -> Problem:
    """Where the field's name is only misspelt, the line is that of what was written."""
    message = f"{show_path((*path, 'containers'))} is missing or empty"
    spec = get_path(manifest.body, *path)
    others = [key for key in spec if key not in _POD_FIELDS_ALIKE] if isinstance(spec, dict) else []
    written = nearest("containers", others)
    if not written or written == "containers":
        return error(manifest, (*path, "containers"), "no-containers", message)
    hint = f"{shown(written)} is written: did you mean containers?"
    return error(manifest, (*path, written), "no-containers", message, hint)


_POD_FIELDS_ALIKE: Final = frozenset({"initContainers", "ephemeralContainers"})


def _container(manifest: Manifest, path: FieldPath, container: Json) -> Iterator[Problem]:
    image = get_path(container, "image")
    name = get_path(container, "name")
    called = f"the container {shown(name)}" if isinstance(name, str) else show_path(path)
    if not isinstance(image, str) or not image.strip():
        yield error(manifest, path, "no-image", f"{called} has no image")
    variables = get_path(container, "env")
    for index, variable in enumerate(variables if isinstance(variables, list) else ()):
        value = get_path(variable, "value")
        if value is not None and not isinstance(value, str):
            at = (*path, "env", index, "value")
            message = f"{called}: the value of a variable is {kind_of(value)}, not a string"
            yield error(manifest, at, "wrong-type", message, "quote it")

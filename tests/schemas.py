"""Makes ``pipeline/adapters/openapi/``: what Kubernetes publishes of its own kinds, without the prose.

``python -m tests.schemas`` (``make schemas``) fetches the Go module k8s.io/kubernetes in each version below
and takes from it the OpenAPI document (api/openapi-spec), and from the generated Go code the enumerations,
which the document leaves out. A new version is a new line here and a run.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cluster.build import toolchain

VERSIONS = ("1.31.7", "1.32.13", "1.33.13", "1.34.4", "1.35.4", "1.36.3")
"""One release of each minor version. Fields do not change within one."""

FOLDER = Path(__file__).parents[1] / "pipeline/adapters/openapi"

_KEPT = ("type", "format", "required", "x-kubernetes-list-type", "x-kubernetes-list-map-keys")

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_DEFINITIONS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
_ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

_INSTEAD: dict[str, dict[str, Any]] = {
    # The document says string; the server takes numbers, too.
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": "quantity"},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"x-kubernetes-int-or-string": True},
    # Objects of any shape, which the document writes as ones without fields.
    "io.k8s.apimachinery.pkg.runtime.RawExtension": {},
    f"{_META}FieldsV1": _ANYTHING,
    f"{_DEFINITIONS}CustomResourceSubresourceStatus": _ANYTHING,
}

_NOT_NEEDED: dict[str, tuple[str, ...]] = {
    "io.k8s.api.batch.v1.PodFailurePolicy": ("rules",),
    "io.k8s.api.core.v1.HTTPHeader": ("value",),
    "io.k8s.api.core.v1.ISCSIPersistentVolumeSource": ("lun",),
    "io.k8s.api.core.v1.ISCSIVolumeSource": ("lun",),
    "io.k8s.api.core.v1.LimitRangeSpec": ("limits",),
    "io.k8s.api.core.v1.PreferredSchedulingTerm": ("preference",),
    "io.k8s.api.core.v1.SleepAction": ("seconds",),
    "io.k8s.api.core.v1.Sysctl": ("value",),
    "io.k8s.api.storage.v1.CSIDriver": ("spec",),
    "io.k8s.api.storage.v1.TokenRequest": ("audience",),
    f"{_DEFINITIONS}CustomResourceDefinitionVersion": ("served",),
}
"""Fields that the document requires and the server does not: tests/contract/test_schemas_as_server.py."""


def main() -> None:
    """Write the data of every version."""
    go = toolchain()
    for version in VERSIONS:
        module = _module(go, version)
        minor = version.rpartition(".")[0]
        text = json.dumps(_document(module, version), separators=(",", ":"), sort_keys=True)
        target = FOLDER / f"{minor}.json.gz"
        # Without a time: the same input gives the same bytes.
        target.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
        print(f"{target.name}: {target.stat().st_size} bytes, {len(text)} unpacked")


def _module(go: Path, version: str) -> Path:
    command = [str(go), "mod", "download", "-json", f"k8s.io/kubernetes@v{version}"]
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout or "{}")
    if "Dir" not in found:
        sys.exit(f"error: k8s.io/kubernetes {version}: {found.get('Error') or done.stderr.strip()}")
    return Path(found["Dir"])


def _document(module: Path, version: str) -> dict[str, Any]:
    published = json.loads((module / "api/openapi-spec/swagger.json").read_text())["definitions"]
    enums = dict(_enums(module / "pkg/generated/openapi/zz_generated.openapi.go"))
    defaults = _defaults(module / "api/openapi-spec/v3")
    kinds: dict[str, dict[str, str]] = {}
    wanted: list[str] = ["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]
    for name, schema in published.items():
        for api_version, kind in _served(schema):
            kinds.setdefault(api_version, {})[kind] = name
            wanted.append(name)
    definitions: dict[str, Any] = {}
    while wanted:
        name = wanted.pop()
        if name not in definitions:
            definitions[name] = _definition(
                name, published[name], enums.get(name, {}), defaults.get(name, {})
            )
            wanted += _references(definitions[name])
    return {"version": version, "kinds": kinds, "definitions": definitions}


def _served(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The kinds that a definition is the schema of: objects with metadata, no lists of them."""
    meta = schema.get("properties", {}).get("metadata", {})
    if not str(meta.get("$ref")).endswith(".ObjectMeta"):
        return
    for served in schema.get("x-kubernetes-group-version-kind", ()):
        group, version = served["group"], served["version"]
        yield (f"{group}/{version}" if group else version), served["kind"]


def _definition(name: str, schema: Any, enums: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    if name in _INSTEAD:
        return _INSTEAD[name]
    pruned = _pruned(schema)
    if "required" in pruned:
        pruned["required"] = [f for f in pruned["required"] if f not in _NOT_NEEDED.get(name, ())]
    for field, values in enums.items():
        inner = pruned["properties"][field]
        # An empty text is as good as none.
        (inner["items"] if inner.get("type") == "array" else inner)["enum"] = sorted({*values, ""})
    for field, value in defaults.items():
        pruned["properties"].get(field, {})["default"] = value
    return pruned


def _pruned(schema: Any) -> dict[str, Any]:
    found = {key: schema[key] for key in _KEPT if key in schema}
    if found.get("format") == "byte":
        # Unlike definitions of others, Kubernetes' own take an empty text for it.
        found = {"type": "base64"}
    if "$ref" in schema:
        found["$ref"] = schema["$ref"].rpartition("/")[2]
    for key in ("items", "additionalProperties"):
        if key in schema:
            found[key] = _pruned(schema[key])
    if "properties" in schema:
        found["properties"] = {name: _pruned(inner) for name, inner in schema["properties"].items()}
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            # A text: the schema of schemas has a field of that name.
            if key == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)


_FUNCTION = re.compile(r"^func schema_(\w+)\(ref ")
_FIELD = re.compile(r'^\t{5}"(\w+)": \{$')
_ENUM = re.compile(r"^\t+Enum: +\[\]interface\{\}\{(.*)\},$")


def _enums(generated: Path) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Definition → field → values, of the code that kube-openapi makes."""
    name, field, found = "", "", {}
    for line in generated.read_text().splitlines():
        if match := _FUNCTION.match(line):
            if found:
                yield name, found
            name, field, found = _published(match[1]), "", {}
        elif match := _FIELD.match(line):
            field = match[1]
        elif match := _ENUM.match(line):
            found[field] = json.loads(f"[{match[1]}]")
    if found:
        yield name, found


def _published(function: str) -> str:
    """``k8sio_api_core_v1_Container`` → ``io.k8s.api.core.v1.Container``."""
    for start, package in (
        ("k8sio_api_", "io.k8s.api."),
        ("pkg_apis_apiextensions_", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions."),
        ("pkg_apis_meta_", "io.k8s.apimachinery.pkg.apis.meta."),
        ("pkg_apis_apiregistration_", "io.k8s.kube-aggregator.pkg.apis.apiregistration."),
    ):
        if function.startswith(start):
            return package + function.removeprefix(start).replace("_", ".")
    return function


def _defaults(folder: Path) -> dict[str, dict[str, Any]]:
    """Definition → field → default, of the keys of lists, by which two items are told to be one."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("*_openapi.json")):
        for name, schema in json.loads(file.read_text()).get("components", {}).get("schemas", {}).items():
            for field, inner in schema.get("properties", {}).items():
                if isinstance(inner.get("default"), str) and inner["default"]:
                    found.setdefault(name, {})[field] = inner["default"]
    return found


if __name__ == "__main__":
    main()

"""What a kustomization refers to, and what of it is refused before kustomize runs.

A kustomization is somebody's text that makes kustomize read files, fetch from hosts and run programs. Pure:
where the references lead is found out by ``adapters/kustomize_graph.py``. Fields are those of
``kustomize.config.k8s.io/v1beta1`` (https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pipeline.core.schema import kind_of, nearest, shown
from pipeline.model.objects import FieldPath, Json, show_path

FILE_NAMES: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")


class Role(StrEnum):
    """What a reference may lead to."""

    RESOURCE = "resource"  # a file of objects, or the folder of a kustomization
    FOLDER = "folder"  # the folder of a kustomization
    PATCH = "patch"  # a file that changes objects
    PLUGIN = "plugin"  # a file of settings for built-in plugins, or a folder that makes such
    REPLACEMENT = "replacement"  # a file of replacements
    FILE = "file"  # any other file, whatever it holds


@dataclass(frozen=True, slots=True)
class Reference:
    """``at`` is the field that names ``path``."""

    at: FieldPath
    path: str
    role: Role


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a field is refused."""

    at: FieldPath
    code: str
    message: str
    hint: str = ""


_LISTS: Final[Mapping[str, Role]] = {
    "resources": Role.RESOURCE,
    "bases": Role.FOLDER,
    "components": Role.FOLDER,
    "crds": Role.FILE,
    "configurations": Role.FILE,
    "generators": Role.PLUGIN,
    "transformers": Role.PLUGIN,
    "validators": Role.PLUGIN,
    "patchesStrategicMerge": Role.PATCH,
}
"""Fields that are lists of paths; some may hold YAML instead of a path."""

_INLINE: Final = {"generators", "transformers", "validators", "patchesStrategicMerge"}

_ENTRIES: Final[Mapping[str, Role]] = {
    "patches": Role.PATCH,
    "patchesJson6902": Role.PATCH,
    "replacements": Role.REPLACEMENT,
}
"""Fields that are lists of mappings with a ``path``."""

_GENERATORS: Final = ("configMapGenerator", "secretGenerator")
_HELM: Final = ("helmCharts", "helmGlobals", "helmChartInflationGenerator")

KNOWN: Final = frozenset(
    {
        "apiVersion", "kind", "metadata", "namespace", "namePrefix", "nameSuffix", "labels", "commonLabels",
        "commonAnnotations", "images", "imageTags", "replicas", "vars", "generatorOptions", "openapi",
        "inventory", "buildMetadata", "sortOptions", *_LISTS, *_ENTRIES, *_GENERATORS, *_HELM,
    }
)  # fmt: skip

_MAPPING_KEYS: Final = ("path", "patch", "paths", "files", "envs", "env", "replacements")

_REMOTE: Final = re.compile(
    r"""://                              # a scheme
      | ^[\w+.-]+:                       # git::, or host:path as scp writes it
      | ^[\w.-]+@                        # user@host
      | [?](ref|version|timeout|submodules)=
      | (^|/)_git(/|$)                   # Azure
      | ^(www\.)?github\.com[/:]
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""All that kustomize may take for another repository or an address (its api/internal/git/repospec.go), and
more: what only looks like it is refused, too."""


def is_remote(path: str) -> bool:
    """Whether kustomize might fetch this. Said of the text, whatever files there are."""
    return _REMOTE.search(path) is not None


def references(value: Mapping[str, Json]) -> Iterator[Reference]:
    """Every path of a kustomization, in the order of its fields. Values of other shapes are passed over:
    kustomize refuses them before it reads anything."""
    for name, field in value.items():
        at: FieldPath = (name,)
        if name in _LISTS:
            for index, text in _texts(field):
                if not (name in _INLINE and is_inline(text)):
                    yield Reference((*at, index), text, _LISTS[name])
        elif name in _ENTRIES:
            yield from _of_entries(field, at, _ENTRIES[name])
        elif name in _GENERATORS:
            for index, entry in _mappings(field):
                yield from _of_generator(entry, (*at, index))
        elif name == "openapi" and isinstance(field, dict) and isinstance(field.get("path"), str):
            yield Reference((*at, "path"), field["path"], Role.FILE)


def inline_plugins(value: Mapping[str, Json]) -> Iterator[tuple[FieldPath, str]]:
    """(field, text) of plugin settings that stand in the kustomization itself."""
    for name in ("generators", "transformers", "validators"):
        for index, text in _texts(value.get(name)):
            if is_inline(text):
                yield (name, index), text


def is_inline(text: str) -> bool:
    """Whether an entry is YAML rather than a path: several lines, or JSON. Neither can be an address, which
    kustomize would try first."""
    return "\n" in text.strip() or text.lstrip().startswith("{")


def plugin_references(value: Json) -> Iterator[Reference]:
    """Every path of one document of plugin settings."""
    if not isinstance(value, dict):
        return
    if isinstance(value.get("path"), str):
        yield Reference(("path",), value["path"], Role.PATCH)
    for index, text in _texts(value.get("paths")):
        if not is_inline(text):
            yield Reference(("paths", index), text, Role.PATCH)
    yield from _of_entries(value.get("replacements"), ("replacements",), Role.REPLACEMENT)
    yield from _of_generator(value, ())


def _of_entries(field: Json, at: FieldPath, role: Role) -> Iterator[Reference]:
    for index, entry in _mappings(field):
        if isinstance(entry.get("path"), str) and entry["path"]:
            yield Reference((*at, index, "path"), entry["path"], role)


def _of_generator(entry: Mapping[str, Json], at: FieldPath) -> Iterator[Reference]:
    for index, text in _texts(entry.get("files")):
        # `key=path`, or the path alone, whose last part becomes the key.
        yield Reference((*at, "files", index), text.partition("=")[2] or text, Role.FILE)
    for index, text in _texts(entry.get("envs")):
        yield Reference((*at, "envs", index), text, Role.FILE)
    if isinstance(entry.get("env"), str) and entry["env"]:
        yield Reference((*at, "env"), entry["env"], Role.FILE)


def _texts(field: Json) -> list[tuple[int, str]]:
    return [(i, text) for i, text in enumerate(field) if isinstance(text, str)] if _is_list(field) else []


def _mappings(field: Json) -> list[tuple[int, dict[str, Json]]]:
    return [(i, entry) for i, entry in enumerate(field) if isinstance(entry, dict)] if _is_list(field) else []


def _is_list(field: Json) -> bool:
    return isinstance(field, list)


# --- what is refused


def refusals(value: Json) -> Iterator[Refusal]:
    """What of a kustomization is refused, but for its references."""
    if not isinstance(value, dict):
        yield Refusal((), "not-a-kustomization", f"{kind_of(value)}, not a kustomization")
        return
    for name in value:
        if name not in KNOWN:
            near = nearest(name, KNOWN)
            hint = f"did you mean {near}?" if near else ""
            yield Refusal((name,), "unknown-key", f"unknown key {shown(name)} in a kustomization", hint)
        elif name in _HELM and value[name]:
            message = f"{name} makes kustomize run helm"
            yield Refusal((name,), "plugin-refused", message, "make the chart a source of its own: - helm: …")
        else:
            yield from _misspelt(value[name], (name,))


def plugin_refusals(value: Json) -> Iterator[Refusal]:
    """What of one document of plugin settings is refused: all but the plugins that kustomize has built in."""
    if not isinstance(value, dict):
        yield Refusal((), "plugin-refused", f"{kind_of(value)}, not the settings of a plugin")
        return
    kind = value.get("kind")
    meta = value.get("metadata")
    annotations = meta.get("annotations") if isinstance(meta, dict) else None
    names = annotations if isinstance(annotations, dict) else {}
    runs = any(name in names for name in ("config.kubernetes.io/function", "config.k8s.io/function"))
    if value.get("apiVersion") != "builtin" or runs or kind == "HelmChartInflationGenerator":
        hint = "only apiVersion: builtin is rendered, without helm and functions"
        yield Refusal(
            ("kind",), "plugin-refused", f"{shown(str(kind))} would make kustomize run a program", hint
        )
    yield from _misspelt(value, ())


def _misspelt(field: Json, at: FieldPath) -> Iterator[Refusal]:
    """Keys that JSON readers of Go take for another one: they do not mind capitals."""
    if isinstance(field, dict):
        for key, item in field.items():
            right = key.lower()
            if right in _MAPPING_KEYS and key != right:
                message = f"{show_path((*at, key))} is read as {right}"
                yield Refusal((*at, key), "unknown-key", message, f"write {right}")
            if key == "replacements" and len(at) == 0:
                yield from _misspelt(item, (*at, key))
    elif isinstance(field, list):
        for index, item in enumerate(field):
            yield from _misspelt(item, (*at, index))

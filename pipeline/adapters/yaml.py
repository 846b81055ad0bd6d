"""YAML and JSON files: to values and manifests with their lines, and back to text.

Values are those that kubectl would read, or the file is refused with the line and the reason; no
document is ever dropped.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, NoReturn

import yaml
from yaml.error import MarkedYAMLError
from yaml.reader import ReaderError

from pipeline.core.encrypted import is_encrypted
from pipeline.core.scalars import needs_quotes, whole
from pipeline.core.schema import kind_of
from pipeline.model.errors import InvalidError, Problem
from pipeline.model.objects import FieldPath, Json, Manifest, Object, ObjectRef, Origin

from .compose import Composer, Document, StopError
from .survey import SURVEYED, exceeded

__all__ = ["MAX_BYTES", "Document", "dump", "load_documents", "load_manifests", "manifests_of"]

MAX_BYTES: Final = 16 * 1024 * 1024
"""A single file; the API server takes no object of more than 3 MiB."""

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def load_documents(path: str, data: bytes) -> list[Document]:
    """The documents of a file that are not empty.

    Raises:
        InvalidError: with every problem that was found, each located in ``path``.
    """
    if len(data) > MAX_BYTES:
        _refuse(path, "too-large", f"the file has more than {MAX_BYTES >> 20} MiB")
    text = _decode(path, data)
    if len(text) > SURVEYED:
        try:
            problem = exceeded(path, text)
        except (yaml.YAMLError, ValueError) as error:
            problem = _syntax_problem(path, text, error)
        if problem:
            _raise(path, [problem])
    as_json: _AsJson | None = None
    if path.endswith(".json"):
        text = _SURROGATES.sub(_join_surrogates, text)
        as_json = _read_json(text)
    composer = Composer(path, text)
    try:
        documents = list(composer.documents())
    except StopError:
        documents = []
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        composer.problems.append(_syntax_problem(path, text, error))
        documents = []
    if composer.problems:
        _raise(path, composer.problems)
    if as_json is not None:
        _check_json(path, as_json, documents)
    return documents


def load_manifests(path: str, data: bytes) -> list[Manifest]:
    """The objects of a file, those of lists one by one. The namespace stays as it is written.

    Raises:
        InvalidError: with every problem that was found, each located in ``path``.
    """
    return manifests_of(path, load_documents(path, data))


def manifests_of(path: str, documents: Sequence[Document]) -> list[Manifest]:
    """The same of documents that were read already."""
    manifests: list[Manifest] = []
    problems: list[Problem] = []
    for document in documents:
        for value, origin, lines in flatten(document):
            found = identity_problems(value, origin, lines)
            problems += found
            if not found:
                manifests.append(Manifest(ObjectRef.of(value), value, origin, lines))
    if problems:
        _raise(path, problems)
    return manifests


def dump(values: Sequence[Json]) -> str:
    """One YAML text with a document for each value, that reads back the same with any YAML reader."""
    text: str = yaml.dump_all(
        values,
        Dumper=_Dumper,
        explicit_start=True,
        default_flow_style=False,
        sort_keys=False,
        allow_unicode=True,
        width=2**20,
    )
    return text


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None
    if needs_quotes(text):
        style = '"'
    elif (
        "\n" in text
        and text[0] not in " \n"
        and not any(line.endswith((" ", "\t")) for line in text.split("\n"))
    ):
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


# --- text

# JSON writes characters beyond U+FFFF as two escapes, which YAML does not know.
_SURROGATES: Final = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
)


def _join_surrogates(match: re.Match[str]) -> str:
    high, low = int(match[2], 16), int(match[3], 16)
    return match[1] + chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))


def _decode(path: str, data: bytes) -> str:
    bom, encoding = next((known for known in _BOMS if data.startswith(known[0])), (b"", "utf-8"))
    data = data[len(bom) :]
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].decode(encoding, "replace").count("\n") + 1
        _refuse(path, "bad-encoding", f"not valid {encoding.upper()[:6].rstrip('-')}: {error.reason}", line)


def _syntax_problem(path: str, text: str, error: Exception) -> Problem:
    """What a reader said, on one line, without the text that it quotes."""
    line, column, reason = 1, 1, "cannot be read"
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        if mark is not None:
            line, column = mark.line + 1, mark.column + 1
        reason = error.problem or error.context or reason
        if error.context and error.problem:
            reason = f"{error.problem} {error.context}"
    elif isinstance(error, ReaderError):
        before = text.encode()[: error.position].decode(errors="replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        reason = str(error.reason)
    hint = next((hint for word, hint in _SYNTAX_HINTS if word in reason), _SYNTAX_HINT)
    origin = Origin(path, line, column)
    return Problem(code="yaml-syntax", message=f"not YAML: {reason}", origin=origin, hint=hint)


_SYNTAX_HINT = "look at the indentation and the quotes of this line and the one before"
_SYNTAX_HINTS = (
    ("tab character", "indent with spaces"),
    ("mapping values are not allowed", "quote a value that holds a colon and a space"),
)
_HINTS = {
    "duplicate-key": "keep one of them",
    "missing-field": "every object needs apiVersion, kind and metadata.name",
    "too-large": "split it into several files",
    "not-an-object": "write one object a document, separated by ---",
    "encrypted": "name its file as a source of manifests, or as values of a chart: there it is decrypted",
}


class _AsJson(NamedTuple):
    """What a reader of JSON makes of a file: a digest of its value, not the value, which is large; or why it
    makes nothing of it. Empty where there is nothing to read."""

    content: str = ""
    problem: str = ""
    line: int = 1
    column: int = 1


def _read_json(text: str) -> _AsJson:
    if not text.strip():
        return _AsJson()
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=lambda digits: whole(float(digits)))
        return _AsJson("" if value is None else _digest(value))
    except json.JSONDecodeError as error:
        return _AsJson(problem=f"not JSON: {error.msg}", line=error.lineno, column=error.colno)
    except RecursionError:
        return _AsJson(problem="not JSON: nested too deep")
    except ValueError as error:
        return _AsJson(problem=f"not JSON: {error}")


def _check_json(path: str, as_json: _AsJson, documents: list[Document]) -> None:
    """Refuse a .json file that is not JSON, or that JSON readers understand otherwise."""
    if as_json.problem:
        _refuse(path, "json-syntax", as_json.problem, as_json.line, as_json.column)
    if [_digest(document.value) for document in documents] != [as_json.content][: bool(as_json.content)]:
        _refuse(path, "json-syntax", "reads differently as JSON and as YAML")


def _digest(value: Json) -> str:
    """Equal for equal values. Piece by piece: written out, a large value would take its size once more."""
    found, pending = hashlib.sha256(), [value]
    while pending:
        one = pending.pop()
        if isinstance(one, dict):
            found.update(b"{%d" % len(one))
            pending += [part for key in sorted(one) for part in (one[key], key)]
        elif isinstance(one, list):
            found.update(b"[%d" % len(one))
            pending += one
        else:
            text = json.dumps(one).encode()
            found.update(b"%d:%s" % (len(text), text))
    return found.hexdigest()


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


# --- objects


def flatten(document: Document) -> Iterator[tuple[Json, Origin, dict[FieldPath, int]]]:
    """The document, or the items of the list that it is, also of lists within lists, in order."""
    pending = [(document.value, document.origin, document.lines)]
    while pending:
        value, origin, lines = pending.pop()
        if not _is_list(value):
            yield value, origin, lines
            continue
        parts = _lines_of_items(lines)
        items = []
        for index, item in enumerate(value["items"]):
            own = parts.get(index, {})
            items.append((_with_kind(item, value), Origin(origin.path, own.get((), origin.line)), own))
        pending += reversed(items)


def _is_list(value: Json) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("kind"), str)
        and value["kind"].endswith("List")
        and isinstance(value.get("items"), list)
    )


def _lines_of_items(lines: dict[FieldPath, int]) -> dict[int, dict[FieldPath, int]]:
    parts: dict[int, dict[FieldPath, int]] = {}
    for path, line in lines.items():
        if len(path) > 1 and path[0] == "items" and isinstance(path[1], int):
            parts.setdefault(path[1], {})[path[2:]] = line
    return parts


def _with_kind(item: Json, parent: Object) -> Json:
    """Items of a ``ConfigMapList`` need not say what they are."""
    kind = parent["kind"].removesuffix("List")
    if isinstance(item, dict) and kind and "kind" not in item and "apiVersion" not in item:
        return {"apiVersion": parent.get("apiVersion"), "kind": kind, **item}
    return item


def identity_problems(value: Json, origin: Origin, lines: dict[FieldPath, int]) -> list[Problem]:
    """Why ``value`` is no object that can be applied."""
    if not isinstance(value, dict):
        return [
            Problem(code="not-an-object", message=f"{kind_of(value)}, not a Kubernetes object", origin=origin)
        ]
    if str(value.get("apiVersion")).startswith("kustomize.config.k8s.io/"):
        hint = "make its folder a source of its own: - kustomize: …"
        return [
            Problem(code="not-an-object", message="a kustomization, not an object", origin=origin, hint=hint)
        ]
    if is_encrypted(value):
        place = Origin(origin.path, lines.get(("sops",), origin.line))
        message = "encrypted by SOPS, not an object"
        return [Problem(code="encrypted", message=message, origin=place)]
    problems = []
    meta = value.get("metadata")
    for name, holder, path in (
        ("apiVersion", value, ("apiVersion",)),
        ("kind", value, ("kind",)),
        ("metadata.name", meta if isinstance(meta, dict) else {}, ("metadata", "name")),
        ("metadata.namespace", meta if isinstance(meta, dict) else {}, ("metadata", "namespace")),
    ):
        word = holder.get(path[-1])
        place = Origin(origin.path, lines.get(path, lines.get(path[:1], origin.line)))
        if word is None and name == "metadata.namespace":
            continue
        if name == "metadata.name" and not word and "generateName" in holder:
            message = "metadata.generateName makes a new object at every deploy"
            problems.append(
                Problem(code="generate-name", message=message, origin=place, hint="write metadata.name")
            )
        elif word is None or word == "":
            problems.append(Problem(code="missing-field", message=f"an object without {name}", origin=place))
        elif not isinstance(word, str):
            message = f"{name} is {kind_of(word)}, not a string"
            problems.append(Problem(code="wrong-type", message=message, origin=place, hint="quote it"))
    return problems


def _refuse(path: str, code: str, message: str, line: int = 1, column: int = 1) -> NoReturn:
    _raise(path, [Problem(code=code, message=message, origin=Origin(path, line, column))])


def _raise(path: str, problems: Sequence[Problem]) -> NoReturn:
    problems = [replace(p, hint=p.hint or _HINTS.get(p.code, "")) for p in problems]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    raise InvalidError(f"read {path}: {problems[0]}{more}", problems=problems)

"""What is fuzzed: an input from a strategy, and what must hold for each. Whatever else is raised is a bug."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from pipeline.adapters import git_command
from pipeline.adapters.schemas import catalogue
from pipeline.adapters.yaml import Document, dump, load_documents, load_manifests
from pipeline.core import kustomization
from pipeline.core.offline import offline_problems
from pipeline.core.scalars import whole
from pipeline.core.validate import check, with_namespaces
from pipeline.model.environment import Environment
from pipeline.model.errors import InvalidError
from pipeline.model.objects import FieldPath, Manifest, ObjectRef, Origin, get_path
from tests.contract.documents import SCALARS, SHAPES, SPELLINGS, Documents
from tests.fuzz.links import links_count, two_commits

_SAMPLES = Path(__file__).parents[1] / "contract/samples.yaml"
_MARKS = b"[]{}:,&*!|>'\"%@`#?-<=~\n\r\t \x00\xff\xfe\\.0u"


@dataclass(frozen=True)
class Target:
    """``law`` raises for an input that breaks it."""

    inputs: st.SearchStrategy[Any]
    law: Callable[[Any], None]


# --- inputs


@st.composite
def _documents(draw: st.DrawFn) -> str:
    """One document that is mostly YAML."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    return Documents(rng, SCALARS + SPELLINGS).one(draw(st.sampled_from(SHAPES)))


@st.composite
def _broken(draw: st.DrawFn, seeds: st.SearchStrategy[bytes]) -> bytes:
    """A file with a few bytes more, fewer or other ones."""
    data = bytearray(draw(seeds))
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(data)))
        if draw(st.booleans()):
            data[at:at] = bytes([draw(st.sampled_from(_MARKS))])
        else:
            del data[at : at + draw(st.integers(1, 5))]
    return bytes(data)


_TEXTS = st.lists(_documents(), min_size=1, max_size=3).map(lambda parts: "---\n".join(parts).encode())
_FILES = st.one_of(
    _broken(_TEXTS),
    st.text(alphabet="ab01 \n:-[]{}&*!|>#'\"?,%~<.=\t\ufeffé", max_size=60).map(str.encode),
    _broken(st.sampled_from([text.encode("utf-16") for text in ("a: 1\n", "é: [x, y]\n---\n- z\n")])),
    st.binary(max_size=60),
)
# Without NUL, which is refused in YAML, and halves of pairs, which no text of UTF-8 holds.
_CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0")
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(_CHARACTERS, max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(_CHARACTERS, max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


# --- reading


def _reads(path: str, data: bytes) -> list[Document]:
    """The documents, or none where the file is refused, as it must be: located, in one line."""
    try:
        return load_documents(path, data)
    except InvalidError as error:
        problems = error.problems
    assert problems
    for problem in problems:
        assert problem.origin is not None
        assert problem.origin.path == path
        # libyaml counts lines of YAML 1.1, which have more ends than bytes have line feeds.
        assert 1 <= problem.origin.line <= len(data) + 1
        assert len(str(problem).splitlines()) == 1
    return []


def composer(data: bytes) -> None:
    """Values are JSON, each field has its line, and what is written out reads back the same."""
    documents = _reads("f.yaml", data)
    for document in documents:
        json.dumps(document.value, allow_nan=False)
        missing = [path for path in _fields(document.value) if path not in document.lines]
        assert not missing, missing
        assert all(1 <= line <= len(data) + 1 for line in document.lines.values())
    values = [document.value for document in documents]
    assert [d.value for d in load_documents("f.yaml", dump(values).encode())] == values


def _fields(value: Any, path: FieldPath = ()) -> Iterator[FieldPath]:
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for step, inner in entries:
        yield (*path, step)
        yield from _fields(inner, (*path, step))


def json_reader(data: bytes) -> None:
    """A file of JSON has the value that a reader of JSON makes of it."""
    documents = _reads("f.json", data)
    for document in documents:
        # What a mark at the start says of the encoding is taken off.
        text = data.decode("utf-8-sig" if data[:1] == b"\xef" else "utf-8")
        assert document.value == _whole(json.loads(text))


_JSON = st.one_of(
    _broken(_VALUES.map(lambda value: json.dumps(value).encode())),
    _broken(
        _VALUES.map(lambda value: json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8", "replace"))
    ),
)


def splitter(parts: list[str]) -> None:
    """A file of several documents has those of its parts, none dropped; so has a list of their objects."""
    parts = [part if part.endswith("\n") else part + "\n" for part in parts]
    alone = [_reads("f.yaml", part.encode()) for part in parts]
    if not all(alone):
        return  # one is refused, or empty: then the whole may be, too
    whole = _reads("f.yaml", "---\n".join(parts).encode())
    values = [document.value for documents in alone for document in documents]
    assert [document.value for document in whole] == values
    items = [
        {"apiVersion": "v1", "kind": "A", "metadata": {"name": f"n{n}"}, "v": v} for n, v in enumerate(values)
    ]
    text = dump([{"apiVersion": "v1", "kind": "List", "items": items}, *items]).encode()
    assert [manifest.body for manifest in load_manifests("f.yaml", text)] == items * 2


def dumped(values: list[Any]) -> None:
    """Whatever JSON holds is written so that it reads back the same; of several empty ones none is there."""
    kept = [value for value in values if value is not None]
    read = [document.value for document in load_documents("f.yaml", dump(kept).encode())]
    assert json.dumps(read) == json.dumps(_whole(kept))


def _whole(value: Any) -> Any:
    """Floats without a fraction as the integers that they are read as."""
    match value:
        case dict():
            return {key: _whole(item) for key, item in value.items()}
        case list():
            return [_whole(item) for item in value]
        case float():
            return whole(value)
        case _:
            return value


# --- judging


@cache
def _samples() -> list[dict[str, Any]]:
    return [m.body for m in load_manifests("samples.yaml", _SAMPLES.read_bytes())]


@st.composite
def _objects(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Objects of real kinds with anything in a few of their fields."""
    found = []
    for sample in draw(st.lists(st.sampled_from(_samples()), min_size=1, max_size=3)):
        body = copy.deepcopy(sample)
        for _ in range(draw(st.integers(1, 4))):
            places = [path for path in _fields(body) if path[0] not in ("apiVersion", "kind", "metadata")]
            if draw(st.booleans()):
                places += [
                    path for path in _fields(body["metadata"], ("metadata",)) if path != ("metadata", "name")
                ]
            if places:
                path = draw(st.sampled_from(places))
                holder = get_path(body, *path[:-1]) if path[:-1] else body
                holder[path[-1]] = draw(_VALUES | st.sampled_from(SPELLINGS))
        found.append(body)
    return found


_ENVIRONMENT = Environment(name="dev", application="app", namespace="demo", path="environment.yaml")


def validation(objects: list[dict[str, Any]]) -> None:
    """However malformed the objects are, all that is told is problems with a place."""
    manifests = [Manifest(ObjectRef.of(body), body, Origin("f.yaml")) for body in objects]
    placed = with_namespaces(manifests, _ENVIRONMENT, lambda *_: None)
    known = check(placed, _ENVIRONMENT)
    for problem in offline_problems(placed, _ENVIRONMENT, catalogue(), known=known):
        assert problem.origin is not None
        assert problem.message


# --- what programs of others are given

_PATHS = st.sampled_from(
    [
        "a.yaml",
        "../base",
        "https://h/x",
        "git@h:a/b",
        "github.com/a/b",
        "h//a?ref=b",
        "file:///x",
        "{}",
        "a\nb: c",
    ]
)
_OF_PATHS = ("resources", "bases", "components", "crds", "configurations", "generators", "transformers")
_KUSTOMIZATIONS = st.dictionaries(
    st.sampled_from(_OF_PATHS)
    | st.sampled_from(sorted(kustomization.KNOWN))
    | st.text(_CHARACTERS, max_size=8),
    st.lists(_PATHS, max_size=3)
    | st.lists(st.dictionaries(st.sampled_from(["path", "env"]), _PATHS))
    | _VALUES,
    max_size=4,
)
_OF_HELM = ("helmCharts", "helmGlobals", "helmChartInflationGenerator")


def screen(value: dict[str, Any]) -> None:
    """No path, program or chart that a kustomization names passes the screen unseen."""
    seen = {reference.path for reference in kustomization.references(value)}
    seen |= {text for _, text in kustomization.inline_plugins(value)}
    refused = {refusal.at[0] for refusal in kustomization.refusals(value) if refusal.at}
    for name in _OF_PATHS:
        entries = value.get(name)
        assert {e for e in (entries if isinstance(entries, list) else ()) if isinstance(e, str)} <= seen
    assert {name for name in _OF_HELM if value.get(name)} <= refused
    assert {name for name in value if name not in kustomization.KNOWN} <= refused
    for path in seen:
        assert "://" not in path or kustomization.is_remote(path)
    list(kustomization.plugin_refusals(value))


_WORDS = st.text(alphabet="ab0/-~^@{}:.\\*?[ \t\n\x1b\x7f=é", max_size=12)
_REVISIONS = st.one_of(
    _WORDS,
    st.tuples(st.sampled_from(["HEAD", "-", "--upload-pack=", "refs/heads/", "a" * 40]), _WORDS).map("".join),
    st.text(max_size=12),
)


def wrapper(text: str) -> None:
    """What git is given as a revision or an object is no option, range, path or address, and one line."""
    for accept in (git_command.revision, git_command.object_id):
        try:
            given = accept(text)
        except InvalidError as error:
            told = str(error).splitlines()
        else:
            told = []
            assert given == text
        if told:
            assert len(told) == 1
            continue
        assert text.isprintable()
        assert text[0] not in "-^/"
        assert not any(part in text for part in ("..", "@{", ":", "//", " ", "\\", "*", "?", "["))


TARGETS: Mapping[str, Target] = {
    "composer": Target(_FILES, composer),
    "json": Target(_JSON, json_reader),
    "splitter": Target(st.lists(_documents(), min_size=2, max_size=4), splitter),
    "dump": Target(st.lists(_VALUES, max_size=3), dumped),
    "validation": Target(_objects(), validation),
    "screen": Target(_KUSTOMIZATIONS, screen),
    "wrapper": Target(_REVISIONS, wrapper),
    "links": Target(two_commits(), links_count),
}

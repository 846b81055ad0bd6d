"""What kubectl reads in a file is what we read, or we refuse the file. kubectl itself is the judge."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.yaml import dump, load_manifests
from pipeline.model.errors import InvalidError
from tests.contract.documents import KEYS, SCALARS, SHAPES, SPELLINGS, Documents

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")

HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"


def _ask(folder: Path, texts: list[str]) -> list[Any]:
    """What kubectl makes of each text, one file each; None where it refuses the file."""
    for number, text in enumerate(texts):
        with (folder / f"{number:04}.yaml").open("w", newline="", encoding="utf-8") as file:
            file.write(HEAD % f"n{number}" + text)
    answers = _answers(folder)
    return [answers.get(f"n{number}") for number in range(len(texts))]


def _answers(folder: Path) -> dict[str, Any]:
    """The objects that kubectl reads in the files of a folder, by name."""
    command = ["kubectl", "label", "--local", "--filename", str(folder), "x=y", "-o", "json"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    answers: dict[str, Any] = {}
    decoder, at = json.JSONDecoder(parse_float=Decimal), 0
    while output[at:].strip():
        value, length = decoder.raw_decode(output[at:].lstrip())
        at += len(output[at:]) - len(output[at:].lstrip()) + length
        items = value["items"] if value["kind"] == "List" else [value]
        answers |= {item["metadata"]["name"]: item for item in items}
    return answers


def _read(number: int, text: str) -> Any:
    """What we make of the same text; None where we refuse it."""
    try:
        manifests = load_manifests("f.yaml", (HEAD % f"n{number}" + text).encode())
    except InvalidError as error:
        problems = error.problems
    else:
        assert len(manifests) == 1
        return manifests[0].body
    assert problems
    assert all(p.origin is not None and p.origin.path == "f.yaml" for p in problems)
    assert all("\n" not in str(p) for p in problems)
    return None


def _comparable(value: Any) -> Any:
    """Numbers by their value, apart from booleans; without the label that kubectl was told to add."""
    match value:
        case dict():
            return {k: _comparable(v) for k, v in value.items()}
        case list():
            return [_comparable(v) for v in value]
        case bool() | str() | None:
            return value
        case _:
            return ("number", Decimal(repr(value)) if isinstance(value, float) else Decimal(value))


def _body(answer: Any) -> Any:
    return _comparable({k: v for k, v in answer.items() if k != "metadata"})


def _differences(folder: Path, texts: list[str]) -> tuple[list[str], int]:
    """The texts that kubectl reads in another way, and how many both read alike.

    What kubectl's older YAML parser cannot read at all has no other meaning, and may be read.
    """
    differ, same = [], 0
    for number, (text, theirs) in enumerate(zip(texts, _ask(folder, texts), strict=True)):
        ours = _read(number, text)
        if ours is None or theirs is None:
            continue
        if _body(ours) != _body(theirs):
            differ.append(f"{text!r}: ours {ours}, kubectl {theirs}")
        else:
            same += 1
    return differ, same


def test_every_spelling_of_a_scalar_is_read_as_kubectl_reads_it(tmp_path: Path) -> None:
    assert len(SPELLINGS) >= 76
    differ, same = _differences(tmp_path, [f"v: {spelling}\nw: [{spelling}]\n" for spelling in SPELLINGS])
    assert differ == []
    assert same >= 150


def test_every_spelling_of_a_key_is_read_as_kubectl_reads_it(tmp_path: Path) -> None:
    differ, same = _differences(tmp_path, [f"data: {{{key} : a}}\n" for key in KEYS])
    assert differ == []
    assert same >= 14


CASES = {
    "a merge gives what is not there": "x: &a {p: 1, q: 2}\nz: {<<: *a, p: 5}\n",
    "of merged mappings the first wins": "x: &a {p: 1}\nb: &b {p: 3, r: 2}\nm: {<<: [*a, *b]}\n",
    "a quoted merge key is a key": "z: {'<<': 1}\n",
    "an alias is the value": "x: &a [1, {b: c}]\nz: *a\nw: [*a, *a]\n",
    "an anchor may be written again": "x: &a 1\nz: &a 2\nw: *a\n",
    "an alias as a key": "x: &a k\nz: {*a : v}\n",
    "block scalars": "x: |\n  a\n   b\n\nw: >-\n  a\n  b\n\n  c\nv: |+\n  a\n\n",
    "block scalars with indentation": "x: |2\n   a\n  b\n",
    "folded plain scalars": "x: a\n  b\n\n  c\n",
    "quoted scalars over lines": "x: \"a\n  b\\\n  c\"\nw: 'a\n\n  b'\n",
    "escapes": 'x: "\\x41\\u00e9\\U0001F600\\t\\e\\_\\N"\n',
    "carriage returns": "x: a\r\nw: |\r\n  b\r\n  c\r\n",
    "flow without blanks": "x: {a:b, 'c':d}\nw: [a:b,c]\n",
    "flow pairs": "x: [a: b, ? c : d]\n",
    "comments": "x: a # c\nw: a#b\n# c\n",
    "explicit keys": "? x\n: 1\n? w\n",
    "compact lists": "x:\n- a\n- - b\n  - c\n- k: v\n  l: w\n",
    "empty values": "x:\nw: [{a, b: }]\n",
    "empty collections": "x: {}\nw: []\n",
    "trailing commas": "x: {a: b,}\nw: [a,]\n",
    "unicode": "x: é😀\n'ключ': w\n",
    "tabs": "x:\ta\nw: [a,\tb]\n",
    "document end": "x: a\n...\n",
    "next line and separators": "x: a\u0085 b\nw: 'c\u2028 d'\n",
}


def test_structures_are_read_as_kubectl_reads_them(tmp_path: Path) -> None:
    differ, same = _differences(tmp_path, list(CASES.values()))
    assert differ == []
    assert same == len(CASES)


PER_SHAPE = 2_000
"""18,000 documents in all; more than 10,000 of them are read by both."""

MOST_AT_ONCE = 1_000


@pytest.mark.parametrize("shape", SHAPES)
def test_documents_made_up_at_random_are_never_read_in_another_way(tmp_path: Path, shape: str) -> None:
    documents = Documents(random.Random(shape), SCALARS + SPELLINGS)
    same = 0
    for number in range(0, PER_SHAPE, MOST_AT_ONCE):
        folder = tmp_path / str(number)
        folder.mkdir()
        differ, alike = _differences(folder, [documents.one(shape) for _ in range(MOST_AT_ONCE)])
        assert differ == []
        same += alike
    assert same >= PER_SHAPE * 0.35


# The characters that decide how a plain scalar is read, one of each kind that is read alike.
ALPHABET = "0189._-+:eExXoObBaifnNyYtT~=<"
OF_NUMBERS = "018._-+ex"


def test_every_plain_scalar_of_up_to_three_such_characters_is_read_as_kubectl_reads_it(
    tmp_path: Path,
) -> None:
    words = [*_words(ALPHABET, 1, 2, 3), *_words(OF_NUMBERS, 4)]
    readable = [word for word in words if _is_read(f"- {word}")]
    rows = [readable[at : at + 100] for at in range(0, len(readable), 100)]
    differ, same = _differences(tmp_path, ["v:\n" + "".join(f"- {w}\n" for w in row) for row in rows])
    assert differ == []
    assert same == len(rows)
    assert len(readable) > 28_000


def test_every_plain_key_of_up_to_two_such_characters_is_read_as_kubectl_reads_it(tmp_path: Path) -> None:
    readable = [word for word in _words(ALPHABET, 1, 2) if _is_read(f"  {word}: 1")]
    # One key a document: two that read the same would hide each other.
    differ, same = _differences(tmp_path, [f"v:\n  {word}: 1\n" for word in readable])
    assert differ == []
    assert same == len(readable) > 800


def _words(characters: str, *lengths: int) -> list[str]:
    return ["".join(one) for n in lengths for one in itertools.product(characters, repeat=n)]


def _is_read(line: str) -> bool:
    """Whether we read it as one scalar; what we refuse cannot be read in another way."""
    value = _read(0, f"v:\n{line}\n")
    inner = value and value["v"]
    (one,) = (inner.values() if isinstance(inner, dict) else inner) if inner and len(inner) == 1 else ({},)
    return not isinstance(one, dict | list)


# --- several documents in one file

BETWEEN = [
    "---\n",
    "--- \n",
    "--- # c\n",
    "---\n# c\n",
    "---\n---\n",
    "---\n\n",
    "...\n---\n",
    "---\nnull\n---\n",
]
STARTS = ["", "---\n", "# c\n", "\ufeff", "%YAML 1.1\n---\n", "\n\n", "---\n---\n"]
ENDS = ["", "---\n", "...\n", "# c\n", "---\n# c\n", "\n"]


def _stream(rng: random.Random, number: int) -> tuple[str, list[str]]:
    """A file of several objects, some within lists, and the names of all."""
    parts, names = [], []
    for one in range(rng.randint(1, 4)):
        own = [f"n{number}-{one}-{n}" for n in range(rng.choice([1, 1, 1, 2]))]
        names += own
        items = [
            f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: |\n  b\n}}\n"
            for name in own
        ]
        items = [item.replace("data: {a: |\n  b\n}\n", "data:\n  a: |\n    b\n") for item in items]
        if len(own) == 1:
            parts.append(items[0])
        else:
            kind = rng.choice(["List", "ConfigMapList"])
            inner = "".join("- " + item.replace("\n", "\n  ").rstrip(" ") for item in items)
            parts.append(f"apiVersion: v1\nkind: {kind}\nitems:\n{inner}")
    text = rng.choice(STARTS) + parts[0]
    for part in parts[1:]:
        text += rng.choice(BETWEEN) + part
    text += rng.choice(ENDS)
    return (text.replace("\n", "\r\n") if rng.random() < 0.2 else text), names


def test_of_several_documents_none_is_dropped_and_each_is_read_as_kubectl_reads_it(tmp_path: Path) -> None:
    rng = random.Random("streams")
    streams = [_stream(rng, number) for number in range(1_000)]
    for number, (text, _) in enumerate(streams):
        (tmp_path / f"{number:04}.yaml").write_bytes(text.encode())
    theirs = _answers(tmp_path)
    for text, names in streams:
        manifests = load_manifests("f.yaml", text.encode())
        assert [m.ref.name for m in manifests] == names, text
        for manifest in manifests:
            answer = theirs.get(manifest.ref.name)
            # kubectl drops what stands after "..."; nobody may.
            assert answer is None or _body(answer) == _body(manifest.body), text
    assert len(theirs) >= sum(len(names) for _, names in streams) * 0.8


def _character(rng: random.Random) -> str:
    """Any but NUL and halves of surrogate pairs, from each corner of Unicode."""
    low, high = rng.choice(
        [(1, 0x20), (0x20, 0x7F), (0x7F, 0xA1), (0xA1, 0xD800), (0xE000, 0x10000), (0x10000, 0x110000)]
    )
    return chr(rng.randrange(low, high))


def test_what_is_dumped_is_read_back_the_same_by_kubectl_and_by_us(tmp_path: Path) -> None:
    rng = random.Random(3)
    words = [s for s in SPELLINGS if s] + [
        "a\nb\n",
        "a\n",
        "\na",
        " a",
        "a ",
        "a\tb\n",
        "a: b",
        "# c",
        "- x",
        "é😀",
        "\x1b[0m",
    ]
    words += [
        "\u2028",
        "\u0085",
        "x" * 300,
        "a\r\nb",
        "",
        "'",
        '"',
        "a\n\n\nb\n\n",
        "  a\n b",
        "\ufeff",
        "a \nb",
    ]
    words += ["".join(rng.choices("01:.-+_eExXbo~ynN#'\" \n\t", k=rng.randint(1, 8))) for _ in range(200)]
    words += ["".join(_character(rng) for _ in range(rng.randint(1, 6))) for _ in range(1500)]
    words += [
        word for length in (1, 2) for word in _words("\n \t#:-'\"|>{[&*!%@`,?~=<.0ye\u0085\u2028", length)
    ]
    values = [
        {"v": word, "w": [word, {"k": 1.5, "l": 10, "m": None, "n": True, "o": {}, "p": []}]}
        for word in words
    ]
    keyed = [{"d": {word: 1}} for word in words]
    texts = [dump([value]).removeprefix("---\n") for value in values + keyed]
    expected = [{"apiVersion": "v1", "kind": "ConfigMap", **value} for value in values + keyed]
    for number, (value, theirs) in enumerate(zip(expected, _ask(tmp_path, texts), strict=True)):
        assert theirs is not None, texts[number]
        assert _body(theirs) == _comparable(value), texts[number]
        assert _body(_read(number, texts[number])) == _comparable(value), texts[number]

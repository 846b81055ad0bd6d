"""What kubectl reads in a file is what we read, or we refuse the file. kubectl itself is the judge."""

from __future__ import annotations

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

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")

# fmt: off
SPELLINGS: list[str] = [
    "y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF",
    "true", "True", "TRUE", "false", "False", "FALSE", "yEs", "tRue", "oN", "nO", "~", "null", "Null",
    "NULL", "nULL", "Nil", "none", "0", "1", "-1", "+1", "00", "007", "0644", "-0644", "+0644", "08", "-08",
    "09.5", "0_8", "0o644", "0O17", "0o8", "-0o17", "0b11", "0B11", "-0b11", "0b12", "0x1F", "0X1f",
    "-0x1F", "0xG", "0x", "0b", "0o", "1_000", "1__0", "_1", "1_", "+_1", "1_000.5", "0x1_F", "1e3", "1E3",
    "1e+3", "1e-3", "1.e3", "1_e3", "1e", "1e400", "-1e400", "1e-400", ".5", "-.5", "+.5", ".5e3", ".5_5",
    "5.", "-5.", ".", "..", "...", ".e5", "1.10", "1.0", "100.0", "0.1", "-0.0", "-0", "1e20", "9.3e18",
    "123456789012345678.0", "9007199254740993.0", "1e21", "1e300", "1.5e300", "9223372036854775807",
    "-9223372036854775808", "12:30:45", "1:20", "190:20:30", "1:20.5", "2020-01-01", "2020-1-1",
    "2020-01-01T10:00:00Z", "2020-02-30", "1.2.3", "1.2.3.4", "10Gi", "100m", "1e3m", "0.5Gi", "-", "+",
    "--", "=", "<<", "<<x", "-a", "+a", "=x", "0x1f.8p1", "1p5", "Infinity", "NaN", "nan", "inf", "-inf",
    ".infinity", "1d", "1f", "1L", "0b0", "0x0", "0o0", "0777777777777", "0xffffffff", "a:b", "http://x:80",
    "'y'", '"1"', "''", '""', '"0644"', "'null'", "!!str 1", "!!str y", '!!int "7"', "!!float 5",
    '!!bool "yes"', "! 12", '!!null ""', "!!int 0x10", "|- ", "a#b", "@a", "%a", "`a`", "&x 1", "v1.0",
    "e1", "E5", "1e3e5", "00.5", "000", "0e0", "+0", "+.e1", "99999999999999999999", "9223372036854775808",
    "18446744073709551616", ".inf", "-.inf", "+.Inf", ".nan", ".NaN", "0xFFFFFFFFFFFFFFFF", "!!binary aGk=",
    "!foo x", "!!timestamp 2020-01-01", "!!int 1.5", "!!bool x",
]
# fmt: on

# fmt: off
KEYS: list[str] = [
    "1", "on", "y", "1.5", "1.10", "0x10", "010", "1e3", "1e6", "1000000.0", "1.0", "null", "~", "-0",
    "-0.0", "true", ".5", "12345678", "1000000.5", "1.23456789", "<<x", "=", "2020-01-01", "'y'", '"1"',
]
# fmt: on

HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"


def _ask(folder: Path, texts: list[str]) -> list[Any]:
    """What kubectl makes of each text, one file each; None where it refuses the file."""
    for number, text in enumerate(texts):
        with (folder / f"{number:04}.yaml").open("w", newline="", encoding="utf-8") as file:
            file.write(HEAD % f"n{number}" + text)
    command = ["kubectl", "label", "--local", "--filename", str(folder), "x=y", "-o", "json"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    answers: dict[str, Any] = {}
    decoder, at = json.JSONDecoder(parse_float=Decimal), 0
    while output[at:].strip():
        value, length = decoder.raw_decode(output[at:].lstrip())
        at += len(output[at:]) - len(output[at:].lstrip()) + length
        answers[value["metadata"]["name"]] = value
    return [answers.get(f"n{number}") for number in range(len(texts))]


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


SCALARS = [
    "a",
    "b c",
    "''",
    '"q\\n"',
    "~",
    "null",
    "-1",
    "1.5",
    "0x1f",
    "010",
    "yes",
    "n",
    "1e3",
    "12:30",
    "|-",
]


def _flow(rng: random.Random, depth: int) -> str:
    pick = rng.random()
    if depth == 0 or pick < 0.4:
        return _scalar(rng)
    if pick < 0.7:
        return (
            "[" + rng.choice([",", ", "]).join(_flow(rng, depth - 1) for _ in range(rng.randint(0, 3))) + "]"
        )
    pairs = [
        f"{_scalar(rng)}{rng.choice([': ', ' : ', ':'])}{_flow(rng, depth - 1)}"
        for _ in range(rng.randint(0, 3))
    ]
    return "{" + ", ".join(pairs) + "}"


def _scalar(rng: random.Random) -> str:
    if rng.random() < 0.6:
        return rng.choice(SCALARS + SPELLINGS)
    return "".join(rng.choices("01789_+-.eExXob:#'\"ynYNtf~ &*!|>%@,?", k=rng.randint(1, 6)))


def _block(rng: random.Random, depth: int, indent: str) -> str:
    pick = rng.random()
    if depth == 0 or pick < 0.35:
        return " " + _flow(rng, 2) + rng.choice(["\n", " # c\n", "\n\n"])
    deeper = indent + rng.choice(["  ", " ", "    "])
    if pick < 0.5:
        lines = "".join(f"{deeper}{rng.choice(['a', ' b', '# no', 'c: d', ''])}\n" for _ in range(3))
        return rng.choice([" |\n", " >\n", " |-\n", " >+\n", " |2\n"]) + lines
    if pick < 0.7:
        return "\n" + "".join(f"{deeper}-{_block(rng, depth - 1, deeper)}" for _ in range(rng.randint(1, 3)))
    keys = rng.sample(["a", "on", "1", "'x'", "k k", "<<", "? e", "1.5", "null", "&z g"], rng.randint(1, 3))
    return "\n" + "".join(f"{deeper}{key}:{_block(rng, depth - 1, deeper)}" for key in keys)


@pytest.mark.parametrize("seed", [1, 2])
def test_documents_made_up_at_random_are_never_read_in_another_way(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    differ, same = _differences(tmp_path, [f"v:{_block(rng, 3, '')}" for _ in range(400)])
    assert differ == []
    assert same >= 60


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

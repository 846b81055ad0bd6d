"""YAML documents made up at random, shape by shape: what kubectl is asked about, where fuzzers start."""

from __future__ import annotations

import random
from collections.abc import Callable

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
"""Every way to write a scalar that some reader of YAML takes for something else than another one does."""

KEYS: list[str] = [
    "1", "on", "y", "1.5", "1.10", "0x10", "010", "1e3", "1e6", "1000000.0", "1.0", "null", "~", "-0",
    "-0.0", "true", ".5", "12345678", "1000000.5", "1.23456789", "<<x", "=", "2020-01-01", "'y'", '"1"',
]

SCALARS = [
    "a", "b c", "''", '"q\\n"', "~", "null", "-1", "1.5", "0x1f", "010", "yes", "n", "1e3", "12:30", "|-",
    "0o17", "1_000", "08", ".5", "1.0", "2020-01-01", "=", "Off", "y", "é", "a#b", "http://x:80", "10Gi",
    "'it''s'", '"\\x41\\u00e9"', "<<", "- a", "[]", "{}",
]
# fmt: on
SHAPES = ("scalars", "keys", "flow", "block", "block scalars", "anchors", "merges", "quoted", "lists")
_LETTERS = "01789_+-.eExXob:#'\"ynYNtf~ &*!|>%@,?"


def scalar(rng: random.Random, words: list[str]) -> str:
    """A plain, quoted or nonsensical scalar."""
    if rng.random() < 0.85:
        return rng.choice(words)
    return "".join(rng.choices(_LETTERS, k=rng.randint(1, 6)))


class Documents:
    """Makes one document of a shape after another; ``words`` are the scalars that it uses."""

    def __init__(self, rng: random.Random, words: list[str]) -> None:
        self._rng = rng
        self._words = words
        self._shapes: dict[str, Callable[[], str]] = {
            "scalars": self._scalars,
            "keys": self._keys,
            "flow": lambda: f"v: {self._flow(3)}\n",
            "block": lambda: f"v:{self._block(3, '')}",
            "block scalars": self._block_scalars,
            "anchors": self._anchors,
            "merges": self._merges,
            "quoted": self._quoted,
            "lists": self._lists,
        }

    def one(self, shape: str) -> str:
        """A text that begins a line, below whose fields nothing else of the document stands."""
        return self._shapes[shape]()

    def _scalar(self) -> str:
        return scalar(self._rng, self._words)

    def _scalars(self) -> str:
        return "".join(f"k{n}: {self._scalar()}{self._end()}" for n in range(self._rng.randint(1, 4)))

    def _end(self) -> str:
        return self._rng.choice(["\n", " # c\n", "\n\n", "\r\n", "\n# c\n", "  \n"])

    def _keys(self) -> str:
        pairs = [f"{self._scalar()}{self._rng.choice([': ', ' : ', ':  '])}{n}" for n in range(3)]
        if self._rng.random() < 0.5:
            return "data: {" + ", ".join(pairs) + "}\n"
        return "data:\n" + "".join(f"  {pair}\n" for pair in pairs)

    def _flow(self, depth: int) -> str:
        rng, pick = self._rng, self._rng.random()
        if depth == 0 or pick < 0.3:
            return self._scalar()
        if pick < 0.65:
            parts = [self._flow(depth - 1) for _ in range(rng.randint(0, 3))]
            return "[" + rng.choice([",", ", ", ",\n   "]).join(parts) + rng.choice(["", ","]) + "]"
        pairs = [
            f"{self._scalar()}{rng.choice([': ', ' : ', ':'])}{self._flow(depth - 1)}"
            for _ in range(rng.randint(0, 3))
        ]
        return "{" + ", ".join(pairs) + "}"

    def _block(self, depth: int, indent: str) -> str:
        rng, pick = self._rng, self._rng.random()
        if depth == 0 or pick < 0.35:
            return " " + self._flow(2) + self._end()
        deeper = indent + rng.choice(["  ", " ", "    "])
        if pick < 0.5:
            return self._text(indent, deeper)
        if pick < 0.7:
            items = (f"{deeper}-{self._block(depth - 1, deeper)}" for _ in range(rng.randint(1, 3)))
            return "\n" + "".join(items)
        keys = ["a", "on", "1", "'x'", "k k", "<<", "? e", "1.5", "null", "&z g", "!!str 1", "y"]
        chosen = rng.sample(keys, rng.randint(1, 3))
        return "\n" + "".join(f"{deeper}{key}:{self._block(depth - 1, deeper)}" for key in chosen)

    def _text(self, indent: str, deeper: str) -> str:
        rng = self._rng
        head = rng.choice("|>") + rng.choice(["", "-", "+", "2", "1-", "4+"]) + rng.choice(["", " # c"])
        words = ["a", " b", "# no", "c: d", "", "\tt", "- x", "é ü", "a  ", "---x", "'q'"]
        lines = "".join(f"{deeper}{rng.choice(words)}\n" for _ in range(rng.randint(1, 5)))
        return f" {head}\n{lines}{rng.choice(['', chr(10), f'{indent}# c{chr(10)}'])}"

    def _block_scalars(self) -> str:
        return "".join(f"k{n}:{self._text('', '  ')}" for n in range(self._rng.randint(1, 3)))

    def _anchors(self) -> str:
        rng = self._rng
        first = self._flow(2)
        uses = ["*a", "[*a, *a]", "{k: *a}", "[x, [*a]]", "*b"]
        lines = [f"x: &a {first}", f"y: &b {rng.choice(uses[1:3])}"]
        lines += [f"z{n}: {rng.choice(uses)}" for n in range(rng.randint(1, 3))]
        if rng.random() < 0.3:
            lines.append(f"w: &a {self._scalar()}\nv: *a")
        return "\n".join(lines) + "\n"

    def _merges(self) -> str:
        rng = self._rng
        sources = [f"m{n}: &m{n} {{p: {self._scalar()}, {rng.choice('qrs')}: {n}}}" for n in range(3)]
        merge = rng.choice(["*m0", "[*m0, *m1]", "[*m2, *m0, *m1]", "{p: 1}", "[{q: 1}, *m1]"])
        own = rng.choice(["", "p: own", "q: own\n  t: 1"])
        parts = [f"<<: {merge}", own] if rng.random() < 0.7 else [own, f"<<: {merge}"]
        return "\n".join([*sources, "z:", *(f"  {part}" for part in parts if part)]) + "\n"

    def _quoted(self) -> str:
        rng = self._rng
        escapes = [
            "\\n",
            "\\t",
            "\\x41",
            "\\u00e9",
            "\\U0001F600",
            "\\\\",
            '\\"',
            "\\e",
            "\\_",
            "\\N",
            "\\/",
            "\\\n   ",
        ]
        double = "".join(
            rng.choice([*escapes, "a", " ", "b: c", "\n  ", "é"]) for _ in range(rng.randint(1, 6))
        )
        single = "".join(
            rng.choice(["a", "''", " ", "\n  ", "\\n", "#", ": "]) for _ in range(rng.randint(1, 6))
        )
        return f"x: \"{double}\"\ny: '{single}'\n"

    def _lists(self) -> str:
        rng = self._rng
        items = "".join(
            f"{rng.choice(['', '  '])}- {rng.choice(['a: 1', '- b', 'c', 'd:', '? e', self._flow(1)])}\n"
            for _ in range(rng.randint(1, 3))
        )
        return f"v:\n{items}w: [{self._flow(1)}]\n"

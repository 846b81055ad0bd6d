"""Files that are made to exhaust a reader: one located line each, within 200 MiB, held by the kernel."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.adapters import survey
from pipeline.adapters.compose import Composer, StopError
from pipeline.adapters.yaml import load_documents, load_manifests
from pipeline.model.errors import InvalidError

MEMORY = 200 * 1024 * 1024
MIB = 1024 * 1024

READ = """
import sys
from pipeline.adapters import files
from pipeline.model.errors import InvalidError
for path in sys.argv[1:]:
    try:
        print("read", len(files.manifests(path)))
    except InvalidError as error:
        (first, *_) = error.problems
        print(first.code, first.origin.line, len(str(error).splitlines()))
"""


def _within_limits() -> None:
    """In the child: what is private and can be written to, of which a reader needs all that it makes."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


def _read(*paths: Path) -> list[str]:
    """What becomes of each file in a process that may use 200 MiB."""
    done = subprocess.run(
        [sys.executable, "-c", READ, *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=100,
        preexec_fn=_within_limits,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def _aliases(levels: int) -> str:
    names = "abcdefghijklmnop"[: levels + 1]
    head = f"{names[0]}: &{names[0]} [{','.join('x' * 9)}]\n"
    return head + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in pairwise(names))


def _merges(levels: int) -> str:
    head = "a0: &a0 {" + ",".join(f"k{n}: v" for n in range(10)) + "}\n"
    rows = (f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, levels + 1))
    return head + "".join(rows)


BOMBS = {
    **{f"aliases, {n} levels": (_aliases(n), "excessive-aliasing") for n in (5, 6, 8, 9)},
    **{f"merges, {n} levels": (_merges(n), "excessive-aliasing") for n in (4, 6, 8)},
    **{f"lists, {n} levels": ("[" * n, "too-deep") for n in (2_000, 11_000, 50_000, 1_000_000)},
    **{f"mappings, {n} levels": ("{a: " * n, "too-deep") for n in (2_000, 50_000, 1_000_000)},
    "block lists, 3 million levels": ("- " * 3_000_000, "too-deep"),
    "indented, 2,000 levels": ("".join(" " * n + "a:\n" for n in range(2_000)), "too-deep"),
    "keys, 50,000 levels": ("? " * 50_000, "bad-key"),
    "a million values": ("[" + "1," * 1_000_000 + "]", "too-large"),
    "a million mappings": ("- {}\n" * 1_000_000, "too-large"),
    "300,000 documents": ("--- 1\n" * 300_000, "too-large"),
    "100,000 anchors": ("".join(f"- &a{n} x\n" for n in range(100_000)) + "- *b\n", "bad-alias"),
    "aliases of a text": (f"a: &a {'x' * MIB}\nb: [{','.join(['*a'] * 20)}]\n", "excessive-aliasing"),
    "a text of 15 MiB": (f"v: {'x' * 15 * MIB}", "missing-field"),
    "a key of 7 MiB": (f"? {'x' * 7 * MIB}\n: 1\n", "missing-field"),
    "a comment of 15 MiB": (f"# {'x' * 15 * MIB}\n[", "yaml-syntax"),
    "15 million empty lines": ("\n" * 15 * MIB + "[", "yaml-syntax"),
    "a number of 8 million digits": (f"v: {'9' * 8_000_000}", "bad-number"),
    "a text beyond 16 bits, of 8 MiB": (f"v: \U0001f600{'x' * 8 * MIB}", "missing-field"),
}


LATE = {
    "mappings": ("".join(f"k{n}: {{a: b}}\n" for n in range(130_000)), "too-large"),
    "keys that are texts of others": ("- {? a : b, c: &x [1, 2], d: *x}\n" * 50_000, "too-large"),
    "a bomb behind much": (
        "- {a: b}\n" * 90_000 + f"- {{{_aliases(6).replace(chr(10), ', ')}}}\n",
        "too-large",
    ),
    "merges behind much": (
        f"- 1\n---\nx:\n{'- 1' + chr(10)}" * 20_000 + "---\n" + _merges(6),
        "excessive-aliasing",
    ),
    "levels behind much": ("- 1\n" * 90_000 + "- " + "[" * 300, "too-deep"),
    "an alias behind much": ("- &a 1\n" * 60_000 + "--- *a\n", "bad-alias"),
    "an alias of what holds it behind much": ("- 1\n" * 60_000 + "- &a [*a]\n", "bad-alias"),
    "a list as a key behind much": ("- 1\n" * 60_000 + "- {[1]: 2}\n", "bad-key"),
}
"""What is within all budgets for long."""

NO_YAML = {
    "a colon too many": "a: b: c\n",
    "a tab": "a:\n\tb: c\n",
    "a quote that does not end": 'a: "b\n',
    "a list that does not end": "a: [1\n",
    "a control character": "a: \x01\n",
    "a tag without a handle": "a: !x!y z\n",
}

BUDGETS = ("too-large", "too-deep", "excessive-aliasing")


@pytest.mark.parametrize("name", LATE)
def test_a_survey_tells_what_the_composer_would_without_making_a_value(name: str) -> None:
    text, code = LATE[name]
    composer = Composer("x.yaml", text)
    with pytest.raises(StopError):
        list(composer.documents())
    assert [survey.exceeded("x.yaml", text)] == composer.problems
    assert composer.problems[0].code == code


@pytest.mark.parametrize("name", [name for name, (_, code) in BOMBS.items() if code in BUDGETS])
def test_a_survey_knows_the_bombs_but_for_those_of_few_long_texts(name: str) -> None:
    text, code = BOMBS[name]
    found = survey.exceeded("x.yaml", text)
    assert (found.code if found else "") == (code if name != "aliases of a text" else "")


@pytest.mark.parametrize("name", LATE)
def test_nothing_is_composed_of_a_large_text_that_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.adapters.yaml.Composer", None)
    with pytest.raises(InvalidError) as caught:
        load_manifests("x.yaml", LATE[name][0].encode())
    assert [p.code for p in caught.value.problems] == [LATE[name][1]]


@pytest.mark.parametrize("name", NO_YAML)
def test_what_is_no_yaml_is_told_of_a_large_text_as_of_a_small_one(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"{'- {a: b}' + chr(10)}" * 30_000 + "---\n" + NO_YAML[name]
    monkeypatch.setattr(survey, "LATE", len(text))
    with pytest.raises(InvalidError) as composed:
        load_documents("x.yaml", text.encode())
    monkeypatch.undo()
    monkeypatch.setattr("pipeline.adapters.yaml.Composer", None)
    with pytest.raises(InvalidError) as caught:
        load_documents("x.yaml", text.encode())
    assert caught.value.problems == composed.value.problems
    assert [problem.code for problem in caught.value.problems] == ["yaml-syntax"]


def test_all_that_is_wrong_before_an_early_mistake_is_told_with_it() -> None:
    text = "- {a: .inf}\n" + "- {a: b}\n" * 20_000 + "a: b: c\n"
    with pytest.raises(InvalidError) as caught:
        load_documents("x.yaml", text.encode())
    assert [problem.code for problem in caught.value.problems] == ["bad-number", "yaml-syntax"]


def test_an_anchor_that_is_given_anew_counts_as_what_it_is_by_then() -> None:
    """In a document of its own, too: nothing is refused that may be read."""
    large = f"&a [{','.join('x' * 9_000)}]"
    again = f"- {large}\n- &a x\n- [{','.join(['*a'] * 1_000)}]\n"
    assert survey.exceeded("x.yaml", again) is None
    assert len(load_documents("x.yaml", (again + "---\n" + again).encode())) == 2


JSON_BOMBS = {
    "lists, 100,000 levels": ("[" * 100_000, "too-deep"),
    "objects, 100,000 levels": ('{"a":' * 100_000, "too-deep"),
    "a number of 8 million digits": ("9" * 8_000_000, "bad-number"),
    "a million values": ("[" + "1," * 1_000_000 + "1]", "too-large"),
    "249,000 texts beyond 16 bits": ("[" + ",".join(['"\\ud83d\\ude00"'] * 249_000) + "]", "not-an-object"),
    "a text beyond 16 bits, of 8 MiB": (f'["\U0001f600{"x" * 8 * MIB}"]', "not-an-object"),
}


@pytest.mark.parametrize(("bombs", "ending"), [(BOMBS, "yaml"), (JSON_BOMBS, "json")], ids=["yaml", "json"])
def test_bombs_are_refused_in_one_line_each_within_the_memory(
    tmp_path: Path, bombs: dict[str, tuple[str, str]], ending: str
) -> None:
    files = [tmp_path / f"{number}.{ending}" for number in range(len(bombs))]
    for file, (text, _) in zip(files, bombs.values(), strict=True):
        file.write_text(text)
    # Of JSON each in a process of its own: what one has left behind is less than another needs.
    runs = [_read(*files)] if ending == "yaml" else [_read(file) for file in files]
    told = dict(zip(bombs, (line.split() for run in runs for line in run), strict=True))
    assert {name: code for name, (code, _, _) in told.items()} == {n: code for n, (_, code) in bombs.items()}
    assert all(int(line) >= 1 and lines == "1" for _, line, lines in told.values())


def test_of_a_file_of_a_gigabyte_no_more_is_read_than_tells_that_it_is_too_large(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    with file.open("wb") as sparse:
        sparse.truncate(1024 * MIB)
    assert _read(file) == ["too-large 1 1"]


def test_a_file_without_an_end_is_too_large() -> None:
    assert _read(Path("/dev/zero")) == ["too-large 1 1"]


def test_of_a_large_file_of_a_repository_nothing_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "environments/dev"
    (folder / "manifests").mkdir(parents=True)
    (folder / "environment.yaml").write_text(
        "apiVersion: pipeline/v1\nkind: Environment\nmetadata: {name: dev}\n"
        "spec: {namespace: demo, sources: [{manifests: manifests}]}\n"
    )
    with (folder / "manifests/large.yaml").open("wb") as sparse:
        sparse.truncate(300 * MIB)
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=b", "commit", "-qm", "a"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "-C", str(tmp_path), "validate"],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=_within_limits,
    )
    assert (done.returncode, done.stderr) == (20, "")
    assert done.stdout.startswith("environments/dev/manifests/large.yaml:1: ")
    assert "8388608 are allowed" in done.stdout


BROKEN = {
    "latin-1": b"a: 1\nb: \xe9\n",
    "the end of a character": b"a: 1\nb: \x80",
    "half a character at the end": "a: 1\nb: é".encode()[:-1],
    "an overlong slash": b"a: 1\nb: \xc0\xaf",
    "half of a pair": b"a: 1\nb: \xed\xa0\x80",
    "beyond Unicode": b"a: 1\nb: \xf5\x80\x80\x80",
    "odd UTF-16": "a: 1\nb: x".encode("utf-16") + b"x",
    "half of a pair in UTF-16": b"\xff\xfe" + "a: 1\nb: ".encode("utf-16-le") + b"\x3d\xd8",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_encoding_is_told_with_the_line_of_its_first_byte(name: str) -> None:
    with pytest.raises(InvalidError) as caught:
        load_manifests("broken.yaml", BROKEN[name])
    (problem,) = caught.value.problems
    assert (problem.code, problem.origin and problem.origin.line) == ("bad-encoding", 2)
    assert "\n" not in str(problem)


def test_as_much_as_the_limits_allow_is_read_within_the_memory(tmp_path: Path) -> None:
    item = "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: n%d\ndata:\n  a: b\n  c: d\n"
    file = tmp_path / "many.yaml"
    file.write_text("".join(item % n for n in range(30_000)))
    assert _read(file) == ["read 30000"]


def test_the_memory_is_really_limited(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"print(len(bytes({MEMORY})))"],
        capture_output=True,
        text=True,
        preexec_fn=_within_limits,
        env={**os.environ},
    )
    assert "MemoryError" in done.stderr

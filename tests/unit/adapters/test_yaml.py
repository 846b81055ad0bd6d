"""Reading files: what is refused, where it is said to be, and that nothing is ever dropped."""

from __future__ import annotations

import json
import random

import pytest

from pipeline.adapters import yaml
from pipeline.adapters.yaml import dump, load_documents, load_manifests
from pipeline.model.errors import InvalidError, Problem

ONE = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  a: b\n"
TWO = ONE.replace("one", "two")


def _values(text: str | bytes, path: str = "f.yaml") -> list[object]:
    data = text.encode() if isinstance(text, str) else text
    return [document.value for document in load_documents(path, data)]


def _problems(text: str | bytes, path: str = "f.yaml") -> tuple[Problem, ...]:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(InvalidError) as caught:
        load_manifests(path, data)
    return caught.value.problems


def _codes(text: str | bytes, path: str = "f.yaml") -> list[tuple[str, int]]:
    return [(p.code, p.origin.line if p.origin else 0) for p in _problems(text, path)]


def test_every_field_knows_its_line() -> None:
    (manifest,) = load_manifests("d/f.yaml", f"# head\n---\n{ONE}".encode())
    assert str(manifest.origin) == "d/f.yaml:3"
    assert {".".join(map(str, path)): line for path, line in manifest.lines.items()} == {
        "apiVersion": 3,
        "kind": 4,
        "metadata": 5,
        "metadata.name": 6,
        "data": 7,
        "data.a": 8,
    }


def test_items_of_sequences_know_their_lines() -> None:
    (document,) = load_documents("f", b"a:\n- b\n-\n  - c\n  - {d: e}\n")
    assert document.lines == {
        ("a",): 1,
        ("a", 0): 2,
        ("a", 1): 4,
        ("a", 1, 0): 4,
        ("a", 1, 1): 5,
        ("a", 1, 1, "d"): 5,
    }


def test_what_an_alias_or_a_merge_brings_has_the_line_where_it_was_written() -> None:
    (document,) = load_documents("f", b"x: &a\n  p: 1\nw:\n  <<: *a\nz: *a\n")
    assert document.value == {"x": {"p": 1}, "w": {"p": 1}, "z": {"p": 1}}
    assert document.lines["w", "p"] == 2
    assert document.lines["z", "p"] == 2


def test_aliases_give_values_of_their_own() -> None:
    (document,) = load_documents("f", b"x: &a {p: [1]}\nw: *a\nz: {<<: *a}\n")
    document.value["x"]["p"].append(2)
    assert document.value["w"] == {"p": [1]}
    assert document.value["z"] == {"p": [1]}


@pytest.mark.parametrize(
    "between", ["---\n", "...\n---\n", "--- # c\n", "---\n---\n", "---\n# c\n---\nnull\n---\n"]
)
def test_no_document_is_dropped_and_empty_ones_are_skipped(between: str) -> None:
    assert [m.ref.name for m in load_manifests("f", (ONE + between + TWO).encode())] == ["one", "two"]


def test_a_document_after_an_end_marker_alone_is_never_dropped_in_silence() -> None:
    assert _codes(ONE + "...\n" + TWO) == [("yaml-syntax", 8)]


def test_a_document_on_the_line_of_its_separator_is_read() -> None:
    assert _values("a: 1\n--- {b: 2}\n") == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "null\n", "\ufeff"])
def test_a_file_without_content_has_no_documents(text: str) -> None:
    assert _values(text) == []


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + ONE.encode(),
        ONE.encode("utf-16"),
        b"\xfe\xff" + ONE.encode("utf-16-be"),
        ONE.replace("\n", "\r\n").encode(),
    ],
    ids=["utf-8 with mark", "utf-16", "utf-16 big endian", "carriage returns"],
)
def test_other_encodings_and_line_ends_read_the_same(data: bytes) -> None:
    assert load_manifests("f", data)[0].body == load_manifests("f", ONE.encode())[0].body


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        (b"a: 1\nb: \xe9\n", "bad-encoding", 2),
        ("a: 1\nb: \x00\n", "yaml-syntax", 2),
        ('a: "\\0"', "bad-character", 1),
        ('a: "\\ud800"', "yaml-syntax", 1),
        ("a: [1\nb: 2\n", "yaml-syntax", 2),
        ("\ta: 1", "yaml-syntax", 1),
        ("a: 1\nb: 2\na: 3\n", "duplicate-key", 3),
        ("a: {b: 1, b: 2}", "duplicate-key", 1),
        ("1: a\n'1': b\n", "duplicate-key", 2),
        ("x: &a {}\ny:\n  <<: *a\n  <<: *a\n", "duplicate-key", 4),
        ("x: &a {p: 1}\ny: {p: 2, <<: *a}\n", "bad-merge", 2),
        ("x: {<<: 1}", "bad-merge", 1),
        ("x: .inf", "bad-number", 1),
        ("x: .NaN", "bad-number", 1),
        ("x: 9223372036854775808", "bad-number", 1),
        ("x: " + "9" * 100_000, "bad-number", 1),
        ("null: 1", "bad-key", 1),
        ("? [a]\n: 1", "bad-key", 1),
        ("? {a: b}\n: 1", "bad-key", 1),
        ("x: &a 1\n*a : 2", "bad-key", 2),
        ("x: !!python/object/apply:os.system [a]", "bad-tag", 1),
        ("!!python/name:os.system x: 1", "bad-key", 1),
        ("x: !!python/name:os.system", "bad-tag", 1),
        ("x: !!binary aGk=", "bad-tag", 1),
        ("x: !!set {a, b}", "bad-tag", 1),
        ("x: !!int a", "bad-tag", 1),
        ("x: *a", "bad-alias", 1),
        ("x: &a [*a]", "bad-alias", 1),
        ("x: &a 1\n---\ny: *a", "bad-alias", 3),
        ("[" * 50_000, "too-deep", 1),
        ("{a: " * 50_000, "too-deep", 1),
        ("- " * 50_000, "too-deep", 1),
        ("".join(" " * n + "a:\n" for n in range(2000)), "too-deep", 257),
    ],
)
def test_what_cannot_be_read_for_sure_is_refused_with_its_line(
    text: str | bytes, code: str, line: int
) -> None:
    assert _codes(text) == [(code, line)]


def test_a_duplicate_key_names_both_lines() -> None:
    (problem,) = _problems("a: 1\nb: 2\na: 3\n")
    assert problem.message == 'the key "a" is written twice, in lines 1 and 3'


def test_all_problems_of_a_file_are_told_at_once() -> None:
    assert _codes("a: .inf\nb: !x y\na: 1\n") == [("bad-number", 1), ("bad-tag", 2), ("duplicate-key", 3)]


def test_a_depth_of_a_hundred_is_fine() -> None:
    assert _values("[" * 100 + "]" * 100) != []


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "a0: &a0 {"
        + ",".join(f"k{n}: v" for n in range(10))
        + "}\n"
        + "".join(f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 9)),
        f"a: &a {'x' * 1_000_000}\nb: [{','.join(['*a'] * 20)}]\n",
    ],
    ids=["aliases", "merges", "text"],
)
def test_a_small_file_cannot_become_a_large_value(text: str) -> None:
    assert _codes(text)[-1][0] == "excessive-aliasing"


def test_aliases_cannot_add_up_to_a_depth_that_is_not_allowed() -> None:
    text = "a0: &a0 x\n" + "".join(f"a{n}: &a{n} {'[' * 99}*a{n - 1}{']' * 99}\n" for n in range(1, 9))
    assert _codes(text)[-1][0] == "too-deep"


def test_a_file_beyond_the_limit_is_not_even_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "MAX_BYTES", 10)
    assert _codes("a: 1 # 89\n\xff".encode("latin-1")) == [("too-large", 1)]


# --- manifests


@pytest.mark.parametrize("kind", ["List", "ConfigMapList"])
def test_lists_are_taken_apart(kind: str) -> None:
    item = "- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: %s}\n"
    text = f"apiVersion: v1\nkind: {kind}\nitems:\n{item % 'a'}{item % 'b'}"
    manifests = load_manifests("f", text.encode())
    assert [(m.ref.name, m.origin.line) for m in manifests] == [("a", 4), ("b", 7)]
    assert manifests[1].lines[("metadata", "name")] == 9


def test_items_of_a_typed_list_are_of_its_kind() -> None:
    text = "apiVersion: v1\nkind: SecretList\nitems: [{metadata: {name: a}}]\n"
    assert str(load_manifests("f", text.encode())[0].ref) == "/Secret//a"


def test_lists_of_lists_are_taken_apart_in_order() -> None:
    inner = {"apiVersion": "v1", "kind": "List", "items": [json.loads('{"metadata":{"name":"b"}}')]}
    inner["items"][0] |= {"apiVersion": "v1", "kind": "Pod"}
    outer = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [inner, {**inner["items"][0], "metadata": {"name": "c"}}],
    }
    assert [m.ref.name for m in load_manifests("f.json", json.dumps(outer).encode())] == ["b", "c"]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("a: 1", ["missing-field"] * 3),
        ("- a", ["not-an-object"]),
        ("just text", ["not-an-object"]),
        ("apiVersion: v1\nkind: Pod\nmetadata: {generateName: x-}", ["generate-name"]),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: 1}", ["wrong-type"]),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: ''}", ["missing-field"]),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: on}", ["wrong-type"]),
        ("apiVersion: v1\nkind: Pod\nmetadata: text", ["missing-field"]),
        ("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization", ["not-an-object"]),
    ],
)
def test_what_is_no_object_is_refused(text: str, codes: list[str]) -> None:
    assert [problem.code for problem in _problems(text)] == codes


def test_bad_objects_of_a_file_are_told_together() -> None:
    assert _codes(f"kind: Pod\n---\n{ONE}---\n- x\n") == [
        ("missing-field", 1),
        ("missing-field", 1),
        ("not-an-object", 10),
    ]


# --- JSON


def test_json_reads_as_json() -> None:
    body = {
        "apiVersion": "v1",
        "kind": "X",
        "metadata": {"name": "a"},
        "t": "\U0001f600 é \\ud83d / \t",
        "n": [1e3, -0.5],
    }
    text = json.dumps(body, indent=1).replace("/ ", "\\/ ")
    (manifest,) = load_manifests("f.json", text.encode())
    assert manifest.body == body
    assert manifest.lines[("metadata", "name")] == 5


@pytest.mark.parametrize(
    "text", ["a: 1", '{"a": NaN}', '{"a": 1e400}', "{'a': 1}", '{"a": 1,}', '{"a": 1} {"b": 2}']
)
def test_a_json_file_that_is_not_json_is_refused(text: str) -> None:
    assert _codes(text, "f.json")[0][0] in {"json-syntax", "yaml-syntax"}


# --- robustness


def test_mutated_files_are_read_or_refused_with_a_line_and_nothing_else() -> None:
    rng = random.Random(7)
    seeds = [
        ONE.encode(),
        b"a: &a {<<: {b: !!int 1}, ? c : *a}\n...\n%YAML 1.1\n--- |\n x\n",
        ONE.encode("utf-16"),
    ]
    for _ in range(3000):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(data) + 1)
            if rng.random() < 0.5:
                data[at:at] = bytes([rng.choice(b"[]{}:,&*!|>'\"%@`#?-<=~\n\t \x00\xff\\0u")])
            else:
                del data[at : at + rng.randint(1, 5)]
        for path in ("f.yaml", "f.json"):
            try:
                load_manifests(path, bytes(data))
            except InvalidError as error:
                problems = error.problems
                assert problems, data
                assert all(p.origin and p.origin.line >= 1 and "\n" not in str(p) for p in problems), data


def test_dumped_values_read_back_the_same() -> None:
    words = [
        "y",
        "1e3",
        "08",
        "0o644",
        "12:30",
        "2020-01-01",
        "~",
        "",
        "a\nb\n",
        " x",
        "é\u2028\x07",
        "=",
        "<<",
        "- a",
    ]
    values = [{word: [word, {"deep": {"x": None, "y": True, "z": 1.5, "w": [], "v": {}}}]} for word in words]
    assert _values(dump(values)) == values


def test_dump_writes_shared_values_out() -> None:
    shared = {"a": 1}
    assert "&" not in dump([[shared, shared]])

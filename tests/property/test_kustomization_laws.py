"""The screen of kustomizations on whatever somebody writes: it ends, tells, and lets nothing remote pass."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, cast

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.adapters import kustomize_texts
from pipeline.adapters.git import GitRepository
from pipeline.adapters.git_tree import LINK, TREE, Entry, Tree
from pipeline.adapters.kustomize_graph import Graph, walk
from pipeline.core.kustomization import KNOWN, is_remote
from pipeline.model.environment import Source
from pipeline.model.objects import Origin

MAP = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n"
SOURCE = Source(kind="kustomize", path="top", origin=Origin("environments/dev/environment.yaml", 7))
OTHERS = {
    "top/a.yaml": MAP,
    "top/b/kustomization.yaml": b"resources: [../../base]",
    "base/kustomization.yaml": b"resources: [web.yaml]",
    "base/web.yaml": MAP,
    "secret.txt": b"canary",
}
LINKS = {"top/out": "/etc/passwd", "top/loop": "loop", "top/up": "../secret.txt", "top/dir": "../base"}


class InMemory:
    """As much of a repository as is read."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = {**OTHERS, **files}
        entries = {path: Entry("100644", path) for path in self._files}
        entries |= {path: Entry(LINK, path) for path in LINKS}
        for path in list(entries):
            folder = posixpath.dirname(path)
            while folder:
                entries[folder] = Entry(TREE, folder)
                folder = posixpath.dirname(folder)
        self._tree = Tree(entries, LINKS)

    def tree(self, revision: str) -> Tree:
        return self._tree

    def read(self, revision: str, paths: Sequence[str]) -> dict[str, bytes]:
        return {path: self._files[self._tree.resolve(path)] for path in paths}


def walked(content: bytes) -> tuple[InMemory, Graph]:
    repository = InMemory({"top/kustomization.yaml": content})
    return repository, walk(cast(GitRepository, repository), "0" * 40, SOURCE)


HOSTILE = (
    "https://example.com/x", "git::https://a/b", "git@host:a/b", "github.com/a/b", "ssh://a/b", "a.b:c/d",
    "x?ref=main", "_git/x", "//host/x", "/etc/passwd", "../../../x", "../secret.txt", "--x", "-", ".", "..",
    "a.yaml", "b", "../base", "out", "loop", "up", "dir", "a\nb: c", "{a: b}", "key=https://a/b", "a=b=c", "",
)  # fmt: skip
TEXTS = st.sampled_from(HOSTILE) | st.text(max_size=12)
KEYS = st.sampled_from(
    [*sorted(KNOWN), "path", "files", "envs", "env", "patch", "target", "Path", "RESOURCES"]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | TEXTS, inner, max_size=3),
    max_leaves=8,
)
KUSTOMIZATIONS = st.dictionaries(KEYS, VALUES, max_size=4)


@given(KUSTOMIZATIONS)
@example({"resources": ["https://example.com/x"]})
@example({"Resources": ["https://example.com/x"]})
@example({"patches": [{"Path": "https://example.com/x"}]})
@example({"configurations": [".."]})
@example({"transformers": ["b"], "generators": ["a\nb: c"]})
@settings(max_examples=400)
def test_no_kustomization_passes_with_something_remote_or_outside(value: dict[str, Any]) -> None:
    _, graph = walked(json.dumps(value).encode())
    for named in graph.named:
        assert not is_remote(named.reference.path)
        real = LINKS_FOLLOWED.get(named.file, named.file)
        assert real.startswith(f"{named.layer.folder}/")
    for path in graph.used:
        assert not path.startswith(("/", ".."))
        assert posixpath.normpath(path) == (path or ".")
    if not graph.problems and not graph.remotes:
        assert not [text for text in _texts(value, REFERRING) if is_remote(text) and "=" not in text]


LINKS_FOLLOWED = {"top/dir": "base"}
REFERRING = {
    "resources",
    "bases",
    "components",
    "crds",
    "configurations",
    "generators",
    "transformers",
    "validators",
}


def _texts(value: dict[str, Any], names: set[str]) -> list[str]:
    """Texts of the lists of these names, as kustomize would read them: whatever their letters."""
    lists = [field for name, field in value.items() if name.lower() in names and isinstance(field, list)]
    return [text for field in lists for text in field if isinstance(text, str) and "\n" not in text]


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@example(b"resources: [" + b"[" * 5000)
@example(b"a: &a [*a]")
@example(b"\xff\xfe")
@settings(max_examples=300)
def test_any_bytes_end_in_a_graph_with_located_problems(content: bytes) -> None:
    repository, graph = walked(content)
    texts = kustomize_texts.read(cast(GitRepository, repository), "0" * 40, graph)
    for problem in [*graph.problems, *texts.problems]:
        assert problem.origin is not None
        assert problem.message


@given(st.text(max_size=40), st.sampled_from(["resource", "patch", "inline"]))
@settings(max_examples=300)
def test_any_patch_and_resource_is_read_or_told(text: str, form: str) -> None:
    kustomization: dict[str, Any] = {"resources": ["a.yaml"]}
    if form == "resource":
        kustomization["resources"].append("own.yaml")
    else:
        patch = {"path": "own.yaml"} if form == "patch" else {"patch": text}
        kustomization["patches"] = [{**patch, "target": {"kind": "ConfigMap"}}]
    repository = InMemory(
        {
            "top/kustomization.yaml": json.dumps(kustomization).encode(),
            "top/own.yaml": text.encode(errors="replace"),
        }
    )
    graph = walk(cast(GitRepository, repository), "0" * 40, SOURCE)
    texts = kustomize_texts.read(cast(GitRepository, repository), "0" * 40, graph)
    assert all(problem.origin is not None for problem in texts.problems)

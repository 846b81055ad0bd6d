"""Trees full of links, and what changes between two of them."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

from pipeline.adapters.git_tree import LINK, TREE, Entry, Tree, is_below
from pipeline.core.select import selection
from pipeline.model.environment import Environment, Source, Used
from pipeline.model.errors import Problem
from pipeline.model.objects import Origin

ROOT = "a/b"
Written = Mapping[str, tuple[str, str]]
"""By path: (mode, content or where a link leads)."""

_NAMES = st.sampled_from("abc")
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
_ODD = st.lists(st.sampled_from(["a", "b", "..", "."]), min_size=1, max_size=4).map("/".join) | st.just(
    "/etc"
)


@st.composite
def _entries(draw: st.DrawFn, most: int) -> dict[str, tuple[str, str]]:
    """Files of two contents, and links: most lead to some path of the tree, often to one that is there."""
    found: dict[str, tuple[str, str]] = {}
    for path in draw(st.lists(_PATHS, max_size=most)):
        match draw(st.integers(0, 9)):
            case 0:
                found[path] = (LINK, draw(_ODD))
            case kind if kind < 6:
                there = [place for known in found for place in (known, known.rpartition("/")[0]) if place]
                target = st.sampled_from(there) | _PATHS if there else _PATHS
                found[path] = (LINK, "../" * path.count("/") + draw(target))
            case _:
                found[path] = ("100644", draw(st.sampled_from("12")))
    return found


@st.composite
def two_commits(draw: st.DrawFn) -> tuple[Written, Written]:
    """A tree, and what a few edits make of it."""
    base = draw(_entries(9))
    head = {**base, **draw(_entries(2))}
    for path in draw(st.lists(st.sampled_from(sorted(base)), max_size=2)) if base else ():
        head.pop(path, None)
    return _consistent(base), _consistent(head)


def _consistent(written: Written) -> Written:
    """Without what lies in a file."""
    return {
        path: entry
        for path, entry in written.items()
        if not any(is_below(path, other) for other in written if other != path)
    }


def _tree(written: Written) -> Tree:
    entries = {path: Entry(mode, f"{mode} {content}") for path, (mode, content) in written.items()}
    for path in written:
        while path := path.rpartition("/")[0]:
            entries[path] = Entry(TREE, "")
    links = {path: content for path, (mode, content) in written.items() if mode == LINK}
    return Tree(entries, links)


def _read(tree: Tree) -> list[tuple[str, str]]:
    """What a source of manifests reads, and what is wrong with it."""
    problems: list[Problem] = []
    files = sorted(tree.files(ROOT, problems))
    found = [(path, entry.oid) for path in files if (entry := tree.file(path))]
    return found + [(problem.code, str(problem.origin)) for problem in problems]


def links_count(commits: tuple[Written, Written]) -> None:
    """Whenever a source reads otherwise than at its base, its environment is affected."""
    base, head = commits
    before, after = _tree(base), _tree(head)
    if _read(before) == _read(after):
        return
    changed = [(path, "modified") for path in {*base, *head} if base.get(path) != head.get(path)]
    source = Source(kind="manifests", path=ROOT, origin=Origin("environment.yaml"))
    environment = Environment(
        name="dev", application="app", namespace="demo", path="environment.yaml", sources=(source,)
    )
    also = [Used(place, (link, place)) for place, link in after.linked(ROOT).items()]
    assert selection(environment, changed, also=also).affected

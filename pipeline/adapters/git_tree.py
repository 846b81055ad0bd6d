"""The files of one commit: paths, kinds, and where symbolic links lead, without a file system."""

from __future__ import annotations

import posixpath
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from sys import intern
from unicodedata import normalize

from pipeline.model.errors import Problem
from pipeline.model.objects import Origin

LINK = "120000"
SUBMODULE = "160000"
TREE = "040000"

_HOPS = 40
"""Links followed for one path: what Linux does before it says ELOOP."""

_VISITS = 10_000
"""Paths beyond those of the tree: links to folders of links can make 2^n of n."""


class LinkError(Exception):
    """A symbolic link that leads out of the repository, to nothing, or round in a circle."""

    def __init__(self, link: str, code: str, why: str) -> None:
        super().__init__(why)
        self.problem = Problem(
            code=code,
            message=f"symbolic link {link} {why}",
            origin=Origin(link),
            hint="link to a file of this repository, or put the file itself there",
        )


@dataclass(frozen=True, slots=True)
class Entry:
    mode: str
    oid: str


@dataclass(frozen=True)
class Tree:
    """All entries of a commit by path, and the targets of its links.

    ``strange`` are paths that are no UTF-8, as they are.
    """

    entries: Mapping[str, Entry]
    links: Mapping[str, str]
    strange: tuple[bytes, ...] = ()

    @cached_property
    def children(self) -> Mapping[str, tuple[str, ...]]:
        """The names in every folder; the root is the empty path."""
        found: dict[str, list[str]] = {"": []}
        for path, entry in self.entries.items():
            folder, _, name = path.rpartition("/")
            found.setdefault(folder, []).append(name)
            if entry.mode == TREE:
                found.setdefault(path, [])
        return {folder: tuple(sorted(names)) for folder, names in found.items()}

    @cached_property
    def submodules(self) -> tuple[str, ...]:
        return tuple(path for path, entry in self.entries.items() if entry.mode == SUBMODULE)

    @cached_property
    def twins(self) -> tuple[tuple[str, ...], ...]:
        """Files whose paths are one where case, or the way in which accents are encoded, does not count."""
        files = [path for path, entry in self.entries.items() if entry.mode != TREE]
        seen, several = set[str](), set[str]()
        for path in files:
            folded = _folded(path)
            (several if folded in seen else seen).add(folded)
        if not several:
            return ()
        found: dict[str, list[str]] = {}
        for path in files:
            if (folded := _folded(path)) in several:
                found.setdefault(folded, []).append(path)
        return tuple(map(tuple, found.values()))

    def real(self, path: str) -> str:
        """As ``resolve``; ``path`` itself where it leads nowhere."""
        try:
            return self.resolve(normal(path))
        except LinkError:
            return normal(path)

    def linked(self, root: str) -> Mapping[str, str]:
        """Every path that ``root`` or a link below it leads to, also where nothing is, with the link.

        What is read through ``root`` is the same in two commits unless something at or below one of these
        paths, or ``root``, differs.
        """
        found: dict[str, str] = {}
        todo, seen = [normal(root)], set[str]()
        while todo:
            path = todo.pop()
            if path in seen:
                continue
            seen.add(path)
            passed: list[str] = []
            with suppress(LinkError):  # reading it is refused, and says why
                passed.append(self.resolve(path, passed))
            for link, place in pairwise(passed):
                found.setdefault(place, link)
                todo.append(place)
            todo += self._links_in(path)
        return found

    def _links_in(self, folder: str) -> Sequence[str]:
        """The links below a folder that is no link itself."""
        links = self._sorted_links
        if not folder:
            return links
        # "0" comes right after "/".
        return links[bisect_left(links, f"{folder}/") : bisect_left(links, f"{folder}0")]

    @cached_property
    def _sorted_links(self) -> Sequence[str]:
        return sorted(self.links)

    def resolve(self, path: str, passed: list[str] | None = None) -> str:
        """Where ``path`` leads once every link on the way is followed; these are added to ``passed``.

        Raises:
            LinkError: a link cannot be followed within the tree.
        """
        done: list[str] = []
        todo = [part for part in path.split("/") if part not in ("", ".")]
        hops = 0
        while todo:
            part = todo.pop(0)
            if part == "..":
                if not done:
                    raise LinkError(path, "symlink-outside", "leads out of the repository")
                done.pop()
                continue
            done.append(part)
            here = "/".join(done)
            if here not in self.links:
                continue
            hops += 1
            if hops > _HOPS:
                raise LinkError(here, "symlink-loop", "leads round in a circle")
            if passed is not None:
                passed.append(here)
            target = self.links[here]
            if target.startswith("/"):
                raise LinkError(here, "symlink-outside", "leads out of the repository")
            done.pop()
            todo = [part for part in target.split("/") if part not in ("", ".")] + todo
        return "/".join(done)

    def files(self, folder: str, problems: list[Problem]) -> Iterator[str]:
        """Regular files below ``folder``, or ``folder`` itself; links count as what they lead to.

        Links that cannot be followed are added to ``problems``. Submodules are passed over.
        """
        stack: list[tuple[str, tuple[str, ...]]] = [(normal(folder), ())]
        budget = len(self.entries) + _VISITS
        while stack:
            path, above = stack.pop()
            budget -= 1
            if budget < 0:
                problems.append(LinkError(path, "symlink-loop", "multiplies folders without end").problem)
                return
            try:
                real = self.resolve(path)
            except LinkError as error:
                problems.append(error.problem)
                continue
            entry = self.entries.get(real)
            if real in self.children:
                if real in above:
                    problems.append(LinkError(path, "symlink-loop", "leads round in a circle").problem)
                    continue
                stack += [(posixpath.join(path, name), (*above, real)) for name in self.children[real]]
            elif entry is None:
                if above:
                    problems.append(LinkError(path, "symlink-dangling", "leads to nothing").problem)
            elif entry.mode != SUBMODULE:
                yield path

    def file(self, path: str) -> Entry | None:
        """The entry of a regular file, links followed. Raises LinkError."""
        entry = self.entries.get(self.resolve(normal(path)))
        return entry if entry is not None and entry.mode not in (TREE, SUBMODULE) else None

    def is_file(self, path: str) -> bool:
        """Whether there is a regular file, or a link that cannot be followed."""
        try:
            return self.file(path) is not None
        except LinkError:
            return True


def normal(path: str) -> str:
    """A path within the repository without dots; the root is empty."""
    cleaned = posixpath.normpath(path)
    return "" if cleaned == "." else cleaned


def is_below(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or lies in it."""
    folder = normal(folder)
    return not folder or path == folder or path.startswith(f"{folder}/")


def _folded(path: str) -> str:
    return path.casefold() if path.isascii() else normalize("NFC", path).casefold()


def parse(listing: bytes, known: Mapping[str, Entry]) -> tuple[dict[str, Entry], tuple[bytes, ...]]:
    """Read ``ls-tree -r -t -z``: (entries, paths that are no UTF-8). What ``known``, another commit, has
    the same is not kept twice."""
    entries: dict[str, Entry] = {}
    strange: list[bytes] = []
    for record in listing.split(b"\0"):
        if not record:
            continue
        about, _, raw = record.partition(b"\t")
        mode, _, oid = about.decode().split(" ")
        try:
            path = intern(raw.decode())
        except UnicodeDecodeError:
            strange.append(raw)
            continue
        same = known.get(path)
        entries[path] = same if same and (same.mode, same.oid) == (mode, oid) else Entry(intern(mode), oid)
    return entries, tuple(strange)

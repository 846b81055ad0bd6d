"""YAML text to JSON values with the line of every field: a composer over libyaml's event stream.

Iterative, so that no nesting exhausts the stack, and on a budget, so that no small file becomes a large
value. libyaml looks at most 1024 characters ahead: a document that nests too deep is refused before the
rest of it is scanned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from sys import intern
from typing import Any, Final, NoReturn

from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from pipeline.core.scalars import resolve, resolve_key
from pipeline.core.schema import shown
from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Json, Origin

MAX_DEPTH: Final = 256
"""Deeper than any object of Kubernetes, and shallow enough for recursion elsewhere."""

MAX_NODES: Final = 250_000
"""Values of one file, keys not counted: what 200 MiB hold, lines and all. Large bundles have half as many."""

MAX_EXPANDED_NODES: Final = 100_000
MAX_EXPANDED_CHARS: Final = 16 * 1024 * 1024
"""What aliases of one file may add up to once they are written out."""

TOO_MANY: Final = f"more than {MAX_NODES} values in one file"
TOO_DEEP: Final = f"nested deeper than {MAX_DEPTH} levels"
WRITTEN_OUT: Final = (
    f"aliases write out to more than {MAX_EXPANDED_NODES} values or {MAX_EXPANDED_CHARS >> 20} MiB"
)

NO_KEY: Final = "a list or mapping cannot be a key"

MAX_PROBLEMS: Final = 100

_TAG: Final = "tag:yaml.org,2002:"
_SCALAR_TAGS: dict[str, tuple[type, ...]] = {
    _TAG + "int": (int,),
    _TAG + "float": (int, float),
    _TAG + "bool": (bool,),
    _TAG + "null": (type(None),),
}
_STRING_TAGS: Final = frozenset({"!", _TAG + "str"})
_MERGE: Final = "<<"


def no_alias(name: str, *, is_open: bool) -> str:
    """Why an alias is none; ``is_open``: what it names has not ended yet."""
    why = "is used inside of itself" if is_open else "is not defined before it is used"
    return f"the alias *{name} {why}"


class StopError(Exception):
    """The rest of the file cannot be read; the reason is among the problems."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file. ``lines`` gives the line, from 1, of every field below the root."""

    value: Json
    origin: Origin
    lines: dict[FieldPath, int] = field(default_factory=dict, repr=False, compare=False)


@dataclass(slots=True)
class _Anchor:
    value: Json
    path: FieldPath
    nodes: int
    chars: int


_PATHS: Final[dict[FieldPath, FieldPath]] = {}
_MOST_PATHS: Final = 100_000


def _shared(path: FieldPath) -> FieldPath:
    """The one tuple for a path: ten thousand manifests have the same few hundred fields."""
    if len(_PATHS) > _MOST_PATHS:
        return path
    return _PATHS.setdefault(path, path)


_LINES: Final[dict[tuple[tuple[FieldPath, int], ...], dict[FieldPath, int]]] = {}
_MOST_LINES: Final = 1_000


def _shared_lines(lines: dict[FieldPath, int]) -> dict[FieldPath, int]:
    """One mapping for files that are laid out alike, as those of one object each mostly are."""
    key = tuple(lines.items())
    if len(_LINES) > _MOST_LINES:
        return _LINES.get(key, lines)
    return _LINES.setdefault(key, lines)


def forget() -> None:
    """Drop what files have in common: for a process that stays, and reads ever other ones."""
    _PATHS.clear()
    _LINES.clear()


@dataclass(slots=True)
class _Frame:
    """A mapping or sequence that is still open."""

    value: Any
    path: FieldPath
    anchor: str | None
    nodes: int  # the budget's counts as it was opened
    chars: int
    key: str | None = None  # the key that waits for its value
    keys: dict[str, int] | None = None  # written keys with their lines; None for a sequence
    merging: bool = False
    merged: set[str] = field(default_factory=set)  # keys that came by a merge alone


class Composer:
    """Reads one file; ``problems`` holds all that is wrong with it once ``documents`` is exhausted."""

    def __init__(self, path: str, text: str) -> None:
        self.problems: list[Problem] = []
        self._path = path
        self._parser = CParser(text)
        self._nodes = 0
        self._chars = 0
        self._expanded_nodes = 0
        self._expanded_chars = 0
        self._reset()

    def _reset(self) -> None:
        self._stack: list[_Frame] = []
        self._anchors: dict[str, _Anchor] = {}
        self._open: set[str] = set()
        self._lines: dict[FieldPath, int] = {}
        self._root: Json = None
        self._origin = Origin(self._path)

    def documents(self) -> Iterator[Document]:
        """Every document that is not empty, in the order of the file.

        Raises what libyaml raises where the text is not YAML, and StopError where a budget is exceeded.
        """
        get_event = self._parser.get_event
        started = False
        while True:
            event = get_event()
            kind = type(event)
            if kind is ScalarEvent:
                self._scalar(event)
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                self._start(event, is_mapping=kind is MappingStartEvent)
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                self._end()
            elif kind is AliasEvent:
                self._alias(event)
            elif kind is DocumentStartEvent or kind is StreamEndEvent:
                if started and self._root is not None:
                    yield Document(self._root, self._origin, _shared_lines(self._lines))
                if kind is StreamEndEvent:
                    return
                started = True
                self._reset()

    # --- one event each

    def _scalar(self, event: Any) -> None:
        frame = self._stack[-1] if self._stack else None
        if frame is not None and frame.keys is not None and frame.key is None:
            self._count(0, len(event.value), event)
            self._take_key(frame, event)
            return
        self._count(1, len(event.value), event)
        value = self._scalar_value(event)
        path = self._place(frame, event)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchor(value, path, 1, len(event.value))
        self._attach(frame, value, event)

    def _start(self, event: Any, *, is_mapping: bool) -> None:
        self._count(1, 0, event)
        parent = self._stack[-1] if self._stack else None
        if len(self._stack) >= MAX_DEPTH:
            self._stop(event, "too-deep", TOO_DEEP)
        tag = event.tag
        if tag is not None and tag not in ("!", _TAG + ("map" if is_mapping else "seq")):
            self._tell(event, "bad-tag", f"the tag {tag!r} is not allowed")
        if parent is not None and parent.keys is not None and parent.key is None:
            self._stop(event, "bad-key", NO_KEY)
        path = self._place(parent, event)
        if event.anchor is not None:
            self._anchors.pop(event.anchor, None)
            self._open.add(event.anchor)
        self._stack.append(
            _Frame(
                value={} if is_mapping else [],
                path=path,
                anchor=event.anchor,
                nodes=self._nodes - 1,
                chars=self._chars,
                keys={} if is_mapping else None,
            )
        )

    def _end(self) -> None:
        frame = self._stack.pop()
        if frame.anchor is not None:
            self._open.discard(frame.anchor)
            nodes, chars = self._nodes - frame.nodes, self._chars - frame.chars
            self._anchors[frame.anchor] = _Anchor(frame.value, frame.path, nodes, chars)
        self._attach(self._stack[-1] if self._stack else None, frame.value, None)

    def _alias(self, event: Any) -> None:
        name = event.anchor
        anchor = self._anchors.get(name)
        if anchor is None:
            self._stop(event, "bad-alias", no_alias(name, is_open=name in self._open))
        self._expanded_nodes += anchor.nodes
        self._expanded_chars += anchor.chars
        if self._expanded_nodes > MAX_EXPANDED_NODES or self._expanded_chars > MAX_EXPANDED_CHARS:
            self._stop(event, "excessive-aliasing", WRITTEN_OUT)
        self._count(anchor.nodes, anchor.chars, event)
        frame = self._stack[-1] if self._stack else None
        if frame is not None and frame.keys is not None and frame.key is None:
            if not isinstance(anchor.value, str):
                self._stop(event, "bad-key", "only an alias of a string can be a key")
            self._register(frame, anchor.value, event)
            return
        path = self._place(frame, event)
        self._attach(frame, self._copy(anchor.value, anchor.path, path), event)

    # --- keys and values

    def _take_key(self, frame: _Frame, event: Any) -> None:
        if event.value == _MERGE and (
            event.tag == _TAG + "merge" or (event.tag is None and event.implicit[0])
        ):
            frame.merging = True
            self._register(frame, _MERGE, event)
            return
        key = event.value
        try:
            if event.tag is None and event.implicit[0]:
                key = resolve_key(key)
            elif event.tag is not None and event.tag not in _STRING_TAGS:
                raise ValueError(f"a key cannot have the tag {shown(event.tag)}")
            elif "\0" in key:
                raise ValueError("a NUL character is not allowed")
        except ValueError as error:
            self._tell(event, "bad-key", str(error))
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchor(key, (), 1, len(key))
        self._register(frame, key, event)

    def _register(self, frame: _Frame, key: str, event: Any) -> None:
        """Make ``key`` the one that waits for its value, unless it was there before."""
        assert frame.keys is not None  # noqa: S101 - only mappings get here
        line = event.start_mark.line + 1
        # A quoted "<<" is an ordinary key; the blank keeps it apart from the merge.
        name = key if key != _MERGE or frame.merging else " <<"
        first = frame.keys.get(name)
        if first is None:
            frame.keys[name] = line
        else:
            message = f"the key {shown(key)} is written twice, in lines {first} and {line}"
            self._tell(event, "duplicate-key", message)
        frame.key = intern(key)

    def _place(self, frame: _Frame | None, event: Any) -> FieldPath:
        """The path of the value that begins, whose line is noted."""
        line = event.start_mark.line + 1
        if frame is None:
            self._origin = Origin(self._path, line, event.start_mark.column + 1)
            return ()
        step = frame.key if frame.keys is not None else len(frame.value)
        path = _shared((*frame.path, step if step is not None else ""))
        self._lines[path] = frame.keys.get(str(step), line) if frame.keys is not None else line
        return path

    def _attach(self, frame: _Frame | None, value: Json, event: Any) -> None:
        if frame is None:
            self._root = value
        elif frame.keys is None:
            frame.value.append(value)
        elif frame.merging:
            frame.merging, frame.key = False, None
            self._merge(frame, value)
        else:
            frame.value[frame.key] = value
            frame.key = None

    def _merge(self, frame: _Frame, value: Json) -> None:
        """Give the mapping what ``value``, a mapping or several, has and it has not."""
        line = (frame.keys or {}).get(_MERGE, 1)
        base = (*frame.path, _MERGE)
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(source, dict) for source in sources):
            self._tell_line(line, "bad-merge", "<< takes a mapping or a list of mappings")
            return
        for index, source in enumerate(sources):
            at = (*base, index) if isinstance(value, list) else base
            for key, item in source.items():
                if key in frame.value:
                    self._check_merge(frame, key, item, line)
                    continue
                frame.merged.add(key)
                frame.value[key] = self._copy(item, (*at, key), (*frame.path, key))

    def _check_merge(self, frame: _Frame, key: str, item: Json, line: int) -> None:
        # kubectl lets a later << win over a key written before it, other readers do not.
        if key not in frame.merged and frame.value[key] != item:
            message = f"the key {shown(key)} stands before the << that sets it too; write << first"
            self._tell_line(line, "bad-merge", message)

    def _copy(self, value: Json, old: FieldPath, new: FieldPath) -> Json:
        """A value of its own for each place, with the lines of where it was written.

        Recursive, but never deeper than MAX_DEPTH.
        """
        line = self._lines.get(old)
        if len(new) > MAX_DEPTH:
            self._stop_line(line or 1, "too-deep", f"nested deeper than {MAX_DEPTH} levels")
        if line is not None:
            self._lines[new] = line
        if isinstance(value, dict):
            return {key: self._copy(item, (*old, key), (*new, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._copy(item, (*old, i), (*new, i)) for i, item in enumerate(value)]
        return value

    def _scalar_value(self, event: Any) -> Json:
        text, tag = event.value, event.tag
        if "\0" in text:
            self._tell(event, "bad-character", "a NUL character is not allowed")
        if tag in _STRING_TAGS or (tag is None and not event.implicit[0]):
            return text
        try:
            value = resolve(text)
        except ValueError as error:
            self._tell(event, "bad-number", str(error))
            return text
        if tag is None:
            return value
        return self._tagged(event, tag, value)

    def _tagged(self, event: Any, tag: str, value: Json) -> Json:
        allowed = _SCALAR_TAGS.get(tag)
        if allowed is None:
            self._tell(event, "bad-tag", f"the tag {shown(tag)} is not allowed")
        elif not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            self._tell(event, "bad-tag", f"the value does not agree with its tag {shown(tag)}")
        return value

    # --- budgets and problems

    def _count(self, nodes: int, chars: int, event: Any) -> None:
        self._nodes += nodes
        self._chars += chars
        if self._nodes > MAX_NODES:
            self._stop(event, "too-large", TOO_MANY)

    def _tell(self, event: Any, code: str, message: str) -> None:
        mark = event.start_mark
        self._tell_line(mark.line + 1, code, message, mark.column + 1)

    def _tell_line(self, line: int, code: str, message: str, column: int = 1) -> None:
        self.problems.append(Problem(code=code, message=message, origin=Origin(self._path, line, column)))
        if len(self.problems) >= MAX_PROBLEMS:
            raise StopError

    def _stop(self, event: Any, code: str, message: str) -> NoReturn:
        self._tell(event, code, message)
        raise StopError

    def _stop_line(self, line: int, code: str, message: str) -> NoReturn:
        self._tell_line(max(line, 1), code, message)
        raise StopError

"""Plans as files: where a user saved them, and the last ones in the user's cache."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.core.plan_changes import is_plan
from pipeline.model.errors import UsageError

KEPT = 50
"""Plans in the cache: some days of reviews. A gut feeling."""

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_HINT = "save a plan with `pipeline plan -e ENV --save FILE`"


class PlanFiles:
    """Documents of plans. They hold no secret values, but names and fields: nobody else may read them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._folder = _cache_folder(environ)

    @contextmanager
    def saving(self, path: str) -> Iterator[Callable[[str], None]]:
        """Gives what writes the file, as a whole or not at all; nothing is saved where ``path`` is empty.

        Raises:
            UsageError: at once where the file cannot be written.
        """
        if not path:
            yield lambda _: None
            return
        target = Path(path)
        try:
            if target.exists() and not target.is_file():
                raise UsageError(f"save the plan to {path}: it is no file", hint="name a file with --save")
            temporary = _beside(target)
        except OSError as error:
            raise _not_saved(path, error) from error

        def save(text: str) -> None:
            try:
                _fill(temporary, text, target)
            except OSError as error:
                raise _not_saved(path, error) from error

        try:
            yield save
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def read(self, path: str) -> Mapping[str, Any]:
        """A saved plan. Raises UsageError where the file is none."""
        try:
            # A device or a pipe might never end.
            text = Path(path).read_bytes() if Path(path).is_file() else None
        except OSError as error:
            raise UsageError(f"read the plan {path}: {error.strerror}", hint=_HINT) from error
        if text is None:
            raise UsageError(f"read the plan {path}: there is no such file", hint=_HINT)
        document = _parsed(text)
        if document is None:
            raise UsageError(f"{path} is no plan that was saved", hint=_HINT)
        return document

    def keep(self, digest: str, text: str) -> None:
        """Remember a plan by its digest. Where that cannot be done it is not known later: no error."""
        place = self._place(digest)
        if place is None:
            return
        with suppress(OSError):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = _beside(place)
            try:
                _fill(temporary, text, place)
            finally:
                temporary.unlink(missing_ok=True)
            self._trim(place.parent)

    def known(self, digest: str) -> Mapping[str, Any] | None:
        """The plan of this digest, where it was kept and is intact."""
        place = self._place(digest)
        try:
            document = _parsed(place.read_bytes()) if place else None
        except OSError:
            return None
        return document if document and document["digest"] == digest else None

    def _place(self, digest: str) -> Path | None:
        match = _DIGEST.fullmatch(digest)
        return self._folder / f"{match[1]}.json" if self._folder and match else None

    def _trim(self, folder: Path) -> None:
        # Temporary files end in .json, too: what a killed run left goes in its turn.
        newest_first = sorted(folder.glob("*.json"), key=lambda p: p.stat().st_mtime_ns, reverse=True)
        for old in newest_first[KEPT:]:
            old.unlink(missing_ok=True)


def _cache_folder(environ: Mapping[str, str]) -> Path | None:
    """``$XDG_CACHE_HOME``, which counts only if it is absolute (XDG Base Directory), or ``~/.cache``."""
    cache, home = environ.get("XDG_CACHE_HOME", ""), environ.get("HOME", "")
    if not cache.startswith("/"):
        cache = f"{home}/.cache" if home.startswith("/") else ""
    return Path(cache) / "pipeline" / "plans" if cache else None


def _beside(target: Path) -> Path:
    """An empty file in the same folder, which only we may read (mode 0600)."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:64]}.", suffix=".json", dir=target.parent)
    os.close(descriptor)
    return Path(name)


def _fill(temporary: Path, text: str, target: Path) -> None:
    with temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(target)


def _not_saved(path: str, error: OSError) -> UsageError:
    return UsageError(
        f"save the plan to {path}: {error.strerror or type(error).__name__}",
        hint="name a file in a folder that exists and may be written",
    )


def _parsed(data: bytes) -> Mapping[str, Any] | None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return document if is_plan(document) else None

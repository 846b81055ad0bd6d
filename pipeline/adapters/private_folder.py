"""A folder of our own with some files of a commit: what a program that renders gets to see, and no more."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline.adapters.git import GitRepository


@contextmanager
def private_folder(repository: GitRepository, revision: str, paths: Iterable[str]) -> Iterator[Path]:
    """Files of a commit, and the symbolic links on the way to them, at their paths in a folder that only this
    user can enter. Folders among ``paths`` come with all below them; what is not there is left out.

    Raises:
        InvalidError: a file cannot be read, or a link leads out of the repository.
    """
    with folder_of({}) as root:
        fill(root, repository, revision, paths)
        yield root


def fill(root: Path, repository: GitRepository, revision: str, paths: Iterable[str]) -> None:
    """Lay files of a commit, and the links on the way to them, into a private folder."""
    tree = repository.tree(revision)
    files = sorted({file for path in paths for file in repository.files(revision, path)})
    contents = repository.read(revision, files)
    for file in files:
        passed: list[str] = []
        real = tree.resolve(file, passed)
        for link in passed:
            _link(root / link, tree.links[link])
        _write(root / real, contents[file])


@contextmanager
def folder_of(contents: Mapping[str, bytes]) -> Iterator[Path]:
    """Contents at their paths, which must not lead out of it, in a folder that only this user can enter."""
    with tempfile.TemporaryDirectory(prefix="pipeline-", ignore_cleanup_errors=True) as name:
        root = Path(name).resolve()
        for path, content in contents.items():
            _write(root / path, content)
        yield root


def _link(path: Path, target: str) -> None:
    """As it is in the commit: it was followed within the tree, so it stays within this folder."""
    if not path.is_symlink():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.symlink_to(target)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)

"""The user's git repository, read from its objects; the work tree is never looked at for content."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.adapters.git_blobs import read_blobs
from pipeline.adapters.git_clone import Clone
from pipeline.adapters.git_command import OBJECT_ID, TIMEOUT_S, Git, object_id, revision, shown
from pipeline.adapters.git_tree import LINK, SUBMODULE, Entry, LinkError, Tree, is_below, parse
from pipeline.model.errors import InvalidError, PipelineError, Problem, UnreachableError
from pipeline.model.objects import Origin

FILE_BYTES = 8 * 1024 * 1024
"""A larger file is no manifest: the API server takes 3 MB of a request, etcd 1.5 MB of an object."""

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_SHALLOW = "fetch the whole history: git fetch --unshallow, or fetch-depth: 0 for actions/checkout"
_CHANGES = {"A": "added", "M": "modified", "T": "modified", "D": "deleted"}
_PLAIN_PATH = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*")


class GitRepository:
    """``ports.Repository`` over a git work tree. ``folder`` may be anywhere within it.

    Commits and contents that the clone lacks are fetched as they are asked for; ``stopped`` ends that.

    Raises:
        InvalidError: ``folder`` is in no repository with a work tree.
        UnreachableError: git is missing or broken.
    """

    def __init__(
        self,
        folder: str | Path = ".",
        *,
        timeout_s: float = TIMEOUT_S,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        named = Path(folder).resolve()
        self.root = _open(named)
        self._git = Git(self.root, trusted=self.root == named, timeout_s=timeout_s)
        self._clone = Clone(self._git, stopped)
        self._trees: dict[str, Tree] = {}

    # --- revisions

    def resolve(self, revision_: str) -> str:
        """The commit that a branch, tag, ``HEAD~1`` or object id names. InvalidError where there is none."""
        name = revision(revision_)
        if OBJECT_ID.fullmatch(name):
            self._require(name)
        code, output = self._git(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", accept=(0, 1, 128)
        )
        found = output.decode(errors="replace").strip()
        if code or not OBJECT_ID.fullmatch(found):
            raise self._unknown(name)
        return found

    def branch(self) -> str:
        """The branch that is checked out, or empty where HEAD is detached."""
        _, output = self._git("symbolic-ref", "--quiet", "--short", "HEAD", accept=(0, 1))
        return output.decode(errors="replace").strip()

    def latest(self, branch: str, stopped: Callable[[], bool]) -> str:
        """The commit that ``branch`` is at on the remote; see ``git_fetch``."""
        from pipeline.adapters.git_fetch import latest  # late: only who follows a branch asks a git host

        return latest(self._git, branch, stopped)

    def obtain(self, commit: str) -> str:
        """Fetch what is not here of a commit and its folders; why that cannot be, or empty."""
        if not OBJECT_ID.fullmatch(commit):
            return f"{shown(commit)} is not a full object id"
        failed = self._lacking(commit)
        return failed.message if failed else ""

    def is_ancestor(self, old: str, new: str) -> bool | None:
        """Whether ``new`` contains ``old``; None where one of them, or the history between them, is neither
        here nor can be fetched."""
        if not all(OBJECT_ID.fullmatch(commit) for commit in (old, new)):
            return None
        return self._clone.is_ancestor(old, new)

    def last_with(self, revision_: str, path: str) -> str:
        """The newest commit before this one that has the file; empty where none is known here.

        git is asked for the file by a name that no wildcard and no option is read in. What is here of the
        history is looked at; nothing is fetched for it.
        """
        if not _PLAIN_PATH.fullmatch(path):
            return ""
        try:
            _, output = self._git("rev-list", "-n1", object_id(revision_), "--", f":(top,literal){path}")
            deletion = output.decode().strip()
            _, output = self._git("rev-list", "-n1", "--parents", object_id(deletion or revision_))
        except UnreachableError:  # a clone without trees
            return ""
        parents = output.decode().split()[1:]
        return next((parent for parent in parents if self._has(parent, path)), "")

    def _has(self, commit: str, path: str) -> bool:
        return not self._lacking(commit) and self.tree(commit).is_file(path)

    def describe(self, revision_: str) -> tuple[str, str]:
        """(author name, first line of the message); both are somebody's text."""
        self._require(revision_)
        _, output = self._git("cat-file", "commit", object_id(revision_))
        head, _, message = output.partition(b"\n\n")
        headers = dict(line.partition(b" ")[::2] for line in reversed(head.split(b"\n")))
        encoding = headers.get(b"encoding", b"utf-8").decode(errors="replace")
        author = headers.get(b"author", b"").partition(b" <")[0]
        first = message.lstrip(b"\n").partition(b"\n")[0]
        return _decoded(author, encoding).strip(), _decoded(first, encoding).strip()

    # --- content

    def changed(self, base: str, revision_: str) -> Sequence[tuple[str, str]]:
        """(path, added | modified | deleted) between two commits, by path.

        A rename is a deletion and an addition; commits of submodules do not count. Bytes of a path
        that are no UTF-8 read ``\\xff``.
        """
        for commit in (base, revision_):
            self._require(commit)
        _, output = self._git(
            "diff-tree", "-r", "-z", "--raw", "--no-renames", object_id(base), object_id(revision_)
        )
        found = []
        fields = output.split(b"\0")
        for about, raw in zip(fields[::2], fields[1::2], strict=False):
            change = _change(about.decode())
            if change:
                found.append((raw.decode(errors="backslashreplace"), change))
        return tuple(sorted(found))

    def files(self, revision_: str, folder: str) -> Sequence[str]:
        """The paths of regular files below ``folder`` (or ``folder`` itself, a file), sorted.

        Links are followed within the tree, submodules passed over. Nothing there: nothing returned.

        Raises:
            InvalidError: a link leads out of the repository or nowhere, a path is no UTF-8.
        """
        tree = self.tree(revision_)
        problems = [
            _not_utf8(path) for path in tree.strange if is_below(path.decode(errors="replace"), folder)
        ]
        found = sorted(tree.files(folder, problems))
        if problems:
            raise InvalidError(f"list the files of {shown(folder)}: {problems[0]}", problems=problems)
        return tuple(found)

    def named(self, revision_: str, folder: str, name: str) -> Sequence[str]:
        """The paths ``folder/*/name`` of files, and of links whose reading says what is wrong with them.

        Raises:
            InvalidError: such a path is no UTF-8.
        """
        tree = self.tree(revision_)
        wanted = re.compile(rf"{re.escape(folder)}/[^/]+/{re.escape(name)}")
        problems = [_not_utf8(p) for p in tree.strange if wanted.fullmatch(p.decode(errors="replace"))]
        if problems:
            raise InvalidError(f"list the files of {shown(folder)}: {problems[0]}", problems=problems)
        children = tree.children.get(tree.real(folder), ())
        return [path for child in children if tree.is_file(path := f"{folder}/{child}/{name}")]

    def remarks(self, revision_: str, paths: Sequence[str]) -> Sequence[Problem]:
        """Warnings of what at or below ``paths`` is not as it looks: submodules, whose files are not read,
        and names that differ only in case, of which some file systems keep one."""
        tree = self.tree(revision_)
        roots = [place for path in paths for place in (tree.real(path), *tree.linked(path))]
        modules = [p for p in tree.submodules if any(is_below(p, root) for root in roots)]
        twins = [names for names in tree.twins if any(is_below(p, r) for p in names for r in roots)]
        return [*map(_submodule, modules), *map(_twins, twins)]

    def fingerprint(self, revision_: str, paths: Sequence[str]) -> Sequence[tuple[str, str]]:
        """(path, object id) of every regular file at or below ``paths``, sorted; equal where contents are.

        Raises:
            InvalidError: as ``files``.
        """
        tree = self.tree(revision_)
        found = {file for path in paths for file in self.files(revision_, path)}
        return [(file, entry.oid) for file in sorted(found) if (entry := tree.file(file)) is not None]

    def links(self, revision_: str, paths: Sequence[str]) -> Sequence[tuple[str, str]]:
        """(symbolic link, path that it leads to, also where nothing is) of all links at or below ``paths``,
        on the way to them or where these lead; only for what is not at or below ``paths`` itself."""
        tree = self.tree(revision_)
        if not tree.links:
            return ()
        found = {place: link for path in paths for place, link in tree.linked(path).items()}
        return [(link, p) for p, link in found.items() if not any(is_below(p, known) for known in paths)]

    def read(self, revision_: str, paths: Sequence[str]) -> Mapping[str, bytes]:
        """File contents from the commit's tree, in one process.

        Raises:
            InvalidError: a file is not there, is too large or a pointer of Git LFS.
        """
        tree = self.tree(revision_)
        problems: list[Problem] = []
        entries: dict[str, Entry] = {}
        for path in paths:
            try:
                entry = tree.file(path)
            except LinkError as error:
                problems.append(error.problem)
                continue
            if entry is None:
                problems.append(_problem("file-missing", f"{path} is not a file of {revision_[:12]}", path))
            else:
                entries[path] = entry
        blobs, large = self._blobs({entry.oid for entry in entries.values()})
        problems += [_oversized(path, large[e.oid]) for path, e in entries.items() if e.oid in large]
        contents = {path: blobs[e.oid] for path, e in entries.items() if e.oid not in large}
        problems += [p for path, content in contents.items() for p in _unfit(path, content)]
        if problems:
            raise InvalidError(f"read {len(paths)} files: {problems[0]}", problems=problems)
        return contents

    # --- the repository

    def name(self) -> str:
        """The last part of origin's URL, without ``.git``; else the name of the folder."""
        _, output = self._git("config", "--get", "remote.origin.url", accept=(0, 1))
        return _name_in(output.decode(errors="replace").strip()) or self.root.name

    # --- helpers

    def _lacking(self, commit: str) -> PipelineError | None:
        return self._clone.obtain(object_id(commit)) or self._clone.complete(commit)

    def _require(self, commit: str) -> None:
        failed = self._lacking(commit)
        if isinstance(failed, UnreachableError):
            message = f"read commit {commit[:12]}: it is not in this clone ({failed.message})"
            raise UnreachableError(message, hint=failed.hint) from failed
        if failed:
            raise self._unknown(commit, failed.message)

    def _unknown(self, name: str, failed: str = "") -> InvalidError:
        code, _ = self._git("rev-parse", "--verify", "--quiet", "HEAD", accept=(0, 1, 128))
        if code:
            why, hint = "the repository has no commit yet", "commit something first"
        elif self._clone.is_shallow():
            why, hint = "not in this shallow clone", _SHALLOW
        else:
            why, hint = "no such commit here", "check the spelling, or fetch it from the remote"
        told = f" ({failed})" if failed else ""
        return InvalidError(f"resolve revision {shown(name)}: {why}{told}", hint=hint)

    def tree(self, commit: str) -> Tree:
        """All entries of a commit, read once. InvalidError where it is not here."""
        tree = self._trees.get(object_id(commit))
        if tree is None:
            self._require(commit)
            _, listing = self._git("ls-tree", "-r", "-t", "-z", "--full-tree", object_id(commit))
            others = next(iter(self._trees.values()), None)
            entries, strange = parse(listing, others.entries if others else {})
            links = {path: entry.oid for path, entry in entries.items() if entry.mode == LINK}
            targets, _ = self._blobs(set(links.values()))
            tree = Tree(
                entries,
                {path: targets[oid].decode(errors="replace") for path, oid in links.items()},
                strange,
            )
            self._trees[commit] = tree
        return tree

    def _blobs(self, oids: set[str]) -> tuple[Mapping[str, bytes], Mapping[str, int]]:
        """The contents of blobs, and the sizes of those that are too large, which are not read.

        UnreachableError where one cannot be had.
        """
        self._clone.fill(oids)
        found, large = read_blobs(self._git, oids, FILE_BYTES)
        if lacking := oids - found.keys() - large.keys():
            raise UnreachableError(
                f"read object {min(lacking)[:12]}: not in this clone", hint="see `git fsck`; clone anew"
            )
        return found, large


def _open(folder: Path) -> Path:
    """The root of the work tree that ``folder`` is in: the nearest folder that holds ``.git``.

    A folder that only looks like the inside of ``.git`` is content of somebody's commit.
    """
    root = next((path for path in (folder, *folder.parents) if (path / ".git").exists()), None)
    if root is None or not (_is_plain(root / ".git") or _is_repository(root)):
        raise InvalidError(
            f"open repository {folder}: no git repository here", hint="name one with -C, or run git init"
        )
    return root


def _is_plain(folder: Path) -> bool:
    """What every repository has that is no work tree of another (gitrepository-layout(5))."""
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()


def _is_repository(root: Path) -> bool:
    try:
        # Here, since GitPython takes 20 ms to import and runs git to see whether it is there: only for work
        # trees, submodules and what is broken.
        import git
    except ImportError as error:
        raise UnreachableError(
            "open the repository: git cannot be run", hint="install git 2.38 or newer"
        ) from error
    try:
        git.Repo(root).close()
    except (git.exc.InvalidGitRepositoryError, git.exc.NoSuchPathError):
        return False
    except Exception as error:
        # GitPython reads the configuration; what it raises for a broken one is not listed.
        raise UnreachableError(f"open repository {root}: {type(error).__name__}") from error
    return True


def _change(about: str) -> str:
    """The word for a record of ``diff --raw``: ``:100644 000000 <oid> <oid> D``."""
    before, after, _, _, letter = about.lstrip(":").split(" ")
    if SUBMODULE in (before, after):
        if before == SUBMODULE:
            return "added" if after not in (SUBMODULE, "000000") else ""
        return "deleted" if before != "000000" else ""
    return _CHANGES[letter[0]]


def _unfit(path: str, content: bytes) -> list[Problem]:
    if content.startswith(_LFS_POINTER):
        message = f"{path} is a pointer of Git LFS, not the file itself"
        return [_problem("lfs-pointer", message, path, "keep manifests in git itself: git lfs untrack")]
    return []


def _oversized(path: str, size: int) -> Problem:
    message = f"{path} has {size} bytes, {FILE_BYTES} are allowed"
    return _problem("file-too-large", message, path, "split it into several files")


def _problem(code: str, message: str, path: str, hint: str = "") -> Problem:
    return Problem(code=code, message=message, origin=Origin(path), hint=hint)


def _submodule(path: str) -> Problem:
    message = f"{path} is a submodule, whose files are not read"
    hint = "put the files themselves there, or deploy the other repository by itself"
    return Problem(code="submodule", message=message, origin=Origin(path), hint=hint, warning=True)


def _twins(names: Sequence[str]) -> Problem:
    message = f"{' and '.join(names)} differ only in case: a work tree on macOS or Windows has one of them"
    return Problem(
        code="case-collision", message=message, origin=Origin(names[0]), hint="rename one", warning=True
    )


def _not_utf8(path: bytes) -> Problem:
    text = path.decode(errors="backslashreplace")
    return _problem("path-not-utf8", f"the path {text} is not UTF-8", text, "rename it")


def _decoded(text: bytes, encoding: str) -> str:
    try:
        return text.decode(encoding, errors="replace")
    except LookupError:
        return text.decode(errors="replace")


def _name_in(url: str) -> str:
    """The last part of a URL's path, never of its host or user: those may hold a token."""
    if "://" in url:
        try:
            path = urlsplit(url).path
        except ValueError:
            return ""
    else:
        host, colon, rest = url.partition(":")
        path = rest if colon and "/" not in host else url
    name = path.rstrip("/").rpartition("/")[2].removesuffix(".git")
    return name if re.fullmatch(r"\w[\w.-]{0,200}", name) else ""

"""Kustomizations of other repositories, and files of other hosts: fetched by us as they are pinned, and
screened as our own are.

kustomize itself never fetches: in its private folder the reference leads to a copy of what was fetched.
"""

from __future__ import annotations

import copy
import hashlib
import posixpath
import tempfile
from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from pipeline.adapters import git_fetch, kustomize_texts
from pipeline.adapters.git import FILE_BYTES, GitRepository
from pipeline.adapters.kustomize_graph import Graph, Named, walk
from pipeline.adapters.kustomize_texts import Texts
from pipeline.adapters.logins import Login
from pipeline.adapters.private_folder import fill
from pipeline.adapters.yaml import dump
from pipeline.core.kustomization import FILE_NAMES, Role
from pipeline.core.kustomization_remote import NotAllowedError, Remote, RemoteFile, parse
from pipeline.core.schema import shown
from pipeline.model.environment import Source
from pipeline.model.errors import InvalidError, Problem
from pipeline.model.objects import Origin

_MOST: Final = 20
"""Repositories and files of one rendering, those that others name included."""

_SECONDS: Final = 60.0
"""For one file of at most 8 MiB."""

_PLACE: Final = ".pipeline-remote"
"""Where copies lie in the private folder. No file of a kustomization is read from there otherwise."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a reference leads to; ``place`` is its folder in the private one."""

    named: Named
    repository: GitRepository
    remote: Remote
    graph: Graph
    texts: Texts
    place: str
    inner: tuple[Fetched, ...] = ()


@dataclass
class Remotes:
    """Fetches each commit once. What was fetched is removed as the context ends."""

    stopped: Callable[[], bool]
    login: Login
    _known: dict[Remote | RemoteFile, tuple[GitRepository, str]] = field(default_factory=dict)
    _folders: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._folders.close()

    def fetch(
        self, graph: Graph, allowed: Collection[str], problems: list[Problem], above: tuple[Fetched, ...] = ()
    ) -> tuple[Fetched, ...]:
        """All that a graph refers to elsewhere; ``above`` are the repositories that led to this one.

        What is not allowed, or wrong there, is added to ``problems``, at the line of our own repository.

        Raises:
            UnreachableError: a host cannot be asked.
        """
        found = []
        for named in graph.remotes:
            origin = above[0].named.origin if above else named.origin
            try:
                remote = self._allowed(named, allowed, above)
            except NotAllowedError as error:
                message = f"{shown(named.reference.path)} {error}"
                told = Problem(code="remote-refused", message=message, origin=origin, hint=error.hint)
                problems.append(told)
                continue
            try:
                repository, commit = self._repository(remote, allowed)
            except InvalidError as error:
                told = Problem(code="remote-refused", message=error.message, origin=origin, hint=error.hint)
                problems.append(told)
                continue
            if isinstance(remote, RemoteFile):
                remote = Remote(remote.url, "", commit)
            found.append(self._fetched(named, repository, remote, allowed, problems, above, origin))
        return tuple(found)

    def _allowed(
        self, named: Named, allowed: Collection[str], above: tuple[Fetched, ...]
    ) -> Remote | RemoteFile:
        remote = parse(named.reference.path, allowed)
        role = named.reference.role
        if role is not Role.RESOURCE and (role is not Role.FOLDER or isinstance(remote, RemoteFile)):
            raise NotAllowedError("is no kustomization, and nothing else is fetched", "commit a copy")
        if remote in [one.remote for one in above]:
            raise NotAllowedError("is used by itself", "remove one of these references")
        if len(self._known) >= _MOST:
            raise NotAllowedError(f"is one of more than {_MOST} other repositories", "commit copies")
        return remote

    def _fetched(
        self,
        named: Named,
        repository: GitRepository,
        remote: Remote,
        allowed: Collection[str],
        problems: list[Problem],
        above: tuple[Fetched, ...],
        origin: Origin,
    ) -> Fetched:
        folder = f"{_PLACE}/{len(self._known)}-{remote.commit}"
        graph = walk(
            repository, remote.commit, Source(kind="kustomize", path=remote.folder or ".", origin=origin)
        )
        texts = kustomize_texts.read(repository, remote.commit, graph)
        for problem in [*graph.problems, *texts.problems]:
            told = problem.message if problem.origin == origin else f"{problem.origin}: {problem.message}"
            message = f"in {remote.url}: {told}"
            problems.append(replace(problem, message=message, origin=origin))
        one = Fetched(named, repository, remote, graph, texts, folder)
        return replace(one, inner=self.fetch(graph, allowed, problems, (*above, one)))

    def _repository(self, remote: Remote | RemoteFile, allowed: Collection[str]) -> tuple[GitRepository, str]:
        """What was fetched, and the commit that it is at. A file becomes a repository of its own, with a
        kustomization of that file alone: so it is read, screened and laid out as all else is."""
        key = Remote(remote.url, "", remote.commit) if isinstance(remote, Remote) else remote
        if key not in self._known:
            content = self._content(remote, allowed) if isinstance(remote, RemoteFile) else b""
            made = tempfile.TemporaryDirectory(prefix="pipeline-", ignore_cleanup_errors=True)
            folder = Path(self._folders.enter_context(made))
            if isinstance(remote, RemoteFile):
                top = dump([{"resources": [remote.name]}]).encode()
                commit = git_fetch.commit_of(folder, {FILE_NAMES[0]: top, remote.name: content})
            else:
                commit = remote.commit
                git_fetch.fetch_commit(folder, remote.url, commit, self.stopped)
            self._known[key] = GitRepository(folder), commit
        return self._known[key]

    def _content(self, remote: RemoteFile, allowed: Collection[str]) -> bytes:
        # late: few files are fetched
        from pipeline.adapters.download import Download, LoginWantedError, not_let_in

        what = f"fetch {remote.url}"
        try:
            content = Download(what, allowed, self.stopped, _SECONDS, self.login).get(remote.url, FILE_BYTES)
        except LoginWantedError as wanted:
            raise not_let_in(what, wanted.host, sent=wanted.sent) from None
        found = hashlib.sha256(content).hexdigest()
        if remote.digest not in ("", found):
            raise InvalidError(
                f"{what}: its digest is {found}",
                hint="look at what was published there, and write the digest of what you have verified",
            )
        return content


def place(root: Path, graph: Graph, fetched: Collection[Fetched], prefix: str = "") -> None:
    """Lay copies of what was fetched into a private folder, and let the references to it lead there."""
    for one in fetched:
        fill(root / one.place, one.repository, one.remote.commit, one.graph.used)
        place(root, one.graph, one.inner, one.place)
    for layer in graph.layers.values():
        here = [one for one in fetched if one.named.layer == layer]
        if not here:
            continue
        value: Any = copy.deepcopy(dict(layer.value))
        for one in here:
            target = posixpath.join("/", one.place, one.remote.folder)
            _set(
                value,
                one.named.reference.at,
                posixpath.relpath(target, posixpath.join("/", prefix, layer.folder)),
            )
        (root / prefix / layer.path).write_text(dump([value]), encoding="utf-8")


def _set(value: Any, at: tuple[str | int, ...], text: str) -> None:
    for step in at[:-1]:
        value = value[step]
    value[at[-1]] = text

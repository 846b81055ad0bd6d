"""kustomize sources: the upstream program, run on a private copy of what the commit says, and no more.

What is rendered is what kustomize prints, read as every other manifest is. Where each field comes from is
found by ``kustomize_origins``; what would fetch, run or leave the repository is refused before the program
runs, by ``kustomize_graph``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pipeline.adapters import kustomize_origins as origins
from pipeline.adapters import kustomize_program, kustomize_texts
from pipeline.adapters.git import GitRepository
from pipeline.adapters.git_tree import normal
from pipeline.adapters.kustomize_errors import problem_of
from pipeline.adapters.kustomize_graph import Graph, Layer, walk
from pipeline.adapters.kustomize_program import Program
from pipeline.adapters.kustomize_remote import Fetched, Remotes, place
from pipeline.adapters.kustomize_texts import Texts
from pipeline.adapters.logins import Login, nobody
from pipeline.adapters.private_folder import private_folder
from pipeline.model.environment import Environment, Source, Used
from pipeline.model.errors import InvalidError
from pipeline.model.objects import Manifest

_KEPT: Final = 8
"""Graphs that are kept: those of one commit and its base, of a few sources."""


class Kustomize:
    """``ports.Renderer`` for kustomizations. ``environ`` names the program or says where to look for it."""

    def __init__(
        self,
        repository: GitRepository,
        *,
        environ: Mapping[str, str],
        stopped: Callable[[], bool],
        login: Login = nobody,
    ) -> None:
        self._repository = repository
        self._environ = environ
        self._stopped = stopped
        self._login = login
        self._program: Program | None = None
        self._graphs: dict[tuple[str, str], Graph] = {}

    def version(self) -> str:
        """``kustomize v5.8.0``."""
        return f"kustomize {self._found().version}"

    def uses(self, revision: str, source: Source) -> Sequence[Used]:
        """Every kustomization and file that is reached, those that are named but not there, too."""
        return self._graph(revision, source).uses()

    def heeds_upgrade(self, revision: str, source: Source, environment: Environment) -> bool:
        """It knows of no releases."""
        return False

    def render(self, revision: str, source: Source, environment: Environment) -> Sequence[Manifest]:
        """The objects that kustomize makes, in its order, each with the places that its fields come from."""
        graph = self._graph(revision, source)
        texts = kustomize_texts.read(self._repository, revision, graph)
        problems = [*graph.problems, *(p for p in texts.problems if p not in graph.problems)]
        with Remotes(self._stopped, self._login) as remotes:
            fetched = remotes.fetch(graph, environment.allow.remote, problems)
            if problems:
                raise InvalidError(f"kustomize {source.path}: {problems[0]}", problems=problems)
            top = graph.layers[self._repository.tree(revision).resolve(normal(source.path))]
            output = self._build(revision, top, graph, texts, fetched)
        return origins.manifests(output, graph, texts, top, fetched)

    def _graph(self, revision: str, source: Source) -> Graph:
        key = (revision, source.path)
        if key not in self._graphs:
            while len(self._graphs) >= _KEPT:
                self._graphs.pop(next(iter(self._graphs)))
            self._graphs[key] = walk(self._repository, revision, source)
        return self._graphs[key]

    def _found(self) -> Program:
        """Asked for its version once; again where another one has taken its place, as a process may stay."""
        path = kustomize_program.locate(self._environ)
        known = self._program
        if known is None or (known.path, known.stamp) != (path, kustomize_program.stamp_of(path)):
            known = self._program = kustomize_program.find(self._environ, self._stopped)
        return known

    def _build(
        self, revision: str, top: Layer, graph: Graph, texts: Texts, fetched: Sequence[Fetched]
    ) -> bytes:
        program = self._found()
        with private_folder(self._repository, revision, graph.used) as root:
            place(root, graph, fetched)
            ended = program.build(root, top.folder, self._stopped)
            if ended.code:
                problem = problem_of(ended, root, graph, texts, top)
                raise InvalidError(str(problem), problems=[problem])
            return ended.output

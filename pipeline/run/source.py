"""What is deployed: an environment at a commit, read when it is needed or while a far cluster is awaited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.model.environment import Environment
from pipeline.model.errors import InvalidError, PipelineError
from pipeline.model.events import Note
from pipeline.model.objects import Manifest
from pipeline.run.live import Glimpse
from pipeline.run.render import facing, rendered
from pipeline.run.session import Session
from pipeline.run.workspace import Workspace

NEAR_S = 0.01
"""A cluster that has not answered by then, after 40 ms in which the rest was loaded, is far away, or slow:
that time is there to be used."""


@dataclass(slots=True)
class Source:
    """An environment at a commit, rendered only where that is needed."""

    workspace: Workspace
    session: Session
    environment: Environment
    revision: str
    _ahead: Sequence[Manifest] | PipelineError | None = None
    glimpse: Glimpse | None = None

    def read_ahead(self) -> None:
        """Render while there is nothing to do but to wait for the cluster; what is wrong is told when it is
        its turn. Only what needs no program and no question to the cluster may turn out not to be needed."""
        if all(source.kind == "manifests" for source in self.environment.sources):
            try:
                self._ahead = self._rendered()
            except PipelineError as error:
                self._ahead = error

    def look_ahead(self) -> None:
        """Where the manifests were read ahead, begin to read what is live of them. Not before the records: a
        plan may rest on a look that is newer than they are, not on an older one. Nor where there are none: a
        first deploy is planned under its lock."""
        if self._ahead is None or isinstance(self._ahead, PipelineError):
            return
        if self.session.releases.history():
            wanted = {manifest.ref: manifest.api_version for manifest in self._ahead}
            self.glimpse = Glimpse(self.session, wanted)

    def render(self) -> Sequence[Manifest]:
        for remark in self.workspace.remarks(self.environment, self.revision):
            self.session.tell(Note(str(remark), warning=True))
        if isinstance(self._ahead, PipelineError):
            raise self._ahead
        return self._rendered() if self._ahead is None else self._ahead

    def _rendered(self) -> Sequence[Manifest]:
        return rendered(self.workspace, self.session, self.environment, self.revision)

    def inputs(self) -> str:
        """Empty where the files cannot even be listed: rendering will say why."""
        try:
            return self.workspace.inputs(facing(self.session, self.environment), self.revision)
        except InvalidError:
            return ""

    def is_older(self, running: str) -> bool | None:
        return self.workspace.repository.is_ancestor(self.revision, running)

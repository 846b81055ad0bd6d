"""Whether another run has recorded something since this one looked."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from pipeline.model.errors import PipelineError
from pipeline.model.release import Release
from pipeline.run.session import Session


class SecondLook:
    """The newest releases once more: under the lock, or beside something else before it.

    Records are written under the lock only, and who takes it changes the Lease. So what was recorded after a
    look at the Lease that found it free is what is recorded at the moment in which it is taken unchanged.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._beside: Future[Sequence[Release]] | None = None

    def begin(self) -> None:
        """Ask now. Only after ``Session.holder`` has answered."""
        pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._beside = pool.submit(self._session.releases.history)
        pool.shutdown(wait=False)

    def differs(self, known: Release | None) -> bool:
        """Whether the newest release is another one, or further, than ``known``."""
        heads = self._heads()
        return _moment(heads[0] if heads else None) != _moment(known)

    def _heads(self) -> Sequence[Release]:
        beside, self._beside = self._beside, None
        if beside is not None and self._session.locked and self._session.lock.is_as_seen:
            try:
                return beside.result()
            except PipelineError:
                pass  # asked again, and told then
        return self._session.releases.history()


def _moment(release: Release | None) -> tuple[object, ...]:
    return (release.number, release.phase, release.started, release.finished) if release else ()

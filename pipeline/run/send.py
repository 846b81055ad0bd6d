"""Writes one object: applies it, takes it over from another deploy tool first, or replaces it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline import failpoint
from pipeline.core import adoption, diff, fields
from pipeline.core.outlived import outlived, suspects
from pipeline.core.rollback import creatable
from pipeline.failpoint import Point
from pipeline.model.errors import ApiError, InterruptedRunError, PipelineError, UnreachableError
from pipeline.model.events import Note
from pipeline.model.objects import Object, ObjectRef, get_path
from pipeline.model.plan import Action, Change, FieldChange
from pipeline.run.session import Session

GONE_WAIT_S = 60.0
"""How long a deleted object may take to go; what holds it is named then."""

LEAST_WAIT_S = 1.0
"""Longer than a deletion takes that nothing holds: that one is seen to its end though the time is over."""

_GONE_POLL_S = 0.2
_CONFLICTS = 10
"""How often a write meets another one at the same object before it is given up (kapp's number)."""

_MERGE_PATCH = "application/merge-patch+json"


class StillThereError(ApiError):
    """A deletion was accepted, and the object is still there. ``held_by`` names its finalizers."""

    def __init__(self, ref: ObjectRef, held_by: Sequence[str], waited_s: float) -> None:
        self.held_by = tuple(held_by)
        what = f"its finalizers {', '.join(held_by)}" if held_by else "its pods or dependents"
        super().__init__(
            f"delete {ref}: still there after {waited_s:.0f} s, held by {what}",
            status=409,
            hint="is the controller at work that has to remove the finalizer?" if held_by else "",
        )


class Sender:
    """``live`` are the objects as they were read for the plan. What is deleted to be replaced may take until
    ``until``, on the session's clock, to be gone, and not longer than a minute."""

    def __init__(
        self, session: Session, live: Mapping[ObjectRef, Object], *, until: float = float("inf")
    ) -> None:
        self._session = session
        self._live = live
        self._until = until

    def send(self, change: Change) -> Object:
        """What the server made of the object. Raises ApiError, UnreachableError, InterruptedRunError."""
        self._session.guard()
        failpoint.passing(Point.APPLY_PRE)
        assert change.body is not None  # noqa: S101 - creations and updates have one
        if change.action is Action.RECREATE:
            return self._recreate(change, change.body)
        if change.takes_over:
            self._take_over(change)
            self._session.guard()
        return self._apply(change, change.body)

    def _apply(self, change: Change, body: Object) -> Object:
        for _ in range(_CONFLICTS):
            try:
                return apply(self._session, change, body, force=change.force)
            except ApiError as error:
                if error.status != 409:
                    raise
                self._still_as_planned(change, body, error)
                self._session.guard()
        return apply(self._session, change, body, force=change.force)

    def _still_as_planned(self, change: Change, body: Object, error: ApiError) -> None:
        """After a conflict: go on only where the write would still do what the plan said (re-diff guard)."""
        live = self._session.cluster.get(change.ref, change.api_version)
        tried = self._session.cluster.try_apply(body, force=change.force)  # raises where it conflicts still
        now = diff.diff(live, tried.result) if live is not None else ()
        planned = () if change.action is Action.CREATE else change.fields
        if live is not None and _without_masks(now) == _without_masks(planned):
            return
        raise ApiError(
            f"{error.message}; the object is no longer as it was when this was planned",
            status=409,
            reason=error.reason,
            causes=error.causes,
            hint="deploy again: the new plan shows what would change now",
        )

    def _take_over(self, change: Change) -> None:
        """Merge other tools' shares into ours, so that the apply takes away what the manifest lacks."""
        live = self._live.get(change.ref)
        for _ in range(_CONFLICTS):
            assert change.body is not None  # noqa: S101 - creations and updates have one
            try:
                applied = self._session.cluster.try_apply(change.body, force=True).result
            except ApiError as error:
                if outlived(error, change.body, live):
                    return  # ``apply`` takes over both
                raise
            patch = adoption.adoption_patch(live, applied) if live is not None else None
            if patch is None:
                return
            try:
                self._session.cluster.patch(change.ref, change.api_version, patch, content_type=_MERGE_PATCH)
                return
            except ApiError as error:
                if error.status != 409:
                    raise
            self._session.guard()
            live = self._session.cluster.get(change.ref, change.api_version)

    def _recreate(self, change: Change, body: Object) -> Object:
        """Delete, wait, create; where that fails the old object comes back."""
        session = self._session
        delete_to_replace(session, change, self._until - session.clock.monotonic())
        try:
            return session.cluster.apply(body, force=change.force)
        except InterruptedRunError:
            raise
        except PipelineError as error:
            raise self._brought_back(change, error) from error

    def _brought_back(self, change: Change, error: PipelineError) -> PipelineError:
        old = self._live.get(change.ref)
        if old is None:
            return error
        try:
            create(self._session, change, creatable(fields.clean(old)))
            give_back(self._session, change, old)
        except PipelineError as again:
            self._session.tell(Note(f"{change.ref} could not be brought back: {again.message}", warning=True))
            return error
        return ApiError(
            f"replace {change.ref}: {error.message}; the old object is back",
            status=error.status if isinstance(error, ApiError) else 500,
            hint=error.hint,
        )


def apply(session: Session, change: Change, body: Object, *, force: bool, strict: bool = True) -> Object:
    """Apply; what is left of a choice that ``body`` no longer makes, and is refused for that, goes first."""
    for _ in range(_CONFLICTS):
        try:
            return session.cluster.apply(body, force=force, strict=strict)
        except ApiError as error:
            live = session.cluster.get(change.ref, change.api_version) if suspects(error) else None
            paths = outlived(error, body, live)
            if live is None or not paths:
                raise
        session.guard()
        claim = adoption.claim_patch(live, paths)
        try:
            session.cluster.patch(change.ref, change.api_version, claim, content_type=_MERGE_PATCH)
        except ApiError as error:
            if error.status != 409:  # somebody wrote the object meanwhile: a look at it again
                raise
        session.guard()
    return session.cluster.apply(body, force=force, strict=strict)


def delete_to_replace(session: Session, change: Change, longest_s: float = GONE_WAIT_S) -> None:
    """Return when the object is gone and another one may take its place."""
    orphan = change.ref.group_kind == ("apps", "StatefulSet")  # its pods go on serving
    session.cluster.delete(change.ref, change.api_version, uid=change.uid, orphan=orphan)
    wait_gone(session, change, max(LEAST_WAIT_S, min(longest_s, GONE_WAIT_S)))
    failpoint.passing(Point.RECREATE_MID)
    session.guard()


def create(session: Session, change: Change, body: Object) -> None:
    """Create an object that is known to be gone. Where the answer is lost, what stands there now tells: only
    we make it, and a second one cannot be made."""
    try:
        session.cluster.create(body)
    except UnreachableError:
        if session.cluster.get(change.ref, change.api_version) is None:
            session.guard()
            session.cluster.create(body)


def give_back(session: Session, change: Change, then: Object) -> None:
    """Those who owned the fields of an object that was created again own them as before."""
    managers = get_path(then, "metadata", "managedFields", default=[])
    owners = [m for m in managers if not m.get("subresource")]
    if owners:
        patch = {"metadata": {"managedFields": owners}}
        session.cluster.patch(change.ref, change.api_version, patch, content_type=_MERGE_PATCH)


def not_yet(awaited: ObjectRef) -> str:
    """Why a deletion was not sent that a person wants to come after another one."""
    return f"not sent, as {awaited} must be gone before and is still there"


def wait_gone(session: Session, change: Change, longest_s: float = GONE_WAIT_S) -> None:
    """Until a deleted object is gone. Raises StillThereError naming the finalizers that hold it, after
    ``longest_s``."""
    until = session.clock.monotonic() + longest_s
    while True:
        live = session.cluster.get(change.ref, change.api_version)
        if live is None or (change.uid and get_path(live, "metadata", "uid") != change.uid):
            return
        if session.clock.monotonic() > until:
            raise StillThereError(change.ref, get_path(live, "metadata", "finalizers", default=[]), longest_s)
        session.clock.sleep(_GONE_POLL_S)


def _without_masks(found: Sequence[FieldChange]) -> list[tuple[str, str, object, object]]:
    """Masked values have numbers that count from one in each comparison: their paths must do."""
    return [(f.path, f.op, _plain(f.before), _plain(f.after)) for f in found]


def _plain(value: object) -> object:
    return "<masked>" if isinstance(value, str) and value.startswith("<masked") else value

"""The environment's own namespace: lock and records live in it, so it comes first (design §4)."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.core.desired import APPLICATION_LABEL, ENVIRONMENT_LABEL
from pipeline.core.occupants import is_of_every_namespace
from pipeline.core.readiness.deleting import held_by, terminating
from pipeline.model.errors import ApiError, PipelineError, PreflightError
from pipeline.model.events import Note
from pipeline.model.objects import Object, ObjectRef, get_path
from pipeline.run.session import Session

_GOES_WITHIN_S = 30.0
"""An empty one takes about five; what holds it for longer is told. Where nobody has found anything that holds
it, a control plane has much to do: that is waited for as long as a deploy may take."""
_POLL_S = 0.2

_LOOKED_AT = (
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "ServiceAccount"),
    ("v1", "Service"),
    ("v1", "Pod"),
    ("v1", "PersistentVolumeClaim"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
)


def ensure(session: Session, *, dry_run: bool, first: Callable[[], None] = lambda: None) -> bool:
    """Create the namespace where it is missing and that is allowed; True where it was created now.

    ``first`` is called before that: it may find a reason not to.

    Raises:
        PreflightError: it is missing or being deleted, and that stays so.
        InterruptedRunError: a signal arrived before it was created.
    """
    environment = session.environment
    ref = ObjectRef("", "Namespace", "", environment.namespace)
    try:
        live = session.own_namespace()
    except ApiError as error:
        if error.status == 403:
            return False  # may not look; if it is missing, the lock will say so
        raise
    if live is not None:
        if not get_path(live, "metadata", "deletionTimestamp"):
            return False
        may_return = environment.create_namespace and not dry_run and not session.releases.history()
        left = _left(session, ref) if may_return else live
        if left is not None:
            raise PreflightError(
                f"namespace {ref.name} {terminating(left).message}",
                hint="wait until it is gone, then deploy again",
            )
    if dry_run:
        return False
    if not environment.create_namespace:
        raise PreflightError(
            f"namespace {ref.name} does not exist",
            hint=f"create it, or set createNamespace: true in {environment.path}",
        )
    first()
    session.stay()
    labels = {APPLICATION_LABEL: environment.application, ENVIRONMENT_LABEL: environment.name}
    meta = {"name": ref.name, "labels": labels}
    session.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    session.tell(Note(f"created namespace {ref.name}"))
    return True


def _left(session: Session, ref: ObjectRef) -> Object | None:
    """What is left of it after a while, if anything. Without a release in it, it is most likely what an
    earlier run made and, refused or stopped, took away again: whoever follows at once must not have to come
    a second time."""
    session.tell(Note(f"waiting until namespace {ref.name} is gone"))
    started, longest_s = session.clock.monotonic(), session.environment.deploy.timeout_s
    while (live := session.cluster.get(ref, "v1")) is not None:
        if session.clock.monotonic() - started > (_GOES_WITHIN_S if held_by(live) else longest_s):
            break
        session.clock.sleep(_POLL_S)
    return live


def remove_if_empty(session: Session) -> None:
    """Take the namespace away again after a refusal, unless somebody put something into it."""
    ref = ObjectRef("", "Namespace", "", session.environment.namespace)
    try:
        for api_version, kind in _LOOKED_AT:
            resource = session.cluster.resource(api_version, kind)
            items = session.cluster.list(resource, ref.name)[0] if resource else []
            if not all(is_of_every_namespace(ObjectRef.of(item)) for item in items):
                return
        session.cluster.delete(ref, "v1")
    except PipelineError as error:
        session.tell(Note(f"namespace {ref.name} stays: {error.message}", warning=True))

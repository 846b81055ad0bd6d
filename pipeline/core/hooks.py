"""Hooks of Argo CD and Helm: objects that are only written before, after or instead of all others.

Rules: Argo CD's documentation (resource hooks, sync waves), Helm's (chart hooks). Where an object has
both annotations Argo CD's counts, as it does there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pipeline.core.schema import nearest
from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Manifest, get_path

ARGO_HOOK = "argocd.argoproj.io/hook"
ARGO_DELETE = "argocd.argoproj.io/hook-delete-policy"
HELM_HOOK = "helm.sh/hook"
HELM_DELETE = "helm.sh/hook-delete-policy"
HELM_WEIGHT = "helm.sh/hook-weight"
SYNC_WAVE = "argocd.argoproj.io/sync-wave"


class HookEvent(StrEnum):
    """What a deploy is to the environment. ``install``: nothing was verified there yet."""

    INSTALL = "install"
    UPGRADE = "upgrade"
    ROLLBACK = "rollback"


class HookPhase(StrEnum):
    """When a hook is written: before all that are no hooks, with them, after them, or after a failure."""

    PRE = "pre"
    MAIN = "main"
    POST = "post"
    FAIL = "fail"


class DeletePolicy(StrEnum):
    """When a hook's object is deleted."""

    BEFORE_CREATION = "before-creation"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """What an object's annotations say of it as a hook. ``annotation``: the one that makes it one.

    ``moments`` are the events and the phases in which it runs; none for tests and hooks of a deletion.
    ``installs``: an upgrade of the environment is the installation of its chart.
    """

    moments: frozenset[tuple[HookEvent, HookPhase]]
    weight: int
    delete: frozenset[DeletePolicy]
    annotation: str
    installs: bool = False

    @property
    def phases(self) -> frozenset[HookPhase]:
        return frozenset(phase for _, phase in self.moments)


Moments = frozenset[tuple[HookEvent, HookPhase]]

_NEVER: Moments = frozenset()


def _always(phase: HookPhase) -> Moments:
    return frozenset((event, phase) for event in HookEvent)


_ARGO_MOMENTS: Mapping[str, Moments] = {
    "PreSync": _always(HookPhase.PRE),
    "Sync": _always(HookPhase.MAIN),
    "PostSync": _always(HookPhase.POST),
    "SyncFail": _always(HookPhase.FAIL),
    "Skip": _NEVER,
    "PreDelete": _NEVER,
    "PostDelete": _NEVER,
}

_HELM_MOMENTS: Mapping[str, Moments] = {
    "pre-install": frozenset({(HookEvent.INSTALL, HookPhase.PRE)}),
    "post-install": frozenset({(HookEvent.INSTALL, HookPhase.POST)}),
    "pre-upgrade": frozenset({(HookEvent.UPGRADE, HookPhase.PRE)}),
    "post-upgrade": frozenset({(HookEvent.UPGRADE, HookPhase.POST)}),
    "pre-rollback": frozenset({(HookEvent.ROLLBACK, HookPhase.PRE)}),
    "post-rollback": frozenset({(HookEvent.ROLLBACK, HookPhase.POST)}),
    "pre-delete": _NEVER,
    "post-delete": _NEVER,
    "test": _NEVER,
    "test-success": _NEVER,
    "test-failure": _NEVER,
}

_NO_HOOK = "crd-install"
"""A hook of Helm 2; since Helm 3 such a CRD is an object like others."""

_ARGO_POLICIES: Mapping[str, DeletePolicy] = {
    "BeforeHookCreation": DeletePolicy.BEFORE_CREATION,
    "HookSucceeded": DeletePolicy.SUCCEEDED,
    "HookFailed": DeletePolicy.FAILED,
}

_HELM_POLICIES: Mapping[str, DeletePolicy] = {
    "before-hook-creation": DeletePolicy.BEFORE_CREATION,
    "hook-succeeded": DeletePolicy.SUCCEEDED,
    "hook-failed": DeletePolicy.FAILED,
}


def hook_of(manifest: Manifest) -> Hook | None:
    """What kind of hook the object is; None for none. Values that are not known say nothing."""
    annotations = get_path(manifest.body, "metadata", "annotations")
    if not isinstance(annotations, dict) or not (ARGO_HOOK in annotations or HELM_HOOK in annotations):
        return None
    if ARGO_HOOK in annotations:
        moments, annotation = _ARGO_MOMENTS, ARGO_HOOK
        policies, deletion, weight = _ARGO_POLICIES, ARGO_DELETE, SYNC_WAVE
    else:
        moments, annotation = _HELM_MOMENTS, HELM_HOOK
        policies, deletion, weight = _HELM_POLICIES, HELM_DELETE, HELM_WEIGHT
    known = [moments[name] for name in _words(annotation, annotations) if name in moments]
    if not known:
        return None
    delete = [policies[word] for word in _words(deletion, annotations) if word in policies]
    return Hook(
        moments=frozenset().union(*known),
        weight=integer(annotations.get(weight)) or 0,
        delete=frozenset(delete or [DeletePolicy.BEFORE_CREATION]),
        annotation=annotation,
        installs=manifest.installs,
    )


def runs(hook: Hook, event: HookEvent) -> HookPhase | None:
    """The phase in which the hook is written at such a deploy; None where it is not written at all.

    Of several the first: an object is written once a deploy.
    """
    if hook.installs and event is HookEvent.UPGRADE:
        event = HookEvent.INSTALL
    phases = {phase for at, phase in hook.moments if at is event}
    return next((phase for phase in HookPhase if phase in phases), None)


def hook_problems(manifest: Manifest) -> Iterator[Problem]:
    """What the annotations of a hook hold that nobody knows."""
    annotations = get_path(manifest.body, "metadata", "annotations")
    if not isinstance(annotations, dict):
        return
    for annotation, known in _VALUES.items():
        if annotation in annotations:
            yield from _unknown_words(manifest, annotation, annotations, known)
    weighed = HELM_HOOK in annotations and HELM_WEIGHT in annotations
    if weighed and integer(annotations[HELM_WEIGHT]) is None:
        yield not_an_integer(manifest, HELM_WEIGHT, "hook-weight-malformed")


_VALUES: Mapping[str, Iterable[str]] = {
    ARGO_HOOK: tuple(_ARGO_MOMENTS),
    ARGO_DELETE: tuple(_ARGO_POLICIES),
    HELM_HOOK: (*_HELM_MOMENTS, _NO_HOOK),
    HELM_DELETE: tuple(_HELM_POLICIES),
}


def _unknown_words(
    manifest: Manifest, annotation: str, annotations: Mapping[str, object], known: Iterable[str]
) -> Iterator[Problem]:
    words = _words(annotation, annotations)
    for word in [word for word in words if word not in known] if words else [str(annotations[annotation])]:
        near = nearest(word, known)
        yield Problem(
            code="hook-unknown",
            message=f"{manifest.ref}: {annotation}: {word!r} is not known",
            origin=manifest.origin_of(_path(annotation)),
            hint=f"did you mean {near}?" if near else f"write one of {', '.join(known)}",
            object=manifest.ref,
        )


def not_an_integer(manifest: Manifest, annotation: str, code: str) -> Problem:
    """The problem with an annotation that should hold an integer."""
    value = get_path(manifest.body, "metadata", "annotations", annotation)
    return Problem(
        code=code,
        message=f"{manifest.ref}: {annotation}: {value!r} is not an integer",
        origin=manifest.origin_of(_path(annotation)),
        hint='write an integer in quotes, such as "-1"',
        object=manifest.ref,
    )


def integer(value: object) -> int | None:
    """The integer that an annotation holds; None for anything else. Bounded: Go reads them as an int."""
    text = value.strip() if isinstance(value, str) else ""
    digits = text[1:] if text[:1] in ("-", "+") else text
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None


def _words(annotation: str, annotations: Mapping[str, object]) -> list[str]:
    """The words of an annotation; Helm reads its own in any case of letters."""
    value = annotations.get(annotation)
    if not isinstance(value, str):
        return []
    text = value.lower() if annotation in (HELM_HOOK, HELM_DELETE) else value
    return [word.strip() for word in text.split(",") if word.strip()]


def _path(annotation: str) -> FieldPath:
    return ("metadata", "annotations", annotation)

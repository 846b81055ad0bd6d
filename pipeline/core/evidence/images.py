"""Why an image could not be pulled: told from the words of containerd, CRI-O, Docker and registries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pipeline.core.pod_references import POD_SPECS
from pipeline.core.reading import items, text
from pipeline.model.objects import Manifest, ObjectRef
from pipeline.model.status import CauseCode, Grade

NOT_INSPECTED = "ImageInspectError"
"""The node's own runtime cannot say whether it has the image. Whatever its words, they are no registry's:
"not found" is about the runtime's own files."""

PULL_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
"""The kubelet's waiting reasons that are about pulls (kubernetes pkg/kubelet/images/types.go)."""

SAID = {
    CauseCode.IMAGE_NOT_FOUND: "the registry does not have it",
    CauseCode.IMAGE_NAME_INVALID: "the name is not valid",
    CauseCode.IMAGE_DENIED: "the registry denies access",
    CauseCode.IMAGE_PLATFORM_MISMATCH: "it has no variant for the node's platform",
    CauseCode.IMAGE_REGISTRY_UNAVAILABLE: "the registry cannot be reached",
}

GRADES = {
    CauseCode.IMAGE_NOT_FOUND: Grade.TERMINAL,
    CauseCode.IMAGE_NAME_INVALID: Grade.TERMINAL,
    CauseCode.IMAGE_PLATFORM_MISMATCH: Grade.TERMINAL,
    CauseCode.IMAGE_DENIED: Grade.PROBABLE,
    CauseCode.IMAGE_REGISTRY_UNAVAILABLE: Grade.TRANSIENT,
}

_NEVER = "pull policy of Never"  # kubernetes pkg/kubelet/images, ErrImageNeverPull
_FULL = "no space left on device"
_SIGNATURE = re.compile(r"signature ?validation ?failed", re.IGNORECASE)
_RATE = re.compile(r"too ?many ?requests|rate limit|\b429\b|QPS exceeded|pull limit", re.IGNORECASE)
_TRUST = re.compile(r"x509:|HTTP response to HTTPS client|TLS handshake", re.IGNORECASE)

# In this order: "no match for platform in manifest: not found" is about the platform, and a proxy's
# "503 … manifest not found" about the proxy.
_WORDS: tuple[tuple[CauseCode, re.Pattern[str]], ...] = tuple(
    (code, re.compile(pattern, re.IGNORECASE))
    for code, pattern in (
        (
            CauseCode.IMAGE_PLATFORM_MISMATCH,
            r"no match(ing manifest)? for (platform|[a-z]+/)"
            r"|no image found in (manifest list|image index) for"
            r"|does not match the (specified|detected) (host )?platform|exec format error",
        ),
        (CauseCode.IMAGE_NAME_INVALID, r"InvalidImageName|invalid reference format|couldn't parse image"),
        (
            CauseCode.IMAGE_REGISTRY_UNAVAILABLE,
            r"no such host|server misbehaving|connection (refused|reset)|network is unreachable"
            r"|no route to host|i/o timeout|timed? ?out|deadline exceeded|TLS handshake|x509:"
            r"|request canceled|unexpected EOF|: EOF|too ?many ?requests|rate limit|QPS exceeded"
            r"|\b(429|500|502|503|504) [A-Z]|status(?: code)?:? (429|5\d\d)\b"
            r"|registry ?(?:is )?unavailable|service unavailable|bad gateway|internal server error"
            r"|server gave HTTP response to HTTPS client|no space left on device",
        ),
        (
            CauseCode.IMAGE_DENIED,
            r"\b(denied|unauthorized|forbidden|no basic auth credentials|authentication required)\b"
            r"|\b(401|403)\b|authorization failed|insufficient_scope|authorization token has expired"
            r"|\bAccessDenied|signature ?validation ?failed|not authorized",
        ),
        (
            CauseCode.IMAGE_NOT_FOUND,
            r"not ?found|manifest unknown|name unknown|does not exist|no such (image|manifest)|\b404\b"
            r"|not present with pull policy of Never",
        ),
    )
)


def image_cause(words: str, image: str) -> CauseCode | None:
    """What the words say about a pull of ``image``; None where they say nothing.

    The image's own name is not evidence: ``shop/access-denied:404`` may well exist.
    """
    bare = _without(words, image)
    return next((code for code, pattern in _WORDS if pattern.search(bare)), None)


def image_words(code: CauseCode, words: str) -> tuple[str, str]:
    """(why in our words, a hint or empty): a registry that refuses to serve more is not one that is down."""
    if code is CauseCode.IMAGE_NOT_FOUND and _NEVER in words:
        return (
            "it is not on the node, and imagePullPolicy is Never",
            "set imagePullPolicy: IfNotPresent, or put the image onto the nodes before",
        )
    if code is CauseCode.IMAGE_REGISTRY_UNAVAILABLE and _FULL in words:
        return ("the node's disk is full", "free space on the node, or give it a larger disk")
    if code is CauseCode.IMAGE_REGISTRY_UNAVAILABLE and _RATE.search(words):
        return (
            "the registry limits the rate of pulls",
            "give the pod imagePullSecrets of an account with a higher limit, pull through a cache, or wait",
        )
    if code is CauseCode.IMAGE_REGISTRY_UNAVAILABLE and _TRUST.search(words):
        return (
            "the nodes do not trust the registry's TLS certificate",
            "give the nodes' runtime the registry's CA, or correct the registry's name and port",
        )
    if code is CauseCode.IMAGE_DENIED and _SIGNATURE.search(words):
        return (
            "its signature is missing, or not one that the node accepts",
            "sign the image with a key that the nodes' signature policy knows, or deploy a signed one",
        )
    if code is CauseCode.IMAGE_DENIED and "authorization token has expired" in words:
        return SAID[code], "renew the token in imagePullSecrets; that of an ECR registry lasts 12 hours"
    return SAID[code], ""


def other_tags(image: str, manifests: Iterable[Manifest]) -> list[tuple[ObjectRef, str]]:
    """Who in the set uses the same repository under another tag or digest, and which; by object."""
    own = repository(image)
    found = {
        (manifest.ref, other)
        for manifest in manifests
        for other in _images(manifest)
        if own and other != image and repository(other) == own
    }
    return sorted(found)


def other_names(image: str, manifests: Iterable[Manifest]) -> dict[str, tuple[ObjectRef, str]]:
    """The other repositories of the set that are used with the same tag: each with who does, and how.

    None for a tag that says nothing: ``latest``, or none at all.
    """
    tag, own = _tag(image), repository(image)
    found: dict[str, tuple[ObjectRef, str]] = {}
    for manifest in sorted(manifests, key=lambda one: one.ref):
        for other in _images(manifest):
            if tag not in ("", "latest") and _tag(other) == tag and repository(other) != own:
                found.setdefault(repository(other), (manifest.ref, other))
    return found


def _tag(image: str) -> str:
    """``registry:5000/shop/web:1@sha256:…`` → ``1``; empty for a digest alone."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]


def _images(manifest: Manifest) -> Iterator[str]:
    path = POD_SPECS.get(manifest.ref.group_kind)
    if path is None:
        return
    for field in ("initContainers", "containers"):
        for spec in items(manifest.body, *path, field):
            yield text(spec, "image")


def repository(image: str) -> str:
    """``registry:5000/shop/web:1@sha256:…`` → ``registry:5000/shop/web``."""
    head, slash, name = image.partition("@")[0].rpartition("/")
    return f"{head}{slash}{name.partition(':')[0]}"


def reason_cause(reason: str) -> CauseCode | None:
    """What the kubelet's waiting reason alone says."""
    return {
        "InvalidImageName": CauseCode.IMAGE_NAME_INVALID,
        "ErrImageNeverPull": CauseCode.IMAGE_NOT_FOUND,
        "RegistryUnavailable": CauseCode.IMAGE_REGISTRY_UNAVAILABLE,
        "SignatureValidationFailed": CauseCode.IMAGE_DENIED,
    }.get(reason)


def _without(words: str, image: str) -> str:
    """The text without quoted strings, addresses, and words that hold the image's name."""
    name = re.split(r"[@:](?!.*/)", image, maxsplit=1)[0].rpartition("/")[2]
    words = re.sub(r"\"[^\"]*\"|https?://\S+", " ", words)
    if not name:
        return words
    word = rf"(?<![\w.-]){re.escape(name)}(?![\w.-])"
    # Whole words that hold the name as a path: registry/path/name:tag, name@digest.
    return re.sub(rf"\S*/{re.escape(name)}[:@/]?\S*|{word}[:@]\S+", " ", words)

"""Why an image could not be pulled: told from the words of containerd, CRI-O, Docker and registries."""

from __future__ import annotations

import re

from pipeline.model.status import CauseCode, Grade

IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ImageInspectError",
        "ErrImageNeverPull",
        "InvalidImageName",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
"""The kubelet's waiting reasons that are about images (kubernetes pkg/kubelet/images/types.go)."""

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
            r"|service unavailable|bad gateway|internal server error"
            r"|server gave HTTP response to HTTPS client",
        ),
        (
            CauseCode.IMAGE_DENIED,
            r"\b(denied|unauthorized|forbidden|no basic auth credentials|authentication required)\b"
            r"|\b(401|403)\b|authorization failed|insufficient_scope|authorization token has expired"
            r"|\bAccessDenied|SignatureValidationFailed|not authorized",
        ),
        (
            CauseCode.IMAGE_NOT_FOUND,
            r"not ?found|manifest unknown|name unknown|does not exist|no such (image|manifest)|\b404\b"
            r"|not present with pull policy of Never",
        ),
    )
)


def image_cause(text: str, image: str) -> CauseCode | None:
    """What the text says about a pull of ``image``; None where it says nothing.

    The image's own name is not evidence: ``shop/access-denied:404`` may well exist.
    """
    bare = _without(text, image)
    return next((code for code, words in _WORDS if words.search(bare)), None)


def reason_cause(reason: str) -> CauseCode | None:
    """What the kubelet's waiting reason alone says."""
    return {
        "InvalidImageName": CauseCode.IMAGE_NAME_INVALID,
        "ErrImageNeverPull": CauseCode.IMAGE_NOT_FOUND,
        "RegistryUnavailable": CauseCode.IMAGE_REGISTRY_UNAVAILABLE,
        "SignatureValidationFailed": CauseCode.IMAGE_DENIED,
    }.get(reason)


def _without(text: str, image: str) -> str:
    """The text without quoted strings, addresses, and words that hold the image's name."""
    name = re.split(r"[@:](?!.*/)", image, maxsplit=1)[0].rpartition("/")[2]
    text = re.sub(r"\"[^\"]*\"|https?://\S+", " ", text)
    if not name:
        return text
    word = rf"(?<![\w.-]){re.escape(name)}(?![\w.-])"
    # Whole words that hold the name as a path: registry/path/name:tag, name@digest.
    return re.sub(rf"\S*/{re.escape(name)}[:@/]?\S*|{word}[:@]\S+", " ", text)

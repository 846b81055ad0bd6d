"""Why a pull failed, told from what runtimes and registries really write."""

from __future__ import annotations

import pytest

from pipeline.core.evidence.images import image_cause
from pipeline.model.status import CauseCode

PULL = 'rpc error: code = {} desc = failed to pull and unpack image "{}": '
HEAD = 'failed to do request: Head "https://registry.example/v2/shop/web/manifests/1": '
IMAGE = "registry.example/shop/web:1"

WORDS = {
    # not found
    PULL.format("NotFound", IMAGE)
    + f'failed to resolve reference "{IMAGE}": {IMAGE}: not found': CauseCode.IMAGE_NOT_FOUND,
    "Error response from daemon: manifest for registry.example/shop/web:1 not found: manifest unknown: "
    "manifest unknown": CauseCode.IMAGE_NOT_FOUND,
    "reading manifest 1 in registry.example/shop/web: manifest unknown": CauseCode.IMAGE_NOT_FOUND,
    "name unknown: The repository with name 'shop/web' does not exist in the registry with id '1'": (
        CauseCode.IMAGE_NOT_FOUND
    ),
    'Container image "registry.example/shop/web:1" is not present with pull policy of Never': (
        CauseCode.IMAGE_NOT_FOUND
    ),
    f'Back-off pulling image "{IMAGE}": ErrImagePull: {PULL.format("NotFound", IMAGE)}not found': (
        CauseCode.IMAGE_NOT_FOUND
    ),
    # denied
    PULL.format("Unknown", IMAGE) + "pull access denied, repository does not exist or may require "
    "authorization: server message: insufficient_scope: authorization failed": CauseCode.IMAGE_DENIED,
    PULL.format("Unknown", IMAGE) + "failed to authorize: failed to fetch anonymous token: unexpected status "
    "from GET request to https://ghcr.io/token?scope=x: 401 Unauthorized": CauseCode.IMAGE_DENIED,
    "unexpected status from HEAD request to https://registry.example/v2/shop/web/manifests/1: "
    "403 Forbidden": CauseCode.IMAGE_DENIED,
    "Error response from daemon: Get https://registry.example/v2/: no basic auth credentials": (
        CauseCode.IMAGE_DENIED
    ),
    "denied: Your authorization token has expired. Reauthenticate and try again.": CauseCode.IMAGE_DENIED,
    # unavailable
    HEAD + "dial tcp: lookup registry.example on 10.0.0.10:53: no such host": (
        CauseCode.IMAGE_REGISTRY_UNAVAILABLE
    ),
    HEAD + "dial tcp 192.0.2.1:443: connect: connection refused": CauseCode.IMAGE_REGISTRY_UNAVAILABLE,
    HEAD + "dial tcp 192.0.2.1:443: i/o timeout": CauseCode.IMAGE_REGISTRY_UNAVAILABLE,
    HEAD + "context deadline exceeded": CauseCode.IMAGE_REGISTRY_UNAVAILABLE,
    HEAD + "EOF": CauseCode.IMAGE_REGISTRY_UNAVAILABLE,
    HEAD + "tls: failed to verify certificate: x509: certificate signed by unknown authority": (
        CauseCode.IMAGE_REGISTRY_UNAVAILABLE
    ),
    "unexpected status from HEAD request to https://registry.example/v2/: 503 Service Unavailable": (
        CauseCode.IMAGE_REGISTRY_UNAVAILABLE
    ),
    "toomanyrequests: You have reached your unauthenticated pull rate limit.": (
        CauseCode.IMAGE_REGISTRY_UNAVAILABLE
    ),
    "received unexpected HTTP status: 502 Bad Gateway": CauseCode.IMAGE_REGISTRY_UNAVAILABLE,
    # platform
    PULL.format("NotFound", IMAGE)
    + "no match for platform in manifest: not found": CauseCode.IMAGE_PLATFORM_MISMATCH,
    "no matching manifest for linux/arm64 in the manifest list entries": CauseCode.IMAGE_PLATFORM_MISMATCH,
    "choosing image instance: no image found in image index for architecture arm64, variant v8, OS linux": (
        CauseCode.IMAGE_PLATFORM_MISMATCH
    ),
    # name
    'Failed to apply default image tag "Web:1": couldn\'t parse image name: invalid reference format: '
    "repository name must be lowercase": CauseCode.IMAGE_NAME_INVALID,
    # nothing
    f'Back-off pulling image "{IMAGE}"': None,
    "": None,
}


@pytest.mark.parametrize("words", WORDS)
def test_the_words_of_a_failed_pull_tell_why(words: str) -> None:
    assert image_cause(words, IMAGE) is WORDS[words]


@pytest.mark.parametrize(
    "image", ["shop/denied:401", "not-found/web:404", "registry.example:5000/timeout:503", "denied:1"]
)
def test_an_image_s_own_name_is_no_evidence(image: str) -> None:
    assert image_cause(f'Back-off pulling image "{image}"', image) is None
    assert image_cause(f"{image}: connection refused", image) is CauseCode.IMAGE_REGISTRY_UNAVAILABLE
    assert image_cause(f"failed to resolve {image}: manifest unknown", image) is CauseCode.IMAGE_NOT_FOUND

"""Why a pull failed, told from what runtimes and registries really write."""

from __future__ import annotations

import pytest

from pipeline.core.evidence.images import image_cause, image_words, other_names, other_tags
from pipeline.model.objects import Manifest, ObjectRef, Origin
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
    "image pull failed for web because the signature validation failed: no key": CauseCode.IMAGE_DENIED,
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
    "image pull failed for web because the registry is unavailable": CauseCode.IMAGE_REGISTRY_UNAVAILABLE,
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


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("toomanyrequests: You have reached your unauthenticated pull rate limit.", "limits the rate"),
        ("unexpected status from GET request: 429 Too Many Requests", "limits the rate"),
        ("pull QPS exceeded", "limits the rate"),
        (HEAD + "tls: failed to verify certificate: x509: unknown authority", "do not trust"),
        (HEAD + "dial tcp 192.0.2.1:443: connect: connection refused", "cannot be reached"),
    ],
)
def test_a_registry_that_is_up_but_does_not_serve_is_told_from_one_that_is_down(words: str, why: str) -> None:
    assert image_cause(words, IMAGE) is CauseCode.IMAGE_REGISTRY_UNAVAILABLE
    said, hint = image_words(CauseCode.IMAGE_REGISTRY_UNAVAILABLE, words)
    assert why in said
    assert bool(hint) == (why != "cannot be reached")


def test_an_expired_token_is_to_be_renewed() -> None:
    _, hint = image_words(CauseCode.IMAGE_DENIED, "denied: Your authorization token has expired.")
    assert hint.startswith("renew the token")


def using(name: str, *images: str, kind: str = "Deployment") -> Manifest:
    spec = {"containers": [{"name": str(n), "image": image} for n, image in enumerate(images)]}
    ref = ObjectRef("apps", kind, "demo", name)
    return Manifest(ref, {"spec": {"template": {"spec": spec}}}, Origin(f"{name}.yaml", 1))


def test_the_other_tags_of_an_image_are_those_of_its_repository() -> None:
    manifests = [
        using("web", "registry.example:5000/shop/web:1"),
        using("job", "registry.example:5000/shop/web@sha256:00", "registry.example:5000/shop/webhook:2"),
        using("old", "registry.example:5000/shop/web:0", kind="StatefulSet"),
        using("far", "shop/web:3"),
    ]

    found = other_tags("registry.example:5000/shop/web:1", manifests)

    assert [(ref.short, image) for ref, image in found] == [
        ("Deployment/job", "registry.example:5000/shop/web@sha256:00"),
        ("StatefulSet/old", "registry.example:5000/shop/web:0"),
    ]


def test_the_tag_of_an_image_may_be_in_the_set_under_other_names() -> None:
    manifests = [
        using("web", "registry.example:5000/shop/web:1.2", "registry.example:5000/shop/proxy:1.1"),
        using("api", "registry.example:5000/shop/api:1.2@sha256:00"),
        using("job", "registry.example:5000/shop/web:1.2", "registry.example:5000/shop/wbe:1.2"),
    ]

    found = other_names("registry.example:5000/shop/wbe:1.2", manifests)

    assert {name: (ref.short, image) for name, (ref, image) in found.items()} == {
        "registry.example:5000/shop/web": ("Deployment/job", "registry.example:5000/shop/web:1.2"),
        "registry.example:5000/shop/api": (
            "Deployment/api",
            "registry.example:5000/shop/api:1.2@sha256:00",
        ),
    }


@pytest.mark.parametrize("image", ["shop/wbe", "shop/wbe:latest", "shop/wbe@sha256:00"])
def test_a_tag_that_says_nothing_is_under_no_other_name(image: str) -> None:
    assert other_names(image, [using("web", image.replace("wbe", "web"))]) == {}


def test_malformed_pods_use_no_image() -> None:
    assert other_names("a:1", [using("web", "")]) == {}
    assert other_tags("", [using("web", "")]) == []
    ref = ObjectRef("apps", "Deployment", "demo", "x")
    assert other_tags("a:1", [Manifest(ref, {"spec": {"template": 7}}, Origin("x.yaml", 1))]) == []

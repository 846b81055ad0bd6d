"""What looks like a credential: tokens, keys and passwords in URLs, headers and messages.

``masking`` knows which values of the manifests are secret, ``known`` finds registered values in any
writing; here is what no one has named.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

MASK = "***"

_SECRET_KEY = re.compile(
    r"token|passw|passphrase|secret|authorization|cookie|credential|api[-_]?key|private[-_]?key"
    r"|access[-_]?key|signature|kubeconfig",
    re.IGNORECASE,
)
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,30}-----|\Z)", re.DOTALL),
        MASK,
    ),
    (re.compile(r"k8s-aws-v1\.[A-Za-z0-9_=-]+"), f"k8s-aws-v1.{MASK}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), MASK),  # JSON Web Token
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), MASK),
    (re.compile(r"\b(?:gh[pousr]_|github_pat_)\w{20,}"), MASK),
    (re.compile(r"(X-Amz-(?:Signature|Security-Token|Credential)=)[^&\s\"']+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(://)[^/\s@\"']{1,512}@"), rf"\1{MASK}@"),  # user:password in a URL
    (  # but for the errors of ACME, "Error accepting authorization: acme: …" (golang.org/x/crypto/acme)
        re.compile(
            r"(authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?)(?!\s{0,3}acme: )[^\r\n\"']+", re.IGNORECASE
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b(bearer\s{1,3})[\w.~+/=-]{20,}", re.IGNORECASE), rf"\1{MASK}"),
    (
        re.compile(
            r"((?:token|passw(?:or)?d|secret|api[-_]?key|access[-_]?key)[\w-]{0,20}"
            r"(?:[\"']\s{0,3}:\s{0,3}[\"']|\s{0,3}=\s{0,3}[\"']?))[^\s\"',;&]+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
)


_HINT = (
    r"://|authoriz|bearer|token|passw|secret|api[-_]?key|access[-_]?key|private key|x-amz|k8s-aws|eyj"
    r"|akia|asia|gh[pousr]_|github_pat"
)
"""None of the patterns matches a text without one of these: nearly all texts are done after one look."""
_ANY_HINT = re.compile(_HINT, re.IGNORECASE)
_ASCII_HINT = re.compile(_HINT)
"""For lower case: eight times as fast, as it can skip whatever begins none of them."""


def is_secret_key(key: str) -> bool:
    """Whether a fact of this name is taken for a secret whatever it holds."""
    return _SECRET_KEY.search(key) is not None


def scrub(text: str) -> str:
    """``text`` without whatever looks like a credential."""
    hint = _ASCII_HINT.search(text.lower()) if text.isascii() else _ANY_HINT.search(text)
    if hint is None:
        return text
    for expression, replacement in _PATTERNS:
        text = expression.sub(replacement, text)
    return text


def scrub_tree(value: Any, clean: Callable[[str], str] = scrub, depth: int = 20) -> Any:
    """A value as JSON, its strings put through ``clean``; members whose key names a secret are masked."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if depth == 0:
        return MASK
    if isinstance(value, dict):
        return {clean(str(k)): _member(str(k), v, clean, depth - 1) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [scrub_tree(item, clean, depth - 1) for item in value]
    return clean(str(value))


def _member(key: str, value: Any, clean: Callable[[str], str], depth: int) -> Any:
    # Numbers under such a key are counts (`tokens_refreshed: 2`), not credentials.
    if is_secret_key(key) and value is not None and not isinstance(value, (bool, int, float)):
        return MASK
    return scrub_tree(value, clean, depth)

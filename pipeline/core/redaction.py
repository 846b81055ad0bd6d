"""What looks like a credential, and all the ways in which a known one may be written.

``masking`` knows which values of the manifests are secret; here is what no one has named:
tokens, keys and passwords in URLs, headers and messages of other programs.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

MASK = "***"
_SHORTEST = 6
"""Values of fewer characters are not searched for: "admin" or "8080" would mask half of a log."""
_SHORTEST_INNER = 10
"""A base64 alignment drops up to two characters at each end; less than this would be found anywhere."""

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
    (re.compile(r"(authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?)[^\r\n\"']+", re.IGNORECASE), rf"\1{MASK}"),
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


def is_secret_key(key: str) -> bool:
    """Whether a fact of this name is taken for a secret whatever it holds."""
    return _SECRET_KEY.search(key) is not None


def forms(value: str) -> frozenset[str]:
    """The ways in which ``value`` may turn up: as is, quoted for a URL or JSON, hex, base64 in all
    three alignments and once more, and its lines one by one. Empty where it is too short to look for.
    """
    found: set[str] = set()
    for text in {value, value.strip(), *_long_lines(value)}:
        if len(text) >= _SHORTEST:
            found |= _encoded(text)
    return frozenset(found)


def _long_lines(value: str) -> Iterable[str]:
    lines = [line.strip() for line in value.splitlines()]
    # the frame of a PEM block is no secret and stands in every certificate
    return [line for line in lines if len(line) >= _SHORTEST_INNER and not line.startswith("-----")]


def _encoded(text: str) -> set[str]:
    raw = text.encode("utf-8", "surrogatepass")
    once = base64.b64encode(raw)
    found = {text, json.dumps(text)[1:-1], quote(text, safe=""), raw.hex(), once.decode()}
    found |= {base64.urlsafe_b64encode(raw).decode(), base64.b64encode(once).decode()}
    for shift in (1, 2):
        # The first and last characters of such a text also depend on the neighbours: left out.
        inner = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")[shift + 1 : -1]
        if len(inner) >= _SHORTEST_INNER:
            found.add(inner)
    unpadded = once.decode().rstrip("=")[:-1]
    if len(unpadded) >= _SHORTEST_INNER:
        found.add(unpadded)
    return found


def pattern(values: Iterable[str]) -> re.Pattern[str] | None:
    """One expression for all of ``values``, longest first since one may hold another; None for none."""
    ordered = sorted(set(values), key=lambda v: (-len(v), v))
    return re.compile("|".join(map(re.escape, ordered))) if ordered else None


def scrub(text: str, known: re.Pattern[str] | None = None) -> str:
    """``text`` without the ``known`` values and without whatever looks like a credential."""
    if known is not None:
        text = known.sub(MASK, text)
    for expression, replacement in _PATTERNS:
        text = expression.sub(replacement, text)
    return text


def scrub_tree(value: Any, known: re.Pattern[str] | None = None, depth: int = 20) -> Any:
    """A JSON value scrubbed: strings by what they hold, members also by their key."""
    if isinstance(value, str):
        return scrub(value, known)
    if depth == 0:
        return MASK
    if isinstance(value, dict):
        return {
            scrub(k, known) if isinstance(k, str) else k: _member(str(k), v, known, depth - 1)
            for k, v in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [scrub_tree(item, known, depth - 1) for item in value]
    return value


def _member(key: str, value: Any, known: re.Pattern[str] | None, depth: int) -> Any:
    # Numbers under such a key are counts (`tokens_refreshed: 2`), not credentials.
    if is_secret_key(key) and value is not None and not isinstance(value, (bool, int, float)):
        return MASK
    return scrub_tree(value, known, depth)

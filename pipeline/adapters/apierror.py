"""What the API server's refusals mean, in our own errors. Bodies are read here and never kept."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pipeline.model.errors import ApiError

LONGEST_MESSAGE = 600  # a schema error can run to pages; the first lines name the field


def api_error(what: str, status: int, body: bytes | Mapping[str, Any], *, secret: bool = False) -> ApiError:
    """The error for an answer of ``status`` 400 or more.

    ``what`` is our own words: ``apply Deployment/web``. With ``secret`` the server's sentences are
    dropped, since a validation message quotes the value it refuses; reason and field names stay.
    """
    answer = body if isinstance(body, Mapping) else parse_status(body)
    reason = clean(answer.get("reason"), 80) or _guess(status, answer)
    causes = _causes(answer, secret)
    if secret:
        said = [reason or f"HTTP {status}", *_names(answer), *_phrases(answer), *(c[1] for c in causes)]
        message = ", ".join(dict.fromkeys(part for part in said if part))
    else:
        message = clean(answer.get("message"), LONGEST_MESSAGE) or _plain(status, body)
    return ApiError(
        f"{what}: {message}", status=status, reason=reason, causes=causes, hint=_hint(status, message)
    )


def parse_status(body: bytes) -> dict[str, Any]:
    """The Status object of an answer; empty where the body is something else."""
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}


def is_missing_path(status: int, body: bytes) -> bool:
    """Whether a 404 says that the kind is not served at all, rather than that the object is absent."""
    if status != 404:
        return False
    details = parse_status(body).get("details")
    return not (isinstance(details, dict) and details.get("name"))


def clean(text: Any, limit: int) -> str:
    """One printable line of at most ``limit`` characters: no control characters, no line breaks.

    What is too long loses its middle: validation messages begin with the field, quote the whole value and
    end with what is wrong with it.
    """
    if not isinstance(text, str):
        return ""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(line) <= limit:
        return line
    tail = limit // 4
    return f"{line[: limit - 1 - tail]}…{line[-tail:]}"


def _causes(answer: Mapping[str, Any], secret: bool) -> tuple[tuple[str, str, str], ...]:
    details = answer.get("details")
    found = details.get("causes") if isinstance(details, dict) else None
    return tuple(
        (
            clean(cause.get("reason"), 80),
            clean(cause.get("field"), 200),
            _of_conflict(cause) if secret else clean(cause.get("message"), LONGEST_MESSAGE),
        )
        for cause in (found if isinstance(found, list) else [])
        if isinstance(cause, dict)
    )


def _of_conflict(cause: Mapping[str, Any]) -> str:
    """Which manager owns the field is no secret, whatever its value is."""
    found = _CONFLICT.match(str(cause.get("message", "")))
    return clean(found.group(), 200) if found else ""


_CONFLICT = re.compile(r'conflict with "[^"]{1,150}"')


def _names(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """Which object is meant, where it is another one: the namespace that does not exist."""
    details = answer.get("details")
    if not isinstance(details, dict) or details.get("kind") in (None, "secrets"):
        return ()
    return (clean(f"{details['kind']}/{details.get('name', '')}", 200),)


def _phrases(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """The well-known parts of a message about a Secret, none of which can quote a value."""
    return tuple(match.group() for match in _PHRASES.finditer(str(answer.get("message", ""))))


def _guess(status: int, answer: Mapping[str, Any]) -> str:
    """The reason, where the server names none: patches that fit no schema come as a bare 500."""
    if str(answer.get("message", "")).startswith("failed to create typed patch object"):
        return "Invalid"
    return _REASONS.get(status, "")


def _plain(status: int, body: bytes | Mapping[str, Any]) -> str:
    """For answers that are no Status: of a proxy, or of a path that nobody serves."""
    if status == 404:
        return "the server does not serve this kind"
    text = clean(body[:2000].decode("utf-8", "replace"), 200) if isinstance(body, bytes) else ""
    return f"HTTP {status}" + (f" {text}" if text and not text.startswith("<") else "")


def _hint(status: int, message: str) -> str:
    """A quota, a policy or a namespace that is ending refuses with 403, too: no right would help there."""
    if status == 403 and '" cannot ' not in message:
        return ""
    return _HINTS.get(status, "")


_PHRASES = re.compile(
    r"\.[A-Za-z]{1,60}: field not declared in schema|illegal base64 data|exceeded quota"
    r"|etcdserver: request is too large"
    r"|field is immutable when `immutable` is set|because it is being terminated|already exists"
    # The words of RBAC; names of users and resources hold no value of a Secret.
    r'|User "[^"]{1,200}" cannot [a-z]{1,20} resource "[a-z/]{1,60}" in API group "[a-z0-9.]{0,60}"'
    r'(?: in the namespace "[a-z0-9-]{1,63}"| at the cluster scope)?'
)

_REASONS = {403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Gone", 429: "TooManyRequests"}

_HINTS = {
    403: "ask for this permission, or check which identity the kubeconfig context uses",
    410: "list again: the watch is too old",
    413: "the object is larger than the server takes",
    429: "the API server is overloaded: try again later, or lower deploy.parallelism",
}

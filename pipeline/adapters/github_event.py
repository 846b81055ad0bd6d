"""What GitHub Actions tells a job of itself: the token that it may use, and where the event began."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pipeline.adapters.git_command import OBJECT_ID

_TOKENS = ("PIPELINE_GITHUB_TOKEN", "GITHUB_TOKEN")
"""Where a token may be at hand: ours first, the one of the job else."""

_PAYLOAD_BYTES = 32 * 1024 * 1024
"""GitHub sends no more than 25 MB."""


def job_token(environ: Mapping[str, str]) -> str:
    """The token, or empty where the job was given none."""
    return next((token for name in _TOKENS if (token := environ.get(name))), "")


def pushed_from(environ: Mapping[str, str]) -> str:
    """The commit that a push moved its branch away from; empty where the event has none that can be read.

    Only a hint: it is what the last push found, not what any environment runs.
    """
    name = environ.get("GITHUB_EVENT_PATH", "")
    if not name:
        return ""
    try:
        with Path(name).open("rb") as file:
            payload = json.loads(file.read(_PAYLOAD_BYTES))
    except (OSError, ValueError, RecursionError):
        return ""
    before = payload.get("before") if isinstance(payload, dict) else None
    if not isinstance(before, str) or not OBJECT_ID.fullmatch(before) or not before.strip("0"):
        return ""
    return before

"""What a refused write is about: the API server says so in words only."""

from __future__ import annotations

import re
from typing import Final

from pipeline.model.status import CauseCode

_WORDS: Final = (
    (re.compile(r"failed calling webhook|failed to call webhook"), CauseCode.WEBHOOK_UNAVAILABLE),
    (re.compile(r"exceeded quota"), CauseCode.QUOTA_EXCEEDED),
    (re.compile(r"because it is being terminated"), CauseCode.NAMESPACE_TERMINATING),
    (re.compile(r"held by its finalizers"), CauseCode.FINALIZER_STUCK),
)
"""k8s.io/apiserver: ``webhook.ErrCallingWebhook``, admission plugins ``resourcequota`` and ``lifecycle``; the
last are our own, of what does not go (``run.send``)."""


def code_of(message: str) -> CauseCode:
    """The cause of a refusal; ``ApplyRejected`` for all that is about the object itself."""
    return next((code for words, code in _WORDS if words.search(message)), CauseCode.APPLY_REJECTED)

"""Whether an object is what a write meant, where the answer to that write was lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_OF_THE_SERVER = ("resourceVersion", "managedFields", "creationTimestamp", "uid", "generation")


def holds(live: Any, wanted: Mapping[str, Any]) -> bool:
    """Whether everything that was to be written stands there; defaults and others' additions may, too."""
    meta = {k: v for k, v in wanted.get("metadata", {}).items() if k not in _OF_THE_SERVER}
    return live is not None and _covers(live, {**wanted, "metadata": meta})


def _covers(live: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            value is None or (key in live and _covers(live[key], value)) for key, value in wanted.items()
        )
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        return (
            isinstance(live, Sequence)
            and len(live) == len(wanted)
            and all(_covers(a, b) for a, b in zip(live, wanted, strict=True))
        )
    return bool(live == wanted)

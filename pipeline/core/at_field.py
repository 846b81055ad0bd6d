"""Problems that are told at a field of a manifest."""

from __future__ import annotations

from dataclasses import replace

from pipeline.model.errors import Problem
from pipeline.model.objects import FieldPath, Manifest


def error(manifest: Manifest, path: FieldPath, code: str, message: str, hint: str = "") -> Problem:
    """What must fail."""
    return Problem(
        code=code,
        message=f"{manifest.ref.short}: {message}",
        origin=manifest.origin_of(path),
        hint=hint,
        object=manifest.ref,
        path=path,
    )


def warning(manifest: Manifest, path: FieldPath, code: str, message: str, hint: str = "") -> Problem:
    """What may fail, or works otherwise than it reads."""
    return replace(error(manifest, path, code, message, hint), warning=True)

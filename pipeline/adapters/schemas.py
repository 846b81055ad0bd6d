"""The schemas of Kubernetes' own kinds, from the data of this package: one file a minor version."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from typing import Final

from pipeline.core.catalogue import Catalogue
from pipeline.core.removed import minor

__all__ = ["carried", "catalogue"]

_FOLDER: Final = "openapi"
_END: Final = ".json.gz"


def carried() -> list[str]:
    """The minor versions of Kubernetes whose schemas are at hand, oldest first."""
    names = [file.name for file in (resources.files("pipeline.adapters") / _FOLDER).iterdir()]
    found = [name.removesuffix(_END) for name in names if name.endswith(_END)]
    return sorted(found, key=_minor)


@cache
def catalogue(version: str = "") -> Catalogue:
    """The kinds of a minor version (``1.34``), or of the newest that is carried, with the older ones at hand.

    Of a version that is not carried it is the nearest one; ``Catalogue.version`` says which.
    """
    known = carried()
    if not version:
        return _read(known[-1], lambda: [catalogue(older) for older in reversed(known[:-1])])
    return _read(min(known, key=lambda one: abs(_minor(one)[1] - _minor(version)[1])))


def _read(version: str, older: Callable[[], Sequence[Catalogue]] = tuple) -> Catalogue:
    packed = (resources.files("pipeline.adapters") / _FOLDER / (version + _END)).read_bytes()
    return Catalogue(json.loads(gzip.decompress(packed)), older)


def _minor(version: str) -> tuple[int, int]:
    return minor(version) or (0, 0)

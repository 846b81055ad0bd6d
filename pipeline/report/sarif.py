"""Problems as SARIF 2.1.0, for code scanning (GitHub's ``upload-sarif`` and others).

Source of the shape: docs.oasis-open.org/sarif/sarif/v2.1.0, and what GitHub reads of it ("SARIF support for
code scanning").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from pipeline import __version__
from pipeline.core.escape import one_line
from pipeline.model.errors import Problem
from pipeline.model.objects import Origin, digest

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT: Final = "%SRCROOT%"

MOST: Final = 5000
"""Results of one run. GitHub shows 5,000 of at most 25,000, the gravest first."""


def sarif_document(problems: Sequence[Problem]) -> dict[str, Any]:
    """One run of one tool. Problems of no file stand without a place, as nobody would find it there."""
    shown = sorted(problems, key=lambda p: p.warning)[:MOST]
    codes = sorted({p.code for p in shown})
    rules = {code: index for index, code in enumerate(codes)}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "pipeline",
                        "semanticVersion": __version__,
                        "rules": [_rule(code, shown) for code in codes],
                    }
                },
                "automationDetails": {"id": "pipeline/validate/"},
                "columnKind": "unicodeCodePoints",
                "results": [_result(p, rules) for p in shown],
            }
        ],
    }


def _rule(code: str, problems: Sequence[Problem]) -> dict[str, Any]:
    words = code.replace("-", " ").capitalize()
    only_warnings = all(p.warning for p in problems if p.code == code)
    return {
        "id": code,
        "shortDescription": {"text": words},
        "fullDescription": {"text": f"{words}, found by pipeline validate"},
        "help": {"text": "Each finding says what is wrong, where, and what to write instead."},
        "defaultConfiguration": {"level": "warning" if only_warnings else "error"},
    }


def _result(problem: Problem, rules: Mapping[str, int]) -> dict[str, Any]:
    hint = f" ({one_line(problem.hint)})" if problem.hint else ""
    return {
        "ruleId": problem.code,
        "ruleIndex": rules[problem.code],
        "level": "warning" if problem.warning else "error",
        "message": {"text": one_line(problem.message) + hint},
        "locations": [_location(problem.origin)] if problem.origin else [],
        # Without the line: what moves within a file stays the same finding.
        "partialFingerprints": {"pipeline/v1": _fingerprint(problem)},
    }


def _location(origin: Origin) -> dict[str, Any]:
    region = {"startLine": max(origin.line, 1), "startColumn": max(origin.column, 1)}
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(origin.path), "uriBaseId": _ROOT},
            "region": region,
        }
    }


def _uri(path: str) -> str:
    # Bytes of a path that are no UTF-8 are kept as lone surrogates, which no URI can hold.
    return quote(path.encode("utf-8", "surrogateescape"), safe="/-._~")


def _fingerprint(problem: Problem) -> str:
    path = _uri(problem.origin.path) if problem.origin else ""
    return digest([problem.code, path, str(problem.object), list(problem.path), problem.message])

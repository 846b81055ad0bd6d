"""Problems for code scanning: the shape of SARIF 2.1.0, and what GitHub wants of it."""

from __future__ import annotations

import json
from typing import Any

from pipeline.model.errors import Problem
from pipeline.model.objects import ObjectRef, Origin
from pipeline.report.sarif import MOST, sarif_document

WEB = ObjectRef("apps", "Deployment", "demo", "web")
PROBLEMS = [
    Problem(
        code="unknown-field",
        message="unknown field a",
        origin=Origin("d/a b%ü#.yaml", 3, 5),
        hint="did you mean b?",
        object=WEB,
    ),
    Problem(code="unknown-kind", message="no schema\nof it", origin=Origin("x.yaml"), warning=True),
    Problem(code="unknown-field", message="unknown field c", origin=Origin("x.yaml", 7), object=WEB),
    Problem(code="no-schemas", message="of no file", warning=True),
]


def _run(problems: list[Problem]) -> dict[str, Any]:
    document = json.loads(json.dumps(sarif_document(problems)))
    assert document["version"] == "2.1.0"
    assert document["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = document["runs"]
    return dict(run)


def test_each_problem_is_a_result_of_a_rule() -> None:
    run = _run(PROBLEMS)
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["no-schemas", "unknown-field", "unknown-kind"]
    assert all(rule["shortDescription"]["text"] and rule["help"]["text"] for rule in rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"error", "warning"}
        assert result["message"]["text"]
    assert [r["level"] for r in run["results"]] == ["error", "error", "warning", "warning"]


def test_a_place_is_a_relative_uri_with_line_and_column() -> None:
    first = _run(PROBLEMS)["results"][0]
    assert first["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "d/a%20b%25%C3%BC%23.yaml", "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": 3, "startColumn": 5},
            }
        }
    ]


def test_a_path_that_is_no_text_is_still_a_uri() -> None:
    path = b"d/\xff.yaml".decode("utf-8", "surrogateescape")
    (result,) = _run([Problem(code="a", message="b", origin=Origin(path))])["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "d/%FF.yaml"


def test_what_is_of_no_file_has_no_place() -> None:
    assert _run([PROBLEMS[3]])["results"][0]["locations"] == []


def test_a_message_is_one_line_with_its_hint() -> None:
    results = _run(PROBLEMS)["results"]
    assert results[0]["message"]["text"] == "unknown field a (did you mean b?)"
    assert all("\n" not in result["message"]["text"] for result in results)


def test_a_finding_that_moves_within_its_file_stays_the_same() -> None:
    def mark(line: int, message: str = "m") -> str:
        problem = Problem(code="c", message=message, origin=Origin("f", line), object=WEB)
        return str(_run([problem])["results"][0]["partialFingerprints"])

    assert mark(3) == mark(9)
    assert mark(3) != mark(3, "other")


def test_no_problem_is_a_run_without_results() -> None:
    assert _run([])["results"] == []


def test_the_gravest_are_kept_where_there_are_too_many() -> None:
    many = [Problem(code="w", message=str(n), warning=True) for n in range(MOST)]
    results = _run([*many, Problem(code="e", message="last")])["results"]
    assert len(results) == MOST
    assert results[0]["ruleId"] == "e"

"""The documentation says what the code does: generated parts, links, examples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters import yaml
from pipeline.core.config import environment_schema, parse_environment
from pipeline.model.environment import Check, Environment, HttpCheck
from tests import docs

README = docs.ROOT / "README.md"
TEXTS = [docs.ROOT / "CHANGELOG.md", README, *sorted((docs.ROOT / "docs").rglob("*.md"))]
TEXTS += [docs.ROOT / "tests" / "cluster" / "README.md"]
PATH = "environments/staging/environment.yaml"

MINIMAL = """\
apiVersion: pipeline/v1
kind: Environment
metadata: {name: staging}
spec:
  namespace: web-staging
  sources: [{manifests: manifests}]
"""


def name_of(path: Path) -> str:
    return str(path.relative_to(docs.ROOT))


def environment(text: str) -> Environment:
    document = yaml.load_documents(PATH, text.encode())[0]
    return parse_environment(document.value, document.lines, PATH, "web")


def example() -> str:
    """The ``environment.yaml`` of the README."""
    found = re.search(r"```yaml\n(apiVersion: pipeline/v1\n.*?)```", README.read_text(), re.DOTALL)
    assert found
    return found[1]


def links(text: str) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target and not target.startswith("#"):
            yield target.partition("#")[0]


def keys(schema: dict[str, Any]) -> Iterator[str]:
    """All keys of a schema that this version does not refuse."""
    for name, value in schema.get("properties", {}).items():
        if not value.get("description", "").startswith("Refused"):
            yield name
            yield from keys(value)
            yield from keys(value.get("items", {}))


@pytest.mark.parametrize("page", docs.PAGES, ids=name_of)
def test_generated_parts_are_what_the_code_says_now(page: Path) -> None:
    text = page.read_text()
    assert text == docs.renewed(text), "write them anew: python -m tests.docs"


def test_every_generated_part_stands_on_one_page() -> None:
    found = [name for page in docs.PAGES for name in docs.parts(page.read_text())]
    assert sorted(found) == sorted(docs.PARTS)


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_links_between_pages_lead_to_files(page: Path) -> None:
    dead = [target for target in links(page.read_text()) if not (page.parent / target).exists()]
    assert not dead


def test_every_decision_is_in_the_index() -> None:
    folder = docs.ROOT / "docs" / "decisions"
    listed = set(links((folder / "README.md").read_text()))
    assert listed == {page.name for page in folder.glob("*.md")} - {"README.md"}


def test_commands_that_are_said_to_be_missing_are_missing() -> None:
    said = re.search(r"Not there yet: (.*)\.", README.read_text())
    assert said
    there = set(re.findall(r"`pipeline (\w+)", docs.commands()))
    assert not there & set(re.findall(r"\w+", said[1]))


def test_the_environment_in_the_readme_is_accepted() -> None:
    assert environment(example()).name == "staging"


def test_the_environment_in_the_readme_names_every_key() -> None:
    words = set(re.findall(r"(\w+):", example()))
    assert set(keys(environment_schema())) <= words


def test_the_values_in_the_readme_are_the_defaults() -> None:
    shown = environment(example())
    default = environment(MINIMAL)
    assert replace(shown.rollout, rules=()) == default.rollout
    same = {"cluster": None, "sources": (), "checks": (), "promotion": default.promotion}
    assert replace(shown, rollout=default.rollout, **same) == replace(default, **same)
    check = shown.checks[0]
    assert isinstance(check.probe, HttpCheck)
    assert check == Check(name="home", probe=check.probe, origin=check.origin)

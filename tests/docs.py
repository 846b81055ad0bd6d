"""The parts of the documentation that are made from the code. ``python -m tests.docs`` writes them anew.

A part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; ``tests/unit/test_docs.py`` holds it
to what the code says.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

import yaml

from pipeline.adapters.yaml import load_documents
from pipeline.cli import parser
from pipeline.core.config import environment_schema
from pipeline.core.hints import HINTS
from pipeline.core.lifecycle import TRANSITIONS
from pipeline.core.readiness.custom import KindRule
from pipeline.core.readiness.custom_rules import TABLE
from pipeline.core.ready_rules import Rule
from pipeline.model.errors import InvalidError
from pipeline.model.exit_codes import ExitCode
from pipeline.model.release import Phase
from pipeline.model.status import CauseCode
from tests.contract.documents import SPELLINGS

ROOT = Path(__file__).parent.parent
PAGES = (
    ROOT / "README.md",
    *(ROOT / "docs" / name for name in ("architecture.md", "causes.md", "readiness.md", "yaml.md")),
)

SCHEMA = ROOT / "docs/environment.schema.json"

_PART = re.compile(r"(<!-- generated: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def phases() -> str:
    """The life of a release, as a mermaid diagram."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {Phase.PENDING}"]
    for phase in Phase:
        lines += [f"    {phase} --> {after}" for after in Phase if after in TRANSITIONS[phase]]
        lines += [] if TRANSITIONS[phase] else [f"    {phase} --> [*]"]
    return "\n".join([*lines, "```"])


def causes() -> str:
    """Every cause code with its hint."""
    return _table(("Code", "What to do"), [(f"`{code}`", _capital(HINTS[code])) for code in CauseCode])


def exit_codes() -> str:
    """Every exit code as ``--help`` tells it."""
    meanings = parser._MEANINGS
    return _table(("Code", "Result", "Meaning"), [(str(int(c)), c.result, meanings[c]) for c in ExitCode])


def commands() -> str:
    """Every command with the options of its own."""
    shared = {name for action in parser.build()._actions for name in action.option_strings}
    rows = [
        (f"`pipeline {name}`", _capital(text), " ".join(f"`{o}`" for o in _options(command, shared)))
        for name, text, command in _commands(parser.build())
    ]
    return _table(("Command", "Does", "Options of its own"), rows)


def custom_resources() -> str:
    """The table of custom resources, entry by entry."""
    head = (
        "Group",
        "Kinds",
        "Current when all hold",
        "Failed when",
        "Not ready while",
        "Generation",
        "Source",
    )
    return _table(head, [_entry(rule) for rule in TABLE])


def _entry(rule: KindRule) -> tuple[str, ...]:
    failed = [*_spelled(rule.failed), *(f"{one} (lasting)" for one in _spelled(rule.trouble))]
    notes = [rule.source, *([_capital(rule.note)] if rule.note else [])]
    return (
        f"`{rule.group}`",
        "any" if rule.kinds == ("*",) else ", ".join(rule.kinds),
        "<br>".join(_spelled(rule.current)) or "it exists",
        "<br>".join(failed),
        "<br>".join(_spelled(rule.busy)),
        rule.generation,
        ". ".join(notes),
    )


def _spelled(rules: Sequence[Rule]) -> list[str]:
    return [f"`{rule.source}`" for rule in rules]


def scalars() -> str:
    """Every spelling of a scalar that PyYAML reads otherwise than we and kubectl do."""
    rows = []
    for spelling in SPELLINGS:
        ours, theirs = _ours(spelling), _of_pyyaml(spelling)
        if ours != theirs:
            rows.append((f"`{spelling}`", ours, theirs))
    return _table(("Written", "Read", "By PyYAML"), rows)


def _ours(spelling: str) -> str:
    try:
        (document,) = load_documents("f.yaml", f"v: {spelling}\n".encode())
    except InvalidError:
        return "refused"
    return _value(document.value["v"])


def _of_pyyaml(spelling: str) -> str:
    try:
        return _value(yaml.safe_load(f"v: {spelling}\n")["v"])
    except (yaml.YAMLError, ValueError, KeyError) as error:
        return "refused" if isinstance(error, yaml.YAMLError) else f"ends with {type(error).__name__}"


def _value(value: object) -> str:
    return f"`{value!r}`" if isinstance(value, date | bytes) else f"`{json.dumps(value)}`"


PARTS: Mapping[str, Callable[[], str]] = {
    "phases": phases,
    "causes": causes,
    "exit_codes": exit_codes,
    "commands": commands,
    "custom_resources": custom_resources,
    "scalars": scalars,
}


def renewed(text: str) -> str:
    """A page with its generated parts as the code has them now."""
    return _PART.sub(lambda m: f"{m[1]}{PARTS[m[2]]()}\n{m[4]}", text)


def parts(text: str) -> list[str]:
    """The names of the generated parts of a page."""
    return [match[2] for match in _PART.finditer(text)]


def _commands(
    of: argparse.ArgumentParser, before: str = ""
) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    for action in of._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
        for name, command in action.choices.items():
            nested = list(_commands(command, f"{before}{name} "))
            yield from nested or [(before + name, helps[name], command)]


def _options(command: argparse.ArgumentParser, shared: set[str]) -> list[str]:
    found = []
    for action in command._actions:
        if action.option_strings and not shared & set(action.option_strings):
            longest = max(action.option_strings, key=len)
            found.append(f"{longest} {action.metavar}" if action.metavar else longest)
    return found


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def main() -> None:
    """Write the generated parts of every page, and the schema."""
    for page in PAGES:
        page.write_text(renewed(page.read_text()))
    SCHEMA.write_text(json.dumps(environment_schema(), indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()

"""The planted bugs have their place in the product: else the fault suite proves nothing of itself."""

from pathlib import Path

import pytest

from tests.fault.bugs import BUGS, misplaced, planted
from tests.fault.matrix import Case


@pytest.mark.parametrize("name", BUGS)
def test_every_planted_bug_has_its_place_and_a_case(name: str) -> None:
    assert misplaced(BUGS[name]) == []
    assert str(Case.parse(BUGS[name].found_by)) == BUGS[name].found_by


def test_there_are_more_than_twenty() -> None:
    assert len(BUGS) > 20


def test_a_planted_bug_is_still_a_program(tmp_path: Path) -> None:
    for number, bug in enumerate(BUGS.values()):
        folder = planted(bug, tmp_path / str(number))
        for edit in bug.edits:
            compile((folder / edit.file).read_text(), edit.file, "exec")

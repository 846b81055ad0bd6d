"""Plans as files: private, whole or not at all, and never a reason for a crash."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline.adapters.plans import KEPT, PlanFiles
from pipeline.model.errors import UsageError


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def document(number: int = 1) -> str:
    plan = {"schema": "pipeline/plan/v1", "digest": digest(number), "environment": "dev", "changes": []}
    return json.dumps(plan)


@pytest.fixture
def files(tmp_path: Path) -> PlanFiles:
    return PlanFiles({"HOME": str(tmp_path)})


def test_a_saved_plan_is_read_again_and_only_its_owner_may_read_it(files: PlanFiles, tmp_path: Path) -> None:
    place = tmp_path / "plan.json"
    place.write_text("older")
    place.chmod(0o644)
    with files.saving(str(place)) as save:
        assert place.read_text() == "older"
        save(document())
    assert files.read(str(place))["digest"] == digest(1)
    assert place.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [place]


def test_where_no_plan_is_made_the_file_stays_as_it_was(files: PlanFiles, tmp_path: Path) -> None:
    place = tmp_path / "plan.json"
    place.write_text("older")
    with pytest.raises(RuntimeError), files.saving(str(place)):
        raise RuntimeError("no plan")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["older"]


@pytest.mark.parametrize("path", ["missing/plan.json", "folder", "file/plan.json", "/dev/null"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_done(
    files: PlanFiles, tmp_path: Path, path: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="save the plan to"), files.saving(str(tmp_path / path)):
        pytest.fail("not refused at once")


@pytest.mark.parametrize(
    "content", [b"", b"plan dev", b"\xff", b"[]", b'{"schema": "pipeline/report/v1"}', b"[" * 100_000]
)
def test_a_file_that_is_no_plan_is_refused_with_a_hint(
    files: PlanFiles, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "plan.json").write_bytes(content)
    with pytest.raises(UsageError, match="is no plan that was saved") as caught:
        files.read(str(tmp_path / "plan.json"))
    assert "--save FILE" in caught.value.hint


@pytest.mark.parametrize("path", ["missing.json", ".", "/dev/zero"])
def test_what_is_no_file_is_not_read(files: PlanFiles, tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        files.read(str(tmp_path / path))


def test_a_plan_is_known_by_its_digest_in_a_folder_of_the_user_alone(
    files: PlanFiles, tmp_path: Path
) -> None:
    files.keep(digest(1), document(1))
    known = files.known(digest(1))
    assert known is not None
    assert known["digest"] == digest(1)
    assert files.known(digest(2)) is None
    folder = tmp_path / ".cache" / "pipeline" / "plans"
    assert [p.name for p in folder.iterdir()] == [f"{1:064x}.json"]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_cache_is_where_xdg_says_if_that_is_absolute(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    PlanFiles({"XDG_CACHE_HOME": str(cache), "HOME": "/nonexistent"}).keep(digest(1), document())
    assert list(cache.rglob("*.json"))
    relative = PlanFiles({"XDG_CACHE_HOME": "cache", "HOME": str(tmp_path / "home")})
    relative.keep(digest(1), document())
    assert list((tmp_path / "home" / ".cache").rglob("*.json"))


def test_only_the_last_plans_are_kept(files: PlanFiles, tmp_path: Path) -> None:
    folder = tmp_path / ".cache" / "pipeline" / "plans"
    for number in range(KEPT):
        files.keep(digest(number), document(number))
        os.utime(folder / f"{number:064x}.json", (number, number))
    files.keep(digest(0), document(0))  # made again: the newest now
    files.keep(digest(KEPT), document(KEPT))
    assert len(list(folder.iterdir())) == KEPT
    assert files.known(digest(1)) is None
    assert files.known(digest(0)) is not None
    assert files.known(digest(KEPT)) is not None


@pytest.mark.parametrize("environ", [{}, {"HOME": ""}, {"HOME": "/dev/null"}])
def test_without_a_place_for_it_nothing_is_kept_and_nothing_is_wrong(environ: dict[str, str]) -> None:
    files = PlanFiles(environ)
    files.keep(digest(1), document())
    assert files.known(digest(1)) is None


@pytest.mark.parametrize("name", ["", "sha256:", "sha256:../../etc/passwd", "../x", digest(1) + "\n"])
def test_what_is_no_digest_names_no_file(files: PlanFiles, tmp_path: Path, name: str) -> None:
    files.keep(name, document())
    assert files.known(name) is None
    assert list(tmp_path.iterdir()) == []


def test_a_kept_plan_that_was_damaged_is_not_known(files: PlanFiles, tmp_path: Path) -> None:
    files.keep(digest(1), document(2))
    assert files.known(digest(1)) is None
    (tmp_path / ".cache" / "pipeline" / "plans" / f"{1:064x}.json").write_text("{")
    assert files.known(digest(1)) is None

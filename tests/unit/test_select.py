"""What a change affects, in sentences, and who comes before whom."""

from __future__ import annotations

import itertools

import pytest

from pipeline.core.select import Selection, is_below, promotion_order, selection
from pipeline.model.environment import Environment, Promotion, Source, Used
from pipeline.model.errors import InvalidError
from pipeline.model.objects import Origin


def environment(name: str, *sources: str, after: tuple[str, ...] = ()) -> Environment:
    folder = f"environments/{name}"
    return Environment(
        name=name,
        application="web",
        namespace=name,
        path=f"{folder}/environment.yaml",
        sources=tuple(
            Source(kind="manifests", path=path, origin=Origin(folder))
            for path in sources or (f"{folder}/manifests",)
        ),
        promotion=Promotion(sources=after),
    )


DEV = environment("dev")


def test_a_file_of_a_source_affects_with_a_sentence() -> None:
    file = ("environments/dev/manifests/web.yaml", "modified")
    assert selection(DEV, [("README.md", "modified"), file]) == Selection(
        affected=True,
        because=("environments/dev/manifests/web.yaml was modified, and is a source of dev",),
        files=(file,),
    )


def test_its_own_file_affects_an_environment() -> None:
    found = selection(DEV, [("environments/dev/environment.yaml", "added")])
    assert found.because == ("environments/dev/environment.yaml was added, and configures dev",)


def test_what_a_source_uses_affects_too() -> None:
    used = Used("base/web.yaml", ("overlays/dev", "base/web.yaml"))
    changed = [("base/web.yaml", "deleted")]
    assert selection(DEV, changed, also=[used]).because == (
        "base/web.yaml was deleted, and is used by dev: overlays/dev ← base/web.yaml",
    )
    assert not selection(environment("prod"), changed).affected


def test_other_files_affect_nothing() -> None:
    changed = [("environments/dev2/manifests/web.yaml", "modified"), ("environments/dev/manifests2", "added")]
    assert selection(DEV, changed) == Selection(affected=False)


def test_nothing_changed_affects_nothing() -> None:
    assert not selection(DEV, []).affected


def test_an_unknown_base_affects_with_the_reason() -> None:
    found = selection(DEV, None, unknown="dev has no release yet")
    assert (found.affected, found.because) == (True, ("dev has no release yet",))
    assert selection(DEV, None).because == ("it is not known what dev runs, so everything counts as changed",)


def test_a_file_is_told_once_though_two_sources_hold_it() -> None:
    both = environment("dev", "a", "a/b.yaml")
    assert len(selection(both, [("a/b.yaml", "modified")]).because) == 1


def test_many_reasons_are_counted_and_all_files_listed() -> None:
    found = selection(DEV, [(f"environments/dev/manifests/{n}.yaml", "added") for n in range(9)])
    assert len(found.because) == 6
    assert found.because[-1] == "4 more files of dev changed"
    assert len(found.files) == 9


@pytest.mark.parametrize(
    ("path", "root", "below"),
    [
        ("a/b", "a", True),
        ("a/b", "a/", True),
        ("a/b", "./a", True),
        ("a", "a", True),
        ("ab", "a", False),
        ("b/a", "a", False),
        ("x", ".", True),
        ("x", "", True),
    ],
)
def test_a_folder_holds_what_is_below_it(path: str, root: str, below: bool) -> None:
    assert is_below(path, root) is below


def names(*environments: Environment) -> list[str]:
    return [e.name for e in promotion_order(environments)]


def test_upstream_comes_first_in_whatever_order_they_are_given() -> None:
    all_four = [
        environment("prod", after=("staging",)),
        environment("staging", after=("dev", "absent")),
        environment("dev"),
        environment("alpha"),
    ]
    for shuffled in itertools.permutations(all_four):
        assert names(*shuffled) == ["alpha", "dev", "staging", "prod"]


def test_environments_promoted_from_each_other_are_named_in_order() -> None:
    a, b, c = (environment(x, after=(y,)) for x, y in ("ac", "bc", "cb"))
    with pytest.raises(InvalidError) as caught:
        names(environment("x"), a, c, b)
    (problem,) = caught.value.problems
    assert problem.code == "promotion-cycle"
    assert problem.message == (
        "environments are promoted from each other: "
        "b from c (environments/b/environment.yaml), c from b (environments/c/environment.yaml)"
    )


def test_an_environment_promoted_from_itself_is_a_circle() -> None:
    with pytest.raises(InvalidError, match="dev from dev"):
        names(environment("dev", after=("dev",)))

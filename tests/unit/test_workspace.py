"""The workspace and those who render: what is used, what it adds up to, and that nothing is done twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.adapters import yaml
from pipeline.adapters.git import GitRepository
from pipeline.model.environment import Environment, Source, Used
from pipeline.model.errors import InvalidError, Problem
from pipeline.model.objects import Manifest, Origin
from pipeline.run.job import compare
from pipeline.run.touched import with_objects
from pipeline.run.workspace import Workspace
from tests.git_folder import GitFolder

DEV = """\
apiVersion: pipeline/v1
kind: Environment
metadata: {name: dev}
spec:
  application: web
  namespace: web
  sources: [{helm: {chart: ../../helm}}, {manifests: ../../manifests}]
"""
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {}}}\ndata: {{a: {}}}\n"


def environment(*kinds: str) -> Environment:
    return Environment(
        name="dev",
        application="web",
        namespace="web",
        path="environments/dev/environment.yaml",
        sources=tuple(
            Source(kind=k, path=k, origin=Origin("environments/dev/environment.yaml", 5)) for k in kinds
        ),
    )


@dataclass
class Renderer:
    """Renders one object from ``helm/values.yaml`` and the file that it names there."""

    repository: GitRepository
    says: str = "fake v1"
    rendered: list[str] = field(default_factory=list)

    def version(self) -> str:
        return self.says

    def _names(self, revision: str) -> list[str]:
        return self.repository.read(revision, ["helm/values.yaml"])["helm/values.yaml"].decode().split()

    def uses(self, revision: str, source: Source) -> Sequence[Used]:
        names = self._names(revision)
        return [Used("helm/values.yaml", ("helm", "helm/values.yaml"))] + [
            Used(n, ("helm", n)) for n in names
        ]

    def render(self, revision: str, source: Source, environment: Environment) -> Sequence[Manifest]:
        self.rendered.append(revision)
        manifests: list[Manifest] = []
        for path, content in self.repository.read(revision, self._names(revision)).items():
            if b"broken" in content:
                raise InvalidError("broken", problems=[Problem(code="broken", message="it is broken")])
            manifests += yaml.load_manifests(path, content)
        return manifests


@pytest.fixture
def repo(tmp_path: Path) -> GitFolder:
    return GitFolder(tmp_path / "shop")


def workspace(repo: GitFolder) -> tuple[Workspace, Renderer]:
    repository = GitRepository(repo.folder)
    renderer = Renderer(repository)
    made = Workspace(
        repository=repository,
        documents=lambda path, data: [(d.value, d.origin, d.lines) for d in yaml.load_documents(path, data)],
        manifests=yaml.load_manifests,
        renderer=lambda kind: renderer,
    )
    return made, renderer


def test_equal_files_are_rendered_once_at_whatever_commit(repo: GitFolder) -> None:
    first = repo.commit({"helm/values.yaml": "x.yaml", "x.yaml": MAP.format("one", 1)})
    second = repo.commit({"README.md": "words"})
    third = repo.commit({"x.yaml": MAP.format("one", "'2'")})
    space, renderer = workspace(repo)
    found = [space.examine(environment("helm"), r, lambda *_: None)[0] for r in (first, second, first, third)]
    assert renderer.rendered == [first, third]
    assert found[0] == found[1] == found[2] != found[3]


def test_another_version_or_environment_renders_anew(repo: GitFolder) -> None:
    revision = repo.commit({"helm/values.yaml": "x.yaml", "x.yaml": MAP.format("one", 1)})
    space, renderer = workspace(repo)
    space.examine(environment("helm"), revision, lambda *_: None)
    renderer.says = "fake v2"
    space.examine(environment("helm"), revision, lambda *_: None)
    space.examine(environment("helm", "manifests"), revision, lambda *_: None)
    assert len(renderer.rendered) == 3


def test_inputs_are_those_of_the_files_that_are_used_and_of_the_version(repo: GitFolder) -> None:
    files = {
        "helm/values.yaml": "x.yaml",
        "x.yaml": MAP.format("one", 1),
        "environments/dev/environment.yaml": "a",
    }
    first = repo.commit(dict(files))
    unused = repo.commit({"helm/notes.txt": "not used", "y.yaml": MAP.format("two", 1)})
    space, renderer = workspace(repo)
    env = environment("helm")
    before = space.inputs(env, first)
    assert space.inputs(env, unused) == before
    assert space.inputs(env, repo.commit({"x.yaml": MAP.format("one", 2)})) != before
    assert (
        space.inputs(env, repo.commit({"x.yaml": files["x.yaml"], "helm/values.yaml": "x.yaml y.yaml"}))
        != before
    )
    assert space.inputs(env, repo.commit({"helm/values.yaml": "x.yaml"})) == before
    renderer.says = "fake v2"
    assert space.inputs(env, first) != before


def test_what_was_used_at_the_base_counts_though_it_is_used_no_more(repo: GitFolder) -> None:
    base = repo.commit(
        {"helm/values.yaml": "x.yaml", "x.yaml": MAP.format("one", 1), "y.yaml": MAP.format("two", 1)}
    )
    revision = repo.commit({"helm/values.yaml": "y.yaml", "x.yaml": None})
    space, _ = workspace(repo)
    changes = compare(space, environment("helm"), revision, base, "")
    assert changes.because == (
        "helm/values.yaml was modified, and is used by dev: helm ← helm/values.yaml",
        "x.yaml was deleted, and is used by dev: helm ← x.yaml",
    )


def test_objects_that_changes_touch_are_those_that_are_rendered_otherwise(repo: GitFolder) -> None:
    values = {
        "environments/dev/environment.yaml": DEV,
        "helm/values.yaml": "x.yaml y.yaml",
        "x.yaml": MAP.format("one", "'1'"),
    }
    base = repo.commit(
        {**values, "y.yaml": MAP.format("two", "'1'"), "manifests/z.yaml": MAP.format("z", "'1'")}
    )
    revision = repo.commit({"y.yaml": MAP.format("two", "'2'")})
    space, _ = workspace(repo)
    env = space.environment("dev", revision)
    changes = with_objects(space, env, compare(space, env, revision, base, ""))
    assert [ref.name for ref in changes.objects] == ["two"]


def test_problems_of_all_sources_are_told_together(repo: GitFolder) -> None:
    revision = repo.commit({"helm/values.yaml": "x.yaml", "x.yaml": "broken", "manifests/a.yaml": "a: ["})
    space, _ = workspace(repo)
    manifests, problems = space.examine(environment("helm", "manifests", "other"), revision, lambda *_: None)
    assert manifests == ()
    assert [problem.code for problem in problems] == ["broken", "yaml-syntax", "broken"]


def test_what_cannot_be_known_counts_as_affected(repo: GitFolder) -> None:
    base = repo.commit({"helm/values.yaml": "x.yaml", "x.yaml": MAP.format("one", 1)})
    revision = repo.commit({"helm/values.yaml": None, "README.md": "words"})
    space, _ = workspace(repo)
    changes = compare(space, environment("helm"), revision, base, "")
    assert changes.affected
    assert changes.because[0].startswith("what dev depends on cannot be read: helm/values.yaml:1: ")


# --- links


def test_a_file_behind_a_link_and_the_link_itself_affect_what_lies_before_it(repo: GitFolder) -> None:
    base = repo.commit(
        {
            "shared/one.yaml": MAP.format("one", "'1'"),
            "v2/two.yaml": MAP.format("two", "'1'"),
            "v3/two.yaml": "",
        },
        {"manifests/one.yaml": "../shared/one.yaml", "current": "v2", "manifests/two": "../current"},
    )
    space, _ = workspace(repo)
    env = environment("manifests")
    for change, link, told in (
        (
            {"shared/one.yaml": MAP.format("one", "'2'")},
            {},
            "shared/one.yaml was modified, and is used by dev:"
            " manifests ← manifests/one.yaml ← shared/one.yaml",
        ),
        (
            {"v2/two.yaml": MAP.format("two", "'2'")},
            {},
            "v2/two.yaml was modified, and is used by dev: manifests ← current ← v2",
        ),
        (
            {},
            {"current": "v3"},
            "current was modified, and is used by dev: manifests ← manifests/two ← current",
        ),
    ):
        revision = repo.commit(dict(change), dict(link))
        assert compare(space, env, revision, base, "").because == (told,)
        base = revision

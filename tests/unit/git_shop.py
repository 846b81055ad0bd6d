"""A repository with environments, and what `changes` makes of two of its commits."""

from __future__ import annotations

from pathlib import Path

from pipeline.model.views import EnvironmentChanges
from pipeline.run import job
from pipeline.run.touched import with_objects
from pipeline.run.workspace import Workspace
from pipeline.wiring import App
from tests.unit.test_git import commit_all, run_git

MANIFESTS = "environments/{}/manifests"
WEB = MANIFESTS.format("dev") + "/web.yaml"


def config_map(name: str, word: str = "one") -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{word: {word}}}\n"


def write(folder: Path, path: str, text: str) -> None:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def environment(folder: Path, name: str) -> None:
    spec = f"{{application: shop, namespace: {name}, sources: [{{manifests: manifests}}]}}"
    text = f"apiVersion: pipeline/v1\nkind: Environment\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    write(folder, f"environments/{name}/environment.yaml", text)
    write(folder, f"{MANIFESTS.format(name)}/web.yaml", config_map("web"))


def shop(folder: Path) -> str:
    """Environments dev and qa, committed on main."""
    folder.mkdir(exist_ok=True)
    run_git(folder, "init", "-q")
    environment(folder, "dev")
    environment(folder, "qa")
    return commit_all(folder)


def web(folder: Path, word: str, message: str = "change") -> str:
    """A commit that changes dev."""
    write(folder, WEB, config_map("web", word))
    return commit_all(folder, message)


def workspace(folder: Path) -> Workspace:
    return App(repo=str(folder)).workspace()


def changes(
    folder: Path,
    recorded: str,
    revision: str = "HEAD",
    name: str = "dev",
    *,
    base: str = "",
    before: str = "",
) -> EnvironmentChanges:
    """As `changes -e NAME`, where the cluster says that ``recorded`` runs."""
    place = workspace(folder)
    commit = place.repository.resolve(revision)
    environment = place.environment(name, commit)
    found = job.compare(place, environment, commit, base, recorded, before)
    return with_objects(place, environment, found)


def names(found: EnvironmentChanges) -> list[str]:
    return [ref.name for ref in found.objects]

"""Fixtures of the end-to-end tests: ``repo``, ``app``, and ``make_repo`` for set-ups that are shared."""

import contextlib
import secrets
from collections.abc import Callable, Iterator

import pytest

from tests.cluster.local import LocalCluster
from tests.e2e.manifests import SETTINGS, WEB
from tests.e2e.workspace import Workspace

MakeRepo = Callable[..., Workspace]


@pytest.fixture(scope="session")
def make_repo(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeRepo]:
    """Makes repositories with namespaces of their own; these are deleted at the end of the run.

    ``create=True`` makes dev's namespace at once, so that its pods need not wait for a service account.
    """
    names: list[str] = []
    # Made here and now: pytest's own first call is not safe among threads, and stories run in some.
    tmp_path_factory.getbasetemp()

    def make(*, create: bool = False) -> Workspace:
        word = secrets.token_hex(3)
        folder = tmp_path_factory.mktemp(f"repo-{word}") / "shop"
        folder.mkdir()
        repo = Workspace(folder=folder, cluster=cluster, namespace=f"e2e-{word}", application=f"app-{word}")
        repo.git("init", "--quiet", "--initial-branch", "main")
        repo.git("config", "user.name", "tester")
        repo.git("config", "user.email", "tester@example.invalid")
        names.append(repo.namespace)
        if create:
            cluster.create_namespace(repo.namespace)
        return repo

    yield make
    _delete(cluster, names)


@pytest.fixture
def repo(make_repo: MakeRepo) -> Workspace:
    """An empty repository, not a commit in it; the namespace does not exist."""
    return make_repo()


@pytest.fixture
def app(make_repo: MakeRepo) -> Workspace:
    """A repository with a Deployment and a ConfigMap in ``dev``, committed, and dev's namespace."""
    return make_app(make_repo)


def make_app(make_repo: MakeRepo) -> Workspace:
    """What ``app`` is, for stories that are told side by side."""
    repo = make_repo(create=True)
    write_app(repo)
    return repo


def write_app(repo: Workspace) -> None:
    """The smallest application, committed: a Deployment that reads a ConfigMap."""
    repo.environment()
    repo.manifest("settings.yaml", SETTINGS)
    repo.manifest("web.yaml", WEB)
    repo.commit("the first version")


def _delete(cluster: LocalCluster, names: list[str]) -> None:
    """Also of environments beside dev, whose namespaces begin with dev's."""
    with contextlib.suppress(OSError):
        for item in cluster.api.call("GET", "/api/v1/namespaces")["items"]:
            name = item["metadata"]["name"]
            if any(name == own or name.startswith(f"{own}-") for own in names):
                cluster.api.call("DELETE", f"/api/v1/namespaces/{name}")

"""Fixtures for every test that needs a cluster: ``cluster`` and ``namespace``."""

import secrets
from collections.abc import Iterator

import pytest

from tests.cluster.build import cluster_binary
from tests.cluster.local import LocalCluster


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the cluster before the first test, whose time limit knows nothing of it."""
    wanted = any("cluster" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        cluster_binary()


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """One cluster for the whole run, started for the first test that asks for it."""
    with LocalCluster() as running:
        yield running


@pytest.fixture
def namespace(cluster: LocalCluster) -> Iterator[str]:
    """A namespace of the test's own, in which pods can be created at once."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.create_namespace(name)
    yield name
    cluster.api.call("DELETE", f"/api/v1/namespaces/{name}")

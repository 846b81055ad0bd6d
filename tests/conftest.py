"""Fixtures for every test that needs a cluster: ``cluster``, its ``audit`` and ``namespace``."""

import compileall
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import tools
from tests.cluster.build import cluster_binary
from tests.cluster.local import LocalCluster
from tests.e2e.audit import Audit
from tests.e2e.workspace import ROOT
from tests.encryption import Encryption

# A machine that does something else besides makes an example slow, and nothing wrong.
settings.register_profile("pipeline", deadline=None)
settings.load_profile("pipeline")

# kubectl comes as a wheel beside the interpreter: the same version everywhere, installed or not.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what tests ask for before the first one, whose time limit knows nothing of it."""
    if session.config.option.collectonly:
        return
    # As an installation has it. A process that starts only reads this; where the environment says that none
    # is to be written, each of the thousands would compile all modules itself.
    compileall.compile_dir(ROOT / "pipeline", quiet=1)
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if "cluster" in wanted:
        cluster_binary()
    for fixture, programs in tools.FIXTURES.items():
        if fixture in wanted:
            for program in programs:
                tools.path(program)


@pytest.fixture(scope="session")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """What the users whom tests watch ask of the API server; of others it logs next to nothing."""
    return Audit(tmp_path_factory.mktemp("audit"))


@pytest.fixture(scope="session")
def cluster(audit: Audit) -> Iterator[LocalCluster]:
    """One cluster for the whole run, started for the first test that asks for it."""
    with LocalCluster(users=audit.users, apiserver_flags=audit.flags) as running:
        yield running


@pytest.fixture
def namespace(cluster: LocalCluster) -> Iterator[str]:
    """A namespace of the test's own, in which pods can be created at once."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.create_namespace(name)
    yield name
    cluster.api.call("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="session")
def sops(tmp_path_factory: pytest.TempPathFactory) -> Encryption:
    """SOPS with a key of age."""
    return Encryption.make(tmp_path_factory.mktemp("age"))


@pytest.fixture(scope="session")
def helm() -> str:
    """Helm, which was built before the first test where it was missing."""
    return tools.path(tools.HELM)

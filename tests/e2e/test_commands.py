"""Every command, as a process, against a real API server."""

from tests.e2e.workspace import Workspace


def test_a_second_deploy_writes_nothing(app: Workspace) -> None:
    first = app.deployed()
    before = app.state()
    second = app.deployed()
    assert app.state() == before
    assert second["release"] == first["release"]

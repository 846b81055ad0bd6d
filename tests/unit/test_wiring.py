"""What a process that stays remembers of the run before: nothing."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace

from pipeline import log
from pipeline.adapters import compose
from pipeline.adapters.yaml import load_manifests
from pipeline.model.environment import KubeconfigCluster
from pipeline.wiring import App

FILE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: one}}\ndata: {{key-{0}: x}}\n"


class Cluster:
    """As much of one as is asked to forget."""

    def __init__(self) -> None:
        self.closed = self.refreshed = 0
        self.http = SimpleNamespace(connection=SimpleNamespace(close=self.close))

    def close(self) -> None:
        self.closed += 1

    def refresh(self) -> None:
        self.refreshed += 1


def connected(*folders: str) -> tuple[App, list[Cluster]]:
    app, clusters = App(), [Cluster() for _ in folders]
    for folder, cluster in zip(folders, clusters, strict=True):
        app._connections[KubeconfigCluster(), folder] = cluster  # type: ignore[assignment]  # all it needs
    return app, clusters


def test_values_that_were_secret_are_forgotten_and_so_is_what_was_bound() -> None:
    try:
        log.redact("a-secret-of-the-last-run")
        log.bind(release=7)
        App().afresh(reconnect=False)
        assert log.scrub("a-secret-of-the-last-run") == "a-secret-of-the-last-run"
        assert log._state.bound == {}
    finally:
        log.reset()


def test_what_files_had_in_common_is_forgotten() -> None:
    for number in range(10):
        load_manifests("f.yaml", FILE.format(number).encode())
    App().afresh(reconnect=False)
    gc.collect()
    assert (len(compose._PATHS), len(compose._LINES)) == (0, 0)


def test_a_connection_is_kept_and_asked_anew_what_there_is() -> None:
    app, (cluster,) = connected("a")
    app.afresh(reconnect=False)
    assert (cluster.closed, cluster.refreshed) == (0, 1)


def test_after_trouble_a_connection_is_closed_and_forgotten() -> None:
    app, clusters = connected("a")
    gone = weakref.ref(clusters.pop())
    app.afresh(reconnect=True)
    gc.collect()
    assert gone() is None


def test_of_an_environment_that_moved_no_connection_stays() -> None:
    app, clusters = connected("a", "b")
    app.afresh(reconnect=False)
    assert [c.closed for c in clusters] == [1, 1]
    assert not app._connections

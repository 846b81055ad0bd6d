"""Dependencies that are not vendored: fetched by digest, rendered by the real Helm as if they were."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

from pipeline.adapters import chart_files, yaml
from pipeline.adapters.chart_remote import ChartRemote
from pipeline.adapters.git import GitRepository
from pipeline.adapters.helm import HelmRenderer
from pipeline.core.chart_parts import Lock, lock_digest
from pipeline.model.environment import Allow, Environment, HelmChart, PinnedPart, Source
from pipeline.model.errors import InvalidError, UnreachableError
from pipeline.model.objects import Manifest, Origin
from tests import stack_chart
from tests.contract.test_chart_remote import Server, digest_of, manifest, server
from tests.git_folder import GitFolder

__all__ = ["server"]

ORIGIN = Origin("environments/dev/environment.yaml", 8)
PIN = Origin(ORIGIN.path, 11)
CONFIG = textwrap.dedent(
    """\
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: {{ .Release.Name }}-{{ .Chart.Name }}}
    data: {size: {{ .Values.size | quote }}}
    """
)


def part(name: str = "db", version: str = "1.2.3", **files: str) -> bytes:
    """The archive of a chart with one ConfigMap."""
    base = {
        "Chart.yaml": f"apiVersion: v2\nname: {name}\nversion: {version}\n",
        "values.yaml": "size: small\n",
        "templates/x.yaml": CONFIG,
    }
    return stack_chart.packed(name, {**base, **files})


DB = part()


class Shop(GitFolder):
    """A repository with the chart ``web``, and what an environment says of it."""

    def __init__(self, folder: Path, helm: str, server: Server) -> None:
        super().__init__(folder)
        self.server, self.allowed = server, [server.host]
        self.files: dict[str, str | None] = {"web/values.yaml": "size: big\n", "web/templates/x.yaml": CONFIG}
        self.pins: tuple[PinnedPart, ...] = ()
        self.remote = ChartRemote(folder.parent / "cache", lambda: False)
        self.renderer = HelmRenderer(GitRepository(folder), program=helm, remote=self.remote)

    @property
    def url(self) -> str:
        return f"https://{self.server.host}/charts"

    def needs(self, *dependencies: dict[str, Any]) -> None:
        """Each in a line of its own, from line 5 on."""
        lines = [
            json.dumps({"name": "db", "version": "1.2.3", "repository": self.url, **d}) for d in dependencies
        ]
        chart = "apiVersion: v2\nname: web\nversion: 0.1.0\ndependencies:\n"
        self.files["web/Chart.yaml"] = chart + "".join(f"- {line}\n" for line in lines)

    def pin(self, name: str = "db", digest: str = digest_of(DB)) -> None:
        self.pins = (*self.pins, PinnedPart(name=name, digest=digest, origin=PIN))

    def serve(self, *versions: str, url: str = "db-{}.tgz", content: bytes | None = None) -> None:
        """An index with versions of db, and their archives."""
        entries = [{"name": "db", "version": v, "digest": "ab", "urls": [url.format(v)]} for v in versions]
        index = {
            "apiVersion": "v1",
            "entries": {"aa": [{"version": "1.2.3", "urls": ["aa.tgz"]}], "db": entries},
        }
        self.server.put("/charts/index.yaml", json.dumps(index, indent=1).encode())
        for version in versions:
            archive = content if content is not None else part(version=version)
            self.server.put(f"/charts/db-{version}.tgz", archive)

    def source(self) -> Source:
        helm = HelmChart(release="r", dependencies=self.pins)
        return Source(kind="helm", path="web", origin=ORIGIN, helm=helm)

    def render(self) -> list[Manifest]:
        allow = Allow(remote=tuple(self.allowed))
        environment = Environment(name="dev", application="a", namespace="n", path=ORIGIN.path, allow=allow)
        return list(self.renderer.render(self.commit(self.files), self.source(), environment))

    def sizes(self) -> dict[str, Any]:
        return {m.body["metadata"]["name"]: m.body["data"]["size"] for m in self.render()}

    def refused(self) -> list[str]:
        with pytest.raises(InvalidError) as caught:
            self.render()
        return [str(problem) for problem in caught.value.problems]


@pytest.fixture
def shop(tmp_path: Path, helm: str, server: Server) -> Shop:
    found = Shop(tmp_path / "shop", helm, server)
    found.needs({})
    return found


BOTH = {"r-web": "big", "r-db": "small"}


def test_a_dependency_of_a_repository_of_charts_is_rendered_with_the_chart(shop: Shop) -> None:
    shop.serve("1.2.3", "1.2.2")
    shop.pin()
    assert shop.sizes() == BOTH
    assert shop.server.paths == ["/charts/index.yaml", "/charts/db-1.2.3.tgz"]


def test_what_was_fetched_once_needs_no_server(shop: Shop) -> None:
    shop.serve("1.2.3")
    shop.pin()
    shop.sizes()
    shop.server.answers.clear()
    shop.server.asked.clear()
    assert shop.sizes() == BOTH
    assert shop.server.asked == []


def test_a_dependency_of_a_registry_is_fetched_by_the_digest_of_its_manifest(shop: Shop) -> None:
    shop.needs({"repository": f"oci://{shop.server.host}/org"})
    shop.server.put(f"/v2/org/db/manifests/{digest_of(manifest(DB))}", manifest(DB))
    shop.server.put(f"/v2/org/db/blobs/{digest_of(DB)}", DB)
    shop.pin(digest=digest_of(manifest(DB)))
    assert shop.sizes() == BOTH
    assert "/charts/index.yaml" not in shop.server.paths


@pytest.mark.parametrize(
    "address", ["https://{host}/elsewhere/db.tgz", "/elsewhere/db.tgz", "../elsewhere/db.tgz"]
)
def test_the_index_says_where_the_archive_is(shop: Shop, address: str) -> None:
    shop.serve("1.2.3", url=address.replace("{host}", shop.server.host))
    shop.server.put("/elsewhere/db.tgz", DB)
    shop.pin()
    assert shop.sizes() == BOTH


def test_conditions_aliases_and_values_are_helm_s_business(shop: Shop) -> None:
    shop.needs({"alias": "one"}, {"alias": "two"}, {"alias": "out", "condition": "out.enabled"})
    shop.files["web/values.yaml"] = "size: big\none: {size: first}\nout: {enabled: false}\n"
    shop.serve("1.2.3")
    shop.pin()
    assert shop.sizes() == {"r-web": "big", "r-one": "first", "r-two": "small"}
    assert shop.server.paths.count("/charts/db-1.2.3.tgz") == 1


def test_two_versions_of_a_chart_are_told_apart_by_their_aliases(shop: Shop) -> None:
    shop.needs({"alias": "one"}, {"alias": "two", "version": "1.2.2"})
    shop.serve("1.2.3", "1.2.2")
    shop.pin("one")
    shop.pin("two", digest_of(part(version="1.2.2")))
    origins = {m.ref.name: str(m.origin) for m in shop.render()}
    assert origins == {
        "r-web": "web/templates/x.yaml:1",
        "r-one": "web/Chart.yaml:5",
        "r-two": "web/Chart.yaml:6",
    }
    assert shop.server.paths.count("/charts/index.yaml") == 1


def test_the_lock_says_which_version_of_a_range_it_is(shop: Shop) -> None:
    shop.needs({"version": "^1.0.0"})
    required = {"name": "db", "version": "^1.0.0", "repository": shop.url}
    locked = {"name": "db", "version": "1.2.3", "repository": shop.url}
    lock = {"dependencies": [locked], "digest": lock_digest([required], [locked])}
    shop.files["web/Chart.lock"] = json.dumps(lock)
    shop.serve("1.9.0", "1.2.3")
    shop.pin()
    assert shop.sizes() == BOTH
    shop.needs({"version": "^1.0.0", "condition": "db.enabled"})
    (problem,) = shop.refused()
    assert problem == (
        "web/Chart.yaml:5: db: Chart.lock is out of sync with Chart.yaml "
        "(run `helm dependency update` and commit Chart.lock)"
    )


def test_parts_of_a_local_part_are_fetched_too(shop: Shop) -> None:
    inner = shop.files["web/Chart.yaml"]
    assert inner is not None
    shop.files["mid/Chart.yaml"] = inner.replace("name: web", "name: mid")
    shop.files["mid/values.yaml"] = "size: middle\n"
    shop.files["mid/templates/x.yaml"] = CONFIG
    shop.needs({"name": "mid", "version": "0.1.0", "repository": "file://../mid"})
    shop.serve("1.2.3")
    shop.pin()
    assert shop.sizes() == {**BOTH, "r-mid": "middle"}


def test_objects_of_it_are_told_of_the_line_that_names_it(shop: Shop) -> None:
    shop.serve("1.2.3")
    shop.pin()
    assert {m.ref.name: str(m.origin) for m in shop.render()} == {
        "r-web": "web/templates/x.yaml:1",
        "r-db": "web/Chart.yaml:5",
    }


def test_it_counts_as_what_the_environment_s_file_says_and_asks_nobody_what_is_used(shop: Shop) -> None:
    shop.pin()
    used = shop.renderer.uses(shop.commit(shop.files), shop.source())
    assert [one.path for one in used] == ["web"]
    assert shop.server.asked == []


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"condition": "db.enabled,global.db", "tags": ["a", "b"], "alias": "store"},
        {"import-values": ["data", {"parent": "x", "child": "<y & z>"}]},
        {"condition": "", "tags": [], "enabled": False, "unknown": "key"},
    ],
)
def test_a_lock_that_helm_wrote_is_in_sync(tmp_path: Path, helm: str, more: dict[str, Any]) -> None:
    local = {"name": "db", "version": ">=1.0.0 <2 || 3.x", "repository": "file://../db", **more}
    other = {"name": "queue", "version": "~1.2", "repository": "file://../queue"}
    web = tmp_path / "web"
    for name in ("db", "queue"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Chart.yaml").write_text(f"apiVersion: v2\nname: {name}\nversion: 1.2.3\n")
    web.mkdir()
    chart = {"apiVersion": "v2", "name": "web", "version": "0.1.0", "dependencies": [local, other]}
    (web / "Chart.yaml").write_text(json.dumps(chart))
    run(
        [helm, "dependency", "update", str(web)], check=True, capture_output=True, env={"HOME": str(tmp_path)}
    )
    (lock,) = yaml.load_documents("Chart.lock", (web / "Chart.lock").read_bytes())
    assert Lock(lock.value, [local, other]).is_in_sync
    assert not Lock(lock.value, [local]).is_in_sync
    assert not Lock(lock.value, [{**local, "version": "1.x"}, other]).is_in_sync


# --- what is refused, with the line of the dependency


def test_without_a_digest_nothing_is_fetched_and_the_line_shows_what_to_write(shop: Shop) -> None:
    shop.serve("1.2.3")
    (problem,) = shop.refused()
    assert problem.startswith(
        f"web/Chart.yaml:5: web needs the chart db ({shop.url}), not in charts/ (vendor it: "
    )
    assert "or write dependencies: [{name: db, digest: sha256:…}] beside chart, and its host into" in problem
    assert shop.server.asked == []


def test_a_host_that_is_not_allowed_is_not_asked(shop: Shop) -> None:
    shop.allowed = ["example.com"]
    shop.pin()
    host = shop.server.host
    assert shop.refused() == [
        f"web/Chart.yaml:5: db: {host} is not an allowed host (write allow: {{remote: [{host}]}}, "
        "if charts may come from there)"
    ]
    assert shop.server.asked == []


@pytest.mark.parametrize(
    ("dependency", "lock", "words"),
    [
        ({"version": "^1.0.0"}, None, 'version "^1.0.0" is a range, and no Chart.lock says which one'),
        ({"version": "1.2"}, None, 'version "1.2" is a range'),
        ({"version": ""}, None, 'version "" is a range'),
        ({"version": "^1.0.0"}, "1.x", 'version "^1.0.0" is a range'),
        ({}, "1.2.4", 'Chart.yaml asks for version 1.2.3, Chart.lock for "1.2.4"'),
        ({"repository": "http://example.com/c"}, None, "is neither https:// nor oci:// and a path"),
        ({"repository": "@stable"}, None, "is neither https:// nor oci:// and a path"),
        ({"repository": "https://me:word@example.com/c"}, None, "is neither https:// nor oci:// and a path"),
        ({"repository": "https://example.com/../c"}, None, "is neither https:// nor oci:// and a path"),
    ],
)
def test_what_is_not_one_version_of_one_place_is_not_fetched(
    shop: Shop, dependency: dict[str, Any], lock: str | None, words: str
) -> None:
    shop.needs(dependency)
    if lock:
        locked = {"name": "db", "version": lock, "repository": shop.url}
        shop.files["web/Chart.lock"] = json.dumps({"dependencies": [locked]})
    shop.pin()
    (problem,) = shop.refused()
    assert problem.startswith("web/Chart.yaml:5: db: ")
    assert words in problem
    assert shop.server.asked == []


def test_a_digest_that_holds_nothing_is_told_where_it_is_written(shop: Shop) -> None:
    shop.serve("1.2.3")
    shop.pin()
    shop.pin("dbb")
    (problem,) = shop.refused()
    assert problem == f'{PIN}: the chart has no dependency "dbb" that is fetched (did you mean db?)'


def test_a_digest_of_what_is_vendored_is_refused(shop: Shop) -> None:
    shop.files["web/charts/db/Chart.yaml"] = "apiVersion: v2\nname: db\nversion: 1.2.3\n"
    shop.pin()
    assert shop.refused() == [f"{PIN}: db is vendored, its digest is not looked at (remove one of the two)"]


def not_served(shop: Shop) -> None:
    shop.serve("1.2.4", "1.2.5")


def other_content(shop: Shop) -> None:
    shop.serve("1.2.3", content=b"other")


def no_index(shop: Shop) -> None:
    shop.server.put("/charts/index.yaml", b"entries: [")


def deep_index(shop: Shop) -> None:
    shop.server.put("/charts/index.yaml", b"[" * 100_000)


def no_address(shop: Shop) -> None:
    index = {"entries": {"db": [{"version": "1.2.3"}]}}
    shop.server.put("/charts/index.yaml", json.dumps(index).encode())


def elsewhere(shop: Shop) -> None:
    shop.serve("1.2.3", url="https://evil.example.com/db-{}.tgz")


def by_http(shop: Shop) -> None:
    shop.serve("1.2.3", url="http://localhost/db-{}.tgz")


def of_the_disk(shop: Shop) -> None:
    shop.serve("1.2.3", url="file:///etc/passwd")


def with_a_login(shop: Shop) -> None:
    shop.serve("1.2.3", url=f"https://me:word@{shop.server.host}/db.tgz")


@pytest.mark.parametrize(
    ("served", "words"),
    [
        (not_served, "no version 1.2.3 of db in its index.yaml: it has 1.2.4, 1.2.5"),
        (other_content, "what the server has is sha256:"),
        (no_index, "its index.yaml is not YAML that we read"),
        (deep_index, "its index.yaml is nested as none is"),
        (no_address, "its index.yaml tells no address of db 1.2.3"),
        (elsewhere, "evil.example.com is not an allowed host"),
        (by_http, "an address that is not https"),
        (of_the_disk, "an address that is not https"),
        (with_a_login, "its index.yaml tells an odd address"),
    ],
)
def test_a_server_cannot_give_us_anything_else(
    shop: Shop, served: Callable[[Shop], None], words: str
) -> None:
    served(shop)
    shop.pin()
    (problem,) = shop.refused()
    assert problem.startswith("web/Chart.yaml:5: ")
    assert words in problem
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (part("other"), "the digest is that of other 1.2.3, not of db 1.2.3"),
        (part(version="1.2.4"), "the digest is that of db 1.2.4, not of db 1.2.3"),
        (b"no archive", "not the archive of a chart"),
        (stack_chart.packed("db", {"values.yaml": "a: b\n"}), "db-1.2.3.tgz has no Chart.yaml"),
        (part(**{"Chart.yaml": "name: ..\nversion: 1.2.3\n"}), "is no chart's name"),
        (
            part(**{"Chart.yaml": "name: db\nversion: 1.2.3\ndependencies: [{name: x, version: 1.0.0}]\n"}),
            "db needs the chart x, not in charts/",
        ),
        (part(**{"values.schema.json": '{"$ref": "http://169.254.169.254/"}'}), "outside of itself"),
    ],
)
def test_an_archive_that_is_not_the_part_is_refused_at_its_line(
    shop: Shop, archive: bytes, words: str
) -> None:
    shop.serve("1.2.3", content=archive)
    shop.pin(digest=digest_of(archive))
    (problem,) = shop.refused()
    assert problem.startswith("web/Chart.yaml:5: ")
    assert words in problem


def test_a_mistake_in_it_is_told_of_the_line_that_names_it(shop: Shop) -> None:
    archive = part(**{"templates/x.yaml": '{{ fail "no" }}\n'})
    shop.serve("1.2.3", content=archive)
    shop.pin(digest=digest_of(archive))
    (problem,) = shop.refused()
    assert problem.startswith("web/Chart.yaml:5: helm: no (web/charts/db/templates/x.yaml:1)")


def test_what_all_parts_hold_together_is_limited(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chart_files, "CHART_BYTES", 4096)
    archive = part(**{"README.md": "x" * 5000})
    shop.serve("1.2.3", content=archive)
    shop.pin(digest=digest_of(archive))
    (problem,) = shop.refused()
    assert problem.startswith("web/Chart.yaml:5: ")
    assert "MiB are packed in it" in problem


def test_a_server_that_is_not_there_is_unreachable(shop: Shop) -> None:
    shop.pin()
    with pytest.raises(UnreachableError, match="answered 404"):
        shop.render()


def test_all_that_is_wrong_is_told_at_once_and_nothing_is_fetched_then(shop: Shop) -> None:
    shop.needs({}, {"name": "cache", "version": "^2"}, {"name": "queue"})
    shop.files["web/values.schema.json"] = "no schema"
    shop.serve("1.2.3")
    for name in ("db", "cache", "dbb"):
        shop.pin(name)
    told = [problem.partition(" ")[0] for problem in shop.refused()]
    assert told == ["web/Chart.yaml:6:", f"{PIN}:", "web/Chart.yaml:7:", "web/values.schema.json:1:"]
    assert shop.server.asked == []

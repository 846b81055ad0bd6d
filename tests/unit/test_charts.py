"""Charts: what their Chart.yaml may say, where their parts are, and what makes them dangerous or random."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.charts import (
    Chart,
    Dependency,
    foreign_references,
    heeds_upgrade,
    is_random,
    is_timed,
    local_path,
    missing,
    prefixes,
    read_chart,
)

PATH = "charts/web/Chart.yaml"


def problems(**fields: Any) -> list[str]:
    value = {"apiVersion": "v2", "name": "web", "version": "1.2.3", **fields}
    _, found = read_chart(value, {("name",): 2, ("dependencies", 0, "alias"): 7}, PATH, "")
    return [str(problem) for problem in found]


def dependency(name: str, repository: str = "", alias: str = "") -> Dependency:
    return Dependency(name=name, alias=alias, repository=repository, line=5)


def test_a_chart_is_read_with_its_dependencies() -> None:
    value = {
        "name": "web",
        "version": "1.2.3",
        "dependencies": [{"name": "db", "version": "^1", "alias": "store", "repository": "file://../db"}],
    }
    chart, found = read_chart(value, {("dependencies", 0): 5}, PATH, "")
    assert found == []
    assert chart == Chart(
        name="web",
        folder="",
        version="1.2.3",
        dependencies=(Dependency(name="db", alias="store", repository="file://../db", line=5, version="^1"),),
    )


@pytest.mark.parametrize(
    "name", ["..", ".", "a/b", "../x", "/x", "a\\b", "", "a..b", "x" * 300, None, 3, "-a"]
)
def test_a_name_that_could_lead_elsewhere_is_refused(name: Any) -> None:
    (problem,) = problems(name=name)
    assert problem.startswith(f"{PATH}:2: name: ")
    assert len(problem) < 250


@pytest.mark.parametrize("version", ["../1", "1/2", "", None, 1.2, "..", "x"])
def test_a_version_that_is_none_is_refused(version: Any) -> None:
    (problem,) = problems(version=version)
    assert "version" in problem


@pytest.mark.parametrize("version", ["1.2.3", "0.1.0-rc.1+build.5", "v2.0.0", "1"])
def test_versions(version: str) -> None:
    assert problems(version=version) == []


@pytest.mark.parametrize("alias", ["..", "../../x", "a/b"])
def test_an_alias_that_could_lead_elsewhere_is_refused_with_its_line(alias: str) -> None:
    (problem,) = problems(dependencies=[{"name": "db", "alias": alias}])
    assert problem.startswith(f"{PATH}:7: dependencies[0].alias: ")


def test_all_is_told_at_once() -> None:
    found = problems(
        name="..", version="/", dependencies=["x", {"name": "../y"}, {"name": "z", "version": "/"}]
    )
    assert len(found) == 5


@pytest.mark.parametrize("value", [None, [], "x", 3])
def test_a_chart_file_that_is_no_mapping_is_refused(value: Any) -> None:
    chart, found = read_chart(value, {}, PATH, "")
    assert chart is None
    assert len(found) == 1


@pytest.mark.parametrize(
    ("repository", "path"),
    [
        ("file://../db", "charts/db"),
        ("file://charts/db", "charts/web/charts/db"),
        ("file://../../../x", ""),
        ("file:///etc", ""),
        ("https://example.com", None),
        ("oci://example.com/x", None),
        ("", None),
    ],
)
def test_where_a_local_dependency_is(repository: str, path: str | None) -> None:
    assert local_path("charts/web", dependency("db", repository)) == path


def test_what_is_not_vendored_is_told_with_its_line_and_the_way_to_vendor_it() -> None:
    chart = Chart(name="web", folder="", dependencies=(dependency("db", "@stable"), dependency("x")))
    (problem,) = missing(chart, PATH, ["x"])
    assert str(problem) == (
        f"{PATH}:5: web needs the chart db (@stable), not in charts/ "
        "(vendor it: run `helm dependency build` and commit what it puts into charts/)"
    )


@pytest.mark.parametrize("repository", ["https://example.com", "oci://example.com/charts"])
def test_what_could_be_fetched_is_told_with_the_way_to_pin_it(repository: str) -> None:
    chart = Chart(name="web", folder="", dependencies=(dependency("db", repository, "store"),))
    (problem,) = missing(chart, PATH, [])
    assert str(problem) == (
        f"{PATH}:5: web needs the chart db ({repository}), not in charts/ "
        "(vendor it: run `helm dependency build` and commit what it puts into charts/; or write "
        "dependencies: [{name: store, digest: sha256:…}] beside chart, and its host into allow.remote)"
    )


def test_a_part_is_found_by_its_name_and_by_its_aliases() -> None:
    top = Chart(
        name="web", folder="", dependencies=(dependency("db", alias="one"), dependency("db", alias="two"))
    )
    part = Chart(name="db", folder="charts/db-1.2.tgz")
    below = Chart(name="tools", folder="charts/db-1.2.tgz/charts/tools")
    found = prefixes([below, part, top])
    assert found == {
        "web": "",
        **{f"web/charts/{name}": "charts/db-1.2.tgz" for name in ("db", "one", "two")},
        **{f"web/charts/{n}/charts/tools": "charts/db-1.2.tgz/charts/tools" for n in ("db", "one", "two")},
    }


def test_an_alias_of_an_exact_version_is_that_version_s() -> None:
    deps = [
        Dependency(name="db", alias=alias, repository="", line=5, version=version)
        for alias, version in (("one", "1.2.3"), ("two", "1.2.2"), ("any", "^1"))
    ]
    top = Chart(name="web", folder="", version="1.0.0", dependencies=tuple(deps))
    parts = [Chart(name="db", folder=f"charts/db-{v}.tgz", version=v) for v in ("1.2.2", "1.2.3")]
    found = prefixes([top, *parts])
    assert found["web/charts/one"] == "charts/db-1.2.3.tgz"
    assert found["web/charts/two"] == "charts/db-1.2.2.tgz"


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://169.254.169.254/latest"},
        {"properties": {"a": {"items": [{"$ref": "file:///etc/passwd"}]}}},
        {"$ref": "other.json#/x"},
        {"$id": "http://127.0.0.1/a", "$ref": "b.json"},
        {"$schema": "http://127.0.0.1/meta"},
        {"$dynamicRef": "https://x/y"},
    ],
)
def test_a_schema_that_refers_to_something_else_is_found(schema: Any) -> None:
    assert list(foreign_references(schema))


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#"}}},
        {"$schema": "http://json-schema.org/draft-07/schema#"},
        {"$schema": "https://json-schema.org/draft/2020-12/schema"},
        {"$defs": {"a": {"$id": "https://example.com/a"}}, "$ref": "https://example.com/a#/x"},
        {"properties": {"$ref": {"type": "string"}}},
        True,
    ],
)
def test_a_schema_that_is_complete_is_not(schema: Any) -> None:
    assert list(foreign_references(schema)) == []


@pytest.mark.parametrize(
    "text",
    [
        "{{ randAlphaNum 12 | b64enc }}",
        '{{- $ca := genCA "x" 365 -}}',
        "{{ genSelfSignedCertWithKey }}",
        "{{ uuidv4 }}",
        '{{ now | date "2006" }}',
        "{{ keys .Values.x | join }}",
        "{{ htpasswd .a .b }}",
    ],
)
def test_what_makes_a_template_random_is_known(text: str) -> None:
    assert is_random(text)


@pytest.mark.parametrize(
    "text",
    [
        "{{ .Values.known }}",
        "nowhere: x",
        "keys: 3",
        "values: a",
        "# randAlphaNum, by now {{ .x }} uuidv4",
        "{{/* randAlphaNum now */}}",
        "{{- /* genCA */ -}}",
    ],
)
def test_what_does_not_is_not(text: str) -> None:
    assert not is_random(text)
    assert not is_timed(text)


@pytest.mark.parametrize("text", ["{{ now | unixEpoch }}", "{{ ago .x }}", "a {{ .x }}\nb: {{-\n now }}"])
def test_what_tells_the_time_is_known(text: str) -> None:
    assert is_timed(text)
    assert is_random(text)


def test_what_is_random_need_not_tell_the_time() -> None:
    assert not is_timed("{{ randAlphaNum 5 }}")


@pytest.mark.parametrize(
    "text",
    [
        "{{ if .Release.IsInstall }}",
        "{{- if not $.Release.IsUpgrade -}}",
        '{{ get .Release "IsUpgrade" }}',
        "{{ toYaml .Release }}",
        "{{ range $k, $v := .Release }}",
    ],
)
def test_a_template_that_may_tell_an_upgrade_is_known(text: str) -> None:
    assert heeds_upgrade(text)


@pytest.mark.parametrize(
    "text", ["{{ .Release.Name }}", "# Release IsUpgrade", "{{/* .Release.IsUpgrade */}}", "{{ .Values.x }}"]
)
def test_a_template_that_asks_for_a_name_tells_no_upgrade(text: str) -> None:
    assert not heeds_upgrade(text)

"""What a kustomization reaches, and what of it is refused before kustomize runs: on real commits."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.adapters import kustomize_texts
from pipeline.adapters.git import GitRepository
from pipeline.adapters.kustomize_graph import Graph, walk
from pipeline.adapters.yaml import load_documents
from pipeline.core.kustomization import is_remote, references
from pipeline.model.environment import Source
from pipeline.model.objects import Origin
from tests.git_folder import GitFolder

SOURCE = Source(
    kind="kustomize", path="overlays/prod", origin=Origin("environments/prod/environment.yaml", 7)
)
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n"


@pytest.fixture
def repo(tmp_path: Path) -> GitFolder:
    return GitFolder(tmp_path / "shop")


def walked(
    repo: GitFolder, files: dict[str, str], links: dict[str, str] | None = None, source: Source = SOURCE
) -> Graph:
    revision = repo.commit(dict(files), links)
    return walk(GitRepository(repo.folder), revision, source)


def told(graph: Graph) -> list[str]:
    return [str(problem).partition(" (")[0] for problem in graph.problems]


def top(text: str, **more: str) -> dict[str, str]:
    return {"overlays/prod/kustomization.yaml": text, **more}


# --- what is used


def test_everything_that_is_reached_is_used_with_the_chain_that_leads_there(repo: GitFolder) -> None:
    graph = walked(
        repo,
        {
            "overlays/prod/kustomization.yaml": """
                resources: [../../base, own.yaml]
                components: [../../components/tls]
                patches: [{path: patch.yaml}]
                patchesJson6902: [{path: ops.json, target: {kind: Service, name: web}}]
                patchesStrategicMerge: [old.yaml, "kind: X\\nmetadata: {}\\n"]
                replacements: [{path: replacement.yaml}]
                configurations: [conf.yaml]
                crds: [crd.json]
                openapi: {path: schema.json}
                transformers: [prefix.yaml]
                configMapGenerator: [{name: a, files: [a.txt, key=b.txt], envs: [c.env], env: d.env}]
                secretGenerator: [{name: b, files: [secret/e.txt]}]
            """,
            **{f"overlays/prod/{name}": MAP for name in ("own.yaml", "patch.yaml", "old.yaml")},
            **{f"overlays/prod/{name}": "[]" for name in ("ops.json", "replacement.yaml", "conf.yaml")},
            **{f"overlays/prod/{name}": "{}" for name in ("crd.json", "schema.json")},
            **{f"overlays/prod/{name}": "x" for name in ("a.txt", "b.txt", "c.env", "d.env", "secret/e.txt")},
            "overlays/prod/prefix.yaml": """
                apiVersion: builtin
                kind: PatchTransformer
                metadata: {name: x}
                path: by-plugin.yaml
            """,
            "overlays/prod/by-plugin.yaml": MAP,
            "overlays/prod/README.md": "not used",
            "base/kustomization.yml": "resources: [web.yaml, ../common]",
            "base/web.yaml": MAP,
            "base/unused.yaml": MAP,
            "common/Kustomization": "resources: [all.yaml]",
            "common/all.yaml": MAP,
            "components/tls/kustomization.yaml": "kind: Component\nresources: [cert.yaml]",
            "components/tls/cert.yaml": MAP,
        },
    )
    assert told(graph) == []
    chains = {path: " ← ".join(chain) for path, chain in graph.used.items()}
    assert {path for path in chains if not path.endswith(("kustomization.yml", "Kustomization"))} == {
        "overlays/prod/kustomization.yaml",
        *(
            f"overlays/prod/{name}"
            for name in ("own.yaml", "patch.yaml", "old.yaml", "ops.json", "conf.yaml")
        ),
        *(f"overlays/prod/{name}" for name in ("replacement.yaml", "crd.json", "schema.json", "prefix.yaml")),
        *(f"overlays/prod/{name}" for name in ("a.txt", "b.txt", "c.env", "d.env", "secret/e.txt")),
        "overlays/prod/by-plugin.yaml",
        "base/kustomization.yaml",
        "base/web.yaml",
        "common/kustomization.yaml",
        "common/all.yaml",
        "components/tls/kustomization.yaml",
        "components/tls/cert.yaml",
    }
    assert chains["base/web.yaml"] == "overlays/prod ← base/web.yaml"
    assert chains["common/all.yaml"] == "overlays/prod ← base ← common/all.yaml"
    assert chains["overlays/prod/own.yaml"] == "overlays/prod ← overlays/prod/own.yaml"


def test_a_second_kustomization_file_that_might_be_added_counts(repo: GitFolder) -> None:
    graph = walked(repo, top("resources: []"))
    assert {f"overlays/prod/{name}" for name in ("kustomization.yml", "Kustomization")} <= set(graph.used)


def test_a_file_that_is_missing_is_used_and_told_with_the_nearest_name(repo: GitFolder) -> None:
    graph = walked(repo, top("resources:\n- wbe.yaml\n", **{"overlays/prod/web.yaml": MAP}))
    (problem,) = graph.problems
    assert str(problem) == (
        "overlays/prod/kustomization.yaml:2: there is no overlays/prod/wbe.yaml (did you mean web.yaml?)"
    )
    assert "overlays/prod/wbe.yaml" in graph.used


# --- what is refused

REMOTES = [
    "https://example.com/x.yaml",
    " https://example.com/x.yaml",
    "http://127.0.0.1:8080/latest/meta-data",
    "HTTPS://example.com/x.yaml",
    "git::https://example.com/a/b",
    "git::ssh://example.com/a/b",
    "ssh://git@example.com/a/b",
    "git@github.com:a/b.git",
    "github.com/a/b",
    "GitHub.com/a/b",
    "github.com:a/b",
    "file:///etc",
    "s3::https://example.com/b",
    "host.example.com:a/b",
    "user@host/a/b",
    "example.com/a/b?ref=main",
    "example.com/a?version=1",
    "dev.azure.com/o/p/_git/r",
    "oci://example.com/a",
]


@pytest.mark.parametrize(
    "field",
    [
        "resources: ['{}']",
        "bases: ['{}']",
        "components: ['{}']",
        "crds: ['{}']",
        "configurations: ['{}']",
        "generators: ['{}']",
        "transformers: ['{}']",
        "validators: ['{}']",
        "patches: [{{path: '{}'}}]",
        "patchesStrategicMerge: ['{}']",
        "patchesJson6902: [{{path: '{}'}}]",
        "replacements: [{{path: '{}'}}]",
        "openapi: {{path: '{}'}}",
        "configMapGenerator: [{{name: a, files: ['{}']}}]",
        "configMapGenerator: [{{name: a, files: ['key={}']}}]",
        "secretGenerator: [{{name: a, envs: ['{}']}}]",
        "secretGenerator: [{{name: a, env: '{}'}}]",
    ],
)
def test_whatever_may_be_remote_is_found_in_every_field(field: str) -> None:
    for remote in REMOTES:
        if "files" in field and "=" in remote:
            continue  # what follows is the path, for kustomize, too
        (document,) = load_documents("k.yaml", field.format(remote).encode())
        found = list(references(document.value))
        assert [reference.path for reference in found] == [remote]
        assert is_remote(remote)


def test_a_remote_reference_is_kept_apart_with_its_line_and_nothing_is_followed(repo: GitFolder) -> None:
    graph = walked(
        repo, top("resources:\n- a.yaml\n- https://example.com/x.yaml\n", **{"overlays/prod/a.yaml": MAP})
    )
    assert [(n.reference.path, str(n.origin)) for n in graph.remotes] == [
        ("https://example.com/x.yaml", "overlays/prod/kustomization.yaml:3")
    ]


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("resources:\n- /etc/passwd\n", "outside-repository", 2),
        ("resources:\n- ../../../x\n", "outside-repository", 2),
        ("openapi:\n  path: /proc/self/environ\n", "outside-repository", 2),
        ("resources:\n- ../shared.yaml\n", "file-outside", 2),
        ("configMapGenerator:\n- name: a\n  files: [../shared.yaml]\n", "file-outside", 3),
        ("patches:\n- path: ../shared.yaml\n", "file-outside", 2),
        ("resources:\n- --output=x\n", "bad-path", 2),
        ("resources:\n- a//b\n", "bad-path", 2),
        ("resources:\n- ''\n", "bad-path", 2),
        ("resources:\n- ../../base\n", "no-kustomization", 2),
        ("components:\n- own.yaml\n", "file-missing", 2),
        ("patches:\n- path: .\n", "file-missing", 2),
        ("resources:\n- .\n", "kustomization-cycle", 2),
        ("helmCharts:\n- {name: x}\n", "plugin-refused", 1),
        ("namespace: a\nhelmGlobals: {chartHome: /etc}\n", "plugin-refused", 2),
        ("resourcess: []\n", "unknown-key", 1),
        ("Resources: ['https://example.com']\n", "unknown-key", 1),
        ("patches:\n- Path: https://example.com\n", "unknown-key", 2),
        ("transformers:\n- plugin.yaml\n", "plugin-refused", 2),
        ("generators:\n- |\n  apiVersion: v1\n  kind: Mine\n", "plugin-refused", 2),
        ("- a\n", "not-a-kustomization", 1),
        ("", "not-one-document", 1),
        ("resources: []\n---\nresources: []\n", "not-one-document", 1),
        ("resources: []\nresources: []\n", "duplicate-key", 2),
    ],
)
def test_what_is_refused_is_told_with_its_line(repo: GitFolder, text: str, code: str, line: int) -> None:
    files = {"overlays/prod/own.yaml": MAP, "overlays/shared.yaml": MAP, "base/web.yaml": MAP}
    files["overlays/prod/plugin.yaml"] = "apiVersion: example.com/v1\nkind: Mine\nmetadata: {name: x}\n"
    graph = walked(repo, top(text, **files))
    assert [problem.code for problem in graph.problems] == [code]
    origin = graph.problems[0].origin
    assert origin is not None
    assert origin.line == line


@pytest.mark.parametrize(
    "settings",
    [
        "apiVersion: builtin\nkind: HelmChartInflationGenerator\nmetadata: {name: x}\n",
        "apiVersion: builtin\nkind: PrefixTransformer\n"
        "metadata: {name: x, annotations: {config.kubernetes.io/function: 'container: {image: y}'}}\n",
        "apiVersion: builtin/v1\nkind: PrefixTransformer\nmetadata: {name: x}\n",
    ],
)
@pytest.mark.parametrize("by", ["file", "folder", "inline"])
def test_a_plugin_that_runs_a_program_is_refused_however_it_is_named(
    repo: GitFolder, settings: str, by: str
) -> None:
    files = {"overlays/prod/p/kustomization.yaml": "resources: [t.yaml]", "overlays/prod/p/t.yaml": settings}
    entry = {"file": "[p/t.yaml]", "folder": "[p]", "inline": "\n- |\n  " + settings.replace("\n", "\n  ")}[
        by
    ]
    graph = walked(repo, top(f"transformers: {entry}\n", **files))
    assert [problem.code for problem in graph.problems] == ["plugin-refused"]


def test_kustomizations_that_use_each_other_are_told_with_the_circle(repo: GitFolder) -> None:
    graph = walked(
        repo,
        {
            "overlays/prod/kustomization.yaml": "resources: [../../a]",
            "a/kustomization.yaml": "resources:\n- ../b\n",
            "b/kustomization.yaml": "components:\n- ../a\n",
        },
    )
    assert told(graph) == ["b/kustomization.yaml:2: kustomizations use each other in a circle: a ← b ← a"]


def test_a_long_circle_and_a_deep_pile_end(repo: GitFolder) -> None:
    circle = {f"overlays/{n}/kustomization.yaml": f"resources: [../{(n + 1) % 90}]" for n in range(90)}
    graph = walked(repo, {**circle, "overlays/prod/kustomization.yaml": "resources: [../0]"})
    assert [problem.code for problem in graph.problems] == ["kustomization-cycle"]
    pile = {f"pile/{n}/kustomization.yaml": f"resources: [../{n + 1}]" for n in range(300)}
    graph = walked(repo, pile, source=Source(kind="kustomize", path="pile/0", origin=SOURCE.origin))
    assert [problem.code for problem in graph.problems] == ["too-deep"]


def test_a_folder_without_and_one_with_two_kustomizations_are_told(repo: GitFolder) -> None:
    assert told(walked(repo, {"overlays/prod/a.yaml": MAP})) == [
        "environments/prod/environment.yaml:7: there is no kustomization.yaml in overlays/prod"
    ]
    graph = walked(repo, top("resources: []", **{"overlays/prod/kustomization.yml": "resources: []"}))
    assert told(graph) == [
        "overlays/prod/kustomization.yml:1: overlays/prod has kustomization.yaml and kustomization.yml"
    ]


@pytest.mark.parametrize("file", ["overlays/prod/kustomization.yaml", "overlays/prod/bomb.yaml"])
@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
            + "".join(
                f"b{n}: &b{n} [{','.join(['*' + ('a' if n == 1 else f'b{n - 1}')] * 10)}]\n"
                for n in range(1, 9)
            ),
            "excessive-aliasing",
        ),
        ("a: " + "[" * 50_000, "too-deep"),
    ],
)
def test_a_bomb_is_refused_before_kustomize_reads_it(
    repo: GitFolder, file: str, text: str, code: str
) -> None:
    revision = repo.commit(top("resources: [bomb.yaml]", **{"overlays/prod/bomb.yaml": MAP}) | {file: text})
    repository = GitRepository(repo.folder)
    graph = walk(repository, revision, SOURCE)
    problems = [*graph.problems, *kustomize_texts.read(repository, revision, graph).problems]
    assert [(p.code, p.origin.path if p.origin else "") for p in problems] == [(code, file)]


# --- links


@pytest.mark.parametrize(
    ("link", "to", "code"),
    [
        ("overlays/prod/x", "/etc/passwd", "symlink-outside"),
        ("overlays/prod/x", "../../../x", "symlink-outside"),
        ("overlays/prod/x", "nowhere/../../../../x", "symlink-outside"),
        ("overlays/prod/x", "x", "symlink-loop"),
        ("overlays/prod/x", "nothing", "file-missing"),
        ("overlays/prod/x", "../shared.yaml", "file-outside"),
        ("overlays/prod/x", "kustomization.yaml/..", "kustomization-cycle"),
    ],
)
def test_a_link_that_leads_astray_is_refused_at_the_line_that_names_it(
    repo: GitFolder, link: str, to: str, code: str
) -> None:
    graph = walked(repo, top("resources:\n- x\n", **{"overlays/shared.yaml": MAP}), {link: to})
    assert [problem.code for problem in graph.problems] == [code]
    assert graph.problems[0].origin == Origin("overlays/prod/kustomization.yaml", 2)


def test_a_link_within_the_kustomization_and_one_to_a_base_are_followed(repo: GitFolder) -> None:
    graph = walked(
        repo,
        top(
            "resources: [x.yaml, base]",
            **{
                "overlays/prod/real.yaml": MAP,
                "v2/base/kustomization.yaml": "resources: [../common]",
                "v2/common/kustomization.yaml": "resources: []",
            },
        ),
        {"overlays/prod/x.yaml": "real.yaml", "overlays/prod/base": "../../v2/base"},
    )
    assert told(graph) == []
    assert {"overlays/prod/x.yaml", "v2/base/kustomization.yaml", "v2/common/kustomization.yaml"} <= set(
        graph.used
    )

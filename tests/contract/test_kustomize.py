"""kustomize sources, rendered by the real program from real commits."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters import kustomize_program
from pipeline.adapters.git import GitRepository
from pipeline.adapters.kustomize import Kustomize
from pipeline.adapters.yaml import load_manifests
from pipeline.model.environment import Environment, Source
from pipeline.model.errors import InvalidError, UnreachableError
from pipeline.model.objects import Manifest, Origin
from tests.contract.test_yaml_as_kubectl import SPELLINGS
from tests.git_folder import GitFolder

ENVIRONMENT = Environment(
    name="prod", application="web", namespace="web", path="environments/prod/environment.yaml"
)
SOURCE = Source(kind="kustomize", path="overlays/prod", origin=Origin(ENVIRONMENT.path, 7))
WEB = """
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: web
    spec:
      replicas: 1
      selector: {matchLabels: {app: web}}
      template:
        metadata: {labels: {app: web}}
        spec:
          containers:
          - name: proxy
            image: envoy:1
          - name: web
            image: nginx:1.21
            env:
            - name: MODE
              value: slow
            envFrom:
            - configMapRef: {name: settings}
"""
BASE = {"base/kustomization.yaml": "resources: [web.yaml]\n", "base/web.yaml": WEB}


@pytest.fixture
def repo(tmp_path: Path) -> GitFolder:
    return GitFolder(tmp_path / "shop")


def kustomize(repo: GitFolder, **environ: str) -> Kustomize:
    """As a user has it: ``PIPELINE_KUSTOMIZE`` runs these tests with another program."""
    kept = {name: os.environ[name] for name in ("PATH", kustomize_program.VARIABLE) if name in os.environ}
    return Kustomize(GitRepository(repo.folder), environ=kept | environ, stopped=lambda: False)


def rendered(
    repo: GitFolder, files: dict[str, str], links: dict[str, str] | None = None
) -> dict[str, Manifest]:
    """By kind."""
    revision = repo.commit(dict(files), links)
    found = kustomize(repo).render(revision, SOURCE, ENVIRONMENT)
    return {manifest.ref.kind: manifest for manifest in found}


def overlay(text: str, **more: str) -> dict[str, str]:
    return {**BASE, "overlays/prod/kustomization.yaml": text, **more}


def problems(repo: GitFolder, files: dict[str, str]) -> list[str]:
    with pytest.raises(InvalidError) as caught:
        rendered(repo, files)
    assert all(problem.message.isprintable() for problem in caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


# --- what is rendered, and where it comes from


def test_each_field_points_at_the_file_and_line_that_has_set_it(repo: GitFolder) -> None:
    deployment = rendered(
        repo,
        overlay(
            """
            resources: [../../base]
            components: [../../components/fast]
            namePrefix: prod-
            namespace: shop
            images:
            - name: nginx
              newTag: "1.22"
            replicas:
            - name: web
              count: 5
            labels:
            - pairs:
                tier: front
            patches:
            - path: patch.yaml
            - target: {kind: Deployment, name: web}
              patch: |-
                - op: add
                  path: /spec/template/spec/containers/0/args
                  value: [--verbose]
            - patch: |
                apiVersion: apps/v1
                kind: Deployment
                metadata:
                  name: web
                spec:
                  minReadySeconds: 7
            """,
            **{
                "overlays/prod/patch.yaml": """
                    apiVersion: apps/v1
                    kind: Deployment
                    metadata: {name: web}
                    spec:
                      template:
                        spec:
                          containers:
                          - name: web
                            resources:
                              limits: {memory: 1Gi}
                """,
                "components/fast/kustomization.yaml": """
                    apiVersion: kustomize.config.k8s.io/v1alpha1
                    kind: Component
                    patches: [{path: mode.yaml}]
                """,
                "components/fast/mode.yaml": """
                    apiVersion: apps/v1
                    kind: Deployment
                    metadata: {name: web}
                    spec:
                      template:
                        spec:
                          containers:
                          - name: web
                            env:
                            - {name: MODE, value: fast}
                """,
            },
        ),
    )["Deployment"]
    # A merge puts the containers that it touches first.
    assert [c["name"] for c in deployment.body["spec"]["template"]["spec"]["containers"]] == ["web", "proxy"]
    web, proxy = 0, 1
    containers = ("spec", "template", "spec", "containers")
    expected = {
        (*containers, proxy, "image"): "base/web.yaml:13",
        (*containers, web, "image"): "overlays/prod/kustomization.yaml:7",
        (*containers, web, "envFrom", 0, "configMapRef"): "base/web.yaml:20",
        (*containers, web, "env", 0, "value"): "components/fast/mode.yaml:10",
        (*containers, web, "resources", "limits", "memory"): "overlays/prod/patch.yaml:10",
        (*containers, web, "args", 0): "overlays/prod/kustomization.yaml:20",
        ("metadata", "namespace"): "overlays/prod/kustomization.yaml:4",
        ("metadata", "labels", "tier"): "overlays/prod/kustomization.yaml:13",
        ("spec", "replicas"): "overlays/prod/kustomization.yaml:10",
        ("spec", "minReadySeconds"): "overlays/prod/kustomization.yaml:27",
    }
    assert {path: str(deployment.origin_of(path)) for path in expected} == expected
    assert (deployment.ref.name, str(deployment.origin)) == ("prod-web", "base/web.yaml:1")


def test_generated_objects_point_at_their_generator_and_their_keys_at_what_holds_them(
    repo: GitFolder,
) -> None:
    found = rendered(
        repo,
        overlay(
            """
            resources: [../../base]
            configMapGenerator:
            - name: settings
              literals:
              - greeting=hello
              - "on=y"
              files:
              - page.html
              - conf=files/a.conf
            secretGenerator:
            - name: token
              envs: [token.env]
            """,
            **{
                "overlays/prod/page.html": "<p>1e3</p>",
                "overlays/prod/files/a.conf": "0o644",
                "overlays/prod/token.env": "token=secret",
            },
        ),
    )
    settings, secret = found["ConfigMap"], found["Secret"]
    assert settings.body["data"] == {
        "greeting": "hello",
        "on": "y",
        "page.html": "<p>1e3</p>",
        "conf": "0o644",
    }
    assert re.fullmatch(r"settings-[a-z0-9]{10}", settings.ref.name)
    assert "annotations" not in settings.body["metadata"]
    used = found["Deployment"].body["spec"]["template"]["spec"]["containers"][1]["envFrom"]
    assert used == [{"configMapRef": {"name": settings.ref.name}}]
    places = {key: str(settings.origin_of(("data", key))) for key in settings.body["data"]}
    assert places == {
        "greeting": "overlays/prod/kustomization.yaml:5",
        "on": "overlays/prod/kustomization.yaml:6",
        "page.html": "overlays/prod/page.html:1",
        "conf": "overlays/prod/files/a.conf:1",
    }
    assert str(settings.origin) == "overlays/prod/kustomization.yaml:3"
    assert str(secret.origin) == "overlays/prod/kustomization.yaml:11"


def test_objects_are_what_the_program_prints_for_the_user(repo: GitFolder) -> None:
    """As the program prints it for the user, so it is."""
    files = overlay(
        """
        resources: [../../base]
        namePrefix: a-
        commonAnnotations: {team: x}
        configMapGenerator: [{name: settings, literals: [a=b], options: {annotations: {k: v}}}]
        replacements:
        - source: {kind: ConfigMap, name: settings, fieldPath: metadata.name}
          targets: [{select: {kind: Deployment}, fieldPaths: [spec.template.metadata.labels.app]}]
        """
    )
    found = rendered(repo, files)
    output = subprocess.run(
        ["kubectl", "kustomize", repo.folder / "overlays/prod"], check=True, capture_output=True
    ).stdout
    assert {m.ref: m.body for m in load_manifests("x.yaml", output)} == {
        m.ref: m.body for m in found.values()
    }


def test_a_replaced_field_points_at_its_replacement(repo: GitFolder) -> None:
    deployment = rendered(
        repo,
        overlay(
            """
            resources: [../../base, values.yaml]
            replacements:
            - path: more.yaml
            - source: {kind: ConfigMap, name: values, fieldPath: data.image}
              targets:
              - select: {kind: Deployment}
                fieldPaths: ["spec.template.spec.containers.[name=web].image"]
              - select: {kind: Service}
                fieldPaths: [spec.replicas]
            """,
            **{
                "overlays/prod/values.yaml": """
                    apiVersion: v1
                    kind: ConfigMap
                    metadata: {name: values}
                    data: {image: "nginx:1.22", tier: front}
                """,
                "overlays/prod/more.yaml": """
                    - source: {kind: ConfigMap, name: values, fieldPath: data.tier}
                      targets:
                      - select: {name: web}
                        fieldPaths: ["metadata.annotations.example\\\\.com/tier"]
                        options: {create: true}
                """,
            },
        ),
    )["Deployment"]
    containers = ("spec", "template", "spec", "containers")
    expected = {
        (*containers, 1, "image"): "overlays/prod/kustomization.yaml:4",
        (*containers, 0, "image"): "base/web.yaml:13",
        ("metadata", "annotations", "example.com/tier"): "overlays/prod/more.yaml:1",
        ("spec", "replicas"): "base/web.yaml:6",
    }
    assert deployment.body["spec"]["template"]["spec"]["containers"][1]["image"] == "nginx:1.22"
    assert {path: str(deployment.origin_of(path)) for path in expected} == expected


def test_a_base_that_is_used_twice_is_told_apart_by_its_prefix(repo: GitFolder) -> None:
    variant = "resources: [../../base]\nnamePrefix: {0}-\nreplicas:\n- name: web\n  count: {1}\n"
    revision = repo.commit(
        {
            **overlay("resources: [../a, ../b]"),
            "overlays/a/kustomization.yaml": variant.format("a", 2),
            "overlays/b/kustomization.yaml": variant.format("b", 3),
        }
    )
    found = kustomize(repo).render(revision, SOURCE, ENVIRONMENT)
    assert {m.ref.name: str(m.origin_of(("spec", "replicas"))) for m in found} == {
        "a-web": "overlays/a/kustomization.yaml:5",
        "b-web": "overlays/b/kustomization.yaml:5",
    }


# --- values


def _thing(value: str) -> str:
    return f"apiVersion: example.com/v1\nkind: Thing\nmetadata: {{name: one}}\nspec: {{v: {value}}}\n"


def _block(value: str) -> str:
    return _thing("x").replace("{v: x}", f"\n  v: {value}")


def _reads(text: str) -> object:
    """What plain manifests make of it; None where it is refused."""
    try:
        return load_manifests("x.yaml", text.encode())[0].body["spec"]
    except InvalidError:
        return None


def _form(form: str, spellings: Sequence[str]) -> tuple[dict[str, str], str, int]:
    """A kustomization of one object with a field for each spelling; the file that has them, and the line of
    the first."""
    fields = [f"v{number}: {spelling}\n" for number, spelling in enumerate(spellings)]
    head = _thing("0").partition("spec:")[0] + "spec:\n"
    merged = head + "".join(f"  {field}" for field in fields)
    if form == "resource":
        return overlay("resources: [t.yaml]", **{"overlays/prod/t.yaml": merged}), "overlays/prod/t.yaml", 5
    steps = "- op: add\n  path: /spec\n  value:\n" + "".join(f"    {field}" for field in fields)
    text = "resources: [t.yaml]\npatches: [{path: p.yaml, target: {kind: Thing}}]\n"
    patch = merged if form == "patch" else steps
    files = overlay(text, **{"overlays/prod/t.yaml": _thing("0"), "overlays/prod/p.yaml": patch})
    return files, "overlays/prod/p.yaml", 5 if form == "patch" else 4


@pytest.mark.parametrize("form", ["resource", "patch", "steps"])
def test_no_spelling_is_read_otherwise_than_in_plain_manifests(repo: GitFolder, form: str) -> None:
    more = ["2020-01-01 10:00:00", "2020-01-01T10:00:00.50Z", "9007199254740993"]
    spellings = [s for s in [*SPELLINGS, *more] if _reads(_block(s)) is not None and s not in ENDING]
    files, path, first = _form(form, spellings)
    with pytest.raises(InvalidError) as caught:
        rendered(repo, files)
    origins = [problem.origin for problem in caught.value.problems if problem.origin]
    assert {origin.path for origin in origins} == {path}
    refused = {spellings[origin.line - first] for origin in origins}
    assert refused <= WITH_ANOTHER_MEANING, refused - WITH_ANOTHER_MEANING

    left = [spelling for spelling in spellings if spelling not in refused]
    assert len(left) > 120
    spec = rendered(repo, _form(form, left)[0])["Thing"].body["spec"]
    null = {"v": None} if form != "patch" else {}  # in a patch it takes the field away
    for number, spelling in enumerate(left):
        wanted: Any = _reads(_block(spelling))
        found = {"v": spec[f"v{number}"]} if f"v{number}" in spec else {}
        assert _typed(found) == _typed(null if wanted == {"v": None} else wanted), spelling


def _typed(spec: dict[str, Any]) -> tuple[bool, Any]:
    """Numbers by their value, apart from booleans."""
    return isinstance(spec.get("v"), bool), spec


@pytest.mark.parametrize("spelling", ['!!bool "yes"'])
def test_what_kustomize_cannot_read_is_refused(repo: GitFolder, spelling: str) -> None:
    assert len(problems(repo, _form("resource", [spelling])[0])) == 1


ENDING = {'!!bool "yes"', "|- "}
"""Spellings on which kustomize itself ends."""

WITH_ANOTHER_MEANING = {
    *(["y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF"]),
    *("2020-01-01", "2020-1-1", "2020-02-30", "2020-01-01 10:00:00", "2020-01-01T10:00:00.50Z"),
    *("9.3e18", "! 12", "123456789012345678.0", "9223372036854775807", "-9223372036854775808"),
    "9007199254740993",
}
"""What plain manifests may say and kustomizations may not: kustomize reads or writes it otherwise."""


def test_a_spelling_with_two_meanings_is_told_with_its_line_wherever_it_stands(repo: GitFolder) -> None:
    found = problems(
        repo,
        overlay(
            """
            resources: [t.yaml]
            patches:
            - path: p.yaml
            - patch: |-
                apiVersion: example.com/v1
                kind: Thing
                metadata: {name: one}
                on: 2020-01-01
            """,
            **{"overlays/prod/t.yaml": _block("yes"), "overlays/prod/p.yaml": _block("No")},
        ),
    )
    quote = "is a boolean to kubectl and a string to kustomize (quote it, or write"
    assert found == [
        f'overlays/prod/t.yaml:5: "yes" {quote} true)',
        f'overlays/prod/p.yaml:5: "No" {quote} false)',
        f'overlays/prod/kustomization.yaml:8: "on" {quote} true)',
        'overlays/prod/kustomization.yaml:8: "2020-01-01" is a string to kubectl and a time to kustomize,'
        " which writes it otherwise (quote it)",
    ]


def test_a_variable_without_a_value_is_refused_as_it_would_be_that_of_the_machine(
    repo: GitFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "of the machine")
    text = "configMapGenerator:\n- {name: a, envs: [a.env], files: [b.env]}\n- {name: b, env: b.env}\n"
    files = {
        "overlays/prod/a.env": "# words\nMODE=fast\n\n  TOKEN\n",
        "overlays/prod/b.env": "EMPTY=\nHOME\n",
    }
    told = problems(repo, overlay(text, **files))
    assert [one.partition(" has no value")[0] for one in told] == [
        'overlays/prod/a.env:4: "TOKEN"',
        'overlays/prod/b.env:2: "HOME"',
    ]


def test_the_root_of_the_repository_may_be_a_kustomization(repo: GitFolder) -> None:
    files = {
        "kustomization.yaml": "resources: [base]\nimages:\n- {name: nginx, newTag: '3'}\n",
        **BASE,
        "notes.yaml": "a: [",
    }
    revision = repo.commit(dict(files))
    source = Source(kind="kustomize", path=".", origin=SOURCE.origin)
    renderer = kustomize(repo)
    (manifest,) = renderer.render(revision, source, ENVIRONMENT)
    image = ("spec", "template", "spec", "containers", 1, "image")
    assert str(manifest.origin_of(image)) == "kustomization.yaml:3"
    used = {one.path: " ← ".join(one.chain) for one in renderer.uses(revision, source)}
    assert used["base/web.yaml"] == ". ← base/web.yaml"
    assert "notes.yaml" not in used


# --- what kustomize says against it

PATCH = WEB.replace("name: web\n", "name: wbe\n", 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "resources: [../../base]\npatches:\n- path: patch.yaml\n",
            "overlays/prod/patch.yaml:4: kustomize: … failed to find unique target for patch",
        ),
        (
            "resources:\n- ../../base\n- ../../mid\n",
            "overlays/prod/kustomization.yaml:3: kustomize: may not add resource with an already registered",
        ),
        (
            "resources: [../../base]\npatches:\n- target: {kind: Deployment}\n  patch: |-\n"
            "    - op: add\n      path: /spec/a\n      value: 1\n"
            "    - op: replace\n      path: /spec/nope/x\n      value: 1\n",
            "overlays/prod/kustomization.yaml:10: kustomize: replace operation does not apply",
        ),
        (
            "resources: [../../base]\nreplacements:\n"
            "- source: {kind: Deployment, name: web, fieldPath: metadata.nam}\n"
            "  targets: [{select: {kind: Deployment}, fieldPaths: [spec.x]}]\n",
            "overlays/prod/kustomization.yaml:3: kustomize: fieldPath `metadata.nam` is missing",
        ),
        (
            "resources: [../../base]\nreplacements:\n- source: {kind: Deployment, name: web}\n"
            "  targets:\n  - select: {kind: Deployment}\n    fieldPaths: [spec.nope.x]\n",
            'overlays/prod/kustomization.yaml:6: kustomize: unable to find field "spec.nope.x"',
        ),
        (
            "resources: [../../base]\nimages:\n- name: x\n  newTagg: '1'\n",
            'overlays/prod/kustomization.yaml:4: kustomize: … unknown field "newTagg"',
        ),
        (
            "namespace: x\nresources: [../../base]\nconfigMapGenerator:\n- name: a\n  literals: [x=1, x=2]\n",
            "overlays/prod/kustomization.yaml:4: kustomize: configmap a illegally repeats the key",
        ),
        (
            "resources: [../../base]\ncomponents:\n- ../../mid\n",
            "overlays/prod/kustomization.yaml:3: kustomize: ",
        ),
        (
            "resources: [../../base]\nconfigurations: [conf.yaml]\n",
            "overlays/prod/kustomization.yaml:2: kustomize: error unmarshaling JSON",
        ),
        ("resources:\n- ../../broken\n", "broken/kustomization.yaml:3: kustomize: "),
        ("kind: Kustomizatio\nresources: [../../base]\n", "overlays/prod/kustomization.yaml:1: kustomize: "),
    ],
)
def test_what_kustomize_says_has_the_place_that_it_is_about(repo: GitFolder, text: str, told: str) -> None:
    (problem,) = problems(
        repo,
        overlay(
            text,
            **{
                "overlays/prod/patch.yaml": PATCH,
                "overlays/prod/conf.yaml": "nameReference: none\n",
                "mid/kustomization.yaml": "resources: [../base]\n",
                "broken/kustomization.yaml": "resources:\n- ../base\nimagess: []\n".replace(
                    "imagess", "images: [{nam: x}]\nreplicas"
                ),
            },
        ),
    )
    place, _, words = told.partition("… ")  # what stands between differs from version to version
    assert problem.startswith(place)
    assert words in problem
    assert str(repo.folder) not in problem
    assert "pipeline-" not in problem


def test_a_file_that_holds_no_object_is_told_with_its_own_line(repo: GitFolder) -> None:
    files = {"overlays/prod/a.yaml": "# nothing\n---\nkind: X\n", "overlays/prod/b.yaml": "a: [\n"}
    told = problems(repo, overlay("resources: [a.yaml, b.yaml]", **files))
    assert [one.partition(" (")[0] for one in told] == [
        "overlays/prod/a.yaml:3: an object without apiVersion",
        "overlays/prod/a.yaml:3: an object without metadata.name",
        "overlays/prod/b.yaml:2: not YAML: did not find expected node content while parsing a flow node",
    ]


def test_no_literal_of_a_secret_is_told(repo: GitFolder) -> None:
    text = "secretGenerator:\n- name: a\n  literals: ['p=canary-one', canary-two]\n"
    (problem,) = problems(repo, overlay(text))
    assert problem.startswith("overlays/prod/kustomization.yaml:")
    assert "canary" not in problem


# --- the program


def test_kustomize_comes_before_kubectl_and_a_named_program_before_both(tmp_path: Path) -> None:
    kubectl = shutil.which("kubectl")
    assert kubectl
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "kubectl").symlink_to(kubectl)
    found = kustomize_program.find({"PATH": str(folder)}, lambda: False)
    assert (found.path, found.arguments) == (str(folder / "kubectl"), ("kustomize",))
    assert re.fullmatch(r"v5\.\d+\.\d+", found.version)
    script(folder / "kustomize", "echo v5.1.2")
    script(folder / "mine", "echo '{kustomize/v5.3.0  2023-12-07T10:10:26Z  }'")
    found = kustomize_program.find({"PATH": str(folder)}, lambda: False)
    assert (found.path, found.arguments, found.version) == (str(folder / "kustomize"), ("build",), "v5.1.2")
    found = kustomize_program.find({"PATH": str(folder), "PIPELINE_KUSTOMIZE": "mine"}, lambda: False)
    assert (found.path, found.version) == (str(folder / "mine"), "v5.3.0")


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ("echo v4.5.7", "kustomize v4.5.7 is older than 5.0.0"),
        ("echo hello", "does not tell a version"),
        ("exit 1", "does not tell a version"),
    ],
)
def test_a_program_that_is_old_or_no_kustomize_is_refused(tmp_path: Path, says: str, told: str) -> None:
    script(tmp_path / "kustomize", says)
    with pytest.raises(UnreachableError, match=told) as caught:
        kustomize_program.find({"PATH": str(tmp_path)}, lambda: False)
    assert "PIPELINE_KUSTOMIZE" in caught.value.hint


def test_a_program_that_is_updated_under_a_process_that_stays_is_asked_anew(
    repo: GitFolder, tmp_path: Path
) -> None:
    repo.commit({"a": "b"})
    script(tmp_path / "kustomize", "echo v5.1.2")
    renderer = kustomize(repo, PATH=str(tmp_path), PIPELINE_KUSTOMIZE="")
    assert [renderer.version(), renderer.version()] == ["kustomize v5.1.2"] * 2
    script(tmp_path / "kustomize", "echo v5.10.0")
    assert renderer.version() == "kustomize v5.10.0"


def test_a_program_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="no such program"):
        kustomize_program.find(
            {"PATH": str(tmp_path), "PIPELINE_KUSTOMIZE": "/nowhere/kustomize"}, lambda: False
        )


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


# --- the cage


def test_the_program_sees_the_files_that_it_needs_and_nothing_of_the_machine(
    repo: GitFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("KUBECONFIG", "/canary")
    seen = tmp_path / "seen"
    script(
        tmp_path / "kustomize",
        f'if [ "$1" = version ]; then echo v5.0.0; exit; fi\n'
        f"(/usr/bin/env; /bin/pwd; /usr/bin/find . -type f; /bin/ls -ld .; /bin/cat /proc/net/dev) > {seen}\n"
        "echo 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}'",
    )
    files = overlay("resources: [../../base]", **{"README.md": "not needed", "overlays/prod/notes.txt": "x"})
    revision = repo.commit(dict(files))
    (repo.folder / "base/web.yaml").write_text("of the work tree")
    kustomize(repo, PATH=str(tmp_path), PIPELINE_KUSTOMIZE="").render(revision, SOURCE, ENVIRONMENT)
    told = seen.read_text()
    assert "canary" not in told
    assert sorted(re.findall(r"^\./.*", told, re.MULTILINE)) == [
        "./base/kustomization.yaml",
        "./base/web.yaml",
        "./overlays/prod/kustomization.yaml",
    ]
    assert "drwx------" in told
    folder = re.search(r"^/.*pipeline-.*", told, re.MULTILINE)
    assert folder
    assert not Path(folder[0]).exists()


@pytest.mark.parametrize(("name", "wanted"), [("kustomize", ["build"]), ("kubectl", ["kustomize"])])
def test_no_option_switches_plugins_functions_helm_or_other_folders_on(
    repo: GitFolder, tmp_path: Path, name: str, wanted: list[str]
) -> None:
    seen = tmp_path / "seen"
    version = '{"kustomizeVersion": "v5.0.0"}'
    script(
        tmp_path / name,
        f"if [ \"$1\" = version ]; then echo '{version}'; exit; fi\n"
        f'for word in "$@"; do echo "$word" >> {seen}; done\n'
        "echo 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}'",
    )
    revision = repo.commit(dict(overlay("resources: [../../base]")))
    kustomize(repo, PATH=str(tmp_path), PIPELINE_KUSTOMIZE=str(tmp_path / name)).render(
        revision, SOURCE, ENVIRONMENT
    )
    *options, folder = seen.read_text().splitlines()
    assert options == wanted
    assert folder.startswith("/")
    assert folder.endswith("/overlays/prod")


def test_nothing_of_the_work_tree_is_rendered_and_nothing_is_written_into_it(repo: GitFolder) -> None:
    revision = repo.commit(dict(overlay("resources: [../../base]")))
    (repo.folder / "base/web.yaml").write_text("broken: [")
    before = repo.git("status", "--porcelain")
    (manifest,) = kustomize(repo).render(revision, SOURCE, ENVIRONMENT)
    assert manifest.ref.name == "web"
    assert repo.git("status", "--porcelain") == before


def test_a_link_is_followed_as_in_a_checkout(repo: GitFolder) -> None:
    files = {
        "overlays/prod/kustomization.yaml": "resources: [base, own.yaml]",
        "overlays/prod/real/own.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n",
        "v2/base/kustomization.yaml": "resources: [../common]",
        "v2/common/kustomization.yaml": "resources: [web.yaml]",
        "v2/common/web.yaml": WEB,
    }
    found = rendered(
        repo, files, {"overlays/prod/base": "../../v2/base", "overlays/prod/own.yaml": "real/own.yaml"}
    )
    assert str(found["Deployment"].origin) == "v2/common/web.yaml:1"
    assert found["ConfigMap"].origin.path == "overlays/prod/own.yaml"

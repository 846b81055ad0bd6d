"""Files that the real SOPS encrypted, read with the lines that they have."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pipeline.adapters import child, yaml
from pipeline.adapters.git import GitRepository
from pipeline.adapters.kustomize import Kustomize
from pipeline.adapters.sops import Sops
from pipeline.core.encrypted import left_encrypted
from pipeline.model.environment import Environment, Source
from pipeline.model.errors import InvalidError
from pipeline.model.objects import Manifest, Origin
from tests.encryption import Encryption
from tests.git_folder import GitFolder

PATH = "environments/dev/manifests/login.sops.yaml"
PASSWORD = "correct-horse-battery"
SECRET = f"""\
# who may log in
apiVersion: v1
kind: Secret
metadata: {{name: login}}
stringData:
  # a comment
  certificate: |
    one line
    and another
  user: admin
  password: {PASSWORD}
  pin: '0123456'
"""
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {token: token-token-token}\n"
ONLY_DATA = ("--encrypted-regex", "^(data|stringData)$")


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def reader(sops: Encryption, told: list[str], monkeypatch: pytest.MonkeyPatch) -> Sops:
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(sops.key_file))
    return Sops(lambda *values: told.extend(values), program=sops.program)


def refused(reader: Sops, content: bytes, path: str = PATH) -> str:
    with pytest.raises(InvalidError) as caught:
        reader.manifests(path, content)
    (problem,) = caught.value.problems
    assert PASSWORD not in str(problem)
    assert "\n" not in str(problem)
    return str(problem)


def test_a_secret_is_read_in_clear_text_and_what_was_encrypted_is_told(
    reader: Sops, sops: Encryption, told: list[str]
) -> None:
    (secret,) = reader.manifests(PATH, sops.encrypted(SECRET, *ONLY_DATA))
    assert secret.body == yaml.load_manifests(PATH, SECRET.encode())[0].body
    assert set(told) == {"admin", PASSWORD, "0123456", "one line\nand another\n"}


def test_lines_are_those_of_the_file_in_the_repository(reader: Sops, sops: Encryption) -> None:
    content = sops.encrypted(SECRET, *ONLY_DATA)
    (secret,) = reader.manifests(PATH, content)
    lines = content.decode().splitlines()
    for key in ("user", "password", "pin"):
        line = secret.origin_of(("stringData", key)).line
        assert lines[line - 1].startswith(f"    {key}: ENC[")


def test_all_documents_of_a_file_are_read(reader: Sops, sops: Encryption) -> None:
    found = reader.manifests(PATH, sops.encrypted(f"{SECRET}---\n{CONFIG}", *ONLY_DATA))
    assert [(m.ref.kind, m.ref.name) for m in found] == [("Secret", "login"), ("ConfigMap", "settings")]
    assert found[1].body["data"] == {"token": "token-token-token"}


def test_json_is_read_too(reader: Sops, sops: Encryption) -> None:
    text = '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"x": "yyyyyyy"}}'
    content = sops.encrypted(text, *ONLY_DATA, kind="json")
    (secret,) = reader.manifests("a.json", content)
    assert secret.body["stringData"] == {"x": "yyyyyyy"}


def test_a_file_that_is_encrypted_as_a_whole_is_read(reader: Sops, sops: Encryption) -> None:
    (secret,) = reader.manifests("a.yaml", sops.encrypted(SECRET))
    assert secret.ref.name == "login"


def test_plain_files_are_read_as_ever_and_no_program_is_run(
    reader: Sops, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> None:
        raise AssertionError("a program was run")

    monkeypatch.setattr(child, "run", run)
    (secret,) = reader.manifests("login.yaml", SECRET.encode() + b"# sops: nothing\n")
    assert secret.body["stringData"]["password"] == PASSWORD


def test_settings_of_sops_are_no_manifests(reader: Sops) -> None:
    assert reader.manifests("manifests/.sops.yaml", b"creation_rules: []\n") == []


def test_a_file_that_only_claims_to_be_encrypted_is_refused(reader: Sops) -> None:
    assert refused(reader, SECRET.encode()).startswith(
        f"{PATH}:1: login.sops.yaml: it is named as encrypted and is not (sops encrypt --in-place"
    )


def test_without_sops_it_is_said_what_to_do(
    reader: Sops, sops: Encryption, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = sops.encrypted(SECRET, *ONLY_DATA)
    line = content.decode().splitlines().index("sops:") + 1
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("PIPELINE_SOPS", raising=False)
    assert refused(Sops(print), content) == (
        f"{PATH}:{line}: login.sops.yaml: it is encrypted, and there is no sops "
        "(install sops, getsops.io, or name it with PIPELINE_SOPS)"
    )
    monkeypatch.setenv("PIPELINE_SOPS", "/nowhere/sops")
    assert "PIPELINE_SOPS names /nowhere/sops, which is no program" in refused(Sops(print), content)


def test_without_a_key_its_name_is_told(
    reader: Sops, sops: Encryption, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = sops.encrypted(SECRET, *ONLY_DATA)
    other = Encryption.make(tmp_path)
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    found = refused(reader, content)
    assert f"there is no key for it (of {sops.recipient})" in found
    assert "SOPS_AGE_KEY" in found
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(other.key_file))
    assert f"there is no key for it (of {sops.recipient})" in refused(reader, content)


@pytest.mark.parametrize(
    ("pattern", "new"),
    [
        (r"name: login", "name: other"),
        (r"(user: .*)\n(    password: .*)", r"\2\n    again: x"),
        (r"password: ENC\[.*\]", "password: changed"),
    ],
)
def test_a_file_that_was_changed_after_it_was_encrypted_is_refused(
    reader: Sops, sops: Encryption, pattern: str, new: str
) -> None:
    content = re.sub(pattern, new, sops.encrypted(SECRET, *ONLY_DATA).decode())
    refused(reader, content.encode())


def test_a_document_beside_that_is_not_encrypted_is_refused(reader: Sops, sops: Encryption) -> None:
    content = sops.encrypted(SECRET, *ONLY_DATA) + b"---\n" + CONFIG.encode()
    assert "it is not encrypted, and another document of its file is" in refused(reader, content)


@pytest.mark.parametrize("kind", ["hc_vault", "azure_kv"])
def test_no_store_is_asked_whose_address_the_file_chooses(
    reader: Sops, sops: Encryption, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> None:
        raise AssertionError("a program was run")

    monkeypatch.setattr(child, "run", run)
    address = "{vault_address: 'http://127.0.0.1:1', vault_url: 'http://127.0.0.1:1', enc: x}"
    content = (
        sops.encrypted(SECRET, *ONLY_DATA).decode().replace("sops:\n", f"sops:\n    {kind}: [{address}]\n")
    )
    assert f"a store whose address is in the file ({kind})" in refused(reader, content.encode())


def test_no_reader_takes_an_encrypted_document_for_an_object(sops: Encryption) -> None:
    with pytest.raises(InvalidError) as caught:
        yaml.load_manifests("x.yaml", sops.encrypted(SECRET, *ONLY_DATA))
    (problem,) = caught.value.problems
    assert problem.code == "encrypted"


def rendered_by_kustomize(folder: Path, kustomization: str, encrypted: bytes) -> list[Manifest]:
    repo = GitFolder(folder)
    files = {"k/kustomization.yaml": kustomization, "k/login.yaml": encrypted.decode()}
    revision = repo.commit(dict(files))
    environment = Environment(
        name="dev", application="a", namespace="n", path="environments/dev/environment.yaml"
    )
    renderer = Kustomize(GitRepository(folder), environ=os.environ, stopped=lambda: False)
    return list(
        renderer.render(revision, Source(kind="kustomize", path="k", origin=Origin("e.yaml")), environment)
    )


def test_kustomize_hands_on_no_encrypted_document(sops: Encryption, tmp_path: Path) -> None:
    content = sops.encrypted(SECRET, *ONLY_DATA)
    with pytest.raises(InvalidError) as caught:
        rendered_by_kustomize(tmp_path / "shop", "resources: [login.yaml]\n", content)
    (problem,) = caught.value.problems
    assert (problem.code, problem.origin and problem.origin.path) == ("encrypted", "k/login.yaml")


def test_kustomize_generates_nothing_from_an_encrypted_file(sops: Encryption, tmp_path: Path) -> None:
    generator = "secretGenerator: [{name: login, files: [login.yaml]}]\n"
    (secret,) = rendered_by_kustomize(tmp_path / "shop", generator, sops.encrypted(SECRET, *ONLY_DATA))
    (problem,) = left_encrypted(secret)
    assert "is still encrypted" in problem.message


def test_sops_gets_nothing_of_the_machine_but_what_finds_keys(
    sops: Encryption, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spy = tmp_path / "sops"
    spy.write_text(f'#!/bin/sh\n/usr/bin/env > {tmp_path}/seen\nexec {sops.program} "$@"\n')
    spy.chmod(0o755)
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(sops.key_file))
    monkeypatch.setenv("GITHUB_TOKEN", "canary-canary")
    monkeypatch.setenv("KUBECONFIG", "canary-canary")
    monkeypatch.setenv("no_proxy", "example.invalid")
    Sops(lambda *_: None, program=str(spy)).manifests(PATH, sops.encrypted(SECRET, *ONLY_DATA))
    seen = (tmp_path / "seen").read_text()
    assert "SOPS_AGE_KEY_FILE" in seen
    assert "canary-canary" not in seen
    assert "no_proxy=example.invalid" in seen


def test_nothing_in_clear_text_is_left_or_was_on_a_disk(
    reader: Sops, sops: Encryption, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "tmp"
    own.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(own))
    laid: list[bytes] = []
    run = child.run

    def spied(argv: list[str], **options: object) -> object:
        laid.extend(path.read_bytes() for path in own.rglob("*") if path.is_file())
        return run(argv, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(child, "run", spied)
    manifests: list[Manifest] = reader.manifests(PATH, sops.encrypted(SECRET, *ONLY_DATA))
    assert manifests
    assert laid
    assert not any(PASSWORD.encode() in content for content in laid)
    assert list(own.iterdir()) == []

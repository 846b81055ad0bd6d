"""Files that SOPS encrypted, as manifests and as values: deployed in clear text, which is shown nowhere."""

from __future__ import annotations

import base64

import pytest

from tests.e2e.workspace import Workspace
from tests.encryption import Encryption

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(200)]

PASSWORD = "correct-horse-battery-staple"
SECRET = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: login}}\nstringData: {{password: {PASSWORD}}}\n"
TEMPLATE = """
    apiVersion: v1
    kind: {{ .Values.kind }}
    metadata:
      name: of-chart
    {{ .Values.field }}:
      password: {{ .Values.password }}
    """


def write(repo: Workspace, path: str, content: bytes) -> None:
    target = repo.folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


@pytest.fixture
def encrypted(repo: Workspace, sops: Encryption) -> Workspace:
    """dev with an encrypted Secret; its key is at hand."""
    repo.environment()
    write(repo, "environments/dev/manifests/login.sops.yaml", sops.encrypted(SECRET))
    repo.commit()
    repo.environ.update(sops.environ())
    return repo


def test_an_encrypted_secret_is_deployed_in_clear_text_and_shown_nowhere(encrypted: Workspace) -> None:
    runs = [
        encrypted.run("validate"),
        encrypted.run("render", "-e", "dev"),
        encrypted.run("plan", "-e", "dev"),
        encrypted.run("-v", "-v", "--log-format", "json", "-o", "json", "deploy", "-e", "dev"),
        encrypted.run("diff", "-e", "dev"),
    ]
    for run in runs:
        assert run.code == 0, str(run)
        assert PASSWORD not in run.output
        assert base64.b64encode(PASSWORD.encode()).decode() not in run.output
    live = encrypted.get("secrets", "login")
    assert base64.b64decode(live["data"]["password"]).decode() == PASSWORD
    assert "sops" not in live


def test_it_changes_with_its_file_and_only_then(encrypted: Workspace, sops: Encryption) -> None:
    encrypted.deployed()
    before = encrypted.objects()
    encrypted.deployed()
    assert encrypted.objects() == before
    path = "environments/dev/manifests/login.sops.yaml"
    write(encrypted, path, sops.encrypted(SECRET.replace(PASSWORD, "another-password")))
    encrypted.commit()
    encrypted.deployed()
    live = encrypted.get("secrets", "login")
    assert base64.b64decode(live["data"]["password"]) == b"another-password"


@pytest.mark.parametrize("without", ["PIPELINE_SOPS", "SOPS_AGE_KEY_FILE"])
def test_without_sops_or_its_key_nothing_is_written(encrypted: Workspace, without: str) -> None:
    environ = {without: "/nowhere"}
    for command in (("validate",), ("deploy", "-e", "dev")):
        result = encrypted.run(*command, env=environ)
        assert result.code == 20, str(result)
        assert "environments/dev/manifests/login.sops.yaml:" in result.output
        assert "it is encrypted, and " in result.output
    assert encrypted.state() is None or "secrets/login" not in (encrypted.state() or {})


@pytest.mark.parametrize(("kind", "field"), [("Secret", "stringData"), ("ConfigMap", "data")])
def test_values_of_a_chart_may_be_encrypted(
    repo: Workspace, sops: Encryption, helm: str, kind: str, field: str
) -> None:
    repo.environ.update({**sops.environ(), "PIPELINE_HELM": helm})
    repo.write("charts/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n")
    repo.write("charts/web/templates/x.yaml", TEMPLATE)
    repo.write("environments/dev/values.yaml", f"kind: {kind}\nfield: {field}\n")
    write(repo, "environments/dev/secrets.sops.yaml", sops.encrypted(f"password: {PASSWORD}\n"))
    repo.environment(
        sources="[{helm: {chart: ../../charts/web, values: [values.yaml, secrets.sops.yaml]}}]",
    )
    repo.commit()
    runs = [
        repo.run("plan", "-e", "dev"),
        repo.run("render", "-e", "dev"),
        repo.run("-o", "json", "deploy", "-e", "dev"),
    ]
    for run in runs:
        assert run.code == 0, str(run)
        assert PASSWORD not in run.output
    live = repo.get("secrets" if kind == "Secret" else "configmaps", "of-chart")["data"]["password"]
    assert live == (base64.b64encode(PASSWORD.encode()).decode() if kind == "Secret" else PASSWORD)


def test_what_helm_says_of_encrypted_values_is_not_shown(
    repo: Workspace, sops: Encryption, helm: str
) -> None:
    repo.environ.update({**sops.environ(), "PIPELINE_HELM": helm})
    repo.write("charts/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n")
    repo.write("charts/web/templates/x.yaml", "a: {{ fail (printf `not %s` .Values.password) }}\n")
    write(repo, "environments/dev/secrets.sops.yaml", sops.encrypted(f"password: {PASSWORD}\n"))
    repo.environment(sources="[{helm: {chart: ../../charts/web, values: [secrets.sops.yaml]}}]")
    repo.commit()
    for command in (("validate",), ("-o", "json", "deploy", "-e", "dev")):
        result = repo.run(*command)
        assert result.code == 20
        assert "charts/web/templates/x.yaml" in result.output
        assert PASSWORD not in result.output

"""A canary in a Secret: no output of any command has it, in no form, whatever goes wrong."""

import base64
import json
from collections.abc import Callable

import pytest

from tests.e2e.manifests import SETTINGS, WEB
from tests.e2e.workspace import Result, Workspace

FIRST = "c4n4ry-S3cr3t-one"
SECOND = "c4n4ry-S3cr3t-two"
THIRD = "c4n4ry-S3cr3t-three"

HEAD = "apiVersion: v1\nkind: Secret\nmetadata: {name: credentials}\n"


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _clean(result: Result) -> Result:
    """Holds that no form of any canary is in the output."""
    forms = []
    for canary in (FIRST, SECOND, THIRD):
        for text in (canary, canary + "\n"):
            encoded = _encoded(text)
            # Base64 of base64, as release records have it; cut short, as a message may have it.
            forms += [canary[:12], encoded[:16], _encoded(encoded)[:20]]
    assert "Traceback" not in result.output
    for form in set(forms):
        assert form not in result.output, f"{form!r} is shown:\n{result}"
    return result


@pytest.fixture(scope="module")
def secretive(make_repo: Callable[..., Workspace]) -> Workspace:
    repo = make_repo(create=True)
    repo.environment("prune: {maxPercent: 100}")
    repo.manifest("settings.yaml", SETTINGS)
    repo.manifest("web.yaml", WEB.replace("configMapRef: {name: settings}", "secretRef: {name: credentials}"))
    repo.manifest("secret.yaml", f"{HEAD}stringData:\n  password: {FIRST}\n  other: {FIRST}\n")
    repo.commit()
    return repo


def test_a_life_with_a_secret(secretive: Workspace) -> None:
    repo = secretive
    loud = ("-v", "-v", "--log-format", "json", "-e", "dev")
    assert _clean(repo.run("plan", *loud, "-o", "json")).code == 0
    assert _clean(repo.run("render", *loud)).code == 0
    assert _clean(repo.run("deploy", *loud, "-o", "json")).code == 0
    stored = repo.get("secrets", "credentials")["data"]["password"]
    assert base64.b64decode(stored).decode() == FIRST

    body = {"data": {"password": _encoded(SECOND)}}
    repo.kubectl("patch", "secret", "credentials", "--patch", json.dumps(body))
    assert _clean(repo.run("diff", *loud, "-o", "json")).code == 1
    assert _clean(repo.run("diff", "-e", "dev")).code == 1

    repo.manifest("secret.yaml", f"{HEAD}data:\n  password: {_encoded(THIRD)}\n")
    repo.edit("environments/dev/manifests/web.yaml", "nginx:1.21", "nginx:crash")
    repo.edit(
        "environments/dev/manifests/web.yaml",
        "metadata:\n      labels",
        f'metadata:\n      annotations: {{pipeline.test/log: "cannot log in with {THIRD}"}}\n      labels',
    )
    repo.commit()
    failed = _clean(repo.run("deploy", *loud, "-o", "markdown"))
    assert failed.code == 10, str(failed)
    assert base64.b64decode(repo.get("secrets", "credentials")["data"]["password"]).decode() == SECOND
    _clean(repo.run("status", "-e", "dev"))
    _clean(repo.run("history", "-e", "dev", "-o", "json"))


BAD_SECRETS = {
    "data that is no base64": f"{HEAD}data:\n  password: {FIRST}!\n",
    "a value that is no text": f"{HEAD}data:\n  password: [{FIRST}]\n",
    "an unknown field": f"{HEAD}dota:\n  password: {FIRST}\n",
    "a value as a field": f"{HEAD}stringData: {FIRST}\n",
    "a bad key": f'{HEAD}stringData:\n  "no key": {FIRST}\n',
    "a syntax error": f"{HEAD}stringData:\n  password: {FIRST}: {SECOND}\n",
    "a key twice": f"{HEAD}stringData:\n  password: {FIRST}\n  password: {SECOND}\n",
    "a missing field of its type": f"{HEAD}type: kubernetes.io/tls\nstringData:\n  tls.crt: {FIRST}\n",
    "no dockerconfig": f"{HEAD}type: kubernetes.io/dockerconfigjson\n"
    f"data:\n  .dockerconfigjson: {_encoded(FIRST)}\n",
}


@pytest.mark.parametrize("name", BAD_SECRETS)
def test_a_bad_secret_is_refused_without_its_value(repo: Workspace, name: str) -> None:
    repo.environment()
    repo.manifest("secret.yaml", BAD_SECRETS[name])
    repo.commit()
    result = _clean(repo.run("-v", "-v", "-o", "json", "deploy", "-e", "dev"))
    assert result.code in (20, 21), str(result)
    assert result.document["problems"][0]["file"] == "environments/dev/manifests/secret.yaml"
    assert not repo.namespace_exists()


def test_secrets_are_shown_only_where_that_is_asked_for_and_not_in_ci(secretive: Workspace) -> None:
    shown = secretive.run("render", "-e", "dev", "--show-secrets")
    assert shown.code == 0
    assert _encoded(THIRD) in shown.stdout
    refused = _clean(secretive.run("render", "-e", "dev", "--show-secrets", env={"GITHUB_ACTIONS": "true"}))
    assert refused.code == 2

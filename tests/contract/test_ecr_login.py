"""Registries of AWS: one gets in by the right to ask AWS for a token, against a fake AWS on loopback."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from pipeline.adapters.logins import Logins
from pipeline.model.errors import UnreachableError
from tests.contract.fake_server import Reply, Script
from tests.contract.test_eks import fake_eks as fake_aws
from tests.contract.test_eks import laptop, moto

__all__ = ["fake_aws", "laptop", "moto"]

HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"


def logins(home: Path, told: list[str] | None = None) -> Logins:
    secrets = told if told is not None else []
    return Logins({"HOME": str(home)}, lambda *found: secrets.extend(found))


@pytest.mark.parametrize(
    "host",
    [
        HOST,
        "123456789012.dkr.ecr-fips.us-east-1.amazonaws.com",
        "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
        "123456789012.dkr-ecr.eu-central-1.on.aws",
    ],
)
def test_a_registry_of_aws_is_entered_by_a_token_that_aws_gives(
    laptop: Path, moto: str, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    told: list[str] = []
    found = logins(laptop, told).of(host)
    user, _, password = base64.b64decode(found).decode().partition(":")
    assert user == "AWS"
    assert {password, found} == set(told)


def test_the_registry_s_own_region_is_asked(laptop: Path, fake_aws: Script) -> None:
    token = base64.b64encode(b"AWS:word").decode()
    fake_aws.says(Reply(body={"authorizationData": [{"authorizationToken": token}]}))
    assert logins(laptop).of(HOST.replace("eu-central-1", "ap-northeast-2")) == token
    (asked,) = fake_aws.requests
    assert "/ap-northeast-2/ecr/" in asked.headers["Authorization"]


@pytest.mark.parametrize(
    "host",
    [
        "ghcr.io",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com.example.com",
        "x123456789012.dkr.ecr.eu-central-1.amazonaws.com",
        "evil.example.com.dkr.ecr.eu-central-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com:8443",
        "ecr.eu-central-1.amazonaws.com",
    ],
)
def test_no_other_host_has_a_login_by_aws(laptop: Path, fake_aws: Script, host: str) -> None:
    assert logins(laptop).of(host) == ""
    assert fake_aws.requests == []


def test_a_login_that_was_written_down_comes_first(laptop: Path, fake_aws: Script) -> None:
    (laptop / ".docker").mkdir()
    entry = {"username": "AWS", "password": "mine"}
    (laptop / ".docker/config.json").write_text(json.dumps({"auths": {HOST: entry}}))
    assert base64.b64decode(logins(laptop).of(HOST)) == b"AWS:mine"
    assert fake_aws.requests == []


def test_without_a_login_to_aws_that_is_told(laptop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(UnreachableError, match=f"logging in to {HOST}") as caught:
        logins(laptop).of(HOST)
    assert "set AWS credentials" in caught.value.hint


def test_without_the_right_that_is_told(laptop: Path, fake_aws: Script) -> None:
    body = {"__type": "AccessDeniedException", "Message": "not authorized to perform it"}
    fake_aws.says(Reply(status=400, body=body))
    with pytest.raises(UnreachableError, match="AccessDeniedException: not authorized") as caught:
        logins(laptop).of(HOST)
    assert "the identity needs ecr:GetAuthorizationToken" in caught.value.hint

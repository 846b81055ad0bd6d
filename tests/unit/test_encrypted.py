"""What SOPS encrypted: known by its shape, and never taken for a value."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from pipeline.core import validate
from pipeline.core.encrypted import claims_to_be, is_encrypted, is_settings, keys, left_encrypted, secrets
from pipeline.model.environment import Environment
from pipeline.model.objects import Manifest, ObjectRef, Origin

ENC = "ENC[AES256_GCM,data:9q6Tq7oh,iv:x,tag:y,type:str]"


def obj(kind: str, **fields: Any) -> Manifest:
    body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}, **fields}
    return Manifest(ObjectRef.of(body), body, Origin("x.yaml"), {("data", "b"): 7})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": ENC, "sops": {"mac": ENC}}, True),
        ({"a": ENC, "sops": {"lastmodified": "x"}}, True),
        ({"sops": {"replicas": 3}}, False),
        ({"sops": "yes"}, False),
        ([], False),
        (None, False),
    ],
)
def test_a_document_is_known_by_its_metadata(value: Any, expected: bool) -> None:
    assert is_encrypted(value) is expected


@pytest.mark.parametrize(
    ("path", "claims", "settings"),
    [
        ("a/login.sops.yaml", True, False),
        ("a/login.sops.json", True, False),
        ("a/.sops.yaml", False, True),
        (".sops.yaml", False, True),
        ("a/sops.yaml", False, False),
        ("login.sops.yaml/plain.yaml", False, False),
    ],
)
def test_the_name_of_a_file_may_say_it(path: str, claims: bool, settings: bool) -> None:
    assert (claims_to_be(path), is_settings(path)) == (claims, settings)


def test_keys_are_told_by_kind_also_those_of_groups() -> None:
    sops = {
        "age": [{"recipient": "age1x", "enc": "y"}],
        "kms": None,
        "key_groups": [{"hc_vault": [{"vault_address": "http://v"}]}, {"pgp": ["odd"]}, "odd"],
    }
    assert keys({"sops": sops}) == {"age": ["age1x"], "hc_vault": ["http://v"], "pgp": ["?"]}


@pytest.mark.parametrize("groups", [None, "odd", [None], {"age": 1}])
def test_odd_metadata_raises_nothing(groups: Any) -> None:
    assert keys({"sops": {"age": "odd", "key_groups": groups}}) == {}


def test_what_was_encrypted_is_secret_and_what_was_not_is_none() -> None:
    encrypted = {"a": ENC, "b": "clear", "c": [ENC, {"d": ENC}], "e": ENC, "f": ENC}
    clear = {"a": "one", "b": "clear", "c": ["two", {"d": "three"}], "e": 123456, "f": True}
    assert list(secrets(encrypted, clear)) == ["one", "two", "three", "123456"]


def test_a_value_that_is_still_encrypted_is_told_with_its_line() -> None:
    (problem,) = left_encrypted(obj("ConfigMap", data={"a": "clear", "b": ENC}))
    assert str(problem).startswith("x.yaml:7: /ConfigMap//x: data.b is still encrypted")


def test_also_within_a_file_that_became_a_value() -> None:
    text = base64.b64encode(f"password: {ENC}\nsops: x\n".encode()).decode()
    (problem,) = left_encrypted(obj("Secret", data={"b": text, "c": "!", "d": 3}))
    assert problem.message.startswith("/Secret//x: data.b")
    (problem,) = left_encrypted(obj("Secret", stringData={"f": f"x: {ENC}"}))
    assert "stringData.f" in problem.message


def test_it_is_a_problem_of_the_set() -> None:
    environment = Environment(
        name="dev", application="a", namespace="n", path="environments/dev/environment.yaml"
    )
    found = validate.check([obj("ConfigMap", data={"b": ENC})], environment)
    assert "encrypted" in [problem.code for problem in found]


@pytest.mark.parametrize("data", [{}, None, [], {"a": "ENC[other]"}, {"a": "dmFsdWU="}])
def test_other_objects_are_left_alone(data: Any) -> None:
    assert list(left_encrypted(obj("Secret", data=data))) == []

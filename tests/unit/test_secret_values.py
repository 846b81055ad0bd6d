"""Secret values are taken out of texts."""

import base64

from pipeline.core.masking import MASK, mask, secret_values

SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "stringData": {"password": "hunter22", "short": "on", "key": "line one\nline two"},
    "data": {
        "token": base64.b64encode(b"tok-12345").decode(),
        "raw": base64.b64encode(b"\xff\xfe\xfd\xfc").decode(),
    },
}


def test_every_form_of_a_value_is_found():
    values = secret_values([SECRET])
    assert {"hunter22", "tok-12345", "line one", "line two"} <= values
    assert base64.b64encode(b"hunter22").decode() in values
    assert base64.b64encode(b"\xff\xfe\xfd\xfc").decode() in values


def test_values_of_a_few_characters_are_left_alone():
    assert "on" not in secret_values([SECRET])


def test_other_kinds_hold_no_secrets():
    assert secret_values([{**SECRET, "kind": "ConfigMap"}]) == frozenset()


def test_a_value_within_another_is_masked_with_it():
    assert mask("user hunter2222!", frozenset({"hunter22", "hunter2222"})) == f"user {MASK}!"


def test_a_malformed_secret_does_no_harm():
    assert secret_values([{**SECRET, "data": "plain", "stringData": {"n": 1}}]) == frozenset()

"""Secret values are taken out of texts."""

import base64

from pipeline.core.secret_values import secret_values

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
    assert {"hunter22", "tok-12345", "line one\nline two"} <= values
    assert base64.b64encode(b"hunter22").decode() in values
    assert base64.b64encode(b"\xff\xfe\xfd\xfc").decode() in values


def test_other_kinds_hold_no_secrets():
    assert secret_values([{**SECRET, "kind": "ConfigMap"}]) == frozenset()


def test_a_malformed_secret_does_no_harm():
    assert secret_values([{**SECRET, "data": "plain", "stringData": {"n": 1}}]) == frozenset()

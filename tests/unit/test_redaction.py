import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.known import Known
from pipeline.core.redaction import is_secret_key, scrub, scrub_tree

CANARY = 'canary-7Zq/4x+Wm&9"v'


@pytest.mark.parametrize(
    "text",
    [
        "get https://me:CANARYVALUE@git.example.com/r failed",
        "get https://CANARYVALUE@git.example.com/r failed",
        "Authorization: Bearer CANARYVALUE",
        "'authorization': 'Basic CANARYVALUE'",
        "authorization:   CANARYVALUE",
        "authorization: acme CANARYVALUE",
        "authorization: acme:CANARYVALUE",
        "authorization: acme: Authorization: Bearer CANARYVALUE",
        "with Bearer CANARYVALUECANARYVALUE",
        "token k8s-aws-v1.CANARYVALUE",
        "eyJhbGciOiJIUzI1.CANARYVALUE.c2ln",
        "key AKIACANARYVALUEABCDE",
        "https://sts.example.com/?X-Amz-Signature=CANARYVALUE&x=1",
        "https://sts.example.com/?x=1&X-Amz-Security-Token=CANARYVALUE",
        "password=CANARYVALUE",
        '{"password": "CANARYVALUE"}',
        "aws_secret_access_key = CANARYVALUE",
        "--token=CANARYVALUE",
        "-----BEGIN RSA PRIVATE KEY-----\nCANARYVALUE\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nCANARYVALUE",
        "ghp_CANARYVALUE0123456789",
    ],
)
def test_what_looks_like_a_credential_is_taken_out(text):
    assert "CANARYVALUE" not in scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        'MountVolume.SetUp failed for volume "web": secret "db-password" not found',
        "couldn't find key password in Secret demo/db",
        "basic authentication is off",
        "invalid bearer token",
        "pull https://registry.example.com/web:1.2@sha256:abc",
        "token: expired",
        "Error accepting authorization: acme: authorization error for shop.example.com: 403 urn:ietf:params",
        "environments/dev/manifests/secret.yaml:3",
    ],
)
def test_what_only_talks_about_credentials_stays(text):
    assert scrub(text) == text


@pytest.mark.parametrize("prefix", ["", "x", "xy", "xyz"])
@pytest.mark.parametrize("suffix", ["", "x", "xy", "xyz"])
def test_a_registered_value_is_found_within_base64_of_any_alignment(prefix, suffix):
    text = base64.b64encode(f"{prefix}{CANARY}{suffix}".encode()).decode()
    core = base64.b64encode(CANARY.encode()).decode()[3:-4]
    cleaned = Known([CANARY]).remove(text)
    assert "***" in cleaned
    assert core not in cleaned
    assert len(cleaned) < 20


@pytest.mark.parametrize(
    "written",
    [
        CANARY,
        base64.b64encode(CANARY.encode()).decode(),
        base64.urlsafe_b64encode(CANARY.encode()).decode(),
        base64.b64encode(base64.b64encode(CANARY.encode())).decode(),
        quote(CANARY, safe=""),
        json.dumps(CANARY)[1:-1],
        CANARY.encode().hex(),
    ],
)
def test_a_registered_value_is_found_in_every_usual_writing(written):
    assert Known([CANARY]).remove(f"<{written}>") == "<***>"


def test_the_lines_of_a_long_value_are_found_one_by_one():
    key = "-----BEGIN X-----\nfirst-line-of-key\nsecond-line-of-key\n-----END X-----\n"
    known = Known([key])
    assert known.remove("a first-line-of-key b") == "a *** b"
    assert known.remove("-----BEGIN X-----") == "-----BEGIN X-----"


def test_the_beginning_of_a_value_is_found_where_a_text_was_cut_short():
    known = Known(["canary-value-123"])
    assert known.remove("x canary-va … (30 more characters)") == "x *** … (30 more characters)"
    assert known.remove("x other … (30 more characters)") == "x other … (30 more characters)"


def test_short_values_do_not_mask_ordinary_words():
    assert Known(["on", "8080", ""]).remove("on port 8080") == "on port 8080"


@given(st.text(min_size=6), st.text(), st.text())
def test_a_registered_value_never_survives(value, before, after):
    assert value not in Known([value]).remove(before + value + after) or value in "***"


@pytest.mark.parametrize("key", ["token", "Password", "AWS_SECRET_ACCESS_KEY", "Set-Cookie", "x-api-key"])
def test_facts_are_masked_by_their_key(key):
    assert is_secret_key(key)
    assert scrub_tree({key: "x", "in": [{key: ["y"]}]}) == {key: "***", "in": [{key: "***"}]}


def test_counts_under_such_a_key_and_other_facts_stay():
    facts = {"tokens_refreshed": 2, "environment": "dev", "ok": True, "none": None, "seconds": 1.5}
    assert scrub_tree(facts) == facts

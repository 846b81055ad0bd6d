"""What may be replaced because the server proved that it cannot be changed, and what must not be."""

import pytest

from pipeline.adapters.apierror import LONGEST_MESSAGE, api_error, clean
from pipeline.model.errors import ApiError


def refused(*causes, status=422, message="Job is invalid"):
    return ApiError(message, status=status, reason="Invalid", causes=causes)


@pytest.mark.parametrize(
    "text",
    [
        "Invalid value: {}: field is immutable",
        "Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden",
        "Invalid value: 10.0.0.1: may not change once set",
        'Invalid value: {"Kind":"Role","Name":"edit"}: cannot change roleRef',
        "Forbidden: may not be changed in an update.",
    ],
)
def test_immutability_is_recognised(text):
    assert refused(("FieldValueInvalid", "spec.template", text)).is_about_immutability
    assert refused(message=text).is_about_immutability


@pytest.mark.parametrize(
    "error",
    [
        refused(
            ("FieldValueInvalid", "a", "field is immutable"), ("FieldValueRequired", "b", "Required value")
        ),
        refused(message="ValidatingAdmissionPolicy 'no' denied request: not today"),
        refused(("FieldValueInvalid", "a", "field is immutable"), status=409),
        refused(),
    ],
)
def test_a_mistake_beside_it_or_a_policy_is_no_proof_of_immutability(error):
    assert not error.is_about_immutability


def test_a_secret_that_is_immutable_is_recognised_without_its_values():
    body = {
        "kind": "Status",
        "message": 'Secret "a" is invalid: data: Forbidden: field is immutable when `immutable` is set',
        "reason": "Invalid",
        "details": {"causes": [{"reason": "FieldValueForbidden", "field": "data", "message": "hidden"}]},
    }
    assert api_error("apply Secret/a", 422, body, secret=True).is_about_immutability


def test_a_long_refusal_keeps_its_end_where_the_reason_stands():
    value = "spec.template: Invalid value: " + "x" * 5000 + ": field is immutable"

    short = clean(value, LONGEST_MESSAGE)

    assert len(short) == LONGEST_MESSAGE
    assert short.startswith("spec.template: Invalid value: xxx")
    assert short.endswith("xxx: field is immutable")


@pytest.mark.parametrize(
    ("message", "status", "hinted"),
    [
        ('User "u" cannot create resource "pods" in API group ""', 403, True),
        ("exceeded quota: q, requested: pods=1", 403, False),
        ("unable to create new content in namespace a because it is being terminated", 403, False),
        ("slow down", 429, True),
    ],
)
def test_only_who_lacks_a_right_is_told_to_ask_for_one(message, status, hinted):
    assert bool(api_error("create Pod/a", status, {"message": message}).hint) == hinted

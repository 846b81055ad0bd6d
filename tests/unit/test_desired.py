"""What is sent for a manifest is the manifest, our two labels, and nothing that the server would not keep."""

import base64

import pytest

from pipeline.core.desired import body_of
from pipeline.model.environment import Environment
from pipeline.model.objects import Manifest, ObjectRef, Origin

DEV = Environment(name="dev", application="web", namespace="shop", path="environments/dev")


def sent(kind="Secret", **body):
    whole = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}, **body}
    manifest = Manifest(ObjectRef("", kind, "shop", "a"), whole, Origin("a.yaml"))
    found = body_of(manifest, DEV)
    assert manifest.body == whole, "the manifest itself is untouched"
    return found


def test_labels_say_whose_an_object_is():
    assert sent("ConfigMap")["metadata"]["labels"] == {
        "pipeline/application": "web",
        "pipeline/environment": "dev",
    }


def test_plain_secret_values_are_sent_as_the_server_keeps_them():
    found = sent(stringData={"user": "åsa", "empty": ""}, data={"user": "b2xk", "key": "AA=="})

    assert "stringData" not in found
    assert found["data"] == {"user": base64.b64encode("åsa".encode()).decode(), "empty": "", "key": "AA=="}


@pytest.mark.parametrize(
    "odd",
    [{"stringData": {"a": 1}}, {"stringData": ["a"]}, {"stringData": {"a": "b"}, "data": "c"}],
    ids=str,
)
def test_what_is_no_text_is_left_for_the_server_to_refuse(odd):
    found = sent(**odd)

    assert {k: v for k, v in found.items() if k in odd} == odd


def test_of_other_kinds_nothing_is_moved():
    assert sent("ConfigMap", stringData={"a": "b"})["stringData"] == {"a": "b"}

"""What `reconcile` tells is one line, whatever others wrote into it."""

from __future__ import annotations

import json

from pipeline.model.following import Happening, Pulse
from pipeline.model.objects import ObjectRef
from pipeline.model.release import Outcome
from pipeline.model.status import Cause, CauseCode
from pipeline.model.views import FieldDrift, ObjectDrift
from pipeline.report.following import (
    happening_document,
    happening_line,
    outcome_line,
    pulse_document,
    to_json_line,
)

EVIL = "x\n::error::owned\x1b[31m\u202e"
SETTINGS = ObjectRef("", "ConfigMap", "shop", "settings")
WORD = ObjectRef("", "Secret", "shop", "word")


def drift(ref: ObjectRef, *paths: str, live: str = "two") -> ObjectDrift:
    fields = (FieldDrift(path=path, desired="one", live=live, manager=EVIL) for path in paths)
    return ObjectDrift(ref, tuple(fields))


def happening(*objects: ObjectDrift, message: str = "drift is put back") -> Happening:
    return Happening(moment="10:00", environment="dev", kind="drift", message=message, drift=objects)


def test_a_happening_is_one_harmless_line() -> None:
    for told in (happening(message=EVIL), happening(drift(SETTINGS, EVIL, live=EVIL))):
        line = happening_line(told)
        assert line.isprintable()
        assert line.startswith("10:00 dev: ")


def test_drift_is_told_with_object_field_both_values_and_manager() -> None:
    told = happening(
        ObjectDrift(SETTINGS, (FieldDrift(path="data.a", desired=1, live=2, manager="kubectl-edit"),))
    )
    assert "ConfigMap/shop/settings data.a: 2 by kubectl-edit → 1" in happening_line(told)


def test_an_object_without_known_fields_is_told_too() -> None:
    assert "ConfigMap/shop/settings" in happening_line(happening(ObjectDrift(SETTINGS, ())))


def test_of_much_drift_the_line_has_the_first_and_the_document_all() -> None:
    told = happening(drift(SETTINGS, *(f"data.k{n}" for n in range(20))))
    assert "and 15 more" in happening_line(told)
    assert "data.k5:" not in happening_line(told)
    assert len(happening_document(told)["objects"][0]["fields"]) == 20


def test_no_value_of_a_secret_is_told() -> None:
    told = happening(drift(WORD, "data.word", live="Q0FOQVJZ"))
    assert "Q0FOQVJZ" not in happening_line(told) + to_json_line(happening_document(told))


def test_a_document_is_one_line() -> None:
    line = to_json_line(happening_document(happening(message=EVIL)))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == EVIL


def test_a_failed_deploy_is_one_line_with_its_cause() -> None:
    cause = Cause(object=SETTINGS, code=CauseCode.IMAGE_NOT_FOUND, message=EVIL)
    outcome = Outcome(
        command="reconcile", environment="dev", revision="a" * 40, exit_code=11, causes=(cause,), message=EVIL
    )
    line = outcome_line("10:00", outcome)
    assert line.isprintable()
    assert "failed (exit code 11)" in line
    assert "ImageNotFound" in line


def test_how_it_is_has_null_for_what_there_is_not() -> None:
    document = pulse_document(Pulse(environment="dev", branch="main"))
    assert document["healthy"] is True
    assert {k for k, v in document.items() if v is None} == {
        "head",
        "revision",
        "release",
        "last_success",
        "last_error",
        "held",
    }

"""Every cause says what to do next."""

from __future__ import annotations

from pipeline.core.hints import HINTS, cause
from pipeline.model.objects import Manifest, ObjectRef, Origin
from pipeline.model.status import CauseCode, Evidence, Grade

WEB = ObjectRef("apps", "Deployment", "demo", "web")


def manifest(*names: str) -> Manifest:
    containers = [{"name": name, "image": f"{name}:1"} for name in names]
    base = ("spec", "template", "spec", "containers")
    lines = {base: 10} | {(*base, i, "image"): 20 + i for i in range(len(names))}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "spec": {"template": {"spec": {"containers": containers}}},
    }
    return Manifest(WEB, body, Origin("web.yaml", 1), lines)


def missing(container: str, position: int) -> Evidence:
    return Evidence(
        code=CauseCode.IMAGE_NOT_FOUND,
        grade=Grade.TERMINAL,
        message="no image",
        details=("ErrImagePull",),
        path=("spec", "template", "spec", "containers", position, "image"),
        container=container,
    )


def test_every_code_has_a_hint() -> None:
    assert set(HINTS) == set(CauseCode)


def test_a_hint_is_short_and_no_sentence_end() -> None:
    assert all(0 < len(hint) <= 140 and not hint.endswith(".") for hint in HINTS.values())


def test_a_cause_points_at_the_line_of_the_field() -> None:
    found = cause(WEB, missing("web", 0), manifest("web"), ("last words",))

    assert found.origin == Origin("web.yaml", 20)
    assert found.evidence == ("ErrImagePull", "last words")
    assert found.hint == HINTS[CauseCode.IMAGE_NOT_FOUND]


def test_a_container_is_found_by_name_where_the_live_order_differs() -> None:
    assert cause(WEB, missing("web", 0), manifest("proxy", "web")).origin == Origin("web.yaml", 21)


def test_a_container_that_no_manifest_has_points_at_the_list() -> None:
    assert cause(WEB, missing("injected", 0), manifest("web")).origin == Origin("web.yaml", 10)


def test_without_a_manifest_there_is_no_origin() -> None:
    assert cause(None, missing("web", 0)).origin is None

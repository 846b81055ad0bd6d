"""Every cause says what to do next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.core.evidence.alike import alike
from pipeline.core.hints import HINTS, cause, near_hint, tag_hint
from pipeline.model.objects import Manifest, ObjectRef, Origin
from pipeline.model.status import CauseCode, Evidence, Grade, Lack

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


def test_what_is_about_no_container_in_particular_keeps_its_place() -> None:
    shown = replace(missing("", 1), code=CauseCode.UNSCHEDULABLE)

    assert cause(WEB, shown, manifest("web", "proxy")).origin == Origin("web.yaml", 21)


def test_without_a_manifest_there_is_no_origin() -> None:
    assert cause(None, missing("web", 0)).origin is None


def crash(code: CauseCode = CauseCode.CRASH_LOOP, **more: object) -> Evidence:
    found = Evidence(code=code, grade=Grade.PROBABLE, message="web exits with code 255", container="web")
    path = ("spec", "template", "spec", "containers", 0)
    return replace(found, **({"path": path} | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("exec /docker-entrypoint.sh: exec format error", CauseCode.IMAGE_PLATFORM_MISMATCH),
        (
            "standard_init_linux.go:228: exec user process caused: exec format error",
            CauseCode.IMAGE_PLATFORM_MISMATCH,
        ),
        ("exec /app: no such file or directory", CauseCode.COMMAND_NOT_FOUND),
        ("exec ./app.sh: Permission denied", CauseCode.COMMAND_NOT_EXECUTABLE),
        ("open /data: no such file or directory", CauseCode.CRASH_LOOP),
        ("could not exec /plugin: permission denied", CauseCode.CRASH_LOOP),
    ],
)
def test_the_log_of_a_program_that_never_started_is_the_cause(line: str, code: CauseCode) -> None:
    found = cause(WEB, crash(hint="see the exit code"), manifest("web"), (line, ""))

    assert found.code is code
    assert line in found.evidence
    is_known = code is not CauseCode.CRASH_LOOP
    assert found.hint == (HINTS[code] if is_known else "see the exit code")
    assert ("since it cannot be started" in found.message) == is_known


def test_a_program_of_another_platform_points_at_the_image() -> None:
    found = cause(WEB, crash(), manifest("web"), ("exec /app: exec format error",))

    assert found.origin == Origin("web.yaml", 20)


def test_a_cause_that_is_no_crash_is_not_told_from_the_log() -> None:
    shown = crash(CauseCode.READINESS_PROBE_FAILED)

    assert cause(WEB, shown, None, ("exec /app: exec format error",)).code is shown.code


LACKS = (
    (Lack("ConfigMap", "settings", "greting"), ["greeting", "farewell"], "'greeting'"),
    (Lack("Secret", "credentails"), ["credentials", "tls"], "'credentials'"),
    (Lack("ConfigMap", "settings", "greting"), ["port"], ""),
    (Lack("ConfigMap", "settings", "greting"), [], ""),
    (None, ["greeting"], ""),
)


@pytest.mark.parametrize(("lacks", "names", "near"), LACKS)
def test_a_misspelt_reference_is_told_with_the_nearest_name(
    lacks: Lack | None, names: list[str], near: str
) -> None:
    hint = near_hint(crash(CauseCode.CONTAINER_CONFIG_MISSING, lacks=lacks), names)

    assert hint.startswith(f"did you mean {near}?") if near else hint == ""


def test_a_missing_image_is_told_with_the_tag_that_another_object_uses() -> None:
    shown = replace(missing("web", 0), image="web:2")

    assert tag_hint(shown, [manifest("web")]).endswith("; Deployment/web uses web:1")
    assert tag_hint(replace(shown, image="web:1"), [manifest("web")]) == ""
    assert tag_hint(replace(shown, code=CauseCode.CRASH_LOOP), [manifest("web")]) == ""
    assert tag_hint(replace(shown, code=CauseCode.IMAGE_DENIED), [manifest("web")]) == ""


def test_a_missing_image_is_told_with_the_name_under_which_another_object_uses_its_tag() -> None:
    shown = replace(missing("web", 0), image="shop/wbe:1.2")
    other = replace(manifest("web"), body={"spec": {"template": {"spec": {"containers": []}}}})
    other.body["spec"]["template"]["spec"]["containers"] = [{"image": "shop/web:1.2"}]

    assert tag_hint(shown, [other]) == "did you mean shop/web:1.2? Deployment/web uses it"
    assert tag_hint(replace(shown, image="billing/invoices:1.2"), [other]) == ""


class TestCausesThatAreOne:
    API = ObjectRef("apps", "Deployment", "demo", "api")

    def test_have_the_same_image_and_code(self) -> None:
        shown = replace(missing("web", 0), image="web:1")

        (one,) = alike([(WEB, shown), (self.API, replace(shown, container="api", count=3))])

        assert (one.ref, one.evidence, one.others) == (WEB, shown, (self.API,))

    @pytest.mark.parametrize(
        "other",
        [
            {"image": "web:2"},
            {"code": CauseCode.IMAGE_DENIED},
            {"lacks": Lack("Secret", "s")},
        ],
        ids=str,
    )
    def test_have_no_other_image_code_or_reference(self, other: dict[str, object]) -> None:
        shown = replace(missing("web", 0), image="web:1")

        assert len(alike([(WEB, shown), (self.API, replace(shown, **other))])) == 2  # type: ignore[arg-type]

    def test_are_none_where_each_has_a_pod_of_its_own_to_delete(self) -> None:
        blocked = crash(CauseCode.RELEASE_BLOCKED_BY_POD, image="web:1")

        assert len(alike([(WEB, blocked), (self.API, blocked)])) == 2

    def test_of_one_object_do_not_name_it_again(self) -> None:
        shown = replace(missing("web", 0), image="web:1")

        (one,) = alike([(WEB, shown), (WEB, replace(shown, container="init"))])

        assert one.others == ()

    def test_are_of_one_image(self) -> None:
        assert len(alike([(WEB, missing("web", 0)), (self.API, missing("web", 0))])) == 2

    def test_lack_the_same_thing_whatever_their_images(self) -> None:
        shown = crash(CauseCode.CONTAINER_CONFIG_MISSING, lacks=Lack("Secret", "s"), image="web:1")

        assert len(alike([(WEB, shown), (self.API, replace(shown, image="api:1"))])) == 1

    def test_name_the_other_objects(self) -> None:
        found = cause(WEB, missing("web", 0), others=["Deployment/api (api.yaml:1)"])

        assert "the same in 1 more: Deployment/api (api.yaml:1)" in found.evidence

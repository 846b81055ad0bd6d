"""Values that a chart makes up at every rendering: found, and kept from one release to the next."""

from __future__ import annotations

import base64
from typing import Any

from pipeline.core.desired import body_of
from pipeline.core.generated import MADE_UP, kept, marked, reviewed, told, veiled
from pipeline.model.environment import Environment
from pipeline.model.objects import Manifest, Object, ObjectRef, Origin

ENVIRONMENT = Environment(
    name="dev", application="shop", namespace="a", path="environments/dev/environment.yaml"
)


def obj(kind: str, name: str, **fields: Any) -> Manifest:
    meta = {"name": name, "namespace": "a", **fields.pop("metadata", {})}
    body = {"apiVersion": "v1", "kind": kind, "metadata": meta, **fields}
    return Manifest(ObjectRef.of(body), body, Origin(f"{name}.yaml"))


def secret(password: str, user: str = "admin") -> Manifest:
    return obj("Secret", "login", stringData={"user": user, "password": password})


def workload(checksum: str, image: str = "web:1") -> Manifest:
    return obj("Pod", "web", metadata={"annotations": {"checksum/login": checksum}}, spec={"image": image})


def recorded(*manifests: Manifest) -> dict[ObjectRef, Object]:
    return {m.ref: body_of(m, ENVIRONMENT) for m in manifests}


def render(*manifests: Manifest, before: dict[ObjectRef, Object], again: list[Manifest]) -> list[Object]:
    return [body_of(m, ENVIRONMENT) for m in kept(marked(manifests, again), before, ENVIRONMENT)]


def password(body: Object) -> str:
    return base64.b64decode(body["data"]["password"]).decode()


def test_what_differs_between_two_renderings_is_marked_and_nothing_else() -> None:
    found = marked([secret("one"), obj("Pod", "x")], [secret("two"), obj("Pod", "x")])
    assert [m.generated for m in found] == [(("data", "password"),), ()]


def test_an_object_whose_name_is_made_up_is_marked_by_its_name() -> None:
    (found,) = marked([obj("Pod", "job-abc")], [obj("Pod", "job-xyz")])
    assert found.generated == (("metadata", "name"),)


def test_a_password_stays_what_it_was() -> None:
    (body,) = render(secret("new"), before=recorded(secret("old")), again=[secret("other")])
    assert body == recorded(secret("old"))[secret("").ref]


def test_a_change_of_another_key_is_made_and_the_password_stays() -> None:
    (body,) = render(
        secret("new", user="root"), before=recorded(secret("old")), again=[secret("x", user="root")]
    )
    assert password(body) == "old"
    assert base64.b64decode(body["data"]["user"]) == b"root"


def test_without_a_record_it_is_new() -> None:
    (body,) = render(secret("new"), before={}, again=[secret("other")])
    assert password(body) == "new"


def test_a_checksum_stays_while_what_it_is_of_does() -> None:
    bodies = render(
        secret("new"),
        workload("1", image="web:2"),
        before=recorded(secret("old"), workload("0")),
        again=[secret("x"), workload("2", image="web:2")],
    )
    assert bodies[1]["metadata"]["annotations"] == {"checksum/login": "0"}
    assert bodies[1]["spec"] == {"image": "web:2"}


def test_a_checksum_is_new_where_what_it_may_be_of_changed() -> None:
    bodies = render(
        secret("new", user="root"),
        workload("1"),
        before=recorded(secret("old"), workload("0")),
        again=[secret("x", user="root"), workload("2")],
    )
    assert password(bodies[0]) == "old"
    assert bodies[1]["metadata"]["annotations"] == {"checksum/login": "1"}


def test_a_field_that_the_record_lacks_is_new() -> None:
    before = recorded(obj("Secret", "login", data={"user": "YWRtaW4="}))
    (body,) = render(secret("new"), before=before, again=[secret("x")])
    assert password(body) == "new"


def test_of_another_structure_the_whole_is_taken() -> None:
    def certificate(*names: str) -> Manifest:
        return obj("ConfigMap", "c", data={"names": list(names)})

    (found,) = marked([certificate("a")], [certificate("a", "b")])
    assert found.generated == (("data", "names"),)


def test_it_is_told_once_an_object_with_its_fields() -> None:
    (note,) = told(marked([secret("one")], [secret("two")]), {})
    assert note == (
        "login.yaml:1: /Secret/a/login is made up anew at each rendering: data.password; "
        "it stays as it is from the first verified release on"
    )


def test_what_is_kept_is_not_told() -> None:
    assert list(told(marked([secret("one")], [secret("two")]), recorded(secret("old")))) == []


def test_a_name_that_is_made_up_is_told_each_time() -> None:
    (note,) = told(marked([obj("Pod", "job-abc")], [obj("Pod", "job-xyz")]), {})
    assert "another name at each rendering" in note


# --- what a plan has of it


def job(name: str, word: str) -> Manifest:
    return obj("Pod", name, spec={"image": "web:1", "word": word})


def test_of_an_object_with_another_name_the_other_fields_are_found_as_well() -> None:
    first, second = marked(
        [job("job-abc", "1"), job("job-def", "2")], [job("job-uvw", "3"), job("job-xyz", "4")]
    )
    assert first.generated == second.generated == (("metadata", "name"), ("spec", "word"))


def test_what_is_new_is_not_in_what_is_reviewed_and_what_is_kept_is() -> None:
    def shown(password: str, before: dict[ObjectRef, Object]) -> Object:
        (manifest,) = kept(marked([secret(password)], [secret("other")]), before, ENVIRONMENT)
        return reviewed(body_of(manifest, ENVIRONMENT), manifest)

    assert shown("one", {}) == shown("two", {})
    assert shown("one", {})["data"] == {"user": "YWRtaW4=", "password": MADE_UP}
    assert shown("one", recorded(secret("old"))) == recorded(secret("old"))[secret("").ref]


def test_a_checksum_that_is_new_is_not_in_what_is_reviewed() -> None:
    def shown(checksum: str) -> Object:
        before = recorded(secret("old"), workload("0"))
        first = [secret("x", user="root"), workload(checksum)]
        _, pod = kept(marked(first, [secret("y", user="root"), workload("z")]), before, ENVIRONMENT)
        return reviewed(body_of(pod, ENVIRONMENT), pod)

    assert shown("1") == shown("2")


def test_in_what_the_server_makes_of_it_the_value_is_found_where_a_list_was_merged() -> None:
    def hook(value: Any, number: int = 1) -> Manifest:
        return obj("Hook", "h", hooks=[{"name": "a", "ca": value}], number=number)

    (manifest,) = marked([hook("abcdefgh", 1)], [hook("ijklmnop", 2)])
    result = manifest.body | {"hooks": [{"name": "b", "ca": "mine"}, {"name": "a", "ca": "abcdefgh"}]}
    found = veiled(result, manifest.body, manifest)
    assert found["hooks"] == [{"name": "b", "ca": "mine"}, {"name": "a", "ca": MADE_UP}]
    assert found["number"] == MADE_UP


def test_a_short_text_is_not_taken_for_another_field() -> None:
    def one(word: str) -> Manifest:
        return obj("ConfigMap", "c", data={"made": word, "written": "a"})

    (manifest,) = marked([one("a")], [one("b")])
    assert veiled(manifest.body, manifest.body, manifest)["data"] == {"made": MADE_UP, "written": "a"}

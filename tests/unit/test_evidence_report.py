"""From evidence to causes: whose log is read, which name was meant, what is one cause."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.model.errors import PipelineError
from pipeline.model.objects import Manifest, Object, ObjectRef, Origin
from pipeline.model.status import Cause, CauseCode, Evidence, Grade, Lack, ObjectStatus, Status
from pipeline.run.explain import cause_of, causes_of

WEB, API = (ObjectRef("apps", "Deployment", "demo", name) for name in ("web", "api"))
POD = ObjectRef("", "Pod", "demo", "web-1")


class FakeCluster:
    """Answers with logs by instance (previous or not), and with the ConfigMaps it has."""

    def __init__(self, *config_maps: Object, **logs: str) -> None:
        self.logs_of = logs
        self.config_maps = config_maps
        self.lines: list[int] = []

    def logs(self, namespace: str, pod: str, container: str, *, previous: bool, lines: int) -> str:
        assert (namespace, pod, container) == ("demo", "web-1", "web")
        self.lines.append(lines)
        text = self.logs_of.get("previous" if previous else "current")
        if text is None:
            raise PipelineError("previous terminated container not found")
        return text

    def get(self, ref: ObjectRef, api_version: str) -> Object | None:
        named = {one["metadata"]["name"]: one for one in self.config_maps}
        return named.get(ref.name)

    def resource(self, api_version: str, kind: str) -> str:
        return kind

    def list(self, resource: str, namespace: str = "") -> tuple[list[Object], str]:
        return list(self.config_maps), "1"


def session(cluster: FakeCluster) -> Any:
    return SimpleNamespace(cluster=cluster, hide=lambda *texts: [t.replace("hunter2", "***") for t in texts])


def shown(code: CauseCode = CauseCode.CRASH_LOOP, **more: Any) -> Evidence:
    return Evidence(
        code=code, grade=Grade.PROBABLE, message="exits", pod=POD, container="web", image="web:1", **more
    )


def told(cluster: FakeCluster, evidence: Evidence) -> Cause:
    return cause_of(session(cluster), WEB, evidence, {})


def settings(*keys: str, name: str = "settings") -> Object:
    return {"metadata": {"name": name}, "data": dict.fromkeys(keys, "hunter2")}


class TestTheLog:
    def test_of_a_crash_is_that_of_the_run_before(self) -> None:
        cluster = FakeCluster(previous="panic: no data\n", current="starting\n")

        assert told(cluster, shown()).evidence == ("panic: no data",)

    def test_of_a_first_crash_is_its_own(self) -> None:
        assert told(FakeCluster(current="panic\n"), shown()).evidence == ("panic",)

    def test_of_what_runs_is_its_own(self) -> None:
        cluster = FakeCluster(previous="killed\n", current="database is not reachable\n")

        found = told(cluster, shown(CauseCode.READINESS_PROBE_FAILED))

        assert found.evidence == ("database is not reachable",)

    def test_is_fifty_lines_long_at_most(self) -> None:
        cluster = FakeCluster(previous="".join(f"{n}\n" for n in range(80)))

        found = told(cluster, shown())

        assert found.evidence == tuple(str(n) for n in range(30, 80))
        assert cluster.lines == [50]

    @pytest.mark.parametrize(
        "answer",
        [
            "unable to retrieve container logs for containerd://1",
            'failed to try resolving symlinks in path "/var/log/pods/web/1.log": no such file or directory',
        ],
    )
    def test_that_the_kubelet_has_removed_is_not_told_as_one(self, answer: str) -> None:
        cluster = FakeCluster(previous=answer, current="panic")

        assert told(cluster, shown()).evidence == ("panic",)

    def test_is_not_asked_of_what_never_started(self) -> None:
        cluster = FakeCluster(current="x")

        assert told(cluster, shown(CauseCode.IMAGE_NOT_FOUND)).evidence == ()
        assert cluster.lines == []

    def test_hides_secrets_and_tells_the_platform(self) -> None:
        cluster = FakeCluster(current="password hunter2\nexec /app: exec format error\n")

        found = told(cluster, shown())

        assert found.code is CauseCode.IMAGE_PLATFORM_MISMATCH
        assert found.evidence == ("password ***", "exec /app: exec format error")


class TestAMisspeltName:
    def test_of_a_key_is_told_with_the_live_object_s_nearest(self) -> None:
        missing = shown(CauseCode.CONTAINER_CONFIG_MISSING, lacks=Lack("ConfigMap", "settings", "greting"))

        found = told(FakeCluster(settings("greeting", "port")), missing)

        assert found.hint == "did you mean 'greeting'? ConfigMap settings has the key greeting, not greting"
        assert "hunter2" not in str(found)

    def test_of_an_object_is_told_with_the_namespace_s_nearest(self) -> None:
        missing = shown(CauseCode.CONTAINER_CONFIG_MISSING, lacks=Lack("ConfigMap", "setings"))

        found = told(FakeCluster(settings(), settings(name="other")), missing)

        assert found.hint.startswith("did you mean 'settings'?")

    def test_is_never_that_of_a_record_of_ours(self) -> None:
        missing = shown(CauseCode.CONTAINER_CONFIG_MISSING, lacks=Lack("Secret", "pipeline.web.dev"))

        assert told(FakeCluster(settings(name="pipeline.web.dev.7")), missing).hint.startswith("add the")

    def test_without_a_near_one_has_the_usual_hint(self) -> None:
        missing = shown(CauseCode.CONTAINER_CONFIG_MISSING, lacks=Lack("ConfigMap", "settings", "greting"))

        assert told(FakeCluster(), missing).hint.startswith("add the ConfigMap")


def using(ref: ObjectRef, image: str) -> Manifest:
    spec = {"containers": [{"name": "web", "image": image}]}
    return Manifest(ref, {"spec": {"template": {"spec": spec}}}, Origin(f"{ref.name}.yaml", 3))


def test_a_missing_image_is_told_with_another_tag_of_the_set() -> None:
    manifests = {WEB: using(WEB, "web:1"), API: using(API, "web:0.9")}

    found = cause_of(session(FakeCluster()), WEB, shown(CauseCode.IMAGE_NOT_FOUND), manifests)

    assert found.hint.endswith("; Deployment/api uses web:0.9")


def test_equal_causes_of_many_objects_are_one_that_names_them() -> None:
    manifests = {WEB: using(WEB, "web:1"), API: using(API, "web:1")}
    missing = shown(CauseCode.IMAGE_NOT_FOUND)
    other = shown(CauseCode.QUOTA_EXCEEDED)

    found = causes_of(
        session(FakeCluster()), [(WEB, missing), (API, missing), (WEB, other)], manifests, most=5
    )

    assert [cause.code for cause in found] == [missing.code, other.code]
    assert found[0].evidence == ("the same in 1 more: Deployment/api (api.yaml:3)",)
    assert len(causes_of(session(FakeCluster()), [(WEB, missing), (WEB, other)], manifests, most=1)) == 1


def test_what_was_broken_before_the_deploy_is_said_to_be() -> None:
    before = {
        WEB: ObjectStatus(Status.IN_PROGRESS, "Unready", "0 of 2 ready"),
        API: ObjectStatus(Status.CURRENT),
    }
    found = [(WEB, shown(CauseCode.QUOTA_EXCEEDED)), (API, shown(CauseCode.UNSCHEDULABLE))]

    web, api = causes_of(session(FakeCluster()), found, {}, most=5, before=before)

    assert web.evidence == ("it was InProgress before this deploy already: 0 of 2 ready",)
    assert api.evidence == ()

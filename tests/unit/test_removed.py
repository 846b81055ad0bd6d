"""What becomes of an API depends on the version of Kubernetes that is to serve it."""

from __future__ import annotations

import pytest

from pipeline.core.predict.apis import api_problems, concerned
from pipeline.core.removed import Deprecated, Removed, fate, minor, removed
from tests.unit.predicting import read, told

POLICY = """\
apiVersion: admissionregistration.k8s.io/v1beta1
kind: ValidatingAdmissionPolicy
metadata: {name: it}
"""
CLAIM = "apiVersion: resource.k8s.io/v1beta1\nkind: ResourceClaim\nmetadata: {name: it, namespace: demo}\n"
ENDPOINTS = "kind: Endpoints\napiVersion: v1\nmetadata: {name: it, namespace: demo}\n"
CONFIG = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: it, namespace: demo}\n"


@pytest.mark.parametrize(
    ("version", "kind", "target", "expected"),
    [
        ("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema", "1.28", None),
        ("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema", "1.31", Deprecated),
        ("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema", "1.32", Removed),
        ("admissionregistration.k8s.io/v1beta1", "ValidatingAdmissionPolicy", "1.33", Deprecated),
        ("admissionregistration.k8s.io/v1beta1", "ValidatingAdmissionPolicy", "1.34", Removed),
        ("resource.k8s.io/v1beta1", "ResourceClaim", "1.34", None),
        ("resource.k8s.io/v1beta1", "ResourceClaim", "1.36", Deprecated),
        ("resource.k8s.io/v1beta1", "ResourceClaim", "1.38", Removed),
        ("storage.k8s.io/v1beta1", "VolumeAttributesClass", "1.34", Deprecated),
        ("networking.k8s.io/v1beta1", "ServiceCIDR", "1.36", Deprecated),
        ("v1", "Endpoints", "1.32", None),
        ("v1", "Endpoints", "1.33", Deprecated),
        ("v1", "Endpoints", "1.99", Deprecated),
        ("batch/v1beta1", "CronJob", "1.24", None),
        ("batch/v1beta1", "CronJob", "1.25", Removed),
        ("apps/v1", "Deployment", "1.36", None),
        ("example.com/v1beta1", "Ingress", "1.36", None),
        ("batch/v1beta1", "CronJob", "latest", None),
    ],
)
def test_the_version_decides_what_becomes_of_an_api(
    version: str, kind: str, target: str, expected: type | None
) -> None:
    found = fate(version, kind, target)
    assert (None if found is None else type(found)) is expected


@pytest.mark.parametrize("target", ["v1.34", "1.34.2", "v1.34.7-eks-3025e55", "1.34+"])
def test_versions_are_read_as_servers_write_them(target: str) -> None:
    assert minor(target) == (1, 34)
    assert isinstance(
        fate("admissionregistration.k8s.io/v1beta1", "ValidatingAdmissionPolicy", target), Removed
    )


def test_1_9_is_older_than_1_16() -> None:
    assert fate("apps/v1beta1", "Deployment", "1.9") is None


def test_what_some_supported_server_serves_is_not_removed_for_all() -> None:
    assert removed("admissionregistration.k8s.io/v1beta1", "ValidatingAdmissionPolicy") is None
    assert removed("batch/v1beta1", "CronJob") == Removed("1.25", "batch/v1")


# --- problems


def test_what_the_target_no_longer_serves_is_an_error_that_names_both() -> None:
    (problem,) = api_problems(read(POLICY), target="1.34")
    assert told([problem]) == [("removed-api", 1, False)]
    assert "was removed in Kubernetes 1.34" in problem.message
    assert problem.hint == "use admissionregistration.k8s.io/v1"


def test_what_is_deprecated_at_the_target_is_a_warning_with_its_end() -> None:
    (problem,) = api_problems(read(CLAIM), target="1.36")
    assert told([problem]) == [("deprecated-api", 1, True)]
    assert "since Kubernetes 1.35 and removed in 1.38" in problem.message


def test_the_line_is_that_of_the_api_version() -> None:
    assert told(api_problems(read(ENDPOINTS), target="1.36")) == [("deprecated-api", 2, True)]


def test_what_an_upgrade_is_going_to_refuse_is_a_warning_where_the_server_is_known() -> None:
    (problem,) = api_problems(read(POLICY), target="1.34", server="1.33.4")
    assert told([problem]) == [("removed-api", 1, True)]
    assert "will be refused after the upgrade to 1.34" in problem.message


@pytest.mark.parametrize("target", ["", "1.34", "1.36"])
def test_what_the_server_itself_lacks_is_an_error_whatever_the_target(target: str) -> None:
    assert told(api_problems(read(POLICY), target=target, server="1.34.1")) == [("removed-api", 1, False)]


def test_without_any_version_only_what_some_server_lacks_is_a_warning() -> None:
    assert told(api_problems(read(POLICY, CLAIM, ENDPOINTS))) == [("removed-api", 1, True)]


def test_what_validation_refuses_anyway_is_not_told_twice() -> None:
    cron = "apiVersion: batch/v1beta1\nkind: CronJob\nmetadata: {name: it, namespace: demo}\n"
    assert list(api_problems(read(cron), target="1.34")) == []


def test_only_sets_with_such_an_api_are_concerned() -> None:
    assert concerned(read(CONFIG, CLAIM))
    assert not concerned(read(CONFIG))

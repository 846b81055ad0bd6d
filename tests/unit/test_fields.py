"""Ownership as the API server writes it into metadata.managedFields, and what is taken out by it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pipeline.core.fields import FieldSet, clean, extract, managers, owned, owners, owning

WEB = 'k:{"name":"web"}'
HTTP = 'k:{"containerPort":80,"protocol":"TCP"}'

LIVE: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "web",
        "namespace": "demo",
        "uid": "u",
        "generation": 3,
        "resourceVersion": "9",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {"deployment.kubernetes.io/revision": "2"},
        "labels": {"app": "web", "team": "blue"},
        "finalizers": ["example.com/ours", "example.com/theirs"],
        "managedFields": [
            {
                "manager": "pipeline",
                "operation": "Apply",
                "apiVersion": "apps/v1",
                "fieldsType": "FieldsV1",
                "fieldsV1": {
                    "f:metadata": {
                        "f:labels": {"f:app": {}},
                        "f:finalizers": {'v:"example.com/ours"': {}},
                    },
                    "f:spec": {
                        "f:selector": {},
                        "f:template": {
                            "f:metadata": {"f:labels": {"f:app": {}}},
                            "f:spec": {
                                "f:tolerations": {},
                                "f:volumes": {'k:{"name":"tmp"}': {".": {}, "f:emptyDir": {}, "f:name": {}}},
                                "f:containers": {
                                    WEB: {
                                        ".": {},
                                        "f:name": {},
                                        "f:image": {},
                                        "f:args": {},
                                        "f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}},
                                        "f:ports": {
                                            HTTP: {".": {}, "f:containerPort": {}, "f:name": {}},
                                        },
                                    }
                                },
                            },
                        },
                    },
                },
            },
            {
                "manager": "scaler",
                "operation": "Update",
                "subresource": "scale",
                "fieldsV1": {"f:spec": {"f:replicas": {}}},
            },
            {
                "manager": "injector",
                "operation": "Update",
                "fieldsV1": {
                    "f:metadata": {
                        "f:labels": {"f:team": {}},
                        "f:finalizers": {".": {}, 'v:"example.com/theirs"': {}},
                    },
                    "f:spec": {
                        "f:template": {
                            "f:spec": {
                                "f:volumes": {'k:{"name":"tmp"}': {"f:emptyDir": {"f:sizeLimit": {}}}},
                                "f:containers": {
                                    'k:{"name":"sidecar"}': {".": {}, "f:name": {}, "f:image": {}},
                                    WEB: {
                                        "f:env": {'k:{"name":"B"}': {".": {}, "f:name": {}, "f:value": {}}}
                                    },
                                },
                            }
                        }
                    },
                },
            },
            {
                "manager": "kube-controller-manager",
                "operation": "Update",
                "subresource": "status",
                "fieldsV1": {
                    "f:metadata": {"f:annotations": {".": {}, "f:deployment.kubernetes.io/revision": {}}},
                    "f:status": {"f:readyReplicas": {}},
                },
            },
        ],
    },
    "spec": {
        "replicas": 5,
        "selector": {"matchLabels": {"app": "web"}},
        "progressDeadlineSeconds": 600,
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "tolerations": [{"key": "spot", "operator": "Exists"}],
                "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}],
                "containers": [
                    {"name": "sidecar", "image": "proxy:1"},
                    {
                        "name": "web",
                        "image": "web:1",
                        "imagePullPolicy": "IfNotPresent",
                        "args": ["serve", "--fast"],
                        "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
                        "ports": [
                            {"name": "udp", "containerPort": 80, "protocol": "UDP"},
                            {"name": "http", "containerPort": 80, "protocol": "TCP"},
                        ],
                    },
                ],
            },
        },
    },
    "status": {"readyReplicas": 5},
}

OURS: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "web",
        "namespace": "demo",
        "labels": {"app": "web"},
        "finalizers": ["example.com/ours"],
    },
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "tolerations": [{"key": "spot", "operator": "Exists"}],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
                "containers": [
                    {
                        "name": "web",
                        "image": "web:1",
                        "args": ["serve", "--fast"],
                        "env": [{"name": "A", "value": "1"}],
                        "ports": [{"name": "http", "containerPort": 80}],
                    }
                ],
            },
        },
    },
}


def test_what_we_applied_comes_out_and_nothing_else() -> None:
    assert extract(LIVE, owned(LIVE, "pipeline")) == OURS


def test_extracting_leaves_the_object_as_it_was() -> None:
    before = copy.deepcopy(LIVE)
    extract(LIVE, owned(LIVE, "pipeline"))
    clean(LIVE)
    assert before == LIVE


def test_a_manager_that_owns_nothing_extracts_the_identity_alone() -> None:
    assert not owned(LIVE, "nobody")
    assert extract(LIVE, owned(LIVE, "nobody")) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "demo"},
    }


def test_another_operation_or_a_subresource_is_another_manager() -> None:
    assert not owned(LIVE, "pipeline", "Update")
    assert not owned(LIVE, "scaler", "Update")
    assert [who.subresource for who, _ in managers(LIVE)] == ["", "scale", "", "status"]


def test_a_field_that_became_ours_later_is_restored_and_a_new_one_left_out() -> None:
    later = FieldSet.parse({"f:spec": {"f:progressDeadlineSeconds": {}, "f:paused": {}}})
    restored = extract(LIVE, owned(LIVE, "pipeline").union(later))
    assert restored["spec"]["progressDeadlineSeconds"] == 600
    assert "paused" not in restored["spec"]


def test_list_items_keep_the_order_of_the_object_and_their_keys() -> None:
    order = FieldSet.parse(
        {"f:spec": {"f:l": {'k:{"name":"b"}': {"f:x": {}}, 'k:{"name":"a"}': {".": {}, "f:y": {}}}}}
    )
    obj = {
        "apiVersion": "v1",
        "kind": "K",
        "metadata": {"name": "n"},
        "spec": {"l": [{"name": "a", "x": 1}, {"name": "c", "x": 2}, {"name": "b", "x": 3}]},
    }
    assert extract(obj, order)["spec"] == {"l": [{"name": "a"}, {"name": "b", "x": 3}]}


def test_a_key_that_the_server_defaults_need_not_be_written() -> None:
    ports = FieldSet.parse(
        {"f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}}}}
    )
    obj = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "n"},
        "spec": {"ports": [{"port": 80}]},
    }
    assert extract(obj, ports)["spec"] == {"ports": [{"port": 80}]}


@pytest.mark.parametrize(("step", "picked"), [("i:1", ["b"]), ('v:"a"', ["a"]), ("v:1", []), ("v:{", [])])
def test_values_and_indexes_select_items(step: str, picked: list[str]) -> None:
    obj = {"apiVersion": "v1", "kind": "K", "metadata": {"name": "n"}, "spec": {"l": ["a", "b", True]}}
    assert (
        extract(obj, FieldSet.parse({"f:spec": {"f:l": {step: {}}}})).get("spec", {}).get("l", []) == picked
    )


def test_an_owned_empty_map_stays() -> None:
    obj = {"apiVersion": "v1", "kind": "K", "metadata": {"name": "n"}, "spec": {"a": {}, "b": {"c": 1}}}
    fields = FieldSet.parse({"f:spec": {"f:a": {".": {}, "f:gone": {}}, "f:b": {"f:gone": {}}}})
    assert extract(obj, fields)["spec"] == {"a": {}}


def test_union_holds_what_is_in_either() -> None:
    one = FieldSet.parse({"f:a": {"f:b": {}}, "f:c": {}})
    other = FieldSet.parse({"f:a": {".": {}, "f:d": {}}, "f:c": {"f:e": {}}})
    both = one.union(other)
    assert both == other.union(one)
    assert both == FieldSet.parse({"f:a": {".": {}, "f:b": {}, "f:d": {}}, "f:c": {".": {}, "f:e": {}}})


POD = ("spec", "template", "spec")


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (("spec", "replicas"), ["scaler"]),
        ((*POD, "containers", 1, "image"), ["pipeline"]),
        ((*POD, "containers", 0, "image"), ["injector"]),
        ((*POD, "containers", 1, "env", 0, "value"), ["injector"]),
        ((*POD, "containers", 1, "env"), ["injector", "pipeline"]),
        ((*POD, "containers", 1, "ports", 0), []),
        ((*POD, "containers", 1, "ports", 1, "name"), ["pipeline"]),
        ((*POD, "containers", 1, "args", 1), ["pipeline"]),
        ((*POD, "tolerations", 0, "key"), ["pipeline"]),
        ((*POD, "volumes", 0, "emptyDir", "sizeLimit"), ["injector"]),
        (("metadata", "finalizers", 1), ["injector"]),
        (("metadata", "annotations", "deployment.kubernetes.io/revision"), ["kube-controller-manager"]),
        (("spec", "progressDeadlineSeconds"), []),
        ((*POD, "containers", 7, "image"), []),
    ],
)
def test_a_field_has_the_owners_that_wrote_it_or_around_it(
    path: tuple[str | int, ...], names: list[str]
) -> None:
    assert [who.name for who in owning(LIVE, path)] == names


def test_owners_are_told_with_operation_and_subresource() -> None:
    assert owners(LIVE, ("spec", "replicas")) == ["scaler (Update, scale)"]
    assert owners(LIVE, ("spec", "selector")) == ["pipeline (Apply)"]


@pytest.mark.parametrize("broken", [None, "x", [None], [{}], [{"fieldsV1": "x"}], [{"fieldsV1": {"q": {}}}]])
def test_managed_fields_that_cannot_be_read_own_nothing(broken: Any) -> None:
    obj = {
        "apiVersion": "v1",
        "kind": "K",
        "metadata": {"name": "n", "managedFields": broken},
        "spec": {"a": 1},
    }
    assert owners(obj, ("spec", "a")) == []
    assert extract(obj, owned(obj, ""))["metadata"] == {"name": "n"}


def test_clean_leaves_what_somebody_wanted() -> None:
    cleaned = clean(LIVE)
    assert set(cleaned) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(cleaned["metadata"]) == {"name", "namespace", "labels", "finalizers"}


def test_clean_keeps_annotations_of_users() -> None:
    annotations = {"a": "b", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    obj = {"apiVersion": "v1", "kind": "K", "metadata": {"name": "n", "annotations": annotations}}
    assert clean(obj)["metadata"] == {"name": "n", "annotations": {"a": "b"}}


JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "migrate"},
    "spec": {
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}},
        "template": {
            "metadata": {
                "labels": {
                    "app": "web",
                    "controller-uid": "u-1",
                    "job-name": "migrate",
                    "batch.kubernetes.io/controller-uid": "u-1",
                    "batch.kubernetes.io/job-name": "migrate",
                }
            },
            "spec": {"containers": []},
        },
    },
}


def test_what_the_server_made_of_a_jobs_uid_is_not_what_somebody_wanted():
    cleaned = clean(JOB)

    assert "selector" not in cleaned["spec"]
    assert cleaned["spec"]["template"]["metadata"] == {"labels": {"app": "web"}}
    assert "selector" in JOB["spec"], "the object itself is untouched"


def test_the_selector_that_somebody_wrote_for_a_job_is_kept():
    job = {**JOB, "spec": {**JOB["spec"], "manualSelector": True}}

    assert clean(job)["spec"] == job["spec"]


def test_half_a_job_is_no_stumbling_block():
    for spec in (None, {}, {"template": {}}, {"template": {"metadata": {}}}):
        clean({**JOB, "spec": spec})

"""What API servers of all ages say that they serve."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.adapters.discovery import named_versions


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {
                "kind": "APIGroupDiscoveryList",
                "items": [
                    {"metadata": {"name": "apps"}, "versions": [{"version": "v1"}, {"version": "v1beta1"}]},
                    {"metadata": {}, "versions": [{"version": "v1"}]},
                    # Its own server does not answer: no kinds, but it is there.
                    {
                        "metadata": {"name": "metrics.k8s.io"},
                        "versions": [{"version": "v1", "freshness": "Stale"}],
                    },
                ],
            },
            ["apps/v1", "apps/v1beta1", "v1", "metrics.k8s.io/v1"],
        ),
        (
            {"kind": "APIGroupList", "groups": [{"name": "apps", "versions": [{"groupVersion": "apps/v1"}]}]},
            ["apps/v1"],
        ),
        ({"kind": "APIVersions", "versions": ["v1"]}, ["v1"]),
        ({}, []),
    ],
)
def test_versions_are_named_in_every_form_of_answer(document: dict[str, Any], expected: list[str]) -> None:
    assert list(named_versions(document)) == expected

"""What the API server says of us: who we are to it, and what we may do. Reviews that store nothing."""

from __future__ import annotations

from pipeline.core.access import Access
from pipeline.model.errors import ApiError, PipelineError

from .http import Call, Http


def identity(http: Http) -> str:
    """The cluster's name for us; empty where the server does not tell."""
    try:
        review = http.json(
            Call(
                method="POST",
                path="/apis/authentication.k8s.io/v1/selfsubjectreviews",
                what="ask the cluster who we are",
                body={"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
                idempotent=True,  # nothing is stored
            )
        )
    except ApiError as exc:
        if exc.status in (403, 404):
            return ""
        raise
    return str(((review.get("status") or {}).get("userInfo") or {}).get("username") or "")


def allowed(http: Http, access: Access) -> bool | None:
    """Whether we may; None where the server does not tell."""
    attributes = {
        "verb": access.verb,
        "group": access.group,
        "resource": access.resource,
        "namespace": access.namespace,
    }
    call = Call(
        method="POST",
        path="/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        what="ask the cluster what we may do",
        body={
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        },
        idempotent=True,  # nothing is stored
        paced=True,
    )
    try:
        status = http.json(call).get("status") or {}
    except PipelineError:
        return None
    return bool(status.get("allowed"))

"""What is sent to the API server for a manifest: the user's object, our two labels, nothing else."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.core import fields
from pipeline.model.environment import Environment
from pipeline.model.objects import Manifest, Object, ObjectRef, get_path

APPLICATION_LABEL = "pipeline/application"
ENVIRONMENT_LABEL = "pipeline/environment"
FIELD_MANAGER = "pipeline"


def body_of(manifest: Manifest, environment: Environment) -> Object:
    """The manifest's object with the labels of its owner. Content digests are made of this."""
    meta = manifest.body["metadata"]
    labels = meta.get("labels")
    owner = {APPLICATION_LABEL: environment.application, ENVIRONMENT_LABEL: environment.name}
    owned = {**meta, "labels": {**(labels if isinstance(labels, dict) else {}), **owner}}
    body = {**manifest.body, "metadata": owned}
    return encoded(body) if manifest.ref.group_kind == ("", "Secret") else body


def encoded(secret: Object) -> Object:
    """The Secret with ``stringData`` moved into ``data``, as the server does.

    It is never stored, so whoever owns it owns nothing: its keys could neither be taken away again nor put
    back. What is no text is left for the server to refuse.
    """
    plain, data = secret.get("stringData"), secret.get("data")
    if not isinstance(plain, dict) or not all(isinstance(text, str) for text in plain.values()):
        return secret
    if not isinstance(data, dict | None):
        return secret
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in plain.items()}
    rest = {key: value for key, value in secret.items() if key != "stringData"}
    return {**rest, "data": {**(data or {}), **encoded}}


def foreign_owner(live: Object, environment: Environment) -> str:
    """Who else's release owns the object: ``application/environment``, or empty."""
    labels = get_path(live, "metadata", "labels", default={})
    owner = labels.get(APPLICATION_LABEL), labels.get(ENVIRONMENT_LABEL)
    if owner == (None, None) or owner == (environment.application, environment.name):
        return ""
    return f"{owner[0] or '?'}/{owner[1] or '?'}"


def is_ours(live: Object, environment: Environment) -> bool:
    """Whether the object carries the labels of this application and environment."""
    labels = get_path(live, "metadata", "labels", default={})
    owner = labels.get(APPLICATION_LABEL), labels.get(ENVIRONMENT_LABEL)
    return owner == (environment.application, environment.name)


def owner_selector(environment: Environment) -> str:
    """The label selector of all that this application and environment owns."""
    return f"{APPLICATION_LABEL}={environment.application},{ENVIRONMENT_LABEL}={environment.name}"


def scaled_by_autoscaler(objects: Iterable[Mapping[str, Any]]) -> frozenset[ObjectRef]:
    """The workloads that the autoscalers among ``objects`` scale: HorizontalPodAutoscalers, and KEDA's
    ScaledObjects, which make one."""
    targets = set()
    for obj in objects:
        if obj.get("kind") not in ("HorizontalPodAutoscaler", "ScaledObject"):
            continue
        target = get_path(obj, "spec", "scaleTargetRef", default={})
        default = "apps/v1" if obj["kind"] == "ScaledObject" else ""
        group, _, _ = str(target.get("apiVersion") or default).rpartition("/")
        kind = target.get("kind") or ("Deployment" if obj["kind"] == "ScaledObject" else "")
        if kind and target.get("name"):
            namespace = str(get_path(obj, "metadata", "namespace", default=""))
            targets.add(ObjectRef(group, str(kind), namespace, str(target["name"])))
    return frozenset(targets)


def is_scaled(live: Object | None) -> bool:
    """Whether an autoscaler, wherever it stands, has set ``spec.replicas``: through the scale subresource,
    and not by a person's ``kubectl scale``."""
    if live is None or get_path(live, "spec", "replicas") is None:
        return False
    entries = get_path(live, "metadata", "managedFields", default=[])
    if not any(get_path(entry, "subresource") == "scale" for entry in entries):
        return False  # as nearly all are: a thousand objects need not be looked at any closer
    owners = fields.owning(live, ("spec", "replicas"))
    return any(who.subresource == "scale" and not who.name.startswith("kubectl") for who in owners)


def leave_replicas(body: Object, live: Object | None) -> Object:
    """``body`` with ``spec.replicas`` left to its autoscaler.

    Left out where an autoscaler owns the field by now. Where we alone own it, an apply without it would reset
    it to the default of 1 before the autoscaler wakes up: there it is sent with the live number. On creation
    the manifest's own number stands.
    """
    replicas = get_path(live, "spec", "replicas")
    if replicas is None:
        return body
    if not isinstance(body.get("spec"), dict) or "replicas" not in body["spec"]:
        return body
    if is_scaled(live):
        return {**body, "spec": {key: value for key, value in body["spec"].items() if key != "replicas"}}
    return {**body, "spec": {**body["spec"], "replicas": replicas}}

"""Admission: webhook configurations that wait for their CA, and policies with doubtful expressions."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.core.readiness.verdicts import Facts, current, exists, waiting
from pipeline.core.reading import items, mapping, text
from pipeline.model.objects import Json, Object
from pipeline.model.status import ObjectStatus

_INJECTED_BY = (
    "cert-manager.io/inject-ca-from",
    "cert-manager.io/inject-ca-from-secret",
    "cert-manager.io/inject-apiserver-ca",
)
"""Annotations by which cert-manager's CA injector writes ``caBundle`` (cert-manager.io, "CA Injector")."""

_PLACEHOLDERS = (
    "",
    "Cg==",
)  # Cg== is a line break: what kubebuilder writes until the injector has been there


def webhooks(obj: Object, facts: Facts) -> ObjectStatus:
    """In force at once; but where an injector is to bring the CA, no call succeeds before it has.

    "caBundle is a PEM encoded CA bundle which will be used to validate the webhook's server certificate. If
    unspecified, system trust roots on the apiserver are used" (admissionregistration.k8s.io/v1).
    """
    clients = ((text(hook, "name"), mapping(hook, "clientConfig")) for hook in items(obj, "webhooks"))
    names = list(_without_ca(obj, clients))
    if names:
        return waiting("CABundlePending", f"cert-manager has not written the CA of {', '.join(names)} yet")
    return exists(obj, facts)


def conversion_waits(definition: Object) -> bool:
    """Whether a CustomResourceDefinition's conversion webhook waits for its CA, likewise."""
    client = mapping(definition, "spec", "conversion", "webhook", "clientConfig")
    return any(_without_ca(definition, [("conversion", client)] if client else []))


def _without_ca(obj: Object, clients: Iterator[tuple[str, Json]] | list[tuple[str, Json]]) -> Iterator[str]:
    notes = mapping(obj, "metadata", "annotations")
    if any(note in notes for note in _INJECTED_BY):
        yield from (name for name, client in clients if text(client, "caBundle") in _PLACEHOLDERS)


def policy(obj: Object, facts: Facts) -> ObjectStatus:
    """In force at once; "expressionWarnings: the type checking warnings for each expression"
    (admissionregistration.k8s.io/v1 TypeChecking) are told."""
    path = ("status", "typeChecking", "expressionWarnings")
    told = [f"{text(w, 'fieldRef')}: {text(w, 'warning')}" for w in items(obj, *path)]
    return current("Exists", "has nothing to wait for", warning="; ".join(told))

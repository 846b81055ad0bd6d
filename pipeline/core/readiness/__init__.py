"""Readiness: what a live object's state means, in kstatus terms.

Where kstatus is known to be too kind for a gate (a failed Pod, a running Job, a load balancer
without address and a custom resource without status are Current to it), the stricter reading
is taken. Each family of kinds has its module; ``RULES`` is the table of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.core.readiness import (
    admission,
    autoscaling,
    deleting,
    gateways,
    generic,
    pods,
    policies,
    services,
    storage,
    workloads,
)
from pipeline.core.readiness.verdicts import Facts, ReadinessRule, current, exists, failed, waiting
from pipeline.core.reading import is_deleting, number, observed, text
from pipeline.core.ready_rules import Rules, parse_rule, parse_rules, rules_for
from pipeline.model.environment import ReadyRule
from pipeline.model.objects import Object
from pipeline.model.status import ObjectStatus, Status

__all__ = ["BUILT_IN_GROUPS", "RULES", "assess", "exists_is_enough", "parse_rule", "parse_rules"]

_GATEWAY = "gateway.networking.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"

RULES: Mapping[tuple[str, str], ReadinessRule] = {
    ("apps", "Deployment"): workloads.deployment,
    ("apps", "StatefulSet"): workloads.stateful_set,
    ("apps", "DaemonSet"): workloads.daemon_set,
    ("apps", "ReplicaSet"): workloads.replica_set,
    ("", "ReplicationController"): workloads.replica_set,
    ("", "Pod"): pods.pod,
    ("batch", "Job"): pods.job,
    ("batch", "CronJob"): pods.cron_job,
    ("", "Service"): services.service,
    ("networking.k8s.io", "Ingress"): services.ingress,
    ("autoscaling", "HorizontalPodAutoscaler"): autoscaling.autoscaler,
    ("policy", "PodDisruptionBudget"): policies.disruption_budget,
    ("", "PersistentVolumeClaim"): storage.claim,
    ("", "PersistentVolume"): storage.volume,
    ("", "Namespace"): storage.namespace,
    ("", "ResourceQuota"): policies.quota,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): generic.definition,
    ("apiregistration.k8s.io", "APIService"): generic.api_service,
    ("", "Node"): generic.by_ready,
    ("networking.k8s.io", "ServiceCIDR"): generic.by_ready,
    ("certificates.k8s.io", "CertificateSigningRequest"): generic.signing_request,
    ("storagemigration.k8s.io", "StorageVersionMigration"): generic.migration,
    (_ADMISSION, "ValidatingAdmissionPolicy"): admission.policy,
    (_ADMISSION, "ValidatingWebhookConfiguration"): admission.webhooks,
    (_ADMISSION, "MutatingWebhookConfiguration"): admission.webhooks,
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): policies.flow_schema,
    (_GATEWAY, "GatewayClass"): gateways.gateway_class,
    (_GATEWAY, "Gateway"): gateways.gateway,
    (_GATEWAY, "ListenerSet"): gateways.gateway,
    (_GATEWAY, "HTTPRoute"): gateways.route,
    (_GATEWAY, "GRPCRoute"): gateways.route,
    (_GATEWAY, "TLSRoute"): gateways.route,
    (_GATEWAY, "TCPRoute"): gateways.route,
    (_GATEWAY, "UDPRoute"): gateways.route,
    (_GATEWAY, "BackendTLSPolicy"): gateways.policy,
    (_GATEWAY, "ReferenceGrant"): exists,  # has no status (gateway-api apis/v1beta1)
}

# Served by the API server itself. A group that merely ends in k8s.io (gateway.networking.k8s.io,
# snapshot.storage.k8s.io) comes from a CRD, so suffixes do not tell.
BUILT_IN_GROUPS = frozenset(
    {
        "",
        "apps",
        "autoscaling",
        "batch",
        "extensions",
        "policy",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "internal.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
    }
)


def assess(
    obj: Object | None,
    *,
    rules: Sequence[ReadyRule] = (),
    has_status_subresource: bool | None = None,
    since: float | None = None,
    now: float | None = None,
    wait_for_first_consumer: bool = False,
    class_exists: bool | None = None,
    target_exists: bool | None = None,
    endpoints: int | None = None,
    excused_nodes: int = 0,
) -> ObjectStatus:
    """Judge one live object; None is an object that does not exist.

    ``since`` is when we wrote it and ``now`` the present, both in seconds since 1970 on the server's
    clock: a Deployment's deadline that was exceeded before our write is no evidence. With
    ``wait_for_first_consumer`` a Pending claim is Current with a warning, because nothing
    binds it before its consumer exists. ``Facts`` tells of the others. Annotations and ``rules`` win over
    what is built in.

    Raises:
        ValueError: a rule in an annotation or in ``rules`` cannot be read; nothing else raises.
    """
    if obj is None:
        return ObjectStatus(Status.NOT_FOUND, "NotFound", "does not exist")
    if is_deleting(obj):
        return deleting.terminating(obj)
    facts = Facts(
        since=since,
        now=now,
        has_status_subresource=has_status_subresource,
        wait_for_first_consumer=wait_for_first_consumer,
        class_exists=class_exists,
        target_exists=target_exists,
        endpoints=endpoints,
        excused_nodes=excused_nodes,
    )
    own = rules_for(obj, rules)
    if not observed(obj) and not _is_idle(obj):
        told = _told_of_newest(obj, facts) if own is None else None
        return told or waiting("NotObserved", _unobserved(obj))
    ruled = _by_rules(obj, own)
    if ruled is not None:
        return ruled
    return _built_in(obj, facts)


def exists_is_enough(obj: Object, rules: Sequence[ReadyRule] = ()) -> bool:
    """Whether the object is Current as soon as it exists, so that there is nothing to watch.

    Raises:
        ValueError: as ``assess``.
    """
    group, _, _ = text(obj, "apiVersion").rpartition("/")
    rule = RULES.get((group, text(obj, "kind")), exists if group in BUILT_IN_GROUPS else None)
    return rule is exists and rules_for(obj, rules) is None


def _built_in(obj: Object, facts: Facts) -> ObjectStatus:
    group, _, _ = text(obj, "apiVersion").rpartition("/")
    rule = RULES.get((group, text(obj, "kind")))
    if rule is not None:
        return rule(obj, facts)
    if group in BUILT_IN_GROUPS:
        return exists(obj, facts)
    # Late: the table of custom resources is the largest module of all, and most sets have none.
    from pipeline.core.readiness import custom_rules

    return custom_rules.assess_custom(obj, facts)


def _is_idle(obj: Object) -> bool:
    """A custom resource that its controller is told to leave alone."""
    if text(obj, "apiVersion").rpartition("/")[0] in BUILT_IN_GROUPS:
        return False
    from pipeline.core.readiness import custom_rules  # late, as above

    return custom_rules.is_idle(obj)


def _told_of_newest(obj: Object, facts: Facts) -> ObjectStatus | None:
    """A custom resource whose status stays behind while something fails."""
    if text(obj, "apiVersion").rpartition("/")[0] in BUILT_IN_GROUPS:
        return None
    from pipeline.core.readiness import custom_rules  # late, as above

    return custom_rules.fault_of_newest(obj, facts)


def _unobserved(obj: Object) -> str:
    seen = number(obj, "status", "observedGeneration")
    newest = number(obj, "metadata", "generation")
    return f"its controller has seen generation {seen} of {newest}"


def _by_rules(obj: Object, rules: Rules | None) -> ObjectStatus | None:
    if rules is None:
        return None
    for rule in rules.failed:
        if rule.holds(obj):
            return failed("FailedRule", f"its rule for failure holds: {rule.source}")
    if not rules.ready:
        return None
    missing = [rule.source for rule in rules.ready if not rule.holds(obj)]
    progress = (len(rules.ready) - len(missing), len(rules.ready))
    if missing:
        return waiting("RuleNotMet", f"waits for {', '.join(missing)}", progress=progress)
    return current("RuleMet", "its rules for readiness hold", progress=progress)

"""What objects name."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.references import Use, pod_spec_path, provided_by, provides, references
from pipeline.model.objects import Manifest, ObjectRef, Origin, get_path


def _obj(api_version: str, kind: str, namespace: str = "demo", **fields: Any) -> dict[str, Any]:
    meta = {"name": "it"} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **fields}


def _names(obj: dict[str, Any]) -> list[tuple[str, str | None, bool, str]]:
    return [(str(r.target), r.key, r.optional, r.kind.value) for r in references(obj)]


POD_SPEC: dict[str, Any] = {
    "serviceAccountName": "runner",
    "imagePullSecrets": [{"name": "pull"}],
    "priorityClassName": "high",
    "runtimeClassName": "gvisor",
    "initContainers": [{"name": "i", "envFrom": [{"configMapRef": {"name": "early"}}]}],
    "containers": [
        {
            "name": "c",
            "env": [
                {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "a"}}},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "b", "optional": True}}},
                {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
            "envFrom": [{"secretRef": {"name": "env", "optional": True}}],
        }
    ],
    "volumes": [
        {"name": "1", "configMap": {"name": "files", "items": [{"key": "k", "path": "p"}]}},
        {"name": "2", "secret": {"secretName": "tls"}},
        {"name": "3", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "4", "projected": {"sources": [{"secret": {"name": "p", "items": [{"key": "x"}]}}]}},
        {"name": "5", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "node"}}},
        {"name": "6", "emptyDir": {}},
    ],
}

POD_NAMES = [
    ("/ServiceAccount/demo/runner", None, False, "identity"),
    ("/Secret/demo/pull", None, False, "config"),
    ("scheduling.k8s.io/PriorityClass//high", None, False, "class"),
    ("node.k8s.io/RuntimeClass//gvisor", None, False, "class"),
    ("/ConfigMap/demo/early", None, False, "config"),
    ("/Secret/demo/env", None, True, "config"),
    ("/ConfigMap/demo/cm", None, False, "config"),
    ("/ConfigMap/demo/cm", "a", False, "config"),
    ("/Secret/demo/s", None, True, "config"),
    ("/Secret/demo/s", "b", True, "config"),
    ("/ConfigMap/demo/files", None, False, "config"),
    ("/ConfigMap/demo/files", "k", False, "config"),
    ("/Secret/demo/tls", None, False, "config"),
    ("/PersistentVolumeClaim/demo/data", None, False, "storage"),
    ("/Secret/demo/p", None, False, "config"),
    ("/Secret/demo/p", "x", False, "config"),
    ("/Secret/demo/node", None, False, "config"),
]


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("v1", "Pod"),
        ("v1", "ReplicationController"),
        ("v1", "PodTemplate"),
        ("apps/v1", "Deployment"),
        ("apps/v1", "ReplicaSet"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("batch/v1", "Job"),
        ("batch/v1", "CronJob"),
        ("argoproj.io/v1alpha1", "Rollout"),
        ("apps.kruise.io/v1alpha1", "CloneSet"),
        ("apps.kruise.io/v1beta1", "StatefulSet"),
        ("apps.kruise.io/v1alpha1", "DaemonSet"),
        ("keda.sh/v1alpha1", "ScaledJob"),
        ("serving.knative.dev/v1", "Service"),
        ("serving.knative.dev/v1", "Configuration"),
    ],
)
def test_every_workload_names_what_its_pods_rest_on(api_version: str, kind: str) -> None:
    obj = _obj(api_version, kind)
    path = pod_spec_path(obj)
    assert path is not None
    holder = obj
    for step in path[:-1]:
        holder = holder.setdefault(step, {})
    holder[path[-1]] = POD_SPEC
    assert _names(obj) == POD_NAMES


def test_the_path_of_a_reference_leads_to_the_name_or_the_key() -> None:
    obj = _obj("v1", "Pod", spec=POD_SPEC)
    for reference in references(obj):
        assert get_path(obj, *reference.path) == (reference.key or reference.target.name)


def test_the_default_service_account_is_no_reference() -> None:
    assert references(_obj("v1", "Pod", spec={"serviceAccountName": "default"})) == []


def test_the_old_spelling_of_the_service_account_counts() -> None:
    assert _names(_obj("v1", "Pod", spec={"serviceAccount": "old"})) == [
        ("/ServiceAccount/demo/old", None, False, "identity")
    ]


def test_a_role_binding_names_its_role_and_its_accounts() -> None:
    obj = _obj(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        subjects=[
            {"kind": "ServiceAccount", "name": "here"},
            {"kind": "ServiceAccount", "name": "there", "namespace": "other"},
            {"kind": "User", "name": "alice"},
        ],
    )
    assert _names(obj) == [
        ("rbac.authorization.k8s.io/Role/demo/r", None, False, "role"),
        ("/ServiceAccount/demo/here", None, True, "identity"),
        ("/ServiceAccount/other/there", None, True, "identity"),
    ]


def test_a_binding_to_a_cluster_role_names_it_without_namespace() -> None:
    obj = _obj("rbac.authorization.k8s.io/v1", "RoleBinding", roleRef={"kind": "ClusterRole", "name": "view"})
    assert _names(obj) == [("rbac.authorization.k8s.io/ClusterRole//view", None, False, "role")]


def test_an_ingress_names_services_class_and_certificate() -> None:
    obj = _obj(
        "networking.k8s.io/v1",
        "Ingress",
        spec={
            "ingressClassName": "alb",
            "defaultBackend": {"service": {"name": "fallback"}},
            "rules": [{"http": {"paths": [{"backend": {"service": {"name": "web"}}}]}}],
            "tls": [{"secretName": "cert"}],
        },
    )
    assert _names(obj) == [
        ("networking.k8s.io/IngressClass//alb", None, False, "class"),
        ("/Service/demo/fallback", None, False, "route"),
        ("/Service/demo/web", None, False, "route"),
        ("/Secret/demo/cert", None, True, "config"),
    ]


def test_an_autoscaler_names_its_target() -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    obj = _obj("autoscaling/v2", "HorizontalPodAutoscaler", spec={"scaleTargetRef": target})
    assert _names(obj) == [("apps/Deployment/demo/web", None, False, "scale")]


def test_a_stateful_set_names_its_headless_service_and_storage_class() -> None:
    claims = [{"metadata": {"name": "data"}, "spec": {"storageClassName": "gp3"}}]
    obj = _obj("apps/v1", "StatefulSet", spec={"serviceName": "db", "volumeClaimTemplates": claims})
    assert _names(obj) == [
        ("/Service/demo/db", None, True, "route"),
        ("storage.k8s.io/StorageClass//gp3", None, False, "class"),
    ]


def test_a_claim_without_storage_class_names_none() -> None:
    assert references(_obj("v1", "PersistentVolumeClaim", spec={"storageClassName": ""})) == []


def test_a_claim_bound_to_a_volume_by_name_needs_no_storage_class() -> None:
    obj = _obj("v1", "PersistentVolumeClaim", spec={"storageClassName": "manual", "volumeName": "pv"})
    assert [r.optional for r in references(obj) if r.kind is Use.CLASS] == [True]


@pytest.mark.parametrize("kind", ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"])
def test_a_webhook_configuration_names_the_service_that_answers(kind: str) -> None:
    hooks = [
        {"clientConfig": {"service": {"name": "hook", "namespace": "sys"}}},
        {"clientConfig": {"url": "u"}},
    ]
    obj = _obj("admissionregistration.k8s.io/v1", kind, "", webhooks=hooks)
    assert _names(obj) == [("/Service/sys/hook", None, False, "route")]


def test_an_api_service_names_its_service() -> None:
    obj = _obj(
        "apiregistration.k8s.io/v1", "APIService", "", spec={"service": {"name": "m", "namespace": "sys"}}
    )
    assert _names(obj) == [("/Service/sys/m", None, False, "route")]


def test_a_local_api_service_names_none() -> None:
    assert references(_obj("apiregistration.k8s.io/v1", "APIService", "", spec={"service": None})) == []


def test_a_route_of_the_gateway_api_names_gateway_and_service() -> None:
    spec = {
        "parentRefs": [{"name": "edge", "namespace": "net"}],
        "rules": [{"backendRefs": [{"name": "web"}]}],
    }
    assert _names(_obj("gateway.networking.k8s.io/v1", "HTTPRoute", spec=spec)) == [
        ("gateway.networking.k8s.io/Gateway/net/edge", None, True, "route"),
        ("/Service/demo/web", None, True, "route"),
    ]


@pytest.mark.parametrize("junk", [None, 1, "x", [], {}, [None], [[1]], {"a": None}])
def test_malformed_fields_name_nothing_and_raise_nothing(junk: Any) -> None:
    fields = ["spec", "webhooks", "subjects", "roleRef", "secrets"]
    for kind in ["Pod", "Deployment", "Ingress", "RoleBinding", "APIService", "StatefulSet", "CronJob"]:
        for group in ["v1", "apps/v1", "batch/v1", "networking.k8s.io/v1", "rbac.authorization.k8s.io/v1"]:
            assert references(_obj(group, kind, **dict.fromkeys(fields, junk))) == []
    for field in ["containers", "volumes", "imagePullSecrets", "serviceAccountName", "resourceClaims"]:
        assert all(r.target.name == "x" for r in references(_obj("v1", "Pod", spec={field: junk})))


# --- order only, and custom resources


def test_a_network_policy_names_the_namespaces_that_it_selects_by_name() -> None:
    label = "kubernetes.io/metadata.name"
    one_of = {"matchExpressions": [{"key": label, "operator": "In", "values": ["b", "c"]}]}
    spec = {
        "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {label: "a"}}}]}],
        "egress": [
            {"to": [{"namespaceSelector": one_of}, {"namespaceSelector": {"matchLabels": {"x": "y"}}}]}
        ],
    }
    obj = _obj("networking.k8s.io/v1", "NetworkPolicy", spec=spec)
    assert [str(r.target) for r in references(obj)] == ["/Namespace//a", "/Namespace//b", "/Namespace//c"]
    assert all(r.soft and get_path(obj, *r.path) == r.target.name for r in references(obj))


@pytest.mark.parametrize(
    ("ref", "target"),
    [
        ({"name": "i"}, "cert-manager.io/Issuer/demo/i"),
        ({"name": "i", "kind": "ClusterIssuer"}, "cert-manager.io/ClusterIssuer//i"),
        ({"name": "i", "kind": "CA", "group": "example.com"}, "example.com/CA/demo/i"),
    ],
)
def test_a_certificate_waits_for_its_issuer_to_be_ready(ref: dict[str, str], target: str) -> None:
    (found,) = references(_obj("cert-manager.io/v1", "Certificate", spec={"issuerRef": ref}))
    assert (str(found.target), found.strength) == (target, "ready")


def test_an_external_secret_names_its_stores() -> None:
    spec = {
        "secretStoreRef": {"name": "s"},
        "data": [{"sourceRef": {"storeRef": {"name": "c", "kind": "ClusterSecretStore"}}}],
    }
    assert [
        str(r.target) for r in references(_obj("external-secrets.io/v1", "ExternalSecret", spec=spec))
    ] == [
        "external-secrets.io/SecretStore/demo/s",
        "external-secrets.io/ClusterSecretStore//c",
    ]


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ({"name": "web"}, "apps/Deployment/demo/web"),
        (
            {"name": "r", "kind": "Rollout", "apiVersion": "argoproj.io/v1alpha1"},
            "argoproj.io/Rollout/demo/r",
        ),
    ],
)
def test_a_keda_scaler_names_its_target_and_its_login(target: dict[str, str], named: str) -> None:
    triggers = [{"authenticationRef": {"name": "login"}}, {"type": "cpu"}]
    spec = {"scaleTargetRef": target, "triggers": triggers}
    assert _names(_obj("keda.sh/v1alpha1", "ScaledObject", spec=spec)) == [
        (named, None, False, "scale"),
        ("keda.sh/TriggerAuthentication/demo/login", None, False, "source"),
    ]


def test_a_virtual_service_names_gateways_and_services() -> None:
    def to(host: str) -> dict[str, Any]:
        return {"route": [{"destination": {"host": host}}]}

    hosts = ["web", "api.other", "db.other.svc.cluster.local", "www.example.com"]
    spec = {"gateways": ["mesh", "edge", "net/public"], "http": [to(host) for host in hosts]}
    obj = _obj("networking.istio.io/v1", "VirtualService", spec=spec)
    assert [str(r.target) for r in references(obj)] == [
        "networking.istio.io/Gateway/demo/edge",
        "networking.istio.io/Gateway/net/public",
        "/Service/demo/web",
        "/Service/other/api",
        "/Service/other/db",
    ]
    assert all(r.soft and r.optional for r in references(obj))


@pytest.mark.parametrize(
    ("api_version", "kind", "fields", "brought"),
    [
        ("cert-manager.io/v1", "Certificate", {"spec": {"secretName": "tls"}}, ["tls"]),
        ("cert-manager.io/v1", "Certificate", {}, []),
        ("external-secrets.io/v1", "ExternalSecret", {"spec": {"target": {"name": "db"}}}, ["db"]),
        ("external-secrets.io/v1", "ExternalSecret", {"spec": {}}, ["it"]),
        ("external-secrets.io/v1", "ExternalSecret", {"spec": {"target": {"creationPolicy": "Merge"}}}, []),
        ("bitnami.com/v1alpha1", "SealedSecret", {"spec": {}}, ["it"]),
        ("v1", "ConfigMap", {}, []),
        ("cert-manager.io/v1", "Certificate", {"spec": [1]}, []),
    ],
)
def test_what_a_controller_makes_of_an_object(
    api_version: str, kind: str, fields: dict[str, Any], brought: list[str]
) -> None:
    obj = _obj(api_version, kind, **fields)
    assert [str(ref) for ref in provides(obj)] == [f"/Secret/demo/{name}" for name in brought]
    manifest = Manifest(ObjectRef.of(obj), obj, Origin("f.yaml"))
    assert provided_by([manifest]) == {
        ObjectRef("", "Secret", "demo", name): manifest.ref for name in brought
    }


@pytest.mark.parametrize("junk", [None, 1, "x", [], {}, [None], [[1]], {"a": None}])
@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("cert-manager.io/v1", "Certificate"),
        ("external-secrets.io/v1", "ExternalSecret"),
        ("keda.sh/v1alpha1", "ScaledObject"),
        ("keda.sh/v1alpha1", "TriggerAuthentication"),
        ("networking.istio.io/v1", "VirtualService"),
    ],
)
def test_malformed_custom_resources_name_nothing(api_version: str, kind: str, junk: Any) -> None:
    assert references(_obj(api_version, kind, spec=junk)) == []
    fields = [
        "ingress",
        "egress",
        "issuerRef",
        "secretStoreRef",
        "data",
        "scaleTargetRef",
        "triggers",
        "http",
    ]
    assert references(_obj(api_version, kind, spec=dict.fromkeys([*fields, "secretTargetRef"], junk))) == []


@pytest.mark.parametrize(
    ("api_version", "kind", "fields"),
    [
        ("v1", "ServiceAccount", {"secrets": [{"name": "x"}]}),
        (
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            {"subjects": [{"kind": "ServiceAccount", "name": "x"}]},
        ),
        ("networking.k8s.io/v1", "Ingress", {"spec": {"defaultBackend": {"service": {"name": "x"}}}}),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            {"spec": {"scaleTargetRef": {"kind": "K", "name": "x"}}},
        ),
    ],
)
def test_what_only_matters_for_the_order_gives_way(
    api_version: str, kind: str, fields: dict[str, Any]
) -> None:
    assert [r.soft for r in references(_obj(api_version, kind, **fields))] == [True]

"""Custom resources, kind by kind: statuses as the projects' documentation and controllers show them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.core.readiness import assess
from pipeline.core.readiness.custom import GRACE_S
from pipeline.core.readiness.custom_rules import TABLE, rule_of
from pipeline.core.readiness.verdicts import SETTLE_S
from pipeline.core.ready_rules import parse_rule, parse_rules
from pipeline.model.environment import ReadyRule
from pipeline.model.status import ObjectStatus, Status

C, P, F = Status.CURRENT, Status.IN_PROGRESS, Status.FAILED
NOW = 1_700_000_000.0


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def cond(kind: str, status: str = "True", reason: str = "", message: str = "", **more: Any) -> Any:
    return {"type": kind, "status": status, "reason": reason, "message": message, **more}


def conds(*conditions: Any, **status: Any) -> Any:
    return {"conditions": list(conditions), **status}


def resource(group: str, kind: str, status: Any, *, generation: int = 2, **more: Any) -> Any:
    meta = {"name": "x", "namespace": "demo", "uid": "u1", "generation": generation}
    meta |= more.pop("metadata", {})
    obj = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": meta, **more}
    return obj if status is None else {**obj, "status": status}


def verdict(group: str, kind: str, status: Any, **more: Any) -> ObjectStatus:
    return assess(resource(group, kind, status, **more))


READY = conds(cond("Ready", "True", "Ready", "ok"))
UNREADY = conds(cond("Ready", "False", "Error", "it does not work"))
UNSURE = conds(cond("Ready", "Unknown", "AwaitingReconciliation", "not yet"))

# What is Current, in progress, and failed.
Samples = dict[str, tuple[list[Any], list[Any], list[Any]]]
BY_READY: tuple[list[Any], list[Any], list[Any]] = ([READY], [UNSURE], [UNREADY])
EXISTS: tuple[list[Any], list[Any], list[Any]] = ([None, {}], [], [])
FLUX: tuple[list[Any], list[Any], list[Any]] = (
    [
        conds(
            cond("Ready", "True", "ReconciliationSucceeded", "Applied revision: main@sha1:4f2a"),
            observedGeneration=2,
        )
    ],
    [
        {"observedGeneration": -1},
        conds(
            cond("Reconciling", "True", "Progressing"),
            cond("Ready", "Unknown", "Progressing"),
            observedGeneration=2,
        ),
        conds(
            cond("Reconciling", "True", "ProgressingWithRetry"), cond("Ready", "True"), observedGeneration=2
        ),
        conds(
            cond("Ready", "False", "DependencyNotReady", "dependency 'x/y' is not ready"),
            observedGeneration=2,
        ),
        conds(cond("Ready", "True"), observedGeneration=1),
    ],
    [
        conds(
            cond("Stalled", "True", "RetriesExceeded"),
            cond("Ready", "False", "InstallFailed"),
            observedGeneration=2,
        ),
        conds(
            cond("Reconciling"),
            cond("Ready", "False", "BuildFailed", "kustomize build failed"),
            observedGeneration=2,
        ),
    ],
)
CROSSPLANE: tuple[list[Any], list[Any], list[Any]] = (
    [conds(cond("Ready", "True", "Available"), cond("Synced", "True", "ReconcileSuccess"))],
    [
        conds(cond("Ready", "False", "Creating"), cond("Synced", "True", "ReconcileSuccess")),
        conds(cond("Synced", "True", "ReconcileSuccess")),
    ],
    [
        conds(
            cond("Ready", "True"), cond("Synced", "False", "ReconcileError", "cannot update: AccessDenied")
        ),
        conds(cond("Synced"), cond("LastAsyncOperation", "False", "AsyncCreateFailure", "create failed")),
    ],
)
ACK_FAILURES = [
    conds(cond("ACK.Terminal", "True", "", "InvalidParameterValue"), cond("ACK.ResourceSynced", "False")),
    conds(cond("ACK.Recoverable", "True", "", "AccessDenied"), cond("ACK.ResourceSynced", "Unknown")),
]
STRIMZI: tuple[list[Any], list[Any], list[Any]] = (
    [conds(cond("Warning", "True", "DeprecatedFields"), cond("Ready"), observedGeneration=2)],
    [conds(cond("NotReady", "True", "Creating", "Kafka cluster is being deployed"), observedGeneration=2)],
    [
        conds(
            cond("NotReady", "True", "InvalidResourceException", "replicas: must be 1"), observedGeneration=2
        )
    ],
)
ISTIO: tuple[list[Any], list[Any], list[Any]] = (
    [None, conds(cond("Reconciled", "True")), {"validationMessages": [{"level": "WARNING"}]}],
    [conds(cond("Reconciled", "False", "", "3/10 proxies up to date"))],
    [{"validationMessages": [{"type": {"code": "IST0101"}, "level": "ERROR"}]}],
)
ECK: tuple[list[Any], list[Any], list[Any]] = (
    [{"health": "green"}],
    [{"health": "red"}, {"version": "9.0"}],
    [],
)


def phases(*words: str, at: str = "phase", **more: Any) -> list[Any]:
    found: list[Any] = []
    for word in words:
        status: Any = word
        for key in reversed(at.split(".")):
            status = {key: status}
        found.append({**status, **more})
    return found


def by_phase(
    current: list[str], waits: list[str], fails: list[str], at: str = "phase"
) -> tuple[list[Any], list[Any], list[Any]]:
    return phases(*current, at=at), phases(*waits, at=at), phases(*fails, at=at)


def synchronized(kind: str) -> tuple[list[Any], list[Any], list[Any]]:
    return (
        [conds(cond(kind, "True", "ApplySuccessful", observedGeneration=2))],
        [conds(), conds(cond(kind, "True", observedGeneration=1))],
        [
            conds(cond(kind, "False", "ApplyFailed", "400", observedGeneration=2)),
            conds(cond("NoMatchingInstance", "True", "EmptyAPIReply")),
        ],
    )


def percona(current: str = "ready") -> tuple[list[Any], list[Any], list[Any]]:
    return by_phase([current, "paused"], ["initializing", "stopping"], ["error"], "state")


SAMPLES: Samples = {
    # delivery
    "argoproj.io/Rollout": (
        [{"phase": "Healthy", "observedGeneration": "2"}],
        [
            {
                "phase": "Progressing",
                "message": "more replicas need to be updated",
                "observedGeneration": "2",
            },
            {"phase": "Paused", "message": "CanaryPauseStep", "observedGeneration": "2"},
            {"phase": "Healthy", "observedGeneration": "1"},
        ],
        [
            {"phase": "Degraded", "message": "ProgressDeadlineExceeded: …", "observedGeneration": "2"},
            {**conds(cond("InvalidSpec", "True", "InvalidSpec")), "observedGeneration": "2"},
        ],
    ),
    "argoproj.io/AnalysisRun": by_phase(
        ["Successful"], ["Running", "Pending"], ["Failed", "Error", "Inconclusive"]
    ),
    "argoproj.io/Application": (
        [{"health": {"status": "Healthy"}, "sync": {"status": "Synced"}}],
        [
            {"health": {"status": "Healthy"}, "sync": {"status": "OutOfSync"}},
            {"health": {"status": "Progressing"}, "sync": {"status": "Synced"}},
        ],
        [
            {"health": {"status": "Degraded"}, "sync": {"status": "Synced"}},
            {
                "health": {"status": "Missing"},
                "operationState": {"phase": "Failed", "message": "one or more failed"},
            },
        ],
    ),
    "argoproj.io/ApplicationSet": (
        [conds(cond("ErrorOccurred", "False"), cond("ResourcesUpToDate", "True", "ApplicationSetUpToDate"))],
        [conds(cond("ErrorOccurred", "False"))],
        [conds(cond("ErrorOccurred", "True", "ApplicationGenerationFromParamsError"))],
    ),
    "argoproj.io/Workflow": by_phase(["Succeeded"], ["Pending", "Running"], ["Failed", "Error"]),
    "argoproj.io/CronWorkflow": (
        [None, {"active": []}],
        [],
        [conds(cond("SubmissionError", "True", "SpecError"))],
    ),
    "argoproj.io/AppProject": EXISTS,
    "kustomize.toolkit.fluxcd.io/Kustomization": FLUX,
    "helm.toolkit.fluxcd.io/HelmRelease": FLUX,
    "source.toolkit.fluxcd.io/GitRepository": FLUX,
    "source.toolkit.fluxcd.io/HelmRepository": FLUX,
    "image.toolkit.fluxcd.io/ImageRepository": FLUX,
    "notification.toolkit.fluxcd.io/Receiver": FLUX,
    "notification.toolkit.fluxcd.io/Alert": ([None, READY], [], [UNREADY]),
    "flagger.app/Canary": by_phase(
        ["Initialized", "Succeeded"],
        ["Initializing", "Waiting", "Progressing", "Promoting", "Finalising"],
        ["Failed"],
    ),
    "flagger.app/MetricTemplate": EXISTS,
    "tekton.dev/TaskRun": (
        [conds(cond("Succeeded", "True", "Succeeded", "All Steps have completed executing"))],
        [conds(cond("Succeeded", "Unknown", "Running"))],
        [conds(cond("Succeeded", "False", "TaskRunTimeout", "failed to finish within 1h"))],
    ),
    "tekton.dev/Task": EXISTS,
    "triggers.tekton.dev/TriggerTemplate": EXISTS,
    "actions.github.com/AutoscalingRunnerSet": ([None, {}, {"currentRunners": 2}], [], []),
    # secrets
    "cert-manager.io/Certificate": (
        [conds(cond("Ready", "True", "Ready", "Certificate is up to date", observedGeneration=2))],
        [
            conds(
                cond("Ready", "False", "DoesNotExist"),
                cond("Issuing", "True", "DoesNotExist", "Issuing certificate"),
            ),
            conds(cond("Ready", "True", "Ready", observedGeneration=1)),
            conds(cond("Ready", "True"), cond("Issuing", "True", "Renewing", "Renewing certificate")),
        ],
        [
            conds(
                cond("Ready", "False", "DoesNotExist"),
                cond("Issuing", "False", "Failed", "The request has failed"),
            )
        ],
    ),
    "cert-manager.io/CertificateRequest": (
        [conds(cond("Approved"), cond("Ready", "True", "Issued"))],
        [conds(cond("Approved"), cond("Ready", "False", "Pending"))],
        [
            conds(cond("Ready", "False", "Failed")),
            conds(cond("Denied"), cond("Ready", "False", "Denied")),
            conds(cond("InvalidRequest", "True", "InvalidRequest")),
        ],
    ),
    "cert-manager.io/Issuer": (
        [conds(cond("Ready", "True", "ACMEAccountRegistered", observedGeneration=2))],
        [conds(), conds(cond("Ready", "False", "ErrRegisterACMEAccount", observedGeneration=1))],
        [conds(cond("Ready", "False", "ErrRegisterACMEAccount", observedGeneration=2))],
    ),
    "acme.cert-manager.io/Order": by_phase(
        ["valid"], ["pending", "ready", "processing", ""], ["invalid", "expired", "errored"], "state"
    ),
    "awspca.cert-manager.io/AWSPCAIssuer": BY_READY,
    "trust.cert-manager.io/Bundle": (
        [conds(cond("Synced", "True", "Synced", observedGeneration=2))],
        [conds()],
        [conds(cond("Synced", "False", "SourceNotFound", observedGeneration=2))],
    ),
    "external-secrets.io/ExternalSecret": (
        [conds(cond("Ready", "True", "SecretSynced", "Secret was synced"), syncedResourceVersion="2-abc")],
        [conds(), {"binding": {"name": ""}}],
        [conds(cond("Ready", "False", "SecretSyncedError", "could not get secret data from provider"))],
    ),
    "bitnami.com/SealedSecret": (
        [conds(cond("Synced"), observedGeneration=2)],
        [conds(observedGeneration=2), conds(cond("Synced"), observedGeneration=1)],
        [conds(cond("Synced", "False", "", "no key could decrypt secret (password)"), observedGeneration=2)],
    ),
    "secrets.hashicorp.com/VaultAuth": (
        [{"valid": True}],
        [{"error": ""}],
        [{"valid": False, "error": "no mount"}],
    ),
    "external-secrets.io/ClusterExternalSecret": (
        [READY],
        [conds()],
        [
            conds(cond("NotReady", "True", "", "one or more namespaces failed")),
            conds(cond("Ready", "True"), cond("PartiallyReady", "True", "", "one or more namespaces failed")),
        ],
    ),
    "secrets.hashicorp.com/VaultStaticSecret": (
        [{"lastGeneration": 2, "secretMAC": "bWFj"}],
        [{"lastGeneration": 2}, {"lastGeneration": 1, "secretMAC": "bWFj"}],
        [],
    ),
    "secrets.hashicorp.com/VaultDynamicSecret": ([{"lastGeneration": 2}], [{"lastGeneration": 1}], []),
    "secrets-store.csi.x-k8s.io/SecretProviderClass": EXISTS,
    # cloud
    "karpenter.sh/NodePool": BY_READY,
    "karpenter.sh/NodeClaim": (
        [READY],
        [conds(cond("Launched"), cond("Registered", "Unknown"), cond("Ready", "Unknown"))],
        [conds(cond("Launched", "False", "LaunchFailed", "insufficient capacity"), cond("Ready", "False"))],
    ),
    "karpenter.k8s.aws/EC2NodeClass": (
        [READY],
        [UNSURE],
        [
            conds(
                cond("SubnetsReady", "False"),
                cond("Ready", "False", "UnreadyDependencies", "SubnetsReady=False"),
            )
        ],
    ),
    "eks.amazonaws.com/NodeClass": BY_READY,
    "elbv2.k8s.aws/TargetGroupBinding": ([{"observedGeneration": 2}], [{"observedGeneration": 1}, {}], []),
    "eks.amazonaws.com/TargetGroupBinding": (
        [{"observedGeneration": 2}],
        [{"observedGeneration": 1}, {}],
        [],
    ),
    "elbv2.k8s.aws/IngressClassParams": EXISTS,
    "eks.amazonaws.com/IngressClassParams": EXISTS,
    "vpcresources.k8s.aws/SecurityGroupPolicy": EXISTS,
    "crd.k8s.amazonaws.com/ENIConfig": EXISTS,
    "*.services.k8s.aws/*": (
        [conds(cond("ACK.ResourceSynced", "True", "", "Resource synced successfully")), READY],
        [
            conds(cond("ACK.ResourceSynced", "False")),
            conds(),
            conds(cond("Ready", "False")),
            conds(cond("ACK.ResourceSynced"), cond("Ready", "False")),
        ],
        ACK_FAILURES,
    ),
    "services.k8s.aws/AdoptedResource": (
        [conds(cond("ACK.Adopted"))],
        [conds(cond("ACK.Adopted", "False"))],
        ACK_FAILURES,
    ),
    "pkg.crossplane.io/Provider": (
        [
            conds(
                cond("Installed", "True", "ActivePackageRevision"),
                cond("Healthy", "True", "HealthyPackageRevision"),
            )
        ],
        [conds(cond("Installed", "True"), cond("Healthy", "False", "UnhealthyPackageRevision"))],
        [],
    ),
    "pkg.crossplane.io/DeploymentRuntimeConfig": EXISTS,
    "apiextensions.crossplane.io/CompositeResourceDefinition": (
        [conds(cond("Established", "True", "WatchingCompositeResource"), cond("Offered"))],
        [conds(cond("Offered", "False"))],
        [],
    ),
    "apiextensions.crossplane.io/Composition": EXISTS,
    "*.aws.crossplane.io/*": CROSSPLANE,
    "*.aws.upbound.io/*": CROSSPLANE,
    "*.aws.m.upbound.io/*": CROSSPLANE,
    "kubernetes.crossplane.io/Object": CROSSPLANE,
    "helm.crossplane.io/Release": CROSSPLANE,
    "aws.crossplane.io/ProviderConfig": EXISTS,
    "aws.upbound.io/ProviderConfig": EXISTS,
    "aws.m.upbound.io/ProviderConfig": EXISTS,
    "kubernetes.crossplane.io/ProviderConfig": EXISTS,
    "helm.crossplane.io/ProviderConfig": EXISTS,
    "cluster.x-k8s.io/Cluster": (
        [conds(cond("Available")), conds(cond("Ready"), phase="Provisioned")],
        [conds(cond("Ready", "False", "WaitingForControlPlane"), phase="Provisioning")],
        [{"phase": "Failed", "failureMessage": "quota"}, {"failureReason": "CreateError"}],
    ),
    # data
    "postgresql.cnpg.io/Cluster": (
        [conds(cond("Ready", "True", "ClusterIsReady"), phase="Cluster in healthy state")],
        [conds(cond("Ready", "False", "ClusterIsNotReady"), phase="Setting up primary")],
        phases(
            "Cluster is unrecoverable and needs manual intervention",
            "Unable to create required cluster objects",
        ),
    ),
    "postgresql.cnpg.io/Backup": by_phase(
        ["completed"], ["pending", "started", "running", "finalizing"], ["failed", "walArchivingFailing"]
    ),
    "postgresql.cnpg.io/ScheduledBackup": EXISTS,
    "postgresql.cnpg.io/Pooler": ([{"instances": 3}], [{"instances": 1}, {"secrets": {}}], []),
    "postgresql.cnpg.io/Database": (
        [{"applied": True, "observedGeneration": 2}],
        [{"observedGeneration": 2}, {"applied": True, "observedGeneration": 1}],
        [{"applied": False, "message": "permission denied", "observedGeneration": 2}],
    ),
    "acid.zalan.do/postgresql": by_phase(
        ["Running"],
        ["Creating", "Updating"],
        ["CreateFailed", "UpdateFailed", "SyncFailed", "Invalid"],
        "PostgresClusterStatus",
    ),
    "mongodbcommunity.mongodb.com/MongoDBCommunity": by_phase(["Running"], ["Pending"], ["Failed"]),
    "pxc.percona.com/PerconaXtraDBCluster": percona(),
    "psmdb.percona.com/PerconaServerMongoDB": percona(),
    "redis.redis.opstreelabs.in/RedisCluster": by_phase(
        ["Ready"], ["Initializing", "Bootstrap"], ["Failed"], "state"
    ),
    "elasticsearch.k8s.elastic.co/Elasticsearch": (
        [{"phase": "Ready", "health": "green"}, {"phase": "Ready", "health": "yellow"}],
        [{"phase": "ApplyingChanges", "health": "yellow"}, {"phase": "Ready", "health": "red"}],
        phases("Invalid", "Stalled"),
    ),
    "kibana.k8s.elastic.co/Kibana": ECK,
    "apm.k8s.elastic.co/ApmServer": ECK,
    "agent.k8s.elastic.co/Agent": ECK,
    "beat.k8s.elastic.co/Beat": ECK,
    "logstash.k8s.elastic.co/Logstash": ECK,
    "velero.io/BackupStorageLocation": by_phase(["Available"], [""], ["Unavailable"]),
    "velero.io/Schedule": by_phase(["Enabled"], ["New"], ["FailedValidation"]),
    "velero.io/Backup": by_phase(
        ["Completed"], ["New", "InProgress"], ["Failed", "PartiallyFailed", "FailedValidation"]
    ),
    "snapshot.storage.k8s.io/VolumeSnapshot": (
        [{"readyToUse": True, "boundVolumeSnapshotContentName": "snapcontent-1"}],
        [{"readyToUse": False}],
        [{"readyToUse": False, "error": {"message": "failed to take snapshot", "time": at(NOW)}}],
    ),
    "snapshot.storage.k8s.io/VolumeSnapshotClass": EXISTS,
    # messaging
    "kafka.strimzi.io/Kafka": STRIMZI,
    "kafka.strimzi.io/KafkaConnector": (
        [
            conds(
                cond("Ready"),
                connectorStatus={"connector": {"state": "RUNNING"}, "tasks": [{"state": "RUNNING"}]},
            )
        ],
        [conds(connectorStatus={"connector": {"state": "UNASSIGNED"}})],
        [
            conds(cond("Ready"), connectorStatus={"connector": {"state": "FAILED"}}),
            conds(
                cond("Ready"),
                connectorStatus={"connector": {"state": "RUNNING"}, "tasks": [{"state": "FAILED"}]},
            ),
            conds(cond("NotReady", "True", "ConnectRestException")),
        ],
    ),
    "kafka.strimzi.io/KafkaNodePool": EXISTS,
    "rabbitmq.com/RabbitmqCluster": (
        [
            conds(
                cond("AllReplicasReady"),
                cond("ClusterAvailable"),
                cond("NoWarnings", "False"),
                cond("ReconcileSuccess"),
            )
        ],
        [
            conds(
                cond("AllReplicasReady", "False", "NotAllPodsReady"),
                cond("ClusterAvailable"),
                cond("ReconcileSuccess"),
            )
        ],
        [
            conds(
                cond("AllReplicasReady"), cond("ClusterAvailable"), cond("ReconcileSuccess", "False", "Error")
            )
        ],
    ),
    "rabbitmq.com/Queue": (
        [conds(cond("Ready", "True", "SuccessfulCreateOrUpdate"), observedGeneration=2)],
        [conds(), conds(cond("Ready"), observedGeneration=1)],
        [conds(cond("Ready", "False", "FailedCreateOrUpdate"), observedGeneration=2)],
    ),
    "serving.knative.dev/Service": BY_READY,
    "eventing.knative.dev/Broker": BY_READY,
    "messaging.knative.dev/Channel": BY_READY,
    "flows.knative.dev/Sequence": BY_READY,
    "sources.knative.dev/PingSource": BY_READY,
    "networking.internal.knative.dev/Ingress": BY_READY,
    "autoscaling.internal.knative.dev/PodAutoscaler": (
        [READY, conds(cond("Active", "False", "NoTraffic"), cond("Ready", "False", "NoTraffic"))],
        [UNSURE],
        [],
    ),
    # traffic
    "networking.istio.io/VirtualService": ISTIO,
    "security.istio.io/PeerAuthentication": ISTIO,
    "telemetry.istio.io/Telemetry": ISTIO,
    "extensions.istio.io/WasmPlugin": ISTIO,
    "projectcontour.io/HTTPProxy": by_phase(
        ["valid"], ["NotReconciled"], ["invalid", "orphaned"], "currentStatus"
    ),
    "getambassador.io/Host": by_phase(["Ready"], ["Initial", "Pending"], ["Error"], "state"),
    "getambassador.io/Mapping": EXISTS,
    "traefik.io/IngressRoute": EXISTS,
    "traefik.containo.us/IngressRoute": EXISTS,
    "externaldns.k8s.io/DNSEndpoint": ([None, {"observedGeneration": 2}], [{"observedGeneration": 1}], []),
    "cilium.io/CiliumNetworkPolicy": ([None, conds(cond("Valid"))], [], [conds(cond("Valid", "False"))]),
    "crd.projectcalico.org/NetworkPolicy": EXISTS,
    "projectcalico.org/NetworkPolicy": EXISTS,
    # operations
    "keda.sh/ScaledObject": (
        [
            conds(
                cond("Ready", "True", "ScaledObjectReady"), cond("Active", "False"), cond("Fallback", "False")
            ),
            conds(cond("Ready", "Unknown"), cond("Paused", "True", "ScaledObjectPaused")),
        ],
        [conds(cond("Ready", "Unknown"), cond("Active", "Unknown"))],
        [
            conds(
                cond(
                    "Ready",
                    "False",
                    "ScaledObjectCheckFailed",
                    "ScaledObject doesn't have correct scaleTargetRef",
                )
            )
        ],
    ),
    "keda.sh/TriggerAuthentication": EXISTS,
    "autoscaling.k8s.io/VerticalPodAutoscaler": (
        [None, conds(cond("RecommendationProvided", "False"))],
        [],
        [conds(cond("ConfigUnsupported", "True", "", "Cannot read targetRef"))],
    ),
    "monitoring.coreos.com/Prometheus": (
        [conds(cond("Available", observedGeneration=2), cond("Reconciled", observedGeneration=2))],
        [
            conds(
                cond("Available", "False", "NoPodReady", observedGeneration=2),
                cond("Reconciled", observedGeneration=2),
            ),
            conds(cond("Available", "Degraded", "SomePodsNotReady"), cond("Reconciled")),
            conds(cond("Available", observedGeneration=1), cond("Reconciled", observedGeneration=2)),
        ],
        [conds(cond("Available"), cond("Reconciled", "False", "ReconciliationFailed", "no such Secret"))],
    ),
    "monitoring.coreos.com/ServiceMonitor": EXISTS,
    "opentelemetry.io/OpenTelemetryCollector": (
        [{"version": "0.120.0", "scale": {"statusReplicas": "2/2"}}],
        [{"version": "0.120.0", "scale": {"statusReplicas": "0/1"}}, {"scale": {"replicas": 1}}],
        [],
    ),
    "opentelemetry.io/Instrumentation": EXISTS,
    "grafana.integreatly.org/Grafana": (
        [{"stage": "complete", "stageStatus": "success"}],
        [{"stage": "deployment", "stageStatus": "in progress"}],
        [{"stage": "admin user", "stageStatus": "failed", "lastMessage": "forbidden"}],
    ),
    "grafana.integreatly.org/GrafanaDashboard": synchronized("DashboardSynchronized"),
    "grafana.integreatly.org/GrafanaDatasource": synchronized("DatasourceSynchronized"),
    "grafana.integreatly.org/GrafanaFolder": synchronized("FolderSynchronized"),
    "grafana.integreatly.org/GrafanaAlertRuleGroup": synchronized("AlertGroupSynchronized"),
    "kyverno.io/ClusterPolicy": ([READY, {"ready": True}], [conds(), {"ready": False}], [UNREADY]),
    "kyverno.io/PolicyException": EXISTS,
    "templates.gatekeeper.sh/ConstraintTemplate": (
        [{"created": True, "byPod": [{"id": "a", "observedGeneration": 2}]}],
        [{"byPod": []}],
        [
            {
                "created": False,
                "byPod": [{"errors": [{"code": "rego_parse_error", "message": "unexpected eof"}]}],
            }
        ],
    ),
    "constraints.gatekeeper.sh/*": (
        [{"byPod": [{"enforced": True}, {"enforced": True}], "totalViolations": 0}],
        [{"byPod": [{"enforced": True}, {"enforced": False}]}],
        [{"byPod": [{"enforced": False, "errors": [{"message": "no such template"}]}]}],
    ),
    "sparkoperator.k8s.io/SparkApplication": by_phase(
        ["RUNNING", "COMPLETED"],
        ["SUBMITTED", "PENDING_RERUN", "SUCCEEDING"],
        ["FAILED", "SUBMISSION_FAILED", "FAILING"],
        "applicationState.state",
    ),
    "flink.apache.org/FlinkDeployment": by_phase(
        ["STABLE"],
        ["CREATED", "UPGRADING", "DEPLOYED", "ROLLING_BACK"],
        ["FAILED", "ROLLED_BACK"],
        "lifecycleState",
    ),
    "ray.io/RayCluster": by_phase(["ready"], [""], ["failed"], "state"),
    "jobset.x-k8s.io/JobSet": (
        [conds(cond("Completed", "True", "AllJobsCompleted"))],
        [conds(cond("StartupPolicyCompleted"))],
        [conds(cond("Failed", "True", "ReachedMaxRestarts", "jobset failed"))],
    ),
    "kueue.x-k8s.io/ClusterQueue": (
        [conds(cond("Active", "True", "Ready"))],
        [conds(cond("Active", "True", observedGeneration=1))],
        [conds(cond("Active", "False", "FlavorNotFound", "references a missing ResourceFlavor"))],
    ),
    "kueue.x-k8s.io/ResourceFlavor": EXISTS,
    "argoproj.io/EventBus": (
        [conds(cond("Deployed"), cond("Configured"))],
        [conds(cond("Configured")), conds(cond("Deployed", "Unknown"))],
        [
            conds(cond("Deployed", "False", "CreateDeploymentFailed", "no")),
            conds(cond("Deployed"), cond("TriggersProvided", "False", "InvalidTriggers", "no such trigger")),
        ],
    ),
    "operator.victoriametrics.com/VMAgent": by_phase(
        ["operational"], ["expanding"], ["failed"], "updateStatus"
    ),
    "operator.victoriametrics.com/VMServiceScrape": EXISTS,
    "generators.external-secrets.io/*": EXISTS,
    "k8s.keycloak.org/Keycloak": (
        [
            conds(
                cond("Ready"),
                cond("HasErrors", "False"),
                cond("RollingUpdate", "False"),
                observedGeneration=2,
            )
        ],
        [
            conds(cond("Ready", "False"), cond("HasErrors", "False"), observedGeneration=2),
            conds(
                cond("Ready"),
                cond("RollingUpdate", "True", "", "Rolling out deployment"),
                observedGeneration=2,
            ),
        ],
        [
            conds(
                cond("Ready", "False"), cond("HasErrors", "True", "", "no such Secret"), observedGeneration=2
            )
        ],
    ),
    "k8s.keycloak.org/KeycloakRealmImport": (
        [conds(cond("Done"), cond("Started", "False"), cond("HasErrors", "False"))],
        [conds(cond("Done", "False"), cond("Started"), cond("HasErrors", "False"))],
        [conds(cond("Done", "False"), cond("HasErrors", "True", "", "realm cannot be imported"))],
    ),
}

# What stands for an entry of all kinds of a group, or of the groups below one.
STANDS_FOR = {
    ("generators.external-secrets.io", "*"): ("generators.external-secrets.io", "ECRAuthorizationToken"),
    ("*.services.k8s.aws", "*"): ("s3.services.k8s.aws", "Bucket"),
    ("*.aws.crossplane.io", "*"): ("rds.aws.crossplane.io", "DBInstance"),
    ("*.aws.upbound.io", "*"): ("s3.aws.upbound.io", "Bucket"),
    ("*.aws.m.upbound.io", "*"): ("ec2.aws.m.upbound.io", "VPC"),
    ("constraints.gatekeeper.sh", "*"): ("constraints.gatekeeper.sh", "K8sRequiredLabels"),
}
SPECS: dict[str, Any] = {"Pooler": {"instances": 3}}


def rows() -> list[Any]:
    found = []
    for name, samples in SAMPLES.items():
        group, _, first = name.rpartition("/")
        entry = next(rule for rule in TABLE if (rule.group, rule.kinds[0]) == (group, first))
        for kind in entry.kinds:
            at_group, at_kind = STANDS_FOR.get((group, kind), (group, kind))
            for wanted, statuses in zip((C, P, F), samples, strict=True):
                found += [
                    pytest.param(
                        at_group, at_kind, status, wanted, id=f"{at_kind}.{at_group} {wanted} {number}"
                    )
                    for number, status in enumerate(statuses)
                ]
    return found


@pytest.mark.parametrize(("group", "kind", "status", "wanted"), rows())
def test_a_status_as_it_is_published_has_its_verdict(
    group: str, kind: str, status: Any, wanted: Status
) -> None:
    found = verdict(group, kind, status, spec=SPECS.get(kind, {}))

    assert found.status is wanted, found
    assert found.reason
    assert found.message or found.status is C


@pytest.mark.parametrize("rule", TABLE, ids=lambda rule: f"{rule.group}/{rule.kinds[0]}")
def test_every_entry_has_a_sample_of_each_verdict_that_it_can_give(rule: Any) -> None:
    current, waits, fails = SAMPLES[f"{rule.group}/{rule.kinds[0]}"]

    assert current
    assert bool(fails) == bool(rule.failed or rule.trouble)
    assert waits or not (rule.current or rule.busy)


@pytest.mark.parametrize(
    "rule", [r for r in TABLE if r.current], ids=lambda rule: f"{rule.group}/{rule.kinds[0]}"
)
def test_a_kind_that_reports_a_status_is_not_ready_without_one(rule: Any) -> None:
    for name in rule.kinds:
        group, kind = STANDS_FOR.get((rule.group, name), (rule.group, name))
        assert [verdict(group, kind, status).status for status in (None, {})] == [P, P]


def test_a_kind_that_is_ready_by_its_spec_needs_no_status() -> None:
    assert verdict("source.toolkit.fluxcd.io", "HelmRepository", None, spec={"type": "oci"}).status is C


class TestAStatusThatIsOlderThanTheSpec:
    def test_is_not_ready_by_the_generation_of_the_status_also_as_a_string(self) -> None:
        assert verdict("argoproj.io", "Rollout", {"phase": "Healthy", "observedGeneration": "1"}).status is P
        assert verdict("kafka.strimzi.io", "Kafka", conds(cond("Ready"), observedGeneration=1)).status is P

    def test_is_not_ready_where_nobody_has_looked_at_any(self) -> None:
        status = conds(cond("Ready"), observedGeneration=-1)

        assert verdict("source.toolkit.fluxcd.io", "Bucket", status).reason == "NotObserved"

    @pytest.mark.parametrize("seen", [-1, 1])
    def test_tells_of_a_failure_by_a_condition_that_is_about_the_newest(self, seen: int) -> None:
        """Flux observes a generation once it is ready or stalled: what is tried again never is."""
        retried = conds(
            cond("Reconciling", "True", "ProgressingWithRetry", observedGeneration=2),
            cond("Ready", "False", "GitOperationFailed", "authentication required", observedGeneration=2),
            observedGeneration=seen,
        )
        obj = resource("source.toolkit.fluxcd.io", "GitRepository", retried)

        assert (assess(obj).status, assess(obj).message) == (F, "Ready is False: authentication required")
        assert assess(obj, since=NOW, now=NOW + 1).reason == "GitOperationFailed"

    @pytest.mark.parametrize("seen", [-1, 1])
    def test_tells_nothing_by_a_condition_that_is_as_old_or_has_no_generation(self, seen: int) -> None:
        old = cond("Ready", "False", "GitOperationFailed", "authentication required")
        for told in (old, {**old, "observedGeneration": 1}):
            status = conds(told, observedGeneration=seen)
            assert verdict("source.toolkit.fluxcd.io", "GitRepository", status).reason == "NotObserved"

    @pytest.mark.parametrize("seen", [-1, 1])
    def test_is_never_ready_by_a_condition_alone(self, seen: int) -> None:
        status = conds(cond("Ready", "True", "Succeeded", observedGeneration=2), observedGeneration=seen)

        assert verdict("source.toolkit.fluxcd.io", "GitRepository", status).reason == "NotObserved"

    def test_tells_nothing_where_a_rule_of_the_users_own_says_what_counts(self) -> None:
        status = conds(cond("Ready", "False", "Failed", "no", observedGeneration=2), observedGeneration=1)
        own = {"annotations": {"pipeline/ready": "condition=Healthy"}}

        found = verdict("source.toolkit.fluxcd.io", "GitRepository", status, metadata=own)

        assert found.reason == "NotObserved"

    def test_has_not_failed_by_the_generation_of_the_condition(self) -> None:
        old = conds(cond("Issuing", "False", "Failed", observedGeneration=1))

        assert verdict("cert-manager.io", "Certificate", old).status is P

    @pytest.mark.parametrize("status", [READY, UNREADY])
    def test_is_not_trusted_for_a_moment_where_it_tells_no_generation(self, status: Any) -> None:
        obj = resource("keda.sh", "ScaledObject", status, metadata={"creationTimestamp": at(NOW - 3600)})

        assert assess(obj, since=NOW, now=NOW + SETTLE_S - 0.1).reason == "NotObserved"
        assert assess(obj, since=NOW, now=NOW + SETTLE_S).reason != "NotObserved"

    def test_cannot_be_where_the_object_is_new(self) -> None:
        obj = resource("keda.sh", "ScaledObject", READY, metadata={"creationTimestamp": at(NOW)})

        assert assess(obj, since=NOW + 0.4, now=NOW + 0.5).status is C

    def test_is_trusted_at_once_where_its_generation_is_told(self) -> None:
        ready = conds(cond("Ready", observedGeneration=2))
        obj = resource("karpenter.sh", "NodePool", ready, metadata={"creationTimestamp": at(NOW - 3600)})

        assert assess(obj, since=NOW, now=NOW).status is C

    def test_of_a_failure_gets_the_time_to_go_away(self) -> None:
        terminal = conds(cond("ACK.Terminal", "True", "", "bad", lastTransitionTime=at(NOW - 600)))
        obj = resource(
            "s3.services.k8s.aws", "Bucket", terminal, metadata={"creationTimestamp": at(NOW - 3600)}
        )

        assert assess(obj, since=NOW, now=NOW + GRACE_S - 1).status is P
        assert assess(obj, since=NOW, now=NOW + GRACE_S).status is F

    def test_is_not_a_failure_that_began_after_our_write(self) -> None:
        terminal = conds(cond("ACK.Terminal", "True", "", "bad", lastTransitionTime=at(NOW + 2)))
        obj = resource(
            "s3.services.k8s.aws", "Bucket", terminal, metadata={"creationTimestamp": at(NOW - 3600)}
        )

        assert assess(obj, since=NOW, now=NOW + SETTLE_S).status is F


class TestTrouble:
    OBJ = resource(
        "external-secrets.io",
        "ExternalSecret",
        conds(cond("Ready", "False", "SecretSyncedError", "no store", lastTransitionTime=at(NOW))),
    )

    def test_is_a_failure_once_it_has_lasted(self) -> None:
        assert assess(self.OBJ, since=NOW - 5, now=NOW + GRACE_S - 1).status is P
        assert assess(self.OBJ, since=NOW - 5, now=NOW + GRACE_S).status is F

    def test_from_before_our_write_counts_from_our_write(self) -> None:
        assert assess(self.OBJ, since=NOW + 500, now=NOW + 510).status is P
        assert assess(self.OBJ, since=NOW + 500, now=NOW + 500 + GRACE_S).status is F

    def test_of_a_saved_object_is_a_failure(self) -> None:
        found = assess(self.OBJ)

        assert found.status is F
        assert found.message == "Ready is False: no store"

    def test_of_a_field_counts_from_our_write(self) -> None:
        obj = resource("acid.zalan.do", "postgresql", {"PostgresClusterStatus": "SyncFailed"})

        assert assess(obj, since=NOW, now=NOW + 10).status is P
        assert assess(obj, since=NOW, now=NOW + GRACE_S).status is F


class TestWhatItsControllerLeavesAlone:
    def test_is_current_with_a_warning_though_its_controller_has_not_seen_the_spec(self) -> None:
        status = conds(cond("Ready", "False"), observedGeneration=1)

        found = verdict("kustomize.toolkit.fluxcd.io", "Kustomization", status, spec={"suspend": True})

        assert (found.status, found.reason) == (C, "Suspended")
        assert "spec.suspend" in found.warning

    def test_may_be_scaled_to_nothing(self) -> None:
        none = conds(cond("AllReplicasReady", "False", "ScaledToZero"), cond("ReconcileSuccess"))

        assert verdict("rabbitmq.com", "RabbitmqCluster", none, spec={"replicas": 0}).status is C
        assert verdict("rabbitmq.com", "RabbitmqCluster", none, spec={"replicas": 3}).status is P

    def test_may_be_told_by_an_annotation(self) -> None:
        paused = {"annotations": {"cnpg.io/reconciliation": "disabled"}}

        assert verdict("postgresql.cnpg.io", "Cluster", None, metadata=paused).reason == "Suspended"


class TestMessages:
    def test_come_from_the_condition(self) -> None:
        assert verdict("keda.sh", "ScaledJob", UNREADY).message == "Ready is False: it does not work"

    def test_come_from_where_the_kind_says_it(self) -> None:
        status = {"readyToUse": False, "error": {"message": "no quota"}}

        assert verdict("snapshot.storage.k8s.io", "VolumeSnapshot", status).message == "no quota"

    @pytest.mark.parametrize(
        ("group", "kind", "status", "message"),
        [
            (
                "argoproj.io",
                "Application",
                {"health": {"status": "Degraded"}, "operationState": {"message": "successfully synced"}},
                "status.health.status is Degraded: successfully synced",
            ),
            (
                "acid.zalan.do",
                "postgresql",
                {"PostgresClusterStatus": "SyncFailed"},
                "status.PostgresClusterStatus is SyncFailed",
            ),
            ("secrets.hashicorp.com", "VaultAuth", {"valid": False}, "status.valid is false"),
        ],
    )
    def test_begin_with_the_field_that_tells_it(
        self, group: str, kind: str, status: Any, message: str
    ) -> None:
        assert verdict(group, kind, status).message == message

    def test_name_what_is_waited_for(self) -> None:
        assert "ACK.ResourceSynced" in verdict("s3.services.k8s.aws", "Bucket", conds()).message

    def test_tell_what_a_paused_rollout_waits_for(self) -> None:
        status = {"phase": "Paused", "message": "CanaryPauseStep", "observedGeneration": "2"}

        assert "CanaryPauseStep" in verdict("argoproj.io", "Rollout", status).message


class TestTheOrderOfRules:
    def test_the_users_rule_wins_over_the_table(self) -> None:
        rule = ReadyRule(
            group="argoproj.io", kind="Rollout", ready=("jsonpath={.status.phase} in (Healthy, Paused)",)
        )
        obj = resource("argoproj.io", "Rollout", {"phase": "Paused"})

        assert assess(obj, rules=(rule,)).status is C
        assert assess(obj).status is P

    def test_the_table_wins_over_the_conventions_of_conditions(self) -> None:
        status = conds(cond("Ready", "True"), cond("Synced", "False", "ReconcileError"))

        assert verdict("rds.aws.upbound.io", "Instance", status).status is F

    def test_an_entry_of_its_own_wins_over_that_of_its_group(self) -> None:
        assert rule_of("services.k8s.aws", "AdoptedResource") is not rule_of("s3.services.k8s.aws", "Bucket")
        assert rule_of("services.k8s.aws", "Other") is None
        assert rule_of("evil-services.k8s.aws", "Bucket") is None

    def test_a_kind_that_is_not_in_the_table_goes_by_its_conditions(self) -> None:
        assert verdict("example.com", "Thing", READY).status is C
        assert verdict("example.com", "Thing", {"phase": "Running"}).status is Status.UNKNOWN

    def test_ready_says_nothing_of_an_unknown_kind_that_is_out_of_sync(self) -> None:
        status = conds(cond("Ready"), cond("Synced", "False", "ReconcileError", "cannot compose"))

        assert verdict("example.com", "XDatabase", status).reason == "NotSynced"

    def test_an_unknown_kind_that_nobody_has_looked_at_is_not_ready(self) -> None:
        assert (
            verdict("example.com", "Thing", conds(cond("Ready"), observedGeneration=-1)).reason
            == "NotObserved"
        )


OBJ = {
    "metadata": {"generation": 2},
    "spec": {"replicas": 3, "none": 0},
    "status": {
        "phase": "Running",
        "ready": 3,
        "spelt": "3",
        "share": 0.5,
        "yes": True,
        "items": [{"state": "on", "n": 1}, {"state": "off", "n": 2}],
        "odd": "a, b (c)",
        "conditions": [cond("Ready", "False", "Denied")],
    },
}

LANGUAGE = {
    "condition=Ready:False(Denied)": True,
    "condition=Ready:False(Expired, Denied)": True,
    "condition=Ready:False (Expired)": False,
    "condition=Ready(Denied)": False,  # its status is not True
    "jsonpath={.status.phase}==Running": True,
    "jsonpath={.status.phase}!=Failed": True,
    "jsonpath={.status.phase}!=Running": False,
    "jsonpath={.status.missing}!=Failed": False,  # silence proves nothing
    "jsonpath={.status.phase} in (Done,Running)": True,
    "jsonpath={.status.phase} in (Done, Failed)": False,
    "jsonpath={.status.phase}in('Running')": True,
    'jsonpath={.status.odd} in ("a, b (c)", d)': True,
    'jsonpath={.status.odd}="a, b (c)"': True,
    "jsonpath={.status.items[*].state} in (on, off)": True,
    "jsonpath={.status.items[*].state} in (on)": False,
    "jsonpath={.status.items[*].state}!=on": False,
    "jsonpath={.status.ready}>=3": True,
    "jsonpath={.status.ready}>3": False,
    "jsonpath={.status.ready}<=2.5": False,
    "jsonpath={.status.ready}<10": True,  # by number, not as texts
    "jsonpath={.status.spelt}>=3": True,
    "jsonpath={.status.share}>0.25": True,
    "jsonpath={.status.share}>-1": True,
    "jsonpath={.status.yes}>=0": False,
    "jsonpath={.status.phase}>=0": False,
    "jsonpath={.status.missing}<1": False,
    "jsonpath={.status.items[*].n}>=1": True,
    "jsonpath={.status.items[*].n}>=2": False,
    "jsonpath={.status.ready}=={.spec.replicas}": True,
    "jsonpath={.status.spelt}={.spec.replicas}": True,
    "jsonpath={.status.ready}!={.spec.replicas}": False,
    "jsonpath={.status.ready}>{.spec.none}": True,
    "jsonpath={.status.missing}=={.spec.missing}": False,
    "condition=Other || jsonpath={.status.phase}=Running": True,
    "condition=Other || condition=Another": False,
    "condition=Ready:False && jsonpath={.status.phase}=Running": True,
    "condition=Ready:False && condition=Other": False,
    "condition=Other && condition=Other || jsonpath={.status.yes}=true": True,
}


@pytest.mark.parametrize("rule", LANGUAGE)
def test_a_rule_of_the_language_holds_or_not(rule: str) -> None:
    assert parse_rule(rule).holds(OBJ) is LANGUAGE[rule]


def test_commas_in_parentheses_do_not_separate_rules() -> None:
    rules = parse_rules(
        "jsonpath={.status.phase} in (A, B), condition=Ready:False(C, D) || condition=E,condition=F"
    )

    assert [rule.source for rule in rules] == [
        "jsonpath={.status.phase} in (A, B)",
        "condition=Ready:False(C, D) || condition=E",
        "condition=F",
    ]


MALFORMED = {
    "jsonpath={.a} in ()": "nothing between",
    "jsonpath={.a} in (b,,c)": "nothing between",
    "jsonpath={.a} in b": "after its path",
    "jsonpath={.a}>=many": "compares by number",
    "jsonpath={.a}=>1": "no operator =>",
    "jsonpath={.a}===b": "no operator ==",
    "jsonpath={.a}!==b": "no operator !==",
    "jsonpath={.a}!=": "names no value",
    "jsonpath={.a}=={.b": "no {PATH}",
    "jsonpath={.a}=={.b} c": "no {PATH}",
    "jsonpath={.a}=={.b[}": "JSONPath",
    "condition=Ready:False(Denied": "condition=TYPE",
    "condition=Ready:False()": "nothing between",
    "condition=Ready ||": "starts neither",
    "|| condition=Ready": "starts neither",
    "condition=Ready && ": "starts neither",
    "condition=Ready or condition=Other": "condition=TYPE",
}


@pytest.mark.parametrize("rule", MALFORMED)
def test_a_malformed_rule_is_refused_with_what_is_wrong(rule: str) -> None:
    with pytest.raises(ValueError, match=MALFORMED[rule]):
        parse_rule(rule)

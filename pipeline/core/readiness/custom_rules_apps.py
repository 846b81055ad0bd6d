"""What applications are made of: databases, messaging, scaling, policies, observability."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.readiness.custom import EXISTS, NOT_READY, READY, Generation, Texts, field, phase, run_rule
from pipeline.core.readiness.custom import kind_rule as kind

STATUS, CONDITIONS = Generation.STATUS, Generation.CONDITIONS

_STRIMZI: Mapping[str, Texts] = {
    "current": "condition=Ready || condition=Unmanaged",
    "trouble": "condition=NotReady",
    "busy": "condition=NotReady:True(Creating)",
    "idle": 'condition=ReconciliationPaused || jsonpath={.metadata.annotations["strimzi.io/managed"]}=false',
}
_CONNECTOR = "{.status.connectorStatus.connector.state}"
_TASKS = '{.status.connectorStatus.tasks[?(@.state=="FAILED")]}'
_UNMANAGED = 'jsonpath={.metadata.annotations["eck.k8s.elastic.co/managed"]}=false'
_STATE = "{.status.state}"
_POSTGRES = "{.status.PostgresClusterStatus}"

DATA = (
    kind(
        "postgresql.cnpg.io",
        "Cluster",
        "CloudNativePG: ClusterStatus.conditions, type Ready; .phase, .phaseReason",
        current=READY,
        failed=phase("Cluster is unrecoverable and needs manual intervention"),
        trouble=phase(
            "Cluster has incomplete or invalid image catalog",
            "Cluster cannot proceed to reconciliation due to an unknown plugin being required",
            "Unable to create required cluster objects",
        ),
        idle='jsonpath={.metadata.annotations["cnpg.io/reconciliation"]}=disabled '
        "|| condition=cnpg.io/hibernation",
        says="{.status.phaseReason}",
    ),
    run_rule(
        "postgresql.cnpg.io",
        "Backup",
        "CloudNativePG: BackupStatus.phase, .error",
        "completed",
        ("failed",),
        "{.status.error}",
        trouble=phase("walArchivingFailing"),
    ),
    kind(
        "postgresql.cnpg.io", "ScheduledBackup ImageCatalog ClusterImageCatalog", f"CloudNativePG: {EXISTS}"
    ),
    kind(
        "postgresql.cnpg.io",
        "Pooler",
        "CloudNativePG: PoolerStatus.instances",
        current="jsonpath={.status.instances}>={.spec.instances}",
        note="counts the pods that are to run, not those that are ready",
    ),
    kind(
        "postgresql.cnpg.io",
        "Database Publication Subscription",
        "CloudNativePG: status.applied, .message",
        current=field("{.status.applied}", "true"),
        trouble=field("{.status.applied}", "false"),
        generation=STATUS,
        says="{.status.message}",
    ),
    kind(
        "acid.zalan.do",
        "postgresql",
        "Zalando Postgres Operator: status.PostgresClusterStatus",
        current=field(_POSTGRES, "Running"),
        failed=field(_POSTGRES, "Invalid"),
        trouble=field(_POSTGRES, "CreateFailed", "UpdateFailed", "SyncFailed"),
    ),
    kind(
        "mongodbcommunity.mongodb.com",
        "MongoDBCommunity",
        "MongoDB Community Operator: status.phase, .message",
        current=phase("Running"),
        trouble=phase("Failed"),
        says="{.status.message}",
    ),
    *(
        kind(
            group,
            name,
            f"Percona Operator for {product}: status.state, .message",
            current=field(_STATE, "ready"),
            trouble=field(_STATE, "error"),
            idle=field(_STATE, "paused"),
            says=("{.status.message[*]}", "{.status.message}"),
        )
        for group, name, product in (
            ("pxc.percona.com", "PerconaXtraDBCluster", "MySQL"),
            ("psmdb.percona.com", "PerconaServerMongoDB", "MongoDB"),
        )
    ),
    kind(
        "redis.redis.opstreelabs.in",
        "RedisCluster",
        "OpsTree Redis Operator: RedisClusterStatus.state, .reason",
        current=field(_STATE, "Ready"),
        trouble=field(_STATE, "Failed"),
        says="{.status.reason}",
    ),
    kind(
        "elasticsearch.k8s.elastic.co",
        "Elasticsearch",
        "Elastic Cloud on Kubernetes: ElasticsearchStatus.phase, .health",
        current=(phase("Ready"), field("{.status.health}", "green", "yellow")),
        failed=phase("Invalid"),
        trouble=phase("Stalled"),
        idle=_UNMANAGED,
        generation=STATUS,
        note="yellow: all data is there; a single node never gets greener",
    ),
    *(
        kind(
            f"{group}.k8s.elastic.co",
            name,
            f"Elastic Cloud on Kubernetes: {name}Status.health",
            current=field("{.status.health}", "green"),
            idle=_UNMANAGED,
            generation=STATUS,
        )
        for group, name in (
            ("kibana", "Kibana"),
            ("apm", "ApmServer"),
            ("agent", "Agent"),
            ("beat", "Beat"),
            ("logstash", "Logstash"),
        )
    ),
    kind(
        "velero.io",
        "BackupStorageLocation",
        "Velero: BackupStorageLocationStatus.phase, .message",
        current=phase("Available"),
        trouble=phase("Unavailable"),
        says="{.status.message}",
    ),
    kind(
        "velero.io",
        "Schedule",
        "Velero: ScheduleStatus.phase, .validationErrors",
        current=phase("Enabled"),
        failed=phase("FailedValidation"),
        idle=field("{.spec.paused}", "true"),
        says="{.status.validationErrors[*]}",
    ),
    run_rule(
        "velero.io",
        "Backup Restore",
        "Velero: BackupStatus.phase, RestoreStatus.phase, .failureReason, .validationErrors",
        "Completed",
        ("Failed", "PartiallyFailed", "FailedValidation"),
        ("{.status.failureReason}", "{.status.validationErrors[*]}"),
    ),
    kind(
        "snapshot.storage.k8s.io",
        "VolumeSnapshot VolumeSnapshotContent",
        "CSI external-snapshotter: status.readyToUse, .error",
        current=field("{.status.readyToUse}", "true"),
        trouble="jsonpath={.status.error}",
        says="{.status.error.message}",
    ),
    kind("snapshot.storage.k8s.io", "VolumeSnapshotClass", f"CSI external-snapshotter: {EXISTS}"),
)

MESSAGING = (
    kind(
        "kafka.strimzi.io",
        "Kafka KafkaConnect KafkaMirrorMaker2 KafkaBridge KafkaTopic KafkaUser",
        "Strimzi: status.conditions, types Ready and NotReady",
        generation=STATUS,
        like=_STRIMZI,
    ),
    kind(
        "kafka.strimzi.io",
        "KafkaConnector",
        "Strimzi: KafkaConnectorStatus.conditions, .connectorStatus",
        generation=STATUS,
        like=_STRIMZI,
        trouble=("condition=NotReady", field(_CONNECTOR, "FAILED"), f"jsonpath={_TASKS}"),
    ),
    kind(
        "kafka.strimzi.io", "KafkaNodePool", "Strimzi: KafkaNodePoolStatus; its Kafka tells whether it runs"
    ),
    kind(
        "rabbitmq.com",
        "RabbitmqCluster",
        "RabbitMQ Cluster Operator: status.conditions",
        current=("condition=AllReplicasReady", "condition=ClusterAvailable", "condition=ReconcileSuccess"),
        trouble="condition=ReconcileSuccess:False",
        idle="condition=AllReplicasReady:False(ScaledToZero) && jsonpath={.spec.replicas}=0",
        generation=STATUS,
    ),
    kind(
        "rabbitmq.com",
        "Queue Exchange Binding User Vhost Policy Permission",
        "RabbitMQ Messaging Topology Operator: status.conditions, type Ready",
        current=READY,
        trouble=NOT_READY,
        generation=STATUS,
    ),
    *(
        kind(
            group,
            kinds,
            "Knative: status.conditions, type Ready",
            current=READY,
            trouble=NOT_READY,
            generation=STATUS,
        )
        for group, kinds in (
            ("serving.knative.dev", "Service Configuration Revision Route DomainMapping"),
            ("eventing.knative.dev", "Broker Trigger"),
            ("messaging.knative.dev", "Channel InMemoryChannel Subscription"),
            ("flows.knative.dev", "Sequence Parallel"),
            ("sources.knative.dev", "PingSource ApiServerSource ContainerSource SinkBinding"),
            ("networking.internal.knative.dev", "Ingress Certificate"),
        )
    ),
    kind(
        "autoscaling.internal.knative.dev",
        "PodAutoscaler",
        "Knative: PodAutoscalerStatus.conditions, types Ready and Active",
        current="condition=Ready || condition=Active:False(NoTraffic)",
        generation=STATUS,
        note="without traffic it is scaled to zero",
    ),
)

OPERATIONS = (
    kind(
        "keda.sh",
        "ScaledObject ScaledJob",
        "KEDA: status.conditions, types Ready and Paused",
        current=READY,
        trouble=NOT_READY,
        idle="condition=Paused",
    ),
    kind("keda.sh", "TriggerAuthentication ClusterTriggerAuthentication", f"KEDA: {EXISTS}"),
    kind(
        "autoscaling.k8s.io",
        "VerticalPodAutoscaler",
        "Vertical Pod Autoscaler: VerticalPodAutoscalerStatus.conditions",
        trouble="condition=ConfigUnsupported",
        note="a recommendation takes minutes, and what runs does not wait for it",
    ),
    kind(
        "monitoring.coreos.com",
        "Prometheus PrometheusAgent Alertmanager ThanosRuler",
        "Prometheus Operator: status.conditions, types Available and Reconciled",
        current=("condition=Available", "condition=Reconciled"),
        trouble="condition=Reconciled:False",
        generation=CONDITIONS,
    ),
    kind(
        "monitoring.coreos.com",
        "ServiceMonitor PodMonitor PrometheusRule Probe ScrapeConfig AlertmanagerConfig",
        f"Prometheus Operator: {EXISTS}",
    ),
    kind(
        "opentelemetry.io",
        "OpenTelemetryCollector",
        "OpenTelemetry Operator: status.version, .scale.statusReplicas",
        current="jsonpath={.status.version}",
        busy=field("{.status.scale.statusReplicas}", "0/1", "0/2", "0/3"),
        note="its replicas are told as a text, ready/wanted: only none of few is told apart",
    ),
    kind("opentelemetry.io", "Instrumentation", f"OpenTelemetry Operator: {EXISTS}"),
    kind(
        "grafana.integreatly.org",
        "Grafana",
        "Grafana Operator: GrafanaStatus.stage, .stageStatus, .lastMessage",
        current=(field("{.status.stage}", "complete"), field("{.status.stageStatus}", "success")),
        trouble=field("{.status.stageStatus}", "failed"),
        says="{.status.lastMessage}",
    ),
    *(
        kind(
            "grafana.integreatly.org",
            name,
            f"Grafana Operator: condition {condition} (v5)",
            current=f"condition={condition}",
            trouble=(f"condition={condition}:False", "condition=NoMatchingInstance", "condition=InvalidSpec"),
            generation=CONDITIONS,
        )
        for name, condition in (
            ("GrafanaDashboard", "DashboardSynchronized"),
            ("GrafanaDatasource", "DatasourceSynchronized"),
            ("GrafanaFolder", "FolderSynchronized"),
            ("GrafanaAlertRuleGroup", "AlertGroupSynchronized"),
        )
    ),
    kind(
        "kyverno.io",
        "ClusterPolicy Policy",
        "Kyverno: PolicyStatus.conditions, type Ready; .ready",
        current=f"{READY} || jsonpath={{.status.ready}}=true",
        trouble=NOT_READY,
    ),
    kind("kyverno.io", "PolicyException", f"Kyverno: {EXISTS}"),
    kind(
        "templates.gatekeeper.sh",
        "ConstraintTemplate",
        "Gatekeeper: ConstraintTemplateStatus.created, .byPod[].errors",
        current=field("{.status.created}", "true"),
        failed="jsonpath={.status.byPod[*].errors}",
        says="{.status.byPod[*].errors[*].message}",
    ),
    kind(
        "constraints.gatekeeper.sh",
        "*",
        "Gatekeeper: constraint status.byPod[].enforced, .errors",
        current=field("{.status.byPod[*].enforced}", "true"),
        failed="jsonpath={.status.byPod[*].errors}",
        says="{.status.byPod[*].errors[*].message}",
    ),
    kind(
        "k8s.keycloak.org",
        "Keycloak",
        "Keycloak Operator: status.conditions, types Ready, HasErrors, RollingUpdate",
        current=READY,
        trouble="condition=HasErrors",
        busy="condition=Ready && condition=RollingUpdate",
        generation=STATUS,
    ),
    kind(
        "k8s.keycloak.org",
        "KeycloakRealmImport",
        "Keycloak Operator: status.conditions, types Done, HasErrors",
        current="condition=Done",
        trouble="condition=HasErrors",
    ),
)

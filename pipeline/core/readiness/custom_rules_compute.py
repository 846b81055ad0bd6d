"""What computes in batches and on events: queues, sets of Jobs, Ray, Flink, Spark; and what measures it."""

from __future__ import annotations

from pipeline.core.readiness.custom import EXISTS, Generation, field
from pipeline.core.readiness.custom import kind_rule as kind

STATUS, CONDITIONS = Generation.STATUS, Generation.CONDITIONS

_SPARK = "{.status.applicationState.state}"
_FLINK = "{.status.lifecycleState}"
_RAY = "{.status.state}"
_METRICS = "{.status.updateStatus}"

COMPUTE = (
    kind(
        "sparkoperator.k8s.io",
        "SparkApplication",
        "Spark Operator: SparkApplicationStatus.applicationState",
        current=field(_SPARK, "RUNNING", "COMPLETED"),
        failed=field(_SPARK, "FAILED"),
        trouble=field(_SPARK, "SUBMISSION_FAILED", "FAILING"),
        says="{.status.applicationState.errorMessage}",
        note="one that streams never completes; to wait for the end of a batch, write a rule",
    ),
    kind(
        "flink.apache.org",
        "FlinkDeployment FlinkSessionJob",
        "Flink Kubernetes Operator: status.lifecycleState, .error",
        current=field(_FLINK, "STABLE"),
        failed=field(_FLINK, "FAILED", "ROLLED_BACK"),
        idle=field(_FLINK, "SUSPENDED"),
        generation=STATUS,
        says="{.status.error}",
        note="rolled back: what runs is the spec before",
    ),
    kind(
        "ray.io",
        "RayCluster",
        "KubeRay: RayClusterStatus.state, .reason",
        current=field(_RAY, "ready"),
        trouble=field(_RAY, "failed"),
        idle=field(_RAY, "suspended"),
        generation=STATUS,
        says="{.status.reason}",
    ),
    kind(
        "jobset.x-k8s.io",
        "JobSet",
        "JobSet: status.conditions, types Completed and Failed",
        current="condition=Completed",
        failed="condition=Failed",
        idle="jsonpath={.spec.suspend}=true",
    ),
    kind(
        "kueue.x-k8s.io",
        "ClusterQueue LocalQueue",
        "Kueue: status.conditions, type Active",
        current="condition=Active",
        trouble="condition=Active:False",
        generation=CONDITIONS,
    ),
    kind("kueue.x-k8s.io", "ResourceFlavor WorkloadPriorityClass Topology", f"Kueue: {EXISTS}"),
    kind(
        "argoproj.io",
        "EventBus EventSource Sensor",
        "Argo Events: status.conditions, type Deployed and what comes before it",
        current="condition=Deployed",
        trouble=(
            "condition=Deployed:False",
            "condition=Configured:False",
            "condition=SourcesProvided:False",
            "condition=DependenciesProvided:False",
            "condition=TriggersProvided:False",
        ),
        generation=STATUS,
    ),
    kind(
        "operator.victoriametrics.com",
        "VMAgent VMAlert VMAlertmanager VMAuth VMCluster VMSingle",
        "VictoriaMetrics Operator: status.updateStatus, .reason",
        current=field(_METRICS, "operational"),
        trouble=field(_METRICS, "failed"),
        idle=field(_METRICS, "paused"),
        generation=STATUS,
        says="{.status.reason}",
    ),
    kind(
        "operator.victoriametrics.com",
        "VMServiceScrape VMPodScrape VMStaticScrape VMNodeScrape VMProbe VMRule VMUser VMAlertmanagerConfig",
        f"VictoriaMetrics Operator: {EXISTS}",
    ),
)

"""What delivers and what keeps secrets: Argo, Flux, Tekton, certificates, secret stores."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.readiness.custom import EXISTS, NOT_READY, READY, Generation, Texts, field, phase, run_rule
from pipeline.core.readiness.custom import kind_rule as kind

STATUS, CONDITIONS = Generation.STATUS, Generation.CONDITIONS

_FLUX: Mapping[str, Texts] = {
    "current": READY,
    "failed": "condition=Stalled",
    "trouble": NOT_READY,
    "busy": (
        "condition=Ready && condition=Reconciling",
        "condition=Ready:False(DependencyNotReady, Progressing)",
    ),
    "idle": "jsonpath={.spec.suspend}=true",
}

DELIVERY = (
    kind(
        "argoproj.io",
        "Rollout",
        "Argo Rollouts: RolloutStatus.phase, .message",
        current=phase("Healthy"),
        failed=(phase("Degraded"), "condition=InvalidSpec"),
        generation=STATUS,
        says="{.status.message}",
        note="Paused waits for a promotion; observedGeneration is a string",
    ),
    run_rule(
        "argoproj.io",
        "AnalysisRun Experiment",
        "Argo Rollouts: AnalysisRunStatus.phase, ExperimentStatus.phase",
        "Successful",
        ("Failed", "Error", "Inconclusive"),
        "{.status.message}",
    ),
    kind(
        "argoproj.io",
        "Application",
        "Argo CD: ApplicationStatus.health, .sync, .operationState",
        current=(field("{.status.health.status}", "Healthy"), field("{.status.sync.status}", "Synced")),
        trouble=(
            field("{.status.health.status}", "Degraded"),
            field("{.status.operationState.phase}", "Failed", "Error"),
        ),
        says="{.status.operationState.message}",
        note="one that is synced by hand needs a rule of its own",
    ),
    kind(
        "argoproj.io",
        "ApplicationSet",
        "Argo CD: ApplicationSetStatus.conditions",
        current="condition=ResourcesUpToDate",
        trouble="condition=ErrorOccurred",
    ),
    run_rule(
        "argoproj.io",
        "Workflow",
        "Argo Workflows: WorkflowStatus.phase, .message",
        "Succeeded",
        ("Failed", "Error"),
        "{.status.message}",
    ),
    kind(
        "argoproj.io",
        "CronWorkflow",
        "Argo Workflows: CronWorkflowStatus.conditions",
        trouble="condition=SubmissionError || condition=SpecError",
    ),
    kind(
        "argoproj.io",
        "AppProject AnalysisTemplate ClusterAnalysisTemplate WorkflowTemplate ClusterWorkflowTemplate",
        f"Argo CD, Rollouts, Workflows: {EXISTS}",
    ),
    kind(
        "kustomize.toolkit.fluxcd.io",
        "Kustomization",
        "Flux: Kustomization status.conditions",
        generation=STATUS,
        like=_FLUX,
    ),
    kind(
        "helm.toolkit.fluxcd.io",
        "HelmRelease",
        "Flux: HelmRelease status.conditions",
        generation=STATUS,
        like=_FLUX,
    ),
    kind(
        "source.toolkit.fluxcd.io",
        "GitRepository OCIRepository HelmChart Bucket",
        "Flux: source status.conditions",
        generation=STATUS,
        like=_FLUX,
    ),
    kind(
        "source.toolkit.fluxcd.io",
        "HelmRepository",
        "Flux: HelmRepository status.conditions",
        generation=STATUS,
        like=_FLUX,
        current="condition=Ready || jsonpath={.spec.type}=oci",
        note="one of type oci is a static object (source API v1)",
    ),
    kind(
        "image.toolkit.fluxcd.io",
        "ImageRepository ImagePolicy ImageUpdateAutomation",
        "Flux: image automation status.conditions",
        generation=STATUS,
        like=_FLUX,
    ),
    kind(
        "notification.toolkit.fluxcd.io",
        "Receiver",
        "Flux: Receiver status.conditions",
        generation=STATUS,
        like=_FLUX,
    ),
    kind(
        "notification.toolkit.fluxcd.io",
        "Alert Provider",
        "Flux: notification API v1beta3, static objects",
        trouble=NOT_READY,
        note="older versions report Ready",
    ),
    kind(
        "flagger.app",
        "Canary",
        "Flagger: CanaryStatus.phase",
        current=phase("Initialized", "Succeeded"),
        failed=phase("Failed"),
        says='{.status.conditions[?(@.type=="Promoted")].message}',
    ),
    kind("flagger.app", "MetricTemplate AlertProvider", f"Flagger: {EXISTS}"),
    kind(
        "tekton.dev",
        "TaskRun PipelineRun",
        "Tekton: status.conditions, type Succeeded",
        current="condition=Succeeded",
        failed="condition=Succeeded:False",
    ),
    kind("tekton.dev", "Task ClusterTask Pipeline", f"Tekton: {EXISTS}"),
    kind(
        "triggers.tekton.dev",
        "TriggerTemplate TriggerBinding ClusterTriggerBinding Trigger",
        f"Tekton Triggers: {EXISTS}",
    ),
    kind(
        "actions.github.com",
        "AutoscalingRunnerSet",
        "Actions Runner Controller: AutoscalingRunnerSetStatus counts runners",
        note="none may run, so nothing in it tells whether it works",
    ),
)

SECRETS = (
    kind(
        "cert-manager.io",
        "Certificate",
        "cert-manager: CertificateStatus.conditions, types Ready and Issuing",
        current=READY,
        failed="condition=Issuing:False(Failed, Denied, InvalidRequest)",
        busy="condition=Issuing",
        generation=CONDITIONS,
        note="a failed issuance is tried again an hour later at the earliest",
    ),
    kind(
        "cert-manager.io",
        "CertificateRequest",
        "cert-manager: CertificateRequestStatus.conditions",
        current=READY,
        failed=("condition=Ready:False(Failed, Denied)", "condition=InvalidRequest", "condition=Denied"),
    ),
    kind(
        "cert-manager.io",
        "Issuer ClusterIssuer",
        "cert-manager: IssuerStatus.conditions, type Ready",
        current=READY,
        trouble=NOT_READY,
        generation=CONDITIONS,
    ),
    kind(
        "acme.cert-manager.io",
        "Order Challenge",
        "cert-manager: OrderStatus.state, ChallengeStatus.state, .reason",
        current=field("{.status.state}", "valid"),
        failed=field("{.status.state}", "invalid", "expired", "errored"),
        says="{.status.reason}",
    ),
    kind(
        "awspca.cert-manager.io",
        "AWSPCAIssuer AWSPCAClusterIssuer",
        "AWS Private CA Issuer: status.conditions, type Ready",
        current=READY,
        trouble=NOT_READY,
    ),
    kind(
        "trust.cert-manager.io",
        "Bundle",
        "trust-manager: BundleStatus.conditions, type Synced",
        current="condition=Synced",
        trouble="condition=Synced:False",
        generation=CONDITIONS,
    ),
    kind(
        "external-secrets.io",
        "ExternalSecret SecretStore ClusterSecretStore PushSecret",
        "External Secrets Operator: status.conditions, type Ready",
        current=READY,
        trouble=NOT_READY,
    ),
    kind(
        "external-secrets.io",
        "ClusterExternalSecret",
        "External Secrets Operator: status.conditions, types Ready, NotReady, PartiallyReady",
        current=READY,
        trouble=(NOT_READY, "condition=NotReady", "condition=PartiallyReady"),
    ),
    kind("generators.external-secrets.io", "*", f"External Secrets Operator: {EXISTS}"),
    kind(
        "bitnami.com",
        "SealedSecret",
        "Sealed Secrets: SealedSecretStatus.conditions, type Synced",
        current="condition=Synced",
        failed="condition=Synced:False",
        generation=STATUS,
        note="no key fits, or a Secret is in its way: neither mends by itself",
    ),
    kind(
        "secrets.hashicorp.com",
        "VaultAuth VaultConnection",
        "Vault Secrets Operator: status.valid, .error",
        current=field("{.status.valid}", "true"),
        trouble=field("{.status.valid}", "false"),
        says="{.status.error}",
    ),
    kind(
        "secrets.hashicorp.com",
        "VaultStaticSecret",
        "Vault Secrets Operator: VaultStaticSecretStatus.lastGeneration, .secretMAC",
        current=(
            "jsonpath={.status.lastGeneration}>={.metadata.generation}",
            "jsonpath={.status.secretMAC} || jsonpath={.spec.hmacSecretData}=false",
        ),
    ),
    kind(
        "secrets.hashicorp.com",
        "VaultDynamicSecret VaultPKISecret",
        "Vault Secrets Operator: status.lastGeneration",
        current="jsonpath={.status.lastGeneration}>={.metadata.generation}",
    ),
    kind("secrets-store.csi.x-k8s.io", "SecretProviderClass", f"Secrets Store CSI driver: {EXISTS}"),
)

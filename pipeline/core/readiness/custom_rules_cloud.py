"""What stands for something in the cloud: nodes, load balancers, AWS resources, clusters; traffic."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.readiness.custom import EXISTS, NOT_READY, READY, Generation, Texts, field, phase
from pipeline.core.readiness.custom import kind_rule as kind

STATUS, CONDITIONS = Generation.STATUS, Generation.CONDITIONS

_CROSSPLANE: Mapping[str, Texts] = {
    "current": (READY, "condition=Synced"),
    "trouble": ("condition=Synced:False(ReconcileError)", "condition=LastAsyncOperation:False"),
    "idle": 'jsonpath={.metadata.annotations["crossplane.io/paused"]}=true',
}

CLOUD = (
    kind(
        "karpenter.sh",
        "NodePool",
        "Karpenter: NodePoolStatus.conditions (v1)",
        current=READY,
        trouble=NOT_READY,
        generation=CONDITIONS,
    ),
    kind(
        "karpenter.sh",
        "NodeClaim",
        "Karpenter: NodeClaimStatus.conditions (v1): Launched, Registered, Initialized, Ready",
        current=READY,
        trouble="condition=Launched:False",
        generation=CONDITIONS,
    ),
    kind(
        "karpenter.k8s.aws",
        "EC2NodeClass",
        "Karpenter AWS provider: EC2NodeClassStatus.conditions",
        current=READY,
        trouble=NOT_READY,
        generation=CONDITIONS,
    ),
    kind(
        "eks.amazonaws.com",
        "NodeClass",
        "EKS Auto Mode: NodeClass status.conditions",
        current=READY,
        trouble=NOT_READY,
    ),
    *(
        kind(
            group,
            "TargetGroupBinding",
            "AWS Load Balancer Controller: TargetGroupBindingStatus.observedGeneration",
            current="jsonpath={.status.observedGeneration}>={.metadata.generation}",
            generation=STATUS,
        )
        for group in ("elbv2.k8s.aws", "eks.amazonaws.com")
    ),
    *(
        kind(group, "IngressClassParams", f"AWS Load Balancer Controller: {EXISTS}")
        for group in ("elbv2.k8s.aws", "eks.amazonaws.com")
    ),
    kind("vpcresources.k8s.aws", "SecurityGroupPolicy", f"Amazon VPC resource controller: {EXISTS}"),
    kind("crd.k8s.amazonaws.com", "ENIConfig", f"Amazon VPC CNI: {EXISTS}"),
    kind(
        "*.services.k8s.aws",
        "*",
        "AWS Controllers for Kubernetes: conditions ACK.ResourceSynced, Ready, ACK.Terminal, ACK.Recoverable",
        current="condition=ACK.ResourceSynced || condition=Ready",
        failed="condition=ACK.Terminal",
        trouble="condition=ACK.Recoverable",
        busy="condition=ACK.ResourceSynced && condition=Ready:False",
        note="newer controllers report Ready",
    ),
    kind(
        "services.k8s.aws",
        "AdoptedResource",
        "AWS Controllers for Kubernetes: condition ACK.Adopted",
        current="condition=ACK.Adopted",
        failed="condition=ACK.Terminal",
        trouble="condition=ACK.Recoverable",
    ),
    kind(
        "pkg.crossplane.io",
        "Provider Configuration Function",
        "Crossplane: package conditions Installed, Healthy",
        current=("condition=Installed", "condition=Healthy"),
        note="neither tells an installation that goes on from one that failed",
    ),
    kind("pkg.crossplane.io", "DeploymentRuntimeConfig", f"Crossplane: {EXISTS}"),
    kind(
        "apiextensions.crossplane.io",
        "CompositeResourceDefinition",
        "Crossplane: condition Established",
        current="condition=Established",
    ),
    kind("apiextensions.crossplane.io", "Composition EnvironmentConfig", f"Crossplane: {EXISTS}"),
    *(
        kind(group, "*", "Crossplane: managed resource conditions Ready, Synced", like=_CROSSPLANE)
        for group in ("*.aws.crossplane.io", "*.aws.upbound.io", "*.aws.m.upbound.io")
    ),
    kind(
        "kubernetes.crossplane.io",
        "Object",
        "Crossplane provider-kubernetes: Ready, Synced",
        like=_CROSSPLANE,
    ),
    kind("helm.crossplane.io", "Release", "Crossplane provider-helm: Ready, Synced", like=_CROSSPLANE),
    *(
        kind(group, "ProviderConfig ClusterProviderConfig", f"Crossplane: {EXISTS}")
        for group in (
            "aws.crossplane.io",
            "aws.upbound.io",
            "aws.m.upbound.io",
            "kubernetes.crossplane.io",
            "helm.crossplane.io",
        )
    ),
    kind(
        "cluster.x-k8s.io",
        "Cluster MachineDeployment MachinePool MachineSet Machine",
        "Cluster API: status.conditions, types Available (v1beta2) and Ready (v1beta1); .phase",
        current="condition=Available || condition=Ready",
        failed=(phase("Failed"), "jsonpath={.status.failureReason}"),
        generation=STATUS,
        says="{.status.failureMessage}",
        idle=field("{.spec.paused}", "true"),
    ),
)

TRAFFIC = (
    *(
        kind(
            group,
            kinds,
            "Istio: IstioStatus.validationMessages, condition Reconciled",
            trouble='jsonpath={.status.validationMessages[?(@.level=="ERROR")]}',
            busy="condition=Reconciled:False",
            says='{.status.validationMessages[?(@.level=="ERROR")].type.name}',
            note="reports a status only where the control plane is told to",
        )
        for group, kinds in (
            (
                "networking.istio.io",
                "VirtualService DestinationRule Gateway ServiceEntry Sidecar EnvoyFilter "
                "WorkloadEntry WorkloadGroup ProxyConfig",
            ),
            ("security.istio.io", "PeerAuthentication AuthorizationPolicy RequestAuthentication"),
            ("telemetry.istio.io", "Telemetry"),
            ("extensions.istio.io", "WasmPlugin"),
        )
    ),
    kind(
        "projectcontour.io",
        "HTTPProxy",
        "Contour: HTTPProxyStatus.currentStatus, .description",
        current=field("{.status.currentStatus}", "valid"),
        trouble=field("{.status.currentStatus}", "invalid", "orphaned"),
        says="{.status.description}",
    ),
    kind(
        "getambassador.io",
        "Host",
        "Emissary-ingress: HostStatus.state, .errorReason",
        current=field("{.status.state}", "Ready"),
        trouble=field("{.status.state}", "Error"),
        says="{.status.errorReason}",
    ),
    kind("getambassador.io", "Mapping TCPMapping Listener Module TLSContext", f"Emissary-ingress: {EXISTS}"),
    *(
        kind(
            group,
            "IngressRoute IngressRouteTCP IngressRouteUDP Middleware MiddlewareTCP TraefikService "
            "TLSOption TLSStore ServersTransport ServersTransportTCP",
            f"Traefik: {EXISTS}",
        )
        for group in ("traefik.io", "traefik.containo.us")
    ),
    kind("externaldns.k8s.io", "DNSEndpoint", f"ExternalDNS: {EXISTS}"),
    kind(
        "cilium.io",
        "CiliumNetworkPolicy CiliumClusterwideNetworkPolicy",
        "Cilium: status.conditions, type Valid",
        trouble="condition=Valid:False",
    ),
    *(
        kind(group, "NetworkPolicy GlobalNetworkPolicy", f"Calico: {EXISTS}")
        for group in ("crd.projectcalico.org", "projectcalico.org")
    ),
)
